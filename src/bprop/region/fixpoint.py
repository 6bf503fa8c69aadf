"""Iterate what is known statically of a loop's carry until one more iteration of the body changes nothing."""

from collections.abc import Callable
from typing import TypeVar

S = TypeVar("S")
R = TypeVar("R")


def fixpoint(step: Callable[[S], tuple[S, R]], state: S) -> tuple[S, R]:
    """Apply ``step`` until the state repeats; return this state and the last result.

    ``step(state)`` traces the body with a carry of this state and returns the state of the carry that comes out, and a
    result. It ends because no step takes anything back: dtypes are only promoted, carries only become batched, masks
    only become larger.

    **Source:** Kleene iteration on a finite lattice, as in abstract interpretation: Cousot & Cousot (1977).
    """
    while True:
        after, result = step(state)
        if after == state:
            return state, result
        state = after


__all__ = ["fixpoint"]
