"""Singular values: svd, svdvals, and the rank they show."""

import builtins
from typing import Any, NamedTuple

import numpy as np

from ..core.dtype import to_float, to_real
from ..core.error import ArgumentError, DerivativeError, ShapeError
from ..core.family import General
from ..core.function import function
from ..core.number import numpy_flag
from ..core.op import array
from ..core.shape import broadcast
from ..core.value import Array
from .contraction import matmul
from .data_type import astype
from .factorisation import TALL_AND_WIDE, column, conjugated, hermitian, matrix, over_gaps, row, total
from .linear_algebra import diagonal
from .linear_system import in_float
from .manipulation import matrix_transpose
from .reduction import max, sum
from .selection import where

__all__: list[str] = []


class SVDResult(NamedTuple):
    """Left singular vectors as columns, singular values in descending order, right singular vectors as rows."""

    U: Array
    S: Array
    Vh: Array


def _free() -> DerivativeError:
    return DerivativeError(
        "svd: the singular vectors that full_matrices=True adds may be turned freely and have no derivative: "
        "use full_matrices=False"
    )


def _phase() -> DerivativeError:
    return DerivativeError(
        "svd: complex singular vectors may be turned by a common phase and have no derivative, only the singular values have: "
        "take the eigenvectors of bprop.linalg.eigh(x @ x.mT.conj())"
    )


def _thin(x: Any, y: Any, full_matrices: bool) -> Any:
    """Return U, S and Vh that have a derivative themselves, for that of S."""
    return svd_op(x, full_matrices=False) if full_matrices else y


def _over_square_gaps(s: Any) -> Any:
    """Return 1/(s_j² - s_i²) at i, j and 0 on the diagonal."""
    return over_gaps(s) / where((row(s) + column(s)) == 0, 1, row(s) + column(s))


def _svd_jvp(y: Any, xs: Any, x_dots: Any, full_matrices: bool) -> tuple[Any, Any, Any]:
    (u, s, vt), (x_dot,) = _thin(xs[0], y, full_matrices), x_dots
    v, (m, n), k = hermitian(vt), x_dot.shape[-2:], s.shape[-1]
    x_dot_v = matmul(x_dot, v)
    inner = matmul(hermitian(u), x_dot_v)
    if full_matrices or u.dtype.kind == "c":
        refused = _free() if full_matrices else _phase()
        return refused, diagonal(inner), refused
    inner_transposed, gaps = matrix_transpose(inner), _over_square_gaps(s)
    u_dot = matmul(u, gaps * (inner * row(s) + column(s) * inner_transposed))
    v_dot = matmul(v, gaps * (column(s) * inner + inner_transposed * row(s)))
    if m > k:  # u also turns out of the space it spans
        u_dot = u_dot + (x_dot_v - matmul(u, inner)) / row(s)
    if n > k:
        v_dot = v_dot + (matmul(matrix_transpose(x_dot), u) - matmul(v, inner_transposed)) / row(s)
    return u_dot, diagonal(inner), matrix_transpose(v_dot)


def _svd_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, full_matrices: bool) -> tuple[Any]:
    u_bar, s_bar, vt_bar = y_bar
    if full_matrices and (u_bar is not None or vt_bar is not None):
        raise _free()
    u, s, vt = _thin(xs[0], y, full_matrices)
    if u.dtype.kind == "c" and (u_bar is not None or vt_bar is not None):
        raise _phase()
    (m, n), k = xs[0].shape[-2:], s.shape[-1]
    terms = [] if s_bar is None else [matmul(u * row(s_bar), vt)]
    if u_bar is not None:
        inner = matmul(matrix_transpose(u), u_bar)
        skew = _over_square_gaps(s) * (inner - matrix_transpose(inner))
        terms.append(matmul(matmul(u, skew * row(s)), vt))
        if m > k:
            terms.append(matmul((u_bar - matmul(u, inner)) / row(s), vt))
    if vt_bar is not None:
        inner = matmul(vt_bar, matrix_transpose(vt))
        skew = _over_square_gaps(s) * (matrix_transpose(inner) - inner)
        terms.append(matmul(matmul(u, column(s) * skew), vt))
        if n > k:
            terms.append(matmul(u, (vt_bar - matmul(inner, vt)) / column(s)))
    return (total(terms),)


def _svd_extents(sizes: dict[str, int], full_matrices: bool) -> dict[str, int]:
    k = min(sizes["m"], sizes["n"])
    return {"k": k, "p": sizes["m"] if full_matrices else k, "q": sizes["n"] if full_matrices else k}


