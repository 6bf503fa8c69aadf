"""Gates: an activity times the opening of a gate between 0 and 1; and Maxout, which selects the largest activity."""

from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, ShapeError
from ..core.interpreter import EVALUATE, using
from ..core.number import integer
from ..core.shape import normalise_axis
from ..core.value import Array, asarray
from ..ops import Generator, astype, clip, gelu, matmul, max, reshape, sigmoid, silu, softplus, tanh, where
from .cell import parameter
from .default_generator import generator_for
from .module import Module
from .setting import allocating, floating


class GLU(Module):
    """y = a σ(b) for the two halves a and b of x along ``axis``: one half is multiplied by the sigmoid of the other.

    ``x``: an even length along ``axis``, y half of it. Raises `ShapeError` for an odd one.

    - ``axis``: the axis that is split in two halves, an integer; by default the last.

    **Source:** Dauphin, Fan, Auli & Grangier (2017), Language modeling with gated convolutional networks, eq. 1.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.GLU()(bprop.asarray([2.0, 3.0, 0.0, 1000.0]))
    Array([1., 3.])
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        axis = normalise_axis("GLU", self.axis, x.ndim, x.shape)
        if x.shape[axis] % 2:
            raise ShapeError(f"GLU: x has shape {x.shape}; its axis {axis} is split in two and has an even length")
        half = x.shape[axis] // 2
        before = (slice(None),) * axis
        a, b = x[(*before, slice(None, half))], x[(*before, slice(half, None))]
        y: Array = a * sigmoid(b)
        return y

    def describe(self) -> str:
        return f"axis={self.axis}"


class SiLU(Module):
    """y = x σ(x), also called swish: a smooth ReLU that dips to -0.278 at x = -1.278. Any shape.

    ∂E/∂x = (σ(x) + x σ(x) (1 - σ(x))) ∂E/∂y.

    **Source:** Elfwing, Uchibe & Doya (2018), Sigmoid-weighted linear units; Ramachandran, Zoph & Le (2017).

    >>> import bprop
    >>> from bprop import nn
    >>> nn.SiLU()(bprop.asarray([-1000.0, 0.0, 1000.0]))
    Array([  -0.,    0., 1000.])
    """

    def fprop(self, x: Any) -> Array:
        return silu(x)


class GELU(Module):
    """y = x Φ(x) with the normal distribution Φ: the probability that x exceeds a normal number, times x. Any shape.

    - ``approximate``: "none", or "tanh" for y = x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2. Anything else raises
      `ArgumentError`.

    **Source:** Hendrycks & Gimpel (2016), Gaussian error linear units.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.GELU()(bprop.asarray([-1000.0, 0.0, 1000.0]))
    Array([  -0.,    0., 1000.])
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU: approximate is 'none' or 'tanh', not {approximate!r}")
        self.approximate: Literal["none", "tanh"] = approximate

    def fprop(self, x: Any) -> Array:
        return gelu(x, approximate=self.approximate)

    def describe(self) -> str:
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class Mish(Module):
    """y = x tanh(log(1 + eˣ)). Any shape.

    **Source:** Misra (2020), Mish: a self regularized non-monotonic activation function, eq. 1.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.Mish()(bprop.asarray([-1000.0, 1.0, 1000.0]))
    Array([-0.00000000e+00,  8.65098388e-01,  1.00000000e+03])
    """

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        # beyond ±1000 tanh is 0 or 1 with slope 0, which at infinity would be multiplied: 0 · ∞
        y: Array = clip(x, -1000) * tanh(softplus(clip(x, -1000, 1000)))
        return y


class HardSwish(Module):
    """y = x (x + 3) / 6 between -3 and 3, 0 below and x above: `SiLU` with a `HardSigmoid` for its gate. Any shape.

    The slope is 0 up to -3 and 1 from 3 on.

    **Source:** Howard et al. (2019), Searching for MobileNetV3, section 5.2.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.HardSwish()(bprop.asarray([-4.0, 1.5, 4.0]))
    Array([0.   , 1.125, 4.   ])
    """

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return where(x <= -3, 0, where(x >= 3, x, x * (x + 3) / 6))


class Maxout(Module):
    """y = max_p (x W_pᵀ + b_p): of ``pieces`` linear layers, every output takes the largest. It learns a convex function.

    ``x``: (..., inputs); ``W``: (pieces · outputs, inputs), piece by piece; ``b``: (pieces · outputs,); ``y``: (...,
    outputs). Pieces that tie share the error derivative equally. Every piece starts as a `Linear` layer does. Raises
    `ShapeError` where the last axis of x is not ``inputs``, `DTypeError` for a float dtype other than ``dtype``.

    - ``inputs``, ``outputs``: the lengths of the last axis of x and of y.
    - ``pieces``: how many linear layers there are.
    - ``dtype``: the floating dtype of W, b and x; integers and bools in x are converted.
    - ``generator``, ``seed``: where the numbers are drawn from: a `bprop.Generator`, or the seed of a fresh one.
      Without either they come from the stream described at `bprop.nn.seed`.

    **Source:** Goodfellow, Warde-Farley, Mirza, Courville & Bengio (2013), Maxout networks, section 2.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.Maxout(3, 2, pieces=4, seed=0)
    >>> layer, layer(bprop.ones((5, 3), dtype="float32")).shape
    (Maxout(3 → 2, 4 pieces, float32), (5, 2))
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        pieces: int = 2,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> None:
        n, m, k = integer(self, "inputs", inputs), integer(self, "outputs", outputs), integer(self, "pieces", pieces)
        dtype = floating(self, dtype)
        bound = (6 / (n + m)) ** 0.5
        self.pieces = k
        draw = generator_for("Maxout", generator, seed)
        with using(EVALUATE), allocating(self, "W", (k * m, n), dtype):
            self.W = parameter(draw.uniform((k * m, n), low=-bound, high=bound, dtype=np.float64), dtype)
        with allocating(self, "b", (k * m,), dtype):
            self.b = parameter(np.zeros(k * m), dtype)

    def fprop(self, x: Any) -> Array:
        x = self.check_dtype(x, "W")
        W, b = self.W, self.b
        if x.dtype != W.dtype:
            x = astype(x, W.dtype)
        count, inputs = W.shape
        if not x.shape or x.shape[-1] != inputs:
            raise ShapeError(f"Maxout: x has shape {x.shape}, its last axis should be {inputs}")
        z = matmul(x, W.T) + b
        return max(reshape(z, (*x.shape[:-1], self.pieces, count // self.pieces)), axis=-2)

    def describe(self) -> str:
        W = self.__dict__["_cells"]["W"].array
        return f"{W.shape[1]} → {W.shape[0] // self.pieces}, {self.pieces} pieces, {W.dtype}"


__all__ = ["GELU", "GLU", "HardSwish", "Maxout", "Mish", "SiLU"]
