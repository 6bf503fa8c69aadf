"""The blocks of a transformer: `FeedForward`, `TransformerEncoderBlock` and `TransformerDecoderBlock`. They compose."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, StateError
from ..core.interpreter import EVALUATE, using
from ..core.number import flag
from ..core.value import Array, asarray
from ..ops import Generator
from .default_generator import generator_for, split
from .dropout import Dropout
from .function import Identity
from .gate import GELU
from .initialiser import Initialiser
from .key_value_cache import Cache
from .layer_norm import LayerNorm
from .linear import Linear
from .module import Module
from .multi_head_attention import MultiHeadAttention
from .rectifier import ReLU


class FeedForward(Module):
    """y = activation(x W_1ᵀ + b_1) W_2ᵀ + b_2: two linear layers, the same for every token.

    ``x``, ``y``: (..., width). The layers are ``linear1``, ``activation``, ``dropout`` and ``linear2``.

    - ``width``: the length of the last axis. ``hidden``: the length in between (PyTorch's ``dim_feedforward``).
    - ``dropout``: in training, the probability that an activity in between is set to 0, in [0, 1).
    - ``activation``: "relu", "gelu", or a module.
    - ``bias``: whether there are b_1 and b_2.
    - ``dtype``, ``generator``, ``seed``, ``init``: as in `Linear`.

    **Source:** Vaswani et al. (2017), Attention is all you need, section 3.3.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.FeedForward(4, 16, seed=0)(bprop.ones((2, 3, 4), dtype="float32")).shape
    (2, 3, 4)
    """

    composes = True
    pytorch_names: ClassVar[dict[str, str]] = {
        f"{layer}.{name}": f"{layer}.{pytorch_name}"
        for layer in ("linear1", "linear2")
        for name, pytorch_name in (("W", "weight"), ("b", "bias"))
    }

    def __init__(
        self,
        width: int,
        hidden: int,
        dropout: float = 0.0,
        activation: str | Module = "relu",
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        draw = generator_for("FeedForward", generator, seed)
        self.linear1 = Linear(width, hidden, dtype, draw, init=init, bias=bias)
        self.activation = _activation(self, activation)
        self.dropout = _dropout(dropout, draw)
        self.linear2 = Linear(hidden, width, dtype, draw, init=init, bias=bias)

    def fprop(self, x: Any) -> Array:
        y: Array = self.linear2.fprop(self.dropout.fprop(self.activation.fprop(self.linear1.fprop(x))))
        return y

    def bprop(self, y_bar: Any) -> Any:
        return self.linear1.bprop(self.activation.bprop(self.dropout.bprop(self.linear2.bprop(y_bar))))


class _Block(Module):
    """Base class: sublayers f, each in a residual connection with dropout and layer normalisation.

    With ``norm_first`` y = x + dropout(f(norm(x))), else y = norm(x + dropout(f(x))).
    """

    composes = True
    sublayers: ClassVar[dict[str, str]]
    """The sublayers in their order, by PyTorch's names."""

    def __init__(
        self,
        width: int,
        heads: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Module = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        causal: bool = False,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        self.norm_first, self.causal = flag(self, "norm_first", norm_first), flag(self, "causal", causal)
        activation, bias = _activation(self, activation), flag(self, "bias", bias)
        draw = generator_for(type(self).__name__, generator, seed)
        for number, name in enumerate(self.sublayers, 1):
            if name == "feed_forward":
                layer: Module = FeedForward(width, dim_feedforward, dropout, activation, bias, dtype, draw, init=init)
            else:
                layer = MultiHeadAttention(
                    width, heads, dropout, bias, batch_first=batch_first, dtype=dtype, generator=draw, init=init
                )
            setattr(self, name, layer)
            setattr(self, f"norm{number}", LayerNorm(width, layer_norm_eps, bias=bias, dtype=dtype))
            setattr(self, f"dropout{number}", _dropout(dropout, draw))

    @property
    def pytorch_names(self) -> dict[str, str]:
        """PyTorch's names of the parameters, by path."""
        names = {}
        for number, (name, pytorch_name) in enumerate(self.sublayers.items(), 1):
            for path, rest in getattr(self, name).pytorch_names.items():
                names[f"{name}.{path}"] = f"{pytorch_name}.{rest}" if pytorch_name else rest
            names[f"norm{number}.gamma"], names[f"norm{number}.beta"] = f"norm{number}.weight", f"norm{number}.bias"
        return {path: name for path, name in names.items() if path in self.cells()}

    def _forward(self, number: int, x: Any, f: Any, saving: bool = True) -> Array:
        """Return y of sublayer f; the modules around it keep what their bprop needs if it is ``saving``."""
        norm, dropout = getattr(self, f"norm{number}"), getattr(self, f"dropout{number}")
        if saving:
            norm, dropout = norm.fprop, dropout.fprop
        y: Array = x + dropout(f(norm(x))) if self.norm_first else norm(x + dropout(f(x)))
        return y

    def _backward(self, number: int, y_bar: Any, f_bar: Any) -> Any:
        """Return x_bar of a sublayer, given the function from the cotangent of what it computes to that of its input."""
        norm, dropout = getattr(self, f"norm{number}"), getattr(self, f"dropout{number}")
        if self.norm_first:
            return y_bar + norm.bprop(f_bar(dropout.bprop(y_bar)))
        sum_bar = norm.bprop(y_bar)
        return sum_bar + f_bar(dropout.bprop(sum_bar))

    def start(self, length: int, count: int | None = None) -> Cache:
        """Return the state before the first step: see `MultiHeadAttention.start`.

        - ``length``: how many tokens there is room for. ``count``: N, or ``None`` for one sequence.
        """
        if not self.causal:
            raise StateError(f"{self._label}.start: tokens are generated by blocks with causal=True")
        attention: MultiHeadAttention = self.attention
        return attention.start(length, count)

    def describe(self) -> str:
        options = [name for name in ("norm_first", "causal") if getattr(self, name)]
        return ", ".join([*options, *filter(None, [super().describe()])])


class TransformerEncoderBlock(_Block):
    """y = norm2(z + feed_forward(z)) with z = norm1(x + attention(x)): tokens exchange what they hold, then each is changed.

    With ``norm_first`` the normalisation stands before each sublayer, z = x + attention(norm1(x)), y = z +
    feed_forward(norm2(z)), as in GPT-2; error derivatives then reach the first block undiminished. With ``causal=True`` it is
    a block of a language model: every token sees those before it. A stack is a `Sequential` of blocks.

    ``x``, y: (T, N, width), or (N, T, width) with ``batch_first``, or (T, width). ``fprop(x, mask, key_mask)`` takes the masks
    of `MultiHeadAttention`, which raises where shapes do not fit. The layers are ``attention``, ``norm1``, ``dropout1``,
    ``feed_forward``, ``norm2``, ``dropout2``.

    - ``width``, ``heads``: of the attention (PyTorch's ``d_model``, ``nhead``).
    - ``dim_feedforward``: the length of the last axis in between the two layers of ``feed_forward``.
    - ``dropout``: in training, the probability that an activity, or a weight of the attention, is set to 0. (Text is generated
      by `step` in evaluation mode.)
    - ``activation``: "relu", "gelu", or a module.
    - ``layer_norm_eps``: ε of the normalisations. ``norm_first``: where these stand.
    - ``batch_first``: whether x and y are (N, T, width). ``bias``: whether all layers have biases.
    - ``causal``: whether a token attends to none after it.
    - ``dtype``, ``generator``, ``seed``, ``init``: as in `MultiHeadAttention`.

    **Source:** Vaswani et al. (2017), Attention is all you need, section 3.1; Xiong et al. (2020), On layer normalization in
    the transformer architecture; PyTorch, ``TransformerEncoderLayer``.

    >>> import bprop
    >>> from bprop import nn
    >>> block = nn.TransformerEncoderBlock(8, heads=2, dim_feedforward=16, batch_first=True, seed=0)
    >>> x = bprop.ones((5, 3, 8), dtype="float32")
    >>> block.fprop(x).shape, block.bprop(x).shape
    ((5, 3, 8), (5, 3, 8))
    """

    sublayers: ClassVar[dict[str, str]] = {"attention": "self_attn", "feed_forward": ""}

    def fprop(self, x: Any, mask: Any = None, key_mask: Any = None) -> Array:
        x = asarray(x)
        z = self._forward(1, x, lambda x: self.attention.fprop(x, None, None, mask, key_mask, self.causal))
        return self._forward(2, z, self.feed_forward.fprop)

    def bprop(self, y_bar: Any) -> Any:
        """Return ∂E/∂x, and behind it that of a mask of floats."""
        mask_bar: list[Any] = []

        def through_attention(z_bar: Any) -> Any:
            bars = self.attention.bprop(z_bar)
            if not isinstance(bars, tuple):
                return bars
            mask_bar.append(bars[3])
            return bars[0]

        z_bar = self._backward(2, y_bar, self.feed_forward.bprop)
        x_bar = self._backward(1, z_bar, through_attention)
        return (x_bar, *mask_bar) if mask_bar else x_bar

    def step(self, x: Any, state: Cache) -> tuple[Array, Cache]:
        """Return y of further tokens x, and the new state: see `MultiHeadAttention.step`.

        - ``x``: (T, N, width), or as in `fprop`, T new tokens. ``state``: what `start` or the last step returned.
        """
        after: list[Cache] = []

        def attend(x: Any) -> Array:
            y, new = self.attention.step(x, state)
            after.append(new)
            return y

        z = self._forward(1, asarray(x), attend, saving=False)
        return self._forward(2, z, self.feed_forward, saving=False), after[0]

    def example(self) -> tuple[Any, ...]:
        """Return the shape of 3 tokens."""
        return ((3, self.attention.width),)


class TransformerDecoderBlock(_Block):
    """A block that reads a memory too: z = norm1(x + attention(x)), u = norm2(z + cross_attention(z, memory)), y = norm3(u +
    feed_forward(u)).

    The memory is what an encoder made of another sequence: of a sentence in another language, say. Tokens of x attend to none
    after them (``causal=True``, the default), and to all of the memory.

    ``x``, y: (T, N, width); ``memory``: (S, N, width); with ``batch_first`` (N, T, width) and (N, S, width), or both without N.
    ``fprop(x, memory, mask, memory_mask, key_mask, memory_key_mask)`` takes the masks of `MultiHeadAttention`, for x and for
    the memory. It raises where shapes do not fit. The options are those of `TransformerEncoderBlock`.

    **Source:** Vaswani et al. (2017), Attention is all you need, section 3.1; PyTorch, ``TransformerDecoderLayer``.

    >>> import bprop
    >>> from bprop import nn
    >>> block = nn.TransformerDecoderBlock(8, heads=2, dim_feedforward=16, batch_first=True, seed=0)
    >>> x, memory = bprop.ones((5, 3, 8), dtype="float32"), bprop.ones((5, 4, 8), dtype="float32")
    >>> y = block.fprop(x, memory)
    >>> [bar.shape for bar in block.bprop(x)]
    [(5, 3, 8), (5, 4, 8)]
    """

    sublayers: ClassVar[dict[str, str]] = {
        "attention": "self_attn",
        "cross_attention": "multihead_attn",
        "feed_forward": "",
    }

    def __init__(
        self,
        width: int,
        heads: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Module = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        causal: bool = True,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        options = layer_norm_eps, batch_first, norm_first, bias, causal, dtype, generator, seed, init
        super().__init__(width, heads, dim_feedforward, dropout, activation, *options)

    def fprop(
        self,
        x: Any,
        memory: Any,
        mask: Any = None,
        memory_mask: Any = None,
        key_mask: Any = None,
        memory_key_mask: Any = None,
    ) -> Array:
        x = asarray(x)
        z = self._forward(1, x, lambda x: self.attention.fprop(x, None, None, mask, key_mask, self.causal))
        u = self._forward(2, z, lambda z: self.cross_attention.fprop(z, memory, None, memory_mask, memory_key_mask))
        return self._forward(3, u, self.feed_forward.fprop)

    def bprop(self, y_bar: Any) -> Any:
        """Return ∂E/∂x and ∂E/∂memory, and behind them those of masks of floats."""
        bars: dict[str, Any] = {"memory": None, "mask": None, "memory_mask": None}

        def through_memory(u_bar: Any) -> Any:
            z_bar, bars["memory"], *rest = self.cross_attention.bprop(u_bar)
            bars["memory_mask"] = rest[1] if rest else None
            return z_bar

        def through_attention(z_bar: Any) -> Any:
            x_bar = self.attention.bprop(z_bar)
            if isinstance(x_bar, tuple):
                x_bar, bars["mask"] = x_bar[0], x_bar[3]
            return x_bar

        u_bar = self._backward(3, y_bar, self.feed_forward.bprop)
        z_bar = self._backward(2, u_bar, through_memory)
        x_bar = self._backward(1, z_bar, through_attention)
        if bars["mask"] is None and bars["memory_mask"] is None:
            return x_bar, bars["memory"]
        return x_bar, *bars.values()

    def step(
        self, x: Any, state: Cache, memory: Any, memory_mask: Any = None, memory_key_mask: Any = None
    ) -> tuple[Array, Cache]:
        """Return y of further tokens x, and the new state: see `MultiHeadAttention.step`.

        - ``x``: (T, N, width), or as in `fprop`, T new tokens. ``state``: what `start` or the last step returned.
        - ``memory``, ``memory_mask``, ``memory_key_mask``: as in `fprop`.
        """
        after: list[Cache] = []

        def attend(x: Any) -> Array:
            y, new = self.attention.step(x, state)
            after.append(new)
            return y

        z = self._forward(1, asarray(x), attend, saving=False)
        masks = memory_mask, memory_key_mask
        u = self._forward(2, z, lambda z: self.cross_attention(z, memory, None, *masks), saving=False)
        return self._forward(3, u, self.feed_forward, saving=False), after[0]

    def example(self) -> tuple[Any, ...]:
        """Return the shapes of 3 tokens and of a memory of 2."""
        return ((3, self.attention.width), (2, self.attention.width))


def _activation(module: Module, activation: Any) -> Module:
    """Return an activation as a module."""
    if isinstance(activation, Module):
        return activation
    if activation not in ("relu", "gelu"):
        raise ArgumentError(
            f"{type(module).__name__}: activation is 'relu', 'gelu' or a module, not {activation!r:.60}"
        )
    return ReLU() if activation == "relu" else GELU()


def _dropout(rate: float, draw: Generator) -> Module:
    """Return a dropout that draws other bits than ``draw``; where nothing is dropped, the identity, which has no generator."""
    if rate == 0:
        return Identity()
    with using(EVALUATE):  # not traced, even if the layer is made under a transform
        return Dropout(rate, split(draw))


__all__ = ["FeedForward", "TransformerDecoderBlock", "TransformerEncoderBlock"]
