"""A function's graph together with its numbers: what every table, drawing and page is made of."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import formula as _formula  # noqa: F401 - whole rooms first: see core/lazy.py
from ..core.dtype import is_float, is_inexact
from ..core.graph import Edge, Graph, Node, application, edge_name
from ..core.interpreter import StateScope, current, using
from ..core.observe import Observe
from ..core.value import Array
from ..formula.formula import LIMIT, Expression
from ..gradients import absent  # the whole room first: see core/lazy.py
from ..gradients.adjoint import adjoint
from ..gradients.variable import name_of
from ..ops import conj, ones
from .capture import capture_names
from .graphviz import dot
from .number import ABSENT


class Row(NamedTuple):
    """One line of a `View`: a name and how it is computed, shape and dtype, the value, and ∂y/∂ of it.

    ``gradient`` is ``None`` where the result does not depend on the value at all; where only some entries have a gradient,
    ``present`` says which (a bool array of its shape), and ``gradient`` is 0 elsewhere.
    """

    name: str
    formula: str
    spec: str
    value: Array
    gradient: Array | None
    present: NDArray[Any] | None = None


class Figure:
    """A function's graph at its arguments, with every value and every gradient: what tables, drawings and pages show.

    ``arguments`` are the names of the inputs, ``names`` those of all nodes.
    """

    def __init__(self, f: Callable[..., Any], names: list[str], owner: Observe, outputs: list[Array]) -> None:
        self.name = name_of(f)
        self.graph: Graph = owner.graph(outputs)
        self.names = self.graph.names(
            dict(zip(self.graph.inputs, names, strict=True)) | capture_names(f, self.graph.captures, names)
        )
        self.values = owner.values
        self.conditions = conditions(owner, self.graph)
        self.arguments = names
        output = self.graph.outputs[0]
        self._result = output
        self.is_scalar = len(outputs) == 1 and outputs[0].shape == () and is_float(outputs[0].dtype)
        self.gradients = gradients(self.graph, owner.values) if self.is_scalar else {}

    @property
    def rows(self) -> list[Row]:
        """All values in the order of computation: inputs, captured arrays, results."""
        rows = []
        for node in self.nodes:
            formula = "" if node.op is None else application(node, self.names, settings=False)
            for edge in node.outputs:
                name, value = edge_name(edge, self.names), self.values[edge]
                gradient = self.gradients.get(edge)
                present = None if gradient is None else gradient.present
                rows.append(
                    Row(name, formula, str(edge.spec), value, None if gradient is None else gradient.value, present)
                )
        return rows

    @property
    def nodes(self) -> list[Node]:
        """Inputs, captured arrays and applications, in the order of computation."""
        return [*self.graph.inputs, *(node for node, _ in self.graph.captures), *self.graph.nodes]

    @cached_property
    def expression(self) -> Expression:
        """The function as one formula (of several results the first)."""
        return Expression(
            Graph(self.graph.inputs, self.graph.nodes, [self._result], self.graph.captures), self.arguments
        )

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
        for node in self.nodes:
            for edge in node.outputs:
                notes[edge] = brief(self.values[edge])
                if self.is_scalar and is_inexact(edge.spec.dtype):
                    notes[edge] += f"\n∂: {self._gradient(edge)}"
        return dot(self.graph, self.names, notes)

    def _gradient(self, edge: Edge) -> str:
        gradient = self.gradients.get(edge)
        if gradient is None:
            return ABSENT if self.is_scalar and is_inexact(edge.spec.dtype) else ""
        return brief(gradient.value, gradient.present)

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Yield the lines of the table, the head first."""
        results = set(self.graph.outputs)
        yield "", "value of", "computed as", "array", "value", *(["gradient"] if self.is_scalar else [])
        for node in self.nodes:
            formula = "" if node.op is None else application(node, self.names, settings=False)
            for edge in node.outputs:
                mark = "→" if edge in results else ""
                gradient = [self._gradient(edge)] if self.is_scalar else []
                yield mark, edge_name(edge, self.names), formula, str(edge.spec), brief(self.values[edge]), *gradient


class Gradient(NamedTuple):
    """The gradient of the result by one value; ``present``: which entries have one, ``None`` if all."""

    value: Array
    present: NDArray[Any] | None


def gradients(graph: Graph, values: Mapping[Edge, Array]) -> dict[Edge, Gradient]:
    """Return the gradient of the scalar result by every value it depends on: one reverse sweep that keeps everything."""
    output = graph.outputs[0]
    nodes = [*graph.inputs, *(node for node, _ in graph.captures), *graph.nodes]
    edges = [edge for node in nodes for edge in node.outputs if is_inexact(values[edge].dtype)]
    sweep = adjoint(graph.nodes, values, [output], edges)
    interpreter = absent.Absent(current())
    with using(StateScope(below=interpreter)):
        swept = sweep([interpreter.seed(ones((), dtype=values[output].dtype))])
    result = {}
    for edge, bar in zip(edges, swept, strict=True):
        if bar is not None:
            result[edge] = Gradient(conj(interpreter.lower(bar)), _present(interpreter.presence(bar), bar.shape))
    return result


def _present(mask: Any, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return which entries a mask leaves, ``None`` if all; so does a value that was never masked."""
    numbers = mask.concrete() if isinstance(mask, Array) else None
    return None if numbers is None or numbers.all() else np.broadcast_to(numbers, shape)


class Condition(NamedTuple):
    """A truth value that the function computed and no value uses: a Python ``if`` looked at it."""

    graph: Graph
    text: str
    value: bool


def conditions(owner: Observe, graph: Graph) -> list[Condition]:
    """Return the conditions on which the graph is what it is, as far as they were computed from the inputs."""
    live = set(graph.nodes)
    used = {edge for node in owner.nodes for edge in node.edges}
    result = []
    for node in owner.nodes:
        edge = node.output
        if node in live or edge in used or edge.spec.shape or edge.spec.dtype.kind != "b":
            continue
        sources = Graph(graph.inputs, owner.nodes, [edge], list(owner.captured.values())).live()
        expression = Expression(sources, [f"⟦{position}⟧" for position in range(len(graph.inputs))])
        text = expression.text if expression.size < LIMIT else "a condition"
        result.append(Condition(sources, text, bool(owner.values[edge].numpy())))
    return result


def brief(value: Array, present: NDArray[Any] | None = None) -> str:
    """Return a few of the numbers on one line; where ``present`` is false stands ∅."""
    data = value.concrete()
    if data is None:
        return str(value.spec)
    cells = np.empty(data.shape, object)
    flat, shown = cells.reshape(-1), range(data.size) if data.size <= 6 else [*range(3), data.size - 1]
    numbers, there = data.reshape(-1), None if present is None else present.reshape(-1)
    for position in shown:
        flat[position] = _number(numbers[position]) if there is None or there[position] else ABSENT
    if data.ndim == 0:
        return str(flat[0])
    if data.size == 0:
        return "[]"
    if data.size > 6:
        return f"[{', '.join(flat[:3])}, … {flat[-1]}]"
    return _nested(cells)


def _nested(cells: NDArray[Any]) -> str:
    return f"[{', '.join(_nested(entry) if isinstance(entry, np.ndarray) else entry for entry in cells)}]"


def _number(number: Any) -> str:
    return f"{number:.4g}" if is_inexact(np.asarray(number).dtype) else str(number)


__all__ = ["Condition", "Figure", "Gradient", "Row", "brief", "conditions", "gradients"]
