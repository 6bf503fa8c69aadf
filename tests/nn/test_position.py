"""Positional encodings against their formulas, under transforms, and beyond their ends."""

import numpy as np
import pytest

import bprop
from bprop import nn
from support.comparison import assert_trees_close
from support.module_example import cotangent

X = np.sin(1 + np.arange(48.0)).reshape(2, 4, 6)


def turned(x, positions, base=10000.0, interleaved=True):
    """The rotation as a product of complex numbers."""
    n = x.shape[-1]
    angles = np.asarray(positions, float)[..., None] * base ** (-np.arange(0, n, 2) / n)
    z = x[..., 0::2] + 1j * x[..., 1::2] if interleaved else x[..., : n // 2] + 1j * x[..., n // 2 :]
    z = z * np.exp(1j * angles)
    if not interleaved:
        return np.concatenate([z.real, z.imag], axis=-1)
    return np.stack([z.real, z.imag], axis=-1).reshape(x.shape)


@pytest.mark.parametrize("interleaved", [True, False])
@pytest.mark.parametrize("base", [10000.0, 500.0])
@pytest.mark.parametrize("positions", [None, [3, 4, 5, 9], [[0, 1, 2, 3], [7, 8, 9, 10]], [0.5, 1.5, 2.5, 4.0]])
def test_rotary_is_a_product_of_complex_numbers(interleaved, base, positions):
    options = {"base": base, "interleaved": interleaved}
    p = np.arange(4) if positions is None else np.array(positions)
    expected = turned(X, p, **options)
    layer = nn.RotaryPositions(**options)
    run = bprop.compile(lambda x, p: nn.rotary(x, p, **options))
    given = positions if positions is None else p
    for y in (nn.rotary(X, positions, **options), layer.fprop(X, positions), run(X, given)):
        np.testing.assert_allclose(np.asarray(y), expected, rtol=1e-13, atol=1e-14)
    x_bar = layer.bprop(cotangent(X.shape))
    np.testing.assert_allclose(np.asarray(x_bar), turned(cotangent(X.shape), -p, **options), rtol=1e-13, atol=1e-14)


def test_rotated_products_depend_on_the_distance_alone():
    q, k = X[:, :1], X[:, 1:2]
    products = [np.sum(np.asarray(nn.rotary(q, [t + 3])) * np.asarray(nn.rotary(k, [t]))) for t in (0, 5, 1000)]
    np.testing.assert_allclose(products, products[0], rtol=1e-11)


@pytest.mark.parametrize("way", ["eager", "compiled"])
def test_single_precision_keeps_its_digits_far_on(way):
    run = bprop.compile(nn.rotary) if way == "compiled" else nn.rotary
    x = X.astype(np.float32)
    y = run(x, np.arange(10**6, 10**6 + 4))
    assert y.dtype == np.float32
    np.testing.assert_allclose(np.asarray(y), turned(x.astype(float), np.arange(10**6, 10**6 + 4)), atol=3e-7)


def sinusoids(positions, n, base=10000.0):
    return np.array([[(np.sin, np.cos)[i % 2](t / base ** (2 * (i // 2) / n)) for i in range(n)] for t in positions])


@pytest.mark.parametrize("n", [1, 5, 6])
@pytest.mark.parametrize("start", [0, 7])
def test_sinusoids_are_those_of_the_article(n, start):
    layer, x = nn.SinusoidalPositions(n), np.zeros((2, 4, n))
    expected = np.broadcast_to(sinusoids(range(start, start + 4), n), x.shape)
    run = bprop.compile(lambda x, start: layer(x, start))
    for y in (layer(x, start), layer(x, np.array(start)), run(x, np.array(start)), layer.fprop(x, start)):
        np.testing.assert_allclose(np.asarray(y), expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_array_equal(layer.bprop(x + 1), x + 1)
    assert layer(x.astype(np.float32), start).dtype == np.float32


@pytest.mark.parametrize("start", [0, 2])
def test_learned_positions_are_rows(start):
    layer = nn.LearnedPositions(6, 3, dtype=np.float64, seed=0)
    x, W = X[:, :, :3], np.asarray(layer.W)
    expected = np.zeros_like(W)
    expected[start : start + 4] = cotangent(x.shape).sum(0)

    def passes(layer, x, start):
        y, pull = bprop.vjp(lambda x, cells: layer(x, start), x, layer)
        return y, *pull(cotangent(y.shape))

    for way in (passes, bprop.compile(passes)):
        for first in (start, np.array(start)):
            y, x_bar, bars = way(layer, x, first)
            np.testing.assert_allclose(np.asarray(y), x + W[start : start + 4], rtol=1e-15)
            assert_trees_close((x_bar, bars["W"]), (cotangent(x.shape), expected), rtol=1e-15)


@pytest.mark.parametrize("way", ["eager", "compiled"])
def test_a_position_beyond_the_last_is_an_error_with_its_path(way):
    model = nn.Sequential(nn.Identity(), nn.LearnedPositions(3, 6, dtype=np.float64))
    run = bprop.compile(lambda model, x: model(x)) if way == "compiled" else lambda model, x: model(x)
    with pytest.raises(bprop.IndexingError, match=r"positions 0 … 3 of x, .* positions are 0 … 2") as caught:
        run(model, X)
    assert "layers.1:LearnedPositions" in str(caught.value)


@pytest.mark.parametrize("way", ["eager", "compiled"])
@pytest.mark.parametrize(("start", "positions"), [(3, "3 … 6"), (-1, "-1 … 2")])
def test_a_start_out_of_range_is_an_error(way, start, positions):
    layer = nn.LearnedPositions(6, 6, dtype=np.float64)
    run = bprop.compile(lambda layer, x, start: layer(x, start)) if way == "compiled" else lambda layer, *xs: layer(*xs)
    run(layer, X, np.array(2))
    with pytest.raises(bprop.IndexingError, match=rf"positions {positions} of x, .* positions are 0 … 5"):
        run(layer, X, np.array(start))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.rotary(X[..., :5]), bprop.ShapeError, r"shape \(2, 4, 5\), it should be \(..., T, n\) with n even"),
        (lambda: nn.rotary(1j * X), bprop.DTypeError, "x is real, not complex128"),
        (lambda: nn.rotary(X, base=0), bprop.ArgumentError, "base is a finite number > 0, not 0"),
        (lambda: nn.SinusoidalPositions(5)(X), bprop.ShapeError, r"it should be \(..., T, 5\)"),
        (lambda: nn.SinusoidalPositions(6)(X, [1, 2]), bprop.ShapeError, "start is one integer"),
        (lambda: nn.LearnedPositions(6, 6)(X), bprop.DTypeError, "x is float64 but W is float32"),
    ],
)
def test_errors_say_what_is_allowed(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
