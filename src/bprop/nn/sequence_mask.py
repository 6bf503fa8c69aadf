"""Which entries of sequences of unequal lengths, filled up to one length, count."""

from typing import Any

import numpy as np

from ..core.error import DTypeError, IndexingError
from ..core.number import integer
from ..core.value import Array, Tracer, asarray
from ..ops import arange, astype, expand_dims, take, where


def sequence_mask(lengths: Any, length: int) -> Array:
    """Return bool (..., length), True at t < lengths[...]: which entries of sequences filled up at their ends count.

    - ``lengths``: integers in 0 … length of any shape, such as (batch,).
    - ``length``: how many entries the sequences have, an integer.

    Raises `IndexingError` for a length out of range, compiled too, and `DTypeError` for lengths that are no integers.

    **Source:** TensorFlow, ``tf.sequence_mask``.

    >>> from bprop import nn
    >>> nn.sequence_mask([1, 3], 3)
    Array([[ True, False, False],
           [ True,  True,  True]])
    """
    length = integer("sequence_mask", "length", length, 0)
    counts = asarray(lengths)
    if counts.dtype.kind not in "iu":
        raise DTypeError(f"sequence_mask: lengths are integers, not {counts.dtype}")
    numbers, runs = counts.concrete(), isinstance(counts, Tracer) and counts.owner.runs
    counts = astype(counts, np.int64)
    if numbers is None:
        if runs:  # no numbers yet: `take` refuses a length out of range when the program runs
            counts = take(arange(length + 1), where(counts < 0, length + 1, counts))
    elif ((numbers < 0) | (numbers > length)).any():
        wrong = (numbers < 0) | (numbers > length)
        index = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        position = f" of sequence {', '.join(str(int(i)) for i in index)}" if index else ""
        raise IndexingError(f"sequence_mask: length {numbers[index]}{position}: lengths are 0 … {length}")
    return arange(length) < expand_dims(counts, -1)


__all__ = ["sequence_mask"]
