"""Checkpoints: everything that a training needs to go on as if it had never ended, in one file.

The arrays are the cells of model, optimizer and loss (parameters, running statistics, slots, learning rate, generators),
the state of the generator that orders the examples, as it was at the beginning of the epoch, and the best model so far. The
record says how far the training has come, and of what (`FIELDS`). See `bprop.train.archive` for the file.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.file import as_path
from . import archive
from .archive import Archive, Entry

CHECKPOINT = "checkpoint.safetensors"
FORMAT, VERSION = "bprop checkpoint", 1
ORDER = "order/state"


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _number(value: Any) -> bool:
    return _count(abs(value)) if type(value) is int else isinstance(value, float) and isfinite(value)


def _optional(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _stopping(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"best", "epoch", "stale"}
        and _optional(_number)(value["best"])
        and _count(value["epoch"])
        and _count(value["stale"])
        and (value["best"] is None) == (value["epoch"] == 0)
    )


def _drawn(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() not in ({"taken", "last"}, set()):
        return False
    return not value or (_count(value["taken"]) and _optional(_text)(value["last"]))


def _log(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"lines", "bytes", "sha256"}:
        return False
    return _count(value["lines"]) and _count(value["bytes"]) and _text(value["sha256"])


FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "format": (f"{FORMAT!r}", lambda value: value == FORMAT),
    "version": (f"{VERSION}, the version that this program reads", lambda value: value == VERSION and _count(value)),
    "epoch": ("the number of the epoch under way, from 1", lambda value: _count(value) and value > 0),
    "batch": ("how many batches of it are done", _count),
    "updates": ("the number of updates", _count),
    "loss": ("the sum of the losses of the epoch, a finite number", _number),
    "examples": ("what the examples done weigh, 0 or more", lambda value: _number(value) and value >= 0),
    "native": ("true or false", lambda value: isinstance(value, bool)),
    "schedule": ("the schedule of the learning rate, or null", _optional(_text)),
    "epoch_seconds": ("a number, 0 or more", lambda value: _number(value) and value >= 0),
    "seconds": ("a number, 0 or more", lambda value: _number(value) and value >= 0),
    "started": ("a date", _text),
    "notes": ("a list of texts", lambda value: isinstance(value, list) and all(map(_text, value))),
    "log": ("lines, bytes and sha256 of metrics.jsonl", _log),
    "drawn": ("what was taken from the data", _drawn),
    "stopping": ("best, epoch and stale of the early stopping, or null", _optional(_stopping)),
    "stopped": ("why the training was ended, or null", _optional(_text)),
    "callbacks": ("a list of their states", lambda value: isinstance(value, list)),
    "epochs": ("the number of epochs wanted", lambda value: _count(value) and value > 0),
    "config": ("what is trained on what, an object", lambda value: isinstance(value, dict)),
    "versions": ("versions of the programs, an object", lambda value: isinstance(value, dict)),
}


def save(path: Path, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. Raises `StorageError`; the one before is then still there."""
    archive.write(path, arrays, {"format": FORMAT, "version": VERSION, **record})


