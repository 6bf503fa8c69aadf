"""The LLVM back end: emits what the passes decided."""
