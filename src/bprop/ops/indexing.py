"""Slices and gathers, each with its adjoint. What ``x[index]`` makes of them is in `bprop.ops.subscript`."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..core import dtype as dtypes
from ..core.error import IndexingError, ShapeError
from ..core.family import Linear
from ..core.function import function
from ..core.op import array, shape_of
from ..core.shape import Shape, inverse_permutation, normalise_axis
from ..core.value import Array
from .creation import arange
from .data_type import astype
from .manipulation import broadcast_to, moveaxis, permute_dims, reshape
from .selection import where

__all__ = ["take"]


# --- slice and its adjoint embed; params: per axis (start, count, step) ---
@lru_cache(maxsize=4096)
def _python_slices(slices: tuple[tuple[int, int, int], ...]) -> tuple[slice, ...]:
    result = []
    for start, count, step in slices:
        stop = start + count * step
        result.append(slice(start, None if stop < 0 else stop, step) if count else slice(0, 0))
    return tuple(result)


def _embed_value(x: Any, shape: Shape, slices: tuple[tuple[int, int, int], ...]) -> Any:
    y = np.zeros(shape, x.dtype)
    y[_python_slices(slices)] = x
    return y


def _slice_twice(first: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    pairs = zip(first["slices"], then["slices"], strict=True)
    return {"slices": tuple((a + s * start, count, s * step) for (a, _, s), (start, count, step) in pairs)}


def _subscript(shape: Shape, slices: tuple[tuple[int, int, int], ...]) -> str:
    """Return slices as Python writes them, ``:`` for a whole axis."""
    terms = []
    for size, (start, count, step), cut in zip(shape, slices, _python_slices(slices), strict=True):
        if (start, count, step) == (0, size, 1):
            terms.append(":")
        else:
            stop = "" if cut.stop is None else cut.stop
            terms.append(f"{start}:{stop}" if step == 1 else f"{start}:{stop}:{step}")
    while len(terms) > 1 and terms[-1] == ":":
        terms.pop()
    return ", ".join(terms)


def _reordered(axes: tuple[int, ...], **params: tuple[Any, ...]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Return parameters that are one entry for each axis in the order of the axes of ``base``."""
    order = inverse_permutation(axes)
    return {name: tuple(values[axis] for axis in order) for name, values in params.items()}, axes


