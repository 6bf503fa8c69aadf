"""Products of vectors and matrices with NumPy's arguments: N-D dot, vdot, cross with its axes, einsum in all its forms."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.dtype import result_type
from ..core.error import ArgumentError, ShapeError
from ..core.function import numpy_rule
from ..core.op import array
from ..core.shape import broadcast, normalise_axis
from ..core.value import Array
from ..ops import contraction
from ..ops.complex import conj
from ..ops.concatenation import concat
from ..ops.contraction import LETTERS, einsum_op, matmul
from ..ops.creation import zeros
from ..ops.data_type import astype
from ..ops.linear_algebra import cross, tensordot
from ..ops.manipulation import moveaxis, ravel
from .numpy_argument import in_dtype


# --- of vectors and matrices ---
@numpy_rule(np.dot)
def _dot(a: Any, b: Any, out: Any = None) -> Array:
    a, b = array("dot", a), array("dot", b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if b.ndim <= 2:
        return matmul(a, b)
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"dot: shapes {a.shape} and {b.shape} do not fit: the last axis has size {a.shape[-1]}, the last but one of the "
            f"second {b.shape[-2]}"
        )
    return tensordot(a, b, axes=(-1, -2))


@numpy_rule(np.outer)
def _outer(a: Any, b: Any, out: Any = None) -> Array:
    return einsum_op(ravel(a), ravel(b), labels=("i", "j", "ij"))


def _rows_or_columns(name: str, x1: Any, x2: Any, subscripts: str, least: tuple[int, int]) -> Array:
    x1, x2 = array(name, x1), array(name, x2)
    if x1.ndim < least[0] or x2.ndim < least[1]:
        raise ShapeError(f"{name}: shapes {x1.shape} and {x2.shape}: a stack of matrices and one of vectors are needed")
    matrix, vector = (x1, x2) if least[0] == 2 else (x2, x1)
    if matrix.shape[-1 if least[0] == 2 else -2] != vector.shape[-1]:
        raise ShapeError(f"{name}: shapes {x1.shape} and {x2.shape} do not fit")
    return contraction.einsum(subscripts, x1, x2)


@numpy_rule(getattr(np, "matvec", None))
def _matvec(x1: Any, x2: Any, /) -> Array:
    return _rows_or_columns("matvec", x1, x2, "...ij,...j->...i", (2, 1))


@numpy_rule(getattr(np, "vecmat", None))
def _vecmat(x1: Any, x2: Any, /) -> Array:
    """x1ᴴ x2: as in `vecdot` the vector is conjugated."""
    return _rows_or_columns("vecmat", conj(array("vecmat", x1)), x2, "...i,...ij->...j", (1, 2))


@numpy_rule(np.cross)
def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Array:
    if axis is not None:
        axisa, axisb, axisc = (axis,) * 3
    a, b = array("cross", a), array("cross", b)
    a = moveaxis(a, normalise_axis("cross", axisa, a.ndim, a.shape), -1)
    b = moveaxis(b, normalise_axis("cross", axisb, b.ndim, b.shape), -1)
    if {a.shape[-1], b.shape[-1]} - {2, 3}:
        raise ShapeError(f"cross: vectors have 2 or 3 entries, not {a.shape[-1]} and {b.shape[-1]}")
    if a.shape[-1] == b.shape[-1] == 2:
        broadcast("cross", a.shape[:-1], b.shape[:-1])
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    y = cross(*(_in_space(x) for x in (a, b)))
    return moveaxis(y, -1, normalise_axis("cross", axisc, y.ndim, y.shape))


def _in_space(x: Array) -> Array:
    return x if x.shape[-1] == 3 else concat([x, zeros((*x.shape[:-1], 1), dtype=x.dtype)], axis=-1)


# --- einsum ---
def _letters(sublist: Any, names: dict[int, str]) -> str:
    """Return a list of numbers and ``...`` as a term of subscripts."""
    if not isinstance(sublist, Sequence):
        raise ArgumentError(f"einsum: after an operand comes the list of its axes, not {sublist!r:.60}")
    term = ""
    for label in sublist:
        if label is not Ellipsis and not (isinstance(label, int | np.integer) and 0 <= label < len(LETTERS)):
            raise ArgumentError(f"einsum: axes are called by numbers from 0 to {len(LETTERS) - 1}, not {label!r:.60}")
        term += "..." if label is Ellipsis else names[int(label)]
    return term


def _subscripts(operands: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """Return subscripts and arrays of a call in either form."""
    if isinstance(operands[0], str):
        return operands[0].replace(" ", ""), list(operands[1:])
    count = len(operands) // 2
    names = dict(enumerate(sorted(LETTERS)))  # in the order of the alphabet, as the axes of the result are
    terms = [_letters(sublist, names) for sublist in operands[1 : 2 * count : 2]]
    text = ",".join(terms)
    return (f"{text}->{_letters(operands[-1], names)}" if len(operands) % 2 else text), list(operands[: 2 * count : 2])


def _in_order(subscripts: str, arrays: list[Array], optimize: Any) -> Array:
    """Contract pairs in the order that NumPy finds, or that is given."""
    labels, out = contraction.labels_of(subscripts, arrays)
    dummies = [np.broadcast_to(np.float64(0), x.shape) for x in arrays]
    text = ",".join(labels) + "->" + out
    path = np.einsum_path(text, *dummies, optimize=optimize)[0][1:]
    for positions in path:
        chosen = sorted(positions, reverse=True)  # as NumPy takes them out, from the back
        terms, parts = [labels.pop(p) for p in chosen], [arrays.pop(p) for p in chosen]
        kept = set(out).union(*labels)
        merged = out if not arrays else "".join(sorted({label for term in terms for label in term if label in kept}))
        arrays.append(contraction.einsum(",".join(terms) + "->" + merged, *parts))
        labels.append(merged)
    return arrays[0]


@numpy_rule(np.einsum)
def _einsum(*operands: Any, out: Any = None, optimize: Any = False, **kwargs: Any) -> Array:
    unknown = set(kwargs) - {"dtype", "order", "casting"}
    if unknown:
        raise ArgumentError(f"einsum: there is no option {', '.join(sorted(unknown))}")
    if not operands:
        raise ArgumentError("einsum: subscripts and operands are needed")
    subscripts, parts = _subscripts(operands)
    arrays = [in_dtype("einsum", x, kwargs.get("dtype")) for x in parts]
    dtype = result_type(*(x.dtype for x in arrays))
    in_turn = optimize is False or len(arrays) < 3
    y = contraction.einsum(subscripts, *arrays) if in_turn else _in_order(subscripts, arrays, optimize)
    return astype(y, dtype)  # sums of small integers are not widened
