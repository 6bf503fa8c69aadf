"""The LU factorisation with row exchanges."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.error import ShapeError
from ..core.family import General
from ..core.op import array
from ..core.value import Array
from .complex import conj
from .contraction import matmul
from .factorisation import total
from .linear_system import in_float, square, triangular_op
from .manipulation import matrix_transpose
from .matrix import eye, tril, triu
from .selection import stop_gradient

__all__: list[str] = []


def _lu_value(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return L - I + U in one matrix, and the permutation P with x = P L U."""
    from scipy import linalg

    (x,) = in_float(x)
    packed, permutation = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    for entry in np.ndindex(x.shape[:-2]):
        p, lower, upper = linalg.lu(x[entry], check_finite=False)
        packed[entry] = np.tril(lower, -1) + upper
        permutation[entry] = p
    return packed, permutation


def _solved(packed: Any, x: Any, lower: bool, transpose: bool) -> Any:
    return triangular_op(packed, x, lower=lower, transpose=transpose, unit_diagonal=lower)


def _lower(packed: Any) -> Any:
    return tril(packed, -1) + eye(packed.shape[-1], dtype=packed.dtype)


def _lu_jvp(ys: Any, xs: Any, x_dots: Any) -> Any:
    """With F = L⁻¹ Pᵀ ∂x U⁻¹: ∂L = L times the part of F below the diagonal, ∂U = the rest times U."""
    packed, p = ys
    half = _solved(packed, matmul(matrix_transpose(p), x_dots[0]), lower=True, transpose=False)
    inner = matrix_transpose(_solved(packed, matrix_transpose(half), lower=False, transpose=True))
    return matmul(_lower(packed), tril(inner, -1)) + matmul(triu(inner), triu(packed)), None


def _lu_vjp(y_bars: Any, ys: Any, xs: Any, needs: Any) -> tuple[Any]:
    packed, p = ys
    if y_bars[0] is None:
        return (None,)
    lower_bar, upper_bar = tril(y_bars[0], -1), triu(y_bars[0])
    inner = total([tril(matmul(matrix_transpose(_lower(packed)), lower_bar), -1),
                   triu(matmul(upper_bar, matrix_transpose(triu(packed))))])  # fmt: skip
    half = _solved(packed, inner, lower=True, transpose=True)
    right = matrix_transpose(_solved(packed, matrix_transpose(half), lower=False, transpose=False))
    return (matmul(p, right),)


lu_op = General(
    "lu",
    _lu_value,
    signature="(n,n)->(n,n),(n,n)",
    jvp=_lu_jvp,
    vjp=_lu_vjp,
    failure="the matrix is singular: its factors have no derivative",
    takes_complex=True,
    complex_step=False,
    examples=lambda draw: [((draw.full_rank(*shape),), {}) for shape in ((3, 3), (2, 2, 2))],
    latex=r"\operatorname{{lu}}({0})",
    doc="L - I + U in one matrix and the permutation P with x = P L U: the op behind `bprop.scipy.linalg.lu`.",
)


def lu_parts(name: str, a: Any) -> tuple[Array, Array]:
    """Return L - I + U in one matrix and the permutation matrix, which has no derivative."""
    a = square(name, a)
    if a.shape[-1] == 0:
        raise ShapeError(f"{name}: the matrix has shape {a.shape}: there is nothing to factorise")
    packed, permutation = lu_op(a)
    return packed, stop_gradient(permutation)


def lu(a: Any, permute_l: bool = False) -> tuple[Array, ...]:
    """Return P, L and U with a = P L U: a permutation, a lower triangle with ones on its diagonal, an upper triangle.

    ``a``: (…, n, n). With ``permute_l`` P L and U. P is piecewise constant and has no derivative. Raises `ShapeError` where a is
    not square, and in the derivative `ArgumentError` where it is singular.

    **Source:** SciPy, ``scipy.linalg.lu``; de Hoog, Anderssen & Lukas (2011), Differentiation of matrix functionals using
    triangular factorization.

    >>> import bprop
    >>> p, l, u = bprop.scipy.linalg.lu(bprop.asarray([[1.0, 2.0], [2.0, 2.0]]))
    >>> l
    Array([[1. , 0. ],
           [0.5, 1. ]])
    >>> u
    Array([[2., 2.],
           [0., 1.]])
    """
    packed, permutation = lu_parts("lu", a)
    lower, upper = _lower(packed), triu(packed)
    return (matmul(permutation, lower), upper) if permute_l else (permutation, lower, upper)


def lu_factor(a: Any) -> tuple[Array, Array]:
    """Return L - I + U in one matrix, and the permutation matrix P (SciPy: indices of exchanges): what `lu_solve` takes.

    **Source:** SciPy, ``scipy.linalg.lu_factor``.

    >>> import bprop
    >>> bprop.scipy.linalg.lu_factor(bprop.asarray([[1.0, 2.0], [2.0, 2.0]]))[0]
    Array([[2. , 2. ],
           [0.5, 1. ]])
    """
    return lu_parts("lu_factor", a)


def lu_solve(lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0) -> Array:
    """Return the x with a x = b (aᵀ x = b for ``trans`` 1, aᴴ x = b for 2), by the factors that `lu_factor` returned; ``b``: (n,) or (…, n, k).

    **Source:** SciPy, ``scipy.linalg.lu_solve``.

    >>> import bprop
    >>> factors = bprop.scipy.linalg.lu_factor(bprop.asarray([[1.0, 2.0], [2.0, 2.0]]))
    >>> bprop.scipy.linalg.lu_solve(factors, bprop.asarray([3.0, 4.0]))
    Array([1., 1.])
    """
    packed, p = lu_and_piv
    b = array("lu_solve", b)
    right = b[..., None] if b.ndim == 1 else b
    if trans == 2:
        packed = conj(packed)
    if trans:
        half = _solved(packed, right, lower=False, transpose=True)
        y = matmul(p, _solved(packed, half, lower=True, transpose=True))
    else:
        half = _solved(packed, matmul(matrix_transpose(p), right), lower=True, transpose=False)
        y = _solved(packed, half, lower=False, transpose=False)
    return y[..., 0] if b.ndim == 1 else y
