"""Linear algebra with the arguments of `numpy.linalg` that the Array API does not have."""

from math import inf, prod
from typing import Any

import numpy as np

from .. import linalg
from ..core.error import ArgumentError, ShapeError
from ..core.function import numpy_rule
from ..core.op import array
from ..core.shape import normalise_axis
from ..core.value import Array
from ..ops import comparison, reduction
from ..ops.arithmetic import abs, sign
from ..ops.creation import zeros
from ..ops.data_type import astype
from ..ops.eigendecomposition import EigResult
from ..ops.factorisation import matrix
from ..ops.least_squares import LstsqResult
from ..ops.linear_system import square
from ..ops.manipulation import matrix_transpose, permute_dims, ravel, reshape
from ..ops.selection import where
from ..ops.singular_value import SVDResult
from ..ops.sorting import argsort
from ..ops.subscript import take_along_axis
from .numpy_argument import NO_VALUE, floating, real_where_known
from .numpy_shape import at_least_1d


# --- singular values ---
def _by_size(x: Array) -> tuple[Array, Array]:
    """Return the eigenvalues of symmetric matrices by falling size, and their vectors."""
    w, v = linalg.eigh(x)
    order = argsort(abs(w), -1, descending=True)
    columns = take_along_axis(
        v, reshape(order, (*order.shape[:-1], 1, order.shape[-1])) + np.zeros((v.shape[-2], 1), np.int64), axis=-1
    )
    return take_along_axis(w, order, axis=-1), columns


@numpy_rule(np.linalg.svd)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    if not hermitian:
        return linalg.svd(a, full_matrices=full_matrices) if compute_uv else linalg.svdvals(a)
    w, v = _by_size(square("svd", a))
    if not compute_uv:
        return abs(w)
    signs = where(sign(w) == 0, 1, sign(w))
    return SVDResult(v, abs(w), matrix_transpose(v * reshape(signs, (*w.shape[:-1], 1, w.shape[-1]))))


def _singular_values(x: Array, hermitian: bool) -> Array:
    return abs(_by_size(x)[0]) if hermitian else linalg.svdvals(x)


@numpy_rule(np.linalg.cond)
def _cond(x: Any, p: Any = None) -> Array:
    x = matrix("cond", x)
    if x.shape[-1] == 0 or x.shape[-2] == 0:
        raise ShapeError(f"cond: matrices of shape {x.shape} are empty")
    if p is None or p in (2, -2):
        s = linalg.svdvals(x)
        large, small = (s[..., -1], s[..., 0]) if p == -2 else (s[..., 0], s[..., -1])
        y = large / small
    else:
        x = square("cond", x)
        y = linalg.matrix_norm(x, ord=p) * linalg.matrix_norm(linalg.inv(x), ord=p)
    # 0/0 of a matrix of zeros
    return where(comparison.isnan(y) & ~reduction.any(comparison.isnan(x), (-2, -1)), inf, y)


@numpy_rule(np.linalg.pinv)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = NO_VALUE) -> Array:
    if rtol is not NO_VALUE and rcond is not None:
        raise ArgumentError("pinv: rcond and rtol are two names of one option: give one of them")
    if rtol is NO_VALUE:
        rtol = 1e-15 if rcond is None else rcond
    a = matrix("pinv", a)
    if hermitian:  # as with the singular values, which are then the sizes of the eigenvalues
        a = _mirrored(a)
    return linalg.pinv(a, rtol=rtol)


def _mirrored(a: Array) -> Array:
    """Return the symmetric matrices whose lower triangle is that of ``a``, which alone is read."""
    lower = np.tri(a.shape[-1], dtype=bool)
    return where(lower, a, matrix_transpose(a))


@numpy_rule(np.linalg.matrix_rank)
def _matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Array:
    x = floating(array("matrix_rank", A))
    if rtol is not None and tol is not None:
        raise ArgumentError("matrix_rank: give tol or rtol, not both")
    if x.ndim < 2:
        return astype(reduction.any(x != 0), np.int64)
    s = _singular_values(x, hermitian)
    if tol is None:
        limit = max(x.shape[-2:]) * np.finfo(x.dtype).eps if rtol is None else array("matrix_rank", rtol)
        threshold = reduction.max(s, -1, keepdims=True) * (limit if not isinstance(limit, Array) else limit[..., None])
    else:
        threshold = array("matrix_rank", tol)[..., None]
    return reduction.count_nonzero(s > threshold, -1)


@numpy_rule(np.linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    x, residuals, rank, singular_values = linalg.lstsq(a, b, rtol=rcond)
    rows, columns = array("lstsq", a).shape[-2:]
    numbers = rank.concrete()
    if rows <= columns or (
        numbers is not None and (numbers < columns).any()
    ):  # NumPy's: none where b is met, or x is free
        residuals = zeros((0,), dtype=x.dtype)
    return LstsqResult(x, at_least_1d(residuals), rank, singular_values)


# --- eigenvalues ---
@numpy_rule(np.linalg.eig)
def _eig(a: Any) -> EigResult:
    a = square("eig", a)
    result = linalg.eig(a)
    return result if a.dtype.kind == "c" else EigResult(*real_where_known(*result))


@numpy_rule(np.linalg.eigvals)
def _eigvals(a: Any) -> Array:
    a = square("eigvals", a)
    w = linalg.eigvals(a)
    return w if a.dtype.kind == "c" else real_where_known(w)[0]


# --- tensors as matrices ---
@numpy_rule(np.linalg.tensorsolve)
def _tensorsolve(a: Any, b: Any, axes: Any = None) -> Array:
    a, b = array("tensorsolve", a), array("tensorsolve", b)
    if axes is not None:
        last = [normalise_axis("tensorsolve", axis, a.ndim, a.shape) for axis in axes]
        order = [axis for axis in range(a.ndim) if axis not in last] + last
        a = permute_dims(a, tuple(order))
    shape = a.shape[b.ndim - a.ndim :] if a.ndim > b.ndim else a.shape
    size = prod(shape)
    if a.size != size**2 or b.size != size:
        raise ShapeError(
            f"tensorsolve: shapes {a.shape} and {b.shape}: the last {a.ndim - b.ndim} axes hold {size} entries, the first "
            f"{b.ndim} have to hold as many"
        )
    return reshape(linalg.solve(reshape(a, (size, size)), ravel(b)), shape)


@numpy_rule(np.linalg.tensorinv)
def _tensorinv(a: Any, ind: int = 2) -> Array:
    a = array("tensorinv", a)
    if not isinstance(ind, int | np.integer) or ind <= 0:
        raise ArgumentError(f"tensorinv: ind is a positive integer, not {ind!r}")
    first, last = a.shape[:ind], a.shape[ind:]
    if prod(first) != prod(last):
        raise ShapeError(
            f"tensorinv: shape {a.shape}: {prod(first)} entries in the first {ind} axes, {prod(last)} in the rest"
        )
    return reshape(linalg.inv(reshape(a, (prod(first), -1))), (*last, *first))


# --- norms, roots and factors ---
@numpy_rule(np.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    return linalg.qr(a).R if mode == "r" else linalg.qr(a, mode=mode)


@numpy_rule(np.linalg.multi_dot)
def _multi_dot(arrays: Any, *, out: Any = None) -> Array:
    return linalg.multi_dot(arrays)
