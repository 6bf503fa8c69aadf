"""`MultiHeadAttention`: attention in several subspaces at once, with its backward pass, and step by step with a cache."""

from typing import Any

from ..core.error import BpropError
from ..core.number import flag, integer
from ..core.value import Array, asarray
from ..ops import (
    concat,
    matmul,
    sum,
)
from ..ops.manipulation import unbroadcast
from .attention_projection import AttentionProjections
from .dot_product_attention import (
    Setting,
    WeightDropout,
    attend,
    attend_backward,
    attention_weights,
)
from .key_value_cache import Cache, empty_cache, extend
from .linear import rows_of
from .module_state import add_location


class MultiHeadAttention(AttentionProjections):
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
