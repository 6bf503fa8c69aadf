"""``x[index]``: an index becomes a slice, a reshape and at most one gather, all linear in x.

Basic indexing (integers, slices, ``None``, ``...``) is the slice and the reshape, advanced indexing (integer arrays and
masks) the gather. Several index arrays follow NumPy's rules: they broadcast, and one flat index into their axes joined
together stands for all of them. Their axes come where the first of them stood, or in front if slices stand between.
What is read can be written back by the same steps in reverse (`bprop.ops.at`).

**Source:** NumPy, advanced indexing.
"""

from functools import lru_cache
from math import prod
from operator import index as as_integer
from types import EllipsisType
from typing import Any

import numpy as np

from ..core.error import IndexingError, ShapeError
from ..core.foreign_array import is_array_like
from ..core.function import function
from ..core.op import array
from ..core.shape import Shape, broadcast, normalise_axis
from ..core.value import Array, asarray
from .creation import arange
from .indexing import embed_op, flat_index, scatter_add_op, slice_op, take_op
from .manipulation import broadcast_to, permute_dims, reshape, reshape_op

__all__ = ["take_along_axis"]

_PLAIN = frozenset((int, slice, type(None), EllipsisType))


class Subscript:
    """An index resolved against the shape of an array x: which entries, in which order.

    Reading ``x[index]`` takes three steps, each linear in x; writing goes back through them.

    1. `slice`: ``slices`` has (start, count, step) for every axis of x. The result is reshaped to ``sliced_shape``:
       axes of integers are gone, axes of ``None`` are there with size 1.
    2. `to_rows`: the axes that have an index array move to the front and become one axis. ``index_arrays`` are pairs
       (axis of ``sliced_shape``, integer array), ``indexed_axes`` the axes of x that they belong to. They broadcast
       to one array, `row_indices`, which takes rows from that axis.
    3. `place_index_axes`: the axes of `row_indices` come behind ``leading`` others. NumPy's rule: where the first index
       array stood if all stand side by side, else in front.
    """

    __slots__ = ("index", "index_arrays", "indexed_axes", "leading", "rows", "shape", "sliced_shape", "slices")

    def __init__(self, shape: Shape, index: Any) -> None:
        self.shape = shape
        self.index = index
        self.rows: Array | None = None
        self.index_arrays: list[tuple[int, Array]] = []
        self.indexed_axes: list[int] = []
        terms, consumed = self._terms(index)
        if consumed > len(shape):
            raise self._error(f"{consumed} indices for an array of shape {shape}")
        slices: list[tuple[int, int, int]] = []
        sliced: list[int] = []
        # of integers and index arrays: the number of the term, and how many axes of `sliced_shape` come before it
        advanced: list[tuple[int, int]] = []

        def keep(count: int) -> None:
            for size in shape[len(slices) : len(slices) + count]:
                slices.append((0, size, 1))
                sliced.append(size)

        for number, term in enumerate(terms):
            axis = len(slices)
            if type(term) is int:
                advanced.append((number, len(sliced)))
                slices.append((self._in_range(term, axis), 1, 1))
            elif type(term) is slice:
                slices.append(self._resolved(term, axis))
                sliced.append(slices[-1][1])
            elif term is None:
                sliced.append(1)
            elif term is Ellipsis:
                keep(len(shape) - consumed)
            elif term.dtype.kind == "b" and not term.ndim:  # a new axis, of size 1 or 0
                advanced.append((number, len(sliced)))
                self.index_arrays.append((len(sliced), self._nonzero(term, axis)[0]))
                self.indexed_axes.append(axis)
                sliced.append(1)
            else:
                advanced.append((number, len(sliced)))
                for indices in self._nonzero(term, axis) if term.dtype.kind == "b" else (term,):
                    self.index_arrays.append((len(sliced), indices))
                    self.indexed_axes.append(len(slices))
                    keep(1)
        keep(len(shape) - len(slices))
        self.slices = tuple(slices)
        self.sliced_shape = tuple(sliced)
        adjacent = bool(advanced) and advanced[-1][0] - advanced[0][0] == len(advanced) - 1
        self.leading = advanced[0][1] if self.index_arrays and adjacent else 0

    def _in_range(self, position: int, axis: int) -> int:
        """Return an integer index counted from the front."""
        size = self.shape[axis]
        if not -size <= position < size:
            raise self._outside(position, axis)
        return position % size

    def _resolved(self, term: slice, axis: int) -> tuple[int, int, int]:
        """Return a slice as (start, count, step)."""
        try:
            start, stop, step = term.indices(self.shape[axis])
        except (TypeError, ValueError) as error:
            raise self._error(str(error)) from None
        return start, len(range(start, stop, step)), step

    def _terms(self, index: Any) -> tuple[Any, int]:
        """Return the terms of an index, each a Python integer, a slice, ``None``, ``...`` or an `Array`, and how many
        axes they take.
        """
        terms = index if type(index) is tuple else (index,)
        for term in terms:
            if type(term) not in _PLAIN:
                terms = tuple(map(self._term, terms))
                break
        consumed = dots = 0
        for term in terms:
            if term is Ellipsis:
                dots += 1
            elif term is not None:
                consumed += term.ndim if _is_mask(term) else 1
        if dots > 1:
            raise self._error("'...' stands for all other axes, so it can be there only once")
        return terms, consumed

    def _term(self, term: Any) -> Any:
        if type(term) in _PLAIN:
            return term
        if isinstance(term, Array | np.ndarray | list):
            indices = array("x[index]", term)
            if isinstance(term, list) and not indices.size:
                indices = asarray(indices.data.astype(np.int64), copy=False)
            if indices.dtype.kind not in "biu":
                raise self._error(f"indices are integers or a mask, not {indices.spec}")
            number = type(indices) is Array and not indices.ndim and indices.dtype.kind != "b"
            return int(indices.data) if number else indices
        if isinstance(term, bool | np.bool_):
            raise self._error("True and False are no indices: write bprop.where")
        try:
            return as_integer(term)
        except TypeError:
            if is_array_like(term):
                return self._term(array("x[index]", term))
            raise self._error(f"{type(term).__name__} is no index") from None

    def _nonzero(self, mask: Array, axis: int) -> tuple[Array, ...]:
        """Return the positions where a mask holds, one index array for each of its axes; of a mask without axes 0 or none.

        An axis of a mask may have size 0, as in NumPy: it holds nowhere.
        """
        numbers = mask.concrete()
        if numbers is None or numbers.shape != mask.shape:  # traced, or one mask for every entry of a batch
            raise IndexingError(
                f"x[mask]: the shape of the result depends on the numbers of the mask {mask.spec}, which are not known "
                f"while tracing, compiling or in vmap: write bprop.where(mask, x, 0), or index with integers"
            )
        masked_shape = self.shape[axis : axis + mask.ndim]
        if len(masked_shape) < mask.ndim or any(
            size not in (0, extent) for size, extent in zip(numbers.shape, masked_shape, strict=True)
        ):
            raise self._error(
                f"a mask of shape {numbers.shape} for axes of shape {masked_shape} of an array of shape {self.shape}"
            )
        return tuple(map(Array, np.nonzero(numbers if mask.ndim else numbers[None])))

    def _error(self, what: str) -> IndexingError:
        return IndexingError(f"x[{_shown(self.index)}]: {what}")

    def _outside(self, position: int, axis: int) -> IndexingError:
        return self._error(f"index {position} is out of range for axis {axis} of shape {self.shape}")

    # --- reading ---
    def read(self, x: Any) -> Any:
        """Return the entries of ``x``."""
        y = self.slice(x)
        if not self.index_arrays:
            return y
        row_indices = self.row_indices()
        try:
            return self.place_index_axes(take_op(self.to_rows(y), row_indices), row_indices.ndim)
        except IndexingError:
            self.check()
            raise

    def slice(self, x: Any) -> Any:
        """Return what the slices leave of ``x``, in the shape ``sliced_shape``."""
        if not self.keeps_all:
            x = slice_op(x, slices=self.slices)
        return x if x.shape == self.sliced_shape else reshape_op(x, shape=self.sliced_shape)

    @property
    def keeps_all(self) -> bool:
        """Whether the slices leave every entry where it is."""
        for (start, count, step), size in zip(self.slices, self.shape, strict=True):
            if start or count != size or step != 1:
                return False
        return True

    def _axes_in_front(self) -> tuple[int, ...]:
        """Return the axes of ``sliced_shape`` in the order of `to_rows`: those with an index array, then the others."""
        axes = tuple(axis for axis, _ in self.index_arrays)
        return (*axes, *(axis for axis in range(len(self.sliced_shape)) if axis not in axes))

    def to_rows(self, y: Any) -> Any:
        """Return ``y`` of shape ``sliced_shape`` with the axes that have an index array in front, joined into one."""
        count = len(self.index_arrays)
        if self.index_arrays[-1][0] != count - 1:
            y = permute_dims(y, self._axes_in_front())
        return y if count == 1 else reshape(y, (prod(y.shape[:count]), *y.shape[count:]))

    def place_index_axes(self, y: Any, rank: int) -> Any:
        """Return ``y``, whose first ``rank`` axes are those of `row_indices`, with them behind ``leading`` others."""
        return permute_dims(y, self._result_axes(y.ndim, rank)) if self.leading else y

    def _result_axes(self, ndim: int, rank: int) -> tuple[int, ...]:
        """Return the axes of an array of rows in the order of the result."""
        stop = rank + self.leading
        return (*range(rank, stop), *range(rank), *range(stop, ndim))

    @property
    def result_shape(self) -> Shape:
        """Shape of ``x[index]``."""
        if not self.index_arrays:
            return self.sliced_shape
        others = [self.sliced_shape[axis] for axis in self._axes_in_front()[len(self.index_arrays) :]]
        return (*others[: self.leading], *self.row_indices().shape, *others[self.leading :])

    @property
    def row_count(self) -> int:
        """Size of the axis that `to_rows` makes."""
        return prod(self.sliced_shape[axis] for axis, _ in self.index_arrays)

    def row_indices(self) -> Any:
        """Return the one array of indices into the axis that `to_rows` makes."""
        if self.rows is None:
            arrays = [indices for _, indices in self.index_arrays]
            self.rows = arrays[0] if len(arrays) == 1 else self._joined(arrays)
        return self.rows

    def _joined(self, arrays: list[Array]) -> Array:
        """Return the flat index, row-major, that stands for several index arrays."""
        try:
            shape = broadcast("", *(indices.shape for indices in arrays))
        except ShapeError:
            shapes = " and ".join(str(indices.shape) for indices in arrays)
            raise self._error(f"index arrays of shapes {shapes} do not broadcast together") from None
        if prod(shape):  # else nothing is read, and NumPy does not look either
            self.check()
        sizes = [self.sliced_shape[axis] for axis, _ in self.index_arrays]
        if any(type(indices) is not Array for indices in arrays) or not prod(shape):
            return broadcast_to(flat_index(arrays, sizes), shape)
        flat: Any = 0
        for indices, size in zip(arrays, sizes, strict=True):
            flat = flat * size + indices.data % size
        return Array(flat)

    def check(self) -> None:
        """Raise if an index that has a number is outside its axis."""
        for (position, indices), axis in zip(self.index_arrays, self.indexed_axes, strict=True):
            numbers, size = indices.concrete(), self.sliced_shape[position]
            if numbers is not None and numbers.size:
                for extreme in (int(numbers.max()), int(numbers.min())):
                    if not -size <= extreme < size:
                        raise self._outside(extreme, axis)

    # --- writing: the same steps back ---
    def index_axes_in_front(self, v: Any, rank: int) -> Any:
        """Return ``v``, which has the shape of the result, with the ``rank`` index axes in front."""
        axes = self._result_axes(v.ndim, rank)
        return permute_dims(v, tuple(axes.index(axis) for axis in range(v.ndim)))

    def from_rows(self, y: Any) -> Any:
        """Return ``y``, as `to_rows` makes it, in the shape ``sliced_shape``."""
        axes = self._axes_in_front()
        y = reshape(y, tuple(self.sliced_shape[axis] for axis in axes))
        return permute_dims(y, tuple(axes.index(axis) for axis in range(len(axes))))

    def embed(self, y: Any) -> Any:
        """Return ``y`` of shape ``sliced_shape`` among zeros, in the shape of x: the adjoint of `slice`."""
        y = reshape(y, tuple(count for _, count, _ in self.slices))
        return y if self.keeps_all else embed_op(y, shape=self.shape, slices=self.slices)

    def scatter_add(self, v: Any) -> Any:
        """Return ``v`` added up where it belongs in zeros of the shape of x: the adjoint of `read`."""
        if self.index_arrays:
            row_indices = self.row_indices()
            rows = self.index_axes_in_front(v, row_indices.ndim)
            try:
                v = self.from_rows(scatter_add_op(rows, row_indices, size=self.row_count))
            except IndexingError:
                self.check()
                raise
        return self.embed(v)

    def slice_mask(self) -> Any:
        """Return where the slices are, as a mask that broadcasts to the shape of x."""
        mask = np.ones((), bool)
        for axis, (size, (start, count, step)) in enumerate(zip(self.shape, self.slices, strict=True)):
            line = np.zeros(size, bool)
            line[start + step * np.arange(count)] = True
            if not line.all():
                mask = mask & line.reshape(-1, *(1,) * (len(self.shape) - 1 - axis))
        return asarray(mask, copy=False)


