"""Entries in another order or more than once: flip, roll, repeat, tile, pad. All made of re-indexings and joins."""

from math import copysign
from operator import index as as_integer
from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError, TracedValueError
from ..core.function import function
from ..core.op import array
from ..core.shape import normalise_axes, normalise_axis, normalise_shape
from ..core.value import Array
from .concatenation import concat
from .data_type import astype
from .indexing import embed_op, slice_along, slice_op, take
from .manipulation import broadcast_to, ravel, reshape

__all__ = ["flip", "pad", "repeat", "roll", "tile"]


@function(np.flip)
def flip(x: Any, /, axis: Any = None) -> Array:
    """Reverse the order of the entries along ``axis`` (all axes by default). It is its own adjoint.

    **Source:** Python Array API standard 2024.12, ``flip``.

    >>> import bprop
    >>> bprop.flip(bprop.arange(3))
    Array([2, 1, 0])
    """
    x = array("flip", x)
    axes = normalise_axes("flip", axis, x.shape)
    if not axes:
        return x
    return slice_op(x, slices=tuple((n - 1, n, -1) if a in axes and n else (0, n, 1) for a, n in enumerate(x.shape)))


@function(np.flipud)
def _flipud(x: Any, /) -> Array:
    return flip(x, axis=0)


@function(np.fliplr)
def _fliplr(x: Any, /) -> Array:
    return flip(x, axis=1)


@function(np.roll)
def roll(x: Any, /, shift: Any, axis: Any = None) -> Array:
    """Move the entries by ``shift`` places along ``axis``, those that leave at the end coming in at the front.

    ``shift`` and ``axis``: an integer each, or tuples that go together; without ``axis`` the entries roll in row-major
    order. The adjoint rolls back.

    **Source:** Python Array API standard 2024.12, ``roll``.

    >>> import bprop
    >>> bprop.roll(bprop.arange(5), 2)
    Array([3, 4, 0, 1, 2])
    """
    x = array("roll", x)
    if axis is None:
        return reshape(roll(ravel(x), shift, axis=0), x.shape)
    shifts, axes = (values if isinstance(values, tuple | list) else (values,) for values in (shift, axis))
    shifts = tuple(shifts) * len(axes) if len(shifts) == 1 else shifts
    axes = tuple(axes) * len(shifts) if len(axes) == 1 else axes
    if len(shifts) != len(axes):
        raise ArgumentError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
    for distance, position in zip(shifts, axes, strict=True):
        axis = normalise_axis("roll", position, x.ndim, x.shape)
        size = x.shape[axis]
        start = -_integer("roll", "a shift", distance) % size if size else 0
        if start:
            x = concat((slice_along(x, axis, start, size - start), slice_along(x, axis, 0, start)), axis=axis)
    return x


