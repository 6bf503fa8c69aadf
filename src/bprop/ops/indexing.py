"""Indexing: slices, gathers and their adjoints, and ``x[index]``."""

from operator import index as as_integer
from types import EllipsisType
from typing import Any

import numpy as np

from ..core.error import IndexingError, ShapeError
from ..core.family import Linear
from ..core.function import function
from ..core.op import array, shape_of
from ..core.shape import Shape, normalise_axis
from ..core.value import Array
from .creation import arange
from .manipulation import broadcast_to, moveaxis, permute_dims, reshape
from .selection import where

__all__ = ["take"]


# --- slice and its adjoint embed; params: per axis (start, count, step) ---
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
    parts = []
    for size, (start, count, step), cut in zip(shape, slices, _python_slices(slices), strict=True):
        if (start, count, step) == (0, size, 1):
            parts.append(":")
        else:
            stop = "" if cut.stop is None else cut.stop
            parts.append(f"{start}:{stop}" if step == 1 else f"{start}:{stop}:{step}")
    while len(parts) > 1 and parts[-1] == ":":
        parts.pop()
    return ", ".join(parts)


_slice: Linear = Linear(
    "slice",
    lambda x, slices: x[_python_slices(slices)],
    shape=lambda x, slices: tuple(count for _, count, _ in slices),
    adjoint=lambda y_bar, x, slices: embed(y_bar, shape=x.shape, slices=slices),
    index=lambda o, inner, slices: tuple(start + step * p for p, (start, _, step) in zip(o, slices, strict=True)),
    lift=lambda params, size, x: {"slices": ((0, size, 1), *params["slices"])},
    compose=_slice_twice,
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

embed: Linear = Linear(
    "embed",
    _embed_value,
    shape=lambda x, shape, slices: shape,
    adjoint=lambda y_bar, x, shape, slices: _slice(y_bar, slices=slices),
    index=lambda i, inner, shape, slices: tuple(
        start + step * p for p, (start, _, step) in zip(i, slices, strict=True)
    ),
    lift=lambda params, size, x: {
        "shape": (size, *params["shape"]),
        "slices": ((0, size, 1), *params["slices"]),
    },
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
    slices = tuple((start, count, step) if one == axis else (0, size, 1) for one, size in enumerate(x.shape))
    return x if (start, count, step) == (0, x.shape[axis], 1) else _slice(x, slices=slices)


def embed_along(x: Any, axis: int, start: int, size: int) -> Any:
    """Return ``x`` amid zeros, from ``start`` on along an axis of ``size``."""
    shape = tuple(size if one == axis else other for one, other in enumerate(x.shape))
    return embed(x, shape=shape, slices=tuple((start * (one == axis), own, 1) for one, own in enumerate(x.shape)))


# --- take along the first axis and its adjoint ---
def _take_value(x: Any, indices: Any) -> Any:
    if x.ndim == 0:
        raise IndexingError("take: an array of shape () has no axis to take from")
    if indices.dtype.kind not in "iu":
        raise IndexingError(f"take: indices must be integers, not {indices.dtype}")
    try:
        return np.take(x, indices, axis=0)
    except IndexError:
        worst = indices.flat[np.argmax(np.abs(indices.astype(np.int64) * 2 + 1))]
        raise IndexingError(f"take: index {worst} is out of range for an axis of size {x.shape[0]}") from None


def _scatter_add_value(x: Any, indices: Any, size: int) -> Any:
    y = np.zeros((size, *x.shape[indices.ndim :]), x.dtype)
    np.add.at(y, indices, x)
    return y


def _position(indices: Any, o: tuple[Any, ...], size: int) -> Any:
    return indices(o, size)


def _rows(indices: Any, size: int, count: int) -> Any:
    """Indices into ``size`` stacked arrays of ``count`` rows, one stack entry per leading index."""
    inside = where(indices < 0, indices + count, indices)
    rows = reshape(arange(size) * count, (size,) + (1,) * (indices.ndim - 1))
    return inside + rows


def _batched_take(size: int, x: Any, indices: Any, batched: tuple[bool, bool]) -> Any:
    if not batched[1]:  # y[b, k, …] = x[b, i_k, …]
        y = _take(moveaxis(x, 1, 0), indices)
        return moveaxis(y, indices.ndim, 0)
    if not batched[0]:
        return _take(x, indices)
    flat = reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))
    return _take(flat, _rows(indices, size, x.shape[1]))


