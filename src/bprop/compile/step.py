"""One traced call as a native program: where its inputs come from, where its outputs go, and the table of pointers."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..core.error import BpropError
from ..core.graph import Graph
from ..core.interpreter import EVALUATE, Cell, using
from ..core.trace import Trace, Traced
from ..core.tree import Structure, flatten, unflatten
from ..core.value import Array, Spec, Wrapped, asarray, escaped
from ..gradients.variable import leaf_label
from .inline import inline

if TYPE_CHECKING:
    pass


class _Trace(Trace):
    """A trace that reads cells without marking their buffers as seen by others."""

    def read(self, cell: Cell) -> Array:
        value = self.cells.get(cell)
        if value is None:
            value = self.cells[cell] = self.lift_cell(cell, cell.array)
        return value


class Step:
    """One traced call: the graph, where its inputs come from, where its outputs go, and the program."""

    def __init__(self, f: Callable[..., Any], leaves: Sequence[Any], structure: Structure, name: str) -> None:
        from .native.code import Program  # llvmlite is loaded with the first program, not with bprop

        def label(position: int) -> str:
            return leaf_label(f, structure, self.arguments[position])

        tracer = _Trace(EVALUATE, name=name, lift_cells=True, label=label)
        self.arguments: list[int] = [place for place, leaf in enumerate(leaves) if is_array(leaf)]
        traced = list(leaves)
        for place in self.arguments:
            traced[place] = tracer.input(Spec(leaves[place].shape, leaves[place].dtype.newbyteorder("=")))
        with using(tracer):
            args, options = unflatten(structure, traced)
            result = f(*args, **options)
        outputs, self.structure = flatten(result)
        written = [
            cell
            for cell in tracer.written
            if not (isinstance(x := tracer.cells[cell], Traced) and x.node is tracer.cell_inputs.get(cell))
        ]
        for cell in written:  # one that is only written takes its new value in place as well
            if cell not in tracer.cell_inputs and cell.array.spec == tracer.cells[cell].spec:
                tracer.lift_cell(cell, cell.array)
        self.results = [_source(tracer, x, self.arguments) for x in outputs]
        computed = [x for x, kind in zip(outputs, self.results, strict=True) if kind[0] == "computed"]
        values = [tracer.cells[cell] for cell in written]
        graph = inline(tracer.graph([*computed, *values]))  # what a region closes over is an input as well

        positions = {leaf: place for place, leaf in reversed(list(enumerate(leaves))) if isinstance(leaf, Cell)}
        self.read = [_Cell(cell, positions.get(cell)) for cell in tracer.cell_inputs]
        self.written = [
            _Cell(cell, positions.get(cell), value.spec) for cell, value in zip(written, values, strict=True)
        ]
        self.captures = [value for _, value in graph.captures]
        for value in self.captures:
            if isinstance(value, Wrapped):
                raise escaped(value, name)
        nodes = [*graph.inputs, *tracer.cell_inputs.values(), *(node for node, _ in graph.captures)]
        whole = Graph(nodes, graph.nodes, graph.outputs)
        self.count = len(computed)
        # a written cell that is also read takes its new value in place, where nobody else holds the buffer
        order = list(tracer.cell_inputs)
        self.donated: dict[int, int] = {}
        for number, cell in enumerate(written):
            if cell in tracer.cell_inputs and cell.array.spec == values[number].spec:
                self.donated[self.count + number] = len(self.arguments) + order.index(cell)
        self.program = Program(whole, self.donated, name.removeprefix("compilation of "))

        self.take(leaves)
        self._specs = whole.specs
        # the table of pointers is filled once; a later call enters only what has changed since
        self._outputs = len(self.arguments) + len(self.read) + len(self.captures)
        self._table: list[int] = [0] * (self._outputs + len(graph.outputs))
        self._places = {place: number for number, place in self.donated.items()}
        self._replaced = {place - len(self.arguments) for place in self._places}
        self._fresh = [number for number in range(len(graph.outputs)) if number not in self.donated]
        self._bound: list[Array | None] = [None] * len(self.read)
        self._held: list[Any] = [None] * len(self.read)
        self._constants = [_contiguous(value.data) for value in self.captures]
        for place, data in enumerate(self._constants, start=len(self.arguments) + len(self.read)):
            self._table[place] = address_of(data)

    def fits(self) -> bool:
        """Return whether the cells that are no arguments still have the shapes and dtypes they were traced with."""
        return all(one.place is not None or one.cell.array.spec == one.spec for one in self.read)

    def take(self, leaves: Sequence[Any]) -> None:
        """Find the cells of a call among its leaves; further calls with the same cells need not."""
        self._reads = [one.of(leaves) for one in self.read]
        self._writes = [one.of(leaves) for one in self.written]

    @property
    def loops(self) -> bool:
        """Return whether the next step can follow natively: every cell keeps its shape and dtype."""
        return len(self.donated) == len(self.written)

    def __call__(self, leaves: Sequence[Any]) -> Any:
        inputs = [data_of(leaves[place]) for place in self.arguments]
        fresh = {number: np.empty(*self._specs[number]) for number in self._fresh}
        self._fill(inputs, fresh)
        self.program.run(self._table)
        self._wrote(fresh)
        return self._result(leaves, fresh)

    def loop(self, leaves: Sequence[Any], count: int) -> Any:
        """Do what ``count`` calls do, in one native call; every array among ``leaves`` has an axis of so many steps first.

        An error says in which step it came; the cells are as after the one before.
        """
        inputs = [_rows(leaves[place]) for place in self.arguments]
        fresh = {n: np.empty((count, *self._specs[n].shape), self._specs[n].dtype) for n in self._fresh}
        self._fill(inputs, fresh)
        strides = [0] * len(self._table)
        for place, data in enumerate(inputs):
            strides[place] = data.strides[0]
        for number, data in fresh.items():
            strides[self._outputs + number] = data.strides[0]
        done, error = self.program.repeat(self._table, strides, count)
        if done:
            self._wrote({})
        if error is not None:
            if isinstance(error, BpropError):
                error.step = done
            if count > 1:
                error.add_note(f"in step {done} (from 0) of {count}; those before it are done")
            raise error
        return self._result(leaves, fresh, count)

    def _fill(self, inputs: Sequence[NDArray[Any]], fresh: dict[int, NDArray[Any]]) -> None:
        """Enter the addresses of a call into the table."""
        table, bound, replaced = self._table, self._bound, self._replaced
        for place, data in enumerate(inputs):
            table[place] = address_of(data)
        for number, data in fresh.items():
            table[self._outputs + number] = address_of(data)
        for number, cell in enumerate(self._reads):
            if cell.array is not bound[number] or (cell.shared and number in replaced):
                self._bind(number, cell)

    def _wrote(self, fresh: dict[int, NDArray[Any]]) -> None:
        """Give the cells their new values."""
        bound = self._bound
        for number, cell in enumerate(self._writes, start=self.count):
            if number in fresh:
                cell.array = Array(fresh[number])
            else:
                source = self.donated[number] - len(self.arguments)
                if cell.array is not bound[source]:
                    cell.array = bound[source] = Array(self._held[source])
            cell.shared = False

    def _result(self, leaves: Sequence[Any], fresh: dict[int, NDArray[Any]], steps: int | None = None) -> Any:
        computed = iter(range(self.count))
        result = [
            Array(fresh[next(computed)])
            if kind == "computed"
            else _given(leaves[detail])
            if kind == "argument"
            else detail
            if steps is None or not is_array(detail)
            else Array(np.repeat(data_of(detail)[None], steps, axis=0))
            for kind, detail in self.results
        ]
        return unflatten(self.structure, result)

    def _bind(self, number: int, cell: Cell) -> None:
        """Enter the address of a cell's numbers into the table; a cell that is overwritten gets a buffer of its own."""
        data = _contiguous(cell.array.data)
        owned = data is cell.array.data
        if number in self._replaced and (cell.shared or not owned):
            data, owned = data.copy(), False  # someone may hold the old buffer: write into a new one
        place = len(self.arguments) + number
        self._table[place] = address_of(data)
        if place in self._places:
            self._table[self._outputs + self._places[place]] = self._table[place]
        self._held[number] = data
        self._bound[number] = cell.array if owned else None


