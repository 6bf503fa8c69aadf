"""Functions of the C library that native code calls: made known to LLVM by name before the code is loaded."""

import ctypes
import sys

from llvmlite import binding

from ...core.error import CompileError

_resolved: set[str] = set()


def resolve(name: str) -> None:
    """Make a function known to LLVM; raises `CompileError` where there is none of that name."""
    if name in _resolved or binding.address_of_symbol(name):
        return
    library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    try:
        address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    except AttributeError:
        raise CompileError(f"the C library has no function {name}") from None
    binding.add_symbol(name, address)
    _resolved.add(name)
