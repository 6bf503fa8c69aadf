"""`read_table`: a `Table` from CSV, or from Parquet if pyarrow is installed. Errors name row and column."""

import csv
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.error import ArgumentError
from ..storage import StorageError
from .table import MISSING, Cells, Table, TableError, clean, is_number

DELIMITERS = ",;\t|"
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_SAMPLED_ROWS = 50  # to find the delimiter
_MAX_CELL = 10**8  # characters: far beyond any table, yet bounded


def read_table(path: str | os.PathLike[str], *, delimiter: str | None = None, missing: Sequence[str] = ()) -> Table:
    """Read a table with a header from a file: CSV in UTF-8, or Parquet (``.parquet``, needs ``bprop[parquet]``).

    Cells may be quoted with ``"``; spaces around them are removed; blank lines are skipped. Empty cells and NA, N/A, NaN, null,
    None and ? are missing. Where commas do not delimit, ``1,5`` is read as a number, with a note.

    Parameters
    ----------
    path
        The file.
    delimiter
        The character between cells; by default one of ``, ; tab |``, found from the first rows.
    missing
        More texts that stand for a missing value.

    Raises
    ------
    TableError
        For a file that is no table: without header or rows, with column names that are empty or occur twice, with a row of
        another length than the header (row, line and both lengths are named), an open quote, or bytes that are not UTF-8 (line
        and byte are named).
    StorageError
        For a file that cannot be opened, or Parquet without pyarrow.

    **Source:** RFC 4180 (2005), Common format and MIME type for comma-separated values files.

    >>> import pathlib, tempfile
    >>> from bprop.train import read_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "plants.csv"
    ...     _ = file.write_text('height,kind\\n12.5,"tall, green"\\n,short\\n')
    ...     table = read_table(file)
    >>> len(table), table["height"], table["kind"]
    (2, ['12.5', None], ['tall, green', 'short'])
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ArgumentError(f"read_table: the path of a file, not {path!r}")
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ArgumentError(f"read_table: the delimiter is one character such as ',' or ';', not {delimiter!r}")
    file = Path(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StorageError(f"{file}: {error.strerror or error}") from None
    if content.startswith(b"PAR1") or file.suffix in (".parquet", ".pq"):
        table = _parquet(file, missing)
    else:
        table = _csv(str(file), _text(str(file), content), delimiter, MISSING | set(missing))
    table.reading = {"delimiter": delimiter, "missing": list(missing)}
    return table


def _text(name: str, content: bytes) -> str:
    """Return the text of a UTF-8 file, with or without byte order mark."""
    if content.startswith(b"PK\x03\x04"):
        raise TableError(f"{name} is a spreadsheet or another zipped file: save it as CSV")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableError(f"{name}: line 1: the text is UTF-16; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        offset = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        line = content.count(b"\n", 0, offset) + 1
        raise TableError(
            f"{name}: line {line}, byte {offset}: 0x{content[offset]:02x} is not UTF-8; save the file as UTF-8 "
            f"(it may be Latin-1 or Windows-1252)"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise TableError(f"{name}: line {line} holds a zero byte: this is no CSV file")
    return text


def _csv(name: str, text: str, delimiter: str | None, missing: set[str] | frozenset[str]) -> Table:
    if not text.strip():
        raise TableError(f"{name} is empty: the first line of a table names its columns")
    delimiter = delimiter or _delimiter(text)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    previous_limit = csv.field_size_limit(_MAX_CELL)
    first_line = 1  # of the record that is being read
    try:
        for cells in reader:
            if not cells or (len(cells) == 1 and not cells[0].strip() and len(header) != 1):
                first_line = reader.line_num + 1
                continue  # a blank line
            if not header:
                header = [cell.strip() for cell in cells]
                _check_header(name, header, reader.line_num)
            elif len(cells) != len(header):
                raise TableError(
                    f"{name}: row {len(rows) + 1} (line {reader.line_num}) has {_count(len(cells), 'cell')}, the header "
                    f"has {len(header)}{_where(cells, header)}"
                )
            else:
                rows.append(cells)
                lines.append(reader.line_num)
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{name}: line {first_line}: {_reason(str(error), len(rows))}") from None
    finally:
        csv.field_size_limit(previous_limit)
    if not rows:
        raise TableError(f"{name} has a header ({', '.join(header[:8])}) and no rows")
    columns = {column: clean(cells, missing) for column, cells in zip(header, zip(*rows, strict=True), strict=True)}
    notes = []
    if delimiter != ",":
        changed = [column for column, cells in columns.items() if _replace_decimal_commas(cells)]
        if changed:
            notes.append(f"decimal commas are read as points in {', '.join(changed)}")
    return Table(name, columns, lines, notes)


def _reason(message: str, rows: int) -> str:
    if "unexpected end" in message:
        return f'a quote (") is opened in the row that begins here (row {rows + 1}) and never closed'
    if "expected after" in message:
        return f'text follows a closing quote (row {rows + 1}); a quote inside a quoted cell is written twice: ""'
    return f"row {rows + 1}: {message}"


def _check_header(name: str, header: list[str], line: int) -> None:
    seen: dict[str, int] = {}
    for position, column in enumerate(header, 1):
        if not column:
            hint = " (pandas writes its index so: use to_csv(…, index=False))" if position == 1 else ""
            raise TableError(f"{name}: line {line}: column {position} of {len(header)} has no name{hint}")
        if column in seen:
            raise TableError(
                f"{name}: line {line}: the name {column!r} stands twice, at columns {seen[column]} and {position}"
            )
        seen[column] = position
    if all(is_number(column) for column in header):
        raise TableError(
            f"{name}: line {line}: every column name is a number ({', '.join(header[:4])}, …): the first line is the "
            f"header, add one"
            if len(header) > 1
            else f"{name}: line {line}: the column is named {header[0]!r}: the first line is the header, add one"
        )


def _where(cells: list[str], header: list[str]) -> str:
    """Return which column a row of the wrong length lacks first, or what stands beyond the last."""
    if len(cells) < len(header):
        return f": nothing for column {header[len(cells)]!r}"
    return f": {cells[len(header)]!r:.30} stands after the last column {header[-1]!r}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _delimiter(text: str) -> str:
    """Return the delimiter with which most of the first rows are as long as the header, and the header longest."""
    best, best_score = ",", (0.0, 1)
    for delimiter in DELIMITERS:
        lengths = []
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    lengths.append(len(cells))
                if len(lengths) > _SAMPLED_ROWS:
                    break
        except csv.Error:
            continue
        if lengths and lengths[0] > 1:
            score = sum(length == lengths[0] for length in lengths) / len(lengths), lengths[0]
            if score > best_score:
                best, best_score = delimiter, score
    return best


def _replace_decimal_commas(cells: Cells) -> bool:
    """Replace decimal commas by points, in place, if all cells are numbers; returns whether there were commas."""
    has_comma = False
    for cell in cells:
        if cell is None or is_number(cell):
            if cell is not None and "." in cell:
                return False
        elif _DECIMAL_COMMA.fullmatch(cell):
            has_comma = True
        else:
            return False
    if has_comma:
        cells[:] = [cell if cell is None else cell.replace(",", ".") for cell in cells]
    return has_comma


def _parquet(file: Path, missing: Sequence[str]) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise StorageError(f"{file}: reading Parquet needs pyarrow: pip install 'bprop[parquet]'") from None
    try:
        data: Any = parquet.read_table(file)
    except (ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise TableError(f"{file} is no Parquet file that can be read: {reason}") from None
    names = list(data.column_names)
    _check_header(str(file), names, 1)
    if not names or not data.num_rows:
        raise TableError(f"{file} has {_count(len(names), 'column')} and no rows")
    return Table.from_columns({name: data.column(name).to_pylist() for name in names}, str(file), missing)
