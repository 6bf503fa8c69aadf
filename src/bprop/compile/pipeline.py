"""From a Python function to a native program: trace, simplify, fuse, plan, generate, call."""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ..core.error import CompileError, DTypeError
from ..core.graph import Graph
from ..core.interpreter import EVALUATE, Cell, current, using
from ..core.trace import Trace, Traced
from ..core.tree import Structure, flatten, unflatten
from ..core.value import Array, Spec, Wrapped, asarray, escaped
from ..gradients.variable import name_of
from .cache import Cache
from .fuse import listing
from .inline import inline
from .static import key_of

if TYPE_CHECKING:
    from .native.program import Program
    from .plan import Plan

P = ParamSpec("P")
R = TypeVar("R")
KEPT = 32
"""Programs that one compiled function keeps."""


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
        from .native.program import Program  # llvmlite is loaded with the first program, not with bprop

        tracer = _Trace(EVALUATE, name=name, lift_cells=True)
        self.arguments = [place for place, leaf in enumerate(leaves) if _is_array(leaf)]
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
        self.program = Program(whole, self.donated)

    def fits(self) -> bool:
        """Return whether the cells that are no arguments still have the shapes and dtypes they were traced with."""
        return all(one.place is not None or one.cell.array.spec == one.spec for one in self.read)

    def __call__(self, leaves: Sequence[Any]) -> Any:
        inputs = [_data(leaves[place]) for place in self.arguments]
        taken: dict[int, NDArray[Any]] = {}
        replaced = set(self.donated.values())
        for number, one in enumerate(self.read, start=len(inputs)):
            cell = one.of(leaves)
            data = _contiguous(cell.array.data)
            if number in replaced and (cell.shared or data is not cell.array.data):
                data = data.copy()  # someone may hold the old buffer: write into a new one
            if number in replaced:
                taken[number] = data
            inputs.append(data)
        inputs.extend(_contiguous(value.data) for value in self.captures)
        specs = self.program.graph.specs
        outputs = [
            taken[self.donated[number]] if number in self.donated else np.empty(spec.shape, spec.dtype)
            for number, spec in enumerate(specs)
        ]
        self.program(inputs, outputs)
        for one, data in zip(self.written, outputs[self.count :], strict=True):
            cell = one.of(leaves)
            if cell.array.data is not data:
                cell.array = Array(data)
            cell.shared = False
        computed = iter(outputs[: self.count])
        result = [
            Array(next(computed)) if kind == "computed" else _given(leaves[detail]) if kind == "argument" else detail
            for kind, detail in self.results
        ]
        return unflatten(self.structure, result)


class _Cell:
    """A cell that the program reads or writes: by its place among the arguments, or the cell itself."""

    def __init__(self, cell: Cell, place: int | None, spec: Spec | None = None) -> None:
        self.cell = cell
        self.place = place
        self.spec = cell.array.spec if spec is None else spec

    def of(self, leaves: Sequence[Any]) -> Cell:
        return self.cell if self.place is None else cast(Cell, leaves[self.place])


def _is_array(leaf: Any) -> bool:
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


def _data(leaf: Any) -> NDArray[Any]:
    if type(leaf) is Array:
        return _contiguous(leaf.data)
    if isinstance(leaf, Array):
        raise escaped(cast(Wrapped, leaf), "compile")
    return _contiguous(np.asarray(leaf))


def _given(leaf: Any) -> Array:
    return leaf if isinstance(leaf, Array) else asarray(leaf)


