"""The passes from a graph to scheduled kernels, functions of values; no LLVM."""
