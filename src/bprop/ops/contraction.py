"""Contractions: matmul and einsum. The adjoint of an einsum is an einsum."""

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError, ShapeError
from ..core.family import Bilinear
from ..core.function import function
from ..core.op import array, shape_of
from ..core.shape import Shape, broadcast
from ..core.value import Array
from .creation import arange
from .manipulation import broadcast_to, permute_dims, reshape, unbroadcast
from .reduction import sum
from .selection import where

__all__ = ["einsum", "matmul"]

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


# --- evaluation of a contraction as one matrix product ---
class _MatrixProduct(NamedTuple):
    """How a contraction is computed as a product of (batches of) matrices: what is done to x1, x2 and then to y.

    ``factors`` are, for each operand, the axes that are summed in it alone, the shape that it is then broadcast to, its
    transpose and its shape as a matrix; ``shape`` and ``order`` are those of the product. What changes nothing is ``None``.
    """

    factors: tuple[tuple[Shape | None, Shape, Shape | None, Shape], ...]
    shape: Shape
    order: Shape | None


@lru_cache(maxsize=4096)
def _matrix_product(labels1: str, labels2: str, out: str, shape1: Shape, shape2: Shape) -> _MatrixProduct:
    """Sort labels into batch, rows, columns and contracted; those of one operand alone are summed first."""
    batch = "".join(label for label in out if label in labels1 and label in labels2)
    rows = "".join(label for label in labels1 if label in out and label not in labels2)
    columns = "".join(label for label in labels2 if label in out and label not in labels1)
    contracted = "".join(label for label in labels1 if label in labels2 and label not in out)
    used = batch + rows + columns + contracted
    sums = tuple(tuple(axis for axis, label in enumerate(labels) if label not in used) for labels in (labels1, labels2))
    sizes: dict[str, int] = {}
    for labels, shape in ((labels1, shape1), (labels2, shape2)):
        for label, size in zip(labels, shape, strict=True):
            sizes[label] = size if sizes.get(label, 1) == 1 else sizes[label]
    kept1, kept2 = ("".join(label for label in labels if label in used) for labels in (labels1, labels2))

    def extents(labels: str) -> Shape:
        return tuple(sizes[label] for label in labels)

    def order_of(positions: Shape) -> Shape | None:
        return None if positions == tuple(range(len(positions))) else positions

    lead, order = extents(batch), batch + rows + columns
    height, depth, width = prod(extents(rows)), prod(extents(contracted)), prod(extents(columns))
    return _MatrixProduct(
        tuple(
            (summed or None, extents(kept), order_of(tuple(kept.index(label) for label in labels)), matrix)
            for summed, kept, labels, matrix in (
                (sums[0], kept1, batch + rows + contracted, (*lead, height, depth)),
                (sums[1], kept2, batch + contracted + columns, (*lead, depth, width)),
            )
        ),
        extents(order),
        order_of(tuple(order.index(label) for label in out)),
    )


def contract(x1: NDArray[Any], x2: NDArray[Any], labels1: str, labels2: str, out: str) -> NDArray[Any]:
    """Return Σ x1 · x2 over the labels missing in ``out``, by transposing views and one `numpy.matmul`."""
    plan = _matrix_product(labels1, labels2, out, x1.shape, x2.shape)
    factors = []
    for x, (axes, spread, order, matrix) in zip((x1, x2), plan.factors, strict=True):
        if axes:
            x = np.add.reduce(x, axis=axes, dtype=x.dtype)
        if x.shape != spread:
            x = np.broadcast_to(x, spread)
        if order is not None:
            x = x.transpose(order)
        factors.append(x if x.shape == matrix else x.reshape(matrix))
    y: NDArray[Any] = np.matmul(*factors)
    if y.shape != plan.shape:
        y = y.reshape(plan.shape)
    return y if plan.order is None else y.transpose(plan.order)


# --- the adjoint, which is a contraction again ---
def _contraction_adjoint(y_bar: Any, other: Any, labels: tuple[str, str, str], position: int, shape: Shape) -> Any:
    """Return x_bar of a contraction: the contraction of y_bar with the other operand, to the labels of x."""
    labels_x, labels_other, labels_y = labels[position], labels[1 - position], labels[2]
    present = "".join(label for label in labels_x if label in labels_y or label in labels_other)
    if position == 0:
        x_bar = einsum_op(y_bar, other, labels=(labels_y, labels_other, present))
    else:
        x_bar = einsum_op(other, y_bar, labels=(labels_other, labels_y, present))
    # a label that was summed over x alone, or met a size of 1: its cotangent is the same for every entry
    sizes = dict(zip(present, x_bar.shape, strict=True))
    x_bar = reshape(x_bar, tuple(sizes.get(label, 1) for label in labels_x))
    wanted = (actual if size == 1 else size for actual, size in zip(x_bar.shape, shape, strict=True))
    x_bar = broadcast_to(x_bar, tuple(wanted))
    return unbroadcast(x_bar, shape)


