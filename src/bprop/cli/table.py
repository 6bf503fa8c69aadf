"""``bprop train TABLE.csv --target COLUMN``."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .live import ViewOption, live
from .option import (
    AsJson,
    Hidden,
    LearningRate,
    Seed,
    interruptible,
    is_set,
    out_option,
    path_of,
    resume_option,
    resumed_run,
    saved_state,
    shell_name,
    sizes,
)
from .screen import print_json, screen

MAX_COLUMNS = 30  # rows of the list of columns


def table(
    context: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(parser=path_of, metavar="TABLE.csv", help="CSV with a header, or Parquet.", show_default=False),
    ],
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="What to predict.", show_default="required without --resume")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(metavar="TASK", help="classification or regression.", show_default="found from the target"),
    ] = None,
    categorical: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Its numbers are names, not amounts. Repeatable.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Not used. Repeatable.")] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Stands for a missing value, as NA and ? do. Repeatable."),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(metavar="CHARACTER", help="Between cells, one of , ; tab | unless given.", show_default="found"),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How often every training row is seen.")] = 100,
    hidden: Hidden = "64,64",
    learning_rate: LearningRate = 1e-3,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Rows per step.", show_default="16 to 256, by the number of rows")
    ] = None,
    patience: Annotated[
        int, typer.Option(min=1, metavar="EPOCHS", help="Ends after so many without a smaller validation loss.")
    ] = 20,
    seed: Seed = 0,
    out: Annotated[Path | None, out_option("runs/<table>-<date>-<n>")] = None,
    resume: Annotated[Path | None, resume_option()] = None,
    view: ViewOption = False,
    as_json: AsJson = False,
) -> None:
    """Learn to predict one column of a table from the others.

    A fifth of the rows is held out as the test. What was learned is measured
    on it once, beside majority or mean, and logistic or ridge regression.

    The folder of the run gets run.json, table.json, metrics.jsonl,
    checkpoint.safetensors, model.safetensors, curves.png and influence.png.
    [bold]bprop predict[/bold] applies it to another table.

    Interrupted or killed, it goes on with --resume: the options come from the
    run, and so, bit for bit, does the result.
    """
    from ..train.table.fit import layer_sizes

    if not path.exists() and not path.suffix:
        raise typer.BadParameter(
            f"{str(path)!r} is neither a file nor data that comes with the library (digits), nor text"
        )
    options: dict[str, Any] = {
        "target": target,
        "task": task,
        "categorical": categorical or [],
        "ignore": ignore or [],
        "missing": missing or [],
        "delimiter": delimiter,
        "epochs": epochs,
        "hidden": layer_sizes(sizes(hidden)),
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "patience": patience,
        "seed": seed,
    }
    stream = sys.stderr if as_json else sys.stdout
    start = time.perf_counter()
    prepared, result, folder = _train(context, path, options, out, resume, stream, view)
    seconds = time.perf_counter() - start
    show_result(result.scores, result.verdict, result.influence, len(result.parts.test), stream)
    console, _, _ = screen(stream)
    console.print(
        f"weights of epoch {result.best_epoch}, the best on the validation rows; {seconds:.1f} s", soft_wrap=True
    )
    console.print(f"record: {folder}", soft_wrap=True)
    if as_json:
        print_json(_outcome(path, prepared, result, seconds, folder))


def _outcome(path: Path, prepared: Any, result: Any, seconds: float, folder: Path) -> dict[str, Any]:
    """Return what is printed with ``--json``."""
    return {
        "table": str(path),
        "target": prepared.target.name,
        "task": prepared.target.task,
        "why": prepared.target.why,
        "rows": {name: len(rows) for name, rows in prepared.parts._asdict().items()},
        "scores": result.scores,
        "verdict": result.verdict,
        "influence": result.influence,
        "best_epoch": result.best_epoch,
        "notes": result.notes,
        "seconds": round(seconds, 3),
        "run": str(folder),
    }


def _train(
    context: typer.Context,
    path: Path,
    options: dict[str, Any],
    out: Path | None,
    resume: Path | None,
    stream: Any,
    view: bool,
) -> tuple[Any, Any, Path]:
    """Read the table, show what is known of it, and train. Returns the prepared table, the result and the folder."""
    from ..train.digit import next_folder
    from ..train.run import new_folder
    from ..train.table import PreparedTable, read_table
    from ..train.table.resume import table_settings

    folder: Path | None = None
    with interruptible(lambda: "nothing was saved" if folder is None else saved_state(folder, shell_name(path))):
        if resume is not None:
            folder = resumed_run(resume, out)
            stored = table_settings(folder)
            options |= {name: value for name, value in stored.items() if not is_set(context, name)}
        training = {name: options.pop(name) for name in ("hidden", "epochs", "batch_size", "learning_rate", "patience")}
        data = read_table(path, delimiter=options.pop("delimiter"), missing=options.pop("missing"))
        target = options.pop("target")
        if target is None:
            columns = ", ".join(list(data)[:20]) + (", …" if len(data.columns) > 20 else "")
            raise typer.BadParameter(f"say which column to predict; there are {columns}", param_hint="'--target'")
        prepared = PreparedTable(data, target, **options)
        if resume is None:
            _show_table(prepared, stream)
            folder = next_folder(name=path.stem) if out is None else new_folder(out)
        with live(view, lambda: folder):
            result = prepared.fit(**training, out=folder, resume=resume is not None, progress=stream, layers=view)
    assert folder is not None
    return prepared, result, folder


def _show_table(prepared: Any, stream: Any) -> None:
    """Print what was read: the columns and what becomes of them, the target and the task, the parts, the notes."""
    console, tables, new_table = screen(stream)
    data = prepared.table
    console.print(f"{data.name}: {len(data):,} rows, {len(list(data)):,} columns", soft_wrap=True)
    show_columns(prepared.encoding.columns, tables, new_table, data)
    target = prepared.target
    kinds = f"{len(target.classes)} classes" if target.classes else "a number"
    console.print(f"target {target.name}: {target.task} ({kinds}), since {target.why}")
    counts = [f"{len(rows):,} {name}" for name, rows in prepared.parts._asdict().items()]
    console.print(f"rows: {', '.join(counts)}; {len(prepared.encoding.inputs):,} inputs", soft_wrap=True)
    for note in prepared.notes:
        console.print(f"note: {note}", soft_wrap=True)
    console.print()


def show_columns(columns: Any, tables: Any, new_table: Any, data: Any = None) -> None:
    """Print the columns: kind, missing cells where the table is at hand, and what was learned of them."""
    listed = new_table()
    listed.add_column("column")
    listed.add_column("kind")
    if data is not None:
        listed.add_column("missing", justify="right")
    listed.add_column("learned from the training part")
    for column in columns[:MAX_COLUMNS]:
        if column.kind == "numeric":
            text = f"mean {column.mean:.4g}, std {column.scale:.4g}"
        elif column.kind == "categorical":
            names = ", ".join(column.categories[:4]) + (", …" if len(column.categories) > 4 else "")
            text = f"{len(column.categories)} categories: {names}" + (" and others" if column.other else "")
        else:
            text = column.reason
        missing = [] if data is None else [_count(data[column.name].count(None))]
        listed.add_row(column.name, column.kind, *missing, text)
    tables.print(listed)
    if len(columns) > MAX_COLUMNS:
        tables.print(f"… and {len(columns) - MAX_COLUMNS} more columns")


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


NAMES = {"accuracy": "accuracy", "log_loss": "log loss", "auc": "AUC", "r2": "R²", "mae": "MAE", "rmse": "RMSE"}


def score(name: str, value: float) -> str:
    """Return a score as text."""
    return f"{value:.1%}" if name == "accuracy" else f"{value:.4g}" if name in ("mae", "rmse") else f"{value:.3f}"


def show_result(
    scores: dict[str, dict[str, float]], verdict: str, influence: dict[str, float], rows: int, stream: Any
) -> None:
    """Print the scores beside each other, what they say, and the influences as bars."""
    from ..train.table.sensitivity import MEANING, bars

    console, tables, new_table = screen(stream)
    listed = new_table(f"Held-out score ({rows:,} test rows)")
    listed.add_column("model", no_wrap=True)
    measures = list(next(iter(scores.values())))
    for name in measures:
        listed.add_column(NAMES.get(name, name), justify="right", no_wrap=True)
    for model, by_measure in scores.items():
        cells = [score(name, by_measure[name]) if name in by_measure else "" for name in measures]
        listed.add_row(model, *cells, style="bold" if model == "network" else None)
    console.print()
    tables.print(listed)
    console.print(verdict)
    console.print()
    console.print("Influence of the columns", style="italic")
    for line in bars(influence, width=min(max(console.width, 40), 80)):
        console.print(line, soft_wrap=True)
    console.print(MEANING, style="dim")
    console.print()
