"""Logarithms of the densities of the gamma, beta and Student distributions, also of large parameters, where the terms cancel.

Of these a sum like (a - 1) log x - x - log Γ(a) keeps no digits: it is of size a log a, the result of size log a.

**Source:** Loader (2000), Fast and accurate computation of binomial probabilities.
"""

from math import factorial, inf, pi
from typing import Any

import numpy as np

from ..core.family import Elementwise
from .entropy import deviance
from .exponential import log, log1p
from .gamma import POSITIVE, betaln, digamma_rise, polygamma_difference, stirling_error
from .selection import where
from .special import BERNOULLI, applied, digamma, gammaln, in_double, scipy_special, xlogy
from .special_function import entries, special_function

__all__: list[str] = []

UNIT = (0.0, 1.0)


# --- gamma ---
@in_double
def numpy_log_gamma_density(a: Any, x: Any) -> Any:
    big = np.maximum(a, 11.0) - 1
    large = -stirling_error(big) - deviance(big, x) - 0.5 * np.log(2 * pi * big)
    small = np.minimum(a, 11.0)
    return np.where(a < 11, applied(xlogy, small - 1, x) - x - applied(gammaln, small), large)


def _gamma_slope(y: Any, a: Any, x: Any) -> Any:
    """(a - 1)/x - 1; at x = 0, where a = 1 has the derivative -1, as two terms."""
    end = x == 0
    return where(end, xlogy_slope(a - 1, x) - 1, (a - 1 - x) / where(end, 1, x))


def xlogy_slope(factor: Any, x: Any) -> Any:
    """The derivative factor/x of xlogy: 0 where both are 0."""
    none = (factor == 0) & (x == 0)
    return where(none, 0, factor / where(none, 1, x))


log_gamma_density: Elementwise = Elementwise(
    "log_gamma_density", numpy_log_gamma_density, lambda y, a, x: log(x) - digamma(a), _gamma_slope,
    kind="float", native=numpy_log_gamma_density, complex_step=None, domain=(POSITIVE, POSITIVE), level=1,
    text="({0} - 1) * log({1}) - {1} - gammaln({0})", latex=r"({0} - 1) \log {1} - {1} - \log\Gamma({0})",
    examples=entries(POSITIVE, POSITIVE), doc="The logarithm of `gamma_density`, (a - 1) log x - x - log Γ(a).",
)  # fmt: skip


# --- beta ---
def numpy_log_beta_density(a: Any, b: Any, x: Any) -> Any:
    special = scipy_special()
    plain = special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - betaln.evaluate(a, b)
    large = (a >= 11) & (b >= 11) & (x >= 0) & (x <= 1)
    k, m, p = np.where(large, a - 1, 10.0), np.where(large, b - 1, 10.0), np.where(large, x, 0.5)
    n = k + m
    error = stirling_error(n) - stirling_error(k) - stirling_error(m) - deviance(k, n * p) - deviance(m, n * (1 - p))
    return np.where(large, error + 0.5 * (np.log(n / k) - np.log(2 * pi * m)) + np.log1p(n), plain)


log_beta_density: Elementwise = special_function(
    "log_beta_density", lambda y, a, b, x: log(x) + digamma_rise(a, b), lambda y, a, b, x: log1p(-x) + digamma_rise(b, a),
    lambda y, a, b, x: xlogy_slope(a - 1, x) - xlogy_slope(b - 1, 1 - x),
    evaluate=numpy_log_beta_density, domain=(POSITIVE, POSITIVE, UNIT), level=1,
    text="({0} - 1) * log({2}) + ({1} - 1) * log1p(-{2}) - betaln({0}, {1})",
    latex=r"({0} - 1) \log {2} + ({1} - 1) \log(1 - {2}) - \log \mathrm{{B}}({0}, {1})",
    doc="The logarithm of `beta_density`, (a - 1) log x + (b - 1) log(1 - x) - log B(a, b).",
)  # fmt: skip


# --- Student's t ---
_HALF_RISE = tuple((2.0 ** (1 - 2 * m) - 2) * b / (2 * m * (2 * m - 1)) for m, b in enumerate(BERNOULLI, start=1))


@in_double
def _log_gamma_half_rise(x: Any, n: int) -> Any:
    """From 10 on a series in odd powers of 1/x, of which every term is differentiated n times."""
    far = x >= 10
    w = 1 / np.where(far, x, 10.0)
    series: Any = 0.0
    for m in range(len(_HALF_RISE), 0, -1):
        series = series * w * w + _HALF_RISE[m - 1] * factorial(2 * m - 2 + n) / factorial(2 * m - 2)
    for _ in range(n + 1):
        series = series * w
    near = np.where(far, 10.0, x)
    if n == 0:
        direct = applied(gammaln, near + 0.5) - applied(gammaln, near) - 0.5 * np.log(near)
        return np.where(far, series, direct)
    power: Any = 1.0
    for _ in range(n):
        power = power / near
    sign = 1 if n % 2 else -1
    direct = applied(polygamma_difference, near, 0.5, n=n - 1) - sign * 0.5 * factorial(n - 1) * power
    return np.where(far, -sign * series, direct)


log_gamma_half_rise: Elementwise = Elementwise(
    "log_gamma_half_rise", _log_gamma_half_rise, lambda y, x, n: log_gamma_half_rise(x, n=n + 1),
    kind="float", native=_log_gamma_half_rise, complex_step=None, domain=POSITIVE, level=2,
    text="D**{n} (gammaln({0} + 1/2) - gammaln({0}) - log({0}) / 2)",
    latex=r"\left(\log\frac{{\Gamma({0} + 1/2)}}{{\Gamma({0}) \sqrt{{{0}}}}}\right)^{{({n})}}",
    examples=lambda draw: [(operands, {"n": n}) for operands, _ in entries(POSITIVE)(draw) for n in (0, 1, 2)],
    doc="The n-th derivative of log Γ(x + ½) - log Γ(x) - ½ log x, which is about -1/(8x): of the constant of Student's t.",
)  # fmt: skip


@in_double
def _log1p_quotient(x: Any, n: int) -> Any:
    """Near 0 the power series, else by x g⁽ⁿ⁾ + n g⁽ⁿ⁻¹⁾ = (-1)ⁿ⁻¹ (n - 1)!/(1 + x)ⁿ."""
    close = np.abs(x) < 0.25
    t, far = np.where(close, x, 0.0), np.where(close, 1.0, x)
    series: Any = 0.0
    for k in range(32 + n, n - 1, -1):
        series = series * t + (-1) ** k * factorial(k) / factorial(k - n) / (k + 1)
    y = np.log1p(far) / far
    power: Any = 1.0
    for m in range(1, n + 1):
        power = power / (1 + far)
        y = ((-1) ** (m - 1) * factorial(m - 1) * power - m * y) / far
    return np.where(close, series, np.where(x == inf, 0.0, y))


log1p_quotient: Elementwise = Elementwise(
    "log1p_quotient", _log1p_quotient, lambda y, x, n: log1p_quotient(x, n=n + 1),
    kind="float", native=_log1p_quotient, complex_step=None, domain=(-1.0, inf), level=2,
    text="D**{n} (log1p({0}) / {0})", latex=r"\left(\frac{{\log(1 + {0})}}{{{0}}}\right)^{{({n})}}",
    examples=lambda draw: [(operands, {"n": n}) for operands, _ in entries((-0.5, 4.0))(draw) for n in (0, 1, 2)],
    doc="The n-th derivative of log(1 + x)/x, 1 at 0: of the kernel of Student's t.",
)  # fmt: skip
