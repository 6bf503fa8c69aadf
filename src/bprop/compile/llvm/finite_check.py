"""Checks that arrays are finite, at the speed of reading them."""

from typing import Any

import numpy as np
from llvmlite import ir

from ...core.shape import size_of
from ..ir.kernel import Kernel
from ..ir.loop_plan import FiniteCheckPlan
from ..ir.status import NOT_FINITE
from .builder import Builder
from .loop import Emitter, loop_with_carry, number, smaller, strided
from .type import I1, I32, I64, Module, constant, memory, register
from .vector import broadcast, load


def emit_finite_check(emitter: Emitter, kernel: Kernel) -> None:
    """Emit the check of every operand; then the kernel fails where one of them has an entry that is infinite or NaN."""
    b, plan = emitter.builder, kernel.loops
    assert isinstance(plan, FiniteCheckPlan)
    thread, threads, _ = emitter.pool
    found: Any = ir.Constant(I1, 0)
    for operand, width in enumerate(plan.widths):
        spec = emitter.specs[operand]
        function = _function(emitter.module, spec.dtype, width, plan.sums)
        found = b.or_(
            found, b.call(function, [emitter.pointers[operand], number(size_of(spec.shape)), thread, threads])
        )
    with b.if_then(found, likely=False):
        b.store(ir.Constant(I32, NOT_FINITE), emitter.status)


def _function(module: Module, dtype: "np.dtype[Any]", width: int, sums: int) -> Any:
    """Return the function that says whether in an array of some size an entry is infinite or NaN: x - x is NaN there.

    One function for all arrays of a dtype: a large program checks a hundred of them. Each thread looks at its part of the blocks
    of ``sums`` vectors, and at what is left over.
    """
    name = f"has_not_finite_{dtype.name}_{width}_{sums}"
    function = module.globals.get(name)
    if function is not None:
        return function
    function = ir.Function(module, ir.FunctionType(I1, [memory(dtype).as_pointer(), I64, I64, I64]), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    b: Any = Builder(function.append_basic_block("entry"))
    pointer, size, thread, threads = function.args
    block = sums * width
    blocks = b.sdiv(size, number(block))
    begin, end = (b.sdiv(b.mul(blocks, part), threads) for part in (thread, b.add(thread, number(1))))
    zero = ir.Constant(ir.VectorType(register(dtype), width), [constant(0, dtype)] * width)

    def added(total: Any, index: Any, mask: Any = None) -> Any:
        x = load(module, b, b.gep(pointer, [index]), dtype, width, mask)
        return b.fadd(total, b.fsub(x, x))

    with loop_with_carry(b, b.sub(end, begin), [zero] * sums) as (iteration, before, after):
        start = b.mul(b.add(begin, iteration), number(block))
        after += [added(total, strided(b, start, number(n), width)) for n, total in enumerate(before)]
    total = after[0]
    for other in after[1:]:
        total = b.fadd(total, other)
    lanes = ir.Constant(ir.VectorType(I32, width), list(range(width)))
    rest = b.mul(blocks, number(block))
    with loop_with_carry(b, b.sdiv(b.add(b.sub(size, rest), number(width - 1)), number(width)), [total]) as (
        n,
        before,
        after,
    ):
        start = strided(b, rest, n, width)
        left = b.trunc(smaller(b, b.sub(size, start), number(width)), I32)
        after.append(added(before[0], start, b.icmp_signed("<", lanes, broadcast(b, left, width))))
    (total,) = after
    is_nan = b.bitcast(b.fcmp_unordered("uno", total, total), ir.IntType(width))
    b.ret(b.icmp_unsigned("!=", is_nan, ir.Constant(is_nan.type, 0)))
    return function
