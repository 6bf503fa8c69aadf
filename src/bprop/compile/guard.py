"""What a program must find finite so that its products need no masks.

A product with an absent cotangent leaves out what the absent entries meet. The plain program does not: their zeros
make no difference while the other operand is finite, and NaN where it is not. So it looks at that operand or, where
that is less to read, at the product's result, and ends before anything that lasts is written; then the masked program
runs (decision 0003).
"""

from collections.abc import Sequence

from ..core.family import Bilinear, Linear, Selection
from ..core.graph import Edge, Graph, Node
from ..core.shape import size_of
from ..region.guard import guard_op
from .body import spec_of


class NotFiniteError(Exception):
    """A guarded value is not finite: nothing that lasts is written, and the masked program is to run."""


Product = tuple[Edge, Edge]
"""What an absent cotangent is multiplied with, and the result."""


def guarded(graph: Graph, products: Sequence[Product]) -> Graph:
    """Return the graph with a guard of these products, as early as what it looks at is known.

    A weight is as large as its layer, and the cotangents that its product hands on are few; of a product that ends in a
    weight's gradient the operand is looked at, since the gradient is written where it goes.
    """
    chosen = _Choice(graph).edges(products)
    if not chosen:
        return graph
    position = {node: place for place, node in enumerate(graph.nodes, start=1)}
    place = max(position.get(node, 0) for node, _ in chosen)
    guard = Node(guard_op, {}, tuple(chosen), ())
    return Graph(graph.inputs, [*graph.nodes[:place], guard, *graph.nodes[place:]], graph.outputs, graph.captures)


class _Choice:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers: dict[Edge, list[Node | None]] = {}
        for node in graph.nodes:
            for x in node.inputs:
                if type(x) is tuple:
                    self.readers.setdefault(x, []).append(node)
        for edge in graph.outputs:
            self.readers.setdefault(edge, []).append(None)
        self.multiplied: set[Node] = set()  # what a product depends on
        for node in reversed(graph.nodes):
            if isinstance(node.op, Bilinear) or node in self.multiplied:
                self.multiplied.update(x[0] for x in node.inputs if type(x) is tuple)

    def edges(self, products: Sequence[Product]) -> list[Edge]:
        """Return what to look at: every value once."""
        live = set(self.graph.nodes)
        chosen: dict[Edge, None] = {}
        for operand, result in products:
            if result[0] in live:
                operand, late = self._source(operand), self._passed(result)
                cheaper = late[0] in self.multiplied and _size(late) < _size(operand)
                chosen[late if cheaper else operand] = None
        return list(chosen)

    def _source(self, edge: Edge) -> Edge:
        """Return the value of which an operand is another view."""
        x = edge[0].inputs[0] if _reindexes(edge[0]) else None
        return self._source(x) if type(x) is tuple and _size(x) == _size(edge) else edge

    def _passed(self, edge: Edge) -> Edge:
        """Return what is left of a value after selections and views: a NaN that they drop is not in the result either."""
        readers = self.readers.get(edge, [])
        node = readers[0] if len(readers) == 1 else None
        if node is None:
            return edge
        chosen = isinstance(node.op, Selection) and len(node.inputs) == 3 and edge != node.inputs[0]
        if chosen or _reindexes(node):
            return self._passed((node, 0))
        return edge


def _reindexes(node: Node) -> bool:
    return isinstance(node.op, Linear) and not node.op.scatter and len(node.inputs) == 1


def _size(edge: Edge) -> int:
    return size_of(spec_of(edge).shape)


__all__ = ["NotFiniteError", "guarded"]
