"""`fit_table`: from a table and the name of its target to a trained model, its scores beside baselines, and influences."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ...core.error import ArgumentError
from ...core.number import integer, whole_number
from ...nn import CrossEntropy, SquaredError
from ...ops import Generator
from ...optim import Adam
from ..callback import RecordWriter
from ..layer_record import LayerRecord
from ..loop import fit
from ..run import Run
from ..stopping import EarlyStopping
from .baseline import baselines
from .encoding import Encoding
from .model import DEEPEST, TABLE_RECORD, WIDEST, TableModel
from .resume import check_same_task, fingerprint
from .score import Scores, row_losses, verdict
from .sensitivity import draw_influence, sensitivity
from .table import Table
from .target import RowSplit, Target, find_target, split

INFLUENCE = "influence.png"
NETWORK = "network"
PATIENCE = 20
"""Epochs without a smaller validation loss after which training ends, by default."""


@dataclass
class TableResult:
    """What `fit_table` returns.

    Attributes
    ----------
    model
        The trained model.
    run
        The record of the training.
    parts
        The rows for training, validation and test.
    scores
        The scores on the test rows, of the network and of both baselines.
    verdict
        A sentence that compares them.
    influence
        How strongly each column moves the output.
    best_epoch
        The epoch whose weights the model has.
    notes
        What was noticed on the way.
    """

    model: TableModel
    run: Run
    parts: RowSplit
    scores: dict[str, Scores]
    verdict: str
    influence: dict[str, float]
    best_epoch: int
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        lines = [repr(self.model), f"  {len(self.parts.test)} test rows, weights of epoch {self.best_epoch}"]
        lines += [
            f"  {name}: {', '.join(f'{k} {v:.4g}' for k, v in scores.items())}" for name, scores in self.scores.items()
        ]
        return "\n".join([*lines, f"  {self.verdict}"])


class PreparedTable:
    """A table, ready for training: target and task, the split of its rows, and the encoding learned from the training rows.

    `fit` trains; before that nothing is written. Parameters and errors are those of `fit_table`.

    Attributes
    ----------
    target
        The target: its task, values and classes.
    parts
        The rows for training, validation and test.
    encoding
        What becomes of the columns.
    x, t
        Inputs and targets of all rows that have a target.
    notes
        What was noticed on the way.
    """

    def __init__(
        self,
        table: Table,
        target: str,
        *,
        task: str | None = None,
        categorical: Collection[str] = (),
        ignore: Collection[str] = (),
        seed: int = 0,
    ) -> None:
        if not isinstance(table, Table):
            raise ArgumentError(f"fit_table: a table, as bprop.train.read_table returns it, not {table!r:.60}")
        for what, names in (("categorical", categorical), ("ignore", ignore)):
            if isinstance(names, str):
                raise ArgumentError(f"fit_table: {what} is a list of columns: write [{names!r}]")
        self.seed = integer("fit_table", "seed", seed, 0, 2**64, allowed="an integer from 0 to 2⁶⁴ - 1")
        self.table, self.task = table, task
        self.categorical, self.ignore = sorted(set(categorical)), sorted(set(ignore))
        self.target: Target = find_target(table, target, task)
        self.parts = split(self.target, seed)
        labelled = table.take(self.target.rows)
        self.encoding = Encoding.learn(labelled.take(self.parts.train), categorical, ignore, target)
        self.x, notes = self.encoding(labelled)
        self.t: NDArray[Any] = self.target.values
        self.notes = [*table.notes, *self.target.notes, *notes]

    def part(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return inputs and targets of these rows."""
        return self.x[rows], self.t[rows]

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """The digest of the table, which the run's record begins and ends with."""
        return fingerprint(self.table)

    def fit(
        self,
        *,
        hidden: Sequence[int] = (64, 64),
        epochs: int = 100,
        batch_size: int | None = None,
        learning_rate: float = 1e-3,
        patience: int = PATIENCE,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: bool | TextIO = True,
        layers: bool = False,
    ) -> TableResult:
        """Train, choose the epoch by the validation rows, and measure once on the test rows. Parameters as for `fit_table`.

        ``layers``: whether every epoch's gradients and activations are kept for a page (`LayerRecord`).
        """
        sizes = layer_sizes(hidden)
        size = batch_size if batch_size is not None else _batch_size(len(self.parts.train))
        size, epochs = integer("fit_table", "batch_size", size), integer("fit_table", "epochs", epochs)
        patience = integer("fit_table", "patience", patience)
        optimizer = Adam(learning_rate)
        settings = {
            "batch_size": size,
            "learning_rate": float(learning_rate),
            "patience": patience,
            "categorical": self.categorical,
            "ignore": self.ignore,
        }
        if resume and out is not None and (Path(out) / TABLE_RECORD).exists():
            identity = {"target": self.target.name, "task": self.target.task, "hidden": sizes, "seed": self.seed}
            check_same_task(Path(out), identity | settings, self.table, self.fingerprint)
        settings |= {"epochs": epochs, "task": self.task, "reading": self.table.reading}
        model = self._new_model(sizes)
        train, validation = self.part(self.parts.train), self.part(self.parts.validation)
        loss: Any = CrossEntropy() if self.target.classes else SquaredError()
        callbacks: list[Any] = [RecordWriter(lambda folder: model.save(folder, self._record(settings)))]
        if layers:
            callbacks.append(LayerRecord(*model.scaled(train), loss))
        run = fit(
            model.network,
            loss,
            optimizer,
            model.scaled(train),
            model.scaled(validation),
            epochs=epochs,
            batch_size=size,
            seed=self.seed,
            out=out,
            resume=resume,
            early_stopping=EarlyStopping("validation_loss", patience),
            callbacks=callbacks,
            metrics=["accuracy" if self.target.classes else "r2"],
            progress=progress,
            title=f"{model.task} of {model.target}",
        )
        result = self._measure(model, run)
        if run.folder is not None:
            title = f"What moves {'the class' if self.target.classes else 'the prediction'} of {self.target.name}"
            draw_influence(result.influence, run.folder / INFLUENCE, title)
            model.save(run.folder, self._record(settings, result))
        return result

    def _new_model(self, hidden: Sequence[int]) -> TableModel:
        """Return a model with random weights, and the scale of the target from the training rows."""
        classes, (_, t) = self.target.classes, self.part(self.parts.train)
        mean, scale = (0.0, 1.0) if classes else (float(t.mean()), float(t.std()) or 1.0)
        return TableModel(self.encoding, self.target.name, classes, hidden, mean, scale, Generator(self.seed))

    def _measure(self, model: TableModel, run: Run) -> TableResult:
        """Return scores on the test rows, beside those of the baselines, and influences on the training rows."""
        x, t = self.part(self.parts.test)
        best_epoch = run.best["epoch"] if run.best else len(run.history)
        outputs = {NETWORK: model.outputs(x)}
        outputs |= {baseline.name: baseline.outputs for baseline in self.baselines()}
        scores = {name: model.scores(y, t) for name, y in outputs.items()}
        losses = {name: row_losses(y, t, bool(self.target.classes)) for name, y in outputs.items()}
        x_train, _ = self.part(self.parts.train)
        influence = sensitivity(model.network, x_train, self.encoding.groups, model.scale)
        return TableResult(model, run, self.parts, scores, verdict(losses, NETWORK), influence, best_epoch, self.notes)

    def baselines(self) -> Any:
        """Return the baselines, learned and chosen on the same rows as the network."""
        x, t = zip(*(self.part(rows) for rows in self.parts), strict=True)
        return baselines(x, t, len(self.target.classes))

    def _record(self, settings: Mapping[str, Any], result: TableResult | None = None) -> dict[str, Any]:
        return {
            "table": self.table.name,
            "why": self.target.why,
            "seed": self.seed,
            "rows": {name: len(rows) for name, rows in self.parts._asdict().items()},
            "notes": self.notes,
            "settings": settings,
            "fingerprint": self.fingerprint,
            "best_epoch": result.best_epoch if result else None,
            "scores": result.scores if result else None,
            "verdict": result.verdict if result else None,
            "influence": result.influence if result else None,
        }


