"""Reductions, in the order that their plan says. float32 sums are accumulated in float64."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from llvmlite import ir

from ...core.shape import size_of
from ..ir.kernel import Kernel
from ..ir.loop_nest import Epilogue, Loop, ReductionNest
from ..ir.loop_plan import ReductionPlan
from ..ir.scalar_expr import ScalarExpr, scalars_of
from .loop import Emitter, loop, number, smaller, stack_slot
from .map import open_loops
from .type import I32, I64, constant, memory, register

VECTOR_INSTRUCTIONS = {"parameter", "add", "multiply", "maximum", "minimum"}
"""What is emitted alike for numbers and for vectors of them."""


def emit_reduce(emitter: Emitter, kernel: Kernel) -> None:
    """Emit a reduction and the maps on its results."""
    nest, plan = kernel.nest, kernel.loops
    assert isinstance(nest, ReductionNest)
    assert isinstance(plan, ReductionPlan)
    root = kernel.root.output
    if size_of(root.spec.shape):
        operand = kernel.operands.index(root) if root in kernel.stored else None
        _Reduction(emitter, nest, plan, operand, kernel.epilogue).emit()


MIN_VECTOR_LANES = 32
"""Lanes from which on a loop over them is vector code: LLVM writes out shorter ones, entry by entry."""


class _Reduction:
    """Emits a reduction. ``operand``: the number of its result, ``None`` where only the maps of the ``epilogue`` read it."""

    def __init__(
        self, emitter: Emitter, nest: ReductionNest, plan: ReductionPlan, operand: int | None, epilogue: Epilogue | None
    ) -> None:
        self.emitter = emitter
        self.nest = nest
        self.plan = plan
        self.operand = operand
        self.epilogue = epilogue
        self.b: Any = emitter.builder
        self.dtype = nest.accumulator
        self.init = [constant(_initial(state, self.dtype), self.dtype) for state in nest.init]
        self.empty = size_of(nest.shape) == 0

    def emit(self) -> None:
        if self.plan.columns:
            self._columns()
        else:
            self._rows()

    # --- memory of the kernel ---
    def _array(self, count: int) -> list[Any]:
        """Reserve one array of ``count`` numbers per state."""
        return [stack_slot(self.b, ir.ArrayType(memory(self.dtype), count)) for _ in self.init]

    def _first(self, array: Any) -> Any:
        return self.b.gep(array, [number(0), number(0)])

    def _get(self, arrays: Sequence[Any], i: Any) -> list[Any]:
        return [self.emitter.load(self._first(array), i, self.dtype) for array in arrays]

    def _set(self, arrays: Sequence[Any], i: Any, values: Sequence[Any]) -> None:
        for array, value in zip(arrays, values, strict=True):
            self.emitter.store(value, self._first(array), i, self.dtype)

    def _fill(self, arrays: Sequence[Any], count: Any) -> None:
        with loop(self.b, number(0), count) as i:
            self._set(arrays, i, self.init)

    # --- scalars ---
    def _evaluate(self, outputs: Sequence[ScalarExpr], parameters: dict[ScalarExpr, Any]) -> list[Any]:
        emitter, order = self.emitter, scalars_of(outputs)
        outside = {scalar: emitter.values.pop(scalar) for scalar in order if scalar in emitter.values}
        emitter.parameters.update(parameters)
        emitter.emit(order)
        values = [emitter.values[scalar] for scalar in outputs]
        emitter.forget(order)
        emitter.values.update(outside)
        return values

    def _combine(self, states: Sequence[Any], x: Any) -> list[Any]:
        parameters = zip((*self.nest.states, *self.nest.entries), (*states, x), strict=True)
        return self._evaluate(self.nest.combined, dict(parameters))

    def _join(self, states: Sequence[Any], others: Sequence[Any]) -> list[Any]:
        assert self.nest.merged is not None
        parameters = zip((*self.nest.states, *self.nest.others), (*states, *others), strict=True)
        return self._evaluate(self.nest.merged, dict(parameters))

    def _finish(self, states: Sequence[Any]) -> None:
        nest, emitter = self.nest, self.emitter
        (y,) = self._evaluate([nest.finished], dict(zip(nest.states, states, strict=True)))
        if self.operand is not None:
            specs, pointers = emitter.specs, emitter.pointers
            emitter.store(y, pointers[self.operand], emitter.index(nest.target), specs[self.operand].dtype)
        if self.epilogue is not None:
            self._maps(self.epilogue, y)

    def _maps(self, epilogue: Epilogue, y: Any) -> None:
        """Emit the maps on one result."""
        emitter = self.emitter
        outside = dict(emitter.values)
        if epilogue.result is not None:
            emitter.values[epilogue.result] = y
        emitter.emit(epilogue.scalars)
        emitter.emit_stores(epilogue.stores)
        emitter.values = outside

    def _item(self, scalars: Sequence[ScalarExpr]) -> Any:
        self.emitter.forget(scalars)
        self.emitter.emit(scalars)
        value = self.emitter.values[self.nest.value]
        self.emitter.forget(scalars)
        return value

    # --- the reduced axis is innermost, or everything is reduced ---
    def _rows(self) -> None:
        nest, emitter = self.nest, self.emitter
        loops = [*nest.outer, *nest.inner]
        levels = [[] for _ in range(len(loops) + 1)] if self.empty else nest.levels(loops)
        depth = len(nest.outer)
        with ExitStack() as outer:
            open_loops(outer, emitter, nest.outer, levels[: depth + 1], self.plan.partition)
            if self.empty:
                self._finish(self.init)
                return
            if not nest.inner:
                self._finish(self._combine(self.init, emitter.values[nest.value]))
                return
            lanes = self.plan.lanes
            acc = self._array(lanes)
            self._fill(acc, number(lanes))
            flush = self._cascade(acc, lanes) if self.plan.levels else None
            with ExitStack() as reduced:
                open_loops(reduced, emitter, nest.inner[:-1], [[], *levels[depth + 1 : -1]])
                self._row(nest.inner[-1], levels[-1], acc, lanes, flush)
            if flush is None:
                self._halve(acc, lanes)
                self._finish(self._get(acc, number(0)))
            else:
                self._finish(flush(None))

    def _row(
        self,
        last: Loop,
        scalars: Sequence[ScalarExpr],
        acc: Sequence[Any],
        lanes: int,
        flush: Callable[[Any], Any] | None,
    ) -> None:
        b, emitter, chunk = self.b, self.emitter, self.plan.chunk

        def step(i: Any, lane: Any) -> None:
            emitter.loops[last.variable] = i
            self._set(acc, lane, self._combine(self._get(acc, lane), self._item(scalars)))

        is_single = last.extent <= chunk
        rest = last.extent % lanes if is_single or chunk % lanes == 0 else lanes
        with self._chunks(last.extent) as (start, stop):
            if lanes == 1:
                with loop(b, start, stop) as i:
                    step(i, number(0))
            else:
                if is_single or not rest:
                    stop_of_lanes = b.sub(stop, number(rest))
                else:
                    stop_of_lanes = b.add(start, b.and_(b.sub(stop, start), number(-lanes)))
                with loop(b, start, stop_of_lanes, lanes) as i, loop(b, number(0), number(lanes)) as lane:
                    step(b.add(i, lane), lane)
                if rest:
                    with loop(b, stop_of_lanes, stop) as i:
                        step(i, b.sub(i, stop_of_lanes))
            if flush is not None:
                flush(b.sub(stop, start))

    @contextmanager
    def _chunks(self, extent: int) -> Iterator[tuple[Any, Any]]:
        """Emit the loop over the chunks of a row, and yield where one begins and ends; there is no loop for a single chunk."""
        b, chunk = self.b, self.plan.chunk
        if extent <= chunk:
            yield number(0), number(extent)
            return
        with loop(b, number(0), number(extent), chunk) as start:
            end = b.add(start, number(chunk))
            yield start, smaller(b, end, number(extent)) if extent % chunk else end

    def _halve(self, acc: Sequence[Any], lanes: int) -> None:
        """Join the lanes into the first: one half with the other, until there is one."""
        if self._merges_vectors():
            self._set(
                acc, number(0), self._halved(acc, lanes) if lanes >= MIN_VECTOR_LANES else self._joined(acc, lanes)
            )
            return
        while lanes > 1:
            lanes //= 2
            with loop(self.b, number(0), number(lanes)) as i:
                self._set(acc, i, self._join(self._get(acc, i), self._get(acc, self.b.add(i, number(lanes)))))

    def _merges_vectors(self) -> bool:
        """Whether what joins two states takes vectors of numbers as it takes numbers."""
        assert self.nest.merged is not None
        return self.dtype.kind in "fiu" and all(x.op in VECTOR_INSTRUCTIONS for x in scalars_of(self.nest.merged))

    def _joined(self, acc: Sequence[Any], lanes: int) -> list[Any]:
        """Return the joined lanes, number by number: as vectors they would wait for numbers that were just stored."""
        states = [self._get(acc, number(lane)) for lane in range(lanes)]
        while len(states) > 1:
            half = len(states) // 2
            states = [self._join(x, y) for x, y in zip(states[:half], states[half:], strict=True)]
        return states[0]

    def _halved(self, acc: Sequence[Any], lanes: int) -> list[Any]:
        """Return the joined lanes, in vectors: LLVM makes none of comparisons whose loop it has written out."""
        b, width = self.b, min(lanes, self.emitter.module.target.lanes(self.dtype.itemsize))
        kind = ir.VectorType(register(self.dtype), width)
        pointers = [b.bitcast(array, kind.as_pointer()) for array in acc]
        vectors = [
            [b.load(b.gep(pointer, [number(n)]), align=self.dtype.itemsize) for pointer in pointers]
            for n in range(lanes // width)
        ]
        while len(vectors) > 1:
            half = len(vectors) // 2
            vectors = [self._join(x, y) for x, y in zip(vectors[:half], vectors[half:], strict=True)]
        (states,) = vectors
        while width > 1:
            width //= 2
            low, high = (
                [b.shuffle_vector(x, x, _lanes(range(start, start + width))) for x in states] for start in (0, width)
            )
            states = self._join(low, high)
        return [b.extract_element(x, ir.Constant(I32, 0)) for x in states]

    def _cascade(self, acc: Sequence[Any], lanes: int) -> Callable[[Any], Any]:
        """Return ``flush``: it joins finished chunks pairwise, like carries in a binary counter of chunks."""
        b, plan = self.b, self.plan
        parts, total = self._array(plan.levels), self._array(1)
        pending, chunks, level = (stack_slot(b, I64) for _ in range(3))
        b.store(number(0), pending)
        b.store(number(0), chunks)

        def carry() -> None:
            self._halve(acc, lanes)
            self._set(total, number(0), self._get(acc, number(0)))
            b.store(number(0), level)
            head, body, after = (b.append_basic_block(name) for name in ("carry", "join", "carried"))
            b.branch(head)
            b.position_at_end(head)
            bit = b.and_(b.lshr(b.load(chunks), b.load(level)), number(1))
            b.cbranch(b.icmp_unsigned("==", bit, number(1)), body, after)
            b.position_at_end(body)
            joined = self._join(self._get(parts, b.load(level)), self._get(total, number(0)))
            self._set(total, number(0), joined)
            b.store(b.add(b.load(level), number(1)), level)
            b.branch(head)
            b.position_at_end(after)
            self._set(parts, b.load(level), self._get(total, number(0)))
            b.store(b.add(b.load(chunks), number(1)), chunks)
            self._fill(acc, number(lanes))
            b.store(number(0), pending)

        def flush(count: Any) -> Any:
            if count is not None:
                b.store(b.add(b.load(pending), count), pending)
                with b.if_then(b.icmp_signed(">=", b.load(pending), number(plan.chunk))):
                    carry()
                return None
            with b.if_then(b.icmp_signed(">", b.load(pending), number(0))):
                carry()
            self._set(total, number(0), self.init)
            with loop(b, number(0), number(plan.levels)) as i:
                bit = b.and_(b.lshr(b.load(chunks), i), number(1))
                with b.if_then(b.icmp_unsigned("==", bit, number(1))):
                    self._set(total, number(0), self._join(self._get(parts, i), self._get(total, number(0))))
            return self._get(total, number(0))

        return flush

    # --- the innermost axis is not reduced ---
    def _columns(self) -> None:
        nest, plan, emitter, b = self.nest, self.plan, self.emitter, self.b
        column = nest.outer[-1]
        loops = [*nest.outer[:-1], *nest.inner, column]
        levels = nest.levels(loops)
        depth = len(nest.outer) - 1
        acc, total = self._array(plan.columns), self._array(plan.columns)
        with ExitStack() as outer:
            open_loops(outer, emitter, nest.outer[:-1], levels[: depth + 1], plan.partition)
            begin, end = emitter.range_of(column, plan.partition)
            base = outer.enter_context(loop(b, begin, end, plan.columns))
            width = smaller(b, number(plan.columns), b.sub(end, base))
            self._fill(acc, number(plan.columns))
            self._fill(total, number(plan.columns))
            with ExitStack() as reduced:
                open_loops(reduced, emitter, nest.inner[:-1], [[], *levels[depth + 1 : -2]])
                last = nest.inner[-1]
                start, stop = reduced.enter_context(self._chunks(last.extent))
                with loop(b, start, stop) as row:
                    emitter.loops[last.variable] = row
                    emitter.forget(levels[-2])
                    emitter.emit(levels[-2])
                    with loop(b, number(0), width, unroll=False) as lane:
                        emitter.loops[column.variable] = b.add(base, lane)
                        item = self._item(levels[-1])
                        self._set(acc, lane, self._combine(self._get(acc, lane), item))
                    emitter.forget(levels[-2])
                if nest.merged is not None:
                    with loop(b, number(0), width, unroll=False) as lane:
                        self._set(total, lane, self._join(self._get(total, lane), self._get(acc, lane)))
                        self._set(acc, lane, self.init)
            with loop(b, number(0), width, unroll=False) as lane:
                emitter.loops[column.variable] = b.add(base, lane)
                self._finish(self._get(total if nest.merged is not None else acc, lane))


def _lanes(positions: Sequence[int]) -> Any:
    """Return which lanes a shuffle takes."""
    return ir.Constant(ir.VectorType(I32, len(positions)), list(positions))


def _initial(state: float, dtype: "np.dtype[Any]") -> Any:
    """Return a number of a reduction's ``init`` in ``dtype``; infinite ones become the extreme integers."""
    if dtype.kind == "f" or np.isfinite(state):
        return state
    if dtype.kind == "b":
        return state > 0
    return int(np.iinfo(dtype).max if state > 0 else np.iinfo(dtype).min)
