"""The trace of one call: its graph, where the inputs of that come from, and where its outputs go."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from ...core.cell import Cell
from ...core.dtype import DEFAULT
from ...core.error import LIBRARY_LOOPS, ArgumentError, shown_place, user_place
from ...core.function import FUNCTIONS
from ...core.graph import Graph, Node, has_effect, inner_graphs
from ...core.interpreter import EVALUATE, using
from ...core.object_array import rejoined
from ...core.op import Op
from ...core.trace import Trace, Traced
from ...core.traced_float import TracedFloat, plain
from ...core.tree import Structure, flatten, unflatten
from ...core.value import SHARING, Array, Sharing, Spec, Tracer, escaped
from ...gradients.variable import leaf_label
from ..introspection import stored
from ..passes.finite_check import has_guard
from ..passes.fold_constants import fold_constants
from ..passes.inline import inline

LARGE = 1000
"""Applications in a graph that take long enough to compile for a word about loops."""
REPEATED = 200
"""How often the same application at the same line makes it a loop that `bprop.scan` would compile once."""


class _Trace(Trace):
    """A trace that reads cells without marking their buffers as seen by others, and notes the user's lines.

    ``guards``: products with absent cotangents are guarded, not masked.
    """

    def __init__(self, name: str, label: Callable[[int], str], guards: bool) -> None:
        super().__init__(EVALUATE, name=name, lift_cells=True, label=label)
        self.runs = True
        self.guards = guards
        self.lines: dict[tuple[str, tuple[Spec, ...]], tuple[str, int] | None] = {}
        self.repeated: tuple[str, int] | None = None
        """The user's line, if there is one, that made the same application again and again."""
        self._counts: Counter[Any] = Counter()

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        y = super().bind(op, args, params)
        self._note([self.nodes[-1]])
        self._count(self.nodes[-1])
        return y

    def _count(self, node: Node) -> None:
        """Count what a line of the user makes, but for the way back and updates, which are at one line for all layers."""
        if self.repeated is not None:
            return
        line = user_place(before=LIBRARY_LOOPS)
        if line is None:
            return
        assert node.op is not None
        self._counts[line, node.op.name, node.specs] += 1
        if self._counts[line, node.op.name, node.specs] == REPEATED:
            self.repeated = line

    def _note(self, nodes: Iterable[Node]) -> None:
        """Note where nodes were made; those inside a region, where the region was applied."""
        for node in nodes:
            assert node.op is not None
            if (node.op.name, node.specs) not in self.lines:
                self.lines[node.op.name, node.specs] = user_place()
            for inner in inner_graphs(node):
                self._note(inner.nodes)

    def read(self, cell: Cell) -> Array:
        value = self.cells.get(cell)
        if value is None:
            value = self.cells[cell] = self.lift_cell(cell, cell.array)
        return value


class _Floats:
    """The floats that are inputs of a trace: ``asked`` are those, by position, at whose numbers Python looked."""

    def __init__(self, tracer: _Trace) -> None:
        self.tracer, self.live, self.asked = tracer, True, set[int]()

    def applied(self, name: str, *args: Any) -> Array:
        with using(self.tracer):
            return FUNCTIONS[name](*args)


class Result(NamedTuple):
    """Where a leaf of the result comes from: the program, an argument passed through, or what tracing found.

    ``value`` is the position of the argument, or the constant; an array that is ``shared`` may change in place.
    """

    kind: Literal["computed", "argument", "constant", "shared"]
    value: Any


class CellAccess(NamedTuple):
    """A cell that a program reads or writes: ``position`` among the arguments (``None``: the cell itself), and its spec."""

    cell: Cell
    position: int | None
    spec: Spec


