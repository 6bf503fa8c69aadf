"""Drawing a character from logits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def drawn(logits: Any, temperature: float, u: float) -> int:
    """Return the character at ``u`` in [0, 1) of the distribution softmax(logits / temperature); at 0 the likeliest.

    >>> from bprop.train.text.sampling import drawn
    >>> [drawn([0.0, 1.0], 1.0, u) for u in (0.0, 0.2, 0.3, 0.99)], drawn([0.0, 1.0], 0.0, 0.0)
    ([0, 0, 1, 1], 1)
    """
    z: NDArray[np.float64] = np.asarray(logits, np.float64)
    if temperature == 0:
        return int(np.argmax(z))
    p = np.cumsum(np.exp((z - z.max()) / temperature))
    return int(min(np.searchsorted(p, u * p[-1], side="right"), len(p) - 1))


__all__ = ["drawn"]
