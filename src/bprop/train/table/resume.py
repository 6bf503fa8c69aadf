"""Resuming the training of a table: the options that it was begun with, and a comparison of table and options with them."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..record import Field, read_json
from ..storage import StorageError, run_folder
from .model import DEEPEST, TABLE_RECORD, WIDEST
from .table import Table
from .target import TASKS

_MAX_NAMED = 5  # columns that a message names


def fingerprint(table: Table) -> dict[str, Any]:
    """Return the number of rows, and a digest of the cells of every column, by which another table is noticed.

    >>> from bprop.train import Table
    >>> from bprop.train.table.resume import fingerprint
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
    >>> from bprop.train.table.resume import table_settings
    >>> table = Table.from_columns({"x": range(20), "y": [n**2 for n in range(20)]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     out = os.path.join(folder, "run")
    ...     result = fit_table(table, "y", epochs=1, hidden=[8], out=out, progress=False)
    ...     settings = table_settings(out)
    >>> settings["target"], settings["hidden"], settings["patience"]
    ('y', [8], 20)
    """
    path = run_folder(folder)
    if not (path / TABLE_RECORD).is_file():
        raise StorageError(
            f"{path} holds no training of a table that could go on: there is no {TABLE_RECORD} in it (nor is there one if a "
            f"run was killed before its first step: begin it anew)"
        )
    return _settings(read_json(path / TABLE_RECORD))


def _settings(record: Field) -> dict[str, Any]:
    settings = record["settings"]
    reading = settings["reading"]
    return {
        "target": record["target"]["name"].text(),
        "task": settings["task"].choice(TASKS) if "task" in settings else None,
        "categorical": settings["categorical"].texts(),
        "ignore": settings["ignore"].texts(),
        "hidden": [size.integer(1, WIDEST) for size in record["hidden"].items()][:DEEPEST],
        "epochs": settings["epochs"].integer(1),
        "batch_size": settings["batch_size"].integer(1),
        "learning_rate": settings["learning_rate"].number(above=0),
        "patience": settings["patience"].integer(1),
        "seed": record["seed"].integer(most=2**64 - 1),
        "delimiter": reading["delimiter"].text() if "delimiter" in reading else None,
        "missing": reading["missing"].texts() if "missing" in reading else [],
    }


def check_same_task(folder: Path, options: Mapping[str, Any], table: Table, digests: Mapping[str, Any]) -> None:
    """Raise `StorageError`, naming all that differs, unless the run in ``folder`` is of this table and these options.

    ``options`` has the options that must be equal; the task is compared as it was found. ``digests``: the table's `fingerprint`.
    """
    record = read_json(folder / TABLE_RECORD)
    stored = _settings(record) | {"task": record["target"]["task"].choice(TASKS)}
    differing = [
        f"{name.replace('_', ' ')} was {_shortened(stored[name])}, here it is {_shortened(value)}"
        for name, value in options.items()
        if stored[name] != value
    ]
    if differing:
        raise StorageError(
            f"{folder / TABLE_RECORD}: of another training: {'; '.join(differing)}. Give what was given then, or nothing, or "
            f"train anew in another folder"
        )
    differences = _table_differences(record["fingerprint"], table, digests["columns"])
    if differences and table.reading:
        differences += [
            f"it was read with {name} {_shortened(stored[name])}, here with {_shortened(value)}"
            for name, value in table.reading.items()
            if value != stored[name]
        ]
    if differences:
        raise StorageError(
            f"{table.name} is not the table that {folder} was trained on: {'; '.join(differences)}. Go on with that table, or "
            f"train anew in another folder"
        )


def _table_differences(stored: Field, table: Table, digests: Mapping[str, str]) -> list[str]:
    """Return in words how a table differs from the one whose `fingerprint` is stored."""
    rows, columns = stored["rows"].integer(), {name: digest.text() for name, digest in stored["columns"].entries()}
    missing, new = [name for name in columns if name not in table], [name for name in table if name not in columns]
    changed = [name for name, digest in digests.items() if columns.get(name, digest) != digest]
    differences = [f"it had {rows:,} rows, here it has {len(table):,}"] if rows != len(table) else []
    differences += [f"{_names(missing)} {'is' if len(missing) == 1 else 'are'} not there"] if missing else []
    differences += [f"{_names(new)} {'was' if len(new) == 1 else 'were'} not there"] if new else []
    if changed and not differences:
        differences = [f"{_names(changed)} {'holds' if len(changed) == 1 else 'hold'} other cells"]
    if not differences and list(columns) != list(table):
        differences = ["its columns stand in another order"]
    return differences


def _shortened(value: Any) -> str:
    text = "none" if value == [] else str(value)
    return text if len(text) <= 80 else f"{text[:80]} …"


def _names(names: list[str]) -> str:
    listed = ", ".join(map(repr, names[:_MAX_NAMED])) + (", …" if len(names) > _MAX_NAMED else "")
    return f"column {listed}" if len(names) == 1 else f"columns {listed}"
