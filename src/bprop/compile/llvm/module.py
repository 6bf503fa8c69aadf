"""A whole graph as one native function: ``run(table, thread, threads, team)`` calls the kernels with pointers from a table.

The table holds the arena, the inputs and the outputs. The result is 0, or the code of the first error. Each thread of a
team runs the whole program and does its share of every kernel. ``repeat`` runs it many times.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from math import ceil
from typing import Any

from llvmlite import ir

from ...core.error import CompileError
from ...core.graph import Edge, Graph, inner_graphs
from ...core.simplify import simplify
from ...core.value import Spec
from ..ir.loop_nest import nests
from ..ir.scalar_expr import spec_of
from ..ir.status import LOOK, MESSAGE
from ..passes.finite_check import guarded
from ..passes.fold_transpose import turn
from ..passes.fuse import LOOPS, Kernel, fuse
from ..passes.fuse_epilogues import Epilogue, attach
from ..passes.inline import inline
from ..passes.plan_memory import Place, Plan, plan
from ..passes.schedule import Part, parts, shared
from ..runtime.fingerprint import UntoldError, Writer
from .contraction import Contraction, emit_contraction
from .control import emit_branch, emit_loop
from .cumulate import emit_cumulate
from .finite_check import emit_guard
from .loop import Emitter, number
from .map import emit_map, emit_scatter
from .random import emit_random
from .reduce import emit_reduce
from .scan import Look, emit_scan, room
from .schedule import Course, cut, emit_pieces
from .step_loop import emit_repeat
from .type import ALONE, I32, POINTER, TEAM, memory, register


class Stage:
    """A graph on its way: simplified, fused, planned. Scans, branches and loops hold the stages of their bodies."""

    def __init__(self, graph: Graph, donated: dict[int, int] | None = None) -> None:
        self.graph = turn(simplify(guarded(inline(graph), donated or {})))
        for node in (*self.graph.inputs, *self.graph.nodes):
            for spec in node.specs:
                _supported(node.op.name if node.op else "input", spec)
        self.kernels = fuse(self.graph)
        self.nests = nests(self.kernels)
        graphs = {k: inner_graphs(k.root) for k in self.kernels}
        self.bodies = {k: [Stage(graph) for graph in inner] for k, inner in graphs.items() if inner}
        self.contractions = {k: Contraction(k) for k in self.kernels if k.kind == "contract"}
        large = {k: c.blocking.blocks > 1 for k, c in self.contractions.items() if c.blocking is not None}
        self.kernels = attach(self.kernels, self.nests, large, self.graph, donated or {})
        self.epilogues = {k: Epilogue(k, self.contractions[k].labels) for k in large if len(k.nodes) > 1}
        self.nests |= self.epilogues
        scratch = {k: c.packed * spec_of((k.root, 0)).dtype.itemsize for k, c in self.contractions.items()}
        scratch |= {k: room(k, [one.plan for one in stages]) for k, stages in self.bodies.items()}
        self.plan: Plan = plan(self.graph, self.kernels, self.nests, donated, scratch)
        self.parallel = shared(self.kernels, self.nests, self.bodies)
        """Kernels whose work the threads of a team share, and the nanoseconds that one thread works at each."""
        self.work = ceil(sum(self.parallel.values()))
        self.parts = parts(self.kernels, self.plan, scratch, self.parallel)


def _supported(name: str, spec: Spec) -> None:
    try:
        register(spec.dtype)
    except CompileError as error:
        error.message = f"{name}: {spec}: {error.message}"
        raise


def called_back(stage: Stage) -> Iterator[Kernel]:
    """Return the kernels that call Python, and loops that may pass their limit, in the order in which they are numbered."""
    for kernel in stage.kernels:
        if kernel in stage.bodies:
            if kernel.kind == "loop":
                yield kernel
            for body in stage.bodies[kernel]:
                yield from called_back(body)
        elif kernel.kind == "callback" or (kernel.kind == "random" and kernel.root.op.entry is None):  # type: ignore[union-attr]
            yield kernel


def _form(kernel: Kernel, stage: Stage, edges: Sequence[Edge], places: Sequence[Place]) -> Any:
    """Return what the function of a kernel depends on, so that equal kernels are made once; ``None``: all of them differ."""
    if kernel.kind not in (*LOOPS, "contract"):
        return None
    writer = Writer(kernel.nodes, by_name=True)
    try:
        text = writer.write((kernel, stage.contractions.get(kernel)))
    except UntoldError:
        return None
    order = tuple(places.index(stage.plan.places[edge]) for edge in edges)
    return text, order, len(places), kernel in stage.parallel


def emitted(stage: Stage) -> Any:
    """Return the module of LLVM code that runs a stage."""
    module = ir.Module("bprop")
    run = Builder(module, stage).function("run", stage, exported=True)
    emit_repeat(run, 1 + len(stage.graph.inputs) + len(stage.graph.outputs), bool(stage.parallel))
    return module


class Builder:
    """Emits the functions of a module."""

    def __init__(self, module: Any, stage: Stage) -> None:
        self.module = module
        self.called = list(called_back(stage))
        self.made: dict[Any, Any] = {}
        self.count = 0

    def function(self, name: str, stage: Stage, exported: bool = False) -> Any:
        """Emit the function that runs a stage's kernels on a table of pointers; a body ends with a meeting."""
        several, ends = any(part.shared for part in stage.parts), not exported
        pieces = cut(stage.parts)
        if len(pieces) == 1:
            return self.piece(name, stage, pieces[0], several, ends, exported)
        called = [self.piece(f"piece{self.number()}", stage, piece, several, False) for piece in pieces]
        for piece in called:
            piece.attributes.add("noinline")
        function = self.runner(name, exported)
        b: Any = ir.IRBuilder(function.append_basic_block("entry"))
        calls = [partial(b.call, piece, function.args) for piece in called]
        emit_pieces(self.module, b, function.args[1:] if several else (), calls, ends)
        return function

    def runner(self, name: str, exported: bool) -> Any:
        """Declare a function of a table of pointers."""
        function = ir.Function(self.module, ir.FunctionType(I32, [POINTER.as_pointer(), *TEAM]), name)
        function.linkage = "" if exported else "internal"
        return function

    def piece(
        self, name: str, stage: Stage, parts: Sequence[Part], several: bool, ends: bool, exported: bool = False
    ) -> Any:
        """Emit the function that runs some parts of a stage."""
        function = self.runner(name, exported)
        b: Any = ir.IRBuilder(function.append_basic_block("entry"))
        inputs = len(stage.graph.inputs)

        def pointer(place: Place) -> Any:
            slot = {"arena": 0, "input": 1 + place.position, "output": 1 + inputs + place.position}[place.kind]
            base = b.load(b.gep(function.args[0], [number(slot)]))
            return b.gep(base, [number(place.position)]) if place.kind == "arena" else base

        Course(self.module, self.kernel, stage, parts, function, pointer).emit(b, several, ends)
        return function

    def kernel(self, kernel: Kernel, stage: Stage) -> tuple[Any, list[Place]]:
        """Emit one kernel; return its function and the places whose addresses it takes."""
        bodies = [self.function(f"body{self.number()}", one) for one in stage.bodies.get(kernel, ())]
        edges: list[Edge] = [*kernel.reads, *kernel.stored]
        places = list(dict.fromkeys(stage.plan.places[edge] for edge in edges))
        if kernel in stage.plan.scratch:
            places.append(Place("arena", stage.plan.scratch[kernel]))
        key = _form(kernel, stage, edges, places)
        if key in self.made:
            return self.made[key], places
        kind = ir.FunctionType(I32, [*[POINTER] * len(places), *TEAM])
        function = ir.Function(self.module, kind, f"{kernel.kind}{self.number()}")
        function.linkage = "internal"
        function.attributes.add("noinline")
        buffers, team = function.args[: len(places)], function.args[len(places) :]
        for argument in buffers[: len(places) - (kernel in stage.plan.scratch)]:
            # one argument per buffer, and buffers never overlap; but in scratch threads meet each other's numbers
            argument.add_attribute("noalias")
        b: Any = ir.IRBuilder(function.append_basic_block("entry"))
        flag = b.alloca(I32)
        b.store(ir.Constant(I32, 0), flag)
        raw = {edge: buffers[places.index(stage.plan.places[edge])] for edge in edges}
        typed = {edge: b.bitcast(x, memory(spec_of(edge).dtype).as_pointer()) for edge, x in raw.items()}
        # a kernel that one thread runs is compiled for that
        emitter = Emitter(self.module, b, typed, flag, team if kernel in stage.parallel else ALONE)
        scratch = buffers[-1] if kernel in stage.plan.scratch else None
        try:
            self.fill(emitter, kernel, stage, raw, scratch, bodies)
        except CompileError as error:
            shown = ", ".join(str(spec_of(edge)) for edge in kernel.reads)
            error.message += f" (in a {kernel.kind} kernel over {kernel.shape} that reads {shown or 'nothing'})"
            raise
        b.ret(b.load(flag))
        if key is not None:
            self.made[key] = function
        return function, places

    def fill(self, emitter: Emitter, kernel: Kernel, stage: Stage, raw: Any, scratch: Any, bodies: list[Any]) -> None:
        """Emit what a kernel does."""
        plans = [one.plan for one in stage.bodies.get(kernel, ())]
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
            emit_contraction(emitter, stage.contractions[kernel], room, stage.epilogues.get(kernel))
        elif kernel.kind == "scan":
            emit_scan(emitter, kernel, raw, bodies[0], plans[0], scratch, Look(self.look, stage.bodies[kernel]))
        elif kernel.kind == "branch":
            emit_branch(emitter, kernel, raw, bodies, scratch)
        elif kernel.kind == "loop":
            look, passed = Look(self.look, stage.bodies[kernel]), MESSAGE + self.called.index(kernel)
            emit_loop(emitter, kernel, raw, bodies, plans, scratch, look, passed)
        elif kernel.kind == "guard":
            emit_guard(emitter, kernel)
        elif kernel.kind == "random" and kernel.root.op.entry is not None:  # type: ignore[union-attr]
            emit_random(emitter, kernel)
        else:
            self.call_back(emitter, kernel, raw)

    def call_back(self, emitter: Emitter, kernel: Kernel, raw: dict[Edge, Any]) -> None:
        """Emit a call of NumPy through Python."""
        b = emitter.builder
        edges = [*kernel.reads, *kernel.stored]
        table = b.alloca(ir.ArrayType(POINTER, max(len(edges), 1)))
        for position, edge in enumerate(edges):
            b.store(raw[edge], b.gep(table, [number(0), number(position)]))
        function = self.python(b, f"python.{self.called.index(kernel)}", [POINTER.as_pointer()])
        b.store(b.call(function, [b.gep(table, [number(0), number(0)])]), emitter.flag)

    def look(self, b: Any) -> Any:
        """Return the function with which Python looks for signals."""
        return self.python(b, LOOK, [])

    def python(self, b: Any, name: str, arguments: list[Any]) -> Any:
        """Return a function of Python; its address is set when the code is loaded."""
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
