"""A cache of the keys and values of earlier tokens, of one length from the first token to the last.

What a step writes goes into the slots from ``position`` on; slots that are not written yet hold zeros, and no query attends to
them. Every step has the same shapes, so that one compiled program serves all.

**Source:** Shazeer (2019), Fast transformer decoding: one write-head is all you need, section 2.4.1.
"""

from typing import Any

import numpy as np

from ..core.error import IndexingError, ShapeError
from ..core.shape import Shape
from ..core.value import Array, Tracer, asarray
from ..ops import arange, clip, reshape, take, where, zeros

Cache = dict[str, Array]
"""k and v, (N, heads, length, d), and position, how many tokens there are: an integer ()."""


def empty_cache(shape: Shape, dtype: "np.dtype[Any]") -> Cache:
    """Return a cache without tokens; ``shape``: (N, heads, length, d)."""
    return {"k": zeros(shape, dtype=dtype), "v": zeros(shape, dtype=dtype), "position": asarray(np.int64(0))}


def extend(name: str, cache: Cache, k: Array, v: Array) -> tuple[Cache, Array]:
    """Return the cache with further keys and values, (N, heads, T, d), and to which slots each of their queries attends.

    The second is bool (T, length): to all slots up to that of the query itself. Errors name ``name``.
    """
    shape, count = cache["k"].shape, k.shape[-2]
    if (*shape[:2], shape[3]) != (*k.shape[:2], k.shape[3]):
        raise ShapeError(
            f"{name}: the state has keys of N = {shape[0]}, heads = {shape[1]} and d = {shape[3]}, the new ones are of "
            f"N = {k.shape[0]}, heads = {k.shape[1]} and d = {k.shape[3]}"
        )
    position = _checked_position(name, cache["position"], count, shape[2])
    slots = arange(shape[2])
    new = reshape((slots >= position) & (slots < position + count), (shape[2], 1))
    rows = clip(slots - position, 0, count - 1)  # the token that goes into a slot
    written = {
        key: where(new, take(part, rows, axis=-2), cache[key]) for key, part in (("k", k), ("v", v))
    }  # a gather, not a scatter: native code without a loop over tokens
    return {**written, "position": position + count}, slots <= reshape(position + arange(count), (count, 1))


def _checked_position(name: str, position: Any, count: int, length: int) -> Array:
    """Return how many tokens there are in a cache; raise where there is no room for ``count`` more."""
    position = asarray(position)
    concrete = position.concrete()
    if concrete is not None and not 0 <= int(concrete) <= length - count:
        first = int(concrete)
        raise IndexingError(
            f"{name}: tokens {first} … {first + count - 1} of a cache for {length}: they are 0 … {length - 1}"
        )
    if count > length:
        raise IndexingError(f"{name}: {count} tokens for a cache of {length}")
    if concrete is None and isinstance(position, Tracer) and position.owner.runs:
        # no number yet: `take` refuses one out of range when the program runs
        last = length - count
        position = take(arange(last + 1), where(position < 0, last + 1, position))
    return position


__all__ = ["Cache", "empty_cache", "extend"]
