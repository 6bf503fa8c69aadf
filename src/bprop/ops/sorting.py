"""Sorting: the order has no derivative, the sorted values are gathered by it. NaN counts as the largest number."""

from math import prod
from typing import Any

import numpy as np

from ..core.family import General
from ..core.function import function
from ..core.number import numpy_flag
from ..core.op import array
from ..core.shape import normalise_axes, normalise_axis, reduced
from ..core.value import Array
from .indexing import slice_along
from .manipulation import moveaxis, permute_dims, reshape
from .reduction import mean
from .selection import where
from .subscript import take_along_axis

__all__ = ["argsort", "median", "sort"]


def _argsort_value(x: Any, descending: bool, stable: bool) -> Any:
    if not descending:
        return np.argsort(x, axis=-1, stable=stable)
    # equal entries keep their order: what is last among the reversed comes first
    return x.shape[-1] - 1 - np.argsort(x[..., ::-1], axis=-1, stable=stable)[..., ::-1]


_argsort = General(
    "argsort",
    _argsort_value,
    code=lambda x, descending, stable: None if descending else f"np.argsort({{0}}, axis=-1, stable={stable})",
    signature="(n)->(n)",
    dtype=np.int64,
    examples=lambda draw: [
        ((draw(*shape),), {"descending": descending, "stable": stable})
        for shape in ((5,), (2, 3), (0, 3), (2, 0), (2, 3, 4))
        for descending in (False, True)
        for stable in (False, True)
    ],
)


@function()
def argsort(x: Any, /, axis: int = -1, *, descending: bool = False, stable: bool = True) -> Array:
    """Return the indices (int64) that sort ``x`` along ``axis``. No derivative.

    ``stable``: equal entries keep their order, also where ``descending``. NaN counts as the largest number.

    **Source:** Python Array API standard 2024.12, ``argsort``; NumPy for NaN.

    >>> import bprop
    >>> bprop.argsort(bprop.asarray([3, 1, 2, 1]), descending=True)
    Array([0, 2, 1, 3])
    """
    x = array("argsort", x)
    axis = normalise_axis("argsort", axis, x.ndim, x.shape)
    flags = {"descending": descending, "stable": stable}
    options = {what: numpy_flag("argsort", what, value) for what, value in flags.items()}
    order = _argsort(moveaxis(x, axis, -1), **options)
    return moveaxis(order, -1, axis)


@function()
def sort(x: Any, /, axis: int = -1, *, descending: bool = False, stable: bool = True) -> Array:
    """Return ``x`` sorted along ``axis``; the cotangent of an entry goes back to where it came from.

    ``stable`` decides which of equal entries comes first, and with it where their cotangents go. NaN counts as the
    largest number.

    **Source:** Python Array API standard 2024.12, ``sort``; NumPy for NaN.

    >>> import bprop
    >>> f = lambda x: bprop.sort(x) @ bprop.asarray([1.0, 10.0, 100.0])
    >>> bprop.grad(f)(bprop.asarray([3.0, 1.0, 2.0]))
    Array([100.,   1.,  10.])
    """
    x = array("sort", x)
    axis = normalise_axis("sort", axis, x.ndim, x.shape)
    return take_along_axis(x, argsort(x, axis, descending=descending, stable=stable), axis)


@function()
def median(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = the middle entry along ``axis``, or the mean of the middle two, which share its cotangent.

    NaN propagates; integers give float64; the median of nothing is NaN.

    **Source:** NumPy, ``median``.

    >>> import bprop
    >>> bprop.grad(bprop.median)(bprop.asarray([5.0, 1.0, 2.0, 9.0]))
    Array([0.5, 0. , 0.5, 0. ])
    """
    x = array("median", x)
    axes = normalise_axes("median", axis, x.shape)
    outer_axes = tuple(position for position in range(x.ndim) if position not in axes)
    size = prod(x.shape[position] for position in axes)
    flat = reshape(permute_dims(x, (*outer_axes, *axes)), (*(x.shape[position] for position in outer_axes), size))
    if size == 0:
        y = mean(flat, -1)
    else:
        ordered = sort(flat)
        middle = mean(slice_along(ordered, len(outer_axes), (size - 1) // 2, 2 - size % 2), -1)
        largest = ordered[..., -1]
        y = where(largest != largest, largest, middle)
    return reshape(y, reduced(x.shape, axes, True)) if numpy_flag("median", "keepdims", keepdims) else y
