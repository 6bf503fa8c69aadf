"""One traced call as a native program: where its inputs come from, where its outputs go, and the table of pointers."""

import ctypes
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ...core.cell import CHANGES, RUNNING, Cell
from ...core.dtype import DEFAULT
from ...core.error import ArgumentError, BpropError, CompileError, StateError, shown_place, user_place
from ...core.function import FUNCTIONS
from ...core.graph import Graph, Node, has_effect, inner_graphs
from ...core.interpreter import EVALUATE, using
from ...core.op import Op
from ...core.shape import size_of
from ...core.trace import Trace, Traced
from ...core.traced_float import TracedFloat, plain
from ...core.tree import LEAF, Structure, flatten, unflatten
from ...core.value import SHARING, Array, Sharing, Spec, Tracer, asarray, escaped
from ...gradients.reverse import backward
from ...gradients.variable import leaf_label
from ..introspection import stored
from ..passes.finite_check import NotFiniteError, has_guard
from ..passes.inline import inline
from ..runtime.memory import DIRECT, HEAD, POINTER_AT, address_of, contiguous, data_of, memory_of
from .lru_cache import Cache, graph_key

if TYPE_CHECKING:
    from ..runtime.executable import Program

SMALL = 256
"""Bytes of an output up to which it is copied out of a buffer that the program keeps."""
HEARD = 0.05
"""Seconds of steps in a loop after which Python hears of Ctrl-C."""
UNTIMED = 16
"""Steps before it is known how long one takes."""
LARGE = 1000
"""Applications in a graph that take long enough to compile for a word about loops."""
REPEATED = 200
"""How often the same application at the same line makes it a loop that `bprop.scan` would compile once."""
PLAIN = 0x101
"""NumPy's flags of arrays that are C-contiguous and aligned."""


class _Trace(Trace):
    """A trace that reads cells without marking their buffers as seen by others, and notes the user's lines.

    ``guards``: products with absent cotangents are guarded, not masked.
    """

    def __init__(self, name: str, label: Callable[[int], str], guards: bool) -> None:
        super().__init__(EVALUATE, name=name, lift_cells=True, label=label)
        self.runs = True
        self.guards = guards
        self.places: dict[tuple[str, tuple[Spec, ...]], tuple[str, int] | None] = {}
        self.repeated: tuple[str, int] | None = None
        """The user's line, if there is one, that made the same application again and again."""
        self._counts: Counter[Any] = Counter()

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        y = super().bind(op, args, params)
        self._note([self.nodes[-1]])
        self._count(self.nodes[-1])
        return y

    def _count(self, node: Node) -> None:
        """Count what a line of the user makes, but for the way back, which is at one line for all of it."""
        line = user_place(before=backward.__code__)
        if line is None or self.repeated is not None:
            return
        assert node.op is not None
        self._counts[line, node.op.name, node.specs] += 1
        if self._counts[line, node.op.name, node.specs] == REPEATED:
            self.repeated = line

    def _note(self, nodes: Iterable[Node]) -> None:
        """Note where nodes were made; those inside a region, where the region was applied."""
        for node in nodes:
            assert node.op is not None
            if (node.op.name, node.specs) not in self.places:
                self.places[node.op.name, node.specs] = user_place()
            for inner in inner_graphs(node):
                self._note(inner.nodes)

    def read(self, cell: Cell) -> Array:
        value = self.cells.get(cell)
        if value is None:
            value = self.cells[cell] = self.lift_cell(cell, cell.array)
        return value


class _Floats:
    """The floats that are inputs of a trace: ``asked`` are those, by place, at whose numbers Python looked."""

    def __init__(self, tracer: _Trace) -> None:
        self.tracer, self.live, self.asked = tracer, True, set[int]()

    def applied(self, name: str, *args: Any) -> Array:
        with using(self.tracer):
            return FUNCTIONS[name](*args)


