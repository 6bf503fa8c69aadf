"""Trains in child processes that are killed, and prints how often: run by test_kill.py, in an interpreter of its own.

``killing.py random FOLDER KILLS``: SIGKILL at random instants, the same run resumed again and again, until so many
kills have hit a run that was not yet over. ``killing.py calls FOLDER STRIDE``: the process is killed at its first call to
the operating system that concerns a file, then at a later one, and so on, before the call, in the middle of a write, after
it; with STRIDE 1 all of these moments have their turn.
Each time the checkpoint has to be readable and the resumed run has to end with the weights of one that nobody disturbed.
"""

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

import bprop
from bprop import nn, optim
from bprop.train import Checkpoint, EarlyStopping, fit, run
from bprop.train.checkpoint import CHECKPOINT

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype(np.float32)
T = (X[:, 0] + X[:, 1] > 0).astype(int)
CALLS = ("open", "write", "fsync", "replace", "ftruncate", "close")


def train(folder, seed=0, epochs=3):
    """A small training with everything that has a state."""
    generator = bprop.Generator(seed)
    model = nn.Sequential(
        nn.Linear(3, 4, generator=generator), nn.Dropout(0.3, seed=seed), nn.Linear(4, 2, generator=generator)
    )
    optimizer = optim.Adam(0.02)
    result = fit(
        model, nn.CrossEntropy(), optimizer, (X, T), (X, T), epochs=epochs, batch_size=8, out=folder, resume=True,
        checkpoint_every=1, early_stopping=EarlyStopping(patience=2), compiled=False, progress=False,
    )  # fmt: skip
    arrays = {**model.cells(), **{f"optimizer/{path}": cell for path, cell in optimizer.cells().items()}}
    numbers = {path: cell.array.data.tobytes() for path, cell in arrays.items()}
    history = [{name: value for name, value in entry.items() if name != "seconds"} for entry in result.history]
    return numbers, history, (folder / "model.safetensors").read_bytes()


def child(work, *arguments):
    """Fork; in the child do ``work`` and end without Python's own tidying. Returns its number."""
    number = os.fork()
    if number == 0:
        try:
            work(*arguments)
        finally:
            os._exit(0)
    return number


def readable(folder):
    """Whether there is a checkpoint; one that is there has to be right."""
    if not (folder / CHECKPOINT).exists():
        return False
    with Checkpoint(folder) as checkpoint:
        checkpoint.read()
    return True


def dying(folder, moment):
    """Train until the ``moment``-th third of a call: before it, in the midst of it, after it."""
    passed = 0

    def passing():
        nonlocal passed
        if passed == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    def wrapped(call):
        def method(*arguments, **options):
            passing()
            if call is write:
                half = len(arguments[1]) // 2
                if passed == moment:
                    write(arguments[0], arguments[1][:half])
            passing()
            result = call(*arguments, **options)
            passing()
            return result

        return method

    write = os.write
    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name)))
    train(folder)


def check(folder, expected, seed):
    """Resume with other initial weights, for all of them come from the checkpoint, unless there is none yet."""
    assert train(folder, seed if readable(folder) else 0) == expected, folder
    left = {path.name for path in folder.iterdir()}
    assert left == {"checkpoint.safetensors", "model.safetensors", "metrics.jsonl", "run.json"}, left
    shutil.rmtree(folder)


def by_calls(parent, expected, stride):
    moment = survived = 0
    while True:
        folder = parent / str(moment)
        _, status = os.waitpid(child(dying, folder, moment), 0)
        if not os.WIFSIGNALED(status):
            assert status == 0
            return survived
        if folder.exists():
            check(folder, expected, seed=moment)
        survived += 1
        moment += stride


def at_random(parent, expected, kills):
    rng, folder, survived = random.Random(0), parent / "run", 0
    begin = time.monotonic()
    train(parent / "timed")
    length = time.monotonic() - begin
    while survived < kills:
        number = child(train, folder)
        time.sleep(rng.random() * length * 0.8)
        os.kill(number, signal.SIGKILL)
        _, status = os.waitpid(number, 0)
        over = not os.WIFSIGNALED(status)
        survived += not over
        if folder.exists() and ((readable(folder) and over) or rng.random() < 0.3):
            check(folder, expected, survived)
    return survived


def main():
    run.draw = lambda *arguments: None  # the picture takes longer than the training
    mode, parent, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    expected = train(parent / "whole")
    print((by_calls if mode == "calls" else at_random)(parent, expected, number))


if __name__ == "__main__":
    main()
