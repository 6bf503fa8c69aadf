"""What commands print on: every text passes through here, so that none from a file can change the terminal.

Text is never markup: a name may have brackets. What is to have a style gets it by ``style=`` or as rich's ``Text``.
"""

import json
import sys
from collections.abc import Callable
from typing import Any, TextIO

from ..core.printable import printable, printable_lines

WIDEST = 80


def screen(stream: TextIO) -> tuple[Any, Any, Callable[..., Any]]:
    """Return a console for text, one for tables, and a function from a title to a new table.

    A table squeezed until its numbers are gone says nothing: on a narrow terminal its lines run on instead.
    """
    from rich.box import HEAVY_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    class Screen(Console):
        def render_str(
            self, text: str, *, style: Any = "", justify: Any = None, overflow: Any = None, **_: Any
        ) -> Text:
            return Text(printable(text), style=style, justify=justify, overflow=overflow)

    console = Screen(file=stream, highlight=False)
    narrow = console.width < WIDEST

    def new_table(title: str = "") -> Any:
        return Table(title=title or None, title_justify="left", box=None if narrow else HEAVY_HEAD)

    return console, Screen(file=stream, highlight=False, width=max(console.width, WIDEST)), new_table


def complain(text: str) -> None:
    """Print a line on standard error."""
    print(printable_lines(text), file=sys.stderr)


def json_line(value: Any) -> str:
    """Return a value as one line of JSON, in which what controls a terminal is escaped, as JSON escapes: it means the same.

    >>> from bprop.cli.screen import json_line
    >>> json_line({"größe": "\\x1b\\x9b"}) == '{"größe": "\\\\u001b\\\\u009b"}' + chr(10)
    True
    """
    text = json.dumps(value, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else _json_escape(letter) for letter in text) + "\n"


def print_json(value: Any) -> None:
    """Print a value as `json_line`."""
    print(json_line(value), end="")


def _json_escape(letter: str) -> str:
    return "\\u007f" if letter == "\x7f" else json.dumps(letter)[1:-1]
