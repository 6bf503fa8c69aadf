"""One gradient by every way."""

import numpy as np
import pytest

import bprop
from bprop import nn

METHODS = ["symbolic", "paths", "numerical", "forward", "reverse"]
W, X, T = np.array([0.3, -0.2]), np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]]), np.array([1.0, 0.0, 1.0])


def energy(w, x, t):
    y = 1 / (1 + np.exp(-(x @ w)))
    return 0.5 * np.sum((t - y) ** 2)


@pytest.mark.parametrize("method", METHODS)
def test_every_way_gives_the_derivative_by_hand(method):
    y = 1 / (1 + np.exp(-X @ W))
    expected = X.T @ ((y - T) * y * (1 - y))
    np.testing.assert_allclose(bprop.derivative(energy, method)(W, X, T).numpy(), expected, rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_trees_and_argnums(method):
    def f(x, p, *, scale):
        return scale * bprop.sum(bprop.tanh(x * p["w"][0]) + p["b"] ** 2)

    args = np.array([0.5, -1.0]), {"w": [np.array([2.0, 3.0])], "b": np.array([1.0, 0.5])}
    found = bprop.derivative(f, method, argnums=(1, 0))(*args, scale=2.0)
    expected = bprop.grad(f, argnums=(1, 0))(*args, scale=2.0)
    np.testing.assert_allclose(found[0]["w"][0].numpy(), expected[0]["w"][0].numpy(), rtol=1e-7)
    np.testing.assert_allclose(found[0]["b"].numpy(), expected[0]["b"].numpy(), rtol=1e-7)
    np.testing.assert_allclose(found[1].numpy(), expected[1].numpy(), rtol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_modules(method):
    model = nn.Sequential(nn.Linear(2, 3, dtype="float64"), nn.Tanh(), nn.Linear(3, 1, dtype="float64"))
    found = bprop.derivative(lambda m, x: bprop.sum(m(x) ** 2), method)(model, X)
    expected = bprop.grad(lambda m: bprop.sum(m(X) ** 2))(model)
    assert set(found) == set(expected)
    for path, value in expected.items():
        np.testing.assert_allclose(found[path].numpy(), value.numpy(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_float32_stays_float32(method):
    found = bprop.derivative(lambda x: bprop.sum(x * x), method)(np.ones(2, np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.numpy(), [2, 2], rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_scalar_is_refused(method):
    with pytest.raises(bprop.ShapeError, match="not a scalar"):
        bprop.derivative(lambda x: x * 2, method)(np.ones(2))


def test_options_reach_the_way_they_belong_to():
    found, error = bprop.derivative(bprop.exp, "numerical", scheme="richardson", error=True)(1.0)
    assert abs(found.item() - np.e) <= error.item()
    with pytest.raises(bprop.BpropError, match="2 paths, and 1 is the limit"):
        bprop.derivative(lambda x: x * x, "paths", limit=1)(1.0)
    with pytest.raises(bprop.ArgumentError, match=r"no option scheme \(it has: limit\)"):
        bprop.derivative(bprop.exp, "paths", scheme="central")
    assert bprop.derivative(lambda x, y: y, "reverse", unreached="zeros")(1.0, 2.0).item() == 0


def test_unknown_methods_are_named():
    with pytest.raises(
        bprop.ArgumentError, match="'symbolic', 'paths', 'numerical', 'forward', 'reverse', not 'magic'"
    ):
        bprop.derivative(bprop.exp, "magic")


@pytest.mark.parametrize("inner", ["symbolic", "numerical", "forward", "reverse"])
@pytest.mark.parametrize("outer", ["symbolic", "numerical", "forward", "reverse", "paths"])
def test_ways_nest(outer, inner):
    def f(x):
        return bprop.derivative(lambda u: u**3 * bprop.exp(u), inner)(x)

    expected = (6 * 0.5 + 6 * 0.25 + 0.125) * np.exp(0.5)
    assert bprop.derivative(f, outer)(0.5).item() == pytest.approx(expected, rel=1e-4)
