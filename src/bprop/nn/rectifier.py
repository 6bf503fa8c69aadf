"""Rectifiers: y = x for positive x, and less than that for negative x.

Conventions at the kink x = 0: the slope is that of the negative side, 0 for `ReLU`. The branch that is not taken is
computed at 0, so that it cannot overflow.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, ShapeError
from ..core.number import integer, number
from ..core.shape import normalise_axis
from ..core.value import Array, asarray
from ..ops import Generator, expm1, relu, reshape, where
from .cell import parameter
from .default_generator import own_generator
from .module import Module
from .setting import allocating, floating


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
        return relu(x)


class LeakyReLU(Module):
    """y = x where x > 0, else ``negative_slope`` · x, which is also the slope at 0: no unit is ever dead. Any shape.

    - ``negative_slope``: the slope for x ≤ 0, a number.

    **Source:** Maas, Hannun & Ng (2013), Rectifier nonlinearities improve neural network acoustic models.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.LeakyReLU()(bprop.asarray([-1.0, 2.0]))
    Array([-0.01,  2.  ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = number(self, "negative_slope", negative_slope, finite=False)

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return where(x > 0, x, self.negative_slope * x)

    def describe(self) -> str:
        return f"negative_slope={self.negative_slope:g}"


class PReLU(Module):
    """y = x where x > 0, else a x, with a learned slope a, which is also the slope at 0.

    ``a``: (num_parameters,), the parameter. ∂E/∂a = Σ x ∂E/∂y over the x that are not positive. Raises `ShapeError`
    where the axis of channels has another length.

    - ``num_parameters``: 1 for one slope, or the number of channels for a slope each.
    - ``init``: the number at which the slopes start.
    - ``axis``: the axis of x that holds the channels; for an x with one axis it is 0.
    - ``dtype``: the floating dtype of ``a``, and of x.

    **Source:** He, Zhang, Ren & Sun (2015), Delving deep into rectifiers, eq. 1.

    >>> import bprop
    >>> from bprop import nn
    >>> module = nn.PReLU()
    >>> x = bprop.asarray([-1.0, 2.0], dtype="float32")
    >>> module.fprop(x), module.bprop(bprop.ones(2)), module.a_bar
    (Array([-0.25,  2.  ], dtype=float32), Array([0.25, 1.  ], dtype=float32), Array([-1.], dtype=float32))
    """

    pytorch_names: ClassVar = {"a": "weight"}

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, axis: int = 1, dtype: DTypeLike = np.float32
    ) -> None:
        count = integer(self, "num_parameters", num_parameters)
        self.axis = axis
        start, dtype = number(self, "init", init, finite=False), floating(self, dtype)
        with allocating(self, "a", (count,), dtype):
            self.a = parameter(np.full(count, start), dtype)

    def fprop(self, x: Any) -> Array:
        x = self.check_dtype(x, "a")
        a = self.a
        if a.shape != (1,):
            axis = normalise_axis("PReLU", self.axis, x.ndim, x.shape) if x.ndim > 1 else 0
            if not x.shape or x.shape[axis] != a.shape[0]:
                raise ShapeError(f"PReLU: x has shape {x.shape}, its axis {axis} should be {a.shape[0]} channels")
            a = reshape(a, (*a.shape, *(1,) * (x.ndim - 1 - axis)))
        elif not x.shape:
            a = reshape(a, ())
        return where(x > 0, x, a * x)

    def describe(self) -> str:
        return super().describe() + ("" if self.axis == 1 else f", axis={self.axis}")

    def example(self) -> tuple[Any, ...]:
        """Return a shape with a channel for every slope, or several for the only one."""
        count = self.__dict__["_cells"]["a"].array.size
        shape = [2] * max(self.axis + 1 if self.axis >= 0 else -self.axis, 2)
        shape[self.axis] = count if count > 1 else 4
        return (tuple(shape),)


class RReLU(Module):
    """y = x where x > 0, else a x: in training every a is drawn uniformly from [lower, upper), in evaluation it is their mean.

    Any shape. Raises `ArgumentError` unless lower ≤ upper. The generator's counter is a cell, as in `Dropout`.

    - ``lower``, ``upper``: the range of the slopes, two numbers.
    - ``generator``, ``seed``: where the numbers are drawn from: a `bprop.Generator`, or the seed of a fresh one.
      Without either they come from the stream described at `bprop.nn.seed`.

    **Source:** Xu, Wang, Chen & Li (2015), Empirical evaluation of rectified activations in convolution network.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.RReLU(0.125, 0.375).eval()(bprop.asarray([-1.0, 2.0]))
    Array([-0.25,  2.  ])
    """

    def __init__(
        self,
        lower: float = 1 / 8,
        upper: float = 1 / 3,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> None:
        self.lower, self.upper = number(self, "lower", lower, finite=False), number(self, "upper", upper, finite=False)
        if self.lower > self.upper:
            raise ArgumentError(f"RReLU: lower is at most upper, not {lower!r} and {upper!r}")
        self.generator = own_generator("RReLU", generator, seed)

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        if not self.training:
            return where(x > 0, x, (self.lower + self.upper) / 2 * x)
        dtype = x.dtype if x.dtype in (np.float32, np.float64) else np.float64
        a = self.generator.uniform(x.shape, low=self.lower, high=self.upper, dtype=dtype)
        self.keep(a=a)
        return where(x > 0, x, a * x)

    def describe(self) -> str:
        return f"lower={self.lower:g}, upper={self.upper:g}"

    def __repr__(self) -> str:
        return f"RReLU({self.describe()}, {self.generator!r})"


class ELU(Module):
    """y = x where x > 0, else α (eˣ - 1), which tends to -α. Any shape.

    The slope is 1 for x > 0 and α eˣ for the rest, 0 included: with α = 1 there is no kink.

    - ``alpha``: α, a number.

    **Source:** Clevert, Unterthiner & Hochreiter (2016), Fast and accurate deep network learning by exponential linear
    units, eq. 15.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.ELU()(bprop.asarray([-1000.0, 0.0, 1000.0]))
    Array([  -1.,    0., 1000.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = number(self, "alpha", alpha, finite=False)

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return where(x > 0, x, self.alpha * expm1(where(x > 0, 0, x)))

    def describe(self) -> str:
        return f"alpha={self.alpha:g}"


class SELU(Module):
    """y = λ x where x > 0, else λ α (eˣ - 1), with the λ and α that keep mean 0 and variance 1 from layer to layer. Any shape.

    For layers that begin with `init.lecun_normal`.

    **Source:** Klambauer, Unterthiner, Mayr & Hochreiter (2017), Self-normalizing neural networks, eq. 2 and 14.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.SELU()(bprop.asarray([-1000.0, 1.0]))
    Array([-1.75809934,  1.05070099])
    """

    alpha = 1.6732632423543772848170429916717
    scale = 1.0507009873554804934193349852946

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return where(x > 0, self.scale * x, self.scale * self.alpha * expm1(where(x > 0, 0, x)))


class CELU(Module):
    """y = x where x > 0, else α (e^(x/α) - 1): an `ELU` whose slope at 0 is 1 for every α > 0. Any shape.

    - ``alpha``: α > 0, a number, else `ArgumentError`.

    **Source:** Barron (2017), Continuously differentiable exponential linear units, eq. 2.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.CELU(2.0)(bprop.asarray([-1000.0, 1.0]))
    Array([-2.,  1.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = number(self, "alpha", alpha, 0, open_low=True, finite=False)

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return where(x > 0, x, self.alpha * expm1(where(x > 0, 0, x) / self.alpha))

    def describe(self) -> str:
        return f"alpha={self.alpha:g}"


__all__ = ["CELU", "ELU", "SELU", "LeakyReLU", "PReLU", "RReLU", "ReLU"]
