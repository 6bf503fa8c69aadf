"""Large contractions as native code: packing, units of C, and the maps that follow, by the plan that `blocking` makes."""

from contextlib import ExitStack
from math import prod
from typing import Any

from llvmlite import ir

from ..ir.blocking import Blocking
from ..ir.loop_nest import Epilogue
from ..ir.register_tile import padded
from .loop import Emitter, loop, moved, number, smaller
from .panel import Panels
from .type import memory

NEAR = 2**19
"""Bytes that stay in the second-level cache from one step to the next, so that there is no need to ask for them."""


class BlockedEmission:
    """Emits a large contraction and the maps that follow it."""

    def __init__(
        self, emitter: Emitter, blocking: Blocking, operands: list[int], offsets: list[int], y: Any, workspace: Any,
        epilogue: Epilogue | None,
    ) -> None:  # fmt: skip
        self.emitter = emitter
        self.b: Any = emitter.builder
        self.plan = blocking
        self.panels = Panels(emitter.module, blocking.tile)
        self.pointers = [emitter.pointers[operand] for operand in operands]
        self.offsets = offsets
        self.y = y
        self.workspace = workspace
        self.epilogue = epilogue
        self.dtype = dtype = blocking.tile.dtype
        beside = [x for x in epilogue.read_beside if emitter.specs[x].dtype == dtype] if epilogue else []
        far = sum(prod(emitter.specs[x].shape) * dtype.itemsize for x in beside) > NEAR
        self.beside = beside if far and blocking.blocks == 1 else []
        self.tile: Any = None
        if self.y is None:
            rows, columns = blocking.unit
            with self.b.goto_entry_block():
                self.tile = self.b.alloca(ir.ArrayType(memory(dtype), rows * columns))
                self.tile.align = 64
            self.tile = self.b.bitcast(self.tile, memory(dtype).as_pointer())

    def emit(self) -> None:
        plan, b = self.plan, self.b
        first = plan.contracted[0]
        for side in (0, 1):
            if plan.once[side]:
                self._pack(side, number(0), number(0), number(0), number(first.extent))
        every = [packs and not once for packs, once in zip(plan.packs, plan.once, strict=True)]
        with (
            loop(b, number(0), number(plan.count), plan.group) as start,
            loop(b, number(0), number(plan.column.extent), plan.block[1]) as j,
            loop(b, number(0), number(first.extent), plan.chunk) as k,
        ):
            depth = smaller(b, number(plan.chunk), b.sub(number(first.extent), k))
            if every[1]:
                self._pack(1, start, j, k, depth)
            if any(plan.packs) and not every[0]:
                self.emitter.barrier()
            with loop(b, number(0), number(plan.row.extent), plan.block[0]) as i:
                if every[0]:
                    self._pack(0, start, i, k, depth)
                    self.emitter.barrier()
                self._units(start, i, j, k, depth)
                if every[0] and not self._single():
                    self.emitter.barrier()
            if every[1] and not every[0] and not self._single():
                self.emitter.barrier()

    def _single(self) -> bool:
        """Return whether there is one block, so that no panel is written again."""
        plan = self.plan
        extents = plan.row.extent, plan.column.extent
        return (
            plan.blocks == 1
            and plan.group >= plan.count
            and all(size >= extent for size, extent in zip(plan.block, extents, strict=True))
        )

    def _base(self, outer: Any, k: Any) -> list[Any]:
        """Return where A, B and C begin for one combination of the outer labels and a block of the sum."""
        plan = self.plan
        base = [number(self.offsets[0]), number(self.offsets[1]), number(0)]
        for one, value in zip(plan.outer, self._values(outer), strict=True):
            base = [moved(self.b, x, value, s) for x, s in zip(base, one.strides, strict=True)]
        strides = plan.contracted[0].strides
        return [*(moved(self.b, x, k, s) for x, s in zip(base[:2], strides[:2], strict=True)), base[2]]

    def _values(self, outer: Any) -> list[Any]:
        """Return the value of every outer label."""
        values = []
        for one in reversed(self.plan.outer):
            values.append(self.b.urem(outer, number(one.extent)))
            outer = self.b.udiv(outer, number(one.extent))
        return values[::-1]

    def _room(self, side: int, place: Any, at: Any) -> Any:
        """Return where the panel that begins ``at`` lies, for the given place of the outer labels in their group."""
        plan, b = self.plan, self.b
        start = b.mul(at, number(plan.steps))
        if plan.depends(side):
            start = b.add(start, b.mul(place, number(plan.each[side])))
        return b.gep(self.workspace, [b.add(start, number(plan.right)) if side else start])

    def _pack(self, side: int, start: Any, at: Any, k: Any, depth: Any) -> None:
        """Pack this thread's part of a block's panels."""
        plan, b = self.plan, self.b
        label = (plan.row, plan.column)[side]
        size = (plan.tile.rows, plan.tile.columns)[side]
        count = -(-min(plan.block[side], label.extent) // size)
        group = plan.group if plan.depends(side) else 1
        begin, end = self.emitter.partition_range(group * count)
        with loop(b, begin, end) as u:
            place, p = b.udiv(u, number(count)), b.mul(b.urem(u, number(count)), number(size))
            outer, i = b.add(start, place), b.add(at, p)
            inside = b.and_(b.icmp_signed("<", outer, number(plan.count)), b.icmp_signed("<", i, number(label.extent)))
            with b.if_then(inside):
                x = moved(self.b, self._base(outer, k)[side], i, label.strides[side])
                to = self._room(side, place, p)
                with self._edge(i, label.extent, size) as cases:
                    for case, few in cases:
                        with case:
                            wide = few if side == 0 else padded(few, plan.tile.width)
                            self._panel(side, wide, few, to, x, depth)

    def _panel(self, side: int, size: int, count: int, to: Any, x: Any, depth: Any) -> None:
        plan, b = self.plan, self.b
        *slower, last = plan.contracted
        across = (plan.row, plan.column)[side].strides[side]
        with ExitStack() as stack:
            done = number(0)
            for position, one in enumerate(slower):
                k = stack.enter_context(loop(b, number(0), number(one.extent) if position else depth))
                x, done = moved(self.b, x, k, one.strides[side]), b.add(b.mul(done, number(one.extent)), k)
            length = number(last.extent) if slower else depth
            target = b.gep(to, [b.mul(b.mul(done, length), number(size))])
            source = b.gep(self.pointers[side], [x])
            self.panels.pack(b, size, count, target, source, length, across, last.strides[side])

    def _edge(self, i: Any, extent: int, size: int) -> Any:
        """Return the cases of a panel that begins at ``i``: whole, or the last with what is left; those that occur."""
        rest, b = extent % size, self.b
        stack = ExitStack()
        if rest and extent > size:
            whole, edge = stack.enter_context(b.if_else(b.icmp_signed("<=", b.add(i, number(size)), number(extent))))
            cases = [(whole, size), (edge, rest)]
        else:
            cases = [(ExitStack(), rest or size)]
        return _Cases(stack, cases)

    def _units(self, start: Any, i: Any, j: Any, k: Any, depth: Any) -> None:
        """Compute this thread's units of a block."""
        plan, b = self.plan, self.b
        extents = plan.row.extent, plan.column.extent
        down, right = (-(-min(s, e) // u) for s, e, u in zip(plan.block, extents, plan.unit, strict=True))
        begin, end = self.emitter.partition_range(plan.group * down * right)
        with loop(b, begin, end) as u:
            place, rest = b.udiv(u, number(down * right)), b.urem(u, number(down * right))
            outer = b.add(start, place)
            fast = number(down if plan.downward else right)
            row, column = b.udiv(rest, fast), b.urem(rest, fast)
            if plan.downward:
                row, column = column, row
            top = b.add(i, b.mul(row, number(plan.unit[0])))
            side = b.add(j, b.mul(column, number(plan.unit[1])))
            inside = b.and_(
                b.icmp_signed("<", outer, number(plan.count)),
                b.and_(b.icmp_signed("<", top, number(extents[0])), b.icmp_signed("<", side, number(extents[1]))),
            )
            with b.if_then(inside):
                self._unit(place, outer, (i, j), (top, side), k, depth)

    def _unit(self, place: Any, outer: Any, block: Any, corner: Any, k: Any, depth: Any) -> None:
        plan, b = self.plan, self.b
        ends = [
            smaller(b, b.add(one, number(size)), number(label.extent))
            for one, size, label in zip(corner, plan.unit, (plan.row, plan.column), strict=True)
        ]
        base = self._base(outer, k)
        first = b.icmp_signed("==", k, number(0)) if plan.blocks > 1 else None
        total = b.mul(depth, number(plan.inner))
        steps = plan.contracted[-1].strides
        if self.tile is None:
            strides = plan.row.strides[2], plan.column.strides[2]
            y = b.gep(self.y, [moved(self.b, moved(self.b, base[2], corner[0], strides[0]), corner[1], strides[1])])
        else:
            strides = (1, plan.unit[0]) if plan.transposed else (plan.unit[1], 1)
            y = self.tile
        step = number(strides[1] if plan.transposed else strides[0])
        rows, columns = plan.tile.rows, plan.tile.columns
        with (
            loop(b, corner[1], ends[1], columns) as j,
            loop(b, corner[0], ends[0], rows) as i,
            self._edge(j, plan.column.extent, columns) as wide,
        ):
            for case, few in wide:
                with case, self._edge(i, plan.row.extent, rows) as high:
                    for inner, some in high:
                        with inner:
                            if plan.packs[0]:
                                left, across = self._room(0, place, b.sub(i, block[0])), 1
                                along = number(some)
                            else:
                                across, along = plan.row.strides[0], number(steps[0])
                                left = b.gep(self.pointers[0], [moved(self.b, base[0], i, across)])
                            if plan.packs[1]:
                                right = self._room(1, place, b.sub(j, block[1]))
                                gap = number(padded(few, plan.tile.width))
                            else:
                                right = b.gep(self.pointers[1], [moved(self.b, base[1], j, 1)])
                                gap = number(steps[1])
                            at = moved(self.b, number(0), b.sub(i, corner[0]), strides[0])
                            c = b.gep(y, [moved(self.b, at, b.sub(j, corner[1]), strides[1])])
                            tile = (some, few)
                            self.panels.micro(
                                b, tile, total, left, across, along, right, gap, c, step, first, plan.transposed,
                                *self._beside(base[2], (i, j)),
                            )  # fmt: skip
        if self.epilogue is not None:
            if plan.blocks > 1:
                last = b.icmp_signed(">=", b.add(k, number(plan.chunk)), number(plan.contracted[0].extent))
                with b.if_then(last):
                    self._follow(self.epilogue, outer, corner, ends)
            else:
                self._follow(self.epilogue, outer, corner, ends)

    def _beside(self, start: Any, corner: tuple[Any, Any]) -> tuple[list[Any], Any]:
        """Return where lies what the maps read beside a tile of C, and how far apart rows of it are in memory.

        It is asked for while the tile is computed, so that memory and arithmetic overlap.
        """
        b, strides = self.b, (self.plan.row.strides[2], self.plan.column.strides[2])
        at = moved(b, moved(b, start, corner[0], strides[0]), corner[1], strides[1])
        places = [b.gep(self.emitter.pointers[operand], [at]) for operand in self.beside]
        return places, number(strides[1] if self.plan.transposed else strides[0])

    def _follow(self, epilogue: Epilogue, outer: Any, corner: Any, ends: Any) -> None:
        """Emit the maps on one unit: along C's rows in memory, so that they run in vectors."""
        plan, b, emitter = self.plan, self.b, self.emitter
        for variable, value in zip(epilogue.outer_variables, self._values(outer), strict=True):
            emitter.loops[variable] = value
        levels = epilogue.levels(epilogue.outer)
        order = (1, 0) if plan.transposed else (0, 1)  # slow, fast
        emitter.emit(levels[0])
        slow, fast = ((corner[side], ends[side]) for side in order)
        with loop(b, slow[0], slow[1]) as i:
            emitter.loops[epilogue.outer[0].variable] = i
            emitter.emit(levels[1])
            with loop(b, fast[0], fast[1]) as j:
                emitter.loops[epilogue.outer[1].variable] = j
                if self.tile is not None and epilogue.result is not None:
                    width = plan.unit[order[1]]
                    at = b.add(b.mul(b.sub(i, slow[0]), number(width)), b.sub(j, fast[0]))
                    emitter.values[epilogue.result] = b.load(b.gep(self.tile, [at]))
                emitter.emit(levels[2])
                for operand, address, value in epilogue.stores:
                    dtype = emitter.specs[operand].dtype
                    emitter.store(emitter.values[value], emitter.pointers[operand], emitter.index(address), dtype)


class _Cases:
    """The branches of a condition as a context that yields them."""

    def __init__(self, stack: ExitStack, cases: list[tuple[Any, int]]) -> None:
        self.stack = stack
        self.cases = cases

    def __enter__(self) -> list[tuple[Any, int]]:
        return self.cases

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)


__all__ = ["BlockedEmission"]
