"""Loops, memory accesses and barriers for the emitters of kernels."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir

from ...core.graph import Edge
from ..ir.affine_index import AffineIndex, IndexTerm
from ..ir.contraction import Contraction, Label
from ..ir.loop_nest import Loop, Store
from ..ir.loop_plan import Partition
from ..ir.scalar_expr import ScalarExpr
from ..ir.status import BARRIER, INDEX_ERROR
from . import instruction as instructions
from .type import I1, I8, I32, I64, SINGLE_THREAD, Module, constant, memory
from .vector import intrinsic


def number(value: int) -> Any:
    """Return a 64-bit constant."""
    return ir.Constant(I64, value)


@contextmanager
def loop(builder: Any, start: Any, stop: Any, step: int = 1, unroll: bool = True) -> Iterator[Any]:
    """Emit ``for (i = start; i < stop; i += step)`` around the body of the ``with`` statement.

    Without ``unroll`` LLVM may make vectors of the loop, but does not write out its body again and again besides: not the
    vectors, nor the entries left over.
    """
    before = builder.block
    head = builder.append_basic_block("head")
    body = builder.append_basic_block("body")
    after = builder.append_basic_block("after")
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(I64)
    i.add_incoming(start, before)
    builder.cbranch(builder.icmp_signed("<", i, stop), body, after)
    builder.position_at_end(body)
    yield i
    i.add_incoming(builder.add(i, number(step), flags=("nsw",)), builder.block)
    repeat = builder.branch(head)
    if not unroll:
        repeat.set_metadata("llvm.loop", builder.module.vectorised_once)
    builder.position_at_end(after)


@contextmanager
def loop_with_carry(builder: Any, count: Any, carry: Sequence[Any]) -> Iterator[tuple[Any, list[Any], list[Any]]]:
    """Emit a loop of ``count`` iterations, with loop-carried values that begin as ``carry``.

    The ``with`` statement yields the number of the iteration, the values at its beginning, and an empty list, to which the
    body appends the values for the next iteration. After the loop that list holds the final values.
    """
    before = builder.block
    head, body, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    new: list[Any] = []
    iteration, values = builder.phi(I64), [builder.phi(x.type) for x in carry]
    for phi, start in ((iteration, number(0)), *zip(values, carry, strict=True)):
        phi.add_incoming(start, before)
    builder.cbranch(builder.icmp_signed("<", iteration, count), body, after)
    builder.position_at_end(body)
    yield iteration, values, new
    for phi, value in ((iteration, builder.add(iteration, number(1))), *zip(values, new, strict=True)):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    new[:] = values


def smaller(builder: Any, a: Any, b: Any) -> Any:
    """Return the lesser of two signed integers."""
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def strided(b: Any, x: Any, i: Any, stride: int) -> Any:
    """Return the address x + i · stride."""
    return b.add(x, b.mul(i, number(stride), flags=("nsw",)), flags=("nsw",)) if stride else x


def strided_along(b: Any, base: Sequence[Any], label: Label, i: Any) -> list[Any]:
    """Return the addresses in A, B and C that are i steps along a label of a contraction from those of ``base``."""
    return [strided(b, x, i, stride) for x, stride in zip(base, label.strides, strict=True)]


def emit_barrier(module: Any, b: Any, pool: Sequence[Any], status: Any) -> Any:
    """Emit a barrier of the threads of ``pool``; return the greatest status that any of them brings."""
    return intrinsic(module, b, BARRIER, I32, [pool[2], pool[1], status])


def partition_range(
    b: Any, pool: Sequence[Any], count: int, grain: int = 1, is_parallel: bool = True
) -> tuple[Any, Any]:
    """Return where this thread's part of ``range(count)`` begins and ends: at multiples of ``grain``, or the end.

    A single thread gets the whole range, and so does every thread where the range is not ``is_parallel``.
    """
    thread, threads, _ = pool
    if thread is SINGLE_THREAD[0] or not is_parallel:
        return number(0), number(count)
    grains = number(-(-count // grain))
    begin = b.mul(b.sdiv(b.mul(grains, thread), threads), number(grain))
    end = b.mul(b.sdiv(b.mul(grains, b.add(thread, number(1))), threads), number(grain))
    # without a rest LLVM sees that a part is a multiple of the grain, and writes out nothing for what vectors leave over
    return begin, smaller(b, end, number(count)) if count % grain else end


def stack_slot(b: Any, kind: Any) -> Any:
    """Return memory on the stack for a value of a type."""
    with b.goto_entry_block():
        return b.alloca(kind)


def return_if_error(b: Any, status: Any) -> None:
    """End the function with ``status`` where it is an error."""
    with b.if_then(b.icmp_signed("!=", status, ir.Constant(I32, 0)), likely=False):
        b.ret(status)


def copy_bytes(module: Any, b: Any, target: Any, source: Any, size: Any) -> None:
    """Copy bytes that do not overlap."""
    if size != 0:
        args = [target, source, number(size) if isinstance(size, int) else size, ir.Constant(I1, 0)]
        intrinsic(module, b, "llvm.memcpy.p0.p0.i64", ir.VoidType(), args)


def clear(module: Any, b: Any, target: Any, size: Any) -> None:
    """Set bytes to zero."""
    args = [target, ir.Constant(I8, 0), size, ir.Constant(I1, 0)]
    intrinsic(module, b, "llvm.memset.p0.i64", ir.VoidType(), args)


class Emitter:
    """Emits the scalars of a body: each once, at the loop level where everything it depends on is available.

    ``raw`` has the untyped address of every operand of the kernel, ``pointers`` are the typed ones by number, ``specs`` their
    shapes and dtypes; ``workspace`` is memory that it works in, or ``None``. ``bodies`` are the functions of a region's bodies.
    ``loops`` has the value of every loop variable, ``parameters`` the numbers that the kernel supplies. ``status`` is where an
    error code goes; ``pool`` is (thread, threads, thread pool).
    """

    def __init__(
        self, module: Module, builder: Any, raw: dict[Edge, Any], workspace: Any, bodies: Sequence[Any], status: Any,
        pool: Sequence[Any],
    ) -> None:  # fmt: skip
        self.module = module
        self.builder = builder
        self.raw = raw
        self.specs = [edge.spec for edge in raw]
        self.pointers = [builder.bitcast(x, memory(edge.spec.dtype).as_pointer()) for edge, x in raw.items()]
        self.workspace = workspace
        self.bodies = bodies
        self.status = status
        self.pool = pool
        self.loops: dict[IndexTerm, Any] = {}
        self.parameters: dict[ScalarExpr, Any] = {}
        self.values: dict[ScalarExpr, Any] = {}

    @property
    def is_parallel(self) -> bool:
        """Whether all threads work at the kernel."""
        return self.pool[0] is not SINGLE_THREAD[0]

    @contextmanager
    def on_one_thread(self) -> Iterator[None]:
        """Emit what a thread does by itself: it gets whole ranges, and waits for nobody."""
        pool, self.pool = self.pool, SINGLE_THREAD
        yield
        self.pool = pool

    def range_of(self, loop: Loop, partition: Partition | None) -> tuple[Any, Any]:
        """Return where a loop begins and ends for this thread, which may be divided among the threads."""
        if partition is None or loop != partition.loop:
            return number(0), number(loop.extent)
        return self.partition_range(loop.extent, partition.grain)

    def label_range(self, label: Label, plan: Contraction, grain: int = 1) -> tuple[Any, Any]:
        """Return where the loop along a label of the result of a contraction begins and ends for this thread."""
        return self.partition_range(label.extent, grain, label is plan.parallel_label)

    def partition_range(self, count: int, grain: int = 1, is_parallel: bool = True) -> tuple[Any, Any]:
        """Return where this thread's part of ``range(count)`` begins and ends."""
        return partition_range(self.builder, self.pool, count, grain, is_parallel)

    def barrier(self) -> None:
        """Wait until every thread has arrived; what each wrote before is visible to all afterwards."""
        if self.is_parallel:
            emit_barrier(self.module, self.builder, self.pool, ir.Constant(I32, 0))

    def emit(self, scalars: Sequence[ScalarExpr]) -> None:
        """Emit scalars (in the order of `scalars_of`) where the builder stands."""
        for scalar in scalars:
            if scalar not in self.values:
                self.values[scalar] = self._emit(scalar)

    def forget(self, scalars: Sequence[ScalarExpr]) -> None:
        """Drop what was emitted, so that it is emitted again elsewhere."""
        for scalar in scalars:
            self.values.pop(scalar, None)

    def _emit(self, scalar: ScalarExpr) -> Any:
        b = self.builder
        if scalar.op == "constant":
            return constant(scalar.detail, scalar.dtype)
        if scalar.op == "parameter":
            return self.parameters[scalar]
        if scalar.op == "load":
            operand, address = scalar.detail
            return self.load(self.pointers[operand], self.index(address), scalar.dtype)
        if scalar.op == "position":
            return self.index(scalar.detail)
        args = [self.values[x] for x in scalar.args]
        if scalar.op == "bounds_checked":
            return self._bounds_checked(scalar, args[0])
        dtypes = [x.dtype for x in scalar.args]
        return instructions.emit(self.module, b, scalar.op, args, dtypes, scalar.dtype, self.fail)

    def _bounds_checked(self, scalar: ScalarExpr, entry: Any) -> Any:
        b, dtype, size = self.builder, scalar.args[0].dtype, scalar.detail
        wide = instructions.cast(b, entry, dtype, np.dtype(np.int64))
        from_end = b.icmp_signed("<", wide, number(0))
        index = wide if dtype.kind == "u" else b.select(from_end, b.add(wide, number(size)), wide)
        is_outside = b.icmp_unsigned(">=", index, number(size))
        self.fail(is_outside, INDEX_ERROR)
        return b.select(is_outside, number(0), index)

    def fail(self, condition: Any, code: int) -> None:
        """Record an error where ``condition`` holds; the program ends with it after the kernel."""
        b = self.builder
        status = b.load(self.status)
        b.store(b.select(condition, ir.Constant(status.type, code), status), self.status)

    def emit_stores(self, stores: Sequence[Store]) -> None:
        """Write numbers that are emitted already."""
        for operand, address, value in stores:
            self.store(self.values[value], self.pointers[operand], self.index(address), self.specs[operand].dtype)

    def load(self, pointer: Any, address: Any, dtype: "np.dtype[Any]") -> Any:
        """Return a number from memory."""
        b = self.builder
        x = b.load(b.gep(pointer, [address]))
        return b.icmp_unsigned("!=", x, ir.Constant(x.type, 0)) if dtype.kind == "b" else x

    def store(self, x: Any, pointer: Any, address: Any, dtype: "np.dtype[Any]") -> None:
        """Write a number to memory."""
        b = self.builder
        b.store(b.zext(x, memory(dtype)) if x.type == I1 else x, b.gep(pointer, [address]))

    def index(self, index: AffineIndex) -> Any:
        """Return an index as a 64-bit integer."""
        b = self.builder
        total = number(index.constant)
        for term, coefficient in index.terms.items():
            if term.kind == "loop":
                value = self.loops.get(term)
                if value is None:  # merged into the loop inside it
                    continue
            elif term.kind == "value":
                value = self.values[term.detail]
            else:
                inner, divisor = term.detail
                divide = b.udiv if term.kind == "quotient" else b.urem
                value = divide(self.index(inner), number(divisor))
            total = b.add(total, b.mul(value, number(coefficient), flags=("nsw",)), flags=("nsw",))
        return total
