"""`Rewriter`: the loop that all passes over graphs share.

Planted: the mapping of outputs left out in `Rewriter.rewrite`, only the first output of a node mapped in `Rewriter.walk`.
"""

import numpy as np
import pytest

import bprop
from bprop.core.rewrite import Rewriter
from bprop.core.tree import flatten

X = np.array([[0.3, -0.7, 1.1], [-0.2, 0.9, 0.5]])
WEIGHTS = bprop.asarray(np.arange(6.0).reshape(3, 2))

FUNCTIONS = {
    "elementwise": lambda x: bprop.exp(x) * 2 + x,
    "capture": lambda x: x @ WEIGHTS,
    "several outputs": lambda x: bprop.linalg.qr(x @ x.T + 3 * np.eye(2)),
    "an input as output": lambda x: (x, bprop.sum(x), x),
    "region": lambda x: bprop.scan(lambda h, row: (bprop.tanh(h + row), h * row), x[0], x),
}


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("derivative", [False, True])
def test_without_a_rule_the_copy_is_the_same_graph(f, derivative):
    gradient = bprop.grad(lambda x: sum(bprop.sum(y) for y in flatten(f(x))[0]))
    graph = bprop.trace(gradient if derivative else f)(X)
    copy = Rewriter().rewrite(graph)
    assert str(copy) == str(graph)
    assert not set(copy.nodes) & set(graph.nodes)
    for y, expected in zip(copy(X), graph(X), strict=True):
        assert np.array_equal(y, expected)


def test_a_rule_may_return_operands_numbers_and_new_nodes():
    class Pass(Rewriter):
        def rule(self, node, inputs):
            if node.op is bprop.negative:
                return [inputs[0]]
            if node.op is bprop.sqrt:
                return [4.0]
            if node.op is bprop.exp:
                squared = self.add(bprop.square, inputs, {}, node.specs)
                return self.add(bprop.square, (squared.output,), {}, node.specs).outputs
            return None

    graph = bprop.trace(lambda x: (-x, bprop.exp(-x) + bprop.sqrt(x)))(np.ones(3))
    assert str(Pass().rewrite(graph)) == (
        "graph(x0: float64[3])\n"
        "  a = x0 ** 2     float64[3]\n"
        "  b = a ** 2      float64[3]\n"
        "  c = b + 4       float64[3]\n"
        "  return x0, c"
    )
