"""The functions of `scipy.linalg`, by SciPy's names and arguments, without those that only say how memory is used.

>>> import bprop
>>> bprop.grad(lambda a: bprop.sum(bprop.scipy.linalg.expm(a)))(bprop.zeros((2, 2)))
Array([[1., 1.],
       [1., 1.]])
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from .. import linalg
from ..core.error import ArgumentError, ShapeError
from ..core.lazy import exported
from ..core.number import numpy_flag
from ..core.op import array
from ..core.value import Array
from ..linalg import EighResult, LstsqResult, SVDResult, det, inv, pinv
from ..ops.arrangement import pad
from ..ops.banded_system import solve_banded
from ..ops.complex import conj
from ..ops.concatenation import concat
from ..ops.contraction import matmul
from ..ops.factorisation import cholesky as _lower_cholesky
from ..ops.factorisation import hermitian
from ..ops.indexing import take
from ..ops.linear_algebra import kron
from ..ops.linear_system import square, triangular_solve
from ..ops.lu import lu, lu_factor, lu_solve
from ..ops.manipulation import matrix_transpose, reshape
from ..ops.matrix import eye, tril, triu
from ..ops.matrix_function import expm, logm, solve_sylvester, sqrtm
from ..ops.norm import norm

__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cholesky", "circulant", "det", "eigh", "eigvalsh", "expm", "hankel", "inv",
    "logm", "lstsq", "lu", "lu_factor", "lu_solve", "norm", "pinv", "polar", "qr", "solve", "solve_banded",
    "solve_continuous_lyapunov", "solve_discrete_lyapunov", "solve_lyapunov", "solve_sylvester", "solve_toeplitz",
    "solve_triangular", "sqrtm", "svd", "svdvals", "toeplitz",
]  # fmt: skip


# --- systems ---
_SYMMETRIC, _HERMITIAN = ("sym", "symmetric"), ("her", "hermitian")
_POSITIVE = ("pos", "positive definite")
_UPPER, _LOWER = ("upper triangular",), ("lower triangular",)
_GENERAL = (None, "gen", "general", "diagonal", "tridiagonal", "banded")


def _mirrored(a: Any, lower: bool) -> Any:
    """Return the symmetric matrix with this triangle."""
    return tril(a) + matrix_transpose(tril(a, k=-1)) if lower else triu(a) + matrix_transpose(triu(a, k=1))


def _hermitian(a: Any, lower: bool) -> Any:
    """Return the Hermitian matrix with this triangle; the diagonal is taken as it is."""
    return tril(a) + hermitian(tril(a, k=-1)) if lower else triu(a) + hermitian(triu(a, k=1))


def solve(a: Any, b: Any, lower: bool = False, *, assume_a: str | None = None, transposed: bool = False) -> Array:
    """Return the x with a x = b (aᵀ x = b if ``transposed``) for ``a`` (…, n, n) and ``b`` (n,) or (…, n, k).

    ``assume_a``: what is read of a, and where its gradient lies: everything ("gen", the default), one triangle ("sym", "her",
    "pos": the upper one, the lower one if ``lower``; of complex numbers "sym" is aᵀ = a, the others aᴴ = a), or "upper triangular" and "lower triangular". Raises `ArgumentError` for a
    singular matrix, and for "pos" where it is not positive definite.

    **Source:** SciPy, ``scipy.linalg.solve``; Giles (2008), Collected matrix derivative results, §2.3.1.

    >>> import bprop
    >>> bprop.scipy.linalg.solve(bprop.asarray([[2.0, 9.0], [0.0, 4.0]]), bprop.ones(2), assume_a="lower triangular")
    Array([0.5 , 0.25])
    """
    a, b = square("solve", a), array("solve", b)
    lower, transposed = numpy_flag("solve", "lower", lower), numpy_flag("solve", "transposed", transposed)
    if assume_a in _POSITIVE + _HERMITIAN and transposed:
        a, lower = matrix_transpose(a), not lower
    if assume_a in _POSITIVE:
        return cho_solve(cho_factor(a, lower=lower), b)
    if assume_a in _HERMITIAN:
        return linalg.solve(_hermitian(a, lower), b)
    if assume_a in _SYMMETRIC:
        return linalg.solve(_mirrored(a, lower), b)
    if assume_a in _UPPER + _LOWER:
        return triangular_solve(a, b, lower=assume_a in _LOWER, transpose=transposed)
    if assume_a not in _GENERAL:
        raise ArgumentError(
            f"solve: assume_a is 'gen', 'sym', 'pos', 'upper triangular' or 'lower triangular', not {assume_a!r}"
        )
    return linalg.solve(matrix_transpose(a) if transposed else a, b)


def solve_triangular(a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False) -> Array:
    """Return the x with a x = b for a triangular ``a``: `bprop.linalg.triangular_solve` with SciPy's arguments.

    ``trans``: 0 or "N", 1 or "T" for aᵀ x = b, 2 or "C" for aᴴ x = b. ``lower``: which triangle is read.

    **Source:** SciPy, ``scipy.linalg.solve_triangular``.

    >>> import bprop
    >>> bprop.scipy.linalg.solve_triangular(bprop.asarray([[2.0, 1.0], [0.0, 4.0]]), bprop.asarray([3.0, 4.0]))
    Array([1., 1.])
    """
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ArgumentError(f"solve_triangular: trans is 0, 1, 2, 'N', 'T' or 'C', not {trans!r}")
    a = conj(a) if trans in (2, "C") else a
    return triangular_solve(a, b, lower=lower, transpose=trans not in (0, "N"), unit_diagonal=unit_diagonal)


def solve_toeplitz(c_or_cr: Any, b: Any) -> Array:
    """Return the x with a x = b for the `toeplitz` matrix a of a first column c, or of a tuple (c, r) with its first row.

    By elimination, in the time that a general matrix takes.

    **Source:** SciPy, ``scipy.linalg.solve_toeplitz``.

    >>> import bprop
    >>> bprop.scipy.linalg.solve_toeplitz(bprop.asarray([2.0, 1.0]), bprop.asarray([3.0, 3.0]))
    Array([1., 1.])
    """
    c, r = c_or_cr if isinstance(c_or_cr, tuple) else (c_or_cr, None)
    return linalg.solve(toeplitz(c, r), b)


def solve_continuous_lyapunov(a: Any, q: Any) -> Array:
    """Return the X with a X + X aᴴ = q, by `solve_sylvester`.

    **Source:** SciPy, ``scipy.linalg.solve_continuous_lyapunov``.

    >>> import bprop
    >>> bprop.scipy.linalg.solve_continuous_lyapunov(bprop.eye(2), 2 * bprop.eye(2))
    Array([[1., 0.],
           [0., 1.]])
    """
    a = square("solve_continuous_lyapunov", a)
    return solve_sylvester(a, hermitian(a), q)


solve_lyapunov = solve_continuous_lyapunov


def solve_discrete_lyapunov(a: Any, q: Any) -> Array:
    """Return the X with a X aᴴ - X + q = 0 for ``a`` and ``q`` of shape (n, n), as a system of n² equations.

    **Source:** SciPy, ``scipy.linalg.solve_discrete_lyapunov``, ``method="direct"``.

    >>> import bprop
    >>> bprop.scipy.linalg.solve_discrete_lyapunov(0.5 * bprop.eye(1), bprop.eye(1))
    Array([[1.33333333]])
    """
    a, q = square("solve_discrete_lyapunov", a), square("solve_discrete_lyapunov", q)
    if a.ndim != 2 or a.shape != q.shape:
        raise ShapeError(f"solve_discrete_lyapunov: shapes {a.shape} and {q.shape} are not both (n, n)")
    n = a.shape[0]
    x = linalg.solve(eye(n * n, dtype=a.dtype) - kron(a, conj(a)), reshape(q, (n * n,)))
    return reshape(x, (n, n))


# --- Cholesky ---
def cholesky(a: Any, lower: bool = False) -> Array:
    """Return the upper triangular R with Rᴴ R = a, or the lower triangular L with L Lᴴ = a if ``lower``.

    The triangle of that side of ``a`` (…, n, n) is read, and the gradient lies in it. Raises `ArgumentError` where a is not
    positive definite.

    **Source:** SciPy, ``scipy.linalg.cholesky``; Murray (2016), Differentiation of the Cholesky decomposition.

    >>> import bprop
    >>> bprop.scipy.linalg.cholesky(bprop.asarray([[4.0, 2.0], [2.0, 2.0]]))
    Array([[2., 1.],
           [0., 1.]])
    """
    return _lower_cholesky(a, upper=not numpy_flag("cholesky", "lower", lower))


def cho_factor(a: Any, lower: bool = False) -> tuple[Array, bool]:
    """Return `cholesky` of ``a`` and ``lower``: what `cho_solve` takes. The other triangle is 0 (SciPy: what it was).

    **Source:** SciPy, ``scipy.linalg.cho_factor``.

    >>> import bprop
    >>> bprop.scipy.linalg.cho_factor(bprop.asarray([[4.0, 2.0], [2.0, 2.0]]), lower=True)
    (Array([[2., 0.],
           [1., 1.]]), True)
    """
    return cholesky(a, lower=lower), numpy_flag("cho_factor", "lower", lower)


def cho_solve(c_and_lower: tuple[Any, bool], b: Any) -> Array:
    """Return the x with a x = b for the a that `cho_factor` was given; ``b``: (n,) or (…, n, k).

    **Source:** SciPy, ``scipy.linalg.cho_solve``.

    >>> import bprop
    >>> factor = bprop.scipy.linalg.cho_factor(bprop.asarray([[4.0, 2.0], [2.0, 2.0]]))
    >>> bprop.scipy.linalg.cho_solve(factor, bprop.asarray([6.0, 4.0]))
    Array([1., 1.])
    """
    c, lower = c_and_lower
    first, second = (c, conj(c)) if lower else (conj(c), c)
    half = triangular_solve(first, b, lower=lower, transpose=not lower)
    return triangular_solve(second, half, lower=lower, transpose=lower)


# --- eigenvalues, singular values, QR ---
def eigh(a: Any, b: Any = None, *, lower: bool = True) -> EighResult:
    """Return eigenvalues w and eigenvectors v of a symmetric (Hermitian) ``a``: a v = v diag(w); with ``b``, positive definite, a v = b v diag(w).

    The lower triangle of both is read (the upper one without ``lower``). Eigenvectors have no derivative where eigenvalues are
    equal.

    **Source:** SciPy, ``scipy.linalg.eigh``; Golub & Van Loan (2013), Matrix Computations, §8.7.2.

    >>> import bprop
    >>> bprop.scipy.linalg.eigh(bprop.asarray([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    Array([1., 2.])
    """
    a = _hermitian(square("eigh", a), numpy_flag("eigh", "lower", lower))
    if b is None:
        return linalg.eigh(a)
    factor = cholesky(_hermitian(square("eigh", b), lower), lower=True)
    half = triangular_solve(factor, a, lower=True)
    reduced = triangular_solve(factor, hermitian(half), lower=True)
    w, v = linalg.eigh(0.5 * (reduced + hermitian(reduced)))
    return EighResult(w, triangular_solve(conj(factor), v, lower=True, transpose=True))


def eigvalsh(a: Any, b: Any = None, *, lower: bool = True) -> Array:
    """Return the eigenvalues of `eigh`, which have a derivative where they are distinct.

    **Source:** SciPy, ``scipy.linalg.eigvalsh``.

    >>> import bprop
    >>> bprop.scipy.linalg.eigvalsh(bprop.asarray([[2.0, 0.0], [0.0, 1.0]]))
    Array([1., 2.])
    """
    if b is None:
        return linalg.eigvalsh(_hermitian(square("eigvalsh", a), numpy_flag("eigvalsh", "lower", lower)))
    return eigh(a, b, lower=lower)[0]


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> SVDResult | Array:
    """Return U, S and Vᵀ with a = U diag(S) Vᵀ, or S alone without ``compute_uv``: `bprop.linalg.svd` with SciPy's arguments.

    **Source:** SciPy, ``scipy.linalg.svd``.

    >>> import bprop
    >>> bprop.scipy.linalg.svd(bprop.asarray([[2.0, 0.0], [0.0, 1.0]]), compute_uv=False)
    Array([2., 1.])
    """
    if not numpy_flag("svd", "compute_uv", compute_uv):
        return linalg.svdvals(a)
    return linalg.svd(a, full_matrices=full_matrices)


def svdvals(a: Any) -> Array:
    """Return the singular values.

    **Source:** SciPy, ``scipy.linalg.svdvals``.

    >>> import bprop
    >>> bprop.scipy.linalg.svdvals(bprop.asarray([[3.0, 0.0], [0.0, 4.0]]))
    Array([4., 3.])
    """
    return linalg.svdvals(a)


def qr(a: Any, mode: Literal["full", "r", "economic"] = "full") -> tuple[Array, ...]:
    """Return Q and R with a = Q R, or R alone for ``mode="r"``. Without pivots; "full" has no derivative for more rows than columns.

    **Source:** SciPy, ``scipy.linalg.qr``.

    >>> import bprop
    >>> q, r = bprop.scipy.linalg.qr(bprop.asarray([[0.0, 1.0], [2.0, 3.0]]))
    >>> bprop.all(abs(q @ r - bprop.asarray([[0.0, 1.0], [2.0, 3.0]])) < 1e-15)
    Array(True)
    """
    if mode not in ("full", "r", "economic"):
        raise ArgumentError(f"qr: mode is 'full', 'r' or 'economic', not {mode!r}")
    q, r = linalg.qr(a, mode="reduced" if mode == "economic" else "complete")
    return (r,) if mode == "r" else (q, r)


class PolarResult(NamedTuple):
    """Orthonormal u and symmetric positive semidefinite p whose product is the matrix."""

    u: Array
    p: Array


def polar(a: Any, side: Literal["right", "left"] = "right") -> PolarResult:
    """Return u and p with a = u p (a = p u for the left side), by the singular values. Where two are equal there is no derivative.

    **Source:** SciPy, ``scipy.linalg.polar``; Higham (1986), Computing the polar decomposition.

    >>> import bprop
    >>> bprop.scipy.linalg.polar(bprop.asarray([[2.0, 0.0], [0.0, 1.0]])).p
    Array([[2., 0.],
           [0., 1.]])
    """
    if side not in ("right", "left"):
        raise ArgumentError(f"polar: side is 'right' or 'left', not {side!r}")
    u, s, vh = linalg.svd(a, full_matrices=False)
    outer = hermitian(vh) if side == "right" else u
    return PolarResult(matmul(u, vh), matmul(outer * s[..., None, :], hermitian(outer)))


def lstsq(a: Any, b: Any, cond: float | None = None) -> LstsqResult:
    """Return `bprop.linalg.lstsq`: the shortest x of those with the smallest a x - b; ``cond`` is its ``rtol``.

    **Source:** SciPy, ``scipy.linalg.lstsq``.

    >>> import bprop
    >>> bprop.scipy.linalg.lstsq(bprop.asarray([[1.0], [1.0]]), bprop.asarray([1.0, 3.0]))[0]
    Array([2.])
    """
    return linalg.lstsq(a, b, rtol=cond)


# --- matrices made of vectors ---
def _vector(name: str, what: str, x: Any) -> Array:
    x = array(name, x)
    if x.ndim != 1:
        raise ShapeError(f"{name}: {what} has shape {x.shape}, not (n,)")
    return x


def _entries(values: Any, indices: Any) -> Array:
    return reshape(take(values, np.asarray(indices).ravel()), indices.shape)


def toeplitz(c: Any, r: Any = None) -> Array:
    """Return the matrix with constant diagonals whose first column is ``c`` and whose first row is ``r`` (the conjugate of c without it).

    r[0] does not count. Raises `ShapeError` where one is no vector.

    **Source:** SciPy, ``scipy.linalg.toeplitz``.

    >>> import bprop
    >>> bprop.scipy.linalg.toeplitz(bprop.asarray([1.0, 2.0]), bprop.asarray([1.0, 3.0, 4.0]))
    Array([[1., 3., 4.],
           [2., 1., 3.]])
    """
    c = _vector("toeplitz", "c", c)
    r = conj(c) if r is None else _vector("toeplitz", "r", r)
    m, n = c.shape[0], r.shape[0]
    return _entries(concat([c[::-1], r[1:]]), m - 1 - np.arange(m)[:, None] + np.arange(n))


def hankel(c: Any, r: Any = None) -> Array:
    """Return the matrix with constant antidiagonals whose first column is ``c`` and whose last row is ``r`` (zeros without it).

    r[0] does not count. Raises `ShapeError` where one is no vector.

    **Source:** SciPy, ``scipy.linalg.hankel``.

    >>> import bprop
    >>> bprop.scipy.linalg.hankel(bprop.asarray([1.0, 2.0]), bprop.asarray([2.0, 3.0, 4.0]))
    Array([[1., 2., 3.],
           [2., 3., 4.]])
    """
    c = _vector("hankel", "c", c)
    r = 0 * c if r is None else _vector("hankel", "r", r)
    return _entries(concat([c, r[1:]]), np.arange(c.shape[0])[:, None] + np.arange(r.shape[0]))


def circulant(c: Any) -> Array:
    """Return the matrix whose first column is ``c`` and whose others are c moved on by one place each.

    **Source:** SciPy, ``scipy.linalg.circulant``.

    >>> import bprop
    >>> bprop.scipy.linalg.circulant(bprop.asarray([1.0, 2.0]))
    Array([[1., 2.],
           [2., 1.]])
    """
    c = _vector("circulant", "c", c)
    n = np.arange(c.shape[0])
    return _entries(c, (n[:, None] - n) % max(c.shape[0], 1))


def block_diag(*arrs: Any) -> Array:
    """Return the matrix that has the given ones along its diagonal and zeros beside them; a vector is a row.

    **Source:** SciPy, ``scipy.linalg.block_diag``.

    >>> import bprop
    >>> bprop.scipy.linalg.block_diag(bprop.ones((1, 2)), 3.0)
    Array([[1., 1., 0.],
           [0., 0., 3.]])
    """
    if not arrs:
        raise ArgumentError("block_diag takes at least one matrix")
    blocks = []
    for block in (array("block_diag", block) for block in arrs):
        if block.ndim > 2:
            raise ShapeError(f"block_diag: a block has shape {block.shape}, not (m, n)")
        blocks.append(block if block.ndim == 2 else reshape(block, (1, -1)))
    width = sum(block.shape[1] for block in blocks)
    rows, before = [], 0
    for block in blocks:
        after = width - before - block.shape[1]
        rows.append(pad(block, ((0, 0), (before, after))))
        before += block.shape[1]
    return concat(rows, axis=0)


__dir__ = exported(__name__)
