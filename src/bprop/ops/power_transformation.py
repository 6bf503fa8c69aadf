"""Box and Cox's power transformations and their inverses; cosm1, exp10, radian."""

from math import inf, pi
from typing import Any

from ..core.family import Elementwise
from ..core.op import array
from ..core.value import Array
from .exponential import log, log1p
from .exponential_integral import exponential_moment
from .power import pow
from .selection import where
from .special_function import described, special_function, together
from .trigonometric import sin

__all__: list[str] = []

POSITIVE = (0.0, inf)


def _by_exponent(logarithm: Any, lmbda: Any) -> Any:
    """L² ∫ t e^(λLt) dt with L = log x: (x^λ (λL - 1) + 1)/λ², without cancellation for small λ; 1/λ² at x = 0."""
    zero = logarithm == -inf
    y = where(zero, 0, logarithm)
    return where(zero & (lmbda > 0), 1 / (where(zero, lmbda, 1) ** 2), y * y * exponential_moment(lmbda * y, n=1))


boxcox: Elementwise = special_function(
    "boxcox", lambda y, x, lmbda: pow(x, lmbda - 1), lambda y, x, lmbda: _by_exponent(log(x), lmbda),
    domain=(POSITIVE, (-inf, inf)), latex=r"\frac{{{0}^{{{1}}} - 1}}{{{1}}}",
    doc=described("y = (x^λ - 1)/λ, log x for λ = 0; ∂y/∂x = x^(λ-1), ∂y/∂λ = (x^λ (λ log x - 1) + 1)/λ².",
                  "boxcox(bprop.asarray([1.0, 2.0]), 0.5)", "Array([0.        , 0.82842712])"),
)  # fmt: skip

boxcox1p: Elementwise = special_function(
    "boxcox1p", lambda y, x, lmbda: pow(1 + x, lmbda - 1), lambda y, x, lmbda: _by_exponent(log1p(x), lmbda),
    domain=((-1.0, inf), (-inf, inf)), latex=r"\frac{{(1 + {0})^{{{1}}} - 1}}{{{1}}}",
    doc=described("y = ((1+x)^λ - 1)/λ, log(1+x) for λ = 0, exact for small x; ∂y/∂x = (1+x)^(λ-1), ∂y/∂λ as of `boxcox`.",
                  "boxcox1p(bprop.asarray([0.0, 1.0]), 0.5)", "Array([0.        , 0.82842712])"),
)  # fmt: skip


def _log1p_quotient(u: Any) -> Any:
    """1/(u (1+u)) - log(1+u)/u², near 0 as a series: Σ (-1)ᵏ⁺¹ (k+1)/(k+2) uᵏ."""
    near = abs(u) < 0.1
    t, series = where(near, u, 0), 0.0
    for k in range(16, -1, -1):
        series = series * t + (-1) ** (k + 1) * (k + 1) / (k + 2)
    far = where(near, 1, u)
    return where(near, series, 1 / (far * (1 + far)) - log1p(far) / (far * far))


inv_boxcox: Elementwise = special_function(
    "inv_boxcox", lambda x, y, lmbda: x / (1 + lmbda * y), lambda x, y, lmbda: x * (y * y) * _log1p_quotient(lmbda * y),
    domain=(POSITIVE, POSITIVE), latex=r"(1 + {1} {0})^{{1/{1}}}",
    doc=described("x = (1 + λy)^(1/λ), e^y for λ = 0; ∂x/∂y = x/(1 + λy), ∂x/∂λ = x (y/(λ (1 + λy)) - log(1 + λy)/λ²).",
                  "inv_boxcox(bprop.asarray([0.0, 1.0]), 0.5)", "Array([1.  , 2.25])"),
)  # fmt: skip


inv_boxcox1p: Elementwise = special_function(
    "inv_boxcox1p", lambda x, y, lmbda: inv_boxcox(y, lmbda) / (1 + lmbda * y),
    lambda x, y, lmbda: inv_boxcox(y, lmbda) * (y * y) * _log1p_quotient(lmbda * y),
    domain=(POSITIVE, POSITIVE), latex=r"(1 + {1} {0})^{{1/{1}}} - 1",
    doc=described("x = (1 + λy)^(1/λ) - 1, e^y - 1 for λ = 0, exact for small y; the derivatives are those of `inv_boxcox`.",
                  "inv_boxcox1p(bprop.asarray([0.0, 1.0]), 0.5)", "Array([0.  , 1.25])"),
)  # fmt: skip


def cosm1(x: Any, /) -> Array:
    """y = cos x - 1 = -2 sin²(x/2), exact for small x; ∂y/∂x = -sin x.

    **Source:** SciPy, ``scipy.special.cosm1``.

    >>> import bprop
    >>> bprop.scipy.special.cosm1(bprop.asarray([0.0, 1e-8]))
    Array([-0.e+00, -5.e-17])
    """
    half = sin(0.5 * array("cosm1", x))
    return -2 * half * half


def exp10(x: Any, /) -> Array:
    """y = 10ˣ; ∂y/∂x = y log 10.

    **Source:** SciPy, ``scipy.special.exp10``.

    >>> import bprop
    >>> bprop.scipy.special.exp10(bprop.asarray([0.0, 2.0]))
    Array([  1., 100.])
    """
    x = array("exp10", x)
    return pow(10.0, x)


def radian(d: Any, m: Any, s: Any, /) -> Array:
    """Return the angle of d degrees, m minutes and s seconds in radians.

    **Source:** SciPy, ``scipy.special.radian``.

    >>> import bprop
    >>> bprop.scipy.special.radian(180.0, 0.0, 0.0)
    Array(3.14159265)
    """
    d, m, s = together("radian", d, m, s)
    return (d + m / 60 + s / 3600) * (pi / 180)
