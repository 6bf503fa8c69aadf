"""Data types: conversion, and questions about them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..core import device as devices
from ..core import dtype as dtypes
from ..core.error import ArgumentError, DTypeError
from ..core.function import function
from ..core.op import array
from ..core.value import Array
from .selection import astype as _astype

__all__ = ["FloatInfo", "IntegerInfo", "astype", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]

_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}
"""Kinds of the standard, as NumPy abbreviates what is in them."""


class FloatInfo(NamedTuple):
    """What `finfo` tells of a dtype of floating-point numbers: Python numbers, and the dtype.

    ``eps`` is the distance from 1 to the next number, ``smallest_normal`` the least positive one in full precision.

    >>> import bprop
    >>> bprop.finfo("float32").eps == 2**-23
    True
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: "np.dtype[Any]"


class IntegerInfo(NamedTuple):
    """What `iinfo` tells of a dtype of integers: how many bits, the largest and the least, and the dtype.

    >>> import bprop
    >>> bprop.iinfo("int8").max
    127
    """

    bits: int
    max: int
    min: int
    dtype: "np.dtype[Any]"


@function()
def astype(x: Any, dtype: DTypeLike, /, *, copy: bool = True, device: str | None = None) -> Array:
    """Return ``x`` converted to ``dtype``; the derivative is 1 between floating dtypes.

    ``copy`` is there for the standard's sake: arrays never change, so a copy cannot be told from the array.
    Raises `DTypeError` for dtypes that bprop does not compute with, and where imaginary parts would be dropped.

    **Source:** Python Array API standard 2024.12, ``astype``.

    >>> import bprop
    >>> bprop.astype(bprop.ones(2), "float32")
    Array([1., 1.], dtype=float32)
    """
    devices.check(device, "astype")
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


def _dtype(name: str, type: Any) -> "np.dtype[Any]":
    return dtypes.check(type.dtype if isinstance(type, Array | np.ndarray | np.generic) else type, name)


@function()
def finfo(type: Any, /) -> FloatInfo:
    """Return the limits of a dtype of floating-point numbers, or of an array's; of a complex one those of its parts.

    Raises `DTypeError` for integers and bool.

    **Source:** Python Array API standard 2024.12, ``finfo``.

    >>> import bprop
    >>> bprop.finfo(bprop.float64).eps
    2.220446049250313e-16
    """
    dtype = _dtype("finfo", type)
    if not dtypes.is_inexact(dtype):
        raise DTypeError(f"finfo: {dtype} is no floating-point dtype: use iinfo for integers")
    info = np.finfo(dtype)
    return FloatInfo(
        info.bits, float(info.eps), float(info.max), float(info.min), float(info.smallest_normal), dtypes.to_real(dtype)
    )


@function()
def iinfo(type: Any, /) -> IntegerInfo:
    """Return the limits of a dtype of integers, or of an array's.

    Raises `DTypeError` for other dtypes.

    **Source:** Python Array API standard 2024.12, ``iinfo``.

    >>> import bprop
    >>> bprop.iinfo(bprop.uint8).max
    255
    """
    dtype = _dtype("iinfo", type)
    if dtype.kind not in "iu":
        raise DTypeError(f"iinfo: {dtype} is no dtype of integers: use finfo for floating-point numbers")
    info = np.iinfo(dtype)
    return IntegerInfo(info.bits, int(info.max), int(info.min), dtype)


@function()
def isdtype(dtype: DTypeLike, kind: Any) -> bool:
    """Return whether ``dtype`` is of a kind: a dtype, ``"bool"``, ``"signed integer"``, ``"unsigned integer"``, ``"integral"``,
    ``"real floating"``, ``"complex floating"``, ``"numeric"``, or one of several in a tuple.

    **Source:** Python Array API standard 2024.12, ``isdtype``.

    >>> import bprop
    >>> bprop.isdtype(bprop.float32, "real floating"), bprop.isdtype(bprop.int8, ("bool", bprop.int16))
    (True, False)
    """
    wanted = dtypes.check(dtype, "isdtype")
    if isinstance(kind, tuple):
        return any(isdtype(wanted, part) for part in kind)
    if not isinstance(kind, str):
        return wanted == dtypes.check(kind, "isdtype")
    if kind not in _KINDS:
        raise ArgumentError(f"isdtype: {kind!r:.60} is no kind: use a dtype, or one of {', '.join(_KINDS)}")
    return wanted.kind in _KINDS[kind]
