"""What steers a training: early stopping, callbacks, class weights, accumulation."""

import sys

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.train import Callback, EarlyStopping, TensorBoard
from support.training import classifier, fit_eagerly

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype(np.float32)
T = (X[:, 0] + X[:, 1] > 0.5).astype(int)


def fit_controlled(loss=None, data=(X, T), optimizer=None, dtype=np.float32, **options):
    model = classifier(4, 6, 1 if data[1].ndim == 2 else 2, seed=1, dtype=dtype)
    settings = {"epochs": 3, "batch_size": 8, **options}
    return fit_eagerly(model, data, loss=loss, optimizer=optimizer or optim.SGD(0.3), **settings)


def weights(run):
    return {path: np.asarray(w) for path, w in run.model.parameters().items()}


# --- early stopping ---
def scripted(values):
    """A metric that says what it is told (first comes the trial)."""
    told = iter([0.0, *values])
    return {"told": lambda y, t: next(told)}


@pytest.mark.parametrize(
    ("mode", "values", "options", "epochs", "best"),
    [
        ("min", [3, 2, 2, 2, 1], {"patience": 2}, 4, 2),
        ("min", [3, 2, 2, 1, 1, 1, 0], {"patience": 2}, 6, 4),
        ("max", [1, 2, 1, 1, 3], {"patience": 2}, 4, 2),
        ("min", [3.0, 2.9, 2.8, 2.7, 2.6, 2.6, 2.6], {"patience": 3, "min_delta": 0.25}, 7, 4),
        ("min", [3.0, 2.9, 2.8, 2.7, 2.6], {"patience": 2, "min_delta": 0.25}, 3, 1),
        ("min", [float("inf"), 5, 6, 6], {"patience": 2}, 4, 2),
        ("min", [2, float("nan"), 1], {"patience": 5}, 2, 1),
    ],
)
def test_stops_where_it_should_with_the_best_weights(mode, values, options, epochs, best):
    def after(count, **more):
        return fit_controlled(validation=(X, T), metrics=scripted(values), epochs=count, **more)

    run = after(9, early_stopping=EarlyStopping("validation_told", mode=mode, **options))
    assert (len(run.history), run.status, run.best["epoch"]) == (epochs, "finished", best)
    assert run.best["validation_told"] == values[best - 1]
    for path, w in weights(after(best)).items():
        np.testing.assert_array_equal(w, weights(run)[path])
    last = after(9, early_stopping=EarlyStopping("validation_told", mode=mode, restore_best=False, **options))
    for path, w in weights(after(epochs)).items():
        np.testing.assert_array_equal(w, weights(last)[path])
    nan = any(np.isnan(value) for value in values)
    reason = "is NaN, which no later epoch would mend" if nan else "has not improved for"
    assert reason in run.stopped
    assert any(reason in note for note in run.notes)


def test_a_run_that_is_not_stopped_has_the_best_weights_too():
    run = fit_controlled(
        validation=(X, T), metrics=scripted([1, 3, 2]), early_stopping=EarlyStopping("validation_told", mode="max")
    )
    assert (run.stopped, run.best) == (None, {"epoch": 2, "validation_told": 3.0})
    for path, w in weights(fit_controlled(epochs=2)).items():
        np.testing.assert_array_equal(w, weights(run)[path])
    assert "the weights are those of epoch 2, the best" in run.notes


def test_the_direction_follows_from_the_name():
    assert [EarlyStopping(name).mode for name in ("validation_loss", "validation_f1", "validation_auc", "train_loss")] == [
        "min", "max", "max", "min",
    ]  # fmt: skip


def test_early_stopping_that_makes_no_sense():
    for options, text in (
        ({"patience": 0}, "patience"), ({"min_delta": -1}, "min_delta"), ({"min_delta": float("nan")}, "min_delta"),
        ({"mode": "up"}, "mode"), ({"monitor": 3}, "monitor"), ({"patience": True}, "patience"),
    ):  # fmt: skip
        with pytest.raises(bprop.ArgumentError, match=f"EarlyStopping: {text}"):
            EarlyStopping(**options)
    with pytest.raises(bprop.ArgumentError, match="early stopping on 'validation_loss'; measured are train_loss\n"):
        fit_controlled(early_stopping=EarlyStopping())
    with pytest.raises(bprop.ArgumentError, match="measured are train_loss, validation_loss, validation_accuracy"):
        fit_controlled(early_stopping=EarlyStopping("loss"), validation=(X, T))
    with pytest.raises(bprop.ArgumentError, match=r"write EarlyStopping\(…\)"):
        fit_controlled(early_stopping=EarlyStopping)


