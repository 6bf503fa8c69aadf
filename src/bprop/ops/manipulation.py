"""Linear re-indexing: reshape, transpose, broadcast. Each is an index map; its adjoint follows it back."""

from math import prod
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError, ShapeError, TracedValueError
from ..core.family import Linear
from ..core.function import function
from ..core.op import array, shape_of
from ..core.shape import Shape, broadcast, inverse_permutation, normalise_axes, normalise_axis, normalise_shape, size_of
from ..core.value import Array
from .reduction import sum

__all__ = [
    "broadcast_arrays",
    "broadcast_to",
    "expand_dims",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "ravel",
    "reshape",
    "squeeze",
    "swapaxes",
]


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


def _with_ones(old: Shape, new: Shape) -> str | None:
    """Return x[:, None] for the reshaping that only adds axes of length 1, ``None`` for others."""
    rest, terms = list(old), []
    for size in new:
        if rest and rest[0] == size:
            terms.append(":")
            rest.pop(0)
        elif size == 1:
            terms.append("None")
        else:
            return None
    return None if rest or not old or len(old) == len(new) else f"{{0}}[{', '.join(terms)}]"


reshape_op: Linear = Linear(
    "reshape",
    lambda x, shape: x.reshape(shape),
    shape=_reshaped,
    adjoint=lambda y_bar, x, shape: reshape_op(y_bar, shape=x.shape),
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
    role="reshape",
    text=lambda x, shape: _with_ones(shape_of(x), shape) or "reshape({0}, {shape})",
    latex="{0}",
)


