"""Checkpoints: one file with everything that a training needs to go on as if it had never ended.

The arrays are the cells of model, optimizer and loss (parameters, running statistics, slots, learning rate, generators),
the state of the generator that orders the examples, as it was at the beginning of the epoch, and the best model so far. The
record (`FIELDS`) describes the training and how far it has come. See `bprop.train.archive` for the file.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.file import as_path
from . import archive
from .archive import Archive, ArrayEntry
from .record import Field, RecordError

CHECKPOINT = "checkpoint.safetensors"
FORMAT, VERSION = "bprop checkpoint", 1
ORDER = "order/state"
_MAX_NAMED = 20  # arrays in a message


def _at_least_zero(field: Field) -> float:
    return field.number(least=0)


def _from_one(field: Field) -> int:
    return field.integer(1)


def _log(field: Field) -> None:
    lines, size, digest = field.exactly("lines", "bytes", "sha256")
    lines.integer()
    size.integer()
    digest.text()


def _drawn(field: Field) -> None:
    if field.value != {}:
        taken, last = field.exactly("taken", "last")
        taken.integer()
        last.optional(Field.text)


def _stopping(field: Field) -> None:
    best, epoch, stale = field.exactly("best", "epoch", "stale")
    best.optional(Field.number)
    stale.integer()
    if (epoch.integer() == 0) != (best.value is None):
        raise field.error("a best value without its epoch, or the other way round")


FIELDS: dict[str, tuple[str, Callable[[Field], object]]] = {
    "format": (f"{FORMAT!r}", lambda field: field.choice((FORMAT,))),
    "version": (f"{VERSION}, the version that this program reads", lambda field: field.integer(VERSION, VERSION)),
    "epoch": ("the number of the epoch under way, from 1", _from_one),
    "batch": ("how many batches of it are done", Field.integer),
    "updates": ("the number of updates", Field.integer),
    "loss": ("the sum of the losses of the epoch, a finite number", Field.number),
    "examples": ("what the examples done weigh, 0 or more", _at_least_zero),
    "native": ("true or false", Field.truth),
    "schedule": ("the schedule of the learning rate, or null", lambda field: field.optional(Field.text)),
    "epoch_seconds": ("a number, 0 or more", _at_least_zero),
    "seconds": ("a number, 0 or more", _at_least_zero),
    "started": ("a date", Field.text),
    "notes": ("a list of texts", Field.texts),
    "log": ("lines, bytes and sha256 of metrics.jsonl", _log),
    "drawn": ("what was taken from the data", _drawn),
    "stopping": ("best, epoch and stale of the early stopping, or null", lambda field: field.optional(_stopping)),
    "stopped": ("why the training was ended, or null", lambda field: field.optional(Field.text)),
    "callbacks": ("a list of their states", Field.items),
    "epochs": ("the number of epochs wanted", _from_one),
    "config": ("what is trained on what, an object", Field.entries),
    "versions": ("versions of the programs, an object", Field.entries),
}
"""Every field of the record: what it is, for messages, and the check that raises `RecordError` for another value."""


def save(path: Path, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
    """Write a checkpoint, completely or not at all.

    Parameters
    ----------
    path
        The file; the checkpoint before is replaced.
    arrays
        Cells by path, each with the prefix ``model/``, ``optimizer/``, ``loss/`` or ``best/``, and `ORDER`.
    record
        The fields of `FIELDS` except format and version.

    Raises
    ------
    StorageError
        If the file cannot be written. The checkpoint before is then intact.
    """
    archive.write(path, arrays, {"format": FORMAT, "version": VERSION, **record})


class Checkpoint:
    """A checkpoint open for reading: the file and every field of its record are valid. `fits` compares it with a training.

    No array is made before `read`.

    Parameters
    ----------
    folder
        The folder of a run.

    Attributes
    ----------
    record
        The fields of `FIELDS` by name.
    archive
        The file, with dtype and shape of every array.

    Raises
    ------
    StorageError
        If the file cannot be read or is not valid. The message names the file and the field.

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
            self.archive.close()
            raise

    def _check(self) -> None:
        record = Field(self.record, str(self.archive.path), "record")
        for name in ("format", "version"):  # first, since another version may have other fields
            self._check_field(record, name)
        for name in FIELDS:
            self._check_field(record, name)
        for name in self.record:
            if name not in FIELDS:
                self.archive.refuse(f"record.{name}", "unknown")
        self.archive.verify()
        self._check_consistency()

    def _check_consistency(self) -> None:
        """Refuse fields that are valid each by itself, but contradict each other."""
        record = self.record
        epochs_done, stopping = record["epoch"] - 1, record["stopping"]
        for name in ("examples", "loss", "epoch_seconds"):
            if not record["batch"] and record[name]:
                self.archive.refuse(f"record.{name}", f"{record[name]!r:.60} before the first batch of an epoch")
        if record["batch"] and not record["examples"]:
            self.archive.refuse("record.examples", f"none in {record['batch']} batches")
        if record["log"]["lines"] != epochs_done:
            self.archive.refuse("record.log", f"{record['log']['lines']} lines after {epochs_done} epochs")
        if record["updates"] < epochs_done:
            self.archive.refuse("record.updates", f"{record['updates']} in {epochs_done} epochs")
        if stopping is not None and stopping["epoch"] + stopping["stale"] != epochs_done:
            self.archive.refuse(
                "record.stopping", f"epoch {stopping['epoch']} and {stopping['stale']} more are not {epochs_done}"
            )

    def _check_field(self, record: Field, name: str) -> None:
        description, check = FIELDS[name]
        if name not in record.value:
            self.archive.refuse(f"record.{name}", f"missing; it is {description}")
        try:
            check(record[name])
        except RecordError:
            self.archive.refuse(f"record.{name}", f"{record.value[name]!r:.60} is not {description}")

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *error: object) -> None:
        self.archive.close()

    def fits(self, wanted: Mapping[str, NDArray[Any]], config: Mapping[str, Any], callbacks: int) -> None:
        """Compare the checkpoint with the training that is to go on.

        Parameters
        ----------
        wanted
            The arrays of that training by name, without order and best model.
        config
            Its settings and fingerprints as plain values.
        callbacks
            How many of its callbacks have a state.

        Raises
        ------
        StorageError
            If the checkpoint is of another training. The message names every array and setting that differs.
        """
        best = {name for name in self.archive.entries if name.startswith("best/")}
        self._check_arrays(wanted, bool(best))
        self._check_config(config)
        record = self.record
        if len(record["callbacks"]) != callbacks:
            self.archive.refuse("record.callbacks", f"states of {len(record['callbacks'])} callbacks, here {callbacks}")
        stopping = record["stopping"]
        if (stopping is None) != (config.get("early_stopping") is None):
            self.archive.refuse("record.stopping", "does not fit the early stopping")
        keeps_best = bool(stopping and stopping["epoch"] and config["early_stopping"]["restore_best"])
        if keeps_best != bool(best):
            self.archive.refuse("record.stopping", f"{'no' if keeps_best else 'a'} best model is in the file")

    def _check_arrays(self, wanted: Mapping[str, NDArray[Any]], with_best: bool) -> None:
        entries = self.archive.entries
        specs = {name: (array.dtype, array.shape) for name, array in wanted.items()}
        specs[ORDER] = (np.dtype(np.uint64), (2,))
        if with_best:
            model = {name: spec for name, spec in specs.items() if name.startswith("model/")}
            specs |= {f"best/{name.removeprefix('model/')}": spec for name, spec in model.items()}
        wrong = [f"{name} is missing" for name in specs if name not in entries]
        wrong += [f"{name} is unknown here" for name in entries if name not in specs]
        wrong += [
            f"{name} is {_spec_text(entries[name])}, here {dtype}{list(shape)}"
            for name, (dtype, shape) in specs.items()
            if name in entries and entries[name][:2] != (dtype, shape)
        ]
        if wrong:
            more = f", and {len(wrong) - _MAX_NAMED} more" if len(wrong) > _MAX_NAMED else ""
            self.archive.refuse(
                "arrays",
                f"of another model or optimizer: {'; '.join(wrong[:_MAX_NAMED])}{more}. Build them as they were then",
            )

    def _check_config(self, config: Mapping[str, Any]) -> None:
        stored = self.record["config"]
        names = [*config, *(name for name in stored if name not in config)]
        differing = [name for name in names if stored.get(name) != config.get(name)]
        if differing:
            changes = [
                f"{name} was {_shortened(stored.get(name))}, here it is {_shortened(config.get(name))}"
                for name in differing
            ]
            self.archive.refuse(
                f"record.config.{differing[0]}",
                f"of another training: {'; '.join(changes)}. Give what was given then, or train anew in another folder",
            )

    def read(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name."""
        return {name: self.archive.read(name) for name in self.archive.entries}


def _spec_text(entry: ArrayEntry) -> str:
    return f"{entry.dtype}{list(entry.shape)}"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]} …"
