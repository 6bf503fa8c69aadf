"""``bprop runs`` and ``bprop show RUN``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .option import AsJson, RunArgument, find_run, path_of, resume_command, shell_name, text_argument
from .screen import print_json, screen
from .table import NAMES, score, show_columns, show_result

MAX_EPOCHS = 6  # shown of a history
HIDDEN = (
    "model",
    "title",
    "versions",
    "train",
    "validation",
)  # settings that are printed elsewhere, or are digests


def runs(
    folder: Annotated[
        Path, typer.Argument(parser=path_of, metavar="FOLDER", help="The folder that holds the runs.")
    ] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the runs in a folder: what was learned, when, and how well."""
    from ..train.storage import StorageError
    from ..train.table.run_summary import read_summaries

    if not folder.exists() and folder == Path("runs"):
        raise StorageError("there is no folder runs here: `bprop train digits` makes the first one")
    summaries = list(read_summaries(folder))
    if as_json:
        print_json({"folder": str(folder), "runs": [_json_entry(path, summary) for path, summary in summaries]})
        return
    console, tables, new_table = screen(sys.stdout)
    if not summaries:
        console.print(f"{folder} holds no runs", soft_wrap=True)
        return
    tables.print(_table_of(summaries, new_table()))
    unfinished = sum(not isinstance(summary, str) and summary.resumable for _, summary in summaries)
    if unfinished:
        console.print(f"{unfinished} did not finish: `bprop show RUN` says how to go on", soft_wrap=True)
    for _, summary in summaries:
        if isinstance(summary, str):
            console.print(f"broken: {summary}", soft_wrap=True)


def _table_of(summaries: Sequence[tuple[Path, Any]], table: Any) -> Any:
    """Add a row for every run to a table of rich's, and return it. Of a broken run the summary is a message."""
    table.box, table.pad_edge = None, False  # borders would take the space of the names
    longest = max(len(path.name) for path, _ in summaries)
    table.add_column("run", overflow="fold", no_wrap=longest <= 30)  # to be copied into the next command
    table.add_column("began", no_wrap=True)
    table.add_column("learned", overflow="fold", min_width=len("classification"))
    table.add_column("score", overflow="fold", max_width=10)
    table.add_column("status", no_wrap=True)
    for path, summary in summaries:
        if isinstance(summary, str):
            table.add_row(path.name, "", "", "", "broken", style="red")
        else:
            value = summary.score
            text = f"{NAMES.get(value[0], value[0])} {score(*value)}" if value else ""
            table.add_row(path.name, summary.started[:10], summary.task, text, summary.status)
    return table


def _json_entry(path: Path, summary: Any) -> dict[str, Any]:
    if isinstance(summary, str):
        return {"run": str(path), "status": "broken", "reason": summary}
    value = summary.score
    return {
        "run": str(path),
        "status": summary.status,
        "started": summary.started,
        "seconds": summary.seconds,
        "epochs": len(summary.history),
        "task": summary.task,
        "score": {value[0]: value[1]} if value else None,
    }


def show(run: RunArgument, as_json: AsJson = False) -> None:
    """Show a run: its settings, how the training went, scores, columns, influences, and where its files are."""
    from ..train.run import epoch_line
    from ..train.table.run_summary import read_summary

    summary = read_summary(find_run(run))
    files = sorted(path for path in summary.folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if as_json:
        print_json(_json_summary(summary, files))
        return
    console, tables, new_table = screen(sys.stdout)
    console.print(f"{summary.folder}: {summary.task}, {summary.status}", style="bold", soft_wrap=True)
    duration = f", took {summary.seconds:.1f} s" if summary.seconds else ""  # unknown of a killed run
    console.print(f"began {summary.started}{duration}", soft_wrap=True)
    for name, value in summary.config.items():
        if name in HIDDEN or value is None or value == []:
            continue
        pairs = [f"{k} {v}" for k, v in value.items()] if isinstance(value, dict) else value
        text = ", ".join(map(str, pairs)) if isinstance(pairs, list) else pairs
        console.print(f"  {name.replace('_', ' '):14} {text}", soft_wrap=True)
    model = summary.config.get("model")
    for text in model if isinstance(model, list) else []:
        console.print(f"  {text}", soft_wrap=True)
    for note in [*summary.notes, *(summary.table.notes if summary.table else [])]:
        console.print(f"note: {note}", soft_wrap=True)
    if summary.history:
        console.print()
        half = MAX_EPOCHS // 2
        entries = (
            summary.history
            if len(summary.history) <= MAX_EPOCHS
            else [*summary.history[:half], None, *summary.history[-half:]]
        )
        for entry in entries:
            console.print(epoch_line(entry) if entry else "…", soft_wrap=True)
    if summary.table is not None:
        _show_table(summary.table, console, tables, new_table)
    if summary.resumable:
        console.print("to go on:")
        console.print(f"  {_advice(summary)}", soft_wrap=True)
    console.print("files:")
    for path in files:
        console.print(f"  {path}", soft_wrap=True)


def _advice(summary: Any) -> str:
    """Return the command that goes on with a run, or the call if it was begun by a call."""
    from ..train.text.model import TEXT_RECORD, read_record

    if summary.table is not None:
        return resume_command(shell_name(summary.table.table), summary.folder)
    if str(summary.config.get("title")).startswith("handwritten digits"):
        return resume_command("digits", summary.folder)
    if (summary.folder / TEXT_RECORD).is_file():
        return resume_command(text_argument(read_record(summary.folder)["text"].text()), summary.folder)
    return f"fit(…, out={str(summary.folder)!r}, resume=True), all else as before"


def _show_table(table: Any, console: Any, tables: Any, new_table: Any) -> None:
    console.print()
    console.print(f"table {table.table}; target {table.model.target}: {table.model.task}, since {table.why}")
    counts = ", ".join(f"{count:,} {name}" for name, count in table.rows.items())
    console.print(f"rows: {counts}; drawn from seed {table.seed}", soft_wrap=True)
    show_columns(table.model.encoding.columns, tables, new_table)
    if table.scores:
        console.print(f"weights of epoch {table.best_epoch}, the best on the validation rows")
        show_result(table.scores, table.verdict, table.influence, table.rows.get("test", 0), sys.stdout)
    else:
        console.print("not measured: the training did not finish")


def _json_summary(summary: Any, files: list[Path]) -> dict[str, Any]:
    content = {
        **_json_entry(summary.folder, summary),
        "config": summary.config,
        "notes": summary.notes,
        "history": summary.history,
        "files": [str(path) for path in files],
        "resume": _advice(summary) if summary.resumable else None,
    }
    if summary.table is not None:
        fields = summary.table._asdict()
        model = fields.pop("model")
        content["table"] = fields | {"target": model.target, "task": model.task, "columns": model.encoding.record()}
    return content
