"""Losses for classes that ask for a margin: outputs are scores, targets are labels or signs."""

from typing import Any

import numpy as np

from ..core.error import ArgumentError
from ..core.value import Array, asarray
from ..ops import softplus, sum, where
from .classification_loss import ClassLoss
from .loss import Loss


class MultiClassHinge(ClassLoss):
    """E = w_t/C Σ_{c≠t} max(0, m - y_t + y_c)^p, mean (or sum) over the examples.

    ``y``: (..., C) scores, ``t``: integer labels (...). The mean divides by the number of examples, also with weights.
    At the kink of p = 1 the derivative is 0. Errors are those of `CrossEntropy`.

    - ``reduction``: "mean" over the examples, "sum", or "none", which returns the error of every example.
    - ``p``: the power, 1 or 2.
    - ``margin``: m, a number.
    - ``weight``: w, (C,) numbers ≥ 0.

    **Source:** Crammer & Singer (2001), On the algorithmic implementation of multiclass kernel-based vector machines,
    in the sum over classes of Weston & Watkins (1999); PyTorch, ``torch.nn.MultiMarginLoss``.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.MultiClassHinge()
    >>> loss.fprop(bprop.asarray([[1.0, 0.5, -3.0, 1.0]]), [0]), loss.bprop()
    (Array(0.375), Array([[-0.5 ,  0.25,  0.  ,  0.25]]))
    """

    def __init__(self, reduction: str = "mean", *, p: int = 1, margin: float = 1.0, weight: Any = None) -> None:
        super().__init__(reduction, weight=weight)
        if p not in (1, 2) or isinstance(p, bool):
            raise ArgumentError(f"MultiClassHinge: p is 1 or 2, not {p!r}")
        self.p = int(p)
        self.margin = self.setting("margin", margin)

    def count(self, t: Any, axes: int) -> float:
        """Return the number of examples: the mean does not divide by weights.

        - ``t``: the targets. ``axes``: how many axes the outputs have.
        """
        return float(np.size(t))

    @property
    def even(self) -> bool:
        """Whether `count` is the same for all batches of one shape."""
        return type(self).count is MultiClassHinge.count

    def fprop(self, y: Any, t: Any) -> Array:
        y = self.logits(y)
        chosen = self.one_hot(y, t)
        right = sum(where(chosen, y, 0), axis=-1, keepdims=True)
        gap = self.margin - right + y
        gap = where(chosen | (gap <= 0), 0, gap)
        E = sum(gap if self.p == 1 else gap * gap, axis=-1) / y.shape[-1]
        if self.weight is not None:
            E = E * sum(where(chosen, self.weights(y), asarray(np.zeros((), y.dtype))), axis=-1)
        return self.reduce(E)


class Hinge(Loss):
    """E = max(0, m - t y)^p for scores y and targets t = ±1, mean (or sum) over all entries.

    ``y``, ``t``: of one shape. At the kink of p = 1 the derivative is 0. Raises `ShapeError` for unequal shapes and
    where there are no entries, `ArgumentError` for targets other than -1 and 1.

    - ``reduction``: "mean" over the entries, "sum", or "none", which returns the error of every entry.
    - ``p``: the power, 1 or 2.
    - ``margin``: m, a number.

    **Source:** Cortes & Vapnik (1995), Support-vector networks; Bishop (2006), eq. 7.44.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.Hinge()
    >>> loss.fprop(bprop.asarray([0.5, 0.0]), [-1, 1]), loss.bprop()
    (Array(1.25), Array([ 0.5, -0.5]))
    """

    def __init__(self, reduction: str = "mean", *, p: int = 1, margin: float = 1.0) -> None:
        super().__init__(reduction)
        if p not in (1, 2) or isinstance(p, bool):
            raise ArgumentError(f"Hinge: p is 1 or 2, not {p!r}")
        self.p = int(p)
        self.margin = self.setting("margin", margin)

    def fprop(self, y: Any, t: Any) -> Array:
        y = self.outputs(y)
        gap = self.margin - signs(self, y, t) * y
        gap = where(gap <= 0, 0, gap)
        return self.reduce(gap if self.p == 1 else gap * gap)


class SoftMargin(Loss):
    """E = log(1 + e^(-t y)) for scores y and targets t = ±1, mean (or sum) over all entries; nothing overflows.

    ``y``, ``t``: of one shape. Errors are those of `Hinge`.

    - ``reduction``: "mean" over the entries, "sum", or "none", which returns the error of every entry.

    **Source:** Hastie, Tibshirani & Friedman (2009), The elements of statistical learning, eq. 10.18; PyTorch,
    ``torch.nn.SoftMarginLoss``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.SoftMargin()(bprop.asarray([1e4, -1e4]), [-1, -1])
    Array(5000.)
    """

    def fprop(self, y: Any, t: Any) -> Array:
        y = self.outputs(y)
        return self.reduce(softplus(-signs(self, y, t) * y))


def signs(loss: Loss, y: Array, t: Any) -> Array:
    """Return targets in the dtype of y, refusing all but -1 and 1."""
    t = loss.targets(y, t)
    loss.check_numbers(t, lambda t: (t != 1) & (t != -1), "targets are -1 and 1; write 2 * t - 1 for labels 0 and 1")
    return t
