"""Reductions with NumPy's options: a dtype to compute in, a first value, and a mask of the entries that count."""

from math import inf, nan, prod
from typing import Any

import numpy as np

from ..core.error import ArgumentError, DTypeError
from ..core.function import numpy_rule
from ..core.op import array
from ..core.shape import normalise_axes, reduced
from ..core.value import Array
from ..ops import cumulative, reduction
from ..ops.arithmetic import add, multiply
from ..ops.complex import imag, real
from ..ops.creation import full
from ..ops.data_type import astype
from ..ops.power import kinked_root, square
from ..ops.selection import maximum, minimum, where
from ..ops.sorting import median
from .numpy_argument import NO_VALUE, floating, given, in_dtype, mask_of


# --- of any kind ---
def _starting(y: Array, initial: Any, combine: Any) -> Array:
    if initial is NO_VALUE or initial is None:
        return y
    first = array("initial", initial)
    result: Array = combine(y, first if first.dtype == y.dtype else astype(first, y.dtype))
    return result


def masked_sum(name: str, a: Any, axis: Any, dtype: Any, keepdims: Any, initial: Any, mask: Any) -> Array:
    """Return the sum of the entries that a mask lets count; the others have no derivative."""
    a = in_dtype(name, a, dtype)
    counted = mask_of(name, mask, a)
    a = a if counted is None else where(counted, a, astype(array(name, 0), a.dtype))
    y = reduction.sum(a, axis=axis, keepdims=given(keepdims), dtype=dtype)
    return _starting(y, initial, add)


def masked_prod(name: str, a: Any, axis: Any, dtype: Any, keepdims: Any, initial: Any, mask: Any) -> Array:
    """Return the product of the entries that a mask lets count."""
    a = in_dtype(name, a, dtype)
    counted = mask_of(name, mask, a)
    a = a if counted is None else where(counted, a, astype(array(name, 1), a.dtype))
    y = cumulative.prod(a, axis=axis, keepdims=given(keepdims), dtype=dtype)
    return _starting(y, initial, multiply)


def lowest(name: str, dtype: Any, sign: int) -> Any:
    """Return what is below (above, for a negative ``sign``) every number of ``dtype``, or as far as they go."""
    if dtype.kind == "c":
        raise DTypeError(f"{name} takes no complex numbers, and an operand is {dtype}: they have no order")
    if dtype.kind == "f":
        return -inf * sign
    if dtype.kind == "b":
        return sign < 0
    return np.iinfo(dtype).min if sign > 0 else np.iinfo(dtype).max


def masked_extreme(name: str, a: Any, axis: Any, keepdims: Any, initial: Any, mask: Any, sign: int) -> Array:
    """Return the largest entry, for a negative ``sign`` the smallest, of those that a mask lets count."""
    reduce, combine = (reduction.max, maximum) if sign > 0 else (reduction.min, minimum)
    a = array(name, a)
    counted = mask_of(name, mask, a)
    if counted is not None and initial is NO_VALUE:
        raise ArgumentError(f"{name}: with where= there may be no entry: give initial=, the value of none")
    if counted is not None:
        a = where(counted, a, astype(array(name, lowest(name, a.dtype, sign)), a.dtype))
    axes = normalise_axes(name, axis, a.shape)
    if initial is not NO_VALUE and prod(a.shape[position] for position in axes) == 0:
        y = full(reduced(a.shape, axes, bool(given(keepdims))), lowest(name, a.dtype, sign), dtype=a.dtype)
    else:
        y = reduce(a, axis=axes, keepdims=given(keepdims))
    return _starting(y, initial, combine)


def count_of(counted: Array | None, a: Array, axes: tuple[int, ...], keepdims: bool) -> Any:
    """Return how many entries count: a number, or an array where a mask decides."""
    if counted is None:
        return prod(a.shape[position] for position in axes)
    return reduction.sum(counted, axis=axes, keepdims=keepdims)


def _over(total: Array, count: Any) -> Array:
    """Return total / count, which is 0/0 for no entries, as in NumPy, and never less than none."""
    if isinstance(count, Array):
        y: Array = total / astype(maximum(count, 0), total.dtype)
        return y
    return total / count if count > 0 else total * (nan if count == 0 else inf)


def masked_mean(name: str, a: Any, axis: Any, dtype: Any, keepdims: Any, counted: Array | None) -> Array:
    """Return the mean of the entries that count."""
    a = floating(in_dtype(name, a, dtype))
    axes, keepdims = normalise_axes(name, axis, a.shape), bool(given(keepdims))
    total = reduction.sum(a if counted is None else where(counted, a, 0), axis=axes, keepdims=keepdims)
    return _over(total, count_of(counted, a, axes, keepdims))


def masked_variance(
    name: str,
    a: Any,
    axis: Any,
    dtype: Any,
    ddof: float,
    keepdims: Any,
    counted: Array | None,
    mean: Any,
    bad: Any = None,
) -> Array:
    """Return the mean square of the distances of the entries that count from their mean, or from the one given.

    ``bad``: what to return where there are no more than ``ddof`` entries, else the sum is divided by 0.
    """
    a = floating(in_dtype(name, a, dtype))
    axes, keepdims = normalise_axes(name, axis, a.shape), bool(given(keepdims))
    centre = masked_mean(name, a, axes, None, True, counted) if mean is NO_VALUE else array(name, mean)
    distance = a - centre
    distance = distance if counted is None else where(counted, distance, 0)
    squares = square(distance) if distance.dtype.kind != "c" else square(real(distance)) + square(imag(distance))
    count = count_of(counted, a, axes, keepdims)
    total = reduction.sum(squares, axis=axes, keepdims=keepdims)
    if isinstance(count, Array):
        degrees = maximum(astype(count, total.dtype) - ddof, 0)
        y: Array = total / degrees
        return y if bad is None else where(degrees == 0, bad, y)
    return total / (count - ddof if count > ddof else 0.0)


