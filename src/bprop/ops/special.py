"""Special functions: the error function and its kin, the gamma function and its kin, x log y.

Formulas are written once, with NumPy's functions: on arrays they compute, on traced values they become native code.
They compute in float64, whatever the operands, and round once (`in_double`): float32 costs no accuracy where a
function crosses zero.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from math import factorial, inf, nan, pi
from operator import index as as_integer
from typing import Any

import numpy as np

from ..core.dtype import WEAK, result_type
from ..core.error import ArgumentError
from ..core.family import Elementwise
from ..core.function import FUNCTIONS, function, publish
from ..core.op import Op, array
from ..core.value import Array
from .exponential import log
from .selection import where

__all__ = ["digamma", "erf", "erfc", "erfinv", "gammaln", "polygamma", "xlogy"]

_TWO_OVER_ROOT_PI, _ROOT_PI_OVER_TWO = 1.1283791670955126, 0.886226925452758


def _scipy() -> Any:
    from scipy import special  # on first use: importing it takes longer than importing bprop

    return special


def in_double(formula: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``formula`` computed in float64 and rounded to the dtype of its operands."""

    @wraps(formula)
    def computed(*xs: Any, **params: Any) -> Any:
        dtype = result_type(*(getattr(x, "dtype", x) for x in xs))
        wide = np.complex128 if dtype.kind == "c" else np.float64
        y = formula(*(wide(x) if type(x) in WEAK else x.astype(wide) for x in xs), **params)
        return y if dtype.kind not in "fc" or dtype == wide else y.astype(dtype)

    return computed


def applied(op: Op, *xs: Any, **params: Any) -> Any:
    """Return ``op`` of ``xs`` inside a formula: computed on numbers, applied to traced values."""
    return (op if any(isinstance(x, Array) for x in xs) else op.evaluate)(*xs, **params)


def _doc(formula: str, example: str, source: str) -> str:
    return f"""{formula}

    ``x``: any shape, float16/32/64 (integers become float64); the result has the same shape.

    **Source:** {source}.

    >>> import bprop
    >>> {example}
    """


# --- the error function ---
def _halves(x: Any) -> tuple[Any, Any]:
    """x as a sum of two numbers of 26 bits, whose products are exact (Dekker, 1971)."""
    c = 134217729.0 * x
    high = c - (c - x)
    return high, x - high


def product_error(x1: Any, x2: Any, y: Any) -> Any:
    """What is missing in y, the rounded product of x1 and x2."""
    (high1, low1), (high2, low2) = _halves(x1), _halves(x2)
    return ((high1 * high2 - y) + high1 * low2 + low1 * high2) + low1 * low2


def gauss(x: Any, scale: float) -> Any:
    """e^(-scale · x²) for a power of two ``scale``: x² rounded would be off by x² units in the last place."""
    x = np.minimum(np.abs(x), 80.0)
    high, low = _halves(x)
    return np.exp(-scale * high * high) * np.exp(-scale * low * (x + high))


def gauss_product(t: Any, x: Any, scale: float) -> Any:
    """The product t e^(-scale · x²), also where t lifts it out of the range in which the exponential underflows."""
    x = np.minimum(np.abs(x), 80.0)
    high, low = _halves(x)
    root = np.exp(-0.5 * scale * high * high)
    return (t * root) * np.exp(-scale * low * (x + high)) * root


_exp_minus_square = in_double(lambda x: gauss(x, 1.0))

exp_minus_square = Elementwise(
    "exp_minus_square", _exp_minus_square, lambda y, x: -2 * gaussian_moment(x, n=1),
    kind="float", native=_exp_minus_square, complex_step=lambda z: np.exp(-z * z),
    text="exp(-square({0}))", latex="e^{{-{0}^{{2}}}}",
    doc="The derivative of `erf` but for a factor, e^(-x²), also where x² is large and rounded.",
)  # fmt: skip


@in_double
def _gaussian_moment(x: Any, n: int) -> Any:
    near = np.minimum(np.maximum(x, -80.0), 80.0)
    y = near
    for _ in range(n - 1):
        y = y * near
    return gauss_product(y, near, 1.0)


def _gaussian_moment_slope(y: Any, x: Any, n: int) -> Any:
    below = exp_minus_square(x) if n == 1 else n * gaussian_moment(x, n=n - 1)
    return below - 2 * gaussian_moment(x, n=n + 1)


gaussian_moment: Elementwise = Elementwise(
    "gaussian_moment", _gaussian_moment, _gaussian_moment_slope,
    kind="float", native=_gaussian_moment, complex_step=lambda z, n: z**n * np.exp(-z * z), level=2,
    text="{0} ** {n} * exp(-square({0}))", latex="{0}^{{{n}}} e^{{-{0}^{{2}}}}",
    examples=lambda draw: [((draw(*shape),), {"n": n}) for shape in ((), (2, 3), (0, 3)) for n in (1, 2, 3)],
    doc="xⁿ e^(-x²) for n ≥ 1: what the derivatives of `exp_minus_square` are made of. It is 0 at infinity.",
)  # fmt: skip