def fit_table(
    table: Table,
    target: str,
    *,
    task: str | None = None,
    categorical: Collection[str] = (),
    ignore: Collection[str] = (),
    hidden: Sequence[int] = (64, 64),
    epochs: int = 100,
    batch_size: int | None = None,
    learning_rate: float = 1e-3,
    patience: int = PATIENCE,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | TextIO = True,
) -> TableResult:
    """Train a multi-layer perceptron to predict column ``target`` of ``table`` from the others; returns a `TableResult`.

    A fifth of the rows is held out as the test, and a fifth of the rest for validation, both drawn from ``seed`` (of a
    classification with the share of every class kept). Mean and standard deviation of numeric columns, categories, and the
    target's scale are learned from the remaining rows, the training part. Training ends when the validation loss has not become
    smaller for ``patience`` epochs; the model has the weights of the epoch with the smallest. The test rows are used once, at
    the end, for the network and for two baselines learned from the same rows: majority or mean, and logistic or ridge
    regression.

    Parameters
    ----------
    table
        The table, as `read_table` returns it.
    target
        The column to predict.
    task
        ``"classification"`` or ``"regression"``; by default it follows from the values of the target.
    categorical
        Columns of numbers that are names (postcodes, say).
    ignore
        Columns to leave out.
    hidden
        Sizes of the hidden layers.
    epochs, batch_size, learning_rate
        Of the training with Adam; the batch size follows from the number of rows by default.
    patience
        Epochs without a smaller validation loss after which training ends.
    seed
        Decides the split, the initial weights and the order of the examples.
    out
        A new folder for the record, see `load_table_model`.
    resume
        Whether a run that was interrupted or killed goes on from its last epoch, with its folder as ``out`` and all else as it
        was (``epochs`` may be more). The result is the same, bit for bit.
    progress
        A stream, or whether to report on standard output.

    Raises
    ------
    TableError
        For what cannot be used in the table. The message names file, row and column.
    ArgumentError
        For other arguments that cannot be used.
    StorageError
        For a folder that cannot be written, and for a resume with another table or other options; the message names what
        differs.

    **Source:** Hastie, Tibshirani & Friedman (2009), The elements of statistical learning, chapter 7.

    >>> from bprop.train import Table, fit_table
    >>> numbers = [n / 50 for n in range(100)]
    >>> table = Table.from_columns({"a": numbers, "b": numbers[::-1], "y": [3 * n for n in numbers]})
    >>> result = fit_table(table, "y", epochs=30, progress=False)
    >>> result.scores["network"]["r2"] > 0.9, sorted(result.scores)
    (True, ['mean', 'network', 'ridge regression'])
    >>> result.model.predict(Table.from_columns({"b": [1.0], "a": [1.0]})).target
    'y'
    """
    prepared = PreparedTable(table, target, task=task, categorical=categorical, ignore=ignore, seed=seed)
    return prepared.fit(
        hidden=hidden,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        out=out,
        resume=resume,
        progress=progress,
    )


def layer_sizes(hidden: Sequence[int]) -> list[int]:
    """Return the sizes of hidden layers as a list; raises `ArgumentError` for anything else."""
    given = list(hidden)
    sizes = [size for size in (whole_number(size, 1, WIDEST + 1) for size in given) if size is not None]
    if not 1 <= len(sizes) <= DEEPEST or len(sizes) != len(given):
        raise ArgumentError(
            f"fit_table: hidden is a list of layer sizes up to {WIDEST:,} such as [64, 64], not {hidden!r:.60}"
        )
    return sizes


def _batch_size(rows: int) -> int:
    """Return a power of two from 16 to 256 for which an epoch has about forty steps."""
    return int(2 ** np.clip(np.round(np.log2(rows / 40)), 4, 8))
