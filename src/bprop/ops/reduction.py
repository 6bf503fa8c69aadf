"""Reductions: sum, max, logsumexp, mean. Each declares how two states combine and one partial, y broadcast back."""

from math import inf
from typing import Any

import numpy as np

from ..core.dtype import to_float
from ..core.family import Reduction
from ..core.function import function
from ..core.op import array
from ..core.shape import normalise_axes
from ..core.value import Array
from .arithmetic import add
from .exponential import exp, log
from .selection import astype, maximum, where

__all__ = ["logsumexp", "max", "mean", "sum"]


def _reduce(op: Reduction, x: Any, axis: Any, keepdims: bool) -> Array:
    x = array(op.name, x)
    return op(x, axis=normalise_axes(op.name, axis, x.shape), keepdims=bool(keepdims))


_sum = Reduction(
    "sum",
    lambda x, axis, keepdims: (
        np.add.reduce(x, axis=axis, keepdims=keepdims)
        if x.dtype.kind == "f"
        else np.sum(x, axis=axis, keepdims=keepdims)
    ),
    init=(0,),
    combine=lambda s, x: (add(s, x),),
    finish=lambda s: s,
    merge=lambda s, t: (add(s, t),),
    neutral=True,
    partial=1,
    kind="sum",
    latex=r"\sum {0}",
)


@function(np.sum)
def sum(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = Σ x over ``axis`` (an integer, a tuple, or all axes); ∂y/∂x = 1.

    Small integers and bool sum in int64 (uint64). The sum of nothing is 0. Raises `ShapeError` for an axis out of range.

    **Source:** Python Array API standard 2024.12, ``sum``.

    >>> import bprop
    >>> bprop.sum(bprop.ones((2, 3)), axis=0)
    Array([2., 2., 2.])
    """
    return _reduce(_sum, x, axis, keepdims)


def _max_share(y: Any, x: Any, axis: tuple[int, ...]) -> Any:
    chosen = astype(x == y, dtype=x.dtype)
    return chosen / _sum(chosen, axis=axis, keepdims=True)


def _max_step(z: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    chosen = z.real == np.max(z.real, axis=axis, keepdims=True)
    count = np.sum(chosen, axis=axis, keepdims=keepdims)
    return np.sum(np.where(chosen, z, 0), axis=axis, keepdims=keepdims) / count


_max = Reduction(
    "max",
    lambda x, axis, keepdims: np.max(x, axis=axis, keepdims=keepdims),
    init=(-inf,),
    combine=lambda m, x: (maximum(m, x),),
    finish=lambda m: m,
    merge=lambda m, n: (maximum(m, n),),
    neutral=True,
    share=_max_share,
    empty=False,
    step=_max_step,
    latex=r"\max {0}",
)


@function(np.max)
def max(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = the largest entry along ``axis``; its cotangent goes to the largest entry, in equal shares at ties.

    NaN propagates. Raises `ShapeError` over an empty axis.

    **Source:** Python Array API standard 2024.12, ``max``; JAX's convention at ties.

    >>> import bprop
    >>> bprop.grad(bprop.max)(bprop.asarray([1.0, 3.0, 3.0]))
    Array([0. , 0.5, 0.5])
    """
    return _reduce(_max, x, axis, keepdims)


def _logsumexp_value(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    x = x if x.dtype.kind == "f" else x.astype(to_float(x.dtype))
    largest = np.max(x, axis=axis, keepdims=True, initial=-inf)
    shift = np.where(np.isfinite(largest), largest, 0).astype(x.dtype)
    y = np.log(np.sum(np.exp(x - shift), axis=axis, keepdims=True)) + shift
    return y if keepdims else np.squeeze(y, axis=axis)


def _logsumexp_step(z: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    largest = np.max(z.real, axis=axis, keepdims=True, initial=-inf)
    shift = np.where(np.isfinite(largest), largest, 0)
    y = np.log(np.sum(np.exp(z - shift), axis=axis, keepdims=True)) + shift
    return y if keepdims else np.squeeze(y, axis=axis)


def _shift(m: Any) -> Any:
    return where((m == inf) | (m == -inf), 0 * exp(-abs(m)), m)


def _logsumexp_combine(m: Any, s: Any, x: Any) -> tuple[Any, Any]:
    larger = maximum(m, x)
    shift = _shift(larger)
    return larger, s * exp(m - shift) + exp(x - shift)


def _logsumexp_merge(m: Any, s: Any, n: Any, t: Any) -> tuple[Any, Any]:
    larger = maximum(m, n)
    shift = _shift(larger)
    return larger, s * exp(m - shift) + t * exp(n - shift)


def _logsumexp_partial(y: Any, x: Any) -> Any:
    """The softmax e^(x-y); where x = y = ±inf the difference has no value, but the share has."""
    return where(x == y, astype(x != -inf, dtype=y.dtype), exp(x - y))


_logsumexp = Reduction(
    "logsumexp",
    _logsumexp_value,
    init=(-inf, 0),
    combine=_logsumexp_combine,
    finish=lambda m, s: _shift(m) + log(s),
    merge=_logsumexp_merge,
    partial=_logsumexp_partial,
    kind="float",
    step=_logsumexp_step,
    latex=r"\log \sum e^{{{0}}}",
)


@function()
def logsumexp(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = log Σ eˣ over ``axis``, with the largest x subtracted first, so that nothing overflows; ∂y/∂x = softmax(x).

    The logsumexp of nothing is -inf.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly; Blanchard, Higham & Higham (2021).

    >>> import bprop
    >>> bprop.logsumexp(bprop.asarray([1000.0, 1000.0])).item() == 1000 + bprop.log(2.0).item()
    True
    """
    return _reduce(_logsumexp, x, axis, keepdims)


@function(np.mean)
def mean(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = Σ x / n over ``axis``; ∂y/∂x = 1/n. Integers give float64; the mean of nothing is NaN.

    **Source:** Python Array API standard 2024.12, ``mean``.

    >>> import bprop
    >>> bprop.mean(bprop.asarray([1.0, 2.0, 6.0]))
    Array(3.)
    """
    x = array("mean", x)
    axes = normalise_axes("mean", axis, x.shape)
    count = 1
    for one in axes:
        count *= x.shape[one]
    total = _sum(x, axis=axes, keepdims=bool(keepdims))
    return total / count if count else total * float("nan")
