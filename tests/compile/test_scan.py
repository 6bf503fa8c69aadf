"""Loops in native code: forwards, backwards, their gradients, checkpoints and custom derivatives."""

import numpy as np
import pytest

import bprop
from bprop.compile import compile, native

RANDOM = np.random.default_rng(1)
W = bprop.asarray(RANDOM.normal(size=(3, 3)) / 2)


def cell(carry, x):
    h = bprop.tanh(carry @ W + x)
    return h, h * 2


@pytest.mark.parametrize("length", [0, 1, 2, 7])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_recurrent_net(length, reverse, agree):
    agree(lambda h, x: bprop.scan(cell, h, x, reverse=reverse), np.ones(3), RANDOM.normal(size=(length, 3)), terms=20)


@pytest.mark.parametrize("reverse", [False, True])
def test_its_gradient(reverse, agree):
    def f(h, x, w):
        def loss(h, x, w):
            step = lambda c, x: (bprop.tanh(c @ w + x), c)
            last, ys = bprop.scan(step, h, x, reverse=reverse)
            return bprop.sum(last) + bprop.sum(ys * ys)

        return tuple(bprop.grad(loss, argnums=(0, 1, 2))(h, x, w))

    try:
        agree(f, np.ones(3), RANDOM.normal(size=(6, 3)), W.data, terms=100)
    except TypeError as error:
        pytest.fail(str(error))


def test_loops_inside_loops_and_several_carries(agree):
    def f(a, xs):
        def inner(c, x):
            return (c[1], c[0] + x), c[0]

        def outer(c, row):
            (p, q), ys = bprop.scan(inner, c, row)
            return (q, p * 0.5), bprop.sum(ys)

        return bprop.scan(outer, (a, a + 1), xs)

    compiled = compile(f)(1.0 * bprop.ones(()), RANDOM.normal(size=(4, 3)))
    assert len(compiled) == 2
    flat = lambda a, xs: (*f(a, xs)[0], f(a, xs)[1])
    agree(flat, np.array(1.0), RANDOM.normal(size=(4, 3)), terms=20)


def test_an_error_inside_a_loop_ends_it():
    def f(c, x):
        return c + bprop.sum(bprop.cholesky(x)), c

    run = compile(lambda xs: bprop.scan(f, bprop.asarray(0.0), xs))
    good = np.stack([np.eye(2)] * 3)
    assert run(good)[0].item() == 6
    with pytest.raises(bprop.ArgumentError, match="not positive definite"):
        run(np.stack([np.eye(2), -np.eye(2), np.eye(2)]))


def test_generators_inside_loops():
    eager, compiled = bprop.Generator(3), bprop.Generator(3)

    def draw(generator):
        return lambda: bprop.scan(lambda c, _: (c, generator.uniform((2,))), bprop.zeros(1), length=4)[1]

    expected = draw(eager)()
    np.testing.assert_array_equal(compile(draw(compiled))(), expected)
    assert repr(eager) == repr(compiled)


def test_checkpoint_and_custom_are_inlined(agree):
    agree(bprop.checkpoint(lambda x: bprop.exp(x) * 2), np.ones(3), terms=4)
    graph = bprop.trace(bprop.checkpoint(lambda x: bprop.exp(x) * 2))(bprop.ones(3))
    (y,) = native(graph)(bprop.ones(3))
    np.testing.assert_allclose(y, np.exp(np.ones(3)) * 2, rtol=1e-15)
    agree(bprop.grad(lambda x: bprop.sum(bprop.checkpoint(bprop.tanh)(x))), np.ones(3), terms=4)


def test_a_planted_fault_is_seen(agree, monkeypatch):
    from bprop.compile.llvm import scan

    monkeypatch.setattr(scan, "copy_bytes", lambda *args: None)
    with pytest.raises(AssertionError):
        agree(lambda h, x: bprop.scan(cell, h, x), np.ones(3), RANDOM.normal(size=(4, 3)), terms=20)
