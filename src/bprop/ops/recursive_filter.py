"""The recursive part of a digital filter: yₙ = xₙ - Σ aₖ yₙ₋ₖ over k from 1 to p."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.family import General
from .arrangement import flip
from .concatenation import concat, stack
from .creation import zeros
from .linear_system import in_float
from .reduction import sum

__all__: list[str] = []


def delayed(x: Any, k: int) -> Any:
    """Return x moved on by k places along the last axis, with zeros in front."""
    n = x.shape[-1]
    k = min(k, n)
    return concat([zeros((*x.shape[:-1], k), dtype=x.dtype), x[..., : n - k]], axis=-1)


def _value(a: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    from scipy import signal

    a, x = in_float(a, x)
    batch = np.broadcast_shapes(a.shape[:-1], x.shape[:-1])
    a, x = np.broadcast_to(a, batch + a.shape[-1:]), np.broadcast_to(x, batch + x.shape[-1:])
    y = np.empty(x.shape, x.dtype)
    for entry in np.ndindex(batch):
        y[entry] = signal.lfilter(np.ones(1, x.dtype), np.append(np.ones(1, x.dtype), a[entry]), x[entry])
    return y


def _history(y: Any, count: int) -> Any:
    """Return y delayed by 1, 2, … places, one row each."""
    return stack([delayed(y, k) for k in range(1, count + 1)], axis=-2)


def _jvp(y: Any, xs: Any, x_dots: Any) -> Any:
    a_dot, x_dot = x_dots
    right = None if a_dot is None else -sum(a_dot[..., None] * _history(y, a_dot.shape[-1]), axis=-2)
    right = x_dot if right is None else right if x_dot is None else x_dot + right
    return recursive_filter(xs[0], right)


def _vjp(y_bar: Any, y: Any, xs: Any, needs: Any) -> tuple[Any, Any]:
    """The cotangent of x is y_bar filtered backwards in time; that of aₖ its product with y delayed by k."""
    x_bar = flip(recursive_filter(xs[0], flip(y_bar, axis=-1)), axis=-1)
    a_bar = -sum(x_bar[..., None, :] * _history(y, xs[0].shape[-1]), axis=-1) if needs[0] else None
    return a_bar, x_bar


recursive_filter = General(
    "recursive_filter",
    _value,
    signature="(p),(n)->(n)",
    jvp=_jvp,
    vjp=_vjp,
    takes_complex=True,
    complex_step=False,
    examples=lambda draw: [((0.2 * draw(*a), draw(*x)), {}) for a, x in (((2,), (5,)), ((1,), (2, 4)), ((2, 2), (3,)))],
    latex=r"\operatorname{{filter}}({0}, {1})",
    doc="y with yₙ + Σ aₖ yₙ₋ₖ = xₙ along the last axis: what `bprop.scipy.signal.lfilter` is made of.",
)
