"""Many steps in one native call leave no trace: weights, records, errors and endings are those of single steps, bit for bit."""

import io
import os
import signal
import threading
from datetime import timedelta

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.compile.frontend import compiled_call as step
from bprop.compile.runtime.executable import Program
from bprop.train import Callback, Checkpoint, EarlyStopping, fit
from bprop.train.checkpoint import CHECKPOINT
from bprop.train.chunk import CHUNK_SECONDS, ChunkSizer
from bprop.train.progress import Progress
from support.training import LeftError, cell_bytes, classifier, fit_eagerly, untimed

pytestmark = pytest.mark.usefixtures("no_picture")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(44, 4)).astype(np.float32)
T = (X[:, 0] + X[:, 1] > 0.4).astype(int) + (X[:, 2] > 1)


@pytest.fixture
def stretch(monkeypatch):
    """Set how many steps one native call does; returns a list of how many it did."""
    done = []
    repeat = Program.repeat

    def counted(self, table, strides, count):
        done.append(count)
        return repeat(self, table, strides, count)

    def choose(steps):
        done.clear()

        class Fixed(ChunkSizer):
            def __init__(self):
                self.max_steps, self._step_seconds = steps, 0.0

            def record_duration(self, count, seconds):
                pass

        monkeypatch.setattr("bprop.train.training.ChunkSizer", Fixed)
        monkeypatch.setattr(step, "SIGNAL_SECONDS", 1e9)  # seconds, in which a loop would be one native call
        monkeypatch.setattr(Program, "repeat", counted)
        return done

    return choose


def fit_natively(loss=None, data=(X, T), **options):
    """Train a small network with dropout and running momentum; return run, weights and what is recorded."""
    model, optimizer = classifier(4, 5, 3, seed=1, dropout=0.2, dropout_seed=3), optim.Adam(0.02)
    settings = {"compiled": True, "epochs": 2, "batch_size": 4, "seed": 5, **options}
    run = fit_eagerly(model, data, loss=loss, optimizer=optimizer, **settings)
    return run, cell_bytes(model, optimizer), untimed(run.history)


def state(*holders):
    return [cell.array.data.tobytes() for holder in holders for cell in holder.cells().values()]


def batch_by_batch(size=4, seed=5):
    """Return what yields the same batches, one after the other, in the order that `fit` draws."""

    def batches(epoch):
        generator = bprop.Generator(seed)
        order = [np.asarray(generator.permutation(len(X))) for _ in range(epoch)][-1]
        for start in range(0, len(X), size):
            yield X[order[start : start + size]], T[order[start : start + size]]

    return batches


def test_the_same_bits_as_single_steps(stretch):
    done = stretch(1)
    run, weights, record = fit_natively(validation=(X, T))
    assert set(done) == {1}
    for steps, counts in ((4, [4, 4, 3]), (1000, [11])):
        done = stretch(steps)
        _, again, same = fit_natively(validation=(X, T))
        assert done == counts * 2
        assert (again, same) == (weights, record)
    done = stretch(1000)
    _, again, same = fit_natively(data=batch_by_batch(), validation=(X, T))  # nothing is gathered natively here
    assert (done, again, same) == ([], weights, record)
    assert run.config["compiled"]


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 5},
        {"accumulate": 3, "batch_size": 8},
        {"accumulate": 2, "loss": nn.CrossEntropy(ignore_index=2), "class_weights": None},
        {"class_weights": "balanced"},
        {"loss": nn.CrossEntropy(weight=[1.0, 2.0, 0.5])},
        {"loss": nn.CrossEntropy(reduction="sum")},
        {"data": (np.asfortranarray(X), T.astype(">i4"))},
        {"data": (X[::2].astype(np.float64), T[::2])},
        {"early_stopping": EarlyStopping("train_loss", patience=1, min_delta=10)},
    ],
    ids=["short-last", "accumulate", "ignored", "balanced", "weights", "sum", "layout", "converted", "stopping"],
)
def test_every_setting_gives_the_same_bits(options, stretch):
    done = stretch(1)
    _, weights, record = fit_natively(**options)
    assert set(done) == {1}
    done = stretch(1000)
    _, again, same = fit_natively(**options)
    assert max(done) > 1
    assert (again, same) == (weights, record)


def test_memory_maps_are_gathered_in_place(stretch, tmp_path):
    np.save(tmp_path / "x.npy", X.astype(np.float64))
    np.save(tmp_path / "t.npy", T)
    data = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xt"]
    done = stretch(1000)
    run, weights, record = fit_natively(data=tuple(data))
    assert done == [11, 11]
    assert "converted batch by batch" in run.notes[0]
    assert (weights, record) == fit_natively()[1:]
    np.save(tmp_path / "x.npy", np.asfortranarray(X))  # a layout that native code does not read
    done = stretch(1000)
    assert fit_natively(data=(np.load(tmp_path / "x.npy", mmap_mode="r"), T))[1:] == (weights, record)
    assert not done


