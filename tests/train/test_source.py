"""Where batches may come from, and what is refused."""

import itertools

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.train import StorageError, fit
from bprop.train.source import digest
from support.training import classifier, fit_eagerly, separable

pytestmark = pytest.mark.usefixtures("no_picture")

X, T = separable(48)


def pairs(x=X, t=T):
    return [(x[k : k + 8], t[k : k + 8]) for k in range(0, len(x), 8)]


def fit_on(data, out=None, **options):
    return fit_eagerly(classifier(4, 6, 2, seed=1), data, **{"epochs": 3, "out": out, **options})


def weights(run):
    return [w.tolist() for w in run.model.parameters().values()]


class Pairs:
    def __iter__(self):
        return iter(pairs())


def test_every_form_gives_the_same():
    expected = fit_on(pairs())
    assert expected.history[-1]["train_loss"] < expected.history[0]["train_loss"]
    forms = {
        "object": Pairs(),
        "generator function": lambda: iter(pairs()),
        "of the epoch": lambda epoch: pairs(),
        "with options": lambda size=8: pairs(),
        "iterator": (itertools.cycle(pairs()), 6),
        "endless, by epoch": (lambda epoch=0: itertools.cycle(pairs()), 6),
        "bprop arrays": [(bprop.asarray(x), bprop.asarray(t)) for x, t in pairs()],
    }
    for name, form in forms.items():
        data, steps = form if isinstance(form, tuple) else (form, None)
        run = fit_on(data, steps_per_epoch=steps)
        assert weights(run) == weights(expected), name
        assert [entry["train_loss"] for entry in run.history] == [entry["train_loss"] for entry in expected.history]


def test_the_number_of_the_epoch_is_given():
    seen = []

    def batches(epoch):
        seen.append(epoch)
        return pairs()

    fit_on(batches)
    assert seen == [1, 1, 2, 3]  # once to try the model on


def test_an_iterator_is_gone_through_once():
    assert len(fit_on(iter(pairs()), epochs=1).history) == 1
    with pytest.raises(bprop.ArgumentError, match=r"an iterator, which can be gone through once, and epochs=3: give"):
        fit_on(iter(pairs()))
    with pytest.raises(bprop.ArgumentError, match="no batches in epoch 3: the iterator ended after 6 batches"):
        fit_on(iter(pairs()), steps_per_epoch=3)
    run = fit_on(iter(pairs()), steps_per_epoch=4, epochs=2)  # the last epoch is shorter
    assert weights(run) == weights(fit_on(lambda epoch: pairs()[:4] if epoch == 1 else pairs()[4:], epochs=2))


