"""What the passes that rewrite a graph for reading share: node by node, in order, into a new graph."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from ..core.graph import Edge, Graph, Node
from ..core.op import Op
from ..core.value import Spec


class Rewriting(ABC):
    """Builds a new graph from ``graph``; ``place`` says where the results of its nodes are in the new one."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self.place: dict[Edge, Edge] = {}

    def run(self) -> Graph:
        """Return the new graph, without what nobody reads any more."""
        for given in self.graph.nodes:
            self.place.update({(given, index): edge for index, edge in enumerate(self.rewrite(given))})
        outputs = [self.place.get(edge, edge) for edge in self.graph.outputs]
        return Graph(self.graph.inputs, self.nodes, outputs, self.graph.captures).live()

    @abstractmethod
    def rewrite(self, given: Node) -> Sequence[Edge]:
        """Return where the results of a node are in the new graph, having put there what is needed."""

    def placed(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """Return operands as they are in the new graph."""
        return tuple(self.place.get(x, x) if type(x) is tuple else x for x in inputs)

    def node(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any], specs: tuple[Spec, ...]) -> Node:
        """Put an application into the new graph."""
        new = Node(op, params, inputs, specs)
        self.nodes.append(new)
        return new


def results(node: Node) -> list[Edge]:
    """Return all results of a node."""
    return [(node, index) for index in range(len(node.specs))]


__all__ = ["Rewriting", "results"]
