"""Linear re-indexing: reshape, transpose, broadcast, slice, gather. Each is an index map; its adjoint follows it back."""

from math import prod
from operator import index as as_integer
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import dtype as dtypes
from ..core.error import IndexingError, ShapeError
from ..core.family import Linear
from ..core.op import dtype_of, operand, shape_of
from ..core.shape import Shape, broadcast, normalise_axis, normalise_shape, size_of
from ..core.value import Array, asarray, function
from .creation import arange
from .reduction import sum
from .selection import astype as _astype
from .selection import where


def _array(name: str, x: Any) -> Array:
    return x if isinstance(x, Array) else asarray(operand(name, x))


@function()
def astype(x: Any, dtype: DTypeLike, /) -> Array:
    """Return ``x`` converted to ``dtype``; the derivative is 1 between floating dtypes.

    Raises `DTypeError` for complex and other dtypes that bprop does not compute with.

    **Source:** Python Array API standard 2024.12, ``astype``.

    >>> import bprop
    >>> bprop.astype(bprop.ones(2), "float32")
    Array([1., 1.], dtype=float32)
    """
    x = _array("astype", x)
    wanted = dtypes.check(dtype, "astype")
    return x if x.dtype == wanted else _astype(x, dtype=wanted)


# --- reshape ---
def _reshaped(x: Any, shape: Shape) -> Shape:
    if size_of(shape_of(x)) != size_of(shape):
        raise ShapeError(
            f"reshape: shape {shape_of(x)} with {size_of(shape_of(x))} entries does not fit {shape} with {size_of(shape)}"
        )
    return shape


def _ravelled(o: tuple[Any, ...], inner: Shape, shape: Shape) -> tuple[Any, ...]:
    flat: Any = 0
    for position, size in zip(o, shape, strict=True):
        flat = flat * size + position
    result = []
    for size in reversed(inner):
        result.append(flat % size)
        flat = flat // size
    return tuple(reversed(result))


_reshape: Linear = Linear(
    "reshape",
    lambda x, shape: np.reshape(x, shape),
    shape=_reshaped,
    adjoint=lambda y_bar, x, shape: _reshape(y_bar, shape=x.shape),
    index=_ravelled,
    examples=lambda draw: (
        [
            ((draw(*shape),), {"shape": new})
            for shape, new in (
                ((2, 3), (3, 2)),
                ((6,), (1, 2, 3)),
                ((), (1, 1)),
                ((0, 3), (0,)),
                ((2, 1, 3), (6,)),
            )
        ]
        + [((draw(3, 2).T,), {"shape": (6,)})]
    ),
    lift=lambda params, size, x: {"shape": (size, *params["shape"])},
    view=True,
    compose=lambda first, then: then,
    neutral=lambda size, shape: size == shape,
    latex="{0}",
)


