"""A whole graph as one native function: ``run(table, thread, threads, team)`` calls the kernels with pointers from a table.

The table holds the arena, the inputs and the outputs. The result is 0, or the code of the first error. Each thread of a
team runs the whole program and does its share of every kernel.
"""

import ctypes
import threading
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from llvmlite import binding, ir
from numpy.typing import NDArray

from ...core.error import ArgumentError, CompileError, IndexingError
from ...core.graph import Edge, Graph
from ...core.simplify import simplify
from ...core.value import Spec
from ..body import spec_of
from ..fuse import Kernel, fuse
from ..inline import inline
from ..nest import nests
from ..plan import Place, Plan, plan
from ..step import address_of
from .contraction import Contraction, emit_contraction
from .cumulate import emit_cumulate
from .general import Failure, callback
from .host import Machine, machine
from .loop import INDEX_ERROR, POWER_ERROR, Emitter, number
from .map import emit_map, emit_scatter
from .random import emit_random
from .reduce import emit_reduce
from .region import copy, emit_scan, room
from .type import ALONE, I32, POINTER, TEAM, memory, register

_ready = False


class Stage:
    """A graph on its way: simplified, fused, planned. Scans hold the stage of their body."""

    def __init__(self, graph: Graph, donated: dict[int, int] | None = None) -> None:
        self.graph = simplify(inline(graph))
        for node in (*self.graph.inputs, *self.graph.nodes):
            for spec in node.specs:
                _supported(node.op.name if node.op else "input", spec)
        self.kernels = fuse(self.graph)
        self.nests = nests(self.kernels)
        self.bodies = {k: Stage(k.root.params["body"]) for k in self.kernels if k.kind == "scan"}
        self.contractions = {k: Contraction(k) for k in self.kernels if k.kind == "contract"}
        scratch = {k: c.packed * spec_of((k.root, 0)).dtype.itemsize for k, c in self.contractions.items()}
        scratch |= {k: room(k, stage.plan) for k, stage in self.bodies.items()}
        self.parallel: set[Kernel] = set()
        """Kernels whose work the threads of a team share."""
        self.plan: Plan = plan(self.graph, self.kernels, self.nests, donated, scratch)


def _supported(name: str, spec: Spec) -> None:
    try:
        register(spec.dtype)
    except CompileError as error:
        error.message = f"{name}: {spec}: {error.message}"
        raise


