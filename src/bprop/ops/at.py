"""``x.at[index].set(v)``: a copy of x with some entries written. What is overwritten has no derivative any more."""

from typing import Any

import numpy as np

from ..core.error import DTypeError, IndexingError, ShapeError
from ..core.family import General
from ..core.function import function
from ..core.op import array
from ..core.value import Array
from .data_type import astype
from .indexing import take_op
from .manipulation import broadcast_to, reshape
from .selection import where
from .subscript import Subscript

__all__: list[str] = []  # found as `x.at`


# --- who wrote last; positions along the last axis, -1 for nobody ---
def _last_value(targets: Any, n: int) -> Any:
    y = np.full((*targets.shape[:-1], n), -1, np.int64)
    try:  # of repeated targets the last assignment stays
        np.put_along_axis(y, targets, np.broadcast_to(np.arange(targets.shape[-1]), targets.shape), axis=-1)
    except IndexError:
        worst = targets.flat[np.argmax(np.abs(targets.astype(np.int64) * 2 + 1))]
        raise IndexingError(f"at: index {worst} is out of range for an axis of size {n}") from None
    return y


def _previous_value(targets: Any) -> Any:
    order = np.argsort(targets, axis=-1, kind="stable")
    placed = np.take_along_axis(targets, order, axis=-1)
    repeated = placed[..., 1:] == placed[..., :-1]
    y = np.full(targets.shape, -1, np.int64)
    np.put_along_axis(y, order[..., 1:], np.where(repeated, order[..., :-1], -1), axis=-1)
    return y


_last = General(
    "last_writer",
    _last_value,
    signature="(k)->(n)",
    extents=lambda sizes, n: {"n": n},
    dtype=np.int64,
    examples=lambda draw: [
        ((np.array(targets, np.int64),), {"n": 4})
        for targets in ([2, 0, 2, -1], [[1, 1, 0], [3, 3, 3]], np.zeros((0,)), np.zeros((2, 0)))
    ],
    doc="For each of n places the last k with targets[k] at it, -1 where there is none.",
)

_previous = General(
    "previous_writer",
    _previous_value,
    signature="(k)->(k)",
    dtype=np.int64,
    examples=lambda draw: [
        ((np.array(targets, np.int64),), {})
        for targets in ([2, 0, 2, 2, 0], [[1, 1, 0], [3, 2, 3]], np.zeros((0,)), np.zeros((2, 0)))
    ],
    doc="For each target the position of the latest one before it that is equal, -1 where there is none.",
)


_RANK = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


class At:
    """``x.at``: index it to say which entries.

    >>> import bprop
    >>> bprop.zeros(3).at[1:].set(5.0)
    Array([0., 5., 5.])
    """

    __slots__ = ("x",)

    def __init__(self, x: Array) -> None:
        self.x = x

    def __getitem__(self, index: Any) -> "Entries":
        return Entries(self.x, index)

    def __repr__(self) -> str:
        return f"{self.x!r}.at"


