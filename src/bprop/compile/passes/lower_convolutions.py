"""Convolutions become contractions of windows: of one operand among the zeros that stand beyond its edges."""

from collections.abc import Sequence
from typing import Any

from ...core.family import Bilinear
from ...core.graph import Graph, Node
from ...core.rewrite import Rewriter
from .inline import native_graph


def lower_convolutions(graph: Graph) -> Graph:
    """Return the graph with every contraction that has windows written with ops that native code has kernels for.

    >>> import bprop
    >>> from bprop.compile.passes.lower_convolutions import lower_convolutions
    >>> print(lower_convolutions(bprop.trace(bprop.conv)(bprop.ones((2, 5)), bprop.ones((3, 2, 3)))))
    graph(x0: float64[2,5], x1: float64[3,2,3])
      a = windows(x0, windows=(None, (3, 3, 0, 1, 1)))     float64[2,3,3]
      b = einsum('cik,ock->oi', a, x1)                     float64[3,3]
      return b
    """
    return _Lowering().rewrite(graph)


class _Lowering(Rewriter):
    def rule(self, node: Node, inputs: tuple[Any, ...]) -> Sequence[Any] | None:
        if not isinstance(node.op, Bilinear) or node.op.native is None:
            return None
        body = native_graph(node.op.native, Node(node.op, node.params, inputs, node.specs))
        self.outputs.update({source: (x,) for source, x in zip(body.inputs, inputs, strict=True)})
        self.walk(body.nodes)
        return self.mapped(body.outputs)


__all__ = ["lower_convolutions"]
