"""Systems of linear equations: triangular_solve, solve, inv, and powers of a matrix."""

from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.dtype import result_type, to_float
from ..core.error import ArgumentError, ShapeError
from ..core.family import General
from ..core.function import function
from ..core.number import numpy_flag
from ..core.op import array
from ..core.value import Array
from .contraction import matmul
from .manipulation import broadcast_to, matrix_transpose, reshape
from .matrix import eye, tril, triu
from .selection import where

__all__ = ["solve"]


def in_float(*xs: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the operands in the floating dtype of the result, which NumPy's own promotion does not always give."""
    dtype = to_float(result_type(*xs))
    return [x.astype(dtype, copy=False) for x in xs]


def square(name: str, x: Any) -> Array:
    """Return ``x`` as an array of square matrices, or raise."""
    x = array(name, x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name}: the matrix has shape {x.shape}, not (…, n, n)")
    return x


# --- the entries of a batch, one by one ---
def per_matrix(y_bar: Any) -> Any:
    """Give a number per matrix the two axes of the matrix."""
    return reshape(y_bar, (*y_bar.shape, 1, 1))


def unless_unused(x: Any, regular: Any, used: Any) -> Any:
    """Return x with NaN in place of singular matrices that are not ``used``: to invert one that is raises.

    For derivatives; ``regular`` and ``used`` have one entry per matrix. In reverse mode a matrix is used where its
    cotangent is not 0. Forward mode does not know what its result is used for: a matrix that is no entry of a batch
    is (``used=None``).
    """
    used = x.ndim == 2 if used is None else per_matrix(used)
    return where(per_matrix(regular) | used, x, float("nan"))


# --- triangular_solve ---
def _triangle(x: Any, lower: bool, transpose: bool, unit_diagonal: bool, failure: str = "") -> Any:
    """Return the part of the matrix that counts; of a perturbation, the diagonal does not where it is all ones."""
    triangle = tril(x, -unit_diagonal) if lower else triu(x, unit_diagonal)
    return matrix_transpose(triangle) if transpose else triangle


def _triangular_value(
    a: NDArray[Any], b: NDArray[Any], lower: bool, transpose: bool, unit_diagonal: bool, failure: str = ""
) -> NDArray[Any]:
    """Substitute backwards: elimination of an upper triangular matrix has nothing to eliminate, nor to exchange."""
    a, b = in_float(a, b)
    a = np.tril(a) if lower else np.triu(a)
    if unit_diagonal:
        np.einsum("...ii->...i", a)[...] = 1
    if transpose:
        a, lower = np.swapaxes(a, -1, -2), not lower
    if lower:  # the last row first makes it an upper one
        return np.linalg.solve(a[..., ::-1, ::-1], b[..., ::-1, :])[..., ::-1, :]
    return np.linalg.solve(a, b)


def _triangular_jvp(y: Any, xs: Any, x_dots: Any, **params: Any) -> Any:
    a_dot, b_dot = x_dots
    right = None if a_dot is None else -matmul(_triangle(a_dot, **params), y)
    right = b_dot if right is None else right if b_dot is None else b_dot + right
    return triangular_op(xs[0], right, **params)


def _triangular_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, **params: Any) -> tuple[Any, Any]:
    b_bar = triangular_op(xs[0], y_bar, **params | {"transpose": not params["transpose"]})
    if not needs[0]:
        return None, b_bar
    product = matmul(b_bar, matrix_transpose(y))
    product = matrix_transpose(product) if params["transpose"] else product
    return -_triangle(product, **params | {"transpose": False}), b_bar


triangular_op = General(
    "triangular_solve",
    _triangular_value,
    signature="(n,n),(n,k)->(n,k)",
    columns="k",
    jvp=_triangular_jvp,
    vjp=_triangular_vjp,
    takes_complex=True,
    failure="a zero on the diagonal: no unique solution exists",
    examples=lambda draw: [
        ((draw.positive_definite(*a), draw(*b)), {"lower": lower, "transpose": transpose, "unit_diagonal": unit})
        for a, b, lower, transpose, unit in (
            ((3, 3), (3, 2), True, False, False),
            ((3, 3), (3, 2), True, True, False),
            ((3, 3), (3, 2), False, False, False),
            ((2, 3, 3), (3, 1), False, True, True),
            ((3, 3), (2, 3, 2), True, False, True),
            ((1, 1), (1, 1), True, False, False),
            ((0, 2, 2), (2, 1), False, False, False),
            ((0, 0), (0, 2), False, False, False),
        )
    ],
    complex_step=False,
    latex=lambda a, b, lower, transpose, unit_diagonal, failure="": (
        rf"\operatorname{{{{{'tril' if lower else 'triu'}}}}}({{0}})^{{{{-{'T' if transpose else 1}}}}} {{1}}"
    ),
)


@function(namespace="linalg")
def triangular_solve(
    a: Any, b: Any, /, *, lower: bool = False, transpose: bool = False, unit_diagonal: bool = False
) -> Array:
    """Return the y with a y = b, or aᵀ y = b if ``transpose``, for a triangular ``a`` (…, n, n) and ``b`` (…, n, k) or (n,).

    Only the upper triangle of ``a`` counts, the lower one if ``lower``; with ``unit_diagonal`` its diagonal is taken to
    be all ones. b_bar = a⁻ᵀ y_bar, a_bar = -tri(b_bar yᵀ). Raises `ArgumentError` where the diagonal has a zero,
    `ShapeError` where shapes do not fit.

    **Source:** Giles (2008), Collected matrix derivative results, §2.3.1; SciPy 1, ``scipy.linalg.solve_triangular``.

    >>> import bprop
    >>> bprop.linalg.triangular_solve(bprop.asarray([[2.0, 1.0], [0.0, 4.0]]), bprop.asarray([3.0, 4.0]))
    Array([1., 1.])
    """
    a, b = square("triangular_solve", a), array("triangular_solve", b)
    flags = {"lower": lower, "transpose": transpose, "unit_diagonal": unit_diagonal}
    params = {what: numpy_flag("triangular_solve", what, value) for what, value in flags.items()}
    if b.ndim == 1:
        y = triangular_op(a, reshape(b, (b.shape[0], 1)), **params)
        return reshape(y, y.shape[:-1])
    return triangular_op(a, b, **params)


