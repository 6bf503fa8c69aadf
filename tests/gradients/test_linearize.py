"""linearize runs the function once and leaves a map of linear ops over known numbers.

Planted: ``stage_all=True`` in `linearize` (exp and tanh appear in the map and the numbers are computed again).
"""

import numpy as np
from numpy.testing import assert_allclose

import bprop
from bprop.core.family import Bilinear, Elementwise, Linear, Reduction, Selection

X = np.array([0.5, 1.5, -0.25])


def test_the_function_runs_once():
    runs = []

    def f(x):
        runs.append(1)
        return bprop.tanh(x) * bprop.exp(x)

    y, f_jvp = bprop.linearize(f, X)
    for direction in np.eye(3):
        assert_allclose(f_jvp(direction), bprop.jvp(lambda x: bprop.tanh(x) * bprop.exp(x), (X,), (direction,))[1])
    assert len(runs) == 1
    assert_allclose(y, np.tanh(X) * np.exp(X))


def test_the_map_holds_linear_ops_only():
    def f(x, w):
        h = bprop.relu(w @ bprop.tanh(x)) ** 3
        return bprop.logsumexp(bprop.exp(-h) / (1 + h)) + bprop.max(h)

    w = np.arange(12.0).reshape(4, 3) / 10
    _, f_jvp = bprop.linearize(f, X, w)
    inputs = set(f_jvp.graph.inputs)
    varying = set(inputs)
    for node in f_jvp.graph.nodes:
        live = [edge for edge in node.edges if edge.node in varying]
        varying |= {node} if live else set()
        assert live, f"{node.op.name} does not depend on the tangents: it belongs to the numbers"
        assert isinstance(node.op, Elementwise | Linear | Bilinear | Reduction | Selection)
        if isinstance(node.op, Elementwise) and node.op.name != "astype":
            assert node.op.name in {"add", "subtract", "negative", "multiply", "divide"}
            assert len(live) == 1 or node.op.name in {"add", "subtract"}
    for x_dot, w_dot in ((X, w), (2 * X, -w)):
        assert_allclose(f_jvp(x_dot, w_dot), bprop.jvp(f, (X, w), (x_dot, w_dot))[1], rtol=1e-12)


def test_the_map_is_linear_and_differentiable():
    _, f_jvp = bprop.linearize(lambda x: bprop.tanh(x) * x, X)
    a, b = np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.5, 2.0])
    assert_allclose(f_jvp(2 * a + b), 2 * np.asarray(f_jvp(a)) + np.asarray(f_jvp(b)))
    assert_allclose(bprop.jacobian(f_jvp)(a), bprop.jacobian(lambda x: bprop.tanh(x) * x)(X), rtol=1e-13)
    assert_allclose(bprop.vmap(f_jvp)(np.eye(3)), bprop.jacobian(lambda x: bprop.tanh(x) * x)(X), rtol=1e-13)


def test_python_control_flow_is_decided_by_the_numbers():
    y, f_jvp = bprop.linearize(lambda x: x * x if x > 1 else -x, 3.0)
    assert (y.item(), f_jvp(1.0).item()) == (9.0, 6.0)
