"""Norms of vectors and matrices. Where a norm has a kink, at zero, its derivative is 0."""

import builtins
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.dtype import to_float
from ..core.error import ArgumentError, ShapeError
from ..core.family import Reduction
from ..core.function import function
from ..core.number import numpy_flag
from ..core.op import array
from ..core.shape import normalise_axes, normalise_axis
from ..core.value import Array
from .arithmetic import abs, divide_no_nan
from .data_type import astype
from .factorisation import matrix
from .manipulation import permute_dims, reshape
from .power import kinked_root, sqrt, square
from .reduction import max, min, sum
from .selection import maximum, stop_gradient, where
from .singular_value import svdvals

__all__: list[str] = []


# --- the Euclidean norm: a reduction like logsumexp, by the largest entry, so that no square overflows ---
def _scale(m: Any) -> Any:
    """Return what to divide by: the largest entry, or 1 where that is 0 or infinite."""
    return where((m == 0) | (m == inf), 1, m)


def _norm_combine(m: Any, s: Any, x: Any) -> tuple[Any, Any]:
    larger = maximum(m, abs(x))
    scale = _scale(larger)
    return larger, s * square(m / scale) + square(x / scale)


def _norm_merge(m: Any, s: Any, n: Any, t: Any) -> tuple[Any, Any]:
    larger = maximum(m, n)
    scale = _scale(larger)
    return larger, s * square(m / scale) + t * square(n / scale)


def _norm_value(x: NDArray[Any], axis: tuple[int, ...], keepdims: bool) -> NDArray[Any]:
    x = x if x.dtype.kind == "f" else x.astype(to_float(x.dtype))
    total = np.sum(x * x, axis=axis, keepdims=keepdims)
    info = np.finfo(x.dtype)
    if np.all((total > info.tiny / info.eps) & (total < inf)):
        return np.sqrt(total)
    largest = np.max(np.abs(x), axis=axis, keepdims=True, initial=0)
    scale = np.where((largest == 0) | (largest == inf), 1, largest).astype(x.dtype)
    scaled = x / scale
    y = np.sqrt(np.add.reduce(scaled * scaled, axis=axis, keepdims=True)) * scale
    return np.asarray(y if keepdims else np.squeeze(y, axis=axis))


