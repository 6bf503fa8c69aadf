"""Factorisations of a matrix: cholesky, qr, eigh."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..core.dtype import to_float, to_real
from ..core.error import ArgumentError, DerivativeError, ShapeError
from ..core.family import General
from ..core.function import function
from ..core.number import numpy_flag
from ..core.op import array
from ..core.value import Array
from .complex import conj, imag, real
from .contraction import matmul
from .creation import arange
from .indexing import embed_along, embed_op, slice_along
from .linear_algebra import diagonal
from .linear_system import in_float, square, triangular_op, unless_unused
from .manipulation import matrix_transpose, reshape
from .matrix import eye, tril, triu
from .reduction import all, any
from .selection import where

__all__ = ["cholesky"]


def matrix(name: str, x: Any) -> Array:
    """Return ``x`` as an array of matrices, or raise."""
    x = array(name, x)
    if x.ndim < 2:
        raise ShapeError(f"{name}: the matrix has shape {x.shape}, not (…, m, n)")
    return x


def row(v: Any) -> Any:
    """Put v along the columns: x * row(v) is x diag(v)."""
    return reshape(v, (*v.shape[:-1], 1, v.shape[-1]))


def column(v: Any) -> Any:
    """Put v along the rows: column(v) * x is diag(v) x."""
    return reshape(v, (*v.shape, 1))


def _diagonal_part(x: Any) -> Any:
    """Return the diagonal matrix of the real parts of that of x: what LAPACK reads of it, and what it writes."""
    return real(x) * eye(x.shape[-1], dtype=to_real(x.dtype))


def _mirrored(x: Any) -> Any:
    """Return the symmetric, or Hermitian, matrix whose lower triangle is that of x: what LAPACK reads."""
    if x.dtype.kind == "c":
        return tril(x, -1) + hermitian(tril(x, -1)) + _diagonal_part(x)
    return tril(x) + matrix_transpose(tril(x, -1))


def _folded(x: Any) -> Any:
    """The transpose of `_mirrored`: what is above the diagonal is added to what is below."""
    if x.dtype.kind == "c":
        return tril(x + hermitian(x), -1) + _diagonal_part(x)
    return tril(x) + tril(matrix_transpose(x), -1)


def hermitian(x: Any) -> Any:
    """Return xᴴ, the conjugate transpose; of a real matrix xᵀ."""
    return matrix_transpose(conj(x))


def conjugated(vjp: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """Return a rule that is written with conjugate transposes, for cotangents as `bprop.vjp` has them, as one for those inside."""

    def rule(y_bar: Any, y: Any, xs: Any, needs: Any, **params: Any) -> tuple[Any, ...]:
        bars = y_bar if isinstance(y_bar, tuple) else (y_bar,)
        bars = tuple(None if bar is None else conj(bar) for bar in bars)
        x_bars = vjp(bars if isinstance(y_bar, tuple) else bars[0], y, xs, needs, **params)
        return tuple(None if bar is None else conj(bar) for bar in x_bars)

    return rule


def total(terms: list[Any]) -> Any:
    """Return the sum of the terms, ``None`` if there are none."""
    result = terms[0] if terms else None
    for term in terms[1:]:
        result = result + term
    return result


# --- cholesky ---
def _phi(x: Any) -> Any:
    """Lower triangle with the diagonal halved."""
    return 0.5 * (tril(x) + tril(x, -1))


def _lower_solve(y: Any, x: Any, transpose: bool) -> Any:
    """Return y⁻¹ x, or y⁻ᴴ x if ``transpose``."""
    return triangular_op(conj(y) if transpose else y, x, lower=True, transpose=transpose, unit_diagonal=False)


def _cholesky_jvp(y: Any, xs: Any, x_dots: Any) -> Any:
    half = _lower_solve(y, _mirrored(x_dots[0]), transpose=False)
    inner = hermitian(_lower_solve(y, hermitian(half), transpose=False))
    return matmul(y, _phi(inner))


def _cholesky_vjp(y_bar: Any, y: Any, xs: Any, needs: Any) -> tuple[Any]:
    inner = _phi(matmul(hermitian(y), tril(y_bar)))
    half = _lower_solve(y, inner, transpose=True)
    return (_folded(hermitian(_lower_solve(y, hermitian(half), transpose=True))),)


_cholesky = General(
    "cholesky",
    lambda x: np.linalg.cholesky(*in_float(x)),
    code="np.linalg.cholesky({0})",
    signature="(n,n)->(n,n)",
    jvp=_cholesky_jvp,
    vjp=conjugated(_cholesky_vjp),
    takes_complex=True,
    failure="the matrix is not positive definite: add a multiple of the identity, or check the data",
    examples=lambda draw: [((draw.positive_definite(*shape),), {}) for shape in ((3, 3), (2, 3, 3), (0, 2, 2), (1, 1))],
    complex_step=False,
    latex=r"\operatorname{{chol}}({0})",
)


@function(np.linalg.cholesky)
def cholesky(x: Any, /, *, upper: bool = False) -> Array:
    """Return the lower triangular L with L Lᵀ = x, for symmetric positive definite ``x`` of shape (…, n, n); Lᵀ if ``upper``.
    Of a complex Hermitian ``x``, L Lᴴ = x.

    As in NumPy the lower triangle of ``x`` is read, with ``upper`` the upper one, and the gradient lies in that triangle: an
    entry beside the diagonal stands for two. For a gradient that is symmetric, as JAX's, write
    ``cholesky((x + x.mT) / 2)``. Raises `ArgumentError` where ``x`` is not positive definite, `ShapeError` where it is not
    square.

    **Source:** Murray (2016), Differentiation of the Cholesky decomposition, eqs. 8 and 10.

    >>> import bprop
    >>> bprop.cholesky(bprop.asarray([[4.0, 2.0], [2.0, 2.0]]))
    Array([[2., 0.],
           [1., 1.]])
    """
    x = square("cholesky", x)
    return hermitian(_cholesky(hermitian(x))) if numpy_flag("cholesky", "upper", upper) else _cholesky(x)


# --- qr ---
class QRResult(NamedTuple):
    """Orthonormal columns and an upper triangle whose product is the matrix."""

    Q: Array
    R: Array


def _reduced(x: Any, mode: str) -> None:
    m, n = x.shape[-2:]
    if mode == "complete" and m > n:
        raise DerivativeError(
            f"qr: mode='complete' of {m} × {n} matrices has no derivative: the last {m - n} columns of Q may be turned "
            f"freely; use mode='reduced'"
        )


def _leading(r: Any) -> Any:
    """Return the square part of R, whose columns are those of x that span the others."""
    k = r.shape[-2]
    return r if r.shape[-1] == k else r[..., :k]


def _times_inverse(x: Any, r: Any, transpose: bool, used: Any = None) -> Any:
    """Return x r⁻¹, or x r⁻ᴴ if ``transpose``."""
    r = unless_unused(r, all(diagonal(r) != 0, axis=-1), used)
    params = {"lower": False, "transpose": not transpose, "unit_diagonal": False, "failure": _DEPENDENT}
    return matrix_transpose(triangular_op(conj(r) if transpose else r, matrix_transpose(x), **params))


_DEPENDENT = (
    "qr: the first columns of a matrix, as many as it has rows or columns, whichever are fewer, depend on each other: there "
    "Q and R have no derivative"
)


def _qr_jvp(y: Any, xs: Any, x_dots: Any, mode: str) -> tuple[Any, Any]:
    """QᴴQ = I makes QᴴQ_dot skew, and what is left of Qᴴ x_dot R⁻¹ below the diagonal is its lower half.

    On the diagonal R is real, so that what is imaginary there belongs to Q.
    """
    _reduced(xs[0], mode)
    (q, r), (x_dot,) = y, x_dots
    q_transposed, k = hermitian(q), r.shape[-2]
    x = _times_inverse(x_dot if x_dot.shape[-1] == k else x_dot[..., :k], _leading(r), transpose=False)
    inner = matmul(q_transposed, x)
    lower = tril(inner, -1)
    turned = lower - hermitian(lower)
    if turned.dtype.kind == "c":
        turned = turned + 1j * _diagonal_part(-1j * inner)
    q_dot = x - matmul(q, inner - turned)
    return q_dot, triu(matmul(q_transposed, x_dot - matmul(q_dot, r)))


def _qr_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, mode: str) -> tuple[Any]:
    _reduced(xs[0], mode)
    (q_bar, r_bar), (q, r), shape = y_bar, y, xs[0].shape
    present = [any(bar != 0, axis=(-2, -1)) for bar in (q_bar, r_bar) if bar is not None]
    used = present[0] if len(present) == 1 else present[0] | present[1]
    terms = []
    if r_bar is not None:
        r_bar = triu(r_bar)
        terms.append(matmul(q, r_bar))
        through_q = -matmul(matmul(q, r_bar), hermitian(r))
        q_bar = through_q if q_bar is None else q_bar + through_q
    inner = -matmul(hermitian(q), q_bar)
    x_bar = q_bar + matmul(q, hermitian(_mirrored(hermitian(inner))))
    x_bar = _times_inverse(x_bar, _leading(r), transpose=True, used=used)
    if x_bar.shape[-1] < shape[-1]:
        padded_shape = (*x_bar.shape[:-1], shape[-1])
        x_bar = embed_op(x_bar, shape=padded_shape, slices=tuple((0, size, 1) for size in x_bar.shape))
    return (total([*terms, x_bar]),)


TALL_AND_WIDE = ((4, 3), (3, 4), (3, 3), (2, 4, 2), (2, 2, 3), (0, 3, 2), (1, 1), (3, 1), (1, 3), (3, 0), (0, 3))


def _qr_extents(sizes: dict[str, int], mode: str) -> dict[str, int]:
    return {"k": sizes["m"] if mode == "complete" else min(sizes["m"], sizes["n"])}


qr_op = General(
    "qr",
    lambda x, mode: tuple(np.linalg.qr(in_float(x)[0], mode=mode)),
    signature="(m,n)->(m,k),(k,n)",
    extents=_qr_extents,
    jvp=_qr_jvp,
    vjp=conjugated(_qr_vjp),
    takes_complex=True,
    examples=lambda draw: [((draw.full_rank(*shape),), {"mode": "reduced"}) for shape in TALL_AND_WIDE],
    complex_step=False,
    latex=lambda x, mode: r"\operatorname{{qr}}({0})",
)


@function(namespace="linalg")
def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """Return Q with orthonormal columns and upper triangular R, Q R = x, for ``x`` of shape (…, m, n).

    Q is (…, m, k) and R (…, k, n) with k = min(m, n), or k = m with ``mode="complete"``. The derivative needs the first
    k columns of x to be independent (else `ArgumentError`); a complete Q beyond n columns has none (`DerivativeError`).

    **Source:** Python Array API standard 2024.12, ``linalg.qr``; Walter & Lehmann (2010), Algorithmic differentiation
    of linear algebra functions.

    >>> import bprop
    >>> q, r = bprop.linalg.qr(bprop.asarray([[3.0, 1.0], [4.0, 2.0]]))
    >>> bprop.matmul(q, r)
    Array([[3., 1.],
           [4., 2.]])
    """
    if not isinstance(mode, str) or mode not in ("reduced", "complete"):
        raise ArgumentError(f"qr: mode={mode!r} is unknown: use 'reduced' or 'complete', and take .R for R alone")
    return QRResult(*qr_op(matrix("qr", x), mode=mode))


# --- eigh ---
class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and the eigenvectors as columns in the same order."""

    eigenvalues: Array
    eigenvectors: Array


