"""Recurrent layers over sequences: `RNN`, `LSTM` and `GRU`, stacked and in one or both directions."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, DTypeError, IndexingError, ShapeError
from ..core.interpreter import EVALUATE, using
from ..core.number import flag, integer, number
from ..core.value import Array, Tracer, asarray
from ..ops import Generator, arange, astype, concat, moveaxis, reshape, stack, take, where, zeros
from .default_generator import generator_for, split
from .dropout import Dropout
from .initialiser import Initialiser
from .module import Module
from .recurrent_cell import (
    Nonlinearity,
    RecurrentStep,
    checked_input,
    checked_nonlinearity,
    checked_pair,
    checked_state,
)
from .recurrent_layer import GRUOverTime, LSTMOverTime, OverTime, RNNOverTime
from .setting import floating


class Recurrent(Module):
    """Base class: ``num_layers`` layers, each in one direction or in both, and dropout in between."""

    over_time: ClassVar[type[OverTime]]
    states: ClassVar[tuple[str, ...]] = ("h",)
    result = ("y", "last_state")

    def __init__(
        self,
        inputs: int,
        hidden: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        inputs, hidden = integer(self, "inputs", inputs), integer(self, "hidden", hidden)
        self.num_layers = integer(self, "num_layers", num_layers)
        self.batch_first = flag(self, "batch_first", batch_first)
        self.bidirectional = flag(self, "bidirectional", bidirectional)
        bias, dtype = flag(self, "bias", bias), floating(self, dtype)
        draw = generator_for(type(self).__name__, generator, seed)
        width = inputs
        layers: list[Any] = []
        for _ in range(self.num_layers):
            both = [
                self.over_time(width, hidden, bias, dtype=dtype, generator=draw, init=init, **self._options())
                for _ in range(self.directions)
            ]
            layers.append(dict(zip(("forward", "backward"), both, strict=True)) if self.bidirectional else both[0])
            width = hidden * self.directions
        self.layers = layers
        for layer in layers:
            if self.bidirectional:
                layer["backward"].reverse = True
        rate = number(self, "dropout", dropout, 0, 1)
        if rate > 0 and self.num_layers == 1:
            raise ArgumentError(f"{type(self).__name__}: dropout={dropout} acts between layers, and num_layers is 1")
        self.dropout: Dropout | None = None
        if rate > 0:
            with using(EVALUATE):  # not traced, even if the layer is made under a transform
                self.dropout = Dropout(rate, split(draw))  # other bits than those of the weights

    def _options(self) -> dict[str, Any]:
        """Return further arguments of the cells."""
        return {}

    @property
    def directions(self) -> int:
        """1, or 2 if the layer is bidirectional."""
        return 2 if self.bidirectional else 1

    def _directed(self, number: int) -> list[OverTime]:
        """Return the layer of a number, in each direction."""
        layer: Any = self.layers[number]
        return list(layer.values()) if self.bidirectional else [layer]

    @property
    def pytorch_names(self) -> dict[str, str]:
        """PyTorch's names of the parameters, by path."""
        names = {}
        for depth in range(self.num_layers):
            for direction, suffix in (("forward", ""), ("backward", "_reverse"))[: self.directions]:
                path = f"layers.{depth}.{direction}" if self.bidirectional else f"layers.{depth}"
                for name, pytorch_name in RecurrentStep.pytorch_names.items():
                    names[f"{path}.{name}"] = f"{pytorch_name}_l{depth}{suffix}"
        return names

    def fprop(self, x: Any, state: Any = None, lengths: Any = None, return_state: bool = False) -> Any:
        first = self._directed(0)[0]
        wanted = "(N, T, inputs)" if self.batch_first else "(T, N, inputs)"
        x = checked_input(self, first, x, (2, 3), f"{wanted} or (T, inputs)")
        batched = x.ndim == 3
        if not batched:
            x = reshape(x, (x.shape[0], 1, x.shape[1]))
        elif self.batch_first:
            x = moveaxis(x, 0, 1)
        starts = self._starts(x, state, batched)
        mask = None if lengths is None else self._mask(lengths, x.shape[:2], batched)
        if mask is not None:
            x = where(mask, x, asarray(np.zeros((), x.dtype)))  # what lies beyond a sequence is not looked at
        y, ends = self._run(x, starts, mask)
        if not batched:
            y, ends = y[:, 0], [end[:, 0] for end in ends]
        elif self.batch_first:
            y = moveaxis(y, 0, 1)
        if state is None and not flag(self, "return_state", return_state):
            return y
        return y, (tuple(ends) if len(ends) > 1 else ends[0])

    def _run(self, x: Array, starts: list[Array], mask: Any) -> tuple[Array, list[Array]]:
        """Return y of the last layer, (T, N, directions · hidden), and the last states of all layers, as `_starts`."""
        finals: list[list[Array]] = [[] for _ in starts]
        for depth in range(self.num_layers):
            if depth > 0 and self.dropout is not None:
                x = self.dropout(x)
            ys = []
            for direction, layer in enumerate(self._directed(depth)):
                position = depth * self.directions + direction
                y, *ends = layer(x, *(start[position] for start in starts), mask)
                ys.append(y)
                for final, end in zip(finals, ends, strict=True):
                    final.append(end)
            x = concat(ys, axis=-1) if len(ys) > 1 else ys[0]
        return x, [stack(final, axis=0) for final in finals]

    def _starts(self, x: Array, state: Any, batched: bool) -> list[Array]:
        """Return the first states, each (num_layers · directions, N, hidden); zeros where there are none."""
        hidden = self._directed(0)[0].hidden
        count = self.num_layers * self.directions
        shape = (count, x.shape[1], hidden)
        if state is None:
            return [zeros(shape, dtype=x.dtype) for _ in self.states]
        states = (state,) if len(self.states) == 1 else checked_pair(self, state)
        wanted = "(num_layers · directions, N, hidden)" if batched else "(num_layers · directions, hidden)"
        given = shape if batched else (count, hidden)
        checked = [
            checked_state(self, name, value, given, wanted, x.dtype)
            for name, value in zip(self.states, states, strict=True)
        ]
        return checked if batched else [reshape(value, shape) for value in checked]

    def _mask(self, lengths: Any, shape: tuple[int, ...], batched: bool) -> Array:
        """Return (T, N, 1), whether a step is a part of the sequence; refuse lengths that are none."""
        kind, (steps, count), lengths = type(self).__name__, shape, asarray(lengths)
        expected = (count,) if batched else ()
        if lengths.shape != expected:
            raise ShapeError(f"{kind}: lengths have shape {lengths.shape}; one for every sequence is {expected}")
        if lengths.dtype.kind not in "iu":
            raise DTypeError(f"{kind}: lengths are integers, not {lengths.dtype}: write lengths.astype(int)")
        lengths = reshape(lengths, (count,))
        numbers = lengths.concrete()  # only to refuse lengths that are none: the numbers do not enter the result
        if numbers is not None:
            wrong = (numbers < 0) | (numbers > steps)
            if wrong.any():
                example = int(np.argmax(wrong))
                raise IndexingError(
                    f"{kind}: length {numbers[example]} of sequence {example} with {steps} steps: lengths are 0 … {steps}"
                )
        traced = isinstance(lengths, Tracer) and lengths.owner.runs
        lengths = astype(lengths, np.int64)
        if traced:  # no numbers yet: `take` refuses a length out of range when the program runs
            lengths = take(arange(steps + 1), where(lengths < 0, steps + 1, lengths))
        return reshape(arange(steps), (steps, 1, 1)) < reshape(lengths, (1, count, 1))

    def describe(self) -> str:
        first = self._directed(0)[0]
        layers = f", {self.num_layers} layers" if self.num_layers > 1 else ""
        flags = "".join(f", {name}" for name in ("bidirectional", "batch_first") if getattr(self, name))
        sizes, _, rest = first.describe().partition(", ")
        return f"{sizes}{layers}{flags}, {rest}"

    def example(self) -> tuple[Any, ...]:
        """Return a sequence of 3 steps for 2 examples."""
        inputs = self._directed(0)[0].inputs_size
        return ((2, 3, inputs) if self.batch_first else (3, 2, inputs),)