def _norm_step(z: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    largest = np.max(np.abs(z.real), axis=axis, keepdims=True, initial=0)
    y = largest * np.sqrt(np.sum((z / np.where(largest == 0, 1, largest)) ** 2, axis=axis, keepdims=True))
    return y if keepdims else np.squeeze(y, axis=axis)


_norm = Reduction(
    "vector_norm",
    _norm_value,
    code="np.linalg.vector_norm({0}, axis={axis}, keepdims={keepdims})",
    init=(0, 0),
    combine=_norm_combine,
    finish=lambda m, s: _scale(m) * sqrt(s),
    merge=_norm_merge,
    partial=lambda y, x, axis: divide_no_nan(x, y),
    kind="float",
    complex_step=_norm_step,
    latex=r"\left\| {0} \right\|",
)


def _number(x: Array) -> Array:
    """Return ``x`` in a floating or complex dtype."""
    return x if x.dtype.kind in "fc" else astype(x, np.float64)


def _power_norm(x: Array, axis: Any, keepdims: bool, p: float) -> Array:
    """(Σ |x|ᵖ)^(1/p), by the largest entry; below p = 1 an entry that is 0 has no part in the derivative."""
    size = abs(x)
    scale = stop_gradient(_scale(max(size, axis=axis, keepdims=True)))
    if p > 1:
        powers = (size / scale) ** p
    else:
        zero = size == 0
        powers = where(zero, 0 if p > 0 else inf, where(zero, 1, size / scale) ** p)
    total = sum(powers, axis=axis, keepdims=True)
    y = (kinked_root(total, p=p) if p > 0 else where(total == 0, 0, where(total == 0, 1, total) ** (1 / p))) * scale
    if keepdims:
        return y
    axes = normalise_axes("vector_norm", axis, x.shape)
    return reshape(y, tuple(n for position, n in enumerate(x.shape) if position not in axes))


@function(np.linalg.vector_norm, namespace="linalg")
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Array:
    """y = (Σ |x|ᵖ)^(1/p) over ``axis`` (an integer, a tuple, or all axes) with p = ``ord``; no overflow where y has none.

    p = ∞ and -∞ are the largest and smallest |x|, p = 0 counts the entries that are not 0. ∂y/∂x = x/y for p = 2, and 0
    where y = 0. There the norm has no second derivative, and that of a smooth function of it is NaN: for norm(x) ** 2 write
    sum(x ** 2), which has one. Raises `ShapeError` for an axis out of range, `ArgumentError` where ``ord`` is no number.

    **Source:** Python Array API standard 2024.12, ``linalg.vector_norm``; Blue (1978), A portable Fortran program to
    find the Euclidean norm of a vector.

    >>> import bprop
    >>> bprop.linalg.vector_norm(bprop.asarray([3e200, 4e200]))
    Array(5.e+200)
    >>> bprop.grad(bprop.linalg.vector_norm)(bprop.zeros(2))
    Array([0., 0.])
    """
    x = array("vector_norm", x)
    axes, keepdims = normalise_axes("vector_norm", axis, x.shape), numpy_flag("vector_norm", "keepdims", keepdims)
    if isinstance(ord, str) or not isinstance(ord, int | float | np.number) or ord != ord:
        raise ArgumentError(f"vector_norm: ord={ord!r} is no number: matrix_norm has 'fro' and 'nuc'")
    if x.dtype.kind == "c":
        x = abs(x)
    if ord == 2:
        return _norm(x, axis=axes, keepdims=keepdims)
    x = _number(x)
    if ord == inf:
        return max(abs(x), axis=axes, keepdims=keepdims)
    if ord == -inf:
        return min(abs(x), axis=axes, keepdims=keepdims)
    if ord == 1:
        return sum(abs(x), axis=axes, keepdims=keepdims)
    if ord == 0:
        return sum(astype(x != 0, x.dtype), axis=axes, keepdims=keepdims)
    if any(x.shape[position] == 0 for position in axes):
        return sum(abs(x), axis=axes, keepdims=keepdims)
    return _power_norm(x, axes, keepdims, float(ord))


@function(np.linalg.matrix_norm, namespace="linalg")
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: float | str = "fro") -> Array:
    """Return a norm of matrices ``x`` (…, m, n): shape (…), or (…, 1, 1) with ``keepdims``.

    ``ord``: "fro", the root of the sum of squares; "nuc", the sum of the singular values; 2 and -2, the largest and the
    smallest of them; 1 and -1, the largest and smallest Σ |x| of a column; ∞ and -∞, of a row. Singular values that are 0
    have derivative 0. Raises `ArgumentError` for other orders.

    **Source:** Python Array API standard 2024.12, ``linalg.matrix_norm``; Giles (2008), §3.2.

    >>> import bprop
    >>> bprop.linalg.matrix_norm(bprop.asarray([[3.0, 0.0], [0.0, 4.0]]), ord="nuc")
    Array(7.)
    """
    x, keepdims = matrix("matrix_norm", x), numpy_flag("matrix_norm", "keepdims", keepdims)
    if x.dtype.kind == "c" and ord not in (2, -2, "nuc"):
        x = abs(x)
    if isinstance(ord, str) and ord == "fro":
        return _norm(x, axis=(x.ndim - 2, x.ndim - 1), keepdims=keepdims)
    x = x if x.dtype.kind == "c" else _number(x)
    if ord in (1, -1, inf, -inf):
        along = x.ndim - 2 if builtins.abs(ord) == 1 else x.ndim - 1
        sums = sum(abs(x), axis=along, keepdims=True)
        y = max(sums, axis=(-2, -1), keepdims=True) if ord > 0 else min(sums, axis=(-2, -1), keepdims=True)
    elif ord in (2, -2, "nuc"):
        s = svdvals(x)
        s = where(s == 0, 0, s)  # a kink: |x| at 0
        y = sum(s, axis=-1) if ord == "nuc" else max(s, axis=-1) if ord == 2 else min(s, axis=-1)
        y = reshape(y, (*y.shape, 1, 1))
    else:
        raise ArgumentError(f"matrix_norm: ord={ord!r} is unknown: use 'fro', 'nuc', 1, -1, 2, -2, inf or -inf")
    return y if keepdims else reshape(y, y.shape[:-2])


@function(np.linalg.norm, namespace="linalg")
def norm(x: Any, /, ord: float | str | None = None, axis: Any = None, keepdims: bool = False) -> Array:
    """Return a norm of vectors along one ``axis``, of matrices along two, or of the whole array.

    Without ``ord`` the root of the sum of squares; else `vector_norm` or `matrix_norm`, by the number of axes.

    **Source:** NumPy 2, ``numpy.linalg.norm``.

    >>> import bprop
    >>> bprop.linalg.norm(bprop.asarray([[3.0, 4.0], [6.0, 8.0]]), axis=1)
    Array([ 5., 10.])
    """
    x = array("norm", x)
    if ord is None:
        return vector_norm(x, axis=axis, keepdims=keepdims)
    positions = axis if isinstance(axis, tuple | list) else range(x.ndim) if axis is None else (axis,)
    axes = [normalise_axis("norm", position, x.ndim, x.shape) for position in positions]
    if len(axes) == 1:
        return vector_norm(x, axis=axes[0], keepdims=keepdims, ord=ord)  # type: ignore[arg-type]
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ShapeError(f"norm: ord={ord!r} over axes {tuple(axes)} of shape {x.shape}: give one axis, or two")
    rest = [position for position in range(x.ndim) if position not in axes]
    y = matrix_norm(permute_dims(x, (*rest, *axes)), ord=ord)
    return reshape(y, tuple(1 if position in axes else n for position, n in enumerate(x.shape))) if keepdims else y
