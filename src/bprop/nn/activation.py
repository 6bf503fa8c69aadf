"""Smooth nonlinearities of one input, and softmax. Sigmoid and Tanh have the lecture's handwritten ``bprop``."""

from math import inf
from typing import Any

from ..core.number import number
from ..core.value import Array, asarray
from ..ops import abs, log_sigmoid, log_softmax, sigmoid, sign, softmax, softplus, sum, tanh, where
from ..ops.log_sum_exp import log_softmax_adjoint
from ..ops.sigmoidal import sech_squared
from .module import Module


class Sigmoid(Module):
    """y = σ(x) = 1 / (1 + e⁻ˣ), between 0 and 1. Any shape; floating dtypes.

    ∂E/∂x = y (1 - y) ∂E/∂y: ∂E/∂x nearly vanishes for a saturated unit, y near 0 or 1.

    **Source:** Leibe (2016), Backpropagation, nonlinearities.

    >>> import bprop
    >>> from bprop import nn
    >>> sigmoid = nn.Sigmoid()
    >>> sigmoid.fprop(bprop.zeros(1)), sigmoid.bprop(bprop.ones(1))
    (Array([0.5]), Array([0.25]))
    """

    def fprop(self, x: Any) -> Array:
        return sigmoid(x)

    def bprop(self, y_bar: Any) -> Any:
        # Core step 2, through the nonlinearity: ∂E/∂z_j = y_j (1 - y_j) ∂E/∂y_j, with x for z.
        # 1 - y is σ(-x): the subtraction itself has no correct bit where y is close to 1.
        return self.y * sigmoid(-self.x) * y_bar


class Tanh(Module):
    """y = tanh x, between -1 and 1. Any shape; floating dtypes.

    ∂E/∂x = (1 - y²) ∂E/∂y.

    **Source:** Leibe (2016), Backpropagation, nonlinearities.

    >>> import bprop
    >>> from bprop import nn
    >>> tanh = nn.Tanh()
    >>> tanh.fprop(bprop.zeros(1)), tanh.bprop(bprop.ones(1))
    (Array([0.]), Array([1.]))
    """

    def fprop(self, x: Any) -> Array:
        return tanh(x)

    def bprop(self, y_bar: Any) -> Any:
        # ∂E/∂z_j = (1 - y_j²) ∂E/∂y_j, with x for z. The op computes 1 - y² = (1 - |y|)(1 + |y|) as 4e / (1 + e)² with
        # e = e^(-2|x|): the subtraction itself has no correct bit where |y| is close to 1.
        return sech_squared(self.x) * y_bar