@function()
def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Array:
    """Return the entries of ``x`` in row-major order in another ``shape``; one size may be -1.

    ``copy`` is the standard's: arrays never change, so that a copy cannot be told from a view. Raises `ShapeError` naming
    both shapes where the number of entries differs.

    **Source:** Python Array API standard 2024.12, ``reshape``.

    >>> import bprop
    >>> bprop.reshape(bprop.arange(4), (2, -1))
    Array([[0, 1],
           [2, 3]])
    """
    x = array("reshape", x)
    try:
        if type(shape) is tuple and -1 not in shape:
            return x if x.shape == shape else reshape_op(x, shape=normalise_shape("reshape", shape))
    except TracedValueError:  # of a size that is no number yet
        shape = tuple(map(index, shape))  # says what sizes are taken from
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    unknown = [axis for axis, size in enumerate(sizes) if isinstance(size, int) and size == -1]
    if len(unknown) == 1:
        rest = prod(size for size in sizes if size != -1)
        if rest == 0 or x.size % rest:
            raise ShapeError(f"reshape: shape {x.shape} with {x.size} entries does not fit {sizes}")
        sizes = tuple(x.size // rest if size == -1 else size for size in sizes)
    wanted = normalise_shape("reshape", sizes)
    return x if wanted == x.shape else reshape_op(x, shape=wanted)


# --- permute_dims ---
def _transposed(axes: tuple[int, ...], all_axes: str, last_two: str) -> str | None:
    """Return the sign for a transpose of all axes or of the last two, ``None`` for another order."""
    rank = len(axes)
    if axes == tuple(range(rank))[::-1]:
        return all_axes
    return last_two if axes == (*range(rank - 2), rank - 1, rank - 2) else None


permute_dims_op: Linear = Linear(
    "permute_dims",
    lambda x, axes: x.transpose(axes),
    shape=lambda x, axes: tuple(shape_of(x)[axis] for axis in axes),
    adjoint=lambda y_bar, x, axes: permute_dims_op(y_bar, axes=inverse_permutation(axes)),
    index=lambda o, inner, axes: tuple(o[position] for position in inverse_permutation(axes)),
    examples=lambda draw: [
        ((draw(*shape),), {"axes": axes})
        for shape, axes in (((2, 3), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((0, 3), (1, 0)), ((4,), (0,)))
    ],
    lift=lambda params, size, x: {"axes": (0, *(axis + 1 for axis in params["axes"]))},
    compose=lambda first, then: {"axes": tuple(first["axes"][axis] for axis in then["axes"])},
    neutral=lambda shape, axes: axes == tuple(range(len(shape))),
    role="transpose",
    text=lambda x, axes: _transposed(axes, "{0}.T", "{0}.mT") or f"permute_dims({{0}}, {axes})",
    latex=lambda x, axes: _transposed(axes, "{0}^{{T}}", "{0}^{{T}}") or f"{{0}}^{{{{{axes}}}}}",
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
    x = array("permute_dims", x)
    rank = x.ndim
    positions = range(rank)[::-1] if axes is None else axes
    if not isinstance(positions, tuple | list | range):
        raise ArgumentError(f"permute_dims: axes are a tuple of integers, one for each axis, not {axes!r:.60}")
    order = tuple(normalise_axis("permute_dims", axis, rank, x.shape) for axis in positions)
    if sorted(order) != list(range(rank)):
        raise ShapeError(f"permute_dims: axes {tuple(positions)} are no permutation of the axes of shape {x.shape}")
    return x if order == tuple(range(rank)) else permute_dims_op(x, axes=order)


@function(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Array:
    """Swap the last two axes.

    **Source:** Python Array API standard 2024.12, ``matrix_transpose``.

    >>> import bprop
    >>> bprop.matrix_transpose(bprop.zeros((5, 2, 3))).shape
    (5, 3, 2)
    """
    x = array("matrix_transpose", x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: shape {x.shape} has fewer than two axes")
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@function(np.moveaxis)
def moveaxis(x: Any, source: Any, destination: Any, /) -> Array:
    """Move axes to other places, the others keeping their order; one axis each, or as many of both.

    Raises `ShapeError` for an axis out of range or named twice.

    **Source:** Python Array API standard 2024.12, ``moveaxis``.

    >>> import bprop
    >>> bprop.moveaxis(bprop.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = array("moveaxis", x)
    starts, stops = (
        [
            normalise_axis("moveaxis", position, x.ndim, x.shape)
            for position in (axes if isinstance(axes, tuple | list) else [axes])
        ]
        for axes in (source, destination)
    )
    if len(starts) != len(stops) or len(set(starts)) != len(starts) or len(set(stops)) != len(stops):
        raise ShapeError(
            f"moveaxis: source {source} and destination {destination} must name as many axes, each of them once"
        )
    order = [axis for axis in range(x.ndim) if axis not in starts]
    for stop, start in sorted(zip(stops, starts, strict=True)):
        order.insert(stop, start)
    return permute_dims(x, tuple(order))


@function(np.swapaxes)
def swapaxes(x: Any, axis1: int, axis2: int, /) -> Array:
    """Exchange two axes.

    **Source:** NumPy, ``swapaxes``.

    >>> import bprop
    >>> bprop.swapaxes(bprop.zeros((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    x = array("swapaxes", x)
    order = list(range(x.ndim))
    first, second = (normalise_axis("swapaxes", axis, x.ndim, x.shape) for axis in (axis1, axis2))
    order[first], order[second] = order[second], order[first]
    return permute_dims(x, tuple(order))


# --- reshapes by another name ---
@function(np.expand_dims)
def expand_dims(x: Any, /, axis: Any = 0) -> Array:
    """Insert an axis of size 1 at ``axis`` of the result, or several.

    Raises `ShapeError` for an axis out of range or named twice.

    **Source:** Python Array API standard 2024.12, ``expand_dims``.

    >>> import bprop
    >>> bprop.expand_dims(bprop.zeros((2, 3)), axis=1).shape
    (2, 1, 3)
    """
    x = array("expand_dims", x)
    count = len(axis) if isinstance(axis, tuple | list) else 1
    new = normalise_axes("expand_dims", axis, (1,) * (x.ndim + count))
    sizes = iter(x.shape)
    return reshape(x, tuple(1 if position in new else next(sizes) for position in range(x.ndim + count)))


@function(np.squeeze)
def squeeze(x: Any, /, axis: Any = None) -> Array:
    """Drop axes of size 1: those named by ``axis``, all of them by default.

    Raises `ShapeError` naming an axis of another size.

    **Source:** Python Array API standard 2024.12, ``squeeze``; NumPy for the default.

    >>> import bprop
    >>> bprop.squeeze(bprop.zeros((1, 3, 1)), axis=0).shape
    (3, 1)
    """
    x = array("squeeze", x)
    if axis is None:
        return reshape(x, tuple(size for size in x.shape if size != 1))
    dropped = normalise_axes("squeeze", axis, x.shape)
    for position in dropped:
        if x.shape[position] != 1:
            raise ShapeError(f"squeeze: axis {position} of shape {x.shape} has size {x.shape[position]}, not 1")
    return reshape(x, tuple(size for position, size in enumerate(x.shape) if position not in dropped))


@function()
def ravel(x: Any, /) -> Array:
    """Return the entries in row-major order along one axis.

    **Source:** NumPy, ``ravel``.

    >>> import bprop
    >>> bprop.ravel(bprop.ones((2, 3))).shape
    (6,)
    """
    x = array("ravel", x)
    return reshape(x, (x.size,))


# --- broadcast_to ---
def _broadcasted(x: Any, shape: Shape) -> Shape:
    inner = shape_of(x)
    if broadcast("broadcast_to", inner, shape) != shape:
        raise ShapeError(f"broadcast_to: shape {inner} does not broadcast to {shape}")
    return shape


def _repeated(x: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """Return what `numpy.broadcast_to` does, in a third of its time where ``x`` is contiguous or one number repeated."""
    extra = len(shape) - x.ndim
    if extra < 0 or not x.size:
        return np.broadcast_to(x, shape)
    if not x.flags.c_contiguous:
        for size, stride in zip(x.shape, x.strides, strict=True):
            if stride and size != 1:
                return np.broadcast_to(x, shape)
    strides = [0] * extra
    for size, wanted, stride in zip(x.shape, shape[extra:], x.strides, strict=True):
        if size != wanted and size != 1:
            return np.broadcast_to(x, shape)
        strides.append(stride if size == wanted else 0)
    memory = x if x.flags.c_contiguous else x[(0,) * x.ndim + (...,)]
    y: NDArray[Any] = np.ndarray(shape, x.dtype, memory, 0, strides)
    y.flags.writeable = False
    return y


def unbroadcast(y_bar: Any, shape: Shape) -> Any:
    """Sum ``y_bar`` down to ``shape``: the adjoint of broadcasting."""
    if y_bar.shape == shape:
        return y_bar
    extra = len(y_bar.shape) - len(shape)
    axes = tuple(
        axis for axis, size in enumerate(y_bar.shape) if axis < extra or (shape[axis - extra] == 1 and size != 1)
    )
    summed = sum(y_bar, axis=axes)
    return summed if summed.shape == shape else reshape(summed, shape)


def _lift_broadcast(params: dict[str, Any], size: int, x: Any) -> dict[str, Any]:
    return {"shape": (size, *params["shape"])}


_broadcast_to: Linear = Linear(
    "broadcast_to",
    _repeated,
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
    role="broadcast",
    text="broadcast_to({0}, {shape})",
    latex="{0}",
)


@function()
def broadcast_to(x: Any, /, shape: Any) -> Array:
    """Repeat ``x`` along new and size-1 axes to reach ``shape``; the adjoint sums over them.

    Raises `ShapeError` naming both shapes and the axis that does not fit.

    **Source:** Python Array API standard 2024.12, ``broadcast_to``.

    >>> import bprop
    >>> bprop.broadcast_to(bprop.asarray([1.0, 2.0]), (2, 2))
    Array([[1., 2.],
           [1., 2.]])
    """
    x = array("broadcast_to", x)
    wanted = normalise_shape("broadcast_to", shape)
    return x if wanted == x.shape else _broadcast_to(x, shape=wanted)


@function()
def broadcast_arrays(*arrays: Any) -> list[Array]:
    """Repeat every array to the shape that all of them broadcast to.

    Raises `ShapeError` naming the shapes and the axis that does not fit.

    **Source:** Python Array API standard 2024.12, ``broadcast_arrays``.

    >>> import bprop
    >>> [x.shape for x in bprop.broadcast_arrays(bprop.zeros((2, 1)), bprop.zeros(3))]
    [(2, 3), (2, 3)]
    """
    xs = [array("broadcast_arrays", x) for x in arrays]
    shape = broadcast("broadcast_arrays", *(x.shape for x in xs))
    return [broadcast_to(x, shape) for x in xs]
