"""The gamma function and its kin: reciprocal, Pochhammer's symbol, binomial coefficients, Hurwitz' zeta function."""

from math import factorial as factorial_of
from math import inf, log, pi
from operator import index
from typing import Any

import numpy as np

from ..core.dtype import to_float
from ..core.error import ArgumentError
from ..core.family import Elementwise, NoDerivative
from ..core.function import FUNCTIONS
from ..core.op import array
from ..core.value import Array
from .rounding import floor, round
from .selection import where
from .special import BERNOULLI, digamma, gammaln, horner, in_double, polygamma, scipy_special
from .special_function import described, entries, special_function, together
from .trigonometric import cos, sin

__all__: list[str] = []

POSITIVE = (0.0, inf)
_STIRLING = tuple(b / (2 * j * (2 * j - 1)) for j, b in enumerate(BERNOULLI, start=1))


def stirling_error(a: Any) -> Any:
    """Log Γ(a) - (a - ½) log a + a - log √(2π) for NumPy arrays of numbers from 10 on; of log Γ(a + 1) and a + ½ it is the same."""
    w = 1 / a
    return w * horner(w * w, _STIRLING)


# --- the gamma function ---
gamma: Elementwise = special_function(
    "gamma", lambda y, x: y * digamma(x), domain=POSITIVE, latex=r"\Gamma({0})",
    doc=described("y = Γ(x); ∂y/∂x = Γ(x) ψ(x). NaN at the negative integers.", "gamma(bprop.asarray([0.5, 5.0]))",
                  "Array([ 1.77245385, 24.        ])"),
)  # fmt: skip


def _rgamma_slope(y: Any, x: Any) -> Any:
    """-ψ(x) / Γ(x), left of ½ by reflection: at a pole of both that is 0 · ∞, but the slope is (-1)ⁿ n!."""
    left = where(x < 0.5, x, 0)
    nearest = round(left)
    turn = pi * (left - nearest)
    sign = where(floor(0.5 * nearest) * 2 == nearest, 1, -1)
    reflected = sign * gamma(1 - left) * (cos(turn) - digamma(1 - left) * sin(turn) / pi)
    right = where(x < 0.5, 1, x)
    return where(x < 0.5, reflected, where(right > 180, 0, -y * digamma(where(right > 180, 1, right))))


rgamma: Elementwise = special_function(
    "rgamma", _rgamma_slope, code="special.rgamma({0})", text="1 / gamma({0})", level=2, latex=r"\frac{{1}}{{\Gamma({0})}}",
    doc=described("y = 1/Γ(x), which is 0 at 0 and the negative integers; ∂y/∂x = -ψ(x)/Γ(x), there (-1)ⁿ n! for x = -n.",
                  "rgamma(bprop.asarray([-1.0, 0.5, 5.0]))", "Array([0.        , 0.56418958, 0.04166667])"),
)  # fmt: skip


def loggamma(x: Any, /) -> Array:
    """y = log Γ(x) for x ≥ 0, NaN for negative x, where the complex logarithm has an imaginary part; ∂y/∂x = ψ(x).

    **Source:** SciPy, ``scipy.special.loggamma``.

    >>> import bprop
    >>> bprop.scipy.special.loggamma(bprop.asarray([1.0, 5.0]))
    Array([0.        , 3.17805383])
    """
    x = array("loggamma", x)
    return gammaln(x * where(x < 0, float("nan"), 1))  # so that the derivative is NaN, too


def gammasgn(x: Any, /) -> Array:
    """Return the sign of Γ(x): 1 where x is positive, and NaN at the negative integers, where the sign changes.

    **Source:** SciPy, ``scipy.special.gammasgn``.

    >>> import bprop
    >>> bprop.scipy.special.gammasgn(bprop.asarray([-1.5, -0.5, 2.0]))
    Array([ 1., -1.,  1.])
    """
    x = FUNCTIONS["stop_gradient"](array("gammasgn", x))
    below = floor(x)
    even = floor(0.5 * below) * 2 == below
    sign = where((x > 0) | even, 1.0, -1.0)
    sign = where((x < 0) & (below == x), float("nan"), sign)
    zero = where(FUNCTIONS["signbit"](x), -1.0, 1.0)
    return where(x == 0, zero, where(x == x, sign, x)).astype(to_float(x.dtype))


