"""The main job."""

import numpy as np
import pytest

import bprop
from bprop.train import StorageError
from bprop.train.digit import digit_data, next_folder, train_digits


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
