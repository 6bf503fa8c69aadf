"""`checkpoint`: the same derivatives under every interpretation, less memory, effects that happen once."""

import tracemalloc

import numpy as np
import pytest

import bprop


def deep(x):
    for _ in range(20):
        x = bprop.tanh(x * 1.1)
    return x


def chain(f, x):
    for _ in range(5):
        x = f(x)
    return bprop.sum(x * x)


X = np.linspace(-1, 1, 6)


@pytest.mark.parametrize(
    "derivative",
    [
        lambda f: bprop.grad(f)(X),
        lambda f: bprop.jacobian(f, mode="forward")(X),
        lambda f: bprop.hessian(f)(X),
        lambda f: bprop.vmap(bprop.grad(f))(X.reshape(2, 3)),
        lambda f: bprop.trace(bprop.grad(f))(X)(X)[0],
        lambda f: bprop.linearize(f, X)[1](X),
    ],
    ids=["reverse", "forward", "hessian", "batched", "traced", "linearized"],
)
def test_derivatives_are_those_without_it(derivative):
    plain = derivative(lambda x: chain(deep, x))
    again = derivative(lambda x: chain(bprop.checkpoint(deep), x))
    np.testing.assert_allclose(np.asarray(again), np.asarray(plain), rtol=1e-12)


def peak(f, x):
    bprop.grad(f)(x)  # fill caches
    tracemalloc.start()
    bprop.grad(f)(x)
    result = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result


def test_peak_memory_falls():
    # planted: with `checkpoint` returning its argument unchanged the ratio is 1
    x = np.linspace(-1, 1, 100_000)
    assert peak(lambda x: chain(bprop.checkpoint(deep), x), x) < 0.5 * peak(lambda x: chain(deep, x), x)


def test_parameters_from_the_closure_get_their_gradient():
    W = bprop.asarray(np.arange(4.0).reshape(2, 2))
    f = lambda W, x: bprop.sum(bprop.checkpoint(lambda x: bprop.tanh(W @ x))(x))
    x = np.ones(2)
    expected = bprop.grad(lambda W, x: bprop.sum(bprop.tanh(W @ x)))(W, x)
    np.testing.assert_allclose(bprop.grad(f)(W, x), expected)


def test_a_generator_moves_on_once():
    generator, twin = bprop.Generator(3), bprop.Generator(3)
    noisy = bprop.checkpoint(lambda x: bprop.sum(x * generator.uniform((4,))))
    gradient = bprop.grad(noisy)(np.ones(4))
    np.testing.assert_array_equal(gradient, twin.uniform((4,)))
    assert repr(generator) == repr(twin)  # recomputing going backward draws nothing anew


def test_a_python_branch_on_a_value_says_what_to_write():
    f = bprop.checkpoint(lambda x: x if x > 0 else -x)
    with pytest.raises(bprop.TracedValueError, match=r"bprop\.where.*\n.*test_checkpoint\.py"):
        bprop.grad(f)(1.0)
