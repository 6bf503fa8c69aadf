"""Normalisations against PyTorch over a grid of options, in both layouts, compiled, batched, twice differentiated."""

import json
from pathlib import Path

import numpy as np
import pytest

import bprop
from bprop import nn
from bprop.core.error import ArgumentError, BpropError, DTypeError, ShapeError
from support.comparison import assert_close_to_largest, assert_trees_close
from support.module_example import cotangent

RECORD = json.loads(Path(__file__).with_name("pytorch_normalisation.json").read_text(encoding="utf-8"))
CASES = {}
for record in RECORD["cases"]:
    settings = ", ".join(f"{name}={value}" for name, value in record["options"].items())
    shape, mode = np.shape(record["xs"][0]), "training" if record["training"] else "evaluation"
    CASES[f"{record['kind']}({settings}) of {shape} in {mode}"] = record
LAST = {"BatchNorm1d": "NLC", "BatchNorm2d": "NHWC", "InstanceNorm1d": "NLC", "InstanceNorm2d": "NHWC"}


def layer_of(record, channels_last=False, dtype=np.float64):
    """Return the layer of a case, with the cells that PyTorch's had before."""
    options, kind = dict(record["options"]), record["kind"]
    if channels_last:
        options.update({"layout": LAST[kind]} if kind in LAST else {"channel_axis": -1})
    arguments = [3] if kind in LAST else []
    layer = getattr(nn, kind)(*arguments, dtype=dtype, **options).train(record["training"])
    names = {theirs: ours for ours, theirs in layer.pytorch_names.items()}
    start = {names[name]: np.array(value) for name, value in record["start"].items()}
    layer.load_state_dict({name: value.astype(layer.cells()[name].array.dtype) for name, value in start.items()})
    return layer


def moved(x, channels_last):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if channels_last else x


def has_channels(record):
    return record["kind"] not in ("LayerNorm", "RMSNorm")


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_pytorch(name):
    """y, x_bar, the gradients of γ and β by fprop and bprop and by reverse mode; the running statistics of two batches."""
    record = CASES[name]
    y_bar = cotangent(np.shape(record["y"]))
    for channels_last in (False, True) if has_channels(record) else (False,):
        layer = layer_of(record, channels_last)
        x, again = (moved(np.array(x), channels_last) for x in record["xs"])
        y, pull = bprop.vjp(lambda x, cells, layer=layer: layer(x), x, layer)
        x_bar, bars = pull(moved(y_bar, channels_last))
        layer = layer_of(record, channels_last)
        pairs = [(y, "y"), (layer.fprop(x), "y"), (x_bar, "x_bar"), (layer.bprop(moved(y_bar, channels_last)), "x_bar")]
        for ours, theirs in pairs:
            assert_close_to_largest(ours, moved(np.array(record[theirs]), channels_last), 2e-14, least=1)
        for ours, theirs in layer.pytorch_names.items():
            if theirs in record["bars"]:
                assert_close_to_largest(bars[ours], record["bars"][theirs], 2e-14)
                assert_close_to_largest(layer.gradients()[ours], record["bars"][theirs], 2e-14)
        layer.fprop(again)
        for ours, value in layer.state_dict().items():
            if ours == "num_batches_tracked" and record["kind"].startswith("Instance"):
                continue  # PyTorch counts none there
            assert_close_to_largest(value, np.array(record["end"][layer.pytorch_names[ours]]), 1e-15)


FEW = {}
"""One case of every kind, mode and layout of its parameters."""
for label, record in CASES.items():
    FEW.setdefault((record["kind"], record["training"], len(record["start"])), label)


QUICK = [
    next(label for label in FEW.values() if CASES[label]["kind"] == kind)
    for kind in ("BatchNorm2d", "GroupNorm", "LayerNorm")
]
STEPS = [
    pytest.param(label, dtype, last, marks=[] if dtype == np.float64 and label in QUICK else pytest.mark.exhaustive)
    for label in FEW.values()
    for dtype in (np.float64, np.float32)
    for last in ((False, True) if has_channels(CASES[label]) else (False,))
]


