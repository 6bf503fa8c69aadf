"""Writing a text: the compiled step from a character and a state to logits, and drawing the next character from those."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compile import compile
from ...core.tree import flatten, unflatten


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


def compiled_step(
    step: Callable[[Any, Any, Any], tuple[Any, Any]], state: Any
) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """Return ``step``, from a network, characters and a state to logits and the next state, compiled.

    ``state``: one like those of the calls. It is passed array by array: of arguments that are arrays a call knows at once
    whether it is one like the last.
    """
    form = flatten(state)[1]

    def flat(network: Any, x: Any, *leaves: Any) -> tuple[Any, ...]:
        y, after = step(network, x, unflatten(form, leaves))
        return y, *flatten(after)[0]

    compiled = compile(flat)

    def run(network: Any, x: Any, state: Any) -> tuple[Any, Any]:
        y, *leaves = compiled(network, x, *flatten(state)[0])
        return y, unflatten(form, leaves)

    return run


__all__ = ["compiled_step", "drawn"]