# --- matmul ---
def _matmul_labels(shape1: Shape, shape2: Shape) -> tuple[str, str, str]:
    if not shape1 or not shape2:
        raise ShapeError(f"matmul: shapes {shape1} and {shape2}: an operand has no axes, multiply with * instead")
    column = "" if len(shape2) == 1 else "z"
    row = "" if len(shape1) == 1 else "x"
    contracted = shape2[0] if len(shape2) == 1 else shape2[-2]
    if shape1[-1] != contracted:
        axis = 0 if len(shape2) == 1 else len(shape2) - 2
        raise ShapeError(
            f"matmul: shapes {shape1} and {shape2} do not fit: axis {len(shape1) - 1} of the first has size {shape1[-1]}, "
            f"axis {axis} of the second has size {contracted}"
        )
    rank = max(len(shape1), len(shape2)) - 2
    batch1, batch2 = max(0, len(shape1) - 2), max(0, len(shape2) - 2)
    broadcast("matmul", shape1[:batch1], shape2[:batch2])
    names = LETTERS[: max(rank, 0)]
    return (
        names[len(names) - batch1 :] + row + "y",
        names[len(names) - batch2 :] + "y" + column,
        names + row + column,
    )


_matmul = Bilinear(
    "matmul",
    np.matmul,
    labels=_matmul_labels,
    adjoint=_contraction_adjoint,
    examples=lambda draw: (
        [
            ((draw(*shape1), draw(*shape2)), {})
            for shape1, shape2 in (
                ((2, 3), (3, 4)),
                ((3,), (3,)),
                ((3,), (3, 2)),
                ((2, 3), (3,)),
                ((5, 2, 3), (3, 2)),
                ((2, 3), (5, 3, 2)),
                ((4, 1, 2, 3), (5, 3, 2)),
                ((5, 2, 3), (3,)),
                ((0, 3), (3, 2)),
                ((2, 0), (0, 2)),
            )
        ]
        + [((draw(3, 2).T, draw(4, 3).T), {})]
    ),
    text="{0} @ {1}",
    latex=r"{0} \, {1}",
    level=2,
)


@function(np.matmul, np.linalg.matmul)
def matmul(x1: Any, x2: Any, /) -> Array:
    """y = x1 @ x2: matrix product over the last axis of x1 and the last but one of x2.

    Shapes (…, n, k) and (…, k, m) give (…, n, m), leading axes broadcast; a 1-D operand is a row or column that is
    dropped again. x1_bar = y_bar x2ᵀ, x2_bar = x1ᵀ y_bar. Raises `ShapeError` naming both shapes and axes.

    **Source:** Python Array API standard 2024.12, ``matmul``.

    >>> import bprop
    >>> bprop.matmul(bprop.ones((2, 3)), bprop.ones(3))
    Array([3., 3.])
    """
    return _matmul(x1, x2)


# --- einsum ---
def _einsum_labels(shape1: Shape, shape2: Shape, labels: tuple[str, str, str]) -> tuple[str, str, str]:
    return labels


def _product(x1: Any, x2: Any, labels: tuple[str, str, str], outer: str, T: str, times: str) -> str | None:
    """Return how a contraction is written as a product of matrices and vectors, ``None`` where it is none."""
    labels1, labels2, out = labels
    shared = [label for label in labels1 if label in labels2 and label not in out]
    if not (0 < len(labels1) < 3 and 0 < len(labels2) < 3) or len(set(out)) < len(out):
        return None
    if not shared:
        return outer if (len(labels1), len(labels2), out) == (1, 1, labels1 + labels2) else None
    rows, columns = labels1.replace(shared[0], ""), labels2.replace(shared[0], "")
    sizes = {*(shape_of(x)[operand_labels.index(shared[0])] for x, operand_labels in ((x1, labels1), (x2, labels2)))}
    if len(shared) > 1 or len(sizes) > 1 or out not in (rows + columns, columns + rows):
        return None
    first, second = "{0}", "{1}"
    if out == rows + columns:  # x1 @ x2, each turned so that the shared label is inside
        first += T * (len(labels1) == 2 and labels1[0] == shared[0])
        second += T * (len(labels2) == 2 and labels2[1] == shared[0])
        return first + times + second
    first += T * (len(labels1) == 2 and labels1[1] == shared[0])
    second += T * (len(labels2) == 2 and labels2[0] == shared[0])
    return second + times + first


