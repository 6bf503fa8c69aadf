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
from ..run import METRICS, STATUSES
from ..run import RECORD as RUN
from ..storage import StorageError, held, read
from .model import RECORD as TABLE
from .model import TableModel, restore


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


class Summary(NamedTuple):
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
        found = {
            name: value
            for name, value in last.items()
            if name.startswith("validation_") and isinstance(value, int | float)
        }
        return next(((name.partition("_")[2], v) for name, v in found.items() if not name.endswith("loss")), None)


def summary(folder: Path) -> Summary:
    """Return what the files in ``folder`` say. Raises `StorageError` naming the file, and the field, that is wrong."""
    if not folder.is_dir():
        raise StorageError(f"{folder} is no folder of a run: `bprop runs` lists those there are")
    if not os.path.lexists(folder / RUN):
        if (folder / CHECKPOINT).is_file():  # the first file of a run
            return Summary(folder, "killed", _modified(folder / CHECKPOINT), 0.0, [], {}, [], None)
        raise StorageError(f"{folder} is no run: there is no {RUN} in it")
    run = read_json(folder / RUN)
    status, started = run["status"].choice(STATUSES), run["started"].text()
    seconds, epochs = run["seconds"].number(), run["epochs"].integer()
    notes = [one.text() for one in run["notes"].items()]
    config = dict(run["config"].entries())
    history = _history(folder / METRICS, whole=status == "finished")
    if status == "finished" and len(history) != epochs:
        raise run["epochs"].error(f"it says {epochs}, and {METRICS} holds {len(history)}")
    table = _table(read_json(folder / TABLE)) if (folder / TABLE).exists() else None
    if status == "running":
        status = {True: "running", False: "killed", None: "running or killed"}[held(folder)]
    elif status == "finished" and table is not None and not table.scores:  # as the test rows were about to be measured
        status = "interrupted"
    values = {name: one.value for name, one in config.items()}
    return Summary(folder, status, started, seconds, notes, values, history, table)


def summaries(folder: Path) -> Iterator[tuple[Path, Summary | str]]:
    """Return every folder inside ``folder``, in the order of their names, with its summary or what is wrong with it."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror or error}") from None
    for path in inside:
        try:
            yield path, summary(path)
        except BpropError as error:
            yield path, error.message
        except OSError as error:
            yield path, f"{path}: {reason(error)}"


def _modified(path: Path) -> str:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime).astimezone().isoformat(timespec="seconds")
    except (ValueError, OverflowError):  # a file of the year 10000
        return "unknown"


def _history(path: Path, whole: bool) -> list[dict[str, Any]]:
    """Return the epochs; unless the file is ``whole`` its last line may have been cut off by a kill."""
    content = read(path)
    return read_lines(content if whole else content[: content.rfind(b"\n") + 1], path)


def _table(field: Field) -> TableSummary:
    model, _ = restore(field)
    done = "scores" in field
    return TableSummary(
        model,
        field["table"].text(),
        field["why"].text(),
        field["seed"].integer(most=2**64),
        {name: one.integer() for name, one in field["rows"].entries()},
        [one.text() for one in field["notes"].items()],
        field["best_epoch"].integer() if done else None,
        {name: {k: v.number() for k, v in one.entries()} for name, one in field["scores"].entries()} if done else {},
        field["verdict"].text() if done else "",
        {name: one.number() for name, one in field["influence"].entries()} if done else {},
    )
