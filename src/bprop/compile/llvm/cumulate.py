"""Cumulations: y_k from y_{k-1} along one axis. The state stays in a register; float32 sums are kept in float64.

Where the plan says so, a block of neighbouring results runs together, each with its own state.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from llvmlite import ir

from ...core.shape import size_of
from ..ir.kernel import Kernel
from ..ir.loop_nest import CumulationNest
from ..ir.loop_plan import CumulationPlan
from ..ir.scalar_expr import ScalarExpr, scalars_of
from .loop import Emitter, loop, number, smaller, stack_slot
from .map import open_loops
from .type import register


def emit_cumulate(emitter: Emitter, kernel: Kernel) -> None:
    """Emit a cumulation; its result is the last operand."""
    nest, plan = kernel.nest, kernel.loops
    assert isinstance(nest, CumulationNest)
    assert isinstance(plan, CumulationPlan)
    if size_of(nest.shape):
        _Cumulation(emitter, nest, plan).emit()


class _Cumulation:
    def __init__(self, emitter: Emitter, nest: CumulationNest, plan: CumulationPlan) -> None:
        self.emitter = emitter
        self.nest = nest
        self.plan = plan
        self.b: Any = emitter.builder

    def emit(self) -> None:
        nest, emitter, b = self.nest, self.emitter, self.b
        columns, partition = self.plan.columns, self.plan.partition
        outer = nest.outer[:-1] if columns else nest.outer
        loops = [*outer, *nest.inner, *(nest.outer[-1:] if columns else [])]
        levels = nest.levels(loops)
        state = stack_slot(b, ir.ArrayType(register(nest.accumulator), columns or 1))
        with ExitStack() as stack:
            open_loops(stack, emitter, outer, levels[: len(outer) + 1], partition)
            if not columns:
                k = self._open_axis(stack, levels[len(outer) + 1 :])
                self._step(k, b.gep(state, [number(0), number(0)]), levels[-1])
                return
            column = nest.outer[-1]
            begin, end = emitter.range_of(column, partition)
            base = stack.enter_context(loop(b, begin, end, columns))
            width = smaller(b, number(columns), b.sub(end, base))
            k = self._open_axis(stack, levels[len(outer) + 1 :])
            lane = stack.enter_context(loop(b, number(0), width))
            emitter.loops[column.variable] = b.add(base, lane)
            self._step(k, b.gep(state, [number(0), lane]), levels[-1])

    def _open_axis(self, stack: ExitStack, levels: Sequence[Sequence[ScalarExpr]]) -> Any:
        """Open the loop along the axis (of size 1: none) and return its variable."""
        if not self.nest.inner:
            return number(0)
        (inner,) = self.nest.inner
        k = self.emitter.loops[inner.variable] = stack.enter_context(loop(self.b, number(0), number(inner.extent)))
        self.emitter.emit(levels[0])
        return k

    def _step(self, k: Any, state: Any, scalars: Sequence[ScalarExpr]) -> None:
        nest, emitter, b = self.nest, self.emitter, self.b
        emitter.emit(scalars)
        values = [emitter.values[scalar] for scalar in nest.values]
        emitter.parameters.update(zip(nest.entries, values, strict=True))
        emitter.parameters[nest.states[0]] = b.load(state)
        emitter.emit(scalars_of(nest.combined))
        (combined,) = (emitter.values[scalar] for scalar in nest.combined)
        y = b.select(b.icmp_signed("==", k, number(0)), values[-1], combined)
        b.store(y, state)
        emitter.forget(scalars_of([nest.finished]))
        emitter.parameters[nest.states[0]] = y
        emitter.emit(scalars_of([nest.finished]))
        pointer, dtype = emitter.pointers[-1], emitter.specs[-1].dtype
        emitter.store(emitter.values[nest.finished], pointer, emitter.index(nest.target), dtype)
