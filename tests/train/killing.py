"""Trains in child processes that are killed, and prints how often: run by test_kill.py, in an interpreter of its own.

The folder ``tests`` has to be on the path.

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

from bprop import nn, optim
from bprop.train import Checkpoint, EarlyStopping, fit, run
from bprop.train.checkpoint import CHECKPOINT
from support.training import cell_bytes, classifier, separable, untimed

X, T = separable(24)
CALLS = ("open", "write", "fsync", "replace", "ftruncate", "close")


def fit_on(folder, seed=0, epochs=3):
    """A small training with everything that has a state."""
    model = classifier(4, 4, 2, seed=seed, dropout=0.3, dropout_seed=seed)
    optimizer = optim.Adam(0.02)
    result = fit(
        model, nn.CrossEntropy(), optimizer, (X, T), (X, T), epochs=epochs, batch_size=8, out=folder, resume=True,
        checkpoint_every=1, early_stopping=EarlyStopping(patience=2), compiled=False, progress=False,
    )  # fmt: skip
    return cell_bytes(model, optimizer), untimed(result.history), (folder / "model.safetensors").read_bytes()


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
    fit_on(folder)


def check(folder, expected, seed):
    """Resume with other initial weights, for all of them come from the checkpoint, unless there is none yet."""
    assert fit_on(folder, seed if readable(folder) else 0) == expected, folder
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
    fit_on(parent / "timed")
    length = time.monotonic() - begin
    while survived < kills:
        number = child(fit_on, folder)
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
    expected = fit_on(parent / "whole")
    print((by_calls if mode == "calls" else at_random)(parent, expected, number))


if __name__ == "__main__":
    main()
