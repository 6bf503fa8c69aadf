"""Powers with a constant exponent that are products, quotients or roots, as accurate as the C library's.

Of float32 they are computed in float64 and rounded once, in effect. Of float64 the cube and the inverse root carry what their
steps round off.

**Source:** Higham (2002), Accuracy and stability of numerical algorithms, chapter 3.
"""

from math import inf, isfinite

from .formula import Number, in_double

_WHOLE = 8
"""Up to here the power of a float32 is 0 or infinite in float64 only where it is in float32."""


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
    if f.digits == 24 and exponent == int(exponent) and abs(exponent) <= _WHOLE:
        return in_double(lambda x: _whole(x, int(exponent)))(x)
    return _cube(x) if exponent == 3 else None


def _root(x: Number) -> Number:
    return x.field.sqrt(x + 0.0)  # of -0 the power is 0, the root -0


@in_double
def _inverse_root(x: Number) -> Number:
    f = x.field
    if f.digits == 24:
        return 1 / _root(x)
    x, lift = _lifted(x, 200, 100)
    s = _root(x)
    y = 1 / s
    lost = f.difference(x, s, s) / (2 * s)
    better = y + y * (f.difference(f.number(1.0), s, y) - y * lost)
    return f.where(y > 0, f.where(y < inf, better, y), y) * lift


def _lifted(x: Number, by: int, back: int) -> tuple[Number, Number]:
    """A number, where it is small times 2^by so that no error underflows, and what its power is to be multiplied by."""
    f = x.field
    small = abs(x) < 2.0**-300
    return f.where(small, x * 2.0**by, x), f.where(small, 2.0**back, 1.0)


def _whole(x: Number, exponent: int) -> Number:
    if exponent < 0:
        return 1 / _whole(x, -exponent)
    half = x.field.number(1.0) if exponent < 2 else _whole(x, exponent // 2)
    square = half * half
    return square * x if exponent % 2 else square


def _cube(x: Number) -> Number:
    f = x.field
    near, lift = _lifted(x, 300, -900)
    square, lost = f.product(near, near)
    y, rest = f.product(square, near)
    return f.with_sign(f.where(abs(y) < inf, y + (rest + lost * near), y) * lift, x)
