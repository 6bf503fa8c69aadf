"""Small trainings: data, models, what is left of a run when its times are taken out, and ways to leave one."""

import signal
from typing import NamedTuple

import numpy as np

import bprop
from bprop import nn, optim
from bprop.train import Callback, Run, fit


def separable(count, seed=0):
    """Return ``count`` examples of four features, and whether the sum of the first two is positive."""
    x = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(int)


def shuffled_batches(x, t, sections):
    """Return a function of the epoch that yields all examples, in an order of that epoch, cut as by `np.array_split`."""

    def batches(epoch):
        order = np.random.default_rng(epoch).permutation(len(x))
        return ((x[rows], t[rows]) for rows in np.array_split(order, sections))

    return batches


def classifier(inputs, hidden, outputs, *, seed=0, dropout=None, dropout_seed=0, dtype=np.float32):
    """Two linear layers with tanh between them, and dropout behind it if a rate is given."""
    generator = bprop.Generator(seed)
    first, last = (nn.Linear(*size, dtype, generator) for size in ((inputs, hidden), (hidden, outputs)))
    middle = [nn.Tanh()] if dropout is None else [nn.Tanh(), nn.Dropout(dropout, seed=dropout_seed)]
    return nn.Sequential(first, *middle, last)


# --- what comes out ---
def cell_bytes(model, optimizer):
    """Return the bits of every cell by its path, as a checkpoint names them."""
    cells = {**model.cells(), **{f"optimizer/{path}": cell for path, cell in optimizer.cells().items()}}
    return {path: cell.array.data.tobytes() for path, cell in cells.items()}


def untimed(history):
    """Return the entries of a history without what no two runs have in common."""
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in history]


class Outcome(NamedTuple):
    """What two runs have in common if they are one: the bits of all cells, the history; and the run."""

    cells: dict[str, bytes]
    history: list[dict[str, object]]
    run: Run


# --- trainings ---
def fit_eagerly(model, data, *, loss=None, optimizer=None, **options):
    """Train a classifier by Adam, uncompiled and silent unless ``options`` say otherwise; return the run."""
    settings = {"compiled": False, "progress": False, **options}
    return fit(model, loss or nn.CrossEntropy(), optimizer or optim.Adam(0.02), data, **settings)


X, T = separable(50)


def dropout_classifier(seed=0):
    return classifier(4, 6, 2, seed=seed, dropout=0.3, dropout_seed=seed)


def fit_with_dropout(folder=None, model=None, optimizer=None, loss=None, data=(X, T), *, seed=0, **options):
    """Train what has a state in every part, a classifier with dropout by Adam, for four epochs; return the `Outcome`."""
    model = model or dropout_classifier(seed)
    optimizer = optimizer or optim.Adam(0.02)
    settings = {"epochs": 4, "batch_size": 16, "out": folder, **options}
    run = fit_eagerly(model, data, loss=loss, optimizer=optimizer, **settings)
    return Outcome(cell_bytes(model, optimizer), untimed(run.history), run)


LINE = np.arange(8, dtype=np.float32)[:, None] / 8


def fit_line(loss=None, model=None, **options):
    """Train one weight and one bias for one epoch: for what is not about the numbers; return the run."""
    settings = {"epochs": 1, **options}
    return fit_eagerly(
        model or nn.Linear(1, 1), (LINE, LINE), loss=loss or nn.SquaredError(), optimizer=optim.SGD(0.01), **settings
    )


def draw_nothing(patch):
    """Let trainings draw no pictures, which take longer than they do; ``patch`` is pytest's `MonkeyPatch`."""
    patch.setattr("bprop.train.run.draw", lambda *arguments: None)
    patch.setattr("bprop.train.table.fit.draw_influence", lambda *arguments: None)


# --- leaving ---
class LeftError(Exception):
    """What ends a training before its time."""


def leave():
    raise LeftError


def interrupt():
    """Do what Ctrl-C does."""
    signal.raise_signal(signal.SIGINT)


class At(Callback):
    """Does something after so many updates: raises `LeftError`, if nothing else is said."""

    def __init__(self, after, action=leave):
        self.after, self.action = after, action

    def on_step(self, run, step, loss):
        if step == self.after:
            self.action()
