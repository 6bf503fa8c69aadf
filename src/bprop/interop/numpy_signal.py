"""Convolution, interpolation, numerical derivatives and integrals, as NumPy calls them."""

from typing import Any

import numpy as np

from ..core.dtype import result_type
from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.function import numpy_rule
from ..core.op import array, operand
from ..core.shape import normalise_axis
from ..core.value import Array
from ..ops.arithmetic import abs, multiply, remainder
from ..ops.arrangement import flip
from ..ops.complex import conj
from ..ops.concatenation import concat
from ..ops.cumulative import cumulative_sum
from ..ops.data_type import astype
from ..ops.indexing import embed_along, slice_along, take
from ..ops.manipulation import reshape
from ..ops.reduction import sum
from ..ops.search import searchsorted
from ..ops.selection import clip, where
from ..ops.sorting import argsort
from .numpy_argument import beside, floating


# --- convolution ---
def convolved(a: Array, v: Array) -> Array:
    """Return the full convolution y_k = Σ a_i v_{k-i} of vectors: rows a_i v, each a step further right, added up."""
    short, long = (a, v) if a.size <= v.size else (v, a)
    n, m = short.size, long.size
    rows = multiply(reshape(short, (n, 1)), reshape(long, (1, m)))
    flat = reshape(embed_along(rows, 1, 0, m + n), (n * (m + n),))
    return sum(reshape(slice_along(flat, 0, 0, n * (m + n - 1)), (n, m + n - 1)), axis=0, dtype=rows.dtype)


_MODES = ("valid", "same", "full")


def _vectors(name: str, a: Any, v: Any, mode: Any) -> tuple[Array, Array, str]:
    if isinstance(mode, int) and 0 <= mode < 3:
        mode = _MODES[mode]
    if mode not in _MODES:
        raise ArgumentError(f"{name}: mode is 'full', 'same' or 'valid', not {mode!r:.60}")
    a, v = array(name, a), array(name, v)
    for x in (a, v):
        if x.ndim > 1 or x.size == 0:
            raise ShapeError(f"{name}: shapes {a.shape} and {v.shape}: both are vectors with an entry or more")
    return reshape(a, (a.size,)), reshape(v, (v.size,)), mode


def _cut(full: Array, longer: int, shorter: int, mode: str, before: int) -> Array:
    """Return the part of a full convolution that a mode asks for; ``before``: how much of it "same" leaves out in front."""
    if mode == "full":
        return full
    start, count = (before, longer) if mode == "same" else (shorter - 1, longer - shorter + 1)
    y: Array = slice_along(full, 0, start, count)
    return y


