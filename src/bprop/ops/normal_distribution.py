"""The normal distribution and its kin: erfcx, erfi, the inverses of Φ and erfc, Dawson's integral, Owen's T.

Tails are ratios that do not underflow: φ/Φ is √(2/π)/erfcx(-x/√2), and what is left of 1 - 2x F(x) or of 2x erfcx(x) - 2/√π
is a function of its own.
"""

from math import factorial, inf, pi, sqrt
from typing import Any

import numpy as np

from ..core.error import DTypeError
from ..core.family import Elementwise, NoDerivative
from ..core.function import FUNCTIONS
from ..core.value import Array
from .activation import normal_below
from .exponential import exp as exponential
from .exponential import log1p
from .gamma import betaln
from .selection import where
from .special import (
    erf,
    erfcx_right,
    exp_minus_square,
    gauss_product,
    halves,
    in_double,
    scipy_special,
)
from .special_function import described, special_function

__all__: list[str] = []

_ROOT_PI, _ROOT_HALF, _ROOT_TWO_OVER_PI, _OVER_ROOT_TWO_PI = sqrt(pi), sqrt(0.5), sqrt(2 / pi), 0.3989422804014327
_TWO_OVER_ROOT_PI, _ROOT_PI_OVER_TWO = 1.1283791670955126, 0.886226925452758


# --- e^(x²) ---
@in_double
def _exp_square(x: Any) -> Any:
    """e^(x²) with x² as two numbers: rounded it would be off by x² units in the last place."""
    x = np.minimum(np.abs(x), 27.0)
    high, low = halves(x)
    return np.exp(high * high) * np.exp(low * (x + high))


exp_square: Elementwise = Elementwise(
    "exp_square", _exp_square, lambda y, x: 2 * x * y,
    kind="float", native=_exp_square, complex_step=lambda z: np.exp(z * z),
    text="exp(square({0}))", latex="e^{{{0}^{{2}}}}",
    doc="The derivative of `erfi` but for a factor, e^(x²), also where x² is large and rounded.",
)  # fmt: skip


def _dawsn(x: Any) -> Any:
    """SciPy's, but near 0, where that is off by 40 units in the last place, by the series."""
    near = np.minimum(np.maximum(x, -1.0), 1.0)
    z, y = near * near, 1.0
    for k in range(20, 0, -1):
        y = 1 - 2 * z / (2 * k + 1) * y
    return np.where(np.abs(x) < 1, near * y, scipy_special().dawsn(x))


def _erfi(x: Any) -> Any:
    """Below 1 the series, above 2/√π e^(x²) F(x): SciPy's is off by up to 80 and by x² units in the last place."""
    near, far = (
        np.minimum(np.maximum(x, -1.0), 1.0),
        np.where(np.abs(x) < 1, 1.0, np.minimum(np.maximum(x, -27.0), 27.0)),
    )
    z, series = near * near, 0.0
    for k in range(20, -1, -1):
        series = series * z + 1 / (factorial(k) * (2 * k + 1))
    return _TWO_OVER_ROOT_PI * np.where(np.abs(x) < 1, near * series, _exp_square(far) * _dawsn(far))


erfi: Elementwise = special_function(
    "erfi", lambda y, x: _TWO_OVER_ROOT_PI * exp_square(x), evaluate=_erfi, latex=r"\operatorname{{erfi}}({0})",
    doc=described("y = 2/√π ∫ e^(t²) dt from 0 to x; ∂y/∂x = 2/√π e^(x²).", "erfi(bprop.asarray([0.0, 1.0]))",
                  "Array([0.        , 1.65042576])"),
)  # fmt: skip


# --- e^(x²) erfc(x) and its derivatives ---
@in_double
def _erfcx_value(x: Any) -> Any:
    """Left of ½ the product, up to 20 the polynomial behind `erfc`, beyond the continued fraction."""
    near, middle, far = np.minimum(np.maximum(x, -30.0), 0.5), np.minimum(np.maximum(x, 0.5), 20.0), np.maximum(x, 20.0)
    rest = far
    for k in range(9, 0, -1):
        rest = far + 0.5 * k / rest
    y = np.where(x < 20, erfcx_right(middle), 1 / (_ROOT_PI * rest))
    return np.where(x < 0.5, _exp_square(near) * scipy_special().erfc(near), y)