@pytest.mark.parametrize(("name", "dtype", "channels_last"), STEPS)
def test_a_compiled_training_step_is_the_eager_one(name, dtype, channels_last):
    record = CASES[name]
    batches = [moved(np.array(x, dtype), channels_last) for x in record["xs"]]

    def step(model, optimizer, x):
        loss = lambda model, x: bprop.sum((model(x) - x) ** 2 * x)
        if not model.parameters():
            return bprop.value_and_grad(loss, 1)(model, x)
        E, bars = bprop.value_and_grad(loss, (0, 1))(model, x)
        optimizer.update(model, bars[0])
        return E, bars

    results = []
    for way in (step, bprop.compile(step)):
        layer = layer_of(record, channels_last, dtype)
        optimizer = bprop.optim.SGD(0.1, momentum=0.9)
        results.append([[way(layer, optimizer, x) for x in batches], layer.state_dict()])
    assert_trees_close(results[1], results[0], *((1e-11, 1e-12) if dtype == np.float64 else (1e-3, 2e-4)))


@pytest.mark.parametrize("name", FEW.values())
def test_second_derivatives_are_those_of_the_formula(name):
    """The handwritten bprop is itself differentiated; beside it the layer without one."""
    record, x = CASES[name], np.array(CASES[name]["xs"][0])
    kind = type(layer_of(record))
    plain = type(kind.__name__, (kind,), {"fprop": lambda self, x: kind._formula(self, x)})
    seconds = []
    for way in (kind, plain):
        layer = layer_of(record)
        layer.__class__ = way

        def slope(x, layer=layer):
            return bprop.sum(bprop.grad(lambda x: bprop.sum(layer(x) ** 3))(x) * cotangent(x.shape))

        seconds.append(bprop.grad(slope)(x))
        seconds.append(bprop.jvp(bprop.grad(lambda x, layer=layer: bprop.sum(layer(x) ** 3)), (x,), (x,))[1])
    assert kind._rule is not None
    assert plain._rule is None
    assert_close_to_largest(seconds[0], seconds[2], 1e-12)
    assert_close_to_largest(seconds[1], seconds[3], 1e-12)


@pytest.mark.parametrize("name", FEW.values())
def test_batched_is_a_loop(name):
    record = CASES[name]
    layer = layer_of(record)
    xs = np.array(record["xs"])
    if record["training"] and "running_mean" in layer.cells():
        with pytest.raises(BpropError, match="is one for the whole batch"):
            bprop.vmap(layer)(xs)
    else:
        assert_close_to_largest(bprop.vmap(layer)(xs), np.stack([layer(x) for x in xs]), 1e-14)


OFFSET = {
    "BatchNorm1d": ((3,), (32, 3)),
    "BatchNorm2d": ((3,), (4, 3, 4, 4)),
    "InstanceNorm1d": ((3, 1e-5, 0.1, True), (2, 3, 16)),
    "InstanceNorm2d": ((3, 1e-5, 0.1, True), (2, 3, 4, 4)),
    "GroupNorm": ((2, 4), (2, 4, 16)),
    "LayerNorm": ((16,), (4, 16)),
}
"""Arguments, and the shape of x."""


def passes(layer, x, y_bar):
    """y, x_bar and the gradients of the parameters."""
    y, pull = bprop.vjp(lambda x, cells: layer(x), x, layer)
    x_bar, bars = pull(y_bar)
    return [y, x_bar, *bars.values()]


@pytest.mark.parametrize("offset", [0, 4096])
@pytest.mark.parametrize("name", OFFSET)
@pytest.mark.parametrize("way", ["eager", pytest.param("compiled", marks=pytest.mark.exhaustive)])
def test_a_common_offset_costs_no_digits(name, way, offset):
    """x is an offset plus multiples of 1/32, exact in float32; mean of squares minus square of mean would have no correct digit.

    A slope is a difference of means: its error is compared with the largest slope.
    """
    arguments, shape = OFFSET[name]
    single_layer, double_layer = (getattr(nn, name)(*arguments, dtype=dtype) for dtype in (np.float32, np.float64))
    x = np.random.default_rng(1).integers(-16, 17, size=shape) / 32
    run = bprop.compile(passes) if way == "compiled" else passes
    found = run(single_layer, (x + offset).astype(np.float32), cotangent(shape).astype(np.float32))
    for single, expected in zip(found, passes(double_layer, x, cotangent(shape)), strict=True):
        assert single.dtype == np.float32
        assert_close_to_largest(single, expected, 5e-7)


