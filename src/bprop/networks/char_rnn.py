"""`CharRNN`: a recurrent network that predicts the next character of a text."""

from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError
from ..nn import GRU, LSTM, RNN, Dropout, Embedding, Linear, Module
from ..nn.default_generator import generator_for, split
from ..nn.initialiser import uniform
from ..ops import Generator

Cell = Literal["lstm", "gru", "rnn"]
_CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


class CharRNN(Module):
    """Logits of the next character for every character of a text: embedding, recurrent layers, a dense layer.

    ``x``: (N, T), N texts of T characters as numbers in 0 … vocabulary - 1; ``y``: (N, T, vocabulary). As with
    `bprop.nn.LSTM`, ``network(x, state)`` goes on from a state and returns (y, state), and so does ``network(x,
    return_state=True)``, which starts at 0. Raises `ArgumentError` for an unknown ``cell``.

    - ``vocabulary``: how many characters there are.
    - ``hidden``: the length of the state. ``embedding``: that of a character's row of numbers.
    - ``cell``: "lstm", "gru" or "rnn". ``num_layers``: how many recurrent layers.
    - ``dropout``: in training, the probability that an entry of the embedding, or of what a recurrent layer returns, is
      set to 0.
    - ``dtype``, ``generator``, ``seed``: as for `bprop.nn.LSTM`.

    **Source:** Graves (2013), Generating sequences with recurrent neural networks, section 3; Karpathy (2015), The
    unreasonable effectiveness of recurrent neural networks; dropout: Zaremba, Sutskever & Vinyals (2014).

    >>> from bprop.networks import CharRNN
    >>> network = CharRNN(5, hidden=8, embedding=4, seed=0)
    >>> y, state = network([[0, 1, 4]], return_state=True)
    >>> y.shape, network([[2]], state)[0].shape
    ((1, 3, 5), (1, 1, 5))
    """

    result = ("y", "last_state")

    def __init__(
        self,
        vocabulary: int,
        hidden: int = 256,
        embedding: int = 64,
        cell: Cell = "lstm",
        num_layers: int = 1,
        dropout: float = 0.0,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> None:
        if cell not in _CELLS:
            raise ArgumentError(f"CharRNN: cell is one of {', '.join(map(repr, _CELLS))}, not {cell!r:.60}")
        draw = generator_for("CharRNN", generator, seed)
        between = dropout if num_layers > 1 else 0.0
        self.embedding = Embedding(vocabulary, embedding, dtype=dtype, generator=draw, init=uniform(-0.1, 0.1))
        self.recurrent = _CELLS[cell](
            embedding, hidden, num_layers, batch_first=True, dropout=between, dtype=dtype, generator=draw
        )
        self.dropout = Dropout(dropout, split(draw))
        self.output = Linear(hidden, vocabulary, dtype, generator=draw)

    def fprop(self, x: Any, state: Any = None, return_state: bool = False) -> Any:
        e = self.dropout(self.embedding(x))
        if state is None and not return_state:
            return self.output(self.dropout(self.recurrent(e)))
        y, last = self.recurrent(e, state, None, True)
        return self.output(self.dropout(y)), last

    def example(self) -> tuple[Any, ...]:
        """Return two short texts."""
        return (np.zeros((2, 3), np.int64),)


__all__ = ["CharRNN"]
