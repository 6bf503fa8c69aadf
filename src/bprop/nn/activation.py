"""Nonlinearities as modules. Sigmoid, Tanh and HardTanh have the lecture's handwritten ``bprop``."""

from typing import Any

from ..core.value import Array
from ..ops import abs, exp, hard_tanh, log_softmax, relu, sigmoid, softmax, tanh, where
from .module import Module


class Sigmoid(Module):
    """y = σ(x) = 1 / (1 + e⁻ˣ), between 0 and 1. Any shape; floating dtypes.

    ∂E/∂x = y (1 - y) ∂E/∂y: nearly nothing comes back from a saturated unit, y near 0 or 1.

    **Source:** Leibe (2016), Backpropagation, nonlinearities.

    >>> import bprop
    >>> from bprop import nn
    >>> sigmoid = nn.Sigmoid()
    >>> sigmoid.fprop(bprop.zeros(1)), sigmoid.bprop(bprop.ones(1))
    (Array([0.5]), Array([0.25]))
    """

    def fprop(self, x: Any) -> Array:
        """Return y = σ(x)."""
        return sigmoid(x)

    def bprop(self, y_bar: Any) -> Any:
        """Return ∂E/∂x."""
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
        """Return y = tanh x."""
        return tanh(x)

    def bprop(self, y_bar: Any) -> Any:
        """Return ∂E/∂x."""
        # ∂E/∂z_j = (1 - y_j²) ∂E/∂y_j, with x for z. 1 - y² = (1 - |y|)(1 + |y|) is 4e / (1 + e)² with e = e^(-2|x|):
        # the subtraction itself has no correct bit where |y| is close to 1.
        e = exp(-2 * abs(self.x))
        return 4 * e / (1 + e) ** 2 * y_bar


class HardTanh(Module):
    """y = x between -1 and 1, and -1 or 1 beyond: tanh at the price of two comparisons. Any shape; floating dtypes.

    ∂E/∂x = ∂E/∂y inside, 0 outside and at the two kinks.

    **Source:** Leibe (2016), Backpropagation, nonlinearities; Collobert (2004).

    >>> import bprop
    >>> from bprop import nn
    >>> module = nn.HardTanh()
    >>> module.fprop(bprop.asarray([-2.0, 0.5])), module.bprop(bprop.ones(2))
    (Array([-1. ,  0.5]), Array([0., 1.]))
    """

    def fprop(self, x: Any) -> Array:
        """Return x, clipped."""
        return hard_tanh(x)

    def bprop(self, y_bar: Any) -> Array:
        """Return ∂E/∂x."""
        # The slope is 1 or 0: ∂E/∂y passes or stops. (A selection, not a product: 0 · inf is not 0.)
        return where(abs(self.x) < 1, y_bar, 0)


class ReLU(Module):
    """y = x where x > 0, else 0; the slope at 0 is 0. Any shape; floating dtypes.

    A unit that is 0 for every example is dead: it gets no error derivative and never learns again.

    **Source:** Nair & Hinton (2010), Rectified linear units improve restricted Boltzmann machines.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.ReLU()(bprop.asarray([-1.0, 2.0]))
    Array([0., 2.])
    """

    def fprop(self, x: Any) -> Array:
        """Return max(x, 0)."""
        return relu(x)


class Softmax(Module):
    """y = eˣ / Σ eˣ along ``axis``: positive, with sum 1. Floating dtypes; raises `ShapeError` for an axis out of range.

    To train, give `CrossEntropy` the logits x, not y: never softmax and then log.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.Softmax()(bprop.asarray([1000.0, 1000.0]))
    Array([0.5, 0.5])
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def fprop(self, x: Any) -> Array:
        """Return softmax(x)."""
        return softmax(x, axis=self.axis)

    def describe(self) -> str:
        """Return the axis."""
        return f"axis={self.axis}"


class LogSoftmax(Softmax):
    """y = x - log Σ eˣ along ``axis``: the logarithm of softmax without taking it after softmax.

    Floating dtypes; raises `ShapeError` for an axis out of range.

    **Source:** Leibe (2016), Backpropagation, implementing softmax correctly.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.LogSoftmax()(bprop.asarray([0.0, -1000.0]))
    Array([    0., -1000.])
    """

    def fprop(self, x: Any) -> Array:
        """Return log softmax(x)."""
        return log_softmax(x, axis=self.axis)
