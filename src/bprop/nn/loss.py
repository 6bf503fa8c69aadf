"""Losses: modules of two inputs, the outputs y of a model and the targets t. ``loss.bprop()`` starts the way back.

Each ``bprop`` here is the lecture's core step 1: from the discrepancy between outputs and targets to an error derivative.
"""

from typing import Any

import numpy as np

from ..core.error import ArgumentError, DTypeError, IndexingError, ShapeError
from ..core.shape import size_of
from ..core.value import Array, asarray
from ..ops import (
    arange,
    astype,
    log_softmax,
    logsumexp,
    negative,
    reshape,
    sigmoid,
    softmax,
    softplus,
    sum,
    where,
)
from .module import Module


class Loss(Module):
    """Base class of losses: ``fprop(y, t)`` returns a scalar E, ``bprop()`` returns ∂E/∂y alone.

    Write ``fprop``, and by hand, if you like, a ``bprop`` that returns the pair (∂E/∂y, ∂E/∂t), with ``None`` for targets
    that have no derivative. Under the transforms both are used. ``loss.bprop()`` answers with the first: the targets
    are data there.

    >>> import bprop
    >>> from bprop import nn
    >>> class AbsoluteError(nn.Loss):
    ...     def fprop(self, y, t):
    ...         return bprop.sum(abs(t - y))
    >>> loss = AbsoluteError()
    >>> loss.fprop(bprop.asarray([3.0]), bprop.asarray([1.0])), loss.bprop()
    (Array(2.), Array([1.]))
    """

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum"):
            raise ArgumentError(f"{type(self).__name__}: reduction is 'mean' or 'sum', not {reduction!r}")
        self.reduction = reduction

    def describe(self) -> str:
        """Return the reduction."""
        return f"reduction={self.reduction!r}" if "reduction" in self.__dict__ else ""

    def _answer(self, x_bar: Any) -> Any:
        return x_bar[0] if isinstance(x_bar, tuple) else x_bar

    def outputs(self, y: Any) -> Array:
        """Return y as an array, refusing what has no derivative."""
        y = asarray(y)
        if y.dtype.kind != "f":
            raise DTypeError(f"{type(self).__name__}: the outputs y are floating-point numbers, not {y.dtype}")
        return y

    def targets(self, y: Array, t: Any) -> Array:
        """Return t in the dtype of y: targets are data. Their shapes must be equal, or all would broadcast silently."""
        t = asarray(t)
        if t.shape != y.shape:
            raise ShapeError(
                f"{type(self).__name__}: outputs y have shape {y.shape} and targets t have shape {t.shape}; they must be "
                f"equal{_advice(y.shape, t.shape)}"
            )
        return t if t.dtype == y.dtype else astype(t, y.dtype)

    def share(self, shape: tuple[int, ...]) -> float:
        """Return the weight of an example in E: 1/N for the mean over a batch of ``shape``, 1 for the sum."""
        count = size_of(shape)
        if count == 0:
            raise ShapeError(f"{type(self).__name__}: the batch is empty (shape {shape}): there is no error to measure")
        return 1 / count if self.reduction == "mean" else 1.0


def _advice(y: tuple[int, ...], t: tuple[int, ...]) -> str:
    if y == (*t, 1):
        return ": write t[:, None]" if len(t) == 1 else f": write t.reshape({y})"
    if t == (*y, 1):
        return ": write t[:, 0]" if len(y) == 1 else f": write t.reshape({y})"
    return ""


class SquaredError(Loss):
    """E = ½ Σ (t - y)² over the outputs, mean (or sum, ``reduction="sum"``) over the batch, which is the first axis.

    ``y``, ``t``: of one shape, (N,) or (N, ...); a scalar is a batch of one. E has the dtype of y, to which t is
    converted. Raises `ShapeError` for unequal shapes and for an empty batch.

    **Source:** Leibe (2016), Backpropagation, core steps.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.SquaredError()
    >>> y, t = bprop.asarray([[1.0, 2.0], [2.0, 0.0]]), bprop.asarray([[0.0, 0.0], [1.0, 2.0]])
    >>> loss.fprop(y, t)
    Array(2.5)
    >>> loss.bprop()
    Array([[ 0.5,  1. ],
           [ 0.5, -1. ]])
    """

    def fprop(self, y: Any, t: Any) -> Array:
        """Return E."""
        y = self.outputs(y)
        t = self.targets(y, t)
        return 0.5 * self.share(y.shape[:1]) * sum((t - y) * (t - y))

    def bprop(self, E_bar: Any) -> Any:
        """Return ∂E/∂y and ∂E/∂t."""
        y = asarray(self.inputs[0])
        # Core step 1: the discrepancy as an error derivative, ∂E/∂y_j = -(t_j - y_j); a share of it if E is a mean.
        y_bar = -(self.targets(y, self.inputs[1]) - y) * (self.share(y.shape[:1]) * E_bar)
        return y_bar, -y_bar