@in_double
def _erfcx_integral(x: Any, n: int) -> Any:
    """With y₋₁ = 2/√π and y₀ = erfcx: by 2n yₙ = yₙ₋₂ - 2x yₙ₋₁ where nothing cancels, else by the continued fraction of
    the ratios rₙ = yₙ/yₙ₋₁ = 1/(2x + 2(n+1) rₙ₊₁), begun with a ratio that is good for large n.
    """
    near, far = np.minimum(np.maximum(x, -30.0), 0.9), np.maximum(x, 0.9)
    before, y = _TWO_OVER_ROOT_PI, _erfcx_value(near)
    for k in range(1, n + 1):
        before, y = y, (before - 2 * near * y) / (2 * k)
    last = n + 200
    ratio = 1 / (far + np.hypot(far, sqrt(2.0 * last)))
    result: Any = 1.0
    for k in range(last - 1, 0, -1):
        ratio = 1 / (2 * (far + (k + 1) * ratio))
        if k <= n:
            result = result * ratio
    return np.where(x < 0.9, y, result * _erfcx_value(far))


erfcx_integral: Elementwise = Elementwise(
    "erfcx_integral", _erfcx_integral, lambda y, x, n: -2 * (n + 1) * erfcx_integral(x, n=n + 1),
    kind="float", native="callback", complex_step=None, domain=(-5, inf),
    text="exp(square({0})) * erfc_integral({n}, {0})", latex=r"e^{{{0}^2}} \operatorname{{i}}^{n}\operatorname{{erfc}}({0})",
    examples=lambda draw: [((draw(*shape),), {"n": n}) for shape in ((), (2, 3), (0, 3)) for n in (1, 2)], level=2,
    doc="e^(x²) times the n-th repeated integral of erfc (NIST Handbook 7.18): what the derivatives of `erfcx` are made of.",
)  # fmt: skip

erfcx: Elementwise = special_function(
    "erfcx", lambda y, x: -2 * erfcx_integral(x, n=1), evaluate=_erfcx_value, domain=(-5, inf),
    latex=r"\operatorname{{erfcx}}({0})",
    doc=described("y = e^(x²) erfc x, which does not underflow; ∂y/∂x = 2x y - 2/√π, computed without cancellation.",
                  "erfcx(bprop.asarray([0.0, 100.0]))", "Array([1.        , 0.00564161])"),
)  # fmt: skip


# --- Φ ---
def normal_density(x: Any) -> Any:
    """φ(x) = e^(-x²/2)/√(2π), with the exponential as a square, so that no rounding of x²/2 shows."""
    h = exp_minus_square(0.5 * x)
    return _OVER_ROOT_TWO_PI * (h * h)


ndtr: Elementwise = special_function(
    "ndtr", lambda y, x: normal_density(x), evaluate=lambda x: normal_below(np.minimum(np.maximum(x, -60.0), 60.0)),
    native="ndtr", latex=r"\Phi({0})",
    doc=described("y = Φ(x), the normal distribution; ∂y/∂x = φ(x) = e^(-x²/2)/√(2π).", "ndtr(bprop.asarray([-1.0, 0.0]))",
                  "Array([0.15865525, 0.5       ])"),
)  # fmt: skip


@in_double
def _inverse_mills(x: Any) -> Any:
    """φ(x)/Φ(x): left of 0 as √(2/π)/erfcx(-x/√2), in which nothing underflows."""
    left, right = np.minimum(x, 0.0), np.maximum(x, 0.0)
    density = gauss_product(_OVER_ROOT_TWO_PI / normal_below(np.minimum(right, 60.0)), right, 0.5)
    return np.where(x < 0, _ROOT_TWO_OVER_PI / _erfcx_value(-_ROOT_HALF * left), density)


def _inverse_mills_slope(y: Any, x: Any) -> Any:
    """-y (x + y), where the sum is √2 times the ratio of two integrals of erfc left of 0."""
    t = where(x < 0, -_ROOT_HALF * x, 0)
    return -y * where(x < 0, sqrt(2.0) * (erfcx_integral(t, n=1) / erfcx(t)), x + y)


inverse_mills: Elementwise = Elementwise(
    "inverse_mills", _inverse_mills, _inverse_mills_slope,
    code="np.sqrt(2 / np.pi) / special.erfcx(-{0} / np.sqrt(2))", kind="float", native="callback", complex_step=None,
    text="exp(-square({0}) / 2) / (2.5066282746310002 * ndtr({0}))", latex=r"\frac{{\phi({0})}}{{\Phi({0})}}", level=2,
    doc="The derivative of `log_ndtr`, φ(x)/Φ(x), the inverse of Mills' ratio, for x from -∞ to ∞.",
)  # fmt: skip


