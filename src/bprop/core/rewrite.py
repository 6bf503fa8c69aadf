"""Rewriting a graph node by node: the loop that every pass shares. A pass is a rule that says what becomes of one node."""

from collections.abc import Iterable, Sequence
from typing import Any

from .graph import Edge, Graph, Node
from .op import Op
from .value import Spec


class Rewriter:
    """Copies a graph into a new one; a pass overrides `rule`.

    ``nodes`` are those of the new graph so far. ``edges`` maps a value of the old graph to its value in the new one, which
    may also be a Python scalar; inputs and captures that are not in it stand for themselves.

    >>> import bprop
    >>> from bprop.core.rewrite import Rewriter
    >>> class WithoutExp(Rewriter):
    ...     def rule(self, node, inputs):
    ...         return [inputs[0]] if node.op is bprop.exp else None
    >>> print(WithoutExp().rewrite(bprop.trace(lambda x: bprop.exp(x) * 2)(bprop.ones(3))))
    graph(x0: float64[3])
      a = x0 * 2     float64[3]
      return a
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.edges: dict[Edge, Any] = {}

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> Sequence[Any] | None:
        """Return one new value per output of ``node``, or ``None`` to copy it; ``inputs`` are its operands in the new graph.

        What the values need is added by `add` first.
        """
        return None

    def rewrite(self, graph: Graph) -> Graph:
        """Return the new graph. It may hold nodes that no output needs: `Graph.live` removes them."""
        self.walk(graph.nodes)
        return Graph(graph.inputs, self.nodes, self.mapped(graph.outputs), graph.captures)

    def walk(self, nodes: Iterable[Node]) -> None:
        """Apply the rule to each of ``nodes``, which are in order of computation."""
        edges, rule, new_nodes = self.edges, self.rule, self.nodes  # compiling a long loop spends its time here
        for node in nodes:
            inputs = tuple([edges.get(x, x) if type(x) is tuple else x for x in node.inputs])
            outputs = rule(node, inputs)
            if outputs is None:
                copied = Node(node.op, node.params, inputs, node.specs)
                new_nodes.append(copied)
                for index in range(len(node.specs)):
                    edges[node, index] = copied, index
            else:
                for index, output in enumerate(outputs):
                    edges[node, index] = output

    def mapped(self, operands: Iterable[Any]) -> tuple[Any, ...]:
        """Return operands of the old graph as they are in the new one."""
        edges = self.edges
        return tuple([edges.get(x, x) if type(x) is tuple else x for x in operands])

    def add(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any], specs: tuple[Spec, ...]) -> Node:
        """Append an application to the new graph; its ``inputs`` are values of the new graph."""
        node = Node(op, params, inputs, specs)
        self.nodes.append(node)
        return node


def outputs_of(node: Node) -> list[Edge]:
    """Return one edge per output of a node."""
    return [(node, index) for index in range(len(node.specs))]


__all__ = ["Rewriter", "outputs_of"]
