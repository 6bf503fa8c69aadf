"""Cube roots and lengths.

The cube root of 1 ≤ m < 2 is a polynomial of degree 3 (minimax, by Remez' exchange: to 2^-13), times ∛1, ∛2 or ∛4 by the
exponent modulo 3; Halley's step triples the correct digits, Newton's doubles them.

**Sources:** Muller (2016), Elementary functions, chapter 5; Higham (2002), Accuracy and stability of numerical algorithms,
chapter 27 (the length of a vector without overflow).
"""

from math import inf
from typing import Any

from .formula import Number, in_double

_CBRT = (0.5528222918510437, 0.5871168375015259, -0.16297169029712677, 0.023105468600988388)
_ROOTS = (1.0, 2.0 ** (1 / 3), 4.0 ** (1 / 3))


@in_double
def cbrt(x: Number) -> Number:
    """∛x, of 2^(3q) · 2ʲ · m with j = 0, 1 or 2."""
    f, size = x.field, abs(x)
    small = size < float(f.info.tiny)
    normal = f.where(small, size * 2.0**54, size)
    exponent = f.from_exponent(normal.bits >> f.mantissa)
    m = ((normal.bits & ((1 << f.mantissa) - 1)) | f.number(1.0).bits).number
    shifted = f.fma(exponent - 1, 1 / 3, f.magic + f.bias)
    j = exponent - 3 * (shifted - (f.magic + f.bias))
    is_1, is_2 = j.equals(1), j.equals(2)
    a = m * f.where(is_2, 4.0, f.where(is_1, 2.0, 1.0))
    y = f.polynomial(m, _CBRT) * f.where(is_2, _ROOTS[2], f.where(is_1, _ROOTS[1], _ROOTS[0]))
    cube = y * y * y
    y = y * (cube + 2 * a) / (2 * cube + a)
    if f.precision > 24:
        y = y - (y * y * y - a) / (3 * y * y)
    y = y * f.power_of_two(shifted.bits) * f.where(small, 2.0**-18, 1.0)
    return f.with_sign(f.where((size > 0), f.where(size < inf, y, x), x), x)


@in_double
def hypot(x1: Number, x2: Number) -> Number:
    """√(x1² + x2²), of numbers scaled so that their squares neither overflow nor underflow; ∞ beats NaN."""
    f, a, b = x1.field, abs(x1), abs(x2)
    if f.precision > 24:
        largest = f.where(a > b, a, b)
        large, small = largest > 2.0**500, largest < 2.0**-400
        scale, unscale = (f.where(large, 2.0**-s, f.where(small, 2.0**s, 1.0)) for s in (600, -600))
        a, b = a * scale, b * scale
    y = f.sqrt(f.fma(a, a, b * b))
    if f.precision > 24:
        y = y * unscale
    return f.where(a.equals(inf), a, f.where(b.equals(inf), b, y))


FORMULAS: dict[str, Any] = {"cbrt": cbrt, "hypot": hypot}
