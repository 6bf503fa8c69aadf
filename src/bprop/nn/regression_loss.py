"""Losses for numbers: functions of the difference e = y - t, and likelihoods of counts and of Gaussians."""

from abc import abstractmethod
from math import log, pi
from typing import Any

from ..core.error import ArgumentError, ShapeError
from ..core.value import Array, asarray
from ..ops import abs, exp, expm1, log1p, stop_gradient, tanh, where
from ..ops import log as log_of
from .loss import Loss


class EntryLoss(Loss):
    """Base of losses that are a sum over entries of ``of(y - t)``."""

    def fprop(self, y: Any, t: Any) -> Array:
        y = self.outputs(y)
        return self.reduce(self.of(y - self.targets(y, t)))

    @abstractmethod
    def of(self, e: Array) -> Array:
        """Return the error of every entry."""


class MeanSquaredError(EntryLoss):
    """E = e² with e = y - t, mean (or sum) over all entries: no ½, and outputs are averaged too (unlike `SquaredError`).

    ``y``, ``t``: of one shape. E has the dtype of y, to which t is converted. Raises `ShapeError` for unequal shapes
    and where there are no entries.

    - ``reduction``: "mean" over the entries, "sum", or "none", which returns the error of every entry.

    **Source:** Bishop (2006), eq. 1.2; PyTorch, ``torch.nn.MSELoss``.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.MeanSquaredError()
    >>> loss.fprop(bprop.asarray([3.0, 1.0]), bprop.asarray([1.0, 1.0])), loss.bprop()
    (Array(2.), Array([2., 0.]))
    """

    def of(self, e: Array) -> Array:
        return e * e


class MeanAbsoluteError(EntryLoss):
    """E = \\|e\\| with e = y - t, mean (or sum) over all entries; the derivative at e = 0 is 0.

    ``y``, ``t``: of one shape. E has the dtype of y, to which t is converted. Raises `ShapeError` for unequal shapes
    and where there are no entries.

    - ``reduction``: "mean" over the entries, "sum", or "none", which returns the error of every entry.

    **Source:** Hastie, Tibshirani & Friedman (2009), section 10.6; PyTorch, ``torch.nn.L1Loss``.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.MeanAbsoluteError()
    >>> loss.fprop(bprop.asarray([3.0, 1.0]), bprop.asarray([1.0, 1.0])), loss.bprop()
    (Array(1.), Array([0.5, 0. ]))
    """

    def of(self, e: Array) -> Array:
        return abs(e)


