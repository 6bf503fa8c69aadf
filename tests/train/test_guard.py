"""What a training has to bear: a second one in its folder, signals, readers that have gone, callbacks that change its course."""

import errno
import fcntl
import io
import json
import os
import signal
import threading

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.optim import schedule
from bprop.train import Callback, EarlyStopping, StorageError, evaluate, fit
from bprop.train.loop import EVALUATION
from support.training import At, LeftError, T, X, dropout_classifier, fit_with_dropout, leave, separable

pytestmark = pytest.mark.usefixtures("no_picture")


# --- one training at a time ---
def test_two_trainings_do_not_share_a_folder(tmp_path):
    weights, *_ = fit_with_dropout()
    refused = []

    def second():
        for options in ({}, {"resume": True}):
            with pytest.raises(StorageError, match=rf"another training \(process {os.getpid()} on .*\) writes to this"):
                fit_with_dropout(tmp_path / "run", **options)
            refused.append(options)

    with pytest.raises(LeftError):
        fit_with_dropout(tmp_path / "run", callbacks=[At(5, second), At(6, leave)])
    assert len(refused) == 2
    assert not (tmp_path / "run" / ".bprop.lock").exists()
    assert fit_with_dropout(tmp_path / "run", resume=True)[0] == weights


def test_a_lock_ends_with_its_process(tmp_path):
    (tmp_path / ".bprop.lock").write_text("process 1 on another")  # left by one that was killed
    fit_with_dropout(tmp_path, epochs=1)
    assert not (tmp_path / ".bprop.lock").exists()
    ours, theirs = os.pipe(), os.pipe()
    number = os.fork()
    if number == 0:
        try:
            fit_with_dropout(
                tmp_path,
                resume=True,
                epochs=3,
                callbacks=[At(5, lambda: (os.write(ours[1], b"."), os.read(theirs[0], 1)))],
            )
        finally:
            os._exit(0)
    os.read(ours[0], 1)
    with pytest.raises(StorageError, match=f"process {number} on"):
        fit_with_dropout(tmp_path, resume=True, epochs=3)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    assert fit_with_dropout(tmp_path, resume=True, epochs=3)[0] == fit_with_dropout(epochs=3)[0]
    for one in (*ours, *theirs):
        os.close(one)


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    fit_with_dropout(tmp_path / "run", epochs=1)
    assert not (tmp_path / "run" / ".bprop.lock").exists()


def test_a_lock_that_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    """The file is opened, its owner ends and removes it, and then it is locked: a lock on a file that is gone."""
    flock, path, locked = fcntl.flock, tmp_path / "run" / ".bprop.lock", []

    def late(descriptor, how):
        if not locked:
            path.unlink()
        locked.append(path.exists())
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    fit_with_dropout(tmp_path / "run", epochs=1)
    assert locked[:2] == [False, True]  # then those of the files that are written


# --- signals ---
@pytest.mark.usefixtures("default_signals")
def test_a_scheduler_ends_the_run(tmp_path):
    weights, *_ = fit_with_dropout()
    with pytest.raises(
        KeyboardInterrupt, match=rf"terminated in epoch 2, after batch 2: saved in {tmp_path}/run"
    ) as caught:
        fit_with_dropout(tmp_path / "run", callbacks=[At(6, lambda: signal.raise_signal(signal.SIGTERM))])
    assert caught.value.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    assert fit_with_dropout(tmp_path / "run", resume=True)[0] == weights


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("default_signals")
def test_a_handler_of_the_user_stays(number):
    seen = []
    before = signal.signal(number, lambda *arguments: seen.append(1))
    try:
        *_, run = fit_with_dropout(callbacks=[At(2, lambda: signal.raise_signal(number))])
    finally:
        signal.signal(number, before)
    assert (seen, run.status) == ([1], "finished")


@pytest.mark.usefixtures("default_signals")
def test_a_signal_that_comes_too_late_is_passed_on(tmp_path):
    class Late(Callback):
        def on_end(self, run):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit_with_dropout(tmp_path / "run", callbacks=[Late()])
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"