# --- differences of digamma and its derivatives ---
def _power_difference(w: Any, v: Any, count: int) -> list[Any]:
    """(wᵐ - vᵐ)/(w - v) for m from 1 to ``count``: sums of positive terms."""
    sums: list[Any] = [1.0]
    power: Any = 1.0
    for _ in range(count - 1):
        power = power * v
        sums.append(sums[-1] * w + power)
    return sums


@in_double
def _polygamma_difference(x1: Any, x2: Any, n: int) -> Any:
    """Every term has the sign of the first: the differences of the terms of the series at x1 + 10 and x1 + x2 + 10, and of the
    recurrence that leads there.
    """
    end = x1 + 10
    w, v = 1 / (end + x2), 1 / end
    step = x2 * w * v
    sums = _power_difference(w, v, n + 2 * len(BERNOULLI))
    series: Any = 0.0
    for j in range(len(BERNOULLI), 0, -1):
        series = series + BERNOULLI[j - 1] * factorial_of(2 * j + n - 1) / factorial_of(2 * j) * sums[2 * j + n - 1]
    series = series + 0.5 * factorial_of(n) * sums[n]
    y = np.log1p(x2 / end) + step * series if n == 0 else step * (series + factorial_of(n - 1) * sums[n - 1])
    for k in reversed(range(10)):
        w, v = 1 / (x1 + x2 + k), 1 / (x1 + k)
        y = y + x2 / (x1 + x2 + k) / (x1 + k) * (factorial_of(n) * _power_difference(w, v, n + 1)[n])
    return y if n % 2 == 0 else -y


polygamma_difference: Elementwise = Elementwise(
    "polygamma_difference", _polygamma_difference,
    lambda y, x1, x2, n: polygamma_difference(x1, x2, n=n + 1), lambda y, x1, x2, n: polygamma(n + 1, x1 + x2),
    kind="float", native=_polygamma_difference, complex_step=None, domain=(POSITIVE, POSITIVE),
    text="polygamma({n}, {0} + {1}) - polygamma({n}, {0})", latex=r"\psi^{{({n})}}({0} + {1}) - \psi^{{({n})}}({0})", level=1,
    examples=lambda draw: [(operands, {"n": n}) for operands, _ in entries(POSITIVE, POSITIVE)(draw) for n in (0, 1)],
    doc="""ψ⁽ⁿ⁾(x1 + x2) - ψ⁽ⁿ⁾(x1) for positive x1 and x1 + x2, also where x2 is small: what the derivatives of the beta function are
    made of.""",
)  # fmt: skip


def digamma_rise(x1: Any, x2: Any) -> Any:
    """ψ(x1 + x2) - ψ(x1) for all x1."""
    inside = (x1 > 0) & (x1 + x2 > 0)
    near = polygamma_difference(where(inside, x1, 1), where(inside, x2, 1), n=0)
    return where(inside, near, digamma(where(inside, 1, x1 + x2)) - digamma(where(inside, 1, x1)))


def _vanishing(x: Any) -> Any:
    return (x <= 0) & (floor(x) == x)


def _poch_slope(y: Any, z: Any, m: Any) -> Any:
    """y (ψ(z + m) - ψ(z)); at a pole of Γ(z) alone Γ(z + m) times the slope of 1/Γ(z), at poles of both by reflection."""
    pole = _vanishing(z)
    both = pole & _vanishing(z + m)
    alone = pole & ~both
    total, end = where(alone, z + m, 1), where(alone, z, 0)
    zero = rgamma(end)
    tip = gamma(total) * (_rgamma_slope(zero, end) + zero * digamma(total))
    reflected = digamma_rise(where(both, 1 - z, 1), where(both, -m, 1))
    return where(alone, tip, y * where(both, reflected, digamma_rise(where(pole, 1, z), where(pole, 1, m))))


poch: Elementwise = special_function(
    "poch", _poch_slope, lambda y, x1, x2: y * digamma(x1 + x2),
    domain=(POSITIVE, POSITIVE), latex=r"({0})_{{{1}}}",
    doc=described("""y = (z)ₘ = Γ(z + m)/Γ(z); ∂y/∂z = y (ψ(z + m) - ψ(z)), and its limit at the poles of Γ(z);
    ∂y/∂m = y ψ(z + m).""",
                  "poch(bprop.asarray([1.0, 2.5]), 2.0)", "Array([2.  , 8.75])"),
)  # fmt: skip


