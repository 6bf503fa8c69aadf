"""A lowered graph as one native function: ``run(table, thread, threads, pool)`` calls the kernels with pointers from a table.

The table holds the arena, the inputs and the outputs. The result is 0, or the code of the first error. Each thread of a
pool runs the whole program and does its part of every parallel kernel. ``run_steps`` runs it many times.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

from llvmlite import ir

from ...core.error import CompileError
from ..ir.kernel import Kernel, Kind, called_back, structure_of
from ..ir.lowered import Lowered
from ..ir.memory_plan import Buffer
from ..ir.schedule import ScheduledItem
from ..ir.status import MESSAGE, POLL_SIGNALS
from .builder import Builder
from .contraction import emit_contraction
from .control import emit_branch, emit_loop
from .cumulate import emit_cumulate
from .finite_check import emit_finite_check
from .loop import Emitter, number
from .map import emit_map, emit_scatter
from .random import emit_random
from .reduce import emit_reduce
from .scan import emit_scan
from .schedule import ScheduleEmitter, emit_segments
from .step_loop import emit_step_loop
from .type import I32, POINTER, POOL, SINGLE_THREAD, Module

EMITTERS: dict[Kind, Callable[[Emitter, Kernel], None]] = {
    "map": emit_map,
    "join": emit_map,
    "reduce": emit_reduce,
    "scatter": emit_scatter,
    "cumulate": emit_cumulate,
    "contract": emit_contraction,
    "random": emit_random,
    "guard": emit_finite_check,
    "branch": emit_branch,
}
"""The emitters of kernels that call no function of Python."""


def emit_module(lowered: Lowered) -> Any:
    """Return the module of LLVM code that runs a lowered graph."""
    module = Module(lowered.target)
    run = _ModuleEmitter(module, lowered).function("run", lowered, exported=True)
    slots = 1 + len(lowered.graph.inputs) + len(lowered.graph.outputs)
    emit_step_loop(run, slots, lowered.schedule.is_parallel and lowered.schedule.uses_threads)
    return module


class _ModuleEmitter:
    """Emits the functions of a module. ``functions`` are those of kernels, by all that they depend on.

    What one thread always runs has no barriers, and loops whose length is known.
    """

    def __init__(self, module: Module, lowered: Lowered) -> None:
        self.module = module
        self.uses_threads = lowered.schedule.uses_threads
        self.called = list(called_back(lowered.kernels))
        self.functions: dict[Hashable, Any] = {}
        self.count = 0
        self.emitters = EMITTERS | {"callback": self._call_back, "scan": self._scan, "loop": self._loop}

    def function(self, name: str, lowered: Lowered, exported: bool = False) -> Any:
        """Emit the function that runs a graph's kernels on a table of pointers; that of a body ends with a barrier."""
        schedule, is_body = lowered.schedule, not exported
        is_parallel = schedule.is_parallel and self.uses_threads
        if len(schedule.segments) == 1:
            return self.segment(name, lowered, schedule.segments[0], is_parallel, is_body, exported)
        segments = [
            self.segment(f"segment{self.number()}", lowered, segment, is_parallel, False)
            for segment in schedule.segments
        ]
        for segment in segments:
            segment.attributes.add("noinline")
        function = self.declare(name, exported)
        b: Any = Builder(function.append_basic_block("entry"))
        calls = [partial(b.call, segment, function.args) for segment in segments]
        emit_segments(self.module, b, function.args[1:] if is_parallel else (), calls, is_body)
        return function

    def declare(self, name: str, exported: bool) -> Any:
        """Declare a function of a table of pointers."""
        function = ir.Function(self.module, ir.FunctionType(I32, [POINTER.as_pointer(), *POOL]), name)
        function.linkage = "" if exported else "internal"
        return function

    def segment(
        self, name: str, lowered: Lowered, items: Sequence[ScheduledItem], is_parallel: bool, is_body: bool,
        exported: bool = False,
    ) -> Any:  # fmt: skip
        """Emit the function that runs one segment of a schedule."""
        function = self.declare(name, exported)
        b: Any = Builder(function.append_basic_block("entry"))
        outputs = 1 + len(lowered.graph.inputs)

        bases: dict[int, Any] = {}

        def pointer(buffer: Buffer) -> Any:
            slot = {"arena": 0, "input": 1 + buffer.position, "output": outputs + buffer.position}[buffer.kind]
            if slot not in bases:
                with b.goto_entry_block():
                    bases[slot] = b.load(b.gep(function.args[0], [number(slot)]))
            return b.gep(bases[slot], [number(buffer.position)]) if buffer.kind == "arena" else bases[slot]

        def kernel(work: Kernel, is_parallel: bool) -> tuple[Any, list[Buffer]]:
            return self.kernel(work, is_parallel and self.uses_threads, lowered)

        ScheduleEmitter(self.module, kernel, items, function, pointer).emit(b, is_parallel, is_body)
        return function

    def kernel(self, kernel: Kernel, is_parallel: bool, lowered: Lowered) -> tuple[Any, list[Buffer]]:
        """Emit one kernel; return its function and the buffers whose addresses it takes.

        The function depends on the structure of the kernel, on which of its operands have one buffer, and on whether it is
        parallel. Where all of these are equal, kernels have one function.
        """
        bodies = [self.function(f"body{self.number()}", body) for body in kernel.bodies]
        memory_plan, operands = lowered.memory, kernel.operands
        buffers = list(dict.fromkeys(memory_plan.buffers[edge] for edge in operands))
        order = tuple(buffers.index(memory_plan.buffers[edge]) for edge in operands)
        has_workspace = kernel in memory_plan.workspaces
        if has_workspace:
            buffers.append(Buffer("arena", memory_plan.workspaces[kernel]))
        structure = structure_of(kernel) if kernel.nest is not None or kernel.contraction is not None else None
        key = structure and (structure, order, is_parallel)
        if key in self.functions:
            return self.functions[key], buffers
        kind = ir.FunctionType(I32, [*[POINTER] * len(buffers), *POOL])
        function = ir.Function(self.module, kind, f"{kernel.kind}{self.number()}")
        function.linkage = "internal"
        function.attributes.add("noinline")
        pointers, pool = function.args[: len(buffers)], function.args[len(buffers) :]
        for argument in pointers[: len(buffers) - has_workspace]:
            # one argument per buffer, and buffers never overlap; but in a workspace threads read each other's numbers
            argument.add_attribute("noalias")
        b: Any = Builder(function.append_basic_block("entry"))
        status = b.alloca(I32)
        b.store(ir.Constant(I32, 0), status)
        # a kernel that one thread runs is compiled for that
        pool = pool if is_parallel else SINGLE_THREAD
        workspace = pointers[-1] if has_workspace else None
        raw = [pointers[position] for position in order]
        emitter = Emitter(self.module, b, dict(zip(operands, raw, strict=True)), workspace, bodies, status, pool)
        try:
            self.emitters[kernel.kind](emitter, kernel)
        except CompileError as error:
            error.message += kernel.context
            raise
        b.ret(b.load(status))
        if key is not None:
            self.functions[key] = function
        return function, buffers

    def _scan(self, emitter: Emitter, kernel: Kernel) -> None:
        emit_scan(emitter, kernel, self.poll_function)

    def _loop(self, emitter: Emitter, kernel: Kernel) -> None:
        emit_loop(emitter, kernel, self.poll_function, MESSAGE + self.called.index(kernel))

    def _call_back(self, emitter: Emitter, kernel: Kernel) -> None:
        """Emit a call of NumPy through Python."""
        b = emitter.builder
        edges = [*kernel.reads, *kernel.stored]
        table = b.alloca(ir.ArrayType(POINTER, max(len(edges), 1)))
        for position, edge in enumerate(edges):
            b.store(emitter.raw[edge], b.gep(table, [number(0), number(position)]))
        function = self.python(b, f"python.{self.called.index(kernel)}", [POINTER.as_pointer()])
        b.store(b.call(function, [b.gep(table, [number(0), number(0)])]), emitter.status)

    def poll_function(self, b: Any) -> Any:
        """Return the function by which Python polls for signals."""
        return self.python(b, POLL_SIGNALS, [])

    def python(self, b: Any, name: str, arguments: list[Any]) -> Any:
        """Return a function of Python, whose address is set when the code is loaded."""
        kind = ir.FunctionType(I32, arguments).as_pointer()
        target = self.module.globals.get(name)
        if target is None:
            target = ir.GlobalVariable(self.module, kind, name)
            target.initializer = ir.Constant(kind, None)
        return b.load(target)

    def number(self) -> int:
        """Return a new number for a name."""
        self.count += 1
        return self.count
