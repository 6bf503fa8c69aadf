"""`Linear`: y = x Wᵀ + b, and its backward pass as the lecture's steps."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ShapeError
from ..core.number import integer
from ..core.shape import size_of
from ..core.value import Array
from ..ops import Generator, astype, matmul, reshape, sum
from .cell import parameter
from .default_generator import generator_for
from .initialiser import Initialiser, glorot_uniform
from .module import Module
from .setting import allocating, floating


class Linear(Module):
    """y = x Wᵀ + b: every output a weighted sum of the inputs.

    ``x``: (..., inputs), any number of leading axes, also none; ``W``: (outputs, inputs); ``b``: (outputs,); ``y``:
    (..., outputs). The uniform start of W keeps the variance of activities and of their error derivatives about equal
    from layer to layer. b starts at 0.

    Raises `ShapeError` where the last axis of x is not ``inputs``, `DTypeError` for a float dtype other than ``dtype``.

    - ``inputs``, ``outputs``: the lengths of the last axis of x and of y.
    - ``dtype``: the floating dtype of W, b and x; integers and bools in x are converted.
    - ``generator``, ``seed``: where the numbers are drawn from: a `bprop.Generator`, or the seed of a fresh one.
      Without either they come from the stream described at `bprop.nn.seed`. Two layers of one model therefore differ;
      two layers with the same *seed* start with the same numbers.
    - ``init``: how W starts, an `Initialiser` of `bprop.nn.init`; by default uniform in ±√(6 / (inputs + outputs)).
    - ``bias``: whether there is a b.

    **Source:** Leibe (2016), Backpropagation, core steps; Glorot & Bengio (2010), Understanding the difficulty of
    training deep feedforward neural networks, eq. 16.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.Linear(3, 2, seed=1)
    >>> layer
    Linear(3 → 2, float32)
    >>> layer.fprop(bprop.ones((5, 3), dtype="float32")).shape
    (5, 2)
    >>> layer.bprop(bprop.ones((5, 2), dtype="float32")).shape, layer.b_bar
    ((5, 3), Array([5., 5.], dtype=float32))
    """

    pytorch_names: ClassVar = {"W": "weight", "b": "bias"}

    def __init__(
        self,
        inputs: int,
        outputs: int,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
        bias: bool = True,
    ) -> None:
        shape = integer(self, "outputs", outputs), integer(self, "inputs", inputs)
        dtype = floating(self, dtype)
        draw = generator_for("Linear", generator, seed)
        with allocating(self, "W", shape, dtype):
            self.W = parameter((glorot_uniform() if init is None else init)(shape, dtype, draw))
        if bias:
            with allocating(self, "b", shape[:1], dtype):
                self.b = parameter(np.zeros(shape[0]), dtype)

    def fprop(self, x: Any) -> Array:
        x = self.check_dtype(x, "W")
        W = self.W
        if x.dtype != W.dtype:
            x = astype(x, W.dtype)
        outputs, inputs = W.shape
        if not x.shape or x.shape[-1] != inputs:
            raise ShapeError(f"Linear({inputs} → {outputs}): x has shape {x.shape}, its last axis should be {inputs}")
        y: Array = matmul(x, W.T)
        return y + self.b if self.has_bias else y

    def bprop(self, y_bar: Any) -> Array:
        """Return ∂E/∂x for y_bar = ∂E/∂y, and leave ∂E/∂W and ∂E/∂b in ``W_bar`` and ``b_bar``."""
        W = self.W
        x, rows = rows_of(astype(self.x, W.dtype)), rows_of(y_bar)  # a row per example

        # Core step 3: from the error derivatives of the activities to those of the incoming weights,
        # ∂E/∂w_ij = Σ_n y_i ∂E/∂z_j. Here x[n] holds the activities y_i and rows[n] the ∂E/∂z_j of example n.
        self.W_bar = matmul(rows.T, x)
        if self.has_bias:
            self.b_bar = sum(rows, axis=0)  # the bias is the weight of an input that is always 1

        # Core step 2: the error derivatives of the layer below from those of this one, ∂E/∂y_i = Σ_j w_ij ∂E/∂z_j.
        # (The other half of step 2, ∂E/∂z_j = y_j (1 - y_j) ∂E/∂y_j, is the bprop of the nonlinearity.)
        x_bar: Array = matmul(y_bar, W)
        return x_bar

    @property
    def has_bias(self) -> bool:
        """Whether there is a b."""
        return "b" in self.__dict__["_cells"]

    def describe(self) -> str:
        W = self.__dict__["_cells"]["W"].array
        return f"{W.shape[1]} → {W.shape[0]}, {W.dtype}{'' if self.has_bias else ', no bias'}"


def rows_of(x: Any) -> Array:
    """Return (..., width) as (rows, width): a row for each example, token or step."""
    return reshape(x, (size_of(x.shape[:-1]), x.shape[-1]))


__all__ = ["Linear", "rows_of"]
