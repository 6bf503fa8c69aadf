"""Arrays put side by side, and taken apart again."""

from collections.abc import Sequence
from itertools import pairwise
from operator import index as as_integer
from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError
from ..core.family import Join
from ..core.function import function
from ..core.op import array
from ..core.shape import normalise_axis
from ..core.value import Array
from .indexing import slice_along
from .manipulation import ravel, reshape, reshape_op

__all__ = ["concat", "split", "stack", "unstack"]


def _joined(*xs: Any, axis: int) -> str:
    shown = ", ".join(f"{{{number}}}" for number in range(len(xs)))
    return f"concat(({shown}), axis={axis})" if axis else f"concat(({shown}))"


def _blocks(*xs: Any, axis: int) -> str:
    shown = [f"{{{number}}}" for number in range(len(xs))]
    body = (r" \\ " if axis == 0 else " & ").join(shown)
    return rf"\begin{{{{bmatrix}}}} {body} \end{{{{bmatrix}}}}"


concat_op = Join(
    "concat",
    lambda *xs, axis: np.concatenate(xs, axis),
    code=lambda *xs, axis: f"np.concatenate([{', '.join(f'{{{i}}}' for i in range(len(xs)))}], axis={axis})",
    examples=lambda draw: [
        (tuple(draw(*shape) for shape in shapes), {"axis": axis})
        for shapes, axis in (
            (((3,),), 0),
            (((3,), (2,)), 0),
            (((2, 3), (2, 1), (2, 2)), 1),
            (((1, 3), (2, 3), (0, 3)), 0),
            (((2, 2, 2), (2, 1, 2)), 1),
            (((0, 3), (0, 3)), 1),
        )
    ],
    text=_joined,
    latex=_blocks,
)


def _arrays(name: str, arrays: Any) -> list[Array]:
    if isinstance(arrays, Array | np.ndarray):  # its rows, as NumPy has it
        arrays = list(unstack(array(name, arrays)))
    if not isinstance(arrays, Sequence) or isinstance(arrays, str | bytes):
        raise ArgumentError(f"{name}: a list or tuple of arrays, not {type(arrays).__name__}")
    if not arrays:
        raise ArgumentError(f"{name}: no arrays: at least one is needed")
    return [array(name, x) for x in arrays]


@function()
def concat(arrays: Any, /, axis: int | None = 0) -> Array:
    """Put arrays one after the other along ``axis``; ``None`` flattens them first. Each gets its part of the cotangent.

    All sizes but that along ``axis`` agree; dtypes promote. Raises `ShapeError` naming the shapes and the axis.

    **Source:** Python Array API standard 2024.12, ``concat``.

    >>> import bprop
    >>> bprop.concat([bprop.ones(2), bprop.zeros(1)])
    Array([1., 1., 0.])
    """
    xs = _arrays("concat", arrays)
    if axis is None:
        xs, axis = [ravel(x) for x in xs], 0
    first = xs[0]
    if not first.shape:
        raise ShapeError("concat: an array of shape () has no axis to join along: use bprop.stack, or axis=None")
    return concat_op(*xs, axis=normalise_axis("concat", axis, first.ndim, first.shape))


@function()
def stack(arrays: Any, /, axis: int = 0) -> Array:
    """Put arrays of one shape one after the other along a new ``axis`` of the result.

    Raises `ShapeError` where shapes differ.

    **Source:** Python Array API standard 2024.12, ``stack``.

    >>> import bprop
    >>> bprop.stack([bprop.asarray(1.0), 2.0])
    Array([1., 2.])
    """
    xs = _arrays("stack", arrays)
    shape = xs[0].shape
    for x in xs:
        if x.shape != shape:
            raise ShapeError(f"stack: shapes {shape} and {x.shape} differ: only arrays of one shape can be stacked")
    axis = normalise_axis("stack", axis, len(shape) + 1, (1, *shape))
    raised = (*shape[:axis], 1, *shape[axis:])
    return concat_op(*(reshape_op(x, shape=raised) for x in xs), axis=axis)


@function(*(getattr(np, name) for name in ("unstack",) if hasattr(np, name)))  # since NumPy 2.1
def unstack(x: Any, /, axis: int = 0) -> tuple[Array, ...]:
    """Return the entries along ``axis``, each an array without it.

    **Source:** Python Array API standard 2024.12, ``unstack``.

    >>> import bprop
    >>> bprop.unstack(bprop.asarray([[1.0, 2.0], [3.0, 4.0]]))
    (Array([1., 2.]), Array([3., 4.]))
    """
    x = array("unstack", x)
    if not x.shape:
        raise ShapeError("unstack: an array of shape () has no axis to take apart")
    axis = normalise_axis("unstack", axis, x.ndim, x.shape)
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return tuple(reshape(slice_along(x, axis, number, 1), shape) for number in range(x.shape[axis]))


@function(np.array_split)
def split(x: Any, sections: Any, /, axis: int = 0) -> list[Array]:
    """Cut ``x`` along ``axis``: into so many parts, the first ones longer where it does not come out even, or before
    each of a sequence of positions.

    Raises `ShapeError` for an axis out of range, `ArgumentError` for sections that are no integers.

    **Source:** NumPy, ``array_split``.

    >>> import bprop
    >>> bprop.split(bprop.arange(5), 2)
    [Array([0, 1, 2]), Array([3, 4])]
    """
    x = array("split", x)
    axis = normalise_axis("split", axis, x.ndim, x.shape)
    size = x.shape[axis]
    try:
        if isinstance(sections, list | tuple | np.ndarray):
            ends = [slice(as_integer(position)).indices(size)[1] for position in sections]
            count = len(ends) + 1
        else:
            count = as_integer(sections)
            length, longer = divmod(size, max(count, 1))
            ends = [number * length + min(number, longer) for number in range(1, count)]
    except (TypeError, ValueError):
        raise ArgumentError(f"split: sections are a number or a sequence of positions, not {sections!r:.60}") from None
    if count < 1:
        raise ArgumentError(f"split: {count} sections: at least one is needed")
    return [slice_along(x, axis, start, max(stop - start, 0)) for start, stop in pairwise((0, *ends, size))]


# --- NumPy's names for these ---
def _even(x: Any, sections: Any, /, axis: int = 0) -> list[Array]:
    x = array("split", x)
    if not isinstance(sections, list | tuple | np.ndarray):
        size = x.shape[normalise_axis("split", axis, x.ndim, x.shape)]
        if size % sections:
            raise ShapeError(f"split: axis {axis} of shape {x.shape} does not come out even in {sections} parts")
    return split(x, sections, axis=axis)


function(np.split)(_even)