@numpy_rule(np.convolve)
def _convolve(a: Any, v: Any, mode: Any = "full") -> Array:
    a, v, mode = _vectors("convolve", a, v, mode)
    longer, shorter = max(a.size, v.size), min(a.size, v.size)
    return _cut(convolved(a, v), longer, shorter, mode, (shorter - 1) // 2)


@numpy_rule(np.correlate)
def _correlate(a: Any, v: Any, mode: Any = "valid") -> Array:
    a, v, mode = _vectors("correlate", a, v, mode)
    longer, shorter = max(a.size, v.size), min(a.size, v.size)
    before = (shorter - 1) // 2 if a.size >= v.size else shorter // 2
    return _cut(convolved(a, flip(conj(v))), longer, shorter, mode, before)


# --- interpolation ---
def _period(x: Array, xp: Array, fp: Array, period: Any) -> tuple[Array, Array, Array]:
    """Return points within one period, and nodes with a neighbour on either side of it."""
    period = abs(array("interp", period))
    x, xp = remainder(x, period), remainder(xp, period)
    order = argsort(xp)
    xp, fp = take(xp, order, axis=0), take(fp, order, axis=0)
    return x, concat([xp[-1:] - period, xp, xp[:1] + period]), concat([fp[-1:], fp, fp[:1]])


@numpy_rule(np.interp)
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Array:
    x, xp = (astype(array("interp", operand), np.float64) for operand in (x, xp))
    fp = array("interp", fp)
    fp = astype(fp, np.complex128 if fp.dtype.kind == "c" else np.float64)
    if xp.ndim != 1 or xp.shape != fp.shape or xp.size == 0:
        raise ShapeError(f"interp: xp and fp are vectors of one length, not shapes {xp.shape} and {fp.shape}")
    if period is not None:
        numbers = array("interp", period).concrete()
        if numbers is not None and (numbers == 0).any():
            raise ArgumentError("interp: the period is not 0")
        left = right = None
        x, xp, fp = _period(x, xp, fp, period)
    below, above = (fp[end] if value is None else value for end, value in ((0, left), (-1, right)))
    last = xp.size - 1
    if last == 0:
        inside: Any = fp[0]
    else:
        index = clip(searchsorted(xp, x, side="right") - 1, 0, last - 1)
        x0, x1, y0, y1 = take(xp, index), take(xp, index + 1), take(fp, index), take(fp, index + 1)
        slope = (y1 - y0) / where(x1 == x0, 1, x1 - x0)
        inside = where(x == x1, y1 + slope * (x - x1), y0 + slope * (x - x0))  # at the last node exactly its value
    y: Array = where(x < xp[0], below, where(x > xp[-1], above, inside))
    return where(x == x, y, x)


# --- derivatives and integrals of samples ---
def _along(x: Array, axis: int, start: int, count: int) -> Array:
    y: Array = slice_along(x, axis, start, count)
    return y


def _spacings(f: Array, varargs: tuple[Any, ...], axes: tuple[int, ...]) -> list[Array]:
    """Return for every axis the distance of samples: a number, or a vector of the distances between neighbours."""
    if len(varargs) not in (0, 1, len(axes)):
        raise ArgumentError(
            f"gradient: {len(varargs)} spacings for {len(axes)} axes: none, one for all, or one for each"
        )
    result = []
    spacings = [1.0] * len(axes) if not varargs else list(varargs) * (len(axes) if len(varargs) == 1 else 1)
    for spacing, axis in zip(spacings, axes, strict=True):
        h = array("gradient", spacing)
        if h.ndim > 1 or (h.ndim == 1 and len(varargs) == 1 and len(axes) > 1 and h.size != f.shape[axis]):
            raise ShapeError(
                f"gradient: a spacing of shape {h.shape}: it is a number, or the coordinates along an axis"
            )
        if h.ndim == 1:
            if h.size != f.shape[axis]:
                raise ShapeError(f"gradient: {h.size} coordinates for axis {axis} of shape {f.shape}")
            h = floating(h)
            h = h[1:] - h[:-1]
            numbers = h.concrete()
            if numbers is not None and numbers.size and (numbers == numbers[0]).all():
                h = h[0] if numbers.shape == h.shape else h
        result.append(h)
    return result


def _edge(f: Array, axis: int, h: Array, edge_order: int, first: bool) -> Array:
    """Return the one-sided difference at the first or the last sample."""
    size = f.shape[axis]
    near, next_one = (0, 1) if first else (size - 1, size - 2)
    sign = 1 if first else -1
    h1 = h if h.ndim == 0 else h[0 if first else -1]
    if edge_order == 1:
        return (_along(f, axis, next_one, 1) - _along(f, axis, near, 1)) * sign / h1
    h2 = h if h.ndim == 0 else h[1 if first else -2]
    a, b, c = (
        -(2.0 * h1 + h2) / (h1 * (h1 + h2)),
        (h1 + h2) / (h1 * h2),
        -h1 / (h2 * (h1 + h2)),
    )
    samples = [_along(f, axis, near + sign * k, 1) for k in range(3)]
    return (a * samples[0] + b * samples[1] + c * samples[2]) * sign


def _gradient_along(f: Array, axis: int, h: Array, edge_order: int) -> Array:
    size = f.shape[axis]
    before, here, after = (_along(f, axis, start, size - 2) for start in range(3))
    if h.ndim == 0:
        inner = (after - before) / (2.0 * h)
    else:
        h1, h2 = (beside(distance, axis, f.ndim) for distance in (h[:-1], h[1:]))
        inner = -h2 / (h1 * (h1 + h2)) * before + (h2 - h1) / (h1 * h2) * here + h1 / (h2 * (h1 + h2)) * after
    ends = [_edge(f, axis, h, edge_order, first) for first in (True, False)]
    return concat([ends[0], inner, ends[1]], axis=axis)


@numpy_rule(np.gradient)
def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    f = array("gradient", f)
    if f.dtype.kind == "b":
        raise DTypeError("gradient: of bool there are no differences: convert with .astype(float)")
    f = floating(f)
    axes = tuple(range(f.ndim)) if axis is None else tuple(
        normalise_axis("gradient", entry, f.ndim, f.shape) for entry in (axis if isinstance(axis, tuple | list) else (axis,))
    )  # fmt: skip
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order is 1 or 2, not {edge_order!r}")
    for position in axes:
        if f.shape[position] < edge_order + 1:
            raise ShapeError(f"gradient: axis {position} of shape {f.shape} needs {edge_order + 1} samples or more")
    spacings = _spacings(f, varargs, axes)
    ys = tuple(
        astype(_gradient_along(f, position, h, edge_order), f.dtype) for position, h in zip(axes, spacings, strict=True)
    )
    return ys[0] if len(axes) == 1 else ys


@numpy_rule(getattr(np, "trapezoid", None), getattr(np, "trapz", None))
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Array:
    y = array("trapezoid", y)
    axis = normalise_axis("trapezoid", axis, y.ndim, y.shape)
    if x is None:
        width = dx
    else:
        x = array("trapezoid", x)
        along = 0 if x.ndim == 1 else axis
        width = slice_along(x, along, 1, x.shape[along] - 1) - slice_along(x, along, 0, x.shape[along] - 1)
        width = beside(width, axis, y.ndim) if x.ndim == 1 else width
    size = y.shape[axis]
    areas = width * (slice_along(y, axis, 1, size - 1) + slice_along(y, axis, 0, size - 1)) / 2.0
    return sum(areas, axis=axis)


# --- angles without jumps ---
@numpy_rule(np.unwrap)
def _unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 6.283185307179586) -> Array:
    p = array("unwrap", p)
    axis = normalise_axis("unwrap", axis, p.ndim, p.shape)
    size = p.shape[axis]
    step = _along(p, axis, 1, size - 1) - _along(p, axis, 0, size - 1)
    period = operand("unwrap", period)
    limit = period / 2 if discont is None else discont
    dtype = result_type(step.dtype, period.dtype if isinstance(period, Array) else period)
    if dtype.kind != "f":
        high = period // 2
        ambiguous = period % 2 == 0
    else:
        high, ambiguous = period / 2, True
    low = -high
    wrapped = remainder(step - low, period) + low
    wrapped = where((wrapped == low) & (step > 0) & ambiguous, high, wrapped)
    correction = where(abs(step) < limit, 0, wrapped - step)
    corrected = _along(p, axis, 1, size - 1) + cumulative_sum(correction, axis=axis)
    return astype(concat([_along(p, axis, 0, 1), corrected], axis=axis), dtype)
