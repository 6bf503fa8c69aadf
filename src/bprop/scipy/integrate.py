"""Integrals of sampled functions of `scipy.integrate`, by SciPy's names and arguments.

>>> import bprop
>>> bprop.grad(lambda y: bprop.scipy.integrate.simpson(y))(bprop.ones(3))
Array([0.33333333, 1.33333333, 0.33333333])
"""

from typing import Any

from ..core.error import ShapeError
from ..core.lazy import exported
from ..core.op import array
from ..core.shape import normalise_axis
from ..core.value import Array
from ..ops.concatenation import concat
from ..ops.creation import full
from ..ops.cumulative import cumulative_sum
from ..ops.manipulation import broadcast_to, moveaxis
from ..ops.reduction import sum
from ..ops.special_function import together

__all__ = ["cumulative_trapezoid", "simpson", "trapezoid"]
__dir__ = exported(__name__)


def _sampled(name: str, y: Any, x: Any, dx: Any, axis: int) -> tuple[Array, Any, int]:
    """Return the samples with the axis of integration last, the distances between them, and where the axis was."""
    y, dx = together(name, y, dx)
    axis = normalise_axis(name, axis, y.ndim, y.shape)
    y = moveaxis(y, axis, -1)
    if x is None:
        return y, broadcast_to(dx, (max(y.shape[-1] - 1, 0),)), axis
    x = array(name, x)
    if x.ndim > 1:
        x = moveaxis(x, axis, -1)
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(f"{name}: x has {x.shape[-1]} entries along the axis, y has {y.shape[-1]}")
    return y, x[..., 1:] - x[..., :-1], axis


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Array:
    """Return Σ (xₖ₊₁ - xₖ) (yₖ + yₖ₊₁)/2 along ``axis``; without ``x`` the samples are ``dx`` apart. Differentiable in all three.

    ``x``: (n,) or the shape of y. Raises `ShapeError` where shapes do not fit.

    **Source:** SciPy, ``scipy.integrate.trapezoid``.

    >>> import bprop
    >>> bprop.scipy.integrate.trapezoid(bprop.asarray([1.0, 2.0, 3.0]), x=bprop.asarray([0.0, 1.0, 3.0]))
    Array(6.5)
    """
    y, d, _ = _sampled("trapezoid", y, x, dx, axis)
    return sum(d * (y[..., 1:] + y[..., :-1]), axis=-1) * 0.5


def cumulative_trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None) -> Array:
    """Return the running sums of `trapezoid`, one entry fewer than y along ``axis``, or as many after ``initial`` (0).

    **Source:** SciPy, ``scipy.integrate.cumulative_trapezoid``.

    >>> import bprop
    >>> bprop.scipy.integrate.cumulative_trapezoid(bprop.asarray([1.0, 2.0, 3.0]), initial=0)
    Array([0. , 1.5, 4. ])
    """
    y, d, axis = _sampled("cumulative_trapezoid", y, x, dx, axis)
    result = cumulative_sum(0.5 * d * (y[..., 1:] + y[..., :-1]), axis=-1)
    if initial is not None:
        result = concat([full((*result.shape[:-1], 1), initial, dtype=result.dtype), result], axis=-1)
    return moveaxis(result, -1, axis)


def _parabolas(y: Array, d: Any) -> Array:
    """Return the integral of the parabolas through three samples each, for an odd number of samples."""
    h0, h1 = d[..., 0::2], d[..., 1::2]
    total, ratio = h0 + h1, h0 / h1
    y0, y1, y2 = y[..., 0:-2:2], y[..., 1:-1:2], y[..., 2::2]
    return sum(total / 6 * (y0 * (2 - 1 / ratio) + y1 * (total * (total / (h0 * h1))) + y2 * (2 - ratio)), axis=-1)


def simpson(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Array:
    """Return the integral of parabolas through the samples, Simpson's rule, also for unequal distances.

    Of an even number of samples the last interval is that of the parabola through the last three (Cartwright); of two it is the
    trapezoid. Differentiable in y, x and dx.

    **Source:** SciPy, ``scipy.integrate.simpson``; Cartwright (2017), Simpson's rule cumulative integration.

    >>> import bprop
    >>> bprop.scipy.integrate.simpson(bprop.asarray([0.0, 1.0, 4.0]))
    Array(2.66666667)
    """
    y, d, _ = _sampled("simpson", y, x, dx, axis)
    n = y.shape[-1]
    if n < 3:
        return sum(0.5 * d * (y[..., 1:] + y[..., :-1]), axis=-1)
    d = broadcast_to(d, (*y.shape[:-1], n - 1))
    if n % 2:
        return _parabolas(y, d)
    h1, h0 = d[..., -1], d[..., -2]
    last = (
        y[..., -1] * ((2 * h1 * h1 + 3 * h0 * h1) / (6 * (h0 + h1)))
        + y[..., -2] * ((h1 * h1 + 3 * h0 * h1) / (6 * h0))
        - y[..., -3] * (h1 * h1 * h1 / (6 * h0 * (h0 + h1)))
    )
    return _parabolas(y[..., :-1], d[..., :-1]) + last
