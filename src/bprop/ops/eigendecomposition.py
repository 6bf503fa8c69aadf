"""Eigenvalues and eigenvectors of general square matrices: eig, eigvals. Those of symmetric ones: `factorisation`."""

from typing import Any, NamedTuple

import numpy as np

from ..core.dtype import to_complex
from ..core.family import General
from ..core.function import function
from ..core.value import Array
from .arithmetic import abs
from .comparison import isfinite
from .complex import complex_examples, conj, imag, real
from .contraction import matmul
from .creation import arange
from .factorisation import conjugated, hermitian, over_gaps, row, total
from .linear_algebra import diagonal
from .linear_system import in_float, inv_op, square
from .manipulation import reshape
from .reduction import sum
from .search import argmax
from .selection import where

__all__: list[str] = []


class EigResult(NamedTuple):
    """Eigenvalues in LAPACK's order, and the eigenvectors as columns in the same order; both complex."""

    eigenvalues: Array
    eigenvectors: Array


def _eig_value(x: Any) -> Any:
    (x,) = in_float(x)
    w, v = np.linalg.eig(x)
    dtype = to_complex(x.dtype)
    return w.astype(dtype, copy=False), v.astype(dtype, copy=False)


def _real_entry(v: Any) -> tuple[Any, Any]:
    """Return which entry of each eigenvector LAPACK makes real, as ones and zeros, and that entry as a row.

    It is the largest. Where others are as large the one that is real tells.
    """
    n = v.shape[-1]
    size = where(imag(v) == 0, abs(real(v)), -1)
    chosen = reshape(arange(n), (n, 1)) == (argmax(size, axis=-2, keepdims=True) if n else 0)
    return chosen, sum(where(chosen, real(v), 0), axis=-2, keepdims=True)


def _left(v: Any) -> Any:
    """Return V⁻¹, whose rows are the left eigenvectors; NaN in those that the right ones do not determine.

    The norm of a row is the condition number of its eigenvalue (Golub & Van Loan, §7.2.2).
    """
    left = inv_op(v, failure=_DEFECTIVE)
    condition = sum(abs(left), axis=-1, keepdims=True)
    resolved = condition * float(np.finfo(v.dtype).eps) < 1
    return where(resolved & isfinite(condition), left, float("nan"))


_DEFECTIVE = "eig: the matrix has fewer independent eigenvectors than rows: there eigenvalues have no derivative"


def _eig_jvp(y: Any, xs: Any, x_dots: Any) -> tuple[Any, Any]:
    w, v = y
    inner = matmul(matmul(_left(v), x_dots[0]), v)
    turned = matmul(v, over_gaps(w) * inner)
    chosen, entry = _real_entry(v)
    length = real(sum(conj(v) * turned, axis=-2, keepdims=True))
    phase = imag(sum(where(chosen, turned, 0), axis=-2, keepdims=True)) / entry
    return diagonal(inner), turned - v * (length + 1j * phase)


def _eig_vjp(y_bar: Any, y: Any, xs: Any, needs: Any) -> tuple[Any]:
    (w_bar, v_bar), (w, v) = y_bar, y
    left, right = hermitian(_left(v)), hermitian(v)
    terms = [] if w_bar is None else [matmul(left * row(w_bar), right)]
    if v_bar is not None:
        chosen, entry = _real_entry(v)
        along = sum(conj(v) * v_bar, axis=-2, keepdims=True)
        v_bar = v_bar - v * real(along) - where(chosen, 1j * (imag(along) / entry), 0)
        terms.append(matmul(matmul(left, conj(over_gaps(w)) * matmul(right, v_bar)), right))
    return (total(terms),)


eig_op = General(
    "eig",
    _eig_value,
    signature="(n,n)->(n),(n,n)",
    jvp=_eig_jvp,
    vjp=conjugated(_eig_vjp),
    dtype=to_complex,
    takes_complex=True,
    failure="the eigenvalues did not converge: look for NaN or infinity in the matrix",
    examples=complex_examples(
        lambda draw: [
            *(((draw(*shape),), {}) for shape in ((3, 3), (2, 3, 3), (0, 2, 2), (1, 1), (0, 0))),
            # of these LAPACK's choice of signs does not jump close by
            *(((draw(*shape).real,), {}) for shape in ((3, 3), (1, 1), (0, 0))),
        ]
    ),
    complex_step=False,
    latex=r"\operatorname{{eig}}({0})",
)


@function(namespace="linalg")
def eig(x: Any, /) -> EigResult:
    """Return eigenvalues w and eigenvectors v with x v = v diag(w), for square ``x`` (…, n, n): complex, as in the standard.

    W = v⁻¹ x_dot v gives w_dot, its diagonal, and v_dot = v (F ∘ W + diag c), F_ij = 1/(w_j - w_i); c keeps every eigenvector at
    length 1 and its largest entry real, as LAPACK makes them. Whether that entry is positive, and the order, are LAPACK's choice; a
    function that turning an eigenvector by a phase does not change has one derivative in every library. Where eigenvalues repeat,
    functions that treat them alike have their derivative, and the eigenvectors none: it is not finite. Where eigenvectors depend on
    each other, to the precision of the dtype, the matrix is defective and nothing has one: it is NaN. ``numpy.linalg.eig`` of real
    matrices is real where all eigenvalues are, as in NumPy; where numbers are not known, in `compile`, it is complex. Raises
    `ArgumentError` for matrices that are not finite, `ShapeError` where they are not square.

    **Source:** Python Array API standard 2025.12, ``linalg.eig``; Boeddeker et al. (2017), On the computation of complex-valued
    gradients, §4.17; Giles (2008), Collected matrix derivative results, §2.3.1.

    >>> import bprop
    >>> bprop.linalg.eig(bprop.asarray([[0.0, -4.0], [1.0, 0.0]])).eigenvalues
    Array([0.+2.j, 0.-2.j])
    """
    return EigResult(*eig_op(square("eig", x)))


@function(namespace="linalg")
def eigvals(x: Any, /) -> Array:
    """Return the eigenvalues of square matrices ``x`` (…, n, n), complex: shape (…, n). See `eig`.

    **Source:** Python Array API standard 2025.12, ``linalg.eigvals``; Boeddeker et al. (2017), §4.17.

    >>> import bprop
    >>> spectral_radius = lambda x: bprop.max(bprop.abs(bprop.linalg.eigvals(x)))
    >>> bprop.grad(spectral_radius)(bprop.asarray([[2.0, 1.0], [0.0, 1.0]]))
    Array([[1., 0.],
           [1., 0.]])
    """
    return eig_op(square("eigvals", x))[0]
