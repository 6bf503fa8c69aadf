"""What a call of a compiled function means: which inputs, which captured state, which program."""
