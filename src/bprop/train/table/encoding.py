"""From cells to the inputs of a network: learned from the training rows, applied to every other table."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.error import ArgumentError
from ..record import Field
from .table import Table, TableError, is_number, likely

NEARLY_ALL = 0.9
"""The share of cells from which on a column is one of numbers (or of dates), and a cell that is none is a mistake."""
MOST_CATEGORIES = 50
MANY = 20  # cells: from so many on, text that differs in nearly all rows is a name, from which nothing can be learned
_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?"
)
KINDS = ("numeric", "categorical", "ignored")
_UNSEEN, _ABSENT = -1, -2  # codes of cells that set no input: another category, no value


class Column(NamedTuple):
    """How one column becomes inputs.

    numeric: (x - ``mean``) / ``scale``, or 0 where x is missing; ``missing`` adds an input that is 1 there.
    categorical: one-hot, an input per category of ``categories``; ``other`` adds an input for all other categories,
    ``missing`` one for empty cells. ignored: no input; ``reason`` says why.
    """

    name: str
    kind: str
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()
    other: bool = False
    missing: bool = False
    reason: str = ""

    @property
    def inputs(self) -> list[str]:
        """The names of the inputs that the column becomes."""
        if self.kind == "ignored":
            return []
        names = [self.name] if self.kind == "numeric" else [f"{self.name}={category}" for category in self.categories]
        return names + [f"{self.name}: other"] * self.other + [f"{self.name}: missing"] * self.missing

    def record(self) -> dict[str, Any]:
        """Return what is stored of it."""
        common = {"name": self.name, "kind": self.kind}
        if self.kind == "numeric":
            return common | {"mean": self.mean, "scale": self.scale, "missing": self.missing}
        if self.kind == "categorical":
            return common | {"categories": list(self.categories), "other": self.other, "missing": self.missing}
        return common | {"reason": self.reason}


class Encoding:
    """The columns of a table as inputs of a network, learned by `learn` from the training part.

    >>> from bprop.train import Table
    >>> from bprop.train.table.encoding import Encoding
    >>> table = Table.from_columns({"x": [1, 3, None], "colour": ["red", "blue", "red"]})
    >>> encoding = Encoding.learn(table)
    >>> encoding.inputs
    ['x', 'x: missing', 'colour=red', 'colour=blue']
    >>> encoding(Table.from_columns({"colour": ["red", "green"], "x": [4, 2]}))[0]
    array([[2., 0., 1., 0.],
           [0., 0., 0., 0.]])
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.inputs = [name for column in self.columns for name in column.inputs]

    @classmethod
    def learn(
        cls, table: Table, categorical: Collection[str] = (), ignore: Collection[str] = (), target: str | None = None
    ) -> "Encoding":
        """Return the encoding for ``table``: every number in it is a statistic of these rows and of no others.

        ``categorical`` and ``ignore`` name columns that are so whatever they look like. Raises `TableError` where one of
        them does not exist or is the target, and where no column is left.
        """
        for what, names in (("categorical", categorical), ("ignored", ignore)):
            for name in names:
                if name == target:
                    raise TableError(f"{table.name}: the target {name!r} cannot be {what} as an input")
                if name not in table.columns:
                    raise TableError(f"{table.name} has no column {name!r} to be {what}{likely(name, table.columns)}")
        both = set(categorical) & set(ignore)
        if both:
            raise ArgumentError(f"column {min(both)!r} is both categorical and ignored")
        columns = []
        for name in table:
            if name == target:
                continue
            if name in ignore:
                columns.append(Column(name, "ignored", reason="as asked"))
            else:
                columns.append(_learn(table, name, name in categorical))
        encoding = cls(columns)
        if not encoding.inputs:
            reasons = "; ".join(f"{column.name!r}: {column.reason}" for column in columns)
            raise TableError(f"{table.name}: no column is left to learn from ({reasons})")
        return encoding

    @property
    def groups(self) -> dict[str, slice]:
        """Which inputs belong to which column of the table."""
        groups, start = {}, 0
        for column in self.columns:
            if column.kind != "ignored":
                groups[column.name] = slice(start, start + len(column.inputs))
                start += len(column.inputs)
        return groups

    def __call__(self, table: Table) -> tuple[NDArray[np.float64], list[str]]:
        """Return the inputs (rows, inputs) and notes about what the training part did not have.

        Columns are found by name, in any order; more than are needed do no harm. Raises `TableError` naming all columns
        that are missing, and by row and column a cell that is no number where numbers belong.
        """
        used = [column for column in self.columns if column.kind != "ignored"]
        lacking = [column.name for column in used if column.name not in table.columns]
        if lacking:
            raise TableError(
                f"{table.name} lacks {_names(lacking)}, which the model was trained with; it has {_names(list(table))}"
            )
        x = np.zeros((len(table), len(self.inputs)))
        notes: list[str] = []
        for column, inputs in zip(used, self.groups.values(), strict=True):
            fill = _numeric if column.kind == "numeric" else _categorical
            fill(column, table, x[:, inputs], notes)
        return x, notes

    def record(self) -> list[dict[str, Any]]:
        """Return what is stored: a list of JSON objects, one per column."""
        return [column.record() for column in self.columns]

    @classmethod
    def restore(cls, field: Field) -> "Encoding":
        """Return the encoding that a record holds; raises `RecordError` naming the first field that is wrong."""
        columns: list[Column] = []
        for stored in field.items():
            name, kind = stored["name"].text(), stored["kind"].choice(KINDS)
            if any(name == column.name for column in columns):
                raise stored["name"].error(f"the column {name!r} stands twice")
            if kind == "numeric":
                mean, scale = stored["mean"].number(), stored["scale"].number(above=0)
                columns.append(Column(name, kind, mean=mean, scale=scale, missing=stored["missing"].truth()))
            elif kind == "categorical":
                categories = tuple(stored["categories"].texts())
                if len(set(categories)) < len(categories):
                    raise stored["categories"].error("a category stands twice")
                other, missing = stored["other"].truth(), stored["missing"].truth()
                columns.append(Column(name, kind, categories=categories, other=other, missing=missing))
            else:
                columns.append(Column(name, kind, reason=stored["reason"].text()))
        encoding = cls(columns)
        if not encoding.inputs:
            raise field.error("no column becomes an input")
        return encoding


