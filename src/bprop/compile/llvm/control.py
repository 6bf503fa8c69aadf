"""Branch and loop: one of two functions of a table of pointers is called, or one as long as another says so."""

from typing import Any

from llvmlite import ir

from ..ir.scalar_expr import spec_of
from ..passes.fuse import Kernel
from ..passes.plan_memory import Plan, bytes_of
from .loop import Emitter, number
from .scan import Look, copy, reserve, returned, rounded
from .type import ALONE, I8, I32, I64, POINTER


class Table:
    """The pointers that a body takes: its arena, its inputs, its outputs."""

    def __init__(self, builder: Any, size: int, arena: Any) -> None:
        self.builder = builder
        self.pointers = reserve(builder, ir.ArrayType(POINTER, 1 + size))
        self.bind(0, arena)

    def bind(self, position: int, pointer: Any) -> None:
        """Enter a pointer."""
        self.builder.store(pointer, self.builder.gep(self.pointers, [number(0), number(position)]))

    def call(self, function: Any) -> None:
        """Call a body; the kernel ends with its error if it has one."""
        b = self.builder
        returned(b, b.call(function, [b.gep(self.pointers, [number(0), number(0)]), *ALONE]))


def emit_branch(emitter: Emitter, kernel: Kernel, raw: dict[Any, Any], functions: list[Any], scratch: Any) -> None:
    """Emit the branch; ``raw`` are untyped pointers to operands and results, ``functions`` the two bodies."""
    b = emitter.builder
    predicate, *args = kernel.root.inputs
    table = Table(b, len(args) + len(kernel.stored), scratch)
    for position, edge in enumerate([*args, *kernel.stored], start=1):
        table.bind(position, raw[edge])
    with b.if_else(emitter.load(emitter.pointers[predicate], number(0), spec_of(predicate).dtype)) as (true, false):
        for place, function in zip((true, false), functions, strict=True):
            with place:
                table.call(function)


def emit_loop(
    emitter: Emitter,
    kernel: Kernel,
    raw: dict[Any, Any],
    functions: list[Any],
    bodies: list[Plan],
    scratch: Any,
    look: Look,
    passed: int,
) -> None:
    """Emit the loop; carries alternate between two buffers, rows go where they belong.

    ``passed`` is the error of a loop beyond its limit.
    """
    b, module, node = emitter.builder, emitter.module, kernel.root
    condition, body = functions
    carries, limit = node.params["carries"], node.params["limit"]
    args, results = [raw[edge] for edge in node.inputs], [raw[edge] for edge in kernel.stored]
    sizes = [bytes_of(edge) for edge in kernel.stored]
    steps = [size // max(limit, 1) for size in sizes[carries:]] if limit is not None else []
    holds, time = reserve(b, I8), reserve(b, I64)
    now = [reserve(b, POINTER) for _ in range(carries)]
    offset = max(rounded(plan.size) for plan in bodies)
    pairs = []
    for place, arg, size in zip(now, args, sizes, strict=False):
        b.store(arg, place)
        pairs.append([b.gep(scratch, [number(offset + k * rounded(size))]) for k in (0, 1)])
        offset += 2 * rounded(size)
    b.store(number(0), time)
    test, turn = Table(b, len(args) + 1, scratch), Table(b, len(args) + len(results), scratch)
    test.bind(1 + len(args), b.bitcast(holds, POINTER))
    for position, arg in enumerate(args):
        test.bind(1 + position, arg)
        turn.bind(1 + position, arg)

    head, inside, after = (b.append_basic_block(name) for name in ("head", "turn", "after"))
    b.branch(head)
    b.position_at_end(head)
    count = b.load(time)
    for position, place in enumerate(now):
        for table in (test, turn):
            table.bind(1 + position, b.load(place))
    test.call(condition)
    b.cbranch(b.icmp_unsigned("!=", b.load(holds), ir.Constant(I8, 0)), inside, after)

    b.position_at_end(inside)
    if limit is not None:
        over = b.icmp_signed(">=", count, number(limit))
        returned(b, b.select(over, ir.Constant(I32, passed), ir.Constant(I32, 0)))
    look.emit(emitter, count)
    odd = b.trunc(count, ir.IntType(1))
    targets = [b.select(odd, *reversed(pair)) for pair in pairs]
    rows = [b.gep(row, [b.mul(count, number(step))]) for row, step in zip(results[carries:], steps, strict=True)]
    for position, target in enumerate([*targets, *rows], start=1 + len(args)):
        turn.bind(position, target)
    turn.call(body)
    for place, target in zip(now, targets, strict=True):
        b.store(target, place)
    b.store(b.add(count, number(1)), time)
    b.branch(head)

    b.position_at_end(after)
    for result, place, size in zip(results, now, sizes, strict=False):
        copy(module, b, result, b.load(place), size)
    for row, step, size in zip(results[carries:], steps, sizes[carries:], strict=True):
        used = b.mul(count, number(step))
        clear(module, b, b.gep(row, [used]), b.sub(number(size), used))


def clear(module: Any, b: Any, target: Any, size: Any) -> None:
    """Set bytes to zero."""
    name = "llvm.memset.p0.i64"
    known = module.globals.get(name)
    if known is None:
        kind = ir.FunctionType(ir.VoidType(), [POINTER, I8, I64, ir.IntType(1)])
        known = ir.Function(module, kind, name)
    b.call(known, [target, ir.Constant(I8, 0), size, ir.Constant(ir.IntType(1), 0)])
