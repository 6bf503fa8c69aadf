"""Losses for classes: targets are labels or probabilities, outputs are logits (or logarithms of probabilities)."""

from math import inf
from typing import Any

import numpy as np

from ..core.error import DTypeError, IndexingError, ShapeError
from ..core.number import integer
from ..core.shape import normalise_axis
from ..core.value import Array, Tracer, asarray
from ..ops import (
    abs,
    arange,
    astype,
    expand_dims,
    log_softmax,
    moveaxis,
    negative,
    reshape,
    sigmoid,
    softmax,
    softplus,
    sum,
    take,
    where,
)
from ..ops.log_sum_exp import log_softmax_adjoint, rest_softmax_op
from .loss import Loss


class BinaryCrossEntropy(Loss):
    """E = -Σ t log σ(y) + (1 - t) log(1 - σ(y)), for logits y; mean over all entries, or sum.

    Computed as softplus(y) - t y, so that nothing overflows and no logarithm of 0 is taken: give it the activations
    before the sigmoid. ``y``, ``t``: of one shape, t in [0, 1] (bools and integers are converted). E has the dtype of
    y. Raises `ShapeError` for unequal shapes and where there are no entries, `ArgumentError` for targets outside [0,
    1].

    ∂E/∂y = σ(y) - t: it does not vanish where the unit is saturated at the wrong end, unlike with `SquaredError`.

    - ``reduction``: "mean" over the entries, "sum", or "none", which returns the error of every entry.

    **Source:** Leibe (2016), Backpropagation, nonlinearities and losses; Bishop (2006), eq. 4.90.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.BinaryCrossEntropy()
    >>> loss.fprop(bprop.asarray([-1000.0]), bprop.asarray([1.0])), loss.bprop()
    (Array(1000.), Array([-1.]))
    """

    def fprop(self, y: Any, t: Any) -> Array:
        y = self.outputs(y)
        t = self.targets(y, t)
        # softplus(-|y|) and what is missing, neither of which is negative: softplus(y) - t y would cancel
        positive = y > 0
        missing = where(positive, 1 - t, -t)
        slope = where((missing == 0) & (abs(y) == inf), 0, y)  # for certain targets 0 · inf is 0
        return self.reduce(softplus(where(positive, -y, y)) + missing * slope)

    def targets(self, y: Array, t: Any) -> Array:
        """Return t in the dtype of y, refusing what is no probability: E would have no lower bound.

        - ``y``, ``t``: outputs and targets of one shape. Raises `ArgumentError` outside [0, 1].
        """
        t = super().targets(y, t)
        self.check_numbers(t, lambda t: (t < 0) | (t > 1), "targets are probabilities in [0, 1], or labels 0 and 1")
        return t

    def bprop(self, E_bar: Any = None) -> Any:
        y = asarray(self.inputs[0])
        t = self.targets(y, self.inputs[1])
        scale = self.share(y.shape) * E_bar
        # Core step 1: once more the discrepancy, σ(y) - t. The σ' of the sigmoid has cancelled. With 1 - σ(y) = σ(-y)
        # it has all its digits where σ(y) is close to 1.
        return where(y > 0, (1 - t) - sigmoid(-y), sigmoid(y) - t) * scale, -y * scale


