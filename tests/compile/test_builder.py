"""What a builder emits, and what it leaves away."""

import re

import numpy as np
from llvmlite import ir

import bprop
from bprop.compile.llvm.builder import Builder
from bprop.compile.llvm.engine import optimised
from bprop.compile.llvm.host import current_target
from bprop.compile.llvm.loop import loop, number
from bprop.compile.llvm.module import emit_module
from bprop.compile.llvm.type import F64, I64, Module
from bprop.compile.passes.inline import inline
from bprop.compile.passes.pipeline import lower


def new_function():
    module = Module(current_target())
    function = ir.Function(module, ir.FunctionType(I64, [I64, F64.as_pointer()]), "f")
    return Builder(function.append_basic_block("entry")), *function.args


def emitted(f, *args):
    lowered = lower(inline(bprop.trace(f)(*args).closed()[0]), current_target())
    return str(emit_module(lowered))


def test_zeros_and_ones_are_folded():
    b, x, pointer = new_function()
    assert b.add(x, number(0)) is x
    assert b.add(number(0), x, flags=("nsw",)) is x
    assert b.sub(x, number(0)) is x
    assert b.mul(x, number(1)) is x
    assert b.mul(number(1), x) is x
    assert b.mul(x, number(0)).constant == 0
    assert b.gep(pointer, [number(0)]) is pointer
    assert not b.block.instructions


def test_constants_are_computed_modulo_2_to_the_64():
    b, *_ = new_function()
    assert b.add(number(2**63 - 1), number(1)).constant == -(2**63)
    assert b.sub(number(3), number(5)).constant == -2
    assert b.mul(number(2**62), number(4)).constant == 0


def test_a_block_computes_an_address_once_and_another_block_anew():
    b, x, pointer = new_function()
    first = b.gep(pointer, [b.mul(x, number(8))])
    assert b.gep(pointer, [b.mul(x, number(8))]) is first
    assert b.mul(x, number(8), flags=("nsw",)) is not b.mul(x, number(8))  # one promises more than the other
    b.position_at_end(b.append_basic_block("other"))
    assert b.gep(pointer, [b.mul(x, number(8))]) is not first


def test_floating_point_and_narrow_integers_are_emitted_as_they_come():
    b, *_ = new_function()
    one = ir.Constant(F64, 1.0)
    assert b.fmul(one, one) is not b.fmul(one, one)
    narrow = ir.Constant(ir.IntType(8), 0)
    assert b.add(narrow, narrow).opname == "add"


def test_what_vectors_leave_over_stays_a_loop():
    """Written out, the last entries of a column were up to 16 times the body."""
    x = np.ones((2000, 3), np.float32)
    module, _ = optimised(emitted(lambda x: bprop.sqrt(x[:, 2]) * 2.0, x), current_target())
    (kernel,) = (f for f in module.functions if f.name.startswith("map"))
    roots = re.findall(r"call float @llvm.sqrt.f32", str(kernel))
    assert len(roots) == 1


def test_a_loop_may_be_written_out_unless_told_otherwise():
    b, x, _ = new_function()
    with loop(b, number(0), x):
        pass
    with loop(b, number(0), x, unroll=False):
        pass
    assert str(b.function).count("!llvm.loop") == 1


def test_what_one_thread_always_runs_has_neither_barriers_nor_parts_of_loops():
    small, large = np.ones((64, 64)), np.ones((2048, 2048))
    assert "bprop_barrier" in emitted(lambda x: bprop.sum(bprop.exp(x), axis=1), large)
    text = emitted(lambda x: bprop.sum(bprop.exp(x), axis=1), small)
    assert "bprop_barrier" not in text
    assert "sdiv" not in text
