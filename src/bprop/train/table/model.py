"""`TableModel`: a network with everything that is needed to apply it to another table, stored beside its weights."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.error import ArgumentError, BpropError
from ...core.value import asarray
from ...nn import Linear, Module, ReLU, Sequential
from ...nn.path import load_cells
from ...ops import Generator
from ..checkpoint import CHECKPOINT, Checkpoint
from ..loop import EVALUATION
from ..record import Field, RecordError, json_bytes, read_json
from ..run import WEIGHTS, to_json
from ..storage import StorageError, run_folder, write_whole
from ..weight import load_weights
from .baseline import probabilities
from .encoding import Encoding
from .score import Scores, classification_scores, regression_scores
from .table import Table
from .target import TASKS, target_values

TABLE_RECORD = "table.json"
FORMAT, VERSION = "bprop table", 1
WIDEST, DEEPEST = 10_000, 100


class Prediction(NamedTuple):
    """What a model says of a table, row by row.

    ``values``: the class (text), or the quantity (float); ``probabilities``: (rows, classes), ``None`` for a regression;
    ``scores``: where the table has the target, else ``None``; ``notes``: what the table had that training had not.
    """

    target: str
    values: list[Any]
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64] | None
    scores: Scores | None
    notes: list[str]

    def rows(self) -> list[dict[str, Any]]:
        """Return a mapping per row: the row's number from 1, the prediction, and the probability of every class."""
        names = [f"probability of {label}" for label in self.classes]
        rows = []
        for row, value in enumerate(self.values):
            entry = {"row": row + 1, self.target: value}
            if self.probabilities is not None:
                entry.update(zip(names, self.probabilities[row].tolist(), strict=True))
            rows.append(entry)
        return rows

    def csv(self) -> str:
        """Return `rows` as CSV, with a header."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["row", self.target, *(f"probability of {label}" for label in self.classes)])
        probabilities = self.probabilities
        for row, value in enumerate(self.values):
            writer.writerow([row + 1, value, *([] if probabilities is None else probabilities[row].tolist())])
        return text.getvalue()


class TableModel:
    """A network for tables; `fit_table` trains one, `load_table_model` reads one from the folder of a run.

    Parameters
    ----------
    encoding
        How columns become inputs.
    target
        The column that is predicted.
    classes
        Its classes, or none for a regression.
    hidden
        Sizes of the hidden layers.
    mean, scale
        Of the target of a regression: its unit.
    generator
        Draws the initial weights.

    Attributes
    ----------
    notes
        Remarks for every prediction.
    """

    def __init__(
        self,
        encoding: Encoding,
        target: str,
        classes: Sequence[str],
        hidden: Sequence[int],
        mean: float = 0.0,
        scale: float = 1.0,
        generator: Generator | None = None,
    ) -> None:
        self.encoding, self.target, self.classes = encoding, target, tuple(classes)
        self.hidden, self.mean, self.scale = list(hidden), mean, scale
        self.notes: list[str] = []
        self._generator = generator or Generator(0)

    @cached_property
    def network(self) -> Sequential:
        """The layers. They are made at the first use, after the number of weights was compared with the file."""
        return network(len(self.encoding.inputs), self.hidden, len(self.classes) or 1, self._generator)

    @property
    def parameters(self) -> int:
        """How many numbers the network has."""
        sizes = [len(self.encoding.inputs), *self.hidden, len(self.classes) or 1]
        return sum((before + 1) * after for before, after in pairwise(sizes))

    @property
    def task(self) -> str:
        """Classification or regression."""
        return TASKS[0] if self.classes else TASKS[1]

    def scaled(self, data: tuple[NDArray[Any], NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return inputs and targets as the network learns them: quantities as (N, 1), without mean and unit."""
        x, t = data
        return data if self.classes else (x, ((t - self.mean) / self.scale)[:, None])

    def outputs(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return, for encoded rows (N, inputs), the probabilities (N, C), or the quantities (N,) in the target's unit."""
        batches = [np.asarray(self.network(asarray(x[i : i + EVALUATION]))) for i in range(0, len(x), EVALUATION)]
        y = np.concatenate(batches)
        return probabilities(y) if self.classes else y[:, 0] * self.scale + self.mean

    def scores(self, y: NDArray[np.float64], t: NDArray[Any]) -> Scores:
        """Return the scores of outputs y for the targets t."""
        return classification_scores(y, t) if self.classes else regression_scores(y, t)

    def predict(self, table: Table) -> Prediction:
        """Return the prediction for every row of a table, and scores if the table has the target.

        Parameters
        ----------
        table
            The table. Columns are found by name, in any order; more than are needed do no harm.

        Raises
        ------
        TableError
            For columns that are missing, and for a cell that cannot be read; the message names row and column.
        """
        if not isinstance(table, Table):
            raise ArgumentError(f"predict: a table, as bprop.train.read_table returns it, not {table!r:.60}")
        x, unseen = self.encoding(table)
        notes = [*self.notes, *unseen]
        trained_with = {column.name for column in self.encoding.columns} | {self.target}
        extra = [name for name in table if name not in trained_with]
        if extra:
            listed = ", ".join(map(repr, extra[:6])) + (", …" if len(extra) > 6 else "")
            notes.append(f"not used, since training did not have it: {listed}")
        y = self.outputs(x)
        scores = self._scores(table, y, notes) if self.target in table.columns else None
        if not self.classes:
            return Prediction(self.target, y.tolist(), (), None, scores, notes)
        values = [self.classes[number] for number in y.argmax(axis=1)]
        return Prediction(self.target, values, self.classes, y, scores, notes)

    def _scores(self, table: Table, y: NDArray[np.float64], notes: list[str]) -> Scores | None:
        try:
            t, cells = target_values(table, self.target, self.classes)
        except BpropError as error:  # a target is not needed for a prediction
            notes.append(f"not scored: {error.message}")
            return None
        usable = t >= 0 if self.classes else ~np.isnan(t)
        unseen = sorted(
            {cell for cell, is_usable in zip(cells, usable, strict=True) if not is_usable and cell is not None}
        )
        if unseen:
            notes.append(f"classes unseen in training are not scored: {', '.join(map(repr, unseen[:5]))}")
        if not usable.any():
            return None
        if not usable.all():
            notes.append(f"scored: the {int(usable.sum()):,} of {len(t):,} rows with a known target")
        return self.scores(y[usable], t[usable])

    def save(self, folder: Path, more: Mapping[str, Any]) -> None:
        """Write the record into the folder of a run, where `fit` writes the weights; ``more`` is what else to record."""
        record = {
            "format": FORMAT,
            "version": VERSION,
            "target": {
                "name": self.target,
                "task": self.task,
                **({"classes": list(self.classes)} if self.classes else {"mean": self.mean, "scale": self.scale}),
            },
            "hidden": self.hidden,
            "columns": self.encoding.record(),
            **more,
        }
        write_whole(folder / TABLE_RECORD, json_bytes(to_json(record), indent=2))

    def __repr__(self) -> str:
        what = f"{len(self.classes)} classes" if self.classes else "a quantity"
        return f"TableModel({self.task} of {self.target!r}: {len(self.encoding.inputs)} inputs → {what})"


def network(inputs: int, hidden: Sequence[int], outputs: int, generator: Generator) -> Sequential:
    """Return inputs → ReLU layers of the sizes ``hidden`` → outputs, in float64.

    >>> import bprop
    >>> from bprop.train.table.model import network
    >>> network(3, [4], 2, bprop.Generator(0))
    Sequential(3 layers, 26 parameters
      (layers.0): Linear(3 → 4, float64)
      (layers.1): ReLU()
      (layers.2): Linear(4 → 2, float64)
    )
    """
    sizes = [inputs, *hidden]
    layers: list[Module] = []
    for before, after in pairwise(sizes):
        layers += [Linear(before, after, np.float64, generator), ReLU()]
    return Sequential(*layers, Linear(sizes[-1], outputs, np.float64, generator))


def load_table_model(folder: str | os.PathLike[str]) -> TableModel:
    """Return the model that `fit_table` stored in the folder of a run.

    Of a training that was interrupted or killed it has the best weights until then, and says so in its ``notes``. Nothing in the
    folder is executed: the record is JSON whose fields are validated one by one, the weights are numbers.

    Parameters
    ----------
    folder
        The folder of the run.

    Raises
    ------
    StorageError
        If a file cannot be read, or a record was changed; the message names the field.
    """
    path = run_folder(folder)
    if not (path / TABLE_RECORD).is_file():
        raise StorageError(f"{path} holds no model of a table: there is no {TABLE_RECORD} in it")
    model, record = restore(read_json(path / TABLE_RECORD))
    file = path / WEIGHTS
    if "scores" not in record and (path / CHECKPOINT).is_file():
        file = path / CHECKPOINT
    _check_size(model, path, file)
    try:
        if file.name == CHECKPOINT:
            _load_best(model, path)
        else:
            load_weights(model.network, file)
    except StorageError:
        raise
    except BpropError as error:  # sizes or names: one of the two files was changed
        raise RecordError(f"{path / TABLE_RECORD} and {file.name} do not belong together: {error.message}") from None
    for name, weight in model.network.parameters().items():
        if not np.isfinite(np.asarray(weight)).all():
            raise StorageError(f"{file}: {name} is not finite")
    return model


def _check_size(model: TableModel, folder: Path, file: Path) -> None:
    """Refuse a record of more weights than are stored, before there is memory for them."""
    try:
        size = file.stat().st_size
    except OSError as error:
        raise StorageError(f"{file}: {error.strerror or error}") from None
    if size < 8 * model.parameters:
        raise RecordError(
            f"{folder / TABLE_RECORD} and {file.name} do not belong together: {model.parameters:,} weights do not fit into "
            f"{size:,} bytes"
        )


def _load_best(model: TableModel, folder: Path) -> None:
    """Give the model the best weights that a training which is not over has had: model.safetensors are its last ones."""
    with Checkpoint(folder) as checkpoint:
        record, archive = checkpoint.record, checkpoint.archive
        entries = {name: entry for name, entry in archive.entries.items() if name.startswith("best/")}
        if sum(entry.end - entry.begin for entry in entries.values()) > 8 * model.parameters:
            archive.refuse("arrays", f"there are more than the {model.parameters:,} numbers of the network")
        best = {name.removeprefix("best/"): archive.read(name) for name in entries}
    if not best:
        raise StorageError(
            f"{folder} cannot predict yet: no epoch of its training has ended; `bprop show` says how to go on"
        )
    load_cells(model.network, best, "load_table_model", str(folder / CHECKPOINT))
    model.notes.append(
        f"the training is not over: these are the weights of epoch {record['stopping']['epoch']}, the best until now"
    )


def restore(field: Field) -> tuple[TableModel, Field]:
    """Return the model that a record describes, its weights still random, and the record."""
    if field["format"].choice((FORMAT,)) and field["version"].integer() != VERSION:
        raise field["version"].error(f"this bprop reads version {VERSION}, not {field['version'].value}")
    target = field["target"]
    name, task = target["name"].text(), target["task"].choice(TASKS)
    encoding = Encoding.restore(field["columns"])
    if any(column.name == name for column in encoding.columns):
        raise field["columns"].error(f"the target {name!r} is among them")
    hidden = [size.integer(1, WIDEST) for size in field["hidden"].items()]
    if not 1 <= len(hidden) <= DEEPEST:
        raise field["hidden"].error(f"there are {len(hidden)} hidden layers")
    if task == "regression":
        mean, scale = target["mean"].number(), target["scale"].number(above=0)
        return TableModel(encoding, name, (), hidden, mean, scale), field
    classes = target["classes"].texts()
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise target["classes"].error("at least two, and each once")
    return TableModel(encoding, name, classes, hidden), field
