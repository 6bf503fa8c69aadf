"""`linalg.multi_dot` multiplies in the order of the fewest products, as counted in its graph."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import bprop
from support.profile import examples


def fewest(sizes: tuple[int, ...]) -> int:
    """The fewest products of numbers, over every way to set parentheses."""

    @lru_cache
    def cost(start: int, stop: int) -> int:
        cuts = range(start + 1, stop)
        return min(
            (cost(start, cut) + cost(cut, stop) + sizes[start] * sizes[cut] * sizes[stop] for cut in cuts), default=0
        )

    return cost(0, len(sizes) - 1)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=3, max_size=6),
    first=st.sampled_from([1, 2]),
    last=st.sampled_from([1, 2]),
)
@examples(60)
def test_the_order(sizes: list[int], first: int, last: int) -> None:
    """A vector, first or last, counts as a matrix of one row or column."""
    shapes = list(pairwise(sizes))
    factors = [np.ones(shape) for shape in shapes]
    if first == 1:
        factors[0], sizes[0] = factors[0][0], 1
    if last == 1:
        factors[-1], sizes[-1] = factors[-1][..., 0], 1
    graph = bprop.trace(lambda *xs: bprop.linalg.multi_dot(xs))(*factors)
    count = 0
    for node in graph.nodes:
        shape = node.edges[0].spec.shape
        count += int(np.prod(node.specs[0].shape)) * shape[-1]
    assert count == fewest(tuple(sizes))