class Step:
    """One traced call: the graph, where its inputs come from, where its outputs go, and the program.

    An equal graph among ``programs`` has the native code already; else the program is ``new``, and ``key`` is its key there.
    Where the program ``guards`` its products (decision 0003), ``masked`` is the step to take when that fails, made when it
    first does; ``masked_runs`` counts how often.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        leaves: Sequence[Any],
        structure: Structure,
        name: str,
        programs: "Cache[Program]",
        masks: bool = False,
    ) -> None:
        from ..runtime.executable import Program  # llvmlite is loaded with the first program, not with bprop

        self.name = name
        self.leaves = len(leaves)
        self.masked: Step | None = None
        self.masked_runs = 0
        self.asked: set[int] = set()
        """The places of the floats among the leaves for whose numbers alone the trace is."""
        tracer, sharing, outputs = self._traced(f, leaves, structure, guards=not masks)
        self.effects = any(map(has_effect, tracer.nodes))
        if self.effects and has_guard(tracer.nodes):  # a callback must not be called by both programs
            tracer, sharing, outputs = self._traced(f, leaves, structure, guards=False)
        floats = {place for place, leaf in enumerate(leaves) if type(leaf) is float}
        if self.effects:  # what Python does in a callback may depend on them
            self.asked = floats
        self._places = tracer.places
        self.size = len(tracer.nodes)
        self.repeated = tracer.repeated if self.size > LARGE else None
        for leaf in outputs:
            if isinstance(leaf, Iterator | Set) or _holds_traced(leaf):
                raise ArgumentError(
                    f"{name.removeprefix('compilation of ')}: a result is a {type(leaf).__name__}, which is no tree of "
                    f"arrays: return a list, tuple, dict or dataclass"
                )
        written = [
            cell
            for cell in tracer.written
            if not (isinstance(x := tracer.cells[cell], Traced) and x.node is tracer.cell_inputs.get(cell))
        ]
        for cell in written:  # one that is only written takes its new value in place as well
            if cell not in tracer.cell_inputs and cell.array.spec == tracer.cells[cell].spec:
                tracer.lift_cell(cell, cell.array)
        self.results = [_source(tracer, x, self.arguments, floats) for x in outputs]
        computed = [x for x, kind in zip(outputs, self.results, strict=True) if kind[0] == "computed"]
        values = [tracer.cells[cell] for cell in written]
        graph = inline(tracer.graph([*computed, *values]))  # what a region closes over is an input as well

        positions = {leaf: place for place, leaf in reversed(list(enumerate(leaves))) if issubclass(type(leaf), Cell)}
        self.read = [_Cell(cell, positions.get(cell)) for cell in tracer.cell_inputs]
        self.written = [
            _Cell(cell, positions.get(cell), value.spec) for cell, value in zip(written, values, strict=True)
        ]
        self.captures = [value for _, value in graph.captures]
        for value in self.captures:
            if isinstance(value, Tracer):
                raise escaped(value, name)
        self.in_place = _in_place(sharing, self.captures)
        """The NumPy arrays, by `id`, that the program reads where they lie, and at whose numbers the trace did not look."""
        nodes = [*graph.inputs, *tracer.cell_inputs.values(), *(node for node, _ in graph.captures)]
        whole = Graph(nodes, graph.nodes, graph.outputs)
        self.guards = has_guard(graph.nodes)
        self.count = len(computed)
        # a written cell that is also read takes its new value in place, where nobody else holds the buffer
        order = list(tracer.cell_inputs)
        self.donated: dict[int, int] = {}
        for number, cell in enumerate(written):
            if cell in tracer.cell_inputs and cell.array.spec == values[number].spec:
                self.donated[self.count + number] = len(self.arguments) + order.index(cell)
        self.key = graph_key(whole), tuple(self.donated.items())
        known = programs.get(self.key)
        self.new = known is None
        try:
            self.program = known or Program(whole, self.donated, name.removeprefix("compilation of "))
        except CompileError as error:
            error.line = self.line_of(error.message) or error.line
            raise

        # The table of pointers is filled once; a later call enters only what has changed since. It begins with the arena.
        # Small outputs are written to one place and copied out, which costs less than asking a new array where it lies.
        first = 1 + len(self.arguments)
        self._outputs = first + len(self.read) + len(self.captures)
        self._table = (ctypes.c_uint64 * (self._outputs + len(graph.outputs)))()
        self.address = ctypes.addressof(self._table)
        self._inputs = list(enumerate(self.arguments, start=1))
        self._replaced = {place - len(self.arguments): output for output, place in self.donated.items()}
        self._specs = whole.specs
        self._size = sum(size_of(spec.shape) * spec.dtype.itemsize for spec in whole.specs)
        self._small: dict[int, NDArray[Any]] = {}
        self._large: list[tuple[int, int, Spec]] = []  # output, its place in the table
        for number, spec in enumerate(whole.specs):
            if number in self.donated:
                continue
            if size_of(spec.shape) * spec.dtype.itemsize <= SMALL:
                self._small[number] = np.empty(*spec)
                self._table[self._outputs + number] = address_of(self._small[number])
            else:
                self._large.append((number, self._outputs + number, spec))
        self._bound: list[Array | None] = [None] * len(self.read)
        self._held: list[Any] = [None] * len(self.read)
        self._constants = [contiguous(value.data) for value in self.captures]
        for slot, data in enumerate(self._constants, start=first + len(self.read)):
            self._table[slot] = address_of(data)
        # what is read where it lies can change; what is no block of memory is brought into one before every call
        shared = {id(array) for _, array in sharing.arrays.values()}
        self._gathered = [
            (data, value.data)
            for data, value in zip(self._constants, self.captures, strict=True)
            if id(value) in shared and data is not value.data
        ]
        self.results = [
            ("shared", x) if kind == "constant" and id(x) in shared else (kind, x) for kind, x in self.results
        ]
        self._in_place = len(self.donated) == len(self.written)
        self._single = self.structure.kind is LEAF and self.results[0][0] == "computed"
        self._start = self.program.start
        self._seconds = 0.0  # of a step in the last loop
        self.take(leaves)

    def _traced(
        self, f: Callable[..., Any], leaves: Sequence[Any], structure: Structure, guards: bool
    ) -> tuple[_Trace, Sharing, list[Any]]:
        """Return the trace of a call, what it takes by reference, and the leaves of its result.

        Floats are inputs like arrays; where something cannot be traced so, they are constants.
        """
        places = [place for place, leaf in enumerate(leaves) if type(leaf) is float or is_array(leaf)]
        floats = [place for place in places if type(leaves[place]) is float]
        for self.arguments in (places, [place for place in places if is_array(leaves[place])]):
            try:
                return self._traced_once(f, leaves, structure, guards)
            except Exception:
                if len(self.arguments) == len(places) - len(floats):
                    raise
                self.asked = set(floats)
        raise AssertionError

    def _traced_once(
        self, f: Callable[..., Any], leaves: Sequence[Any], structure: Structure, guards: bool
    ) -> tuple[_Trace, Sharing, list[Any]]:
        def label(position: int) -> str:
            return leaf_label(f, structure, self.arguments[position])

        tracer = _Trace(self.name, label, guards)
        inputs, traced = _Floats(tracer), list(leaves)
        for place in self.arguments:
            leaf = leaves[place]
            dtype = DEFAULT if type(leaf) is float else leaf.dtype.newbyteorder("=")
            x = tracer.input(Spec(np.shape(leaf), dtype))
            traced[place] = TracedFloat(leaf, x, frozenset([place]), inputs) if type(leaf) is float else x
        sharing = Sharing()
        token = SHARING.set(sharing)
        try:
            with using(tracer):
                args, options = unflatten(structure, traced)
                outputs, self.structure = flatten(f(*args, **options))
                return tracer, sharing, [plain(leaf) for leaf in outputs]
        finally:
            SHARING.reset(token)
            inputs.live = False
            self.asked |= inputs.asked

    def line_of(self, message: str) -> str:
        """Return the user's line that made the op which a message begins with, the one of the shapes that it shows."""
        name = message.partition(":")[0].partition("(")[0].partition(" of ")[0]  # a region says of which function
        places = {specs: place for (op, specs), place in self._places.items() if op == name}
        shown = [place for specs, place in places.items() if any(str(spec) in message for spec in specs)]
        return shown_place(next(iter([*shown, *places.values()]), None))

    def fits(self) -> bool:
        """Return whether the cells that are no arguments still have the shapes and dtypes they were traced with."""
        return all(one.place is not None or one.cell.array.spec == one.spec for one in self.read)

    @property
    def cells_written(self) -> list[Cell]:
        """The cells that the last call wrote."""
        return self._writes

    def take(self, leaves: Sequence[Any]) -> None:
        """Find the cells of a call among its leaves; further calls with the same cells need not."""
        self._reads = [one.of(leaves) for one in self.read]
        self._writes = [one.of(leaves) for one in self.written]
        self.settled: object = None

    @property
    def loops(self) -> bool:
        """Return whether the next step can follow natively: every cell keeps its shape and dtype."""
        return len(self.donated) == len(self.written)

    def __call__(self, leaves: Sequence[Any], mark: object) -> Any:
        """Run on the leaves of the arguments; ``mark`` was the latest of `CHANGES` before the cells were looked at.

        Whatever can fail comes first, so that an error leaves every cell as it was. ``settled`` is the mark at which all
        cells were in their places: as long as it is the latest, they need not be looked at. Raises `NotFiniteError` where
        `with_masks` has the step to take.
        """
        if self.program in RUNNING:
            raise CompileError(f"{self.name}: called again by its own callback: its memory is in use")
        RUNNING[self.program] = self._writes  # before its cells are looked at: who reads one from now on gets a copy
        try:
            table, moved = self._table, CHANGES.latest is not self.settled
            for block, source in self._gathered:
                np.copyto(block, source)
            copies: tuple[Any, ...] = ()
            for slot, place in self._inputs:
                leaf = leaves[place]
                data = leaf.data if type(leaf) is Array else leaf
                if type(data) is not np.ndarray or data.flags.num & PLAIN != PLAIN or not data.dtype.isnative:
                    data = data_of(leaf)
                    copies = (*copies, data)  # lives until the program has run
                table[slot] = (POINTER_AT(id(data) + HEAD).value or 0) if DIRECT else address_of(data)
            fresh = self._allocate(moved) if moved or self._large else self._small
            self._start(self.address)
            if moved or not self._in_place:
                self._write(fresh, mark)
        except BpropError as error:  # of an op that NumPy computes
            error.line = self.line_of(error.message) or error.line
            raise
        finally:
            del RUNNING[self.program]
        if self._single:
            return Array(fresh[0].copy() if 0 in self._small else fresh[0])
        return self._result(leaves, {**fresh, **{number: one.copy() for number, one in self._small.items()}})

    def loop(self, leaves: Sequence[Any], count: int, masked: "Callable[[int], tuple[Step, list[Any]]]") -> Any:
        """Do what ``count`` calls do, natively; every array among ``leaves`` has an axis of so many steps first.

        About every `HEARD` seconds Python hears of Ctrl-C between two steps. An error says in which step it came; the cells
        are as after the one before. ``masked`` returns, by its number, the step to take where
        a guard fails, and the leaves among which that finds its own.
        """
        inputs = [_rows(leaves[place], count) for place in self.arguments]
        specs = {number: self._specs[number] for number in range(len(self._specs)) if number not in self.donated}
        try:
            fresh = {number: memory_of((count, *shape), dtype) for number, (shape, dtype) in specs.items()}
        except MemoryError as missing:
            raise self._full(count) from missing
        done, error = self._repeat(inputs, fresh, count)
        while isinstance(error, NotFiniteError):
            row = slice(done, done + 1)
            step, whole = masked(done)
            rows = [_rows(whole[place], count)[row] for place in step.arguments]
            outputs = {n: x[row] for n, x in fresh.items()}
            ran, error = step._repeat(rows, outputs, 1)
            done += ran
            if error is None and done < count:
                rest = slice(done, count)
                left = {n: x[rest] for n, x in fresh.items()}
                ran, error = self._repeat([x[rest] for x in inputs], left, count - done)
                done += ran
        if error is not None:
            raise in_step(error, done, count)
        return self._result(leaves, fresh, count)

    def _repeat(
        self, inputs: Sequence[NDArray[Any]], fresh: dict[int, NDArray[Any]], count: int
    ) -> tuple[int, BaseException | None]:
        """Take ``count`` steps over the rows of inputs and outputs; return how many were, and what ended them before."""
        if self.program in RUNNING:
            raise CompileError(f"{self.name}: called again by its own callback: its memory is in use")
        RUNNING[self.program] = self._writes  # before its cells are looked at: who reads one from now on gets a copy
        try:
            self._bind_all()
            for block, source in self._gathered:
                np.copyto(block, source)
            table, strides = list(self._table), [0] * len(self._table)
            moving = [*enumerate(inputs, start=1), *((self._outputs + number, data) for number, data in fresh.items())]
            for slot, data in moving:
                table[slot], strides[slot] = address_of(data), data.strides[0]
            places, moves, done = table[1:], strides[1:], 0
            while True:
                most = int(HEARD / self._seconds) if self._seconds else UNTIMED
                began = perf_counter()
                more, error = self.program.repeat(places, moves, min(max(most, 1), count - done))
                self._seconds = (perf_counter() - began) / max(more, 1)
                done += more
                if done == count or error is not None:
                    break
                places = [place + more * move for place, move in zip(places, moves, strict=True)]
            if done:
                self._write({}, None)
        except MemoryError as missing:
            raise self._full(count) from missing
        finally:
            del RUNNING[self.program]
        if isinstance(error, BpropError):
            error.line = self.line_of(error.message) or error.line
        return done, error

    def with_masks(
        self, f: Callable[..., Any], leaves: Sequence[Any], structure: Structure, programs: "Cache[Program]"
    ) -> "Step":
        """Return the step to take on a call whose guard failed: nothing that lasts has been written."""
        self.masked_runs += 1
        if self.masked is None or self.masked.leaves != len(leaves) or not self.masked.fits():
            self.masked = Step(f, leaves, structure, self.name, programs, masks=True)
            programs.put(self.masked.key, self.masked.program)
        self.masked.take(leaves)
        return self.masked

    def _result(self, leaves: Sequence[Any], fresh: dict[int, NDArray[Any]], steps: int | None = None) -> Any:
        computed = iter(range(self.count))
        result = [
            Array(fresh[next(computed)])
            if kind == "computed"
            else _given(leaves[detail])
            if kind == "argument"
            else Array(detail.data.copy())
            if kind == "shared" and steps is None
            else detail
            if steps is None or not is_array(detail)
            else Array(np.repeat(data_of(detail)[None], steps, axis=0))
            for kind, detail in self.results
        ]
        return unflatten(self.structure, result)

    def _allocate(self, moved: bool) -> dict[int, NDArray[Any]]:
        """Return memory for the outputs; where cells have moved, find those too."""
        table = self._table
        try:
            fresh = self._small.copy()
            for number, slot, spec in self._large:
                fresh[number] = data = memory_of(*spec)
                table[slot] = address_of(data)
            if moved:
                self._bind_all()
        except MemoryError as error:
            raise self._full() from error
        return fresh

    def _full(self, steps: int = 1) -> MemoryError:
        """Return what is raised where there is no memory."""
        return MemoryError(
            f"{self.name}: no memory for the step ({self.program.arena:,} B of intermediate values, "
            f"{self._size * steps:,} B of results); no parameter has changed"
        )

    def _bind_all(self) -> None:
        """Enter the addresses of the arena and of all cells that have moved."""
        self._table[0] = self.program.room()
        for number, cell in enumerate(self._reads):
            if cell.array is not self._bound[number] or (cell.shared and number in self._replaced):
                self._bind(number, cell)

    def _bind(self, number: int, cell: Cell) -> None:
        """Enter the address of a cell's numbers into the table; a cell that is overwritten gets a buffer of its own."""
        array, spec = cell.array, self.read[number].spec
        if array.spec != spec:
            raise StateError(f"{self.name}: another thread made {cell} of what was {spec} while the step was called")
        data = contiguous(array.data)
        if number in self._replaced and (cell.shared or data is not array.data):
            # Someone may hold the old buffer: write into a new one. It is the cell's before the program runs, for after that
            # Ctrl-C may come at once, and then all cells are a step further or none is.
            data = data.copy()
            cell.array = array = Array(data)
            cell.shared = False
        slot = 1 + len(self.arguments) + number
        self._table[slot] = address_of(data)
        if number in self._replaced:
            self._table[self._outputs + self._replaced[number]] = self._table[slot]
        self._held[number] = data
        self._bound[number] = array if data is array.data else None

    def _write(self, fresh: dict[int, NDArray[Any]], mark: object) -> None:
        """Give the written cells their values, and find out whether the next call may take all cells for known."""
        settled = self._in_place and all(one is not None for one in self._bound)
        for number, cell in enumerate(self._writes, start=self.count):
            if number in fresh:
                cell.array = Array(fresh[number].copy() if number in self._small else fresh[number])
                cell.shared = False
            else:
                source = self.donated[number] - len(self.arguments)
                if cell.array is not self._bound[source]:  # another thread, or a callback, wrote it meanwhile
                    cell.array = self._bound[source] = Array(self._held[source])
                    settled = False
        self.settled = mark if settled else None


