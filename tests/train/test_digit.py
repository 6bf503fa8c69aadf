"""The main job."""

import numpy as np
import pytest

import bprop
from bprop.train import StorageError
from bprop.train.augmentation import RandomAffine
from bprop.train.digit import digit_data, digit_settings, next_folder, train_digits


def test_the_split_is_fixed_and_stratified():
    (x, t), (x_test, t_test) = digit_data()
    assert (x.shape, x_test.shape) == ((1438, 64), (359, 64))
    assert (x.dtype, t.dtype, x.min(), x.max()) == (np.float32, np.int64, 0, 1)
    assert np.bincount(t_test).min() >= 34
    assert digit_data()[1][1].tolist() == t_test.tolist()


def test_digits_are_read():
    result = train_digits(progress=False)
    assert result.test_accuracy >= 0.97
    assert result.train_accuracy >= 0.99
    assert result.confusion.sum() == 359
    assert np.trace(result.confusion) / 359 == result.test_accuracy
    assert result.parameters == 64 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    assert [row.path for row in result.saturation] == ["layers.1", "layers.3"]
    assert set(result.gradient_norms) == set(result.model.parameters())


@pytest.mark.exhaustive
def test_digits_are_read_with_every_seed():
    accuracies = [train_digits(seed=seed, progress=False).test_accuracy for seed in range(10)]
    assert min(accuracies) >= 0.97
    assert np.mean(accuracies) >= 0.975


@pytest.mark.exhaustive
def test_digits_are_read_by_convolutions():
    accuracies = [train_digits(model="cnn", seed=seed, progress=False).test_accuracy for seed in range(5)]
    assert np.median(accuracies) >= 0.985


@pytest.fixture
def fewer_digits(monkeypatch):
    """Some of the images, full batches of them: so one program is compiled, and not another for the rest."""
    (x, t), (x_test, t_test) = digit_data()
    monkeypatch.setattr("bprop.train.digit.digit_data", lambda: ((x[:768], t[:768]), (x_test[:128], t_test[:128])))


@pytest.mark.usefixtures("fewer_digits")
def test_a_residual_network_reads_digits():
    result = train_digits(model="resnet", epochs=3, batch_size=32, progress=False)
    assert result.test_accuracy > 0.8
    assert result.run.notes == []
    assert result.parameters == 269722 - 16 * 9 * 2  # one channel in place of three
    assert len(result.saturation) == 19
    losses = [entry["train_loss"] for entry in result.run.history]
    assert losses[-1] < losses[0] / 2


@pytest.mark.usefixtures("fewer_digits")
def test_convolutions_go_on_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE", "1")  # compiled once for all three
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path / "cache"))
    threads = bprop.get_threads()
    try:
        bprop.set_threads(1)
        whole = train_digits(model="cnn", epochs=2, seed=3, out=tmp_path / "whole", progress=False)
        bprop.set_threads(2)
        train_digits(model="cnn", epochs=1, seed=3, out=tmp_path / "run", progress=False)
        settings = digit_settings(tmp_path / "run")
        assert settings == {
            "model": "cnn", "epochs": 1, "seed": 3, "batch_size": 64, "learning_rate": 0.003, "hidden": None
        }  # fmt: skip
        result = train_digits(**settings | {"epochs": 2}, out=tmp_path / "run", resume=True, progress=False)
    finally:
        bprop.set_threads(threads)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "run")]
    assert weights[0] == weights[1]
    assert result.confusion.tolist() == whole.confusion.tolist()
    assert result.run.notes == []


def test_images_are_moved_and_sheared():
    image = np.zeros((1, 1, 9, 9), np.float32)
    image[0, 0, 4, 4] = 1
    module = RandomAffine(1.5, 0.1, bprop.Generator(0))
    centres = []
    for _ in range(50):
        y = np.asarray(module(image))[0, 0]
        assert y.sum() == pytest.approx(1, abs=1e-5)
        assert y.min() >= 0
        centres.append([np.sum(y * np.arange(9)[:, None]) - 4, np.sum(y * np.arange(9)) - 4])
    assert 1.2 < np.abs(centres).max() < 1.75
    assert np.abs(np.mean(centres, axis=0)).max() < 0.4
    np.testing.assert_array_equal(RandomAffine(0, 0, bprop.Generator(0))(image), image)
    np.testing.assert_array_equal(module.eval()(image), image)


@pytest.mark.parametrize(("model", "hidden", "text"), [("tree", None, "'mlp', 'cnn', 'resnet'"), ("cnn", [3], "mlp")])
def test_wrong_models(model, hidden, text):
    with pytest.raises(bprop.ArgumentError, match=text):
        train_digits(model=model, hidden=hidden, progress=False)


def test_wrong_sizes():
    with pytest.raises(bprop.ArgumentError, match="list of layer sizes"):
        train_digits(hidden=[0], progress=False)


def test_next_folder(tmp_path):
    first, second = next_folder(tmp_path), next_folder(tmp_path)
    assert first.is_dir()
    assert second.is_dir()
    assert first.name.endswith("-1")
    assert second.name.endswith("-2")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        next_folder(tmp_path / "file")