@pytest.mark.parametrize("layout", ["NCL", "NLC", "NCHW", "NHWC"])
@pytest.mark.parametrize("training", [True, False])
def test_an_example_alone_is_a_batch_of_one(layout, training):
    """PyTorch takes it in instance normalisation, and refuses it in batch normalisation."""
    kind = nn.InstanceNorm1d if len(layout) == 3 else nn.InstanceNorm2d
    x = np.random.default_rng(4).normal(size=[{"N": 1, "C": 3}.get(letter, 4) for letter in layout])
    alone, batch = (
        kind(3, affine=True, track_running_stats=True, layout=layout, dtype=np.float64).train(training) for _ in "ab"
    )
    pairs = [
        (batch.fprop(x)[0], alone.fprop(x[0])),
        (batch.bprop(cotangent(x.shape))[0], alone.bprop(cotangent(x.shape[1:]))),
    ]
    pairs += zip(batch.gradients().values(), alone.gradients().values(), strict=True)
    pairs += zip(batch.state_dict().values(), alone.state_dict().values(), strict=True)
    for expected, value in pairs:
        np.testing.assert_allclose(np.asarray(value), np.asarray(expected), rtol=1e-13, atol=1e-13)
    with pytest.raises(ShapeError, match=f"in layout '{layout}'"):
        (nn.BatchNorm1d if len(layout) == 3 else nn.BatchNorm2d)(3, layout=layout, dtype=np.float64)(x[0, ..., :2])


def test_moments_are_mean_and_variance():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 4, 5)) + 1e6
    for axis in (None, 1, (0, -1), ()):
        for keepdims in (False, True):
            found = bprop.moments(x, axis=axis, keepdims=keepdims)
            assert_close_to_largest(found[0], np.mean(x, axis=axis, keepdims=keepdims), 1e-15)
            assert_close_to_largest(found[1], np.var(x, axis=axis, keepdims=keepdims), 1e-12)
    z = rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))
    assert_close_to_largest(bprop.moments(z, 1)[1], np.var(z, axis=1), 1e-15)


def test_switching_to_evaluation_between_the_passes_changes_no_gradient():
    x, y_bar = np.random.default_rng(3).normal(size=(2, 4, 3))
    layers = [nn.BatchNorm1d(3, dtype=np.float64) for _ in range(2)]
    for layer in layers:
        layer.fprop(x)
    layers[1].eval()
    assert_trees_close(layers[1].bprop(y_bar), layers[0].bprop(y_bar))


def test_frozen_parameters_stay():
    layer = nn.BatchNorm1d(3, dtype=np.float64).freeze()
    x = np.random.default_rng(4).normal(size=(4, 3))
    layer.fprop(x)
    assert_trees_close(layer.bprop(x), bprop.grad(lambda x: bprop.sum(layer(x) * x.concrete()))(x), atol=1e-10)


def ones(shape):
    return np.ones(shape, np.float32)


def test_a_compiled_function_follows_train_and_eval():
    layer, x = nn.BatchNorm1d(3, dtype=np.float64), np.random.default_rng(5).normal(size=(4, 3))
    run = bprop.compile(lambda layer, x: layer(x))
    for training in (True, False, True, False):
        state = layer.state_dict()
        y = np.asarray(run(layer.train(training), x))
        after = layer.state_dict()
        layer.load_state_dict(state)
        np.testing.assert_allclose(y, np.asarray(layer(x)), rtol=1e-13)
        for name, value in layer.state_dict().items():
            np.testing.assert_allclose(after[name], value, rtol=1e-15)
        assert (after["num_batches_tracked"] > state["num_batches_tracked"]) == training


