"""`Linear`: y = x Wᵀ + b, and its way back as the lecture's three steps."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import dtype as dtypes
from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.interpreter import EVALUATE, using
from ..core.shape import size_of
from ..core.value import Array
from ..ops import Generator, astype, matmul, reshape, sum
from .frame import parameter
from .module import Module

_STREAM = Generator(0)


def seed(number: int) -> None:
    """Restart the stream of random numbers from which modules without a generator of their own draw.

    The stream starts at seed 0 with every Python process: the same script makes the same model on every run, and two
    layers never share their numbers, since each draws further on. To make one model twice in a process, call this
    before each, or give both the same fresh `bprop.Generator`. Raises `ArgumentError` for anything but an integer from
    0 to 2**64 - 1.

    **Source:** Salmon, Moraes, Dror & Shaw (2011), Philox4x32-10: the stream is a `bprop.Generator`.

    >>> from bprop import nn
    >>> nn.seed(7); first = nn.Linear(2, 2)
    >>> nn.seed(7); second = nn.Linear(2, 2)
    >>> (first.W == second.W).tolist()
    [[True, True], [True, True]]
    """
    _STREAM.state = Generator(number).state


def generator_for(module: str, generator: Generator | None, number: int | None) -> Generator:
    """Return the generator that ``module`` draws from: the one given, a fresh one for a seed, else the common stream."""
    if generator is not None and number is not None:
        raise ArgumentError(f"{module}: give a generator or a seed, not both")
    if generator is not None and not isinstance(generator, Generator):
        raise ArgumentError(f"{module}: generator is a bprop.Generator, not {generator!r:.60} (or write seed=…)")
    if number is not None:
        return Generator(number)
    return _STREAM if generator is None else generator


def split(generator: Generator) -> Generator:
    """Return a generator of its own, its seed drawn from ``generator``."""
    return Generator(int(generator.uniform().item() * 2**53))


class Linear(Module):
    """y = x Wᵀ + b: every output a weighted sum of the inputs.

    ``x``: (..., inputs), any number of leading axes, also none; ``W``: (outputs, inputs); ``b``: (outputs,); ``y``:
    (..., outputs). All have ``dtype``; integers and bools in x are converted.

    W starts uniform in ±√(6 / (inputs + outputs)), which keeps the variance of activities and of their error
    derivatives about equal from layer to layer; b starts at 0. The numbers come from ``generator``, from a fresh
    generator for ``seed``, or else from the stream described at `bprop.nn.seed`: two layers of one model differ. (Two
    layers given the same *seed* start with the same numbers: give them one *generator*.)

    Raises `ShapeError` where the last axis of x is not ``inputs``, `DTypeError` for a float dtype other than ``dtype``.

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

    def __init__(
        self,
        inputs: int,
        outputs: int,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> None:
        for name, size in (("inputs", inputs), ("outputs", outputs)):
            if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
                raise ArgumentError(f"Linear: {name} is a positive integer, not {size!r}")
        wanted = dtypes.check(dtype, "Linear")
        if not dtypes.is_float(wanted):
            raise DTypeError(f"Linear: dtype is a floating dtype, not {wanted}")
        bound = (6 / (inputs + outputs)) ** 0.5
        with using(EVALUATE):  # weights are numbers, wherever the layer is made
            draw = generator_for("Linear", generator, seed)
            W = draw.uniform((int(outputs), int(inputs)), low=-bound, high=bound, dtype=np.float64)
            self.W = parameter(W, wanted)
            self.b = parameter(np.zeros(int(outputs)), wanted)

    def fprop(self, x: Any) -> Array:
        """Return y = x Wᵀ + b."""
        x = self.check_dtype(x, "W")
        W, b = self.W, self.b
        if x.dtype != W.dtype:
            x = astype(x, W.dtype)
        outputs, inputs = W.shape
        if not x.shape or x.shape[-1] != inputs:
            raise ShapeError(f"Linear({inputs} → {outputs}): x has shape {x.shape}, its last axis should be {inputs}")
        y: Array = matmul(x, W.T) + b
        return y

    def bprop(self, y_bar: Any) -> Array:
        """Return ∂E/∂x for y_bar = ∂E/∂y, and leave ∂E/∂W and ∂E/∂b in ``W_bar`` and ``b_bar``."""
        W = self.W
        outputs, inputs = W.shape
        x = reshape(astype(self.x, W.dtype), (size_of(self.x.shape[:-1]), inputs))  # a row per example
        rows = reshape(y_bar, (x.shape[0], outputs))

        # Core step 3: from the error derivatives of the activities to those of the incoming weights,
        # ∂E/∂w_ij = Σ_n y_i ∂E/∂z_j. Here x[n] holds the activities y_i and rows[n] the ∂E/∂z_j of example n.
        self.W_bar = matmul(rows.T, x)
        self.b_bar = sum(rows, axis=0)  # the bias is the weight of an input that is always 1

        # Core step 2: the error derivatives of the layer below from those of this one, ∂E/∂y_i = Σ_j w_ij ∂E/∂z_j.
        # (The other half of step 2, ∂E/∂z_j = y_j (1 - y_j) ∂E/∂y_j, is the bprop of the nonlinearity.)
        x_bar: Array = matmul(y_bar, W)
        return x_bar

    def describe(self) -> str:
        """Return sizes and dtype."""
        W = self.__dict__["_cells"]["W"].array
        return f"{W.shape[1]} → {W.shape[0]}, {W.dtype}"
