"""Compiled products with absent cotangents: entries on which nothing depends may be NaN or infinite.

The truth is the gradient with other numbers there. Planted: the plain program without its check (all forms fail); the check
after the first write in place (the steps fail); the masked program not run, or run from the step after (the loops fail).
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop

ROWS, WIDTH = 4, 3


def _scanned(W, x):
    def turn(h, row):
        h = bprop.relu(h @ W + row)
        return h, h

    return bprop.sum(bprop.scan(turn, W[0] * 0, x[1:])[1]) + bprop.sum(bprop.where(x > 1e9, x, 0)[1:])


def _masked(x, y):
    return bprop.where(bprop.reshape(bprop.arange(ROWS) > 0, (ROWS, 1)), y, 0)


# functions of W (3, 3) and x (4, 3) that do not depend on the first row of x
FORMS = {
    "slice": lambda W, x: bprop.sum((x @ W)[1:]),
    "mask": lambda W, x: bprop.sum(_masked(x, x @ W) ** 2),
    "one entry of Gram's matrix": lambda W, x: (x @ x.T)[1, 1] * bprop.sum(W),
    "part of Gram's matrix": lambda W, x: bprop.sum((x @ W @ x.T)[1:, 1:]),
    "two layers": lambda W, x: bprop.sum(bprop.relu(bprop.relu(x @ W) @ W)[1:] ** 2),
    "smooth layers": lambda W, x: bprop.sum(_masked(x, bprop.tanh(bprop.tanh(x @ W) @ W))),
    "einsum": lambda W, x: bprop.sum(bprop.einsum("ij,kj,lk->il", x, W, W)[1:]),
    "einsum of three": lambda W, x: bprop.sum(bprop.einsum("ij,jk,ik->i", x, W, x)[1:]),
    "batch": lambda W, x: bprop.sum((x[:, None, :] @ W[None])[1:]),
    "vecdot": lambda W, x: bprop.sum(bprop.vecdot(x, W[0])[1:]),
    "a scalar's product": lambda W, x: bprop.sum((W[0, 0] * x)[1:]),
    "matrix and vector": lambda W, x: bprop.sum((x @ W[1])[1:] ** 2),
    "outer": lambda W, x: (
        bprop.sum(bprop.multiply.outer(x[:, 0], W[0])[1:])
        if hasattr(bprop.multiply, "outer")
        else bprop.sum(bprop.einsum("i,j->ij", x[:, 0], W[0])[1:])
    ),
    "checkpoint": lambda W, x: bprop.sum(bprop.checkpoint(lambda x: bprop.relu(x @ W))(x)[1:]),
    "second order": lambda W, x: bprop.sum(bprop.grad(lambda W: bprop.sum((x @ W)[1:] ** 3))(W) ** 2),
    "forward over reverse": lambda W, x: bprop.sum(
        bprop.jvp(bprop.grad(lambda W: bprop.sum((x @ W)[1:] ** 3)), (W,), (W,))[1]
    ),
    "vmap": lambda W, x: bprop.sum(
        bprop.vmap(lambda w: bprop.sum(bprop.grad(lambda w: bprop.sum((x @ w)[1:] ** 3))(w)))(W)
    ),
    "inside cond": lambda W, x: bprop.cond(
        W[0, 0] > -9, lambda W, x: bprop.sum((x @ W)[1:] ** 2), lambda W, x: bprop.sum(W), W, x
    ),
    "inside scan": lambda W, x: bprop.scan(
        lambda c, w: (c + bprop.sum((x @ w)[1:] ** 2), None), bprop.asarray(np.zeros((), W.dtype)), W
    )[0],
}
BAD = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


def _arguments(dtype):
    random = np.random.default_rng(0)
    return random.standard_normal((WIDTH, WIDTH)).astype(dtype), random.standard_normal((ROWS, WIDTH)).astype(dtype)


@pytest.mark.parametrize("name", FORMS)
def test_gradients_do_not_see_what_is_absent(name):
    f = FORMS[name]
    W, x = _arguments(np.float64)
    gradient = bprop.grad(f, argnums=(0, 1))
    truth = [np.asarray(y) for y in gradient(W, x)]
    run = bprop.compile(gradient)
    for y, expected in zip(run(W, x), truth, strict=True):
        assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    assert run._last.masked is None  # finite numbers need no masks
    for bad in BAD.values():
        x[0] = [1.0, bad, bad]
        for y, expected in zip(run(W, x), truth, strict=True):
            assert_allclose(y, expected, rtol=1e-12, atol=1e-14, err_msg=str(bad))
