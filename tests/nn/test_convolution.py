"""Convolutions and pooling against PyTorch's recorded numbers, in every layout, eager and compiled."""

import json
from pathlib import Path

import numpy as np
import pytest

import bprop
from bprop import nn

CASES = json.loads(Path(__file__).with_name("pytorch_convolution.json").read_text())["cases"]


def made(number, case, **more):
    """Return the layer of a case in float64, and x and y_bar."""
    settings = {
        name: tuple(value) if isinstance(value, list) else value for name, value in (case["settings"] | more).items()
    }
    rng = np.random.default_rng(number)
    if "inputs" in settings:
        settings["dtype"] = "float64"
    layer = getattr(nn, case["layer"])(**settings)
    x = rng.normal(size=case["x"])
    for name in layer.cells():
        setattr(layer, name, rng.normal(size=getattr(layer, name).shape))
    return layer, x, rng.normal(size=case["shape"])


def to_last(x, rank):
    return np.moveaxis(np.asarray(x), -rank - 1, -1)


every_case = pytest.mark.parametrize(
    ("number", "case"),
    [pytest.param(n, case, id=f"{case['layer']}-{case['settings']}") for n, case in enumerate(CASES)],
)


def assert_answers(case, layer, y, x_bar):
    bars = [x_bar, *(getattr(layer, f"{name}_bar") for name in layer.cells())]
    np.testing.assert_allclose(np.ravel(y), case["y"], rtol=1e-12, atol=1e-12)
    for bar, expected in zip(bars, case["bars"], strict=True):
        np.testing.assert_allclose(np.ravel(bar), expected, rtol=1e-12, atol=1e-12)


@every_case
def test_layers_give_pytorchs_numbers(number, case):
    layer, x, y_bar = made(number, case)
    y = layer.fprop(x)
    assert y.shape == tuple(case["shape"])
    assert_answers(case, layer, y, layer.bprop(y_bar))


@every_case
def test_channels_may_come_last(number, case):
    rank = int(case["layer"][-2])
    layer, x, y_bar = made(number, case, layout={1: "NLC", 2: "NHWC"}[rank])
    y = layer.fprop(to_last(x, rank))
    x_bar = layer.bprop(to_last(y_bar, rank))
    assert_answers(
        case, layer, np.moveaxis(np.asarray(y), -1, -rank - 1), np.moveaxis(np.asarray(x_bar), -1, -rank - 1)
    )


@every_case
def test_the_gradient_of_a_layer_is_that_of_its_formula(number, case):
    """The rule under transforms, and the one that reverse mode derives from fprop, agree with PyTorch."""
    layer, x, y_bar = made(number, case)
    derived = bprop.grad(lambda x: bprop.sum(type(layer).fprop(layer, x) * y_bar))(x)
    under = bprop.grad(lambda x: bprop.sum(layer(x) * y_bar))(x)
    for x_bar in (derived, under):
        np.testing.assert_allclose(np.ravel(x_bar), case["bars"][0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("start", range(8))
def test_compiled_layers_give_pytorchs_numbers(start):
    """Several layers in one program, which is compiled once."""
    chosen = list(enumerate(CASES))[start::8]
    layers = [made(number, case) for number, case in chosen]

    @bprop.compile
    def gradients(xs, y_bars):
        def total(xs):
            return sum(bprop.sum(layer(x) * y_bar) for (layer, _, _), x, y_bar in zip(layers, xs, y_bars, strict=True))

        return bprop.grad(total)(xs)

    x_bars = gradients([x for _, x, _ in layers], [y_bar for _, _, y_bar in layers])
    for (_, case), x_bar in zip(chosen, x_bars, strict=True):
        np.testing.assert_allclose(np.ravel(x_bar), case["bars"][0], rtol=1e-11, atol=1e-11)


def bins(size, count):
    return [range(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def steps(size, kernel_size, stride):
    return [range(start, min(start + kernel_size, size)) for start in range(0, size - kernel_size + stride, stride)]


@pytest.mark.parametrize(
    ("layer", "rows", "columns"),
    [
        (nn.AdaptiveMaxPool2d((3, 5)), bins(7, 3), bins(8, 5)),
        (nn.AdaptiveMaxPool2d((7, 2)), bins(7, 7), bins(8, 2)),
        (nn.AdaptiveMaxPool2d(1), bins(7, 1), bins(8, 1)),
        (nn.MaxPool2d((2, 4), (2, 2), ceil_mode=True), steps(7, 2, 2), steps(8, 4, 2)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_of_equally_large_entries_the_first_gets_the_derivative(layer, rows, columns, layout):
    """As in PyTorch: row by row. Activities behind a ReLU are full of such ties."""
    rng = np.random.default_rng(3)
    x, y_bar = rng.integers(0, 3, (2, 7, 8)).astype(float), rng.normal(size=(2, len(rows), len(columns)))
    x_bar = np.zeros_like(x)
    for c, i, j in np.ndindex(y_bar.shape):
        window = [(h, w) for h in rows[i] for w in columns[j]]
        x_bar[c, *max(window, key=lambda position: x[c, *position])] += y_bar[c, i, j]
    layer.layout = layout
    if layout == "NHWC":
        x, y_bar, x_bar = (to_last(a, 2) for a in (x, y_bar, x_bar))
    layer.fprop(x)
    np.testing.assert_allclose(np.asarray(layer.bprop(y_bar)), x_bar, rtol=1e-14, atol=1e-14)
    under = bprop.compile(bprop.grad(lambda x: bprop.sum(layer(x) * y_bar)))(x)
    np.testing.assert_allclose(np.asarray(under), x_bar, rtol=1e-14, atol=1e-14)