def root(variance: Array) -> Array:
    """Return the root, whose derivative at its kink 0 is 0."""
    y: Array = kinked_root(variance, p=2)
    return y


def _ddof(name: str, ddof: Any, correction: Any) -> float:
    if correction is not NO_VALUE:
        if ddof != 0:
            raise ArgumentError(f"{name}: ddof and correction are two names of one option: give one of them")
        ddof = correction
    if not isinstance(ddof, int | float | np.number):
        raise ArgumentError(f"{name}: ddof is a number, not {type(ddof).__name__}")
    return float(ddof)


# --- NumPy's names ---
def _total(function: Any, ours: Any, masked: Any) -> None:
    """Register the rule of NumPy's sum or product."""

    @numpy_rule(function)
    def rule(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO_VALUE, initial: Any = NO_VALUE,
        where: Any = NO_VALUE,
    ) -> Any:  # fmt: skip
        if initial is NO_VALUE and where is NO_VALUE:
            return ours(a, axis, given(keepdims), dtype=dtype)
        return masked(function.__name__, a, axis, dtype, keepdims, initial, where)


_total(np.sum, reduction.sum, masked_sum)
_total(np.prod, cumulative.prod, masked_prod)


def _extreme(functions: Any, ours: Any, sign: int) -> None:
    """Register the rule of NumPy's largest or smallest entry."""

    @numpy_rule(*functions)
    def rule(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE, initial: Any = NO_VALUE, where: Any = NO_VALUE,
    ) -> Any:  # fmt: skip
        if initial is NO_VALUE and where is NO_VALUE:
            return ours(a, axis, given(keepdims))
        return masked_extreme(functions[0].__name__, a, axis, keepdims, initial, where, sign)


_extreme((np.max, np.amax), reduction.max, 1)
_extreme((np.min, np.amin), reduction.min, -1)


@numpy_rule(np.ptp)
def _ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE) -> Array:
    a = array("ptp", a)
    return reduction.max(a, axis, given(keepdims)) - reduction.min(a, axis, given(keepdims))


@numpy_rule(np.mean)
def _mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO_VALUE, *, where: Any = NO_VALUE
) -> Array:
    if where is NO_VALUE and dtype is None:
        return reduction.mean(a, axis, given(keepdims))
    a = in_dtype("mean", a, dtype)
    return masked_mean("mean", a, axis, dtype, keepdims, mask_of("mean", where, a))


@numpy_rule(np.var)
def _var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = NO_VALUE, *,
    where: Any = NO_VALUE, mean: Any = NO_VALUE, correction: Any = NO_VALUE,
) -> Array:  # fmt: skip
    ddof, a = _ddof("var", ddof, correction), in_dtype("var", a, dtype)
    if where is NO_VALUE and mean is NO_VALUE:
        return reduction.var(a, axis, ddof, given(keepdims))
    return masked_variance("var", a, axis, dtype, ddof, keepdims, mask_of("var", where, a), mean)


@numpy_rule(np.std)
def _std(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = NO_VALUE, *,
    where: Any = NO_VALUE, mean: Any = NO_VALUE, correction: Any = NO_VALUE,
) -> Array:  # fmt: skip
    ddof, a = _ddof("std", ddof, correction), in_dtype("std", a, dtype)
    if where is NO_VALUE and mean is NO_VALUE:
        return reduction.std(a, axis, ddof, given(keepdims))
    return root(masked_variance("std", a, axis, dtype, ddof, keepdims, mask_of("std", where, a), mean))


@numpy_rule(np.any)
def _any(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE, *, where: Any = NO_VALUE) -> Array:
    if where is NO_VALUE:
        return reduction.any(a, axis, given(keepdims))
    a = array("any", a) != 0
    counted = mask_of("any", where, a)
    return reduction.any(a if counted is None else a & counted, axis, given(keepdims))


@numpy_rule(np.all)
def _all(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE, *, where: Any = NO_VALUE) -> Array:
    if where is NO_VALUE:
        return reduction.all(a, axis, given(keepdims))
    a = array("all", a) != 0
    counted = mask_of("all", where, a)
    return reduction.all(a if counted is None else a | ~counted, axis, given(keepdims))


@numpy_rule(np.median)
def _median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Array:
    return median(a, axis, keepdims)


# --- running sums and products ---
def _running(name: str, ours: Any, a: Any, axis: Any, dtype: Any) -> Array:
    a = array(name, a)
    y: Array = ours(a.reshape(-1), 0, dtype=dtype) if axis is None else ours(a, axis, dtype=dtype)
    return y


@numpy_rule(np.cumsum)
def _cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Array:
    return _running("cumsum", cumulative.cumulative_sum, a, axis, dtype)


@numpy_rule(np.cumprod)
def _cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Array:
    return _running("cumprod", cumulative.cumulative_prod, a, axis, dtype)
