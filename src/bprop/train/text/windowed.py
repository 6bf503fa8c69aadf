"""A network that reads a text window by window: how a `CharTransformer` is measured and made to write."""

from collections.abc import Iterator
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compile import compile
from ...core.value import Array, asarray
from ...networks import CharTransformer
from ...nn import CrossEntropy, Module
from ...ops import Generator
from ..evaluation import evaluating
from .corpus import Ids
from .sampling import compiled_step, drawn

_WINDOWS = 16  # that one call measures


class Windowed(Module):
    """A `CharTransformer` that is trained on windows, each by itself."""

    def __init__(self, network: CharTransformer) -> None:
        self.network = network

    def fprop(self, x: Any) -> Array:
        y: Array = self.network(x)
        return y

    def reset(self) -> None:
        """Do nothing: there is no state from one window to the next."""

    def bits(self, ids: Ids, first: int) -> float:
        """Return the mean of -log₂ p over the characters from position ``first`` on, each given those before it in a window.

        Windows overlap by half, and what is counted of each is the second half, so that a character is predicted from at least
        half a window before it, as far as ``ids`` begin early enough.
        """
        size = self.network.length
        begins = np.arange(max(first - 1 - size // 2, 0), len(ids) - 1, (size + 1) // 2)
        begins = np.concatenate([begins, np.repeat(begins[-1:], -len(begins) % _WINDOWS)])  # calls of one shape
        filled = np.concatenate([ids, np.zeros(size, np.int64)])
        loss = CrossEntropy("none")
        run = compile(lambda network, x, t: loss(network(x), t))
        total, counted = 0.0, first
        with evaluating(self):
            for some in begins.reshape(-1, _WINDOWS):
                rows = some[:, None] + np.arange(size)
                errors: NDArray[Any] = np.asarray(run(self.network, asarray(filled[rows]), asarray(filled[rows + 1])))
                for targets, values in zip(rows + 1, errors, strict=True):
                    is_new = (targets >= counted) & (targets < len(ids))
                    total += float(np.sum(values[is_new], dtype=np.float64))
                    counted = max(counted, targets[-1] + 1)
        return total / log(2) / (len(ids) - first)

    def written(self, prompt: Ids, length: int, temperature: float, generator: Generator) -> Iterator[int]:
        """Yield ``length`` characters that go on after ``prompt``, each drawn given those before it in a window.

        Keys and values of earlier characters are kept. Positions count from the beginning of the window: where it is full, its
        second half is read again as the first half of the next, so that a character has at least half a window before it.
        """
        size = self.network.length
        text = prompt.tolist()[-size:]
        with evaluating(self):
            y, state = self.network.step(asarray([text]), self.network.start())
            step = compiled_step(CharTransformer.step, state)
            for position in range(length):
                letter = drawn(np.asarray(y)[0, -1], temperature, float(generator.uniform()))
                yield letter
                if position == length - 1:
                    return
                text.append(letter)
                new = text[-1:]
                if len(text) > size:
                    new = text = text[-max(size // 2, 1) :]
                    state = self.network.start()
                for letter in new:  # one by one: a program for each number of them would take longer
                    y, state = step(self.network, asarray([[letter]]), state)


__all__ = ["Windowed"]
