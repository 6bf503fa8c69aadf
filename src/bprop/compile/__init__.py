"""Graphs to native code: simplify, fuse, plan, generate, call. Only `bprop.compile.llvm` knows LLVM."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_attributes

if TYPE_CHECKING:
    from .jit import Compiled as Compiled
    from .jit import compile as compile
    from .jit import native as native
    from .runtime.threads import get_threads as get_threads
    from .runtime.threads import set_threads as set_threads
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {"jit": ("Compiled", "compile", "native"), "runtime.threads": ("get_threads", "set_threads")},
    )

__all__ = ["Compiled", "compile", "get_threads", "native", "set_threads"]
