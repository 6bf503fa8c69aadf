"""Trees hold arrays anywhere; an object with cells stands for itself."""

import dataclasses
import gc
import weakref
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import bprop
from bprop.core.cell import Cell
from bprop.core.tree import flatten, is_holder, map, paths, spread, unflatten
from support.profile import examples


class Pair(NamedTuple):
    first: object
    second: object


@dataclasses.dataclass
class Point:
    x: object
    y: object


leaves = st.integers() | st.floats(allow_nan=False) | st.text(max_size=2)
trees = st.recursive(
    leaves | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.builds(Pair, inner, inner)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=8,
)


@examples(100)
@given(tree=trees)
def test_flatten_and_back(tree):
    found, structure = flatten(tree)
    assert unflatten(structure, found) == tree
    assert flatten(unflatten(structure, range(len(found))))[1] == structure
    assert [leaf for _, leaf in paths(tree)] == found or None in [leaf for _, leaf in paths(tree)]
    hash(structure)


def test_dictionaries_are_ordered_by_key_not_by_insertion():
    assert flatten({"b": 1, "a": 2})[0] == [2, 1]
    assert flatten({"b": 1, "a": 2})[1] == flatten({"a": 5, "b": 6})[1]


def test_paths_are_written_with_dots():
    assert dict(paths({"a": [1, {"b": 2}], "c": Pair(3, Point(4, 5))})) == {
        "a.0": 1, "a.1.b": 2, "c.first": 3, "c.second.x": 4, "c.second.y": 5,
    }  # fmt: skip


def test_map_needs_equal_structures():
    assert map(lambda a, b: a + b, [1, (2,)], [10, (20,)]) == [11, (22,)]
    with pytest.raises(bprop.ArgumentError, match="trees differ"):
        map(lambda a, b: a, [1], [1, 2])


def test_holders_stand_for_themselves():
    class Holder:
        def __init__(self):
            self.one = Cell(bprop.zeros(2))

        def cells(self):
            return {"one": self.one}

    holder = Holder()
    assert is_holder(holder)
    assert not is_holder(Holder)
    found, structure = flatten({"model": holder})
    assert found == [holder.one]
    assert unflatten(structure, found)["model"] is holder
    assert flatten(holder)[1] != flatten(Holder())[1]


@pytest.mark.parametrize(
    "make", [lambda a, b: [a, b], lambda a, b: (a, [b]), Pair, Point, lambda a, b: {"a": a, "b": (None, b)}]
)
def test_gradients_have_the_structure_of_their_argument(make):
    tree = make(np.array([1.0, 2.0]), 3.0)
    f = lambda tree: bprop.sum(flatten(tree)[0][0] ** 2) * flatten(tree)[0][1]
    gradient = bprop.grad(f)(tree)
    assert flatten(gradient)[1] == flatten(tree)[1]
    first, second = flatten(gradient)[0]
    assert_array_equal(first, [6, 12])
    assert second.item() == 5


def test_spread_puts_none_on_every_leaf_of_a_part():
    structure = flatten({"a": (1, 2), "b": 3, "c": None})[1]
    assert spread(structure, {"a": None, "b": 4, "c": None}) == [None, None, 4]
    for other in ([1, 2, 3], {"a": (1, 2, 3), "b": 4, "c": None}, {"a": (1, 2), "b": 4}):
        with pytest.raises(bprop.ArgumentError, match="trees differ"):
            spread(structure, other)


def test_leaves_are_not_kept_alive_by_cycles():
    gc.collect()
    gc.disable()
    try:
        leaf = np.zeros(3)
        alive = weakref.ref(leaf)
        unflatten(*reversed(flatten([leaf])))
        list(paths([leaf]))
        del leaf
        assert alive() is None
    finally:
        gc.enable()
