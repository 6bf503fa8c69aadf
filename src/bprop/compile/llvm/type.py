"""NumPy dtypes as LLVM types. Truth values are one bit in registers and one byte in memory."""

from functools import cached_property
from typing import Any

import numpy as np
from llvmlite import ir

from ...core.error import CompileError
from ..ir.target import Target

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
F32, F64 = ir.FloatType(), ir.DoubleType()
POINTER = I8.as_pointer()
POOL = (I64, I64, POINTER)
"""Types of the last arguments of every kernel: the number of the thread, how many there are, and their thread pool."""
SINGLE_THREAD = (ir.Constant(I64, 0), ir.Constant(I64, 1), ir.Constant(POINTER, None))
"""These arguments for one thread."""


def register(dtype: "np.dtype[Any]") -> Any:
    """Return the type of a number in a register."""
    if dtype.kind == "b":
        return I1
    if dtype.kind in "iu":
        return ir.IntType(8 * dtype.itemsize)
    if dtype == np.float32:
        return F32
    if dtype == np.float64:
        return F64
    raise CompileError(f'dtype {dtype} has no native code: convert with .astype("float32") first')


def memory(dtype: "np.dtype[Any]") -> Any:
    """Return the type of a number in memory; complex ones, which only NumPy computes with, are two real ones."""
    if dtype.kind == "c":
        return ir.ArrayType(F32 if dtype == np.complex64 else F64, 2)
    return I8 if dtype.kind == "b" else register(dtype)


def constant(number: Any, dtype: "np.dtype[Any]") -> Any:
    """Return a constant; float32 constants are rounded first."""
    if dtype.kind == "f":
        return ir.Constant(register(dtype), float(dtype.type(number)))
    return ir.Constant(register(dtype), int(number))


class Module(ir.Module):  # type: ignore[misc]
    """A module of LLVM code for a ``target``, which instructions are chosen by."""

    def __init__(self, target: Target) -> None:
        super().__init__("bprop")
        self.target = target

    @cached_property
    def vectorised_once(self) -> Any:
        """What is attached to a loop of which LLVM shall write out neither the vectors nor what they leave over again."""
        option = self.add_metadata([ir.MetaDataString(self, "llvm.loop.unroll.disable")])
        followups = [
            self.add_metadata([ir.MetaDataString(self, f"llvm.loop.vectorize.followup_{part}"), option])
            for part in ("vectorized", "epilogue")
        ]
        node = self.add_metadata([*followups, option])
        node.operands = (node, option, *followups)  # its first operand is itself, by which it is a loop's own
        return node
