"""Activations. Most are plain functions of ops: no declaration at all, every interpretation follows."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from ..core.error import ArgumentError
from ..core.family import Elementwise
from ..core.function import function
from ..core.op import array
from ..core.value import Array
from .selection import clip, where
from .sigmoidal import logistic_density, sigmoid, sigmoid_step, tanh
from .special import applied, erfc, exp_minus_square, gauss_product, gaussian_moment, in_double, product_error

__all__ = ["gelu", "hard_tanh", "relu", "silu"]


@function()
def relu(x: Any, /) -> Array:
    """y = x where x > 0, else 0; the derivative at the kink is 0. NaN stays NaN.

    **Source:** Nair & Hinton (2010), Rectified linear units improve restricted Boltzmann machines.

    >>> import bprop
    >>> bprop.relu(bprop.asarray([-1.0, 0.0, 2.0]))
    Array([0., 0., 2.])
    """
    x = array("relu", x)
    return where(x <= 0, 0, x)


@function()
def hard_tanh(x: Any, /) -> Array:
    """y = x within (-1, 1), else -1 or 1; the derivative is 1 inside and 0 outside and at the kinks.

    **Source:** Leibe (2016), Backpropagation, nonlinearities; Collobert (2004).

    >>> import bprop
    >>> bprop.hard_tanh(bprop.asarray([-2.0, 0.5, 2.0]))
    Array([-1. ,  0.5,  1. ])
    """
    x = array("hard_tanh", x)
    below = x if x.dtype.kind == "u" else where(x <= -1, -1, x)  # an unsigned integer has no -1
    return where(x >= 1, 1, below)


# --- x times a probability: the tails need care, where the factors underflow and the derivative crosses zero ---
@in_double
def _silu(x: Any) -> Any:
    x = np.maximum(x, -2000.0)  # there y is 0, and -inf · 0 would be NaN
    h = np.exp(-0.5 * np.abs(x))
    return np.where(x < 0, x * h * h, x) / (1 + h * h)


@in_double
def _silu_slope(x: Any) -> Any:
    """σ(x) (1 + x σ(-x)), with σ(x) = h² / (1 + h²) and h = e^(x/2) left of 0."""
    x = np.minimum(np.maximum(x, -2000.0), 2000.0)
    h = np.exp(-0.5 * np.abs(x))
    d = 1 + h * h
    return np.where(x < 0, (1 + x / d) * h * h, 1 + x * (h * h / d)) / d


def _silu_curvature(x: Any) -> Any:
    """σ(x) σ(-x) (2 - x tanh x/2), where x σ(-x) and x σ(x) are `silu`, which underflows later than σ."""
    moment = where(x < 0, _silu_op(x) * sigmoid(-x), -_silu_op(-x) * sigmoid(x))
    return 2 * logistic_density(x) - moment * tanh(0.5 * x)


silu_slope = Elementwise(
    "silu_slope", _silu_slope, lambda y, x: _silu_curvature(x),
    code="special.expit({0}) * (1 + {0} * special.expit(-{0}))", kind="float", complex_step=lambda z: sigmoid_step(z) * (1 + z * sigmoid_step(-z)),
    text="sigmoid({0}) * (1 + {0} * sigmoid(-{0}))", level=2,
    latex=r"\sigma({0}) \, (1 + {0} \, \sigma(-{0}))",
    doc="The derivative of `silu`, σ(x) (1 + x σ(-x)).",
)  # fmt: skip

_silu_op: Elementwise = Elementwise(
    "silu", _silu, lambda y, x: silu_slope(x),
    code="{0} * special.expit({0})", kind="float", complex_step=lambda z: z * sigmoid_step(z),
    doc="y = x σ(x): the op behind `bprop.silu`.",
)  # fmt: skip


@function()
def silu(x: Any, /) -> Array:
    """y = x σ(x), also called swish; ∂y/∂x = σ(x) (1 + x σ(-x)).

    ``x``: any shape, float16/32/64 (integers become float64); the result has the same shape.

    **Source:** Hendrycks & Gimpel (2016), Gaussian error linear units; Elfwing, Uchibe & Doya (2018).

    >>> import bprop
    >>> bprop.silu(bprop.asarray([-1000.0, 0.0, 1000.0]))
    Array([  -0.,    0., 1000.])
    """
    y: Array = _silu_op(array("silu", x))
    return y


_ROOT_HALF, _ROOT_HALF_LOW = 0.7071067811865476, -4.833646656726457e-17
_OVER_ROOT_TWO_PI = 0.3989422804014327


def normal_below(x: Any) -> Any:
    """Φ(x) = erfc(-x/√2) / 2, with what rounds off in x/√2 made good: in the tail it is magnified by x²."""
    z = -_ROOT_HALF * x
    lost = product_error(-_ROOT_HALF, x, z) - _ROOT_HALF_LOW * x
    return 0.5 * applied(erfc, z) * np.exp(-2 * np.maximum(z, 0.0) * lost)


def _bounded(x: Any) -> Any:
    return np.minimum(np.maximum(x, -60.0), 60.0)


def _of_single(formula: Callable[[Any], Any], single: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return ``formula``, of float32 and less ``single``: in float64 neither roundings nor underflow reach their digits."""

    def chosen(x: Any) -> Any:
        dtype = getattr(x, "dtype", None)
        if dtype is None or dtype.kind != "f" or dtype.itemsize > 4:
            return formula(x)
        return single(x.astype(np.float64)).astype(dtype)

    return chosen


