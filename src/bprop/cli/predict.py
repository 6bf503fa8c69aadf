"""``bprop predict RUN TABLE.csv``."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..core.file import reason, write_new
from ..core.printable import printable_lines
from .option import RunArgument, find_run, path_of
from .screen import json_line, screen
from .table import NAMES, score

_EXISTS = "{} exists: predictions never overwrite a file; name a new one"


def predict(
    run: RunArgument,
    path: Annotated[
        Path,
        typer.Argument(parser=path_of, metavar="TABLE.csv", help="CSV with a header, or Parquet.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(parser=path_of, metavar="FILE", help="A new file for the predictions.", show_default="the screen"),
    ] = None,
    missing: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Stands for a missing value. Repeatable.")
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(metavar="CHARACTER", help="Between cells, one of , ; tab | unless given.", show_default="found"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of CSV.")] = False,
) -> None:
    """Predict every row of a table with the model of a run; writes CSV, notes go to stderr.

    Columns are found by name, in any order. If the table has the target, the predictions are scored as well.
    """
    from ..train.storage import StorageError
    from ..train.table import load_table_model, read_table

    if out is not None and os.path.lexists(out):
        raise StorageError(_EXISTS.format(out))
    model = load_table_model(find_run(run))
    prediction = model.predict(read_table(path, delimiter=delimiter, missing=missing or ()))
    console, _, _ = screen(sys.stderr)
    for note in prediction.notes:
        console.print(f"note: {note}", soft_wrap=True)
    if prediction.scores is not None:
        shown = ", ".join(f"{NAMES[name]} {score(name, value)}" for name, value in prediction.scores.items())
        console.print(
            f"{len(prediction.values):,} rows; {shown} (rows it has learned from are no test)", soft_wrap=True
        )
    if as_json:
        text = json_line(
            {
                "run": str(run),
                "table": str(path),
                "target": prediction.target,
                "task": model.task,
                "predictions": prediction.rows(),
                "scores": prediction.scores,
                "notes": prediction.notes,
            }
        )
    else:
        text = prediction.csv()
    if out is None:
        sys.stdout.write(printable_lines(text) if sys.stdout.isatty() else text)
    else:
        try:
            write_new(out, text.encode())
        except FileExistsError:
            raise StorageError(_EXISTS.format(out)) from None
        except OSError as error:
            raise StorageError(f"{out}: {reason(error)}") from None
        console.print(f"{len(prediction.values):,} predictions: {out}", soft_wrap=True)
