"""Least squares: the pseudoinverse and lstsq.

Where the singular values that are cut off are rounding errors, derivatives are those along perturbations that keep the rank;
where a larger ``rtol`` was asked for, what is cut off takes part: its singular vectors turn into those that are kept.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.dtype import result_type, to_float
from ..core.error import DerivativeError, ShapeError
from ..core.family import General
from ..core.function import function
from ..core.op import array
from ..core.value import Array
from .contraction import matmul
from .factorisation import conjugated, hermitian, matrix
from .linear_system import in_float
from .manipulation import matrix_transpose, reshape
from .matrix_function import stein_op
from .power import square
from .reduction import sum
from .singular_value import Tolerance, matrix_rank, svdvals, threshold

__all__: list[str] = []

_FAILURE = "the singular values did not converge: look for NaN or infinity in the matrix"


def _reciprocals(s: NDArray[Any], rtol: Tolerance) -> NDArray[Any]:
    """Return 1/s, and 0 for singular values that count as zero."""
    significant = s > np.asarray(rtol, s.dtype)[..., None] * np.max(s, axis=-1, keepdims=True, initial=0)
    return np.where(significant, 1 / np.where(significant, s, 1), 0)


# --- pinv ---
def _pinv_value(x: NDArray[Any], rtol: Tolerance) -> NDArray[Any]:
    (x,) = in_float(x)
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return np.conj(np.swapaxes(np.matmul(u * _reciprocals(s, rtol).astype(s.dtype)[..., None, :], vt), -1, -2))


def _truncates(rtol: Tolerance, dtype: Any, shape: tuple[int, ...]) -> bool:
    """Whether singular values that count as zero may be more than rounding errors."""
    if float(np.max(rtol)) <= 64 * float(np.finfo(dtype).eps) * max(shape[-2:]):
        return False
    if dtype.kind == "c":
        raise DerivativeError(
            f"pinv: with rtol={rtol} singular values of complex matrices are cut off that are no rounding errors, and that has no "
            f"derivative here: leave rtol out"
        )
    return True


def _truncated_dot(y: Any, x: Any, x_dot: Any) -> Any:
    """The derivative of V₁ S₁⁻¹ U₁ᵀ for x = U₁ S₁ V₁ᵀ + U₂ S₂ V₂ᵀ: U₂ and V₂ turn into U₁ and V₁ by Stein's equations.

    For kept sᵢ and cut sⱼ, with m = Uᵀ ẋ V, the entries are (sᵢ mᵢⱼ + sⱼ mⱼᵢ)/(sᵢ (sᵢ² - sⱼ²)): the divided differences of the
    singular values (Noferini, 2017). For s₂ = 0 that is the rule below.
    """
    y_transposed, x_dot_transposed = matrix_transpose(y), matrix_transpose(x_dot)
    on_left, on_right = matmul(x, y), matmul(y, x)
    cut = x - matmul(on_left, x)
    cut_transposed = matrix_transpose(cut)
    left_gram, right_gram = matmul(y_transposed, y), matmul(y, y_transposed)
    rows = x_dot - matmul(x_dot, on_right) + matmul(matmul(y_transposed, x_dot_transposed), cut)
    columns = x_dot - matmul(on_left, x_dot) + matmul(matmul(cut, x_dot_transposed), y_transposed)
    turned = stein_op(left_gram, matmul(cut_transposed, cut), matmul(left_gram, rows))
    turned = turned + stein_op(matmul(cut, cut_transposed), right_gram, matmul(columns, right_gram))
    return matrix_transpose(turned) - matmul(matmul(y, x_dot), y)


def _pinv_jvp(y: Any, xs: Any, x_dots: Any, rtol: Tolerance) -> Any:
    if _truncates(rtol, y.dtype, xs[0].shape):
        return _truncated_dot(y, xs[0], x_dots[0])
    x, y_hermitian, x_dot_hermitian = xs[0], hermitian(y), hermitian(x_dots[0])
    left_product = matmul(x_dot_hermitian, y_hermitian)
    right_product = matmul(y_hermitian, x_dot_hermitian)
    y_dot = matmul(left_product - matmul(y, matmul(x, left_product)), y) - matmul(matmul(y, x_dots[0]), y)
    return y_dot + matmul(y, right_product - matmul(matmul(right_product, x), y))


def _pinv_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, rtol: Tolerance) -> tuple[Any]:
    if _truncates(rtol, y.dtype, xs[0].shape):  # the derivative is symmetric: it is its own adjoint between x and yᵀ
        return (matrix_transpose(_truncated_dot(y, xs[0], matrix_transpose(y_bar))),)
    x, y_hermitian, bar = xs[0], hermitian(y), hermitian(y_bar)
    left_product, right_product = matmul(y_hermitian, matmul(y, bar)), matmul(matmul(bar, y), y_hermitian)
    x_bar = right_product - matmul(x, matmul(y, right_product)) - matmul(matmul(y_hermitian, y_bar), y_hermitian)
    return (x_bar + left_product - matmul(matmul(left_product, y), x),)


pinv_op = General(
    "pinv",
    _pinv_value,
    signature="(m,n)->(n,m)",
    jvp=_pinv_jvp,
    vjp=conjugated(_pinv_vjp),
    takes_complex=True,
    failure=_FAILURE,
    examples=lambda draw: [
        ((draw(*shape),), {"rtol": 1e-14 if draw.dtype.kind == "c" else 1e-6})
        for shape in ((4, 2), (2, 4), (2, 2), (2, 3, 2), (0, 3, 2), (1, 1), (3, 0))
    ],
    complex_step=False,
    latex=lambda x, rtol: r"{0}^{{+}}",
)


@function(namespace="linalg")
def pinv(x: Any, /, *, rtol: Any = None) -> Array:
    """y = x⁺, the Moore-Penrose pseudoinverse: ``x`` of shape (…, m, n), y of shape (…, n, m).

    Singular values up to ``rtol`` times the largest count as zero (unless given: max(m, n) times the precision of the
    dtype): a number, or one for each matrix, of shape (…). The derivative is that along perturbations that keep the rank;
    where others exist, none does. Singular values that are cut off by a larger ``rtol`` take part in it, of real matrices.
    Raises `ArgumentError` for matrices that are not finite.

    **Source:** Python Array API standard 2024.12, ``linalg.pinv``; Noferini (2017), A formula for the Fréchet derivative of a
    generalized matrix function; Golub & Pereyra (1973), The differentiation of
    pseudo-inverses and nonlinear least squares problems whose variables separate, eq. 4.12.

    >>> import bprop
    >>> bprop.linalg.pinv(bprop.asarray([[2.0], [0.0]]))
    Array([[0.5, 0. ]])
    """
    x = matrix("pinv", x)
    return pinv_op(x, rtol=threshold("pinv", rtol, x))


# --- lstsq ---
class LstsqResult(NamedTuple):
    """The solution, the squared length of b - a x for each column, the rank and the singular values of a."""

    x: Array
    residuals: Array
    rank: Array
    singular_values: Array


def _lstsq_value(a: NDArray[Any], b: NDArray[Any], rtol: Tolerance) -> NDArray[Any]:
    a, b = in_float(a, b)
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    inner = np.matmul(np.swapaxes(u, -1, -2), b) * _reciprocals(s, rtol).astype(a.dtype)[..., :, None]
    return np.matmul(np.swapaxes(vt, -1, -2), inner)


def _lstsq_jvp(y: Any, xs: Any, x_dots: Any, rtol: Tolerance) -> Any:
    """y = a⁺ b; a⁺ and (a⁺)ᵀ are applied by solving again."""
    (a, b), (a_dot, b_dot) = xs, x_dots
    if a_dot is None:
        return _lstsq(a, b_dot, rtol=rtol)
    right = -matmul(a_dot, y)
    a_transposed, a_dot_transposed = matrix_transpose(a), matrix_transpose(a_dot)
    y_dot = _lstsq(a, right if b_dot is None else b_dot + right, rtol=rtol)
    y_dot = y_dot + _lstsq(a, _lstsq(a_transposed, matmul(a_dot_transposed, b - matmul(a, y)), rtol=rtol), rtol=rtol)
    free = matmul(a_dot_transposed, _lstsq(a_transposed, y, rtol=rtol))
    return y_dot + free - _lstsq(a, matmul(a, free), rtol=rtol)


def _lstsq_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, rtol: Tolerance) -> tuple[Any, Any]:
    a, b = xs
    a_transposed = matrix_transpose(a)
    b_bar = _lstsq(a_transposed, y_bar, rtol=rtol)
    if not needs[0]:
        return None, b_bar
    a_bar = matmul(b - matmul(a, y), matrix_transpose(_lstsq(a, b_bar, rtol=rtol))) - matmul(b_bar, matrix_transpose(y))
    free = y_bar - _lstsq(a, matmul(a, y_bar), rtol=rtol)
    return a_bar + matmul(_lstsq(a_transposed, y, rtol=rtol), matrix_transpose(free)), b_bar


_lstsq = General(
    "lstsq",
    _lstsq_value,
    signature="(m,n),(m,k)->(n,k)",
    columns="k",
    jvp=_lstsq_jvp,
    vjp=_lstsq_vjp,
    failure=_FAILURE,
    examples=lambda draw: [
        ((draw(*a), draw(*b)), {"rtol": 1e-6})
        for a, b in (
            ((4, 2), (4, 3)),
            ((2, 4), (2, 1)),
            ((2, 2), (2, 1)),
            ((2, 3, 2), (3, 1)),
            ((3, 2), (2, 3, 1)),
            ((0, 3, 2), (3, 1)),
        )
    ],
    complex_step=False,
    latex=lambda a, b, rtol: r"{0}^{{+}} {1}",
)


@function(namespace="linalg")
def lstsq(a: Any, b: Any, /, *, rtol: float | None = None) -> LstsqResult:
    """Return the x that makes |b - a x| least, the shortest where several do: ``a`` (…, m, n), ``b`` (…, m, k) or (m,).

    x = a⁺ b has shape (…, n, k) or (n,), the residuals Σ (b - a x)² have shape (…, k) or (). Singular values up to
    ``rtol`` times the largest count as zero (unless given: max(m, n) times the precision of the dtype). The derivative is
    that along perturbations that keep the rank; where others exist, none does. Singular values that are cut off by a larger
    ``rtol`` take part in it, as of `pinv`. Raises `ShapeError` where shapes do not fit, `ArgumentError` for matrices that are not finite.

    **Source:** NumPy 2, ``numpy.linalg.lstsq``; Golub & Pereyra (1973), eq. 4.12.

    >>> import bprop
    >>> bprop.linalg.lstsq(bprop.asarray([[1.0], [1.0]]), bprop.asarray([1.0, 3.0])).x
    Array([2.])
    """
    a, b = matrix("lstsq", a), array("lstsq", b)
    if b.ndim == 0:
        raise ShapeError("lstsq: b has shape (), not (m,) or (…, m, k)")
    tol, single = threshold("lstsq", rtol, a), b.ndim == 1
    right = reshape(b, (b.shape[0], 1)) if single else b
    if _truncates(tol, to_float(result_type(a, right)), a.shape):
        x = matmul(pinv_op(a, rtol=tol), right)
    else:
        x = _lstsq(a, right, rtol=tol)
    residuals = sum(square(right - matmul(a, x)), axis=-2)
    if single:
        x, residuals = reshape(x, x.shape[:-1]), reshape(residuals, residuals.shape[:-1])
    return LstsqResult(x, residuals, matrix_rank(a, rtol=tol), svdvals(a))
