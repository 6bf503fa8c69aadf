"""Inlining: regions that only wrap a function (checkpoint, custom) become the ops inside them; branches and loops stay.

General ops and reductions that native code computes with other ops become those ops. An op whose native form is its
operand, since it matters to derivatives only, becomes that operand.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ...core.error import CompileError
from ...core.family import Elementwise, General, Reduction, Region
from ...core.graph import Graph, Node
from ...core.interpreter import EVALUATE
from ...core.rewrite import Rewriter
from ...core.trace import trace_flat
from ...core.value import Array
from ...ops.guard import guard
from ..ir.scalar_expr import expansion


def inline(graph: Graph) -> Graph:
    """Return the graph without regions other than those that native code has a kernel for.

    >>> import bprop
    >>> from bprop.compile.passes.inline import inline
    >>> print(inline(bprop.trace(bprop.checkpoint(lambda x: bprop.exp(x) * 2))(bprop.ones(3))))
    graph(x0: float64[3])
      a = exp(x0)     float64[3]
      b = a * 2       float64[3]
      return b
    """
    inliner = _Inliner()
    result = inliner.rewrite(graph)
    return Graph(result.inputs, result.nodes, result.outputs, [*graph.captures, *inliner.captures])


class _Inliner(Rewriter):
    def __init__(self) -> None:
        super().__init__()
        self.captures: list[tuple[Node, Array]] = []

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> Sequence[Any] | None:
        body = _body(node)
        if body is not None:
            self.captures.extend(body.captures)
            self.outputs.update({source: (x,) for source, x in zip(body.inputs, inputs, strict=True)})
            self.walk(body.nodes)
            return self.mapped(body.outputs)
        return [inputs[0]] if _passes(node) else None


def _body(node: Node) -> Graph | None:
    """Return the graph that replaces an application, if there is one."""
    op = node.op
    if isinstance(op, General | Reduction) and op.native is not None:
        return native_graph(op.native, node)
    if not isinstance(op, Region) or op.native or op is guard:
        return None
    body = op.body(node.params)
    if not isinstance(body, Graph):
        raise CompileError(f"{op.name}: the region holds no graph, so it has no native code")
    return body


def native_graph(native: Callable[..., Any], node: Node) -> Graph:
    """Return what an op computes in native code, by other ops, as a graph."""
    params, specs = node.params, [x.spec for x in node.edges]
    assert node.op is not None
    return trace_flat(lambda *xs: [native(*xs, **params)], specs, name=f"native {node.op.name}", below=EVALUATE)[0]


def _passes(node: Node) -> bool:
    """Return whether the native form of an op is its operand."""
    op = node.op
    if not isinstance(op, Elementwise) or isinstance(op.native, str) or node.params or node.operands != node.specs:
        return False
    form = expansion(op.native, (node.specs[0].dtype,))
    return form.outputs[0].node in form.inputs
