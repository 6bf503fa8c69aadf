"""The graph that a formula is written from: the same formula, arranged for people."""

from ..core.graph import Graph
from ..core.simplify import simplify
from .broadcasting import broadcasting
from .canonical_order import canonical_order
from .simplify_display import simplify_display


def plain(graph: Graph) -> Graph:
    """Return the graph without what only computing needs: broadcasts, shaped constants, cases in cases, transposes."""
    graph = simplify(simplify_display(broadcasting(simplify(graph, algebraic=True))), algebraic=True)
    return simplify(broadcasting(graph), algebraic=True)


def readable(graph: Graph) -> Graph:
    """Return the plain graph with its sums and products in textbook order."""
    return arranged(plain(graph))


def arranged(graph: Graph) -> Graph:
    """Return the graph with its sums and products in textbook order."""
    return simplify(canonical_order(simplify(graph, algebraic=True)), algebraic=True)


__all__ = ["arranged", "plain", "readable"]
