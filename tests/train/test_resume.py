"""A run that is left and entered again ends as one that never was; what is said and kept when it cannot be."""

import errno
import os
import resource
import signal
from datetime import timedelta
from functools import partial

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.train import Callback, Checkpoint, EarlyStopping, StorageError, fit
from support.training import At, LeftError, T, X, dropout_classifier, fit_with_dropout, interrupt, shuffled_batches

pytestmark = pytest.mark.usefixtures("no_picture")

fit_validated = partial(fit_with_dropout, validation=(X[::2], T[::2]))
KINDS = {
    "eager": {},
    "compiled": {"compiled": True},
    "accumulating": {"accumulate": 3},
    "weighted": {"class_weights": "balanced"},
    "stopping": {"early_stopping": EarlyStopping("validation_loss", patience=1, min_delta=0.02), "epochs": 9},
    "stream": {"data": shuffled_batches(X, T, 4)},
    "everything, compiled": {
        "compiled": True, "accumulate": 2, "class_weights": {0: 1.0, 1: 2.5}, "metrics": ["f1", "auc"],
        "early_stopping": EarlyStopping("validation_f1", patience=3),
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_at_any_update_bit_for_bit(tmp_path, kind):
    options = KINDS[kind]
    weights, history, whole = fit_validated(None, **options)
    updates = int(np.frombuffer(weights["optimizer/count"], np.int64)[0])
    moments = (1, 2, 3, 4, 5, updates) if not options.get("compiled") else (2, 5)
    for after in moments:
        folder = tmp_path / str(after)
        with pytest.raises(LeftError) as caught:
            fit_validated(folder, callbacks=[At(after)], **options)
        assert "resume=True" in caught.value.__notes__[0]
        again, same, run = fit_validated(
            folder, seed=9, resume=True, **options
        )  # all of another seed's numbers are replaced
        assert again == weights
        assert same == history
        assert (run.stopped, run.best, run.status) == (whole.stopped, whole.best, "finished")
        assert (folder / "model.safetensors").exists()


def test_resumed_again_and_again_after_every_update(tmp_path):
    weights, history, _ = fit_validated(None)
    for after in range(1, 17):
        with pytest.raises(LeftError):
            fit_validated(tmp_path / "run", callbacks=[At(after)], resume=True)
    again, same, run = fit_validated(tmp_path / "run", resume=True)
    assert (again, same) == (weights, history)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == len(run.history) == 4


def test_more_epochs_for_a_finished_run(tmp_path):
    weights, history, _ = fit_validated(None, epochs=6)
    fit_validated(tmp_path / "run")
    for epochs in (4, 5, 6):
        again, same, _ = fit_validated(tmp_path / "run", seed=3, resume=True, epochs=epochs)
    assert (again, same) == (weights, history)
    _, same, run = fit_validated(tmp_path / "run", resume=True, epochs=2)
    assert len(same) == 6
    assert run.status == "finished"


def test_resume_starts_where_there_is_nothing_yet(tmp_path):
    weights, _, _ = fit_validated(None)
    assert fit_validated(tmp_path / "run", resume=True)[0] == weights
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / f".checkpoint.safetensors.{'0' * 32}.part").touch()
    assert fit_validated(tmp_path / "killed", resume=True)[0] == weights
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.jpg").touch()
    with pytest.raises(StorageError, match="not empty"):
        fit_validated(tmp_path / "other", resume=True)
    with pytest.raises(StorageError, match=r"not empty.*or go on with it: resume=True"):
        fit_validated(tmp_path / "run")
    with pytest.raises(bprop.ArgumentError, match="give out="):
        fit_validated(None, resume=True)


def test_the_same_optimizer_goes_on(tmp_path):
    """In a notebook: neither model nor optimizer is made anew, and a callback has changed the learning rate."""

    def slower(run, entry):
        optimizer.learning_rate = 0.02 / (1 + entry["epoch"])

    results = []
    for after in (None, 6):
        model, optimizer = dropout_classifier(), optim.Adam(0.02)
        options = {"epochs": 3, "batch_size": 16, "progress": False, "compiled": False, "out": tmp_path / str(after)}
        if after:
            with pytest.raises(LeftError):
                fit(model, nn.CrossEntropy(), optimizer, (X, T), callbacks=[slower, At(after)], **options)
        fit(model, nn.CrossEntropy(), optimizer, (X, T), callbacks=[slower], resume=bool(after), **options)
        results.append([cell.array.tolist() for cell in [*model.cells().values(), *optimizer.cells().values()]])
    assert results[0] == results[1]


def test_what_a_callback_breaks_off_is_measured_again(tmp_path):
    """The early stopping has counted the epoch already, and has its best model."""
    options = {"early_stopping": EarlyStopping("validation_loss", patience=2, min_delta=0.05), "epochs": 9}
    weights, history, whole = fit_validated(None, **options)
    assert whole.stopped
    for epoch in range(1, len(history) + 1):

        def leave(run, entry, epoch=epoch):
            if entry["epoch"] == epoch:
                raise LeftError

        with pytest.raises(LeftError):
            fit_validated(tmp_path / str(epoch), callbacks=[leave], **options)
        again, same, run = fit_validated(tmp_path / str(epoch), seed=2, resume=True, **options)
        assert (again, same, run.stopped, run.best) == (weights, history, whole.stopped, whole.best)


def test_callbacks_with_a_state_go_on(tmp_path):
    class Sum(Callback):
        def __init__(self):
            self.sum = 0.0

        def on_step(self, run, step, loss):
            self.sum += loss

        def state_dict(self):
            return {"sum": self.sum}

        def load_state_dict(self, state):
            self.sum = state["sum"]

    whole, first, second = Sum(), Sum(), Sum()
    fit_validated(None, callbacks=[whole])
    with pytest.raises(LeftError):
        fit_validated(tmp_path / "run", callbacks=[first, At(6)])
    with pytest.raises(StorageError, match=r"callbacks was \['Sum'\], here it is \[\]"):
        fit_validated(tmp_path / "run", resume=True)
    fit_validated(tmp_path / "run", callbacks=[second], resume=True)
    assert second.sum == whole.sum


def test_checkpoints_in_between(tmp_path):
    seen = []

    class Look(Callback):
        def on_step(self, run, step, loss):
            with Checkpoint(run.folder) as checkpoint:
                seen.append(checkpoint.record["updates"])

    fit_validated(tmp_path / "a", epochs=2, callbacks=[Look()])
    assert seen == [0, 0, 0, 0, 4, 4, 4, 4]
    seen.clear()
    fit_validated(tmp_path / "b", epochs=2, checkpoint_every=3, callbacks=[Look()])
    assert seen == [0, 0, 0, 3, 4, 4, 6, 6]
    seen.clear()
    fit_validated(tmp_path / "c", epochs=2, checkpoint_every=timedelta(0), callbacks=[Look()])
    assert seen == [0, 1, 2, 3, 4, 5, 6, 7]
    for wrong in (0, 1.5, True, "often"):
        with pytest.raises(bprop.ArgumentError, match="checkpoint_every is a positive integer of updates, or"):
            fit_validated(tmp_path / "d", checkpoint_every=wrong)


def test_a_broken_model_is_not_saved(tmp_path):
    """The step makes the weight infinite, which the loss before it does not show: the checkpoint is that before."""

    class Cliff(nn.Module):
        def __init__(self):
            self.w = nn.parameter(np.array([1.0]))

        def fprop(self, x):
            return bprop.sqrt(self.w * x)

    x = np.ones((20, 1))
    x[7] = 0
    network = Cliff()
    with pytest.raises(bprop.NonFiniteError, match=r"batch .*the update makes w non-finite"):
        fit(
            network, nn.SquaredError("sum"), optim.SGD(1e-3), (x, x), batch_size=1, out=tmp_path / "run", progress=False,
            checkpoint_every=1, compiled=False,
        )  # fmt: skip
    with Checkpoint(tmp_path / "run") as checkpoint:
        assert checkpoint.record["updates"] == int(
            np.flatnonzero(np.asarray(bprop.Generator(0).permutation(20)) == 7)[0]
        )
        assert checkpoint.read()["model/w"].tolist() == network.w.tolist()


# --- Ctrl-C ---
@pytest.mark.parametrize("after", [1, 4, 7])
@pytest.mark.usefixtures("default_signals")
def test_interrupted_saves_and_says_how_to_go_on(tmp_path, after):
    weights, history, _ = fit_validated(None)
    with pytest.raises(KeyboardInterrupt, match=rf"interrupted in epoch .*fit\(…, out='{tmp_path}/run', resume=True\)"):
        fit_validated(tmp_path / "run", callbacks=[At(after, interrupt)])
    with Checkpoint(tmp_path / "run") as checkpoint:
        assert checkpoint.record["updates"] == after
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert fit_validated(tmp_path / "run", seed=5, resume=True)[:2] == (weights, history)


@pytest.mark.usefixtures("default_signals")
def test_interrupted_in_validation(tmp_path):
    weights, history, _ = fit_validated(None, metrics={"zero": lambda y, t: 0.0})

    def interrupting(y, t):
        interrupting.calls += 1
        if interrupting.calls == 3:  # the first is the trial
            interrupt()
        return 0.0

    interrupting.calls = 0
    with pytest.raises(KeyboardInterrupt, match="interrupted in epoch 2, after batch 4"):
        fit_validated(tmp_path / "run", metrics={"zero": interrupting})
    assert fit_validated(tmp_path / "run", resume=True, metrics={"zero": lambda y, t: 0.0})[:2] == (weights, history)


@pytest.mark.usefixtures("default_signals")
def test_interrupted_without_a_folder_keeps_the_weights():
    model = dropout_classifier()
    with pytest.raises(KeyboardInterrupt, match="nothing was saved"):
        fit(
            model, nn.CrossEntropy(), optim.Adam(0.02), (X, T), batch_size=16, compiled=False, progress=False,
            callbacks=[At(6, interrupt)],
        )  # fmt: skip
    assert model.layers[0].W.tolist() != dropout_classifier().layers[0].W.tolist()


@pytest.mark.usefixtures("default_signals")
def test_interrupted_twice_ends_at_once(tmp_path, monkeypatch):
    """The second Ctrl-C comes while the checkpoint is being written: the one before is there."""
    weights, history, _ = fit_validated(None)
    fsync, saving = os.fsync, []

    def interrupted(descriptor):
        if saving:
            interrupt()
        fsync(descriptor)

    def first():
        saving.append(True)
        interrupt()

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_validated(tmp_path / "run", callbacks=[At(6, first)])
    monkeypatch.undo()
    with Checkpoint(tmp_path / "run") as checkpoint:
        assert checkpoint.record["updates"] == 4
    assert not list((tmp_path / "run").glob(".*"))
    assert fit_validated(tmp_path / "run", resume=True)[:2] == (weights, history)


# --- disks ---
@pytest.mark.parametrize(
    ("number", "text"),
    [(errno.ENOSPC, "free some space"), (errno.EROFS, "can be written"), (errno.EACCES, "may write"), (errno.EIO, "")],
)
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_disk_that_fails(tmp_path, monkeypatch, call, number, text):
    weights, history, _ = fit_validated(None)
    model, folder = dropout_classifier(), tmp_path / "run"
    original, failing = getattr(os, call), []

    def failed(*arguments, **options):
        if failing:
            raise OSError(number, os.strerror(number))
        return original(*arguments, **options)

    monkeypatch.setattr(os, call, failed)
    with pytest.raises(StorageError, match=rf"run/.*{os.strerror(number)}.*{text}.*(checkpoint before is intact|$)"):
        fit(
            model, nn.CrossEntropy(), optim.Adam(0.02), (X, T), (X[::2], T[::2]), epochs=4, batch_size=16, out=folder,
            compiled=False, progress=False, checkpoint_every=1, callbacks=[At(7, lambda: failing.append(True))],
        )  # fmt: skip
    monkeypatch.undo()
    with Checkpoint(folder) as checkpoint:
        # if only the name could not be flushed, the checkpoint of the seventh is there
        assert checkpoint.record["updates"] == 6
        saved = checkpoint.read()["model/layers.0.W"]
    assert saved.tolist() != model.layers[0].W.tolist()  # the model has the seventh update
    assert not list(folder.glob(".*"))
    assert fit_validated(folder, resume=True)[:2] == (weights, history)


def test_a_system_that_takes_few_bytes_at_a_time(tmp_path, monkeypatch):
    weights, history, _ = fit_validated(None)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, part: write(descriptor, part[:7]))
    fit_validated(tmp_path / "run", epochs=2)
    monkeypatch.undo()
    assert fit_validated(tmp_path / "run", resume=True)[:2] == (weights, history)


