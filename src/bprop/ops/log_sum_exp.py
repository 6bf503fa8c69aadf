"""logsumexp, softmax and its logarithm: functions of the differences from the largest entry, in value and derivatives.

With m the largest entry, z = x - m and r = Σ eᶻ without one largest term, which is 1,

    logsumexp = m + log(1 + r),   softmax = eᶻ / (1 + r),   log softmax = z - log(1 + r),

so that an offset common to all entries costs no digit, nor does a class that takes nearly everything: 1 + r would round to
1 and forget the others. 1 - softmax has an op of its own for the same reason. An entry of infinity takes everything;
several share evenly, as ties of the largest do. Where all entries are -inf, softmax is NaN: there is nothing to choose
from. The derivative of logsumexp is in even shares there, too, as that of max and logaddexp.

**Source:** Leibe (2016), Backpropagation, implementing softmax correctly; Blanchard, Higham & Higham (2021), Accurately
computing the log-sum-exp and softmax functions.
"""

from collections.abc import Callable
from math import inf, prod
from typing import Any

import numpy as np

from ..core import dtype as dtypes
from ..core.family import General, Reduction
from ..core.function import function
from ..core.op import array
from ..core.shape import normalise_axes
from ..core.value import Array
from .exponential import exp_difference
from .reduction import reduce, sum
from .selection import where
from .special import applied

__all__ = ["log_softmax", "logsumexp", "softmax"]

Axes = tuple[int, ...]


# --- the sum of all terms but one that is 1 ---
def _sum_minus_one(x: Any, axis: Axes, keepdims: bool) -> Any:
    x = x if x.dtype.kind == "f" else x.astype(dtypes.to_float(x.dtype))
    ones = x == 1
    y = np.sum(np.where(ones, 0, x), axis=axis, keepdims=keepdims)
    return y + (np.sum(ones, axis=axis, keepdims=keepdims) - 1).astype(x.dtype)


sum_minus_one = Reduction(
    "sum_minus_one",
    _sum_minus_one,
    code="sum_minus_one({0}, axis={axis}, keepdims={keepdims})",
    init=(0, 0),
    combine=lambda count, y, x: (count + where(x == 1, 1, 0), y + where(x == 1, 0, x)),
    finish=lambda count, y: y + (count - 1),
    merge=lambda count, y, more, other: (count + more, y + other),
    partial=1,
    kind="float",
    complex_step=lambda z, axis, keepdims: np.sum(z, axis=axis, keepdims=keepdims) - 1,
    latex=r"\left(\sum {0} - 1\right)",
    doc="Σ x - 1, with the entries that are 1 counted apart, so that small ones are not lost beside them.",
)


# --- the formulas, on numbers and in native code ---
def _terms(x: Any, axis: Axes, even: bool) -> tuple[Any, Any, Any]:
    """Return m, e^(x - m) and r; ``even``: equal entries of -inf differ by 0, too."""
    m = np.max(x, axis=axis, keepdims=True)
    e = np.where(x == (m if even else inf), 1, applied(exp_difference, x, m))
    return m, e, applied(sum_minus_one, e, axis=tuple(a % len(x.shape) for a in axis), keepdims=True)


def _formula(f: Callable[[Any, Any, Any, Any], Any]) -> Callable[..., Any]:
    """Return the function of x and axes that is ``f(x, m, e, r)``."""

    def computed(x: Any, axis: Axes, even: bool = False) -> Any:
        x = x if x.dtype.kind == "f" else x.astype(dtypes.to_float(x.dtype))
        return f(x, *_terms(x, axis, even)) if prod(x.shape[a] for a in axis) else np.exp(x)

    return computed


_softmax = _formula(lambda x, m, e, r: e / (1 + r))
_rest_softmax = _formula(lambda x, m, e, r: np.where(e == 1, r, (1 + r) - e) / (1 + r))
_log_softmax = _formula(lambda x, m, e, r: np.where(x == m, 0, x - m) - np.log1p(r))


def _logsumexp(x: Any, axis: Axes, keepdims: bool) -> Any:
    x = x if x.dtype.kind == "f" else x.astype(dtypes.to_float(x.dtype))
    if not prod(x.shape[a] for a in axis):
        return np.sum(x, axis=axis, keepdims=keepdims) - inf
    m, _, r = _terms(x, axis, even=True)
    y = m + np.log1p(r)
    return y if keepdims else np.squeeze(y, axis=axis)