def _batched_scatter_add(batch: int, x: Any, indices: Any, batched: tuple[bool, bool], size: int) -> Any:
    if not batched[1]:  # x: (b, k…, rest)
        y = _scatter_add(moveaxis(x, 0, indices.ndim), indices, size=size)
        return moveaxis(y, 1, 0)
    if not batched[0]:
        x = broadcast_to(x, (batch, *x.shape))
    y = _scatter_add(x, _rows(indices, batch, size), size=batch * size)
    return reshape(y, (batch, size, *y.shape[1:]))


_take: Linear = Linear(
    "take",
    _take_value,
    shape=lambda x, indices: shape_of(indices) + shape_of(x)[1:],
    adjoint=lambda y_bar, x, indices: _scatter_add(y_bar, indices, size=x.shape[0]),
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
    text="{0}[{1}]",
    latex=r"{0}_{{{1}}}",
)

_scatter_add: Linear = Linear(
    "scatter_add",
    _scatter_add_value,
    shape=lambda x, indices, size: (size, *shape_of(x)[len(shape_of(indices)) :]),
    adjoint=lambda y_bar, x, indices, size: _take(y_bar, indices),
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
)


@function(np.take)
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
        return _take(x, indices)
    y = _take(moveaxis(x, position, 0), indices)
    rank = indices.ndim
    rest = y.ndim - rank
    front = [rank + axis for axis in range(position)]
    order = [*front, *range(rank), *(rank + axis for axis in range(position, rest))]
    return permute_dims(y, tuple(order))


# --- x[index] ---
@function()
def getitem(x: Any, index: Any, /) -> Array:
    """Return ``x[index]``: integers, slices, ``...``, ``None``, or one integer array.

    Boolean masks have a shape that depends on numbers: write ``bprop.where`` instead. Raises `IndexingError` naming
    index and shape.

    **Source:** Python Array API standard 2024.12, indexing.

    >>> import bprop
    >>> bprop.arange(6).reshape(2, 3)[1, ::2]
    Array([3, 5])
    """
    parts = index if isinstance(index, tuple) else (index,)
    consumed = len([part for part in parts if part is not None and part is not Ellipsis])
    if consumed > x.ndim:
        raise IndexingError(f"x[{_shown(index)}]: {consumed} indices for an array of shape {x.shape}")
    if not any(isinstance(part, EllipsisType) for part in parts):
        parts = (*parts, Ellipsis)
    slices: list[tuple[int, int, int]] = []
    shape: list[int] = []
    gather: tuple[int, Any] | None = None
    for part in parts:
        axis = len(slices)
        if part is None:
            shape.append(1)
        elif isinstance(part, EllipsisType):
            for size in x.shape[axis : axis + x.ndim - consumed]:
                slices.append((0, size, 1))
                shape.append(size)
        elif isinstance(part, slice):
            try:
                start, stop, step = part.indices(x.shape[axis])
            except (TypeError, ValueError) as error:
                raise IndexingError(f"x[{_shown(index)}]: {error}") from None
            count = len(range(start, stop, step))
            slices.append((start, count, step))
            shape.append(count)
        elif isinstance(part, Array) or (isinstance(part, np.ndarray | list) and np.ndim(part) > 0):
            chosen = array("getitem", part)
            if chosen.dtype.kind == "b":
                raise IndexingError(
                    f"x[mask]: the shape of the result depends on the numbers of the mask {chosen.spec}: write "
                    f"bprop.where(mask, x, 0), or index with integers"
                )
            if gather is not None:
                raise IndexingError("x[index]: only one integer array at a time: use bprop.take axis by axis")
            gather = (len(shape), chosen)
            slices.append((0, x.shape[axis], 1))
            shape.append(x.shape[axis])
        else:
            slices.append((_integer(part, x.shape, axis, index), 1, 1))
    y = (
        x
        if all(cut == (0, size, 1) for cut, size in zip(slices, x.shape, strict=True))
        else _slice(x, slices=tuple(slices))
    )
    y = reshape(y, tuple(shape))
    return y if gather is None else take(y, gather[1], axis=gather[0])


def _integer(part: Any, shape: Shape, axis: int, index: Any) -> int:
    if isinstance(part, bool | np.bool_):
        raise IndexingError(f"x[{_shown(index)}]: True and False are no indices: write bprop.where")
    try:
        position = as_integer(part)
    except TypeError:
        raise IndexingError(f"x[{_shown(index)}]: {type(part).__name__} is no index") from None
    size = shape[axis]
    if not -size <= position < size:
        raise IndexingError(f"x[{_shown(index)}]: index {position} is out of range for axis {axis} of shape {shape}")
    return position % size


def _shown(index: Any) -> str:
    return f"{index!s:.40}"
