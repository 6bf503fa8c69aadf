"""The target: its task (classification or regression), its classes, and the split of the rows."""

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.error import ArgumentError
from ..data import Indices, stratified_split
from .encoding import NEARLY_ALL, is_date
from .table import Cells, Table, TableError, is_number, likely

Task = Literal["classification", "regression"]
TASKS: tuple[Task, ...] = ("classification", "regression")
MOST_CLASSES = 20
"""A numeric target with more different values than this is a quantity."""
FEWEST_ROWS = 10
LARGEST = 1e100
"""The largest quantity: squares of larger ones, and their sums, are infinite."""
HELD_OUT = 0.2
"""Of all rows held out as the test, and of the remaining ones for validation."""


class Target(NamedTuple):
    """What is to be predicted: ``values`` are class numbers or quantities, one for each of ``rows``; others have no value.

    ``why`` says how the task was found, ``notes`` what else was noticed.
    """

    name: str
    task: Task
    why: str
    classes: tuple[str, ...]
    values: NDArray[Any]
    rows: Indices
    notes: tuple[str, ...]


class RowSplit(NamedTuple):
    """Three sets of rows: ``train`` to learn from, ``validation`` to choose the best epoch, ``test`` to be measured once."""

    train: Indices
    validation: Indices
    test: Indices


def find_target(table: Table, name: str, task: str | None = None) -> Target:
    """Return the target of a table and its task.

    Text and booleans are classes; so are numbers of two values, and integers of at most 20 values and at most √n. Any other
    numbers are a quantity. Rows without a target are left out.

    Parameters
    ----------
    table
        The table.
    name
        The column.
    task
        ``"classification"`` or ``"regression"``; by default it follows from the values.

    Raises
    ------
    TableError
        For an unknown column (naming a likely one), a target that never changes, is a date, or is a number in nearly all rows
        only; and for fewer than 10 rows.

    >>> from bprop.train import Table
    >>> from bprop.train.table.target import find_target
    >>> target = find_target(Table.from_columns({"size": range(12), "kind": ["a", "b"] * 6}), "kind")
    >>> target.task, target.why, target.classes
    ('classification', 'it holds text, 2 different values', ('a', 'b'))
    """
    if task is not None and task not in TASKS:
        raise ArgumentError(f"the task is 'classification' or 'regression', not {task!r}")
    if name not in table.columns:
        raise TableError(f"{table.name} has no column {name!r} for the target{likely(name, table.columns)}")
    if len(table.columns) == 1:
        raise TableError(f"{table.name} has no column besides the target {name!r}: there is nothing to predict it from")
    cells = table[name]
    rows = np.array([row for row, cell in enumerate(cells) if cell is not None], np.int64)
    notes = []
    if len(rows) < len(cells):
        count = len(cells) - len(rows)
        notes.append(f"{count:,} {'row' if count == 1 else 'rows'} without a value in {name!r} left out")
    if len(rows) < FEWEST_ROWS:
        raise TableError(
            f"{table.name}: {len(rows)} rows have a value in {name!r}; at least {FEWEST_ROWS} are needed to learn from some "
            f"and test on others"
        )
    present = [cell for cell in cells if cell is not None]
    distinct = Counter(present)
    numeric = sum(count for cell, count in distinct.items() if is_number(cell))
    if numeric / len(present) >= NEARLY_ALL and not (numeric < len(present) and task == "classification"):
        values = table.numbers(name, f"; {numeric:,} of {len(present):,} values of the target are. Mend it, or say that "
                               f"the task is classification")[rows]  # fmt: skip
        return _numeric(table, name, values, rows, task, notes)
    if task == "regression":
        table.numbers(name, ", and regression needs numbers")
    if sum(count for cell, count in distinct.items() if is_date(cell)) >= NEARLY_ALL * len(present):
        raise TableError(f"{table.name}: the target {name!r} holds dates: give a number (days, say) or a class instead")
    truth = {cell.casefold() for cell in distinct} <= {"true", "false", "yes", "no", "t", "f", "y", "n"}
    kind = "yes or no" if truth and len(distinct) == 2 else "text"
    why = "asked for" if task else f"it holds {kind}, {len(distinct):,} different values"
    return _classes(table, name, present, rows, why, notes)


