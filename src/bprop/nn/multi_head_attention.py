"""`MultiHeadAttention`: attention in several subspaces at once, with its backward pass, and step by step with a cache."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError, BpropError, DTypeError, ShapeError
from ..core.interpreter import EVALUATE, using
from ..core.number import flag, integer, number
from ..core.value import Array, asarray
from ..ops import (
    Generator,
    astype,
    concat,
    expand_dims,
    matmul,
    permute_dims,
    reshape,
    sum,
    where,
)
from ..ops.manipulation import unbroadcast
from .cell import parameter
from .default_generator import generator_for, split
from .dot_product_attention import (
    Setting,
    WeightDropout,
    attend,
    attend_backward,
    attention_weights,
    checked_mask,
    draws_of,
)
from .initialiser import Initialiser, glorot_uniform
from .key_value_cache import Cache, empty_cache, extend
from .linear import rows_of
from .module import Module
from .module_state import add_location
from .setting import allocating, floating

Source = tuple[Any, int, int]
"""An input and which of the three projections, to queries, keys and values, it has: first, and the one after the last."""


class MultiHeadAttention(Module):
    """y = concat(head_1, …, head_h) W_outᵀ + b_out, head_i = softmax(q_i k_iᵀ / √d) v_i, d = width / heads.

    The q_i are parts of x W_qᵀ + b_q, the k_i of key W_kᵀ + b_k, the v_i of value W_vᵀ + b_v: every head compares and
    averages in a subspace of its own. ``layer(x)`` is self-attention, where x is all three; in ``layer(x, key)`` the values
    are the keys. ``x``, the queries, and y: (T, N, width), or (N, T, width) with ``batch_first``, or (T, width), one
    sequence; ``key``, ``value``: (S, N, kdim), (S, N, vdim), or with ``batch_first`` (N, S, …).

    - ``mask`` broadcasts to (N, heads, T, S). Of bools it is True where a query *may* attend to a key, of floats it is added
      to the scores. (PyTorch's ``attn_mask`` of bools says where it may not.)
    - ``key_mask``, bool (N, S): which keys there are, such as `sequence_mask` of lengths; not those that only fill up.
    - ``causal``: whether a query attends to no key after it.

    A query that may attend to no key has y = b_out. ``W_in``, (3 · width, width), holds W_q, W_k and W_v one below the other;
    if ``kdim`` or ``vdim`` differ from ``width`` there are ``W_q``, ``W_k`` and ``W_v``. ``b_in``: (3 · width,); ``W_out``:
    (width, width). Memory grows linearly with T and S (see `attention`). Text is generated step by step: see `start`.

    Raises `ShapeError` where the shapes do not fit, `DTypeError` for a float dtype other than ``dtype``, `ArgumentError`
    where ``heads`` does not divide ``width``.

    With ō = ȳ W_out, for every head v̄ = pᵀ ō, p̄ = ō vᵀ, s̄ = p (p̄ - Σ p p̄), q̄ = s̄ k / √d and k̄ = s̄ᵀ q / √d; from there on
    it is three linear layers.

    - ``width``: the length of the last axis of x and y (PyTorch's ``embed_dim``). ``heads``: how many there are
      (``num_heads``).
    - ``dropout``: in training, the probability that a weight of the softmax is set to 0, in [0, 1).
    - ``bias``: whether there are b_in and b_out, which start at 0.
    - ``kdim``, ``vdim``: the lengths of the last axes of key and value, by default ``width``.
    - ``batch_first``: whether x, key, value and y are (N, T, …).
    - ``dtype``: the floating dtype of parameters and inputs; integers and bools are converted.
    - ``generator``, ``seed``: where the numbers are drawn from, as in `Linear`.
    - ``init``: how the weights start, an `Initialiser` of `bprop.nn.init`; by default `bprop.nn.init.glorot_uniform`.

    **Source:** Vaswani et al. (2017), Attention is all you need, section 3.2; PyTorch, ``MultiheadAttention``.

    >>> import bprop
    >>> from bprop import nn
    >>> layer = nn.MultiHeadAttention(8, heads=2, batch_first=True, seed=0)
    >>> x = bprop.ones((5, 3, 8), dtype="float32")
    >>> layer, layer.fprop(x, causal=True).shape, layer.bprop(x).shape
    (MultiHeadAttention(8, 2 heads, batch_first, float32), (5, 3, 8), (5, 3, 8))
    """

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
        init: Initialiser | None = None,
    ) -> None:
        self.width, self.heads = integer(self, "width", width), integer(self, "heads", heads)
        if self.width % self.heads:
            raise ArgumentError(
                f"MultiHeadAttention: width {self.width} is not divisible by {self.heads} heads: each gets a part of equal size"
            )
        self.dropout = number(self, "dropout", dropout, 0, 1)
        self.batch_first = flag(self, "batch_first", batch_first)
        bias, dtype = flag(self, "bias", bias), floating(self, dtype)
        given = ("width", width), ("kdim", kdim), ("vdim", vdim)
        widths = [self.width if n is None else integer(self, name, n) for name, n in given]
        draw, init = generator_for("MultiHeadAttention", generator, seed), glorot_uniform() if init is None else init
        self.packed = widths == [self.width] * 3
        shapes = {"W_in": (3 * self.width, self.width)} if self.packed else {
            name: (self.width, n) for name, n in zip(("W_q", "W_k", "W_v"), widths, strict=True)
        }  # fmt: skip
        for name, shape in {**shapes, "W_out": (self.width, self.width)}.items():
            with using(EVALUATE), allocating(self, name, shape, dtype):
                setattr(self, name, parameter(init(shape, dtype, draw)))
        if bias:
            for name, size in (("b_in", 3 * self.width), ("b_out", self.width)):
                setattr(self, name, parameter(np.zeros(size), dtype))
        self.generator: Generator | None = None
        if self.dropout:
            with using(EVALUATE):  # not traced, even if the layer is made under a transform
                self.generator = split(draw)  # other bits than those of the weights

    @property
    def has_bias(self) -> bool:
        """Whether there are b_in and b_out."""
        return "b_in" in self.__dict__["_cells"]

    @property
    def pytorch_names(self) -> dict[str, str]:
        """PyTorch's names of the parameters."""
        separate = {f"W_{letter}": f"{letter}_proj_weight" for letter in "qkv"}
        names = {"W_in": "in_proj_weight"} if self.packed else separate
        names = {**names, "b_in": "in_proj_bias", "W_out": "out_proj.weight", "b_out": "out_proj.bias"}
        return {name: pytorch_name for name, pytorch_name in names.items() if name in self.__dict__["_cells"]}

    # --- passes ---
    def fprop(
        self,
        x: Any,
        key: Any = None,
        value: Any = None,
        mask: Any = None,
        key_mask: Any = None,
        causal: bool = False,
    ) -> Array:
        sources = self._sources(x, key, value)
        q, k, v = self._project(sources)
        allowed = self._allowed(mask, key_mask, q, k)
        setting = Setting(self._scale, flag(self, "causal", causal), self._dropout(q, k))
        o, log_sums = attend(q, k, v, allowed, setting)
        self.keep(q=q, k=k, v=v, o=o, log_sums=log_sums)
        if setting.dropout is not None:
            self.keep(dropout_state=setting.dropout.state)
        return self._out(o, asarray(x).ndim == 2)

    def bprop(self, y_bar: Any) -> Any:
        """Return ∂E/∂x, and those of key and value where they were given, and leave the gradients of the parameters."""
        x, key, value, mask, key_mask, causal = (*self.inputs, *(None,) * 6)[:6]
        sources = self._sources(x, key, value)
        batched = sources[0][0].ndim == 3

        # The last layer, y = concat(heads) W_outᵀ + b_out …
        y_rows, heads = rows_of(y_bar), self._merge(self.o, batched)
        self.W_out_bar = matmul(y_rows.T, rows_of(heads))
        if self.has_bias:
            self.b_out_bar = sum(y_rows, axis=0)
        (o_bar,) = self._split(matmul(y_bar, self.W_out), 1)
        # … the heads, from ō to q̄, k̄ and v̄ …
        state = getattr(self, "dropout_state", None)
        setting = Setting(self._scale, bool(causal), None if state is None else WeightDropout(self.dropout, state))
        allowed = self._allowed(mask, key_mask, self.q, self.k)
        *bars, mask_bar = attend_backward(o_bar, None, self.o, self.log_sums, self.q, self.k, self.v, allowed, setting)
        # … and the linear layers below, one for each input.
        W_bars, b_bars, x_bars = [], [], []
        for source, first, last in sources:
            z_bar = joined([self._merge(bar, batched) for bar in bars[first:last]], axis=-1)
            z_rows = rows_of(z_bar)
            W_bars.append(matmul(z_rows.T, rows_of(source)))
            b_bars.append(sum(z_rows, axis=0))
            x_bars.append(matmul(z_bar, self._weights(first, last)))
        if self.packed:
            self.W_in_bar = joined(W_bars, axis=0)
        else:
            self.W_q_bar, self.W_k_bar, self.W_v_bar = W_bars
        if self.has_bias:
            self.b_in_bar = joined(b_bars, axis=0)
        return self._cotangents(x_bars, mask, mask_bar)

    def weights(
        self,
        x: Any,
        key: Any = None,
        value: Any = None,
        mask: Any = None,
        key_mask: Any = None,
        causal: bool = False,
    ) -> Array:
        """Return how much each query attends to each key, softmax(q kᵀ / √d), (N, heads, T, S): to look at, for it is all T · S.

        - ``x``, ``key``, ``value``, ``mask``, ``key_mask``, ``causal``: as in `fprop`. No weight is dropped.

        >>> import bprop
        >>> from bprop import nn
        >>> nn.MultiHeadAttention(4, heads=1, seed=0).weights(bprop.ones((3, 4), dtype="float32"), causal=True)[0, 0, 1]
        Array([0.5, 0.5, 0. ], dtype=float32)
        """
        q, k, v = self._project(self._sources(x, key, value))
        setting = Setting(self._scale, flag(self, "causal", causal))
        return attention_weights(q, k, v, self._allowed(mask, key_mask, q, k), setting)

    def _cotangents(self, x_bars: list[Any], mask: Any, mask_bar: Any) -> Any:
        """Return the cotangents of the inputs that were given."""
        if mask_bar is None and len(x_bars) == 1:
            return x_bars[0]
        if mask_bar is None:
            return tuple(x_bars)
        return *(*x_bars, None, None)[:3], unbroadcast(mask_bar, asarray(mask).shape)

    def _sources(self, query: Any, key: Any, value: Any) -> list[Source]:
        """Return the inputs in the dtype of the parameters, with the projections that each of them has; raise if they do not fit."""
        if key is None and value is not None:
            raise ArgumentError("MultiHeadAttention: there is a value but no key")
        query = self._checked("x", query, self._input_width(0))
        if key is None:
            if not self.packed:
                raise ArgumentError(
                    f"MultiHeadAttention: keys have {self._input_width(1)} numbers, values {self._input_width(2)}, queries "
                    f"{self.width}: give x, key and value"
                )
            return [(query, 0, 3)]
        key = self._checked("key", key, self._input_width(1))
        if value is None and self.packed:
            sources = [(query, 0, 1), (key, 1, 3)]
        else:
            value = self._checked("value", key if value is None else value, self._input_width(2))
            sources = [(query, 0, 1), (key, 1, 2), (value, 2, 3)]
        shapes = [x.shape for x, _, _ in sources]
        batch = -3 if self.batch_first else -2
        if len({len(shape) for shape in shapes}) > 1 or (
            query.ndim == 3 and len({shape[batch] for shape in shapes}) > 1
        ):
            raise ShapeError(
                f"MultiHeadAttention: x, key and value have shapes {', '.join(map(str, shapes))}: they should have equally "
                f"many sequences, N in {self._form}"
            )
        if len(sources) == 3 and shapes[1][:-1] != shapes[2][:-1]:
            raise ShapeError(f"MultiHeadAttention: key {shapes[1]} and value {shapes[2]}: every key has one value")
        return sources

    @property
    def _form(self) -> str:
        return "(N, T, …)" if self.batch_first else "(T, N, …)"

    @property
    def _scale(self) -> float:
        return float((self.width // self.heads) ** -0.5)

    def _input_width(self, projection: int) -> int:
        """Return the length of the last axis of what goes into a projection."""
        cells = self.__dict__["_cells"]
        return int(cells["W_in" if self.packed else ("W_q", "W_k", "W_v")[projection]].array.shape[1])

    def _weights(self, first: int, last: int) -> Array:
        """Return the weights of some of the three projections, one below the other."""
        if self.packed:
            W: Array = self.W_in
            return W if (first, last) == (0, 3) else W[first * self.width : last * self.width]
        separate: Array = (self.W_q, self.W_k, self.W_v)[first]
        return separate

    def _checked(self, name: str, x: Any, width: int) -> Array:
        """Return an input in the dtype of the parameters; raise where it is none."""
        x, dtype = asarray(x), self.__dict__["_cells"]["W_out"].read().dtype
        if x.dtype.kind == "f" and x.dtype != dtype:
            raise DTypeError(
                f"MultiHeadAttention: {name} is {x.dtype} but W_out is {dtype}: write {name}.astype({str(dtype)!r}), or make "
                f"the layer with dtype={str(x.dtype)!r}"
            )
        if x.ndim not in (2, 3) or x.shape[-1] != width:
            raise ShapeError(
                f"MultiHeadAttention: {name} has shape {x.shape}; it should be {self._form[:-2]}{width}) or (T, {width})"
            )
        return x if x.dtype == dtype else astype(x, dtype)

    def _project(self, sources: list[Source]) -> list[Array]:
        """Return q, k and v, each (N, heads, T, d)."""
        parts: list[Array] = []
        for x, first, last in sources:
            z = matmul(x, self._weights(first, last).T)
            if self.has_bias:
                z = z + self.b_in[first * self.width : last * self.width]
            parts += self._split(z, last - first)
        return parts

    def _split(self, z: Array, count: int) -> list[Array]:
        """Return (T, N, count · width) or (N, T, …) as ``count`` arrays (N, heads, T, d)."""
        if z.ndim == 2:
            z = expand_dims(z, 0 if self.batch_first else 1)
        first, second, width = z.shape
        z = reshape(z, (first, second, count, self.heads, width // count // self.heads))
        z = permute_dims(z, (2, 0, 3, 1, 4) if self.batch_first else (2, 1, 3, 0, 4))
        return [z[part] for part in range(count)]

    def _merge(self, heads: Array, batched: bool) -> Array:
        """Return (N, heads, T, d) as (T, N, width) or (N, T, width), or (T, width): the inverse of `_split`."""
        z = permute_dims(heads, (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3))
        z = reshape(z, (*z.shape[:2], self.width))
        return z if batched else reshape(z, (heads.shape[2], self.width))

    def _out(self, o: Array, single: bool) -> Array:
        """Return the last linear layer of the heads."""
        y: Array = matmul(self._merge(o, not single), self.W_out.T)
        return y + self.b_out if self.has_bias else y

    def _allowed(self, mask: Any, key_mask: Any, q: Array, k: Array) -> Any:
        """Return both masks as one, which broadcasts to (N, heads, T, S), or ``None``."""
        shape = (*q.shape[:-1], k.shape[-2])
        mask = checked_mask("MultiHeadAttention", mask, shape, q.dtype)
        if key_mask is None:
            return mask
        keys = asarray(key_mask)
        wanted = [(shape[0], shape[-1])] + [(shape[-1],)] * (shape[0] == 1)
        if keys.dtype.kind != "b":
            raise DTypeError(f"MultiHeadAttention: key_mask is bool, True at keys that there are, not {keys.dtype}")
        if keys.shape not in wanted:
            raise ShapeError(f"MultiHeadAttention: key_mask has shape {keys.shape}; (N, S) is {wanted[0]}")
        keys = reshape(keys, (shape[0], 1, 1, shape[-1]))
        if mask is None:
            return keys
        return mask & keys if mask.dtype.kind == "b" else mask + where(keys, asarray(np.zeros((), q.dtype)), -np.inf)

    def _dropout(self, q: Array, k: Array) -> WeightDropout | None:
        """Return what says which weights are dropped, and go on in the stream of random numbers."""
        if not self.training or self.generator is None:
            return None
        state = self.generator.state
        self.generator.state = state + asarray(np.array([0, draws_of(q, k)], np.uint64))
        return WeightDropout(self.dropout, state)

    # --- step by step ---
    def start(self, length: int, count: int | None = None) -> Cache:
        """Return the state before the first step: an empty cache of keys and values.

        - ``length``: how many tokens it has room for. ``count``: N, the number of sequences; ``None`` for one sequence, x of
          shape (T, width).
        """
        length, count = integer(self, "length", length), 1 if count is None else integer(self, "count", count)
        shape, dtype = (count, self.heads, length, self.width // self.heads), self.W_out.dtype
        return empty_cache(shape, dtype)

    def step(self, x: Any, state: Cache) -> tuple[Array, Cache]:
        """Return y of further tokens x, causal self-attention to them and all before, and the new state.

        What a model generates is passed in like this token by token, after its prompt at once: keys and values of earlier
        tokens are not computed again. The shapes stay the same from step to step, so that one compiled program serves all.
        No weights are dropped.

        - ``x``: (T, N, width), or as in `fprop`, T new tokens. ``state``: what `start` or the last step returned.

        Raises `IndexingError` where there is no room for T tokens more, compiled too.

        >>> import bprop
        >>> from bprop import nn
        >>> layer = nn.MultiHeadAttention(4, heads=2, seed=0)
        >>> x, state = bprop.ones((3, 4), dtype="float32"), layer.start(8)
        >>> for token in range(3):
        ...     y, state = layer.step(x[token : token + 1], state)
        >>> bool(bprop.max(abs(y[0] - layer(x, causal=True)[2])) < 1e-6), int(state["position"])
        (True, 3)
        """
        try:
            q, k, v = self._project(self._sources(x, None, None))
            state, before = extend("MultiHeadAttention", state, k, v)
        except BpropError as error:
            add_location(self, error)
            raise
        o, _ = attend(q, state["k"], state["v"], before, Setting(self._scale))
        return self._out(o, asarray(x).ndim == 2), state

    def describe(self) -> str:
        widths = "" if self.packed else f", keys {self._input_width(1)}, values {self._input_width(2)}"
        dropout = f", dropout={self.dropout:g}" if self.dropout else ""
        options = f"{', batch_first' if self.batch_first else ''}, {self.__dict__['_cells']['W_out'].array.dtype}"
        return f"{self.width}, {self.heads} heads{widths}{dropout}{options}{'' if self.has_bias else ', no bias'}"

    def example(self) -> tuple[Any, ...]:
        """Return inputs of 3 tokens."""
        return ((3, self.width),) if self.packed else tuple((3, self._input_width(i)) for i in range(3))


def joined(parts: list[Array], axis: int) -> Array:
    """Return the parts one behind another, a single one itself."""
    return parts[0] if len(parts) == 1 else concat(parts, axis=axis)


__all__ = ["MultiHeadAttention"]
