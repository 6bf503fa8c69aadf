"""Functions of square matrices: exponential, logarithm, square root; and Sylvester's and Stein's equations.

The derivative of f at x along e is the upper right block of f of [[x, e], [0, x]] (Mathias, 1996), for f as for its derivatives;
its transpose is the same with xᵀ.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.family import General
from ..core.op import REGISTRY
from ..core.value import Array
from .concatenation import concat
from .contraction import matmul
from .creation import zeros_like
from .linear_system import in_float, square
from .manipulation import broadcast_to, matrix_transpose

__all__: list[str] = []


def _scipy_linalg() -> Any:
    from scipy import linalg  # on first use: importing it takes longer than importing bprop

    return linalg


def matrix_by_matrix(f: Callable[..., Any], *operands: NDArray[Any], core: tuple[int, int]) -> NDArray[Any]:
    """Return f of every entry of a batch: of matrices that are the last two axes; ``core`` is the shape of one result."""
    operands = tuple(in_float(*operands))
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in operands))
    full = [np.broadcast_to(x, batch + x.shape[-2:]) for x in operands]
    y = np.empty(batch + core, operands[0].dtype)
    for entry in np.ndindex(batch):
        y[entry] = f(*(x[entry] for x in full))
    return y


def _real(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, with an error where its result for a real matrix has an imaginary part."""

    def evaluate(x: NDArray[Any]) -> NDArray[Any]:
        y = f(x.astype(np.result_type(x, np.float64)))
        if np.iscomplexobj(y) and not np.iscomplexobj(x):
            if np.abs(y.imag).max(initial=0) > 1e-8 * np.abs(y.real).max(initial=0):
                raise np.linalg.LinAlgError
            y = y.real
        if not np.isfinite(y).all() and np.isfinite(x).all():
            raise np.linalg.LinAlgError
        return np.asarray(y)

    return evaluate


def _upper_right(y: Any) -> Any:
    n = y.shape[-1] // 2
    return y[..., :n, n:]


def _along(name: str, x: Any, e: Any) -> Any:
    """Return the derivative of the op of that name at x along e."""
    shape = np.broadcast_shapes(x.shape, e.shape)
    x, e = broadcast_to(x, shape), broadcast_to(e, shape)
    block = concat([concat([x, e], axis=-1), concat([zeros_like(x), x], axis=-1)], axis=-2)
    return _upper_right(REGISTRY[name](block))


def _matrix_function(
    name: str, f: Callable[..., Any], draw_examples: Callable[[Any], Any], failure: str, latex: str
) -> General:
    return General(
        name,
        lambda x: matrix_by_matrix(_real(f), x, core=x.shape[-2:]),
        signature="(n,n)->(n,n)",
        jvp=lambda y, xs, x_dots: _along(name, xs[0], x_dots[0]),
        vjp=lambda y_bar, y, xs, needs: (_along(name, matrix_transpose(xs[0]), y_bar),),
        failure=failure,
        takes_complex=True,
        complex_step=False,
        examples=draw_examples,
        latex=latex,
        doc=f"The op behind `bprop.scipy.linalg.{name}`.",
    )


expm_op = _matrix_function(
    "expm",
    lambda x: _scipy_linalg().expm(x),
    lambda draw: [((draw(*shape),), {}) for shape in ((3, 3), (2, 2, 2), (1, 1))],
    "the exponential overflows: the matrix has a large eigenvalue",
    "e^{{{0}}}",
)
logm_op = _matrix_function(
    "logm",
    lambda x: _scipy_linalg().logm(x),
    lambda draw: [((draw.positive_definite(*shape),), {}) for shape in ((3, 3), (2, 2, 2), (1, 1))],
    "the matrix is singular, or has a negative eigenvalue: it has no real logarithm",
    r"\log({0})",
)
sqrtm_op = _matrix_function(
    "sqrtm",
    lambda x: _scipy_linalg().sqrtm(x),
    lambda draw: [((draw.positive_definite(*shape),), {}) for shape in ((3, 3), (2, 2, 2), (1, 1))],
    "the matrix is singular, or has a negative eigenvalue: it has no real square root with a derivative",
    "{0}^{{1/2}}",
)


