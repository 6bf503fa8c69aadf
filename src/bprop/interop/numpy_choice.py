"""Entries chosen by conditions: what is not chosen has no derivative, which is not one of zero or NaN."""

from math import prod
from typing import Any

import numpy as np

from ..core import dtype as dtypes
from ..core.error import ArgumentError, IndexingError, ShapeError
from ..core.function import numpy_rule
from ..core.op import array
from ..core.shape import broadcast, normalise_axis
from ..core.traced_float import TracedFloat
from ..core.value import Array
from ..ops.creation import zeros
from ..ops.data_type import astype
from ..ops.indexing import take
from ..ops.manipulation import broadcast_to, ravel, reshape
from ..ops.search import concrete, nonzero
from ..ops.selection import clip
from ..ops.selection import where as select
from ..ops.subscript import take_along_axis
from .numpy_argument import flat_without_axis


@numpy_rule(np.where)
def _where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    if (x is None) != (y is None):
        raise ArgumentError("where: either both of x and y are given or none of them")
    return nonzero(condition) if x is None else select(condition, x, y)


def _weak(name: str, choice: Any) -> Any:
    return choice if type(choice) in (*dtypes.WEAK, TracedFloat) else array(name, choice)


@numpy_rule(np.select)
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Array:
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ArgumentError(
            f"select: {len(condlist)} conditions and {len(choicelist)} choices: as many of both, and at least one"
        )
    conditions = [array("select", condition) for condition in condlist]
    for number, condition in enumerate(conditions):
        if condition.dtype.kind != "b":
            raise ArgumentError(f"select: condition {number} is bool, not {condition.dtype}: write condition != 0")
    choices = [_weak("select", choice) for choice in (*choicelist, default)]
    dtype = dtypes.result_type(*(choice.dtype if isinstance(choice, Array) else choice for choice in choices))
    choices = [astype(array("select", choice), dtype) for choice in choices]
    shape = broadcast("select", *(x.shape for x in (*conditions, *choices)))
    y = choices[-1]
    for condition, choice in zip(conditions[::-1], choices[-2::-1], strict=True):
        y = select(condition, choice, y)
    return broadcast_to(y, shape)


def _conditions(x: Array, condlist: Any, count: int) -> list[Array]:
    """Return the conditions of ``piecewise``, with the one that none of them holds where a function is left for it."""
    single = not isinstance(condlist, list | tuple) or not (
        isinstance(condlist[0], list | tuple) or (hasattr(condlist[0], "ndim") and (condlist[0].ndim or not x.ndim))
    )
    if isinstance(condlist, np.ndarray | Array) and condlist.ndim > max(x.ndim, 1):
        single = False
    conditions = [array("piecewise", c) != 0 for c in ([condlist] if single else condlist)]
    if count == len(conditions) + 1:
        none = ~conditions[0]
        for condition in conditions[1:]:
            none = none & ~condition
        conditions.append(none)
    if len(conditions) != count:
        raise ArgumentError(
            f"piecewise: {count} functions for {len(conditions)} conditions: as many, or one more for where none holds"
        )
    return [broadcast_to(condition, x.shape) for condition in conditions]


@numpy_rule(np.piecewise)
def _piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Array:
    x = array("piecewise", x)
    y = zeros(x.shape, dtype=x.dtype)
    for condition, piece in zip(_conditions(x, condlist, len(funclist)), funclist, strict=True):
        if not callable(piece):
            y = select(condition, astype(array("piecewise", piece), x.dtype), y)
            continue
        numbers = condition.concrete()
        if (
            numbers is None or numbers.shape != condition.shape
        ):  # which entries is not known: all, and those not meant are absent
            y = select(condition, astype(array("piecewise", piece(x, *args, **kw)), x.dtype), y)
            continue
        positions = np.flatnonzero(numbers)
        if positions.size:
            values = array("piecewise", piece(take(ravel(x), positions, axis=0), *args, **kw))
            flat = ravel(y).at[positions].set(astype(values, x.dtype))
            y = reshape(flat, x.shape)
    return y


@numpy_rule(np.choose)
def _choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Array:
    a = array("choose", a)
    arrays = [array("choose", choice) for choice in choices]
    if a.dtype.kind not in "iub":
        raise ArgumentError(f"choose: the numbers of choices are integers, not {a.dtype}")
    index = astype(a, np.int64)
    count = len(arrays)
    if mode == "wrap":
        index = index % count
    elif mode == "clip":
        index = clip(index, 0, count - 1)
    elif mode == "raise":
        numbers = index.concrete()
        if numbers is not None and ((numbers < 0) | (numbers >= count)).any():
            raise IndexingError(f"choose: there are {count} choices, numbered from 0: {a!r:.60}")
    else:
        raise ArgumentError(f"choose: mode is 'raise', 'wrap' or 'clip', not {mode!r}")
    shape = broadcast("choose", a.shape, *(x.shape for x in arrays))
    y = arrays[-1]
    for number in range(count - 2, -1, -1):
        y = select(index == number, arrays[number], y)
    return broadcast_to(y, shape)


def _true_positions(name: str, condition: Any) -> Any:
    """Return where a condition holds: the shape of the result depends on it."""
    flat = ravel(array(name, condition))
    return np.flatnonzero(concrete(name, flat, "write bprop.where(condition, x, 0)"))


@numpy_rule(np.compress)
def _compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Array:
    condition = array("compress", condition)
    if condition.ndim != 1:
        raise ShapeError(f"compress: the condition is a vector, not of shape {condition.shape}")
    x, axis = flat_without_axis(array("compress", a), axis)
    axis = normalise_axis("compress", axis, x.ndim, x.shape)
    positions = _true_positions("compress", condition)
    if positions.size and positions[-1] >= x.shape[axis]:
        raise IndexingError(
            f"compress: entry {positions[-1]} of the condition holds, axis {axis} of {x.shape} has fewer"
        )
    return take(x, positions, axis=axis)


@numpy_rule(np.extract)
def _extract(condition: Any, arr: Any) -> Array:
    x = ravel(arr)
    positions = _true_positions("extract", condition)
    if positions.size and positions[-1] >= x.size:
        raise IndexingError(f"extract: entry {positions[-1]} of the condition holds, there are {x.size} entries")
    return take(x, positions, axis=0)


# --- by positions ---
@numpy_rule(np.take)
def _take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Array:
    x, axis = flat_without_axis(array("take", a), axis)
    axis = normalise_axis("take", axis, x.ndim, x.shape)
    indices, size = array("take", indices), x.shape[axis]
    if mode in ("wrap", "clip"):
        if size == 0 and prod(indices.shape):
            raise IndexingError(f"take: axis {axis} of shape {x.shape} is empty")
        indices = indices % size if mode == "wrap" else clip(indices, 0, size - 1)
    elif mode != "raise":
        raise ArgumentError(f"take: mode is 'raise', 'wrap' or 'clip', not {mode!r}")
    return take(x, indices, axis=axis)


@numpy_rule(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Array:
    x, axis = flat_without_axis(array("take_along_axis", arr), axis)
    return take_along_axis(x, indices, axis=axis)
