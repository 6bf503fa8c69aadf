"""`attention`: softmax(q kᵀ) v in tiles of keys, with memory that grows linearly with the number of tokens.

For every query the **forward pass** goes over the keys tile by tile. It carries the largest score m so far, the sum l of
e^(s - m) and the sum o of e^(s - m) v; where a tile has a larger score, l and o are scaled to it. In the end y = o / l, and

    L = m + log l = log Σ_j e^(s_j),    s_j = q · k_j,

is all that is kept besides y. The **backward pass** computes the weights of a tile again, p_j = e^(s_j - L), and with
v̄_j = Σ p_j ȳ and p̄_j = ȳ · v_j has

    s̄_j = p_j (p̄_j - Σ_i p_i p̄_i) = p_j (p̄_j - ȳ · y),    q̄ = Σ_j s̄_j k_j,    k̄_j = Σ s̄_j q

(and a factor of q · k_j, such as 1/√n, is one of q̄ and k̄_j too).

**Source:** Milakov & Gimelshein (2018), Online normalizer calculation for softmax; Rabe & Staats (2021), Self-attention does
not need O(n²) memory; Dao, Fu, Ermon, Rudra & Ré (2022), FlashAttention, algorithms 1 and 4.
"""

from functools import partial
from math import ceil, inf
from typing import Any, NamedTuple

import numpy as np

from ..core.error import DTypeError, ShapeError
from ..core.number import flag, number
from ..core.shape import Shape, broadcast, size_of
from ..core.value import Array, asarray
from ..ops import (
    arange,
    astype,
    broadcast_to,
    concat,
    exp,
    log,
    matmul,
    max,
    maximum,
    moveaxis,
    reshape,
    result_type,
    sum,
    where,
    zeros,
)
from ..ops.manipulation import unbroadcast
from ..ops.random import uniform_op
from ..region.custom import custom
from ..region.scan import scan

TILE = 256
"""Up to so many keys are one tile: all scores of a query at once."""


class Tile(NamedTuple):
    """Some of the keys: k (..., tile, n), v (..., tile, m), the mask for them, and the number of the tile."""

    k: Any
    v: Any
    mask: Any
    number: Any


class WeightDropout(NamedTuple):
    """Which weights are dropped: with probability ``rate``, by the numbers from ``state`` of a `Generator` on."""

    rate: float
    state: Array

    def apply(self, p: Array, tile: Tile) -> Array:
        """Return the weights p of a tile, or their cotangents, 0 where they are dropped. The mask is drawn at each call."""
        per_tile = np.array([0, _blocks(p.shape)], np.uint64)
        state = self.state + asarray(tile.number).astype(np.uint64) * asarray(per_tile)
        kept = uniform_op(state, shape=p.shape, dtype=np.dtype(np.float32)) < 1 - self.rate
        return where(kept, p / (1 - self.rate), 0)


class Setting(NamedTuple):
    """What the products q kᵀ are multiplied by, whether a query attends to no key after it, and which weights are dropped."""

    scale: float
    causal: bool = False
    dropout: WeightDropout | None = None


def _blocks(shape: Shape) -> int:
    """Return how far the counter of a generator moves on for float32 numbers of a shape: by one for four of them."""
    return ceil(size_of(shape) / 4)


def draws_of(q: Array, k: Array) -> int:
    """Return how far the counter moves on where weights are dropped."""
    count, size = _tile_sizes(k.shape[-2])
    return count * _blocks((*q.shape[:-1], size))


