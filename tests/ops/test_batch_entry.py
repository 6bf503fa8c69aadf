"""One entry of a batch says nothing about another: a matrix without a derivative that nobody uses spoils none.

Planted: `unless_unused` returning its matrix as it is (slogdet and qr raise); the rule of general ops in
gradients/absent.py without a mask (qr is NaN); `_svd` of what is not finite as it is (det raises); the zeros after a
contraction left out where its factor is differentiated (eigh, svd, second order).
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop import linalg

A = np.random.default_rng(0).normal(size=(3, 3))
DOT = np.random.default_rng(1).normal(size=(2, 3, 3))

# what one matrix makes of a batch, entry by entry
FUNCTIONS = {
    "det": linalg.det,
    "slogdet": lambda x: linalg.slogdet(x).logabsdet,
    "inv": lambda x: bprop.sum(linalg.inv(x) ** 3, axis=(-2, -1)),
    "solve": lambda x: bprop.sum(bprop.solve(x, np.ones((3, 1))) ** 3, axis=(-2, -1)),
    "cholesky": lambda x: bprop.sum(bprop.cholesky(x) ** 3, axis=(-2, -1)),
    "qr, Q": lambda x: bprop.sum(linalg.qr(x).Q ** 3, axis=(-2, -1)),
    "qr, R": lambda x: bprop.sum(linalg.qr(x).R ** 3, axis=(-2, -1)),
    "eigenvalues": lambda x: bprop.sum(linalg.eigh(x).eigenvalues ** 3, axis=-1),
    "eigenvectors": lambda x: bprop.sum(linalg.eigh(x).eigenvectors ** 3, axis=(-2, -1)),
    "singular values": lambda x: bprop.sum(linalg.svdvals(x) ** 3, axis=-1),
    "singular vectors": lambda x: bprop.sum(linalg.svd(x).U ** 3, axis=(-2, -1)),
    "pinv": lambda x: bprop.sum(linalg.pinv(x) ** 3, axis=(-2, -1)),
    "lstsq": lambda x: bprop.sum(linalg.lstsq(x, np.ones(3)).x ** 3, axis=-1),
    "nuclear norm": lambda x: linalg.matrix_norm(x, ord="nuc"),
    "matrix_power": lambda x: bprop.sum(linalg.matrix_power(x, -2), axis=(-2, -1)),
}
OTHERS = {
    "zero": np.zeros((3, 3)),
    "ones": np.ones((3, 3)),
    "dependent": np.array([[0.0, 1, 1], [0, 1, 2], [0, 3, 1]]),
    "identity": np.eye(3),
    "NaN": np.full((3, 3), np.nan),
}


def has_a_value(f, x):
    try:
        f(x)
    except bprop.ArgumentError:
        return False
    return True


CASES = [
    (name, other)
    for name, f in FUNCTIONS.items()
    for other, x in OTHERS.items()
    if has_a_value(f, np.stack([A @ A.T + np.eye(3), x]))
]


@pytest.mark.parametrize(("name", "other"), CASES)
def test_an_unused_entry_spoils_no_derivative(name, other):
    f = lambda x: FUNCTIONS[name](x)[0]
    x = np.stack([A @ A.T + np.eye(3), OTHERS[other]])
    alone = x[:1]
    slope = bprop.jvp(f, (alone,), (DOT[:1],))[1]
    first = np.concatenate([bprop.grad(f)(alone), np.zeros((1, 3, 3))])
    second = np.concatenate([bprop.hvp(f, (alone,), (DOT[:1],)), np.zeros((1, 3, 3))])
    close = lambda actual, expected: assert_allclose(actual, expected, rtol=1e-7, atol=1e-10)
    close(bprop.grad(f)(x), first)
    close(bprop.trace(bprop.grad(f))(x)(x)[0], first)
    close(bprop.jvp(f, (x,), (DOT,))[1], slope)
    close(bprop.jacobian(f, mode="forward")(x), first)
    close(bprop.hvp(f, (x,), (DOT,)), second)
    close(bprop.grad(lambda x: bprop.sum(DOT * bprop.grad(f)(x)))(x), second)


@pytest.mark.parametrize("name", ["slogdet", "qr, R"])
def test_nor_in_compiled_code(name):
    f = lambda x: FUNCTIONS[name](x)[0]
    x = np.stack([A, np.zeros((3, 3))])
    assert_allclose(bprop.compile(bprop.grad(f))(x), bprop.grad(f)(x), rtol=1e-12)
    assert_array_equal(bprop.compile(bprop.grad(f))(x)[1], np.zeros((3, 3)))
    pushed = lambda x: bprop.jvp(f, (x,), (DOT,))[1]
    assert_allclose(bprop.compile(pushed)(x), pushed(x), rtol=1e-12)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nor_in_compiled_code_of_second_order(name):
    f = lambda x: FUNCTIONS[name](x)[0]
    x = np.stack([A @ A.T + np.eye(3), np.eye(3)])
    turned = lambda x: bprop.hvp(f, (x,), (DOT,))
    assert_allclose(bprop.compile(turned)(x), turned(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["slogdet", "qr"])
@pytest.mark.parametrize("way", [lambda f: f, bprop.compile], ids=["eager", "compiled"])
def test_one_that_is_used_is_an_error_of_the_op_that_was_called(name, way):
    f = {"slogdet": FUNCTIONS["slogdet"], "qr": lambda x: bprop.sum(linalg.qr(x).R, axis=(-2, -1))}[name]
    x = np.stack([A, np.zeros((3, 3))])
    with pytest.raises(bprop.ArgumentError, match=f"{name}: "):
        way(bprop.grad(lambda x: f(x + 0)[1]))(x)
    with pytest.raises(bprop.ArgumentError, match=f"{name}: "):
        way(lambda x: bprop.jvp(f, (x,), (DOT[1],))[1])(x[1])
    assert np.isnan(way(lambda x: bprop.jvp(f, (x,), (DOT,))[1])(x)[1].item())  # nobody knows what for


def test_a_third_derivative_of_det_asks_for_an_inverse_of_what_is_used():
    x = np.stack([A, np.zeros((3, 3))])
    third = lambda f: bprop.grad(lambda x: bprop.sum(bprop.hvp(f, (x,), (DOT,)) * DOT))
    alone = third(lambda x: linalg.det(x)[0])(x)
    assert_allclose(alone[0], bprop.grad(lambda a: bprop.sum(bprop.hvp(linalg.det, (a,), (DOT[0],)) * DOT[0]))(A))
    assert_array_equal(alone[1], np.zeros((3, 3)))
    with pytest.raises(bprop.ArgumentError, match="det: a matrix is singular"):
        third(lambda x: bprop.sum(linalg.det(x)))(x)
