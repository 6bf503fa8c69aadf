"""Transposes are folded into the contraction whose result they alone read: it writes its axes in that order.

So the gradient of W in ``x @ W.T``, whose last step is the adjoint of the transpose, is written once, in its final order.
"""

from collections import Counter
from typing import Any

from ...core.family import Bilinear
from ...core.graph import Edge, Graph, Node
from ...core.rewrite import Rewriter
from ..ir.affine_index import variable
from ..ir.scalar_expr import is_reindexing, source_position

VECTOR = 16
"""Length of a last axis that fills a vector: a product whose last axis would become shorter is transposed afterwards."""


def fold_transposes(graph: Graph) -> Graph:
    """Return the graph with the transposes folded into the contraction that they alone read, if its rows stay long enough.

    >>> import bprop
    >>> from bprop.compile.passes.fold_transpose import fold_transposes
    >>> print(fold_transposes(bprop.trace(lambda a, b: (a @ b).T)(bprop.ones((5, 3)), bprop.ones((3, 4)))))
    graph(x0: float64[5,3], x1: float64[3,4])
      a = x1.T @ x0.T     float64[4,5]
      return a
    """
    readers = Counter(x for node in graph.nodes for x in node.edges)
    readers.update(graph.outputs)
    return _Folding(readers).rewrite(graph).live()


class _Folding(Rewriter):
    def __init__(self, readers: Counter[Edge]) -> None:
        super().__init__()
        self.readers = readers

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> list[Edge] | None:
        axes = _order(node)
        if axes is None or self.readers[node.edge(0)] != 1 or not isinstance(inputs[0].node.op, Bilinear):
            return None
        product = inputs[0].node
        if node.specs[0].shape[-1] < VECTOR <= product.specs[0].shape[-1]:
            return None
        shapes = [x.spec.shape for x in product.edges]
        labels1, labels2, out = product.op.labels(*shapes, **product.params)
        params = {"labels": (labels1, labels2, "".join(out[axis] for axis in axes))}
        return self.add(Bilinear.canonical, product.inputs, params, node.specs).outputs


def _order(node: Node) -> list[int] | None:
    """Return which axis of its input each axis of a result is, where a re-indexing only reorders them."""
    if not is_reindexing(node) or not node.edges:
        return None
    before, shape = node.edge(0).spec.shape, node.specs[0].shape
    if sorted(before) != sorted(shape):
        return None
    position = tuple(variable(axis, size) for axis, size in enumerate(shape))
    remaining = dict(enumerate(source_position(node, position)))
    axes = []
    for output, size in zip(position, shape, strict=True):
        source = next((axis for axis, index in remaining.items() if index == output and before[axis] == size), None)
        if source is None:
            return None
        axes.append(source)
        del remaining[source]
    return axes


__all__ = ["fold_transposes"]
