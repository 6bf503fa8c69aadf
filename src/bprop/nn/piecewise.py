"""Piecewise linear nonlinearities: clipping, thresholds, shrinkage. The slope at a kink is 0, that of the constant side."""

from typing import Any

from ..core.error import ArgumentError
from ..core.number import number
from ..core.value import Array, asarray
from ..ops import abs, hard_tanh, sign, tanh, where
from ..ops.sigmoidal import tanh_shrink
from .module import Module


class HardTanh(Module):
    """y = x between ``low`` and ``high``, and ``low`` or ``high`` beyond. Any shape; floating dtypes.

    tanh at the price of two comparisons. ∂E/∂x = ∂E/∂y inside, 0 outside and at the two kinks. Raises `ArgumentError`
    unless low < high.

    - ``low``, ``high``: the ends of the range, two numbers.

    **Source:** Leibe (2016), Backpropagation, nonlinearities; Collobert (2004).

    >>> import bprop
    >>> from bprop import nn
    >>> module = nn.HardTanh()
    >>> module.fprop(bprop.asarray([-2.0, 0.5])), module.bprop(bprop.ones(2))
    (Array([-1. ,  0.5]), Array([0., 1.]))
    """

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        self.low, self.high = number(self, "low", low, finite=False), number(self, "high", high, finite=False)
        if not self.low < self.high:
            raise ArgumentError(f"HardTanh: low is less than high, not {low!r} and {high!r}")

    def fprop(self, x: Any) -> Array:
        if (self.low, self.high) == (-1, 1):
            return hard_tanh(x)
        x = asarray(x)
        return where(x >= self.high, self.high, where(x <= self.low, self.low, x))

    def bprop(self, y_bar: Any) -> Array:
        # The slope is 1 or 0: ∂E/∂y passes or stops. (A selection, not a product: 0 · inf is not 0.)
        if (self.low, self.high) == (-1, 1):
            return where(abs(self.x) < 1, y_bar, 0)
        return where((self.x > self.low) & (self.x < self.high), y_bar, 0)

    def describe(self) -> str:
        return "" if (self.low, self.high) == (-1, 1) else f"low={self.low:g}, high={self.high:g}"


class ReLU6(Module):
    """y = x between 0 and 6, and 0 or 6 beyond. Any shape.

    **Source:** Krizhevsky (2010), Convolutional deep belief networks on CIFAR-10.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.ReLU6()(bprop.asarray([-1.0, 2.0, 7.0]))
    Array([0., 2., 6.])
    """

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return where(x <= 0, 0, where(x >= 6, 6, x))


class HardSigmoid(Module):
    """y = x/6 + 1/2 between -3 and 3, and 0 or 1 beyond: a sigmoid in three straight pieces. Any shape.

    **Source:** Courbariaux, Bengio & David (2015), BinaryConnect; the slope 1/6 of PyTorch's ``Hardsigmoid``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.HardSigmoid()(bprop.asarray([-4.0, 0.0, 4.0]))
    Array([0. , 0.5, 1. ])
    """

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return where(x <= -3, 0, where(x >= 3, 1, (x + 3) / 6))


class Threshold(Module):
    """y = x where x > ``threshold``, else ``value``; NaN stays NaN. Any shape. ∂E/∂x is 0 where x is replaced.

    - ``threshold``: the largest x that is replaced, a number.
    - ``value``: what it is replaced by, a number.

    **Source:** PyTorch, ``Threshold``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.Threshold(1.0, -5.0)(bprop.asarray([0.0, 1.0, 2.0]))
    Array([-5., -5.,  2.])
    """

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold, self.value = (
            number(self, "threshold", threshold, finite=False),
            number(self, "value", value, finite=False),
        )

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return where(x <= self.threshold, self.value, x)

    def describe(self) -> str:
        return f"{self.threshold:g}, {self.value:g}"


class HardShrink(Module):
    """y = x where |x| > ``lambd``, else 0. Any shape. Raises `ArgumentError` unless lambd ≥ 0.

    - ``lambd``: λ ≥ 0: x from -λ to λ become 0.

    **Source:** Donoho & Johnstone (1994), Ideal spatial adaptation by wavelet shrinkage.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.HardShrink()(bprop.asarray([-1.0, 0.25, 2.0]))
    Array([-1.,  0.,  2.])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = _width(self, lambd)

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return where(abs(x) <= self.lambd, 0, x)

    def describe(self) -> str:
        return f"lambd={self.lambd:g}"


class SoftShrink(HardShrink):
    """y = x - λ sign x where |x| > λ, else 0, with λ = ``lambd``. Any shape.

    The step that minimises ½ (y - x)² + λ |y|. Raises `ArgumentError` unless lambd ≥ 0.

    - ``lambd``: λ ≥ 0, by which every x comes nearer to 0.

    **Source:** Donoho (1995), De-noising by soft-thresholding, eq. 9.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.SoftShrink()(bprop.asarray([-1.0, 0.25, 2.0]))
    Array([-0.5,  0. ,  1.5])
    """

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return where(abs(x) <= self.lambd, 0, x - self.lambd * sign(x))


class TanhShrink(Module):
    """y = x - tanh x: near 0 for a small x, near x - sign x for a large one. Any shape.

    ∂E/∂x = tanh²x ∂E/∂y. Where x is small y is about x³/3, computed without the difference of two close numbers.

    **Source:** PyTorch, ``Tanhshrink``.

    >>> import bprop
    >>> from bprop import nn
    >>> module = nn.TanhShrink()
    >>> module.fprop(bprop.asarray([0.0, 1000.0])), module.bprop(bprop.ones(2))
    (Array([  0., 999.]), Array([0., 1.]))
    """

    def fprop(self, x: Any) -> Array:
        return tanh_shrink(x)

    def bprop(self, y_bar: Any) -> Any:
        return tanh(self.x) ** 2 * y_bar  # 1 - (1 - tanh²x) has no correct bit where x is small


def _width(module: Module, lambd: Any) -> float:
    return number(module, "lambd", lambd, 0, finite=False)


__all__ = ["HardShrink", "HardSigmoid", "HardTanh", "ReLU6", "SoftShrink", "TanhShrink", "Threshold"]