class BinaryCrossEntropy(Loss):
    """E = -Σ t log σ(y) + (1 - t) log(1 - σ(y)), for logits y; mean over all entries, or sum.

    Computed as softplus(y) - t y, so that nothing overflows and no logarithm of 0 is taken: give it the activations
    before the sigmoid. ``y``, ``t``: of one shape, t in [0, 1] (bools and integers are converted). E has the dtype of y.
    Raises `ShapeError` for unequal shapes and where there are no entries, `ArgumentError` for targets outside [0, 1].

    ∂E/∂y = σ(y) - t: it does not vanish where the unit is saturated at the wrong end, unlike with `SquaredError`.

    **Source:** Leibe (2016), Backpropagation, nonlinearities and losses; Bishop (2006), eq. 4.90.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.BinaryCrossEntropy()
    >>> loss.fprop(bprop.asarray([-1000.0]), bprop.asarray([1.0])), loss.bprop()
    (Array(1000.), Array([-1.]))
    """

    def fprop(self, y: Any, t: Any) -> Array:
        """Return E."""
        y = self.outputs(y)
        t = self.targets(y, t)
        # for certain targets the difference of two infinities at an infinite logit is written as what it is
        E = where(t == 1, softplus(-y), where(t == 0, softplus(y), softplus(y) - t * y))
        return self.share(y.shape) * sum(E)

    def targets(self, y: Array, t: Any) -> Array:
        """Return t in the dtype of y, refusing what is no probability: E would have no lower bound."""
        t = super().targets(y, t)
        known = t.concrete()
        if known is not None and known.size:
            wrong = known[(known < 0) | (known > 1)]
            if wrong.size:
                raise ArgumentError(
                    f"BinaryCrossEntropy: target {wrong.flat[0]:g}: targets are probabilities in [0, 1], or labels 0 and 1"
                )
        return t

    def bprop(self, E_bar: Any) -> Any:
        """Return ∂E/∂y and ∂E/∂t."""
        y = asarray(self.inputs[0])
        t = self.targets(y, self.inputs[1])
        scale = self.share(y.shape) * E_bar
        # Core step 1: once more the discrepancy, σ(y) - t. The σ' of the sigmoid has cancelled.
        return (sigmoid(y) - t) * scale, -y * scale


class CrossEntropy(Loss):
    """E = -Σ_c t_c log softmax(y)_c for logits y, mean (or sum) over the examples.

    ``y``: (..., C), C logits per example. ``t``: integer labels (...) from 0 to C - 1, or (..., C), one-hot or any
    probabilities. E has the dtype of y. Computed as logsumexp(y) - y_t: the softmax is never formed on the way forward,
    let alone its logarithm. Raises `ShapeError` where shapes do not fit or the batch is empty, `IndexingError` for a
    label outside 0 … C - 1, `DTypeError` for labels that are no integers.

    ∂E/∂y = softmax(y) - t.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly; Bishop (2006), eq. 4.108, 4.109.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.CrossEntropy()
    >>> loss.fprop(bprop.asarray([[0.0, 0.0]]), [1])
    Array(0.69314718)
    >>> loss.bprop()
    Array([[ 0.5, -0.5]])
    """

    def fprop(self, y: Any, t: Any) -> Array:
        """Return E."""
        y = self.outputs(y)
        if not y.shape or y.shape[-1] == 0:
            raise ShapeError(f"CrossEntropy: y has shape {y.shape}; it needs an axis of logits, (..., C)")
        t = self.classes(y, t)
        share = self.share(y.shape[:-1])
        if t.dtype.kind == "b":  # a selection: an infinite logit of another class does not reach the sum as 0 · inf
            return share * sum(logsumexp(y, axis=-1) - sum(where(t, y, 0), axis=-1))
        return -share * sum(where(t == 0, 0, t * log_softmax(y)))

    def bprop(self, E_bar: Any) -> Any:
        """Return ∂E/∂y and ∂E/∂t (``None`` for labels)."""
        y = asarray(self.inputs[0])
        t = self.classes(y, self.inputs[1])
        scale = self.share(y.shape[:-1]) * E_bar
        # Core step 1 for softmax with cross-entropy: once more the discrepancy, softmax(y) - t.
        if t.dtype.kind == "b":
            return (softmax(y) - astype(t, y.dtype)) * scale, None
        # Probabilities sum to 1; for targets that do not, their sum weighs the softmax.
        y_bar = (softmax(y) * sum(t, axis=-1, keepdims=True) - t) * scale
        return y_bar, negative(log_softmax(y)) * scale

    def classes(self, y: Array, t: Any) -> Array:
        """Return the targets as (..., C): bool and one-hot from labels, else numbers in the dtype of y."""
        t = asarray(t)
        count = y.shape[-1]
        if t.shape == y.shape:
            return t if t.dtype == y.dtype else astype(t, y.dtype)
        if t.shape != y.shape[:-1]:
            raise ShapeError(
                f"CrossEntropy: outputs y have shape {y.shape} and targets t have shape {t.shape}; t is {y.shape[:-1]} for "
                f"labels or {y.shape} for probabilities"
            )
        if t.dtype.kind not in "iu":
            raise DTypeError(f"CrossEntropy: labels are integers, not {t.dtype}: write t.astype(int)")
        known = t.concrete()  # looked at only, to refuse labels that no class answers to
        if known is not None and known.size:
            wrong = known[(known < 0) | (known >= count)]
            if wrong.size:
                raise IndexingError(
                    f"CrossEntropy: label {wrong.flat[0]} with {count} classes: labels are 0 … {count - 1}"
                )
        return reshape(astype(t, np.int64), (*t.shape, 1)) == arange(count)
