"""Guards: whether arrays are finite, at the speed of reading them."""

from typing import Any

from llvmlite import ir

from ...core.shape import size_of
from ..ir.scalar_expr import spec_of
from ..ir.status import NOT_FINITE
from ..passes.fuse import Kernel
from .host import machine
from .loop import Emitter, loop, moved, number, turns
from .type import I32, constant, register
from .vector import load

VECTORS = 4
"""Vectors that are read side by side: as many as additions that wait for each other."""


def emit_guard(emitter: Emitter, kernel: Kernel) -> None:
    """Emit the sum of x - x, which is NaN where an entry is infinite or NaN, over every operand; then the kernel fails."""
    for edge in kernel.reads:
        _check(emitter, edge)


def _check(emitter: Emitter, edge: Any) -> None:
    b: Any = emitter.builder
    spec, pointer = spec_of(edge), emitter.pointers[edge]
    size, width = size_of(spec.shape), machine().vector // spec.dtype.itemsize
    block = VECTORS * width
    whole = size // block * block
    zero = constant(0, spec.dtype)
    vector = ir.VectorType(register(spec.dtype), width)
    begin, end = emitter.share(whole, block)
    sums: list[Any] = [ir.Constant(vector, [zero] * width)] * VECTORS
    with turns(b, b.sdiv(b.sub(end, begin), number(block)), sums) as (turn, before, after):
        start = b.add(begin, b.mul(turn, number(block)))
        for place, total in enumerate(before):
            x = load(
                emitter.module, b, b.gep(pointer, [moved(b, start, number(place), width)]), spec.dtype, width, None
            )
            after.append(b.fadd(total, b.fsub(x, x)))
    lanes = after[0]
    for other in after[1:]:
        lanes = b.fadd(lanes, other)
    with b.goto_entry_block():
        total = b.alloca(zero.type)
    b.store(zero, total)
    for lane in range(width):
        b.store(b.fadd(b.load(total), b.extract_element(lanes, ir.Constant(I32, lane))), total)
    with loop(b, number(whole), number(size)) as i:
        x = b.load(b.gep(pointer, [i]))
        b.store(b.fadd(b.load(total), b.fsub(x, x)), total)
    found = b.load(total)
    with b.if_then(b.fcmp_unordered("uno", found, found), likely=False):
        b.store(ir.Constant(I32, NOT_FINITE), emitter.flag)


__all__ = ["emit_guard"]
