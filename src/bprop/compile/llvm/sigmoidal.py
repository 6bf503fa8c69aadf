"""silu and its derivative at -t, t = |x|; at t they follow from silu x - silu(-x) = x and from the sum of both slopes, 1.

1 - t + e^-t is (c - t) + e^-c (e^(c-t) - 1) with its root c: two terms of one sign, so that around the root nothing cancels. The
power of two is multiplied last, so that what underflows is rounded once.

**Source:** Elfwing, Uchibe & Doya (2018), Sigmoid-weighted linear units.
"""

from typing import Any

from .exponential import LOG2_E, beyond_linear, reduced, rounded, scaled
from .formula import Number, in_double

_MOST = {24: 110.0, 53: 760.0}
"""From here on t e^-t is 0."""
_ROOT, _ROOT_LOW = 1.2784645427610737, 1.0946994183093437e-16
"""c, as a sum of two numbers."""
_AT_ROOT = 0.2784645427610738
"""e^-c."""


def silu(x: Number) -> Number:
    """x σ(x), to the left as -t e^-t / (1 + e^-t)."""
    f = x.field
    t = f.at_most(abs(x), _MOST[f.precision])
    n, bits = rounded(-t, LOG2_E, 2 * f.bias)
    r, _ = reduced(-t, n)
    mantissa = 1 + (r + beyond_linear(r))
    below = scaled(-t * mantissa / (1 + scaled(mantissa, bits)), bits)
    return f.where(x < 0, below, x + below)


@in_double
def silu_slope(x: Number) -> Number:
    """σ(x) (1 + x σ(-x)), to the left as e^-t (1 - t + e^-t) / (1 + e^-t)²."""
    f = x.field
    t = f.at_most(abs(x), _MOST[f.precision])
    d = _ROOT - t
    taken = d - _ROOT
    lost = ((_ROOT - (d - taken)) - (t + taken)) + _ROOT_LOW
    n, bits = rounded(d, LOG2_E, 2 * f.bias)
    r = reduced(d, n)[0] + lost
    rest = r + beyond_linear(r)
    power = scaled(f.number(1.0), bits)
    beyond = f.where(n.equals(0), rest, f.fma(power, rest, power - 1))
    density = 1 + _AT_ROOT * (1 + beyond)
    y = _AT_ROOT * (1 + rest) * f.fma(_AT_ROOT, beyond, d + lost) / (density * density)
    below = scaled(y, bits)
    return f.where(x < 0, below, 1 - below)


FORMULAS: dict[str, Any] = {"silu": silu, "silu_slope": silu_slope}
