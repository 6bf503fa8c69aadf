"""`fit_table`: from a table and the name of its target to a trained model, its scores beside baselines, and its influences."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ...core.error import ArgumentError
from ...nn import CrossEntropy, SquaredError
from ...ops import Generator
from ...optim import Adam
from ..callback import Callback
from ..loop import fit
from ..run import Run
from ..stopping import EarlyStopping
from .baseline import baselines
from .encoding import Encoding
from .influence import draw_influence, influence
from .model import DEEPEST, RECORD, WIDEST, TableModel
from .resumption import compare, fingerprint
from .score import Scores, row_losses, verdict
from .table import Table
from .target import Parts, Target, find_target, split

INFLUENCE = "influence.png"
NETWORK = "network"
PATIENCE = 20
"""After so many epochs without a smaller validation loss none is expected, at a step size that needs a hundred."""


@dataclass
class TableResult:
    """What `fit_table` returns.

    ``model`` predicts; ``run`` is the record of the training; ``scores`` maps the network and both baselines to their
    scores on the test rows, ``verdict`` compares them in a sentence; ``influence`` maps columns to how strongly they
    move the output; ``best_epoch`` is the one whose weights were kept; ``notes`` say what was noticed on the way.
    """

    model: TableModel
    run: Run
    parts: Parts
    scores: dict[str, Scores]
    verdict: str
    influence: dict[str, float]
    best_epoch: int
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        lines = [repr(self.model), f"  {len(self.parts.test)} test rows, weights of epoch {self.best_epoch}"]
        lines += [f"  {name}: {', '.join(f'{k} {v:.4g}' for k, v in one.items())}" for name, one in self.scores.items()]
        return "\n".join([*lines, f"  {self.verdict}"])


class Preparation:
    """A table made ready: its target and task, the rows for each purpose, and the encoding learned on the training rows.

    `fit` trains; until then nothing is written.
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
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
            raise ArgumentError(f"fit_table: seed is a whole number from 0 to 2⁶⁴ - 1, not {seed!r}")
        self.table, self.seed, self.task = table, seed, task
        self.categorical, self.ignore = sorted(set(categorical)), sorted(set(ignore))
        self.target: Target = find_target(table, target, task)
        self.parts = split(self.target, seed)
        known = table.take(self.target.rows)
        self.encoding = Encoding.learn(known.take(self.parts.train), categorical, ignore, target)
        self.x, notes = self.encoding(known)
        self.t: NDArray[Any] = self.target.values
        self.notes = [*table.notes, *self.target.notes, *notes]

    def part(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return inputs and targets of these rows."""
        return self.x[rows], self.t[rows]

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
    ) -> TableResult:
        """Train, choose the epoch by the validation rows, and measure once on the test rows; see `fit_table`."""
        sizes = layer_sizes(hidden)
        size = batch_size if batch_size is not None else _batch_size(len(self.parts.train))
        for name, value in (("epochs", epochs), ("batch_size", size), ("patience", patience)):
            _positive(name, value)
        optimizer = Adam(learning_rate)
        settings = {
            "batch_size": size,
            "learning_rate": float(learning_rate),
            "patience": patience,
            "categorical": self.categorical,
            "ignore": self.ignore,
        }
        if resume and out is not None and (Path(out) / RECORD).exists():
            own = {"target": self.target.name, "task": self.target.task, "hidden": sizes, "seed": self.seed}
            compare(Path(out), own | settings, self.table)
        settings |= {"epochs": epochs, "task": self.task, "reading": self.table.reading}
        classes = self.target.classes
        train, validation, (x_test, t_test) = (self.part(rows) for rows in self.parts)
        mean, scale = (0.0, 1.0) if classes else (float(train[1].mean()), float(train[1].std()) or 1.0)
        model = TableModel(self.encoding, self.target.name, classes, sizes, mean, scale, Generator(self.seed))
        begin = _Begin(lambda folder: model.save(folder, self._record(settings)))
        run = fit(
            model.network,
            CrossEntropy() if classes else SquaredError(),
            optimizer,
            model.scaled(train),
            model.scaled(validation),
            epochs=epochs,
            batch_size=size,
            seed=self.seed,
            out=out,
            resume=resume,
            early_stopping=EarlyStopping("validation_loss", patience),
            callbacks=[begin],
            metrics=["accuracy" if classes else "r2"],
            progress=progress,
            title=f"{model.task} of {model.target}",
        )
        best = run.best["epoch"] if run.best else len(run.history)
        compared = {NETWORK: model.outputs(x_test)}
        compared |= {one.name: one.outputs for one in self.baselines()}
        scores = {name: model.scores(y, t_test) for name, y in compared.items()}
        said = verdict({name: row_losses(y, t_test, bool(classes)) for name, y in compared.items()}, NETWORK)
        found = influence(model.network, train[0], self.encoding.groups, scale)
        result = TableResult(model, run, self.parts, scores, said, found, best, self.notes)
        if run.folder is not None:
            title = f"What moves {'the class' if classes else 'the prediction'} of {self.target.name}"
            draw_influence(found, run.folder / INFLUENCE, title)
            model.save(run.folder, self._record(settings, result))
        return result

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
            "fingerprint": fingerprint(self.table),
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

    ``task`` is found from the target unless given. A fifth of the rows is held out as the test, and a fifth of the rest
    for validation, both drawn from ``seed`` (of a classification with the share of every class kept). Mean and standard
    deviation of numeric columns, categories, and the target's scale are learned on what remains, the training part.
    The weights kept are those of the epoch with the smallest validation loss, and training ends when it has not become
    smaller for ``patience`` epochs; the test rows are looked at once, at the end, beside two baselines learned on the same
    rows: majority or mean, and logistic or ridge regression.

    ``categorical``: columns of numbers that are names (postcodes, say); ``ignore``: columns to leave out; ``hidden``,
    ``epochs``, ``batch_size``, ``learning_rate``: of the network and Adam; ``out``: a new folder for the record, see
    `load_table_model`. A run that was interrupted or killed goes on from its last epoch with ``resume=True``, its folder as
    ``out``, and all else as it was (``epochs`` may be more); what comes out is the same, bit for bit.

    Raises `TableError` naming file, row and column of what cannot be used, `ArgumentError`, `StorageError` also for a resume
    with another table or other options, naming what differs.

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
    ready = Preparation(table, target, task=task, categorical=categorical, ignore=ignore, seed=seed)
    return ready.fit(
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
    """Return the sizes of hidden layers as a list, if that is what they are."""
    sizes = list(hidden)
    if not 1 <= len(sizes) <= DEEPEST or any(type(size) is not int or not 1 <= size <= WIDEST for size in sizes):
        raise ArgumentError(
            f"fit_table: hidden is a list of layer sizes up to {WIDEST:,} such as [64, 64], not {hidden!r:.60}"
        )
    return sizes


def _batch_size(rows: int) -> int:
    """Return a power of two from 16 to 256 that gives some forty steps an epoch."""
    return int(2 ** np.clip(np.round(np.log2(rows / 40)), 4, 8))


def _positive(name: str, value: Any) -> None:
    """Refuse what `fit` would, but before anything is compared or written."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"fit_table: {name} is a positive integer, not {value!r:.60}")


class _Begin(Callback):
    """Writes the record as soon as the folder is known to be the run's, before the first step.

    A finished run that goes on thereby loses its scores, which are of weights about to be replaced.
    """

    def __init__(self, write: Callable[[Path], None]) -> None:
        self.write = write

    def on_start(self, run: Run) -> None:
        if run.folder is not None:
            self.write(run.folder)
