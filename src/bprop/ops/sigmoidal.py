"""Sigmoidal functions: tanh, the logistic sigmoid, its integral, its logarithm and its inverse."""

from math import inf
from typing import Any

import numpy as np

from ..core.family import Elementwise
from ..core.function import function, publish
from ..core.op import array
from ..core.value import Array
from .complex import real
from .exponential import exp, exp2_difference, exp_difference, log1p
from .power import square
from .selection import where, within_domain
from .special import applied, in_double

__all__ = ["log_sigmoid", "logaddexp", "logaddexp2", "logit", "sigmoid", "softplus", "tanh"]

_SOURCE = """

    ``x``: any shape, float16/32/64 (integers become float64); the result has the same shape.

    **Source:** {source}.

    >>> import bprop
    >>> {example}
    """
_STANDARD = "Python Array API standard 2024.12"


def _doc(formula: str, example: str, source: str = _STANDARD) -> str:
    return formula + _SOURCE.format(source=source, example=example)


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
    code="4 * np.exp(-2 * abs({0})) / (1 + np.exp(-2 * abs({0}))) ** 2", kind="float", native=_sech_squared_native, text="1 - tanh({0}) ** 2", latex=r"1 - \tanh^2({0})", level=1,
    complex_step=lambda z: 1 - np.tanh(z) ** 2,
    doc="The derivative of `tanh`, 1 - tanh²x = 1/cosh²x, without cancellation.",
)  # fmt: skip


def complex_sech_squared(y: Any, x: Any) -> Any:
    """1/cosh²x of complex numbers, where y = tanh x: 1 - y² near the poles, else as far as no correct bit is lost in the tails.

    There it is 4e / (1 + e)² with e = e^(∓2x), of the sign with which it does not overflow: 1/cosh² is even.
    """
    along = real(x)
    e = exp(where(along < 0, 2, -2) * x)
    return where(abs(along) < 1, 1 - square(y), 4 * e / square(1 + e))


tanh: Elementwise = Elementwise(
    "tanh", np.tanh, lambda y, x: complex_sech_squared(y, x) if x.dtype.kind == "c" else sech_squared(x),
    kind="float", takes_complex=True, latex=r"\tanh({0})",
    doc=_doc("y = tanh x; ∂y/∂x = 1 - y² = 1/cosh²x.", "bprop.tanh(bprop.zeros(2))\n    Array([0., 0.])",
             "Leibe (2016), Backpropagation, nonlinearities"),
)  # fmt: skip


@in_double
def _tanh_shrink(x: Any) -> Any:
    """Below 1 as x c / (1 + c), where tanh x = x / (1 + c) with c = x² / (3 + x² / (5 + …)): no term is negative."""
    z = np.minimum(x * x, 1.0)
    c: Any = 17.0
    for k in range(15, 1, -2):
        c = k + z / c
    c = z / c
    return np.where(np.abs(x) < 1, x * c / (1 + c), x - np.tanh(x))


tanh_shrink = Elementwise(
    "tanh_shrink", _tanh_shrink, lambda y, x: square(tanh(x)),
    code=lambda x: None, kind="float", native=_tanh_shrink, complex_step=lambda z: z - np.tanh(z), text="{0} - tanh({0})", level=1,
    latex=r"{0} - \tanh({0})", doc="y = x - tanh x, also where that is the difference of two close numbers.",
)  # fmt: skip


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sigmoid_step(z: Any) -> Any:
    """σ at complex points, for the complex step."""
    e = np.exp(np.where(z.real >= 0, -z, z))
    return np.where(z.real >= 0, 1, e) / (1 + e)


def _sigmoid_native(x: Any) -> Any:
    e = exp(-abs(x))
    return where(x >= 0, 1, e) / (1 + e)


def _logistic_density_native(x: Any) -> Any:
    e = exp(-abs(x))
    d = 1 + e
    return e / (d * d)


logistic_density = Elementwise(
    "logistic_density", lambda x: _over_square(_folded(x)), lambda y, x: -y * tanh(0.5 * x),
    code="special.expit({0}) * special.expit(-{0})", kind="float", native=_logistic_density_native, text="sigmoid({0}) * (1 - sigmoid({0}))",
    latex=r"\sigma({0}) \, (1 - \sigma({0}))", level=2,
    complex_step=lambda z: sigmoid_step(z) * sigmoid_step(-z),
    doc="The derivative of `sigmoid`, σ(x) σ(-x) = e⁻ˣ/(1 + e⁻ˣ)², without cancellation.",
)  # fmt: skip


