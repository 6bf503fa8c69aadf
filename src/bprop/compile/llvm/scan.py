"""Scan: the body is one function of a table of pointers, called for every row; carries alternate between two buffers."""

from collections.abc import Callable, Sequence
from math import log2
from typing import TYPE_CHECKING, Any

from llvmlite import ir

from ..ir.scalar_expr import spec_of
from ..passes.fuse import Kernel
from ..passes.plan_memory import ALIGNMENT, Plan, bytes_of
from .loop import Emitter, loop, meet, number
from .type import ALONE, I32, I64, POINTER

if TYPE_CHECKING:
    from .module import Stage

OFTEN = 5e7
"""Operations and bytes after which Python may look for signals: some 10 ms."""


def rounded(size: int) -> int:
    """Return ``size`` rounded up to the alignment of buffers."""
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT


def room(kernel: Kernel, bodies: Sequence[Plan]) -> int:
    """Return how many bytes a region needs beside its operands and results."""
    carries = kernel.root.inputs[: kernel.root.params.get("carries", 0)]
    return max(rounded(body.size) for body in bodies) + 2 * sum(rounded(bytes_of(edge)) for edge in carries)


def copy(module: Any, b: Any, target: Any, source: Any, size: Any) -> None:
    """Copy bytes."""
    name = "llvm.memcpy.p0.p0.i64"
    known = module.globals.get(name)
    if known is None:
        kind = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, I64, ir.IntType(1)])
        known = ir.Function(module, kind, name)
    if size != 0:
        count = number(size) if isinstance(size, int) else size
        b.call(known, [target, source, count, ir.Constant(ir.IntType(1), 0)])


class Look:
    """Between some turns of a region Python looks for signals (Ctrl-C), and its answer may end the program.

    ``function`` gives the function of Python that looks. ``every`` how many turns: what they compute takes a moment.
    """

    def __init__(self, function: Callable[[Any], Any], bodies: "Sequence[Stage]") -> None:
        self.function = function
        self.every = int(2 ** min(max(log2(OFTEN / max(_work(bodies), 1)) // 1, 0), 10))

    def emit(self, emitter: Emitter, time: Any) -> None:
        """Emit it before a turn; who runs the region together meets, since all of them leave or none does."""
        b, mask, fine = emitter.builder, number(self.every - 1), ir.Constant(I32, 0)
        with b.if_then(b.icmp_unsigned("==", b.and_(time, mask), mask), likely=False):
            place = reserve(b, I32)
            b.store(fine, place)
            with b.if_then(b.icmp_unsigned("==", emitter.team[0], number(0))):
                b.store(b.call(self.function(b), []), place)
            status = b.load(place)
            returned(b, status if emitter.team is ALONE else meet(emitter.module, b, emitter.team, status))


def _work(bodies: "Sequence[Stage]") -> int:
    """Return how many operations and bytes a turn costs; of a loop inside, one of its turns."""
    return sum(
        kernel.flops + kernel.bytes + _work(body.bodies.get(kernel, ())) * kernel.root.params.get("length", 1)
        for body in bodies
        for kernel in body.kernels
    )


def returned(b: Any, status: Any) -> None:
    """End the kernel with ``status`` where it is an error."""
    with b.if_then(b.icmp_signed("!=", status, ir.Constant(I32, 0)), likely=False):
        b.ret(status)


def emit_scan(
    emitter: Emitter, kernel: Kernel, raw: dict[Any, Any], function: Any, body: Plan, scratch: Any, look: Look
) -> None:
    """Emit the loop; ``raw`` are untyped pointers to operands and results, ``function`` is the body."""
    b, module, node = emitter.builder, emitter.module, kernel.root
    carries, scanned = node.params["carries"], node.params["scanned"]
    length, reverse = node.params["length"], node.params["reverse"]
    args = [raw[edge] for edge in node.inputs]
    results = [raw[edge] for edge in kernel.stored]
    sizes = [bytes_of(edge) for edge in node.inputs[:carries]]
    specs = body.graph.specs
    table = reserve(b, ir.ArrayType(POINTER, 1 + len(args) + len(results)))
    now = [reserve(b, POINTER) for _ in range(carries)]
    offset = rounded(body.size)
    pairs = []
    for place, arg, size in zip(now, args, sizes, strict=False):
        b.store(arg, place)
        pairs.append([b.gep(scratch, [number(offset + k * rounded(size))]) for k in (0, 1)])
        offset += 2 * rounded(size)

    def bind(position: int, pointer: Any) -> None:
        b.store(pointer, b.gep(table, [number(0), number(position)]))

    bind(0, scratch)
    for position, arg in enumerate(args):
        bind(1 + position, arg)
    with loop(b, number(0), number(length)) as time:
        if length >= look.every:
            look.emit(emitter, time)
        row = b.sub(number(length - 1), time) if reverse else time
        odd = b.trunc(time, ir.IntType(1))
        for position in range(carries):
            bind(1 + position, b.load(now[position]))
        for position in range(carries, carries + scanned):
            spec = spec_of(node.inputs[position])
            step = bytes_of(node.inputs[position]) // max(spec.shape[0], 1)
            bind(1 + position, b.gep(args[position], [b.mul(row, number(step))]))
        targets = [b.select(odd, *reversed(pair)) for pair in pairs]
        for position, target in enumerate(targets):
            bind(1 + len(args) + position, target)
        for position in range(carries, len(results)):
            step = specs[position].dtype.itemsize
            for extent in specs[position].shape:
                step *= extent
            pointer = b.gep(results[position], [b.mul(row, number(step))])
            bind(1 + len(args) + position, pointer)
        status = b.call(function, [b.gep(table, [number(0), number(0)]), *emitter.team])
        returned(b, status)
        for place, target in zip(now, targets, strict=True):
            b.store(target, place)
    for position in range(carries):
        begin, end = emitter.share(sizes[position])
        target, source = (b.gep(x, [begin]) for x in (results[position], b.load(now[position])))
        copy(module, b, target, source, b.sub(end, begin))


def reserve(b: Any, kind: Any) -> Any:
    """Return a place on the stack."""
    with b.goto_entry_block():
        return b.alloca(kind)