# --- the beta function ---
def _betaln(a: Any, b: Any) -> Any:
    """For a larger parameter from 10 on without log Γ of large numbers, whose differences lose digits or are ∞ - ∞.

    **Source:** Didonato & Morris (1992), Algorithm 708.
    """
    special = scipy_special()
    p, q = np.minimum(a, b), np.maximum(a, b)
    far = (q >= 10) & (p > 0) & (q < inf)
    large, small = np.where(far, q, 10.0), np.where(far, p, 1.0)
    ratio = small / large
    rest = stirling_error(large) - stirling_error(large * (1 + ratio))
    second = np.maximum(small, 10.0)
    both = stirling_error(second) + rest - (large - 0.5) * np.log1p(ratio) - second * np.log1p(large / second)
    both = both - 0.5 * np.log(second) + 0.5 * log(2 * pi)
    first = np.minimum(small, 10.0)
    mixed = special.gammaln(first) + rest - (large * np.log1p(ratio) - first) - (first - 0.5) * np.log1p(ratio)
    mixed = mixed - first * np.log(large)
    return np.where(far, np.where(p < 10, mixed, both), special.betaln(a, b))


_LARGE = 171.0
"""An argument from which on Γ is no number, and SciPy computes by logarithms."""


def _beta(a: Any, b: Any) -> Any:
    """By its logarithm where Γ is no number, and where that is small, so that little is lost: SciPy's quotient of Γ has 80 ULP."""
    y, logarithm, larger = scipy_special().beta(a, b), _betaln(a, b), np.maximum(a, b)
    by_logarithm = (np.minimum(a, b) > 0) & ((larger > _LARGE) | ((larger >= 10) & (np.abs(logarithm) < 16)))
    return np.where(by_logarithm, np.exp(logarithm), y)


beta: Elementwise = special_function(
    "beta", lambda y, a, b: -y * digamma_rise(a, b), lambda y, a, b: -y * digamma_rise(b, a),
    evaluate=_beta, domain=(POSITIVE, POSITIVE), latex=r"\mathrm{{B}}({0}, {1})",
    doc=described("y = B(a, b) = Γ(a) Γ(b)/Γ(a + b); ∂y/∂a = y (ψ(a) - ψ(a + b)), ∂y/∂b likewise.",
                  "beta(bprop.asarray([1.0, 2.0]), 3.0)", "Array([0.33333333, 0.08333333])"),
)  # fmt: skip


betaln: Elementwise = special_function(
    "betaln", lambda y, a, b: -digamma_rise(a, b), lambda y, a, b: -digamma_rise(b, a),
    evaluate=_betaln, domain=(POSITIVE, POSITIVE), latex=r"\log \mathrm{{B}}({0}, {1})",
    doc=described("y = log \\|B(a, b)\\|; ∂y/∂a = ψ(a) - ψ(a + b), ∂y/∂b likewise.",
                  "betaln(bprop.asarray([1.0, 2.0]), 3.0)", "Array([-1.09861229, -2.48490665])"),
)  # fmt: skip


def _binom_slope(y: Any, n: Any, k: Any) -> Any:
    """y (ψ(n - k + 1) - ψ(k + 1)); where 1/Γ of one of them is 0, the other factors times its slope."""
    above, below = n - k + 1, k + 1
    zero_above, zero_below = _vanishing(above), _vanishing(below)
    a, b = where(zero_above, 1, above), where(zero_below, 1, below)
    n1 = where(zero_above | zero_below, n + 1, 1)
    tip = gamma(n1) * where(zero_above, -rgamma(b) * _rgamma_slope(0.0, where(zero_above, above, 0)),
                            rgamma(a) * _rgamma_slope(0.0, where(zero_below, below, 0)))  # fmt: skip
    return where(zero_above & zero_below, 0, where(zero_above | zero_below, tip, y * (digamma(a) - digamma(b))))


def _binom_slope_by_n(y: Any, n: Any, k: Any) -> Any:
    above = n - k + 1
    zero = _vanishing(above)
    tip = gamma(where(zero, n + 1, 1)) * rgamma(k + 1) * _rgamma_slope(0.0, where(zero, above, 0))
    return where(zero, tip, y * where(zero, 0, digamma_rise(where(zero, 1, above), k)))


def _binom(n: Any, k: Any) -> Any:
    """SciPy's, but where that computes by log Γ of large numbers."""
    y = scipy_special().binom(n, k)
    fewer = np.minimum(k, n - k)
    large = (n > _LARGE) & (fewer >= 0) & ((fewer >= 20) | (np.floor(k) != k))
    if not np.any(large):
        return y
    below, total = np.where(large, k, 1.0), np.where(large, n, 2.0)
    return np.where(large, np.exp(-_betaln(total - below + 1, below + 1) - np.log1p(total)), y)


