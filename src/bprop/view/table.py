"""`view`: the graph of a function with every value and every gradient beside every node."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import formula as _formula  # noqa: F401 - whole rooms first: see core/lazy.py
from ..core.interpreter import using
from ..core.observe import Observe
from ..formula.formula import LIMIT
from ..gradients.argument import Arguments
from ..gradients.variable import as_arrays, both_forms, name_of
from . import grid
from .export import save
from .figure import Figure
from .page import notebook

WIDTH = 60
"""Columns of a printed table."""
ROWS = 200
"""Lines of a printed table."""


class View(Figure):
    """A function's graph at its arguments: ``rows`` with values and gradients, ``graph``, ``text``, ``latex``, ``dot``.

    ``print`` shows a table, a notebook a page to step through, `save` writes that or a drawing to a file.
    """

    def save(self, path: str | Path) -> None:
        """Write the view to a file, in the format that its ending says.

        ``.html``: a page that opens offline, to step through and to change inputs; ``.svg``, ``.png``, ``.pdf``, ``.tex``
        (TikZ): the drawing; ``.dot``: for Graphviz.
        """
        save(self, path)

    def __str__(self) -> str:
        cells = list(self.cells())
        note = []
        if len(cells) > ROWS:
            note = [f"… {len(cells) - ROWS} more values in .rows"]
            cells = [*cells[: ROWS // 2], *cells[-ROWS // 2 :]]
        return "\n".join([f"{self.name}({', '.join(self.arguments)})", grid.text(cells, WIDTH), *note])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = list(self.cells())
        return notebook(self, grid.html(self.name, cells[: ROWS + 1]))

    def _repr_latex_(self) -> str | None:
        if len(self.graph.outputs) != 1 or self.expression.size > LIMIT:
            return None
        return f"$\\displaystyle {self.latex}$"


@both_forms
def view(f: Callable[..., Any], /, *args: Any, **options: Any) -> View:
    """Return the graph of ``f`` at its arguments, with every value and every gradient, to be printed.

    ``f`` runs once, on numbers, so Python ``if`` and ``for`` work. Gradients are those of a scalar result, of which
    every floating-point value is shown; for other results there are values only. ∅ is a gradient that is not there: there
    is no path to the result, or a branch that was not taken. ``view(f)(*args)`` is the same. `View.save` draws.

    **Source:** Leibe (2016), computational graphs.

    >>> import bprop
    >>> bprop.view(lambda x, y: (x + y) * bprop.exp(y), 2.0, 0.0)
    <lambda>(x, y)
       value of  computed as  array      value  gradient
       x                      float64[]  2      1
       y                      float64[]  0      3
       a         x + y        float64[]  2      1
       b         exp(y)       float64[]  1      2
    →  c         a * b        float64[]  2      1
    """
    what = name_of(f)
    arguments = Arguments(f, args, options, None, f"view of {what}")
    owner = Observe(name=f"view of {what}")
    inputs = [owner.input(value) for value in arguments.values]
    with using(owner):
        result = arguments(inputs)
    outputs, _ = as_arrays(result, f"view of {what}")
    return View(f, arguments.names, owner, outputs)


__all__ = ["View", "view"]
