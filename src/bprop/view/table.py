"""`view`: the graph of a function with every value and every gradient beside every node."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import formula as _formula  # noqa: F401 - whole rooms first: see core/lazy.py
from ..core.interpreter import using
from ..core.observe import Observe
from ..core.tree import is_holder
from ..formula.formula import LIMIT
from ..gradients.argument import Arguments
from ..gradients.variable import as_arrays, both_forms, name_of
from . import grid
from .export import save
from .figure import Figure
from .page import notebook, render

if TYPE_CHECKING:
    from .module_statistics import ModuleStatistics

WIDTH = 60
"""Columns of a printed table."""
ROWS = 200
"""Lines of a printed table."""


STEPS = 60
"""Nodes of a graph that stands below the modules on a page."""
NETWORK_HEIGHT = 640
"""Pixels of a network's page in a notebook."""


class View(Figure):
    """A function's graph at its arguments: ``rows`` with values and gradients, ``graph``, ``text``, ``latex``, ``dot``.

    ``print`` shows a table, a notebook a page to step through, `save` writes that or a drawing to a file. Where modules take part the
    page is that of a network: its modules as a tree with what goes through them both ways, from the property ``modules``.
    """

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], *figure: Any) -> None:
        super().__init__(f, *figure)
        self._call = (f, args, options)

    @cached_property
    def modules(self) -> "list[ModuleStatistics]":
        """The statistics of the modules among the function and its arguments, a tree each; empty without modules."""
        f, args, options = self._call
        if not any(map(is_holder, (f, *args))):  # without one, layers need not be loaded
            return []
        from .module_statistics import has_modules, statistics

        if not has_modules(f, *args):
            return []
        return statistics(f if not options else lambda *xs: f(*xs, **options), *args)

    def page(self) -> str:
        """Return the page as HTML: the modules, where there are some, and a graph that is not too long to be stepped through."""
        if not self.modules:
            return render(self.name, [self])
        from .network_page import network_page, network_section

        if len(self.graph.nodes) > STEPS:
            return network_page(self.name, self.modules)
        return render(self.name, [self], network_section(self.name, self.modules), ("network",))

    def save(self, path: str | Path) -> None:
        """Write the view to a file, in the format that its ending says.

        ``.html``: a page that opens offline, to step through and to change inputs, or to unfold modules; ``.svg``, ``.png``, ``.pdf``, ``.tex``
        (TikZ): the drawing; ``.dot``: for Graphviz.
        """
        save(self, path, self.page)

    def __str__(self) -> str:
        cells, more = list(self.cells(ROWS)), len(self.nodes) - ROWS
        note = [f"… {more} more nodes in .rows, between the first and the last"] * (more > 0)
        return "\n".join([f"{self.name}({', '.join(self.arguments)})", grid.text(cells, WIDTH), *note])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        height = NETWORK_HEIGHT if self.modules else min(760, 320 + 60 * len(self.graph.nodes))
        return notebook(self.name, self.page(), height, grid.html(self.name, list(self.cells(ROWS))))

    def _repr_latex_(self) -> str | None:
        if len(self.graph.outputs) != 1 or self.expression.size > LIMIT:
            return None
        return f"$\\displaystyle {self.latex}$"


@both_forms
def view(f: Callable[..., Any], /, *args: Any, **options: Any) -> View:
    """Return the graph of ``f`` at its arguments, with every value and every gradient, to be printed.

    ``f(*args, **options)`` runs once, on numbers, so Python ``if`` and ``for`` work. Gradients are those of a scalar result, of which
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
    return View(f, args, options, arguments.names, owner, outputs)


__all__ = ["View", "view"]