sigmoid: Elementwise = Elementwise(
    "sigmoid", _sigmoid, lambda y, x: logistic_density(x),
    code="special.expit({0})", kind="float", native=_sigmoid_native, complex_step=sigmoid_step, latex=r"\sigma({0})",
    doc=_doc("y = 1/(1 + e⁻ˣ); ∂y/∂x = y (1 - y).", "bprop.sigmoid(bprop.zeros(2))\n    Array([0.5, 0.5])",
             "Leibe (2016), Backpropagation, nonlinearities"),
)  # fmt: skip


def _softplus_native(x: Any) -> Any:
    return where(x < 0, 0, x) + log1p(exp(-abs(x)))


softplus = Elementwise(
    "softplus", lambda x: np.logaddexp(x, 0), lambda y, x: sigmoid(x),
    kind="float", native=_softplus_native,
    complex_step=lambda z: np.where(z.real > 0, z, 0) + np.log1p(np.exp(np.where(z.real > 0, -z, z))),
    latex=r"\log(1 + e^{{{0}}})",
    doc=_doc("y = log(1 + eˣ) without overflow; ∂y/∂x = σ(x).",
             "print(bprop.softplus(bprop.asarray([-1000.0, 1000.0])))\n    Array([   0., 1000.])",
             "Dugas et al. (2001), Incorporating second-order functional knowledge"),
)  # fmt: skip


@function()
def log_sigmoid(x: Any, /) -> Array:
    """y = log σ(x) = -log(1 + e⁻ˣ) without overflow; ∂y/∂x = σ(-x).

    ``x``: any shape, float16/32/64 (integers become float64); the result has the same shape.

    **Source:** PyTorch, ``torch.nn.functional.logsigmoid``.

    >>> import bprop
    >>> bprop.log_sigmoid(bprop.asarray([-1000.0, 1000.0]))
    Array([-1000.,    -0.])
    """
    return -softplus(-array("log_sigmoid", x))


def _logit(x: Any) -> Any:
    """Log x/(1-x), near ½ as 2 atanh(2x - 1): there the quotient is near 1 and its logarithm has few correct bits."""
    return np.where(np.abs(x - 0.5) < 0.25, 2 * np.atanh(2 * x - 1), np.log(x / (1 - x)))


logit = Elementwise(
    "logit", _logit, lambda y, x: 1 / within_domain(x, 0, 1) + 1 / (1 - x),  # 1 / (x (1 - x)) has 0 · ∞ in its own slope
    kind="float", native=_logit, complex_step=lambda z: np.log(z / (1 - z)), domain=(0, 1),
    latex=r"\operatorname{{logit}}({0})",
    doc=_doc("y = log(x / (1 - x)), the inverse of `sigmoid`; ∂y/∂x = 1/(x (1 - x)). NaN outside of [0, 1].",
             "bprop.logit(bprop.asarray([0.0, 0.5, 1.0]))\n    Array([-inf,   0.,  inf])",
             "SciPy, ``scipy.special.logit``"),
)  # fmt: skip


def _is_zero(x: Any) -> bool:
    return not isinstance(x, Array) and np.ndim(x) == 0 and bool(x == 0)


def _folded_difference(x1: Any, x2: Any) -> Any:
    """e^(-|x1 - x2|), and 1 for equal infinities."""
    if _is_zero(x1) or _is_zero(x2):  # the difference is exact
        return np.exp(-np.abs(x1 - x2))
    return np.where(x1 == x2, 1, applied(exp_difference, np.minimum(x1, x2), np.maximum(x1, x2)))


def _sigmoid_difference(x1: Any, x2: Any) -> Any:
    e = _folded_difference(x1, x2)
    return np.where(x1 >= x2, 1, e) / (1 + e)


def _density_difference(x1: Any, x2: Any) -> Any:
    e = _folded_difference(x1, x2)
    d = 1 + e
    return e / (d * d)


def _half_difference(x1: Any, x2: Any) -> Any:
    return 0.5 * where(x1 == x2, 0, x1 - x2)


