"""Grids of numbers between two ends, and arrays like another, with NumPy's options."""

from math import nan
from typing import Any

import numpy as np

from ..core import dtype as dtypes
from ..core.error import ArgumentError
from ..core.function import numpy_rule
from ..core.number import numpy_integer
from ..core.op import array
from ..core.shape import normalise_axis, normalise_shape
from ..core.traced_float import plain
from ..core.value import Array
from ..ops import grid
from ..ops.arithmetic import sign
from ..ops.creation import arange, full
from ..ops.data_type import astype
from ..ops.exponential import log10
from ..ops.manipulation import broadcast_to, expand_dims, moveaxis, reshape
from ..ops.power import pow
from ..ops.rounding import floor
from ..ops.selection import where


# --- between two ends ---
def _natural(name: str, *ends: Any) -> Any:
    """Return the floating dtype of numbers between ends."""
    operands = [end if type(end) in dtypes.WEAK else array(name, end).dtype for end in map(plain, ends)]
    return dtypes.to_float(dtypes.result_type(*operands))


def _spaced(name: str, start: Any, stop: Any, num: Any, endpoint: bool) -> tuple[Array, Array]:
    """Return evenly spaced numbers along the first axis, and their distance."""
    dtype, count = _natural(name, start, stop), numpy_integer(f"{name}: num", num)
    if count < 0:
        raise ArgumentError(f"{name}: num is not negative: {count}")
    first, last = (astype(array(name, plain(end)), dtype) for end in (start, stop))
    difference = last - first
    index = reshape(arange(count, dtype=dtype), (count,) + (1,) * difference.ndim)
    intervals = count - 1 if endpoint else count
    y = first + index * (difference / max(intervals, 1))
    if endpoint and count > 1:  # exactly
        y = where(index == count - 1, last, y)
    return y, difference / intervals if intervals > 0 else difference * nan


@numpy_rule(np.linspace)
def _linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0,
    *, device: Any = None,
) -> Any:  # fmt: skip
    y, step = _spaced("linspace", start, stop, num, endpoint)
    y = moveaxis(y, 0, normalise_axis("linspace", axis, y.ndim, y.shape))
    if dtype is not None:
        wanted = dtypes.check(dtype, "linspace")
        y = astype(floor(y) if wanted.kind in "iu" else y, wanted)
    return (y, step) if retstep else y


@numpy_rule(np.logspace)
def _logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Array:
    base = plain(base)
    if np.ndim(base) == 0:
        y, _ = _spaced("logspace", start, stop, num, endpoint)
        y = moveaxis(y, 0, normalise_axis("logspace", axis, y.ndim, y.shape))
    else:
        base, start, stop = grid_of(array("logspace", base), array("logspace", start), array("logspace", stop))
        y, _ = _spaced("logspace", start, stop, num, endpoint)
        y = moveaxis(y, 0, normalise_axis("logspace", axis, y.ndim, y.shape))
        base = expand_dims(base, normalise_axis("logspace", axis, y.ndim, y.shape))
    y = pow(base, y)
    return y if dtype is None else astype(y, dtypes.check(dtype, "logspace"))


def grid_of(*xs: Array) -> list[Array]:
    """Return arrays with as many axes as the one with most of them."""
    rank = max(x.ndim for x in xs)
    return [reshape(x, (1,) * (rank - x.ndim) + x.shape) for x in xs]


@numpy_rule(np.geomspace)
def _geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Array:
    # NumPy's: float64 unless another dtype is asked for
    natural = dtypes.result_type(
        _natural("geomspace", start, stop), np.float64 if dtype is None else dtypes.check(dtype, "geomspace")
    )
    first, last = (astype(array("geomspace", plain(end)), natural) for end in (start, stop))
    for end in (first, last):
        numbers = end.concrete()
        if numbers is not None and (numbers == 0).any():
            raise ArgumentError("geomspace: a geometric sequence has no zero in it")
    signs = sign(first)
    exponents, _ = _spaced("geomspace", log10(first * signs), log10(last * signs), num, endpoint)
    count = exponents.shape[0]
    index = reshape(arange(count), (count,) + (1,) * (exponents.ndim - 1))
    y = pow(10.0, exponents) * signs
    y = where(index == 0, first, y)  # the ends exactly
    if endpoint and count > 1:
        y = where(index == count - 1, last, y)
    y = moveaxis(y, 0, normalise_axis("geomspace", axis, y.ndim, y.shape))
    return y if dtype is None else astype(y, dtypes.check(dtype, "geomspace"))


@numpy_rule(np.meshgrid)
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Array, ...]:
    xs = [reshape(array("meshgrid", x), (-1,)) for x in xi]
    if not sparse:
        return tuple(grid.meshgrid(*xs, indexing=indexing))
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    axes = list(range(len(xs)))
    if indexing == "xy":
        axes[:2] = axes[:2][::-1]
    return tuple(
        reshape(x, tuple(x.size if position == axis else 1 for position in range(len(xs))))
        for axis, x in zip(axes, xs, strict=True)
    )


# --- like another array ---
def _like(name: str, a: Any, value: Any, dtype: Any, shape: Any) -> Array:
    a = array(name, a)
    wanted = a.dtype if dtype is None else dtypes.check(dtype, name)
    sizes = a.shape if shape is None else normalise_shape(name, shape)
    if type(value) in dtypes.WEAK:
        return full(sizes, value, dtype=wanted)
    return broadcast_to(astype(array(name, value), wanted), sizes)


@numpy_rule(np.full_like)
def _full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *,
    device: Any = None,
) -> Array:  # fmt: skip
    return _like("full_like", a, fill_value, dtype, shape)


@numpy_rule(np.zeros_like)
def _zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Array:
    return _like("zeros_like", a, 0, dtype, shape)


@numpy_rule(np.ones_like)
def _ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Array:
    return _like("ones_like", a, 1, dtype, shape)


@numpy_rule(np.empty_like)
def _empty_like(
    prototype: Any, /, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Array:
    return _like("empty_like", prototype, 0, dtype, shape)
