"""Finite checks: products with absent cotangents need no masks where an operand, or the smaller result, is finite.

Zero times NaN or infinity is NaN, which the sum keeps: so a finite result proves as much as a finite operand. A check that
fails ends the program before it writes anything that outlives the call, and the masked program runs (decision 0003).

A product entry by entry comes with its mask. It goes without where what has to be finite is much smaller than the product
(a scale per channel), or where something small tells: the variance of a channel, a sum of squares, is finite only if all
deviations from the mean are. What is checked anyway may be an operand of any product.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...core.family import Bilinear, Reduction, Selection
from ...core.graph import Edge, Graph, Node, inner_graphs
from ...core.rewrite import Rewriter
from ...core.shape import size_of
from ...ops.guard import guard, require_finite
from ..ir.scalar_expr import is_reindexing

SMALL_FRACTION = 8
"""How many times smaller than a product entry by entry is what is checked in place of its mask."""
MOST_READERS = 64
"""How many values are followed from an operand on in search of a small one that tells whether it is finite."""
KEEPS_NONFINITE = {"sum", "difference", "negation", "square", "transpose", "reshape"}
"""Roles of ops whose result is not finite where an operand is not."""


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
    witnesses = _witnesses(graph)
    unguarded = _Unguarded(witnesses)
    plain = unguarded.rewrite(graph)
    told = [x for x in unguarded.mapped(dict.fromkeys(witnesses.values())) if type(x) is Edge]
    # the parts of a complex result have no reader but their guard
    operands = [*told, *(operand for operand, _ in unguarded.products)]
    read = Graph(plain.inputs, plain.nodes, [*plain.outputs, *operands], plain.captures).live()
    plain = Graph(plain.inputs, read.nodes, plain.outputs, plain.captures)
    checked = list(dict.fromkeys([*told, *_CheckedValues(plain, donated).edges(unguarded.products)]))
    if not checked:
        return plain.live()
    position = {node: number for number, node in enumerate(plain.nodes, start=1)}
    start = max(position.get(node, 0) for node, _ in checked)
    check = Node(require_finite, {}, tuple(checked), ())
    nodes = [*plain.nodes[:start], check, *plain.nodes[start:]]
    return Graph(plain.inputs, nodes, plain.outputs, plain.captures).live()


class _Unguarded(Rewriter):
    """The graph without its guards; ``products`` are what they guarded, as operand and result.

    Guards with a masked result give the plain one where they are in ``witnesses``.
    """

    def __init__(self, witnesses: Mapping[Node, Edge]) -> None:
        super().__init__()
        self.witnesses = witnesses
        self.products: list[tuple[Edge, Edge]] = []

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> list[Edge] | None:
        if node.op is not guard:
            return None
        result, operand, *masked = inputs
        if masked:
            return [result if node in self.witnesses else masked[0]]
        self.products.append((operand, result))
        return [result]


def _witnesses(graph: Graph) -> dict[Node, Edge]:
    """Return what is checked in place of a mask, for the guards with a masked result where that is worth it."""
    guards = [node for node in graph.nodes if node.op is guard and len(node.inputs) == 3]
    if not guards:
        return {}
    readers: dict[Edge, list[Node]] = {}
    for node in graph.nodes:
        for x in node.edges:
            readers.setdefault(x, []).append(node)
    order = {node: number for number, node in enumerate(graph.nodes)}
    sources = {node: _source(node.edge(1)) for node in guards}
    witnesses: dict[Node, Edge] = {}
    for node in guards:
        witness = _witness(sources[node], _size(node.edge(0)) // SMALL_FRACTION, readers)
        if witness is not None and order.get(witness.node, -1) < order[node]:  # so that the check stays early
            witnesses[node] = witness
    checked = set(witnesses.values())
    return witnesses | {node: source for node, source in sources.items() if source in checked}


def _witness(edge: Edge, largest: int, readers: Mapping[Edge, Sequence[Node]]) -> Edge | None:
    """Return a value of at most ``largest`` entries that is finite only if ``edge`` is: itself, or what is computed from it."""
    pending = [edge]
    for x in pending:
        if _size(x) <= largest:
            return x
        pending += [node.output for node in readers.get(x, ()) if _keeps_nonfinite(node)][: MOST_READERS - len(pending)]
    return None


def _keeps_nonfinite(node: Node) -> bool:
    """Return whether a result is not finite where any entry of any operand is not."""
    if isinstance(node.op, Reduction):
        return node.op.partial == 1  # a sum: of infinities of both signs it is NaN
    return node.op is not None and node.op.role in KEEPS_NONFINITE


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
        source, remaining = _source(operand), self._remaining(result)
        # a value that is guarded by itself is checked as it is stored
        smaller = _size(remaining) < _size(source) + (operand == result)
        return remaining if smaller and remaining.node in self.read_further else source

    def _remaining(self, edge: Edge) -> Edge:
        """Return what remains of a value after selections and re-indexings: a NaN that they drop reaches no result."""
        readers = self.readers.get(edge, [])
        node = readers[0] if len(readers) == 1 else None
        if node is None:
            return edge
        chosen = isinstance(node.op, Selection) and len(node.inputs) == 3 and edge != node.inputs[0]
        return self._remaining(node.output) if chosen or is_reindexing(node) else edge


def _source(edge: Edge) -> Edge:
    """Return the value that an operand is a re-indexing of."""
    x = edge.node.inputs[0] if is_reindexing(edge.node) else None
    return _source(x) if type(x) is Edge and _size(x) == _size(edge) else edge


def _size(edge: Edge) -> int:
    return size_of(edge.spec.shape)


__all__ = ["NotFiniteError", "add_finite_checks", "has_guard"]