class _Cell:
    """A cell that the program reads or writes: by its place among the arguments, or the cell itself."""

    def __init__(self, cell: Cell, place: int | None, spec: Spec | None = None) -> None:
        self.cell = cell
        self.place = place
        self.spec = cell.array.spec if spec is None else spec

    def of(self, leaves: Sequence[Any]) -> Cell:
        return self.cell if self.place is None else cast(Cell, leaves[self.place])


def in_step(error: BaseException, step: int, count: int) -> BaseException:
    """Return the error of a loop, which says in which step it came."""
    if isinstance(error, BpropError):
        error.step = step
    if count > 1:
        error.add_note(f"in step {step} (from 0) of {count}; those before it are done")
    return error


def is_array(leaf: Any) -> bool:
    """Return whether a leaf is an input of a program."""
    return issubclass(type(leaf), (Array, np.ndarray, np.generic))  # an object may say it is of another class


def _holds_traced(leaf: Any) -> bool:
    """Return whether an object that is a leaf of the results holds values of the trace, which have no numbers after it."""
    if is_array(leaf):
        return False
    inside = leaf.values() if isinstance(leaf, Mapping) else leaf if isinstance(leaf, deque) else stored(leaf).values()
    return any(isinstance(one, Traced) for value in inside for one in flatten(value)[0])


