"""Data types: conversion, and questions about them."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import dtype as dtypes
from ..core.error import ArgumentError
from ..core.function import function
from ..core.op import array
from ..core.value import Array
from .selection import astype as _astype

__all__ = ["astype", "can_cast", "result_type"]


@function()
def astype(x: Any, dtype: DTypeLike, /, *, copy: bool = True) -> Array:
    """Return ``x`` converted to ``dtype``; the derivative is 1 between floating dtypes.

    ``copy`` is there for the standard's sake: arrays never change, so a copy cannot be told from the array.
    Raises `DTypeError` for dtypes that bprop does not compute with, and where imaginary parts would be dropped.

    **Source:** Python Array API standard 2024.12, ``astype``.

    >>> import bprop
    >>> bprop.astype(bprop.ones(2), "float32")
    Array([1., 1.], dtype=float32)
    """
    x = array("astype", x)
    if not isinstance(copy, bool | np.bool_):
        raise ArgumentError(f"astype: copy is True or False, not {copy!r:.60}")
    wanted = dtypes.check(dtype, "astype")
    dtypes.refuse_dropping("astype", x.dtype, wanted)
    return x if x.dtype == wanted else _astype(x, dtype=wanted)


@function(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> "np.dtype[Any]":
    """Return the dtype that operands of an op are promoted to. Python numbers are weak: they follow the arrays.

    Raises `DTypeError` for dtypes that bprop does not compute with.

    **Source:** Python Array API standard 2024.12, ``result_type``; NumPy's NEP 50.

    >>> import bprop
    >>> bprop.result_type(bprop.ones(2, dtype="float32"), 1.0)
    dtype('float32')
    """
    if not arrays_and_dtypes:
        raise ArgumentError("result_type: at least one array or dtype is needed")
    types = (
        operand.dtype if isinstance(operand, Array | np.ndarray | np.generic) else operand
        for operand in arrays_and_dtypes
    )
    return dtypes.result_type(
        *(operand if type(operand) in dtypes.WEAK else dtypes.check(operand, "result_type") for operand in types)
    )


@function(np.can_cast)
def can_cast(from_: Any, to: DTypeLike, /) -> bool:
    """Return whether every number of one dtype (or of an array's) is one of another.

    **Source:** Python Array API standard 2024.12, ``can_cast``.

    >>> import bprop
    >>> bprop.can_cast("int32", "float64"), bprop.can_cast(bprop.ones(2), "float32")
    (True, False)
    """
    source = from_.dtype if isinstance(from_, Array | np.ndarray) else from_
    return bool(np.can_cast(dtypes.check(source, "can_cast"), dtypes.check(to, "can_cast")))
