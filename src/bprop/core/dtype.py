"""Data types: float64 is the default, Python scalars are weak, NumPy scalars and 0-d arrays are not."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .error import DTypeError

DEFAULT = np.dtype(np.float64)
BOOL = np.dtype(np.bool_)
INT = np.dtype(np.int64)
COMPLEX = np.dtype(np.complex128)
WEAK: tuple[type, ...] = (bool, int, float, complex)
KINDS = "biufc"
"""Kinds of dtypes that bprop computes with: bool, integers, floating and complex numbers."""
_NAMES = "bool, integers, float16/32/64 or complex64/128"


def is_float(dtype: "np.dtype[Any]") -> bool:
    """Return whether values of ``dtype`` are real floating-point numbers (float16, float32, float64)."""
    return dtype.kind == "f"


def is_inexact(dtype: "np.dtype[Any]") -> bool:
    """Return whether values of ``dtype`` have derivatives: floating-point and complex numbers."""
    return dtype.kind in "fc"


def check(dtype: DTypeLike, where: str) -> "np.dtype[Any]":
    """Return ``dtype`` as a NumPy dtype, refusing what bprop does not compute with."""
    try:
        result = np.dtype(dtype)
    except TypeError:
        raise DTypeError(f"{where}: {dtype!r:.60} is no dtype: use {_NAMES}") from None
    if result.kind not in KINDS or result.itemsize > (16 if result.kind == "c" else 8):
        raise DTypeError(f"{where}: dtype {result} is not supported: use {_NAMES}")
    return result


def refuse_dropping(where: str, source: "np.dtype[Any]", target: "np.dtype[Any]") -> None:
    """Raise where numbers of ``source`` would lose their imaginary parts in ``target``."""
    if source.kind == "c" and target.kind not in "cb":
        raise DTypeError(f"{where}: {source} in {target} would drop the imaginary part: write z.real, or bprop.abs(z)")


def result_type(*operands: Any) -> "np.dtype[Any]":
    """Promote dtypes and weak Python scalars as NumPy 2 does (NEP 50)."""
    return np.result_type(*operands)


def accumulated(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Return the dtype in which entries of ``dtype`` are summed or multiplied: small integers and bool need 64 bits."""
    if dtype.kind in "biu" and dtype.itemsize < 8:
        return np.dtype(np.uint64) if dtype.kind == "u" else INT
    return dtype


def to_float(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Return the floating or complex dtype in which a function of ``dtype`` values is computed: integers become float64."""
    return dtype if dtype.kind in "fc" else DEFAULT


def to_real(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Return the dtype of the real and imaginary parts of ``dtype`` values."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def to_complex(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Return the complex dtype that holds ``dtype`` values in the same precision: integers become complex128."""
    dtype = to_float(dtype)
    return dtype if dtype.kind == "c" else np.dtype(f"c{max(8, 2 * dtype.itemsize)}")