def test_it_stops_wherever_something_has_to_happen(stretch, tmp_path):
    done = stretch(1000)
    fit_natively(checkpoint_every=4, out=tmp_path / "a")
    assert done == [4, 4, 3, 1, 4, 4, 2]  # after 4, 8, 12 … updates, and at the end of the epoch
    done = stretch(1000)
    fit_natively(accumulate=3, checkpoint_every=1, out=tmp_path / "b")
    assert done == [3, 3, 3, 2] * 2

    class Count(Callback):
        def on_step(self, run, step, loss):
            seen.append((step, loss))
            if step == 7:
                run.stop("enough")

    seen = []
    done = stretch(1000)
    fit_natively(callbacks=[Count()])
    assert [step for step, _ in seen] == list(range(1, 8))
    assert done == [1] * 7


def test_checkpoints_by_time(tmp_path, monkeypatch):
    """With no time to wait, there is one before each update, and one at the end."""
    updates, replace = [], os.replace

    def replaced(source, target):
        replace(source, target)
        if os.path.basename(target) == CHECKPOINT:
            with Checkpoint(tmp_path / "run") as checkpoint:
                updates.append(checkpoint.record["updates"])

    monkeypatch.setattr(os, "replace", replaced)
    fit_natively(checkpoint_every=timedelta(0), out=tmp_path / "run", epochs=1)
    assert sorted(set(updates)) == list(range(12))


def test_resumed_in_the_middle_of_an_epoch(stretch, tmp_path):
    stretch(1000)
    _, weights, record = fit_natively(epochs=3)

    def leave(self, number=[0]):  # noqa: B006
        number[0] += 1
        if number[0] == 5:
            raise LeftError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bprop.train.training.Training.pause", leave)
        with pytest.raises(LeftError):
            fit_natively(epochs=3, checkpoint_every=4, out=tmp_path / "run")
    _, again, same = fit_natively(epochs=3, checkpoint_every=4, out=tmp_path / "run", resume=True)
    assert (again, same) == (weights, record)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("what", ["inputs", "loss", "update", "once"])
def test_numbers_that_are_not_finite_amid_a_stretch(stretch, what, accumulate):
    """The batch is named, and the parameters are as before it."""
    x, t = X.copy(), T.copy()
    order = np.asarray(bprop.Generator(5).permutation(len(X)))
    if what == "inputs":
        x[order[26]] = np.nan  # of the seventh batch of four
    if what == "once":
        t[order[26]] = 4
    said, left = [], []
    loss = {"inputs": nn.CrossEntropy(), "loss": Grows(1e9), "update": Grows(1e36), "once": infinite}[what]
    for steps in (1, 1000):
        stretch(steps)
        generator = bprop.Generator(1)
        model = nn.Sequential(nn.Linear(4, 3, generator=generator), nn.Dropout(0.2, seed=3))
        rule = optim.SGD(1.0)
        with pytest.raises(bprop.NonFiniteError) as caught:
            fit(model, loss, rule, (x, t), epochs=2, batch_size=4, seed=5, progress=False, accumulate=accumulate)
        said.append(caught.value.message)
        left.append(state(model, rule))
    assert said[0] == said[1]
    assert left[0] == left[1]
    if what == "inputs":
        assert f"epoch 1, batch 7 of 11: the inputs are not finite (example {order[26]} of the training" in said[0]
    elif what == "once":
        assert "epoch 1, batch 7 of 11: the loss is inf" in said[0]
    else:
        assert "epoch 1, batch 1 of" not in said[0]


def infinite(y, t):
    """An error that is infinite for one label, and nothing else is."""
    return nn.CrossEntropy()(y, t % 3) + bprop.sum(bprop.where(t > 3, np.inf, 0.0))