def test_where_sigint_is_ignored_that_is_said(tmp_path, default_signals):
    """As under nohup, and in jobs in the background: SIGTERM still ends the training and saves it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    said = io.StringIO()
    calls = [At(2, lambda: signal.raise_signal(signal.SIGINT)), At(6, lambda: signal.raise_signal(signal.SIGTERM))]
    with pytest.raises(KeyboardInterrupt, match="terminated in epoch 2"):
        fit_with_dropout(tmp_path / "run", callbacks=calls, progress=said)
    assert (
        f"SIGINT is ignored by this process, so Ctrl-C does nothing: to end the training and save it, send SIGTERM (kill {os.getpid()})"
        in said.getvalue()
    )
    assert json.loads((tmp_path / "run" / "run.json").read_text())["notes"][0].startswith("terminated")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    said = io.StringIO()
    fit_with_dropout(progress=said)
    assert "so Ctrl-C does nothing\n" in said.getvalue()


def test_in_another_thread_signals_are_not_touched():
    found = []
    thread = threading.Thread(
        target=lambda: found.append((fit_with_dropout().run.status, signal.getsignal(signal.SIGTERM)))
    )
    thread.start()
    thread.join()
    assert found == [("finished", signal.SIG_DFL)]


# --- whoever reads ---
def test_nobody_reads_any_further(tmp_path):
    weights, *_ = fit_with_dropout()
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    again, _, run = fit_with_dropout(tmp_path / "run", progress=stream)
    assert (again, run.status) == (weights, "finished")
    with pytest.raises(BrokenPipeError):
        stream.close()
    assert fit_with_dropout(progress=stream)[0] == weights  # closed by now
    for wrong in ("yes", 1):
        with pytest.raises(bprop.ArgumentError, match="progress is True, False or a stream"):
            fit_with_dropout(progress=wrong)


# --- what changes on the way ---
def test_a_callback_ends_the_schedule(tmp_path):
    """Which a resumed run must not follow again."""

    def slower(run, entry):
        if entry["epoch"] == 1:
            optimizers[-1].learning_rate = 0.001

    def go(folder=None, **options):
        models.append(dropout_classifier())
        optimizers.append(optim.Adam(schedule.Exponential(0.05, 0.9)))
        options = {"callbacks": [slower], **options}
        return fit_with_dropout(folder, models[-1], optimizers[-1], **options)[0]

    models, optimizers = [], []
    weights = go()
    with pytest.raises(LeftError):
        go(tmp_path / "run", callbacks=[slower, At(10, leave)])
    with pytest.raises(LeftError):  # the same optimizer, which has no schedule any more
        fit_with_dropout(tmp_path / "run", models[-1], optimizers[-1], callbacks=[slower, At(13, leave)], resume=True)
    assert go(tmp_path / "run", resume=True) == weights


def test_a_callback_sets_another_schedule(tmp_path):
    def other(run, entry):
        if entry["epoch"] == 1:
            optimizers[-1].learning_rate = schedule.Cosine(0.03, 30)

    def go(first, folder=None, more=(), **options):
        optimizers.append(optim.SGD(first))
        return fit_with_dropout(folder, optimizer=optimizers[-1], callbacks=[other, *more], **options)[0]

    optimizers = []
    weights = go(schedule.Exponential(0.05, 0.9))
    with pytest.raises(LeftError):
        go(schedule.Exponential(0.05, 0.9), tmp_path / "run", [At(10, leave)])
    with pytest.raises(StorageError, match=r"record\.schedule: the run goes on with Cosine.*here is Exponential"):
        go(schedule.Exponential(0.05, 0.9), tmp_path / "run", resume=True)
    assert go(schedule.Cosine(0.03, 30), tmp_path / "run", resume=True) == weights


def test_a_schedule_that_shows_its_place_in_memory(tmp_path):
    class Halving(schedule.Schedule):
        def rate_at(self, t):
            return 0.1 * 0.5**t

    with pytest.raises(LeftError):
        fit_with_dropout(tmp_path / "run", optimizer=optim.SGD(Halving()), callbacks=[At(6, leave)])
    kept = Halving()
    assert repr(Halving()) != repr(kept)
    again = fit_with_dropout(tmp_path / "run", optimizer=optim.SGD(Halving()), resume=True)[0]
    assert again == fit_with_dropout(optimizer=optim.SGD(Halving()))[0]


def test_frozen_layers_are_compared(tmp_path):
    model = dropout_classifier()
    model[0].freeze()
    fit_with_dropout(tmp_path / "run", model, optim.SGD(0.1), epochs=1)
    with pytest.raises(StorageError, match=r"frozen was \['layers.0.W', 'layers.0.b'\], here it is \[\]"):
        fit_with_dropout(tmp_path / "run", dropout_classifier(), optim.SGD(0.1), resume=True)


def test_native_code_that_was_given_up_stays_given_up(tmp_path):
    """A model that looks at numbers in the short batch alone; before, a resumed run began with native code again."""

    class Curious(nn.Module):
        def __init__(self):
            self.inner = dropout_classifier()

        def fprop(self, x):
            y = self.inner(x)
            if x.shape[0] < 16 and bool(bprop.sum(y) > 1e9):
                return -y
            return y

    def go(folder=None, **options):
        return fit_with_dropout(folder, Curious(), compiled=True, **options)

    weights, _, run = go()
    assert any("no native code" in note for note in run.notes)
    with pytest.raises(LeftError):
        go(tmp_path / "run", callbacks=[At(9, leave)])
    again, _, run = go(tmp_path / "run", resume=True)
    assert again == weights
    assert run.config["compiled"] is False


def test_measures_that_are_no_number_stay_so(tmp_path):
    options = {"validation": (X, np.zeros(50, int)), "metrics": ["auc"]}  # one class only
    with pytest.raises(LeftError):
        fit_with_dropout(tmp_path / "run", callbacks=[At(9, leave)], **options)
    *_, run = fit_with_dropout(tmp_path / "run", resume=True, **options)
    assert [np.isnan(entry["validation_auc"]) for entry in run.history] == [True] * 4


def test_a_state_that_a_callback_does_not_take(tmp_path):
    class Picky(Callback):
        def state_dict(self):
            return {"a": 1}

        def load_state_dict(self, state):
            raise KeyError("b")

    with pytest.raises(LeftError):
        fit_with_dropout(tmp_path / "run", callbacks=[Picky(), At(6, leave)])
    with pytest.raises(StorageError, match=r"record\.callbacks: not taken: KeyError: 'b'"):
        fit_with_dropout(tmp_path / "run", callbacks=[Picky()], resume=True)


def test_the_end_is_told_even_if_the_record_cannot_be_written(tmp_path, monkeypatch):
    told = []

    class End(Callback):
        def on_end(self, run):
            told.append(run.status)

    replace = os.replace

    def full(source, target):
        if os.path.basename(target) == "run.json":
            raise OSError(errno.ENOSPC, "full")
        replace(source, target)

    with pytest.raises(StorageError, match=r"run\.json: full"):
        fit_with_dropout(tmp_path / "run", callbacks=[End(), At(13, lambda: monkeypatch.setattr(os, "replace", full))])
    assert told == ["finished"]


# --- what is refused at once ---
def test_refused_before_the_folder_is_made(tmp_path):
    cases = [
        ({"optimizer": optim.LBFGS()}, r"fit: LBFGS needs E at several points.*optimizer\.minimise"),
        ({"loss": nn.CrossEntropy(weight=[1, 2]), "class_weights": [1, 2]}, "weigh the examples in one place"),
        ({"loss": nn.CrossEntropy(ignore_index=-1), "class_weights": [1, 2]}, "loss with ignore_index=-1"),
        ({"data": (X, np.array(["a", "b"] * 25))}, "dtype <U1 is not supported"),
        ({"early_stopping": EarlyStopping()}, "measured are train_loss"),
    ]
    for options, text in cases:
        with pytest.raises(bprop.BpropError, match=text):
            fit_with_dropout(tmp_path / "run", **options)
        assert not (tmp_path / "run").exists()
    for wrong in (5, "", b""):
        with pytest.raises(bprop.ArgumentError, match="the folder of a run is a path"):
            fit_with_dropout(wrong)


def test_targets_that_are_not_finite_are_named():
    t = X[:, :1].copy()
    t[17] = np.nan
    with pytest.raises(bprop.NonFiniteError, match=r"the targets are not finite \(example 17 of the training data\)"):
        fit_with_dropout(model=nn.Linear(4, 1), loss=nn.SquaredError(), data=(X, t))


def test_a_batch_that_does_not_fit_is_named():
    with pytest.raises(bprop.IndexingError, match="fit: epoch 1, batch 3: CrossEntropy: label 6 with 2 classes"):
        fit_with_dropout(data=[(X, T), (X, T), (X, T + 6)])


class Cliff(nn.Module):
    """√(w x): the loss of x = 0 is finite, its gradient is not."""

    def __init__(self):
        self.w = nn.parameter(np.array([1.0]))

    def fprop(self, x):
        return bprop.sqrt(self.w * x)


@pytest.mark.parametrize("once", [False, True], ids=["list", "iterator"])
def test_an_update_of_few_batches_at_the_end_that_fails(once):
    one = np.ones((2, 1))
    data = [(one, one), (one, one), (one * 0, one * 0)]
    model = Cliff()
    with pytest.raises(bprop.NonFiniteError, match=r"epoch 1, batch 3.*the update makes w non-finite"):
        fit_with_dropout(model=model, optimizer=optim.SGD(1e-3), loss=nn.SquaredError(), data=iter(data) if once else data,
              accumulate=2, epochs=1)  # fmt: skip
    assert np.isfinite(np.asarray(model.w)).all()


# --- means over batches that do not count alike ---
LABELS = np.where(np.arange(50) % 3 == 0, -1, T)


@pytest.mark.parametrize(
    ("loss", "t"),
    [
        (nn.CrossEntropy(weight=[1, 5]), T),
        (nn.CrossEntropy(ignore_index=-1), LABELS),
        (nn.CrossEntropy(weight=[1, 5], ignore_index=-1, label_smoothing=0.1), LABELS),
        (nn.NegativeLogLikelihood(weight=[1, 5]), T),
        (nn.MultiClassHinge(weight=[1, 5]), T),
        (nn.CrossEntropy(weight=[1, 5]), np.eye(2, dtype=np.float32)[T]),
        (nn.CrossEntropy("sum", weight=[1, 5], ignore_index=-1), LABELS),
        (nn.SquaredError(), np.eye(2, dtype=np.float32)[T]),
    ],
    ids=str,
)
def test_the_loss_of_an_epoch_is_that_of_all_its_examples(loss, t):
    model = nn.Linear(4, 2, np.float64, seed=1)
    x = X.astype(np.float64)
    whole = float(loss(model(x), t))
    *_, run = fit_with_dropout(model=model, loss=loss, data=(x, t), optimizer=optim.SGD(1e-14), epochs=1, batch_size=7)
    assert run.history[0]["train_loss"] == pytest.approx(whole, rel=1e-10)
    long = np.tile(x, (50, 1)), np.concatenate([t] * 50)  # several pieces
    assert len(long[0]) > 2 * EVALUATION
    assert evaluate(model, loss, long)["loss"] == pytest.approx(float(loss(model(long[0]), long[1])), rel=1e-10)
    results = []
    for options in ({"batch_size": 5, "accumulate": 4}, {"batch_size": 20}):
        model = nn.Linear(4, 2, np.float64, seed=1)
        fit_with_dropout(model=model, loss=loss, data=(x, t), optimizer=optim.SGD(0.01), epochs=2, **options)
        results.append(np.asarray(model.W))
    np.testing.assert_allclose(*results, rtol=1e-10)


def test_a_piece_without_any_label_that_counts():
    loss, model, (x, t) = nn.CrossEntropy(ignore_index=-1), nn.Linear(4, 2, seed=1), separable(3 * EVALUATION)
    t[EVALUATION : 2 * EVALUATION] = -1
    assert evaluate(model, loss, (x, t))["loss"] == pytest.approx(float(loss(model(x), t)), rel=1e-6)
    assert np.isnan(evaluate(model, loss, (X, np.full(50, -1)))["loss"])


def test_a_frozen_model_is_named():
    model, optimizer = nn.Linear(3, 1, seed=0, dtype="float64"), optim.SGD(0.1)
    data = np.ones((4, 3)), np.ones((4, 1))
    fit(model, nn.MeanSquaredError(), optimizer, data, epochs=1, progress=False)
    model.freeze()
    with pytest.raises(bprop.ArgumentError, match=r"Linear has no trainable parameters.*unfreeze"):
        fit(model, nn.MeanSquaredError(), optimizer, data, epochs=1, progress=False)
