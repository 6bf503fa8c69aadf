"""A view as one HTML file that needs nothing else: its drawing, its numbers, its program, and what runs it."""

import json
from collections.abc import Sequence
from html import escape

from ..core.printable import printable
from . import grid
from .document import page_file, whole_page
from .drawing import LIMIT as BOXES
from .drawing import Drawing
from .figure import Figure
from .page_data import figure_data
from .svg import svg

SCRIPTS = ("number", "scalar", "program", "model", "graph", "card", "step", "slider", "path", "sweep", "main")
"""The files of ``page/`` in the order in which a page has them."""
ROWS = 200
"""Lines of the table of a graph that is too large to be drawn."""


def render(title: str, figures: Sequence[Figure], text: str = "", styles: Sequence[str] = ()) -> str:
    """Return a page with one or more figures; ``text`` is HTML that stands above them, for which there may be further ``styles``."""
    sections = [_section(figure, number) for number, figure in enumerate(figures)]
    return whole_page(title, "\n".join([text, *sections]), ("page", *styles), SCRIPTS)


def notebook(title: str, page: str, height: int, table: str) -> str:
    """Return the page in a frame over the table: a notebook that is not trusted shows the table alone."""
    frame = (
        f'<iframe srcdoc="{escape(page)}" title="{escape(printable(title))}" sandbox="allow-scripts" loading="lazy" '
        f'style="width: 100%; height: {height}px; border: 1px solid #8888"></iframe>'
    )
    return f"{frame}\n<details open><summary>as a table</summary>{table}</details>"


def _section(figure: Figure, position: int) -> str:
    heading = printable(f"{figure.name}({', '.join(figure.arguments)})")
    table = grid.html(heading, list(figure.cells(ROWS)))
    count = len(figure.nodes)
    if count > BOXES:
        return (
            f'<section class="figure"><h2>{escape(heading)}</h2><p class="note">This graph has {count:,} nodes: more than '
            f"the {BOXES:,} that can be drawn so that they can be read. The first and the last {ROWS // 2} are below; all are in "
            f"<code>.rows</code> of the figure. Show a part of the function, or a smaller example of it.</p>{table}</section>"
        )
    data = json.dumps(figure_data(figure), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":  # so that nothing in it ends the element
        data = data.replace(character, f"\\u{ord(character):04x}")
    drawing = (
        svg(Drawing(figure), style=False)
        .replace("url(#tip", f"url(#f{position}-tip")
        .replace('id="tip', f'id="f{position}-tip')
    )
    return page_file("figure.html").format(
        position=position, heading=escape(heading), drawing=drawing, data=data, table=table
    )


__all__ = ["notebook", "render"]
