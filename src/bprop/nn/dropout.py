"""`Dropout`: in training, a random fraction of the activities is set to 0."""

from typing import Any

from ..core.number import number
from ..core.value import Array, asarray
from ..ops import Generator, where
from .default_generator import own_generator
from .module import Module


class Dropout(Module):
    """y = x / (1 - p) with probability 1 - p, else 0, entry by entry; y = x in evaluation mode (``model.eval()``).

    The division keeps the mean of y at x ("inverted" dropout), so that nothing has to be rescaled afterwards. The
    counter of the generator is a cell: a compiled step, a checkpoint and a saved run continue the stream exactly.

    ``x``: any shape, floating.

    - ``p``: the probability of 0, in [0, 1), else `ArgumentError`.
    - ``generator``, ``seed``: where the mask is drawn from: a `bprop.Generator`, or the seed of a fresh one. Without
      either the module has a generator of its own, seeded from the stream described at `bprop.nn.seed`.

    **Source:** Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov (2014), Dropout.

    >>> import bprop
    >>> from bprop import nn
    >>> dropout = nn.Dropout(0.5, bprop.Generator(0))
    >>> sorted(set(dropout(bprop.ones(100)).tolist()))
    [0.0, 2.0]
    >>> dropout.eval()(bprop.ones(2))
    Array([1., 1.])
    """

    def __init__(self, p: float, generator: Generator | None = None, seed: int | None = None) -> None:
        self.p = number(self, "p, the probability of silence,", p, 0, 1)
        self.generator = own_generator("Dropout", generator, seed)

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        if not self.training or self.p == 0:
            return x
        kept = self.generator.bernoulli(1 - self.p, x.shape)
        self.keep(kept=kept)
        return where(kept, x / (1 - self.p), 0)

    def describe(self) -> str:
        return f"p={self.p:g}"

    def __repr__(self) -> str:
        return f"Dropout({self.describe()}, {self.generator!r})"