def attention(q: Any, k: Any, v: Any, mask: Any = None, causal: bool = False, scale: float | None = None) -> Array:
    """Return y = softmax(scale · q kᵀ) v: for every query the mean of the values, weighted by how its key fits the query.

    - ``q``: queries, (..., Q, n). ``k``: keys, (..., K, n). ``v``: values, (..., K, m). The leading axes (examples, heads)
      broadcast. y is (..., Q, m).
    - ``mask``: broadcasts to (..., Q, K). Of bools, True where the query may attend to the key; of floats, what is added to
      the scores, -∞ where it may not.
    - ``causal``: whether query i attends to keys 0 … i alone. (Counted from the first, also where Q and K differ.)
    - ``scale``: what the scores are multiplied by, by default 1/√n.

    A query that may attend to no key has y = 0. Above 256 keys the scores of a tile of keys are computed at a time, on
    the way back again: memory grows with Q + K, not with Q · K. (Second derivatives keep the scores.)

    Raises `ShapeError` where the shapes do not fit, `DTypeError` for complex numbers and for a mask of integers.

    **Source:** Vaswani et al. (2017), Attention is all you need, eq. 1; Milakov & Gimelshein (2018); Rabe & Staats (2021);
    Dao, Fu, Ermon, Rudra & Ré (2022), FlashAttention; PyTorch, ``scaled_dot_product_attention``.

    >>> import bprop
    >>> from bprop import nn
    >>> k = v = bprop.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> nn.attention(bprop.asarray([[0.0, 0.0], [0.0, 2000.0]]), k, v)
    Array([[0.5, 0.5],
           [0. , 1. ]])
    """
    q, k, v, mask = _checked(q, k, v, mask)
    scale = q.shape[-1] ** -0.5 if scale is None else number("attention", "scale", scale)
    return attend(q, k, v, mask, Setting(scale, flag("attention", "causal", causal)))[0]


def _checked(q: Any, k: Any, v: Any, mask: Any) -> tuple[Array, Array, Array, Any]:
    """Return the operands in one dtype and with the same leading axes; raise where they do not fit."""
    q, k, v = (asarray(x) for x in (q, k, v))
    shown = f"attention: q {q.shape}, k {k.shape}, v {v.shape}"
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ShapeError(f"{shown}: they should be (..., Q, n), (..., K, n), (..., K, m)")
    if q.shape[-1] != k.shape[-1] or not q.shape[-1]:
        raise ShapeError(
            f"{shown}: queries have {q.shape[-1]} numbers, keys {k.shape[-1]}: it should be the same number"
        )
    if k.shape[-2] != v.shape[-2]:
        raise ShapeError(f"{shown}: {k.shape[-2]} keys and {v.shape[-2]} values: every key has one value")
    dtype = result_type(q, k, v)
    if dtype.kind == "c":
        raise DTypeError(f"attention: q, k and v are real, not {dtype}")
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
    try:
        lead = broadcast("attention", q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except ShapeError:
        raise ShapeError(f"{shown}: the axes before the last two do not broadcast") from None
    q, k, v = (broadcast_to(astype(x, dtype), (*lead, *x.shape[-2:])) for x in (q, k, v))
    return q, k, v, checked_mask("attention", mask, (*lead, q.shape[-2], k.shape[-2]), dtype)


def checked_mask(name: str, mask: Any, shape: Shape, dtype: "np.dtype[Any]") -> Any:
    """Return a mask of bools or of ``dtype`` with at least two axes, or ``None``; raise where it is none for scores of a shape.

    - ``name``: who asks. ``shape``: (..., Q, K).
    """
    if mask is None:
        return None
    mask = asarray(mask)
    if mask.dtype.kind not in "bf":
        raise DTypeError(
            f"{name}: the mask is {mask.dtype}: of bools it says where to attend, of floats what is added to the scores"
        )
    try:
        fits = broadcast(name, mask.shape, shape) == shape
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(f"{name}: the mask has shape {mask.shape}, which does not broadcast to (..., Q, K), {shape}")
    mask = reshape(mask, (1,) * (2 - mask.ndim) + mask.shape)
    return mask if mask.dtype.kind == "b" else astype(mask, dtype)


# --- tiles ---
def _tile_sizes(keys: int) -> tuple[int, int]:
    """Return how many tiles there are, and of how many keys each is."""
    count = ceil(keys / TILE)
    return count, ceil(keys / count) if count else 0


def _tiles(k: Any, v: Any, mask: Any) -> tuple[Tile, int]:
    """Return the tiles, stacked along a first axis, and how many keys of the last one there are not."""
    keys = k.shape[-2]
    count, size = _tile_sizes(keys)
    missing = count * size - keys

    def stacked(x: Any, axis: int) -> Any:
        """Return x (..., keys, ...) as (count, ..., size, ...)."""
        axis += x.ndim
        if missing:
            filling = zeros((*x.shape[:axis], missing, *x.shape[axis + 1 :]), dtype=x.dtype)
            x = concat([x, filling], axis=axis)
        return moveaxis(reshape(x, (*x.shape[:axis], count, size, *x.shape[axis + 1 :])), axis, 0)

    if mask is not None:
        mask = broadcast_to(mask, (count, *mask.shape)) if mask.shape[-1] == 1 else stacked(mask, -1)
    return Tile(stacked(k, -2), stacked(v, -2), mask, arange(count)), missing


def _joined(tiles: Any, axis: int, size: int) -> Array:
    """Return what is stacked as (count, ..., tile, ...) as (..., size, ...): the inverse of stacking tiles."""
    axis += tiles.ndim - 1
    x = moveaxis(tiles, 0, axis)
    x = reshape(x, (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :]))
    return x[(*(slice(None),) * axis, slice(0, size))]


