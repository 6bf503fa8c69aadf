"""Convolution, correlation and digital filters of `scipy.signal`, by SciPy's names and arguments.

>>> import bprop
>>> bprop.grad(lambda k: bprop.sum(bprop.scipy.signal.convolve(bprop.asarray([1.0, 2.0]), k)))(bprop.ones(2))
Array([3., 3.])
"""

from typing import Any, Literal

import numpy as np

from ..core.error import ArgumentError, ShapeError
from ..core.lazy import exported
from ..core.op import array
from ..core.shape import normalise_axis
from ..core.value import Array
from ..ops.arrangement import flip, pad
from ..ops.complex import conj
from ..ops.concatenation import concat, stack
from ..ops.contraction import matmul
from ..ops.creation import zeros
from ..ops.indexing import take
from ..ops.manipulation import broadcast_to, moveaxis, reshape
from ..ops.recursive_filter import delayed, recursive_filter

__all__ = ["convolve", "correlate", "lfilter"]
__dir__ = exported(__name__)

Mode = Literal["full", "same", "valid"]


def _operands(name: str, in1: Any, in2: Any, mode: str, method: str) -> tuple[Array, Array]:
    in1, in2 = array(name, in1), array(name, in2)
    if mode not in ("full", "same", "valid"):
        raise ArgumentError(f"{name}: mode is 'full', 'same' or 'valid', not {mode!r}")
    if method not in ("direct", "auto"):
        raise ArgumentError(f"{name}: method is 'direct', not {method!r}: the sums are added up as they stand")
    if in1.ndim != in2.ndim or 0 in in1.shape + in2.shape:
        raise ShapeError(f"{name}: shapes {in1.shape} and {in2.shape}: both need the same number of axes, and entries")
    return in1, in2


def _windows(x: Array, shape: tuple[int, ...]) -> Array:
    """Return all windows of a shape, flattened: (number of windows, entries of one)."""
    counts = [n - k + 1 for n, k in zip(x.shape, shape, strict=True)]
    strides = np.cumprod([1, *x.shape[:0:-1]])[::-1]
    starts = sum(np.ix_(*(np.arange(c) * s for c, s in zip(counts, strides, strict=True)))) if counts else 0
    inside = sum(np.ix_(*(np.arange(k) * s for k, s in zip(shape, strides, strict=True)))) if counts else 0
    indices = np.ravel(starts)[:, None] + np.ravel(inside)
    return reshape(take(reshape(x, (-1,)), indices.ravel()), indices.shape)


