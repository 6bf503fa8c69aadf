"""Triangles and diagonals of matrices."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import device as devices
from ..core import dtype as dtypes
from ..core.error import ShapeError
from ..core.function import function
from ..core.number import numpy_integer
from ..core.op import array
from ..core.shape import normalise_axis, normalise_shape
from ..core.value import Array
from .comparison import equal, less_equal
from .creation import arange
from .data_type import astype
from .indexing import embed_op, slice_op
from .manipulation import broadcast_to, moveaxis, reshape
from .reduction import sum
from .selection import where

__all__ = ["diag", "diagonal", "eye", "tri", "tril", "triu"]


def _rows_and_columns(name: str, rows: Any, columns: Any, k: int) -> tuple[Array, Array]:
    """Return row numbers shifted by ``k`` and column numbers, broadcasting to a matrix."""
    n, m = normalise_shape(name, (rows, rows if columns is None else columns))
    k = numpy_integer(f"{name}: k", k)
    return reshape(arange(k, k + n), (n, 1)), arange(m)


def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: DTypeLike | None = None, device: str | None = None
) -> Array:
    """Return a matrix with ones on the ``k``-th diagonal (above the main one for k > 0) and zeros elsewhere.

    **Source:** Python Array API standard 2024.12, ``eye``.

    >>> import bprop
    >>> bprop.eye(2)
    Array([[1., 0.],
           [0., 1.]])
    """
    devices.check(device, "eye")
    rows, columns = _rows_and_columns("eye", n_rows, n_cols, k)
    return astype(equal(columns, rows), dtypes.DEFAULT if dtype is None else dtypes.check(dtype, "eye"))


def tri(n_rows: int, n_cols: int | None = None, /, k: int = 0, *, dtype: DTypeLike | None = None) -> Array:
    """Return a matrix with ones on and below the ``k``-th diagonal and zeros above.

    **Source:** NumPy, ``tri``.

    >>> import bprop
    >>> bprop.tri(2)
    Array([[1., 0.],
           [1., 1.]])
    """
    rows, columns = _rows_and_columns("tri", n_rows, n_cols, k)
    return astype(less_equal(columns, rows), dtypes.DEFAULT if dtype is None else dtypes.check(dtype, "tri"))


def _matrices(name: str, x: Any) -> Array:
    x = array(name, x)
    if x.ndim < 2:
        raise ShapeError(f"{name}: shape {x.shape} has {x.ndim} axes, a matrix has two")
    return x


def _triangular(name: str, x: Any) -> Array:
    """Return matrices; a vector is every row of one, as in NumPy, whose mask broadcasts against it."""
    x = array(name, x)
    return broadcast_to(x, x.shape * 2) if x.ndim == 1 else _matrices(name, x)


def _zero(x: Array) -> Any:
    return False if x.dtype.kind == "b" else 0


@function(np.tril)
def tril(x: Any, /, k: int = 0) -> Array:
    """Return the matrices with zeros above the ``k``-th diagonal. Entries set to zero have no derivative.

    ``x``: (…, n, m); (n,) stands for a matrix with this row n times, as in NumPy.

    **Source:** Python Array API standard 2024.12, ``tril``.

    >>> import bprop
    >>> bprop.tril(bprop.ones((2, 2)))
    Array([[1., 0.],
           [1., 1.]])
    """
    x = _triangular("tril", x)
    rows, columns = _rows_and_columns("tril", x.shape[-2], x.shape[-1], k)
    return where(less_equal(columns, rows), x, _zero(x))


@function(np.triu)
def triu(x: Any, /, k: int = 0) -> Array:
    """Return the matrices with zeros below the ``k``-th diagonal. Entries set to zero have no derivative.

    ``x``: (…, n, m); (n,) stands for a matrix with this row n times, as in NumPy.

    **Source:** Python Array API standard 2024.12, ``triu``.

    >>> import bprop
    >>> bprop.triu(bprop.ones((2, 2)))
    Array([[1., 1.],
           [0., 1.]])
    """
    x = _triangular("triu", x)
    rows, columns = _rows_and_columns("triu", x.shape[-2], x.shape[-1], k)
    return where(less_equal(rows, columns), x, _zero(x))


# A diagonal of an (n, m) matrix is every (m + 1)-st of its n m entries.
def _places(n: int, m: int, offset: int) -> tuple[int, int, int]:
    """Return the diagonal as a slice (start, count, step) of the flattened matrix."""
    start = offset if offset >= 0 else -offset * m
    return start, max(min(n, m - offset) if offset >= 0 else min(n + offset, m), 0), m + 1


@function(np.diagonal)
def diagonal(x: Any, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """Return a diagonal of the matrices along two axes, as the last axis: y[…, i] = x[i, i + offset, …].

    **Source:** NumPy, ``diagonal``. The standard's ``linalg.diagonal`` takes the last two axes.

    >>> import bprop
    >>> bprop.diagonal(bprop.arange(4).reshape(2, 2))
    Array([0, 3])
    """
    return _diagonal("diagonal", x, offset, axis1, axis2)


def _diagonal(name: str, x: Any, offset: Any, axis1: int, axis2: int) -> Array:
    x, offset = _matrices(name, x), numpy_integer(f"{name}: offset", offset)
    axes = [normalise_axis(name, axis, x.ndim, x.shape) for axis in (axis1, axis2)]
    if axes[0] == axes[1]:
        raise ShapeError(f"{name}: axis {axis1} of shape {x.shape} is named twice")
    x = moveaxis(x, axes, [-2, -1])
    *rest, n, m = x.shape
    start, count, step = _places(n, m, offset)
    flat = reshape(x, (*rest, n * m))
    return slice_op(flat, slices=(*((0, size, 1) for size in rest), (start if count else 0, count, step)))


@function(np.diag)
def diag(x: Any, /, k: int = 0) -> Array:
    """Return the ``k``-th diagonal of a matrix, or the matrix with a vector on that diagonal and zeros elsewhere.

    Raises `ShapeError` for other numbers of axes.

    **Source:** NumPy, ``diag``.

    >>> import bprop
    >>> bprop.diag(bprop.asarray([1.0, 2.0]))
    Array([[1., 0.],
           [0., 2.]])
    """
    x, k = array("diag", x), numpy_integer("diag: k", k)
    if x.ndim == 2:
        return diagonal(x, offset=k)
    if x.ndim != 1:
        raise ShapeError(f"diag: shape {x.shape} is neither a vector nor a matrix: use bprop.diagonal")
    size = x.shape[0] + abs(k)
    start, count, step = _places(size, size, k)
    flat = embed_op(x, shape=(size * size,), slices=((start if count else 0, count, step),))
    return reshape(flat, (size, size))


@function(namespace="numpy")
def trace(x: Any, /, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: DTypeLike | None = None) -> Array:
    """Return the sum of a diagonal as `numpy.trace` does; `bprop.linalg.trace` is the public one.

    **Source:** NumPy, ``trace``.

    >>> import bprop, numpy as np
    >>> np.trace(bprop.eye(3))
    Array(3.)
    """
    return sum(_diagonal("trace", x if dtype is None else astype(x, dtype), offset, axis1, axis2), axis=-1)
