"""`Run`: the record of a training, in memory and, if wanted, in a folder."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from html import escape
from math import isfinite, nan
from pathlib import Path
from typing import Any

from ..core.error import StateError
from ..core.file import as_path, create, reason, remove_leftovers, rewrite, try_writing, write_all
from ..core.printable import printable_lines
from .checkpoint import CHECKPOINT
from .curve import draw
from .record import json_bytes, read_lines
from .storage import LOCK, Lock, StorageError, read, write_whole
from .weight import save_weights

METRICS, CURVES, WEIGHTS, RUN_RECORD = "metrics.jsonl", "curves.png", "model.safetensors", "run.json"
STATUSES = ("running", "finished", "interrupted", "failed")
_MAX_METRICS_BYTES = 1_000_000_000


def to_json(value: Any) -> Any:
    """Return ``value`` as plain JSON values.

    NumPy and bprop scalars become numbers, NaN and infinities null, other objects their ``str``.
    """
    if isinstance(value, Mapping):
        return {str(key): to_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(entry) for entry in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    return str(value)


def canonical_json(value: Any) -> Any:
    """Return ``value`` as plain JSON values that are the same in another process: without addresses of objects."""
    return json.loads(re.sub(r" at 0x[0-9a-fA-F]+", "", json.dumps(to_json(value))))


class Run:
    """What `fit` returns: the record of a training, in memory and, if wanted, in a folder.

    The folder has ``metrics.jsonl`` (one JSON object per epoch, written as the epoch ends), ``checkpoint.safetensors`` (all
    that a resumed run needs), ``model.safetensors`` (the weights alone), ``curves.png`` and ``run.json`` (configuration and
    outcome).

    Parameters
    ----------
    model
        The model that is trained.
    config
        Settings and versions; stored as plain JSON values.
    folder
        The folder, or ``None`` for a record in memory only.

    Attributes
    ----------
    history
        A dict per epoch.
    status
        running, finished, interrupted or failed.
    stopped
        Why a run ended before its last epoch, or ``None``.
    best
        With early stopping, the best value and its epoch.
    notes
        What was noticed on the way.
    seconds
        How long the run has taken.
    """

    def __init__(self, model: Any, config: Mapping[str, Any], folder: str | os.PathLike[str] | None = None) -> None:
        self.model = model
        self.config: dict[str, Any] = to_json(config)
        self.history: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.status = "running"
        self.stopped: str | None = None
        self.best: dict[str, Any] | None = None
        self.started = datetime.now().astimezone().isoformat(timespec="seconds")
        self.seconds = 0.0
        self.folder = None if folder is None else as_path(folder, "the folder of a run")
        self._metrics: int | None = None  # descriptor of the open metrics.jsonl, with its size and digest
        self._bytes, self._digest = 0, hashlib.sha256()

    def stop(self, reason: str) -> None:
        """End the training after the step or epoch at hand; for callbacks. The reason becomes ``stopped``."""
        self.stopped = str(reason)

    def begin(self) -> None:
        """Open the record in a folder that has none yet."""
        if self.folder is not None:
            self._metrics = _descriptor(create, self.folder / METRICS)
            self._write_record(self.folder)

    def resume(self, record: Mapping[str, Any]) -> None:
        """Go on with the record of a checkpoint: lines written after the checkpoint are removed."""
        assert self.folder is not None
        path, log = self.folder / METRICS, record["log"]
        content = b"" if not log["bytes"] else read(path, _MAX_METRICS_BYTES)[: log["bytes"]]
        digest = hashlib.sha256(content)
        if len(content) < log["bytes"] or digest.hexdigest() != log["sha256"]:
            raise StorageError(
                f"{path}: its first {log['lines']} lines are not those that the checkpoint knows: restore the file"
            )
        lines = read_lines(content, path)
        if len(lines) != log["lines"]:
            raise StorageError(f"{path}: is no record of {log['lines']} epochs")
        # JSON has no NaN: null stands for a number that was not finite.
        self.history = [{name: nan if value is None else value for name, value in entry.items()} for entry in lines]
        self.started, self.seconds = record["started"], record["seconds"]
        self.notes = list(record["notes"])
        self.stopped = record["stopped"]
        self._metrics = _descriptor(rewrite, path, content)  # before the leftovers go: no other process writes here
        remove_leftovers(self.folder)
        self._bytes, self._digest = len(content), digest
        self._write_record(self.folder)

    def log(self, entry: Mapping[str, Any]) -> None:
        """Add the record of an epoch; in a folder it is on disk when this returns."""
        self.history.append(dict(entry))
        if self._metrics is not None and self.folder is not None:
            text = (json.dumps(to_json(entry), allow_nan=False) + "\n").encode()
            try:
                write_all(self._metrics, [text])
                os.fsync(self._metrics)
            except OSError as error:
                raise StorageError(f"{self.folder / METRICS}: {reason(error)}") from None
            self._bytes += len(text)
            self._digest.update(text)

    def position(self) -> dict[str, Any]:
        """Return lines, size and digest of metrics.jsonl, for a checkpoint."""
        return {"lines": len(self.history), "bytes": self._bytes, "sha256": self._digest.hexdigest()}

    def save_weights(self) -> None:
        """Write the weights as they are now to the folder, if there is one."""
        if self.folder is not None:
            save_weights(self.model, self.folder / WEIGHTS)

    def finish(self, status: str) -> None:
        """End the run with a ``status`` (finished, interrupted, failed), and write the remaining files of the folder.

        Raises `StorageError` if the folder cannot be written and the run has not failed already.
        """
        self.status = status
        if self._metrics is None or self.folder is None:
            return
        self.close()
        with contextlib.suppress(*[StorageError] if status != "finished" else []):
            self._write_record(self.folder)
            self.save_weights()
            if self.history:
                draw(self.history, self.folder / CURVES, self.config.get("title", ""))

    def close(self) -> None:
        """Close metrics.jsonl."""
        if self._metrics is not None:
            os.close(self._metrics)
            self._metrics = None

    def plot(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Draw the curves of losses and metrics as a PNG.

        Parameters
        ----------
        path
            The file; by default ``curves.png`` in the folder of the run or, without one, in the current folder.

        Returns
        -------
        The path of the file.

        Raises
        ------
        StateError
            Before the first epoch has ended.
        """
        if not self.history:
            raise StateError("Run.plot: no epoch has ended yet, so there is nothing to draw")
        file = as_path(path, "Run.plot: path") if path is not None else (self.folder or Path()) / CURVES
        draw(self.history, file, self.config.get("title", ""))
        return file

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the complete record to a new ``folder``; returns it. Raises `StorageError` if the folder is not empty."""
        path = new_folder(folder)
        lines = [json.dumps(to_json(entry), allow_nan=False) + "\n" for entry in self.history]
        write_whole(path / METRICS, "".join(lines).encode())
        save_weights(self.model, path / WEIGHTS)
        if self.history:
            draw(self.history, path / CURVES, self.config.get("title", ""))
        self._write_record(path)
        return path

    def _write_record(self, folder: Path) -> None:
        record = {
            "status": self.status,
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "epochs": len(self.history),
            "stopped": self.stopped,
            "best": self.best,
            "notes": self.notes,
            "config": self.config,
            "last": self.history[-1] if self.history else None,
        }
        write_whole(folder / RUN_RECORD, json_bytes(to_json(record), indent=2))

    def _repr_html_(self) -> str:
        """The curves, for a notebook."""
        from ..view.page import notebook  # loaded where it is shown
        from .training_page import training_page

        title = str(self.config.get("title") or "training")
        return notebook(
            title, training_page(title, self.history), 420, f"<pre>{escape(printable_lines(repr(self)))}</pre>"
        )

    def __repr__(self) -> str:
        folder = f", {self.folder}" if self.folder else ""
        head = f"Run({self.status}, {len(self.history)} epochs in {self.seconds:.1f} s{folder})"
        rows = self.history if len(self.history) <= 6 else [*self.history[:3], {}, *self.history[-2:]]
        return "\n".join([head, *("  " + epoch_line(row) if row else "  …" for row in rows)])


def epoch_line(entry: Mapping[str, Any]) -> str:
    """Return the record of an epoch as one line of text."""
    texts = [f"epoch {entry['epoch']:>3}"]
    for name, value in entry.items():
        if isinstance(value, float) and name not in ("learning_rate", "seconds"):
            texts.append(f"{name.replace('_', ' ')} {value:.4f}")
    return "  ".join(texts)


def new_folder(path: str | os.PathLike[str], lock: Lock | None = None) -> Path:
    """Make a folder and return it; one that exists must be empty. Raises `StorageError`, naming the reason.

    ``lock`` is acquired before the contents of the folder are read.
    """
    folder = as_path(path, "the folder of a run")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if lock is not None:
            lock.take(folder)
        remove_leftovers(folder)  # of a run that was killed before it had a checkpoint
        if any(path.name != LOCK for path in folder.iterdir()):
            advice = "; or go on with it: resume=True" if (folder / CHECKPOINT).exists() else ""
            raise StorageError(
                f"{folder} exists and is not empty: a run never writes over another; name a new folder{advice}"
            )
        try_writing(folder)
    except StorageError:
        raise
    except FileExistsError:
        raise StorageError(f"{folder} is a file, not a folder") from None
    except OSError as error:
        raise StorageError(f"the folder {folder} cannot be written: {reason(error)}") from None
    return folder


def _descriptor(open_file: Callable[..., int], path: Path, *content: bytes) -> int:
    """Return the file descriptor that ``open_file`` returns; raises `StorageError` instead of `OSError`."""
    try:
        return open_file(path, *content)
    except OSError as error:
        raise StorageError(f"{path}: {reason(error)}") from None
