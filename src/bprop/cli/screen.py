"""What commands print on: a console, tables that fit 80 columns, and text from files that cannot change the terminal."""

from collections.abc import Callable
from typing import Any, TextIO

WIDEST = 80


def screen(stream: TextIO) -> tuple[Any, Any, Callable[..., Any]]:
    """Return a console for text, one for tables, and a function from a title to a new table.

    A table squeezed until its numbers are gone says nothing: on a narrow terminal its lines run on instead.
    """
    from rich.box import HEAVY_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(file=stream, highlight=False)
    narrow = console.width < WIDEST

    def new_table(title: str = "") -> Any:
        return Table(title=title or None, title_justify="left", box=None if narrow else HEAVY_HEAD)

    return console, Console(file=stream, highlight=False, width=max(console.width, WIDEST)), new_table


def plain(text: Any) -> Any:
    """Return text of a file as it is to be shown: brackets are no markup, and control characters do nothing.

    >>> from bprop.cli.screen import plain
    >>> plain("[bold]a\\x1b[2J").plain
    '[bold]a�[2J'
    """
    from rich.text import Text

    return Text(shown(str(text)))


def shown(text: str) -> str:
    """Return text without the characters that control a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
