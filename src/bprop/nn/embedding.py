"""`Embedding`: a row of numbers for every id, such as a token of a text."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, DTypeError, IndexingError
from ..core.number import integer, whole_number
from ..core.value import Array, Tracer, asarray
from ..ops import Generator, astype, expand_dims, take, where, zeros
from .cell import parameter
from .default_generator import generator_for
from .initialiser import Initialiser, normal
from .module import Module
from .setting import allocating, floating


class Embedding(Module):
    """y = W[x]: the rows of W that the ids x name. It is `Linear` of one-hot inputs, without the zeros.

    ``x``: integers of any shape (...), each in 0 … inputs - 1; ``W``: (inputs, outputs); ``y``: (..., outputs).

    Raises `IndexingError` for an id out of range, compiled too, and `DTypeError` for ids that are no integers.

    ∂E/∂W_i = Σ ∂E/∂y over the places where the id is i, in the order of x: the same bits on every run. x has no
    derivative.

    - ``inputs``: how many ids there are (PyTorch's ``num_embeddings``). ``outputs``: the length of a row
      (``embedding_dim``).
    - ``padding_idx``: an id whose row starts at 0 and gets no gradient, such as that of what fills up short sequences.
    - ``dtype``: the floating dtype of W and y.
    - ``generator``, ``seed``: where the numbers are drawn from, as in `Linear`.
    - ``init``: how W starts, an `Initialiser` of `bprop.nn.init`; by default normal with mean 0 and deviation 1.

    **Source:** Bengio, Ducharme, Vincent & Jauvin (2003), A neural probabilistic language model, section 2; PyTorch,
    ``Embedding``.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.Embedding(5, 2, seed=0)
    >>> layer, layer.fprop([[0, 4, 0]]).shape
    (Embedding(5 → 2, float32), (1, 3, 2))
    >>> _ = layer.bprop(bprop.ones((1, 3, 2)))
    >>> layer.W_bar[:, 0]
    Array([2., 0., 0., 0., 1.], dtype=float32)
    """

    pytorch_names = {"W": "weight"}  # noqa: RUF012 - never written to

    def __init__(
        self,
        inputs: int,
        outputs: int,
        padding_idx: int | None = None,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        shape = integer(self, "inputs", inputs), integer(self, "outputs", outputs)
        dtype = floating(self, dtype)
        if padding_idx is not None:
            if whole_number(padding_idx, -shape[0], shape[0]) is None:
                raise ArgumentError(
                    f"Embedding: padding_idx is one of the ids 0 … {shape[0] - 1}, or counts from the end, -1 … {-shape[0]}, "
                    f"not {padding_idx!r:.60}"
                )
            padding_idx = int(padding_idx) % shape[0]
        self.padding_idx = padding_idx
        draw = generator_for("Embedding", generator, seed)
        with allocating(self, "W", shape, dtype):
            W = np.array((normal() if init is None else init)(shape, dtype, draw))
            if padding_idx is not None:
                W[padding_idx] = 0
            self.W = parameter(W)

    def fprop(self, x: Any) -> Array:
        return take(self.W, self.checked(x), axis=0)

    def bprop(self, y_bar: Any) -> None:
        """Leave ∂E/∂W in ``W_bar``: each row of ∂E/∂y is added to that of its id. Ids have no derivative."""
        x = self.checked(self.x)
        if self.padding_idx is not None:
            y_bar = where(expand_dims(x == self.padding_idx, -1), 0, y_bar)
        self.W_bar = zeros(self.W.shape, dtype=y_bar.dtype).at[x].add(y_bar)

    def checked(self, x: Any) -> Array:
        """Return the ids as an array of integers, in int64; raise where one is none of this layer's.

        - ``x``: integers of any shape. Where there are no numbers yet, `take` refuses them when the program runs.
        """
        ids, count = asarray(x), self.W.shape[0]
        if ids.dtype.kind not in "iu":
            raise DTypeError(f"Embedding: ids are integers, not {ids.dtype}: write x.astype(int)")
        numbers, runs = ids.concrete(), isinstance(ids, Tracer) and ids.owner.runs
        ids = astype(ids, np.int64)
        if numbers is None:
            return where(ids < 0, count, ids) if runs else ids  # below zero `take` would count from the end
        wrong = (numbers < 0) | (numbers >= count)
        if wrong.any():
            index = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            position = f" at {tuple(map(int, index))}" if index else ""
            raise IndexingError(f"Embedding: id {numbers[index]}{position}: ids are 0 … {count - 1}")
        return ids

    def example(self) -> tuple[Any, ...]:
        """Return two short sequences of ids."""
        return (np.zeros((2, 3), np.int64),)

    def describe(self) -> str:
        W = self.__dict__["_cells"]["W"].array
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{W.shape[0]} → {W.shape[1]}{padding}, {W.dtype}"


__all__ = ["Embedding"]