class RNN(Recurrent):
    """A simple recurrent network over a sequence: h_t = tanh(x_t W_xᵀ + b_x + h_{t-1} W_hᵀ + b_h), or relu; y_t = h_t.

    ``x``: (T, N, inputs), T steps of N sequences, or (T, inputs), one sequence; ``y``: (T, N, directions · hidden). The
    forms of states, lengths and results are those of `LSTM`, with one state h in place of the pair (h, c). Error
    derivatives are multiplied by W_h at every step on the way back, and so vanish or explode with its singular values:
    see `LSTM` and `GRU`, and clip gradients with `bprop.optim.clip_norm`.

    - ``inputs``, ``hidden``: the lengths of the last axes of x and of h.
    - ``num_layers``: how many layers there are; each takes the y of the one before.
    - ``nonlinearity``: "tanh" or "relu".
    - ``bias``, ``batch_first``, ``dropout``, ``bidirectional``, ``dtype``, ``generator``, ``seed``, ``init``: as `LSTM`.

    **Source:** Elman (1990), Finding structure in time; Werbos (1990), Backpropagation through time: what it does and
    how to do it; PyTorch, ``RNN``.

    >>> import bprop
    >>> from bprop import nn
    >>> rnn = nn.RNN(3, 4, seed=0)
    >>> rnn.fprop(bprop.ones((7, 2, 3), dtype="float32")).shape, rnn.bprop(bprop.ones((7, 2, 4), dtype="float32")).shape
    ((7, 2, 4), (7, 2, 3))
    """

    over_time = RNNOverTime

    def __init__(
        self,
        inputs: int,
        hidden: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        self.nonlinearity = checked_nonlinearity(self, nonlinearity)
        super().__init__(
            inputs, hidden, num_layers, bias, batch_first, dropout, bidirectional, dtype, generator, seed, init
        )

    def _options(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}


class LSTM(Recurrent):
    """A long short-term memory over a sequence: c_t = f_t c_{t-1} + i_t g_t, h_t = o_t tanh c_t; y_t = h_t.

    The gates are those of `LSTMCell`. ``x``: (T, N, inputs), T steps of N sequences, (N, T, inputs) with
    ``batch_first``, or (T, inputs), one sequence. ``layer(x)`` returns y alone, (T, N, directions · hidden), as a module
    in `Sequential` does. ``layer(x, state)`` goes on from a state and returns (y, state) with the last one, and so does
    ``layer(x, return_state=True)``, which starts at 0. The state is (h, c), each (num_layers · directions, N, hidden)
    whatever ``batch_first`` is, ordered layer by layer, the forward direction before the backward one.

    ``lengths``, (N,) integers from 0 to T, are the lengths of the sequences: y is 0 beyond them, the last state is that
    after a sequence's own last step, and the backward direction starts at that step, as with PyTorch's packed sequences.
    (A sequence of length 0 leaves the first state as it is.) What x holds beyond does not matter.

    Raises `ShapeError` where x, lengths or a state do not fit, `IndexingError` for a length that is none, `DTypeError`
    for a float dtype other than ``dtype``.

    - ``inputs``, ``hidden``: the lengths of the last axes of x and of h.
    - ``num_layers``: how many layers there are; each takes the y of the one before.
    - ``bias``: whether there are b_x and b_h, which start at 0.
    - ``batch_first``: whether x and y are (N, T, …).
    - ``dropout``: in training, the probability that an activity between two layers is set to 0, in [0, 1).
    - ``bidirectional``: whether a second layer goes from the last step to the first; y has both behind one another.
    - ``dtype``: the floating dtype of parameters and states; integers and bools in x are converted.
    - ``generator``, ``seed``: where the numbers are drawn from: a `bprop.Generator`, or the seed of a fresh one.
      Without either they come from the stream described at `bprop.nn.seed`.
    - ``init``: how W_x and W_h start, an `Initialiser`; by default uniform in ±1/√hidden.

    **Source:** Hochreiter & Schmidhuber (1997), Long short-term memory; Gers, Schmidhuber & Cummins (2000), Learning to
    forget; Graves (2012), Supervised sequence labelling with recurrent neural networks, section 4.6, for the backward
    pass; PyTorch, ``LSTM``.

    >>> import bprop
    >>> from bprop import nn
    >>> lstm = nn.LSTM(3, 4, seed=0)
    >>> x = bprop.ones((7, 2, 3), dtype="float32")
    >>> y, state = lstm(x, return_state=True)  # text is read on like this, part by part
    >>> y, (h, c) = lstm(x, state)
    >>> y.shape, h.shape, c.shape
    ((7, 2, 4), (1, 2, 4), (1, 2, 4))
    """

    over_time = LSTMOverTime
    states = ("h", "c")


class GRU(Recurrent):
    """A gated recurrent unit over a sequence: h_t = (1 - z_t) n_t + z_t h_{t-1}; y_t = h_t. The gates: see `GRUCell`.

    ``x``: (T, N, inputs), T steps of N sequences, or (T, inputs), one sequence; ``y``: (T, N, directions · hidden). The
    forms of states, lengths and results are those of `LSTM`, with one state h in place of the pair (h, c).

    - ``inputs``, ``hidden``: the lengths of the last axes of x and of h.
    - ``num_layers``: how many layers there are; each takes the y of the one before.
    - ``bias``, ``batch_first``, ``dropout``, ``bidirectional``, ``dtype``, ``generator``, ``seed``, ``init``: as `LSTM`.

    **Source:** Cho et al. (2014), Learning phrase representations using RNN encoder-decoder; PyTorch, ``GRU``.

    >>> import bprop
    >>> from bprop import nn
    >>> gru = nn.GRU(3, 4, bidirectional=True, seed=0)
    >>> gru(bprop.ones((7, 2, 3), dtype="float32"), lengths=[7, 5]).shape
    (7, 2, 8)
    """

    over_time = GRUOverTime


__all__ = ["GRU", "LSTM", "RNN", "Recurrent"]
