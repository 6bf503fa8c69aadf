"""Elementwise functions of NumPy that the Array API does not have, made of those that it has."""

from math import inf, nan, pi
from typing import Any

import numpy as np

from ..core.dispatch import Call
from ..core.dtype import result_type, to_float
from ..core.error import ArgumentError, DTypeError
from ..core.function import numpy_rule
from ..core.nondifferentiable import NONDIFFERENTIABLE
from ..core.op import array, operand
from ..core.value import Array
from ..ops.bessel import i0
from ..ops.comparison import isnan
from ..ops.data_type import astype
from ..ops.exponential import exp2
from ..ops.power import pow
from ..ops.rounding import around, copysign, signbit, trunc
from ..ops.scale import exponent
from ..ops.selection import clip, maximum, minimum, where
from .numpy_argument import NO_VALUE, floating


# --- angles ---
def _scaled(name: str, x: Any, factor: float) -> Array:
    y: Array = floating(array(name, x)) * factor
    return y


@numpy_rule(np.deg2rad, np.radians)
def _radians(x: Any, /) -> Array:
    return _scaled("radians", x, pi / 180)


@numpy_rule(np.rad2deg, np.degrees)
def _degrees(x: Any, /) -> Array:
    return _scaled("degrees", x, 180 / pi)


@numpy_rule(np.i0)
def _i0(x: Any) -> Array:
    return i0(x)


# --- the larger and the smaller, where a NaN is nothing to compare with ---
def _unless_nan(name: str, extreme: Any, x1: Any, x2: Any) -> Array:
    x1, x2 = operand(name, x1), operand(name, x2)
    y: Array = extreme(x1, x2)
    for x, other in ((x1, x2), (x2, x1)):
        if x.dtype.kind == "f" if isinstance(x, Array) else isinstance(x, float):
            y = where(isnan(x), other, y)
    return y


@numpy_rule(np.fmax)
def _fmax(x1: Any, x2: Any, /) -> Array:
    return _unless_nan("fmax", maximum, x1, x2)


@numpy_rule(np.fmin)
def _fmin(x1: Any, x2: Any, /) -> Array:
    return _unless_nan("fmin", minimum, x1, x2)


@numpy_rule(np.heaviside)
def _heaviside(x1: Any, x2: Any, /) -> Array:
    """0 below 0, 1 above, and x2 at 0, whose derivative is the only one."""
    x1, x2 = operand("heaviside", x1), operand("heaviside", x2)
    dtype = to_float(result_type(*(x.dtype if isinstance(x, Array) else x for x in (x1, x2))))
    x1, x2 = (astype(array("heaviside", x), dtype) for x in (x1, x2))
    return where(isnan(x1), nan, where(x1 == 0, x2, astype(x1 > 0, dtype)))


# --- powers of two ---
@numpy_rule(np.float_power)
def _float_power(x1: Any, x2: Any, /) -> Array:
    x1, x2 = array("float_power", x1), array("float_power", x2)
    dtype = result_type(x1.dtype, x2.dtype, np.dtype(np.float64))
    y: Array = pow(astype(x1, dtype), astype(x2, dtype))
    return y


@numpy_rule(np.ldexp)
def _ldexp(x1: Any, x2: Any, /) -> Array:
    """x1 · 2^x2 in three factors, none of which leaves the range before the product does."""
    x1, x2 = floating(array("ldexp", x1)), array("ldexp", x2)
    if x2.dtype.kind not in "iub":
        raise DTypeError(f"ldexp: the exponents are integers, not {x2.dtype}")
    n = clip(astype(x2, np.int64), -2200, 2200)
    third = n // 3
    y = x1
    for part in (third, third, n - 2 * third):
        y = y * exp2(astype(part, x1.dtype))
    return y


@numpy_rule(np.frexp)
def _frexp(x: Any, /) -> tuple[Array, Array]:
    x = floating(array("frexp", x))
    power = exponent(x)
    return _ldexp(x, -power), power


@numpy_rule(np.modf)
def _modf(x: Any, /) -> tuple[Array, Array]:
    """The fraction, whose derivative is 1, and the integer part; both have the sign of x, of zeros too."""
    x = floating(array("modf", x))
    integer = trunc(x)
    fraction = where(signbit(x), -(integer - x), x - integer)
    return where((x == inf) | (x == -inf), copysign(0.0, x), fraction), integer


@numpy_rule(np.fix)
def _fix(x: Any, out: Any = None) -> Array:
    y: Array = trunc(array("fix", x))
    return y


@numpy_rule(np.round, np.around)
def _round(a: Any, decimals: int = 0, out: Any = None) -> Array:
    return around(a, decimals)


# --- no derivative: NumPy sees the numbers ---
def _on_numbers(ufunc: Any) -> Any:
    def rule(*xs: Any) -> Any:
        return Call(ufunc, f"numpy.{ufunc.__name__}", xs, {}, Array).passed_through()

    return rule


for _ufunc in NONDIFFERENTIABLE:
    if isinstance(_ufunc, np.ufunc):
        numpy_rule(_ufunc)(_on_numbers(_ufunc))


# --- bounds ---
@numpy_rule(np.clip)
def _clip(
    a: Any, a_min: Any = NO_VALUE, a_max: Any = NO_VALUE, out: Any = None, *, min: Any = NO_VALUE,
    max: Any = NO_VALUE, **kwargs: Any,
) -> Array:  # fmt: skip
    if kwargs:
        raise ArgumentError(f"clip: options {sorted(kwargs)} are not supported: write where(condition, clip(x), x)")
    bounds = []
    for name, old, new in (("min", a_min, min), ("max", a_max, max)):
        if old is not NO_VALUE and new is not NO_VALUE:
            raise ArgumentError(f"clip: a_{name} and {name} are two names of one bound: give one of them")
        bound = new if old is NO_VALUE else old
        bounds.append(None if bound is NO_VALUE else bound)
    return clip(a, *bounds)