class _Cell:
    """A cell that the program reads or writes: by its place among the arguments, or the cell itself."""

    def __init__(self, cell: Cell, place: int | None, spec: Spec | None = None) -> None:
        self.cell = cell
        self.place = place
        self.spec = cell.array.spec if spec is None else spec

    def of(self, leaves: Sequence[Any]) -> Cell:
        return self.cell if self.place is None else cast(Cell, leaves[self.place])


def is_array(leaf: Any) -> bool:
    """Return whether a leaf is an input of a program."""
    return isinstance(leaf, Array | np.ndarray | np.generic)


def _source(tracer: Trace, x: Any, arguments: Sequence[int]) -> tuple[str, Any]:
    """Return where an output leaf comes from: the program, an argument passed through, or a constant."""
    if not isinstance(x, Traced) or x.owner is not tracer:
        return "constant", x
    if x.node in tracer.inputs:
        return "argument", arguments[tracer.inputs.index(x.node)]
    return "computed", None


def _contiguous(data: NDArray[Any]) -> NDArray[Any]:
    if data.flags.c_contiguous and data.flags.aligned and data.dtype.isnative:
        return data
    return np.require(data, data.dtype.newbyteorder("="), ["C", "A"])


def data_of(leaf: Any) -> NDArray[Any]:
    """Return the numbers of a leaf as a program takes them."""
    if type(leaf) is Array:
        return _contiguous(leaf.data)
    if isinstance(leaf, Array):
        raise escaped(cast(Wrapped, leaf), "compile")
    return _contiguous(np.asarray(leaf))


def _rows(leaf: Any) -> NDArray[Any]:
    """Return the numbers of a leaf whose rows are given to one step after the other: only each of them is contiguous."""
    data: NDArray[Any] = leaf.data if type(leaf) is Array else data_of(leaf) if isinstance(leaf, Array) else leaf
    rows = data[:1].flags.c_contiguous and data.flags.aligned and data.dtype.isnative
    return data if rows else data_of(leaf)


def _given(leaf: Any) -> Array:
    return leaf if isinstance(leaf, Array) else asarray(leaf)


def address_of(array: NDArray[Any]) -> int:
    """Return where the numbers of an array lie."""
    return int(array.__array_interface__["data"][0])