@dataclass(frozen=True, eq=False)
class TracedCall:
    """What a trace gave.

    ``graph`` has as inputs the arrays and floats among the leaves of the arguments, at the positions ``arguments``, then the
    cells ``read``, then ``captures``. Its outputs are the ``count`` computed ``results``, then the values of the cells
    ``written``; ``donated`` maps outputs to the inputs whose memory they replace. ``structure`` is that of the result.
    ``asked``: positions of the floats for whose numbers alone the trace is. ``by_reference``: captured arrays, by `id`, that
    may change in place; ``in_place``: the NumPy arrays, by `id`, at whose numbers the trace did not look.
    ``guards``: products are guarded (decision 0003). ``effects``: it calls Python. ``lines``: the user's line of every op by
    name and specs; ``repeated``: the line of a loop that was unrolled into a large graph of ``size`` applications.
    """

    name: str
    leaf_count: int
    graph: Graph
    arguments: list[int]
    read: list[CellAccess]
    captures: list[Array]
    results: list[Result]
    structure: Structure
    count: int
    written: list[CellAccess]
    donated: dict[int, int]
    asked: set[int]
    by_reference: set[int]
    in_place: set[int]
    guards: bool
    effects: bool
    lines: dict[tuple[str, tuple[Spec, ...]], tuple[str, int] | None]
    size: int
    repeated: tuple[str, int] | None

    def line_of(self, message: str) -> str:
        """Return the user's line that made the op which a message begins with, the one of the shapes that it shows."""
        name = message.partition(":")[0].partition("(")[0].partition(" of ")[0]  # a region says of which function
        lines = {specs: line for (op, specs), line in self.lines.items() if op == name}
        shown = [line for specs, line in lines.items() if any(str(spec) in message for spec in specs)]
        return shown_place(next(iter([*shown, *lines.values()]), None))


def trace_call(
    f: Callable[..., Any], leaves: Sequence[Any], structure: Structure, name: str, masks: bool = False
) -> TracedCall:
    """Return the trace of a call of ``f`` with these leaves; ``masks``: products are masked, not guarded.

    Raises `ArgumentError` where a result is no tree of arrays, and what ``f`` raises.
    """
    tracing = _Tracing(f, leaves, structure, name)
    tracing.run(guards=not masks)
    effects = any(map(has_effect, tracing.tracer.nodes))
    if effects and has_guard(tracing.tracer.nodes):  # a callback must not be called by both programs
        tracing.run(guards=False)
    return tracing.result(effects)


