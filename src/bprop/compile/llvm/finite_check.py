"""Checks that arrays are finite, at the speed of reading them."""

from typing import Any

from llvmlite import ir

from ...core.shape import size_of
from ..ir.status import NOT_FINITE
from .loop import Emitter, loop, loop_with_carry, number, stack_slot, strided
from .type import I32, constant, register
from .vector import load

VECTORS = 4
"""Independent sums of vectors: as many as hide the latency of an addition."""


def emit_finite_check(emitter: Emitter, count: int) -> None:
    """Emit the sum of x - x, NaN where an entry is infinite or NaN, over the first ``count`` operands; then the kernel fails."""
    for operand in range(count):
        _check(emitter, operand)


def _check(emitter: Emitter, operand: int) -> None:
    b: Any = emitter.builder
    spec, pointer = emitter.specs[operand], emitter.pointers[operand]
    size, width = size_of(spec.shape), emitter.target.lanes(spec.dtype.itemsize)
    block = VECTORS * width
    vectorised = size // block * block
    zero = constant(0, spec.dtype)
    vector = ir.VectorType(register(spec.dtype), width)
    begin, end = emitter.partition_range(vectorised, block)
    sums: list[Any] = [ir.Constant(vector, [zero] * width)] * VECTORS
    with loop_with_carry(b, b.sdiv(b.sub(end, begin), number(block)), sums) as (iteration, before, after):
        start = b.add(begin, b.mul(iteration, number(block)))
        for position, total in enumerate(before):
            x = load(
                emitter.module, b, b.gep(pointer, [strided(b, start, number(position), width)]), spec.dtype, width, None
            )
            after.append(b.fadd(total, b.fsub(x, x)))
    lanes = after[0]
    for other in after[1:]:
        lanes = b.fadd(lanes, other)
    total = stack_slot(b, zero.type)
    b.store(zero, total)
    for lane in range(width):
        b.store(b.fadd(b.load(total), b.extract_element(lanes, ir.Constant(I32, lane))), total)
    with loop(b, number(vectorised), number(size)) as i:
        x = b.load(b.gep(pointer, [i]))
        b.store(b.fadd(b.load(total), b.fsub(x, x)), total)
    result = b.load(total)
    with b.if_then(b.fcmp_unordered("uno", result, result), likely=False):
        b.store(ir.Constant(I32, NOT_FINITE), emitter.status)
