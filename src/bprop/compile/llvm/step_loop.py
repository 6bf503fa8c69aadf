"""Many steps of a program in one native call: after each step the pointers of its table advance by their strides."""

from typing import Any

from llvmlite import ir

from .builder import Builder
from .loop import copy_bytes, emit_barrier, loop, number, return_if_error
from .type import I32, I64, POINTER, POOL


def emit_step_loop(run: Any, slots: int, is_parallel: bool) -> Any:
    """Emit ``run_steps(job, thread, threads, pool)`` around ``run``, whose table has so many ``slots``.

    The job holds the addresses of the table and of the strides, the number of steps, and how many are completed. A stride is
    in bytes, one for each slot: 0 for what all steps share. The loop ends at the first status that is not 0, and returns it.
    Every thread advances a table of its own. Where the program ``is_parallel`` there is a barrier after every step, since
    the next may read what another thread wrote.
    """
    function = ir.Function(run.module, ir.FunctionType(I32, [I64.as_pointer(), *POOL]), "run_steps")
    job, *pool = function.args
    b: Any = Builder(function.append_basic_block("entry"))
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
        return_if_error(b, status)
        with loop(b, number(0), number(slots)) as slot:
            entry = b.gep(table, [slot])
            b.store(b.gep(b.load(entry), [b.load(b.gep(strides, [slot]))]), entry)
    with b.if_then(b.icmp_unsigned("==", pool[0], number(0))):
        b.store(count, completed)
    b.ret(ir.Constant(I32, 0))
    return function
