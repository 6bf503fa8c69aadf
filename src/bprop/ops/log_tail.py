"""Logarithms of the incomplete gamma and beta functions, also where these are too small for a number.

There they are the logarithm of the density, less that of the hazard: the density over the probability, a continued fraction
without cancellation. It is the derivative, too, and has one of its own. As of the functions, there is none by the parameters.

**Source:** Press et al. (2007), Numerical recipes, §6.2 and §6.4 (the fractions); Loader (2000) for the densities.
"""

from math import inf
from typing import Any

import numpy as np

from ..core.family import Elementwise, NoDerivative
from .incomplete_gamma import POSITIVE, UNIT, numpy_beta_density, numpy_gamma_density
from .log_density import numpy_log_beta_density, numpy_log_gamma_density
from .selection import within_domain
from .special import scipy_special
from .special_function import special_function

__all__: list[str] = []

SMALL = 1e-280
"""A probability from which on numbers lose digits, and SciPy's with them."""
LOW = 1e-15
"""A probability below which its fraction converges soon: its hazard has more digits than the density over it."""
_TERMS = 20_000
_TINY = 1e-300


def _where(small: Any, f: Any, *xs: Any) -> Any:
    """Return f of the entries that are small, and 1 elsewhere."""
    y = np.ones(small.shape)
    if small.any():
        y[small] = f(*(x[small] for x in xs))
    return y


def _lentz(first: Any, term: Any) -> Any:
    """Return b₀ + a₁/(b₁ + a₂/(b₂ + …)) with (aₖ, bₖ) = ``term(k)`` by Lentz's method, to the precision of a double."""
    y, c, d = first, first, np.zeros_like(first)
    for k in range(1, _TERMS):
        a, b = term(k)
        d = 1 / _not_zero(b + a * d)
        c = _not_zero(b + a / c)
        factor = c * d
        y = y * factor
        if not np.any(np.abs(factor - 1) > 1e-16):
            break
    return y


def _not_zero(x: Any) -> Any:
    return np.where(np.abs(x) < _TINY, _TINY, x)


# --- gamma: the hazards x^(a-1) e⁻ˣ/Γ(a) over P and over Q ---
def _gamma_lower_hazard(a: Any, x: Any) -> Any:
    """P = density · x/a · (1 + x/(a + 1) (1 + x/(a + 2) (…))): of x below a."""
    term, total = np.ones_like(x), np.ones_like(x)
    for k in range(1, _TERMS):
        term = term * (x / (a + k))
        total = total + term
        if not np.any(term > 1e-17 * total):
            break
    return a / (x * total)


def _gamma_upper_hazard(a: Any, x: Any) -> Any:
    """Q = density · x/(x + 1 - a - 1 (1 - a)/(x + 3 - a - …)): of x above a."""
    return _lentz(x + 1 - a, lambda k: (-k * (k - a), x + 2 * k + 1 - a)) / x


# --- beta: the hazards x^(a-1) (1-x)^(b-1)/B(a, b) over I and over 1 - I ---
def _beta_lower_hazard(a: Any, b: Any, x: Any, y: Any) -> Any:
    """I = density · x y / (a · fraction), of x below the mean; y = 1 - x."""

    def term(k: int) -> tuple[Any, Any]:
        m = k // 2
        if k % 2:
            return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), 1.0
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), 1.0

    return a * _lentz(np.ones_like(x), term) / (x * y)


# --- the ops ---
def _logarithm(tail: str, other: str, log_density: Any, hazard: Any) -> Any:
    """Return log of SciPy's function ``tail``, whose complement is ``other``."""

    def evaluate(*xs: Any) -> Any:
        xs = np.broadcast_arrays(*xs)
        p, q = getattr(scipy_special(), tail)(*xs), getattr(scipy_special(), other)(*xs)
        far = _where(p < SMALL, lambda *xs: log_density(*xs) - np.log(hazard(*xs)), *xs)
        far = np.where(p == p, np.where(far == far, far, -inf), np.nan)
        return np.where(p < SMALL, far, np.where(p < 0.5, np.log(p), np.log1p(-q)))

    return evaluate


def _hazard(tail: str, density: Any, hazard: Any) -> Any:
    def evaluate(*xs: Any) -> Any:
        xs = np.broadcast_arrays(*xs)
        p = getattr(scipy_special(), tail)(*xs)
        return np.where(p < LOW, _where(p < LOW, hazard, *xs), density(*xs) / p)

    return evaluate


