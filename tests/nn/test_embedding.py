"""Embedding against PyTorch, under transforms, and ids that are none."""

import json
from pathlib import Path

import numpy as np
import pytest

import bprop
from bprop import nn
from support.comparison import assert_trees_close
from support.module_example import cotangent

RECORD = json.loads(Path(__file__).with_name("pytorch_embedding.json").read_text(encoding="utf-8"))
IDS = np.array([[1, 4, 4, 0], [2, 1, 4, 4]])


def layer_of(case):
    layer = nn.Embedding(5, 3, padding_idx=case["padding_idx"], dtype=np.float64)
    layer.W = np.array(RECORD["W"])
    return layer


def passes(layer, ids):
    """y and the gradient of W by reverse mode."""
    y, pull = bprop.vjp(lambda cells: layer(ids), layer)
    return y, pull(cotangent(y.shape).astype(y.dtype))[0]["W"]


@pytest.mark.parametrize("name", RECORD["cases"])
def test_numbers_are_those_of_pytorch(name):
    case = RECORD["cases"][name]
    layer, ids = layer_of(case), np.array(case["ids"])
    expected = np.array(case["y"]), np.array(case["weight_bar"])
    assert_trees_close(passes(layer, ids), expected, rtol=1e-15)
    y = layer.fprop(ids)
    assert layer.bprop(cotangent(y.shape)) is None
    assert_trees_close((y, layer.W_bar), expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_compiled_training_step_is_the_eager_one(dtype):
    def step(model, optimizer, ids):
        E, bars = bprop.value_and_grad(lambda model: bprop.sum(model(ids) ** 2))(model)
        optimizer.update(model, bars)
        return E, bars

    results = []
    for way in (step, bprop.compile(step)):
        model = nn.Sequential(nn.Embedding(5, 3, padding_idx=4, dtype=dtype, seed=0), nn.Linear(3, 2, dtype, seed=1))
        optimizer = bprop.optim.SGD(0.1)
        results.append([way(model, optimizer, ids) for ids in (IDS, IDS[:, ::-1])])
        assert not np.asarray(model[0].W)[4].any()
    assert_trees_close(results[1], results[0], *((1e-13, 1e-14) if dtype == np.float64 else (1e-5, 1e-6)))


@pytest.mark.parametrize("way", ["eager", "compiled"])
def test_the_gradient_has_the_same_bits_for_any_number_of_threads(way):
    """Many rows of the same few ids, whose sum depends on its order."""
    rng = np.random.default_rng(0)
    layer = nn.Embedding(7, 64, seed=0)
    ids, y_bar = rng.integers(0, 7, size=(64, 512)), rng.normal(size=(64, 512, 64)).astype(np.float32)

    def gradient(layer, ids, y_bar):
        return bprop.vjp(lambda cells: layer(ids), layer)[1](y_bar)[0]["W"]

    run, threads, found = bprop.compile(gradient) if way == "compiled" else gradient, bprop.get_threads(), []
    try:
        for count in (1, 2, 3, 1):
            bprop.set_threads(count)
            found.append(np.array(run(layer, ids, y_bar)))
    finally:
        bprop.set_threads(threads)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    exact = np.zeros((7, 64))
    np.add.at(exact, ids, y_bar.astype(float))
    np.testing.assert_allclose(found[0], exact, atol=1e-3)


def test_a_row_of_padding_passes_no_infinite_gradient():
    layer = nn.Embedding(5, 3, padding_idx=4, seed=0)
    y_bar = np.ones((2, 4, 3), np.float32)
    y_bar[IDS == 4] = np.nan
    layer.fprop(IDS)
    layer.bprop(y_bar)
    assert np.isfinite(np.asarray(layer.W_bar)).all()


def test_transforms():
    layer = nn.Embedding(5, 3, padding_idx=1, dtype=np.float64, seed=0)
    np.testing.assert_array_equal(bprop.vmap(layer)(IDS), layer(IDS))
    f = lambda layer: bprop.sum(layer(IDS) ** 3)
    slope = bprop.grad(lambda layer: bprop.sum(bprop.grad(f)(layer)["W"] ** 2))(layer)["W"]
    W = np.asarray(layer.W)
    count = np.bincount(IDS.ravel(), minlength=5)[:, None] * (np.arange(5) != 1)[:, None]
    np.testing.assert_allclose(slope, 2 * (3 * count * W**2) * 6 * count * W, rtol=1e-13)


@pytest.mark.parametrize("ids", [IDS.astype(np.uint8), IDS.astype(np.int32), IDS.tolist()])
def test_any_integers_are_ids(ids):
    layer = nn.Embedding(5, 3, seed=0)
    np.testing.assert_array_equal(layer(ids), np.asarray(layer.W)[IDS])


@pytest.mark.parametrize("bad", [5, -1, 2**40])
@pytest.mark.parametrize("way", ["eager", "fprop", "gradient", "compiled", "compiled gradient", "vmap"])
def test_an_id_out_of_range_is_named_with_its_path(way, bad):
    """In evaluation and compiled alike; below 0 it does not count from the end."""
    model = nn.Sequential(nn.Identity(), nn.Sequential(nn.Embedding(5, 3, seed=0)))
    gradient = bprop.grad(lambda model, ids: bprop.sum(model(ids) ** 2))
    run, gradient_run = bprop.compile(lambda model, ids: model(ids)), bprop.compile(gradient)
    calls = {
        "eager": lambda ids: model(ids),
        "fprop": lambda ids: model.fprop(ids),
        "gradient": lambda ids: gradient(model, ids),
        "compiled": lambda ids: run(model, ids),
        "compiled gradient": lambda ids: gradient_run(model, ids),
        "vmap": lambda ids: bprop.vmap(model)(ids),
    }
    ids = IDS.copy()
    calls[way](ids)
    ids[1, 2] = bad
    with pytest.raises(bprop.IndexingError, match=rf"Embedding: id {bad} at \(1, 2\): ids are 0 … 4") as caught:
        calls[way](ids)
    assert "in module Sequential.layers.1:Sequential.layers.0:Embedding" in str(caught.value)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_a_negative_id_is_refused_in_any_integer_dtype(dtype):
    """The id that stands for it in a program, one too many, would be an id again in a small dtype."""
    layer = nn.Embedding(70_000 if dtype == np.int16 else 300, 1, seed=0)
    with pytest.raises(bprop.IndexingError, match="Embedding: "):
        bprop.compile(lambda layer, ids: layer(ids))(layer, np.array([3, -1], dtype))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.Embedding(5, 3)(IDS * 1.0), bprop.DTypeError, "ids are integers, not float64"),
        (lambda: nn.Embedding(5, 3)(IDS > 2), bprop.DTypeError, "ids are integers, not bool"),
        (lambda: nn.Embedding(0, 3), bprop.ArgumentError, "inputs is a positive integer, not 0"),
        (lambda: nn.Embedding(5, 3, 5), bprop.ArgumentError, r"one of the ids 0 … 4, .* not 5"),
        (lambda: nn.Embedding(5, 3)(7), bprop.IndexingError, "id 7: ids are 0 … 4"),
    ],
)
def test_errors_say_what_is_allowed(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_the_row_of_padding_starts_at_zero():
    W = np.asarray(nn.Embedding(5, 3, padding_idx=-2, seed=0).W)
    assert not W[3].any()
    assert W[[0, 1, 2, 4]].all()