def expm(A: Any) -> Array:
    """y = e^A for square ``A`` of shape (…, n, n), real or complex, by scaling and squaring; its derivative by that of a matrix of twice the size.

    Raises `ShapeError` where A is not square.

    **Source:** Al-Mohy & Higham (2009), A new scaling and squaring algorithm; Mathias (1996), A chain rule for matrix functions.

    >>> import bprop
    >>> bprop.scipy.linalg.expm(bprop.asarray([[0.0, 1.0], [0.0, 0.0]]))
    Array([[1., 1.],
           [0., 1.]])
    """
    return expm_op(square("expm", A))


def logm(A: Any) -> Array:
    """Return the principal logarithm of square ``A`` (…, n, n) without eigenvalues on the negative half line.

    Raises `ArgumentError` where the logarithm of a real matrix is not real, `ShapeError` where A is not square.

    **Source:** Al-Mohy & Higham (2012), Improved inverse scaling and squaring algorithms for the matrix logarithm.

    >>> import bprop
    >>> bprop.scipy.linalg.logm(bprop.asarray([[1.0, 1.0], [0.0, 1.0]]))
    Array([[0., 1.],
           [0., 0.]])
    """
    return logm_op(square("logm", A))


def sqrtm(A: Any) -> Array:
    """Return the principal square root of square ``A`` (…, n, n) without eigenvalues on the negative half line.

    Raises `ArgumentError` where the root of a real matrix is not real, `ShapeError` where A is not square.

    **Source:** Deadman, Higham & Ralha (2013), Blocked Schur algorithms for computing the matrix square root.

    >>> import bprop
    >>> bprop.scipy.linalg.sqrtm(bprop.asarray([[4.0, 0.0], [0.0, 9.0]]))
    Array([[2., 0.],
           [0., 3.]])
    """
    return sqrtm_op(square("sqrtm", A))


# --- Sylvester's equation ---
def _sylvester_jvp(y: Any, xs: Any, x_dots: Any) -> Any:
    a_dot, b_dot, q_dot = x_dots
    right = q_dot
    for term in (None if a_dot is None else matmul(a_dot, y), None if b_dot is None else matmul(y, b_dot)):
        if term is not None:
            right = -term if right is None else right - term
    return sylvester_op(xs[0], xs[1], right)


def _sylvester_vjp(y_bar: Any, y: Any, xs: Any, needs: Any) -> tuple[Any, Any, Any]:
    q_bar = sylvester_op(matrix_transpose(xs[0]), matrix_transpose(xs[1]), y_bar)
    y_transposed = matrix_transpose(y)
    return (
        (-matmul(q_bar, y_transposed) if needs[0] else None),
        (-matmul(y_transposed, q_bar) if needs[1] else None),
        q_bar,
    )


sylvester_op = General(
    "solve_sylvester",
    lambda a, b, q: matrix_by_matrix(
        lambda a, b, q: _scipy_linalg().solve_sylvester(a, b, q), a, b, q, core=q.shape[-2:]
    ),
    signature="(m,m),(n,n),(m,n)->(m,n)",
    jvp=_sylvester_jvp,
    vjp=_sylvester_vjp,
    failure="a and -b have a common eigenvalue: there is no unique solution",
    takes_complex=True,
    complex_step=False,
    examples=lambda draw: [
        ((draw.positive_definite(3, 3), draw.positive_definite(2, 2), draw(3, 2)), {}),
        ((draw.positive_definite(2, 2, 2), draw.positive_definite(1, 1), draw(2, 1)), {}),
    ],
    latex=r"\operatorname{{solve}}({0} X + X {1} = {2})",
    doc="The op behind `bprop.scipy.linalg.solve_sylvester`.",
)