class Grows(nn.Loss):
    """An error whose gradient grows with the outputs, so that descent diverges."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def fprop(self, y, t):
        return bprop.mean(y * y * y * y) * self.factor


class Refuses(nn.Module):
    """Reads an index out of range as soon as an input is large."""

    shift = bprop.asarray([0.0, 0.1, 0.2], dtype="float32")

    def fprop(self, x):
        return x + bprop.take(self.shift, bprop.astype(x[:, :1], "int64"))


def test_an_error_amid_a_stretch_names_its_batch(stretch):
    x = np.abs(X) / 10
    order = np.asarray(bprop.Generator(5).permutation(len(X)))
    x[order[26], 0] = 7
    said, left = [], []
    for steps in (1, 1000):
        stretch(steps)
        model = nn.Sequential(nn.Linear(4, 3, generator=bprop.Generator(1)), nn.Tanh())
        model = nn.Sequential(Refuses(), *model)
        rule = optim.Adam(0.01)
        with pytest.raises(bprop.IndexingError, match=r"fit: epoch 1, batch 7: .* out of range") as caught:
            fit(model, nn.CrossEntropy(), rule, (x, T), epochs=2, batch_size=4, seed=5, progress=False)
        said.append(caught.value.message)
        left.append(state(model, rule))
    assert said[0] == said[1]
    assert left[0] == left[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("default_signals")
def test_a_signal_amid_a_stretch_is_heeded_after_it(stretch, tmp_path, monkeypatch, number):
    done = stretch(5)
    _, weights, record = fit_natively(epochs=3)
    done = stretch(5)
    repeat = Program.repeat

    def signalled(self, *arguments):
        if len(done) == 4:  # the second of the second epoch
            timer = threading.Timer(0.0, os.kill, (os.getpid(), number))
            timer.start()
            timer.join()
        return repeat(self, *arguments)

    monkeypatch.setattr(Program, "repeat", signalled)
    name = "interrupted" if number == signal.SIGINT else "terminated"
    with pytest.raises(KeyboardInterrupt, match=f"{name} in epoch 2, after batch 10: saved in"):
        fit_natively(epochs=3, out=tmp_path / "run")
    monkeypatch.setattr(Program, "repeat", repeat)
    assert fit_natively(epochs=3, out=tmp_path / "run", resume=True)[1:] == (weights, record)


@pytest.mark.usefixtures("default_signals")
def test_ctrl_c_during_a_native_call_waits_for_its_end(stretch):
    stretch(10**9)
    x = RNG.normal(size=(100_000, 2)).astype(np.float32)
    model = nn.Linear(2, 2)
    timers = []

    class Begin(Callback):
        def on_epoch(self, run, entry):
            if not timers:
                timers.append(threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)))
                timers[0].start()

    with pytest.raises(KeyboardInterrupt, match=r"after batch (50000|0):"):
        fit(model, nn.SquaredError(), optim.SGD(1e-3), (x, x), epochs=10**6, batch_size=2, callbacks=[Begin()],
            progress=False)  # fmt: skip
    timers[0].join()
    assert all(np.isfinite(cell.array.data).all() for cell in model.cells().values())


def test_every_batch_is_reported(stretch, monkeypatch):
    reported = []
    monkeypatch.setattr(Progress, "batch", lambda self, epoch, loss, count=1: reported.append((epoch, count, loss)))
    stretch(4)
    _, _, record = fit_natively()
    assert [count for _, count, _ in reported] == [4, 4, 3] * 2
    assert [epoch for epoch, _, _ in reported] == [1] * 3 + [2] * 3
    monkeypatch.undo()

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    assert fit_natively(progress=terminal)[2] == record
    assert "epoch 2/2" in terminal.getvalue()


def test_a_stretch_grows_to_its_time():
    sizer, step = ChunkSizer(), 1e-4
    sizer.record_duration(1, 0.4)  # the first was compiled
    assert sizer.max_steps == 1
    seen = []
    for _ in range(6):
        seen.append(sizer.max_steps)
        sizer.record_duration(sizer.max_steps, sizer.max_steps * step)
    assert seen[:3] == [1, 8, 64]
    assert sizer.max_steps == pytest.approx(CHUNK_SECONDS / step, abs=1)
    assert sizer.steps_within(0.01) == pytest.approx(100, abs=1)
    assert sizer.steps_within(-1) == sizer.steps_within(0) == 1
    assert sizer.steps_within(1e9) == sizer.max_steps
    sizer.record_duration(sizer.max_steps, 100.0)  # the machine has other things to do
    assert sizer.max_steps == 1


def test_batches_of_one_shape_weigh_the_same_only_where_the_loss_says_so():
    def own(kind):
        return type("Own", (kind,), {"count": lambda self, t, axes: float(np.sum(t))})()

    losses = [nn.SquaredError(), nn.CrossEntropy(), nn.MultiClassHinge(weight=[1.0, 2.0, 3.0])]
    assert all(loss.even for loss in losses)
    uneven = [nn.CrossEntropy(weight=[1.0, 2.0, 3.0]), nn.CrossEntropy(ignore_index=1)]
    uneven += [own(kind) for kind in (nn.SquaredError, nn.CrossEntropy, nn.MultiClassHinge)]
    assert not any(loss.even for loss in uneven)
