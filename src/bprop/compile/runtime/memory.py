"""Memory of arrays as native code takes it: contiguous, in native byte order; and its address."""

import ctypes
import sys
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...core.value import Array, Tracer, escaped


def contiguous(data: NDArray[Any]) -> NDArray[Any]:
    """Return an array, or a copy that is contiguous, aligned and in the byte order of the processor."""
    if data.flags.c_contiguous and data.flags.aligned and data.dtype.isnative:
        return data
    return np.require(data, data.dtype.newbyteorder("="), ["C", "A"])


def data_of(leaf: Any) -> NDArray[Any]:
    """Return the numbers of a leaf as a program takes them."""
    if type(leaf) is Array:
        return contiguous(leaf.data)
    if isinstance(leaf, Array):
        raise escaped(cast(Tracer, leaf), "compile")
    return contiguous(np.asarray(leaf))


def memory_of(shape: int | tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array to be written; raises `MemoryError` also where no address could reach all of it."""
    try:
        return np.empty(shape, dtype)
    except ValueError as error:  # NumPy's error for a size beyond the address space
        raise MemoryError(str(error)) from error


def address_of(array: NDArray[Any]) -> int:
    """Return the address of an array's first number."""
    if DIRECT and type(array) is np.ndarray:
        return POINTER_AT(id(array) + HEAD).value or 0
    return int(array.__array_interface__["data"][0])


POINTER_AT = ctypes.c_void_p.from_address
HEAD = object.__basicsize__
"""Bytes of the header of every object. By NumPy's C interface an array's data pointer follows it."""
_SAMPLE = np.zeros(3)[1:]
DIRECT = (
    sys.implementation.name == "cpython"
    and POINTER_AT(id(_SAMPLE) + HEAD).value == _SAMPLE.__array_interface__["data"][0]
)
"""Whether the pointer can be read from there, in a sixth of the time that NumPy's interface takes."""
