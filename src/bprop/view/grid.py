"""Rows of cells as aligned text for a terminal and as HTML for a notebook."""

from collections.abc import Sequence
from html import escape

Rows = Sequence[Sequence[str]]


def text(rows: Rows, width: int | None = None) -> str:
    """Return the rows with aligned columns; the longest cells are cut until a line has ``width`` columns, but no head.

    >>> from bprop.view.grid import text
    >>> print(text([("way", "time"), ("reverse", "1 ms")]))
    way      time
    reverse  1 ms
    >>> print(text([("value of", "computed as"), ("y", "exp(x) + exp(x)")], 21))
    value of  computed as
    y         exp(x) + e…
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    while width is not None and sum(widths) + 2 * (len(widths) - 1) > width:
        spare = [size - len(head) for size, head in zip(widths, rows[0], strict=True)]
        if max(spare) <= 0:
            break
        widths[max(range(len(widths)), key=lambda column: (spare[column] > 0, widths[column]))] -= 1
    return "\n".join(
        "  ".join(f"{_cut(cell, size):<{size}}" for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else cell[: size - 1] + "…"


def html(caption: str, rows: Rows) -> str:
    """Return the rows as an HTML table, the first as its head; every cell is escaped.

    >>> from bprop.view.grid import html
    >>> html("f", [("x < 1",)])
    '<table><caption>f</caption><tr><th>x &lt; 1</th></tr></table>'
    """
    head, *body = rows
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ["".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) for row in body]
    inner = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><caption>{escape(caption)}</caption><tr>{top}</tr>{inner}</table>"
