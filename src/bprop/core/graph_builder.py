"""`GraphBuilder`: what interpreters have in common that write op applications down as a `Graph`, with numbers or without."""

from collections.abc import Iterable, Sequence
from typing import Any

from .dtype import WEAK
from .graph import Edge, Graph, Node
from .interpreter import Interpreter
from .value import Array, Spec, Tracer, asarray


class GraphValue(Tracer):
    """A value with its place in the graph that its interpreter builds: output ``index`` of ``node``."""

    __slots__ = ("index", "node")
    node: Node
    index: int


class GraphBuilder(Interpreter):
    """Keeps ``inputs``, ``nodes`` in order of application, and ``captured``: arrays from outside by `id`, each with its node."""

    def __init__(self, below: Interpreter | None, name: str) -> None:
        super().__init__(below)
        self.name = name
        self.inputs: list[Node] = []
        self.nodes: list[Node] = []
        self.captured: dict[int, tuple[Node, Array]] = {}

    def source(self, value: Array) -> Node:
        """Return a new node without an application, for an input or a captured array like ``value``."""
        return source_node(value.spec)

    def edge(self, value: Any) -> Edge:
        """Return the place of ``value`` in the graph, capturing it if it comes from outside."""
        if not isinstance(value, GraphValue):
            value = asarray(value)  # of a list of values of this graph a result
        if isinstance(value, GraphValue) and value.owner is self:
            return Edge(value.node, value.index)
        capture = self.captured.get(id(value))
        if capture is None:
            capture = self.captured[id(value)] = self.source(value), value
        return capture[0].output

    def edges(self, args: Iterable[Any]) -> tuple[Any, ...]:
        """Return the operands of a node: an edge for each of ``args``, Python scalars as they are."""
        return tuple([arg if type(arg) in WEAK else self.edge(arg) for arg in args])

    def graph(self, outputs: Sequence[Any]) -> Graph:
        """Return the finished graph with ``outputs``; dead nodes are left out."""
        edges = [self.edge(value) for value in outputs]
        return Graph(self.inputs, self.nodes, edges, list(self.captured.values())).live()


def source_node(spec: Spec) -> Node:
    """Return a new node that is no application: an input of a graph."""
    return Node(None, {}, (), (spec,))


__all__ = ["GraphBuilder", "GraphValue", "source_node"]