einsum_op = Bilinear(
    "einsum",
    lambda x1, x2, labels: contract(np.asarray(x1), np.asarray(x2), *labels),
    labels=_einsum_labels,
    adjoint=_contraction_adjoint,
    canonical=True,
    examples=lambda draw: [
        ((draw(*shape1), draw(*shape2)), {"labels": labels})
        for labels, shape1, shape2 in (
            (("ij", "jk", "ik"), (2, 3), (3, 4)),
            (("ij", "jk", "ki"), (2, 3), (3, 4)),
            (("i", "j", "ij"), (2,), (3,)),
            (("ij", "ij", ""), (2, 3), (2, 3)),
            (("bij", "bjk", "bik"), (4, 2, 3), (4, 3, 2)),
            (("", "ij", "ij"), (), (2, 3)),
            (("bij", "bjk", "bik"), (1, 2, 3), (4, 3, 2)),
            (("ij", "jk", "ik"), (2, 1), (3, 4)),  # a size 1 broadcasts
            (("ij", "k", "ik"), (2, 3), (4,)),
            (("ij", "jk", "i"), (2, 3), (3, 4)),  # a label of one operand is summed
            (("ij", "jk", "ik"), (0, 3), (3, 2)),
            (("ij", "jk", "ik"), (2, 0), (0, 2)),
            (("ij", "k", "k"), (0, 3), (4,)),
        )
    ],
    text=lambda x1, x2, labels: (
        _product(x1, x2, labels, "outer({0}, {1})", ".T", " @ ")
        or f"einsum('{labels[0]},{labels[1]}->{labels[2]}', {{0}}, {{1}})"
    ),
    latex=lambda x1, x2, labels: _product(x1, x2, labels, r"{0} \, {1}^{{T}}", "^{{T}}", r" \, ") or r"\sum {0} \, {1}",
)


@function()
def einsum(subscripts: str, /, *operands: Any) -> Array:
    """y = sum of products over the labels that the output lacks, in Einstein's notation with ``...`` for batches.

    One operand or many; a repeated label takes the diagonal. The adjoint is an einsum again. Raises `ShapeError` naming
    operand, label and sizes.

    **Source:** NumPy 2, ``numpy.einsum``.

    >>> import bprop
    >>> bprop.einsum("ij,j->i", bprop.ones((2, 3)), bprop.arange(3))
    Array([3., 3.])
    """
    if not isinstance(subscripts, str):
        raise ArgumentError("einsum: the first argument is the subscripts string, such as 'ij,jk->ik'")
    arrays = [array("einsum", x) for x in operands]
    labels, out = labels_of(subscripts, arrays)
    arrays, labels = map(list, zip(*map(_diagonal, arrays, labels), strict=True))
    while len(arrays) > 1:
        keep = set(out).union(*labels[2:])
        merged = "".join(dict.fromkeys(label for label in labels[0] + labels[1] if label in keep))
        if len(arrays) == 2:
            merged = out if set(out) == set(merged) else merged
        y = einsum_op(arrays[0], arrays[1], labels=(labels[0], labels[1], merged))
        arrays, labels = [y, *arrays[2:]], [merged, *labels[2:]]
    (y,), (labels_y,) = arrays, labels
    axes = tuple(axis for axis, label in enumerate(labels_y) if label not in out)
    y = sum(y, axis=axes) if axes else y
    labels_y = "".join(label for label in labels_y if label in out)
    return permute_dims(y, tuple(labels_y.index(label) for label in out))


def labels_of(subscripts: str, arrays: list[Array]) -> tuple[list[str], str]:
    """Return one letter for each axis of every operand, and those of the result."""
    text = subscripts.replace(" ", "")
    inputs, arrow, out = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(arrays):
        raise ShapeError(f"einsum '{subscripts}': {len(terms)} terms for {len(arrays)} operands")
    free = [label for label in LETTERS[::-1] if label not in text]
    spare = max(
        (x.ndim - len(term.replace("...", "")) for term, x in zip(terms, arrays, strict=True) if "..." in term),
        default=0,
    )
    batch = "".join(free[: max(spare, 0)])
    labels = []
    for number, (term, x) in enumerate(zip(terms, arrays, strict=True)):
        named = term.replace("...", "")
        count = x.ndim - len(named)
        if count < 0 or (count and "..." not in term) or (not named.isalpha() and named):
            raise ShapeError(f"einsum '{subscripts}': term '{term}' does not fit operand {number} of shape {x.shape}")
        labels.append(term.replace("...", batch[len(batch) - count :] if count else ""))
    if not arrow:
        joined = inputs.replace(",", "").replace("...", "")
        out = ("..." if batch else "") + "".join(sorted(label for label in set(joined) if joined.count(label) == 1))
    out = out.replace("...", batch)
    operand_labels = set("".join(labels))
    if len(set(out)) != len(out) or not set(out) <= operand_labels:
        raise ShapeError(f"einsum '{subscripts}': every output label must appear once, and in an operand")
    return labels, out


def _diagonal(x: Array, labels: str) -> tuple[Array, str]:
    """Reduce a repeated label to its diagonal: keep the entries where both indices agree, sum the second away."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            size = x.shape[first]
            if x.shape[second] != size:
                raise ShapeError(f"einsum: label '{label}' has sizes {size} and {x.shape[second]} in shape {x.shape}")
            i = reshape(arange(size), tuple(size if axis == first else 1 for axis in range(x.ndim)))
            j = reshape(arange(size), tuple(size if axis == second else 1 for axis in range(x.ndim)))
            x = sum(where(i == j, x, 0), axis=second)
            labels = labels[:second] + labels[second + 1 :]
    return x, labels
