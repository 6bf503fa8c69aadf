"""Maps and scatters as loops: every scalar is computed in the outermost loop in which all that it needs is available."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from ...core.shape import size_of
from ..ir.kernel import Kernel
from ..ir.loop_nest import Loop, LoopNest, ScatterNest
from ..ir.loop_plan import LoopPlan, Partition
from ..ir.scalar_expr import ScalarExpr
from .loop import Emitter, clear, loop, number
from .type import POINTER, constant

UNROLLED = 16
"""Up to which extent LLVM may write a loop out. It makes vectors of longer ones, and what they leave over is no work."""


def open_loops(
    stack: ExitStack,
    emitter: Emitter,
    loops: Sequence[Loop],
    levels: Sequence[Sequence[ScalarExpr]],
    partition: Partition | None = None,
) -> None:
    """Open ``loops`` one inside the other and emit the scalars of each level.

    Each thread runs its part of the loop that ``partition`` names.
    """
    emitter.emit(levels[0])
    for loop_of_nest, scalars in zip(loops, levels[1:], strict=False):
        begin, end = emitter.range_of(loop_of_nest, partition)
        emitter.loops[loop_of_nest.variable] = stack.enter_context(
            loop(emitter.builder, begin, end, unroll=loop_of_nest.extent <= UNROLLED)
        )
        emitter.emit(scalars)


def emit_map(emitter: Emitter, kernel: Kernel) -> None:
    """Emit a map, or the part of a join that comes from one operand."""
    nest, plan = kernel.nest, kernel.loops
    assert isinstance(nest, LoopNest)
    assert isinstance(plan, LoopPlan)
    if size_of(nest.shape) == 0:
        return
    with ExitStack() as stack:
        open_loops(stack, emitter, nest.outer, nest.levels(nest.outer), plan.partition)
        emitter.emit_stores(nest.stores)


def emit_scatter(emitter: Emitter, kernel: Kernel) -> None:
    """Emit y = 0, then y[index(i)] += x[i] in the order of i; y is the last operand. A thread may have some of its columns."""
    nest, plan = kernel.nest, kernel.loops
    assert isinstance(nest, ScatterNest)
    assert isinstance(plan, LoopPlan)
    spec, pointer = emitter.specs[-1], emitter.pointers[-1]
    b: Any = emitter.builder
    size = size_of(spec.shape)
    begin, end = number(0), number(size)
    if plan.partition is None:
        clear(emitter.module, b, b.bitcast(pointer, POINTER), number(size * spec.dtype.itemsize))
    else:
        zero = constant(0, spec.dtype)
        begin, end = emitter.range_of(plan.partition.loop, plan.partition)
        with (
            loop(b, number(0), number(size), plan.partition.loop.extent) as row,
            loop(b, begin, end, unroll=False) as i,
        ):
            emitter.store(zero, pointer, b.add(row, i), spec.dtype)
    if size_of(nest.shape) == 0:
        return
    with ExitStack() as stack:
        open_loops(stack, emitter, nest.outer, nest.levels(nest.outer), plan.partition)
        address = emitter.index(nest.target)
        emitter.parameters[nest.entry] = emitter.load(pointer, address, spec.dtype)
        emitter.emit([nest.entry, nest.added])
        emitter.store(emitter.values[nest.added], pointer, address, spec.dtype)