def _gelu_single(x: Any) -> Any:
    x = np.maximum(x, -60.0)
    return x * (0.5 * applied(erfc, -_ROOT_HALF * x))


def _gelu_slope_single(x: Any) -> Any:
    x = _bounded(x)
    return -(-0.5 * applied(erfc, -_ROOT_HALF * x) - _OVER_ROOT_TWO_PI * x * np.exp(-0.5 * x * x))


@in_double
def _gelu(x: Any) -> Any:
    y = np.maximum(x, -60.0) * normal_below(_bounded(x))
    near = np.minimum(x, -36.0)
    w = 1 / (near * near)  # there Φ(x) underflows before x Φ(x) does, which is -φ(x) (1 - 1/x² + 3/x⁴ - …)
    series = 1 - w * (1 - 3 * w * (1 - 5 * w * (1 - 7 * w * (1 - 9 * w * (1 - 11 * w)))))
    return np.where(x < -36, -gauss_product(_OVER_ROOT_TWO_PI * series, _bounded(x), 0.5), y)


@in_double
def _gelu_slope(x: Any) -> Any:
    """Φ(x) + x φ(x)."""
    x = _bounded(x)
    return -(-normal_below(x) - gauss_product(_OVER_ROOT_TWO_PI * x, x, 0.5))  # far to the left -0, as what is below 0


def _gelu_curvature(x: Any) -> Any:
    """The product (2 - x²) φ(x), with e^(-x²/2) as a square: x/√2 rounded would show, and φ underflows before x² φ does."""
    h, xh = exp_minus_square(0.5 * x), 2 * gaussian_moment(0.5 * x, n=1)
    return (2 * h * h - xh * xh) * _OVER_ROOT_TWO_PI


gelu_slope = Elementwise(
    "gelu_slope", _of_single(_gelu_slope, _gelu_slope_single), lambda y, x: _gelu_curvature(x),
    kind="float", complex_step=None, level=1,
    text="0.5 * erfc(-{0} / 2 ** 0.5) + {0} * exp(-({0}) ** 2 / 2) / 2.5066282746310002",
    latex=r"\Phi({0}) + {0} \, \phi({0})",
    doc="The derivative of `gelu`, Φ(x) + x φ(x) with the normal distribution Φ and its density φ.",
)  # fmt: skip

_gelu_op = Elementwise(
    "gelu", _of_single(_gelu, _gelu_single), lambda y, x: gelu_slope(x),
    code="{0} * special.ndtr({0})", kind="float", complex_step=lambda z: 0.5 * z * erfc.complex_step(-_ROOT_HALF * z),  # type: ignore[operator,misc]
    doc="y = x Φ(x): the op behind `bprop.gelu`.",
)  # fmt: skip


@function()
def gelu(x: Any, /, approximate: Literal["none", "tanh"] = "none") -> Array:
    """y = x Φ(x) with the normal distribution Φ(x) = (1 + erf(x/√2))/2; ∂y/∂x = Φ(x) + x φ(x).

    ``approximate="tanh"``: y = x (1 + tanh(√(2/π) (x + 0.044715 x³)))/2 instead, off by up to 5e-4. ``x``: any shape,
    float16/32/64 (integers become float64); the result has the same shape. Raises `ArgumentError` for another
    approximation.

    **Source:** Hendrycks & Gimpel (2016), Gaussian error linear units; PyTorch, ``torch.nn.functional.gelu``.

    >>> import bprop
    >>> bprop.gelu(bprop.asarray([-1.0, 0.0, 1.0]))
    Array([-0.15865525,  0.        ,  0.84134475])
    >>> bprop.gelu(bprop.asarray([-1.0, 0.0, 1.0]), approximate="tanh")
    Array([-0.15880801,  0.        ,  0.84119199])
    """
    x = array("gelu", x)
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate is 'none' or 'tanh', not {approximate!r:.60}")
    if approximate == "none":
        y: Array = _gelu_op(x)
        return y
    # (1 + tanh u)/2 is σ(2u), which keeps its digits where tanh u is close to -1
    near = clip(x, -40, 40)  # beyond, σ is 0 or 1, and x³ may overflow
    y = clip(x, -40) * sigmoid(1.5957691216057308 * (near + 0.044715 * near**3))
    return y
