"""Other shapes and orders of the same entries, as NumPy calls them."""

from math import prod
from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError
from ..core.function import numpy_rule
from ..core.number import numpy_integer
from ..core.op import array
from ..core.shape import normalise_axes, normalise_axis, normalise_shape
from ..core.value import Array
from ..ops import arrangement, matrix
from ..ops.concatenation import stack
from ..ops.data_type import astype
from ..ops.indexing import slice_along, take
from ..ops.manipulation import broadcast_arrays, broadcast_to, expand_dims, moveaxis, permute_dims, ravel, reshape
from ..ops.reduction import sum
from ..ops.search import concrete
from .numpy_argument import in_dtype


# --- at least so many axes ---
def _each(name: str, arrays: tuple[Any, ...], raised: Any) -> Any:
    ys = tuple(raised(array(name, x)) for x in arrays)
    return ys[0] if len(ys) == 1 else ys


def at_least_1d(x: Array) -> Array:
    """Return ``x`` with an axis."""
    return reshape(x, (1,)) if x.ndim == 0 else x


def at_least_2d(x: Array) -> Array:
    """Return ``x`` as a matrix, a vector as its only row."""
    return reshape(x, (1,) * (2 - x.ndim) + x.shape) if x.ndim < 2 else x


def at_least_3d(x: Array) -> Array:
    """Return ``x`` with three axes: a vector along the second, a matrix along the first two."""
    return reshape(at_least_2d(x), (*at_least_2d(x).shape, 1)) if x.ndim < 3 else x


@numpy_rule(np.atleast_1d)
def _atleast_1d(*arys: Any) -> Any:
    return _each("atleast_1d", arys, at_least_1d)


@numpy_rule(np.atleast_2d)
def _atleast_2d(*arys: Any) -> Any:
    return _each("atleast_2d", arys, at_least_2d)


@numpy_rule(np.atleast_3d)
def _atleast_3d(*arys: Any) -> Any:
    return _each("atleast_3d", arys, at_least_3d)


# --- the order of the entries; memory has none here, so "A" and "K" are "C" ---
def _in_fortran_order(name: str, order: Any) -> bool:
    if order not in ("C", "F", "A", "K"):
        raise ArgumentError(f"{name}: order is 'C', 'F', 'A' or 'K', not {order!r}")
    return bool(order == "F")


