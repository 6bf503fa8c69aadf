"""Powers with a constant exponent that are products, quotients or roots, as accurate as the C library's.

In float32 they are computed in float64 and, in effect, rounded once. In float64 the cube and the inverse root carry the
rounding errors of their steps along.

**Source:** Higham (2002), Accuracy and stability of numerical algorithms, chapter 3.
"""

from math import inf, isfinite

from .formula import Number, in_double

_MAX_EXPONENT = 8
"""The largest exponent for which a power that is finite and not 0 in float32 is so in float64, too."""


def power(x: Number, exponent: float) -> Number | None:
    """The power of x with a constant exponent, or None if no formula is as accurate as the C library's function."""
    f = x.field
    if not isfinite(exponent):
        return None
    if exponent == 1:
        return x
    if exponent == 2:
        return x * x
    if exponent == -1:
        return 1 / x
    if exponent == 0.5:
        return f.where(x.equals(-inf), inf, _root(x))
    if exponent == -0.5:
        return f.where(x.equals(-inf), 0.0, _inverse_root(x))
    if f.precision == 24 and exponent == int(exponent) and abs(exponent) <= _MAX_EXPONENT:
        return in_double(lambda x: _integer_power(x, int(exponent)))(x)
    return _cube(x) if exponent == 3 else None


def _root(x: Number) -> Number:
    return x.field.sqrt(x + 0.0)  # of -0 the power is 0, the root -0


@in_double
def _inverse_root(x: Number) -> Number:
    f = x.field
    if f.precision == 24:
        return 1 / _root(x)
    x, factor = _scaled_up(x, 200, 100)
    s = _root(x)
    y = 1 / s
    lost = f.difference(x, s, s) / (2 * s)
    better = y + y * (f.difference(f.number(1.0), s, y) - y * lost)
    return f.where(y > 0, f.where(y < inf, better, y), y) * factor


def _scaled_up(x: Number, by: int, back: int) -> tuple[Number, Number]:
    """x, times 2^by where it is small so that no rounding error underflows, and the factor for its power: 2^back or 1."""
    f = x.field
    small = abs(x) < 2.0**-300
    return f.where(small, x * 2.0**by, x), f.where(small, 2.0**back, 1.0)


def _integer_power(x: Number, exponent: int) -> Number:
    if exponent < 0:
        return 1 / _integer_power(x, -exponent)
    half = x.field.number(1.0) if exponent < 2 else _integer_power(x, exponent // 2)
    square = half * half
    return square * x if exponent % 2 else square


def _cube(x: Number) -> Number:
    f = x.field
    scaled, factor = _scaled_up(x, 300, -900)
    square, square_error = f.product(scaled, scaled)
    y, error = f.product(square, scaled)
    return f.with_sign(f.where(abs(y) < inf, y + (error + square_error * scaled), y) * factor, x)