def test_files_may_not_grow(tmp_path):
    """A real limit of the system, at which a write ends in the middle."""
    weights, history, _ = fit_validated(None)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit():
        size = (tmp_path / "run" / "checkpoint.safetensors").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))

    try:
        with pytest.raises(StorageError, match=r"File too large: .*ulimit.*The checkpoint before is intact"):
            fit_validated(tmp_path / "run", callbacks=[At(6, limit)], checkpoint_every=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    with Checkpoint(tmp_path / "run") as checkpoint:
        assert checkpoint.record["updates"] == 5
    assert fit_validated(tmp_path / "run", resume=True)[:2] == (weights, history)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="cannot be written: Permission denied: choose a folder"):
        fit_validated(tmp_path)
    with pytest.raises(StorageError, match="cannot be written: Permission denied: choose a folder"):
        fit_validated(tmp_path / "run")


def test_proc_is_no_place_for_a_run():
    with pytest.raises(StorageError, match="the folder /proc/run cannot be written"):
        fit_validated("/proc/run")


def test_a_resumed_epoch_is_replayed_from_where_it_was_resumed(tmp_path):
    """The last update makes a parameter non-finite while all losses are finite: found at the end of the epoch."""
    x = np.sign(X[:24, :2]) / 2
    t = X[:24, :1] / 100
    t[np.asarray(bprop.Generator(5).permutation(24))[-1]] = 3e38

    def attempt(error, **options):
        model = nn.Linear(2, 1, generator=bprop.Generator(1))
        with pytest.raises(error) as caught:
            fit(model, lambda y, t: bprop.mean(bprop.tanh(y) * t), optim.SGD(100.0), (x, t), epochs=1, batch_size=4,
                seed=5, progress=False, **options)  # fmt: skip
        return str(caught.value), np.asarray(model.W).tolist()

    message, W = attempt(bprop.NonFiniteError)
    assert "batch 6 of 6: the loss is" in message
    assert "but the update makes W non-finite" in message
    attempt(LeftError, out=tmp_path / "run", callbacks=[At(3)])
    assert attempt(bprop.NonFiniteError, out=tmp_path / "run", resume=True) == (message, W)
