"""`view`: the graph of a function with every value and every gradient beside every node."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.dtype import is_float, is_inexact
from ..core.graph import Edge, Graph, Node, application, edge_name
from ..core.interpreter import using
from ..core.observe import Observe
from ..core.value import Array
from ..gradients import absent  # the whole room first: see core/lazy.py
from ..gradients.adjoint import adjoint
from ..gradients.argument import Arguments
from ..gradients.formula import LIMIT, Expression
from ..gradients.variable import as_arrays, name_of
from ..ops import conj, ones
from . import grid
from .graphviz import dot


class Row(NamedTuple):
    """One line of a `View`: a name and how it is computed, shape and dtype, the value, and ∂y/∂ of it."""

    name: str
    formula: str
    spec: str
    value: Array
    gradient: Array | None


class View:
    """A function's graph at its arguments: ``rows`` with values and gradients, ``graph``, ``text``, ``latex``, ``dot``.

    ``print`` shows a table, a notebook shows it as HTML.
    """

    def __init__(self, name: str, names: list[str], owner: Observe, outputs: list[Array]) -> None:
        self.name = name
        self.graph: Graph = owner.graph(outputs)
        self._names = self.graph.names() | dict(zip(self.graph.inputs, names, strict=True))
        self._inputs = names
        self._values = owner.values
        output = self.graph.outputs[0]
        self._result = output
        scalar = len(outputs) == 1 and outputs[0].shape == () and is_float(outputs[0].dtype)
        self._gradients = gradients(self.graph, owner.values) if scalar else {}

    @property
    def rows(self) -> list[Row]:
        """All values in the order of computation: inputs, captured arrays, results."""
        nodes: list[Node] = [*self.graph.inputs, *(node for node, _ in self.graph.captures), *self.graph.nodes]
        rows = []
        for node in nodes:
            formula = "" if node.op is None else application(node, self._names, settings=False)
            for edge in node.outputs:
                name, value = edge_name(edge, self._names), self._values[edge]
                rows.append(Row(name, formula, str(edge.spec), value, self._gradients.get(edge)))
        return rows

    @cached_property
    def expression(self) -> Expression:
        """The function as one formula (of several results the first)."""
        return Expression(Graph(self.graph.inputs, self.graph.nodes, [self._result], self.graph.captures), self._inputs)

    @property
    def text(self) -> str:
        """The function as one line of text."""
        return self.expression.text

    @property
    def latex(self) -> str:
        """The function as LaTeX."""
        return self.expression.latex

    @property
    def dot(self) -> str:
        """The graph in Graphviz' DOT language, with values and gradients."""
        notes: dict[Edge, str] = {}
        for edge, value in self._values.items():
            notes[edge] = brief(value)
            if edge in self._gradients:
                notes[edge] += f"\n∂: {brief(self._gradients[edge])}"
        return dot(self.graph, self._names, notes)

    def _cells(self) -> Iterator[tuple[str, ...]]:
        results = {edge_name(edge, self._names) for edge in self.graph.outputs}
        yield "", "value of", "computed as", "array", "value", *(["gradient"] if self._gradients else [])
        for row in self.rows:
            mark = "→" if row.name in results else ""
            gradient = [brief(row.gradient) if row.gradient is not None else ""] if self._gradients else []
            yield mark, row.name, row.formula, row.spec, brief(row.value), *gradient

    def __str__(self) -> str:
        table = [tuple(cell if len(cell) <= 60 else cell[:59] + "…" for cell in row) for row in self._cells()]
        return f"{self.name}({', '.join(self._inputs)})\n{grid.text(table)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return grid.html(self.name, list(self._cells()))

    def _repr_latex_(self) -> str | None:
        if len(self.graph.outputs) != 1 or self.expression.size > LIMIT:
            return None
        return f"$\\displaystyle {self.latex}$"


def gradients(graph: Graph, values: dict[Edge, Array]) -> dict[Edge, Array]:
    """Return the gradient of the scalar result by every value it depends on: one reverse sweep that keeps everything."""
    output = graph.outputs[0]
    edges = [edge for node in (*graph.inputs, *graph.nodes) for edge in node.outputs if is_inexact(values[edge].dtype)]
    sweep = adjoint(graph.nodes, values, [output], edges)
    swept = absent.masked_sweep(sweep, [ones((), dtype=values[output].dtype)])
    return {edge: conj(bar) for edge, bar in zip(edges, swept, strict=True) if bar is not None}


def brief(value: Array) -> str:
    """Return a few of the numbers on one line."""
    data = value.concrete()
    if data is None:
        return str(value.spec)
    if data.ndim == 0:
        return _number(data[()])
    if data.size == 0:
        return "[]"
    if data.size > 6:
        flat: NDArray[Any] = data.ravel()
        return f"[{', '.join(map(_number, flat[:3]))}, … {_number(flat[-1])}]"
    return _nested(data)


def _nested(data: NDArray[Any]) -> str:
    return f"[{', '.join(_nested(entry) if entry.ndim else _number(entry[()]) for entry in map(np.asarray, data))}]"


def _number(number: Any) -> str:
    return f"{number:.4g}" if is_inexact(np.asarray(number).dtype) else str(number)


def view(f: Callable[..., Any], /, *args: Any, **options: Any) -> View:
    """Return the graph of ``f`` at its arguments, with every value and every gradient, to be printed.

    ``f(*args, **options)`` runs once, on numbers, so Python ``if`` and ``for`` work. Gradients are those of a scalar result, of which
    every floating-point value is shown; for other results there are values only.

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
    return View(what, arguments.names, owner, outputs)


__all__ = ["Row", "View", "brief", "gradients", "view"]
