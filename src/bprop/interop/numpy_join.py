"""Arrays put together and taken apart, as NumPy calls it: append, insert, delete, block, and stacks and splits by direction."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.error import ArgumentError, IndexingError, ShapeError
from ..core.function import numpy_rule
from ..core.op import array
from ..core.shape import normalise_axis
from ..core.value import Array
from ..ops import concatenation
from ..ops.concatenation import concat
from ..ops.data_type import astype
from ..ops.indexing import take
from ..ops.manipulation import broadcast_to, expand_dims, moveaxis, ravel, reshape
from ..ops.search import concrete
from .numpy_argument import as_dtype, flat_without_axis
from .numpy_shape import at_least_1d, at_least_2d, at_least_3d


# --- side by side ---
def _arrays(name: str, arrays: Any, raised: Callable[[Array], Array]) -> list[Array]:
    """Return the arrays of a sequence, of an array its rows, each ``raised`` to some number of axes."""
    if not isinstance(arrays, Sequence | Array | np.ndarray) or isinstance(arrays, str):
        raise ArgumentError(f"{name}: takes a list or tuple of arrays, not {type(arrays).__name__}")
    xs = [raised(array(name, x)) for x in arrays]
    if not xs:
        raise ArgumentError(f"{name}: no arrays: at least one is needed")
    return xs


@numpy_rule(np.concatenate)
def _concatenate(
    arrays: Any, /, axis: int | None = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Array:
    return as_dtype("concatenate", concat(arrays, axis=axis), dtype, casting)


@numpy_rule(np.stack)
def _stack(arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Array:
    return as_dtype("stack", concatenation.stack(arrays, axis=axis), dtype, casting)


@numpy_rule(np.vstack)
def _vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Array:
    return as_dtype("vstack", concat(_arrays("vstack", tup, at_least_2d), axis=0), dtype, casting)


@numpy_rule(np.hstack)
def _hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Array:
    xs = _arrays("hstack", tup, at_least_1d)
    return as_dtype("hstack", concat(xs, axis=0 if xs[0].ndim == 1 else 1), dtype, casting)


@numpy_rule(np.dstack)
def _dstack(tup: Any) -> Array:
    return concat(_arrays("dstack", tup, at_least_3d), axis=2)


def _as_column(x: Array) -> Array:
    return expand_dims(at_least_1d(x), 1) if x.ndim < 2 else x


@numpy_rule(np.column_stack)
def _column_stack(tup: Any) -> Array:
    return concat(_arrays("column_stack", tup, _as_column), axis=1)


@numpy_rule(np.append)
def _append(arr: Any, values: Any, axis: int | None = None) -> Array:
    return concat([array("append", arr), array("append", values)], axis=axis)


# --- blocks ---
def _depth(blocks: Any) -> int:
    """Return how deep the lists of ``block`` are nested, the same everywhere."""
    if isinstance(blocks, tuple):
        raise ArgumentError("block: takes nested lists, not a tuple")
    if not isinstance(blocks, list):
        return 0
    if not blocks:
        raise ArgumentError("block: a list of blocks is empty")
    depths = {_depth(block) for block in blocks}
    if len(depths) > 1:
        raise ArgumentError(f"block: lists are nested {min(depths)} and {max(depths)} deep below one list")
    return depths.pop() + 1


def _leaves(blocks: Any) -> list[Array]:
    if not isinstance(blocks, list):
        return [array("block", blocks)]
    return [leaf for block in blocks for leaf in _leaves(block)]


def _assembled(blocks: Any, depth: int, rank: int) -> Array:
    if not isinstance(blocks, list):
        x = array("block", blocks)
        return reshape(x, (1,) * (rank - x.ndim) + x.shape)
    return concat([_assembled(block, depth - 1, rank) for block in blocks], axis=rank - depth)


@numpy_rule(np.block)
def _block(arrays: Any) -> Array:
    depth = _depth(arrays)
    return _assembled(arrays, depth, max(depth, *(leaf.ndim for leaf in _leaves(arrays))))


# --- entries put in and left out ---
def _positions(name: str, obj: Any, size: int) -> Any:
    """Return what says where as Python and NumPy have it: the shape of the result depends on it."""
    if isinstance(obj, slice | int | np.integer):
        return obj
    if isinstance(obj, Array):
        obj = concrete(name, obj, "give the positions as Python integers")
    positions = np.asarray(obj)
    if positions.size == 0 and not isinstance(obj, np.ndarray):
        positions = positions.astype(np.int64)
    if positions.dtype.kind not in "biu":
        raise IndexingError(f"{name}: positions are integers, bool or a slice, not {positions.dtype}")
    if positions.dtype.kind == "b" and positions.shape != (size,):
        raise IndexingError(f"{name}: a mask of shape {positions.shape} for an axis of size {size}")
    return positions


def _axis(name: str, arr: Any, axis: Any) -> tuple[Array, int]:
    x, axis = flat_without_axis(array(name, arr), axis)
    return x, normalise_axis(name, axis, x.ndim, x.shape)


@numpy_rule(np.delete)
def _delete(arr: Any, obj: Any, axis: int | None = None) -> Array:
    x, axis = _axis("delete", arr, axis)
    size = x.shape[axis]
    try:
        kept = np.delete(np.arange(size), _positions("delete", obj, size))
    except IndexError as error:
        raise IndexingError(f"delete: axis {axis} of shape {x.shape}: {error}") from None
    return take(x, kept, axis=axis)


@numpy_rule(np.insert)
def _insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Array:
    x, axis = _axis("insert", arr, axis)
    size, positions = x.shape[axis], _positions("insert", obj, x.shape[axis])
    if isinstance(positions, slice):
        positions = np.arange(size)[positions]
    elif isinstance(positions, np.ndarray) and positions.dtype.kind == "b":
        positions = np.flatnonzero(positions)
    new = array("insert", values)
    extra = max(new.ndim - x.ndim, 0)
    if set(new.shape[:extra]) <= {1}:  # as assignment has it
        new = reshape(new, new.shape[extra:])
    new = reshape(new, (1,) * (x.ndim - new.ndim) + new.shape)
    if np.ndim(positions) == 0:
        new = moveaxis(new, 0, axis)
    count = new.shape[axis] if np.size(positions) == 1 else np.size(positions)
    if np.size(positions) == 1:
        positions = np.asarray(positions).item()
    wanted = tuple(count if position == axis else extent for position, extent in enumerate(x.shape))
    try:
        new = broadcast_to(astype(new, x.dtype), wanted)
    except ShapeError:
        raise ShapeError(
            f"insert: values of shape {array('insert', values).shape} do not broadcast to {wanted}, the places for them"
        ) from None
    try:  # where each entry of the result comes from
        order = np.insert(np.arange(size), positions, size + np.arange(count))
    except IndexError as error:
        raise IndexingError(f"insert: axis {axis} of shape {x.shape}: {error}") from None
    return take(concat([x, new], axis=axis), order, axis=axis)


# --- cut by direction ---
def _cut(name: str, x: Any, sections: Any, axis: int, rank: int) -> list[Array]:
    x = array(name, x)
    if x.ndim < rank:
        raise ShapeError(f"{name}: shape {x.shape} has {x.ndim} axes, at least {rank} are needed")
    if not isinstance(sections, list | tuple | np.ndarray) and x.shape[axis] % sections:
        raise ShapeError(f"{name}: axis {axis} of shape {x.shape} does not come out even in {sections} parts")
    return concatenation.split(x, sections, axis=axis)


@numpy_rule(np.vsplit)
def _vsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    return _cut("vsplit", ary, indices_or_sections, 0, 2)


@numpy_rule(np.hsplit)
def _hsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    x = array("hsplit", ary)
    return _cut("hsplit", x, indices_or_sections, 0 if x.ndim == 1 else 1, 1)


@numpy_rule(np.dsplit)
def _dsplit(ary: Any, indices_or_sections: Any) -> list[Array]:
    return _cut("dsplit", ary, indices_or_sections, 2, 3)


# --- differences with ends ---
@numpy_rule(np.ediff1d)
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Array:
    x = ravel(ary)
    parts = [x[1:] - x[:-1]]
    for position, end in ((0, to_begin), (len(parts) + 1, to_end)):
        if end is not None:
            parts.insert(position, as_dtype("ediff1d", ravel(end), x.dtype))
    return concat(parts)
