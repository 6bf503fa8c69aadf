"""``bprop runs`` and ``bprop show RUN``."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .option import AsJson, RunArgument, find_run, place, resuming, written
from .screen import print_json, screen
from .table import NAMES, score, show_columns, show_result

EPOCHS = 6  # that are shown of a history
HIDDEN = (
    "model",
    "title",
    "versions",
    "train",
    "validation",
)  # settings that have a place of their own, or are digests


def runs(
    folder: Annotated[
        Path, typer.Argument(parser=place, metavar="FOLDER", help="The folder that holds the runs.")
    ] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the runs in a folder: what was learned, when, and how well."""
    from ..train.storage import StorageError
    from ..train.table.run_summary import read_summaries

    if not folder.exists() and folder == Path("runs"):
        raise StorageError("there is no folder runs here: `bprop train digits` makes the first one")
    found = list(read_summaries(folder))
    if as_json:
        print_json({"folder": str(folder), "runs": [_entry(path, one) for path, one in found]})
        return
    console, tables, new_table = screen(sys.stdout)
    if not found:
        console.print(f"{folder} holds no runs", soft_wrap=True)
        return
    listed = new_table()
    listed.box, listed.pad_edge = None, False  # borders would take the room of the names
    longest = max(len(path.name) for path, _ in found)
    listed.add_column("run", overflow="fold", no_wrap=longest <= 30)  # to be copied into the next command
    listed.add_column("began", no_wrap=True)
    listed.add_column("learned", overflow="fold", min_width=len("classification"))
    listed.add_column("score", overflow="fold", max_width=10)
    listed.add_column("status", no_wrap=True)
    broken = []
    unfinished = sum(not isinstance(one, str) and one.resumable for _, one in found)
    for path, one in found:
        if isinstance(one, str):
            broken.append(one)
            listed.add_row(path.name, "", "", "", "broken", style="red")
        else:
            value = one.score
            text = f"{NAMES.get(value[0], value[0])} {score(*value)}" if value else ""
            listed.add_row(path.name, one.started[:10], one.task, text, one.status)
    tables.print(listed)
    if unfinished:
        console.print(f"{unfinished} did not finish: `bprop show RUN` says how to go on", soft_wrap=True)
    for reason in broken:
        console.print(f"broken: {reason}", soft_wrap=True)


def _entry(path: Path, one: Any) -> dict[str, Any]:
    if isinstance(one, str):
        return {"run": str(path), "status": "broken", "reason": one}
    value = one.score
    return {
        "run": str(path),
        "status": one.status,
        "started": one.started,
        "seconds": one.seconds,
        "epochs": len(one.history),
        "task": one.task,
        "score": {value[0]: value[1]} if value else None,
    }


def show(run: RunArgument, as_json: AsJson = False) -> None:
    """Show a run: its settings, how the training went, scores, columns, influences, and where its files are."""
    from ..train.run import epoch_line
    from ..train.table.run_summary import read_summary

    one = read_summary(find_run(run))
    files = sorted(path for path in one.folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if as_json:
        print_json(_whole(one, files))
        return
    console, tables, new_table = screen(sys.stdout)
    console.print(f"{one.folder}: {one.task}, {one.status}", style="bold", soft_wrap=True)
    took = f", took {one.seconds:.1f} s" if one.seconds else ""  # a killed run could not say it
    console.print(f"began {one.started}{took}", soft_wrap=True)
    for name, value in one.config.items():
        if name in HIDDEN or value is None or value == []:
            continue
        pairs = [f"{k} {v}" for k, v in value.items()] if isinstance(value, dict) else value
        text = ", ".join(map(str, pairs)) if isinstance(pairs, list) else pairs
        console.print(f"  {name.replace('_', ' '):14} {text}", soft_wrap=True)
    model = one.config.get("model")
    for text in model if isinstance(model, list) else []:
        console.print(f"  {text}", soft_wrap=True)
    for note in [*one.notes, *(one.table.notes if one.table else [])]:
        console.print(f"note: {note}", soft_wrap=True)
    if one.history:
        console.print()
        half = EPOCHS // 2
        some = one.history if len(one.history) <= EPOCHS else [*one.history[:half], None, *one.history[-half:]]
        for entry in some:
            console.print(epoch_line(entry) if entry else "…", soft_wrap=True)
    if one.table is not None:
        _show_table(one.table, console, tables, new_table)
    if one.resumable:
        console.print("to go on:")
        console.print(f"  {_advice(one)}", soft_wrap=True)
    console.print("files:")
    for path in files:
        console.print(f"  {path}", soft_wrap=True)


def _advice(one: Any) -> str:
    """Return the command that goes on with a run, or the call where it was begun by one."""
    if one.table is not None:
        return resuming(written(one.table.table), one.folder)
    if str(one.config.get("title")).startswith("handwritten digits"):
        return resuming("digits", one.folder)
    return f"fit(…, out={str(one.folder)!r}, resume=True), all else as before"


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


def _whole(one: Any, files: list[Path]) -> dict[str, Any]:
    made = {
        **_entry(one.folder, one),
        "config": one.config,
        "notes": one.notes,
        "history": one.history,
        "files": [str(path) for path in files],
        "resume": _advice(one) if one.resumable else None,
    }
    if one.table is not None:
        own = one.table._asdict()
        model = own.pop("model")
        made["table"] = own | {"target": model.target, "task": model.task, "columns": model.encoding.record()}
    return made