class Entries:
    """``x.at[index]``: entries of x. Its methods return a new array, x itself never changes.

    ``index``: anything that ``x[index]`` takes; ``v`` broadcasts to the shape of ``x[index]`` and is converted to the
    dtype of ``x``. Raises `ShapeError` where v does not broadcast, `DTypeError` where it would lose
    fractions, `IndexingError` as ``x[index]`` does.

    **Source:** JAX, ``jax.numpy.ndarray.at``; NumPy for repeated indices.

    >>> import bprop
    >>> x = bprop.asarray([1.0, 2.0, 3.0])
    >>> x.at[[0, 0, 2]].add(10.0)
    Array([21.,  2., 13.])
    >>> bprop.grad(lambda x: bprop.sum(x.at[0].set(5.0) ** 2))(x)
    Array([0., 4., 6.])
    """

    __slots__ = ("subscript", "x")

    def __init__(self, x: Array, index: Any) -> None:
        self.x = x
        self.subscript = Subscript(x.shape, index)

    def __repr__(self) -> str:
        return f"<x.at[{self.subscript.index!s:.40}] of {self.x.spec}>"

    def get(self) -> Array:
        """Return ``x[index]``."""
        entries: Array = self.subscript.read(self.x)
        return entries

    def set(self, v: Any) -> Array:
        """Return x with ``v`` at the entries; where an index is repeated, the last value stays.

        The cotangent of what is written goes to v (to the value that stays), that of the rest to x.
        """
        subscript, v = self.subscript, self._value("set", v)
        if not v.size:
            return self.x
        if subscript.index_arrays:
            indices, base = subscript.row_indices(), subscript.to_rows(subscript.slice(self.x))
            v = subscript.index_axes_in_front(v, indices.ndim)
            v = reshape(v, (indices.size, *base.shape[1:]))
            try:
                last = _last(reshape(indices, (indices.size,)), n=base.shape[0])
            except IndexingError:
                subscript.check()
                raise
            written = reshape(last >= 0, (*last.shape, *(1,) * (base.ndim - 1)))
            v = subscript.from_rows(where(written, take_op(v, where(last < 0, 0, last)), base))
        v = subscript.embed(v)
        return v if subscript.keeps_all else where(subscript.slice_mask(), v, self.x)

    def add(self, v: Any) -> Array:
        """Return x with ``v`` added to the entries; where an index is repeated, every value counts."""
        return self.x + self.subscript.scatter_add(self._value("add", v))

    def multiply(self, v: Any) -> Array:
        """Return x with the entries multiplied by ``v``; where an index is repeated, every value counts.

        The products of all values for one entry are formed by pointer jumping: each value is multiplied by that of the
        previous writer of its entry, then of the one twice as far back, and so on, until the last writer has them all.

        **Source:** Wyllie (1979), The Complexity of Parallel Computations, ch. 4, for pointer jumping.
        """
        subscript, v = self.subscript, self._value("multiply", v)
        if subscript.index_arrays and v.size:
            indices = subscript.row_indices()
            v = subscript.index_axes_in_front(v, indices.ndim)
            products = self._products(indices, reshape(v, (indices.size, *v.shape[indices.ndim :])))
            v = subscript.place_index_axes(reshape(products, v.shape), indices.ndim)
        return self.set(self.get() * v)

    def _products(self, indices: Array, v: Any) -> Any:
        """Return every row of ``v`` times all earlier ones for the same entry."""
        flat = reshape(indices, (indices.size,))
        previous = _previous(where(flat < 0, flat + self.subscript.row_count, flat))
        distance = 1
        while distance < indices.size:
            numbers = previous.concrete()
            if numbers is not None and (numbers < 0).all():
                break
            has_previous = previous >= 0
            pointer = where(has_previous, previous, 0)
            column = reshape(has_previous, (indices.size, *(1,) * (v.ndim - 1)))
            v = v * where(column, take_op(v, pointer), 1)
            previous = where(has_previous, take_op(previous, pointer), -1)
            distance *= 2
        return v

    def _value(self, name: str, v: Any) -> Array:
        """Return a value in the dtype of x and the shape of the entries."""
        v, dtype, shape = array(f"at.{name}", v), self.x.dtype, self.subscript.result_shape
        if _RANK[v.dtype.kind] > _RANK[dtype.kind]:
            raise DTypeError(f"at.{name}: {v.dtype} values do not fit in an array of {dtype}: convert with .astype")
        try:
            return broadcast_to(astype(v, dtype), shape)
        except ShapeError:
            raise ShapeError(
                f"at.{name}: a value of shape {v.shape} does not broadcast to the entries' shape {shape}"
            ) from None


@function()
def at(x: Any, /) -> At:
    """Return ``x.at``, whose index says which entries to write."""
    return At(array("at", x))
