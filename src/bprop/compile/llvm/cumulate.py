"""Cumulations: y_k from y_{k-1} along one axis. The state stays in a register; float32 sums are kept in float64.

Where the innermost axis is kept, a block of neighbouring results goes side by side, each with its own state.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from llvmlite import ir

from ...core.shape import size_of
from ..ir.loop_nest import Nest
from ..ir.scalar_expr import Scalar, scalars_of, spec_of
from ..passes.schedule import divided, grain
from .loop import Emitter, loop, number, smaller
from .map import enter
from .type import register

BLOCK = 64


def emit_cumulate(emitter: Emitter, nest: Nest) -> None:
    """Emit a cumulation."""
    if size_of(nest.kernel.shape):
        _Cumulation(emitter, nest).emit()


class _Cumulation:
    def __init__(self, emitter: Emitter, nest: Nest) -> None:
        self.emitter = emitter
        self.nest = nest
        self.b: Any = emitter.builder

    def emit(self) -> None:
        nest, emitter, b = self.nest, self.emitter, self.b
        innermost = nest.loops[-1].atom if nest.loops else None
        columns = bool(nest.outer and nest.inner) and nest.outer[-1].atom == innermost
        outer = nest.outer[:-1] if columns else nest.outer
        loops = [*outer, *nest.inner, *(nest.outer[-1:] if columns else [])]
        levels = nest.levels(loops)
        state = self._states(BLOCK if columns else 1)
        with ExitStack() as stack:
            shared = divided(nest.outer)
            enter(stack, emitter, outer, levels[: len(outer) + 1], shared)
            if not columns:
                k = self._along(stack, levels[len(outer) + 1 :])
                self._step(k, b.gep(state, [number(0), number(0)]), levels[-1])
                return
            column = nest.outer[-1]
            begin, end = emitter.share(column.extent, grain(4), shared is column)
            base = stack.enter_context(loop(b, begin, end, BLOCK))
            width = smaller(b, number(BLOCK), b.sub(end, base))
            k = self._along(stack, levels[len(outer) + 1 :])
            lane = stack.enter_context(loop(b, number(0), width))
            emitter.loops[column.atom] = b.add(base, lane)
            self._step(k, b.gep(state, [number(0), lane]), levels[-1])

    def _states(self, count: int) -> Any:
        with self.b.goto_entry_block():
            return self.b.alloca(ir.ArrayType(register(self.nest.accumulator), count))

    def _along(self, stack: ExitStack, levels: Sequence[Sequence[Scalar]]) -> Any:
        """Open the loop along the axis (of size 1: none) and return its variable."""
        if not self.nest.inner:
            return number(0)
        (one,) = self.nest.inner
        k = self.emitter.loops[one.atom] = stack.enter_context(loop(self.b, number(0), number(one.extent)))
        self.emitter.emit(levels[0])
        return k

    def _step(self, k: Any, state: Any, scalars: Sequence[Scalar]) -> None:
        nest, emitter, b = self.nest, self.emitter, self.b
        emitter.emit(scalars)
        operands = [emitter.values[one] for one in nest.operands]
        emitter.given.update(zip(nest.others, operands, strict=True))
        emitter.given[nest.states[0]] = b.load(state)
        emitter.emit(scalars_of(nest.combined))
        (combined,) = (emitter.values[one] for one in nest.combined)
        y = b.select(b.icmp_signed("==", k, number(0)), operands[-1], combined)
        b.store(y, state)
        emitter.forget(scalars_of([nest.finished]))
        emitter.given[nest.states[0]] = y
        emitter.emit(scalars_of([nest.finished]))
        edge = (nest.kernel.root, 0)
        pointer, dtype = emitter.pointers[edge], spec_of(edge).dtype
        emitter.store(emitter.values[nest.finished], pointer, emitter.index(nest.target), dtype)