def over_gaps(w: Any) -> Any:
    """Return 1/(w_j - w_i) at i, j and 0 on the diagonal; not finite where two are equal."""
    n = w.shape[-1]
    same = reshape(arange(n), (n, 1)) == arange(n)
    return where(same, 0, 1 / where(same, 1, row(w) - column(w)))


def _lower(x: Any, UPLO: str) -> Any:
    """Turn the triangle that is read into the lower one, or that one back."""
    return hermitian(x) if UPLO == "U" else x


def _eigh_value(x: Any, UPLO: Any) -> Any:
    """Complex eigenvectors are real in their first entry, or with ``UPLO="U"`` in the last, as LAPACK makes them."""
    w, v = np.linalg.eigh(in_float(x)[0], UPLO)
    if v.dtype.kind == "c" and v.shape[-1]:
        entry = v[..., :1, :] if UPLO == "L" else v[..., -1:, :]
        if np.any(entry.imag):
            v = v * np.where(entry == 0, 1, np.conj(np.sign(entry)))
    return w, v


def _real_entry(v: Any, UPLO: str) -> Any:
    """Return, as a row, the entries of complex eigenvectors that are real."""
    return slice_along(v, len(v.shape) - 2, 0 if UPLO == "L" else v.shape[-2] - 1, 1)


