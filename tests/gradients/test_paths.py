"""The sum over paths: exact counts, the gradient by the sweep and by walking, structure and not numbers."""

import time
from math import comb, factorial

import numpy as np
import pytest

import bprop
from bprop import nn
from support.op_call import every_differentiable_op, scalar_calls

random = np.random.default_rng(5)


def tanh_layers(x, weights):
    for W in weights:
        x = bprop.tanh(W @ x)
    return bprop.sum(x)


def weights(n, layers):
    return [random.normal(size=(n, n)) / np.sqrt(n) for _ in range(layers)]


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_a_network_of_width_n_and_depth_l_has_n_to_the_l_paths(n, layers):
    x, W = random.normal(size=n), weights(n, layers)
    p = bprop.paths(tanh_layers)(x, W)
    assert p.counts.tolist() == [n**layers] * n
    assert p.total == n ** (layers + 1)
    expected = bprop.grad(tanh_layers)(x, W).numpy()
    np.testing.assert_allclose(p.gradient.numpy(), expected, rtol=1e-10, atol=1e-15)
    walked = list(p.enumerate())
    assert len(walked) == len({path.nodes for path in walked}) == p.total
    np.testing.assert_allclose(p.sum().numpy(), expected, rtol=1e-10, atol=1e-15)
    assert sum(path.product for path in walked) == pytest.approx(expected.sum(), rel=1e-9)


def test_ten_to_the_thirty_paths_are_counted_exactly_in_one_sweep():
    x, W = random.normal(size=10), weights(10, 30)
    start = time.perf_counter()
    p = bprop.paths(tanh_layers)(x, W)
    assert time.perf_counter() - start < 2
    assert p.counts.tolist() == [10**30] * 10
    assert type(p.counts[0]) is int
    np.testing.assert_allclose(p.gradient.numpy(), bprop.grad(tanh_layers)(x, W).numpy(), rtol=1e-9, atol=1e-30)
    with pytest.raises(bprop.BpropError, match=f"has {10**31} paths, and 10000 is the limit"):
        p.enumerate()
    with pytest.raises(bprop.BpropError, match="10 is the limit"):
        p.sum(limit=10)
    assert "… and" in repr(p)


def test_weights_of_the_first_layer_have_one_layer_less_to_go():
    x, W = random.normal(size=3), weights(3, 3)
    counts = bprop.paths(tanh_layers, 1)(x, W).counts
    assert [set(layer.ravel().tolist()) for layer in counts] == [{9}, {3}, {1}]


def test_modules_have_the_same_paths_as_their_formulas():
    n, layers = 3, 3
    model = nn.Sequential(*[part for _ in range(layers) for part in (nn.Linear(n, n, dtype="float64"), nn.Tanh())])
    p = bprop.paths(lambda x, m: bprop.sum(m(x)), (0, 1))(random.normal(size=n), model)
    assert p.counts[0].tolist() == [n**layers] * n
    assert {path: set(count.ravel().tolist()) for path, count in p.counts[1].items() if path.endswith("b")} == {
        "layers.0.b": {9}, "layers.2.b": {3}, "layers.4.b": {1},
    }  # fmt: skip


def test_a_handwritten_rule_is_used():
    @bprop.custom(vjp=lambda y_bar, y, x: 10 * y_bar)
    def wrong(x):
        return bprop.exp(x)

    p = bprop.paths(lambda x: bprop.sum(wrong(x)))(np.zeros(3))
    assert p.counts.tolist() == [1, 1, 1]
    assert p.gradient.tolist() == p.sum().tolist() == [10, 10, 10]


def test_a_shared_operand_is_two_edges():
    p = bprop.paths(lambda x: x * x)(3.0)
    assert p.total == 2
    assert p.gradient.item() == 6


def test_lattice_paths_are_binomial_coefficients():
    """y[i] ← y[i] + y[i + 1], n times: Pascal's triangle."""

    def f(x):
        for _ in range(40):
            x = x[:-1] + x[1:]
        return x[0]

    p = bprop.paths(f)(np.ones(41))
    assert p.counts.tolist() == [comb(40, k) for k in range(41)]


def test_products_of_sums_are_factorials():
    def f(x):
        y = x
        for k in range(2, 26):
            y = bprop.sum(bprop.broadcast_to(y, (k,)))
        return y

    assert bprop.paths(f)(1.0).total == factorial(25)


