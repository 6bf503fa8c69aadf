"""`Observe`: evaluates and remembers everything: a `Graph` together with the numbers that flowed through it.

Like recording it goes along with the numbers, so Python ``if`` and ``for`` work; like tracing it leaves a graph. What
does not depend on an input is computed and captured.
"""

from typing import Any

from .graph import Edge, Node
from .graph_builder import GraphBuilder, GraphValue
from .interpreter import Interpreter
from .op import Op
from .value import Array


class Observed(GraphValue):
    """A value together with its place in the graph."""

    __slots__ = ()

    def __init__(self, owner: "Observe", value: Array, node: Node, index: int = 0) -> None:
        super().__init__(owner, value)
        self.node = node
        self.index = index


class Observe(GraphBuilder):
    """Evaluates one level below; ``values`` holds the value of every edge of the graph.

    >>> import bprop
    >>> from bprop.core.interpreter import using
    >>> from bprop.core.observe import Observe
    >>> owner = Observe(name="example")
    >>> x = owner.input(bprop.asarray(2.0))
    >>> with using(owner):
    ...     y = x * x + 1
    >>> [owner.values[node.output].item() for node in owner.graph([y]).nodes]
    [4.0, 5.0]
    """

    def __init__(self, below: Interpreter | None = None, *, name: str = "observation") -> None:
        super().__init__(below, name)
        self.values: dict[Edge, Array] = {}

    def source(self, value: Array) -> Node:
        node = super().source(value)
        self.values[node.output] = value
        return node

    def input(self, value: Array) -> Observed:
        """Return ``value`` as an input of the graph."""
        node = self.source(value)
        self.inputs.append(node)
        return Observed(self, value, node)

    def lower(self, value: Array) -> Array:
        return value.value if type(value) is Observed and value.owner is self else value

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if not any(type(arg) is Observed and arg.owner is self for arg in args):
            return self.below.bind(op, args, params)
        inputs = self.edges(args)
        y = self.below.bind(op, tuple(self.lower(arg) for arg in args), params)
        ys = y if type(y) is tuple else (y,)
        node = Node(op, params, inputs, tuple(result.spec for result in ys))
        self.nodes.append(node)
        self.values.update(zip(node.outputs, ys, strict=True))
        results = tuple(Observed(self, result, node, index) for index, result in enumerate(ys))
        return results if type(y) is tuple else results[0]


__all__ = ["Observe", "Observed"]
