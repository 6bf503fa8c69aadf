"""Padding in all of NumPy's modes: constants and ramps with derivatives of their ends, copies, and statistics of the edge."""

from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError
from ..core.function import numpy_rule
from ..core.op import array
from ..core.value import Array
from ..ops import reduction
from ..ops.arrangement import MODES, pad, pairs_of, widths_of
from ..ops.concatenation import concat
from ..ops.creation import arange
from ..ops.data_type import astype
from ..ops.indexing import slice_along, take
from ..ops.manipulation import broadcast_to
from ..ops.rounding import floor, round
from ..ops.selection import where
from ..ops.sorting import median
from .numpy_argument import beside, floating

_OPTIONS = {
    "constant": ("constant_values", 0), "linear_ramp": ("end_values", 0), "maximum": ("stat_length", None),
    "mean": ("stat_length", None), "median": ("stat_length", None), "minimum": ("stat_length", None),
    "reflect": ("reflect_type", "even"), "symmetric": ("reflect_type", "even"),
}  # fmt: skip
"""The option of every mode that has one, and its default."""

_STATISTICS = {"maximum": reduction.max, "mean": reduction.mean, "median": median, "minimum": reduction.min}


def _side(x: Array, axis: int, count: int) -> tuple[int, ...]:
    """Return the shape of what is put beside ``x`` along ``axis``."""
    return (*x.shape[:axis], count, *x.shape[axis + 1 :])


def _ramp(x: Array, axis: int, count: int, end: Any, last: bool) -> Array:
    """Return numbers from ``end`` to the entry at the edge, that one left out; behind the last entry backwards."""
    edge = floating(slice_along(x, axis, x.shape[axis] - 1 if last else 0, 1))
    steps = arange(count, dtype=edge.dtype)
    share = beside((count - 1 - steps if last else steps) / count, axis, x.ndim)
    first = astype(array("pad", end), edge.dtype)
    y = first + (edge - first) * share
    return astype(floor(y) if x.dtype.kind in "iu" else y, x.dtype)


def _statistic(x: Array, mode: str, axis: int, count: int, length: Any, last: bool) -> Array:
    size = x.shape[axis]
    taken = size if length is None or length > size else int(length)
    if taken < 1:
        raise ArgumentError(f"pad: stat_length is positive for mode {mode!r}, not {length!r}")
    y = _STATISTICS[mode](slice_along(x, axis, size - taken if last else 0, taken), axis=axis, keepdims=True)
    y = round(y) if x.dtype.kind in "iu" and mode in ("mean", "median") else y
    return broadcast_to(astype(y, x.dtype), _side(x, axis, count))


def _reflected_oddly(x: Array, axis: int, width: tuple[int, int], mode: str) -> Array:
    """Return 2 · edge - x beyond the edges: NumPy's weights of the entries, applied to those that have one."""
    weights = np.pad(np.eye(x.shape[axis]), (width, (0, 0)), mode, reflect_type="odd")  # type: ignore[call-overload]
    order = np.argsort(weights == 0, axis=1, kind="stable")
    y: Any = None
    for k in range(int(np.max(np.count_nonzero(weights, axis=1), initial=1))):
        entry = order[:, k]
        weight = weights[np.arange(len(weights)), entry]
        term = take(x, entry, axis=axis) * beside(array("pad", weight.astype(x.dtype)), axis, x.ndim)
        unused = beside(array("pad", weight == 0), axis, x.ndim)
        y = term if y is None else y + where(unused, 0, term)
    return astype(y, x.dtype)


@numpy_rule(np.pad)
def _pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Array:
    return _padded(array, pad_width, mode, kwargs)


def _padded(a: Any, pad_width: Any, mode: Any, options: dict[str, Any]) -> Array:
    x = array("pad", a)
    if not isinstance(mode, str) or mode not in (*MODES, *_OPTIONS, "empty"):
        what = "a function that fills in place" if callable(mode) else repr(mode)
        raise ArgumentError(f"pad: mode {what} is none of {', '.join(sorted({*MODES, *_OPTIONS, 'empty'}))}")
    name, default = _OPTIONS.get(mode, ("", None))
    if set(options) - {name}:
        raise ArgumentError(f"pad: mode {mode!r} does not take {', '.join(sorted(set(options) - {name}))}")
    value = options.get(name, default)
    if mode == "constant":
        return pad(x, pad_width, constant_values=value)
    if mode == "empty":
        return pad(x, pad_width)
    widths = widths_of(x, pad_width)
    for axis, width in enumerate(widths):
        if any(width) and not x.shape[axis]:
            raise ShapeError(f"pad: axis {axis} of shape {x.shape} is empty: mode {mode!r} has nothing to start from")
    if name == "reflect_type":
        if value not in ("even", "odd"):
            raise ArgumentError(f"pad: reflect_type is 'even' or 'odd', not {value!r}")
        for axis, width in enumerate(widths):
            x = _reflected_oddly(x, axis, width, mode) if value == "odd" and any(width) else x
        return x if value == "odd" else pad(x, pad_width, mode)
    if not name:
        return pad(x, pad_width, mode)
    for axis, (width, values) in enumerate(zip(widths, pairs_of(name, value, x), strict=True)):
        sides = [
            _ramp(x, axis, count, end, last) if mode == "linear_ramp" else _statistic(x, mode, axis, count, end, last)
            for count, end, last in zip(width, values, (False, True), strict=True)
            if count
        ]
        before = sides[:1] if width[0] else []
        x = concat([*before, x, *sides[len(before) :]], axis=axis) if sides else x
    return x
