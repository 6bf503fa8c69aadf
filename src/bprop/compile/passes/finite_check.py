"""What a program looks at so that its products need no masks: an operand or, where that is less to read, the result.

A zero that meets NaN or infinity is NaN in the sum, so each of both tells. The check ends the program before anything that
lasts is written, and the masked program runs (decision 0003).
"""

from collections.abc import Iterable
from typing import Any

from ...core.family import Bilinear, Linear, Selection
from ...core.graph import Edge, Graph, Node, inner_graphs
from ...core.rewrite import Rewriter
from ...core.shape import size_of
from ...ops.guard import guard, require_finite
from ..ir.scalar_expr import spec_of


class NotFiniteError(Exception):
    """A guarded value is not finite: nothing that lasts is written, and the masked program is to run."""


def has_guard(nodes: Iterable[Node]) -> bool:
    """Return whether products are guarded, in regions too."""
    return any(node.op is guard or any(has_guard(inner.nodes) for inner in inner_graphs(node)) for node in nodes)


def add_finite_checks(graph: Graph, donated: Iterable[int]) -> Graph:
    """Return the graph with one check for all its guards, as early as what it looks at is known.

    A weight is as large as its layer, and the cotangents that its product hands on are few. But of a product that ends in a
    ``donated`` output, a weight's new value, the operand is looked at: the result is to be written where it goes.
    """
    graph = graph.live()
    if not any(node.op is guard for node in graph.nodes):
        return graph
    unguarded = _Unguarded()
    plain = unguarded.rewrite(graph).live()
    checked = _Choice(plain, donated).edges(unguarded.products)
    position = {node: number for number, node in enumerate(plain.nodes, start=1)}
    start = max(position.get(node, 0) for node, _ in checked)
    check = Node(require_finite, {}, tuple(checked), ())
    nodes = [*plain.nodes[:start], check, *plain.nodes[start:]]
    return Graph(plain.inputs, nodes, plain.outputs, plain.captures)


class _Unguarded(Rewriter):
    """The graph without its guards; ``products`` are what they guarded, as operand and result."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[tuple[Edge, Edge]] = []

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> list[Edge] | None:
        if node.op is not guard:
            return None
        result, operand = inputs
        self.products.append((operand, result))
        return [result]


class _Choice:
    def __init__(self, graph: Graph, donated: Iterable[int]) -> None:
        self.readers: dict[Edge, list[Node | None]] = {}
        for node in graph.nodes:
            for x in node.inputs:
                if type(x) is tuple:
                    self.readers.setdefault(x, []).append(node)
        for edge in graph.outputs:
            self.readers.setdefault(edge, []).append(None)
        written = set(donated)
        # what goes into another product, or out: not only into what is written in place
        self.passed_on = {edge[0] for number, edge in enumerate(graph.outputs) if number not in written}
        for node in reversed(graph.nodes):
            if isinstance(node.op, Bilinear) or node in self.passed_on:
                self.passed_on.update(x[0] for x in node.inputs if type(x) is tuple)

    def edges(self, products: Iterable[tuple[Edge, Edge]]) -> list[Edge]:
        """Return what to look at, every value once."""
        chosen: dict[Edge, None] = {}
        for operand, result in products:
            source, left = self._source(operand), self._left(result)
            chosen[left if left[0] in self.passed_on and _size(left) < _size(source) else source] = None
        return list(chosen)

    def _source(self, edge: Edge) -> Edge:
        """Return the value of which an operand is another view."""
        x = edge[0].inputs[0] if _reindexes(edge[0]) else None
        return self._source(x) if type(x) is tuple and _size(x) == _size(edge) else edge

    def _left(self, edge: Edge) -> Edge:
        """Return what is left of a value after selections and views: a NaN that they drop is in no result."""
        readers = self.readers.get(edge, [])
        node = readers[0] if len(readers) == 1 else None
        if node is None:
            return edge
        chosen = isinstance(node.op, Selection) and len(node.inputs) == 3 and edge != node.inputs[0]
        return self._left((node, 0)) if chosen or _reindexes(node) else edge


def _reindexes(node: Node) -> bool:
    return isinstance(node.op, Linear) and not node.op.scatter and len(node.inputs) == 1


def _size(edge: Edge) -> int:
    return size_of(spec_of(edge).shape)


__all__ = ["NotFiniteError", "add_finite_checks", "has_guard"]