erf = Elementwise(
    "erf", in_double(lambda x: _scipy().erf(x)), lambda y, x: _TWO_OVER_ROOT_PI * exp_minus_square(x),
    kind="float", complex_step=lambda z: _scipy().erf(z), latex=r"\operatorname{{erf}}({0})",
    doc=_doc("y = 2/√π ∫ e^(-t²) dt from 0 to x; ∂y/∂x = 2/√π e^(-x²).",
             "bprop.erf(bprop.asarray([0.0, 1.0]))\n    Array([0.        , 0.84270079])", "SciPy, ``scipy.special.erf``"),
)  # fmt: skip


ERFCX = (
    1.2329951186255526,
    -0.1396211168405625,
    0.015379652102619722,
    0.06809705425468839,
    -0.10103906603630164,
    0.09373283499853532,
    -0.06633036581231766,
    0.037167515533805866,
    -0.016197734056129565,
    0.005031970018173737,
    -0.0007577733038952213,
    -0.0001992569616130294,
    0.0001506217617137712,
    -2.4398077645553113e-05,
    -1.1222340802305898e-05,
    5.706555071143334e-06,
    2.9453822824809465e-07,
    -8.196124267210133e-07,
    7.357931199463162e-08,
    1.033531188206609e-07,
    -1.706927508903064e-08,
    -9.689556599633609e-09,
    1.5489745556222797e-09,
)
"""(1 + 2x) e^(x²) erfc x as a polynomial in (x - 4) / (x + 4), from x = 0.45 on: to 2^-54, by Remez' exchange in 50 digits."""


def _erfcx(x: Any) -> Any:
    """e^(x²) erfc x for x ≥ 0.45. (SciPy's is off by up to 5 units in the last place.)"""
    return _horner((x - 4) / (x + 4), ERFCX) / (1 + 2 * x)


@in_double
def _erfc(x: Any) -> Any:
    above = np.minimum(np.maximum(x, 0.5), 80.0)
    return np.where(x < 0.5, _scipy().erfc(x), _erfcx(above) * gauss(above, 1.0))


erfc = Elementwise(
    "erfc", _erfc, lambda y, x: -_TWO_OVER_ROOT_PI * exp_minus_square(x),
    kind="float", complex_step=lambda z: _scipy().erfc(z), latex=r"\operatorname{{erfc}}({0})",
    doc=_doc("y = 1 - erf x, exact where it is small; ∂y/∂x = -2/√π e^(-x²).",
             "bprop.erfc(bprop.asarray([0.0, 10.0]))\n    Array([1.00000000e+00, 2.08848758e-45])",
             "SciPy, ``scipy.special.erfc``"),
)  # fmt: skip


@in_double
def _erfinv_slope(x: Any) -> Any:
    """√π/2 e^(y²) at y = erfinv x; with e^(y²) = erfcx(y) / (1 - x) for large y, where rounding y would show."""
    x = np.abs(x)
    y = _scipy().erfinv(x)
    far = _erfcx(np.minimum(np.maximum(y, 0.45), 6.0)) / (1 - x)
    return _ROOT_PI_OVER_TWO * np.where(x < 0.5, np.exp(y * y), np.where(x == 1, inf, far))


erfinv_slope = Elementwise(
    "erfinv_slope", _erfinv_slope, lambda y, x: 2 * erfinv(x) * (y * y),
    kind="float", native="callback", complex_step=None, domain=(-1, 1),
    text="sqrt(pi) / 2 * exp(square(erfinv({0})))", level=2,
    latex=r"e^{{\operatorname{{erf}}^{{-1}}({0})^{{2}}}} \, \frac{{\sqrt{{\pi}}}}{{2}}",
    doc="The derivative of `erfinv`, √π/2 e^(y²), also where y² is large and rounded.",
)  # fmt: skip

erfinv: Elementwise = Elementwise(
    "erfinv", in_double(lambda x: _scipy().erfinv(x)), lambda y, x: erfinv_slope(x),
    kind="float", native="callback", complex_step=None, domain=(-1, 1), latex=r"\operatorname{{erf}}^{{-1}}({0})",
    doc=_doc("y with erf y = x; ∂y/∂x = √π/2 e^(y²). NaN outside of [-1, 1].",
             "bprop.erfinv(bprop.asarray([0.0, 0.5, 1.0]))\n    Array([0.        , 0.47693628,        inf])",
             "SciPy, ``scipy.special.erfinv``"),
)  # fmt: skip


