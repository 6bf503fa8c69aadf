"""A graph is a function as data: calling, dropping, dead nodes, captures, listing."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import bprop
from bprop.core.graph import Graph, Node
from bprop.core.interpreter import Interpreter, using

X = np.array([1.0, 2.0])


def test_listing():
    W = bprop.ones((2, 2))
    assert str(bprop.trace(lambda x: bprop.exp(W @ x) - 2 * x[0])(X)).splitlines()[0] == (
        "graph(x0: float64[2], c0: float64[2,2])"
    )


def test_a_plain_pair_is_no_edge():
    """As everywhere in these tests: see tests/conftest.py."""
    graph = bprop.trace(bprop.exp)(X)
    (node,) = graph.nodes
    (edge,) = graph.outputs
    pair = tuple(edge)
    assert pair == edge == node.output
    assert (edge.node, edge.index, edge.spec) == (node, 0, graph.specs[0])
    with pytest.raises(AssertionError, match="exp> of"):
        Node(bprop.exp, {}, (pair,), node.specs)
    with pytest.raises(AssertionError, match="outputs"):
        Graph(graph.inputs, graph.nodes, [pair])


def test_dead_nodes_are_left_out():
    def f(x):
        bprop.exp(x)
        return x + 1

    assert [node.op.name for node in bprop.trace(f)(X).nodes] == ["add"]


def test_captures_are_inputs_by_reference():
    W = bprop.asarray([3.0, 4.0])
    graph = bprop.trace(lambda x: x * W + W)(X)
    ((_, captured),) = graph.captures
    assert captured is W
    closed, values = graph.closed()
    assert_array_equal(closed(X, *values)[0], graph(X)[0])
    assert closed.captures == ()


def test_values_are_dropped_after_their_last_use():
    alive = []

    class Watch(Interpreter):
        def bind(self, op, args, params):
            y = self.below.bind(op, args, params)
            gc.collect()
            alive.append(sum(one() is not None for one in self.made))
            self.made.append(weakref.ref(y))
            return y

    def f(x):
        for _ in range(6):
            x = bprop.tanh(x)
        return x

    graph = bprop.trace(f)(np.ones(3))
    watch = Watch()
    watch.made = []
    with using(watch):
        graph(bprop.ones(3))
    assert max(alive) <= 2


def test_graphs_take_numpy_arrays_and_numbers():
    graph = bprop.trace(lambda x: bprop.sigmoid(x) * 2)(X)
    assert_array_equal(graph(X)[0], graph(bprop.asarray(X))[0])
    assert_array_equal(bprop.trace(lambda x: x * 2)(1.0)(3.0)[0], 6)


def test_wrong_number_of_arguments():
    with pytest.raises((ValueError, bprop.ArgumentError)):
        bprop.trace(lambda x: x)(X)(X, X)


def test_graphs_can_be_differentiated_and_batched():
    graph = bprop.trace(lambda x: bprop.sum(x**3))(X)
    assert_array_equal(bprop.grad(lambda x: graph(x)[0])(X), 3 * X**2)
    assert_array_equal(bprop.vmap(lambda x: graph(x)[0])(np.stack([X, 2 * X])), [9, 72])
    assert bprop.trace(lambda x: graph(x)[0])(X).specs == graph.specs


def test_the_identity_has_no_nodes():
    graph = bprop.trace(lambda x: x)(X)
    assert graph.nodes == ()
    assert_array_equal(graph(X)[0], X)


def test_a_graph_is_for_the_shapes_it_was_traced_with():
    graph = bprop.trace(bprop.mean)(X)  # holds 1/2
    with pytest.raises(bprop.ShapeError, match=r"float64\[3\], traced was float64\[2\]"):
        graph(np.ones(3))
    with pytest.raises(bprop.DTypeError, match=r"float32\[2\], traced was float64\[2\]"):
        graph(np.ones(2, np.float32))
    with pytest.raises(bprop.ArgumentError, match="2 arguments for 1 inputs"):
        graph(X, X)


def test_graphs_and_ops_are_copied_and_pickled():
    graph = bprop.trace(lambda x: bprop.tanh(x) * 2)(X)
    for same in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert_array_equal(same(X)[0], graph(X)[0])
        assert same.nodes[0].op is graph.nodes[0].op
