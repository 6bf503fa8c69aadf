"""Philox4x32-10: entry i from key and counter, with the same bits as the eager op.

**Source:** Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3.
"""

from math import pi
from typing import Any

import numpy as np
from llvmlite import ir

from ...ops.random import MULTIPLIERS, ROUNDS, WEYL
from ..ir.kernel import Kernel
from ..ir.loop_plan import RandomPlan
from . import instruction as instructions
from .loop import Emitter, loop, number
from .type import F32, F64

_LOW = 0xFFFFFFFF
_DOUBLE = np.dtype(np.float64)


def emit_random(emitter: Emitter, kernel: Kernel) -> None:
    """Emit the entries of every generator, one block of four words at a time."""
    b, plan = emitter.builder, kernel.loops
    assert isinstance(plan, RandomPlan)
    entries = {"uniform": _uniform, "normal": _normal}[plan.entry]
    source, target = emitter.pointers[:2]  # the state of the generators, and what is drawn
    dtype, size, by_row = emitter.specs[1].dtype, plan.size, plan.divides_generators
    with loop(b, *emitter.partition_range(plan.generators, is_parallel=by_row)) as row:
        entry = b.mul(row, number(2))
        key = b.load(b.gep(source, [entry]))
        start = b.load(b.gep(source, [b.add(entry, number(1))]))
        with loop(b, *emitter.partition_range(-(-size // plan.block), plan.grain, not by_row)) as block:
            first = b.mul(block, number(plan.block))
            for lane, x in enumerate(entries(emitter, _philox(b, key, b.add(start, block)), dtype)):
                position = b.add(first, number(lane))
                with b.if_then(b.icmp_signed("<", position, number(size))):
                    emitter.store(x, target, b.add(b.mul(row, number(size)), position), dtype)


def _philox(b: Any, key: Any, counter: Any) -> list[Any]:
    def low(x: Any) -> Any:
        return b.and_(x, number(_LOW))

    def high(x: Any) -> Any:
        return b.lshr(x, number(32))

    c0, c1, c2, c3 = low(counter), high(counter), number(0), number(0)
    k0, k1 = low(key), high(key)
    for position in range(ROUNDS):
        if position:
            k0, k1 = low(b.add(k0, number(WEYL[0]))), low(b.add(k1, number(WEYL[1])))
        p0, p1 = b.mul(c0, number(MULTIPLIERS[0])), b.mul(c2, number(MULTIPLIERS[1]))
        c0, c1, c2, c3 = b.xor(b.xor(high(p1), c1), k0), low(p1), b.xor(b.xor(high(p0), c3), k1), low(p0)
    return [c0, c1, c2, c3]


def _fraction53(b: Any, upper: Any, lower: Any) -> Any:
    total = b.fmul(b.uitofp(b.lshr(upper, number(5)), F64), ir.Constant(F64, 67108864.0))
    total = b.fadd(total, b.uitofp(b.lshr(lower, number(6)), F64))
    return b.fmul(total, ir.Constant(F64, 2.0**-53))


def _uniform(emitter: Emitter, words: list[Any], dtype: "np.dtype[Any]") -> list[Any]:
    b: Any = emitter.builder
    if dtype == np.float32:
        scale = ir.Constant(F32, 2.0**-24)
        return [b.fmul(b.uitofp(b.lshr(word, number(8)), F32), scale) for word in words]
    return [_fraction53(b, words[0], words[1]), _fraction53(b, words[2], words[3])]


def _normal(emitter: Emitter, words: list[Any], dtype: "np.dtype[Any]") -> list[Any]:
    b, module = emitter.builder, emitter.module

    def call(name: str, x: Any) -> Any:
        full = "llvm.sqrt.f64" if name == "sqrt" else instructions.symbol(name, _DOUBLE)
        return instructions.call(module, b, full, [x], _DOUBLE)

    unit, minus_two, two_pi = (ir.Constant(F64, x) for x in (1.0, -2.0, 2 * pi))
    radius = call("sqrt", b.fmul(minus_two, call("log", b.fsub(unit, _fraction53(b, words[0], words[1])))))
    angle = b.fmul(two_pi, _fraction53(b, words[2], words[3]))
    pair = [b.fmul(radius, call(name, angle)) for name in ("cos", "sin")]
    return [instructions.cast(b, x, _DOUBLE, dtype) for x in pair]


__all__ = ["emit_random"]