def _embedded(o: tuple[Any, ...], inner: Shape, shape: Shape, slices: tuple[tuple[int, int, int], ...]) -> Any:
    """Return which entry of x is at ``o``. Positions wrap around, so that there is one also where it is not read."""
    source, bounds = [], []
    for position, (first, count, stride), size in zip(o, slices, shape, strict=True):
        if (first, count, stride) == (0, size, 1):
            source.append(position)
            continue
        start, step = (first, stride) if stride > 0 else (first + (count - 1) * stride, -stride)
        before = -(-start // (count * step)) * count * step - start  # whole periods, so that none is negative
        number = (position + before) // step % count
        source.append(number if stride > 0 else count - 1 - number)
        bounds.append((position - start, (count - 1) * step + 1))
        if step > 1:
            bounds.append(((position + before) % step, 1))
    return tuple(source), bounds


slice_op: Linear = Linear(
    "slice",
    lambda x, slices: x[_python_slices(slices)],
    shape=lambda x, slices: tuple(count for _, count, _ in slices),
    adjoint=lambda y_bar, x, slices: embed_op(y_bar, shape=x.shape, slices=slices),
    index=lambda o, inner, slices: tuple(start + step * p for p, (start, _, step) in zip(o, slices, strict=True)),
    lift=lambda params, size, x: {"slices": ((0, size, 1), *params["slices"])},
    compose=_slice_twice,
    reorder=_reordered,
    neutral=lambda shape, slices: slices == tuple((0, size, 1) for size in shape),
    examples=lambda draw: [
        ((draw(*shape),), {"slices": slices})
        for shape, slices in (
            ((5,), ((1, 2, 2),)),
            ((5,), ((4, 5, -1),)),
            ((3, 4), ((0, 3, 1), (3, 2, -2))),
            ((3, 4), ((2, 1, 1), (1, 3, 1))),
            ((3, 4), ((0, 0, 1), (0, 4, 1))),
            ((0, 3), ((0, 0, 1), (0, 2, 1))),
        )
    ],
    text=lambda x, slices: f"{{0}}[{_subscript(shape_of(x), slices)}]",
    latex=lambda x, slices: f"{{0}}_{{{{{_subscript(shape_of(x), slices)}}}}}",
)


def _pad_text(x: Any, shape: tuple[int, ...], slices: tuple[tuple[int, int, int], ...]) -> str | None:
    """Return the embedding as NumPy's ``pad``, which it is where entries stay neighbours."""
    if any(step != 1 and count > 1 for _, count, step in slices):
        return None
    widths = [(start, size - start - count) for size, (start, count, _) in zip(shape, slices, strict=True)]
    return f"pad({{0}}, {widths[0] if len(widths) == 1 else tuple(widths)})"


embed_op: Linear = Linear(
    "embed",
    _embed_value,
    code="embed({0}, {shape}, {slices})",
    text=_pad_text,
    shape=lambda x, shape, slices: shape,
    adjoint=lambda y_bar, x, shape, slices: slice_op(y_bar, slices=slices),
    index=lambda i, inner, shape, slices: tuple(
        start + step * p for p, (start, _, step) in zip(i, slices, strict=True)
    ),
    lift=lambda params, size, x: {
        "shape": (size, *params["shape"]),
        "slices": ((0, size, 1), *params["slices"]),
    },
    reorder=_reordered,
    gather=_embedded,
    examples=lambda draw: [
        ((draw(*(count for _, count, _ in slices)),), {"shape": shape, "slices": slices})
        for shape, slices in (
            ((5,), ((1, 2, 2),)),
            ((5,), ((4, 5, -1),)),
            ((3, 4), ((0, 3, 1), (3, 2, -2))),
            ((3,), ((0, 0, 1),)),
        )
    ],
    scatter=True,
)


def slice_along(x: Any, axis: int, start: int, count: int, step: int = 1) -> Any:
    """Return ``count`` entries of ``x`` along one axis, from ``start`` on."""
    slices = tuple((start, count, step) if position == axis else (0, size, 1) for position, size in enumerate(x.shape))
    return x if (start, count, step) == (0, x.shape[axis], 1) else slice_op(x, slices=slices)


def embed_along(x: Any, axis: int, start: int, size: int) -> Any:
    """Return ``x`` amid zeros, from ``start`` on along an axis of ``size``."""
    shape = tuple(size if position == axis else extent for position, extent in enumerate(x.shape))
    return embed_op(
        x, shape=shape, slices=tuple((start * (position == axis), extent, 1) for position, extent in enumerate(x.shape))
    )


# --- take along the first axis and its adjoint ---
def _take_value(x: Any, indices: Any) -> Any:
    if x.ndim == 0:
        raise IndexingError("take: an array of shape () has no axis to take from")
    if indices.dtype.kind not in "iu":
        raise IndexingError(f"take: indices must be integers, not {indices.dtype}")
    try:
        return np.take(x, indices, axis=0)
    except IndexError:
        raise _outside("take", indices, x.shape[0]) from None


def _scatter_add_value(x: Any, indices: Any, size: int) -> Any:
    y = np.zeros((size, *x.shape[indices.ndim :]), x.dtype)
    try:
        np.add.at(y, indices, x)
    except IndexError:
        raise _outside("scatter_add", indices, size) from None
    return y


def _outside(name: str, indices: Any, size: int) -> IndexingError:
    worst = indices.flat[np.argmax(np.abs(indices.astype(np.int64) * 2 + 1))]
    return IndexingError(f"{name}: index {worst} is out of range for an axis of size {size}")


def _position(indices: Any, o: tuple[Any, ...], size: int) -> Any:
    return indices(o, size)


def flat_index(indices: Sequence[Any], sizes: Sequence[int]) -> Any:
    """Return the one index, in row-major order, that stands for an index into each of several axes of ``sizes``.

    Where one is outside its axis the result is outside too: it must not pass for an entry of another row.
    """
    flat: Any = 0
    inside: Any = None
    for values, size in zip(indices, sizes, strict=True):
        index = astype(values, dtypes.INT)
        index = where(index < 0, index + size, index)
        fits = (index >= 0) & (index < size)
        flat, inside = flat * size + index, fits if inside is None else inside & fits
    return where(inside, flat, prod(sizes))


def _rows(indices: Any, size: int, count: int) -> Any:
    """Indices into ``size`` stacked arrays of ``count`` rows, one stack entry per leading index."""
    return flat_index((reshape(arange(size), (size,) + (1,) * (indices.ndim - 1)), indices), (size, count))


def _batched_take(size: int, x: Any, indices: Any, batched: tuple[bool, bool]) -> Any:
    if not batched[1]:  # y[b, k, …] = x[b, i_k, …]
        y = take_op(moveaxis(x, 1, 0), indices)
        return moveaxis(y, indices.ndim, 0)
    if not batched[0]:
        return take_op(x, indices)
    flat = reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))
    return take_op(flat, _rows(indices, size, x.shape[1]))


