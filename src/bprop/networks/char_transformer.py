"""`CharTransformer`: blocks of causal attention that predict the next character of a text."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ShapeError
from ..core.number import integer
from ..core.value import Array, asarray
from ..nn import Embedding, LayerNorm, LearnedPositions, Linear, Module, Sequential, TransformerEncoderBlock
from ..nn.default_generator import generator_for
from ..nn.initialiser import normal
from ..nn.key_value_cache import Cache
from ..ops import Generator

State = tuple[Cache, ...]
"""For every block keys and values of the characters that were read."""


class CharTransformer(Module):
    """Logits of the next character for every character of a text: a small GPT-2.

    Embedding and learned positions, blocks that normalise before attention and before their two dense layers (of four times
    the width, GELU), a normalisation, a dense layer. Every character sees those before it. ``x``: (N, T), N texts of T ≤
    ``length`` characters as numbers in 0 … vocabulary - 1; ``y``: (N, T, vocabulary). Raises `ShapeError` for longer texts.

    - ``vocabulary``: how many characters there are. ``length``: how many can be read at once.
    - ``width``: the numbers of a character inside. ``num_layers``: how many blocks. ``heads``: of each attention.
    - ``dropout``: in training, the probability that an activity or a weight of attention is set to 0.
    - ``dtype``, ``generator``, ``seed``: as for `bprop.nn.Linear`. Embeddings and W of the last layer start normal with
      deviation 0.02.

    **Source:** Radford et al. (2019), Language models are unsupervised multitask learners (GPT-2); Vaswani et al. (2017),
    Attention is all you need; characters: Al-Rfou et al. (2019).

    >>> from bprop.networks import CharTransformer
    >>> CharTransformer(5, length=8, width=8, num_layers=2, heads=2, seed=0)([[0, 1, 4]]).shape
    (1, 3, 5)
    """

    def __init__(
        self,
        vocabulary: int,
        length: int = 64,
        width: int = 128,
        num_layers: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> None:
        draw = generator_for("CharTransformer", generator, seed)
        small = normal(deviation=0.02)
        self.length = integer(self, "length", length)
        self.embedding = Embedding(vocabulary, width, dtype=dtype, generator=draw, init=small)
        self.positions = LearnedPositions(length, width, dtype, draw)
        self.blocks = Sequential(
            *(
                TransformerEncoderBlock(
                    width, heads, 4 * width, dropout, "gelu",
                    batch_first=True, norm_first=True, causal=True, dtype=dtype, generator=draw,
                )
                for _ in range(integer(self, "num_layers", num_layers))
            )
        )  # fmt: skip
        self.norm = LayerNorm(width, dtype=dtype)
        self.output = Linear(width, vocabulary, dtype, draw, init=small)

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        if x.ndim != 2 or x.shape[1] > self.length:
            raise ShapeError(f"CharTransformer: x is (N, T) with T in 1 … {self.length}, not of shape {x.shape}")
        y: Array = self.output(self.norm(self.blocks(self.positions(self.embedding(x)))))
        return y

    def start(self, count: int = 1) -> State:
        """Return the state before the first step: for every block an empty cache of keys and values.

        - ``count``: N, how many texts there are.
        """
        return tuple(block.start(self.length, integer(self, "count", count)) for block in self._blocks())

    def step(self, x: Any, state: State) -> tuple[Array, State]:
        """Return y of further characters, and the new state. Nothing that was computed for earlier ones is computed again.

        - ``x``: (N, T), T new characters of each text. ``state``: what `start` or the last step returned.

        Raises `IndexingError` where there is no room for T characters more. Without dropout it is what `fprop` gives for the
        whole text.

        >>> import bprop
        >>> network = CharTransformer(5, length=8, width=8, num_layers=2, heads=2, seed=0)
        >>> y, state = network.step([[0, 1]], network.start())
        >>> y, state = network.step([[4]], state)
        >>> bool(bprop.max(abs(y[0, 0] - network([[0, 1, 4]])[0, 2])) < 1e-5)
        True
        """
        h = self.positions(self.embedding(asarray(x)), state[0]["position"])
        after = []
        for block, cache in zip(self._blocks(), state, strict=True):
            h, new = block.step(h, cache)
            after.append(new)
        return self.output(self.norm(h)), tuple(after)

    def _blocks(self) -> list[Any]:
        return list(self.blocks)

    def example(self) -> tuple[Any, ...]:
        """Return two short texts."""
        return (np.zeros((2, min(3, self.length)), np.int64),)


__all__ = ["CharTransformer"]