def _convolved(in1: Array, in2: Array, mode: str) -> Array:
    bigger, smaller = in1, in2
    first = [n >= k for n, k in zip(in1.shape, in2.shape, strict=True)]
    if mode == "valid" and not all(first):
        if any(n > k for n, k in zip(in1.shape, in2.shape, strict=True)):
            raise ShapeError(
                f"convolve: for mode 'valid' one of the shapes {in1.shape} and {in2.shape} must be at least as large in every axis"
            )
        bigger, smaller = in2, in1
    kernel = flip(smaller)
    if mode != "valid":
        bigger = pad(bigger, [(k - 1, k - 1) for k in kernel.shape])
    shape = tuple(n - k + 1 for n, k in zip(bigger.shape, kernel.shape, strict=True))
    y = reshape(matmul(_windows(bigger, kernel.shape), reshape(kernel, (-1,))), shape)
    if mode == "same":
        starts = [(n - size) // 2 for n, size in zip(shape, in1.shape, strict=True)]
        y = y[tuple(slice(start, start + size) for start, size in zip(starts, in1.shape, strict=True))]
    return y


def convolve(in1: Any, in2: Any, mode: Mode = "full", method: Literal["auto", "direct"] = "auto") -> Array:
    """Return the convolution of two arrays with the same number of axes: yₙ = Σ in1ₘ in2ₙ₋ₘ, as sums of products.

    ``mode``: "full", "same" (the middle, of the shape of ``in1``) or "valid" (where the smaller one lies inside the larger).
    The cotangents are correlations. All windows are laid out first, which takes memory for every product. Raises `ShapeError`
    where shapes do not fit.

    **Source:** SciPy, ``scipy.signal.convolve`` with ``method="direct"``.

    >>> import bprop
    >>> bprop.scipy.signal.convolve(bprop.asarray([1.0, 2.0, 3.0]), bprop.asarray([1.0, 1.0]))
    Array([1., 3., 5., 3.])
    >>> bprop.scipy.signal.convolve(bprop.asarray([1.0, 2.0, 3.0]), bprop.asarray([1.0, 1.0]), mode="valid")
    Array([3., 5.])
    """
    return _convolved(*_operands("convolve", in1, in2, mode, method), mode)


def correlate(in1: Any, in2: Any, mode: Mode = "full", method: Literal["auto", "direct"] = "auto") -> Array:
    """Return the correlation of two arrays with the same number of axes: yₙ = Σ in1ₘ conj(in2ₘ₋ₙ), as sums of products.

    Modes and errors are those of `convolve`; the first entry of "full" is the product of the last of ``in2`` with the first of
    ``in1``.

    **Source:** SciPy, ``scipy.signal.correlate`` with ``method="direct"``.

    >>> import bprop
    >>> bprop.scipy.signal.correlate(bprop.asarray([1.0, 2.0, 3.0]), bprop.asarray([0.0, 1.0]))
    Array([1., 2., 3., 0.])
    """
    in1, in2 = _operands("correlate", in1, in2, mode, method)
    return _convolved(in1, flip(conj(in2)), mode)


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """Return a[0] yₙ = Σ b[k] xₙ₋ₖ - Σ a[k] yₙ₋ₖ along ``axis``, the output of the digital filter with these coefficients.

    ``b``, ``a``: (q,) and (p,), or numbers, differentiable as x is. ``zi``: the state of the delays before the first entry, of the shape of x
    with max(p, q) - 1 entries along ``axis``; then the result is y and the state after the last entry. The cotangent of x is
    y_bar filtered backwards in time. Raises `ShapeError` where shapes do not fit.

    **Source:** SciPy, ``scipy.signal.lfilter``; Oppenheim & Schafer (2010), Discrete-time signal processing, §6.3.

    >>> import bprop
    >>> bprop.scipy.signal.lfilter(bprop.asarray([1.0]), bprop.asarray([1.0, -0.5]), bprop.asarray([1.0, 0.0, 0.0]))
    Array([1.  , 0.5 , 0.25])
    """
    b, a, x = array("lfilter", b), array("lfilter", a), array("lfilter", x)
    b, a = (reshape(c, (1,)) if c.ndim == 0 else c for c in (b, a))
    if b.ndim != 1 or a.ndim != 1 or 0 in b.shape + a.shape:
        raise ShapeError(f"lfilter: b and a have shapes {b.shape} and {a.shape}, not (q,) and (p,)")
    axis = normalise_axis("lfilter", axis, x.ndim, x.shape)
    x = moveaxis(x, axis, -1)
    b, a = b / a[0], a / a[0]
    order = max(b.shape[0], a.shape[0]) - 1
    driven = b[0] * x
    for k in range(1, b.shape[0]):
        driven = driven + b[k] * delayed(x, k)
    if zi is None:
        return moveaxis(_fed_back(a, driven), -1, axis)
    state = moveaxis(array("lfilter", zi), axis, -1)
    if state.shape[-1] != order:
        raise ShapeError(
            f"lfilter: zi has {state.shape[-1]} entries along the axis, max(len(a), len(b)) - 1 is {order}"
        )
    state = broadcast_to(state, (*x.shape[:-1], order))
    y = _fed_back(a, driven + _fitted(state, x.shape[-1]))
    return moveaxis(y, -1, axis), moveaxis(_final_state(b, a, x, y, state, order), -1, axis)


def _fed_back(a: Array, x: Array) -> Array:
    return recursive_filter(a[1:], x) if a.shape[0] > 1 else x


def _fitted(x: Array, n: int) -> Array:
    """Return x with n entries along the last axis: cut, or with zeros behind."""
    if x.shape[-1] >= n:
        return x[..., :n]
    return concat([x, zeros((*x.shape[:-1], n - x.shape[-1]), dtype=x.dtype)], axis=-1)


def _final_state(b: Array, a: Array, x: Array, y: Array, zi: Array, order: int) -> Array:
    """Return what the delays hold at the end: for delay i the terms of entry n + i that are there already."""
    n = x.shape[-1]
    states = []
    for i in range(order):
        state = zi[..., n + i] if n + i < order else zeros(x.shape[:-1], dtype=x.dtype)
        for k in range(i + 1, order + 1):
            t = n + i - k
            if 0 <= t < n and k < b.shape[0]:
                state = state + b[k] * x[..., t]
            if 0 <= t < n and k < a.shape[0]:
                state = state - a[k] * y[..., t]
        states.append(state)
    return stack(states, axis=-1) if states else zeros((*x.shape[:-1], 0), dtype=x.dtype)
