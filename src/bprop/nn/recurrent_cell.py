"""One step of a recurrent network: `RNNCell`, `LSTMCell` and `GRUCell`.

Parameters and formula of a step (`RNNStep`, `LSTMStep`, `GRUStep`) are shared with the layers over time
(``recurrent_layer.py``).
"""

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.interpreter import EVALUATE, using
from ..core.number import integer
from ..core.value import Array, asarray
from ..ops import Generator, astype, matmul, sigmoid, tanh, where, zeros
from .cell import parameter
from .default_generator import generator_for
from .initialiser import Initialiser
from .module import Module
from .setting import allocating, floating

Nonlinearity = Literal["tanh", "relu"]


class RecurrentStep(Module):
    """Base class: the parameters of ``gates`` gates, W_x (gates · hidden, inputs), W_h (gates · hidden, hidden), b_x, b_h."""

    gates = 1
    pytorch_names: ClassVar[dict[str, str]] = {
        "W_x": "weight_ih",
        "W_h": "weight_hh",
        "b_x": "bias_ih",
        "b_h": "bias_hh",
    }

    def __init__(
        self,
        inputs: int,
        hidden: int,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        self.inputs_size, self.hidden = integer(self, "inputs", inputs), integer(self, "hidden", hidden)
        dtype = floating(self, dtype)
        draw = generator_for(type(self).__name__, generator, seed)
        rows, bound = self.gates * self.hidden, self.hidden**-0.5
        for name, columns in (("W_x", self.inputs_size), ("W_h", self.hidden)):
            with using(EVALUATE), allocating(self, name, (rows, columns), dtype):
                if init is None:
                    value = draw.uniform((rows, columns), low=-bound, high=bound, dtype=np.float64)
                else:
                    value = init((rows, columns), dtype, draw)
                setattr(self, name, parameter(value, dtype))
        if bias:
            for name in ("b_x", "b_h"):
                with allocating(self, name, (rows,), dtype):
                    setattr(self, name, parameter(np.zeros(rows), dtype))

    @property
    def has_bias(self) -> bool:
        """Whether there are biases b_x and b_h."""
        return "b_x" in self.__dict__["_cells"]

    def describe(self) -> str:
        W = self.__dict__["_cells"]["W_x"].array
        return f"{W.shape[1]} → {self.hidden}, {W.dtype}{'' if self.has_bias else ', no bias'}"

    def activations_of_x(self, x: Any) -> Array:
        """Return x W_xᵀ + b_x, the share of x in the activations of all gates."""
        a: Array = matmul(x, self.W_x.T)
        return a + self.b_x if self.has_bias else a

    def activations_of_h(self, h: Any) -> Array:
        """Return h W_hᵀ + b_h, the share of the last step in the activations of all gates."""
        a: Array = matmul(h, self.W_h.T)
        return a + self.b_h if self.has_bias else a

    def _inputs(self, x: Any, states: tuple[Any, ...]) -> tuple[Array, list[Array]]:
        """Return x and the states in the dtype of the parameters, the states as zeros where there are none."""
        x = checked_input(self, self, x, (1, 2), "(inputs) or (N, inputs)")
        shape = (*x.shape[:-1], self.hidden)
        if not states:
            return x, [zeros(shape, dtype=x.dtype)] * 2
        names = zip(("h", "c"), states, strict=False)
        return x, [checked_state(self, name, state, shape, "(N, hidden)", x.dtype) for name, state in names]


def checked_input(module: Module, cell: RecurrentStep, x: Any, axes: tuple[int, ...], wanted: str) -> Array:
    """Return x in the dtype of the parameters of ``cell``; errors name ``module``.

    ``axes``: how many axes x may have, ``wanted``: what they are.
    """
    x, kind = asarray(x), type(module).__name__
    dtype = cell.__dict__["_cells"]["W_x"].read().dtype
    if x.dtype.kind == "f" and x.dtype != dtype:
        raise DTypeError(
            f"{kind}: x is {x.dtype} but W_x is {dtype}: write x.astype({str(dtype)!r}), or make the layer with "
            f"dtype={str(x.dtype)!r}"
        )
    if x.ndim not in axes:
        raise ShapeError(f"{kind}: x has shape {x.shape}; it is {wanted}, with inputs = {cell.inputs_size}")
    if x.shape[-1] != cell.inputs_size:
        raise ShapeError(
            f"{kind}({cell.inputs_size} → {cell.hidden}): x has shape {x.shape}, its last axis should be {cell.inputs_size}"
        )
    return x if x.dtype == dtype else astype(x, dtype)


def checked_state(
    module: Module, name: str, state: Any, shape: tuple[int, ...], wanted: str, dtype: "np.dtype[Any]"
) -> Array:
    """Return a state as an array, refusing another shape than ``shape``, which is ``wanted``, and another float dtype."""
    state, kind = asarray(state), type(module).__name__
    if state.shape != shape:
        raise ShapeError(f"{kind}: the state {name} has shape {state.shape}; it should be {shape}, {wanted}")
    if state.dtype.kind == "f" and state.dtype != dtype:
        raise DTypeError(
            f"{kind}: the state {name} is {state.dtype} but W_h is {dtype}: write {name}.astype({str(dtype)!r})"
        )
    return state if state.dtype == dtype else astype(state, dtype)


def split_gates(a: Array, hidden: int) -> list[Array]:
    """Return the activations of each gate: slices of ``hidden`` units."""
    return [a[..., start : start + hidden] for start in range(0, a.shape[-1], hidden)]


class RNNStep(RecurrentStep):
    """h' = tanh a or relu a."""

    def __init__(
        self,
        inputs: int,
        hidden: int,
        bias: bool = True,
        nonlinearity: Nonlinearity = "tanh",
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        self.nonlinearity = checked_nonlinearity(self, nonlinearity)
        super().__init__(inputs, hidden, bias, dtype, generator, seed, init)

    def activate(self, a: Any) -> Array:
        """Return the nonlinearity of the activations ``a``."""
        return tanh(a) if self.nonlinearity == "tanh" else where(a <= 0, 0, a)

    def describe(self) -> str:
        return super().describe() + ("" if self.nonlinearity == "tanh" else f", {self.nonlinearity}")


class RNNCell(RNNStep):
    """h' = tanh(x W_xᵀ + b_x + h W_hᵀ + b_h), one step of a simple recurrent network (or relu in place of tanh).

    ``x``: (N, inputs) or (inputs); ``h``, ``h'``: (N, hidden) or (hidden). Call ``cell(x, h)``, or ``cell(x)`` to start
    at h = 0. `RNN` goes over a sequence. Raises `ShapeError` where x or h do not fit, `DTypeError` for a float dtype
    other than ``dtype``.

    - ``inputs``, ``hidden``: the lengths of the last axes of x and of h.
    - ``bias``: whether there are b_x and b_h, which start at 0.
    - ``nonlinearity``: "tanh" or "relu".
    - ``dtype``: the floating dtype of parameters and states; integers and bools in x are converted.
    - ``generator``, ``seed``: where the numbers are drawn from: a `bprop.Generator`, or the seed of a fresh one.
      Without either they come from the stream described at `bprop.nn.seed`.
    - ``init``: how W_x and W_h start, an `Initialiser`; by default uniform in ±1/√hidden.

    **Source:** Elman (1990), Finding structure in time; PyTorch, ``RNNCell``.

    >>> import bprop
    >>> from bprop import nn
    >>> cell = nn.RNNCell(3, 2, seed=0)
    >>> cell, cell(bprop.ones((5, 3), dtype="float32")).shape
    (RNNCell(3 → 2, float32), (5, 2))
    """

    def fprop(self, x: Any, h: Any = None) -> Array:
        x, (h, *_) = self._inputs(x, () if h is None else (h,))
        return self.activate(self.activations_of_x(x) + self.activations_of_h(h))


def checked_nonlinearity(module: Module, nonlinearity: Any) -> Nonlinearity:
    """Return "tanh" or "relu", refusing anything else."""
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(f"{type(module).__name__}: nonlinearity is 'tanh' or 'relu', not {nonlinearity!r:.60}")
    checked: Nonlinearity = nonlinearity
    return checked


class LSTMStep(RecurrentStep):
    """c' = f c + i g, h' = o tanh c'."""

    gates = 4

    def step(self, a: Any, c: Any) -> tuple[Array, Array]:
        """Return h' and c' of the activations ``a`` of all gates and the cell state ``c`` before."""
        a_i, a_f, a_g, a_o = split_gates(a, self.hidden)
        c = sigmoid(a_f) * c + sigmoid(a_i) * tanh(a_g)
        return sigmoid(a_o) * tanh(c), c


class LSTMCell(LSTMStep):
    """One step of a long short-term memory: c' = f c + i g, h' = o tanh c'.

    (i, f, g, o) = (σ, σ, tanh, σ)(x W_xᵀ + b_x + h W_hᵀ + b_h): input gate, forget gate, candidate and output gate, in
    this order in the rows of W_x (4 · hidden, inputs), W_h (4 · hidden, hidden), b_x and b_h. The cell state c is a sum:
    its error derivative passes from step to step by f alone, neither squashed nor multiplied by weights.

    ``x``: (N, inputs) or (inputs); ``h``, ``c``: (N, hidden) or (hidden). ``cell(x, (h, c))`` returns (h', c');
    ``cell(x)`` starts at 0. `LSTM` goes over a sequence. Raises `ShapeError` where x or the state do not fit,
    `DTypeError` for a float dtype other than ``dtype``.

    - ``inputs``, ``hidden``: the lengths of the last axes of x and of h.
    - ``bias``: whether there are b_x and b_h, which start at 0.
    - ``dtype``: the floating dtype of parameters and states; integers and bools in x are converted.
    - ``generator``, ``seed``: where the numbers are drawn from: a `bprop.Generator`, or the seed of a fresh one.
      Without either they come from the stream described at `bprop.nn.seed`.
    - ``init``: how W_x and W_h start, an `Initialiser`; by default uniform in ±1/√hidden.

    **Source:** Hochreiter & Schmidhuber (1997), Long short-term memory; Gers, Schmidhuber & Cummins (2000), Learning to
    forget; PyTorch, ``LSTMCell``.

    >>> import bprop
    >>> from bprop import nn
    >>> cell = nn.LSTMCell(3, 2, seed=0)
    >>> h, c = cell(bprop.ones((5, 3), dtype="float32"))
    >>> h.shape, c.shape
    ((5, 2), (5, 2))
    """

    result = ("h", "c")

    def fprop(self, x: Any, state: Any = None) -> tuple[Array, Array]:
        x, (h, c) = self._inputs(x, () if state is None else checked_pair(self, state))
        return self.step(self.activations_of_x(x) + self.activations_of_h(h), c)


def checked_pair(module: Module, state: Any) -> tuple[Any, Any]:
    """Return the state (h, c) of an LSTM, refusing what is no pair."""
    if not isinstance(state, tuple | list) or len(state) != 2:
        shown = f"{type(state).__name__} of {len(state)}" if isinstance(state, tuple | list) else type(state).__name__
        raise ArgumentError(f"{type(module).__name__}: the state is a pair (h, c), not {shown}")
    return state[0], state[1]


class GRUStep(RecurrentStep):
    """h' = (1 - z) n + z h."""

    gates = 3

    def step(self, x_share: Any, h_share: Any, h: Any) -> tuple[Array, Array]:
        """Return h', and the activation of the candidate, of both shares in the activations and the state before."""
        (x_r, x_z, x_n), (h_r, h_z, h_n) = split_gates(x_share, self.hidden), split_gates(h_share, self.hidden)
        z, a_n = sigmoid(x_z + h_z), x_n + sigmoid(x_r + h_r) * h_n
        return (1 - z) * tanh(a_n) + z * h, a_n


class GRUCell(GRUStep):
    """One step of a gated recurrent unit: h' = (1 - z) n + z h.

    r, z = σ(x W_xᵀ + b_x + h W_hᵀ + b_h), the reset and the update gate, and the candidate n = tanh(x W_xᵀ + b_x +
    r (h W_hᵀ + b_h)), each with its own rows of W_x (3 · hidden, inputs), W_h (3 · hidden, hidden), b_x and b_h, in the
    order r, z, n. The reset gate stands behind the product with W_h, as in PyTorch and cuDNN, so that the products of
    all gates are one; in the article it stands before it.

    ``x``: (N, inputs) or (inputs); ``h``, ``h'``: (N, hidden) or (hidden). Call ``cell(x, h)``, or ``cell(x)`` to start
    at h = 0. `GRU` goes over a sequence. Raises `ShapeError` where x or h do not fit, `DTypeError` for a float dtype
    other than ``dtype``.

    - ``inputs``, ``hidden``: the lengths of the last axes of x and of h.
    - ``bias``: whether there are b_x and b_h, which start at 0.
    - ``dtype``: the floating dtype of parameters and states; integers and bools in x are converted.
    - ``generator``, ``seed``: where the numbers are drawn from: a `bprop.Generator`, or the seed of a fresh one.
      Without either they come from the stream described at `bprop.nn.seed`.
    - ``init``: how W_x and W_h start, an `Initialiser`; by default uniform in ±1/√hidden.

    **Source:** Cho et al. (2014), Learning phrase representations using RNN encoder-decoder; PyTorch, ``GRUCell``.

    >>> import bprop
    >>> from bprop import nn
    >>> cell = nn.GRUCell(3, 2, seed=0)
    >>> cell(bprop.ones((5, 3), dtype="float32")).shape
    (5, 2)
    """

    def fprop(self, x: Any, h: Any = None) -> Array:
        x, (h, *_) = self._inputs(x, () if h is None else (h,))
        return self.step(self.activations_of_x(x), self.activations_of_h(h), h)[0]


__all__ = [
    "GRUCell",
    "GRUStep",
    "LSTMCell",
    "LSTMStep",
    "Nonlinearity",
    "RNNCell",
    "RNNStep",
    "RecurrentStep",
    "checked_input",
    "checked_nonlinearity",
    "checked_pair",
    "checked_state",
    "split_gates",
]