binom: Elementwise = special_function(
    "binom", _binom_slope_by_n, _binom_slope, evaluate=_binom, domain=((2.0, inf), POSITIVE), latex=r"\binom{{{0}}}{{{1}}}",
    doc=described("""y = Γ(n + 1) / (Γ(k + 1) Γ(n - k + 1)), 0 where k is an integer below 0 or above n;
    ∂y/∂n = y (ψ(n + 1) - ψ(n - k + 1)), ∂y/∂k = y (ψ(n - k + 1) - ψ(k + 1)), and their limits where y is 0.""",
                  "binom(bprop.asarray([5.0, 0.5]), 2.0)", "Array([10.   , -0.125])"),
)  # fmt: skip


def comb(N: Any, k: Any) -> Array:
    """Return the binomial coefficient of N over k, 0 where k is below 0 or above N, as floating-point numbers.

    Of SciPy's options ``exact`` and ``repetition`` there is only the default. ∂y/∂N and ∂y/∂k are those of `binom`.

    **Source:** SciPy, ``scipy.special.comb``.

    >>> import bprop
    >>> bprop.scipy.special.comb(5, bprop.asarray([2.0, 6.0]))
    Array([10.,  0.])
    """
    N, k = together("comb", N, k)
    return where((k <= N) & (N >= 0) & (k >= 0), binom(N, k), 0)


def factorial(n: Any) -> Array:
    """Return n! = Γ(n + 1) as floating-point numbers, 0 for negative n.

    Of SciPy's options ``exact`` and ``extend`` there is only the default. ∂y/∂n = n! ψ(n + 1).

    **Source:** SciPy, ``scipy.special.factorial``.

    >>> import bprop
    >>> bprop.scipy.special.factorial(bprop.asarray([3.0, 5.0]))
    Array([  6., 120.])
    """
    n = array("factorial", n)
    return where(n < 0, 0, gamma(where(n < 0, 0, n) + 1))


def multigammaln(a: Any, d: int) -> Array:
    """y = d (d-1)/4 log π + Σ log Γ(a - j/2) for j from 0 to d - 1, the logarithm of the multivariate gamma function.

    ``d``: a whole number, at least 1. ∂y/∂a = Σ ψ(a - j/2). Raises `ArgumentError` for another d.

    **Source:** SciPy, ``scipy.special.multigammaln``; Muirhead (1982), Aspects of multivariate statistical theory.

    >>> import bprop
    >>> bprop.scipy.special.multigammaln(bprop.asarray([2.0, 3.5]), 2)
    Array([0.45158271, 2.46648573])
    """
    try:
        d = index(d)
    except TypeError:
        d = 0
    if d < 1:
        raise ArgumentError("multigammaln: d is a whole number, at least 1: it is the dimension of the matrices")
    a = array("multigammaln", a)
    y = gammaln(a) + 0.25 * d * (d - 1) * log(pi)
    for j in range(1, d):
        y = y + gammaln(a - 0.5 * j)
    return y


# --- zeta ---
def _zeta_slope(y: Any, x: Any, q: Any) -> Any:
    return -x * hurwitz(x + 1, q)


hurwitz: Elementwise = special_function(
    "zeta", NoDerivative("zeta", "x"), _zeta_slope, evaluate=lambda x, q: scipy_special().zeta(x, q),
    domain=((1.0, inf), POSITIVE), latex=r"\zeta({0}, {1})",
    examples=lambda draw: [((s, draw(2, 3, domain=POSITIVE)), {}) for s in (2.5, 3)] + [((2.0, draw(0, 3)), {})],
    doc="Hurwitz' ζ(x, q) = Σ (q + k)⁻ˣ; ∂y/∂q = -x ζ(x + 1, q), none by x: the op behind `bprop.scipy.special.zeta`.",
)  # fmt: skip


def zeta(x: Any, q: Any = None) -> Array:
    """y = ζ(x, q) = Σ (q + k)⁻ˣ over k ≥ 0, Hurwitz' zeta function; Riemann's without q. ∂y/∂q = -x ζ(x + 1, q).

    Shapes broadcast. Raises `DerivativeError` where the derivative by x is asked for.

    **Source:** SciPy, ``scipy.special.zeta``.

    >>> import bprop
    >>> bprop.scipy.special.zeta(2.0, bprop.asarray([1.0, 2.0]))
    Array([1.64493407, 0.64493407])
    """
    y: Array = hurwitz(x, 1.0 if q is None else q)
    return y