def solve_sylvester(a: Any, b: Any, q: Any) -> Array:
    """Return the X with a X + X b = q, for ``a`` (…, m, m), ``b`` (…, n, n) and ``q`` (…, m, n), by Bartels and Stewart.

    q_bar solves aᵀ q_bar + q_bar bᵀ = X_bar; a_bar = -q_bar Xᵀ, b_bar = -Xᵀ q_bar. Raises `ArgumentError` where a and -b have a
    common eigenvalue.

    **Source:** Bartels & Stewart (1972), Algorithm 432; SciPy, ``scipy.linalg.solve_sylvester``.

    >>> import bprop
    >>> bprop.scipy.linalg.solve_sylvester(bprop.eye(2), bprop.eye(2), bprop.ones((2, 2)))
    Array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    a, b = square("solve_sylvester", a), square("solve_sylvester", b)
    return sylvester_op(a, b, q)


# --- Stein's equation ---
def _balanced(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a and b times and divided by a number that makes them equally large: of their powers none overflows alone."""
    size_a, size_b = (np.sqrt(np.sum(x * x, axis=(-2, -1), keepdims=True)) for x in (a, b))
    zero = (size_a == 0) | (size_b == 0)
    scale = np.where(zero, 1, np.sqrt(size_b / np.where(zero, 1, size_a)))
    return a * scale, b / scale


def _stein_value(a: NDArray[Any], b: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
    """Σ aᵏ q bᵏ, of which every step doubles the number of terms."""
    a, b, q = in_float(a, b, q)
    x, precision = q, np.finfo(q.dtype).eps
    with np.errstate(all="ignore"):
        for _ in range(60):
            a, b = _balanced(a, b)
            step = np.matmul(np.matmul(a, x), b)
            x = x + step
            if not np.max(np.abs(step), initial=0) > precision / 8 * np.max(np.abs(x), initial=0):
                break
            a, b = np.matmul(a, a), np.matmul(b, b)
    return x


def _stein_jvp(y: Any, xs: Any, x_dots: Any) -> Any:
    (a, b, _), (a_dot, b_dot, right) = xs, x_dots
    for term in (
        None if a_dot is None else matmul(matmul(a_dot, y), b),
        None if b_dot is None else matmul(matmul(a, y), b_dot),
    ):
        if term is not None:
            right = term if right is None else right + term
    return stein_op(a, b, right)


def _stein_vjp(y_bar: Any, y: Any, xs: Any, needs: Any) -> tuple[Any, Any, Any]:
    a, b, _ = xs
    q_bar = stein_op(matrix_transpose(a), matrix_transpose(b), y_bar)
    return (
        (matmul(q_bar, matrix_transpose(matmul(y, b))) if needs[0] else None),
        (matmul(matrix_transpose(matmul(a, y)), q_bar) if needs[1] else None),
        q_bar,
    )


def _contracting(x: NDArray[Any]) -> NDArray[Any]:
    """Return positive definite matrices divided by more than their largest eigenvalues."""
    return (x / (2 * np.trace(x, axis1=-2, axis2=-1)[..., None, None])).astype(x.dtype)


stein_op = General(
    "solve_stein",
    _stein_value,
    signature="(m,m),(n,n),(m,n)->(m,n)",
    jvp=_stein_jvp,
    vjp=_stein_vjp,
    takes_complex=True,
    complex_step=False,
    examples=lambda draw: [
        ((_contracting(draw.positive_definite(3, 3)), _contracting(draw.positive_definite(2, 2)), draw(3, 2)), {}),
        ((_contracting(draw.positive_definite(2, 2, 2)), _contracting(draw.positive_definite(1, 1)), draw(2, 1)), {}),
    ],
    latex=r"\operatorname{{solve}}(X - {0} X {1} = {2})",
    doc="The X with X - a X b = q, where the eigenvalues of a times those of b are below 1, by Smith's doubling (1968).",
)