class ClassLoss(Loss):
    """Base class of losses with one label per example. A class may have a weight, and one label may be ignored."""

    def __init__(
        self, reduction: str = "mean", *, weight: Any = None, ignore_index: int | None = None, axis: int = -1
    ) -> None:
        super().__init__(reduction)
        self.weight: tuple[float, ...] | None = None
        if weight is not None:
            weights = asarray(weight)
            if weights.ndim != 1 or weights.dtype.kind not in "fiu":
                raise ShapeError(
                    f"{type(self).__name__}: weight has shape {weights.shape} and dtype {weights.dtype}; it is (C,) numbers"
                )
            self.weight = tuple(self.setting("weight", value, 0) for value in weights.tolist())
        self.ignore_index = (
            None
            if ignore_index is None
            else integer(self, "ignore_index", ignore_index, -(2**63), allowed="an integer")
        )
        self.axis = integer(self, "axis", axis, -(2**63), allowed="an integer")

    def example(self) -> tuple[Any, ...]:
        """Return logits and labels."""
        count = 4 if self.weight is None else len(self.weight)
        t = np.zeros((2,) * max(1, self.axis, -self.axis - 1), np.int64)
        return np.zeros((*t.shape, count)).swapaxes(self.axis, -1), t

    def logits(self, y: Any) -> Array:
        """Return the outputs y with the classes on the last axis, refusing those without an axis of classes.

        - ``y``: (..., C), floating, or with the classes on ``axis``. Raises `ShapeError`, also where C is not the number of
          weights.
        """
        y = self.outputs(y)
        kind = type(self).__name__
        y = self.classes_last(y) if y.shape else y
        if not y.shape or y.shape[-1] == 0:
            raise ShapeError(f"{kind}: y has shape {y.shape}; it needs an axis of logits, (..., C)")
        if self.weight is not None and len(self.weight) != y.shape[-1]:
            raise ShapeError(f"{kind}: weight has {len(self.weight)} entries for {y.shape[-1]} classes")
        return y

    def classes_last(self, y: Array) -> Array:
        """Return y, (..., C, ...) with C on ``axis``, as (..., C)."""
        axis = normalise_axis(type(self).__name__, self.axis, y.ndim, y.shape)
        return y if axis == y.ndim - 1 else moveaxis(y, axis, -1)

    def mask(self, y: Array, mask: Any) -> Array | None:
        """Return the mask as an array; raise where it is not of bools in the shape of the labels.

        - ``y``: the logits, (..., C). ``mask``: (...), or ``None`` for none.
        """
        if mask is None:
            return None
        mask = asarray(mask)
        if mask.shape != y.shape[:-1] or mask.dtype.kind != "b":
            raise ShapeError(
                f"{type(self).__name__}: mask is {mask.spec}; it is bool{list(y.shape[:-1])}, one entry for each label, True where "
                f"it counts"
            )
        return mask

    def weights(self, y: Array) -> Any:
        """Return the weight of every class in the dtype of y, or 1.

        - ``y``: the logits, (..., C).
        """
        return 1.0 if self.weight is None else asarray(np.array(self.weight, y.dtype))

    def one_hot(self, y: Array, t: Any, mask: Array | None = None) -> Array:
        """Return labels as bool (..., C), True at the label; a row is False where the label is to be ignored.

        - ``y``: the logits, (..., C). ``t``: integer labels, (...). ``mask``: False where any label will do. Raises `ShapeError`, `DTypeError`, and
          `IndexingError` for a label that no class has.
        """
        kind, t, count = type(self).__name__, asarray(t), y.shape[-1]
        if t.shape != y.shape[:-1]:
            raise ShapeError(
                f"{kind}: outputs y have shape {y.shape} and targets t have shape {t.shape}; t is {y.shape[:-1]} for labels"
            )
        if t.dtype.kind not in "iu":
            raise DTypeError(f"{kind}: labels are integers, not {t.dtype}: write t.astype(int)")
        if mask is not None:
            t = where(mask, t, asarray(np.zeros((), t.dtype)))
        labels = t.concrete()  # only to refuse labels of no class: the numbers do not enter the result
        if labels is not None and labels.size:
            wrong = (labels < 0) | (labels >= count)
            if self.ignore_index is not None:
                wrong &= labels != self.ignore_index
            if wrong.any():
                example = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
                where_it_is = f" (example {', '.join(str(int(index)) for index in example)})" if example else ""
                raise IndexingError(
                    f"{kind}: label {labels[example]} with {count} classes{where_it_is}: labels are 0 … {count - 1}"
                )
        runs = isinstance(t, Tracer) and t.owner.runs
        t = astype(t, np.int64)
        if runs:  # no numbers yet: `take` refuses a label out of range when the program runs
            index = where(t < 0, count, t)  # below zero it would count from the end
            if self.ignore_index is None:
                t = take(arange(count), index)
            else:
                t = where(t == self.ignore_index, t, take(arange(count), where(t == self.ignore_index, 0, index)))
        t = reshape(t, (*t.shape, 1))
        chosen = t == arange(count)
        if mask is not None:
            chosen = chosen & expand_dims(mask, -1)
        return chosen if self.ignore_index is None else chosen & (t != self.ignore_index)

    def count(self, t: Any, axes: int) -> float:
        """Return the sum of the weights of all labels that are not ignored; for probabilities the number of examples.

        - ``t``: the targets. ``axes``: how many axes the outputs have.
        """
        labels = np.asarray(t)
        if labels.ndim != axes - 1:
            return len(labels)
        labels = labels[labels != self.ignore_index]  # all, where that is None
        return float(labels.size if self.weight is None else np.sum(np.array(self.weight)[labels]))

    @property
    def even(self) -> bool:
        """Whether `count` is the same for all batches of one shape."""
        return type(self).count is ClassLoss.count and self.weight is None and self.ignore_index is None

    def total(self, y: Array, chosen: Array, mask: Array | None = None) -> Any:
        """Return the divisor of the mean: the sum of the weights of all labels that are not ignored; 1 for the sum.

        - ``y``: the logits, (..., C). ``chosen``: the labels as `one_hot` returns them for ``mask``.
        """
        share = self.share(y.shape[:-1])
        if self.reduction != "mean" or (self.weight is None and self.ignore_index is None and mask is None):
            return 1 / share
        return sum(where(chosen, self.weights(y), asarray(np.zeros((), y.dtype))))

    def _mean(self, E: Array, total: Any) -> Array:
        """Return the mean or sum of ``E``, the errors of the examples, by its divisor; with "none" ``E`` itself.

        - ``E``: the errors, (...). ``total``: the divisor, as `total` returns it.
        """
        return E if self.reduction == "none" else sum(E) / total