def _log_ndtr(x: Any) -> Any:
    left, right = np.minimum(x, -1.0), np.maximum(x, 0.0)
    tail = np.log(0.5 * _erfcx_value(-_ROOT_HALF * left)) - 0.5 * left * left
    near = np.log(normal_below(np.minimum(np.maximum(x, -1.0), 0.0)))
    return np.where(x < -1, tail, np.where(x < 0, near, np.log1p(-normal_below(-np.minimum(right, 60.0)))))


log_ndtr: Elementwise = special_function(
    "log_ndtr", lambda y, x: inverse_mills(x), evaluate=_log_ndtr, latex=r"\log \Phi({0})",
    doc=described("y = log Φ(x), also where Φ underflows; ∂y/∂x = φ(x)/Φ(x), which is close to -x there.",
                  "log_ndtr(bprop.asarray([-100.0, 0.0]))", "Array([-5.00552421e+03, -6.93147181e-01])"),
)  # fmt: skip


# --- inverses ---
@in_double
def _ndtri_slope(x: Any) -> Any:
    """1/φ(y), with φ(y) as the smaller of Φ(y) and 1 - Φ(y), which x gives, times the inverse of Mills' ratio."""
    rest = np.where(x < 0.5, x, 1 - x)
    y = scipy_special().ndtri(np.maximum(rest, 1e-320))
    return np.where(rest > 0, 1 / (rest * _inverse_mills(y)), np.where(rest == 0, inf, np.nan))


ndtri_slope: Elementwise = Elementwise(
    "ndtri_slope", _ndtri_slope, lambda y, x: ndtri(x) * (y * y),
    kind="float", native="callback", complex_step=None, domain=(0, 1),
    text="2.5066282746310002 * exp(square(ndtri({0})) / 2)", latex=r"\frac{{1}}{{\phi(\Phi^{{-1}}({0}))}}", level=2,
    doc="The derivative of `ndtri`, 1/φ(y), also where y² is large and rounded.",
)  # fmt: skip

ndtri: Elementwise = special_function(
    "ndtri", lambda y, x: ndtri_slope(x), domain=(0, 1), latex=r"\Phi^{{-1}}({0})",
    doc=described("y with Φ(y) = x; ∂y/∂x = 1/φ(y). NaN outside of [0, 1].", "ndtri(bprop.asarray([0.0, 0.5, 0.975]))",
                  "Array([      -inf, 0.        , 1.95996398])"),
)  # fmt: skip


@in_double
def _erfcinv_slope(x: Any) -> Any:
    """-√π/2 e^(y²), with e^(y²) = erfcx(\\|y\\|) / (the smaller of x and 2 - x)."""
    rest = np.where(x < 1, x, 2 - x)
    y = scipy_special().erfcinv(np.maximum(rest, 1e-320))
    ratio = _ROOT_PI_OVER_TWO * _erfcx_value(y) / rest
    return np.where(rest > 0, -ratio, np.where(rest == 0, -inf, np.nan))


erfcinv_slope: Elementwise = Elementwise(
    "erfcinv_slope", _erfcinv_slope, lambda y, x: 2 * erfcinv(x) * (y * y),
    kind="float", native="callback", complex_step=None, domain=(0, 2),
    text="-sqrt(pi) / 2 * exp(square(erfcinv({0})))", level=2,
    latex=r"-\frac{{\sqrt{{\pi}}}}{{2}} e^{{\operatorname{{erfc}}^{{-1}}({0})^{{2}}}}",
    doc="The derivative of `erfcinv`, -√π/2 e^(y²), also where y² is large and rounded.",
)  # fmt: skip

erfcinv: Elementwise = special_function(
    "erfcinv", lambda y, x: erfcinv_slope(x), domain=(0, 2), latex=r"\operatorname{{erfc}}^{{-1}}({0})",
    doc=described("y with erfc y = x; ∂y/∂x = -√π/2 e^(y²). NaN outside of [0, 2].", "erfcinv(bprop.asarray([0.5, 1e-30]))",
                  "Array([0.47693628, 8.14861622])"),
)  # fmt: skip


