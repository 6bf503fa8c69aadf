"""Reductions that leave NaN out: an entry that is NaN has no derivative, which is not one of NaN."""

from math import nan
from typing import Any

import numpy as np

from ..core.error import ArgumentError
from ..core.function import numpy_rule
from ..core.op import array
from ..core.value import Array
from ..ops import cumulative, reduction
from ..ops.comparison import isnan
from ..ops.complex import imag, real
from ..ops.data_type import astype
from ..ops.selection import where as select
from .numpy_argument import NO_VALUE, given, in_dtype, mask_of
from .numpy_reduction import masked_extreme, masked_mean, masked_prod, masked_sum, masked_variance, root


def without_nan(name: str, a: Any, value: float) -> Array:
    """Return ``a`` with a number in the place of NaN."""
    a = array(name, a)
    return select(isnan(a), value, a) if a.dtype.kind in "fc" else a


def _numbers(name: str, a: Any, where: Any) -> Array | None:
    """Return where ``a`` is a number and counts."""
    a = array(name, a)
    counted = mask_of(name, where, a)
    if a.dtype.kind not in "fc":
        return counted
    return ~isnan(a) if counted is None else ~isnan(a) & counted


@numpy_rule(np.nansum)
def _nansum(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO_VALUE, initial: Any = NO_VALUE,
    where: Any = NO_VALUE,
) -> Array:  # fmt: skip
    return masked_sum("nansum", without_nan("nansum", a, 0), axis, dtype, keepdims, initial, where)


@numpy_rule(np.nanprod)
def _nanprod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO_VALUE, initial: Any = NO_VALUE,
    where: Any = NO_VALUE,
) -> Array:  # fmt: skip
    return masked_prod("nanprod", without_nan("nanprod", a, 1), axis, dtype, keepdims, initial, where)


def _extreme(name: str, a: Any, axis: Any, keepdims: Any, initial: Any, where: Any, sign: int) -> Array:
    a = array(name, a)
    if a.dtype.kind != "f":
        return masked_extreme(name, a, axis, keepdims, initial, where, sign)
    y = masked_extreme(name, without_nan(name, a, -np.inf * sign), axis, keepdims, initial, where, sign)
    counted = mask_of(name, where, a)
    missing = isnan(a) if counted is None else isnan(a) | ~counted
    missing = reduction.all(missing, axis, given(keepdims))  # of none but NaN it is NaN
    return select(missing, nan, y) if initial is NO_VALUE else y


@numpy_rule(np.nanmax)
def _nanmax(
    a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE, initial: Any = NO_VALUE, where: Any = NO_VALUE
) -> Array:
    return _extreme("nanmax", a, axis, keepdims, initial, where, 1)


@numpy_rule(np.nanmin)
def _nanmin(
    a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE, initial: Any = NO_VALUE, where: Any = NO_VALUE
) -> Array:
    return _extreme("nanmin", a, axis, keepdims, initial, where, -1)


@numpy_rule(np.nanmean)
def _nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO_VALUE, *, where: Any = NO_VALUE
) -> Array:
    a = in_dtype("nanmean", a, dtype)
    return masked_mean("nanmean", a, axis, dtype, keepdims, _numbers("nanmean", a, where))


def _variance(
    name: str, a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: Any, where: Any, mean: Any, correction: Any
) -> Array:
    if correction is not NO_VALUE:
        if ddof != 0:
            raise ArgumentError(f"{name}: ddof and correction are two names of one option: give one of them")
        ddof = correction
    a = in_dtype(name, a, dtype)
    return masked_variance(name, a, axis, dtype, ddof, keepdims, _numbers(name, a, where), mean, bad=nan)


@numpy_rule(np.nanvar)
def _nanvar(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NO_VALUE, *,
    where: Any = NO_VALUE, mean: Any = NO_VALUE, correction: Any = NO_VALUE,
) -> Array:  # fmt: skip
    return _variance("nanvar", a, axis, dtype, ddof, keepdims, where, mean, correction)


@numpy_rule(np.nanstd)
def _nanstd(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NO_VALUE, *,
    where: Any = NO_VALUE, mean: Any = NO_VALUE, correction: Any = NO_VALUE,
) -> Array:  # fmt: skip
    return root(_variance("nanstd", a, axis, dtype, ddof, keepdims, where, mean, correction))


def _running(name: str, ours: Any, a: Any, value: float, axis: Any, dtype: Any) -> Array:
    a = without_nan(name, a, value)
    y: Array = ours(a.reshape(-1), 0, dtype=dtype) if axis is None else ours(a, axis, dtype=dtype)
    return y


@numpy_rule(np.nancumsum)
def _nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Array:
    return _running("nancumsum", cumulative.cumulative_sum, a, 0, axis, dtype)


@numpy_rule(np.nancumprod)
def _nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Array:
    return _running("nancumprod", cumulative.cumulative_prod, a, 1, axis, dtype)


@numpy_rule(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Array:
    x = array("nan_to_num", x)
    if x.dtype.kind == "c":  # each part by itself; where neither changes, x with the signs of its zeros
        parts = real(x), imag(x)
        re, im = (_numbers_instead(part, nan, posinf, neginf) for part in parts)
        same = (re == parts[0]) & (im == parts[1])
        y: Array = select(same, x, re + 1j * im)
        return y
    return _numbers_instead(x, nan, posinf, neginf) if x.dtype.kind == "f" else x


def _numbers_instead(x: Array, nan: Any, posinf: Any, neginf: Any) -> Array:
    limit = np.finfo(x.dtype)
    ends = (
        (x == np.inf, limit.max if posinf is None else posinf),
        (x == -np.inf, limit.min if neginf is None else neginf),
    )
    y: Array = select(isnan(x), astype(array("nan_to_num", nan), x.dtype), x)
    for infinite, value in ends:
        y = select(infinite, astype(array("nan_to_num", value), x.dtype), y)
    return y
