"""Graphs to native code: simplify, fuse, plan, generate, call. Only `bprop.compile.llvm` knows LLVM."""

from .jit import Compiled, compile, native
from .runtime.threads import get_threads, set_threads

__all__ = ["Compiled", "compile", "get_threads", "native", "set_threads"]
