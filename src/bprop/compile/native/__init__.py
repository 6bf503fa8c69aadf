"""Everything that knows LLVM: types, instructions, and one file per kind of kernel."""

__all__: list[str] = []