def _over(x: Any, entry: Any) -> Any:
    """Return x / Re entry; where that is 0 the phase is free, and 0 is as good as any."""
    entry = real(entry)
    return where(entry == 0, 0, x / where(entry == 0, 1, entry))


def _eigh_jvp(y: Any, xs: Any, x_dots: Any, UPLO: str) -> tuple[Any, Any]:
    w, v = y
    inner = matmul(matmul(hermitian(v), _mirrored(_lower(x_dots[0], UPLO))), v)
    v_dot = matmul(v, over_gaps(w) * inner)
    if v.dtype.kind == "c" and v.shape[-1]:  # the phase turns so that the entry stays real
        v_dot = v_dot - v * (1j * _over(imag(_real_entry(v_dot, UPLO)), _real_entry(v, UPLO)))
    return diagonal(inner), v_dot


def _eigh_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, UPLO: str) -> tuple[Any]:
    (w_bar, v_bar), (w, v) = y_bar, y
    v_transposed = hermitian(v)
    terms = [] if w_bar is None else [matmul(v * row(w_bar), v_transposed)]
    if v_bar is not None:
        if v.dtype.kind == "c" and v.shape[-1]:
            turned = row(imag(diagonal(matmul(v_transposed, v_bar))))
            turned = -1j * _over(turned, _real_entry(v, UPLO))
            start = 0 if UPLO == "L" else v.shape[-1] - 1
            v_bar = v_bar + embed_along(turned, len(v.shape) - 2, start, v.shape[-1])
        inner = over_gaps(w) * matmul(v_transposed, v_bar)
        terms.append(matmul(matmul(v, inner), v_transposed))
    return (_lower(_folded(total(terms)), UPLO),)


