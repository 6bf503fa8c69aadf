"""`Table`: named columns of text cells, as in a file. Their meaning is decided later, from the training rows."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.error import ArgumentError, BpropError

Cells = list[str | None]

MISSING = frozenset(
    ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "NAN", "null", "NULL", "None", "NaT", "?")
)
"""Cells that stand for a missing value, after the spaces around them are removed."""


class TableError(BpropError, ValueError):
    """A table cannot be read or used: the message names the file, the row and the column."""


class Table:
    """Named columns of equal length whose cells are text, or ``None`` where a value is missing.

    `read_table` makes one from a file, `Table.from_columns` from lists or arrays.

    Parameters
    ----------
    name
        The file, for messages.
    columns
        The cells by name of the column.
    lines
        The line of the file on which each row ends, for messages.
    notes
        What was noticed while reading.
    row_numbers
        The number of each row in the file; by default they count from 1.

    Attributes
    ----------
    rows
        How many rows there are.
    reading
        The options of `read_table`.

    Raises
    ------
    TableError
        For columns of unequal length.

    >>> from bprop.train import Table
    >>> table = Table.from_columns({"length": [1.5, 2.0, None], "colour": ["red", "NA", "blue"]})
    >>> table
    Table(table: 3 rows, 2 columns: length, colour)
    >>> table["length"], table["colour"]
    (['1.5', '2.0', None], ['red', None, 'blue'])
    """

    def __init__(
        self,
        name: str,
        columns: Mapping[str, Cells],
        lines: Sequence[int] | None = None,
        notes: Sequence[str] = (),
        row_numbers: Sequence[int] | None = None,
    ) -> None:
        lengths = {column: len(cells) for column, cells in columns.items()}
        if len(set(lengths.values())) > 1:
            raise TableError(f"{name}: the columns differ in length: {lengths}")
        self.name, self.columns, self.notes = name, dict(columns), list(notes)
        self.reading: dict[str, Any] = {}
        self.lines = lines
        self.rows = next(iter(lengths.values()), 0)
        self.row_numbers = range(1, self.rows + 1) if row_numbers is None else row_numbers

    @classmethod
    def from_columns(
        cls, columns: Mapping[str, Any], name: str = "table", missing: Sequence[str] = (), notes: Sequence[str] = ()
    ) -> "Table":
        """Return a table of lists or one-dimensional arrays.

        Parameters
        ----------
        columns
            The values by name of the column: numbers, text, booleans, dates, ``None``.
        name
            A name for messages.
        missing
            Texts that stand for a missing value, besides `MISSING`.
        notes
            What was noticed before.

        Raises
        ------
        TableError
            For columns of unequal length, or with cells that are lists, arrays or mappings.
        ArgumentError
            For what is no mapping from names to lists.
        """
        if not isinstance(columns, Mapping) or not columns or not all(isinstance(key, str) for key in columns):
            raise ArgumentError(f"Table.from_columns: columns map names to lists of values, not {columns!r:.60}")
        markers = MISSING | set(missing)
        cells: dict[str, Cells] = {}
        for column, values in columns.items():
            values = values.tolist() if hasattr(values, "tolist") else values
            if not isinstance(values, list | tuple | range):
                raise ArgumentError(f"Table.from_columns: column {column!r} is a list or array, not {values!r:.60}")
            cells[column] = [_cell(value, markers, name, column, row) for row, value in enumerate(values, 1)]
        return cls(name, cells, None, notes)

    def __getitem__(self, column: str) -> Cells:
        if column not in self.columns:
            raise TableError(f"{self.name} has no column {column!r}{likely(column, self.columns)}")
        return self.columns[column]

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __repr__(self) -> str:
        names = list(self.columns)
        listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        return f"Table({self.name}: {self.rows:,} rows, {len(names):,} columns: {listed})"

    def cell_name(self, row: int, column: str) -> str:
        """Return how messages name a cell. ``row`` is its position in this table; the message has its number in the file."""
        line = f" (line {self.lines[row]})" if self.lines is not None else ""
        return f"{self.name}: row {self.row_numbers[row]}{line}, column {column!r}"

    def numbers(self, column: str, advice: str = "") -> NDArray[np.float64]:
        """Return a column as float64, NaN where a value is missing.

        Raises `TableError`, naming row and column, at the first cell that is no number or not finite.
        """
        cells = self[column]
        try:
            values = np.fromiter((np.nan if cell is None else float(cell) for cell in cells), np.float64, len(cells))
            valid = np.isfinite(values) | np.fromiter((cell is None for cell in cells), bool, len(cells))
            if valid.all() and not any(cell is not None and "_" in cell for cell in cells):
                return values
        except ValueError:
            pass
        row = next(row for row, cell in enumerate(cells) if cell is not None and not _finite(cell))
        cell = cells[row]
        if cell is not None and is_number(cell):
            raise TableError(
                f"{self.cell_name(row, column)}: {cell!r} is not finite; leave the cell empty if it is missing"
            )
        raise TableError(f"{self.cell_name(row, column)}: {cell!r} is not a number{advice}")

    def take(self, rows: NDArray[np.int64]) -> "Table":
        """Return a table of these rows only; messages still name the rows' lines."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        lines = None if self.lines is None else [self.lines[row] for row in rows]
        return Table(self.name, columns, lines, self.notes, [self.row_numbers[row] for row in rows])


def is_number(cell: str) -> bool:
    """Whether the text is a number (also an infinite one), written without Python's underscores.

    >>> from bprop.train.table.table import is_number
    >>> [is_number(cell) for cell in ("1.5", "-2e3", "inf", "1_000", "abc")]
    [True, True, True, False, False]
    """
    try:
        return not isnan(float(cell)) and "_" not in cell
    except ValueError:
        return False


def _finite(cell: str) -> bool:
    return is_number(cell) and bool(np.isfinite(float(cell)))


def _cell(value: Any, missing: frozenset[str] | set[str], name: str, column: str, row: int) -> str | None:
    if value is None or (isinstance(value, float) and isnan(value)):
        return None
    if isinstance(value, list | tuple | Mapping | set) or hasattr(value, "shape"):
        raise TableError(f"{name}: row {row}, column {column!r}: {value!r:.40} is not one value")
    if isinstance(value, bytes):
        raise TableError(f"{name}: row {row}, column {column!r}: bytes, not text")
    text = str(value).strip()
    return None if text in missing else text


def clean(cells: Sequence[str], missing: frozenset[str] | set[str]) -> Cells:
    """Return the cells with spaces stripped, ``None`` for missing ones."""
    return [None if cell in missing else cell for cell in map(str.strip, cells)]


def likely(name: str, names: Any) -> str:
    """Return the end of a message about an unknown name: the name that was probably meant, else all names."""
    names = list(names)
    close = get_close_matches(name, names, n=1) or [other for other in names if other.casefold() == name.casefold()]
    if close:
        return f": did you mean {close[0]!r}?"
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"; it has {listed}" if listed else ""
