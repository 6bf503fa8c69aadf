"""Every feature with every other, drawn at random: a run that is left and entered again ends as one that never was."""

import random

import numpy as np
import pytest

from bprop import nn, optim
from bprop.optim import schedule
from bprop.train import Callback, EarlyStopping, fit
from support.training import LeftError, cell_bytes, classifier, separable, shuffled_batches, untimed

pytestmark = pytest.mark.usefixtures("no_picture")

X, T = separable(37, seed=3)
batches_of = shuffled_batches(X, T, [3, 14, 15, 30])


class LeaveOnceAt(Callback):
    """Raises after some updates, each time once."""

    def __init__(self, moments):
        self.moments = set(moments)

    def on_step(self, run, step, loss):
        if step in self.moments:
            self.moments.remove(step)
            raise LeftError


RATES = {
    "number": lambda: 0.02,
    "OneCycle": lambda: schedule.OneCycle(0.05, 12),
    "WarmUp": lambda: schedule.WarmUp(schedule.Cosine(0.05, 9), 4, 0.1),
    "PerEpoch": lambda: schedule.PerEpoch(schedule.Exponential(0.05, 0.5), 3),
    "CosineWarmRestarts": lambda: schedule.CosineWarmRestarts(0.05, 3, 2),
}
RULES = {
    "SGD": lambda rate, **o: optim.SGD(rate, 0.9, 0.1, **o),
    "Nesterov": lambda rate, **o: optim.Nesterov(rate, **o),
    "Adam": lambda rate, **o: optim.Adam(rate, amsgrad=True, **o),
    "AdamW": lambda rate, **o: optim.AdamW(rate, **{"weight_decay": {"*.W": 0.1}, **o}),
    "Lion": lambda rate, **o: optim.Lion(rate, **o),
    "RMSprop": lambda rate, **o: optim.RMSprop(rate, momentum=0.5, centered=True, **o),
    "Adagrad": lambda rate, **o: optim.Adagrad(rate, initial_sum=0.1, **o),
    "ProximalGradient": lambda rate, **o: optim.ProximalGradient(rate, {"*W": optim.L1(0.01)}, **o),
}
OPTIONS = [
    {}, {"clip_norm": 0.5}, {"clip_value": 0.1}, {"factors": {"*.b": 2.0}}, {"weight_decay": {"*.b": 0.0, "*": 0.01}},
    {"clip_norm": 0.3, "clip_value": 0.2, "weight_decay": 0.01},
]  # fmt: skip
LOSSES = {
    "mean": lambda: nn.CrossEntropy(),
    "sum": lambda: nn.CrossEntropy("sum"),
    "weighted": lambda: nn.CrossEntropy(weight=[1, 3]),
    "smooth": lambda: nn.CrossEntropy(label_smoothing=0.1),
    "function": lambda: lambda y, t: nn.CrossEntropy().fprop(y, t),
}


def endless():
    while True:
        yield from batches_of(0)


def data_of(kind, folder):
    """Data, and how many batches an epoch has where that has to be said."""
    if kind == "memmap":
        maps = []
        for name, array in (("x", X.astype(np.float64)), ("t", T)):
            file = np.memmap(folder / name, array.dtype, "w+", shape=array.shape)
            file[:] = array
            maps.append(file)
        return tuple(maps), None
    return {
        "arrays": ((X, T), None), "list": (list(batches_of(0)), None), "callable": (batches_of, None),
        "iterator": (endless(), 4), "object": (lambda: endless(), 5),
    }[kind]  # fmt: skip


def drawn(seed):
    """Return the features of a run, as plain values, so that a failure says what it was."""
    choose = random.Random(seed).choice
    source = choose(["arrays", "arrays", "memmap", "list", "callable", "iterator", "object"])
    loss = choose(list(LOSSES))
    return {
        "rule": choose(list(RULES)), "rate": choose(list(RATES)), "options": choose(OPTIONS), "loss": loss,
        "source": source, "dropout": choose([0.0, 0.4]), "frozen": choose([False, False, True]),
        "accumulate": choose([1, 1, 2, 3]), "stopping": choose([None, "validation_loss", "train_loss"]),
        "restore": choose([True, False]), "patience": choose([1, 2, 4]),
        "weights": None if loss == "weighted" else choose([None, {0: 1.0, 1: 2.5}]), "every": choose([None, 1, 2, 5]),
        "batch_size": choose([5, 16, 100]), "epochs": choose([2, 4]), "seed": choose([0, 7]),
    }  # fmt: skip


def fit_features(features, folder, place, compiled, start=0, **more):
    f = features
    model = classifier(4, 5, 2, seed=start, dropout=f["dropout"], dropout_seed=start)
    if f["frozen"]:
        model[0].freeze()
    optimizer = RULES[f["rule"]](RATES[f["rate"]](), **f["options"])
    data, steps = data_of(f["source"], place)
    stopping = None
    if f["stopping"]:
        stopping = EarlyStopping(f["stopping"], patience=f["patience"], restore_best=f["restore"], min_delta=0.01)
    run = fit(
        model, LOSSES[f["loss"]](), optimizer, data, (X[::2], T[::2]), epochs=f["epochs"], batch_size=f["batch_size"],
        steps_per_epoch=steps, accumulate=f["accumulate"], class_weights=f["weights"], seed=f["seed"], out=folder,
        early_stopping=stopping, checkpoint_every=f["every"], compiled=compiled, progress=False, metrics=["f1", "auc"],
        **more,
    )  # fmt: skip
    history = [{name: repr(value) for name, value in entry.items()} for entry in untimed(run.history)]
    return cell_bytes(model, optimizer), history, run.stopped, run.best, run.status


def check(seed, tmp_path, compiled):
    features = drawn(seed)
    whole = fit_features(features, tmp_path / "whole", tmp_path, compiled)
    updates = int(np.frombuffer(whole[0]["optimizer/count"], np.int64)[0])
    rng = random.Random(seed + 1)
    moments = rng.sample(range(1, updates + 1), min(2, updates))
    leave, left = LeaveOnceAt(moments), 0
    while True:  # every attempt has other initial weights, which the checkpoint has to replace
        begun = (tmp_path / "run").exists()
        try:
            again = fit_features(
                features,
                tmp_path / "run",
                tmp_path,
                compiled,
                start=left if begun else 0,
                callbacks=[leave],
                resume=True,
            )
            break
        except LeftError:
            left += 1
    assert left == len(moments)
    assert again == whole, features


@pytest.mark.parametrize("seed", range(16))
def test_resumed_bit_for_bit(seed, tmp_path):
    check(seed, tmp_path, compiled=False)


@pytest.mark.parametrize("seed", [1000])
def test_resumed_bit_for_bit_compiled(seed, tmp_path):
    check(seed, tmp_path, compiled=True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(16, 400))
def test_many_resumed_bit_for_bit(seed, tmp_path):
    check(seed, tmp_path, compiled=False)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(1001, 1016))
def test_many_resumed_bit_for_bit_compiled(seed, tmp_path):
    check(seed, tmp_path, compiled=True)