def test_batches_are_weighed_by_their_sizes():
    x = [(X[:40], T[:40]), (X[40:], T[40:])]
    run = fit(nn.Linear(4, 2, seed=1), nn.CrossEntropy(), optim.SGD(1e-12), x, epochs=1, compiled=False, progress=False)
    whole = float(nn.CrossEntropy()(run.model(X), T))
    assert run.history[0]["train_loss"] == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        ([], bprop.ArgumentError, "pair"),
        (iter([]), bprop.ShapeError, "no batches"),
        (lambda: 5, bprop.ArgumentError, "returned int, not an iterable"),
        (lambda: [X], bprop.ArgumentError, "epoch 1, batch 1 is a pair"),
        (lambda: [(X, T[:-1])], bprop.ShapeError, "epoch 1, batch 1 has inputs of shape"),
        (lambda: [(X[:, :3], T)], bprop.ShapeError, "train data: Linear"),
        (lambda: [(X[:0], T[:0])], bprop.ShapeError, "no examples"),
        ("digits", bprop.ArgumentError, "pair"),
        ({"x": X}, bprop.ArgumentError, "pair"),
        (X, bprop.ArgumentError, "pair"),
    ],
)
def test_what_is_no_data(data, error, text, tmp_path):
    with pytest.raises(error, match=text):
        fit_on(data, epochs=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_mistakes():
    with pytest.raises(bprop.ArgumentError, match="steps_per_epoch is for batches"):
        fit_on((X, T), steps_per_epoch=3)
    with pytest.raises(bprop.ArgumentError, match="counts the examples of arrays"):
        fit_on(pairs(), class_weights="balanced")
    run = fit_on([(x.astype(np.float64), t) for x, t in pairs()])
    assert run.notes == ["train inputs are float64, the model is float32: converted batch by batch"]


@pytest.mark.parametrize("once", [False, True], ids=["list", "iterator"])
def test_a_loss_that_is_not_finite_stops_before_the_batch(once):
    x = X.copy()
    x[19, 2] = np.inf
    data = pairs(x)
    model = nn.Linear(4, 2, seed=1)
    with pytest.raises(
        bprop.NonFiniteError, match=r"epoch 1, batch 3: the inputs are not finite \(example 3 of the batch"
    ):
        fit(
            model,
            nn.CrossEntropy(),
            optim.SGD(0.1),
            iter(data) if once else data,
            epochs=1,
            compiled=False,
            progress=False,
        )
    other = nn.Linear(4, 2, seed=1)
    fit(other, nn.CrossEntropy(), optim.SGD(0.1), data[:2], epochs=1, compiled=False, progress=False)
    assert model.W.tolist() == other.W.tolist()


def interrupted(folder, data, **options):
    def leave(run, entry):
        if entry["epoch"] == 2:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fit_on(data, folder, callbacks=[leave], checkpoint_every=1, **options)


def test_an_iterator_goes_on_where_it_was(tmp_path):
    expected = fit_on(iter(pairs()), steps_per_epoch=2)
    interrupted(tmp_path / "run", iter(pairs()), steps_per_epoch=2)
    assert weights(fit_on(iter(pairs()), tmp_path / "run", steps_per_epoch=2, resume=True)) == weights(expected)


def test_other_batches_are_noticed(tmp_path):
    interrupted(tmp_path / "run", pairs())
    with pytest.raises(StorageError, match=r"yields other batches than the run .*\(epoch 2, batch 6\)"):
        fit_on(pairs(X + 1), tmp_path / "run", resume=True)
    with pytest.raises(StorageError, match="has fewer batches than the run"):
        fit_on(pairs()[:3], tmp_path / "run", resume=True)
    assert weights(fit_on(pairs(), tmp_path / "run", resume=True)) == weights(fit_on(pairs()))


# --- memory maps ---
def mapped(path, array):
    file = np.memmap(path, dtype=array.dtype, mode="w+", shape=array.shape)
    file[:] = array
    file.flush()
    return np.memmap(path, dtype=array.dtype, mode="r", shape=array.shape)


def test_memory_maps_are_never_read_whole(tmp_path, monkeypatch):
    x, t = mapped(tmp_path / "x", X.astype(np.float64)), mapped(tmp_path / "t", T)
    longest = []
    original = np.ndarray.astype

    class Watched(np.memmap):
        def astype(self, *arguments, **options):
            longest.append(len(self))
            return original(self, *arguments, **options)

    run = fit_on((x.view(Watched), t), validation=(x, t), batch_size=8)
    assert run.notes == [
        "train inputs are float64, the model is float32: converted batch by batch",
        "validation inputs are float64, the model is float32: converted batch by batch",
    ]
    plain = fit_on((X, T), validation=(X, T), batch_size=8)
    assert weights(run) == weights(plain)
    assert run.history[-1]["validation_loss"] == plain.history[-1]["validation_loss"]
    assert all(length <= 8 for length in longest)


def test_large_maps_stay_on_disk(tmp_path):
    """200 MB of zeros that nobody reads: what is taken into memory is far less."""
    import tracemalloc

    x = np.memmap(tmp_path / "x", dtype=np.float32, mode="w+", shape=(200_000, 128))
    t = np.memmap(tmp_path / "t", dtype=np.float32, mode="w+", shape=(200_000, 128))
    model = nn.Linear(128, 128, seed=0)

    class Stop(bprop.train.Callback):
        def on_step(self, run, step, loss):
            run.stop("enough")

    tracemalloc.start()
    run = fit(
        model,
        nn.SquaredError(),
        optim.SGD(0.1),
        (x, t),
        batch_size=100,
        compiled=False,
        progress=False,
        callbacks=[Stop()],
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (run.stopped, run.history) == ("enough", [])
    assert peak < 20_000_000  # the order of the examples is most of it


def test_digests_see_shape_dtype_and_numbers():
    some = [np.zeros(4), np.zeros((2, 2)), np.zeros(8, np.float32), np.ones(4), np.zeros(0), np.zeros((0, 3))]
    assert len({digest(array) for array in some}) == len(some)


def test_without_shuffle_arrays_keep_their_order():
    expected = weights(fit_on(pairs()))
    assert weights(fit_on((X, T), batch_size=8, shuffle=False)) == expected
    assert weights(fit_on((X, T), batch_size=8)) != expected
    with pytest.raises(bprop.ArgumentError, match="shuffle is for arrays"):
        fit_on(pairs(), shuffle=False)
    with pytest.raises(bprop.ArgumentError, match="shuffle"):
        fit_on((X, T), shuffle="no")