def _numeric(
    table: Table, name: str, values: NDArray[np.float64], rows: Indices, task: str | None, notes: list[str]
) -> Target:
    different = np.unique(values)
    integral = bool((different == np.round(different)).all())
    count = len(different)
    if count < 2:
        raise TableError(
            f"{table.name}: the target {name!r} is {different[0]:g} in every row: there is nothing to learn"
        )
    is_class = count == 2 or (integral and count <= min(MOST_CLASSES, sqrt(len(values))))
    kind = "whole numbers" if integral else "numbers"
    why = "asked for" if task else f"it holds {kind}, {'only ' if is_class else ''}{count:,} different values"
    if (task or ("classification" if is_class else "regression")) == "regression":
        if np.abs(values).max() > LARGEST:
            raise TableError(
                f"{table.name}: the target {name!r} goes up to {np.abs(values).max():.3g}: choose a larger unit"
            )
        return Target(name, "regression", why, (), values, rows, tuple(notes))
    labels = [f"{int(v)}" if v == round(v) and abs(v) < 2**53 else repr(float(v)) for v in values]
    return _classes(table, name, labels, rows, why, notes)


def _classes(table: Table, name: str, labels: Sequence[str], rows: Indices, why: str, notes: list[str]) -> Target:
    counts = Counter(labels)
    if len(counts) < 2:
        raise TableError(f"{table.name}: the target {name!r} is {labels[0]!r} in every row: there is nothing to learn")
    if len(counts) > len(labels) / 2:
        raise TableError(
            f"{table.name}: the target {name!r} has {len(counts):,} classes in {len(labels):,} rows, too many to learn: "
            f"is it the column you mean?"
        )
    numeric = all(map(is_number, counts))
    classes = tuple(sorted(counts, key=float) if numeric else sorted(counts))
    single = [label for label in classes if counts[label] == 1]
    if single:
        listed = ", ".join(map(repr, single[:5])) + (", …" if len(single) > 5 else "")
        notes.append(f"only one row each of class {listed}: learned from, never tested")
    number = {label: position for position, label in enumerate(classes)}
    values = np.array([number[label] for label in labels], np.int64)
    return Target(name, "classification", why, classes, values, rows, tuple(notes))


def target_values(table: Table, name: str, classes: Sequence[str]) -> tuple[NDArray[Any], Cells]:
    """Return the target of another table as class numbers or quantities, and its cells.

    Without a value it is -1 or NaN; so is a class that the training did not have.
    """
    cells = table[name]
    if not classes:
        return table.numbers(name), cells
    number = {label: position for position, label in enumerate(classes)}
    if all(map(is_number, classes)):
        by_value = {float(label): position for label, position in number.items()}
        values = [
            -1 if cell is None or not is_number(cell) else by_value.get(float(cell), -1) for cell in cells
        ]  # 1 and 1.0 are one class
    else:
        values = [-1 if cell is None else number.get(cell, -1) for cell in cells]
    return np.array(values, np.int64), cells


def split(target: Target, seed: int) -> RowSplit:
    """Return the rows for training, validation and test, 64 : 16 : 20, with the share of every class kept.

    The positions count the rows that have a target (``target.rows``). The test part is chosen first, from ``seed``.
    """
    strata = target.values if target.task == "classification" else np.zeros(len(target.values), np.int64)
    remaining, test = stratified_split(strata, HELD_OUT, seed)
    train, validation = stratified_split(strata[remaining], HELD_OUT, seed)
    if not len(validation):  # no class has two rows left, of which one could be spared
        train, validation = stratified_split(np.zeros(len(remaining), np.int64), HELD_OUT, seed)
    return RowSplit(remaining[train], remaining[validation], test)
