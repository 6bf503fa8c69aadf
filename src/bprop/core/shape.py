"""Shapes: broadcasting, axes, and errors that name the op, both shapes and the offending axis."""

from collections.abc import Sequence
from operator import index
from typing import Any

from .error import AxisError, ShapeError, TracedValueError

Shape = tuple[int, ...]


def broadcast(name: str, *shapes: Shape) -> Shape:
    """Return the shape that ``shapes`` broadcast to together, or raise naming op, shapes and axis."""
    if len(shapes) == 1:
        return shapes[0]
    rank = max((len(shape) for shape in shapes), default=0)
    result: list[int] = []
    for axis in range(-rank, 0):
        sizes = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        if len(sizes) > 1:
            shown = " and ".join(str(shape) for shape in shapes)
            raise ShapeError(
                f"{name}: shapes {shown} do not broadcast: axis {axis} has sizes "
                f"{' and '.join(str(shape[axis]) for shape in shapes if len(shape) >= -axis)}"
            )
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def normalise_axis(name: str, axis: Any, rank: int, shape: Shape | None = None) -> int:
    """Return ``axis`` counted from the front, or raise."""
    try:
        number = index(axis)
    except TracedValueError:  # says what to write instead
        raise
    except TypeError:
        raise ShapeError(f"{name}: axis must be an integer, not {axis!r}") from None
    if not -rank <= number < rank:
        of = f" of shape {shape}" if shape is not None else ""
        raise AxisError(f"{name}: axis {number} is out of range for an array{of} with {rank} axes")
    return number % rank


def normalise_axes(name: str, axis: Any, shape: Shape) -> tuple[int, ...]:
    """Return the reduced axes, sorted: ``None`` means all of them."""
    rank = len(shape)
    if axis is None:
        return tuple(range(rank))
    entries: Sequence[Any] = axis if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(sorted(normalise_axis(name, entry, rank, shape) for entry in entries))
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: axis {axis} names an axis of shape {shape} twice")
    return axes


def normalise_shape(name: str, shape: Any) -> Shape:
    """Return ``shape`` (an integer or a sequence of them) as a tuple of non-negative integers."""
    if type(shape) is tuple and all(type(size) is int and size >= 0 for size in shape):
        return shape
    sizes = shape if isinstance(shape, tuple | list) else (shape,)
    try:
        result = tuple(index(size) for size in sizes)
    except TracedValueError:
        raise
    except TypeError:
        raise ShapeError(f"{name}: a shape is made of integers, not {shape!r}") from None
    if any(size < 0 for size in result):
        raise ShapeError(f"{name}: a shape has no negative sizes: {result}")
    return result


def reduced(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """Return the shape after reducing ``axes``."""
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def size_of(shape: Shape) -> int:
    """Return the number of entries of an array of ``shape``."""
    size = 1
    for extent in shape:
        size *= extent
    return size


def inverse_permutation(axes: Sequence[int]) -> tuple[int, ...]:
    """Return the axes that undo a transposition: ``x.transpose(axes).transpose(inverse_permutation(axes))`` is x.

    >>> from bprop.core.shape import inverse_permutation
    >>> inverse_permutation((2, 0, 1))
    (1, 2, 0)
    """
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))
