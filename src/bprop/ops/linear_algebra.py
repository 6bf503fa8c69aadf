"""Products of vectors and matrices by name, diagonals and traces: plain functions of contractions and re-indexings."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, ShapeError
from ..core.function import function
from ..core.number import numpy_integer
from ..core.op import array
from ..core.shape import broadcast, normalise_axis
from ..core.value import Array
from . import matrix
from .arithmetic import multiply
from .complex import conj
from .contraction import LETTERS, einsum, einsum_op, matmul
from .indexing import take
from .manipulation import moveaxis, reshape

__all__ = ["cross", "dot", "inner", "kron", "outer", "tensordot", "vdot", "vecdot"]


@function()
def dot(x1: Any, x2: Any, /) -> Array:
    """y = Σ x1 x2 of vectors, the matrix product of matrices, as `numpy.dot` for up to two axes.

    **Source:** NumPy 2, ``numpy.dot``.

    >>> import bprop
    >>> bprop.dot(bprop.ones(3), bprop.ones(3))
    Array(3.)
    """
    x1, x2 = array("dot", x1), array("dot", x2)
    if x1.ndim == 0 or x2.ndim == 0:
        return x1 * x2
    if x2.ndim > 2:
        raise ShapeError(f"dot: shapes {x1.shape} and {x2.shape}: for more than two axes say what you mean with einsum")
    return matmul(x1, x2)


@function(np.tensordot, np.linalg.tensordot)
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Array:
    """y = Σ x1 x2 over pairs of axes: the last n of x1 with the first n of x2, or the pairs that two sequences name.

    The axes left of x1 come before those left of x2. Raises `ShapeError` naming the sizes that differ.

    **Source:** Python Array API standard 2024.12, ``tensordot``.

    >>> import bprop
    >>> bprop.tensordot(bprop.ones((2, 3, 4)), bprop.ones((4, 3)), axes=((1, 2), (1, 0)))
    Array([12., 12.])
    """
    x1, x2 = array("tensordot", x1), array("tensordot", x2)
    if isinstance(axes, tuple | list) and len(axes) == 2:
        first, second = (list(side) if isinstance(side, tuple | list) else [side] for side in axes)
    else:
        count = numpy_integer("tensordot: axes, where it is not a pair of sequences,", axes)
        if not 0 <= count <= min(x1.ndim, x2.ndim):
            raise ShapeError(f"tensordot: shapes {x1.shape} and {x2.shape} have no {count} axes each to sum over")
        first, second = list(range(x1.ndim - count, x1.ndim)), list(range(count))
    axes1 = [normalise_axis("tensordot", axis, x1.ndim, x1.shape) for axis in first]
    axes2 = [normalise_axis("tensordot", axis, x2.ndim, x2.shape) for axis in second]
    sizes = [x1.shape[axis] for axis in axes1], [x2.shape[axis] for axis in axes2]
    if sizes[0] != sizes[1] or len(set(axes1)) < len(axes1) or len(set(axes2)) < len(axes2):
        raise ShapeError(
            f"tensordot: shapes {x1.shape} and {x2.shape} do not fit: axes {axes1} of the first have sizes {sizes[0]}, "
            f"axes {axes2} of the second {sizes[1]}"
        )
    labels1 = list(LETTERS[: x1.ndim])
    labels2 = list(LETTERS[x1.ndim : x1.ndim + x2.ndim])
    for axis1, axis2 in zip(axes1, axes2, strict=True):
        labels2[axis2] = labels1[axis1]
    summed = {labels1[axis] for axis in axes1}
    out = "".join(label for label in labels1 + labels2 if label not in summed)
    return einsum_op(x1, x2, labels=("".join(labels1), "".join(labels2), out))


@function(np.vecdot, np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Array:
    """y = Σ x1 x2 along ``axis`` of both, of complex numbers with the conjugate of x1; the other axes broadcast.

    ``axis`` counts from the back, in each operand. Raises `ShapeError` where the sizes differ.

    **Source:** Python Array API standard 2024.12, ``vecdot``.

    >>> import bprop
    >>> bprop.vecdot(bprop.ones((2, 3)), bprop.arange(3))
    Array([3., 3.])
    """
    x1, x2 = array("vecdot", x1), array("vecdot", x2)
    rows = [moveaxis(x, normalise_axis("vecdot", axis, x.ndim, x.shape), -1) for x in (x1, x2)]
    if rows[0].shape[-1] != rows[1].shape[-1]:
        raise ShapeError(
            f"vecdot: shapes {x1.shape} and {x2.shape} do not fit: axis {axis} has sizes {rows[0].shape[-1]} and "
            f"{rows[1].shape[-1]}"
        )
    return einsum("...i,...i->...", conj(rows[0]), rows[1])


@function(np.vdot)
def vdot(x1: Any, x2: Any, /) -> Array:
    """y = Σ x1 x2 over all entries in order, of complex numbers with the conjugate of x1.

    **Source:** NumPy 2, ``numpy.vdot``.

    >>> import bprop
    >>> bprop.vdot(bprop.asarray([1j, 1.0]), bprop.asarray([1j, 2.0]))
    Array(3.+0.j)
    """
    x1, x2 = array("vdot", x1), array("vdot", x2)
    return vecdot(reshape(x1, (-1,)), reshape(x2, (-1,)))


@function(np.linalg.outer)
def outer(x1: Any, x2: Any, /) -> Array:
    """y_ij = x1_i x2_j, of vectors of n and m entries: shape (n, m). Raises `ShapeError` for other operands.

    **Source:** Python Array API standard 2024.12, ``linalg.outer``.

    >>> import bprop
    >>> bprop.outer(bprop.asarray([1.0, 2.0]), bprop.asarray([3.0, 4.0]))
    Array([[3., 4.],
           [6., 8.]])
    """
    x1, x2 = array("outer", x1), array("outer", x2)
    if x1.ndim != 1 or x2.ndim != 1:
        raise ShapeError(f"outer: shapes {x1.shape} and {x2.shape}: both must be vectors (n,); reshape them to (-1,)")
    y: Array = reshape(x1, (-1, 1)) * x2  # a contraction would add each product to 0, and lose the sign of -0
    return y


@function(np.inner)
def inner(x1: Any, x2: Any, /) -> Array:
    """y = Σ x1 x2 over the last axis of each; the other axes of x1 come before those of x2.

    **Source:** NumPy 2, ``numpy.inner``.

    >>> import bprop
    >>> bprop.inner(bprop.ones((2, 3)), bprop.ones((4, 3))).shape
    (2, 4)
    """
    x1, x2 = array("inner", x1), array("inner", x2)
    return x1 * x2 if x1.ndim == 0 or x2.ndim == 0 else tensordot(x1, x2, axes=(-1, -1))


@function(np.kron)
def kron(x1: Any, x2: Any, /) -> Array:
    """Return the Kronecker product: every entry of x1 times the whole of x2, in blocks; sizes multiply axis by axis.

    The operand with fewer axes gets leading ones.

    **Source:** NumPy 2, ``numpy.kron``; Van Loan (2000), The ubiquitous Kronecker product.

    >>> import bprop
    >>> bprop.kron(bprop.asarray([1.0, 10.0]), bprop.asarray([1.0, 2.0]))
    Array([ 1.,  2., 10., 20.])
    """
    x1, x2 = array("kron", x1), array("kron", x2)
    rank = max(x1.ndim, x2.ndim)
    shapes = [(1,) * (rank - x.ndim) + x.shape for x in (x1, x2)]
    blocks = reshape(x1, tuple(extent for size in shapes[0] for extent in (size, 1)))
    entries = reshape(x2, tuple(extent for size in shapes[1] for extent in (1, size)))
    return reshape(multiply(blocks, entries), tuple(m * n for m, n in zip(*shapes, strict=True)))


@function(np.linalg.cross)
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Array:
    """y = x1 × x2 of vectors of three entries along ``axis``; the other axes broadcast.

    x1_bar = x2 × y_bar, x2_bar = y_bar × x1. Raises `ShapeError` where the axis has not three entries.

    **Source:** Python Array API standard 2024.12, ``linalg.cross``.

    >>> import bprop
    >>> bprop.cross(bprop.asarray([1.0, 0.0, 0.0]), bprop.asarray([0.0, 1.0, 0.0]))
    Array([0., 0., 1.])
    """
    x1, x2 = array("cross", x1), array("cross", x2)
    for x in (x1, x2):
        if x.shape[normalise_axis("cross", axis, x.ndim, x.shape)] != 3:
            raise ShapeError(f"cross: shapes {x1.shape} and {x2.shape}: axis {axis} must have 3 entries in both")
    rank = len(broadcast("cross", x1.shape, x2.shape))
    axis_from_end = normalise_axis("cross", axis, rank) - rank  # from the back it is the same axis in both
    next1, last1, next2, last2 = (
        take(x, np.array(order), axis=axis_from_end + x.ndim) for x in (x1, x2) for order in ([1, 2, 0], [2, 0, 1])
    )
    return next1 * last2 - last1 * next2


@function(namespace="linalg")
def multi_dot(arrays: Any, /) -> Array:
    """y = x1 @ x2 @ ⋯, in the order that takes the fewest multiplications; the first and last may be vectors.

    **Source:** NumPy 2, ``numpy.linalg.multi_dot``; Cormen et al. (2009), Introduction to algorithms, §15.2.

    >>> import bprop
    >>> bprop.linalg.multi_dot([bprop.ones((2, 30)), bprop.ones((30, 2)), bprop.ones((2, 3))]).shape
    (2, 3)
    """
    if not isinstance(arrays, tuple | list | Array | np.ndarray):
        raise ArgumentError(f"multi_dot: takes a list of arrays, not {arrays!r:.60}")
    xs = [array("multi_dot", x) for x in arrays]
    if len(xs) < 2:
        raise ArgumentError(f"multi_dot: {len(xs)} arrays: a product has at least two")
    middle = [x.ndim for x in xs[1:-1]]
    if any(x.ndim not in (1, 2) for x in (xs[0], xs[-1])) or set(middle) - {2}:
        shown = ", ".join(str(x.shape) for x in xs)
        raise ShapeError(f"multi_dot: shapes {shown}: matrices, and vectors only first and last")
    rows = [1 if xs[0].ndim == 1 else xs[0].shape[0], *(x.shape[0] for x in xs[1:])]
    sizes = [*rows, 1 if xs[-1].ndim == 1 else xs[-1].shape[-1]]
    best: dict[tuple[int, int], tuple[int, Any]] = {(i, i + 1): (0, x) for i, x in enumerate(xs)}
    order: dict[tuple[int, int], int] = {}
    for length in range(2, len(xs) + 1):
        for start in range(len(xs) - length + 1):
            stop = start + length
            costs = {
                cut: best[start, cut][0] + best[cut, stop][0] + sizes[start] * sizes[cut] * sizes[stop]
                for cut in range(start + 1, stop)
            }
            order[start, stop] = min(costs, key=costs.__getitem__)
            best[start, stop] = costs[order[start, stop]], None

    def product(start: int, stop: int) -> Array:
        if stop == start + 1:
            return xs[start]
        cut = order[start, stop]
        return matmul(product(start, cut), product(cut, stop))

    return product(0, len(xs))


# --- diagonals ---
@function(np.linalg.diagonal, namespace="linalg")
def diagonal(x: Any, /, *, offset: int = 0) -> Array:
    """Return the diagonal of the last two axes, ``offset`` above the main one: shape (…, k).

    x_bar has y_bar on that diagonal. Raises `ShapeError` for fewer than two axes.

    **Source:** Python Array API standard 2024.12, ``linalg.diagonal``.

    >>> import bprop
    >>> bprop.linalg.diagonal(bprop.asarray([[1.0, 2.0], [3.0, 4.0]]))
    Array([1., 4.])
    """
    return matrix.diagonal(x, offset, -2, -1)


@function(np.linalg.trace, namespace="linalg")
def trace(x: Any, /, *, offset: int = 0, dtype: DTypeLike | None = None) -> Array:
    """y = Σ of the diagonal of the last two axes, ``offset`` above the main one; x_bar = y_bar on that diagonal.

    ``dtype``: to sum in. Raises `ShapeError` for fewer than two axes.

    **Source:** Python Array API standard 2024.12, ``linalg.trace``.

    >>> import bprop
    >>> bprop.linalg.trace(bprop.asarray([[1.0, 2.0], [3.0, 4.0]]))
    Array(5.)
    """
    return matrix.trace(x, offset, -2, -1, dtype)