density_difference: Elementwise = Elementwise(
    "density_difference", _density_difference,
    lambda y, x1, x2: -y * tanh(_half_difference(x1, x2)), lambda y, x1, x2: y * tanh(_half_difference(x1, x2)),
    code="special.expit({0} - {1}) * special.expit({1} - {0})", kind="float", native=_density_difference, complex_step=lambda z1, z2: logistic_density.complex_step(np.asarray(z1 - z2)),  # type: ignore[operator,misc]
    text="sigmoid({0} - {1}) * (1 - sigmoid({0} - {1}))",
    latex=r"\sigma({0} - {1}) \, (1 - \sigma({0} - {1}))", level=2,
    doc="The second derivative of `logaddexp`, σ(x1 - x2) σ(x2 - x1), also where the difference is large and rounded.",
)  # fmt: skip

sigmoid_difference = Elementwise(
    "sigmoid_difference", _sigmoid_difference,
    lambda y, x1, x2: density_difference(x1, x2), lambda y, x1, x2: -density_difference(x1, x2),
    code="special.expit({0} - {1})", kind="float", native=_sigmoid_difference, complex_step=lambda z1, z2: sigmoid_step(np.asarray(z1 - z2)),
    text="sigmoid({0} - {1})", latex=r"\sigma({0} - {1})",
    doc="The derivative of `logaddexp`, σ(x1 - x2), also where the difference is large and rounded.",
)  # fmt: skip


def _logaddexp_step(z1: Any, z2: Any) -> Any:
    above = np.real(z1) >= np.real(z2)
    high, low = np.where(above, z1, z2), np.where(above, z2, z1)
    return high + np.log1p(np.exp(low - high))


def _logaddexp_native(x1: Any, x2: Any) -> Any:
    return where(x1 == x2, x1 + 0.6931471805599453, where(x1 > x2, x1, x2) + log1p(exp(-abs(x1 - x2))))


logaddexp = Elementwise(
    "logaddexp", np.logaddexp,
    lambda y, x1, x2: sigmoid_difference(x1, x2), lambda y, x1, x2: sigmoid_difference(x2, x1),
    kind="float", native=_logaddexp_native, complex_step=_logaddexp_step, latex=r"\log(e^{{{0}}} + e^{{{1}}})",
    doc="""y = log(eˣ¹ + eˣ²) without overflow; ∂y/∂x1 = σ(x1 - x2), ∂y/∂x2 = σ(x2 - x1).

    Equal operands share the derivative evenly, equal infinities too. Shapes broadcast, dtypes promote; integers become float64.

    **Source:** Python Array API standard 2024.12, ``logaddexp``.

    >>> import bprop
    >>> bprop.logaddexp(bprop.asarray([-1000.0, 1000.0]), -1000.0)
    Array([-999.30685282, 1000.        ])
    """,
)  # fmt: skip


# --- the same to the base 2 ---
def _share(x1: Any, x2: Any) -> Any:
    """2^x1 / (2^x1 + 2^x2), computed from the power that is at most 1."""
    first = x1 < x2
    low, high = where(first, x1, x2), where(first, x2, x1)
    infinite = (x1 == x2) & (abs(x1) == inf)
    e = exp2_difference(where(infinite, 0, low), where(infinite, 0, high))
    return where(first, e, 1) / (1 + e)


def _logaddexp2_step(z1: Any, z2: Any) -> Any:
    above = np.real(z1) >= np.real(z2)
    high, low = np.where(above, z1, z2), np.where(above, z2, z1)
    return high + np.log1p(np.exp((low - high) * 0.6931471805599453)) * 1.4426950408889634


logaddexp2 = Elementwise(
    "logaddexp2", np.logaddexp2, lambda y, x1, x2: _share(x1, x2), lambda y, x1, x2: _share(x2, x1),
    kind="float", native="callback", complex_step=_logaddexp2_step, latex=r"\log_{{2}}(2^{{{0}}} + 2^{{{1}}})",
    doc="""y = log₂(2ˣ¹ + 2ˣ²) without overflow; ∂y/∂x1 = 2ˣ¹ / (2ˣ¹ + 2ˣ²), ∂y/∂x2 = 2ˣ² / (2ˣ¹ + 2ˣ²).

    Shapes broadcast, dtypes promote; integers become float64.

    **Source:** NumPy, ``numpy.logaddexp2``.

    >>> import bprop
    >>> bprop.logaddexp2(bprop.asarray([-1000.0, 1000.0]), -1000.0)
    Array([-999., 1000.])
    """,
)  # fmt: skip

publish(tanh, sigmoid, softplus, logit, logaddexp, logaddexp2)
