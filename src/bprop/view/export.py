"""Writes a figure to a file, in the format that its ending names."""

from collections.abc import Callable
from pathlib import Path

from ..core.error import ArgumentError
from ..core.file import write_whole
from .drawing import LIMIT, Drawing
from .figure import Figure
from .plot import plot
from .svg import svg
from .tikz import tikz


def save(figure: Figure, path: str | Path, page: Callable[[], str]) -> None:
    """Write ``figure`` to ``path``; raises `ArgumentError` naming the formats, where its ending is none of them.

    ``page``: gives the text of an HTML file.
    """
    path = Path(path)
    count = len(figure.nodes)
    if count > LIMIT and path.suffix.lower() in (".svg", ".png", ".pdf", ".tex"):
        raise ArgumentError(
            f"save: the graph of {figure.name} has {count:,} nodes, and a drawing of more than {LIMIT:,} cannot be read: view a "
            f"part of the function or a smaller example of it, or write .html, which says so and has a table, or .dot"
        )
    texts: dict[str, Callable[[], str]] = {
        ".html": page,
        ".svg": lambda: svg(Drawing(figure)),
        ".tex": lambda: tikz(Drawing(figure)),
        ".dot": lambda: figure.dot + "\n",
    }
    ending = path.suffix.lower()
    if ending in (".png", ".pdf"):
        plot(Drawing(figure), path)
    elif ending in texts:
        write_whole(path, texts[ending]().encode(), lasting=False)
    else:
        formats = ", ".join([*texts, ".png", ".pdf"])
        raise ArgumentError(f"save: the ending of {path.name!r} names no format: choose one of {formats}")


__all__ = ["save"]