class Compiled(Generic[P, R]):
    """A compiled function. Call it as the function it was made from.

    ``graph``, ``kernels``, ``memory`` and ``llvm`` show the program of the last call, stage by stage.
    """

    def __init__(self, f: Callable[P, R]) -> None:
        self.function = f
        self.name = name_of(f)
        self.programs: Cache[Step] = Cache(KEPT)
        self._lock = threading.RLock()
        self._last: Step | None = None
        functools.update_wrapper(self, f, updated=())

    def __call__(self, *args: P.args, **options: P.kwargs) -> R:
        if current() is not EVALUATE:
            return self.function(*args, **options)
        leaves, structure = flatten((args, options))
        key = key_of(leaves, structure, self.function)
        with self._lock:  # one call at a time: a step reads and writes cells
            step = self.programs.get(key)
            if step is None or not step.fits():
                for leaf in leaves:
                    if _is_array(leaf) and leaf.dtype.kind not in "biuf":
                        raise DTypeError(
                            f"{self.name}: an argument has dtype {leaf.dtype}: use bool, integers or floats"
                        )
                step = Step(self.function, leaves, structure, f"compilation of {self.name}")
                self.programs.put(key, step)
            self._last = step
            return cast(R, step(leaves))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __deepcopy__(self, memo: Any) -> "Compiled[P, R]":
        return self  # as a function does

    @property
    def program(self) -> "Program":
        """The native program of the last call."""
        if self._last is None:
            raise CompileError(f"{self.name} has no program yet: call it once with the arguments you mean")
        return self._last.program

    @property
    def graph(self) -> Graph:
        """The simplified graph of the last call's program."""
        return self.program.graph

    @property
    def kernels(self) -> "Kernels":
        """What was fused into which kernel, with FLOPs and bytes."""
        return Kernels(listing(self.program.kernels, self.program.graph), len(self.program.kernels))

    @property
    def memory(self) -> "Plan":
        """Where every value lives; ``size`` is the arena's, ``total`` what it would be without reuse."""
        return self.program.memory

    @property
    def llvm(self) -> str:
        """The optimised LLVM code."""
        return self.program.llvm

    def __repr__(self) -> str:
        if self._last is None:
            return f"<compiled {self.name}: no program yet>"
        kernels, memory = self.program.kernels, self.program.memory
        flops, moved = sum(k.flops for k in kernels), sum(k.bytes for k in kernels)
        return (
            f"<compiled {self.name}: {len(self.programs)} programs; the last has {len(self.graph.nodes)} ops in "
            f"{len(kernels)} kernels, {flops:,} flop, {moved:,} B moved, arena {memory.size:,} B>"
        )


class Kernels:
    """A printable list of kernels."""

    def __init__(self, text: str, count: int) -> None:
        self.text = text
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def compile(f: Callable[P, R]) -> Compiled[P, R]:
    """Return ``f`` as native code, made on the first call for every new combination of shapes, dtypes and constants.

    Arguments and results are trees. Arrays, NumPy arrays and NumPy scalars are inputs; Python numbers, strings and
    other hashable objects are constants of the program (pass a learning rate as an array or a cell, or every value
    makes a program of its own). Cells (parameters, optimiser slots, generators), wherever they come from, are read and
    written; a parameter that is overwritten keeps its memory, unless someone holds an array that shares it. Arrays
    that ``f`` closes over are inputs by reference (a NumPy array as it was when the program was made); numbers, and what
    lists, dicts and public attributes of objects hold, are part of the key; functions that it calls are not looked into
    for changed constants. 32 programs are kept. Inside a transform the call is inlined.

    Raises `CompileError` naming op, shapes and dtypes where there is no native code (float16), `TracedValueError`
    where Python asks for a number of a traced value, and what the ops inside raise; then no cell has changed.

    >>> import bprop
    >>> from bprop.compile import compile
    >>> f = compile(lambda x: bprop.sum(bprop.exp(x) * 2))
    >>> f(bprop.zeros(3))
    Array(6.)
    >>> len(f.kernels), f.memory.size
    (1, 0)
    """
    return Compiled(f)


def native(graph: Graph) -> Callable[..., list[Array]]:
    """Compile a graph as it is; return a function of one array per input that returns the list of outputs.

    The arrays have the shapes and dtypes of the graph's inputs, else `DTypeError` is raised. Raises `CompileError`
    where an op has no native code.

    >>> import bprop
    >>> from bprop.compile import native
    >>> native(bprop.trace(lambda x: x * x)(bprop.ones(2)))(bprop.asarray([2.0, 3.0]))
    [Array([4., 9.])]
    """
    from .native.program import Program

    closed, captured = inline(graph).closed()
    program = Program(closed)

    def run(*args: Any) -> list[Array]:
        arrays = [_data(x) for x in (*args, *captured)]
        for array, node in zip(arrays, closed.inputs, strict=True):
            if (array.shape, array.dtype) != tuple(node.specs[0]):
                raise DTypeError(f"native: an argument is {array.dtype}{list(array.shape)}, expected {node.specs[0]}")
        outputs = [np.empty(spec.shape, spec.dtype) for spec in closed.specs]
        program(arrays, outputs)
        return [Array(x) for x in outputs]

    return run
