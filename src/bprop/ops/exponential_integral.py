"""Integrals of eˣ/x, sin x/x, cos x/x and their kin; (eˣ - 1)/x; Spence's and Lambert's functions."""

from math import e, exp, factorial, inf
from typing import Any

import numpy as np

from ..core.error import ArgumentError
from ..core.family import Elementwise, NoDerivative
from ..core.function import FUNCTIONS
from ..core.op import array
from ..core.value import Array
from .bessel import spherical_in_op, spherical_jn_op
from .exponential import exp as exponential
from .selection import where, within_domain
from .special import in_double, scipy_special
from .special_function import described, of_whole_order, special_function, with_orders
from .trigonometric import cos

__all__: list[str] = []

POSITIVE = (0.0, inf)


# --- exponential integrals ---
expi: Elementwise = special_function(
    "expi", lambda y, x: exponential(x) / x, domain=POSITIVE, latex=r"\operatorname{{Ei}}({0})",
    doc=described("y = Ei(x) = ∫ eᵗ/t dt from -∞ to x (the principal value); ∂y/∂x = eˣ/x.", "expi(bprop.asarray([-1.0, 1.0]))",
                  "Array([-0.21938393,  1.89511782])"),
)  # fmt: skip

exp1: Elementwise = special_function(
    "exp1", lambda y, x: -exponential(-x) / within_domain(x, low=0), domain=POSITIVE, latex="E_1({0})",
    doc=described("y = E₁(x) = ∫ e⁻ᵗ/t dt from x to ∞; ∂y/∂x = -e⁻ˣ/x. NaN for negative x.", "exp1(bprop.asarray([1.0, 2.0]))",
                  "Array([0.21938393, 0.04890051])"),
)  # fmt: skip


def _expn_slope(y: Any, n: Any, x: Any) -> Any:
    """-Eₙ₋₁(x), where E₀(x) = e⁻ˣ/x and E₋₁(x) = e⁻ˣ (1 + x)/x²."""
    decay = exponential(-x) / within_domain(x, low=0)
    return -where(n > 1, expn(where(n > 1, n - 1, 1), x), where(n == 1, decay, decay * (1 + 1 / x)))


expn: Elementwise = special_function(
    "expn", NoDerivative("expn", "n"), _expn_slope, evaluate=of_whole_order(lambda n, x: scipy_special().expn(n, x)),
    domain=((1.0, inf), POSITIVE), examples=with_orders(1, 3, domain=POSITIVE), latex="E_{{{0}}}({1})",
    doc=described("y = Eₙ(x) = ∫ e^(-xt)/tⁿ dt from 1 to ∞; ∂y/∂x = -Eₙ₋₁(x), none by n.", "expn(2, bprop.asarray([0.0, 1.0]))",
                  "Array([1.        , 0.14849551])"),
)  # fmt: skip


# --- sine and cosine integrals ---
def _integral(name: str, ufunc: str, output: int, partial: Any, latex: str, formula: str, **rest: Any) -> Elementwise:
    return special_function(
        name, partial, evaluate=lambda x: getattr(scipy_special(), ufunc)(x)[output], latex=latex,
        doc=f"{formula}: one of the two results of `bprop.scipy.special.{ufunc}`.", **rest,
    )  # fmt: skip


sine_integral = _integral(
    "sine_integral", "sici", 0, lambda y, x: spherical_jn_op(0, x), r"\operatorname{{Si}}({0})",
    "y = Si(x); ∂y/∂x = sin x / x",
)  # fmt: skip
cosine_integral = _integral(
    "cosine_integral", "sici", 1, lambda y, x: cos(x) / within_domain(x, low=0), r"\operatorname{{Ci}}({0})",
    "y = Ci(x); ∂y/∂x = cos x / x", domain=POSITIVE,
)  # fmt: skip
sinh_integral = _integral(
    "sinh_integral", "shichi", 0, lambda y, x: spherical_in_op(0, x), r"\operatorname{{Shi}}({0})",
    "y = Shi(x); ∂y/∂x = sinh x / x",
)  # fmt: skip
cosh_integral = _integral(
    "cosh_integral", "shichi", 1, lambda y, x: FUNCTIONS["cosh"](x) / within_domain(x, low=0), r"\operatorname{{Chi}}({0})",
    "y = Chi(x); ∂y/∂x = cosh x / x", domain=POSITIVE,
)  # fmt: skip


def sici(x: Any, /) -> tuple[Array, Array]:
    """Return Si(x) = ∫ sin t/t dt from 0 to x and Ci(x) = γ + log x + ∫ (cos t - 1)/t dt; ∂y/∂x = sin x/x and cos x/x.

    **Source:** SciPy, ``scipy.special.sici``.

    >>> import bprop
    >>> bprop.scipy.special.sici(bprop.asarray(1.0))
    (Array(0.94608307), Array(0.33740392))
    """
    x = array("sici", x)
    return sine_integral(x), cosine_integral(x)


def shichi(x: Any, /) -> tuple[Array, Array]:
    """Return Shi(x) = ∫ sinh t/t dt from 0 to x and Chi(x) = γ + log x + ∫ (cosh t - 1)/t dt; ∂y/∂x = sinh x/x and cosh x/x.

    **Source:** SciPy, ``scipy.special.shichi``.

    >>> import bprop
    >>> bprop.scipy.special.shichi(bprop.asarray(1.0))
    (Array(1.05725088), Array(0.83786694))
    """
    x = array("shichi", x)
    return sinh_integral(x), cosh_integral(x)


