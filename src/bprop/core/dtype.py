"""Data types: float64 is the default, Python scalars are weak, NumPy scalars and 0-d arrays are not."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .error import DTypeError

DEFAULT = np.dtype(np.float64)
BOOL = np.dtype(np.bool_)
INT = np.dtype(np.int64)
WEAK: tuple[type, ...] = (bool, int, float)
_SUPPORTED = frozenset("biuf")


def is_float(dtype: "np.dtype[Any]") -> bool:
    """Return whether values of ``dtype`` have derivatives (float16, float32, float64)."""
    return dtype.kind == "f"


def check(dtype: DTypeLike, where: str) -> "np.dtype[Any]":
    """Return ``dtype`` as a NumPy dtype, refusing what bprop does not compute with."""
    try:
        result = np.dtype(dtype)
    except TypeError:
        raise DTypeError(f"{where}: {dtype!r:.60} is no dtype: use bool, integers or float16/32/64") from None
    if result.kind == "c":
        raise DTypeError(
            f"{where}: complex dtype {result} is not supported: write real and imaginary part as two arrays"
        )
    if result.kind not in _SUPPORTED or result.itemsize > 8:
        raise DTypeError(f"{where}: dtype {result} is not supported: use bool, integers or float16/32/64")
    return result


def result_type(*operands: Any) -> "np.dtype[Any]":
    """Promote dtypes and weak Python scalars as NumPy 2 does (NEP 50)."""
    return np.result_type(*operands)


def accumulated(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Return the dtype in which entries of ``dtype`` are summed or multiplied: small integers and bool need 64 bits."""
    if dtype.kind in "biu" and dtype.itemsize < 8:
        return np.dtype(np.uint64) if dtype.kind == "u" else INT
    return dtype


def to_float(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Return the floating dtype in which a function of ``dtype`` values is computed: integers become float64."""
    return dtype if dtype.kind in "fc" else DEFAULT