def _is_mask(term: Any) -> bool:
    return isinstance(term, Array) and term.dtype.kind == "b"


def _shown(index: Any) -> str:
    return f"{index!s:.40}"


@function()
def getitem(x: Any, index: Any, /) -> Array:
    """Return ``x[index]``: integers, slices, ``...``, ``None``, integer arrays and masks, in any combination, as NumPy
    does. The adjoint adds each cotangent to the entry it came from.

    The shape of ``x[mask]`` depends on the numbers of the mask, so it works where they are known: not while tracing or
    compiling, nor in vmap; write `bprop.where` there. Raises `IndexingError` naming index, axis and shape.

    **Source:** Python Array API standard 2024.12, indexing; NumPy, advanced indexing.

    >>> import bprop
    >>> x = bprop.arange(6).reshape(2, 3)
    >>> x[1, ::2]
    Array([3, 5])
    >>> x[[0, 1, 1], [2, 0, 2]]
    Array([2, 3, 5])
    """
    x = array("getitem", x)
    terms = _basic_terms(index)
    if terms is None:
        return Subscript(x.shape, index).read(x)
    slices, shape = _basic(x.shape, terms)
    if slices is not None:
        x = slice_op(x, slices=slices)
    return x if shape is None else reshape_op(x, shape=shape)


