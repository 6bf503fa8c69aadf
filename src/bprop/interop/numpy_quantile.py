"""Quantiles by each of NumPy's thirteen methods, of all entries or of those that are not NaN.

An interpolating method has derivatives with respect to the two entries it lies between, and to q. The others return an entry.
"""

from math import nan, prod
from typing import Any

import numpy as np

from ..core.error import ArgumentError
from ..core.function import numpy_rule
from ..core.op import array
from ..core.shape import normalise_axes, reduced
from ..core.value import Array
from ..ops.comparison import isnan
from ..ops.cumulative import cumulative_sum
from ..ops.data_type import astype
from ..ops.indexing import take
from ..ops.manipulation import broadcast_to, expand_dims, moveaxis, permute_dims, ravel, reshape
from ..ops.reduction import sum
from ..ops.rounding import ceil, floor, round
from ..ops.selection import clip, stop_gradient, where
from ..ops.sorting import argsort, sort
from ..ops.subscript import take_along_axis
from .numpy_argument import NO_VALUE, given
from .numpy_statistics import weights_beside

_PLOTTING_POSITIONS = {
    "interpolated_inverted_cdf": (0, 1), "hazen": (0.5, 0.5), "weibull": (0, 0), "linear": (1, 1),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
}  # fmt: skip
"""α and β of the methods that interpolate, after Hyndman & Fan (1996), Sample quantiles in statistical packages."""

_ENTRIES = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")
"""The methods that return an entry."""

METHODS = (*_PLOTTING_POSITIONS, *_ENTRIES, "averaged_inverted_cdf", "midpoint")


# --- where a quantile lies among n sorted entries ---
def _up_unless(position: Any, stays: Any) -> Any:
    return where(stays, floor(position), floor(position) + 1)


def _entry(method: str, n: Any, q: Any) -> Any:
    """Return which entry a method takes."""
    if method == "inverted_cdf":
        position = n * q - 1
        return _up_unless(position, position == floor(position))
    if method == "closest_observation":  # of two equally close ones the one with an even number, counted from 1
        position = n * q - 1.5
        return _up_unless(position, (position == floor(position)) & (floor(position) % 2 == 1))
    return {"lower": floor, "higher": ceil, "nearest": round}[method]((n - 1) * q)


def _position(method: str, n: Any, q: Any) -> tuple[Any, Any]:
    """Return where between entries the quantile is, and how far from the one before it towards the next."""
    if method == "averaged_inverted_cdf":
        position = n * q - 1
        return position, where(position == floor(position), 0.5, 1.0)
    if method == "midpoint":
        position = (n - 1) * q
        return position, where(position == floor(position), 0.0, 0.5)
    alpha, beta = _PLOTTING_POSITIONS[method]
    position = (n - 1) * q if method == "linear" else n * q + (alpha + q * (1 - alpha - beta)) - 1
    return position, position - floor(position)


def _gathered(ordered: Array, position: Any, n: Any) -> Array:
    """Return the entries at positions (k,), or (…, k) where every row has its own, with those outside at the ends."""
    index = astype(clip(stop_gradient(position), 0, n - 1 if isinstance(n, int) else where(n < 1, 0, n - 1)), np.int64)
    return take(ordered, index, axis=-1) if index.ndim == 1 else take_along_axis(ordered, index, axis=-1)


def _interpolated(ordered: Array, n: Any, q: Array, method: str) -> Array:
    """Return the quantiles (…, k) of rows (…, size) whose first ``n`` entries are sorted numbers."""
    if method in _ENTRIES:
        return _gathered(ordered, _entry(method, n, q), n)
    position, fraction = _position(method, n, q)
    previous, following = _gathered(ordered, floor(position), n), _gathered(ordered, floor(position) + 1, n)
    difference = following - previous
    y: Array = where(fraction >= 0.5, following - difference * (1 - fraction), previous + difference * fraction)
    return y


def _weighted(rows: Array, weights: Array, q: Array) -> Array:
    """Return the entries (…, k) at which the running sum of the sorted entries' weights reaches q of their sum."""
    order = argsort(rows, -1)
    running = cumulative_sum(astype(take_along_axis(weights, order, axis=-1), np.float64), axis=-1)
    share = astype(running / running[..., -1:], q.dtype)
    share = where(share == 0, -1, share)  # an entry without weight is no quantile
    below = sum(expand_dims(share, -2) < reshape(q, (q.size, 1)), axis=-1)
    return take_along_axis(take_along_axis(rows, order, axis=-1), clip(below, 0, rows.shape[-1] - 1), axis=-1)