svd_op = General(
    "svd",
    lambda x, full_matrices: tuple(np.linalg.svd(in_float(x)[0], full_matrices=full_matrices)),
    signature="(m,n)->(m,p),(k),(q,n)",
    extents=_svd_extents,
    jvp=_svd_jvp,
    vjp=conjugated(_svd_vjp),
    dtype=lambda dtype: (to_float(dtype), to_real(to_float(dtype)), to_float(dtype)),
    takes_complex=True,
    failure="the singular values did not converge: look for NaN or infinity in the matrix",
    examples=lambda draw: [((draw(*shape),), {"full_matrices": False}) for shape in TALL_AND_WIDE],
    complex_step=False,
    latex=lambda x, full_matrices: r"\operatorname{{svd}}({0})",
)


@function(namespace="linalg")
def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """Return U, S, Vh with x = U diag(S) Vh, S ≥ 0 descending, for ``x`` of shape (…, m, n); k = min(m, n).

    U is (…, m, m) and Vh (…, n, n), or (…, m, k) and (…, k, n) with ``full_matrices=False``, which the derivatives of U and
    Vh need where m ≠ n (else `DerivativeError`); S has one either way. Where singular values repeat, functions that treat them alike have their
    derivative, and the singular vectors none: it is not finite. Complex singular vectors have no derivative, since their phase
    is free; their S has. Raises `ArgumentError` for matrices that are not finite.

    **Source:** Python Array API standard 2024.12, ``linalg.svd``; Townsend (2016), Differentiating the singular value
    decomposition.

    >>> import bprop
    >>> bprop.linalg.svd(bprop.asarray([[0.0, 2.0], [3.0, 0.0]])).S
    Array([3., 2.])
    """
    x = matrix("svd", x)
    return SVDResult(
        *svd_op(x, full_matrices=numpy_flag("svd", "full_matrices", full_matrices) and x.shape[-2] != x.shape[-1])
    )


@function(np.linalg.svdvals, namespace="linalg")
def svdvals(x: Any, /) -> Array:
    """Return the singular values, descending, of matrices ``x`` (…, m, n): shape (…, min(m, n)). See `svd`.

    **Source:** Python Array API standard 2024.12, ``linalg.svdvals``; Giles (2008), §3.2.

    >>> import bprop
    >>> bprop.linalg.svdvals(bprop.asarray([[0.0, 2.0], [3.0, 0.0]]))
    Array([3., 2.])
    """
    return svd_op(matrix("svdvals", x), full_matrices=False)[1]


Tolerance = float | tuple[Any, ...]
"""A relative size below which singular values count as zero: of all matrices, or of each, as nested tuples."""


def threshold(name: str, rtol: Any, x: Array) -> Tolerance:
    """Return the relative size below which a singular value counts as zero: rounding errors reach up to there."""
    if rtol is None:
        dtype = to_real(to_float(x.dtype))
        return float(np.finfo(dtype).eps) * builtins.max(x.shape[-2:])
    given = array(name, rtol)
    numbers = given.concrete()
    if numbers is None or not given.decides() or given.dtype.kind not in "iuf" or not np.all(numbers >= 0):
        raise ArgumentError(f"{name}: rtol must be numbers that are not negative, not {rtol!r:.60}")
    if broadcast(f"{name}: rtol", given.shape, x.shape[:-2]) != x.shape[:-2]:
        raise ShapeError(
            f"{name}: rtol of shape {given.shape} is more than one number for each matrix of shape {x.shape}"
        )
    return 0.0 if numbers.size == 0 else _nested(numbers.tolist())


def _nested(numbers: Any) -> Any:
    return tuple(map(_nested, numbers)) if isinstance(numbers, list) else float(numbers)


@function(namespace="linalg")
def matrix_rank(x: Any, /, *, rtol: Any = None) -> Array:
    """Return how many singular values exceed ``rtol`` times the largest one, of matrices ``x`` (…, m, n).

    ``rtol``: a number, or one for each matrix, of shape (…); max(m, n) times the precision of the dtype unless given. The rank has no derivative.

    **Source:** Python Array API standard 2024.12, ``linalg.matrix_rank``.

    >>> import bprop
    >>> bprop.linalg.matrix_rank(bprop.ones((3, 2)))
    Array(1)
    """
    x = matrix("matrix_rank", x)
    s = svdvals(x)
    if s.shape[-1] == 0:
        return astype(sum(s, axis=-1), np.int64)
    tolerance = np.asarray(threshold("matrix_rank", rtol, x), s.dtype)[..., None]
    return sum(astype(s > tolerance * max(s, axis=-1, keepdims=True), np.int64), axis=-1)