# --- the gamma function ---
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)
"""B₂, B₄, …"""


def _horner(x: Any, coefficients: tuple[float, ...]) -> Any:
    y: Any = coefficients[-1]
    for c in coefficients[-2::-1]:
        y = y * x + c
    return y


def _zeta(s: int, x: Any) -> Any:
    """Hurwitz' ζ(s, x) = Σ (x + k)^(-s) for x > 0: the first terms, and the rest by Euler and Maclaurin."""
    first = 8 + s
    w = 1 / (x + first)
    factors, rising = [], 1.0
    for j, b in enumerate(_BERNOULLI, start=1):
        rising *= s if j == 1 else (s + 2 * j - 3) * (s + 2 * j - 2)
        factors.append(b / factorial(2 * j) * rising)
    y = w ** (s - 1) * (1 / (s - 1) + w * (0.5 + w * _horner(w * w, tuple(factors))))
    # the smallest first: those of a large x are far below y, where each would be rounded
    terms: Any = 0.0
    for k in reversed(range(1, first)):
        terms = terms + _inverse_power(x + k, s)
    return y + terms + _inverse_power(x, s)  # not x + 0: -0 + 0 is 0, but the pole has a sign


def _inverse_power(x: Any, s: int) -> Any:
    return 1 / (x * x) if s == 2 else x ** float(-s)


_ROOT, _ROOT_LOW = 1.4616321449683622, 9.549995429965697e-17
"""Where digamma is 0, as a sum of two numbers."""


@lru_cache
def _digamma_tail(end: float) -> tuple[float, ...]:
    """Coefficients in w² of (P(w²) - P(v)) / (w² - v) at v = 1/end², with P(u) = Σ B₂ⱼ/(2j) uʲ."""
    coefficients = [0.0]
    for j in range(len(_BERNOULLI), 0, -1):
        coefficients.insert(0, _BERNOULLI[j - 1] / (2 * j) + coefficients[0] / end**2)
    return tuple(coefficients[:-1])


@in_double
def _digamma(x: Any) -> Any:
    """Every term is a multiple of x - root, so that nothing cancels where digamma crosses zero: the differences, between
    x and the root, of the terms of its asymptotic series at x + 10 and of the recurrence that leads there.
    """
    positive = np.where(x >= 0, x, 1 - x)
    d = (positive - _ROOT) - _ROOT_LOW
    end = _ROOT + 10
    w = 1 / (positive + 10)
    step = d * w / end
    y = np.log1p(d / end) + step * (0.5 + (w + 1 / end) * _horner(w * w, _digamma_tail(end)))
    for k in reversed(range(1, 10)):
        y = y + d / (positive + k) / (_ROOT + k)
    y = y + d / positive / _ROOT
    y = np.where(positive == inf, inf, y)
    return np.where(x < 0, y - pi * _cot(x, nan), y)


def _cot(x: Any, pole: float) -> Any:
    """Cot πx, and ``pole`` at the integers."""
    rest = x - np.rint(x)
    other = np.where(rest < 0, -0.5, 0.5) - rest  # exact: at a half the cotangent is 0
    return np.where(rest == 0, pole, np.where(np.abs(rest) < 0.25, 1 / np.tan(pi * rest), np.tan(pi * other)))


