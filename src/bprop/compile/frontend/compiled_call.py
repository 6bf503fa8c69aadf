"""A traced call as a native program: the table of pointers that it runs on, filled once and then kept up to date."""

import ctypes
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.cell import CHANGES, RUNNING, Cell
from ...core.error import BpropError, CompileError, StateError
from ...core.shape import size_of
from ...core.tree import LEAF, Structure, unflatten
from ...core.value import Array, Spec, asarray
from ..passes.finite_check import NotFiniteError
from ..runtime.memory import DIRECT, HEAD, POINTER_AT, address_of, contiguous, data_of, memory_of
from .lru_cache import Cache, graph_key
from .traced_call import TracedCall, is_array, trace_call

if TYPE_CHECKING:
    from ..runtime.executable import Program

SMALL = 256
"""Bytes of an output up to which it is copied out of a buffer that the program keeps."""
SIGNAL_SECONDS = 0.05
"""Seconds of steps in a loop after which Python hears of Ctrl-C."""
UNTIMED_STEPS = 16
"""Steps of a loop before it is known how long one takes."""
PLAIN = 0x101
"""NumPy's flags of arrays that are C-contiguous and aligned."""


class CompiledCall:
    """A trace and its native program, with the table of pointers to arena, inputs and outputs.

    An equal graph among ``programs`` has the native code already; else the program is ``new``, and ``key`` is its key there.
    Where the program guards its products (decision 0003), ``masked`` is the call to make when that fails, made when it
    first does; ``masked_runs`` counts how often.
    """

    def __init__(self, trace: TracedCall, programs: "Cache[Program]") -> None:
        from ..runtime.executable import Program  # llvmlite is loaded with the first program, not with bprop

        self.trace = trace
        self.name = trace.name
        self.masked: CompiledCall | None = None
        self.masked_runs = 0
        self.key = graph_key(trace.graph), tuple(trace.donated.items())
        kept = programs.get(self.key)
        self.new = kept is None
        try:
            self.program = kept or Program(trace.graph, trace.donated, trace.name.removeprefix("compilation of "))
        except CompileError as error:
            error.line = trace.line_of(error.message) or error.line
            raise
        self._start = self.program.start
        self._seconds = 0.0  # of a step in the last loop
        self._all_in_place = len(trace.donated) == len(trace.written)
        self._single = trace.structure.kind is LEAF and trace.results[0].kind == "computed"
        self._own_cells = [access for access in trace.read if access.position is None]
        self._lay_out_table()

    def _lay_out_table(self) -> None:
        """Make the table of pointers: the arena's, those of arguments, cells and captures, then those of outputs.

        A later call enters only what has changed since. Small outputs are written to one buffer and copied out, which
        costs less than asking a new array where it lies.
        """
        trace = self.trace
        cells = 1 + len(trace.arguments)
        captures = cells + len(trace.read)
        self._outputs = captures + len(trace.captures)
        self._specs = trace.graph.specs
        self._table = (ctypes.c_uint64 * (self._outputs + len(self._specs)))()
        self.address = ctypes.addressof(self._table)
        self._addresses: NDArray[np.int64] = np.frombuffer(memoryview(self._table).cast("B"), np.int64)
        self._strides = np.zeros(len(self._table), np.int64)  # of a loop, in bytes from one step to the next
        self._inputs = list(enumerate(trace.arguments, start=1))
        self._replaced = {source - len(trace.arguments): output for output, source in trace.donated.items()}
        self._size = sum(size_of(spec.shape) * spec.dtype.itemsize for spec in self._specs)
        self._new_outputs = [(n, spec) for n, spec in enumerate(self._specs) if n not in trace.donated]
        self._small: dict[int, NDArray[Any]] = {}
        self._large: list[tuple[int, int, Spec]] = []  # output, its slot in the table
        for number, spec in self._new_outputs:
            if size_of(spec.shape) * spec.dtype.itemsize <= SMALL:
                self._small[number] = np.empty(*spec)
                self._table[self._outputs + number] = address_of(self._small[number])
            else:
                self._large.append((number, self._outputs + number, spec))
        self._bound: list[Array | None] = [None] * len(trace.read)
        self._held: list[Any] = [None] * len(trace.read)
        self._constants = [contiguous(value.data) for value in trace.captures]
        for slot, data in enumerate(self._constants, start=captures):
            self._table[slot] = address_of(data)
        # what is read where it lies can change; what is no block of memory is brought into one before every call
        self._gathered = [
            (data, value.data)
            for data, value in zip(self._constants, trace.captures, strict=True)
            if id(value) in trace.by_reference and data is not value.data
        ]

    def fits(self) -> bool:
        """Return whether the cells that are no arguments still have the shapes and dtypes they were traced with."""
        return all(access.cell.array.spec == access.spec for access in self._own_cells)

    @property
    def cells_written(self) -> list[Cell]:
        """The cells that the last call wrote."""
        return self._writes

    def take(self, leaves: Sequence[Any], signature: object = None) -> None:
        """Find the cells of a call among its leaves; further calls with the same cells, as by ``signature``, need not."""
        self.taken = signature
        arguments = (leaves[position] for position in self.trace.arguments)
        self._swaps = not all(
            leaf.dtype.isnative for leaf in arguments if is_array(leaf)
        )  # bytes, in every call of this kind
        self._reads, self._writes = (
            [cell if position is None else leaves[position] for cell, position, _ in accesses]
            for accesses in (self.trace.read, self.trace.written)
        )
        self.settled: object = None

    @property
    def loops(self) -> bool:
        """Return whether the next step can follow natively: every cell keeps its shape and dtype."""
        return self._all_in_place

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
            for slot, position in self._inputs:
                leaf = leaves[position]
                data = leaf.data if type(leaf) is Array else leaf
                if type(data) is not np.ndarray or data.flags.num & PLAIN != PLAIN or self._swaps:
                    data = data_of(leaf)
                    copies = (*copies, data)  # lives until the program has run
                table[slot] = (POINTER_AT(id(data) + HEAD).value or 0) if DIRECT else address_of(data)
            fresh = self._allocate(moved) if moved or self._large else self._small
            self._start(self.address)
            if moved or not self._all_in_place:
                self._write(fresh, mark)
        except BpropError as error:  # of an op that NumPy computes
            error.line = self.trace.line_of(error.message) or error.line
            raise
        finally:
            del RUNNING[self.program]
        if self._single:
            return Array(fresh[0].copy() if 0 in self._small else fresh[0])
        return self._result(leaves, {**fresh, **{number: small.copy() for number, small in self._small.items()}})

    def loop(
        self, leaves: Sequence[Any], count: int, masked: "Callable[[int], tuple[CompiledCall, list[Any]]]", mark: object
    ) -> Any:
        """Do what ``count`` calls do, natively; every array among ``leaves`` has an axis of so many steps first.

        About every `SIGNAL_SECONDS` seconds Python hears of Ctrl-C between two steps. An error says in which step it came; the cells
        are as after the one before. ``masked`` returns, by its number, the step to take where
        a guard fails, and the leaves among which that finds its own.
        """
        inputs = [_rows(leaves[position], count) for position in self.trace.arguments]
        try:
            fresh = {number: memory_of((count, *shape), dtype) for number, (shape, dtype) in self._new_outputs}
        except MemoryError as missing:
            raise self._full(count) from missing
        done, error = self._repeat(inputs, fresh, count, mark)
        while isinstance(error, NotFiniteError):
            row = slice(done, done + 1)
            step, all_leaves = masked(done)
            rows = [_rows(all_leaves[position], count)[row] for position in step.trace.arguments]
            outputs = {n: x[row] for n, x in fresh.items()}
            ran, error = step._repeat(rows, outputs, 1)
            done += ran
            if error is None and done < count:
                rest = slice(done, count)
                remaining = {n: x[rest] for n, x in fresh.items()}
                ran, error = self._repeat([x[rest] for x in inputs], remaining, count - done)
                done += ran
        if error is not None:
            raise in_step(error, done, count)
        return self._result(leaves, fresh, count)

    def _repeat(
        self, inputs: Sequence[NDArray[Any]], fresh: dict[int, NDArray[Any]], count: int, mark: object = None
    ) -> tuple[int, BaseException | None]:
        """Take ``count`` steps over the rows of inputs and outputs; return how many were, and what ended them before."""
        if self.program in RUNNING:
            raise CompileError(f"{self.name}: called again by its own callback: its memory is in use")
        RUNNING[self.program] = self._writes  # before its cells are looked at: who reads one from now on gets a copy
        try:
            moved = CHANGES.latest is not self.settled
            if moved:
                self._bind_all()
            for block, source in self._gathered:
                np.copyto(block, source)
            table, strides, done = self._addresses.copy(), self._strides, 0
            for slot, data in enumerate(inputs, start=1):
                table[slot], strides[slot] = address_of(data), data.strides[0]
            for number, data in fresh.items():
                table[self._outputs + number], strides[self._outputs + number] = address_of(data), data.strides[0]
            while True:
                most = int(SIGNAL_SECONDS / self._seconds) if self._seconds else UNTIMED_STEPS
                began = perf_counter()
                more, error = self.program.repeat(table, strides, min(max(most, 1), count - done))
                self._seconds = (perf_counter() - began) / max(more, 1)
                done += more
                if done == count or error is not None:
                    break
                table += more * strides
            if done and moved:
                self._write({}, mark)
        except MemoryError as missing:
            raise self._full(count) from missing
        finally:
            del RUNNING[self.program]
        if isinstance(error, BpropError):
            error.line = self.trace.line_of(error.message) or error.line
        return done, error

    def with_masks(
        self, f: Callable[..., Any], leaves: Sequence[Any], structure: Structure, programs: "Cache[Program]"
    ) -> "CompiledCall":
        """Return the step to take on a call whose guard failed: nothing that lasts has been written."""
        self.masked_runs += 1
        if self.masked is None or self.masked.trace.leaf_count != len(leaves) or not self.masked.fits():
            self.masked = CompiledCall(trace_call(f, leaves, structure, self.name, masks=True), programs)
            self.masked.take(leaves)
            programs.put(self.masked.key, self.masked.program)
        self.masked.take(leaves)
        return self.masked

    def _result(self, leaves: Sequence[Any], fresh: dict[int, NDArray[Any]], steps: int | None = None) -> Any:
        computed = iter(range(self.trace.count))
        result = [
            Array(fresh[next(computed)])
            if kind == "computed"
            else asarray(leaves[detail])
            if kind == "argument"
            else Array(detail.data.copy())
            if kind == "shared" and steps is None
            else detail
            if steps is None or not is_array(detail)
            else Array(np.repeat(data_of(detail)[None], steps, axis=0))
            for kind, detail in self.trace.results
        ]
        return unflatten(self.trace.structure, result)

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
        array, spec = cell.array, self.trace.read[number].spec
        if array.spec != spec:
            raise StateError(f"{self.name}: another thread made {cell} of what was {spec} while the step was called")
        data = contiguous(array.data)
        if number in self._replaced and (cell.shared or data is not array.data):
            # Someone may hold the old buffer: write into a new one. It is the cell's before the program runs, for after that
            # Ctrl-C may come at once, and then all cells are a step further or none is.
            data = data.copy()
            cell.array = array = Array(data)
            cell.shared = False
        slot = 1 + len(self.trace.arguments) + number
        self._table[slot] = address_of(data)
        if number in self._replaced:
            self._table[self._outputs + self._replaced[number]] = self._table[slot]
        self._held[number] = data
        self._bound[number] = array if data is array.data else None

    def _write(self, fresh: dict[int, NDArray[Any]], mark: object) -> None:
        """Give the written cells their values, and find out whether the next call need not look at cells."""
        settled = self._all_in_place and all(array is not None for array in self._bound)
        for number, cell in enumerate(self._writes, start=self.trace.count):
            if number in fresh:
                cell.array = Array(fresh[number].copy() if number in self._small else fresh[number])
                cell.shared = False
            else:
                source = self.trace.donated[number] - len(self.trace.arguments)
                if cell.array is not self._bound[source]:  # another thread, or a callback, wrote it meanwhile
                    cell.array = self._bound[source] = Array(self._held[source])
                    settled = False
        self.settled = mark if settled else None


def in_step(error: BaseException, step: int, count: int) -> BaseException:
    """Return the error of a loop, which says in which step it came."""
    if isinstance(error, BpropError):
        error.step = step
    if count > 1:
        error.add_note(f"in step {step} (from 0) of {count}; those before it are done")
    return error


def _rows(leaf: Any, count: int) -> NDArray[Any]:
    """Return the numbers of a leaf whose rows are given to one step after the other: only each of them is contiguous."""
    if type(leaf) is float:
        return np.broadcast_to(np.float64(leaf), count)
    data: NDArray[Any] = leaf.data if type(leaf) is Array else data_of(leaf) if isinstance(leaf, Array) else leaf
    rows = data[:1].flags.c_contiguous and data.flags.aligned and data.dtype.isnative
    return data if rows else data_of(leaf)