# --- the options ---
def _probabilities(name: str, a: Array, q: Any, scale: int) -> Array:
    """Return q as a share, in the dtype that NumPy gives it."""
    weak = isinstance(q, int | float) and a.dtype.kind == "f"
    shares = array(name, np.asarray(float(q), a.dtype) if weak else q)
    if shares.dtype.kind != "f":
        shares = astype(shares, np.float64)
    if scale != 1:
        shares = shares / (np.asarray(scale, a.dtype)[()] if a.dtype.kind == "f" else scale)
    numbers = shares.concrete()
    if numbers is not None and not ((numbers >= 0) & (numbers <= 1)).all():
        raise ArgumentError(f"{name}: q is between 0 and {scale}, not {q!r:.60}")
    if shares.ndim > 2:
        raise ArgumentError(f"{name}: q is a number or has one axis, not shape {shares.shape}")
    return shares


def _quantile(
    name: str, a: Any, q: Any, axis: Any, method: Any, keepdims: Any, weights: Any, scale: int, leave_out: bool
) -> Array:
    a = array(name, a)
    shares, axes = _probabilities(name, a, q, scale), normalise_axes(name, axis, a.shape)
    if not isinstance(method, str) or method not in METHODS:
        raise ArgumentError(f"{name}: there is no method {method!r}: there are {', '.join(sorted(METHODS))}")
    if weights is not None and method != "inverted_cdf":
        raise ArgumentError(f"{name}: with weights the method is 'inverted_cdf', not {method!r}")
    outer = tuple(position for position in range(a.ndim) if position not in axes)
    shape = (*(a.shape[position] for position in outer), prod(a.shape[position] for position in axes))
    rows, flat = reshape(permute_dims(a, (*outer, *axes)), shape), ravel(shares)
    missing = isnan(rows) if a.dtype.kind == "f" else None
    if shape[-1] == 0:
        y = broadcast_to(array(name, nan), (*shape[:-1], flat.size))
    elif weights is not None:
        beside = broadcast_to(weights_beside(name, weights, a, axis), a.shape)
        numbers = beside.concrete()
        if numbers is not None and (numbers < 0).any():
            raise ArgumentError(f"{name}: weights are not negative")
        beside = reshape(permute_dims(beside, (*outer, *axes)), shape)
        y = _weighted(rows, where(missing, 0, beside) if leave_out and missing is not None else beside, flat)
    elif leave_out and missing is not None:
        count = sum(astype(~missing, flat.dtype), axis=-1, keepdims=True)
        y = _interpolated(sort(rows), count, flat, method)
    else:
        y = _interpolated(sort(rows), shape[-1], flat, method)
    if missing is not None and shape[-1]:
        spoilt = astype(missing, np.int64)
        spoilt = sum(spoilt, axis=-1, keepdims=True) >= (shape[-1] if leave_out else 1)
        y = where(spoilt, nan, y)
    kept = reduced(a.shape, axes, bool(given(keepdims)))
    return reshape(moveaxis(y, -1, 0), (*shares.shape, *kept))


# --- NumPy's names ---
def _numpys(name: str, whole: int, leave_out: bool, default: Any) -> None:
    """Register the rule of NumPy's function: shares are of ``whole``, and ``default`` is what it gives to ``keepdims``."""

    @numpy_rule(getattr(np, name))
    def rule(
        a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
        keepdims: Any = default, *, weights: Any = None,
    ) -> Array:  # fmt: skip
        return _quantile(name, a, q, axis, method, keepdims, weights, whole, leave_out)


_numpys("quantile", 1, False, False)
_numpys("percentile", 100, False, False)
_numpys("nanquantile", 1, True, NO_VALUE)
_numpys("nanpercentile", 100, True, NO_VALUE)


@numpy_rule(np.nanmedian)
def _nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = NO_VALUE
) -> Array:
    return _quantile("nanmedian", a, 0.5, axis, "linear", keepdims, None, 1, True)
