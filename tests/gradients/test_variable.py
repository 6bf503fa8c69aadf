"""The values in a tree of arguments: one order for all who ask, and others can be put in their place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import bprop
from bprop import nn
from bprop.core.tree import flatten, is_holder
from bprop.gradients.argument import Arguments, array_of, arrays_of
from bprop.gradients.variable import TreeValues, Variables

FROZEN = nn.Linear(2, 1, seed=0).freeze()
HOLDERS = st.sampled_from([nn.Linear(2, 1, seed=0), FROZEN, nn.Tanh(), bprop.Generator(0)])
STATIC = st.sampled_from([3, True, "mean", np.exp])
ARRAYS = st.builds(lambda n: bprop.asarray(np.arange(n) * 1.0), st.integers(0, 2)) | st.floats(-1, 1)


def trees(leaves):
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("cab"), inner, max_size=3)
    )


@given(trees(ARRAYS | STATIC | HOLDERS | st.none()))
def test_one_order_for_all_who_ask(tree):
    values = TreeValues(tree, array_of)
    arguments = Arguments(lambda x: x, (tree,), {}, None, "f")
    for arrays in (values.read(), arrays_of(tree), arguments.values):
        assert len(arrays) == len(values.values)
        for array, expected in zip(arrays, values.read(), strict=True):
            np.testing.assert_array_equal(array, expected)
    assert len(arguments.names) == len(values.values)


@given(trees(ARRAYS | STATIC | HOLDERS | st.none()))
def test_other_values_in_their_place(tree):
    values = TreeValues(tree, array_of)
    new = [object() for _ in values.values]
    leaves, structure = flatten(tree, is_holder)
    replaced, same = flatten(values.argument(new), is_holder)
    assert same == structure
    rest = iter(new)
    for leaf, other in zip(leaves, replaced, strict=True):
        if is_holder(leaf):
            assert other is leaf
            for _ in leaf.cells():
                next(rest)
        else:
            assert other is (leaf if array_of(leaf) is None else next(rest))


@given(trees(ARRAYS | HOLDERS))
def test_derivatives_have_the_structure_of_the_argument(tree):
    variables = Variables(tree, "f")
    result = variables.result(range(len(variables.values)))
    assert sorted(flatten(result)[0]) == list(range(len(variables.values)))
    assert variables.tangents(variables.result(variables.read()), "f") == variables.read()
