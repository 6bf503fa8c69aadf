"""Trigonometric and hyperbolic functions and their inverses. The derivatives keep their accuracy where 1 - x² cancels."""

from math import inf, pi
from typing import Any

import numpy as np

from ..core.family import Elementwise
from ..core.function import publish
from .arithmetic import abs
from .complex import imag, real
from .power import cosine, hypot, sqrt, square
from .rounding import signbit
from .selection import clip, where, within_domain
from .sigmoidal import complex_sech_squared
from .special import applied, in_double

__all__ = ["acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "sin", "sinh", "tan"]


def _angle(
    name: str,
    partial: Any,
    formula: str,
    example: str,
    latex: str = "",
    domain: tuple[float, float] = (-inf, inf),
    evaluate: Any = None,
) -> Elementwise:
    return Elementwise(
        name,
        evaluate or getattr(np, name),
        partial,
        complex_step=getattr(np, name),
        kind="float",
        takes_complex=True,
        domain=domain,
        latex=(latex or f"\\{name}") + "({0})",
        doc=f"""{formula}.

    ``x``: any shape, float16/32/64 (integers become float64); the result has the same shape.

    **Source:** Python Array API standard 2024.12, ``{name}``.

    >>> import bprop
    >>> bprop.{name}(bprop.asarray({example.split(" -> ")[0]}))
    Array({example.split(" -> ")[1]})
    """,
    )


sin: Elementwise = _angle(
    "sin", lambda y, x: cos(x), "y = sin x, in radians; ∂y/∂x = cos x", "[0.0, 1.0] -> [0.        , 0.84147098]"
)
cos: Elementwise = _angle(
    "cos", lambda y, x: -sin(x), "y = cos x, in radians; ∂y/∂x = -sin x", "[0.0, 1.0] -> [1.        , 0.54030231]"
)
tan = _angle(
    "tan", lambda y, x: complex_sech_squared(1j * y, 1j * x) if x.dtype.kind == "c" else 1 + square(y),
    "y = tan x, in radians; ∂y/∂x = 1 + y²",
    "[0.0, 1.0] -> [0.        , 1.55740772]", domain=(-pi / 2, pi / 2), evaluate=in_double(np.tan),
)  # fmt: skip


def _atanh_slope(x: Any) -> Any:
    """1 / (1 - x²), where neither its derivative cancels nor is 0 · ∞ at ±1; of complex numbers as two factors, also far away."""
    outside = (1 / (1 - x)) * (1 / (1 + x)) if x.dtype.kind == "c" else 0.5 / (1 - x) + 0.5 / (1 + x)
    return where(abs(x) < 0.5, 1 / (1 - square(x)), outside)


# On a branch cut the sign of a zero says on which side x is, and 1 - x loses it. So x is turned by its symmetry to the side
# where each root is taken of a number that is not beyond the root's own cut, or on it with a zero of plus, which adding keeps.
def _complex_asin_slope(x: Any) -> Any:
    x = where(signbit(imag(x)), -x, x)
    return where(abs(x) < 0.5, 1 / sqrt(1 - square(x)), 1j * (1 / sqrt(x - 1)) * (1 / sqrt(x + 1)))


def _complex_asinh_slope(x: Any) -> Any:
    x = where(signbit(real(x)), -x, x)
    return where(abs(x) < 0.5, 1 / sqrt(1 + square(x)), (1 / sqrt(x - 1j)) * (1 / sqrt(x + 1j)))


def _acosh_slope(x: Any) -> Any:
    if x.dtype.kind != "c":
        return (1 / sqrt(x - 1)) * (1 / sqrt(x + 1))
    below = signbit(imag(x))
    x = where(below, -x, x)
    slope = (1 / sqrt(x - 1)) * (1 / sqrt(x + 1))
    return where(below, -slope, slope)


def _asin_partial(x: Any) -> Any:
    return _complex_asin_slope(x) if x.dtype.kind == "c" else asin_slope(x)


def _asin_slope(x: Any) -> Any:
    return 1 / np.sqrt(np.where(np.abs(x) < 0.5, 1 - x * x, (1 - x) * (1 + x)))


asin_slope: Elementwise = Elementwise(
    "asin_slope", _asin_slope, lambda y, x: x * y * y * y,
    kind="float", native=_asin_slope, complex_step=lambda z: 1 / np.sqrt((1 - z) * (1 + z)), domain=(-1, 1),
    text="1 / sqrt(1 - square({0}))", latex=r"\frac{{1}}{{\sqrt{{1 - {0}^{{2}}}}}}", level=2,
    doc="The derivative of `asin`, 1/√(1 - x²): its own one is x/√(1 - x²)³, without 0 · ∞ at ±1.",
)  # fmt: skip
asin = _angle(
    "asin", lambda y, x: _asin_partial(x),
    "y = arcsin x, between -π/2 and π/2; ∂y/∂x = 1/√(1 - x²). NaN outside of [-1, 1]",
    "[0.0, 1.0] -> [0.        , 1.57079633]", r"\arcsin", (-1, 1),
)  # fmt: skip
acos = _angle(
    "acos", lambda y, x: -_asin_partial(x),
    "y = arccos x, between 0 and π; ∂y/∂x = -1/√(1 - x²). NaN outside of [-1, 1]",
    "[1.0, 0.0] -> [0.        , 1.57079633]", r"\arccos", (-1, 1),
)  # fmt: skip
atan = _angle(
    "atan", lambda y, x: _atanh_slope(1j * x) if x.dtype.kind == "c" else atan_slope(x),
    "y = arctan x, between -π/2 and π/2; ∂y/∂x = 1/(1 + x²)",
    "[0.0, 1.0] -> [0.        , 0.78539816]", r"\arctan",
)  # fmt: skip


def _largest(x: Any) -> float:
    return float(np.finfo(x.dtype).max)


def _atan_slope(x: Any) -> Any:
    slope = 1 / np.hypot(1, x)
    return slope * slope


atan_slope: Elementwise = Elementwise(
    "atan_slope", _atan_slope, lambda y, x: -2 * (clip(x, -_largest(x), _largest(x)) * y) * y,
    kind="float", native=_atan_slope, complex_step=lambda z: 1 / (1 + z * z),
    text="1 / (1 + square({0}))", latex=r"\frac{{1}}{{1 + {0}^{{2}}}}", level=2,
    doc="The derivative of `atan`, 1/(1 + x²), also where x² overflows.",
)  # fmt: skip

sinh: Elementwise = _angle(
    "sinh", lambda y, x: cosh(x), "y = sinh x = (eˣ - e⁻ˣ)/2; ∂y/∂x = cosh x", "[0.0, 1.0] -> [0.        , 1.17520119]"
)
cosh: Elementwise = _angle(
    "cosh", lambda y, x: sinh(x), "y = cosh x = (eˣ + e⁻ˣ)/2; ∂y/∂x = sinh x", "[0.0, 1.0] -> [1.        , 1.54308063]"
)
asinh = _angle(
    "asinh", lambda y, x: _complex_asinh_slope(x) if x.dtype.kind == "c" else 1 / hypot(1, x),
    "y = arsinh x, the inverse of `sinh`; ∂y/∂x = 1/√(1 + x²)",
    "[0.0, 1.0] -> [0.        , 0.88137359]", r"\operatorname{{arsinh}}",
)  # fmt: skip
acosh = _angle(
    "acosh", lambda y, x: _acosh_slope(x),
    "y = arcosh x, the inverse of `cosh`; ∂y/∂x = 1/√(x² - 1). NaN below 1",
    "[1.0, 2.0] -> [0.       , 1.3169579]", r"\operatorname{{arcosh}}", (1, inf),
)  # fmt: skip
atanh = _angle(
    "atanh", lambda y, x: _atanh_slope(within_domain(x, -1, 1)),
    "y = artanh x, the inverse of `tanh`; ∂y/∂x = 1/(1 - x²). NaN outside of [-1, 1]",
    "[0.0, 0.5] -> [0.        , 0.54930614]", r"\operatorname{{artanh}}", (-1, 1),
)  # fmt: skip


def _angular(x1: Any, x2: Any) -> Any:
    r = np.hypot(x1, x2)
    slope = applied(cosine, x1, x2)
    near = np.where(r == 0, 0, slope / r)
    return np.where(r == inf, 0.5 * (slope / np.hypot(0.5 * x1, 0.5 * x2)), near)


def _angular_along(y: Any, x1: Any, x2: Any) -> Any:
    r, c, s = hypot(x1, x2), cosine(x1, x2), cosine(x2, x1)
    return ((s - c) / r) * ((s + c) / r)


def _angular_across(y: Any, x1: Any, x2: Any) -> Any:
    r = hypot(x1, x2)
    return -2 * (cosine(x1, x2) / r) * (cosine(x2, x1) / r)


angular_slope = Elementwise(
    "angular_slope", _angular, _angular_along, _angular_across,
    kind="float", native=_angular, complex_step=lambda z1, z2: z1 / (z1 * z1 + z2 * z2),
    text="{0} / (square({0}) + square({1}))", latex=r"\frac{{{0}}}{{{0}^{{2}} + {1}^{{2}}}}", level=2,
    doc="The derivative of `atan2`, x1/(x1² + x2²) without overflow, 0 where the angle has no direction.",
)  # fmt: skip

atan2 = Elementwise(
    "atan2", np.atan2, lambda y, x1, x2: angular_slope(x2, x1), lambda y, x1, x2: -angular_slope(x1, x2),
    kind="float", complex_step=None, latex=r"\operatorname{{atan2}}({0}, {1})",
    doc="""y = the angle of the point (x2, x1), between -π and π; ∂y/∂x1 = x2/r², ∂y/∂x2 = -x1/r², r² = x1² + x2².

    Shapes broadcast, dtypes promote; integers become float64. Both derivatives are 0 at the origin.

    **Source:** Python Array API standard 2024.12, ``atan2``.

    >>> import bprop
    >>> bprop.atan2(bprop.asarray([1.0, 0.0]), bprop.asarray([0.0, -1.0]))
    Array([1.57079633, 3.14159265])
    """,
)  # fmt: skip

publish(sin, cos, tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, atan2)
