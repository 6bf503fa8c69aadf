"""The training loop: what it does, records, and how it ends when something goes wrong."""

import io
import json
from functools import partial

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.train import Run, StorageError, accuracy, evaluate, load_weights
from support.training import T, X, classifier, fit_eagerly

tanh_classifier = partial(classifier, 4, 8, 2)


def weights(module):
    return {path: np.asarray(w) for path, w in module.parameters().items()}


def fit_short(model=None, **options):
    settings = {"data": (X, T), "optimizer": optim.Adam(0.01), "epochs": 3, "batch_size": 16, **options}
    return fit_eagerly(model or tanh_classifier(), **settings)


def test_learns_and_records():
    network = tanh_classifier()
    run = fit_short(network, validation=(X, T), epochs=30)
    assert isinstance(run, Run)
    assert run.status == "finished"
    assert [entry["epoch"] for entry in run.history] == list(range(1, 31))
    assert run.history[-1]["train_loss"] < 0.5 * run.history[0]["train_loss"]
    assert run.history[-1]["validation_accuracy"] > 0.9
    assert run.history[-1]["validation_accuracy"] == accuracy(np.asarray(network(X)), T)
    assert run.history[-1]["validation_loss"] == pytest.approx(float(nn.CrossEntropy()(network(X), T)), rel=1e-6)
    assert network.training
    assert "finished, 30 epochs" in repr(run)


def test_is_a_loop_of_steps():
    """The same as the loop that one would write, short last batch included."""
    first, second = tanh_classifier(), tanh_classifier()
    run = fit_short(first, epochs=2, seed=7)
    optimizer, loss, generator = optim.Adam(0.01), nn.CrossEntropy(), bprop.Generator(7)
    for entry in run.history:
        order = np.asarray(generator.permutation(50))
        total = 0.0
        for start in range(0, 50, 16):
            batch = order[start : start + 16]
            E, g = bprop.value_and_grad(lambda m, batch=batch: loss(m(X[batch]), T[batch]))(second)
            optimizer.update(second, g)
            total += float(E) * len(batch)
        assert entry["train_loss"] == pytest.approx(total / 50, rel=1e-6)
    for path, w in weights(first).items():
        np.testing.assert_array_equal(w, weights(second)[path])


def test_same_seed_same_weights_other_seed_other_weights():
    runs = [weights(fit_short(seed=seed).model) for seed in (1, 1, 2)]
    assert all((runs[0][path] == runs[1][path]).all() for path in runs[0])
    assert any((runs[0][path] != runs[2][path]).any() for path in runs[0])


def test_compiled_steps_are_the_evaluated_ones():
    slow, fast = fit_short(), fit_short(compiled=True)
    assert (slow.config["compiled"], fast.config["compiled"]) == (False, True)
    for a, b in zip(slow.history, fast.history, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-4)


def test_a_model_without_native_code_says_so_and_trains():
    class Looking(nn.Module):
        def __init__(self):
            self.inner = tanh_classifier()

        def fprop(self, x):
            y = self.inner(x)
            return -y if y[0, 0] > 1e9 else y  # looks at a number

    stream = io.StringIO()
    run = fit_short(Looking(), compiled=True, progress=stream)
    assert run.status == "finished"
    assert run.config["compiled"] is False
    assert "no native code for this step" in run.notes[0]
    assert "no native code for this step" in stream.getvalue()


