"""A program many times in one native call: the pointers of its table move on after every time."""

import ctypes
from typing import Any

from llvmlite import ir

from .loop import loop, number
from .type import I32, I64, POINTER

REPEAT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


def emit_repeat(run: Any, slots: int) -> Any:
    """Emit ``repeat(table, strides, count, done)`` around ``run(table)``, whose table has so many slots.

    ``strides`` are bytes, one for each slot, by which its pointer moves after every time: 0 for what all times share. It
    stops at the first status that is not 0, and returns it; ``done`` takes how often all went well.
    """
    kind = ir.FunctionType(I32, [POINTER.as_pointer(), I64.as_pointer(), I64, I64.as_pointer()])
    function = ir.Function(run.module, kind, "repeat")
    table, strides, count, done = function.args
    b: Any = ir.IRBuilder(function.append_basic_block("entry"))
    with loop(b, number(0), count) as time:
        b.store(time, done)
        status = b.call(run, [table])
        with b.if_then(b.icmp_signed("!=", status, ir.Constant(I32, 0)), likely=False):
            b.ret(status)
        with loop(b, number(0), number(slots)) as slot:
            place = b.gep(table, [slot])
            b.store(b.gep(b.load(place), [b.load(b.gep(strides, [slot]))]), place)
    b.store(count, done)
    b.ret(ir.Constant(I32, 0))
    return function
