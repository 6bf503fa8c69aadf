"""Incomplete gamma and beta functions and their inverses, with derivatives by the argument, and the densities behind them.

The densities are differentiable in all that they take. The incomplete functions have no derivative by their parameters: there
is no formula for it that keeps the accuracy.
"""

from math import inf, pi
from typing import Any

import numpy as np

from ..core.family import Elementwise, NoDerivative
from .entropy import deviance, log_ratio
from .exponential import log1p
from .gamma import digamma_rise, stirling_error
from .selection import where, within_domain
from .special import digamma, in_double, scipy_special
from .special_function import described, special_function

__all__: list[str] = []

POSITIVE, UNIT = (0.0, inf), (0.0, 1.0)


@in_double
def numpy_gamma_density(a: Any, x: Any) -> Any:
    """Return `gamma_density` of NumPy arrays: for a up to 10 the product of its factors, beyond Loader's e^(-deviance - Stirling's error)/√(2πa)."""
    small = np.minimum(a, 11.0)
    bounded = np.minimum(x, 1e15)
    product = bounded ** (small - 1) * np.exp(-bounded) / scipy_special().gamma(small)
    big = np.maximum(a, 11.0) - 1
    exponent = -stirling_error(big) - deviance(big, np.maximum(x, 0.0))
    y = np.where(a < 11, product, np.exp(exponent) / np.sqrt(2 * pi * big))
    return np.where(x < 0, 0.0, np.where(x == inf, 0.0, np.where((a > 0) & (x == x), y, np.nan)))


def _density_slope(y: Any, a: Any, x: Any) -> Any:
    """y ((a - 1)/x - 1), which is the density of a - 1 less y: at x = 0 that has a value (and derivatives) for a from 1 on."""
    end, over = (x == 0) & (a >= 1), a > 1
    lower = where(over, gamma_density(where(end & over, a - 1, 1), where(end, x, 1)), 0)
    inner = where((y == 0) | end, 0, y * ((a - 1) / where((y == 0) | end, 1, x) - 1))
    return where(end, lower - y, inner)


gamma_density: Elementwise = Elementwise(
    "gamma_density", numpy_gamma_density,
    lambda y, a, x: where(y == 0, 0, y * (log_ratio(where(y == 0, 1, x), 1.0) - digamma(a))), _density_slope,
    kind="float", native="callback", complex_step=None, domain=(POSITIVE, POSITIVE),
    text="{1} ** ({0} - 1) * exp(-{1}) / gamma({0})", latex=r"\frac{{{1}^{{{0} - 1}} e^{{-{1}}}}}{{\Gamma({0})}}", level=2,
    examples=lambda draw: [((draw(2, 3, domain=POSITIVE), draw(3, domain=POSITIVE)), {}), ((12.5, draw(2, domain=POSITIVE)), {}),
                           ((draw(0, domain=POSITIVE), draw(0, domain=POSITIVE)), {})],
    doc="x^(a-1) e⁻ˣ/Γ(a), the density of the gamma distribution and the derivative of `gammainc`, 0 for negative x.",
)  # fmt: skip


def _of_second(name: str, partial: Any, domain: Any, latex: str, formula: str, call: str, result: str) -> Elementwise:
    """Declare a function of a and x, with a derivative by x alone."""
    return special_function(
        name, NoDerivative(name, "a"), partial, domain=(POSITIVE, domain), latex=latex,
        examples=lambda draw: [((a, draw(*shape, domain=domain)), {}) for a, shape in ((0.5, (2, 3)), (3, (3,)), (2.5, (0, 3)))],
        doc=described(formula, call, result),
    )  # fmt: skip


gammainc = _of_second(
    "gammainc", lambda y, a, x: gamma_density(a, within_domain(x, low=0)), POSITIVE, "P({0}, {1})",
    "y = P(a, x) = ∫ t^(a-1) e⁻ᵗ dt / Γ(a) from 0 to x; ∂y/∂x = x^(a-1) e⁻ˣ/Γ(a), none by a.",
    "gammainc(2.0, bprop.asarray([0.0, 1.0]))", "Array([0.        , 0.26424112])",
)  # fmt: skip
gammaincc = _of_second(
    "gammaincc", lambda y, a, x: -gamma_density(a, within_domain(x, low=0)), POSITIVE, "Q({0}, {1})",
    "y = Q(a, x) = 1 - P(a, x), exact where it is small; ∂y/∂x = -x^(a-1) e⁻ˣ/Γ(a), none by a.",
    "gammaincc(2.0, bprop.asarray([0.0, 1.0]))", "Array([1.        , 0.73575888])",
)  # fmt: skip
gammaincinv = _of_second(
    "gammaincinv", lambda y, a, x: 1 / gamma_density(a, y), UNIT, "P^{{-1}}({0}, {1})",
    "x with P(a, x) = y; ∂x/∂y = Γ(a) eˣ x^(1-a), none by a.",
    "gammaincinv(2.0, bprop.asarray([0.0, 0.5]))", "Array([0.        , 1.67834699])",
)  # fmt: skip
gammainccinv = _of_second(
    "gammainccinv", lambda y, a, x: -1 / gamma_density(a, y), UNIT, "Q^{{-1}}({0}, {1})",
    "x with Q(a, x) = y; ∂x/∂y = -Γ(a) eˣ x^(1-a), none by a.",
    "gammainccinv(2.0, bprop.asarray([0.5, 1.0]))", "Array([1.67834699, 0.        ])",
)  # fmt: skip


