"""Exponentials and logarithms. Derivatives are as accurate as the functions themselves."""

from math import inf
from typing import Any

import numpy as np

from ..core.family import Elementwise
from ..core.function import publish
from .selection import where, within_domain

__all__ = ["exp", "exp2", "expm1", "log", "log1p", "log2", "log10"]

_SOURCE = """

    ``x``: any shape, float16/32/64 (integers become float64); the result has the same shape.

    **Source:** {source}.

    >>> import bprop
    >>> {example}
    """
_STANDARD = "Python Array API standard 2024.12"


_LN2, _LOG2_E, _LOG10_E = 0.6931471805599453, 1.4426950408889634, 0.4342944819032518


def _doc(formula: str, example: str, source: str = _STANDARD) -> str:
    return formula + _SOURCE.format(source=source, example=example)


exp = Elementwise(
    "exp", np.exp, lambda y, x: y,
    kind="float", takes_complex=True, latex=r"e^{{{0}}}",
    doc=_doc("y = eˣ; ∂y/∂x = y.", "bprop.exp(bprop.zeros(2))\n    Array([1., 1.])"),
)  # fmt: skip


def _expm1_value(x: Any) -> Any:
    y = np.expm1(x)
    if (
        y.dtype.kind == "c"
    ):  # NumPy's has NaN for infinities that the standard knows better, and keeps the sign of a real part -0
        y = np.where(np.isfinite(x), y, np.exp(x) - 1) + complex(0.0, -0.0)
    return y


expm1 = Elementwise(
    "expm1", _expm1_value, lambda y, x: exp(x),  # not y + 1: that has no correct bit for x -> -inf
    kind="float", takes_complex=True, latex=r"\left(e^{{{0}}} - 1\right)",
    doc=_doc("y = eˣ - 1, exact for small x; ∂y/∂x = eˣ.", "bprop.expm1(bprop.zeros(2))\n    Array([0., 0.])"),
)  # fmt: skip

log = Elementwise(
    "log", np.log, lambda y, x: 1 / within_domain(x, low=0),
    kind="float", takes_complex=True, domain=(0, inf), latex=r"\log({0})",
    doc=_doc("y = log x (natural); ∂y/∂x = 1/x. NaN for negative x.", "bprop.log(bprop.ones(2))\n    Array([0., 0.])"),
)  # fmt: skip

log1p = Elementwise(
    "log1p", np.log1p, lambda y, x: 1 / (1 + within_domain(x, low=-1)),
    kind="float", takes_complex=True, domain=(-1, inf), latex=r"\log(1 + {0})",
    doc=_doc("y = log(1 + x), exact for small x; ∂y/∂x = 1/(1+x).", "bprop.log1p(bprop.zeros(2))\n    Array([0., 0.])"),
)  # fmt: skip


def _difference(x1: Any, x2: Any) -> tuple[Any, Any]:
    """x1 - x2, and what the subtraction rounds off (Knuth, 1969): a power would magnify it."""
    d = x1 - x2
    b = d - x1
    lost = (x1 - (d - b)) - (x2 + b)
    return d, np.where(np.abs(lost) < 1, lost, 0)


def _exp_difference(x1: Any, x2: Any) -> Any:
    d, lost = _difference(x1, x2)
    return np.exp(d) * (1 + lost)


def _exp2_difference(x1: Any, x2: Any) -> Any:
    d, lost = _difference(x1, x2)
    return np.exp2(d) * (1 + _LN2 * lost)


exp_difference = Elementwise(
    "exp_difference", _exp_difference, lambda y, x1, x2: y, lambda y, x1, x2: -y,
    kind="float", native=_exp_difference, complex_step=lambda z1, z2: np.exp(z1 - z2),
    text="exp({0} - {1})", latex=r"e^{{{0} - {1}}}",
    doc="y = e^(x1 - x2), also where the difference is large and rounded: the terms of a softmax.",
)  # fmt: skip

exp2_difference = Elementwise(
    "exp2_difference", _exp2_difference, lambda y, x1, x2: y * _LN2, lambda y, x1, x2: -y * _LN2,
    kind="float", native=_exp2_difference, complex_step=lambda z1, z2: np.exp((z1 - z2) * _LN2),
    text="exp2({0} - {1})", latex=r"2^{{{0} - {1}}}",
    doc="y = 2^(x1 - x2), also where the difference is large and rounded: what the derivative of `logaddexp2` is made of.",
)  # fmt: skip

exp2: Elementwise = Elementwise(
    "exp2", np.exp2, lambda y, x: where(y == inf, exp2(x - 1) * (2 * _LN2), y * _LN2),  # it overflows later than y
    kind="float", complex_step=lambda z: np.exp(z * _LN2), latex=r"2^{{{0}}}",
    doc=_doc("y = 2ˣ; ∂y/∂x = y log 2.", "bprop.exp2(bprop.asarray([0.0, 3.0]))\n    Array([1., 8.])",
             "C standard library, ``exp2``"),
)  # fmt: skip

log2 = Elementwise(
    "log2", np.log2, lambda y, x: _LOG2_E / within_domain(x, low=0),
    kind="float", takes_complex=True, domain=(0, inf), complex_step=lambda z: np.log(z) * _LOG2_E, latex=r"\log_{{2}}({0})",
    doc=_doc("y = log₂ x; ∂y/∂x = 1/(x log 2). NaN for negative x.",
             "bprop.log2(bprop.asarray([1.0, 8.0]))\n    Array([0., 3.])"),
)  # fmt: skip

log10 = Elementwise(
    "log10", np.log10, lambda y, x: _LOG10_E / within_domain(x, low=0),
    kind="float", takes_complex=True, domain=(0, inf), latex=r"\log_{{10}}({0})",
    doc=_doc("y = log₁₀ x; ∂y/∂x = 1/(x log 10). NaN for negative x.",
             "bprop.log10(bprop.asarray([1.0, 1000.0]))\n    Array([0., 3.])"),
)  # fmt: skip

publish(exp, exp2, expm1, log, log1p, log2, log10)
