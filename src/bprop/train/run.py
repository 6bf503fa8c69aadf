"""`Run`: the record of a training, in memory and, if wanted, in a folder that says by itself what was done."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite, nan
from pathlib import Path
from typing import Any

from ..core.error import StateError
from ..core.file import as_path, create, reason, remove_leftovers, rewrite, try_writing, write_all
from .checkpoint import CHECKPOINT
from .curve import draw
from .record import json_bytes, read_lines
from .storage import LOCK, Lock, StorageError, read, write_whole
from .weight import save_weights

METRICS, CURVES, WEIGHTS, RECORD = "metrics.jsonl", "curves.png", "model.safetensors", "run.json"
STATUSES = ("running", "finished", "interrupted", "failed")
_LONGEST = 1_000_000_000  # bytes of metrics.jsonl


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: NumPy and bprop scalars as numbers, and NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)


def steady(value: Any) -> Any:
    """Return ``value`` as JSON can hold it and another process writes it: without the places of objects in memory."""
    return json.loads(re.sub(r" at 0x[0-9a-fA-F]+", "", json.dumps(plain(value))))


class Run:
    """What `fit` returns: ``history`` (a dict per epoch), ``model``, ``config``, ``status``, ``notes``, ``seconds``, ``folder``.

    ``status`` is running, finished, interrupted or failed; ``stopped`` says why a run ended before its last epoch; ``best``
    is, with early stopping, the value and epoch that were the best. With a ``folder`` it holds ``metrics.jsonl`` (one JSON
    object per epoch, written as the epoch ends), ``checkpoint.safetensors`` (all that a resumed run needs),
    ``model.safetensors`` (the weights alone), ``curves.png`` and ``run.json`` (configuration and outcome).
    """

    def __init__(self, model: Any, config: Mapping[str, Any], folder: str | os.PathLike[str] | None = None) -> None:
        self.model = model
        self.config: dict[str, Any] = plain(config)
        self.history: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.status = "running"
        self.stopped: str | None = None
        self.best: dict[str, Any] | None = None
        self.started = datetime.now().astimezone().isoformat(timespec="seconds")
        self.seconds = 0.0
        self.folder = None if folder is None else as_path(folder, "the folder of a run")
        self._lines: int | None = None  # the open metrics.jsonl, what it holds, and a digest of that
        self._bytes, self._digest = 0, hashlib.sha256()

    def stop(self, reason: str) -> None:
        """End the training after the step or epoch at hand; for callbacks. The reason becomes ``stopped``."""
        self.stopped = str(reason)

    def begin(self) -> None:
        """Open the record in the folder, which has nothing of it yet."""
        if self.folder is not None:
            self._lines = _opened(create, self.folder / METRICS)
            self._record(self.folder)

    def resume(self, record: Mapping[str, Any]) -> None:
        """Go on with the record that belongs to a checkpoint: lines written after it are removed."""
        assert self.folder is not None
        path, known = self.folder / METRICS, record["log"]
        content = b"" if not known["bytes"] else read(path, _LONGEST)[: known["bytes"]]
        if len(content) < known["bytes"] or hashlib.sha256(content).hexdigest() != known["sha256"]:
            raise StorageError(
                f"{path}: its first {known['lines']} lines are not those that the checkpoint knows: restore the file"
            )
        lines = read_lines(content, path)
        if len(lines) != known["lines"]:
            raise StorageError(f"{path}: is no record of {known['lines']} epochs")
        # JSON has no NaN: what is null there was not finite.
        self.history = [{name: nan if one is None else one for name, one in entry.items()} for entry in lines]
        self.started, self.seconds = record["started"], record["seconds"]
        self.notes = list(record["notes"])
        self.stopped = record["stopped"]
        self._lines = _opened(rewrite, path, content)  # first of all: nobody else is at work here
        remove_leftovers(self.folder)
        self._bytes, self._digest = len(content), hashlib.sha256(content)
        self._record(self.folder)

    def log(self, entry: Mapping[str, Any]) -> None:
        """Add the record of an epoch; in a folder it is on disk when this returns."""
        self.history.append(dict(entry))
        if self._lines is not None and self.folder is not None:
            text = (json.dumps(plain(entry), allow_nan=False) + "\n").encode()
            try:
                write_all(self._lines, [text])
                os.fsync(self._lines)
            except OSError as error:
                raise StorageError(f"{self.folder / METRICS}: {reason(error)}") from None
            self._bytes += len(text)
            self._digest.update(text)

    def position(self) -> dict[str, Any]:
        """Return what a checkpoint knows of the record."""
        return {"lines": len(self.history), "bytes": self._bytes, "sha256": self._digest.hexdigest()}

    def save_weights(self) -> None:
        """Write the weights as they are now to the folder, if there is one."""
        if self.folder is not None:
            save_weights(self.model, self.folder / WEIGHTS)

    def finish(self, status: str) -> None:
        """End the run: ``status`` is finished, interrupted or failed; writes what the folder still lacks.

        If it failed already, a folder that cannot be written is no further error.
        """
        self.status = status
        if self._lines is None or self.folder is None:
            return
        self.close()
        with contextlib.suppress(*[StorageError] if status != "finished" else []):
            self._record(self.folder)
            self.save_weights()
            if self.history:
                draw(self.history, self.folder / CURVES, self.config.get("title", ""))

    def close(self) -> None:
        """Close metrics.jsonl."""
        if self._lines is not None:
            os.close(self._lines)
            self._lines = None

    def plot(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Draw the curves of losses and metrics as a PNG; returns its path, by default in the folder, else ``curves.png``.

        Raises `StateError` before the first epoch has ended.
        """
        if not self.history:
            raise StateError("Run.plot: no epoch has ended yet, so there is nothing to draw")
        place = as_path(path, "Run.plot: path") if path is not None else (self.folder or Path()) / CURVES
        draw(self.history, place, self.config.get("title", ""))
        return place

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the whole record to a new ``folder``; returns it. Raises `StorageError` if it exists with something in it."""
        place = new_folder(folder)
        lines = [json.dumps(plain(entry), allow_nan=False) + "\n" for entry in self.history]
        write_whole(place / METRICS, "".join(lines).encode())
        save_weights(self.model, place / WEIGHTS)
        if self.history:
            draw(self.history, place / CURVES, self.config.get("title", ""))
        self._record(place)
        return place

    def _record(self, folder: Path) -> None:
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
        write_whole(folder / RECORD, json_bytes(plain(record), indent=2))

    def __repr__(self) -> str:
        place = f", {self.folder}" if self.folder else ""
        head = f"Run({self.status}, {len(self.history)} epochs in {self.seconds:.1f} s{place})"
        rows = self.history if len(self.history) <= 6 else [*self.history[:3], {}, *self.history[-2:]]
        return "\n".join([head, *("  " + line(row) if row else "  …" for row in rows)])


def line(entry: Mapping[str, Any]) -> str:
    """Return the record of an epoch as one line of text."""
    parts = [f"epoch {entry['epoch']:>3}"]
    for name, value in entry.items():
        if isinstance(value, float) and name not in ("learning_rate", "seconds"):
            parts.append(f"{name.replace('_', ' ')} {value:.4f}")
    return "  ".join(parts)


def new_folder(path: str | os.PathLike[str], lock: Lock | None = None) -> Path:
    """Make a folder and return it; one that is there already must be empty. Raises `StorageError`, naming the reason.

    The folder is taken by ``lock`` before it is looked at.
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


def _opened(make: Callable[..., int], path: Path, *content: bytes) -> int:
    """Return the descriptor that ``make`` gives; `StorageError` where it gives none."""
    try:
        return make(path, *content)
    except OSError as error:
        raise StorageError(f"{path}: {reason(error)}") from None