class Softmax(Module):
    """y = eˣ / Σ eˣ along ``axis``: positive, with sum 1. Floating dtypes; raises `ShapeError` for an axis out of range.

    To train, give `CrossEntropy` the logits x, not y: never softmax and then log.

    - ``axis``: the axis along which y sums to 1, an integer; by default the last.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.Softmax()(bprop.asarray([1000.0, 1000.0]))
    Array([0.5, 0.5])
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def fprop(self, x: Any) -> Array:
        return softmax(x, axis=self.axis)

    def bprop(self, y_bar: Any) -> Any:
        # ∂y_i/∂x_j = y_i (δ_ij - y_j): the mean of ∂E/∂y, weighted by y, is subtracted from each. A constant added
        # to all does not matter. That of a class with y close to 1 is subtracted first, or its own entry would cancel.
        y = self.y
        y_bar = y_bar - sum(where(y > 0.5, y_bar, 0), axis=self.axis, keepdims=True)
        return y * (y_bar - sum(y * y_bar, axis=self.axis, keepdims=True))

    def describe(self) -> str:
        return f"axis={self.axis}"


class LogSoftmax(Softmax):
    """y = x - log Σ eˣ along ``axis``: the logarithm of softmax without taking it after softmax.

    Floating dtypes; raises `ShapeError` for an axis out of range.

    - ``axis``: the axis along which the exponentials of y sum to 1, an integer; by default the last.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.LogSoftmax()(bprop.asarray([0.0, -1000.0]))
    Array([    0., -1000.])
    """

    def fprop(self, x: Any) -> Array:
        return log_softmax(x, axis=self.axis)

    def bprop(self, y_bar: Any) -> Any:
        # y_bar - softmax(x) Σ y_bar, which would cancel for a class with a softmax close to 1
        return log_softmax_adjoint(self.x, y_bar, (self.axis,))


class Softmin(Softmax):
    """y = e⁻ˣ / Σ e⁻ˣ along ``axis``: softmax of -x, largest for the smallest x.

    Floating dtypes; raises `ShapeError` for an axis out of range.

    - ``axis``: the axis along which y sums to 1, an integer; by default the last.

    **Source:** PyTorch, ``Softmin``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.Softmin()(bprop.asarray([1000.0, 1000.0]))
    Array([0.5, 0.5])
    """

    def fprop(self, x: Any) -> Array:
        return softmax(-asarray(x), axis=self.axis)

    def bprop(self, y_bar: Any) -> Any:
        return -super().bprop(y_bar)


class LogSigmoid(Module):
    """y = log σ(x) = -log(1 + e⁻ˣ), the logarithm of a sigmoid without taking it after the sigmoid. Any shape.

    ∂E/∂x = σ(-x) ∂E/∂y.

    **Source:** PyTorch, ``LogSigmoid``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.LogSigmoid()(bprop.asarray([-1000.0, 1000.0]))
    Array([-1000.,    -0.])
    """

    def fprop(self, x: Any) -> Array:
        return log_sigmoid(x)


class Softplus(Module):
    """y = log(1 + e^(βx)) / β: a smooth ReLU, closer to it the larger ``beta``. Any shape.

    ∂E/∂x = σ(βx) ∂E/∂y. Nothing overflows, and y = x to the last bit where βx is large. No threshold is needed
    therefore; PyTorch's 20 gives its numbers. Raises `ArgumentError` unless beta > 0.

    - ``beta``: β > 0, a number.
    - ``threshold``: where βx is larger, y is x itself; a number, by default infinite.

    **Source:** Dugas et al. (2001), Incorporating second-order functional knowledge; PyTorch, ``Softplus``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.Softplus()(bprop.asarray([-1000.0, 1000.0]))
    Array([   0., 1000.])
    """

    def __init__(self, beta: float = 1.0, threshold: float = inf) -> None:
        self.beta = number(self, "beta", beta, 0, open_low=True, finite=False)
        self.threshold = number(self, "threshold", threshold, finite=False)

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        y: Array = softplus(x) if self.beta == 1 else softplus(self.beta * x) / self.beta
        return y if self.threshold == inf else where(self.beta * x > self.threshold, x, y)

    def describe(self) -> str:
        return f"beta={self.beta:g}" + ("" if self.threshold == inf else f", threshold={self.threshold:g}")


class Softsign(Module):
    """y = x / (1 + |x|), between -1 and 1, approached slowly. Any shape; floating dtypes.

    ∂E/∂x = ∂E/∂y / (1 + |x|)².

    **Source:** Bergstra, Desjardins, Lamblin & Bengio (2009), Quadratic polynomials learn better image features.

    >>> import bprop
    >>> from bprop import nn
    >>> softsign = nn.Softsign()
    >>> softsign.fprop(bprop.asarray([1.0, -3.0])), softsign.bprop(bprop.ones(2))
    (Array([ 0.5 , -0.75]), Array([0.25  , 0.0625]))
    """

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return where(abs(x) == inf, sign(x), x / (1 + abs(x)))

    def bprop(self, y_bar: Any) -> Any:
        # Written out, because the quotient rule's 1 / (1 + |x|) - |x| / (1 + |x|)² cancels where |x| is large. (Divided
        # twice, so that the square does not overflow.)
        return y_bar / (1 + abs(self.x)) / (1 + abs(self.x))
