"""``x[index]``: an index becomes a slice, a reshape and at most one gather, all linear in x.

Integer arrays, several of them and combined with slices, follow NumPy's rules: they broadcast, one flat index into
their axes joined together stands for all of them, and their own axes come where the first of them stood, or in front if
slices stand between. What is read can be written back by the same steps in reverse (`bprop.ops.at`).
"""

from math import prod
from operator import index as as_integer
from types import EllipsisType
from typing import Any

import numpy as np

from ..core.error import IndexingError, ShapeError
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
    """An index resolved against a shape.

    ``slices`` (start, count, step) cut every axis, ``cut`` is the shape then, without the axes of integers and with new
    ones; ``gathers`` are (axis of ``cut``, integer array), ``sources`` their axes of x, and ``place`` says behind how many
    of the other axes theirs come in the result.
    """

    __slots__ = ("cut", "flat", "gathers", "index", "place", "shape", "slices", "sources")

    def __init__(self, shape: Shape, index: Any) -> None:
        self.shape = shape
        self.index = index
        self.flat: Array | None = None
        parts, consumed = self._parts(index)
        if consumed > len(shape):
            raise self._error(f"{consumed} indices for an array of shape {shape}")
        slices: list[tuple[int, int, int]] = []
        cut: list[int] = []
        self.gathers: list[tuple[int, Array]] = []
        self.sources: list[int] = []
        # of integers and integer arrays: the number of the part, and how many axes of `cut` come before it
        chosen: list[tuple[int, int]] = []
        for number, part in enumerate(parts):
            axis = len(slices)
            if type(part) is int:
                size = shape[axis]
                if not -size <= part < size:
                    raise self._outside(part, axis)
                chosen.append((number, len(cut)))
                slices.append((part % size, 1, 1))
            elif type(part) is slice:
                try:
                    start, stop, step = part.indices(shape[axis])
                except (TypeError, ValueError) as error:
                    raise self._error(str(error)) from None
                count = len(range(start, stop, step))
                slices.append((start, count, step))
                cut.append(count)
            elif part is None:
                cut.append(1)
            elif part is Ellipsis:
                whole = shape[axis : axis + len(shape) - consumed]
                slices.extend((0, size, 1) for size in whole)
                cut.extend(whole)
            else:
                chosen.append((number, len(cut)))
                for indices in self._nonzero(part, axis) if part.dtype.kind == "b" else (part,):
                    self.gathers.append((len(cut), indices))
                    self.sources.append(len(slices))
                    cut.append(shape[len(slices)])
                    slices.append((0, shape[len(slices)], 1))
        whole = shape[len(slices) :]
        slices.extend((0, size, 1) for size in whole)
        cut.extend(whole)
        self.slices = tuple(slices)
        self.cut = tuple(cut)
        self.place = 0
        if self.gathers and chosen[-1][0] - chosen[0][0] == len(chosen) - 1:
            self.place = chosen[0][1]

    def _parts(self, index: Any) -> tuple[Any, int]:
        """Return the parts of an index, each a Python integer, a slice, ``None``, ``...`` or an `Array`, and how many
        axes they take.
        """
        parts = index if type(index) is tuple else (index,)
        for part in parts:
            if type(part) not in _PLAIN:
                parts = tuple(map(self._part, parts))
                break
        consumed = dots = 0
        for part in parts:
            if part is Ellipsis:
                dots += 1
            elif part is not None:
                consumed += part.ndim if _is_mask(part) else 1
        if dots > 1:
            raise self._error("'...' stands for all other axes, so it can be there only once")
        return parts, consumed

    def _part(self, part: Any) -> Any:
        if type(part) in _PLAIN:
            return part
        if isinstance(part, Array | np.ndarray | list):
            indices = array("x[index]", part)
            if isinstance(part, list) and not indices.size:
                indices = asarray(indices.data.astype(np.int64), copy=False)
            if indices.dtype.kind not in "biu" or (indices.dtype.kind == "b" and not indices.ndim):
                raise self._error(f"indices are integers or a mask with axes, not {indices.spec}")
            return int(indices.data) if type(indices) is Array and not indices.ndim else indices
        if isinstance(part, bool | np.bool_):
            raise self._error("True and False are no indices: write bprop.where")
        try:
            return as_integer(part)
        except TypeError:
            raise self._error(f"{type(part).__name__} is no index") from None

    def _nonzero(self, mask: Array, axis: int) -> tuple[Array, ...]:
        """Return the positions where a mask holds, one index array for each of its axes."""
        numbers = mask.concrete()
        if numbers is None or numbers.shape != mask.shape:  # traced, or one mask for every entry of a batch
            raise IndexingError(
                f"x[mask]: the shape of the result depends on the numbers of the mask {mask.spec}, which are not known "
                f"while tracing, compiling or in vmap: write bprop.where(mask, x, 0), or index with integers"
            )
        own = self.shape[axis : axis + mask.ndim]
        if numbers.shape != own:
            raise self._error(
                f"a mask of shape {numbers.shape} for axes of shape {own} of an array of shape {self.shape}"
            )
        return tuple(map(Array, np.nonzero(numbers)))

    def _error(self, what: str) -> IndexingError:
        return IndexingError(f"x[{_shown(self.index)}]: {what}")

    def _outside(self, position: int, axis: int) -> IndexingError:
        return self._error(f"index {position} is out of range for axis {axis} of shape {self.shape}")

    # --- reading ---
    def read(self, x: Any) -> Any:
        """Return the entries of ``x``."""
        y = self.slice(x)
        if not self.gathers:
            return y
        rows = self.rows()
        try:
            return self.spread(take_op(self.front(y), rows), rows.ndim)
        except IndexingError:
            self.check()
            raise

    def slice(self, x: Any) -> Any:
        """Return what the slices leave of ``x``, in the shape ``cut``."""
        if not self.whole:
            x = slice_op(x, slices=self.slices)
        return x if x.shape == self.cut else reshape_op(x, shape=self.cut)

    @property
    def whole(self) -> bool:
        """Whether the slices leave every entry in its place."""
        for (start, count, step), size in zip(self.slices, self.shape, strict=True):
            if start or count != size or step != 1:
                return False
        return True

    def front(self, y: Any) -> Any:
        """Return ``y`` of shape ``cut`` with the gathered axes in front, joined into one."""
        axes = tuple(axis for axis, _ in self.gathers)
        rest = tuple(axis for axis in range(len(self.cut)) if axis not in axes)
        if axes[-1] != len(axes) - 1:
            y = permute_dims(y, (*axes, *rest))
        return y if len(axes) == 1 else reshape(y, (prod(y.shape[: len(axes)]), *y.shape[len(axes) :]))

    def spread(self, y: Any, rank: int) -> Any:
        """Return ``y``, whose first ``rank`` axes are those of the index arrays, with them in their place."""
        return permute_dims(y, self.order(y.ndim, rank)) if self.place else y

    def order(self, ndim: int, rank: int) -> tuple[int, ...]:
        """Return which axes of what was gathered the axes of the result are."""
        stop = rank + self.place
        return (*range(rank, stop), *range(rank), *range(stop, ndim))

    @property
    def result(self) -> Shape:
        """Shape of ``x[index]``."""
        if not self.gathers:
            return self.cut
        axes = [axis for axis, _ in self.gathers]
        rest = [size for axis, size in enumerate(self.cut) if axis not in axes]
        return (*rest[: self.place], *self.rows().shape, *rest[self.place :])

    @property
    def size(self) -> int:
        """Extent of the axis that `front` makes."""
        return prod(self.cut[axis] for axis, _ in self.gathers)

    def rows(self) -> Any:
        """Return the index into the axis that `front` makes."""
        if self.flat is None:
            arrays = [indices for _, indices in self.gathers]
            self.flat = arrays[0] if len(arrays) == 1 else self._joined(arrays)
        return self.flat

    def _joined(self, arrays: list[Array]) -> Array:
        """Return the one index that stands for several."""
        try:
            shape = broadcast("", *(indices.shape for indices in arrays))
        except ShapeError:
            shapes = " and ".join(str(indices.shape) for indices in arrays)
            raise self._error(f"index arrays of shapes {shapes} do not broadcast together") from None
        if prod(shape):  # else nothing is read, and NumPy does not look either
            self.check()
        sizes = [self.cut[axis] for axis, _ in self.gathers]
        if any(type(indices) is not Array for indices in arrays) or not prod(shape):
            return broadcast_to(flat_index(arrays, sizes), shape)
        flat: Any = 0
        for indices, size in zip(arrays, sizes, strict=True):
            flat = flat * size + indices.data % size
        return Array(flat)

    def check(self) -> None:
        """Raise if an index whose number is known is outside its axis."""
        for (_, indices), axis in zip(self.gathers, self.sources, strict=True):
            numbers, size = indices.concrete(), self.shape[axis]
            if numbers is not None and numbers.size:
                for worst in (int(numbers.max()), int(numbers.min())):
                    if not -size <= worst < size:
                        raise self._outside(worst, axis)

    # --- writing: the same steps back ---
    def gathered(self, v: Any, rank: int) -> Any:
        """Return ``v``, which has the shape of the result, with the axes of the index arrays in front."""
        order = self.order(v.ndim, rank)
        return permute_dims(v, tuple(order.index(axis) for axis in range(v.ndim)))

    def back(self, y: Any) -> Any:
        """Return ``y``, as `front` makes it, in the shape ``cut``."""
        axes = [axis for axis, _ in self.gathers]
        rest = [axis for axis in range(len(self.cut)) if axis not in axes]
        y = reshape(y, tuple(self.cut[axis] for axis in (*axes, *rest)))
        return permute_dims(y, tuple((*axes, *rest).index(axis) for axis in range(len(self.cut))))

    def embedded(self, y: Any) -> Any:
        """Return ``y`` of shape ``cut`` among zeros, in the shape of x."""
        y = reshape(y, tuple(count for _, count, _ in self.slices))
        return y if self.whole else embed_op(y, shape=self.shape, slices=self.slices)

    def scattered(self, v: Any) -> Any:
        """Return ``v`` added up where it belongs in zeros of the shape of x: the adjoint of reading."""
        if self.gathers:
            rows = self.rows()
            try:
                v = self.back(scatter_add_op(self.gathered(v, rows.ndim), rows, size=self.size))
            except IndexingError:
                self.check()
                raise
        return self.embedded(v)

    def written(self) -> Any:
        """Return where the slices are, as a mask that broadcasts to the shape of x."""
        mask = np.ones((), bool)
        for axis, (size, (start, count, step)) in enumerate(zip(self.shape, self.slices, strict=True)):
            line = np.zeros(size, bool)
            line[start + step * np.arange(count)] = True
            if not line.all():
                mask = mask & line.reshape(-1, *(1,) * (len(self.shape) - 1 - axis))
        return asarray(mask, copy=False)


def _is_mask(part: Any) -> bool:
    return isinstance(part, Array) and part.dtype.kind == "b"


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
    return Subscript(x.shape, index).read(x)


@function(np.take_along_axis)
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
    place = normalise_axis("take_along_axis", axis, x.ndim, x.shape)
    others = [1 if number == place else size for number, size in enumerate(x.shape)]
    broadcast("take_along_axis", tuple(others), (*indices.shape[:place], 1, *indices.shape[place + 1 :]))
    lines = [
        indices if number == place else reshape(arange(size), (size, *(1,) * (x.ndim - 1 - number)))
        for number, size in enumerate(x.shape)
    ]
    return Subscript(x.shape, tuple(lines)).read(x)