def test_a_folder_tells_what_was_done(tmp_path):
    network = tanh_classifier()
    run = fit_short(network, out=tmp_path / "run", validation=(X, T), title="toy")
    assert {path.name for path in run.folder.iterdir()} == {
        "metrics.jsonl",
        "checkpoint.safetensors",
        "curves.png",
        "model.safetensors",
        "run.json",
    }
    lines = [json.loads(text) for text in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert lines == run.history
    record = json.loads((run.folder / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["config"]["optimizer"] == {
        "name": "Adam",
        "learning_rate": 0.01,
        "betas": [0.9, 0.999],
        "epsilon": 1e-8,
    }
    assert record["config"]["parameters"] == 58
    assert (run.folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    other = tanh_classifier(seed=5)
    load_weights(other, run.folder / "model.safetensors")
    assert np.asarray(other(X)).tolist() == np.asarray(network(X)).tolist()


def test_save_and_plot_later(tmp_path, monkeypatch):
    run = fit_short(validation=(X, T))
    assert run.folder is None
    folder = run.save(tmp_path / "saved")
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3
    with pytest.raises(StorageError, match="not empty"):
        run.save(folder)
    monkeypatch.chdir(tmp_path)
    assert run.plot().read_bytes().startswith(b"\x89PNG")
    assert run.plot(tmp_path / "other.png").name == "other.png"


def test_what_does_not_fit_is_said_before_anything_is_made(tmp_path):
    out = tmp_path / "run"
    cases = [
        (bprop.ShapeError, r"inputs of shape \(50, 4\) and targets of shape \(49,\)", {"data": (X, T[:-1])}),
        (bprop.ShapeError, "train has no examples", {"data": (X[:0], T[:0])}),
        (bprop.ShapeError, "validation has no examples", {"validation": (X[:0], T[:0])}),
        (bprop.ShapeError, "last axis should be 4", {"data": (X[:, :3], T)}),
        (bprop.IndexingError, "label 2 with 2 classes", {"data": (X, np.where(T, 2, 0))}),
        (bprop.IndexingError, "label 2 with 2 classes", {"validation": (X, np.where(T, 2, 0))}),
        (bprop.ShapeError, "for labels or", {"data": (X, T[:, None])}),
        (bprop.ArgumentError, "pair", {"data": X}),
        (bprop.ArgumentError, "epochs is a positive integer", {"epochs": 0}),
        (bprop.ArgumentError, "batch_size is a positive integer", {"batch_size": 0}),
        (bprop.ArgumentError, "seed", {"seed": -1}),
        (bprop.ShapeError, "unequal lengths", {"data": ([[1.0, 2.0], [3.0]], [0, 1])}),
        (bprop.ShapeError, "validation data: Linear", {"validation": (X[:, :3], T)}),
        (bprop.ArgumentError, r"optimizer is no bprop Optimizer.*write Adam\(", {"optimizer": optim.Adam}),
        (bprop.ArgumentError, "model is no bprop Module", {"model": lambda x: x}),
        (bprop.ArgumentError, r"write CrossEntropy\(", {"loss": nn.CrossEntropy}),
        (bprop.ArgumentError, "metrics map names", {"metrics": ["precision"], "validation": (X, T)}),
    ]
    for error, text, options in cases:
        with pytest.raises(error, match=text):
            fit_short(**options, out=out)
    assert not out.exists()


def test_folders_are_never_written_over(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "something").touch()
    with pytest.raises(StorageError, match="exists and is not empty"):
        fit_short(out=tmp_path / "run")
    with pytest.raises(StorageError, match="a file, not a folder"):
        fit_short(out=tmp_path / "run" / "something")
    (tmp_path / "empty").mkdir()
    assert fit_short(out=tmp_path / "empty").folder == tmp_path / "empty"


def test_float64_data_is_converted_once_and_said():
    stream = io.StringIO()
    run = fit_short(data=(X.astype(np.float64), T), progress=stream)
    assert run.notes == ["train inputs are float64, the model is float32: converted once, here"]
    assert stream.getvalue().count("converted once") == 1
    assert fit_short(tanh_classifier(dtype=np.float64), data=(X.astype(np.float64), T)).notes == []


def test_progress_is_plain_lines_off_a_terminal(capsys):
    stream = io.StringIO()
    fit_short(progress=stream, epochs=50)
    lines = stream.getvalue().splitlines()
    assert len(lines) <= 30
    assert lines[0].startswith("epoch   1  train loss ")
    assert lines[-1].startswith("epoch  50  train loss ")
    assert capsys.readouterr().out == ""
    fit_short(progress=True, epochs=1)
    assert "epoch   1" in capsys.readouterr().out


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_loss_that_is_not_finite_stops_before_the_batch(tmp_path, compiled):
    """One bad example: the parameters are those after the batches before its own."""
    x = X.copy()
    x[13, 2] = np.nan
    first, second = tanh_classifier(), tanh_classifier()
    order = np.asarray(bprop.Generator(3).permutation(50))
    batch = int(np.flatnonzero(order == 13)[0]) // 16
    assert batch > 0
    with pytest.raises(bprop.NonFiniteError, match=rf"epoch 1, batch {batch + 1} of 4: the inputs.*example 13"):
        fit_short(first, data=(x, T), seed=3, out=tmp_path / "run", compiled=compiled)
    optimizer, loss = optim.Adam(0.01), nn.CrossEntropy()
    for k in range(batch):
        part = order[16 * k : 16 * (k + 1)]
        optimizer.update(second, bprop.grad(lambda m, part=part: loss(m(x[part]), T[part]))(second))
    for path, w in weights(first).items():
        np.testing.assert_allclose(w, weights(second)[path], atol=1e-6)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_an_update_that_is_not_finite_is_found():
    class Cliff(nn.Module):
        """A finite loss with an infinite slope, at the start of the second batch."""

        def __init__(self):
            self.w = nn.parameter(np.array([1.0]))

        def fprop(self, x):
            return bprop.sqrt(self.w * x)

    network = Cliff()
    with pytest.raises(
        bprop.NonFiniteError, match=r"epoch 1, batch 1 of 1: the loss is 0.*the update makes w non-finite"
    ):
        fit_short(
            network, data=(np.zeros((1, 1)), np.zeros((1, 1))), loss=nn.SquaredError("sum"), optimizer=optim.SGD(1.0)
        )
    assert network.w.tolist() == [1.0]


def test_interruption_keeps_whole_epochs(tmp_path):
    def interrupting(y, t):
        interrupting.calls += 1
        if interrupting.calls == 4:  # it is tried once before the first step
            raise KeyboardInterrupt
        return accuracy(y, t)

    interrupting.calls = 0
    network = tanh_classifier()
    with pytest.raises(KeyboardInterrupt):
        fit_short(network, validation=(X, T), metrics={"accuracy": interrupting}, out=tmp_path / "run", epochs=9)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["status"], record["epochs"]) == ("interrupted", 2)
    expected = weights(fit_short(epochs=2).model)
    saved = tanh_classifier(seed=9)
    load_weights(saved, tmp_path / "run" / "model.safetensors")
    for path, w in expected.items():
        np.testing.assert_array_equal(w, weights(saved)[path])
        np.testing.assert_array_equal(w, weights(network)[path])


def test_interruption_between_record_and_next_epoch(tmp_path):
    """The record has the epoch, so the weights have it too."""

    class Interrupting(io.StringIO):
        def write(self, text):
            if "epoch   2" in text:
                raise KeyboardInterrupt
            return super().write(text)

    network = tanh_classifier()
    with pytest.raises(KeyboardInterrupt):
        fit_short(network, progress=Interrupting(), out=tmp_path / "run", epochs=5)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2
    expected = weights(fit_short(epochs=2).model)
    for path, w in expected.items():
        np.testing.assert_array_equal(w, weights(network)[path])


def test_epochs_may_be_a_numpy_integer():
    assert len(fit_short(epochs=np.int64(2)).history) == 2


def test_a_sum_is_summed():
    run = fit_short(loss=nn.CrossEntropy("sum"), optimizer=optim.SGD(1e-9), epochs=1, validation=(X, T))
    entry = run.history[0]
    assert entry["train_loss"] == pytest.approx(entry["validation_loss"], rel=1e-5)
    assert entry["train_loss"] == pytest.approx(float(nn.CrossEntropy("sum")(tanh_classifier()(X), T)), rel=1e-5)


def test_dropout_is_on_in_training_and_off_in_validation():
    network = nn.Sequential(nn.Dropout(0.5, seed=1), tanh_classifier())
    run = fit_short(network, optimizer=optim.SGD(1e-9), epochs=2, validation=(X, T))
    assert run.history[0]["validation_loss"] == pytest.approx(run.history[1]["validation_loss"], rel=1e-6)
    assert run.history[0]["train_loss"] != pytest.approx(run.history[1]["train_loss"], rel=1e-3)
    network.eval()
    fit_short(network, optimizer=optim.SGD(1e-9))
    assert not network.training


def test_regression_has_no_accuracy_and_metrics_may_be_given():
    t = X[:, :2]
    run = fit_short(loss=nn.SquaredError(), data=(X, t), validation=(X, t))
    assert "validation_accuracy" not in run.history[0]
    run = fit_short(validation=(X, T), metrics={"ones": lambda y, t: np.mean(y.argmax(axis=1))})
    assert 0 <= run.history[0]["validation_ones"] <= 1


def test_evaluate_leaves_the_model_as_it_was():
    network = nn.Sequential(nn.Dropout(0.5, seed=1), tanh_classifier())
    before = network[0].generator.cell.array.tolist()
    result = evaluate(network, nn.CrossEntropy(), (X, T), {"accuracy": accuracy})
    assert set(result) == {"loss", "accuracy"}
    assert network.training
    assert network[0].generator.cell.array.tolist() == before
    with pytest.raises(bprop.ShapeError, match="no examples"):
        evaluate(network, nn.CrossEntropy(), (X[:0], T[:0]))
