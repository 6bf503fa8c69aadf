"""vmap: one application of every op for the whole batch, whatever its size.

Planted: a rule of gradients/batch.py looping over the batch (the count grows with it), ranks aligned at the wrong end.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop
from bprop.core.interpreter import Interpreter, using


class Counting(Interpreter):
    """Counts what reaches the level below."""

    def __init__(self):
        super().__init__()
        self.ops = []

    def bind(self, op, args, params):
        self.ops.append(op.name)
        return self.below.bind(op, args, params)


def count(f, *args):
    counter = Counting()
    with using(counter):
        f(*args)
    return counter.ops


def ops_of_many_families(x, w):
    h = bprop.tanh(w @ x)
    h = bprop.where(h > 0, h, 0.1 * h)
    h = bprop.softmax(bprop.take(h, np.array([2, 0, 1, 1]))) + h[:1]
    return bprop.logsumexp(bprop.einsum("i,j->ij", h, x)[::2].reshape(-1)) + bprop.max(bprop.maximum(x, h[0]))


@pytest.mark.parametrize("f", [ops_of_many_families, bprop.grad(ops_of_many_families), bprop.grad(ops_of_many_families, 1), bprop.hessian(ops_of_many_families)],
                         ids=["value", "grad x", "grad w", "hessian"])  # fmt: skip
def test_number_of_ops_is_independent_of_the_batch_size(f):
    random = np.random.default_rng(0)
    w = random.normal(size=(3, 2))
    counts = [count(bprop.vmap(f, in_axes=(0, None)), random.normal(size=(n, 2)), w) for n in (1, 2, 17)]
    assert counts[0] == counts[1] == counts[2]
    x = random.normal(size=(17, 2))
    assert_allclose(
        bprop.vmap(f, in_axes=(0, None))(x, w), [np.asarray(f(one, w)) for one in x], rtol=1e-12, atol=1e-14
    )


def test_jacobians_run_as_one_batch():
    sizes = [len(count(bprop.jacobian(lambda x: bprop.tanh(x) * x), np.ones(n))) for n in (2, 9)]
    assert sizes[0] == sizes[1]


def test_axes_and_trees():
    x = np.arange(24.0).reshape(2, 3, 4)
    f = lambda p, c: {"sum": bprop.sum(p["a"]) + c, "row": p["a"][0] * p["b"]}
    result = bprop.vmap(f, in_axes=({"a": 1, "b": None}, None), out_axes={"sum": 0, "row": 1})({"a": x, "b": 2.0}, 1.0)
    assert_allclose(result["sum"], x.sum((0, 2)) + 1)
    assert_allclose(result["row"], 2 * x[0].T)
    assert_allclose(bprop.vmap(lambda x: bprop.ones(2), out_axes=-1)(np.ones(3)), np.ones((2, 3)))
    assert_allclose(bprop.vmap(lambda x: 5.0, out_axes=None)(np.ones(3)), 5)


def test_nested_batches():
    a, b = np.arange(3.0), np.arange(4.0)
    outer = bprop.vmap(lambda x: bprop.vmap(lambda y: x * y + x)(b))(a)
    assert_allclose(outer, a[:, None] * b + a[:, None])
    matrices = np.random.default_rng(0).normal(size=(2, 5, 3, 3))
    both = bprop.vmap(bprop.vmap(lambda m: bprop.sum(m @ m)))(matrices)
    assert_allclose(both, (matrices @ matrices).sum((-1, -2)))


def test_empty_batches():
    assert bprop.vmap(lambda x: bprop.sum(bprop.exp(x)))(np.ones((0, 3))).shape == (0,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bprop.vmap(bprop.add)(np.ones(2), np.ones(3)), "batch sizes differ.*2: leaf 0.*3: leaf 1"),
        (lambda: bprop.vmap(bprop.exp, in_axes=None)(np.ones(2)), "no argument has a batch axis"),
        (lambda: bprop.vmap(bprop.exp, in_axes=2)(np.ones(2)), "axis 2 is out of range"),
        (lambda: bprop.vmap(bprop.exp, in_axes=(0, 0))(np.ones(2)), "2 entries for 1 arguments"),
        (lambda: bprop.vmap(bprop.exp, out_axes=None)(np.ones(2)), "differs over the batch"),
        # the error shows the shapes of one entry, as the function sees them
        (lambda: bprop.vmap(lambda x: x + np.ones(3))(np.ones((4, 2))), r"\(2,\) and \(3,\)"),
        (lambda: bprop.vmap(lambda x: x @ np.ones(3))(np.ones((4, 2))), r"\(2,\) and \(3,\)"),
    ],
)
def test_errors_name_sizes_and_axes(call, words):
    with pytest.raises(bprop.BpropError, match=words):
        call()