# --- solve ---
def _solve_jvp(y: Any, xs: Any, x_dots: Any) -> Any:
    a_dot, b_dot = x_dots
    right = None if a_dot is None else -matmul(a_dot, y)
    right = b_dot if right is None else right if b_dot is None else b_dot + right
    return _solve(xs[0], right)


def _solve_vjp(y_bar: Any, y: Any, xs: Any, needs: Any) -> tuple[Any, Any]:
    b_bar = _solve(matrix_transpose(xs[0]), y_bar)
    return -matmul(b_bar, matrix_transpose(y)) if needs[0] else None, b_bar


_solve = General(
    "solve",
    lambda a, b: np.linalg.solve(*in_float(a, b)),
    code="np.linalg.solve({0}, {1})",
    signature="(n,n),(n,k)->(n,k)",
    columns="k",
    jvp=_solve_jvp,
    vjp=_solve_vjp,
    takes_complex=True,
    failure="the matrix is singular: no unique solution exists; bprop.linalg.lstsq gives the shortest of the best ones",
    examples=lambda draw: [
        ((draw.positive_definite(*shape1), draw(*shape2)), {})
        for shape1, shape2 in (
            ((3, 3), (3, 2)),
            ((1, 1), (1, 1)),
            ((2, 3, 3), (3, 2)),
            ((3, 3), (2, 3, 2)),
            ((2, 1, 2, 2), (4, 2, 1)),
        )
    ],
    latex=r"{0}^{{-1}} {1}",
)


@function(np.linalg.solve)
def solve(x1: Any, x2: Any, /) -> Array:
    """Return the y with x1 y = x2: ``x1`` of shape (…, n, n), ``x2`` of shape (…, n, k) or (n,).

    x2_bar = x1⁻ᵀ y_bar, x1_bar = -x2_bar yᵀ. Raises `ArgumentError` for a singular matrix.

    **Source:** Giles (2008), Collected matrix derivative results, §2.3.1.

    >>> import bprop
    >>> bprop.solve(bprop.asarray([[2.0, 0.0], [0.0, 4.0]]), bprop.ones(2))
    Array([0.5 , 0.25])
    """
    x1, x2 = square("solve", x1), array("solve", x2)
    if x2.ndim == 1:
        y = _solve(x1, reshape(x2, (x2.shape[0], 1)))
        return reshape(y, y.shape[:-1])
    return _solve(x1, x2)


# --- inv ---
def _inv_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, failure: str = "") -> tuple[Any]:
    y_transposed = matrix_transpose(y)
    return (-matmul(matmul(y_transposed, y_bar), y_transposed),)


inv_op = General(
    "inv",
    lambda x, failure="": np.linalg.inv(*in_float(x)),
    code="np.linalg.inv({0})",
    signature="(n,n)->(n,n)",
    jvp=lambda y, xs, x_dots, failure="": -matmul(matmul(y, x_dots[0]), y),
    vjp=_inv_vjp,
    takes_complex=True,
    failure="the matrix is singular, it has no inverse: use bprop.linalg.pinv, or add a multiple of the identity",
    examples=lambda draw: [((draw.positive_definite(*shape),), {}) for shape in ((3, 3), (2, 3, 3), (0, 2, 2), (1, 1))],
    latex=r"{0}^{{-1}}",
)


@function(np.linalg.inv, namespace="linalg")
def inv(x: Any, /) -> Array:
    """y = x⁻¹, for ``x`` of shape (…, n, n).

    ∂y = -y ∂x y, x_bar = -yᵀ y_bar yᵀ. For x⁻¹ b `bprop.solve` is more accurate and takes less time. Raises
    `ArgumentError` where a matrix is singular, `ShapeError` where it is not square.

    **Source:** Python Array API standard 2024.12, ``linalg.inv``; Giles (2008), §2.2.3.

    >>> import bprop
    >>> bprop.linalg.inv(bprop.asarray([[2.0, 0.0], [0.0, 4.0]]))
    Array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return inv_op(square("inv", x))


@function(np.linalg.matrix_power, namespace="linalg")
def matrix_power(x: Any, n: int, /) -> Array:
    """y = x x ⋯ x, n factors, by repeated squaring; x⁻¹ for negative ``n``, the identity for n = 0.

    ``x`` of shape (…, m, m). Raises `ArgumentError` where n is no integer or, for negative n, x is singular.

    **Source:** Python Array API standard 2024.12, ``linalg.matrix_power``.

    >>> import bprop
    >>> bprop.linalg.matrix_power(bprop.asarray([[1.0, 1.0], [0.0, 1.0]]), 5)
    Array([[1., 5.],
           [0., 1.]])
    """
    x = square("matrix_power", x)
    try:
        exponent = index(n)
    except TypeError:
        raise ArgumentError(f"matrix_power: n must be an integer, not {n!r}: only whole powers are products") from None
    if exponent < 0:
        x, exponent = inv(x), -exponent
    if exponent == 0:
        return broadcast_to(eye(x.shape[-1], dtype=x.dtype), x.shape)
    y = None
    while exponent:
        if exponent % 2:
            y = x if y is None else matmul(y, x)
        exponent //= 2
        x = matmul(x, x) if exponent else x
    assert y is not None
    return y
