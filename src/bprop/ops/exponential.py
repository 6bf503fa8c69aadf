"""Exponentials, logarithms and the sigmoidal functions. Derivatives are as accurate as the functions themselves."""

from math import inf
from typing import Any

import numpy as np

from ..core.family import Elementwise
from ..core.function import FUNCTIONS, NUMPY
from .selection import where

__all__ = ["exp", "expm1", "log", "log1p", "sigmoid", "softplus", "tanh"]

_SOURCE = """

    ``x``: any shape, float16/32/64 (integers become float64); the result has the same shape.

    **Source:** {source}.

    >>> import bprop
    >>> {example}
    """
_STANDARD = "Python Array API standard 2024.12"


def _doc(formula: str, example: str, source: str = _STANDARD) -> str:
    return formula + _SOURCE.format(source=source, example=example)


exp = Elementwise(
    "exp", np.exp, lambda y, x: y,
    kind="float", latex=r"e^{{{0}}}",
    doc=_doc("y = eˣ; ∂y/∂x = y.", "bprop.exp(bprop.zeros(2))\n    Array([1., 1.])"),
)  # fmt: skip

expm1 = Elementwise(
    "expm1", np.expm1, lambda y, x: exp(x),  # not y + 1: that has no correct bit for x -> -inf
    kind="float", latex=r"\left(e^{{{0}}} - 1\right)",
    doc=_doc("y = eˣ - 1, exact for small x; ∂y/∂x = eˣ.", "bprop.expm1(bprop.zeros(2))\n    Array([0., 0.])"),
)  # fmt: skip

log = Elementwise(
    "log", np.log, lambda y, x: 1 / x,
    kind="float", domain=(0, inf), latex=r"\log({0})",
    doc=_doc("y = log x (natural); ∂y/∂x = 1/x. NaN for negative x.", "bprop.log(bprop.ones(2))\n    Array([0., 0.])"),
)  # fmt: skip

log1p = Elementwise(
    "log1p", np.log1p, lambda y, x: 1 / (1 + x),
    kind="float", domain=(-1, inf), latex=r"\log(1 + {0})",
    doc=_doc("y = log(1 + x), exact for small x; ∂y/∂x = 1/(1+x).", "bprop.log1p(bprop.zeros(2))\n    Array([0., 0.])"),
)  # fmt: skip


def _folded(x: Any) -> Any:
    """e^(-|x|) in a new array that may be written to."""
    x = np.asarray(x, None if getattr(x, "dtype", np.dtype(bool)).kind == "f" else np.float64)
    e = np.negative(np.abs(x))
    return np.exp(e, out=e) if type(e) is np.ndarray else np.exp(e)


def _over_square(e: Any) -> Any:
    """e / (1 + e)², in place where that is possible: an op's evaluation is a hot path."""
    d = 1 + e
    d *= d
    return np.divide(e, d, out=e) if type(e) is np.ndarray else e / d


def _sech_squared(x: Any) -> Any:
    """1/cosh²x = 4e / (1 + e)² with e = e^(-2|x|): 1 - y² has no correct bit in the tails."""
    y = _over_square(_folded(np.multiply(x, 2)))
    y *= 4
    return y


def _sech_squared_native(x: Any) -> Any:
    e = exp(-2 * abs(x))
    d = 1 + e
    return 4 * e / (d * d)


sech_squared = Elementwise(
    "sech_squared", _sech_squared, lambda y, x: -2 * tanh(x) * y,
    kind="float", native=_sech_squared_native, text="1 - tanh({0}) ** 2", latex=r"1 - \tanh^2({0})", level=1,
    step=lambda z: 1 - np.tanh(z) ** 2,
    doc="The derivative of `tanh`, 1 - tanh²x = 1/cosh²x, without cancellation.",
)  # fmt: skip


tanh: Elementwise = Elementwise(
    "tanh", np.tanh, lambda y, x: sech_squared(x),
    kind="float", latex=r"\tanh({0})",
    doc=_doc("y = tanh x; ∂y/∂x = 1 - y² = 1/cosh²x.", "bprop.tanh(bprop.zeros(2))\n    Array([0., 0.])",
             "Leibe (2016), Backpropagation, nonlinearities"),
)  # fmt: skip


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _sigmoid_step(z: Any) -> Any:
    e = np.exp(np.where(z.real >= 0, -z, z))
    return np.where(z.real >= 0, 1, e) / (1 + e)


def _sigmoid_native(x: Any) -> Any:
    e = exp(-abs(x))
    return where(x >= 0, 1 / (1 + e), e / (1 + e))


def _logistic_density_native(x: Any) -> Any:
    e = exp(-abs(x))
    d = 1 + e
    return e / (d * d)


logistic_density = Elementwise(
    "logistic_density", lambda x: _over_square(_folded(x)), lambda y, x: -y * tanh(0.5 * x),
    kind="float", native=_logistic_density_native, text="sigmoid({0}) * (1 - sigmoid({0}))",
    latex=r"\sigma({0}) \, (1 - \sigma({0}))", level=2,
    step=lambda z: _sigmoid_step(z) * _sigmoid_step(-z),
    doc="The derivative of `sigmoid`, σ(x) σ(-x) = e⁻ˣ/(1 + e⁻ˣ)², without cancellation.",
)  # fmt: skip


sigmoid: Elementwise = Elementwise(
    "sigmoid", _sigmoid, lambda y, x: logistic_density(x),
    kind="float", native=_sigmoid_native, step=_sigmoid_step, latex=r"\sigma({0})",
    doc=_doc("y = 1/(1 + e⁻ˣ); ∂y/∂x = y (1 - y).", "bprop.sigmoid(bprop.zeros(2))\n    Array([0.5, 0.5])",
             "Leibe (2016), Backpropagation, nonlinearities"),
)  # fmt: skip


def _softplus_native(x: Any) -> Any:
    return where(x < 0, 0, x) + log1p(exp(-abs(x)))


softplus = Elementwise(
    "softplus", lambda x: np.logaddexp(x, 0), lambda y, x: sigmoid(x),
    kind="float", native=_softplus_native,
    step=lambda z: np.where(z.real > 0, z, 0) + np.log1p(np.exp(np.where(z.real > 0, -z, z))),
    latex=r"\log(1 + e^{{{0}}})",
    doc=_doc("y = log(1 + eˣ) without overflow; ∂y/∂x = σ(x).",
             "print(bprop.softplus(bprop.asarray([-1000.0, 1000.0])))\n    Array([   0., 1000.])",
             "Dugas et al. (2001), Incorporating second-order functional knowledge"),
)  # fmt: skip

for _op in (exp, expm1, log, log1p, tanh, sigmoid, softplus):
    FUNCTIONS[_op.name] = _op
    if hasattr(np, _op.name):
        NUMPY[getattr(np, _op.name)] = _op