def is_date(cell: str) -> bool:
    """Whether a cell looks like a day, with or without a time."""
    return _DATE.fullmatch(cell) is not None


def _learn(table: Table, name: str, categorical: bool) -> Column:
    cells = table[name]
    if not categorical:
        try:  # most columns are numbers throughout
            values = table.numbers(name)
        except TableError:
            pass
        else:
            if not np.isnan(values).all():
                return _learn_numeric(name, values)
    counts = Counter(cell for cell in cells if cell is not None)
    present = counts.total()
    missing = present < len(cells)
    if not counts:
        return Column(name, "ignored", reason="no value in the training part")
    if len(counts) == 1 and not missing:
        return Column(name, "ignored", reason=f"always {next(iter(counts))!r} in the training part")
    if not categorical:
        if _fraction(counts, is_number) >= NEARLY_ALL:
            return _learn_numeric(name, _numbers(table, name))  # which names the cell that is no number
        if _fraction(counts, is_date) >= NEARLY_ALL:
            return Column(name, "ignored", reason="dates; give year, month or days as columns of numbers")
        if present >= MANY and len(counts) > NEARLY_ALL * present:
            return Column(
                name, "ignored", reason=f"{len(counts):,} different texts in {present:,} cells, as a name has"
            )
    ordered = sorted(counts, key=lambda cell: (-counts[cell], cell))
    categories = tuple(ordered[:MOST_CATEGORIES])
    return Column(name, "categorical", categories=categories, other=len(categories) < len(ordered), missing=missing)


def _fraction(counts: Counter[str], predicate: Any) -> float:
    return sum(count for cell, count in counts.items() if predicate(cell)) / counts.total()


def _learn_numeric(name: str, values: NDArray[np.float64]) -> Column:
    missing = bool(np.isnan(values).any())
    values = values[~np.isnan(values)]
    if _is_count(name, values):
        return Column(name, "ignored", reason="it numbers the rows")
    largest = float(np.abs(values).max()) or 1.0  # so that squares of huge numbers do not overflow
    mean, scale = float((values / largest).mean()), float((values / largest).std())
    if scale <= 8 * np.finfo(np.float64).eps:
        if not missing:
            return Column(name, "ignored", reason=f"always {values[0]:g} in the training part")
        scale = 1.0
    return Column(name, "numeric", mean=mean * largest, scale=scale * largest, missing=missing)


def _is_count(name: str, values: NDArray[np.float64]) -> bool:
    """Whether a column called id, index or the like only rises by whole steps."""
    words = re.split(r"[^a-z]+", name.casefold())
    if not {"id", "index", "idx", "row", "rownum", "no", "nr", "unnamed"} & set(words):
        return False
    return bool((values == np.round(values)).all() and (np.diff(values) > 0).all()) and len(values) > 2


def _numbers(table: Table, name: str) -> NDArray[np.float64]:
    return table.numbers(name, f", as nearly all of the column are. Mend it, or declare {name!r} categorical")


def _numeric(column: Column, table: Table, out: NDArray[np.float64], notes: list[str]) -> None:
    values = _numbers(table, column.name)
    with np.errstate(over="ignore"):
        scaled = (values - column.mean) / column.scale
    if np.isinf(scaled).any():
        row = int(np.flatnonzero(np.isinf(scaled))[0])
        raise TableError(
            f"{table.cell_name(row, column.name)}: {table[column.name][row]} is too far from all others to compute with"
        )
    absent = np.isnan(scaled)
    out[:, 0] = np.where(absent, 0.0, scaled)
    if column.missing:
        out[:, 1] = absent
    elif absent.any():
        notes.append(
            f"{column.name!r}: {_rows(absent.sum())} without a value, which training never had: the mean is used"
        )


def _categorical(column: Column, table: Table, out: NDArray[np.float64], notes: list[str]) -> None:
    """Set the input of each cell's category to 1. Codes are positions of inputs, or negative for a cell without one."""
    positions = {category: position for position, category in enumerate(column.categories)}
    other = len(positions) if column.other else _UNSEEN
    missing = out.shape[1] - 1 if column.missing else _ABSENT
    codes = np.array([missing if cell is None else positions.get(cell, other) for cell in table[column.name]], int)
    encoded = codes >= 0
    out[np.flatnonzero(encoded), codes[encoded]] = 1
    absent = codes == _ABSENT
    if absent.any():
        notes.append(
            f"{column.name!r}: {_rows(absent.sum())} without a value, which training never had: all inputs are 0"
        )
    unseen = Counter(
        cell for cell, code in zip(table[column.name], codes, strict=True) if code == _UNSEEN and cell is not None
    )
    if unseen:
        examples = ", ".join(repr(cell) for cell, _ in unseen.most_common(3)) + (", …" if len(unseen) > 3 else "")
        notes.append(
            f"{column.name!r}: {_rows(unseen.total())} with a category unseen in training ({examples}): all inputs are 0"
        )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _names(names: list[str]) -> str:
    listed = ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"the {'column' if len(names) == 1 else 'columns'} {listed}"
