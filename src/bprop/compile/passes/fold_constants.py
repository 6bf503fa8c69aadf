"""Constants are computed once, by NumPy, when a graph is compiled: what depends on no input and no captured array.

A small result becomes a captured array, and one whose entries are all equal the op that makes constants. What costs nothing to
compute again, a re-indexed range of numbers, stays.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.error import BpropError
from ...core.family import Bilinear, Creation, Cumulative, Elementwise, Join, Linear, Reduction, Selection
from ...core.graph import Edge, Graph, Node
from ...core.interpreter import EVALUATE, using
from ...core.rewrite import Rewriter
from ...core.shape import size_of
from ...core.value import Array
from ..ir.scalar_expr import is_reindexing

LARGEST = 1 << 14
"""Bytes of a constant that is kept, and of what is computed for it: reading it from the caches is cheaper than computing it."""
_FOLDED = Elementwise | Selection | Linear | Reduction | Cumulative | Join | Bilinear | Creation


def fold_constants(graph: Graph) -> Graph:
    """Return the graph with what is computed of constants alone as captured arrays.

    >>> import bprop
    >>> from bprop.compile.passes.fold_constants import fold_constants
    >>> print(fold_constants(bprop.trace(lambda x: x * bprop.exp(-bprop.arange(3)))(bprop.ones(3))))
    graph(x0: float64[3], c0: float64[3])
      a = x0 * c0     float64[3]
      return a
    """
    edges = _computed_constants(graph)
    if not edges:
        return graph
    try:
        with using(EVALUATE):
            values = Graph((), graph.nodes, edges).live(quiet=True)()
    except BpropError:  # the program raises it when it runs
        return graph
    folding = _Folding(dict(zip(edges, values, strict=True)))
    folded = folding.rewrite(graph)
    return Graph(folded.inputs, folded.nodes, folded.outputs, [*graph.captures, *folding.captures]).live()


def _computed_constants(graph: Graph) -> list[Edge]:
    """Return the constants that others read, or that are results, and that something is computed for."""
    is_computed: dict[Node, bool] = {}  # of the constants
    needed = dict.fromkeys(graph.outputs)
    for node in graph.nodes:
        if _is_small(node) and all(edge.node in is_computed for edge in node.edges):
            is_free = isinstance(node.op, Creation) or is_reindexing(node)
            is_computed[node] = not is_free or any(is_computed[edge.node] for edge in node.edges)
        else:
            needed.update(dict.fromkeys(node.edges))
    return [edge for edge in needed if is_computed.get(edge.node)]


def _is_small(node: Node) -> bool:
    if not isinstance(node.op, _FOLDED) or len(node.specs) > 1:
        return False
    shape, dtype = node.specs[0]
    return size_of(shape) * dtype.itemsize <= LARGEST


class _Folding(Rewriter):
    """Puts a capture, or a uniform array, in the place of every edge with a value; equal values are one."""

    def __init__(self, values: dict[Edge, Array]) -> None:
        super().__init__()
        self.values = values
        self.captures: list[tuple[Node, Array]] = []
        self.made: dict[Any, Edge] = {}

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> Sequence[Edge] | None:
        value = self.values.get(node.output) if node.specs else None
        if value is None:
            return None
        data = np.ascontiguousarray(value.data).reshape(value.shape)
        key = data.dtype, data.shape, data.tobytes()
        if key not in self.made:
            self.made[key] = self._constant(node, data)
        return [self.made[key]]

    def _constant(self, node: Node, data: Any) -> Edge:
        first = data.reshape(-1)[:1]
        if data.size and data.tobytes() == first.tobytes() * data.size:
            params = {"shape": data.shape, "value": first.item(), "dtype": data.dtype}
            return self.add(Creation.canonical, (), params, node.specs).output
        capture = Node(None, {}, (), node.specs)
        self.captures.append((capture, Array(data)))
        return capture.output
