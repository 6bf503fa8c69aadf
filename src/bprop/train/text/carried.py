"""A network that reads a text with a state: how a `CharRNN` is trained window by window, measured, and made to write."""

from collections.abc import Iterator
from math import log
from typing import Any

import numpy as np

from ...compile import compile
from ...core.value import Array, asarray
from ...networks import CharRNN
from ...nn import CrossEntropy, Module, state
from ...ops import Generator
from ..evaluation import evaluating
from .corpus import Ids
from .sampling import compiled_step, drawn

_CHUNK = 512  # characters that one call measures


class CarriedState(Module):
    """A `CharRNN` that is trained on streams: each batch of ``streams`` windows goes on from the state that the last one left.

    Error derivatives end at the first character of a window (truncated backpropagation through time). In evaluation mode, and
    with other batches, it starts at 0.

    **Source:** Williams & Peng (1990), An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories; Sutskever (2013), Training recurrent neural networks, section 2.8.6.
    """

    def __init__(self, network: CharRNN, streams: int) -> None:
        self.network, self.streams = network, streams
        recurrent = network.recurrent
        self.names = recurrent.states
        hidden, dtype = network.output.W.shape[1], network.output.W.dtype
        for name in self.names:
            setattr(self, name, state(np.zeros((recurrent.num_layers, streams, hidden)), dtype))

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        if not self.training or len(x) != self.streams:
            y: Array = self.network(x)
            return y
        before = tuple(getattr(self, name) for name in self.names)
        y, after = self.network(x, before if len(before) > 1 else before[0])
        for name, value in zip(self.names, after if len(before) > 1 else (after,), strict=True):
            setattr(self, name, value)
        return y

    def reset(self) -> None:
        """Start again at 0."""
        for name in self.names:
            setattr(self, name, np.zeros_like(np.asarray(getattr(self, name))))

    def bits(self, ids: Ids, first: int) -> float:
        """Return `bits_per_character`."""
        return bits_per_character(self.network, ids, first)

    def written(self, prompt: Ids, length: int, temperature: float, generator: Generator) -> Iterator[int]:
        """Return `written` characters."""
        return written(self.network, prompt, length, temperature, generator)


def bits_per_character(network: CharRNN, ids: Ids, first: int) -> float:
    """Return the mean of -log₂ p(character | all before it) over the characters from position ``first`` on.

    The state goes through the text from end to end; what lies before ``first`` is read, and not counted.
    """
    loss = CrossEntropy("none")

    def measured(model: CharRNN, x: Array, t: Array, before: Any) -> tuple[Array, Any]:
        y, after = model(x, before) if before is not None else model(x, return_state=True)
        return loss(y, t), after

    run, total, carried = compile(measured), 0.0, None
    with evaluating(network):
        for start in range(0, len(ids) - 1, _CHUNK):
            stop = min(start + _CHUNK, len(ids) - 1)
            function = run if stop - start == _CHUNK and carried is not None else measured
            errors, carried = function(
                network, asarray(ids[None, start:stop]), asarray(ids[None, start + 1 : stop + 1]), carried
            )
            total += float(np.sum(np.asarray(errors, np.float64)[0, max(first - 1 - start, 0) :]))
    return total / log(2) / (len(ids) - first)


def written(network: CharRNN, prompt: Ids, length: int, temperature: float, generator: Generator) -> Iterator[int]:
    """Yield ``length`` characters that go on after ``prompt``, drawn from softmax(y / temperature); at 0 the likeliest."""

    def read(model: CharRNN, x: Array, before: Any) -> tuple[Array, Any]:
        y, after = model(x, before)
        return y[0, -1], after

    with evaluating(network):
        y, carried = network(asarray(prompt[None]), return_state=True)
        logits = np.asarray(y)[0, -1]
        step = compiled_step(read, carried)
        for position in range(length):
            letter = drawn(logits, temperature, float(generator.uniform()))
            yield letter
            if position < length - 1:
                logits, carried = step(network, asarray([[letter]]), carried)


__all__ = ["CarriedState", "bits_per_character", "written"]