class Huber(EntryLoss):
    """E = e²/2 where \\|e\\| ≤ δ, else δ (\\|e\\| - δ/2), with e = y - t, mean (or sum) over all entries.

    ``y``, ``t``: of one shape. E has the dtype of y, to which t is converted. Raises `ShapeError` for unequal shapes
    and where there are no entries, `ArgumentError` unless δ > 0.

    - ``reduction``: "mean" over the entries, "sum", or "none", which returns the error of every entry.
    - ``delta``: δ > 0, a number.

    **Source:** Huber (1964), Robust estimation of a location parameter; PyTorch, ``torch.nn.HuberLoss``.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.Huber(delta=0.5)
    >>> loss.fprop(bprop.asarray([3.0, 1.2]), bprop.asarray([1.0, 1.0])), loss.bprop()
    (Array(0.4475), Array([0.25, 0.1 ]))
    """

    def __init__(self, reduction: str = "mean", *, delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = self.setting("delta", delta, 0, open_low=True)

    def of(self, e: Array) -> Array:
        return where(abs(e) <= self.delta, 0.5 * e * e, self.delta * (abs(e) - 0.5 * self.delta))


class SmoothL1(EntryLoss):
    """E = e²/2β where \\|e\\| < β, else \\|e\\| - β/2, with e = y - t: `Huber` divided by δ = β. β = 0: \\|e\\|.

    ``y``, ``t``: of one shape. E has the dtype of y, to which t is converted. Raises `ShapeError` for unequal shapes
    and where there are no entries, `ArgumentError` unless β ≥ 0.

    - ``reduction``: "mean" over the entries, "sum", or "none", which returns the error of every entry.
    - ``beta``: β ≥ 0, a number.

    **Source:** Girshick (2015), Fast R-CNN, eq. 3; PyTorch, ``torch.nn.SmoothL1Loss``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.SmoothL1()(bprop.asarray([3.0, 1.5]), bprop.asarray([1.0, 1.0]))
    Array(0.8125)
    """

    def __init__(self, reduction: str = "mean", *, beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = self.setting("beta", beta, 0)

    def of(self, e: Array) -> Array:
        if not self.beta:
            return abs(e)
        return where(abs(e) < self.beta, 0.5 * e * e / self.beta, abs(e) - 0.5 * self.beta)


class LogCosh(EntryLoss):
    """E = log cosh e with e = y - t, mean (or sum) over all entries; ∂E/∂e = tanh e.

    Computed as ½ log(1 + sinh² e) for small e, where log and cosh would cancel, and otherwise, where cosh would overflow,
    as \\|e\\| + log(1 + e^(-2\\|e\\|)) - log 2. ``y``, ``t``: of one shape. E has the dtype of y, to which t is
    converted. Raises `ShapeError` for unequal shapes and where there are no entries.

    - ``reduction``: "mean" over the entries, "sum", or "none", which returns the error of every entry.

    **Source:** Green (1990), Bayesian reconstructions from emission tomography data using a modified EM algorithm.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.LogCosh()
    >>> loss.fprop(bprop.asarray([1000.0, 0.0]), bprop.asarray([0.0, 0.0])), loss.bprop()
    (Array(499.65342641), Array([0.5, 0. ]))
    """

    def of(self, e: Array) -> Array:
        size = abs(e)
        small = size < 1
        u = expm1(where(small, size, 0))
        sinh = 0.5 * (u + u / (u + 1))
        return where(small, 0.5 * log1p(sinh * sinh), size + (log1p(exp(-2 * size)) - log(2)))

    def bprop(self, E_bar: Any = None) -> Any:
        y = asarray(self.inputs[0])
        y_bar = tanh(y - self.targets(y, self.inputs[1])) * (self.share(y.shape) * E_bar)
        return y_bar, -y_bar


class PoissonNLL(Loss):
    """E = λ - t log λ, for counts t of rate λ = e^y, mean (or sum) over all entries.

    With ``log_input=False`` y is λ itself and the logarithm that of y + ε. ``full`` adds log t! by Stirling's formula,
    t log t - t + ½ log 2πt, where t > 1. ``y``, ``t``: of one shape. Raises `ShapeError` for unequal shapes and where
    there are no entries, `ArgumentError` for negative counts and unless ε > 0.

    - ``reduction``: "mean" over the entries, "sum", or "none", which returns the error of every entry.
    - ``log_input``: whether y is log λ; with ``False`` y is λ itself.
    - ``full``: whether to add log t!, a constant of the targets.
    - ``epsilon``: ε > 0.

    **Source:** Nelder & Wedderburn (1972), Generalized linear models; PyTorch, ``torch.nn.PoissonNLLLoss``.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.PoissonNLL()
    >>> loss.fprop(bprop.asarray([0.0]), [3]), loss.bprop()
    (Array(1.), Array([-2.]))
    """

    def __init__(
        self, reduction: str = "mean", *, log_input: bool = True, full: bool = False, epsilon: float = 1e-8
    ) -> None:
        super().__init__(reduction)
        self.log_input = self.flag("log_input", log_input)
        self.full = self.flag("full", full)
        self.epsilon = self.setting("epsilon", epsilon, 0, open_low=True)

    def fprop(self, y: Any, t: Any) -> Array:
        y = self.outputs(y)
        t = self.targets(y, t)
        self.check_numbers(t, lambda t: t < 0, "targets are counts, which are not negative")
        E = exp(y) - t * y if self.log_input else y - t * log_of(y + self.epsilon)
        if self.full:
            many = where(t > 1, t, 1)
            E = E + where(t > 1, many * log_of(many) - many + 0.5 * log_of(2 * pi * many), 0)
        return self.reduce(E)


class GaussianNLL(Loss):
    """E = ½ (log σ² + (y - t)² / σ²) for means y and variances σ², mean (or sum) over all entries.

    ``fprop(y, t, variance)``; ``bprop()`` returns (∂E/∂y, ∂E/∂σ²). ``y``, ``t``: of one shape; ``variance``: that
    shape, or any that broadcasts to it. A variance below ε counts as ε, and its derivative is that at ε, so that it can
    grow again. Raises `ShapeError` for shapes that do not fit and where there are no entries, `ArgumentError` for
    negative variances and unless ε > 0.

    - ``reduction``: "mean" over the entries, "sum", or "none", which returns the error of every entry.
    - ``full``: whether to add the constant ½ log 2π.
    - ``epsilon``: ε > 0, the least variance.

    **Source:** Nix & Weigend (1994), Estimating the mean and variance of the target probability distribution, eq. 3;
    PyTorch, ``torch.nn.GaussianNLLLoss``.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.GaussianNLL()
    >>> loss.fprop(bprop.asarray([3.0]), bprop.asarray([1.0]), bprop.asarray([4.0]))
    Array(1.19314718)
    >>> loss.bprop()
    (Array([0.5]), Array([0.]))
    """

    answers = (0, 2)

    def __init__(self, reduction: str = "mean", *, full: bool = False, epsilon: float = 1e-6) -> None:
        super().__init__(reduction)
        self.full = self.flag("full", full)
        self.epsilon = self.setting("epsilon", epsilon, 0, open_low=True)

    def fprop(self, y: Any, t: Any, variance: Any) -> Array:
        y = self.outputs(y)
        e, v = y - self.targets(y, t), self.outputs(variance)
        variances = v.concrete()
        if variances is not None and (variances < 0).any():
            raise ArgumentError(
                f"GaussianNLL: variance {variances[variances < 0].flat[0]:g}: variances are not negative"
            )
        v = where(v < self.epsilon, self.epsilon + (v - stop_gradient(v)), v)
        E = 0.5 * (log_of(v) + e * e / v)
        if E.shape != y.shape:
            raise ShapeError(f"GaussianNLL: the variance has shape {v.shape}, which does not broadcast to {y.shape}")
        return self.reduce(E + 0.5 * log(2 * pi) if self.full else E)
