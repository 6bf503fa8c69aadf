"""``bprop cache`` and ``bprop cache clear``: the compiled programs that are kept on disk."""

import sys
import time
from pathlib import Path
from typing import Any

import typer

from .option import AsJson
from .screen import print_json, screen


def listing(context: typer.Context, as_json: AsJson = False) -> None:
    """List the compiled programs that are kept on disk; `bprop cache clear` removes them."""
    if context.invoked_subcommand is not None:
        return
    from ..compile.runtime.object_cache import folder_of_store, store

    programs, folder = store(), folder_of_store()
    refusal = programs.refusal() if programs else ""
    entries = programs.entries() if programs and not refusal else []
    total = sum(entry.size for entry in entries)
    if as_json:
        print_json(
            {
                "folder": str(folder) if folder else None,
                "enabled": programs is not None and not refusal,
                "limit": programs.limit if programs else 0,
                "bytes": total,
                "programs": [_json_entry(entry) for entry in entries],
            }
        )
        return
    console, tables, new_table = screen(sys.stdout)
    if programs is None:
        console.print(f"compiled programs are not kept: {_why_disabled(folder)}", soft_wrap=True)
        return
    if refusal:
        console.print(f"compiled programs are not kept: {programs.folder} {refusal}", soft_wrap=True)
        return
    if entries:
        tables.print(_table_of(entries, new_table()))
    count = "1 program" if len(entries) == 1 else f"{len(entries):,} programs"
    console.print(f"{count}, {size(total)} of at most {size(programs.limit)}", soft_wrap=True)
    console.print(str(programs.folder), soft_wrap=True)


def _table_of(entries: Any, table: Any) -> Any:
    """Add a row for every entry of the store to a table of rich's, and return it."""
    table.box, table.pad_edge = None, False
    table.add_column("program", overflow="fold")
    for name in ("ops", "kernels", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("used", no_wrap=True)
    table.add_column("processor", overflow="fold")
    table.add_column("key", no_wrap=True)
    for entry in entries:
        about, key = entry.about, entry.path.stem[:8]
        if about is None:
            table.add_row("damaged", "", "", size(entry.size), _age(entry.used), "", key, style="red")
            continue
        numbers = [f"{about[name]:,}" if isinstance(about.get(name), int) else "" for name in ("ops", "kernels")]
        name = str(about.get("name") or "a graph")
        table.add_row(name, *numbers, size(entry.size), _age(entry.used), str(about.get("cpu", "")), key)
    return table


def clear(as_json: AsJson = False) -> None:
    """Remove every compiled program; they are compiled again when they are needed."""
    from ..compile.runtime.object_cache import Store, folder_of_store

    folder = folder_of_store()  # also where the environment switches the cache off
    number, total = Store(folder).clear() if folder else (0, 0)
    if as_json:
        print_json({"folder": str(folder) if folder else None, "removed": number, "bytes": total})
        return
    console, _, _ = screen(sys.stdout)
    count = "1 program" if number == 1 else f"{number:,} programs"
    console.print(f"removed {count} ({size(total)})" + (f" from {folder}" if folder else ""), soft_wrap=True)


def _json_entry(entry: Any) -> dict[str, Any]:
    about = entry.about or {}
    return {
        "key": entry.path.stem,
        "bytes": entry.size,
        "used": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(entry.used)),
        "status": "kept" if entry.about else "damaged",
        **{name: about.get(name) for name in ("name", "ops", "kernels", "cpu")},
    }


def _why_disabled(folder: Path | None) -> str:
    return "there is no home folder to keep them in" if folder is None else "BPROP_CACHE or BPROP_CACHE_SIZE says so"


def size(count: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _age(used: float) -> str:
    seconds = max(time.time() - used, 0)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' * (number > 1)} ago"
    return "just now"
