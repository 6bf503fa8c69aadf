"""Graphs to native code: simplify, fuse, plan, generate, call. Only `bprop.compile.native` knows LLVM."""

# loaded first, so that the function `native` below keeps the name; LLVM itself is loaded with the first program
from . import native as _native  # noqa: F401
from .pipeline import Compiled, compile, native
from .thread import get_threads, set_threads

__all__ = ["Compiled", "compile", "get_threads", "native", "set_threads"]
