"""Losses that compare distributions or pairs of vectors: divergence, angle, distance."""

from math import inf
from typing import Any

from ..core.error import ShapeError
from ..core.value import Array
from ..ops import abs, exp, minimum, pow, sqrt, square, sum, where, xlogy
from .loss import Loss
from .margin_loss import signs


class KLDivergence(Loss):
    """E = Σ_c t_c (log t_c - y_c) for log-probabilities y, mean (or sum) over the distributions; 0 log 0 = 0.

    ``y``: (..., C), from `LogSoftmax`, say; ``t``: the same shape, probabilities or their logarithms. The mean is the
    one of the definition, over distributions: PyTorch's ``batchmean`` for (N, C). Raises `ShapeError` for unequal
    shapes and an empty batch, `ArgumentError` for negative targets.

    - ``reduction``: "mean" over the distributions, "sum", or "none", which returns the terms of the sum.
    - ``log_target``: whether t are logarithms of probabilities.

    **Source:** Kullback & Leibler (1951), On information and sufficiency; PyTorch, ``torch.nn.KLDivLoss``.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.KLDivergence()
    >>> loss.fprop(bprop.log_softmax(bprop.zeros((1, 2))), bprop.asarray([[0.5, 0.5]])), loss.bprop()
    (Array(0.), Array([[-0.5, -0.5]]))
    """

    def __init__(self, reduction: str = "mean", *, log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = self.flag("log_target", log_target)

    def fprop(self, y: Any, t: Any) -> Array:
        y = self.outputs(y)
        if not y.shape:
            raise ShapeError("KLDivergence: y has shape (); it needs an axis of log-probabilities, (..., C)")
        t = self.targets(y, t)
        if self.log_target:
            p = exp(t)
            E = where(p == 0, 0, p * (t - y))
        else:
            self.check_numbers(
                t, lambda t: t < 0, "targets are probabilities, or their logarithms with log_target=True"
            )
            E = xlogy(t, t) - t * where((t == 0) & (y == -inf), 0, y)  # 0 · inf is 0 here
        share = self.share(y.shape[:-1])
        return E if self.reduction == "none" else share * sum(E)


class CosineEmbedding(Loss):
    """E = 1 - cos(x1, x2) where t = 1, max(0, cos(x1, x2) - m) where t = -1, mean (or sum) over the pairs.

    cos = x1·x2 / √((‖x1‖² + ε)(‖x2‖² + ε)) with ε = 10⁻¹². ``fprop(x1, x2, t)``; ``bprop()`` returns (∂E/∂x1, ∂E/∂x2).
    ``x1``, ``x2``: (..., D), ``t``: (...). At the kink the derivative is 0. Raises `ShapeError` for shapes that do not
    fit and an empty batch, `ArgumentError` for targets other than -1 and 1 and unless -1 ≤ m ≤ 1.

    - ``reduction``: "mean" over the pairs, "sum", or "none", which returns the error of every pair.
    - ``margin``: m in [-1, 1].

    **Source:** PyTorch, ``torch.nn.CosineEmbeddingLoss``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.CosineEmbedding()(bprop.asarray([[1.0, 0.0], [3.0, 4.0]]), bprop.asarray([[0.0, 1.0], [3.0, 4.0]]), [1, -1])
    Array(1.)
    """

    answers = (0, 1)

    def example(self) -> tuple[Any, ...]:
        """Return two batches of vectors and a target for each pair."""
        return (2, 4), (2, 4), (2,)

    def __init__(self, reduction: str = "mean", *, margin: float = 0.0) -> None:
        super().__init__(reduction)
        self.margin = self.setting("margin", margin, -1, 1, open_high=False)

    def fprop(self, x1: Any, x2: Any, t: Any) -> Array:
        x1, x2 = _vectors(self, x1, x2)
        a, b = sum(square(x1), axis=-1) + 1e-12, sum(square(x2), axis=-1) + 1e-12
        cosine = sum(x1 * x2, axis=-1) / (sqrt(a) * sqrt(b))
        t = signs(self, cosine, t)
        above = cosine - self.margin
        return self.reduce(where(t == 1, 1 - cosine, where(above <= 0, 0, above)))


class TripletMargin(Loss):
    """E = max(0, d(a, p) - d(a, n) + m) for an anchor a, a positive p and a negative n, mean (or sum) over the triplets.

    d(u, v) = ‖u - v + ε‖_p. ``fprop(anchor, positive, negative)``; ``bprop()`` returns the three derivatives. All
    three: (..., D). At the kink the derivative is 0. Raises `ShapeError` for unequal shapes and an empty batch,
    `ArgumentError` unless m > 0, p ≥ 1 and ε > 0.

    - ``reduction``: "mean" over the triplets, "sum", or "none", which returns the error of every triplet.
    - ``margin``: m > 0. ``p``: the power of the norm, ≥ 1. ``epsilon``: ε > 0, without which the derivative at d = 0
      does not exist.
    - ``swap``: whether d(p, n) is used where it is less than d(a, n).

    **Source:** Schroff, Kalenichenko & Philbin (2015), FaceNet, eq. 3; Balntas et al. (2016), section 3.3 (swap);
    PyTorch, ``torch.nn.TripletMarginLoss``.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.TripletMargin()
    >>> round(loss(bprop.zeros((1, 2)), bprop.asarray([[3.0, 4.0]]), bprop.asarray([[0.0, 1.0]])).item(), 5)
    5.0
    """

    answers = (0, 1, 2)

    def __init__(
        self,
        reduction: str = "mean",
        *,
        margin: float = 1.0,
        p: float = 2.0,
        epsilon: float = 1e-6,
        swap: bool = False,
    ) -> None:
        super().__init__(reduction)
        self.margin = self.setting("margin", margin, 0, open_low=True)
        self.p = self.setting("p", p, 1)
        self.epsilon = self.setting("epsilon", epsilon, 0, open_low=True)
        self.swap = self.flag("swap", swap)

    def fprop(self, anchor: Any, positive: Any, negative: Any) -> Array:
        anchor, positive = _vectors(self, anchor, positive)
        negative = self.targets(anchor, negative)
        far = self._distance(anchor, negative)
        if self.swap:
            far = minimum(far, self._distance(positive, negative))
        gap = self._distance(anchor, positive) - far + self.margin
        return self.reduce(where(gap <= 0, 0, gap))

    def _distance(self, u: Array, v: Array) -> Array:
        difference = u - v + self.epsilon
        if self.p == 2:
            return sqrt(sum(square(difference), axis=-1))
        if self.p == 1:
            return sum(abs(difference), axis=-1)
        return pow(sum(pow(abs(difference), self.p), axis=-1), 1 / self.p)


def _vectors(loss: Loss, x1: Any, x2: Any) -> tuple[Array, Array]:
    x1 = loss.outputs(x1)
    if not x1.shape:
        raise ShapeError(f"{type(loss).__name__}: an input has shape (); it needs an axis of entries, (..., D)")
    return x1, loss.targets(x1, x2)
