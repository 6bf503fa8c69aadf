"""Writes a figure to a file, in the format that its ending names."""

from collections.abc import Callable
from pathlib import Path

from ..core.error import ArgumentError
from .drawing import Drawing
from .figure import Figure
from .page import render
from .plot import plot
from .svg import svg
from .tikz import tikz


def save(figure: Figure, path: str | Path) -> None:
    """Write ``figure`` to ``path``; raises `ArgumentError` naming the formats, where its ending is none of them."""
    path = Path(path)
    texts: dict[str, Callable[[], str]] = {
        ".html": lambda: render(figure.name, [figure]),
        ".svg": lambda: svg(Drawing(figure)),
        ".tex": lambda: tikz(Drawing(figure)),
        ".dot": lambda: figure.dot + "\n",
    }
    ending = path.suffix.lower()
    if ending in (".png", ".pdf"):
        plot(Drawing(figure), path)
    elif ending in texts:
        path.write_text(texts[ending](), encoding="utf-8")
    else:
        formats = ", ".join([*texts, ".png", ".pdf"])
        raise ArgumentError(f"save: the ending of {path.name!r} names no format: choose one of {formats}")


__all__ = ["save"]