class _Tracing:
    """Tracing a call: ``tracer``, ``sharing``, ``outputs`` and the like are those of the last run."""

    def __init__(self, f: Callable[..., Any], leaves: Sequence[Any], structure: Structure, name: str) -> None:
        self.f = f
        self.leaves = leaves
        self.argument_structure = structure
        self.name = name
        self.asked: set[int] = set()
        self.floats = {position for position, leaf in enumerate(leaves) if type(leaf) is float}

    def run(self, guards: bool) -> None:
        """Trace. Floats are inputs like arrays; where something cannot be traced so, they are constants."""
        arrays = [position for position, leaf in enumerate(self.leaves) if is_array(leaf)]
        inputs = sorted([*arrays, *self.floats])
        for self.arguments in (inputs, arrays):
            try:
                return self._run_once(guards)
            except Exception:
                if len(self.arguments) == len(arrays):
                    raise
                self.asked = set(self.floats)

    def _run_once(self, guards: bool) -> None:
        def label(position: int) -> str:
            return leaf_label(self.f, self.argument_structure, self.arguments[position])

        self.tracer = _Trace(self.name, label, guards)
        inputs, traced = _Floats(self.tracer), list(self.leaves)
        for position in self.arguments:
            leaf = self.leaves[position]
            dtype = DEFAULT if type(leaf) is float else leaf.dtype.newbyteorder("=")
            x = self.tracer.input(Spec(np.shape(leaf), dtype))
            traced[position] = TracedFloat(leaf, x, frozenset([position]), inputs) if type(leaf) is float else x
        self.sharing = Sharing()
        token = SHARING.set(self.sharing)
        try:
            with using(self.tracer):
                args, options = unflatten(self.argument_structure, traced)
                outputs, self.structure = flatten(rejoined(self.tracer, self.f(*args, **options)))
                self.outputs = [plain(leaf) for leaf in outputs]
            self.sharing.settle()
        finally:
            SHARING.reset(token)
            inputs.live = False
            self.asked |= inputs.asked

    def result(self, effects: bool) -> TracedCall:
        """Return what the last run gave."""
        tracer, size = self.tracer, len(self.tracer.nodes)
        self._check_outputs()
        written = self._written()
        results = [self._source(x) for x in self.outputs]
        computed = [x for x, source in zip(self.outputs, results, strict=True) if source.kind == "computed"]
        values = [tracer.cells[cell] for cell in written]
        # what a region closes over is an input as well, and so are constants
        graph = fold_constants(inline(tracer.graph([*computed, *values])))
        captures = [value for _, value in graph.captures]
        for value in captures:
            if isinstance(value, Tracer):
                raise escaped(value, self.name)
        by_reference = {id(shared.array) for shared in self.sharing.arrays.values()}
        order, count = list(tracer.cell_inputs), len(computed)
        leaf_of = {id(leaf): position for position, leaf in reversed(list(enumerate(self.leaves)))}  # the first of each
        input_of = {cell: len(self.arguments) + position for position, cell in enumerate(order)}
        nodes = [*graph.inputs, *tracer.cell_inputs.values(), *(node for node, _ in graph.captures)]
        return TracedCall(
            name=self.name,
            leaf_count=len(self.leaves),
            graph=Graph(nodes, graph.nodes, graph.outputs),
            arguments=self.arguments,
            read=[CellAccess(cell, leaf_of.get(id(cell)), cell.array.spec) for cell in order],
            captures=captures,
            results=[
                Result("shared", x) if kind == "constant" and id(x) in by_reference else Result(kind, x)
                for kind, x in results
            ],
            structure=self.structure,
            count=count,
            written=[
                CellAccess(cell, leaf_of.get(id(cell)), value.spec) for cell, value in zip(written, values, strict=True)
            ],
            # a written cell that is also read takes its new value in place, where nobody else holds the buffer
            donated={
                count + number: input_of[cell]
                for number, cell in enumerate(written)
                if cell in tracer.cell_inputs and cell.array.spec == values[number].spec
            },
            # what Python does in a callback may depend on all floats
            asked=self.floats if effects else self.asked,
            by_reference=by_reference,
            in_place=_in_place(self.sharing, captures),
            guards=has_guard(graph.nodes),
            effects=effects,
            lines=tracer.lines,
            size=size,
            repeated=tracer.repeated if size > LARGE else None,
        )

    def _check_outputs(self) -> None:
        """Refuse results that are no trees of arrays."""
        for leaf in self.outputs:
            if isinstance(leaf, Iterator | Set) or _holds_traced(leaf):
                raise ArgumentError(
                    f"{self.name.removeprefix('compilation of ')}: a result is a {type(leaf).__name__}, which is no tree "
                    f"of arrays: return a list, tuple, dict or dataclass"
                )

    def _written(self) -> list[Cell]:
        """Return the cells that get another value. One that is only written becomes an input, to be replaced in place."""
        tracer = self.tracer
        written = [
            cell
            for cell in tracer.written
            if not (isinstance(x := tracer.cells[cell], Traced) and x.node is tracer.cell_inputs.get(cell))
        ]
        for cell in written:
            if cell not in tracer.cell_inputs and cell.array.spec == tracer.cells[cell].spec:
                tracer.lift_cell(cell, cell.array)
        return written

    def _source(self, x: Any) -> Result:
        """Return where an output leaf comes from."""
        if not isinstance(x, Traced) or x.owner is not self.tracer:
            return Result("constant", x)
        inputs = self.tracer.inputs
        position = self.arguments[inputs.index(x.node)] if x.node in inputs else None
        if position is not None and position not in self.floats:
            return Result("argument", position)
        return Result("computed", None)


def is_array(leaf: Any) -> bool:
    """Return whether a leaf is an input of a program."""
    return issubclass(type(leaf), (Array, np.ndarray, np.generic))  # an object may say it is of another class


def _holds_traced(leaf: Any) -> bool:
    """Return whether an object that is a leaf of the results holds values of the trace, which have no numbers after it."""
    if is_array(leaf):
        return False
    inside = leaf.values() if isinstance(leaf, Mapping) else leaf if isinstance(leaf, deque) else stored(leaf).values()
    return any(isinstance(x, Traced) for value in inside for x in flatten(value)[0])


def _in_place(sharing: Sharing, captures: Sequence[Array]) -> set[int]:
    """Return the NumPy arrays, by `id`, that a program reads where they lie and at whose numbers the trace did not look."""
    captured = {id(value) for value in captures}
    return {
        id(shared.data)
        for shared in sharing.arrays.values()
        if id(shared.array) in captured and id(shared.array) not in sharing.looked
    }
