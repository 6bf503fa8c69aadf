"""Contractions that are dot products: x1 has a row or two, and both operands are contiguous along the sum.

A product of matrix and vector reads the matrix once, so to pack it would cost more than to multiply. Vectors run along
the sum instead: lane l adds up the products l, l + width, l + 2 · width …, and the lanes are added in halves at the end.
Several columns are computed together, each a chain of multiply-adds of its own, to hide the latency of an addition.
"""

from contextlib import ExitStack
from typing import Any

from llvmlite import ir

from ..ir.contraction import Contraction, merged
from .loop import Emitter, loop, number, smaller, stack_slot, strided_along
from .type import I32, constant, register
from .vector import first_lanes, load, multiply_add, shuffled


def emit_dots(emitter: Emitter, plan: Contraction, operands: list[int], result: int) -> None:
    """Emit a contraction as dot products; threads divide one of the outer labels, or the columns.

    ``operands`` are the numbers of A and B, ``result`` that of C.
    """
    b: Any = emitter.builder
    with ExitStack() as stack:
        base = [number(plan.offsets[0]), number(plan.offsets[1]), number(0)]
        for label in plan.outer:
            base = strided_along(b, base, label, stack.enter_context(loop(b, *emitter.label_range(label, plan))))
        j = stack.enter_context(loop(b, *emitter.label_range(plan.column, plan, plan.dot_columns), plan.dot_columns))
        i = stack.enter_context(loop(b, number(0), number(plan.row.extent)))
        pointers = [emitter.pointers[x] for x in (*operands, result)]
        _tile(emitter, plan, pointers, strided_along(b, base, plan.row, i), j)


def _tile(emitter: Emitter, plan: Contraction, pointers: list[Any], base: list[Any], j: Any) -> None:
    """Compute one row of some columns; those beyond the last are computed as the last, and not stored."""
    b: Any = emitter.builder
    column, dtype = plan.column, plan.dtype
    left, right, result = pointers
    *slower, last = merged(plan.contracted)
    count, width = min(plan.dot_columns, column.extent), plan.width
    columns = [smaller(b, b.add(j, number(c)), number(column.extent - 1)) for c in range(count)]
    vector = ir.VectorType(register(dtype), width)
    sums = [stack_slot(b, vector) for _ in columns]
    for total in sums:
        b.store(ir.Constant(vector, [constant(0, dtype)] * width), total)

    def add(start: list[Any], k: Any, count: int) -> None:
        mask = first_lanes(width, count)
        x = load(emitter.module, b, b.gep(left, [b.add(start[0], k)]), dtype, width, mask)
        for total, c in zip(sums, columns, strict=True):
            at = b.add(strided_along(b, start, column, c)[1], k)
            other = load(emitter.module, b, b.gep(right, [at]), dtype, width, mask)
            b.store(multiply_add(emitter.module, b, x, other, b.load(total)), total)

    with ExitStack() as stack:
        start = base
        for label in slower:
            start = strided_along(b, start, label, stack.enter_context(loop(b, number(0), number(label.extent))))
        vectorised = last.extent // width * width
        with loop(b, number(0), number(vectorised), width) as k:
            add(start, k, width)
        if last.extent > vectorised:
            add(start, number(vectorised), last.extent - vectorised)
    for c, total in enumerate(sums):
        at = b.add(j, number(c))
        with b.if_then(b.icmp_signed("<", at, number(column.extent))):
            y = strided_along(b, base, column, at)[2]
            emitter.store(_added(b, b.load(total)), result, y, dtype)


def _added(b: Any, x: Any) -> Any:
    """Return the sum of a vector's lanes."""
    while x.type.count > 1:
        half = x.type.count // 2
        low, high = (shuffled(b, x, x, range(start, start + half)) for start in (0, half))
        x = b.fadd(low, high)
    return b.extract_element(x, ir.Constant(I32, 0))
