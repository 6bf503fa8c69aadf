"""`Trace`: op applications become a `Graph`; only shapes and dtypes flow."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .array_argument import with_arrays
from .assignment import native_call
from .cell import Cell
from .conversion_error import asked
from .dispatch import replacement
from .dtype import WEAK
from .error import TracedValueError, user_called, user_source
from .graph import Graph, Node, application
from .graph_builder import GraphBuilder, GraphValue, source_node
from .interpreter import Interpreter, using
from .op import Op
from .traced_float import plain
from .value import Array, Spec


class Traced(GraphValue):
    """A value that is being traced: a place in a graph, without numbers."""

    __slots__ = ()

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

    def origin(self) -> str:
        return f"{self.owner.describe(self.node)}, {self.spec},"  # type: ignore[attr-defined]

    def __bool__(self) -> bool:
        raise TracedValueError(
            f"Python `if`, `while`, `and`, `or`, `not` or bool() on a traced value: {self.origin()} has no number while "
            f"{self.owner.name} is being traced; {instead(self.owner.gave_objects)}"
        )

    def numbers(self, what: str) -> NDArray[Any]:
        what, instead = asked(self, what)
        raise TracedValueError(
            f"{what} of a traced value: {self.origin()} has no number while {self.owner.name} is being traced; "
            f"{_ADVICE.get(what) or (f'{instead}, or {_LOOK}' if instead else _COMPUTE)}"
        )


_LOOK = "see the number when it is there with bprop.callback(f, x)"
_COMPUTE = f"compute with bprop functions and return it instead, or {_LOOK}"
_COUNT = (
    "take counts and sizes from shapes and Python numbers, repeat with bprop.while_loop(condition, body, initial), or "
    "index a bprop array by the traced value itself, bprop.asarray(table)[i]"
)
_ADVICE = {"int()": _COUNT, "index()": _COUNT}


LONGEST = 60
"""Characters of a formula inside another that are shown in a message."""


def instead(gave_objects: bool = False) -> str:
    """Return what to write instead of a decision of Python's, by the statement that makes it.

    ``gave_objects``: or of NumPy's, which compares the entries of object arrays.
    """
    native, line = native_call()
    if line:
        return f"{native} compares the numbers: write {line}"
    if gave_objects and (call := with_arrays(user_called())):
        return f"NumPy compares the entries of a list or an array of objects one by one: write {call}"
    if gave_objects:
        return (
            "where NumPy compares the entries of an array of objects, as numpy.maximum, sort and a > 0 do, make one bprop array "
            "first, by bprop.stack([x, y]) for numpy.array([x, y]) or bprop.asarray(a); elsewhere " + instead()
        )
    called = user_called()
    own = replacement(called) if called.startswith("scipy.") else ""
    if own:
        return f"{called} decides by the number: write {own}"
    source = user_source()
    if source.startswith("while "):
        return "write bprop.while_loop(condition, body, initial)"
    if source.startswith("assert "):
        return "check it where there are numbers, in f of bprop.callback(f, x)"
    return (
        "write bprop.where(condition, x, y) to choose between values, bprop.cond(condition, f, g, *operands) to run one of "
        "two functions, &, | and ~ for and, or and not, or decide from shapes and Python numbers"
    )


class Trace(GraphBuilder):
    """Stages op applications into nodes.

    With ``stage_all=False`` only applications that depend on a traced input are staged and the rest runs below, which
    is how `linearize` separates a linear map from the numbers it needs. ``lift_cells=True`` makes every cell that is
    read an input of the graph (compilation); otherwise its value is captured like any other. ``label`` says how the
    input at a position is called in messages.
    """

    name = "trace"
    replayed = True

    def __init__(
        self,
        below: Interpreter | None = None,
        *,
        name: str = "trace",
        stage_all: bool = True,
        lift_cells: bool = False,
        label: Callable[[int], str] | None = None,
    ) -> None:
        super().__init__(below, name)
        self.label = label
        self.stage_all = stage_all
        self.stages = stage_all or self.below.stages
        self.lift_cells = lift_cells
        self.cell_inputs: dict[Cell, Node] = {}

    def input(self, spec: Spec) -> Traced:
        """Return a new input of the graph."""
        node = source_node(spec)
        self.inputs.append(node)
        return Traced(self, node)

    def describe(self, node: Node) -> str:
        """Return what a node is, for messages: an input by its name, a result by the application that made it."""
        if node.op is None:
            return self._source(node)
        return f"the result of {node.op.name}: {self._formula(node, 3)}"

    def _formula(self, node: Node, depth: int) -> str:
        """Return the formula of a node, down to ``depth`` applications and as far as it is short."""
        assert node.op is not None
        names = {x.node: self._operand(x.node, depth - 1) for x in node.edges}
        text = application(node, names)
        if text.startswith(f"{node.op.name}("):
            return text
        return application(node, {x: self._enclosed(x, name) for x, name in names.items()})

    def _operand(self, node: Node, depth: int) -> str:
        if node.op is None:
            return self._source(node)
        text = self._formula(node, depth) if depth else ""
        return text if 0 < len(text) <= LONGEST else f"{node.op.name}(…)"

    def _enclosed(self, node: Node, text: str) -> str:
        return text if node.op is None or text.startswith(f"{node.op.name}(") else f"({text})"

    def _source(self, node: Node) -> str:
        cell = next((cell for cell, own in self.cell_inputs.items() if own is node), None)
        if cell is not None:
            return cell.name or "a cell"
        value = next((value for own, value in self.captured.values() if own is node), None)
        if isinstance(value, Traced):
            return value.owner.describe(value.node)  # type: ignore[attr-defined]
        position = next((n for n, own in enumerate(self.inputs) if own is node), None)
        if position is None:
            return "a value from outside"
        return self.label(position) if self.label is not None else f"input {position}"

    def lift_cell(self, cell: Cell, value: Array) -> Array:
        if not self.lift_cells:
            return value
        node = self.cell_inputs[cell] = self.source(value)
        return Traced(self, node)

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if not self.stage_all and not any(type(arg) is Traced and arg.owner is self for arg in args):
            return self.below.bind(op, args, params)
        if op.is_region:
            params = op.staged(args, params)
        params = {name: plain(value) for name, value in params.items()}
        inputs = self.edges(args)
        operands = [arg if type(arg) in WEAK else arg.spec for arg in args]
        op.refuse_complex(operands)
        specs = op.spec(*operands, **params)
        if isinstance(specs, Spec):
            node = Node(op, params, inputs, (specs,))
            self.nodes.append(node)
            return Traced(self, node)
        node = Node(op, params, inputs, tuple(specs))
        self.nodes.append(node)
        return tuple(Traced(self, node, index) for index in range(len(specs)))

    def look(self, name: str, f: Callable[..., Any], args: Sequence[Any]) -> Any:
        for arg in args:
            if self.owns(arg):
                arg.numbers(name)
        return super().look(name, f, args)


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