@in_double
def _polygamma(x: Any, n: int) -> Any:
    """(-1)ⁿ⁺¹ n! ζ(n+1, x); left of 0 by the reflection formula, with the n-th derivative of the cotangent."""
    c = [0, 1]  # the derivative of cot as a polynomial in cot: p' turns into -(1 + c²) p'
    for _ in range(n):
        slope = [k * a for k, a in enumerate(c)][1:]
        c = [-a - b for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    y = (-1) ** (n + 1) * float(factorial(n)) * _zeta(n + 1, np.where(x >= 0, x, 1 - x))
    cot = _cot(x, nan if n % 2 == 0 else inf)
    return np.where(x < 0, (-1) ** n * y - pi ** (n + 1) * _horner(cot, tuple(map(float, c))), y)


polygamma_op: Elementwise = Elementwise(
    "polygamma", _polygamma, lambda y, x, n: polygamma_op(x, n=n + 1),
    kind="float", native=_polygamma, complex_step=None, domain=(0, inf),
    text="polygamma({n}, {0})", latex=r"\psi^{{({n})}}({0})",
    examples=lambda draw: [((draw(*shape, domain=(0, inf)),), {"n": n}) for shape in ((), (2, 3), (0, 3)) for n in (1, 2)],
    doc="The n-th derivative of `digamma`: the op behind `bprop.polygamma`.",
)  # fmt: skip

digamma = Elementwise(
    "digamma", _digamma, lambda y, x: polygamma_op(x, n=1),
    kind="float", native=_digamma, complex_step=lambda z: _scipy().psi(z), domain=(0, inf), latex=r"\psi({0})",
    doc=_doc("y = the derivative of log Γ(x); ∂y/∂x = ψ⁽¹⁾(x), the trigamma function. NaN at the negative integers.",
             "bprop.digamma(bprop.asarray([1.0, 2.0]))\n    Array([-0.57721566,  0.42278434])",
             "SciPy, ``scipy.special.digamma``"),
)  # fmt: skip


@lru_cache
def _gammaln_series() -> tuple[float, ...]:
    """Coefficients of log Γ(2 + z) = (1 - γ) z + Σ (-1)ᵏ (ζ(k) - 1) zᵏ / k."""
    return (0.0, 0.42278433509846713, *((-1) ** k * float(_zeta(k, 2.0)) / k for k in range(2, 32)))


@in_double
def _gammaln(x: Any) -> Any:
    """SciPy's, but around its zeros 1 and 2, where that has few correct digits, and down to 0: log Γ(2 + z) as a series."""
    y = np.where(x == -inf, inf, _scipy().gammaln(x))
    y = np.where(np.abs(x) < 1e-300, -np.log(np.abs(x)), y)  # of a negative subnormal SciPy says ∞
    near = np.asarray((x > 0) & (x < 2.5))
    if near.any():
        z_near = np.asarray(x)[near]
        steps = 2 - np.rint(z_near)
        z = z_near - (2 - steps)
        below = np.where(steps >= 1, np.log1p(z), 0) + np.where(steps == 2, np.log(z_near), 0)
        y[near] = _horner(z, _gammaln_series()) - below
    return y


gammaln = Elementwise(
    "gammaln", _gammaln, lambda y, x: digamma(x),
    kind="float", native="lgamma", complex_step=None, domain=(0, inf), latex=r"\log\Gamma({0})",
    doc=_doc("y = log \\|Γ(x)\\|; ∂y/∂x = ψ(x), the digamma function.",
             "bprop.gammaln(bprop.asarray([1.0, 5.0]))\n    Array([0.        , 3.17805383])",
             "SciPy, ``scipy.special.gammaln``"),
)  # fmt: skip


@function()
def polygamma(n: int, x: Any, /) -> Array:
    """y = ψ⁽ⁿ⁾(x), the n-th derivative of `digamma`; ∂y/∂x = ψ⁽ⁿ⁺¹⁾(x).

    ``n``: a whole number, at least 0. ``x``: any shape, float16/32/64 (integers become float64); the result has the same
    shape. Raises `ArgumentError` for another n.

    **Source:** SciPy, ``scipy.special.polygamma``; Abramowitz & Stegun (1964), 6.4.

    >>> import bprop
    >>> bprop.polygamma(1, bprop.asarray([1.0]))
    Array([1.64493407])
    """
    try:
        n = as_integer(n)
    except TypeError:
        raise ArgumentError(f"polygamma: n is a whole number, not {n!r}: polygamma(n, x) takes it first") from None
    if not 0 <= n < 100:
        raise ArgumentError(f"polygamma: n is a whole number from 0 to 99, not {n}")
    x = array("polygamma", x)
    y: Array = polygamma_op(x, n=n) if n else digamma(x)
    return y


# --- x log y ---
def _xlogy(x1: Any, x2: Any) -> Any:
    logarithm = float(np.log(x2)) if type(x2) in WEAK else np.log(x2)
    return np.where((x1 == 0) & (x2 == x2), 0, x1 * logarithm)


def _xlogy_slope(y: Any, x1: Any, x2: Any) -> Any:
    """x1 / x2, and 0 for two zeros, with an infinite slope as that of the root: 1 / x2."""
    tip = 0 if type(x1) in WEAK else FUNCTIONS["sqrt"](x1)
    return where((x1 == 0) & (x2 == 0), tip, x1 / x2)


xlogy = Elementwise(
    "xlogy", _xlogy, lambda y, x1, x2: log(x2), _xlogy_slope,
    kind="float", native=_xlogy, complex_step=_xlogy, domain=((-inf, inf), (0, inf)), latex=r"{0} \, \log({1})",
    doc="""y = x1 log x2, and 0 where x1 is 0 (also at x2 = 0); ∂y/∂x1 = log x2, ∂y/∂x2 = x1/x2, 0 where x1 is 0.

    Shapes broadcast, dtypes promote; integers become float64.

    **Source:** SciPy, ``scipy.special.xlogy``.

    >>> import bprop
    >>> p = bprop.asarray([0.0, 0.5])
    >>> bprop.xlogy(p, p)
    Array([ 0.        , -0.34657359])
    """,
)  # fmt: skip

publish(erf, erfc, erfinv, gammaln, digamma, xlogy)
