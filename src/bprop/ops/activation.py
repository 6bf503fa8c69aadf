"""Composites: plain functions of ops. No declaration at all; every interpretation follows."""

from typing import Any

from ..core.function import function
from ..core.op import array
from ..core.shape import normalise_axis
from ..core.value import Array
from .exponential import exp
from .reduction import logsumexp, max, sum
from .selection import stop_gradient, where

__all__ = ["hard_tanh", "log_softmax", "relu", "softmax"]


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
    return where(x >= 1, 1, where(x <= -1, -1, x))


def _axis(name: str, x: Array, axis: int) -> int:
    if not x.shape:
        return normalise_axis(name, axis, 0, ())
    return normalise_axis(name, axis, x.ndim, x.shape)


@function()
def softmax(x: Any, /, axis: int = -1) -> Array:
    """y = eˣ / Σ eˣ along ``axis``, with the largest activation subtracted first, so that nothing overflows.

    softmax(a + b) = softmax(a) for every number b. Raises `ShapeError` for an axis out of range.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly.

    >>> import bprop
    >>> bprop.softmax(bprop.asarray([1000.0, 1000.0]))
    Array([0.5, 0.5])
    """
    x = array("softmax", x)
    axis = _axis("softmax", x, axis)
    e = exp(x - stop_gradient(max(x, axis=axis, keepdims=True)))
    return e / sum(e, axis=axis, keepdims=True)


@function()
def log_softmax(x: Any, /, axis: int = -1) -> Array:
    """y = x - logsumexp(x) along ``axis``: the logarithm of softmax, which is never taken after softmax.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly.

    >>> import bprop
    >>> bprop.log_softmax(bprop.asarray([0.0, -1000.0]))
    Array([    0., -1000.])
    """
    x = array("log_softmax", x)
    return x - logsumexp(x, axis=_axis("log_softmax", x, axis), keepdims=True)
