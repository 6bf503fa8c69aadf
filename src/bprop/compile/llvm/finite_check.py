"""Checks that arrays are finite, at the speed of reading them."""

from typing import Any

from llvmlite import ir

from ...core.shape import size_of
from ..ir.kernel import Kernel
from ..ir.loop_plan import FiniteCheckPlan
from ..ir.status import NOT_FINITE
from .loop import Emitter, loop_with_carry, number, strided
from .type import I32, constant, register
from .vector import first_lanes, load


def emit_finite_check(emitter: Emitter, kernel: Kernel) -> None:
    """Emit the sum of x - x, NaN where an entry is infinite or NaN, over the checked operands; then the kernel fails.

    Numbers of one dtype are summed lane by lane over all operands; whether a lane is NaN is asked once, at the end.
    """
    b, plan = emitter.builder, kernel.loops
    assert isinstance(plan, FiniteCheckPlan)
    totals: dict[Any, Any] = {}
    for operand, width in enumerate(plan.widths):
        dtype = emitter.specs[operand].dtype
        total = _sum(emitter, operand, width, plan.sums)
        totals[dtype] = b.fadd(totals[dtype], total) if dtype in totals else total
    for total in totals.values():
        lanes = b.bitcast(b.fcmp_unordered("uno", total, total), ir.IntType(total.type.count))
        with b.if_then(b.icmp_unsigned("!=", lanes, ir.Constant(lanes.type, 0)), likely=False):
            b.store(ir.Constant(I32, NOT_FINITE), emitter.status)


def _sum(emitter: Emitter, operand: int, width: int, sums: int) -> Any:
    """Return the sums of x - x, lane by lane: blocks of vectors, single vectors, then what is left under a mask."""
    b: Any = emitter.builder
    spec, pointer = emitter.specs[operand], emitter.pointers[operand]
    size, block = size_of(spec.shape), sums * width
    blocked, vectorised = size // block * block, size // width * width
    zero = ir.Constant(ir.VectorType(register(spec.dtype), width), [constant(0, spec.dtype)] * width)

    def added(total: Any, index: Any, mask: Any = None) -> Any:
        x = load(emitter.module, b, b.gep(pointer, [index]), spec.dtype, width, mask)
        return b.fadd(total, b.fsub(x, x))

    begin, end = emitter.partition_range(blocked, block)
    with loop_with_carry(b, b.sdiv(b.sub(end, begin), number(block)), [zero] * sums) as (iteration, before, after):
        start = b.add(begin, b.mul(iteration, number(block)))
        after += [added(total, strided(b, start, number(n), width)) for n, total in enumerate(before)]
    total = after[0]
    for other in after[1:]:
        total = b.fadd(total, other)
    for start in range(blocked, vectorised, width):  # fewer than a block
        total = added(total, number(start))
    if size > vectorised:
        total = added(total, number(vectorised), first_lanes(width, size - vectorised))
    return total
