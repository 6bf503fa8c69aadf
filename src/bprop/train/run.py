"""`Run`: the record of a training, in memory and, if wanted, in a folder that says by itself what was done."""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any, TextIO

from ..core.error import ArgumentError, StateError
from .curve import draw
from .weight import StorageError, save_weights, write_whole

METRICS, CURVES, WEIGHTS, RECORD = "metrics.jsonl", "curves.png", "model.safetensors", "run.json"


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


class Run:
    """What `fit` returns: ``history`` (a dict per epoch), ``model``, ``config``, ``status``, ``notes``, ``seconds``, ``folder``.

    With a ``folder`` it holds ``metrics.jsonl`` (one JSON object per epoch, written as the epoch ends), ``model.safetensors``
    (the weights after the last epoch), ``curves.png`` and ``run.json`` (configuration and outcome).
    """

    def __init__(self, model: Any, config: Mapping[str, Any], folder: str | os.PathLike[str] | None = None) -> None:
        self.model = model
        self.config: dict[str, Any] = plain(config)
        self.history: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.status = "running"
        self.started = datetime.now().astimezone().isoformat(timespec="seconds")
        self.seconds = 0.0
        self.folder: Path | None = None
        self._lines: TextIO | None = None
        if folder is not None:
            self.folder = new_folder(folder)
            self._lines = _open(self.folder / METRICS)
            self._record(self.folder)

    def log(self, entry: Mapping[str, Any]) -> None:
        """Add the record of an epoch; in a folder it is on disk when this returns, as are the weights."""
        self.history.append(dict(entry))
        if self._lines is not None and self.folder is not None:
            self._lines.write(json.dumps(plain(entry), allow_nan=False) + "\n")
            self._lines.flush()
            save_weights(self.model, self.folder / WEIGHTS)

    def finish(self, status: str) -> None:
        """End the run: ``status`` is finished, interrupted or failed; writes what the folder still lacks."""
        self.status = status
        if self._lines is not None and self.folder is not None:
            self._lines.close()
            self._lines = None
            save_weights(self.model, self.folder / WEIGHTS)
            if self.history:
                draw(self.history, self.folder / CURVES, self.config.get("title", ""))
            self._record(self.folder)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Draw the curves of losses and metrics as a PNG; returns its path, by default in the folder, else ``curves.png``.

        Raises `StateError` before the first epoch has ended.
        """
        if not self.history:
            raise StateError("Run.plot: no epoch has ended yet, so there is nothing to draw")
        place = Path(path) if path is not None else (self.folder or Path()) / CURVES
        draw(self.history, place, self.config.get("title", ""))
        return place

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the whole record to a new ``folder``; returns it. Raises `StorageError` if it exists with something in it."""
        place = new_folder(folder)
        with _open(place / METRICS) as file:
            file.writelines(json.dumps(plain(entry), allow_nan=False) + "\n" for entry in self.history)
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
            "notes": self.notes,
            "config": self.config,
            "last": self.history[-1] if self.history else None,
        }
        text = json.dumps(plain(record), indent=2, ensure_ascii=False, allow_nan=False)
        write_whole(folder / RECORD, (text + "\n").encode())

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


def new_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder and return it; one that is there already must be empty. Raises `StorageError`, naming the reason."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ArgumentError(f"the folder of a run is a path, not {path!r}")
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise StorageError(f"{folder} exists and is not empty: a run never writes over another; name a new folder")
        probe = folder / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except StorageError:
        raise
    except FileExistsError:
        raise StorageError(f"{folder} is a file, not a folder") from None
    except OSError as error:
        raise StorageError(f"the folder {folder} cannot be written: {error.strerror or error}") from None
    return folder


def _open(path: Path) -> TextIO:
    try:
        return open(path, "w", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from None
