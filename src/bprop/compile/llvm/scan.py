"""Scan: the body is one function of a pointer table, called for every row; carries alternate between two buffers."""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from ...core.shape import size_of
from ..ir.kernel import Kernel
from ..ir.loop_plan import RegionPlan
from ..ir.memory_plan import aligned, bytes_of
from .loop import Emitter, copy_bytes, emit_barrier, loop, number, return_if_error, stack_slot
from .type import I32, POINTER, SINGLE_THREAD


class SignalPoll:
    """Python polls for signals (Ctrl-C) between some iterations of a region; its answer may end the program.

    ``function`` gives the function of Python that polls; the plan of the region's loop says how often it is called.
    """

    def __init__(self, function: Callable[[Any], Any], kernel: Kernel) -> None:
        assert isinstance(kernel.loops, RegionPlan)
        self.function = function
        self.interval = kernel.loops.poll_interval

    def emit(self, emitter: Emitter, iteration: Any) -> None:
        """Emit the poll before an iteration. In a parallel region a barrier follows: all threads leave or none does."""
        if self.interval is None:
            return
        b, mask, fine = emitter.builder, number(self.interval - 1), ir.Constant(I32, 0)
        with b.if_then(b.icmp_unsigned("==", b.and_(iteration, mask), mask), likely=False):
            slot = stack_slot(b, I32)
            b.store(fine, slot)
            with b.if_then(b.icmp_unsigned("==", emitter.pool[0], number(0))):
                b.store(b.call(self.function(b), []), slot)
            status = b.load(slot)
            if emitter.is_parallel:
                status = emit_barrier(emitter.module, b, emitter.pool, status)
            return_if_error(b, status)


class PointerTable:
    """The pointers that a body takes: its arena, its inputs, its outputs."""

    def __init__(self, builder: Any, size: int, arena: Any) -> None:
        self.builder = builder
        self.pointers = stack_slot(builder, ir.ArrayType(POINTER, 1 + size))
        self.bind(0, arena)

    def bind(self, position: int, pointer: Any) -> None:
        """Set a pointer."""
        self.builder.store(pointer, self.builder.gep(self.pointers, [number(0), number(position)]))

    def call(self, function: Any, pool: Sequence[Any] = SINGLE_THREAD) -> None:
        """Call a body; the kernel ends with its error if it has one."""
        b = self.builder
        return_if_error(b, b.call(function, [b.gep(self.pointers, [number(0), number(0)]), *pool]))


class Carries:
    """Loop-carried values. ``current`` are their addresses; they alternate between ``pairs`` of buffers."""

    def __init__(self, b: Any, initial: Sequence[Any], sizes: Sequence[int], workspace: Any, offset: int) -> None:
        self.b = b
        self.current = [stack_slot(b, POINTER) for _ in initial]
        self.pairs = []
        for slot, pointer, size in zip(self.current, initial, sizes, strict=True):
            b.store(pointer, slot)
            self.pairs.append([b.gep(workspace, [number(offset + k * aligned(size))]) for k in (0, 1)])
            offset += 2 * aligned(size)

    def addresses(self) -> list[Any]:
        """Return the current addresses of the values."""
        return [self.b.load(slot) for slot in self.current]

    def targets(self, iteration: Any) -> list[Any]:
        """Return the addresses where an iteration writes the next values."""
        odd = self.b.trunc(iteration, ir.IntType(1))
        return [self.b.select(odd, *reversed(pair)) for pair in self.pairs]

    def advance(self, targets: Sequence[Any]) -> None:
        """Make current what an iteration has written."""
        for slot, target in zip(self.current, targets, strict=True):
            self.b.store(target, slot)


def emit_scan(emitter: Emitter, kernel: Kernel, poll_function: Callable[[Any], Any]) -> None:
    """Emit the loop; ``poll_function`` gives the function of Python that polls for signals."""
    b, module, node = emitter.builder, emitter.module, kernel.root
    raw, workspace, poll = emitter.raw, emitter.workspace, SignalPoll(poll_function, kernel)
    (function,) = emitter.bodies
    (body,) = kernel.bodies
    count, scanned = node.params["carries"], node.params["scanned"]
    length, reverse = node.params["length"], node.params["reverse"]
    edges = node.edges
    args = [raw[edge] for edge in edges]
    results = [raw[edge] for edge in kernel.stored]
    sizes = [bytes_of(edge) for edge in edges[:count]]
    specs = body.graph.specs
    table = PointerTable(b, len(args) + len(results), workspace)
    carries = Carries(b, args[:count], sizes, workspace, aligned(body.memory.size))
    for position, arg in enumerate(args):
        table.bind(1 + position, arg)
    with loop(b, number(0), number(length)) as iteration:
        poll.emit(emitter, iteration)
        row = b.sub(number(length - 1), iteration) if reverse else iteration
        for position, address in enumerate(carries.addresses()):
            table.bind(1 + position, address)
        for position in range(count, count + scanned):
            step = bytes_of(edges[position]) // max(edges[position].spec.shape[0], 1)
            table.bind(1 + position, b.gep(args[position], [b.mul(row, number(step))]))
        targets = carries.targets(iteration)
        for position, target in enumerate(targets):
            table.bind(1 + len(args) + position, target)
        for position in range(count, len(results)):
            step = size_of(specs[position].shape) * specs[position].dtype.itemsize
            table.bind(1 + len(args) + position, b.gep(results[position], [b.mul(row, number(step))]))
        table.call(function, emitter.pool)
        carries.advance(targets)
    for result, address, size in zip(results, carries.addresses(), sizes, strict=False):
        begin, end = emitter.partition_range(size)
        copy_bytes(module, b, b.gep(result, [begin]), b.gep(address, [begin]), b.sub(end, begin))
