"""Reading runs back: what was trained, on what, and how well, from the files in their folders."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from ...core.error import BpropError
from ...core.file import reason
from ..checkpoint import CHECKPOINT
from ..record import Field, read_json, read_lines
from ..run import METRICS, RUN_RECORD, STATUSES
from ..storage import StorageError, is_locked, read, run_folder
from .model import TABLE_RECORD, TableModel, restore


class TableSummary(NamedTuple):
    """What table.json records besides the model. Of an interrupted run there are no scores."""

    model: TableModel
    table: str
    why: str
    seed: int
    rows: dict[str, int]
    notes: list[str]
    best_epoch: int | None
    scores: dict[str, dict[str, float]]
    verdict: str
    influence: dict[str, float]


class RunSummary(NamedTuple):
    """What the files in the folder of a run say: its status, when it began, its settings, its epochs, its table if any.

    ``status`` is finished, interrupted, failed, running, or killed if no living process holds the folder of a run that says
    it runs; "running or killed" where the system cannot tell.
    """

    folder: Path
    status: str
    started: str
    seconds: float
    notes: list[str]
    config: dict[str, Any]
    history: list[dict[str, Any]]
    table: TableSummary | None

    @property
    def task(self) -> str:
        """What was learned, in a few words."""
        if self.table is not None:
            return f"{self.table.model.task} of {self.table.model.target}"
        return str(self.config.get("title") or "training").partition(" (")[0]

    @property
    def resumable(self) -> bool:
        """Whether the run did not reach its end, and has a checkpoint from which it goes on."""
        return self.status not in ("finished", "running") and (self.folder / CHECKPOINT).is_file()

    @property
    def score(self) -> tuple[str, float] | None:
        """The name and value of the first score of the network on held-out rows, else the last measured in training."""
        if self.table is not None:
            return next(iter(self.table.scores.get("network", {}).items()), None)
        last = self.history[-1] if self.history else {}
        for name, value in last.items():
            is_measure = name.startswith("validation_") and not name.endswith("loss")
            if is_measure and isinstance(value, int | float):
                return name.removeprefix("validation_"), value
        return None


def read_summary(folder: Path) -> RunSummary:
    """Return what the files in ``folder`` say. Raises `StorageError` naming the file, and the field, that is wrong."""
    run_folder(folder)
    if not os.path.lexists(folder / RUN_RECORD):
        if (folder / CHECKPOINT).is_file():  # the first file of a run
            return RunSummary(folder, "killed", _modified(folder / CHECKPOINT), 0.0, [], {}, [], None)
        raise StorageError(f"{folder} is no run: there is no {RUN_RECORD} in it")
    run = read_json(folder / RUN_RECORD)
    status, started = run["status"].choice(STATUSES), run["started"].text()
    seconds, epochs = run["seconds"].number(), run["epochs"].integer()
    notes = run["notes"].texts()
    config = {name: field.value for name, field in run["config"].entries()}
    history = _history(folder / METRICS, is_complete=status == "finished")
    if status == "finished" and len(history) != epochs:
        raise run["epochs"].error(f"it says {epochs}, and {METRICS} holds {len(history)}")
    table = _table(read_json(folder / TABLE_RECORD)) if (folder / TABLE_RECORD).exists() else None
    if status == "running":
        status = {True: "running", False: "killed", None: "running or killed"}[is_locked(folder)]
    elif status == "finished" and table is not None and not table.scores:  # as the test rows were about to be measured
        status = "interrupted"
    return RunSummary(folder, status, started, seconds, notes, config, history, table)


def read_summaries(folder: Path) -> Iterator[tuple[Path, RunSummary | str]]:
    """Return every folder inside ``folder``, in the order of their names, with its summary or what is wrong with it."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror or error}") from None
    for path in inside:
        try:
            yield path, read_summary(path)
        except BpropError as error:
            yield path, error.message
        except OSError as error:
            yield path, f"{path}: {reason(error)}"


def _modified(path: Path) -> str:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime).astimezone().isoformat(timespec="seconds")
    except (ValueError, OverflowError):  # a file of the year 10000
        return "unknown"


def _history(path: Path, is_complete: bool) -> list[dict[str, Any]]:
    """Return the epochs; the last line of a file that is not complete may have been cut off by a kill."""
    content = read(path)
    return read_lines(content if is_complete else content[: content.rfind(b"\n") + 1], path)


def _table(field: Field) -> TableSummary:
    model, _ = restore(field)
    is_measured = "scores" in field
    scores = field["scores"].entries() if is_measured else ()
    return TableSummary(
        model,
        field["table"].text(),
        field["why"].text(),
        field["seed"].integer(most=2**64),
        {name: rows.integer() for name, rows in field["rows"].entries()},
        field["notes"].texts(),
        field["best_epoch"].integer() if is_measured else None,
        {name: _numbers(by_measure) for name, by_measure in scores},
        field["verdict"].text() if is_measured else "",
        _numbers(field["influence"]) if is_measured else {},
    )


def _numbers(field: Field) -> dict[str, float]:
    return {name: number.number() for name, number in field.entries()}