def _of_gamma(name: str, partial: Any, evaluate: Any, doc: str) -> Elementwise:
    return special_function(
        name, NoDerivative(name, "a"), partial, evaluate=evaluate, domain=(POSITIVE, POSITIVE),
        examples=lambda draw: [((a, draw(*shape, domain=POSITIVE)), {}) for a, shape in ((0.5, (2, 3)), (3, (3,)), (2.5, (0, 3)))],
        doc=doc,
    )  # fmt: skip


def _of_beta(name: str, partial: Any, evaluate: Any, doc: str) -> Elementwise:
    return special_function(
        name, NoDerivative(name, "a"), NoDerivative(name, "b"), partial, evaluate=evaluate, domain=(POSITIVE, POSITIVE, UNIT),
        examples=lambda draw: [((a, b, draw(*shape, domain=UNIT)), {})
                               for a, b, shape in ((0.5, 2.5, (2, 3)), (3, 2, (3,)), (2.5, 0.5, (0, 3)))],
        doc=doc,
    )  # fmt: skip


def _gamma_upper_end(a: Any, x: Any) -> Any:
    return np.where(x == inf, 1.0, _gamma_upper_hazard(a, np.where(x == inf, a + 1, x)))


def _beta_lower(a: Any, b: Any, x: Any) -> Any:
    return _beta_lower_hazard(a, b, x, 1 - x)


def _beta_upper(a: Any, b: Any, x: Any) -> Any:
    return _beta_lower_hazard(b, a, 1 - x, x)


gamma_lower_hazard = _of_gamma(
    "gamma_lower_hazard", lambda y, a, x: y * ((a - 1) / x - 1 - y), _hazard("gammainc", numpy_gamma_density, _gamma_lower_hazard),
    "x^(a-1) e⁻ˣ/Γ(a)/P(a, x), the derivative of log P.",
)  # fmt: skip
gamma_upper_hazard = _of_gamma(
    "gamma_upper_hazard", lambda y, a, x: y * ((a - 1) / x - 1 + y), _hazard("gammaincc", numpy_gamma_density, _gamma_upper_end),
    "x^(a-1) e⁻ˣ/Γ(a)/Q(a, x), the derivative of -log Q.",
)  # fmt: skip
beta_lower_hazard = _of_beta(
    "beta_lower_hazard", lambda y, a, b, x: y * ((a - 1) / x - (b - 1) / (1 - x) - y), _hazard("betainc", numpy_beta_density, _beta_lower),
    "x^(a-1) (1-x)^(b-1)/B(a, b)/I(x; a, b), the derivative of log I.",
)  # fmt: skip
beta_upper_hazard = _of_beta(
    "beta_upper_hazard", lambda y, a, b, x: y * ((a - 1) / x - (b - 1) / (1 - x) + y), _hazard("betaincc", numpy_beta_density, _beta_upper),
    "x^(a-1) (1-x)^(b-1)/B(a, b)/(1 - I(x; a, b)), the derivative of -log(1 - I).",
)  # fmt: skip

log_gammainc = _of_gamma(
    "log_gammainc", lambda y, a, x: gamma_lower_hazard(a, within_domain(x, low=0)),
    _logarithm("gammainc", "gammaincc", numpy_log_gamma_density, _gamma_lower_hazard),
    "log P(a, x), of the regularised lower incomplete gamma function.",
)  # fmt: skip
log_gammaincc = _of_gamma(
    "log_gammaincc", lambda y, a, x: -gamma_upper_hazard(a, within_domain(x, low=0)),
    _logarithm("gammaincc", "gammainc", numpy_log_gamma_density, _gamma_upper_hazard),
    "log Q(a, x), of the regularised upper incomplete gamma function.",
)  # fmt: skip
log_betainc = _of_beta(
    "log_betainc", lambda y, a, b, x: beta_lower_hazard(a, b, within_domain(x, 0, 1)),
    _logarithm("betainc", "betaincc", numpy_log_beta_density, _beta_lower),
    "log I(x; a, b), of the regularised incomplete beta function.",
)  # fmt: skip
log_betaincc = _of_beta(
    "log_betaincc", lambda y, a, b, x: -beta_upper_hazard(a, b, within_domain(x, 0, 1)),
    _logarithm("betaincc", "betainc", numpy_log_beta_density, _beta_upper),
    "log(1 - I(x; a, b)), of the complement of the regularised incomplete beta function.",
)  # fmt: skip