def _complex_exponentials(z: Any, axis: Axes) -> tuple[Any, Any]:
    m = np.max(z.real, axis=axis, keepdims=True, initial=-inf)
    shift = np.where(np.isfinite(m), m, 0)
    return shift, np.exp(z - shift)


def _softmax_step(z: Any, axis: Axes, even: bool = False) -> Any:
    e = _complex_exponentials(z, axis)[1]
    return e / np.sum(e, axis=axis, keepdims=True)


def _logsumexp_step(z: Any, axis: Axes, keepdims: bool) -> Any:
    shift, e = _complex_exponentials(z, axis)
    y = np.log(np.sum(e, axis=axis, keepdims=True)) + shift
    return y if keepdims else np.squeeze(y, axis=axis)


# --- derivatives ---
def _dominant(p: Any, v: Any, axis: Axes) -> Any:
    """Return v where its class has more than half of everything, which at most one has; else 0."""
    return sum(where(p > 0.5, v, 0), axis=axis, keepdims=True)


def softmax_product(p: Any, v: Any, axis: Axes) -> Any:
    """Return the product of the Jacobian of softmax, p_i (δ_ij - p_j), which is symmetric, with v.

    v counts against its mean under p. What is common to v changes nothing, so the v of a dominant class is subtracted
    first: with p close to 1 its own term would leave nothing of v - Σ p v.
    """
    v = v - _dominant(p, v, axis)
    return p * (v - sum(p * v, axis=axis, keepdims=True))


def log_softmax_adjoint(x: Any, y_bar: Any, axis: Axes) -> Any:
    """Return y_bar - p Σ y_bar for p = softmax(x): of a dominant class (1 - p) y_bar - p Σ (y_bar of the others)."""
    p, total = softmax_op(x, axis=axis), sum(y_bar, axis=axis, keepdims=True)
    others = sum(where(p > 0.5, 0, y_bar), axis=axis, keepdims=True)
    return where(p > 0.5, rest_softmax_op(x, axis=axis) * y_bar - p * others, y_bar - p * total)


def _log_softmax_jvp(y: Any, xs: Any, x_dots: Any, axis: Axes) -> Any:
    p, x_dot = softmax_op(xs[0], axis=axis), x_dots[0]
    x_dot = x_dot - _dominant(p, x_dot, axis)
    return x_dot - sum(p * x_dot, axis=axis, keepdims=True)


def _text(name: str, latex: str = "") -> dict[str, Any]:
    def option(axis: Axes) -> str:
        return "" if axis == (-1,) else f", axis={axis[0] if len(axis) == 1 else axis}"

    return {
        "text": lambda x, axis, even=False: f"{name}({{0}}{option(axis)})",
        "latex": lambda x, axis, even=False: latex + rf"\left({{0}}{option(axis)}\right)",
    }


def _examples(draw: Any) -> Any:
    shapes = [((5,), (-1,)), ((2, 3), (-1,)), ((2, 3), (-2,)), ((2, 3, 4), (-3, -1)), ((0, 3), (-1,)), ((3, 0), (-1,))]
    return [((draw(*shape),), {"axis": axis}) for shape, axis in shapes]


softmax_op: General = General(
    "softmax",
    _softmax,
    code=lambda x, axis, even=False: f"special.softmax({{0}}, axis={axis})",
    signature="(n)->(n)",
    jvp=lambda y, xs, x_dots, axis, even=False: softmax_product(y, x_dots[0], axis),
    vjp=lambda y_bar, y, xs, needs, axis, even=False: (softmax_product(y, y_bar, axis),),
    native=_softmax,
    complex_step=_softmax_step,
    half=True,
    examples=_examples,
    doc="y = softmax(x) over negative axes: the op behind `bprop.softmax`.",
    **_text("softmax", r"\operatorname{{softmax}}"),
)

