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
from ...ops import Generator, take
from ..evaluation import evaluating
from .corpus import Ids
from .sampling import drawn

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
        """Yield ``length`` characters that go on after ``prompt``, each drawn given as many before it as a window holds."""
        size = self.network.length
        step = compile(lambda network, x, last: take(network(x)[0], last, axis=0))
        text = prompt.tolist()
        with evaluating(self):
            for _ in range(length):
                seen = text[-size:]
                x = np.array(
                    [seen + [0] * (size - len(seen))], np.int64
                )  # attention looks at nothing behind a character
                logits = step(self.network, asarray(x), asarray(np.int64(len(seen) - 1)))
                text.append(drawn(logits, temperature, float(generator.uniform())))
                yield text[-1]


__all__ = ["Windowed"]
