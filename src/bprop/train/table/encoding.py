"""From cells to the inputs of a network: what is learned from the training part, and applied to every other table."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.error import ArgumentError
from ..record import Field
from .table import Table, TableError, is_number, likely

NEARLY_ALL = 0.9
"""The share of cells from which on a column is one of numbers (or of dates), and a cell that is none is a mistake."""
MOST_CATEGORIES = 50
MANY = 20  # all different from this many cells on, text is a name for each row and says nothing about others
_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?"
)
KINDS = ("numeric", "categorical", "ignored")


class Column(NamedTuple):
    """How one column becomes inputs.

    numeric: (x - ``mean``) / ``scale``, the mean where x is missing; ``missing`` adds an input that is 1 there.
    categorical: an input per category of ``categories``, 1 where the cell is that one; ``other`` adds one for all
    others, ``missing`` one for empty cells. ignored: nothing, for the ``reason`` given.
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
        own = [self.name] if self.kind == "numeric" else [f"{self.name}={one}" for one in self.categories]
        return own + [f"{self.name}: other"] * self.other + [f"{self.name}: missing"] * self.missing

    def record(self) -> dict[str, Any]:
        """Return what is stored of it."""
        shared = {"name": self.name, "kind": self.kind}
        if self.kind == "numeric":
            return shared | {"mean": self.mean, "scale": self.scale, "missing": self.missing}
        if self.kind == "categorical":
            return shared | {"categories": list(self.categories), "other": self.other, "missing": self.missing}
        return shared | {"reason": self.reason}


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
        made = cls(columns)
        if not made.inputs:
            reasons = "; ".join(f"{column.name!r}: {column.reason}" for column in columns)
            raise TableError(f"{table.name}: no column is left to learn from ({reasons})")
        return made

    @property
    def groups(self) -> dict[str, slice]:
        """Which inputs belong to which column of the table."""
        made, start = {}, 0
        for column in self.columns:
            if column.kind != "ignored":
                made[column.name] = slice(start, start + len(column.inputs))
                start += len(column.inputs)
        return made

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
        for column, place in zip(used, self.groups.values(), strict=True):
            fill = _numeric if column.kind == "numeric" else _categorical
            fill(column, table, x[:, place], notes)
        return x, notes

    def record(self) -> list[dict[str, Any]]:
        """Return what is stored: a list of JSON objects, one per column."""
        return [column.record() for column in self.columns]

    @classmethod
    def restore(cls, field: Field) -> "Encoding":
        """Return the encoding that a record holds; raises `RecordError` naming the first field that is wrong."""
        columns: list[Column] = []
        for one in field.items():
            name, kind = one["name"].text(), one["kind"].choice(KINDS)
            if any(name == column.name for column in columns):
                raise one["name"].error(f"the column {name!r} stands twice")
            if kind == "numeric":
                mean, scale = one["mean"].number(), one["scale"].number(above=0)
                columns.append(Column(name, kind, mean=mean, scale=scale, missing=one["missing"].truth()))
            elif kind == "categorical":
                categories = tuple(item.text() for item in one["categories"].items())
                if len(set(categories)) < len(categories):
                    raise one["categories"].error("a category stands twice")
                other, missing = one["other"].truth(), one["missing"].truth()
                columns.append(Column(name, kind, categories=categories, other=other, missing=missing))
            else:
                columns.append(Column(name, kind, reason=one["reason"].text()))
        made = cls(columns)
        if not made.inputs:
            raise field.error("no column becomes an input")
        return made


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
        if _share(counts, is_number) >= NEARLY_ALL:
            return _learn_numeric(name, _numbers(table, name))  # which names the cell that is no number
        if _share(counts, is_date) >= NEARLY_ALL:
            return Column(name, "ignored", reason="dates; give year, month or days as columns of numbers")
        if present >= MANY and len(counts) > NEARLY_ALL * present:
            return Column(
                name, "ignored", reason=f"{len(counts):,} different texts in {present:,} cells, as a name has"
            )
    ordered = sorted(counts, key=lambda cell: (-counts[cell], cell))
    kept = tuple(ordered[:MOST_CATEGORIES])
    return Column(name, "categorical", categories=kept, other=len(kept) < len(ordered), missing=missing)


def _share(counts: Counter[str], wanted: Any) -> float:
    return sum(count for cell, count in counts.items() if wanted(cell)) / counts.total()


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
            f"{table.place(row, column.name)}: {table[column.name][row]} is too far from all others to compute with"
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
    places = {category: place for place, category in enumerate(column.categories)}
    other = len(places) if column.other else -1
    codes = np.array([_code(cell, places, other, column.missing, out.shape[1] - 1) for cell in table[column.name]], int)
    known = codes >= 0
    out[np.flatnonzero(known), codes[known]] = 1
    absent = codes == -2
    if absent.any():
        notes.append(
            f"{column.name!r}: {_rows(absent.sum())} without a value, which training never had: all inputs are 0"
        )
    unseen = Counter(
        cell for cell, code in zip(table[column.name], codes, strict=True) if code == -1 and cell is not None
    )
    if unseen:
        shown = ", ".join(repr(cell) for cell, _ in unseen.most_common(3)) + (", …" if len(unseen) > 3 else "")
        notes.append(
            f"{column.name!r}: {_rows(unseen.total())} with a category unseen in training ({shown}): all inputs are 0"
        )


def _code(cell: str | None, places: Mapping[str, int], other: int, missing: bool, last: int) -> int:
    if cell is None:
        return last if missing else -2
    return places.get(cell, other)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _names(names: list[str]) -> str:
    some = ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"the {'column' if len(names) == 1 else 'columns'} {some}"
