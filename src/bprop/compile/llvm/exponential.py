"""Exponential and hyperbolic functions: x = n log 2 + r with |r| ≤ ½ log 2, then a polynomial in r.

n log 2 is subtracted in two parts, of which the first is exact. The polynomials are minimax in relative error, by
Remez' exchange in 50 digits, coefficients rounded one after the other, and the others fitted again each time where that is better.
Relative errors, float32 and float64: 2^-28 and 2^-56 for eʳ and 2ʳ, 2^-31 and 2^-61 for sinh.

**Sources:** Cody & Waite (1980), Software manual for the elementary functions; Tang (1989), Table-driven implementation of the
exponential function (its analysis of n log 2); Muller (2016), Elementary functions, chapters 3 and 11.
"""

from typing import Any

from .formula import Bits, Field, Number

LOG2_E = 1.4426950408889634
LOG_2 = {23: (0.693145751953125, 1.4286068203094173e-06), 52: (0.693147180559663, 2.8235290563031577e-13)}
"""log 2 as a sum, by the mantissa of the dtype: the first part times any exponent is exact."""

_EXP = {
    24: (0.4999999403953552, 0.1666652262210846, 0.04166829213500023, 0.008368541486561298, 0.0013818363659083843),
    53: (0.500000000000001, 0.16666666666666674, 0.041666666666521524, 0.008333333333322172, 0.0013888888947962543,
         0.00019841269886699926, 2.4801487165838708e-05, 2.755724221351069e-06, 2.7632716110097873e-07,
         2.511009630403349e-08),
}  # fmt: skip
"""(eʳ - 1 - r) / r² on |r| ≤ ½ log 2."""
_EXP2 = {
    24: (0.6931472420692444, 0.24022655189037323, 0.05550272390246391, 0.009617067873477936, 0.0013418355956673622,
         0.00015813017671462148),
    53: (0.6931471805599453, 0.24022650695910072, 0.05550410866482177, 0.009618129107628487, 0.001333355814637423,
         0.00015403530393354775, 1.5252733871034374e-05, 1.3215486823296216e-06, 1.0178045296501752e-07,
         7.0548914678111154e-09, 4.457533018943657e-10, 2.5737813502097133e-11),
}  # fmt: skip
"""(2ʳ - 1) / r on |r| ≤ ½."""
_SINH = {
    24: (0.1666666716337204, 0.00833331048488617, 0.00019842895562760532, 2.7822131869470468e-06),
    53: (0.16666666666666669, 0.008333333333332912, 0.00019841269841593416, 2.7557319106705626e-06,
         2.5052131021824224e-08, 1.6056655804273557e-10, 7.776757419505861e-13),
}  # fmt: skip
"""(sinh x / x - 1) / x² as a polynomial in x², |x| ≤ 1."""


def rounded(x: Number, scale: float, offset: int) -> tuple[Number, Bits]:
    """The integer n nearest to ``scale`` · x, as a number, and n + offset in the lowest bits."""
    f = x.field
    magic = f.magic + offset
    t = f.fma(x, scale, magic)
    return t - magic, t.bits


def reduced(x: Number, n: Number) -> tuple[Number, Number]:
    """r = x - n log 2, and the value before its last rounding."""
    f = x.field
    high, low = LOG_2[f.mantissa]
    partial = f.fma(n, -high, x)
    return f.fma(n, -low, partial), partial


def beyond_linear(r: Number) -> Number:
    """eʳ - 1 - r."""
    f = r.field
    return (r * r) * f.polynomial(r, _EXP[f.precision])


def scaled(y: Number, n: Bits) -> Number:
    """The number y · 2^(n - 2 bias) in two steps, which overflow and underflow only where the product does."""
    f = y.field
    half = n >> 1
    return y * f.power_of_two(half) * f.power_of_two(n - half)


def _bounds(f: Field) -> tuple[float, float]:
    """Below the first eˣ is 0, above the second infinite."""
    return (-105.0, 90.0) if f.mantissa == 23 else (-747.0, 711.0)


def exp(x: Number, offset: int = 0) -> Number:
    """eˣ · 2^offset."""
    f = x.field
    least, most = _bounds(f)
    x = f.at_most(f.at_least(x, least), most)
    n, bits = rounded(x, LOG2_E, 2 * f.bias + offset)
    r, _ = reduced(x, n)
    return scaled(1 + (r + beyond_linear(r)), bits)


def exp2(x: Number) -> Number:
    """2ˣ."""
    f = x.field
    x = f.at_most(f.at_least(x, -f.bias - f.mantissa - 2), f.bias + 2)
    n, bits = rounded(x, 1.0, 2 * f.bias)
    r = x - n
    return scaled(1 + r * f.polynomial(r, _EXP2[f.precision]), bits)


def expm1(x: Number) -> Number:
    """eˣ - 1 = 2 ((s - ½ + s r) + s (eʳ - 1 - r)) with s = 2^(n-1), the rounding error of the sum in brackets added."""
    f = x.field
    clamped = f.at_most(f.at_least(x, -20.0 if f.precision == 24 else -40.0), _bounds(f)[1] - 1)
    n, bits = rounded(clamped, LOG2_E, f.bias - 1)
    r, partial = reduced(clamped, n)
    rest = beyond_linear(r) + f.fma(n, -LOG_2[f.mantissa][1], partial - r)
    s = f.power_of_two(bits)
    high, low = sum_of(s - 0.5, s, r)
    y = 2 * (high + f.fma(s, rest, low))
    return f.with_sign(f.where(n.equals(0), r + rest, y), x)


def sum_of(a: Number, s: Number, r: Number) -> tuple[Number, Number]:
    """The sum a + s r for a power of two s and |a| ≥ |s r| (or a = 0): rounded, and its rounding error."""
    product = s * r
    high = a + product
    return high, product - (high - a)


def tanh(x: Number) -> Number:
    """-t / (t + 2) with t = e^(-2|x|) - 1, which neither overflows nor cancels; the rounding errors of sum and quotient are added."""
    f = x.field
    double = f.at_least(-2 * abs(x), -20.0 if f.precision == 24 else -40.0)
    n, bits = rounded(double, LOG2_E, f.bias)
    r, _ = reduced(double, n)
    s = f.power_of_two(bits)
    high, low = sum_of(s - 1, s, r)
    small = f.fma(s, beyond_linear(r), low)
    t = high + small
    below = t + 2
    inverse = 1 / below
    y = t * inverse
    lost = small - (t - high)
    rest = f.difference(t, y, below) + (lost - y * (lost + (t - (below - 2))))
    return f.with_sign(f.fma(rest, inverse, y), x)


def sinh(x: Number) -> Number:
    """The difference h - 1/(4h) with h = ½ e^|x|; below 1, where that cancels, an odd polynomial."""
    f = x.field
    size = abs(x)
    h = exp(size, -1)
    z = x * x
    odd = f.fma(size, z * f.polynomial(z, _SINH[f.precision]), size)
    return f.with_sign(f.where(size < 1, odd, h - 0.25 / h), x)


def cosh(x: Number) -> Number:
    """The sum h + 1/(4h) with h = ½ e^|x|."""
    h = exp(abs(x), -1)
    return h + 0.25 / h


FORMULAS: dict[str, Any] = {"exp": exp, "exp2": exp2, "expm1": expm1, "tanh": tanh, "sinh": sinh, "cosh": cosh}