# --- callbacks ---
class Diary(Callback):
    def __init__(self):
        self.lines = []

    def on_start(self, run):
        self.lines.append("start")

    def on_step(self, run, step, loss):
        self.lines.append(step)

    def on_epoch(self, run, entry):
        self.lines.append(f"epoch {entry['epoch']} of {len(run.history)}")
        entry["twice"] = 2.0 * entry["epoch"]

    def on_end(self, run):
        self.lines.append(run.status)


def test_callbacks_are_called(tmp_path):
    diary, seen = Diary(), []
    run = fit_controlled(
        callbacks=[diary, lambda run, entry: seen.append(entry["twice"])], epochs=2, out=tmp_path / "run"
    )
    assert diary.lines == ["start", 1, 2, 3, 4, 5, "epoch 1 of 0", 6, 7, 8, 9, 10, "epoch 2 of 1", "finished"]
    assert seen == [2.0, 4.0] == [entry["twice"] for entry in run.history]
    assert '"twice": 4.0' in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_a_callback_stops_the_run(tmp_path):
    run = fit_controlled(
        callbacks=[lambda run, entry: run.stop("enough") if entry["epoch"] == 2 else None], out=tmp_path / "a"
    )
    assert (len(run.history), run.stopped, run.status) == (2, "enough", "finished")
    assert "stopped: enough" in run.notes

    class Stop(Diary):
        def on_step(self, run, step, loss):
            if step == 7:
                run.stop("in between")

    diary = Stop()
    run = fit_controlled(callbacks=[diary], out=tmp_path / "b")
    assert (len(run.history), run.stopped, diary.lines[-1]) == (1, "in between", "finished")
    again = fit_controlled(callbacks=[Stop()], out=tmp_path / "b", resume=True)
    assert (len(again.history), again.stopped) == (1, "in between")


def test_a_callback_that_fails_fails_the_run():
    diary = Diary()

    def failing(run, entry):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fit_controlled(callbacks=[diary, failing])
    assert diary.lines[-1] == "failed"


def test_what_is_no_callback():
    for given, text in ((Diary, "a list"), ([Diary], r"write Diary\(…\)"), ([3], "3 is no"), ({}, "a list")):
        with pytest.raises(bprop.ArgumentError, match=text):
            fit_controlled(callbacks=given)


def test_tensorboard_writes_what_its_reader_reads(tmp_path):
    pytest.importorskip("tensorboardX")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = fit_controlled(validation=(X, T), callbacks=[TensorBoard(tmp_path / "events")], out=tmp_path / "run")
    fit_controlled(
        validation=(X, T), callbacks=[TensorBoard(tmp_path / "events")], out=tmp_path / "run", resume=True, epochs=4
    )
    events = accumulator.EventAccumulator(str(tmp_path / "events")).Reload()
    found = events.Scalars("validation/loss")
    assert [event.step for event in found] == [1, 2, 3, 4]
    np.testing.assert_allclose(
        [e.value for e in found[:3]], [entry["validation_loss"] for entry in run.history], rtol=1e-6
    )
    assert {"train/loss", "validation/accuracy", "learning_rate"} <= set(events.Tags()["scalars"])


def test_tensorboard_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(bprop.ArgumentError, match=r"pip install 'bprop\[tensorboard\]'"):
        TensorBoard("folder")


# --- class weights ---
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_weight_counts_an_example_so_often(reduction, compiled):
    """Whole weights on a whole batch: the same as the examples of that class repeated."""
    rows = np.concatenate([np.flatnonzero(T == 0), np.repeat(np.flatnonzero(T == 1), 3)])
    options = {"loss": nn.CrossEntropy(reduction), "epochs": 4, "batch_size": 1000, "dtype": np.float64}
    x = X.astype(np.float64)
    share = len(X) / len(rows) if reduction == "mean" else 1.0  # the mean is over the examples, however they count
    rate = 0.3 if reduction == "mean" else 0.01
    repeated = fit_controlled(data=(x[rows], T[rows]), optimizer=optim.SGD(rate / share), **options)
    weighted = fit_controlled(
        data=(x, T), class_weights={0: 1, 1: 3}, optimizer=optim.SGD(rate), compiled=compiled, **options
    )
    for path, w in weights(repeated).items():
        np.testing.assert_allclose(w, weights(weighted)[path], rtol=1e-9)
    losses = [entry["train_loss"] for entry in weighted.history]
    np.testing.assert_allclose(losses, [entry["train_loss"] / share for entry in repeated.history], rtol=1e-9)


