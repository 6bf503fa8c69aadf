"""Weighted means, covariances and correlations, with derivatives with respect to data and weights."""

from math import prod
from typing import Any

import numpy as np

from ..core import dtype as dtypes
from ..core.error import ArgumentError, ShapeError
from ..core.function import numpy_rule
from ..core.op import array
from ..core.shape import normalise_axes, normalise_axis
from ..core.value import Array
from ..ops.complex import conj, imag, real
from ..ops.concatenation import concat
from ..ops.contraction import matmul
from ..ops.creation import full
from ..ops.data_type import astype
from ..ops.indexing import scatter_add_op
from ..ops.manipulation import broadcast_to, matrix_transpose, permute_dims, reshape
from ..ops.matrix import diagonal
from ..ops.power import sqrt
from ..ops.reduction import mean, sum
from ..ops.search import concrete
from ..ops.selection import clip, where
from .numpy_argument import NO_VALUE, given
from .numpy_shape import at_least_2d


# --- weighted means ---
def weights_beside(name: str, weights: Any, a: Array, axis: Any) -> Array:
    """Return weights of the shape of ``a``, or of its sizes along ``axis``, so that they broadcast with it."""
    w = array(name, weights)
    if w.shape == a.shape:
        return w
    if axis is None:
        raise ArgumentError(f"{name}: weights of shape {w.shape} for shape {a.shape}: say along which axis they lie")
    entries = axis if isinstance(axis, tuple | list) else (axis,)
    axes = [normalise_axis(name, entry, a.ndim, a.shape) for entry in entries]
    if w.shape != tuple(a.shape[position] for position in axes):
        raise ShapeError(f"{name}: weights of shape {w.shape} do not fit axis {axis} of shape {a.shape}")
    w = permute_dims(w, tuple(np.argsort(axes).tolist()))
    return reshape(w, tuple(size if position in axes else 1 for position, size in enumerate(a.shape)))


@numpy_rule(np.average)
def _average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = NO_VALUE) -> Any:
    a, keepdims = array("average", a), bool(given(keepdims))
    axes = normalise_axes("average", axis, a.shape)
    if weights is None:
        y = mean(a, axes, keepdims)
        total = full((), float(prod(a.shape[position] for position in axes)), dtype=y.dtype)
    else:
        w = weights_beside("average", weights, a, axis)
        dtype = dtypes.result_type(a.dtype, w.dtype, *([np.float64] if a.dtype.kind not in "fc" else []))
        total = sum(astype(w, dtype), axes, keepdims)
        numbers = total.concrete()
        if numbers is not None and (numbers == 0).any():
            raise ArgumentError("average: the weights sum to zero, so that there is no mean")
        y = sum(astype(a, dtype) * astype(w, dtype), axes, keepdims) / total
    return (y, broadcast_to(total, y.shape)) if returned else y


# --- covariances ---
def _samples(name: str, m: Any, y: Any, rowvar: bool, dtype: Any) -> Array:
    """Return the variables as rows."""
    m = array(name, m)
    parts = [m] if y is None else [m, array(name, y)]
    for part in parts:
        if part.ndim > 2:
            raise ShapeError(f"{name}: shape {part.shape} has more than two axes")
    wanted = (
        dtypes.result_type(*(part.dtype for part in parts), np.float64) if dtype is None else dtypes.check(dtype, name)
    )
    rows = at_least_2d(astype(m, wanted))
    if not rowvar and m.ndim != 1:
        rows = matrix_transpose(rows)
    if y is not None:
        more = at_least_2d(astype(parts[1], wanted))
        rows = concat([rows, more if rowvar or more.shape[0] == 1 else matrix_transpose(more)])
    return rows


def _sample_weights(what: str, weights: Any, size: int) -> Array:
    w = astype(array("cov", weights), np.float64)
    if w.ndim > 1 or w.shape != (size,):
        raise ShapeError(f"cov: {what} have shape {w.shape}, for {size} samples it is ({size},)")
    numbers = w.concrete()
    if numbers is not None and (numbers < 0).any():
        raise ArgumentError(f"cov: {what} are not negative")
    if what == "fweights" and numbers is not None and (numbers != np.around(numbers)).any():
        raise ArgumentError("cov: fweights are integers: how often each sample was seen")
    return w


def _divisor(count: int) -> float:
    """Return a count as a divisor, 0.0 where there is none, as in NumPy."""
    return float(count) if count > 0 else 0.0


@numpy_rule(np.cov)
def _cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None,
    aweights: Any = None, *, dtype: Any = None,
) -> Array:  # fmt: skip
    if ddof is not None and ddof != int(ddof):
        raise ArgumentError(f"cov: ddof is an integer, not {ddof!r}")
    rows = _samples("cov", m, y, rowvar, dtype)
    if rows.shape[0] == 0:
        return full((0, 0), 0.0)
    size = rows.shape[1]
    lost = (0 if bias else 1) if ddof is None else int(ddof)
    frequencies = None if fweights is None else _sample_weights("fweights", fweights, size)
    reliabilities = None if aweights is None else _sample_weights("aweights", aweights, size)
    if frequencies is None and reliabilities is None:
        centred = rows - mean(rows, 1, keepdims=True)
        covariance = matmul(centred, matrix_transpose(conj(centred))) / _divisor(size - lost)
    else:
        w = (
            frequencies
            if reliabilities is None
            else reliabilities
            if frequencies is None
            else frequencies * reliabilities
        )
        assert w is not None
        total = sum(w)
        w = astype(w, rows.dtype) if rows.dtype == np.float64 else w
        centred = rows - sum(rows * w, 1, keepdims=True) / total
        if lost == 0:
            factor = total
        else:
            factor = total - (lost if reliabilities is None else lost * sum(w * reliabilities) / total)
        covariance = matmul(centred, matrix_transpose(conj(centred) * w)) / where(factor > 0, factor, 0.0)
    return reshape(covariance, tuple(n for n in covariance.shape if n != 1))


@numpy_rule(np.corrcoef)
def _corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Array:
    c = _cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    deviation = sqrt(real(diagonal(c)))
    c = c / deviation[:, None] / deviation[None, :]
    return clip(c, -1, 1) if c.dtype.kind != "c" else clip(real(c), -1, 1) + 1j * clip(imag(c), -1, 1)


# --- counts ---
@numpy_rule(np.bincount)
def _bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Array:
    x = array("bincount", x)
    if x.ndim != 1:
        raise ShapeError(f"bincount: shape {x.shape}: the positions are a vector")
    if x.dtype.kind not in "iub":
        raise ArgumentError(f"bincount: the positions are integers, not {x.dtype}")
    numbers = concrete("bincount", x, "scatter with bprop.zeros(size).at[x].add(weights)")
    if minlength < 0 or (numbers < 0).any():
        raise ArgumentError("bincount: positions and minlength are not negative")
    size = int(np.max(numbers, initial=-1)) + 1
    size = size if size > minlength else int(minlength)
    if weights is None:
        return array("bincount", np.bincount(numbers, minlength=size))
    w = astype(array("bincount", weights), np.float64)
    if w.shape != x.shape:
        raise ShapeError(f"bincount: weights of shape {w.shape} for positions of shape {x.shape}")
    y: Array = scatter_add_op(w, astype(x, np.int64), size=size)
    return y
