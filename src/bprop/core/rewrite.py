"""Rewriting a graph node by node: the loop that every pass shares. A pass is a rule that says what becomes of one node."""

from collections.abc import Iterable, Sequence
from typing import Any

from .graph import Edge, Graph, Node, NodeInput
from .op import Op
from .value import Spec


class Rewriter:
    """Copies a graph into a new one; a pass overrides `rule`.

    ``nodes`` are those of the new graph so far. ``outputs`` has for a node of the old graph what its outputs are in the new
    one: edges, or Python scalars. Inputs and captures that are not in it stand for themselves.

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
        self.outputs: dict[Node, Sequence[NodeInput]] = {}

    def rule(self, node: Node, inputs: tuple[NodeInput, ...]) -> Sequence[NodeInput] | None:
        """Return one new value per output of ``node``, or ``None`` to copy it; ``inputs`` are its operands in the new graph.

        What the values need is added by `add` first.
        """
        return None

    def rewrite(self, graph: Graph) -> Graph:
        """Return the new graph. It may hold nodes that no output needs: `Graph.live` removes them."""
        self.walk(graph.nodes)
        outputs = [x for x in self.mapped(graph.outputs) if type(x) is Edge]
        assert len(outputs) == len(graph.outputs), "an output of a graph became a Python scalar"
        return Graph(graph.inputs, self.nodes, outputs, graph.captures)

    def walk(self, nodes: Iterable[Node]) -> None:
        """Apply the rule to each of ``nodes``, which are in order of computation."""
        mapped, rule, new_nodes = self.mapped, self.rule, self.nodes  # compiling a long loop spends its time here
        for node in nodes:
            inputs = mapped(node.inputs)
            outputs = rule(node, inputs)
            if outputs is None:
                copied = Node(node.op, node.params, inputs, node.specs)
                new_nodes.append(copied)
                outputs = copied.outputs
            self.outputs[node] = outputs

    def mapped(self, operands: Iterable[NodeInput]) -> tuple[NodeInput, ...]:
        """Return operands of the old graph as they are in the new one."""
        outputs = self.outputs
        return tuple([outputs[x.node][x.index] if type(x) is Edge and x.node in outputs else x for x in operands])

    def add(self, op: Op, inputs: tuple[NodeInput, ...], params: dict[str, Any], specs: tuple[Spec, ...]) -> Node:
        """Append an application to the new graph; its ``inputs`` are values of the new graph."""
        node = Node(op, params, inputs, specs)
        self.nodes.append(node)
        return node


__all__ = ["Rewriter"]