# --- (eˣ - 1)/x and its derivatives ---
@in_double
def _exponential_moment(x: Any, n: int) -> Any:
    """Near 0 the series, else by yₙ = (eˣ - n yₙ₋₁)/x from y₀ = (eˣ - 1)/x."""
    near = np.minimum(np.maximum(x, -2.0), 2.0)
    series: Any = 0.0
    for k in range(30, -1, -1):
        series = series * near + 1 / (factorial(k) * (n + k + 1))
    far = np.where(np.abs(x) < 2, 2.0, x)
    y = np.where(far == inf, inf, np.expm1(far) / far)
    top = np.exp(far)
    for k in range(1, n + 1):
        y = np.where(far == inf, inf, np.where(far > 709, top / far, (top - k * y) / far))
    return np.where(np.abs(x) < 2, series, y)


exponential_moment: Elementwise = Elementwise(
    "exponential_moment", _exponential_moment, lambda y, x, n: exponential_moment(x, n=n + 1),
    kind="float", native="callback", complex_step=None,
    text="exponential_moment({0}, {n})", latex=r"\int_0^1 t^{{{n}}} e^{{t {0}}} dt",
    examples=lambda draw: [((draw(*shape),), {"n": n}) for shape in ((), (2, 3), (0, 3)) for n in (0, 1)],
    doc="∫ tⁿ e^(xt) dt from 0 to 1, the n-th derivative of `exprel`: near 0 not a difference of nearly equal numbers.",
)  # fmt: skip


def exprel(x: Any, /) -> Array:
    """y = (eˣ - 1)/x, 1 at 0; ∂y/∂x = (eˣ - y)/x = ∫ t e^(xt) dt from 0 to 1, computed without cancellation.

    **Source:** SciPy, ``scipy.special.exprel``.

    >>> import bprop
    >>> bprop.scipy.special.exprel(bprop.asarray([0.0, 1.0]))
    Array([1.        , 1.71828183])
    """
    y: Array = exponential_moment(array("exprel", x), n=0)
    return y


# --- Spence's function ---
@in_double
def _log_quotient(x: Any, n: int) -> Any:
    """The n-th derivative of log x/(1 - x): near 1 its series, else the rule of Leibniz."""
    t = np.where(np.abs(x - 1) < 0.25, x - 1, 0.0)
    series: Any = 0.0
    for k in range(40, n - 1, -1):
        series = series * t + (-1) ** (k + 1) / (k + 1) * (factorial(k) / factorial(k - n))
    far = np.where(np.abs(x - 1) < 0.25, 2.0, x)
    y: Any = np.log(far) / (1 - far)
    for k in range(1, n + 1):
        y = ((-1) ** (k - 1) * factorial(k - 1) / far**k + k * y) / (1 - far)
    return np.where(np.abs(x - 1) < 0.25, series, y)


log_quotient: Elementwise = Elementwise(
    "log_quotient", _log_quotient, lambda y, x, n: log_quotient(x, n=n + 1),
    kind="float", native="callback", complex_step=None, domain=POSITIVE,
    text="log_quotient({0}, {n})", latex=r"\frac{{d^{n}}}{{dx^{n}}} \frac{{\log {0}}}{{1 - {0}}}",
    examples=lambda draw: [((draw(*shape, domain=POSITIVE),), {"n": n}) for shape in ((), (2, 3), (0, 3)) for n in (0, 1)],
    doc="log x/(1 - x), -1 at 1, and its n-th derivative: the derivative of `spence`.",
)  # fmt: skip

spence: Elementwise = special_function(
    "spence", lambda y, x: log_quotient(x, n=0), domain=POSITIVE, latex=r"\operatorname{{Li}}_2(1 - {0})",
    doc=described("y = ∫ log t/(1 - t) dt from 1 to x, the dilogarithm of 1 - x; ∂y/∂x = log x/(1 - x), -1 at 1.",
                  "spence(bprop.asarray([0.0, 1.0, 2.0]))", "Array([ 1.64493407,  0.        , -0.82246703])"),
)  # fmt: skip


# --- Lambert's W ---
def _lambertw(x: Any, k: int) -> Any:
    w = scipy_special().lambertw(x, k)
    return np.where((x >= -exp(-1.0)) & ((x < 0) | (k == 0)), w.real, np.nan)


lambertw_op: Elementwise = Elementwise(
    "lambertw", in_double(_lambertw), lambda y, x, k: exponential(-y) / (1 + y),
    kind="float", native="callback", complex_step=None, domain=(-1 / e, inf),
    text="lambertw({0}, {k})", latex="W_{{{k}}}({0})",
    examples=lambda draw: [((draw(2, 3, domain=POSITIVE),), {"k": 0}), ((draw(3, domain=(-1 / e, 0)),), {"k": -1}),
                           ((draw(0, 3),), {"k": 0})],
    doc="The w with w eʷ = x on a real branch: the op behind `bprop.scipy.special.lambertw`.",
)  # fmt: skip


def lambertw(z: Any, k: int = 0) -> Array:
    """Return the real w with w eʷ = z: on the branch k = 0 w ≥ -1, on k = -1 w ≤ -1; ∂w/∂z = e⁻ʷ/(1 + w).

    SciPy's result is complex; this one is NaN where w is not real, which is for z < -1/e, and for z ≥ 0 on the branch -1.
    Raises `ArgumentError` for another branch.

    **Source:** Corless et al. (1996), On the Lambert W function; SciPy, ``scipy.special.lambertw``.

    >>> import bprop
    >>> bprop.scipy.special.lambertw(bprop.asarray([0.0, 1.0]))
    Array([0.        , 0.56714329])
    """
    if k not in (0, -1):
        raise ArgumentError(f"lambertw: only the branches 0 and -1 have real values, not {k!r}")
    y: Array = lambertw_op(array("lambertw", z), k=int(k))
    return y
