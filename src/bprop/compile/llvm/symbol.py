"""Functions of the C library that native code calls: LLVM learns their addresses before the code is loaded."""

import ctypes
import sys

from llvmlite import binding

from ...core.error import CompileError

_resolved: set[str] = set()


def resolve(name: str) -> None:
    """Tell LLVM the address of a function; raises `CompileError` where the C library has none of that name."""
    if name in _resolved or binding.address_of_symbol(name):
        return
    library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    try:
        address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    except AttributeError:
        raise CompileError(f"the C library has no function {name}") from None
    binding.add_symbol(name, address)
    _resolved.add(name)
