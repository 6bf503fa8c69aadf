"""Branch and while loop: which function of a pointer table is called, and how often, is decided by a predicate."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from ..ir.kernel import Kernel
from ..ir.memory_plan import aligned, bytes_of
from .loop import Emitter, clear, copy_bytes, number, return_if_error, stack_slot
from .scan import Carries, PointerTable, SignalPoll
from .type import I8, I32, I64, POINTER


def emit_branch(emitter: Emitter, kernel: Kernel) -> None:
    """Emit the branch between two bodies."""
    b = emitter.builder
    predicate, *args = kernel.root.edges
    table = PointerTable(b, len(args) + len(kernel.stored), emitter.workspace)
    for position, edge in enumerate([*args, *kernel.stored], start=1):
        table.bind(position, emitter.raw[edge])
    operand = kernel.operands.index(predicate)
    condition = emitter.load(emitter.pointers[operand], number(0), emitter.specs[operand].dtype)
    with b.if_else(condition) as branches:
        for branch, function in zip(branches, emitter.bodies, strict=True):
            with branch:
                table.call(function)


def emit_loop(emitter: Emitter, kernel: Kernel, poll_function: Callable[[Any], Any], limit_error: int) -> None:
    """Emit the while loop; carries alternate between two buffers, and each iteration writes its own rows of the results.

    ``poll_function`` gives the function of Python that polls for signals; ``limit_error`` is the status of a loop beyond its
    limit.
    """
    b, node = emitter.builder, kernel.root
    raw, workspace, poll = emitter.raw, emitter.workspace, SignalPoll(poll_function, kernel)
    condition, body = emitter.bodies
    count, limit = node.params["carries"], node.params["limit"]
    args, results = [raw[edge] for edge in node.edges], [raw[edge] for edge in kernel.stored]
    sizes = [bytes_of(edge) for edge in kernel.stored]
    row_sizes = [size // max(limit, 1) for size in sizes[count:]] if limit is not None else []
    goes_on, counter = stack_slot(b, I8), stack_slot(b, I64)
    offset = max(aligned(lowered.memory.size) for lowered in kernel.bodies)
    carries = Carries(b, args[:count], sizes[:count], workspace, offset)
    b.store(number(0), counter)
    condition_table = PointerTable(b, len(args) + 1, workspace)
    body_table = PointerTable(b, len(args) + len(results), workspace)
    condition_table.bind(1 + len(args), b.bitcast(goes_on, POINTER))
    for position, arg in enumerate(args):
        condition_table.bind(1 + position, arg)
        body_table.bind(1 + position, arg)

    head, inside, after = (b.append_basic_block(name) for name in ("head", "iteration", "after"))
    b.branch(head)
    b.position_at_end(head)
    iteration = b.load(counter)
    for position, address in enumerate(carries.addresses()):
        for table in (condition_table, body_table):
            table.bind(1 + position, address)
    condition_table.call(condition)
    b.cbranch(b.icmp_unsigned("!=", b.load(goes_on), ir.Constant(I8, 0)), inside, after)

    b.position_at_end(inside)
    if limit is not None:
        is_beyond = b.icmp_signed(">=", iteration, number(limit))
        return_if_error(b, b.select(is_beyond, ir.Constant(I32, limit_error), ir.Constant(I32, 0)))
    poll.emit(emitter, iteration)
    targets = carries.targets(iteration)
    rows = [b.gep(x, [b.mul(iteration, number(size))]) for x, size in zip(results[count:], row_sizes, strict=True)]
    for position, target in enumerate([*targets, *rows], start=1 + len(args)):
        body_table.bind(position, target)
    body_table.call(body)
    carries.advance(targets)
    b.store(b.add(iteration, number(1)), counter)
    b.branch(head)

    b.position_at_end(after)
    _finish_loop(emitter, carries, results, sizes, row_sizes, iteration)


def _finish_loop(
    emitter: Emitter, carries: Carries, results: list[Any], sizes: list[int], row_sizes: list[int], iterations: Any
) -> None:
    """Copy the last carries into the results, and clear the rows that no iteration wrote."""
    b, module, count = emitter.builder, emitter.module, len(carries.current)
    for result, address, size in zip(results, carries.addresses(), sizes, strict=False):
        copy_bytes(module, b, result, address, size)
    for result, row_size, size in zip(results[count:], row_sizes, sizes[count:], strict=True):
        used = b.mul(iterations, number(row_size))
        clear(module, b, b.gep(result, [used]), b.sub(number(size), used))
