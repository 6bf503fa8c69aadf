"""Exponentials, logarithms and the sigmoidal functions. Derivatives are as accurate as the functions themselves."""

from math import inf
from typing import Any

import numpy as np

from ..core.family import Elementwise
from ..core.value import FUNCTIONS, NUMPY
from .selection import where

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


def _sech_squared(y: Any, x: Any) -> Any:
    """1/cosh²x from e^(-2|x|): 1 - y² has no correct bit in the tails."""
    e = exp(-2 * abs(x))
    d = 1 + e
    return 4 * e / (d * d)


tanh = Elementwise(
    "tanh", np.tanh, _sech_squared,
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


def _sigmoid_partial(y: Any, x: Any) -> Any:
    """σ(x) σ(-x) from e^(-|x|): y (1 - y) has no correct bit for x -> inf."""
    e = exp(-abs(x))
    d = 1 + e
    return e / (d * d)


sigmoid = Elementwise(
    "sigmoid", _sigmoid, _sigmoid_partial,
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
