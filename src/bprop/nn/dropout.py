"""Dropout: in training, a random fraction of the activities, or of the channels, is set to 0."""

from typing import Any, ClassVar

from ..core.number import number
from ..core.shape import Shape
from ..core.value import Array, asarray
from ..ops import Generator, where
from ..ops.spatial import LAYOUTS, check_axes, layout_name
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
        kept = self.generator.bernoulli(1 - self.p, self.mask_shape(x))
        self.keep(kept=kept)
        return where(kept, x / (1 - self.p), 0)

    def mask_shape(self, x: Array) -> Shape:
        """Return the shape in which it is drawn what of ``x`` is kept; it broadcasts to that of x."""
        return x.shape

    def describe(self) -> str:
        return f"p={self.p:g}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()}, {self.generator!r})"


class _ChannelDropout(Dropout):
    """Base class of dropouts of whole channels of an example."""

    rank: ClassVar[int]
    """How many spatial axes there are."""
    optional: ClassVar = ""
    """The letter of an axis that x need not have."""

    def __init__(
        self, p: float = 0.5, generator: Generator | None = None, seed: int | None = None, layout: str | None = None
    ) -> None:
        super().__init__(p, generator, seed)
        self.layout = layout_name(self, self.rank, layout)

    def fprop(self, x: Any) -> Array:
        check_axes(self, self.layout, asarray(x), self.optional)
        return super().fprop(x)

    def mask_shape(self, x: Array) -> Shape:
        """Return the shape of ``x`` with one entry for all positions."""
        letters = check_axes(self, self.layout, x, self.optional)
        return tuple(size if letter in "NC" else 1 for letter, size in zip(letters, x.shape, strict=True))

    def describe(self) -> str:
        return super().describe() + ("" if self.layout == LAYOUTS[self.rank][0] else f", layout={self.layout!r}")


class Dropout1d(_ChannelDropout):
    """y = x / (1 - p) with probability 1 - p, else 0, channel by channel of every sequence; y = x in evaluation mode.

    Neighbouring positions of a channel tell nearly the same, so that `Dropout` of single ones would take little away.

    ``x``: (N, channels, L), in layout "NLC" (N, L, channels), or one example without N; floating. Raises `ShapeError` for
    another number of axes.

    - ``p``: the probability of 0, in [0, 1), else `ArgumentError`.
    - ``generator``, ``seed``: where the mask is drawn from, as in `Dropout`.
    - ``layout``: "NCL", which is the default, or "NLC".

    **Source:** Tompson, Goroshin, Jain, LeCun & Bregler (2015), Efficient object localization using convolutional
    networks, section 3.2; PyTorch, ``Dropout1d``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.Dropout1d(0.5, seed=0)(bprop.ones((1, 4, 2))).tolist()
    [[[2.0, 2.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]]
    """

    rank = 1
    optional = "N"


class Dropout2d(_ChannelDropout):
    """y = x / (1 - p) with probability 1 - p, else 0, channel by channel of every image; y = x in evaluation mode.

    ``x``: (N, channels, H, W), in layout "NHWC" (N, H, W, channels), floating. All else is as in `Dropout1d`, but that there
    is always N: of three axes PyTorch takes the first for it.

    - ``p``: the probability of 0, in [0, 1), else `ArgumentError`.
    - ``generator``, ``seed``: where the mask is drawn from, as in `Dropout`.
    - ``layout``: "NCHW", which is the default, or "NHWC".

    **Source:** Tompson, Goroshin, Jain, LeCun & Bregler (2015), Efficient object localization using convolutional
    networks, section 3.2; PyTorch, ``Dropout2d``.

    >>> import bprop
    >>> from bprop import nn
    >>> y = nn.Dropout2d(0.5, seed=0)(bprop.ones((2, 8, 5, 5)))
    >>> bool((bprop.max(y, axis=(2, 3)) == bprop.min(y, axis=(2, 3))).numpy().all())
    True
    """

    rank = 2


__all__ = ["Dropout", "Dropout1d", "Dropout2d"]