@function(np.reshape)
def reshape(x: Any, /, shape: Any) -> Array:
    """Return the entries of ``x`` in row-major order in another ``shape``; one size may be -1.

    Raises `ShapeError` naming both shapes where the number of entries differs.

    **Source:** Python Array API standard 2024.12, ``reshape``.

    >>> import bprop
    >>> bprop.reshape(bprop.arange(4), (2, -1))
    Array([[0, 1],
           [2, 3]])
    """
    x = _array("reshape", x)
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    unknown = [axis for axis, size in enumerate(sizes) if isinstance(size, int) and size == -1]
    if len(unknown) == 1:
        rest = prod(size for size in sizes if size != -1)
        if rest == 0 or x.size % rest:
            raise ShapeError(f"reshape: shape {x.shape} with {x.size} entries does not fit {sizes}")
        sizes = tuple(x.size // rest if size == -1 else size for size in sizes)
    wanted = normalise_shape("reshape", sizes)
    return x if wanted == x.shape else _reshape(x, shape=wanted)


# --- permute_dims ---
def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


_permute_dims: Linear = Linear(
    "permute_dims",
    lambda x, axes: np.transpose(x, axes),
    shape=lambda x, axes: tuple(shape_of(x)[axis] for axis in axes),
    adjoint=lambda y_bar, x, axes: _permute_dims(y_bar, axes=_inverse(axes)),
    index=lambda o, inner, axes: tuple(o[position] for position in _inverse(axes)),
    examples=lambda draw: [
        ((draw(*shape),), {"axes": axes})
        for shape, axes in (((2, 3), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((0, 3), (1, 0)), ((4,), (0,)))
    ],
    lift=lambda params, size, x: {"axes": (0, *(axis + 1 for axis in params["axes"]))},
    compose=lambda first, then: {"axes": tuple(first["axes"][axis] for axis in then["axes"])},
    neutral=lambda shape, axes: axes == tuple(range(len(shape))),
    latex="{0}^{{T}}",
)


@function(np.transpose)
def permute_dims(x: Any, /, axes: Any = None) -> Array:
    """Permute the axes: y[i_axes[0], …] = x[…]; all axes reversed by default. The adjoint is the inverse permutation.

    Raises `ShapeError` if ``axes`` is no permutation.

    **Source:** Python Array API standard 2024.12, ``permute_dims``.

    >>> import bprop
    >>> bprop.permute_dims(bprop.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    x = _array("permute_dims", x)
    rank = x.ndim
    order = (
        tuple(range(rank))[::-1]
        if axes is None
        else tuple(normalise_axis("permute_dims", a, rank, x.shape) for a in axes)
    )
    if sorted(order) != list(range(rank)):
        raise ShapeError(f"permute_dims: axes {tuple(axes)} are no permutation of the axes of shape {x.shape}")
    return x if order == tuple(range(rank)) else _permute_dims(x, axes=order)


@function(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Array:
    """Swap the last two axes.

    **Source:** Python Array API standard 2024.12, ``matrix_transpose``.

    >>> import bprop
    >>> bprop.matrix_transpose(bprop.zeros((5, 2, 3))).shape
    (5, 3, 2)
    """
    x = _array("matrix_transpose", x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: shape {x.shape} has fewer than two axes")
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@function(np.moveaxis)
def moveaxis(x: Any, source: int, destination: int, /) -> Array:
    """Move one axis to another place, the others keeping their order.

    **Source:** Python Array API standard 2024.12, ``moveaxis``.

    >>> import bprop
    >>> bprop.moveaxis(bprop.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = _array("moveaxis", x)
    start, stop = (normalise_axis("moveaxis", one, x.ndim, x.shape) for one in (source, destination))
    order = [axis for axis in range(x.ndim) if axis != start]
    order.insert(stop, start)
    return permute_dims(x, tuple(order))


# --- broadcast_to ---
def _broadcasted(x: Any, shape: Shape) -> Shape:
    inner = shape_of(x)
    if broadcast("broadcast_to", inner, shape) != shape:
        raise ShapeError(f"broadcast_to: shape {inner} does not broadcast to {shape}")
    return shape


def unbroadcast(y_bar: Any, shape: Shape) -> Any:
    """Sum ``y_bar`` down to ``shape``: the adjoint of broadcasting."""
    extra = len(y_bar.shape) - len(shape)
    axes = tuple(
        axis for axis, size in enumerate(y_bar.shape) if axis < extra or (shape[axis - extra] == 1 and size != 1)
    )
    return reshape(sum(y_bar, axis=axes), shape) if axes else y_bar


def _lift_broadcast(params: dict[str, Any], size: int, x: Any) -> dict[str, Any]:
    return {"shape": (size, *params["shape"])}


_broadcast_to: Linear = Linear(
    "broadcast_to",
    lambda x, shape: np.broadcast_to(x, shape),
    shape=_broadcasted,
    adjoint=lambda y_bar, x, shape: unbroadcast(y_bar, x.shape),
    index=lambda o, inner, shape: tuple(
        0 if size == 1 else position for size, position in zip(inner, o[len(o) - len(inner) :], strict=True)
    ),
    lift=_lift_broadcast,
    align="shape",
    compose=lambda first, then: then,
    neutral=lambda size, shape: size == shape,
    examples=lambda draw: [
        ((draw(*shape),), {"shape": new})
        for shape, new in (
            ((3,), (2, 3)),
            ((2, 1), (2, 3)),
            ((), (2, 2)),
            ((1, 3), (0, 3)),
            ((2, 1, 2), (4, 2, 3, 2)),
        )
    ],
    latex="{0}",
)


@function(np.broadcast_to)
def broadcast_to(x: Any, /, shape: Any) -> Array:
    """Repeat ``x`` along new and size-1 axes to reach ``shape``; the adjoint sums over them.

    Raises `ShapeError` naming both shapes and the axis that does not fit.

    **Source:** Python Array API standard 2024.12, ``broadcast_to``.

    >>> import bprop
    >>> bprop.broadcast_to(bprop.asarray([1.0, 2.0]), (2, 2))
    Array([[1., 2.],
           [1., 2.]])
    """
    x = _array("broadcast_to", x)
    wanted = normalise_shape("broadcast_to", shape)
    return x if wanted == x.shape else _broadcast_to(x, shape=wanted)


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


_slice: Linear = Linear(
    "slice",
    lambda x, slices: x[_python_slices(slices)],
    shape=lambda x, slices: tuple(count for _, count, _ in slices),
    adjoint=lambda y_bar, x, slices: _embed(y_bar, shape=x.shape, slices=slices),
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
    latex="{0}_{{[{slices}]}}",
)

_embed: Linear = Linear(
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
    x, indices = _array("take", x), _array("take", indices)
    if axis is None:
        if x.ndim != 1:
            raise ShapeError(f"take: shape {x.shape} has {x.ndim} axes: say along which axis")
        axis = 0
    if indices.dtype.kind not in "iu":
        raise IndexingError(f"take: indices must be integers, not {dtype_of(indices.spec)}")
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
        elif isinstance(part, Array | np.ndarray | list) and not (np.ndim(part) == 0 and not isinstance(part, Array)):
            chosen = _array("getitem", part)
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