# --- structure ---
def test_an_edge_whose_derivative_happens_to_be_zero_is_an_edge():
    assert bprop.paths(lambda x: bprop.sum(x * x))(np.zeros(3)).counts.tolist() == [2, 2, 2]
    p = bprop.paths(lambda x, W: bprop.sum(W @ x))(np.ones(3), np.zeros((2, 3)))
    assert p.counts.tolist() == [2, 2, 2]
    assert p.gradient.tolist() == [0, 0, 0]


def test_entries_that_cannot_depend_on_each_other_have_none():
    assert bprop.paths(lambda x: x[1] * 2)(np.ones(3)).counts.tolist() == [0, 1, 0]
    assert bprop.paths(lambda x: bprop.take(x, [2, 2, 0])[1])(np.ones(3)).counts.tolist() == [0, 0, 1]
    assert bprop.paths(lambda x: bprop.stop_gradient(x) * 2.0)(1.0).total == 0


def test_the_branch_not_taken_has_none():
    p = bprop.paths(lambda x: bprop.sum(bprop.where(x > 0, bprop.sqrt(x), x * x)))(np.array([4.0, 0.0, -1.0]))
    assert p.counts.tolist() == [1, 2, 2]
    assert p.gradient.tolist() == p.sum().tolist() == [0.25, 0, -2]
    tie = bprop.paths(bprop.max)(np.array([1.0, 3.0, 3.0]))
    assert tie.counts.tolist() == [0, 1, 1]
    assert tie.gradient.tolist() == [0, 0.5, 0.5]


def test_a_python_if_is_followed():
    assert bprop.paths(lambda x: x * x if x > 0 else x)(-1.0).total == 1


def test_a_general_op_is_one_edge_per_pair_within_a_matrix():
    a = np.eye(2) * 3 + 0.5
    stack = np.stack([a, 2 * a])
    p = bprop.paths(lambda b: bprop.sum(bprop.solve(stack, b)))(np.ones((2, 2, 1)))
    assert p.counts.tolist() == [[[2], [2]], [[2], [2]]]


@every_differentiable_op
def test_the_sweep_and_the_walk_equal_reverse_for_every_op(op):
    for f, xs, _ in scalar_calls(op):
        operands = tuple(range(len(xs)))
        p = bprop.paths(f, operands)(*xs)
        gradients = bprop.grad(f, operands, unreached="zeros")(*xs)
        ways = [p.gradient] + ([p.sum()] if p.total < 2000 else [])
        for way in ways:
            for derivative, gradient in zip(way, gradients, strict=True):
                np.testing.assert_allclose(derivative.numpy(), gradient.numpy(), rtol=1e-9, atol=1e-12)


# --- what is shown, what is refused ---
def test_it_reads_like_a_blackboard():
    text = repr(bprop.paths(lambda x, y: (x + y) * y)(2.0, 3.0))
    assert "paths of <lambda>: 1 path from x to the result y" in text
    assert "a = x + y" in text
    assert "x → a → y:   1 · 3 = 3" in text
    two = list(bprop.paths(lambda x, y: (x + y) * y, 1)(2.0, 3.0).enumerate())
    assert [path.product for path in two] == [3, 5]
    assert [len(path.partials) for path in two] == [2, 1]


def test_errors():
    with pytest.raises(bprop.ShapeError, match="not a scalar"):
        bprop.paths(lambda x: x)(np.ones(2))
    with pytest.raises(bprop.DerivativeError, match="many turns of a loop"):
        bprop.paths(lambda x: bprop.scan(lambda c, r: (c * r, c), 1.0, x)[0])(np.ones(3))
    # a turn of this loop takes and gives what the whole loop does
    swapped = lambda a, b: bprop.scan(lambda c, _: ((c[1], c[0]), None), (a, b), length=2)[0][0] * 3
    with pytest.raises(bprop.DerivativeError, match="scan is one application for many turns of a loop"):
        bprop.paths(swapped, (0, 1))(1.0, 2.0)
    with pytest.raises(bprop.TracedValueError, match="local derivatives are numbers"):
        bprop.trace(lambda x: bprop.paths(lambda u: u * u)(x).gradient)(1.0)
    with pytest.raises(bprop.BpropError, match="matmul: scalar by scalar it has 27000000 edges"):
        bprop.paths(lambda x: bprop.sum(x @ x))(np.ones((300, 300)))
