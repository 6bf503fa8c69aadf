"""What a recorded application keeps for the backward pass: what its rule reads, and no more.

Planted: `_positions_read` saying yes to everything (every row fails), the key of its cache without which inputs need
gradients.
"""

import gc
import weakref

import numpy as np
import pytest

import bprop
from bprop.core.interpreter import using
from bprop.core.value import Array, Spec
from bprop.gradients.reverse import Record

A = bprop.asarray(np.arange(1.0, 10).reshape(3, 3))
# op, operands ("r": recorded), kept: y and then each operand
KEPT = {
    "add": (lambda x: x + A, "-", "--"), "add itself": (lambda x: x + x, "-", "--"),
    "subtract": (lambda x: A - x, "-", "--"), "negative": (lambda x: -x, "-", "-"),
    "multiply by a constant": (lambda x: x * A, "-", "-x"), "square": (lambda x: bprop.square(x), "-", "x"),
    "multiply itself": (lambda x: x * x, "-", "xx"), "scale": (lambda x: 3 * x, "-", "-"),
    "exp": (bprop.exp, "y", "-"), "sqrt": (bprop.sqrt, "y", "-"), "log": (bprop.log, "-", "x"),
    "tanh": (bprop.tanh, "-", "x"), "divide by a constant": (lambda x: x / A, "-", "-x"),
    "divide a constant": (lambda x: A / x, "y", "-x"), "sum": (bprop.sum, "-", "-"), "max": (bprop.max, "y", "x"),
    "reshape": (lambda x: x.reshape(9), "-", "-"), "transpose": (lambda x: x.T, "-", "-"),
    "slice": (lambda x: x[1:], "-", "-"), "take": (lambda x: bprop.take(x, np.array([0, 2]), axis=0), "-", "-x"),
    "matmul left": (lambda x: x @ A, "-", "-x"), "matmul right": (lambda x: A @ x, "-", "x-"),
    "where": (lambda x: bprop.where(A > 2, x, 0), "-", "x-"), "cholesky": (lambda x: bprop.cholesky(x @ x.T), "y", "-"),
}  # fmt: skip


def recorded(f):
    owner = Record()
    x = owner.input(bprop.asarray(np.asarray(A) + 10 * np.eye(3)))
    with using(owner):
        return x, f(x)


@pytest.mark.parametrize("name", KEPT)
def test_kept_values(name):
    f, y_kept, xs_kept = KEPT[name]
    _, y = recorded(f)
    rule, kept = y.node.rule, y.node.kept
    assert len(kept) == len(rule.keeps)
    *xs, y = [position in rule.keeps for position, spec in enumerate(rule.specs) if isinstance(spec, Spec)]
    assert "-y"[y] == y_kept
    assert "".join("-x"[x] for x in xs) == xs_kept[: len(xs)]


@pytest.mark.parametrize(
    ("name", "ys_kept", "x_kept"), [("eigh", "yy", "-"), ("svd", "yyy", "-"), ("slogdet", "y-", "x")]
)
def test_kept_values_of_an_op_with_several_outputs(name, ys_kept, x_kept):
    _, ys = recorded(getattr(bprop.linalg, name))
    (application,) = {y.node.inputs[0] for y in ys}
    kept_ys, (kept_x,) = application.kept
    assert "".join("y" if isinstance(y, Array) else "-" for y in kept_ys) == ys_kept
    assert ("x" if isinstance(kept_x, Array) else "-") == x_kept


def test_what_is_not_kept_is_freed_during_the_forward_pass():
    owner = Record()
    freed = []
    with using(owner):
        x = owner.input(bprop.ones(1000))
        h = x + 1  # nobody needs these numbers again
        weakref.finalize(h.value.data, freed.append, "sum")
        y = bprop.exp(h)
        weakref.finalize(y.value.data, freed.append, "exp")
        del h
        gc.collect()
        assert freed == ["sum"]
        z = bprop.sum(y)
        del y
        gc.collect()
        assert freed == ["sum"]  # exp's own rule reads it
    del z
    gc.collect()
    assert sorted(freed) == ["exp", "sum"]


def test_dead_branches_free_themselves():
    freed = []

    def f(x):
        for _ in range(3):
            unused = bprop.exp(x)
            weakref.finalize(unused.value.data, freed.append, 1)
        del unused
        gc.collect()
        assert len(freed) == 3
        return bprop.sum(x * x)

    bprop.grad(f)(np.ones(3))


def test_the_cache_tells_apart_which_inputs_need_gradients():
    x = np.array([2.0, 3.0])
    for _ in range(2):
        assert bprop.grad(lambda x: bprop.sum(x * np.array([5.0, 7.0])))(x).tolist() == [5, 7]
        assert bprop.grad(lambda x: bprop.sum(np.array([5.0, 7.0]) * x))(x).tolist() == [5, 7]
        assert bprop.grad(lambda x: bprop.sum(x * x))(x).tolist() == [4, 6]
        assert bprop.grad(lambda x: bprop.sum(x**3))(x).tolist() == [12, 27]
        assert bprop.grad(lambda x: bprop.sum(x**0))(x).tolist() == [0, 0]
        np.testing.assert_allclose(bprop.grad(lambda x: bprop.sum(x**0.3))(x), 0.3 * x**-0.7)
        np.testing.assert_allclose(bprop.grad(lambda x: bprop.sum(2.0**x))(x), 2.0**x * np.log(2))


def test_a_gradient_leaves_nothing_for_the_garbage_collector():
    x = bprop.asarray(np.ones(3))
    f = lambda x: bprop.sum(bprop.exp(x) * bprop.tanh(x))
    linear = bprop.custom(f, vjp=lambda y_bar, y, x: y_bar * x)
    runs = [lambda: bprop.grad(f)(x), lambda: bprop.hessian(f)(x), lambda: bprop.vmap(bprop.grad(f))(x[None]),
            lambda: bprop.linearize(f, x)[1](x), lambda: bprop.grad(bprop.checkpoint(f))(x), lambda: bprop.grad(linear)(x),
            lambda: bprop.grad(lambda x: bprop.sum(bprop.scan(lambda c, _: (c * x, None), x, length=2)[0]))(x)]  # fmt: skip
    for run in runs:
        run()  # fills the caches
        gc.collect()
        gc.disable()
        try:
            run()
            assert gc.collect() == 0
        finally:
            gc.enable()