def _batched_scatter_add(batch: int, x: Any, indices: Any, batched: tuple[bool, bool], size: int) -> Any:
    if not batched[1]:  # x: (b, k…, rest)
        y = scatter_add_op(moveaxis(x, 0, indices.ndim), indices, size=size)
        return moveaxis(y, 1, 0)
    if not batched[0]:
        x = broadcast_to(x, (batch, *x.shape))
    y = scatter_add_op(x, _rows(indices, batch, size), size=batch * size)
    return reshape(y, (batch, size, *y.shape[1:]))


take_op: Linear = Linear(
    "take",
    _take_value,
    shape=lambda x, indices: shape_of(indices) + shape_of(x)[1:],
    adjoint=lambda y_bar, x, indices: scatter_add_op(y_bar, indices, size=x.shape[0]),
    index=lambda o, inner, indices: (
        _position(indices, o[: len(o) - len(inner) + 1], inner[0]),
        *o[len(o) - len(inner) + 1 :],
    ),
    lift=None,
    batch=_batched_take,
    examples=lambda draw: [
        ((draw(*shape), np.array(indices, np.int64)), {})
        for shape, indices in (
            ((4,), [2, 0, 2, -1]),
            ((4, 2), [[1, 1], [-4, 3]]),
            ((4, 2), 3),
            ((3, 0), [1]),
            ((3, 2), np.zeros((0,))),
        )
    ],
    role="gather",
    text="{0}[{1}]",
    latex=r"{0}_{{{1}}}",
)

scatter_add_op: Linear = Linear(
    "scatter_add",
    _scatter_add_value,
    code="scatter_add({0}, {1}, {size})",
    shape=lambda x, indices, size: (size, *shape_of(x)[len(shape_of(indices)) :]),
    adjoint=lambda y_bar, x, indices, size: take_op(y_bar, indices),
    index=lambda i, inner, indices, size: (
        _position(indices, i[: len(indices.shape)], size),
        *i[len(indices.shape) :],
    ),
    lift=None,
    batch=_batched_scatter_add,
    examples=lambda draw: [
        ((draw(*np.shape(indices), *rest), np.array(indices, np.int64)), {"size": 4})
        for indices, rest in (
            ([2, 0, 2, -1], ()),
            ([[1, 1], [-4, 3]], (2,)),
            (3, (2,)),
            (np.zeros((0,)), (2,)),
        )
    ],
    scatter=True,
    role="scatter",
)


@function()
def take(x: Any, indices: Any, /, axis: int | None = None) -> Array:
    """y[…, k, …] = x[…, indices[k], …] along ``axis``; the adjoint adds each cotangent to the entry it came from.

    ``indices``: integers of any shape, negative ones count from the end; ``axis`` may be left out for 1-D ``x``.
    Raises `IndexingError` naming an index out of range.

    **Source:** Python Array API standard 2024.12, ``take``.

    >>> import bprop
    >>> bprop.take(bprop.asarray([10.0, 20.0, 30.0]), [2, 0, 2])
    Array([30., 10., 30.])
    """
    x, indices = array("take", x), array("take", indices)
    if axis is None:
        if x.ndim != 1:
            raise ShapeError(f"take: shape {x.shape} has {x.ndim} axes: say along which axis")
        axis = 0
    if indices.dtype.kind not in "iu":
        raise IndexingError(f"take: indices must be integers, not {indices.dtype}")
    position = normalise_axis("take", axis, x.ndim, x.shape)
    if position == 0:
        return take_op(x, indices)
    y = take_op(moveaxis(x, position, 0), indices)
    rank = indices.ndim
    rest = y.ndim - rank
    front = [rank + axis for axis in range(position)]
    order = [*front, *range(rank), *(rank + axis for axis in range(position, rest))]
    return permute_dims(y, tuple(order))