def _scores(q: Any, tile: Tile, setting: Setting, keys: int | None) -> Array:
    """Return the scores of a tile, scale · q kᵀ, -∞ where a query may not attend, or where there is no key: from ``keys`` on."""
    s = matmul(q, tile.k.mT) * setting.scale
    allowed: Any = None
    if tile.mask is not None:
        if tile.mask.dtype.kind == "b":
            allowed = tile.mask
        else:
            s = s + tile.mask
    if setting.causal or keys is not None:
        key = arange(tile.k.shape[-2]) + tile.number * tile.k.shape[-2]
        if setting.causal:
            before = key <= reshape(arange(q.shape[-2]), (q.shape[-2], 1))
            allowed = before if allowed is None else allowed & before
        if keys is not None:
            allowed = key < keys if allowed is None else allowed & (key < keys)
    return s if allowed is None else where(allowed, s, -inf)


# --- forward pass ---
def _forward(q: Any, k: Any, v: Any, mask: Any, setting: Setting) -> tuple[Array, Array]:
    keys = k.shape[-2]
    if not keys:
        return zeros((*q.shape[:-1], v.shape[-1]), dtype=q.dtype), zeros((*q.shape[:-1], 1), dtype=q.dtype) + inf

    def finite(m: Any) -> Array:
        """Return the largest score, 0 where a mask leaves none: e^(-∞ - 0) = 0. Without a mask every query has key 0."""
        return m if mask is None else where(m == -inf, 0, m)

    def dropped(e: Array, tile: Tile) -> Array:
        return e if setting.dropout is None else setting.dropout.apply(e, tile)

    def finish(m: Any, total: Any, o: Any) -> tuple[Array, Array]:
        """Return y and L; 0 and ∞ where a mask leaves no key, so that all weights are e^-∞ = 0."""
        if mask is None:
            return o / total, m + log(total)
        nothing = total == 0
        return o / where(nothing, 1, total), where(nothing, inf, m + log(total))

    if keys <= TILE:
        tile = Tile(k, v, mask, 0)
        s = _scores(q, tile, setting, None)
        m = max(s, axis=-1, keepdims=True)
        e = exp(s - finite(m))
        return finish(m, sum(e, axis=-1, keepdims=True), matmul(dropped(e, tile), v))
    tiles, missing = _tiles(k, v, mask)

    def step(carry: Any, tile: Any) -> Any:
        m, total, o = carry
        tile = Tile(*tile)
        s = _scores(q, tile, setting, keys if missing else None)
        larger = maximum(m, max(s, axis=-1, keepdims=True))
        old, e = exp(m - finite(larger)), exp(s - finite(larger))
        return (larger, total * old + sum(e, axis=-1, keepdims=True), o * old + matmul(dropped(e, tile), tile.v)), None

    column = (*q.shape[:-1], 1)
    start = (
        zeros(column, dtype=q.dtype) - inf,
        zeros(column, dtype=q.dtype),
        zeros((*q.shape[:-1], v.shape[-1]), dtype=q.dtype),
    )
    return finish(*scan(step, start, tuple(tiles))[0])