# --- beta ---
@in_double
def numpy_beta_density(a: Any, b: Any, x: Any) -> Any:
    """Return `beta_density` of NumPy arrays: the product of its factors; of large parameters, where one of them may overflow, its logarithm."""
    special = scipy_special()
    inside = np.where((x >= 0) & (x <= 1), x, 0.5)
    small = np.maximum(a, b) < 20
    product = inside ** (a - 1) * np.exp(special.xlog1py(b - 1, -inside)) / special.beta(a, b)
    exponent = special.xlogy(a - 1, inside) + special.xlog1py(b - 1, -inside) - special.betaln(a, b)
    y = np.where(small, product, np.exp(exponent))
    return np.where((x < 0) | (x > 1), 0.0, np.where((a > 0) & (b > 0) & (x == x), y, np.nan))


def _beta_end(a: Any, b: Any, x: Any, y: Any) -> Any:
    """(a - 1) y/x at x = 0: of the density of a - 1 and b, with its derivatives."""
    over = a > 1
    lower = (a + b - 1) * beta_density(where(over, a - 1, 1), b, x)
    return where(over, lower, where(a == 1, 0, -y))


def _beta_slope(y: Any, a: Any, b: Any, x: Any) -> Any:
    """y ((a - 1)/x - (b - 1)/(1 - x)): at either end one of the terms is another density."""
    left, right = x == 0, x == 1
    end = left | right
    t = where(end, 0.5, x)
    # at 1 the parameters change places, as x and 1 - x do
    lower = _beta_end(where(right, b, a), where(right, a, b), where(right, 1 - x, where(left, x, 0)), where(end, y, 1))
    finite = where(end & (y < inf), y, 0)
    at_left, at_right = lower - (b - 1) * finite / where(left, 1 - x, 1), (a - 1) * finite / where(right, x, 1) - lower
    inner = where((x < 0) | (x > 1), 0, y * ((a - 1) / t - (b - 1) / (1 - t)))
    return where(left, at_left, where(right, at_right, where(end, 0, inner)))


beta_density: Elementwise = Elementwise(
    "beta_density", numpy_beta_density,
    lambda y, a, b, x: where(y == 0, 0, y * (log_ratio(where(y == 0, 1, x), 1.0) + digamma_rise(a, b))),
    lambda y, a, b, x: where(y == 0, 0, y * (log1p(-where(y == 0, 0, x)) + digamma_rise(b, a))), _beta_slope,
    kind="float", native="callback", complex_step=None, domain=(POSITIVE, POSITIVE, UNIT),
    text="{2} ** ({0} - 1) * (1 - {2}) ** ({1} - 1) / beta({0}, {1})", level=2,
    latex=r"\frac{{{2}^{{{0} - 1}} (1 - {2})^{{{1} - 1}}}}{{\mathrm{{B}}({0}, {1})}}",
    examples=lambda draw: [((draw(2, 3, domain=POSITIVE), draw(3, domain=POSITIVE), draw(2, 1, domain=UNIT)), {}),
                           ((2, 25.5, draw(3, domain=UNIT)), {}), ((0.5, 2.5, draw(0, 3, domain=UNIT)), {})],
    doc="x^(a-1) (1-x)^(b-1)/B(a, b), the density of the beta distribution and the derivative of `betainc`, 0 outside of [0, 1].",
)  # fmt: skip


def _incomplete_beta(name: str, partial: Any, formula: str, latex: str, call: str, result: str) -> Elementwise:
    return special_function(
        name, NoDerivative(name, "a"), NoDerivative(name, "b"), partial, domain=(POSITIVE, POSITIVE, UNIT), latex=latex,
        examples=lambda draw: [((a, b, draw(*shape, domain=UNIT)), {})
                               for a, b, shape in ((0.5, 2.5, (2, 3)), (3, 2, (3,)), (2.5, 0.5, (0, 3)))],
        doc=described(formula, call, result),
    )  # fmt: skip


betainc = _incomplete_beta(
    "betainc", lambda y, a, b, x: beta_density(a, b, within_domain(x, 0, 1)),
    "y = I(x; a, b) = ∫ t^(a-1) (1-t)^(b-1) dt / B(a, b) from 0 to x; ∂y/∂x = x^(a-1) (1-x)^(b-1)/B(a, b), none by a and b.",
    "I_{{{2}}}({0}, {1})", "betainc(2.0, 3.0, bprop.asarray([0.0, 0.5]))", "Array([0.    , 0.6875])",
)  # fmt: skip
betaincc = _incomplete_beta(
    "betaincc", lambda y, a, b, x: -beta_density(a, b, within_domain(x, 0, 1)),
    "y = 1 - I(x; a, b), exact where it is small; ∂y/∂x = -x^(a-1) (1-x)^(b-1)/B(a, b), none by a and b.",
    "1 - I_{{{2}}}({0}, {1})", "betaincc(2.0, 3.0, bprop.asarray([0.0, 0.5]))", "Array([1.    , 0.3125])",
)  # fmt: skip
betaincinv = _incomplete_beta(
    "betaincinv", lambda x, a, b, y: 1 / beta_density(a, b, x),
    "x with I(x; a, b) = y; ∂x/∂y = B(a, b) x^(1-a) (1-x)^(1-b), none by a and b.",
    "I^{{-1}}_{{{2}}}({0}, {1})", "betaincinv(2.0, 3.0, bprop.asarray([0.0, 0.6875]))", "Array([0. , 0.5])",
)  # fmt: skip
betainccinv = _incomplete_beta(
    "betainccinv", lambda x, a, b, y: -1 / beta_density(a, b, x),
    "x with 1 - I(x; a, b) = y; ∂x/∂y = -B(a, b) x^(1-a) (1-x)^(1-b), none by a and b.",
    "I^{{-1}}_{{1-{2}}}({0}, {1})", "betainccinv(2.0, 3.0, bprop.asarray([0.3125, 1.0]))", "Array([0.5, 0. ])",
)  # fmt: skip
