"""Trigonometric functions of float32, and the inverse ones.

The angle is counted in right angles: x · 2/π modulo 4, exact for every float32, because 2/π goes in parts of 29 bits whose
products with the 24 bits of x are exact in float64 (Payne & Hanek, 1983). The remainder, |y| ≤ ½, goes into a polynomial.
All polynomials are minimax, by Remez' exchange in 50 digits; their relative errors are given below.

**Sources:** Payne & Hanek (1983), Radian reduction for trigonometric functions; Cody & Waite (1980), Software manual for the
elementary functions, chapters 8, 10 and 11; Muller (2016), Elementary functions, chapter 11.
"""

from typing import Any

from .formula import Bits, Number, in_double

_TWO_OVER_PI = 0x517CC1B727220A94FE13ABE8FA9A6EE06DB14ACC9E21C820FF2
"""2/π · 2^203, rounded down."""
_PARTS = [(_TWO_OVER_PI >> 29 * (6 - i) & 0x1FFFFFFF) * 0.5 ** (29 * (i + 1)) for i in range(7)]
_WRAPPING = 3
"""So many of the parts, times a float32, may exceed 2^51, where integers are lost; with the others sums stay exact."""

_SIN = (1.5707963267877403, -0.6459640961004932, 0.07969258179314388, -0.004681260243593407, 0.00015819418234238063)
"""sin(π/2 y) / y as a polynomial in y², |y| ≤ ½: to 2^-37."""
_COS = (0.9999999999999347, -1.2337005501182168, 0.25366950709159736, -0.02086346730656044, 0.000919158554512683,
        -2.484586609002347e-05)  # fmt: skip
"""cos(π/2 y) as a polynomial in y², |y| ≤ ½: to 2^-43."""

_ATAN = {
    24: (-0.33333316445350647, 0.1999853253364563, -0.14244510233402252, 0.10600164532661438, -0.060926977545022964),
    53: (-0.33333333333333326, 0.19999999999997095, -0.1428571428534742, 0.11111111087837505, -0.09090908201861388,
         0.07692285332525027, -0.06666279510633714, 0.058776489136797415, -0.05222978322992757, 0.0452377547195748,
         -0.03397316415409726, 0.01572199295391405),
}  # fmt: skip
"""(atan u / u - 1) / u² as a polynomial in u², |u| ≤ tan(π/8): to 2^-30 and 2^-62 of the whole."""
_ASIN = {
    24: (0.16666659712791443, 0.07500521093606949, 0.04451363906264305, 0.031835999339818954, 0.014329594559967518,
         0.03767204284667969),
    53: (0.16666666666666763, 0.07499999999970272, 0.044642857175111066, 0.030381942684079746, 0.02237221564770791,
         0.01735160030843983, 0.013980958973224971, 0.011397795332757516, 0.01078642551170643, 0.0036834160381445553,
         0.021762627052002183, -0.021076107239158086, 0.032676176797496986),
}  # fmt: skip
"""(asin s / s - 1) / s² as a polynomial in s², |s| ≤ ½: to 2^-31 and 2^-58 of the whole."""
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17)


def _reduced(x: Number) -> tuple[Number, Bits]:
    """|y| ≤ ½ and, in the lowest bits, n with x · 2/π = n + y modulo 4."""
    f = x.field
    parts = [x * part for part in _PARTS]
    parts[:_WRAPPING] = [t - 4 * f.nearest(0.25 * t) for t in parts[:_WRAPPING]]
    total = parts[-1]
    for t in parts[-2::-1]:
        total = total + t
    shifted = total + f.magic
    y = parts[0] - (shifted - f.magic)
    for t in parts[1:]:
        y = y + t
    return y, shifted.bits


def _both(y: Number) -> tuple[Number, Number]:
    """The sine and the cosine of y right angles."""
    f, z = y.field, y * y
    return y * f.polynomial(z, _SIN), f.polynomial(z, _COS)


def _quadrant(n: Bits, sine: Number, cosine: Number) -> Number:
    """The sine of n right angles more."""
    f = n.field
    y = f.where((n & 1).is_zero(), sine, cosine)
    return (y.bits ^ ((n & 2) << (f.integer.width - 2))).number


@in_double
def sin(x: Number) -> Number:
    """The sine."""
    y, n = _reduced(x)
    return x.field.where(x.equals(0), x, _quadrant(n, *_both(y)))


@in_double
def cos(x: Number) -> Number:
    """Cos x: the sine one right angle further."""
    y, n = _reduced(x)
    return _quadrant(n + 1, *_both(y))


@in_double
def tan(x: Number) -> Number:
    """Sin x / cos x."""
    f = x.field
    y, n = _reduced(x)
    sine, cosine = _both(y)
    even = (n & 1).is_zero()
    return f.where(x.equals(0), x, f.where(even, sine, -cosine) / f.where(even, cosine, sine))


@in_double
def atan(x: Number) -> Number:
    """Of u = x, (x - 1)/(x + 1) or -1/x, to which 0, π/4 or π/2 is added: |u| ≤ tan(π/8)."""
    f, size = x.field, abs(x)
    middle, large = size > 2.0**0.5 - 1, size > 2.0**0.5 + 1
    above = f.where(large, -1.0, f.where(middle, size - 1, size))
    below = f.where(large, size, f.where(middle, size + 1, 1.0))
    u = above / below
    z = u * u
    angle = [f.where(large, part, f.where(middle, part / 2, 0.0)) for part in _HALF_PI]
    y = angle[0] + (u + f.fma(u * z, f.polynomial(z, _ATAN[f.precision]), angle[1]))
    return f.with_sign(y, x)


def _arc(x: Number, middle: Any) -> tuple[Number, Number]:
    """The arcsine of |x| where this is small (``middle``), else of √((1 - |x|)/2), as a sum whose first part is this."""
    f, size = x.field, abs(x)
    z = f.where(middle, x * x, 0.5 * (1 - size))
    s = f.where(middle, size, f.sqrt(z))
    arc = s * (z * f.polynomial(z, _ASIN[f.precision]))
    if f.precision < f.mantissa:
        return s, arc
    p, rest = f.product(s, s)  # what the square root rounded off
    return s, arc + f.where(middle, 0.0, f.where(z > 0, ((z - p) - rest) / (2 * s), 0.0))


@in_double
def asin(x: Number) -> Number:
    """Asin |x| = π/2 - 2 asin √((1 - |x|)/2) above ½."""
    f = x.field
    middle = abs(x) < 0.5
    s, rest = _arc(x, middle)
    high, low = _HALF_PI
    return f.with_sign(f.where(middle, s + rest, high - (2 * s - (low - 2 * rest))), x)


@in_double
def acos(x: Number) -> Number:
    """π/2 - asin x around 0, else 2 asin √((1 - |x|)/2), on the left taken from π."""
    f = x.field
    middle = abs(x) < 0.5
    s, rest = _arc(x, middle)
    factor = f.where(middle, f.with_sign(f.number(1.0), x), f.where(x > 0, -2.0, 2.0))
    angle = [f.where(middle, part, f.where(x > 0, 0.0, 2 * part)) for part in _HALF_PI]
    return angle[0] - (factor * s - (angle[1] - factor * rest))


FORMULAS: dict[str, Any] = {"atan": atan, "asin": asin, "acos": acos}
SINGLE: dict[str, Any] = {"sin": sin, "cos": cos, "tan": tan}
"""For float32 only: for float64, 2/π would need 1200 bits."""