# --- backward pass ---
def attend_backward(
    y_bar: Any, L_bar: Any, y: Any, L: Any, q: Any, k: Any, v: Any, mask: Any, setting: Setting
) -> tuple[Any, Any, Any, Any]:
    """Return q̄, k̄, v̄ and the cotangent of a mask of floats (else ``None``) for the y and L of `attend`."""
    keys = k.shape[-2]
    if not keys:
        q_bar, k_bar, v_bar, mask_bar = (None if x is None else zeros(x.shape, dtype=x.dtype) for x in (q, k, v, mask))
        return q_bar, k_bar, v_bar, mask_bar
    mean = sum(y_bar * y, axis=-1, keepdims=True)  # Σ_i p_i p̄_i = Σ_i p_i ȳ · v_i
    if L_bar is not None:
        mean = mean - L_bar  # ∂L/∂s_j = p_j

    def of_tile(tile: Tile, missing: int) -> tuple[Array, tuple[Any, ...]]:
        """Return the tile's share of q̄; and k̄, v̄ and the cotangent of the mask."""
        p = exp(_scores(q, tile, setting, keys if missing else None) - L)
        p_bar, kept = matmul(y_bar, tile.v.mT), p
        if setting.dropout is not None:
            p_bar, kept = setting.dropout.apply(p_bar, tile), setting.dropout.apply(p, tile)
        s_bar = p * (p_bar - mean)
        mask_bar = None
        if mask is not None and mask.dtype.kind == "f":
            mask_bar = unbroadcast(s_bar, tile.mask.shape)
        s_bar = s_bar * setting.scale
        return matmul(s_bar, tile.k), (matmul(s_bar.mT, q), matmul(kept.mT, y_bar), mask_bar)

    if keys <= TILE:
        q_bar, bars = of_tile(Tile(k, v, mask, 0), 0)
        return q_bar, *bars
    tiles, missing = _tiles(k, v, mask)

    def step(q_bar: Any, tile: Any) -> Any:
        share, bars = of_tile(Tile(*tile), missing)
        return q_bar + share, bars

    q_bar, (k_bar, v_bar, mask_bar) = scan(step, zeros(q.shape, dtype=q.dtype), tuple(tiles))
    if mask_bar is not None:
        mask_bar = sum(mask_bar, axis=0) if mask.shape[-1] == 1 else _joined(mask_bar, -1, keys)
    return q_bar, _joined(k_bar, -2, keys), _joined(v_bar, -2, keys), mask_bar


def _rule(bars: Any, results: Any, q: Any, k: Any, v: Any, mask: Any, setting: Setting) -> tuple[Any, ...]:
    (y_bar, L_bar), (y, L) = bars, results
    return *attend_backward(y_bar, L_bar, y, L, q, k, v, mask, setting), None


@partial(custom, vjp=_rule)
def attend(q: Any, k: Any, v: Any, mask: Any, setting: Setting) -> tuple[Array, Array]:
    """Return y = softmax(scale · q kᵀ) v, (..., Q, m), and the logarithms L of the sums of e^score, (..., Q, 1).

    - ``q``, ``k``, ``v``: of one dtype and with the same leading axes. ``mask``: as `checked_mask` returns it.
    """
    return _forward(q, k, v, mask, setting)


def attention_weights(q: Any, k: Any, v: Any, mask: Any, setting: Setting) -> Array:
    """Return softmax(scale · q kᵀ), (..., Q, K), for the arguments of `attend`."""
    _, L = attend(q, k, v, mask, setting)
    return exp(_scores(q, Tile(k, v, mask, 0), setting, None) - L)


__all__ = [
    "TILE",
    "Setting",
    "WeightDropout",
    "attend",
    "attend_backward",
    "attention",
    "attention_weights",
    "checked_mask",
    "draws_of",
]
