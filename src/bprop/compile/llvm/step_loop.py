"""A program many times in one native call: the pointers of its table move on after every time."""

from typing import Any

from llvmlite import ir

from .loop import copy_bytes, emit_barrier, loop, number
from .type import I32, I64, POINTER, POOL


def emit_repeat(run: Any, slots: int, is_parallel: bool) -> Any:
    """Emit ``repeat(job, thread, threads, pool)`` around ``run``, whose table has so many slots.

    The job holds the addresses of the table and of the strides, the count, and room for how often all went well. Strides
    are bytes, one for each slot, by which its pointer moves after every time: 0 for what all times share. It stops at the
    first status that is not 0, and returns it. Every thread moves on a table of its own; where the program
    ``is_parallel`` they wait for each other after every step, since the next may read what another wrote.
    """
    function = ir.Function(run.module, ir.FunctionType(I32, [I64.as_pointer(), *POOL]), "repeat")
    job, *pool = function.args
    b: Any = ir.IRBuilder(function.append_basic_block("entry"))
    table = b.gep(b.alloca(ir.ArrayType(POINTER, slots)), [number(0), number(0)])
    addresses, strides, count = (b.load(b.gep(job, [number(field)])) for field in range(3))
    source = b.inttoptr(addresses, POINTER)
    copy_bytes(run.module, b, b.bitcast(table, POINTER), source, 8 * slots)
    strides, completed = b.inttoptr(strides, I64.as_pointer()), b.gep(job, [number(3)])
    with loop(b, number(0), count) as step:
        with b.if_then(b.icmp_unsigned("==", pool[0], number(0))):
            b.store(step, completed)
        status = b.call(run, [table, *pool])
        if is_parallel:
            status = emit_barrier(run.module, b, pool, status)
        with b.if_then(b.icmp_unsigned("!=", status, ir.Constant(I32, 0)), likely=False):
            b.ret(status)
        with loop(b, number(0), number(slots)) as slot:
            entry = b.gep(table, [slot])
            b.store(b.gep(b.load(entry), [b.load(b.gep(strides, [slot]))]), entry)
    with b.if_then(b.icmp_unsigned("==", pool[0], number(0))):
        b.store(count, completed)
    b.ret(ir.Constant(I32, 0))
    return function
