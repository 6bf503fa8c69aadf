"""`Trace`: op applications become a `Graph`; only shapes and dtypes flow."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dtype import WEAK
from .error import TracedValueError
from .graph import Edge, Graph, Node
from .interpreter import Cell, Interpreter, using
from .op import Op
from .value import Array, Spec, Wrapped, asarray


class Traced(Wrapped):
    """A value that is being traced: a place in a graph, without numbers."""

    __slots__ = ("index", "node")

    def __init__(self, owner: "Trace", node: Node, index: int = 0) -> None:
        self.owner = owner
        self.node = node
        self.index = index

    @property
    def shape(self) -> tuple[int, ...]:
        return self.node.specs[self.index].shape

    @property
    def dtype(self) -> "np.dtype[Any]":
        return self.node.specs[self.index].dtype

    def concrete(self) -> NDArray[Any] | None:
        return None

    def decides(self) -> bool:
        return False

    def _origin(self) -> str:
        what = f"the result of {self.node.op.name}" if self.node.op else "an input"
        return f"{what}, {self.spec},"

    def __bool__(self) -> bool:
        raise TracedValueError(
            f"Python `if`, `while`, `and`, `or`, `not` or bool() on a traced value: {self._origin()} has no number while "
            f"{self.owner.name} is being traced; write bprop.where(condition, x, y) to choose between values, or decide "
            f"from shapes and Python numbers"
        )

    def numbers(self, what: str) -> NDArray[Any]:
        raise TracedValueError(
            f"{what} of a traced value: {self._origin()} has no number while {self.owner.name} is being traced; "
            f"compute with bprop functions and return it instead"
        )


class Trace(Interpreter):
    """Stages op applications into nodes.

    With ``stage_all=False`` only applications that depend on a traced input are staged and the rest runs below, which
    is how `linearize` separates a linear map from the numbers it needs. ``lift_cells=True`` makes every cell that is
    read an input of the graph (compilation); otherwise its value is captured like any other.
    """

    name = "trace"

    def __init__(
        self,
        below: Interpreter | None = None,
        *,
        name: str = "trace",
        stage_all: bool = True,
        lift_cells: bool = False,
    ) -> None:
        super().__init__(below)
        self.name = name
        self.stage_all = stage_all
        self.lift_cells = lift_cells
        self.nodes: list[Node] = []
        self.inputs: list[Node] = []
        self.cell_inputs: dict[Cell, Node] = {}
        self.captured: dict[int, tuple[Node, Array]] = {}

    def input(self, spec: Spec) -> Traced:
        """Return a new input of the graph."""
        node = Node(None, {}, (), (spec,))
        self.inputs.append(node)
        return Traced(self, node)

    def lift_cell(self, cell: Cell, value: Array) -> Array:
        if not self.lift_cells:
            return value
        node = Node(None, {}, (), (value.spec,))
        self.cell_inputs[cell] = node
        return Traced(self, node)

    def edge(self, value: Any) -> Edge:
        """Return the place of ``value`` in the graph, capturing it if it comes from outside."""
        if type(value) is Traced and value.owner is self:
            return value.node, value.index
        value = asarray(value)
        known = self.captured.get(id(value))
        if known is None:
            known = self.captured[id(value)] = Node(None, {}, (), (value.spec,)), value
        return known[0], 0

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if not self.stage_all and not any(type(arg) is Traced and arg.owner is self for arg in args):
            return self.below.bind(op, args, params)
        if op.is_region:
            params = op.staged(args, params)
        inputs = tuple(arg if type(arg) in WEAK else self.edge(arg) for arg in args)
        operands = [arg if type(arg) in WEAK else arg.spec for arg in args]
        specs = op.spec(*operands, **params)
        if isinstance(specs, Spec):
            node = Node(op, params, inputs, (specs,))
            self.nodes.append(node)
            return Traced(self, node)
        node = Node(op, params, inputs, tuple(specs))
        self.nodes.append(node)
        return tuple(Traced(self, node, index) for index in range(len(specs)))

    def graph(self, outputs: Sequence[Any]) -> Graph:
        """Return the finished graph with ``outputs``; dead nodes are left out."""
        edges = [self.edge(value) for value in outputs]
        return Graph(self.inputs, self.nodes, edges, list(self.captured.values())).live()


def trace_flat(
    function: Callable[..., Sequence[Any]],
    specs: Sequence[Spec],
    *,
    name: str = "trace",
    below: Interpreter | None = None,
) -> tuple[Graph, Trace]:
    """Trace ``function`` of flat arguments that returns a flat sequence; return its graph and the finished trace."""
    tracer = Trace(below, name=name)
    args = [tracer.input(spec) for spec in specs]
    with using(tracer):
        outputs = function(*args)
    return tracer.graph(outputs), tracer