def test_statistics_in_scan_and_checkpoint():
    """A scan carries the running statistics; a checkpoint recomputes a layer without counting its batch again."""
    xs = np.random.default_rng(6).normal(size=(3, 4, 3))
    one_by_one, scanned, checked = (nn.BatchNorm1d(3, dtype=np.float64) for _ in range(3))
    ys = [np.asarray(one_by_one(x)) for x in xs]
    _, found = bprop.scan(lambda carry, x: (carry, scanned(x)), 0.0, xs)
    np.testing.assert_allclose(np.asarray(found), ys, rtol=1e-13)
    gradients = [
        np.asarray(bprop.grad(lambda x: bprop.sum(f(x) ** 3))(xs[0]))  # noqa: B023
        for f in (bprop.checkpoint(lambda x: checked(x)), nn.BatchNorm1d(3, dtype=np.float64))
    ]
    np.testing.assert_allclose(*gradients, rtol=1e-12, atol=1e-13)
    for path, value in one_by_one.state_dict().items():
        np.testing.assert_allclose(scanned.state_dict()[path], value, rtol=1e-14)
    assert checked.state_dict()["num_batches_tracked"] == 1


def test_weights_go_through_a_file(tmp_path):
    layer, x = nn.BatchNorm2d(3, dtype=np.float64), np.random.default_rng(7).normal(size=(2, 3, 4, 4))
    layer(x)
    bprop.train.save_weights(layer, tmp_path / "layer.safetensors")
    other = nn.BatchNorm2d(3, dtype=np.float64)
    bprop.train.load_weights(other, tmp_path / "layer.safetensors")
    np.testing.assert_array_equal(other.eval()(x), layer.eval()(x))
    assert other.state_dict()["num_batches_tracked"] == 1


ERRORS = [
    (lambda: nn.BatchNorm2d(3)(ones((2, 3))), ShapeError, r"\(2, 3\), it should be \(N, 3, H, W\) in layout 'NCHW'"),
    (lambda: nn.BatchNorm2d(3)(ones((2, 4, 5, 5))), ShapeError, r"\(2, 4, 5, 5\), it should be \(N, 3, H, W\)"),
    (lambda: nn.BatchNorm1d(3)(ones(3)), ShapeError, r"\(N, 3, L\) or \(N, 3\) in layout 'NCL'"),
    (lambda: nn.BatchNorm1d(3)(ones((1, 3))), ShapeError, "1 value for each mean: it needs at least 2"),
    (lambda: nn.InstanceNorm1d(3)(ones((5, 3, 1))), ShapeError, "1 value for each mean"),
    (lambda: nn.BatchNorm2d(3, layout="HWCN"), ArgumentError, "layout is 'NCHW' or 'NHWC', not 'HWCN'"),
    (lambda: nn.BatchNorm2d(0), ArgumentError, "channels is a positive integer, not 0"),
    (lambda: nn.BatchNorm2d(3, momentum=2), ArgumentError, r"momentum is a number in \[0, 1\], not 2"),
    (lambda: nn.BatchNorm2d(3, eps=-1), ArgumentError, "eps is a finite number ≥ 0, not -1"),
    (lambda: nn.BatchNorm2d(3)(np.ones((2, 3, 2, 2))), DTypeError, "x is float64 but gamma is float32"),
    (lambda: nn.GroupNorm(2, 3), ArgumentError, "3 channels do not make 2 groups"),
    (lambda: nn.GroupNorm(2, 4)(ones((2, 3, 4))), ShapeError, r"shape \(2, 3, 4\), it should be \(N, 4, ...\)"),
    (lambda: nn.GroupNorm(2, 4, channel_axis=2), ArgumentError, "channel_axis is 1 or -1, not 2"),
    (lambda: nn.LayerNorm(4)(ones((4, 3))), ShapeError, r"shape \(4, 3\), its last axis should be 4"),
    (lambda: nn.LayerNorm((4, 3))(ones(3)), ShapeError, r"its last axes should be \(4, 3\)"),
    (lambda: nn.LayerNorm(()), ArgumentError, "the length of the last axis or of several"),
    (lambda: nn.RMSNorm(2.5), ArgumentError, "shape is a positive integer, not 2.5"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors_say_what_is_allowed(number):
    call, kind, message = ERRORS[number]
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("way", ["eager", "traced"])
def test_errors_name_the_path(way):
    model = nn.Sequential(nn.Identity(), nn.BatchNorm1d(3))
    run = bprop.compile(lambda model, x: model(x)) if way == "traced" else lambda model, x: model(x)
    with pytest.raises(ShapeError, match=r"layers\.1:BatchNorm1d"):
        run(model, np.ones((2, 4), np.float32))