def _source(tracer: Trace, x: Any, arguments: Sequence[int], floats: Set[int]) -> tuple[str, Any]:
    """Return where an output leaf comes from: the program, an argument passed through, or a constant."""
    if not isinstance(x, Traced) or x.owner is not tracer:
        return "constant", x
    place = arguments[tracer.inputs.index(x.node)] if x.node in tracer.inputs else None
    if place is not None and place not in floats:
        return "argument", place
    return "computed", None


def _in_place(sharing: Sharing, captures: Sequence[Array]) -> set[int]:
    captured = {id(value) for value in captures}
    return {
        id(data) for data, array in sharing.arrays.values() if id(array) in captured and id(array) not in sharing.looked
    }


def _rows(leaf: Any, count: int) -> NDArray[Any]:
    """Return the numbers of a leaf whose rows are given to one step after the other: only each of them is contiguous."""
    if type(leaf) is float:
        return np.broadcast_to(np.float64(leaf), count)
    data: NDArray[Any] = leaf.data if type(leaf) is Array else data_of(leaf) if isinstance(leaf, Array) else leaf
    rows = data[:1].flags.c_contiguous and data.flags.aligned and data.dtype.isnative
    return data if rows else data_of(leaf)


def _given(leaf: Any) -> Array:
    return leaf if isinstance(leaf, Array) else asarray(leaf)