# --- Dawson's integral ---
@in_double
def _dawsn_derivative(x: Any, n: int) -> Any:
    """By F⁽ⁿ⁺¹⁾ = -2x F⁽ⁿ⁾ - 2n F⁽ⁿ⁻¹⁾ from F' = 1 - 2x F; far out term by term of the asymptotic series."""
    near = np.minimum(np.maximum(x, -7.0), 7.0)
    before = _dawsn(near)
    y = 1 - 2 * near * before
    for k in range(1, n):
        before, y = y, -2 * (near * y + k * before)
    far = np.where(x < 0, np.minimum(x, -7.0), np.maximum(x, 7.0))
    w, series = 1 / (far * far), 0.0
    for k in range(24, -1, -1):
        rising = factorial(2 * k + n) / factorial(2 * k)
        odd = factorial(2 * k) / (2**k * factorial(k))
        series = series * w + odd / 2 ** (k + 1) * rising
    return np.where(np.abs(x) < 7, y, (-1) ** n * series / far ** (n + 1))


dawsn_derivative: Elementwise = Elementwise(
    "dawsn_derivative", _dawsn_derivative, lambda y, x, n: dawsn_derivative(x, n=n + 1),
    kind="float", native="callback", complex_step=None,
    text="dawsn_derivative({n}, {0})", latex=r"F^{{({n})}}({0})",
    examples=lambda draw: [((draw(*shape),), {"n": n}) for shape in ((), (2, 3), (0, 3)) for n in (1, 2)],
    doc="The n-th derivative of Dawson's integral: far from 0, 1 - 2x F(x) has no correct digit.",
)  # fmt: skip

dawsn: Elementwise = special_function(
    "dawsn", lambda y, x: dawsn_derivative(x, n=1), evaluate=_dawsn, latex=r"F({0})",
    doc=described("y = F(x) = e^(-x²) ∫ e^(t²) dt from 0 to x, Dawson's integral; ∂y/∂x = 1 - 2x y.",
                  "dawsn(bprop.asarray([0.0, 1.0]))", "Array([0.        , 0.53807951])"),
)  # fmt: skip


# --- Owen's T ---
def _owens_t_slope(y: Any, h: Any, a: Any) -> Any:
    return -0.5 * normal_density(h) * erf(_ROOT_HALF * (a * h))


def _owens_t_slope_by_a(y: Any, h: Any, a: Any) -> Any:
    return normal_density(h) * normal_density(a * h) / (1 + a * a)


owens_t: Elementwise = special_function(
    "owens_t", _owens_t_slope, _owens_t_slope_by_a, latex="T({0}, {1})",
    doc=described("""y = T(h, a) = 1/(2π) ∫ e^(-h²(1+t²)/2)/(1+t²) dt from 0 to a; ∂y/∂h = -½ φ(h) erf(a h/√2),
    ∂y/∂a = φ(h) φ(a h)/(1 + a²).""", "owens_t(bprop.asarray([0.0, 1.0]), 1.0)", "Array([0.125     , 0.06674188])"),
)  # fmt: skip


def wofz(z: Any) -> Array:
    """Raise: the Faddeeva function is complex, also of real numbers; `erfcx` and `dawsn` are its real and imaginary parts.

    w(iy) = erfcx(y) and Im w(x) = 2/√π dawsn(x), Re w(x) = e^(-x²) for real x and y.

    >>> import bprop
    >>> bprop.scipy.special.wofz(1.0)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    DTypeError: wofz is complex
    """
    raise DTypeError(
        "wofz is complex: write erfcx(y) for w(iy), exp(-x**2) and 2/√π · dawsn(x) for Re w(x) and Im w(x)"
    )


# --- Student's t ---
def _student_slope(y: Any, x: Any, df: Any) -> Any:
    return exponential(-0.5 * (df + 1) * log1p(x * x / df) - betaln(0.5, 0.5 * df)) / FUNCTIONS["sqrt"](df)


student_t: Elementwise = special_function(
    "student_t", _student_slope, NoDerivative("student_t", "df"), evaluate=lambda x, df: scipy_special().stdtr(df, x),
    domain=((-inf, inf), (0.0, inf)), latex="F_{{{1}}}({0})",
    examples=lambda draw: [((draw(2, 3), 2.5), {}), ((draw(3), 4), {}), ((draw(0, 3), 1.5), {})],
    doc="The distribution function of Student's t with df degrees of freedom; the derivative by x is its density, by df there is none.",
)  # fmt: skip