eigh_op = General(
    "eigh",
    _eigh_value,
    signature="(n,n)->(n),(n,n)",
    jvp=_eigh_jvp,
    vjp=conjugated(_eigh_vjp),
    dtype=lambda dtype: (to_real(to_float(dtype)), to_float(dtype)),
    takes_complex=True,
    failure="the eigenvalues did not converge: look for NaN or infinity in the matrix",
    examples=lambda draw: [
        ((draw(*shape),), {"UPLO": UPLO})
        for shape, UPLO in zip(((3, 3), (2, 3, 3), (0, 2, 2), (1, 1), (0, 0)), "LUULL", strict=True)
    ],
    complex_step=False,
    latex=lambda x, UPLO: r"\operatorname{{eigh}}({0})",
)


def _eigh(name: str, x: Any, UPLO: Any) -> Any:
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise ArgumentError(f"{name}: UPLO is the triangle that is read, 'L' or 'U', not {UPLO!r:.60}")
    return eigh_op(square(name, x), UPLO=UPLO.upper())


@function(np.linalg.eigh, namespace="linalg")
def eigh(x: Any, /, UPLO: str = "L") -> EighResult:
    """Return eigenvalues w, ascending, and orthonormal eigenvectors v with x = v diag(w) vᵀ, for symmetric ``x`` (…, n, n).
    Of a complex Hermitian ``x``, x = v diag(w) vᴴ with real w.

    As in NumPy one triangle of ``x`` is read, the lower one or with ``UPLO="U"`` the upper one, and the gradient lies in that
    triangle. With X_bar = v (diag w_bar + sym(F ∘ vᵀ v_bar)) vᵀ, F_ij = 1/(w_j - w_i), it is X_bar on the diagonal and
    2 X_bar beside it, where an entry stands for two. For a gradient that is symmetric, as JAX's, write
    ``eigh((x + x.mT) / 2)``. Where eigenvalues repeat, functions that treat them alike have their derivative, and the
    eigenvectors none: it is not finite. The sign of an eigenvector is LAPACK's choice; its phase is such that the first entry
    is real, with ``UPLO="U"`` the last (where that is 0, what depends on the phase has no derivative). Raises `ArgumentError` for
    matrices that are not finite, `ShapeError` where they are not square.

    **Source:** Python Array API standard 2024.12, ``linalg.eigh``; Giles (2008), Collected matrix derivative results, §3.1.

    >>> import bprop
    >>> w, v = bprop.linalg.eigh(bprop.asarray([[2.0, 1.0], [1.0, 2.0]]))
    >>> w
    Array([1., 3.])
    """
    return EighResult(*_eigh("eigh", x, UPLO))


@function(np.linalg.eigvalsh, namespace="linalg")
def eigvalsh(x: Any, /, UPLO: str = "L") -> Array:
    """Return the eigenvalues, ascending, of symmetric matrices ``x`` (…, n, n): shape (…, n). ``UPLO``: see `eigh`.

    **Source:** Python Array API standard 2024.12, ``linalg.eigvalsh``; Giles (2008), §3.1.

    >>> import bprop
    >>> bprop.linalg.eigvalsh(bprop.asarray([[2.0, 1.0], [1.0, 2.0]]))
    Array([1., 3.])
    """
    return _eigh("eigvalsh", x, UPLO)[0]
