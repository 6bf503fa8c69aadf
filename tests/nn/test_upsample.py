"""Upsampling against PyTorch in both layouts, its adjoint, compiled, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

import bprop
from bprop import nn
from support.comparison import assert_close_to_largest, assert_trees_close
from support.module_example import cotangent

RECORD = json.loads(Path(__file__).with_name("pytorch_upsample.json").read_text(encoding="utf-8"))
X = np.array(RECORD["x"])
CASES = {", ".join(f"{name}={value}" for name, value in case["options"].items()): case for case in RECORD["cases"]}
COMPILED = [
    "scale_factor=2",
    "size=[5, 7]",
    "scale_factor=[1.5, 2.6], mode=bilinear",
    "size=[5, 7], mode=bilinear, align_corners=True",
]


def passes(layer, x, y_bar):
    y, pull = bprop.vjp(layer, x)
    return y, pull(y_bar)[0]


def last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_pytorch(name):
    case = CASES[name]
    y, x_bar = np.array(case["y"]), np.array(case["x_bar"])
    layer = nn.Upsample(**case["options"])
    for found in (passes(layer, X, cotangent(y.shape)), (layer.fprop(X), layer.bprop(cotangent(y.shape)))):
        assert_close_to_largest(found[0], y, 1e-15)
        assert_close_to_largest(found[1], x_bar, 2e-15)
    layer = nn.Upsample(**case["options"], layout="NHWC")
    found = passes(layer, last(X), last(cotangent(y.shape)))
    assert_close_to_largest(found[0], last(y), 1e-15)
    assert_close_to_largest(found[1], last(x_bar), 2e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_is_eager(name, dtype):
    case = CASES[name]
    layer = nn.Upsample(**case["options"])
    arguments = X.astype(dtype), cotangent(np.shape(case["y"])).astype(dtype)
    found, expected = bprop.compile(lambda x, y_bar: passes(layer, x, y_bar))(*arguments), passes(layer, *arguments)
    assert {part.dtype for part in found} == {np.dtype(dtype)}
    tolerance = 1e-14 if dtype == np.float64 else 1e-6
    assert_trees_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_it_is_linear(name):
    """Forward mode is the map itself, and a second derivative is 0; a batch is a loop."""
    layer = nn.Upsample(**CASES[name]["options"])
    y, y_dot = bprop.jvp(layer, (X,), (np.cos(X),))
    np.testing.assert_allclose(np.asarray(y_dot), np.asarray(layer(np.cos(X))), rtol=1e-13, atol=1e-15)
    xs = np.stack([X, np.cos(X)])
    np.testing.assert_allclose(np.asarray(bprop.vmap(layer)(xs)), np.stack([y, y_dot]), rtol=1e-13, atol=1e-15)
    square = bprop.jvp(bprop.grad(lambda x: bprop.sum(layer(x) ** 2)), (X,), (np.cos(X),))[1]
    expected = bprop.vjp(layer, X)[1](2 * y_dot)[0]
    np.testing.assert_allclose(np.asarray(square), np.asarray(expected), rtol=1e-12, atol=1e-13)


def test_a_constant_stays_constant():
    for case in CASES.values():
        y = np.asarray(nn.Upsample(**case["options"])(np.full_like(X, 0.7)))
        np.testing.assert_allclose(y, 0.7, rtol=1e-15)


def test_the_nearest_pixel_has_no_rounding():
    """⌊i H / H'⌋ in integers, where H / H' rounded, times i, would be below an integer."""
    for length in (1, 3, 7, 22, 29):
        for count in range(1, 60):
            y = nn.Upsample((1, count))(np.arange(length).reshape(1, 1, 1, -1))
            np.testing.assert_array_equal(np.asarray(y).ravel(), [i * length // count for i in range(count)])


def test_integers_are_repeated_and_interpolated():
    x = np.arange(4).reshape(1, 1, 2, 2)
    assert nn.Upsample(4)(x).dtype == x.dtype
    np.testing.assert_array_equal(nn.Upsample(4)(x)[0, 0], np.kron(x[0, 0], np.ones((2, 2), int)))
    assert nn.Upsample(4, mode="bilinear")(x).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.Upsample(), bprop.ArgumentError, "give size or scale_factor, one of them"),
        (lambda: nn.Upsample(2, 2), bprop.ArgumentError, "one of them"),
        (lambda: nn.Upsample((2, 2, 2)), bprop.ArgumentError, r"size is one number or two"),
        (lambda: nn.Upsample(0), bprop.ArgumentError, "size is a positive integer, not 0"),
        (lambda: nn.Upsample(scale_factor=-1), bprop.ArgumentError, "scale_factor is a finite number > 0, not -1"),
        (lambda: nn.Upsample(2, mode="cubic"), bprop.ArgumentError, "mode is 'nearest' or 'bilinear', not 'cubic'"),
        (lambda: nn.Upsample(2, align_corners=True), bprop.ArgumentError, "align_corners is for mode='bilinear'"),
        (lambda: nn.Upsample(2)(X[0]), bprop.ShapeError, r"shape \(2, 3, 4\), it should be \(N, C, H, W\)"),
        (lambda: nn.Upsample(scale_factor=0.3)(X), bprop.ShapeError, "axis 2 of x, .* from 3 to 0 pixels"),
        (lambda: nn.Upsample(2)(X[:, :, :0]), bprop.ShapeError, "from 0 to 2 pixels"),
    ],
)
def test_errors_say_what_is_allowed(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