def test_balanced_weights_and_every_kind_of_target():
    """n / (k n_c), as scikit-learn's compute_class_weight has it."""
    counts = np.bincount(T)
    given = {c: 40 / (2 * counts[c]) for c in (0, 1)}
    expected = weights(fit_controlled(class_weights=given))
    for same in (given, [given[0], given[1]], np.array([given[0], given[1]]), "balanced"):
        for path, w in weights(fit_controlled(class_weights=same)).items():
            np.testing.assert_array_equal(w, expected[path])
    column = T[:, None].astype(np.float32)
    runs = [
        fit_controlled(data=(X, column), loss=nn.BinaryCrossEntropy(), class_weights=w) for w in ("balanced", given)
    ]
    for path, w in weights(runs[0]).items():
        np.testing.assert_array_equal(w, weights(runs[1])[path])
    ones = fit_controlled(data=(X, column), loss=nn.BinaryCrossEntropy(), class_weights=[1, 1])
    plain = fit_controlled(data=(X, column), loss=nn.BinaryCrossEntropy())
    for path, w in weights(ones).items():
        np.testing.assert_allclose(w, weights(plain)[path], rtol=1e-5, atol=1e-6)


def test_a_rare_class_is_learned():
    x = RNG.normal(size=(400, 4)).astype(np.float32)
    t = (x[:, 0] + 0.8 * RNG.normal(size=400) > 2).astype(int)
    assert 0 < t.sum() < 30
    recalls = []
    for given in (None, "balanced"):
        run = fit_controlled(data=(x, t), class_weights=given, epochs=15, optimizer=optim.Adam(0.02))
        recalls.append(np.mean(np.asarray(run.model(x)).argmax(axis=1)[t == 1]))
    assert recalls[1] > recalls[0] + 0.2


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ("even", bprop.ArgumentError, "'balanced', a mapping or an array"),
        ({0: 1.0}, bprop.IndexingError, "no weight for class 1"),
        ([1.0], bprop.IndexingError, "no weight for class 1"),
        ({0: -1, 1: 1}, bprop.ArgumentError, "0 or more"),
        ({0: float("nan"), 1: 1}, bprop.ArgumentError, "finite"),
        ([0, 0], bprop.ArgumentError, "not all 0"),
        ({}, bprop.ArgumentError, "0 or more"),
        (3, bprop.ArgumentError, "map labels to numbers"),
        ({"a": 1}, bprop.ArgumentError, "map labels to numbers"),
    ],
)
def test_wrong_class_weights(given, error, text):
    with pytest.raises(error, match=text):
        fit_controlled(class_weights=given)


def test_class_weights_need_classes():
    with pytest.raises(bprop.ArgumentError, match="targets that name classes"):
        fit_controlled(data=(X, X[:, :1]), loss=nn.SquaredError(), class_weights="balanced")


# --- accumulation ---
@pytest.mark.parametrize("loss", [nn.CrossEntropy("mean"), nn.CrossEntropy("sum")], ids=["mean", "sum"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("optimizer", [lambda: optim.SGD(0.02), lambda: optim.Adam(0.01)], ids=["SGD", "Adam"])
def test_accumulated_batches_are_one_large_batch(loss, compiled, optimizer):
    x = X[:37].astype(np.float64)  # 37 = 2 · 15 + 7: the last update has two batches, of which one is short
    options = {"data": (x, T[:37]), "loss": loss, "dtype": np.float64, "class_weights": [1, 2], "compiled": compiled}
    small = fit_controlled(batch_size=5, accumulate=3, optimizer=optimizer(), **options)
    large = fit_controlled(batch_size=15, optimizer=optimizer(), **options)
    for path, w in weights(large).items():
        np.testing.assert_allclose(w, weights(small)[path], rtol=1e-10, atol=1e-12)
    for a, b in zip(small.history, large.history, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-10)


def test_updates_are_counted_not_batches():
    diary = Diary()
    fit_controlled(accumulate=2, epochs=1, callbacks=[diary])
    assert diary.lines == ["start", 1, 2, 3, "epoch 1 of 0", "finished"]


def test_a_loss_that_is_not_finite_while_accumulating():
    x = X.copy()
    x[13, 2] = np.nan
    order = np.asarray(bprop.Generator(0).permutation(40)).tolist()
    number = order.index(13) // 8 + 1
    with pytest.raises(
        bprop.NonFiniteError, match=rf"epoch 1, batch {number} of 5: the inputs.*example 13 of the training"
    ):
        fit_controlled(data=(x, T), accumulate=2)
    for wrong in (0, True, 1.5):
        with pytest.raises(bprop.ArgumentError, match="accumulate is a positive integer"):
            fit_controlled(accumulate=wrong)