rest_softmax_op: General = General(
    "rest_softmax",
    _rest_softmax,
    code=lambda x, axis: f"-np.expm1(special.log_softmax({{0}}, axis={axis}))",
    signature="(n)->(n)",
    jvp=lambda y, xs, x_dots, axis: -softmax_product(softmax_op(xs[0], axis=axis), x_dots[0], axis),
    vjp=lambda y_bar, y, xs, needs, axis: (-softmax_product(softmax_op(xs[0], axis=axis), y_bar, axis),),
    native=_rest_softmax,
    complex_step=lambda z, axis: 1 - _softmax_step(z, axis),
    half=True,
    level=1,
    examples=_examples,
    doc="y = 1 - softmax(x), the share of all others, also where softmax(x) is close to 1.",
    **_text("1 - softmax", r"1 - \operatorname{{softmax}}"),
)

log_softmax_op: General = General(
    "log_softmax",
    _log_softmax,
    code=lambda x, axis, even=False: f"special.log_softmax({{0}}, axis={axis})",
    signature="(n)->(n)",
    jvp=_log_softmax_jvp,
    vjp=lambda y_bar, y, xs, needs, axis: (log_softmax_adjoint(xs[0], y_bar, axis),),
    native=_log_softmax,
    complex_step=lambda z, axis: z - _logsumexp_step(z, axis, True),
    half=True,
    examples=_examples,
    doc="y = log softmax(x) over negative axes: the op behind `bprop.log_softmax`.",
    **_text("log_softmax", r"\log \operatorname{{softmax}}"),
)


def _logsumexp_partial(y: Any, x: Any, axis: Axes) -> Any:
    return softmax_op(x, axis=tuple(a - x.ndim for a in axis), even=True)


logsumexp_op = Reduction(
    "logsumexp",
    _logsumexp,
    partial=_logsumexp_partial,
    code=lambda x, axis, keepdims: "special.logsumexp({0}, axis={axis}, keepdims={keepdims})" if axis else "{0}",
    kind="float",
    complex_step=_logsumexp_step,
    native=_logsumexp,
    latex=r"\log \sum e^{{{0}}}",
)


# --- the functions ---
def _negative_axes(name: str, x: Array, axis: Any) -> Axes:
    return tuple(a - x.ndim for a in normalise_axes(name, axis, x.shape))


@function()
def logsumexp(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = log Σ eˣ over ``axis``, as m + log(1 + r) with the largest x, m, and r = Σ e^(x-m) of the others.

    Nothing overflows, and a small x beside a large one is not lost. ∂y/∂x = softmax(x), in even shares where all are
    -inf. The logsumexp of nothing is -inf.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly; Blanchard, Higham & Higham (2021).

    >>> import bprop
    >>> bprop.logsumexp(bprop.asarray([1000.0, 1000.0])).item() == 1000 + bprop.log(2.0).item()
    True
    >>> bprop.logsumexp(bprop.asarray([0.0, -40.0]))
    Array(4.24835426e-18)
    """
    return reduce(logsumexp_op, x, axis, keepdims)


@function()
def softmax(x: Any, /, axis: Any = -1) -> Array:
    """y = eˣ / Σ eˣ along ``axis`` (an integer, a tuple, or all axes), with the largest x subtracted first.

    Nothing overflows: softmax(a + b) = softmax(a) for every number b. Entries of infinity share evenly what there is;
    where all are -inf the result is NaN. Raises `ShapeError` for an axis out of range.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly.

    >>> import bprop
    >>> bprop.softmax(bprop.asarray([1000.0, 1000.0]))
    Array([0.5, 0.5])
    """
    x = array("softmax", x)
    y: Array = softmax_op(x, axis=_negative_axes("softmax", x, axis))
    return y


@function()
def log_softmax(x: Any, /, axis: Any = -1) -> Array:
    """y = x - logsumexp(x) along ``axis``: the logarithm of softmax, which is never taken after softmax.

    Computed as (x - m) - log(1 + r) with m and r of `logsumexp`, whose rounded sum would cost the digits of a large
    common offset. Axes, infinities and errors are those of `softmax`.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly.

    >>> import bprop
    >>> bprop.log_softmax(bprop.asarray([0.0, -1000.0]))
    Array([    0., -1000.])
    >>> bprop.log_softmax(bprop.asarray([1e20, 1e20]))
    Array([-0.69314718, -0.69314718])
    """
    x = array("log_softmax", x)
    y: Array = log_softmax_op(x, axis=_negative_axes("log_softmax", x, axis))
    return y
