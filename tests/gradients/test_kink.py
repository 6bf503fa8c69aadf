"""One convention per op at its kink; compositions follow. The table is the documentation.

Planted: `_tie_fraction` giving all to the first at a tie, ``x < 0`` for ``x <= 0`` in relu.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop

# expression, the kink, the derivative there
TABLE = {
    "relu": (bprop.relu, 0.0, 0.0),
    "abs": (bprop.abs, 0.0, 0.0),
    "sign": (lambda x: bprop.sign(x) * x, 0.0, 0.0),
    "maximum(x, 0)": (lambda x: bprop.maximum(x, 0), 0.0, 0.5),
    "maximum(0, x)": (lambda x: bprop.maximum(0, x), 0.0, 0.5),
    "minimum(x, 0)": (lambda x: bprop.minimum(x, 0.0), 0.0, 0.5),
    "maximum(x, x)": (lambda x: bprop.maximum(x, x), 2.0, 1.0),
    "maximum(x, 2x)": (lambda x: bprop.maximum(x, 2 * x), 0.0, 1.5),
    "minimum(maximum)": (lambda x: bprop.minimum(bprop.maximum(x, -1.0), 1.0), 1.0, 0.5),
    "clip at min": (lambda x: bprop.clip(x, -1, 1), -1.0, 1.0),
    "clip at max": (lambda x: bprop.clip(x, -1.0, 1.0), 1.0, 1.0),
    "clip beyond": (lambda x: bprop.clip(x, -1, 1), 1.5, 0.0),
    "clip from below": (lambda x: bprop.clip(x, 0), 0.0, 1.0),
    "clip from above": (lambda x: bprop.clip(x, max=0), 0.0, 1.0),
    "bound of clip": (lambda x: bprop.clip(3.0, 0, x), 2.0, 1.0),
    "bound of clip at x": (lambda x: bprop.clip(2.0, 0, x), 2.0, 0.0),
    "hypot": (lambda x: bprop.hypot(x, 0 * x), 0.0, 0.0),
    "atan2": (lambda x: bprop.atan2(x, x), 0.0, 0.0),
    "copysign": (lambda x: bprop.copysign(x, -1), 0.0, 0.0),
    "0 ** x": (lambda x: 0.0**x, 2.0, 0.0),
    "xlogy": (lambda x: bprop.xlogy(0.0, x), 0.0, 0.0),
    "x floor x": (lambda x: x * bprop.floor(x), 2.0, 2.0),
    "x % 2": (lambda x: x % 2, 4.0, 1.0),
    "logaddexp(x, x)": (lambda x: bprop.logaddexp(x, x), 0.0, 1.0),
    "where(x > 0, x, 0)": (lambda x: bprop.where(x > 0, x, 0), 0.0, 0.0),
    "where(x >= 0, x, 0)": (lambda x: bprop.where(x >= 0, x, 0), 0.0, 1.0),
    "hard_tanh above": (bprop.hard_tanh, 1.0, 0.0),
    "hard_tanh below": (bprop.hard_tanh, -1.0, 0.0),
    "(x + |x|)/2": (lambda x: (x + bprop.abs(x)) / 2, 0.0, 0.5),
    "x * (x > 0)": (lambda x: x * bprop.astype(x > 0, np.float64), 0.0, 0.0),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name):
    f, x, slope = TABLE[name]
    assert bprop.grad(f)(x).item() == slope
    assert bprop.jvp(f, (x,), (1.0,))[1].item() == slope
    assert bprop.trace(bprop.grad(f))(x)(np.asarray(x))[0].item() == slope
    assert bprop.vmap(bprop.grad(f))(np.array([x, x]))[1].item() == slope


@pytest.mark.parametrize("name", ["min", "max", "median"])
def test_extremes_share_evenly_at_ties(name):
    x = np.array([2.0, 2.0])
    for mode in ("reverse", "forward"):
        assert_array_equal(bprop.jacobian(getattr(bprop, name), mode=mode)(x), [0.5, 0.5])


@pytest.mark.parametrize("ties", [1, 2, 3])
def test_max_shares_evenly_at_ties(ties):
    x = np.array([5.0] * ties + [1.0])
    expected = np.array([1 / ties] * ties + [0])
    assert_allclose(bprop.grad(bprop.max)(x), expected)
    assert_allclose(bprop.jacobian(lambda x: bprop.max(x), mode="forward")(x), expected)


def test_maximum_shares_sum_to_one_whatever_broadcasts():
    x, y = np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([1.0, 2.0])
    x_bar, y_bar = bprop.grad(lambda x, y: bprop.sum(bprop.maximum(x, y)), (0, 1))(x, y)
    assert_array_equal(x_bar, [[0.5, 0.5], [1.0, 0.5]])
    assert_array_equal(y_bar, [0.5, 1.0])
    assert float(np.sum(x_bar) + np.sum(y_bar)) == x.size


def test_nan_is_not_hidden():
    x = np.array([np.nan, 1.0])
    assert np.isnan(bprop.relu(x)[0].item())
    assert np.isnan(bprop.max(x).item())
    assert np.isnan(bprop.maximum(x, 0.0)[0].item())
    assert np.isnan(bprop.minimum(x, 0.0)[0].item())


# Smooth functions of a norm; their gradient at 0 exists, and their Hessian is none of 0
NORMS = {
    "norm": lambda x: bprop.linalg.norm(x) ** 2,
    "exp(-norm²)": lambda x: bprop.exp(-(bprop.linalg.norm(x) ** 2)),
    "norm of order 3": lambda x: bprop.linalg.norm(x, ord=3) ** 2,
    "norm of order 1.5": lambda x: bprop.linalg.norm(x, ord=1.5) ** 2,
    "Frobenius": lambda x: bprop.linalg.matrix_norm(bprop.reshape(x, (1, -1))) ** 2,
    "hypot": lambda x: bprop.hypot(x[0], x[1]) ** 2,
    "std": lambda x: bprop.std(x) ** 2,
    "numpy.std": lambda x: np.std(x) ** 2,
}


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_has_no_second_derivative_at_zero(name):
    """The first one is 0 by convention; a second one of 0 would be wrong for every smooth function of the norm."""
    f, x, ones = NORMS[name], np.zeros(2), np.ones(2)
    push = lambda f: lambda x: bprop.jvp(f, (x,), (ones,))[1]
    gradient = bprop.grad(f)
    second = (bprop.hessian(f), push(push(f)), push(gradient), bprop.grad(lambda x: bprop.sum(gradient(x))))
    derivatives = lambda x: (gradient(x), push(f)(x), *(g(x) for g in second))
    for slope, along, *curvatures in (derivatives(x), bprop.compile(derivatives)(x)):
        assert_array_equal(slope, [0, 0])
        assert_array_equal(along, 0)
        assert all(np.isnan(np.asarray(one)).all() for one in curvatures)
    y = np.array([0.0, 1.5])  # away from 0 it has one
    flat = np.array([1e-5, 0.0]), np.array([0.0, 1e-5])
    slopes = [(np.asarray(gradient(y + h)) - np.asarray(gradient(y - h))) / 2e-5 for h in flat]
    if "1.5" not in name:  # there an entry of 0 has an infinite second derivative
        assert_allclose(bprop.hessian(f)(y), np.transpose(slopes), atol=1e-4)


def test_a_norm_of_zero_spoils_no_other_row():
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    f = lambda x: bprop.sum(bprop.linalg.norm(x, axis=1) ** 2)
    H = np.asarray(bprop.hessian(f)(x)).reshape(4, 4)
    assert np.isnan(H[:2, :2]).all()
    assert_allclose(np.where(np.isnan(H), 0, H), np.diag([0.0, 0.0, 2.0, 2.0]), atol=1e-15)