class Checkpoint:
    """A checkpoint open for reading, of which everything is known to be right but whether it fits this training.

    Raises `StorageError` naming the file and the field that is wrong; no array is made before `read`.

    >>> import bprop, os, tempfile
    >>> from bprop import nn, optim
    >>> from bprop.train import Checkpoint, fit
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = fit(nn.Linear(1, 1), nn.SquaredError(), optim.SGD(0.1), ([[1.0]], [[2.0]]),
    ...               epochs=2, progress=False, out=os.path.join(folder, "run"))
    ...     with Checkpoint(run.folder) as checkpoint:
    ...         print(checkpoint.record["epoch"], checkpoint.record["batch"])
    3 0
    """

    def __init__(self, folder: Any) -> None:
        self.archive = Archive(as_path(folder, "Checkpoint: the folder") / CHECKPOINT)
        self.record = self.archive.record
        try:
            self._check()
        except BaseException:
            self.archive.__exit__()
            raise

    def _check(self) -> None:
        for name in ("format", "version"):  # first of all: another version may have other fields
            self._field(name)
        unknown = [name for name in self.record if name not in FIELDS]
        for name in FIELDS:
            self._field(name)
        if unknown:
            self.archive.refuse(f"record.{unknown[0]}", "unknown")
        self.archive.verify()
        self._agree()

    def _agree(self) -> None:
        """Refuse fields that are possible, each by itself, but not together."""
        record = self.record
        past, stopping = record["epoch"] - 1, record["stopping"]
        for name in ("examples", "loss", "epoch_seconds"):
            if not record["batch"] and record[name]:
                self.archive.refuse(f"record.{name}", f"{record[name]!r:.60} before the first batch of an epoch")
        if record["batch"] and not record["examples"]:
            self.archive.refuse("record.examples", f"none in {record['batch']} batches")
        if record["log"]["lines"] != past:
            self.archive.refuse("record.log", f"{record['log']['lines']} lines after {past} epochs")
        if record["updates"] < past:
            self.archive.refuse("record.updates", f"{record['updates']} in {past} epochs")
        if stopping is not None and stopping["epoch"] + stopping["stale"] != past:
            self.archive.refuse(
                "record.stopping", f"epoch {stopping['epoch']} and {stopping['stale']} more are not {past}"
            )

    def _field(self, name: str) -> None:
        what, check = FIELDS[name]
        if name not in self.record:
            self.archive.refuse(f"record.{name}", f"missing; it is {what}")
        if not check(self.record[name]):
            self.archive.refuse(f"record.{name}", f"{self.record[name]!r:.60} is not {what}")

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *error: object) -> None:
        self.archive.__exit__()

    def fits(self, wanted: Mapping[str, NDArray[Any]], config: Mapping[str, Any], callbacks: int) -> None:
        """Raise `StorageError` unless the checkpoint is of this training: names every array and setting that differs."""
        entries = self.archive.entries
        best = {name: entry for name, entry in entries.items() if name.startswith("best/")}
        specs = {name: (array.dtype, array.shape) for name, array in wanted.items()}
        specs[ORDER] = (np.dtype(np.uint64), (2,))
        if best:
            specs |= {
                f"best/{name.partition('/')[2]}": spec for name, spec in specs.items() if name.startswith("model/")
            }
        wrong = [f"{name} is missing" for name in specs if name not in entries]
        wrong += [f"{name} is unknown here" for name in entries if name not in specs]
        wrong += [
            f"{name} is {_spec(entries[name])}, here {dtype}{list(shape)}"
            for name, (dtype, shape) in specs.items()
            if name in entries and entries[name][:2] != (dtype, shape)
        ]
        if wrong:
            more = f", and {len(wrong) - 20} more" if len(wrong) > 20 else ""
            self.archive.refuse(
                "arrays", f"of another model or optimizer: {'; '.join(wrong[:20])}{more}. Build them as they were then"
            )
        known = self.record["config"]
        names = [*config, *(name for name in known if name not in config)]
        differing = [
            f"{name} was {_shown(known.get(name))}, here it is {_shown(config.get(name))}"
            for name in names
            if known.get(name) != config.get(name)
        ]
        if differing:
            self.archive.refuse(
                f"record.config.{next(n for n in names if known.get(n) != config.get(n))}",
                f"of another training: {'; '.join(differing)}. Give what was given then, or train anew in another folder",
            )
        if len(self.record["callbacks"]) != callbacks:
            self.archive.refuse(
                "record.callbacks", f"states of {len(self.record['callbacks'])} callbacks, here {callbacks}"
            )
        stopping = self.record["stopping"]
        if (stopping is None) != (config.get("early_stopping") is None):
            self.archive.refuse("record.stopping", "does not fit the early stopping")
        keeps = bool(stopping and stopping["epoch"] and config["early_stopping"]["restore_best"])
        if keeps != bool(best):
            self.archive.refuse("record.stopping", f"{'no' if keeps else 'a'} best model is in the file")

    def read(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {name: self.archive.read(name) for name in self.archive.entries}


def _spec(entry: Entry) -> str:
    return f"{entry.dtype}{list(entry.shape)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]} …"
