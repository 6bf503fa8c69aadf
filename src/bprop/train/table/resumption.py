"""Going on with the training of a table: what it was begun with, and whether table and options are those of then."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..record import Field, read_json
from ..storage import StorageError
from .model import DEEPEST, RECORD, WIDEST
from .table import Table
from .target import TASKS

_SHOWN = 5  # columns that a message names


def fingerprint(table: Table) -> dict[str, Any]:
    """Return the number of rows, and a digest of the cells of every column, by which another table is noticed.

    >>> from bprop.train import Table
    >>> from bprop.train.table.resumption import fingerprint
    >>> first, second = (Table.from_columns({"a": [1, 2], "b": [3, last]}) for last in (None, 4))
    >>> [fingerprint(first)["columns"][name] == fingerprint(second)["columns"][name] for name in first]
    [True, False]
    """
    return {
        "rows": len(table),
        "columns": {
            name: hashlib.sha256(json.dumps(cells).encode()).hexdigest() for name, cells in table.columns.items()
        },
    }


def table_settings(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the options with which the run in ``folder`` was begun: those of `fit_table`, and of `read_table`.

    Raises `StorageError` where it is no run of a table, and names the field that is wrong in a record that was changed.

    >>> import os, tempfile
    >>> from bprop.train import Table, fit_table
    >>> from bprop.train.table.resumption import table_settings
    >>> table = Table.from_columns({"x": range(20), "y": [n**2 for n in range(20)]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = os.path.join(folder, "run")
    ...     result = fit_table(table, "y", epochs=1, hidden=[8], out=place, progress=False)
    ...     settings = table_settings(place)
    >>> settings["target"], settings["hidden"], settings["patience"]
    ('y', [8], 20)
    """
    place = Path(folder)
    if not place.is_dir():
        raise StorageError(f"{place} is no folder of a run: `bprop runs` lists those there are")
    if not (place / RECORD).is_file():
        raise StorageError(
            f"{place} holds no training of a table that could go on: there is no {RECORD} in it (nor is there one if a "
            f"run was killed before its first step: begin it anew)"
        )
    return _settings(read_json(place / RECORD))


def _settings(record: Field) -> dict[str, Any]:
    own = record["settings"]
    reading = own["reading"]
    return {
        "target": record["target"]["name"].text(),
        "task": own["task"].choice(TASKS) if "task" in own else None,
        "categorical": _texts(own["categorical"]),
        "ignore": _texts(own["ignore"]),
        "hidden": [size.integer(1, WIDEST) for size in record["hidden"].items()][:DEEPEST],
        "epochs": own["epochs"].integer(1),
        "batch_size": own["batch_size"].integer(1),
        "learning_rate": own["learning_rate"].number(above=0),
        "patience": own["patience"].integer(1),
        "seed": record["seed"].integer(most=2**64 - 1),
        "delimiter": reading["delimiter"].text() if "delimiter" in reading else None,
        "missing": _texts(reading["missing"]) if "missing" in reading else [],
    }


def _texts(field: Field) -> list[str]:
    return [one.text() for one in field.items()]


def compare(folder: Path, wanted: Mapping[str, Any], table: Table) -> None:
    """Raise `StorageError`, naming all that differs, unless the run in ``folder`` is of this table and these options.

    ``wanted`` has those that must not differ; the task is compared as it was found.
    """
    record = read_json(folder / RECORD)
    then = _settings(record) | {"task": record["target"]["task"].choice(TASKS)}
    differing = [
        f"{name.replace('_', ' ')} was {_shown(then[name])}, here it is {_shown(value)}"
        for name, value in wanted.items()
        if then[name] != value
    ]
    if differing:
        raise StorageError(
            f"{folder / RECORD}: of another training: {'; '.join(differing)}. Give what was given then, or nothing, or "
            f"train anew in another folder"
        )
    known, here = record["fingerprint"], fingerprint(table)
    rows, columns = known["rows"].integer(), {name: one.text() for name, one in known["columns"].entries()}
    gone, new = [name for name in columns if name not in table], [name for name in table if name not in columns]
    other = [name for name, digest in here["columns"].items() if columns.get(name, digest) != digest]
    said = [f"it had {rows:,} rows, here it has {len(table):,}"] if rows != len(table) else []
    said += [f"{_names(gone)} {'is' if len(gone) == 1 else 'are'} not there"] if gone else []
    said += [f"{_names(new)} {'was' if len(new) == 1 else 'were'} not there"] if new else []
    said += [f"{_names(other)} {'holds' if len(other) == 1 else 'hold'} other cells"] if other and not said else []
    if not said and list(columns) != list(table):
        said = ["its columns stand in another order"]
    if said and table.reading:
        said += [
            f"it was read with {name} {_shown(then[name])}, here with {_shown(value)}"
            for name, value in table.reading.items()
            if value != then[name]
        ]
    if said:
        raise StorageError(
            f"{table.name} is not the table that {folder} was trained on: {'; '.join(said)}. Go on with that table, or "
            f"train anew in another folder"
        )


def _shown(value: Any) -> str:
    text = "none" if value == [] else str(value)
    return text if len(text) <= 80 else f"{text[:80]} …"


def _names(names: list[str]) -> str:
    some = ", ".join(map(repr, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
    return f"column {some}" if len(names) == 1 else f"columns {some}"
