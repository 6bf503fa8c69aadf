"""Determinants. The derivative of det is the matrix of cofactors, which singular matrices have too."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.dtype import to_float, to_real
from ..core.family import General
from ..core.function import function
from ..core.value import Array
from .complex import imag
from .contraction import matmul
from .linear_algebra import trace
from .linear_system import in_float, inv_op, per_matrix, square, unless_unused
from .manipulation import matrix_transpose
from .reduction import any, sum

__all__: list[str] = []

_SHAPES = ((3, 3), (2, 3, 3), (0, 2, 2), (1, 1))


# --- the second and first derivative of det, from the singular values, without a division ---
def _without_each(s: NDArray[Any]) -> NDArray[Any]:
    """Return Π s_k over all k but i, at i."""
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([ones, s[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([ones, s[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    return before[..., : s.shape[-1]] * after[..., -s.shape[-1] or None :]


def _svd(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return U, s, Vᵀ and the sign of det U det V, so that det x = sign Π s; the sign is NaN where x is not finite."""
    finite = np.isfinite(x).all(axis=(-2, -1), keepdims=True)
    u, s, vt = np.linalg.svd(np.where(finite, x, 0))
    sign = np.sign(np.linalg.det(u) * np.linalg.det(vt))[..., None, None]
    return u, s, vt, np.where(finite, sign, np.nan).astype(x.dtype)


def _cofactor_value(x: NDArray[Any]) -> NDArray[Any]:
    u, s, vt, sign = _svd(*in_float(x))
    return sign * np.matmul(np.conj(u) * _without_each(s)[..., None, :], np.conj(vt))


def _cofactor_dot_value(x: NDArray[Any], z: NDArray[Any]) -> NDArray[Any]:
    """Along z, cofactor i j of diag(s) changes by -z_ji Π s_k over the k other than i and j, i i by Σ_j z_jj times it."""
    x, z = in_float(x, z)
    u, s, vt, sign = _svd(x)
    n = s.shape[-1]
    eye = np.eye(n, dtype=bool)
    pairs = np.where(eye, 0, _without_each(np.where(eye, 1, s[..., None, :])))  # row i: s without s_i
    u, vt = np.conj(u), np.conj(vt)  # Uᴴ and V are transposes of these
    inner = np.matmul(np.swapaxes(u, -1, -2), np.matmul(z, np.swapaxes(vt, -1, -2)))
    trace_without = np.matmul(pairs, np.einsum("...ii->...i", inner)[..., None])
    middle = np.where(eye, trace_without, 0) - pairs * np.swapaxes(inner, -1, -2)
    return sign * np.matmul(u, np.matmul(middle, vt))


def _inverse(x: Any, sign: Any, used: Any, failure: str) -> Any:
    return inv_op(unless_unused(x, sign != 0, used), failure=failure)


def _third(x: Any, z1: Any, z2: Any, used: Any = None) -> Any:
    """The derivative of the cofactors along z1 and z2, from cofactor(x) = det(x) x⁻ᵀ: for matrices that have an inverse."""
    failure = "det: a matrix is singular, which has no third derivative here, only the first and the second"
    inverse = _inverse(x, slogdet_op(x)[0], used, failure)
    inverse_transposed, first, second = matrix_transpose(inverse), cofactor_op(x), _cofactor_dot(x, z2)
    inverse_change = matmul(matmul(inverse, z2), inverse)  # minus the change of x⁻¹
    z1_transposed = matrix_transpose(z1)
    change = per_matrix(trace(matmul(inverse, z1))) * second - per_matrix(trace(matmul(inverse_change, z1))) * first
    change = change + matmul(matmul(matrix_transpose(inverse_change), z1_transposed), first)
    return change - matmul(matmul(inverse_transposed, z1_transposed), second)


def _cofactor_dot_jvp(y: Any, xs: Any, x_dots: Any) -> Any:
    x, z = xs
    x_dot, z_dot = x_dots
    terms = [] if x_dot is None else [_third(x, z, x_dot)]
    terms += [] if z_dot is None else [_cofactor_dot(x, z_dot)]
    return terms[0] + terms[1] if len(terms) == 2 else terms[0]


def _cofactor_dot_vjp(y_bar: Any, y: Any, xs: Any, needs: Any) -> tuple[Any, Any]:
    """All derivatives of det are symmetric."""
    x, z = xs
    used = any(y_bar != 0, axis=(-2, -1))
    return _third(x, z, y_bar, used) if needs[0] else None, _cofactor_dot(x, y_bar) if needs[1] else None


_cofactor_dot = General(
    "cofactor_dot",
    _cofactor_dot_value,
    signature="(n,n),(n,n)->(n,n)",
    jvp=_cofactor_dot_jvp,
    vjp=_cofactor_dot_vjp,
    takes_complex=True,
    examples=lambda draw: [
        ((draw.positive_definite(*x), draw(*z)), {})
        for x, z in (((3, 3), (3, 3)), ((2, 3, 3), (3, 3)), ((3, 3), (2, 3, 3)), ((0, 2, 2), (2, 2)), ((1, 1), (1, 1)))
    ],
    complex_step=False,
    latex=r"D \operatorname{{cof}}({0})[{1}]",
)

