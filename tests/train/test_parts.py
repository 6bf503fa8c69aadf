"""Batches, splits, metrics, weights and curves."""

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.train import (
    StorageError,
    accuracy,
    batches,
    confusion_matrix,
    load_weights,
    norms,
    saturation,
    save_weights,
    stratified_split,
)
from bprop.train.curve import draw
from bprop.train.run import to_json


def test_batches_visit_everything_once():
    order = list(batches(10, 4, bprop.Generator(0)))
    assert [len(batch) for batch in order] == [4, 4, 2]
    assert sorted(np.concatenate(order).tolist()) == list(range(10))
    again = list(batches(10, 4, bprop.Generator(0)))
    assert np.concatenate(order).tolist() == np.concatenate(again).tolist()
    assert [batch.tolist() for batch in batches(3, 100)] == [[0, 1, 2]]
    assert list(batches(0, 4)) == []
    for size in (0, -1, 1.5, True):
        with pytest.raises(bprop.ArgumentError, match="positive integer"):
            batches(10, size)


def test_stratified_split():
    labels = np.repeat([0, 1, 2], [50, 30, 1])
    first, second = stratified_split(labels, 0.2, seed=1)
    assert sorted([*first, *second]) == list(range(81))
    assert np.bincount(labels[second], minlength=3).tolist() == [10, 6, 0]
    assert second.tolist() == stratified_split(labels, 0.2, seed=1)[1].tolist()
    assert second.tolist() != stratified_split(labels, 0.2, seed=2)[1].tolist()
    with pytest.raises(bprop.ArgumentError, match="between 0 and 1"):
        stratified_split(labels, 1.0, seed=0)
    with pytest.raises(bprop.ShapeError, match="one axis"):
        stratified_split(labels[:, None], 0.5, seed=0)


def test_accuracy_and_confusion():
    y, t = np.array([0, 1, 2, 2, 0]), np.array([0, 1, 1, 2, 2])
    assert accuracy(y, t) == 0.6
    assert accuracy(np.eye(3)[y], np.eye(3)[t]) == 0.6
    counts = confusion_matrix(y, t)
    assert counts.tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 1]]
    assert confusion_matrix(y, t, 5).shape == (5, 5)
    with pytest.raises(bprop.IndexingError, match="with 2 classes"):
        confusion_matrix(y, t, 2)
    with pytest.raises(bprop.ShapeError):
        accuracy(y, t[:-1])
    with pytest.raises(bprop.ShapeError):
        accuracy([], [])
    with pytest.raises(bprop.ShapeError, match=r"neither \(N,\)"):
        accuracy(np.zeros((2, 2, 2)), t)


def test_saturation_counts_units():
    x = np.array([[9.0, 0.0, -9.0], [9.0, 0.0, 9.0], [0.0, 0.0, 9.0], [9.0, -9.0, -9.0]])
    rows = saturation(nn.Sequential(nn.Tanh()), x)
    assert rows == [("layers.0", "Tanh", 8 / 12, 1 / 3)]
    assert saturation(nn.Sequential(nn.ReLU()), x)[0][2:] == (7 / 12, 1 / 3)
    assert saturation(nn.Sequential(nn.Sigmoid()), x)[0][2:] == (8 / 12, 1 / 3)
    model = nn.Sequential(nn.Linear(3, 2, np.float64, seed=0), nn.Dropout(0.5, seed=0), nn.HardTanh())
    assert [row.kind for row in saturation(model, x)] == ["HardTanh"]
    assert model.training
    nested = nn.Sequential(nn.Residual(nn.Sequential(nn.ReLU())), nn.Tanh())
    assert [row.path for row in saturation(nested, x)] == ["layers.0.module.layers.0", "layers.1"]
    with pytest.raises(bprop.ArgumentError, match="a Module, not into ufunc"):
        saturation(np.tanh, x)


def test_norms():
    assert norms({"a": np.full(4, 2.0, np.float32), "b": np.zeros((0,))}) == {"a": 4.0, "b": 0.0}


def test_weights_round_trip_with_optimizer_and_generators(tmp_path):
    first = nn.Sequential(nn.Linear(3, 2, seed=1), nn.Dropout(0.5, seed=2))
    second = nn.Sequential(nn.Linear(3, 2, seed=3), nn.Dropout(0.5, seed=4))
    x = np.ones((5, 3), np.float32)
    optimizer, other = optim.Adam(0.1), optim.Adam(0.5)
    optimizer.update(first, bprop.grad(lambda m: bprop.sum(m(x)))(first))
    other.init(second)
    save_weights(first, tmp_path / "model.safetensors")
    save_weights(optimizer, tmp_path / "optimizer.safetensors")
    load_weights(second, tmp_path / "model.safetensors")
    load_weights(other, tmp_path / "optimizer.safetensors")
    assert np.asarray(first(x)).tolist() == np.asarray(second(x)).tolist()
    assert repr(optimizer) == repr(other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "optimizer.safetensors"]


def test_weights_that_do_not_fit_change_nothing(tmp_path):
    file = tmp_path / "w.safetensors"
    save_weights(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)), file)
    cases = [
        (
            nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 1)),
            bprop.ShapeError,
            r"'layers.1.W' has shape \(1, 2\) .* \(1, 3\)",
        ),
        (nn.Sequential(nn.Linear(3, 2, np.float64)), bprop.DTypeError, "'layers.0.W' is float32 .* float64"),
        (nn.Sequential(nn.Linear(3, 2)), bprop.ArgumentError, "has 'layers.1.[Wb]', which Sequential does not have"),
        (
            nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1), nn.Linear(1, 1)),
            bprop.ArgumentError,
            "has no 'layers.2.[Wb]'",
        ),
    ]
    for model, error, text in cases:
        before = np.asarray(model[0].W)
        with pytest.raises(error, match=text):
            load_weights(model, file)
        assert np.asarray(model[0].W).tolist() == before.tolist()
    with pytest.raises(StorageError, match="No such file"):
        load_weights(nn.Linear(1, 1), tmp_path / "none")
    file.write_bytes(b"\x05\x00\x00\x00\x00\x00\x00\x00hello")
    with pytest.raises(StorageError, match="no safetensors file"):
        load_weights(nn.Linear(1, 1), file)
    with pytest.raises(StorageError, match=r"No such file|Not a directory"):
        save_weights(nn.Linear(1, 1), tmp_path / "no" / "folder")
    header = b'{"W":{"dtype":"BF16","shape":[1,1],"data_offsets":[0,2]}}'
    file.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    with pytest.raises(StorageError, match="type BF16, which NumPy has not"):
        load_weights(nn.Linear(1, 1), file)


def test_curves_with_gaps_and_many_metrics(tmp_path):
    history = [
        {
            "epoch": k,
            "train_loss": 10.0**-k,
            "validation_f1": None if k == 2 else 0.5,
            "validation_recall": float("nan"),
        }
        for k in (1, 2, 3)
    ]
    draw(history, tmp_path / "curves.png", "title")
    draw(history[:1], tmp_path / "one.png")
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("curves.png", "one.png"))


def test_plain_values_are_valid_json():
    value = {"a": np.float32(1.5), "b": [float("nan"), np.int64(2)], "c": bprop.asarray(3.0), 1: (float("inf"), None)}
    assert to_json(value) == {"a": 1.5, "b": [None, 2], "c": 3.0, "1": [None, None]}
