"""Finite checks: products with absent cotangents need no masks where an operand, or the smaller result, is finite.

Zero times NaN or infinity is NaN, which the sum keeps: so a finite result proves as much as a finite operand. A check that
fails ends the program before it writes anything that outlives the call, and the masked program runs (decision 0003).
"""

from collections.abc import Iterable
from typing import Any

from ...core.family import Bilinear, Selection
from ...core.graph import Edge, Graph, Node, inner_graphs
from ...core.rewrite import Rewriter
from ...core.shape import size_of
from ...ops.guard import guard, require_finite
from ..ir.scalar_expr import is_reindexing


class NotFiniteError(Exception):
    """A guarded value is not finite. Nothing that outlives the call is written; the masked program must run."""


def has_guard(nodes: Iterable[Node]) -> bool:
    """Return whether products are guarded, in regions too."""
    return any(node.op is guard or any(has_guard(inner.nodes) for inner in inner_graphs(node)) for node in nodes)


def add_finite_checks(graph: Graph, donated: Iterable[int]) -> Graph:
    """Return the graph with one check in place of all guards, as early as the checked values are computed.

    Of a layer's product the result is checked, which is smaller than the weight. Of a product that ends in a ``donated``
    output, the new value of a weight, the operand is checked: the result overwrites the old value.
    """
    graph = graph.live()
    if not any(node.op is guard for node in graph.nodes):
        return graph
    unguarded = _Unguarded()
    plain = unguarded.rewrite(graph)
    # the parts of a complex result have no reader but their guard
    operands = [operand for operand, _ in unguarded.products]
    read = Graph(plain.inputs, plain.nodes, [*plain.outputs, *operands], plain.captures).live()
    plain = Graph(plain.inputs, read.nodes, plain.outputs, plain.captures)
    checked = _CheckedValues(plain, donated).edges(unguarded.products)
    position = {node: number for number, node in enumerate(plain.nodes, start=1)}
    start = max(position.get(node, 0) for node, _ in checked)
    check = Node(require_finite, {}, tuple(checked), ())
    nodes = [*plain.nodes[:start], check, *plain.nodes[start:]]
    return Graph(plain.inputs, nodes, plain.outputs, plain.captures).live()


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


class _CheckedValues:
    """Chooses, for every guarded product, which value to check."""

    def __init__(self, graph: Graph, donated: Iterable[int]) -> None:
        self.readers: dict[Edge, list[Node | None]] = {}
        for node in graph.nodes:
            for x in node.edges:
                self.readers.setdefault(x, []).append(node)
        for edge in graph.outputs:
            self.readers.setdefault(edge, []).append(None)
        written = set(donated)
        # what another product or an output reads: not only a value that is written in place
        self.read_further = {edge.node for number, edge in enumerate(graph.outputs) if number not in written}
        for node in reversed(graph.nodes):
            if isinstance(node.op, Bilinear) or node in self.read_further:
                self.read_further.update(x.node for x in node.edges)

    def edges(self, products: Iterable[tuple[Edge, Edge]]) -> list[Edge]:
        """Return the values to check, each once."""
        return list(dict.fromkeys(self._chosen(operand, result) for operand, result in products))

    def _chosen(self, operand: Edge, result: Edge) -> Edge:
        source, remaining = self._source(operand), self._remaining(result)
        # a value that is guarded by itself is checked as it is stored
        smaller = _size(remaining) < _size(source) + (operand == result)
        return remaining if smaller and remaining.node in self.read_further else source

    def _source(self, edge: Edge) -> Edge:
        """Return the value that an operand is a re-indexing of."""
        x = edge.node.inputs[0] if is_reindexing(edge.node) else None
        return self._source(x) if type(x) is Edge and _size(x) == _size(edge) else edge

    def _remaining(self, edge: Edge) -> Edge:
        """Return what remains of a value after selections and re-indexings: a NaN that they drop reaches no result."""
        readers = self.readers.get(edge, [])
        node = readers[0] if len(readers) == 1 else None
        if node is None:
            return edge
        chosen = isinstance(node.op, Selection) and len(node.inputs) == 3 and edge != node.inputs[0]
        return self._remaining(node.output) if chosen or is_reindexing(node) else edge


def _size(edge: Edge) -> int:
    return size_of(edge.spec.shape)


__all__ = ["NotFiniteError", "add_finite_checks", "has_guard"]