cofactor_op = General(
    "cofactor",
    _cofactor_value,
    signature="(n,n)->(n,n)",
    jvp=lambda y, xs, x_dots: _cofactor_dot(xs[0], x_dots[0]),
    vjp=lambda y_bar, y, xs, needs: (_cofactor_dot(xs[0], y_bar),),
    takes_complex=True,
    examples=lambda draw: [((draw(*shape),), {}) for shape in _SHAPES],
    complex_step=False,
    latex=r"\operatorname{{cof}}({0})",
)

det_op = General(
    "det",
    lambda x: np.asarray(np.linalg.det(*in_float(x))),
    code="np.linalg.det({0})",
    signature="(n,n)->()",
    jvp=lambda y, xs, x_dots: sum(cofactor_op(xs[0]) * x_dots[0], axis=(-2, -1)),
    vjp=lambda y_bar, y, xs, needs: (per_matrix(y_bar) * cofactor_op(xs[0]),),
    takes_complex=True,
    examples=lambda draw: [((draw(*shape),), {}) for shape in _SHAPES],
    latex=r"\det({0})",
)


@function(np.linalg.det, namespace="linalg")
def det(x: Any, /) -> Array:
    """y = det x, for ``x`` of shape (…, n, n); x_bar = y_bar · cofactors of x.

    First and second derivatives hold at singular matrices too, whatever their rank; higher ones ask for an inverse.
    For the logarithm of a determinant, or where it overflows, use `slogdet`. Raises `ShapeError` for other shapes.

    **Source:** Python Array API standard 2024.12, ``linalg.det``; Jacobi's formula, Magnus & Neudecker (2019), ch. 8.

    >>> import bprop
    >>> bprop.linalg.det(bprop.asarray([[1.0, 2.0], [3.0, 4.0]]))
    Array(-2.)
    >>> bprop.grad(bprop.linalg.det)(bprop.asarray([[1.0, 2.0], [2.0, 4.0]]))
    Array([[ 4., -2.],
           [-2.,  1.]])
    """
    return det_op(square("det", x))


# --- slogdet ---
class SlogdetResult(NamedTuple):
    """The sign of a determinant, and the logarithm of its absolute value."""

    sign: Array
    logabsdet: Array


_SINGULAR = "slogdet: a matrix is singular, log |det x| is -inf and has no derivative: use det, or add a multiple of the identity"


def _slogdet_jvp(y: Any, xs: Any, x_dots: Any) -> tuple[Any, Any]:
    """With t = Σ x⁻ᵀ x_dot, log det changes by t: its real part is log |det|, its imaginary one turns the sign."""
    change = sum(matrix_transpose(_inverse(xs[0], y[0], None, _SINGULAR)) * x_dots[0], axis=(-2, -1))
    return (y[0] * (imag(change) * 1j) if change.dtype.kind == "c" else None), change


def _slogdet_vjp(y_bar: Any, y: Any, xs: Any, needs: Any) -> tuple[Any]:
    sign_bar, total = y_bar
    if sign_bar is not None and sign_bar.dtype.kind == "c":
        turned = imag(sign_bar * y[0]) * 1j
        total = turned if total is None else total + turned
    if total is None:
        return (None,)
    return (per_matrix(total) * matrix_transpose(_inverse(xs[0], y[0], total != 0, _SINGULAR)),)


slogdet_op = General(
    "slogdet",
    lambda x: tuple(map(np.asarray, np.linalg.slogdet(*in_float(x)))),
    code="tuple(np.linalg.slogdet({0}))",
    signature="(n,n)->(),()",
    jvp=_slogdet_jvp,
    vjp=_slogdet_vjp,
    dtype=lambda dtype: (to_float(dtype), to_real(to_float(dtype))),
    takes_complex=True,
    examples=lambda draw: [((draw(*shape),), {}) for shape in _SHAPES],
    complex_step=False,
    latex=r"\operatorname{{slogdet}}({0})",
)


@function(np.linalg.slogdet, namespace="linalg")
def slogdet(x: Any, /) -> SlogdetResult:
    """Return sign and log |det x|, for ``x`` of shape (…, n, n): no overflow where det itself has one.

    ∂ log |det x| / ∂x = x⁻ᵀ; the sign does not vary, but for that of a complex x, det x / |det x|. A singular matrix has sign 0 and logabsdet -inf, and no derivative:
    `ArgumentError`. Raises `ShapeError` where x is not square.

    **Source:** Python Array API standard 2024.12, ``linalg.slogdet``; Giles (2008), §2.2.4.

    >>> import bprop
    >>> sign, logabsdet = bprop.linalg.slogdet(bprop.asarray([[0.0, 2.0], [3.0, 0.0]]))
    >>> sign, bprop.exp(logabsdet)
    (Array(-1.), Array(6.))
    """
    return SlogdetResult(*slogdet_op(square("slogdet", x)))