@function(np.repeat)
def repeat(x: Any, repeats: Any, /, axis: int | None = None) -> Array:
    """Repeat every entry along ``axis``: so many times, or each as often as its entry of ``repeats`` says.

    Without ``axis`` the entries are repeated in row-major order. The adjoint sums over the copies. Raises
    `TracedValueError` where ``repeats`` has no numbers yet: the shape of the result depends on them.

    **Source:** Python Array API standard 2024.12, ``repeat``.

    >>> import bprop
    >>> bprop.repeat(bprop.asarray([1.0, 2.0]), 2)
    Array([1., 1., 2., 2.])
    """
    x = array("repeat", x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalise_axis("repeat", axis, x.ndim, x.shape)
    before, size, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    counted = array("repeat", repeats)
    counts = counted.concrete()
    if counts is None or counts.shape != counted.shape:
        raise TracedValueError(
            f"repeat: the shape of the result depends on the numbers of repeats, {counted.spec}, which are not known "
            f"here: pass Python integers"
        )
    if counts.dtype.kind not in "iu" or counts.ndim > 1 or (counts < 0).any():
        raise ArgumentError(
            f"repeat: repeats are non-negative integers, one or one for each entry, not {repeats!r:.60}"
        )
    if counts.size == 1:
        count = int(counts.item())
        copies = broadcast_to(reshape(x, (*before, size, 1, *after)), (*before, size, count, *after))
        return reshape(copies, (*before, size * count, *after))
    if counts.size != size:
        raise ShapeError(f"repeat: {counts.size} repeats for axis {axis} of shape {x.shape}")
    return take(x, np.repeat(np.arange(size), counts), axis=axis)


@function(np.tile)
def tile(x: Any, repetitions: Any, /) -> Array:
    """Lay copies of ``x`` side by side, ``repetitions`` along each of the last axes. The adjoint sums over the copies.

    **Source:** Python Array API standard 2024.12, ``tile``.

    >>> import bprop
    >>> bprop.tile(bprop.asarray([1.0, 2.0]), 2)
    Array([1., 2., 1., 2.])
    """
    x = array("tile", x)
    counts = normalise_shape("tile", repetitions)
    rank = max(x.ndim, len(counts))
    sizes = (1,) * (rank - x.ndim) + x.shape
    counts = (1,) * (rank - len(counts)) + counts
    if all(count == 1 for count in counts):
        return reshape(x, sizes)
    single = tuple(extent for size in sizes for extent in (1, size))
    full = tuple(extent for pair in zip(counts, sizes, strict=True) for extent in pair)
    return reshape(
        broadcast_to(reshape(x, single), full), tuple(count * size for count, size in zip(counts, sizes, strict=True))
    )


MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


@function()
def pad(x: Any, pad_width: Any, /, mode: str = "constant", *, constant_values: Any = 0) -> Array:
    """Add entries before and after those of each axis.

    ``pad_width``: a number, a pair (before, after), one pair for each axis, or a mapping from axes to them. ``mode``:
    ``constant`` (``constant_values``, given like the widths), ``edge`` (the last entry again), ``reflect`` (mirrored at
    it), ``symmetric`` (mirrored behind it) or ``wrap`` (from the other end). The adjoint adds the cotangents of the
    copies to that of their entry; constants have none.

    **Source:** NumPy, ``pad``.

    >>> import bprop
    >>> bprop.pad(bprop.asarray([1.0, 2.0]), (1, 2))
    Array([0., 1., 2., 0., 0.])
    >>> bprop.pad(bprop.asarray([1.0, 2.0, 3.0]), 2, mode="reflect")
    Array([3., 2., 1., 2., 3., 2., 1.])
    """
    x = array("pad", x)
    if not isinstance(mode, str) or mode not in MODES:
        raise ArgumentError(f"pad: mode {mode!r} is none of {', '.join(MODES)}")
    widths = widths_of(x, pad_width)
    if mode != "constant":
        if type(constant_values) is not int or constant_values != 0:
            raise ArgumentError(f"pad: constant_values are for mode 'constant', not {mode!r}")
        for axis, (size, width) in enumerate(zip(x.shape, widths, strict=True)):
            if any(width):
                if not size:
                    raise ShapeError(f"pad: axis {axis} of shape {x.shape} is empty: it has no entries to copy")
                x = take(x, np.pad(np.arange(size), width, mode=mode), axis=axis)  # type: ignore[call-overload]
        return x
    if type(constant_values) in (int, float) and constant_values == 0 and copysign(1, constant_values) > 0:
        shape = tuple(before + size + after for size, (before, after) in zip(x.shape, widths, strict=True))
        slices = tuple((before, size, 1) for size, (before, _) in zip(x.shape, widths, strict=True))
        return x if shape == x.shape else embed_op(x, shape=shape, slices=slices)
    for axis, (width, values) in enumerate(zip(widths, pairs_of("constant_values", constant_values, x), strict=True)):
        sides = [
            broadcast_to(astype(array("pad", value), x.dtype), (*x.shape[:axis], count, *x.shape[axis + 1 :]))
            for count, value in zip(width, values, strict=True)
        ]
        x = concat((sides[0], x, sides[1]), axis=axis) if any(width) else x
    return x


def widths_of(x: Array, pad_width: Any) -> list[tuple[int, int]]:
    """Return how many entries come before and after those of each axis of ``x``."""
    amounts = pairs_of("pad_width", pad_width, x)
    widths = [(_integer("pad", "a width", before), _integer("pad", "a width", after)) for before, after in amounts]
    if any(width < 0 for pair in widths for width in pair):
        raise ArgumentError(f"pad: widths are not negative: {pad_width!r:.60}; cut with x[start:stop]")
    return widths


def pairs_of(name: str, amounts: Any, x: Array) -> list[tuple[Any, Any]]:
    """Return what is asked for before and after each axis of ``x``."""
    if isinstance(amounts, dict):
        pairs = [(0, 0)] * x.ndim
        for axis, amount in amounts.items():
            pairs[normalise_axis("pad", axis, x.ndim, x.shape)] = tuple(amount) if _is_row(amount) else (amount, amount)
    elif not _is_row(amounts):
        return [(amounts, amounts)] * x.ndim
    elif any(_is_row(amount) for amount in amounts):
        pairs = [
            tuple(amount) * (3 - len(amount)) if _is_row(amount) and len(amount) else (amount,) for amount in amounts
        ]
        pairs = pairs * x.ndim if len(pairs) == 1 else pairs
    else:
        pairs = [tuple(amounts) * (3 - len(amounts))] * x.ndim if amounts else []
    if len(pairs) != x.ndim or any(len(pair) != 2 for pair in pairs):
        raise ArgumentError(
            f"pad: {name} is a number, a pair (before, after), or one pair for each of the {x.ndim} axes of shape "
            f"{x.shape}, not {amounts!r:.60}"
        )
    return pairs


def _is_row(value: Any) -> bool:
    return isinstance(value, tuple | list) or (isinstance(value, np.ndarray | Array) and value.ndim > 0)


def _integer(name: str, what: str, value: Any) -> int:
    try:
        return as_integer(value)
    except TypeError:
        raise ArgumentError(f"{name}: {what} is an integer, not {value!r:.60}") from None
