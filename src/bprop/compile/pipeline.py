"""From a Python function to a native program: trace, simplify, fuse, plan, generate, call."""

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

import numpy as np

from ..core.error import CompileError, DTypeError
from ..core.graph import Graph
from ..core.interpreter import CHANGES, EVALUATE, current
from ..core.tree import flatten
from ..core.value import Array
from ..gradients.variable import name_of
from .cache import Cache
from .fuse import listing
from .inline import inline
from .static import key_of
from .step import Step, data_of, is_array
from .watch import Watch

if TYPE_CHECKING:
    from .native.program import Program
    from .plan import Plan

P = ParamSpec("P")
R = TypeVar("R")
KEPT = 32
"""Programs that one compiled function keeps."""


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
        self._watch: Watch | None = None
        functools.update_wrapper(self, f, updated=())

    def __call__(self, *args: P.args, **options: P.kwargs) -> R:
        if current() is not EVALUATE:
            return self.function(*args, **options)
        with self._lock:  # one call at a time: a step reads and writes cells
            mark = CHANGES.latest
            if self._watch is not None and not options:
                again, last = self._watch.leaves(args), cast(Step, self._last)
                if again is not None and (last.settled is mark or (self._watch.cells_hold() and last.fits())):
                    return cast(R, last(again, mark))
            leaves, structure = flatten((args, options))
            key = key_of(leaves, structure, self.function)
            # before the step is traced, which may make slots: the places of leaves are those of this moment
            watch = None if options else Watch(self.function, args)
            step = self.programs.get(key)
            if step is None or not step.fits():
                for leaf in leaves:
                    if is_array(leaf) and leaf.dtype.kind not in "biuf":
                        raise DTypeError(
                            f"{self.name}: an argument has dtype {leaf.dtype}: use bool, integers or floats"
                        )
                step = Step(self.function, leaves, structure, f"compilation of {self.name}")
                self.programs.put(key, step)
            self._last, self._watch = step, watch
            step.take(leaves)
            return cast(R, step(leaves, mark))

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
        arrays = [data_of(x) for x in (*args, *captured)]
        for array, node in zip(arrays, closed.inputs, strict=True):
            if (array.shape, array.dtype) != tuple(node.specs[0]):
                raise DTypeError(f"native: an argument is {array.dtype}{list(array.shape)}, expected {node.specs[0]}")
        outputs = [np.empty(spec.shape, spec.dtype) for spec in closed.specs]
        program(arrays, outputs)
        return [Array(x) for x in outputs]

    return run
