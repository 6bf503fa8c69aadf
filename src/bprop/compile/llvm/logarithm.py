"""Logarithms: x = 2ᵏ (1 + f) with √½ ≤ 1 + f < √2, then log(1 + f) as a series in s = f / (2 + f).

log(1 + f) = 2 artanh s = f - (½f² - s (½f² + R)), where the first term is exact and R is a polynomial in s². It is minimax
in relative error, by Remez' exchange in 50 digits: 2^-35 (float32) and 2^-59 (float64) of the logarithm.

**Sources:** Cody & Waite (1980), Software manual for the elementary functions, chapter 5; Tang (1990), Table-driven
implementation of the logarithm function; Muller (2016), Elementary functions, chapter 11.
"""

from math import inf, nan
from typing import Any

from .exponential import LOG_2
from .formula import Bits, Field, Number, in_double

_LOG = {
    24: (0.6666666269302368, 0.40000972151756287, 0.2849879860877991, 0.2427838295698166),
    53: (0.6666666666666734, 0.39999999999416164, 0.28571428742208566, 0.22222198580433652, 0.18183564398815513,
         0.1531403945206611, 0.14796136591772946),
}  # fmt: skip
"""(log(1 + f) - 2s) / s³ as a polynomial in s², |s| ≤ 0.1716."""
_LOG2_E = (1.4426950408889634, 2.0355273740931033e-17)
_LOG10_E = (0.4342944819032518, 1.098319650216765e-17)
_LOG10_2 = (0.30102999566361177, 3.694239077158931e-13)
"""Sums; the first part of log₁₀ 2 times any exponent is exact."""


def _split(x: Number) -> tuple[Bits, Number, Number]:
    """The integer k + bias, and the numbers k and f of a positive normal number."""
    f = x.field
    unit, root = _representation(1.0, f), _representation(0.5**0.5, f)
    shifted = x.bits + (unit - root)
    exponent = shifted >> f.mantissa
    return exponent, f.from_exponent(exponent), ((shifted & ((1 << f.mantissa) - 1)) + root).number - 1


def _representation(number: float, f: Field) -> int:
    return int(f.dtype.type(number).view(f"i{f.dtype.itemsize}"))


def _normalised(x: Number) -> tuple[Number, Any]:
    """A number made normal by a power of two where it is not, and that power's exponent."""
    f = x.field
    if f.precision < f.mantissa:  # a subnormal float32 is a normal float64
        return x, 0.0
    small = x < float(f.info.tiny)
    return f.where(small, x * 2.0 ** (f.mantissa + 2), x), f.where(small, float(f.mantissa + 2), 0.0)


def _terms(fraction: Number) -> tuple[Number, Number]:
    """½f² and s (½f² + R) for f = ``fraction``."""
    f = fraction.field
    s = fraction / (fraction + 2)
    z = s * s
    half = 0.5 * fraction * fraction
    return half, s * (half + z * f.polynomial(z, _LOG[f.precision]))


def _at_the_ends(y: Number, x: Number, pole: float) -> Number:
    """The value y, but -∞ at the pole, NaN left of it, and x itself where it is infinite or NaN."""
    f = x.field
    y = f.where(x < inf, y, x)
    return f.where(x < pole, nan, f.where(x.equals(pole), -inf, y))


def _sum(k: Number, fraction: Number, half: Number, rest: Number) -> Number:
    """The sum k log 2 + f - ½f² + rest, the smallest terms first."""
    f = k.field
    high, low = LOG_2[f.mantissa]
    return f.fma(k, high, fraction - (half - f.fma(k, low, rest)))


def log(x: Number) -> Number:
    """log x."""
    normal, shift = _normalised(x)
    _, k, fraction = _split(normal)
    return _at_the_ends(_sum(k - shift, fraction, *_terms(fraction)), x, 0.0)


def log1p(x: Number) -> Number:
    """log(1 + x), with the rounding error of 1 + x added to f."""
    f = x.field
    u = 1 + x
    u_minus_1 = u - 1
    error = (1 - (u - u_minus_1)) + (x - u_minus_1)
    exponent, k, fraction = _split(u)
    fraction = fraction + f.where(u < 2.0 ** (f.mantissa + 2), error * f.power_of_two(2 * f.bias - exponent), 0.0)
    return f.with_sign(_at_the_ends(_sum(k, fraction, *_terms(fraction)), x, -1.0), x)


def _to_base(x: Number, unit: tuple[float, float], two: tuple[float, float]) -> Number:
    """log x · ``unit``, where log 2 · unit is ``two``; both are sums of two numbers."""
    f = x.field
    normal, shift = _normalised(x)
    _, k, fraction = _split(normal)
    k = k - shift
    half, rest = _terms(fraction)
    high = fraction - half
    low = ((fraction - high) - half) + rest
    p, lost = f.product(high, unit[0])
    high_k = k * two[0]
    y = high_k + p
    lost = lost + f.fma(high, unit[1], low * unit[0]) + f.fma(k, two[1], (high_k - y) + p)
    return _at_the_ends(y + lost, x, 0.0)


@in_double
def log2(x: Number) -> Number:
    """log₂ x."""
    return _to_base(x, _LOG2_E, (1.0, 0.0))


@in_double
def log10(x: Number) -> Number:
    """log₁₀ x."""
    return _to_base(x, _LOG10_E, _LOG10_2)


# --- inverse hyperbolic functions, of float32 ---
@in_double
def asinh(x: Number) -> Number:
    """log(x + √(x² + 1)) = log1p(x + x² / (1 + √(x² + 1))) of |x|."""
    f, size = x.field, abs(x)
    square = size * size
    y = log1p(size + square / (1 + f.sqrt(square + 1)))
    return f.with_sign(f.where(size < inf, y, size), x)


@in_double
def acosh(x: Number) -> Number:
    """log(x + √(x² - 1)) = log1p(t + √(2t + t²)) with t = x - 1."""
    f, t = x.field, x - 1
    return f.where(t < 0, nan, log1p(t + f.sqrt(t * (t + 2))))


@in_double
def atanh(x: Number) -> Number:
    """½ log((1 + x) / (1 - x)) = ½ log1p(2x / (1 - x)) of |x|."""
    f, size = x.field, abs(x)
    return f.with_sign(0.5 * log1p(2 * size / (1 - size)), x)


FORMULAS: dict[str, Any] = {"log": log, "log2": log2, "log10": log10, "log1p": log1p}
SINGLE: dict[str, Any] = {"asinh": asinh, "acosh": acosh, "atanh": atanh}
"""For float32 only: for float64 the C library's are more accurate."""