class CrossEntropy(ClassLoss):
    """E = -Σ_c w_c q_c log softmax(y)_c for logits y, mean (or sum) over the examples.

    ``y``: (..., C), C logits per example. ``t``: integer labels (...) from 0 to C - 1, or (..., C), one-hot or any
    probabilities p ≥ 0 (if they do not sum to 1, E is as the formula says). q is t, one-hot for labels, mixed with
    ``label_smoothing`` ε: q = (1 - ε) t + ε/C. w is ``weight``, (C,), or 1. Labels equal to ``ignore_index`` add
    nothing. The mean over labels divides by the sum of their weights, over probabilities by their number, as in
    PyTorch; if all labels are ignored it is NaN, and its derivative is 0.

    Of sequences of unequal lengths ``fprop(y, t, mask)`` takes those entries where ``mask``, bool (...), is True: (batch,
    time) for y (batch, time, C), say `sequence_mask` of the lengths. The others add nothing, are not counted, and may
    hold any label and any logits.

    E has the dtype of y. Computed from log softmax(y) = y - max y - log(1 + …): the softmax is never formed in the
    forward pass, let alone its logarithm. Neither a common offset of the logits nor a class that takes nearly
    everything costs digits. Raises `ShapeError` where shapes do not fit or the batch is empty, `IndexingError` for a
    label outside 0 … C - 1, `DTypeError` for labels that are no integers, `ArgumentError` for negative probabilities.

    ∂E/∂y = softmax(y) Σ w q - w q, which is softmax(y) - t without the options.

    - ``reduction``: "mean" over the examples, "sum", or "none", which returns the error of every example.
    - ``weight``: w, (C,) numbers ≥ 0.
    - ``ignore_index``: the label to be ignored, an integer.
    - ``label_smoothing``: ε in [0, 1].
    - ``axis``: the axis of y (and of t, where it holds probabilities) on which the classes are: -1, or 1 for (batch, C, time)
      and (N, C, H, W), as PyTorch has them. The text above has them moved to the last.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly; Bishop (2006), eq. 4.108, 4.109; Szegedy
    et al. (2016), Rethinking the inception architecture, section 7; PyTorch, ``torch.nn.CrossEntropyLoss``.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.CrossEntropy()
    >>> loss.fprop(bprop.asarray([[0.0, 0.0]]), [1])
    Array(0.69314718)
    >>> loss.bprop()
    Array([[ 0.5, -0.5]])
    """

    def __init__(
        self,
        reduction: str = "mean",
        *,
        weight: Any = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        super().__init__(reduction, weight=weight, ignore_index=ignore_index, axis=axis)
        self.label_smoothing = self.setting("label_smoothing", label_smoothing, 0, 1, open_high=False)

    def example(self) -> tuple[Any, ...]:
        """Return logits and probabilities."""
        y, _ = super().example()
        return y, y

    def fprop(self, y: Any, t: Any, mask: Any = None) -> Array:
        y = self.logits(y)
        mask = self.mask(y, mask)
        t = self.classes(y, t, mask)
        if self._is_selection(t):  # an infinite logit of another class does not reach the sum as 0 · inf
            return self._mean(-sum(where(t, log_softmax(y), 0), axis=-1), self.total(y, t, mask))
        a, z = self._coefficients(y, t), log_softmax(y)
        E = -sum(a * where((a == 0) & (z == -inf), 0, z), axis=-1)
        return self._mean(E if mask is None else where(mask, E, 0), self._total(y, t, mask))

    def bprop(self, E_bar: Any = None) -> Any:
        """Return ∂E/∂y and ∂E/∂t (``None`` for labels)."""
        y = self.logits(self.inputs[0])
        mask = self.mask(y, self.inputs[2]) if len(self.inputs) > 2 else None
        t = self.classes(y, self.inputs[1], mask)
        total = self._total(y, t, mask)
        ignores = mask is not None or (t.dtype.kind == "b" and self.ignore_index is not None)
        if ignores and self.reduction == "mean":
            total = where(total == 0, 1, total)  # all labels are ignored: E is 0/0, but its derivative is 0
        scale = self.spread(E_bar, 1) / total
        if mask is not None:
            scale = where(expand_dims(mask, -1), scale, 0)
            y = where(expand_dims(mask, -1), y, 0)  # any number will do, but 0 · NaN
        # Core step 1 for softmax with cross-entropy: once more the discrepancy, softmax(y) - t. At the label that is
        # -(1 - softmax(y)), computed as the sum over the other classes: the subtraction has no correct bit close to 1.
        if self._is_selection(t):
            return self._classes_back(where(t, -rest_softmax_op(y, axis=(-1,)), softmax(y)) * scale), None
        # Probabilities sum to 1. For targets that do not, and for weights, the softmax is multiplied by their sum:
        # softmax(y) Σ a - a, again without cancellation.
        a = self._coefficients(y, t)
        y_bar = self._classes_back(-log_softmax_adjoint(y, a, (-1,)) * scale)
        if t.dtype.kind == "b":
            return y_bar, None
        t_bar = negative(log_softmax(y)) * ((1 - self.label_smoothing) * self.weights(y)) * scale
        return y_bar, self._classes_back(t_bar)

    def classes(self, y: Array, t: Any, mask: Array | None = None) -> Array:
        """Return the targets as (..., C): bool and one-hot from labels, else numbers in the dtype of y.

        - ``y``: the logits, (..., C). ``t``: labels, (...), or probabilities with the classes on ``axis``. ``mask``: False where
          any target will do.
        """
        t = asarray(t)
        if t.ndim == y.ndim:
            t = self.classes_last(t)
        if t.shape == y.shape:
            t = t if t.dtype == y.dtype else astype(t, y.dtype)
            if mask is not None:
                t = where(expand_dims(mask, -1), t, 0)
            self.check_numbers(t, lambda t: t < 0, "targets are labels or probabilities, which are not negative")
            return t
        if t.shape != y.shape[:-1]:
            raise ShapeError(
                f"CrossEntropy: outputs y have shape {y.shape} and targets t have shape {t.shape}; t is {y.shape[:-1]} for "
                f"labels or {y.shape} for probabilities{'' if self.axis == -1 else f' (axis {self.axis} moved to the end)'}"
            )
        return self.one_hot(y, t, mask)

    def _classes_back(self, y_bar: Array) -> Array:
        """Return (..., C) with the classes on ``axis`` again."""
        axis = normalise_axis("CrossEntropy", self.axis, y_bar.ndim, y_bar.shape)
        return y_bar if axis == y_bar.ndim - 1 else moveaxis(y_bar, -1, axis)

    def _coefficients(self, y: Array, t: Array) -> Array:
        """Return w q, by which -log softmax(y) is weighted."""
        q = astype(t, y.dtype)
        if self.label_smoothing:
            q = (1 - self.label_smoothing) * q + self.label_smoothing / y.shape[-1]
        a = self.weights(y) * q
        if t.dtype.kind == "b" and self.ignore_index is not None and self.label_smoothing:
            a = where(sum(t, axis=-1, keepdims=True) == 0, 0, a)
        return a

    def _total(self, y: Array, t: Array, mask: Array | None) -> Any:
        if t.dtype.kind == "b":
            return self.total(y, t, mask)
        share = self.share(y.shape[:-1])
        return 1 / share if mask is None or self.reduction != "mean" else sum(astype(mask, y.dtype))

    def _is_selection(self, t: Array) -> bool:
        """Return whether E is minus one logarithm for each example, not a sum of several with weights."""
        plain = self.weight is None and self.ignore_index is None and not self.label_smoothing
        return plain and t.dtype.kind == "b"


class NegativeLogLikelihood(ClassLoss):
    """E = -w_t y_t for logarithms y of probabilities, mean (or sum) over the examples.

    ``y``: (..., C), from `LogSoftmax`, say; ``t``: integer labels (...). The mean is that of `CrossEntropy`, which
    takes logits and is the better choice for them. Errors, and the mask of ``fprop(y, t, mask)``, are those of
    `CrossEntropy`.

    - ``reduction``: "mean" over the examples, "sum", or "none", which returns the error of every example.
    - ``weight``: w, (C,) numbers ≥ 0.
    - ``ignore_index``: the label to be ignored, an integer.
    - ``axis``: the axis of y on which the classes are.

    **Source:** Bishop (2006), eq. 4.108; PyTorch, ``torch.nn.NLLLoss``.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.NegativeLogLikelihood()
    >>> loss.fprop(bprop.asarray([[-0.5, -1.0], [-2.0, -0.1]]), [1, 0]), loss.bprop()
    (Array(1.5), Array([[ 0. , -0.5],
           [-0.5,  0. ]]))
    """

    def fprop(self, y: Any, t: Any, mask: Any = None) -> Array:
        y = self.logits(y)
        mask = self.mask(y, mask)
        chosen = self.one_hot(y, t, mask)
        return self._mean(-sum(where(chosen, self.weights(y) * y, 0), axis=-1), self.total(y, chosen, mask))
