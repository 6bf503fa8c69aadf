"""Vectors in registers: loaded and stored under a mask, multiplied and added, lanes shuffled."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from .type import I1, I32, memory


def intrinsic(module: Any, b: Any, name: str, kind: Any, args: list[Any]) -> Any:
    """Call a function of LLVM that returns a ``kind``, declaring it on first use."""
    function = module.globals.get(name)
    if function is None:
        function = ir.Function(module, ir.FunctionType(kind, [x.type for x in args]), name)
    return b.call(function, args)


def load(module: Any, b: Any, address: Any, dtype: "np.dtype[Any]", width: int, mask: Any) -> Any:
    """Return ``width`` numbers from memory; those outside ``mask`` (``None``: all are inside) are zero and not read."""
    kind = ir.VectorType(memory(dtype), width)
    address = b.bitcast(address, kind.as_pointer())
    if mask is None:
        return b.load(address, align=dtype.itemsize)
    zero = ir.Constant(kind, [ir.Constant(kind.element, 0.0 if dtype.kind == "f" else 0)] * width)
    args = [address, ir.Constant(I32, dtype.itemsize), mask, zero]
    return intrinsic(module, b, f"llvm.masked.load.{_suffix(kind)}.p0", kind, args)


def store(module: Any, b: Any, x: Any, address: Any, dtype: "np.dtype[Any]", mask: Any) -> None:
    """Write the numbers of a vector that are inside ``mask`` (``None``: all)."""
    address = b.bitcast(address, x.type.as_pointer())
    if mask is None:
        b.store(x, address, align=dtype.itemsize)
        return
    args = [x, address, ir.Constant(I32, dtype.itemsize), mask]
    intrinsic(module, b, f"llvm.masked.store.{_suffix(x.type)}.p0", ir.VoidType(), args)


def first_lanes(width: int, count: int) -> Any:
    """Return the mask of the first ``count`` lanes, ``None`` for all."""
    return None if count == width else ir.Constant(ir.VectorType(I1, width), [lane < count for lane in range(width)])


def multiply_add(module: Any, b: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x · y + z of floating-point vectors, with one rounding where the processor has an instruction for it."""
    if not module.target.fused:
        return b.fadd(b.fmul(x, y), z)
    return intrinsic(module, b, f"llvm.fma.{_suffix(x.type)}", x.type, [x, y, z])


def shuffled(b: Any, x: Any, y: Any, lanes: Sequence[int]) -> Any:
    """Return the lanes of these numbers; those of ``y`` are counted on from those of ``x``."""
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))


def broadcast(b: Any, x: Any, width: int) -> Any:
    """Return a vector with ``x`` in every lane."""
    empty = ir.Constant(ir.VectorType(x.type, width), ir.Undefined)
    first = b.insert_element(empty, x, ir.Constant(I32, 0))
    return shuffled(b, first, empty, [0] * width)


def _suffix(kind: Any) -> str:
    """Return how LLVM calls a vector in the names of its functions."""
    element = kind.element
    return f"v{kind.count}" + (
        f"i{element.width}"
        if isinstance(element, ir.IntType)
        else "f32"
        if isinstance(element, ir.FloatType)
        else "f64"
    )
