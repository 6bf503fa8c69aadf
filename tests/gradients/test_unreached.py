"""An argument the result does not depend on: an error at the outermost gradient, zeros on request and inside transforms.

Planted: the condition ``outermost`` dropped (the nested gradients fail), the error replaced by zeros (the first two).
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import bprop

X = np.array([1.0, 2.0])


def test_outermost_gradient_names_the_argument():
    with pytest.raises(bprop.UnreachedError, match="grad of f: the result does not depend on argument 1"):
        bprop.grad(lambda_named_f, (0, 1))(X, X)


def lambda_named_f(x, y):
    return bprop.sum(x * x)


lambda_named_f.__name__ = "f"


def test_cut_and_number_are_unreached_too():
    for cut in (lambda x: bprop.sum(bprop.stop_gradient(x)), lambda x: bprop.sum(x > 0) * 1.0, lambda x: 3.0):
        with pytest.raises(bprop.UnreachedError, match="stop_gradient or"):
            bprop.grad(cut)(X)


def test_zeros_on_request():
    _, y_bar = bprop.grad(lambda_named_f, (0, 1), unreached="zeros")(X, X.astype(np.float32))
    assert_array_equal(y_bar, np.zeros(2))
    assert y_bar.dtype == np.float32


def test_one_reached_leaf_of_a_tree_is_enough():
    gradient = bprop.grad(lambda p: bprop.sum(p["a"]))({"a": X, "b": X})
    assert_array_equal(gradient["a"], np.ones(2))
    assert_array_equal(gradient["b"], np.zeros(2))


def test_zeros_when_nested():
    linear = lambda x: bprop.sum(3 * x)  # its gradient does not depend on x
    assert_array_equal(bprop.hessian(linear)(X), np.zeros((2, 2)))
    assert_array_equal(bprop.hvp(linear, (X,), (X,)), np.zeros(2))
    inner = lambda x: bprop.sum(bprop.grad(lambda y: bprop.sum(x))(X)) + bprop.sum(x)
    assert_array_equal(bprop.grad(inner)(X), np.ones(2))
    assert_array_equal(bprop.vmap(bprop.grad(lambda x: bprop.sum(X)))(np.ones((3, 2))), np.zeros((3, 2)))


def test_zeros_from_vjp_jvp_and_jacobian():
    constant = lambda x: bprop.ones(3)
    assert_array_equal(bprop.vjp(constant, X)[1](np.ones(3))[0], np.zeros(2))
    assert_array_equal(bprop.jvp(constant, (X,), (X,))[1], np.zeros(3))
    for mode in ("reverse", "forward"):
        assert_array_equal(bprop.jacobian(constant, mode=mode)(X), np.zeros((3, 2)))


def test_no_tangent_is_a_constant():
    x, y = bprop.asarray([1.0, 2.0]), bprop.asarray([3.0, 4.0])
    product = lambda t: bprop.sum(t["x"] * t["y"])
    assert bprop.jvp(bprop.dot, (x, y), (x, None))[1].item() == bprop.dot(x, y).item()
    assert bprop.jvp(product, ({"x": x, "y": y},), ({"x": None, "y": x},))[1].item() == bprop.dot(x, x).item()
    assert bprop.jvp(product, ({"x": x, "y": y},), (None,))[1].item() == 0