@numpy_rule(np.reshape)
def _reshape(a: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Array:
    a = array("reshape", a)
    if not _in_fortran_order("reshape", order):
        return reshape(a, shape)
    sizes = shape if isinstance(shape, tuple | list) else (shape,)
    return permute_dims(reshape(permute_dims(a), tuple(sizes)[::-1]))


@numpy_rule(np.ravel)
def _ravel(a: Any, order: str = "C") -> Array:
    a = array("ravel", a)
    return ravel(permute_dims(a) if _in_fortran_order("ravel", order) else a)


@numpy_rule(np.copy)
def _copy(a: Any, order: str = "K", subok: bool = False) -> Array:
    return array("copy", a)


@numpy_rule(getattr(np, "astype", None))
def _astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Array:
    return astype(x, dtype)


@numpy_rule(np.real_if_close)
def _real_if_close(a: Any, tol: float = 100) -> Array:
    return array("real_if_close", a)


# --- axes elsewhere ---
@numpy_rule(np.rollaxis)
def _rollaxis(a: Any, axis: int, start: int = 0) -> Array:
    a = array("rollaxis", a)
    axis = normalise_axis("rollaxis", axis, a.ndim, a.shape)
    start = numpy_integer("rollaxis: start", start)
    if not -a.ndim <= start <= a.ndim:
        raise ShapeError(f"rollaxis: start {start} is out of range for shape {a.shape} with {a.ndim} axes")
    start += a.ndim * (start < 0)
    return moveaxis(a, axis, start - (axis < start))


@numpy_rule(np.rot90)
def _rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Array:
    m, k = array("rot90", m), numpy_integer("rot90: k", k) % 4
    if len(axes) != 2:
        raise ArgumentError(f"rot90: axes are two, not {axes!r:.60}")
    first, second = (normalise_axis("rot90", axis, m.ndim, m.shape) for axis in axes)
    if first == second:
        raise ShapeError(f"rot90: axes {tuple(axes)} of shape {m.shape} are the same")
    flipped = ((), (second,), (first, second), (first,))[k]
    y = arrangement.flip(m, flipped) if flipped else m
    order = list(range(m.ndim))
    if k % 2:
        order[first], order[second] = second, first
    return permute_dims(y, tuple(order))


# --- more or fewer entries ---
@numpy_rule(np.lib.stride_tricks.sliding_window_view)
def _sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Array:
    """Return the windows as axes behind the others: y[…, i, …, k] = x[…, i + k, …]."""
    name = "sliding_window_view"
    x, sizes = array(name, x), normalise_shape(name, window_shape)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    if writeable or len(sizes) != len(axes):
        raise ArgumentError(
            f"{name}: arrays never change: leave writeable out"
            if writeable
            else f"{name}: window_shape {sizes} has {len(sizes)} sizes for {len(axes)} axes of shape {x.shape}"
        )
    for position, size in zip(axes, sizes, strict=True):
        position = normalise_axis(name, position, x.ndim, x.shape)
        count = x.shape[position] - size + 1
        if count < 1:
            raise ShapeError(f"{name}: a window of {size} is larger than axis {position} of shape {x.shape}")
        windows = take(x, np.arange(count)[:, None] + np.arange(size), axis=position)
        x = moveaxis(windows, position + 1, -1)
    return x


@numpy_rule(np.resize)
def _resize(a: Any, new_shape: Any) -> Array:
    flat, shape = ravel(a), normalise_shape("resize", new_shape)
    size = prod(shape)
    if flat.size == 0 and size:
        return reshape(arrangement.pad(flat, (0, size)), shape)  # NumPy's, too, is zeros
    return reshape(take(flat, np.arange(size) % max(flat.size, 1), axis=0), shape)


@numpy_rule(np.trim_zeros)
def _trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Array:
    x = array("trim_zeros", filt)
    if not isinstance(trim, str) or set(trim.lower()) - {"f", "b"} or not trim:
        raise ArgumentError(f"trim_zeros: trim is 'f', 'b' or 'fb', not {trim!r}")
    axes = normalise_axes("trim_zeros", axis, x.shape)
    if not axes:
        return x
    present = np.nonzero(concrete("trim_zeros", x, "cut with x[start:stop]"))
    for position in axes:
        size = x.shape[position]
        first, last = (present[position].min(), present[position].max()) if present[0].size else (size, size - 1)
        start = int(first) if "f" in trim.lower() else 0
        stop = int(last) + 1 if "b" in trim.lower() else size
        if not present[0].size:
            start, stop = 0, 0
        x = slice_along(x, position, start, stop - start)
    return x


@numpy_rule(np.diagflat)
def _diagflat(v: Any, k: int = 0) -> Array:
    return matrix.diag(ravel(v), k)


@numpy_rule(np.trace)
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Array:
    diagonal = matrix.diagonal(in_dtype("trace", a, dtype), offset, axis1, axis2)
    y = sum(diagonal, axis=-1)
    return y if dtype is None else astype(y, dtype)


# --- functions of the user's along axes ---
@numpy_rule(np.apply_along_axis)
def _apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Array:
    arr = array("apply_along_axis", arr)
    axis = normalise_axis("apply_along_axis", axis, arr.ndim, arr.shape)
    rows = moveaxis(arr, axis, -1)
    lead = rows.shape[:-1]
    if prod(lead) == 0:
        raise ShapeError(f"apply_along_axis: shape {arr.shape} has no entries along the axes other than {axis}")
    results = [array("apply_along_axis", func1d(rows[index], *args, **kwargs)) for index in np.ndindex(lead)]
    y = reshape(stack(results), (*lead, *results[0].shape))
    inner = range(len(lead), y.ndim)
    return moveaxis(y, tuple(inner), tuple(axis + number for number in range(len(inner))))


@numpy_rule(np.apply_over_axes)
def _apply_over_axes(func: Any, a: Any, axes: Any) -> Array:
    y = array("apply_over_axes", a)
    for axis in normalise_axes("apply_over_axes", tuple(axes) if isinstance(axes, list | tuple) else axes, y.shape):
        result = array("apply_over_axes", func(y, axis))
        result = expand_dims(result, axis) if result.ndim == y.ndim - 1 else result
        if result.ndim != y.ndim:
            raise ShapeError(
                f"apply_over_axes: func made shape {result.shape} of {y.shape}: it keeps or drops the axis"
            )
        y = result
    return y


# --- sizes and dtypes ---
@numpy_rule(np.size)
def _size(a: Any, axis: Any = None) -> int:
    a = array("size", a)
    return prod(a.shape[position] for position in normalise_axes("size", axis, a.shape))


@numpy_rule(np.broadcast_to)
def _broadcast_to(array: Any, shape: Any, subok: bool = False) -> Array:
    return broadcast_to(array, shape)


@numpy_rule(np.broadcast_arrays)
def _broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Array, ...]:
    return tuple(broadcast_arrays(*args))