_BOUNDS = frozenset((int, type(None)))


def _basic_terms(index: Any) -> tuple[Any, ...] | None:
    """Return an index of integers, slices, ``None`` and ``...`` as a key, slices as tuples; ``None`` for any other."""
    terms = []
    for term in index if type(index) is tuple else (index,):
        if type(term) is slice:
            start, stop, step = term.start, term.stop, term.step
            if type(start) not in _BOUNDS or type(stop) not in _BOUNDS or type(step) not in _BOUNDS:
                return None
            terms.append((start, stop, step))
        elif type(term) in _PLAIN:
            terms.append(term)
        else:
            return None
    return tuple(terms)


@lru_cache(maxsize=4096)
def _basic(shape: Shape, terms: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return the slices of an index and the shape that they are given; ``None`` where that changes nothing."""
    index = tuple(slice(*term) if type(term) is tuple else term for term in terms)
    subscript = Subscript(shape, index if len(index) != 1 else index[0])
    counts = tuple(count for _, count, _ in subscript.slices)
    reshaped = None if counts == subscript.sliced_shape else subscript.sliced_shape
    return None if subscript.keeps_all else subscript.slices, reshaped


@function()
def take_along_axis(x: Any, indices: Any, /, axis: int = -1) -> Array:
    """y[…, i, …] = x[…, indices[…, i, …], …]: every line along ``axis`` is indexed by its own line of ``indices``.

    ``indices``: integers with as many axes as ``x``; the other axes broadcast. What `bprop.argsort` returns puts the
    entries in order. Raises `IndexingError` naming an index out of range.

    **Source:** Python Array API standard 2024.12, ``take_along_axis``.

    >>> import bprop
    >>> bprop.take_along_axis(bprop.asarray([[3.0, 1.0], [2.0, 5.0]]), [[1], [0]], axis=1)
    Array([[1.],
           [2.]])
    """
    x, indices = array("take_along_axis", x), array("take_along_axis", indices)
    if indices.ndim != x.ndim:
        raise ShapeError(f"take_along_axis: indices of shape {indices.shape} need as many axes as shape {x.shape}")
    if indices.dtype.kind not in "iu":
        raise IndexingError(f"take_along_axis: indices are integers, not {indices.dtype}")
    axis = normalise_axis("take_along_axis", axis, x.ndim, x.shape)
    others = [1 if position == axis else size for position, size in enumerate(x.shape)]
    broadcast("take_along_axis", tuple(others), (*indices.shape[:axis], 1, *indices.shape[axis + 1 :]))
    lines = [
        indices if position == axis else reshape(arange(size), (size, *(1,) * (x.ndim - 1 - position)))
        for position, size in enumerate(x.shape)
    ]
    return Subscript(x.shape, tuple(lines)).read(x)
