"""What depends on no input is computed once, when a function is compiled."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.compile.passes.fold_constants import LARGEST, fold_constants

X = np.linspace(1.0, 2.0, 3)


def folded(f, *args):
    return fold_constants(bprop.trace(f)(*args))


def names(f, *args):
    return [node.op.name for node in folded(f, *args).nodes]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * bprop.sin(bprop.arange(3) * 0.5),
        lambda x: x * bprop.sum(bprop.outer(bprop.arange(3), bprop.arange(3)), axis=0),
        lambda x: x * bprop.cumulative_sum(bprop.arange(3.0))[::-1],
        lambda x: x * bprop.where(bprop.arange(3) > 1, bprop.concat([bprop.ones(2), bprop.zeros(1)]), 7.5),
        lambda x: x * bprop.astype(bprop.arange(3) * 2, "float32"),
    ],
)
def test_constants_of_every_family(f):
    graph = folded(f, X)
    assert [node.op.name for node in graph.nodes] == ["multiply"]
    assert len(graph.captures) == 1
    assert_array_equal(graph(X)[0], f(X))
    assert_array_equal(bprop.compile(f)(X), f(X))


def test_what_costs_nothing_stays():
    assert names(lambda x: x * bprop.arange(6.0)[::2], X) == ["arange", "slice", "multiply"]
    assert not folded(lambda x: x + bprop.ones(3), X).captures


def test_equal_entries_are_one_number_and_equal_constants_one_array():
    graph = folded(
        lambda x: (x + bprop.exp(bprop.zeros(3))) * bprop.cos(bprop.arange(3)) / bprop.cos(bprop.arange(3)), X
    )
    assert len(graph.captures) == 1
    assert not any(node.op in (bprop.exp, bprop.cos) for node in graph.nodes)
    zeros = folded(lambda x: (x * -bprop.zeros(3), x * bprop.negative(bprop.negative(bprop.zeros(3)))), X)
    assert not zeros.captures
    assert_array_equal(np.signbit(zeros(X)[0]), True)
    assert_array_equal(np.signbit(zeros(X)[1]), False)


def test_what_is_large_is_computed_every_time():
    size = LARGEST // 8
    assert names(lambda x: x[0] * bprop.exp(bprop.arange(size)), X).count("exp") == 0
    assert names(lambda x: x[0] * bprop.exp(bprop.arange(size + 1)), X).count("exp") == 1


def test_captured_arrays_are_no_constants():
    """Whoever shares their memory may change it."""
    data = np.ones(3)
    shared = bprop.asarray(data, copy=False)
    run = bprop.compile(lambda x: x * bprop.exp(shared))
    assert_allclose(run(X), X * np.exp(1.0), rtol=1e-15)
    data[:] = 0
    assert_array_equal(run(X), X)


def test_a_constant_result_is_a_new_array_every_time():
    run = bprop.compile(lambda x: bprop.exp(bprop.arange(3)))
    first, second = run(X), run(X)
    assert_array_equal(first, np.exp(np.arange(3)))
    assert not np.shares_memory(np.asarray(first), np.asarray(second))


def test_an_error_of_a_constant_is_that_of_the_program():
    run = bprop.compile(lambda x: x * bprop.take(bprop.exp(bprop.arange(3)), bprop.arange(3) + 1))
    with pytest.raises(bprop.BpropError, match="take"):
        run(X)


def test_nothing_random_is_folded():
    run = bprop.compile(bprop.nn.Dropout(0.5))
    assert not np.array_equal(run(bprop.ones(64)), run(bprop.ones(64)))


def test_constants_of_equal_bytes_are_not_the_same():
    """Zeros of several dtypes have equal bytes, and 0.0 and -0.0 are equal numbers."""

    def f(x):
        whole, floats = bprop.arange(3) * 0, bprop.arange(3, dtype=np.float64) * 0.0
        signs = bprop.where(bprop.arange(4) > 1, -0.0, 0.0)
        return whole + 0, floats + 0.0, bprop.copysign(x, bprop.concat([signs[1:3]]))

    for ours, expected in zip(bprop.compile(f)(np.ones(2)), f(bprop.ones(2)), strict=True):
        assert ours.dtype == expected.dtype
        assert np.asarray(ours).tobytes() == np.asarray(expected).tobytes()
