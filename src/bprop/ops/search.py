"""Searching: where the largest or smallest entry is, where a number would stand, which entries are not zero."""

from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError, TracedValueError
from ..core.family import General
from ..core.function import function
from ..core.number import numpy_flag
from ..core.op import array
from ..core.shape import normalise_axis
from ..core.value import Array, asarray
from .creation import arange
from .indexing import take
from .manipulation import moveaxis, reshape
from .reduction import max, min
from .selection import where

__all__ = ["argmax", "argmin", "nonzero", "searchsorted"]


def concrete(name: str, x: Array, instead: str) -> Any:
    """Return the numbers of ``x``, or raise: the shape of the result of ``name`` depends on them."""
    numbers = x.concrete()
    if numbers is None or numbers.shape != x.shape:  # a batch has other numbers for every entry
        raise TracedValueError(
            f"{name}: the shape of the result depends on the numbers of {x.spec}, which are not known inside trace, "
            f"compile, scan and vmap: {instead}"
        )
    return numbers


# --- the place of an extreme entry ---
def _extreme(name: str, numpys: Any, reduction: Any) -> General:
    def native(x: Any) -> Any:
        """The first index of what equals the extreme entry; of NaN, which equals nothing, where there is one."""
        size = x.shape[-1]
        chosen = (x == reduction(x, axis=-1, keepdims=True)) | (x != x)
        return min(where(chosen, arange(size), size), axis=-1)

    return General(
        name,
        lambda x: numpys(x, axis=-1),
        code=f"np.{name}({{0}}, axis=-1)",
        signature="(n)->()",
        dtype=np.int64,
        native=native,
        examples=lambda draw: [((draw(*shape),), {}) for shape in ((5,), (2, 3), (0, 3), (2, 3, 4), (1,))],
    )


_argmax, _argmin = _extreme("argmax", np.argmax, max), _extreme("argmin", np.argmin, min)


def _arg_extreme(op: General, x: Any, axis: Any, keepdims: bool) -> Array:
    x = array(op.name, x)
    shape = x.shape
    if axis is None:
        flat, kept_shape = reshape(x, (-1,)), (1,) * x.ndim
    else:
        axis = normalise_axis(op.name, axis, x.ndim, shape)
        flat, kept_shape = moveaxis(x, axis, -1), (*shape[:axis], 1, *shape[axis + 1 :])
    if flat.shape[-1] == 0:
        what = "an array" if axis is None else f"axis {axis} of an array"
        raise ShapeError(f"{op.name}: {what} of shape {shape} is empty and has no {op.name[3:]}")
    y = op(flat)
    return reshape(y, kept_shape) if numpy_flag(op.name, "keepdims", keepdims) else y


@function(np.argmax)
def argmax(x: Any, /, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return the index (int64) of the first largest entry along ``axis``, by default of all in order. No derivative.

    The first NaN counts as the largest. Raises `ShapeError` over an empty axis.

    **Source:** Python Array API standard 2024.12, ``argmax``; NumPy for NaN.

    >>> import bprop
    >>> bprop.argmax(bprop.asarray([[1, 5, 5], [7, 2, 3]]), axis=1)
    Array([1, 0])
    """
    return _arg_extreme(_argmax, x, axis, keepdims)


@function(np.argmin)
def argmin(x: Any, /, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return the index (int64) of the first smallest entry along ``axis``, by default of all in order. No derivative.

    The first NaN counts as the smallest. Raises `ShapeError` over an empty axis.

    **Source:** Python Array API standard 2024.12, ``argmin``; NumPy for NaN.

    >>> import bprop
    >>> bprop.argmin(bprop.asarray([[1, 5, 5], [7, 2, 3]]), axis=1)
    Array([0, 1])
    """
    return _arg_extreme(_argmin, x, axis, keepdims)


# --- the place in a sorted array ---
def _searchsorted_value(x1: Any, x2: Any, side: str) -> Any:
    if x1.ndim == 1:
        return np.searchsorted(x1, x2, side=side)  # type: ignore[call-overload]
    lead = np.broadcast_shapes(x1.shape[:-1], x2.shape[:-1])
    x1, x2 = (np.broadcast_to(x, (*lead, x.shape[-1])) for x in (x1, x2))
    y = np.empty(x2.shape, np.int64)
    for row in np.ndindex(lead):
        y[row] = np.searchsorted(x1[row], x2[row], side=side)  # type: ignore[call-overload]
    return y


_searchsorted = General(
    "searchsorted",
    _searchsorted_value,
    code=lambda x1, x2, side: f"np.searchsorted({{0}}, {{1}}, side={side!r})" if len(x1.shape) == 1 else None,
    signature="(n),(m)->(m)",
    dtype=np.int64,
    examples=lambda draw: [
        ((np.sort(draw(*shape1)), draw(*shape2)), {"side": side})
        for shape1, shape2 in (
            ((5,), (3,)),
            ((0,), (2,)),
            ((4,), (0,)),
            ((2, 5), (2, 3)),
            ((5,), (2, 3)),
            ((2, 5), (3,)),
        )
        for side in ("left", "right")
    ],
)


@function(np.searchsorted)
def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Array:
    """Return where in the sorted 1-D ``x1`` each number of ``x2`` would stand (int64, shape of ``x2``). No derivative.

    y = how many entries of x1 are < x2 (``side="left"``), or ≤ x2 (``"right"``). ``sorter``: indices that sort x1.
    Raises `ShapeError` for ``x1`` of another rank and `ArgumentError` for another side.

    **Source:** Python Array API standard 2024.12, ``searchsorted``.

    >>> import bprop
    >>> bprop.searchsorted(bprop.asarray([1, 3, 5]), bprop.asarray([3, 6]), side="right")
    Array([2, 3])
    """
    x1, x2 = array("searchsorted", x1), array("searchsorted", x2)
    if not isinstance(side, str) or side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side is 'left' or 'right', not {side!r}")
    if x1.ndim != 1:
        raise ShapeError(f"searchsorted: the sorted array has one axis, not shape {x1.shape}")
    if sorter is not None:
        x1 = take(x1, sorter, axis=0)
    return reshape(_searchsorted(x1, reshape(x2, (-1,)), side=side), x2.shape)


# --- a result whose shape depends on the numbers ---
@function(np.nonzero)
def nonzero(x: Any, /) -> tuple[Array, ...]:
    """Return the indices (int64) of the entries that are not 0, in order: one array for each axis. No derivative.

    Its shape depends on numbers: inside trace, compile and vmap `TracedValueError` says what to write instead. Raises
    `ShapeError` for an array without axes.

    **Source:** Python Array API standard 2024.12, ``nonzero``.

    >>> import bprop
    >>> bprop.nonzero(bprop.asarray([0.0, 3.0, 0.0, 4.0]))
    (Array([1, 3]),)
    """
    x = array("nonzero", x)
    if x.ndim == 0:
        raise ShapeError("nonzero: an array of shape () has no axes to count along")
    numbers = concrete("nonzero", x, "write bprop.where(x != 0, …, 0), or count with bprop.count_nonzero")
    return tuple(asarray(positions, copy=False) for positions in np.nonzero(numbers))
