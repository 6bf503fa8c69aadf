"""A program many times in one native call: the pointers of its table move on after every time."""

from typing import Any

from llvmlite import ir

from .loop import loop, meet, number
from .scan import copy
from .type import I32, I64, POINTER, TEAM


def emit_repeat(run: Any, slots: int, several: bool) -> Any:
    """Emit ``repeat(job, thread, threads, team)`` around ``run``, whose table has so many slots.

    The job holds the addresses of the table and of the strides, the count, and room for how often all went well. Strides
    are bytes, one for each slot, by which its pointer moves after every time: 0 for what all times share. It stops at the
    first status that is not 0, and returns it. Every thread moves on a table of its own; ``several`` of them meet after
    every time, since the next may read what another wrote.
    """
    function = ir.Function(run.module, ir.FunctionType(I32, [I64.as_pointer(), *TEAM]), "repeat")
    job, *team = function.args
    b: Any = ir.IRBuilder(function.append_basic_block("entry"))
    table = b.gep(b.alloca(ir.ArrayType(POINTER, slots)), [number(0), number(0)])
    given, strides, count = (b.load(b.gep(job, [number(place)])) for place in range(3))
    source = b.inttoptr(given, POINTER)
    copy(run.module, b, b.bitcast(table, POINTER), source, 8 * slots)
    strides, done = b.inttoptr(strides, I64.as_pointer()), b.gep(job, [number(3)])
    with loop(b, number(0), count) as time:
        with b.if_then(b.icmp_unsigned("==", team[0], number(0))):
            b.store(time, done)
        status = b.call(run, [table, *team])
        if several:
            status = meet(run.module, b, team, status)
        with b.if_then(b.icmp_unsigned("!=", status, ir.Constant(I32, 0)), likely=False):
            b.ret(status)
        with loop(b, number(0), number(slots)) as slot:
            place = b.gep(table, [slot])
            b.store(b.gep(b.load(place), [b.load(b.gep(strides, [slot]))]), place)
    with b.if_then(b.icmp_unsigned("==", team[0], number(0))):
        b.store(count, done)
    b.ret(ir.Constant(I32, 0))
    return function
