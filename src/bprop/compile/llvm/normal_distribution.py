"""The normal distribution Φ, gelu and its derivative: e^(-t²/2) times a polynomial in t / (t + k) - ½, with t = |x|.

(t + k) e^(t²/2) Φ(-t) changes little over the whole half line, as what Shepherd & Laframboise approximate does. So its polynomial
keeps the relative accuracy of the tail, and serves around 0 as well: Φ(t) is 1 - Φ(-t), at least ½. The tail would magnify
the rounding error of t²: it goes into the exponential. The power of two is multiplied last, so that what underflows is
rounded once. Polynomials are minimax in relative error, in 34 digits or more, coefficients
rounded one after the other, and the others fitted again each time; k is such that the first coefficient is rounded by little.

**Source:** Shepherd & Laframboise (1981), Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 ≤ x < ∞.
"""

from typing import Any

from .exponential import LOG2_E, beyond_linear, reduced, rounded, scaled
from .formula import Number

_TAIL = {
    24: (3.375, (0.7410802841186523, -1.1059844493865967, 1.181503415107727, -0.7870745658874512, 0.1395115703344345,
         0.250390887260437, -0.1440911889076233, -0.10869951546192169, 0.07914750277996063, 0.06880927085876465)),
    53: (5.0, (0.769193049750063, -1.3307650057801135, 1.9812224638799012, -2.508265253370394, 2.6403258587264538,
         -2.211796438607628, 1.3308842751899534, -0.3831522262839362, -0.20425456634680952, 0.2789883099205095,
         -0.06080073247167699, -0.10191401763993278, 0.06832604935836974, 0.03260865226222683, -0.045370248855873686,
         -0.011006335606923113, 0.0283847808876031, 0.005418666889355344, -0.017326977767348116,
         -0.004527622282876195, 0.008276521387138738, 0.0032302322416245385, -0.0010993949070990387)),
}  # fmt: skip
"""k, and (t + k) e^(t²/2) Φ(-t) for t ≥ 0: to 2^-27 and 2^-55."""
_SLOPE = {
    24: (3.590625, (-0.4679662883281708, 0.2196367233991623, -0.23549620807170868, 0.1860254406929016,
         -0.0891358032822609, 0.0017273142002522945, 0.028118429705500603, -0.007755570113658905,
         -0.01051883865147829)),
    53: (5.0, (-0.45143549526340543, 0.17959316053960767, -0.241951254215473, 0.28428097175316913,
         -0.2849253049116401, 0.23469794973583608, -0.14733975821448847, 0.05638791964396704, 0.0038901150440661097,
         -0.020811251733073816, 0.009422057274044765, 0.004081171661583725, -0.005572034372176445,
         -0.00017611587526959887, 0.0027719345988993917, -0.0004010622316606238, -0.0014639976119036717,
         0.0002779184361590939, 0.0008495543881953959, -8.23999131368335e-06, -0.00040763250426625506,
         -0.0001617693455872591)),
}  # fmt: skip
"""k, and e^(t²/2) (Φ(-t) - t φ(t)) over t minus its root, for t ≥ 0: to 2^-28 and 2^-54."""
_ROOT = {24: (0.7517915368080139, -1.211444988769017e-08), 53: (0.7517915246935645, -1.4956759177009883e-17)}
"""Where the derivative of gelu(-t) is 0, as a sum of two numbers."""
_MOST = {24: 15.0, 53: 39.0}
"""From here on t Φ(-t) is 0."""


def _folded(x: Number) -> Number:
    """t."""
    return x.field.at_most(abs(x), _MOST[x.field.precision])


def _times_density(y: Number, t: Number) -> Number:
    """The product y e^(-t²/2)."""
    f = t.field
    exponent, lost = f.product(t, -0.5 * t)
    n, bits = rounded(exponent, LOG2_E, 2 * f.bias)
    r, _ = reduced(exponent, n)
    r = r + lost
    return scaled(f.fma(y, r + beyond_linear(r), y), bits)


def _tail(t: Number, factor: Any) -> Number:
    """Φ(-t) times a factor."""
    f = t.field
    k, coefficients = _TAIL[f.precision]
    inverse = 1 / (t + k)
    return _times_density(factor * inverse * f.polynomial(f.fma(t, inverse, -0.5), coefficients), t)


def ndtr(x: Number) -> Number:
    """Φ(x)."""
    f = x.field
    tail = _tail(_folded(x), f.number(1.0))
    return f.where(x < 0, tail, 1 - tail)


def gelu(x: Number) -> Number:
    """x Φ(x)."""
    f = x.field
    t = _folded(x)
    below = _tail(t, -t)
    return f.where(x < 0, below, x + below)


def gelu_slope(x: Number) -> Number:
    """Φ(x) + x φ(x), accurate around its root, too."""
    f = x.field
    t = _folded(x)
    (k, coefficients), (high, low) = _SLOPE[f.precision], _ROOT[f.precision]
    y = ((t - high) - low) * f.polynomial(t / (t + k) - 0.5, coefficients)
    below = _times_density(y, t)
    return f.where(x < 0, below, 1 - below)


FORMULAS: dict[str, Any] = {"ndtr": ndtr, "gelu": gelu, "gelu_slope": gelu_slope}