class Program:
    """Native code of a graph. Call it with one array per input and one writable array per output.

    ``donated`` maps outputs to the inputs whose memory takes their value.
    """

    def __init__(self, graph: Graph, donated: dict[int, int] | None = None) -> None:
        self.stage = Stage(graph, donated)
        self.failure = Failure()
        self.lock = threading.Lock()
        self.callbacks: list[Any] = []
        self.called: list[Kernel] = []
        module = ir.Module("bprop")
        builder = _Builder(module, self)
        builder.function("run", self.stage, exported=True)
        self.text = str(module)
        key = machine(), self.text
        code = _CODE.get(key)  # a step whose slots the first call made is traced twice, and is the same code
        if code is None:
            code = _CODE[key] = _Code(*_compiled(self.text))
        self.code = code
        signature = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
        self._run = signature(code.engine.get_function_address("run"))
        self._arena = np.empty(0, np.uint8)
        self._pointers = np.zeros(1 + len(graph.inputs) + len(graph.outputs), np.uintp)
        self._address = address_of(self._pointers)

    @property
    def graph(self) -> Graph:
        """The simplified graph."""
        return self.stage.graph

    @property
    def llvm(self) -> str:
        """The optimised LLVM code."""
        return self.code.llvm

    @property
    def kernels(self) -> list[Kernel]:
        """The kernels in order."""
        return self.stage.kernels

    @property
    def memory(self) -> Plan:
        """Where every value lives."""
        return self.stage.plan

    def __call__(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]) -> None:
        """Run on C-contiguous arrays; raises what the ops inside raise, before anything is written to donated inputs."""
        self.run([*map(address_of, inputs), *map(address_of, outputs)])

    def run(self, table: Sequence[int]) -> None:
        """Run on the addresses of inputs and outputs."""
        with self.lock:
            self._pointers[0] = self.arena()
            self._pointers[1:] = table
            self.start(self._address)

    def arena(self) -> int:
        """Return the address of the memory for intermediate values, made on first use; may raise `MemoryError`."""
        if self._arena.size < self.stage.plan.size + 128:
            self._arena = np.empty(self.stage.plan.size + 128, np.uint8)
        return -(-address_of(self._arena) // 64) * 64

    def start(self, address: int) -> None:
        """Run on a table of pointers: the arena's, then those of inputs and outputs. One call at a time."""
        status = self._run(address, 0, 1, None)
        if status:
            self._fail(status)

    def _fail(self, status: int) -> None:
        """Raise what a program means that does not return 0."""
        error, self.failure.error = self.failure.error, None
        if error is not None:
            raise error
        if status == INDEX_ERROR:
            raise IndexingError(
                "a compiled function read an index that is out of range for its axis (take, or x[index])"
            )
        if status == POWER_ERROR:
            raise ArgumentError("pow: integers to negative integer powers are not integers: convert to float first")
        raise AssertionError(status)


class _Code:
    """What LLVM made of a text."""

    def __init__(self, engine: Any, llvm: str) -> None:
        self.engine = engine
        self.llvm = llvm


_CODE: "WeakValueDictionary[tuple[Machine, str], _Code]" = WeakValueDictionary()
"""The code of the programs that exist, by target and text."""


class _Builder:
    def __init__(self, module: Any, program: Program) -> None:
        self.module = module
        self.program = program
        self.count = 0

    def function(self, name: str, stage: Stage, exported: bool = False) -> Any:
        """Emit the function that runs a stage's kernels on a table of pointers."""
        function = ir.Function(self.module, ir.FunctionType(I32, [POINTER.as_pointer(), *TEAM]), name)
        function.linkage = "" if exported else "internal"
        b: Any = ir.IRBuilder(function.append_basic_block("entry"))
        inputs = len(stage.graph.inputs)

        def pointer(place: Place) -> Any:
            slot = {"arena": 0, "input": 1 + place.position, "output": 1 + inputs + place.position}[place.kind]
            base = b.load(b.gep(function.args[0], [number(slot)]))
            return b.gep(base, [number(place.position)]) if place.kind == "arena" else base

        for kernel in stage.kernels:
            if kernel.kind == "alias":
                continue
            inner, places = self.kernel(kernel, stage)
            team = function.args[1:] if kernel in stage.parallel else ALONE
            status = b.call(inner, [*(pointer(place) for place in places), *team])
            if kernel.fallible:
                with b.if_then(b.icmp_signed("!=", status, ir.Constant(I32, 0)), likely=False):
                    b.ret(status)
        for one in stage.plan.copies:
            copy(self.module, b, pointer(one.target), pointer(one.source), one.size)
        b.ret(ir.Constant(I32, 0))
        return function

    def kernel(self, kernel: Kernel, stage: Stage) -> tuple[Any, list[Place]]:
        """Emit one kernel; return its function and the places whose addresses it takes."""
        body = self.function(f"body{self.number()}", stage.bodies[kernel]) if kernel.kind == "scan" else None
        edges: list[Edge] = [*kernel.reads, *kernel.stored]
        places = list(dict.fromkeys(stage.plan.places[edge] for edge in edges))
        if kernel in stage.plan.scratch:
            places.append(Place("arena", stage.plan.scratch[kernel]))
        kind = ir.FunctionType(I32, [*[POINTER] * len(places), *TEAM])
        function = ir.Function(self.module, kind, f"{kernel.kind}{self.number()}")
        function.linkage = "internal"
        function.attributes.add("noinline")
        buffers, team = function.args[: len(places)], function.args[len(places) :]
        for argument in buffers:
            argument.add_attribute("noalias")  # one argument per buffer, and buffers never overlap
        b: Any = ir.IRBuilder(function.append_basic_block("entry"))
        flag = b.alloca(I32)
        b.store(ir.Constant(I32, 0), flag)
        raw = {edge: buffers[places.index(stage.plan.places[edge])] for edge in edges}
        typed = {edge: b.bitcast(x, memory(spec_of(edge).dtype).as_pointer()) for edge, x in raw.items()}
        # a kernel that one thread runs is compiled for that
        emitter = Emitter(self.module, b, typed, flag, team if kernel in stage.parallel else ALONE)
        scratch = buffers[-1] if kernel in stage.plan.scratch else None
        try:
            self.fill(emitter, kernel, stage, raw, scratch, body)
        except CompileError as error:
            shown = ", ".join(str(spec_of(edge)) for edge in kernel.reads)
            error.message += f" (in a {kernel.kind} kernel over {kernel.shape} that reads {shown or 'nothing'})"
            raise
        b.ret(b.load(flag))
        return function, places

    def fill(self, emitter: Emitter, kernel: Kernel, stage: Stage, raw: Any, scratch: Any, body: Any) -> None:
        """Emit what a kernel does."""
        if kernel.kind in ("map", "join"):
            emit_map(emitter, stage.nests[kernel])
        elif kernel.kind == "reduce":
            emit_reduce(emitter, stage.nests[kernel])
        elif kernel.kind == "cumulate":
            emit_cumulate(emitter, stage.nests[kernel])
        elif kernel.kind == "scatter":
            emit_scatter(emitter, stage.nests[kernel])
        elif kernel.kind == "contract":
            dtype = memory(spec_of((kernel.root, 0)).dtype)
            room = emitter.builder.bitcast(scratch, dtype.as_pointer()) if scratch is not None else None
            emit_contraction(emitter, stage.contractions[kernel], room)
        elif kernel.kind == "scan":
            emit_scan(emitter, kernel, raw, body, stage.bodies[kernel].plan, scratch)
        elif kernel.kind == "random" and kernel.root.op.entry is not None:  # type: ignore[union-attr]
            emit_random(emitter, kernel)
        else:
            self.call_back(emitter, kernel, raw)

    def call_back(self, emitter: Emitter, kernel: Kernel, raw: dict[Edge, Any]) -> None:
        """Emit a call of NumPy through Python."""
        b = emitter.builder
        made = callback(kernel, self.program.failure)
        self.program.callbacks.append(made)
        self.program.called.append(kernel)
        edges = [*kernel.reads, *kernel.stored]
        table = b.alloca(ir.ArrayType(POINTER, len(edges)))
        for position, edge in enumerate(edges):
            b.store(raw[edge], b.gep(table, [number(0), number(position)]))
        kind = ir.FunctionType(I32, [POINTER.as_pointer()]).as_pointer()
        address = ctypes.cast(made, ctypes.c_void_p).value
        status = b.call(b.inttoptr(number(address or 0), kind), [b.gep(table, [number(0), number(0)])])
        b.store(status, emitter.flag)

    def number(self) -> int:
        """Return a new number for a name."""
        self.count += 1
        return self.count


def _compiled(text: str) -> tuple[Any, str]:
    global _ready
    if not _ready:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        _ready = True
    module = binding.parse_assembly(text)
    target = binding.Target.from_default_triple()
    wanted = machine()
    target_machine = target.create_target_machine(cpu=wanted.cpu, features=wanted.features, opt=2)
    module.verify()
    options = binding.create_pipeline_tuning_options(speed_level=2)
    builder = binding.create_pass_builder(target_machine, options)
    builder.getModulePassManager().run(module, builder)
    optimised = str(module)
    engine = binding.create_mcjit_compiler(module, target_machine)
    engine.finalize_object()
    return engine, optimised
