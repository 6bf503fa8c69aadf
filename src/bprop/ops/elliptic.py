"""Complete elliptic integrals of the first and second kind, as functions of the parameter m = k².

Their derivatives are Carlson's R_D, a sum of positive terms, and the second derivatives follow from Legendre's equation.
"""

from math import factorial, inf, pi
from typing import Any

from ..core.family import Elementwise
from .selection import where
from .special import horner, scipy_special
from .special_function import described, special_function

__all__: list[str] = []

_BELOW_ONE = (-inf, 1.0)
_SQUARES = [(factorial(2 * k) / (4**k * factorial(k) ** 2)) ** 2 for k in range(20)]
_FIRST = tuple(pi / 2 * c * k * (k - 1) for k, c in enumerate(_SQUARES))[2:]
"""K''(m) as a power series."""
_SECOND = tuple(pi / 2 * c * k * (k - 1) / (1 - 2 * k) for k, c in enumerate(_SQUARES))[2:]
"""E''(m) as a power series."""


def _by_equation(m: Any, series: tuple[float, ...], formula: Any) -> Any:
    """Return a second derivative: near m = 0, where the equation divides by m, its series."""
    near = abs(m) < 0.05
    return where(near, horner(where(near, m, 0), series), formula(where(near, 0.5, m)))


def _first_curvature(m: Any, p: Any) -> Any:
    """K''(m) = (K/4 - (1 - 2m) K')/(m (1 - m)), with p = 1 - m."""
    near = abs(m) < 0.05
    q = where(near, 0.5, p)

    def formula(m: Any) -> Any:
        return (0.25 * ellipkm1(q) + (1 - 2 * m) * ellipkm1_slope(q)) / (m * q)

    return _by_equation(m, _FIRST, formula)


def _second_curvature(m: Any) -> Any:
    """E''(m) = -((1 - m) E' + E/4)/(m (1 - m))."""
    return _by_equation(m, _SECOND, lambda m: -((1 - m) * ellipe_slope(m) + 0.25 * ellipe(m)) / (m * (1 - m)))


ellipkm1_slope: Elementwise = special_function(
    "ellipkm1_slope", lambda y, x: _first_curvature(1 - x, x), evaluate=lambda x: -scipy_special().elliprd(0.0, 1.0, x) / 6,
    domain=(0.0, inf), latex="K'(1 - {0})", doc="The derivative of `ellipkm1`, -R_D(0, 1, x)/6.",
)  # fmt: skip

ellipkm1: Elementwise = special_function(
    "ellipkm1", lambda y, x: ellipkm1_slope(x), domain=(0.0, inf), latex="K(1 - {0})",
    doc=described("y = K(1 - x), also for small x; ∂y/∂x = -R_D(0, 1, x)/6.", "ellipkm1(bprop.asarray([1e-30, 1.0]))",
                  "Array([35.92507076,  1.57079633])"),
)  # fmt: skip

ellipk: Elementwise = special_function(
    "ellipk", lambda y, x: -ellipkm1_slope(1 - x), domain=_BELOW_ONE, latex="K({0})",
    doc=described("y = K(m) = ∫ dθ/√(1 - m sin²θ) from 0 to π/2; ∂y/∂m = (E - (1-m) K)/(2m (1-m)) = R_D(0, 1, 1 - m)/6.",
                  "ellipk(bprop.asarray([0.0, 0.5]))", "Array([1.57079633, 1.85407468])"),
)  # fmt: skip

ellipe_slope: Elementwise = special_function(
    "ellipe_slope", lambda y, x: _second_curvature(x), evaluate=lambda x: -scipy_special().elliprd(0.0, 1 - x, 1.0) / 6,
    domain=_BELOW_ONE, latex="E'({0})", doc="The derivative of `ellipe`, -R_D(0, 1 - m, 1)/6.",
)  # fmt: skip

ellipe: Elementwise = special_function(
    "ellipe", lambda y, x: ellipe_slope(x), domain=_BELOW_ONE, latex="E({0})",
    doc=described("y = E(m) = ∫ √(1 - m sin²θ) dθ from 0 to π/2; ∂y/∂m = (E - K)/(2m) = -R_D(0, 1 - m, 1)/6.",
                  "ellipe(bprop.asarray([0.0, 0.5]))", "Array([1.57079633, 1.35064388])"),
)  # fmt: skip
