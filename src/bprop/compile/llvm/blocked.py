"""Large contractions as native code: packing, macro tiles of C, and the maps that follow, as `plan_blocks` says."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, NamedTuple

from llvmlite import ir

from ..ir.blocking import Blocking
from ..ir.contraction import Label
from ..ir.loop_nest import Epilogue
from ..ir.register_tile import padded
from .loop import Emitter, loop, number, smaller, stack_slot, strided, strided_along
from .panel import LeftOperand, Panels, Prefetch, ResultTile, RightOperand
from .type import memory

Pair = tuple[Any, Any]
"""A row and a column of C."""


class _MacroTile(NamedTuple):
    """A macro tile: where it and its block begin, where it ends, and the values of the outer labels.

    ``outer`` is the number of these values, ``outer_in_group`` that within the combinations that are packed together.
    ``base`` is where A, B and C begin for them.
    """

    block: Pair
    start: Pair
    stop: Pair
    outer: Any
    outer_in_group: Any
    base: Sequence[Any]


class _SumBlock(NamedTuple):
    """A block of the sum: the step of the slowest summed label where it begins, how many there are, and its place among others."""

    start: Any
    depth: Any
    is_first: Any
    is_last: Any


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
        self.prefetched = epilogue.prefetched if epilogue is not None else ()
        self.tile = self._allocate_tile() if y is None and blocking.splits == 1 else None
        """Memory on the stack for a macro tile of C, where C itself is not stored."""

    def _allocate_tile(self) -> Any:
        number_type, (rows, columns) = memory(self.plan.tile.dtype), self.plan.macro_tile
        tile = stack_slot(self.b, ir.ArrayType(number_type, rows * columns))
        tile.align = 64
        return self.b.bitcast(tile, number_type.as_pointer())

    def emit(self) -> None:
        if self.plan.splits == 1:
            self._sum(number(0), number(self.plan.contracted[0].extent), self.epilogue)
        else:
            self._split_sum()

    # --- split-K ---
    def _split_sum(self) -> None:
        """Compute the parts of the sum, each on one thread and in memory of its own, then add them up in order."""
        plan, b, y, workspace = self.plan, self.b, self.y, self.workspace
        extent = number(plan.contracted[0].extent)
        with loop(b, *self.emitter.partition_range(plan.splits)) as part, self.emitter.on_one_thread():
            self.workspace = b.gep(workspace, [b.mul(part, number(plan.split_size))])
            self.y = b.gep(self.workspace, [number(plan.partial_offset)])
            start = b.mul(part, number(plan.split_extent))
            self._sum(start, smaller(b, b.add(start, number(plan.split_extent)), extent), None)
        self.y, self.workspace = y, workspace
        self.emitter.barrier()
        slow, fast = (1, 0) if plan.transposed else (0, 1)
        labels = plan.row, plan.column
        with loop(b, *self.emitter.partition_range(plan.outer_count * labels[slow].extent)) as index:
            outer, i = b.udiv(index, number(labels[slow].extent)), b.urem(index, number(labels[slow].extent))
            base = self._base(outer, number(0))
            self._add_up(strided(b, base[2], i, labels[slow].strides[2]), labels[fast].extent)
            if self.epilogue is not None:
                start, stop = [number(0)] * 2, [number(labels[fast].extent)] * 2
                start[slow], stop[slow] = i, b.add(i, number(1))
                row = _MacroTile((start[0], start[1]), (start[0], start[1]), (stop[0], stop[1]), outer, outer, base)
                self._maps(self.epilogue, row)

    def _add_up(self, address: Any, count: int) -> None:
        """Add up the partial results of a row of C in memory; where C is not stored, in place of the first."""
        plan, b = self.plan, self.b
        partial = b.gep(self.workspace, [b.add(address, number(plan.partial_offset))])
        target = partial if self.y is None else b.gep(self.y, [address])
        with loop(b, number(0), number(count)) as j:
            total = b.load(b.gep(partial, [j]))
            for part in range(1, plan.splits):
                total = b.fadd(total, b.load(b.gep(partial, [b.add(j, number(part * plan.split_size))])))
            b.store(total, b.gep(target, [j]))
        self.tile = partial if self.y is None else None

    # --- blocks ---
    def _sum(self, begin: Any, end: Any, epilogue: Epilogue | None) -> None:
        """Compute C for the steps of the slowest summed label from ``begin`` to ``end``."""
        plan, b = self.plan, self.b
        for side in (0, 1):
            if plan.packs_once[side]:
                self._pack(side, number(0), number(0), number(0), number(plan.contracted[0].extent))
        packs_a, packs_b = (packs and not once for packs, once in zip(plan.packs, plan.packs_once, strict=True))
        with (
            loop(b, number(0), number(plan.outer_count), plan.group) as group,
            loop(b, number(0), number(plan.column.extent), plan.block[1]) as j,
            loop(b, begin, end, plan.block_depth) as k,
        ):
            depth = smaller(b, number(plan.block_depth), b.sub(end, k))
            block = _SumBlock(k, depth, b.icmp_signed("==", k, begin), b.icmp_signed(">=", b.add(k, depth), end))
            if packs_b:
                self._pack(1, group, j, k, depth)
            if any(plan.packs) and not packs_a:
                self.emitter.barrier()
            with loop(b, number(0), number(plan.row.extent), plan.block[0]) as i:
                if packs_a:
                    self._pack(0, group, i, k, depth)
                    self.emitter.barrier()
                self._macro_tiles(group, (i, j), block, epilogue)
                if packs_a and not plan.is_one_block:
                    self.emitter.barrier()
            if packs_b and not packs_a and not plan.is_one_block:
                self.emitter.barrier()

    def _base(self, outer: Any, k: Any) -> list[Any]:
        """Return where A, B and C begin for one combination of the outer labels and a block of the sum."""
        plan = self.plan
        base = [number(self.offsets[0]), number(self.offsets[1]), number(0)]
        for label, value in zip(plan.outer, self._values(plan.outer, outer), strict=True):
            base = strided_along(self.b, base, label, value)
        cuts = plan.cuts or plan.contracted[:1]
        for label, value in zip(cuts, self._values(cuts, k), strict=True):
            base = strided_along(self.b, base, label, value)
        return base

    def _values(self, labels: Sequence[Label], combined: Any) -> list[Any]:
        """Return the value of every label for one combination of them."""
        values = []
        for label in reversed(labels[1:]):
            values.append(self.b.urem(combined, number(label.extent)))
            combined = self.b.udiv(combined, number(label.extent))
        return [combined, *values[::-1]][: len(labels)]

    # --- packing ---
    def _panel(self, side: int, outer_in_group: Any, start: Any) -> Any:
        """Return the address of the panel of a block that begins at row or column ``start`` of it."""
        plan, b = self.plan, self.b
        offset = b.mul(start, number(plan.block_depth * plan.inner_depth))
        if plan.depends(side):
            offset = b.add(offset, b.mul(outer_in_group, number(plan.packed_sizes[side])))
        return b.gep(self.workspace, [b.add(offset, number(plan.right_offset)) if side else offset])

    def _pack(self, side: int, group: Any, start: Any, k: Any, depth: Any) -> None:
        """Pack the panels of a block that are this thread's part."""
        plan, b = self.plan, self.b
        label = (plan.row, plan.column)[side]
        size = (plan.tile.rows, plan.tile.columns)[side]
        count = -(-min(plan.block[side], label.extent) // size)
        copies = plan.group if plan.depends(side) else 1
        with loop(b, *self.emitter.partition_range(copies * count)) as index:
            outer_in_group = b.udiv(index, number(count))
            offset = b.mul(b.urem(index, number(count)), number(size))
            outer, i = b.add(group, outer_in_group), b.add(start, offset)
            is_outer = b.icmp_signed("<", outer, number(plan.outer_count))
            with b.if_then(b.and_(is_outer, b.icmp_signed("<", i, number(label.extent)))):
                source = strided(self.b, self._base(outer, k)[side], i, label.strides[side])
                panel = self._panel(side, outer_in_group, offset)
                with self._sizes(i, label.extent, size) as cases:
                    for case, length in cases:
                        with case:
                            padded_length = length if side == 0 else padded(length, plan.tile.width)
                            self._pack_panel(side, padded_length, length, panel, source, depth)

    def _pack_panel(self, side: int, size: int, count: int, panel: Any, source: Any, depth: Any) -> None:
        """Pack one panel: the fastest summed label in one call, the others in loops around it."""
        plan, b = self.plan, self.b
        *slower, last = plan.contracted
        stride = (plan.row, plan.column)[side].strides[side]
        with ExitStack() as stack:
            index = number(0)
            for position, label in enumerate(slower):
                k = stack.enter_context(loop(b, number(0), number(label.extent) if position else depth))
                source = strided(self.b, source, k, label.strides[side])
                index = b.add(b.mul(index, number(label.extent)), k)
            length = number(last.extent) if slower else depth
            target = b.gep(panel, [b.mul(b.mul(index, length), number(size))])
            pointer = b.gep(self.pointers[side], [source])
            self.panels.pack(b, size, count, target, pointer, length, stride, last.strides[side])

    @contextmanager
    def _sizes(self, i: Any, extent: int, size: int) -> Iterator[list[tuple[AbstractContextManager[Any], int]]]:
        """Branch on the size of what begins at ``i``, full or the remainder: yield each branch that occurs, and its size."""
        remainder, b = extent % size, self.b
        if remainder and extent > size:
            is_full = b.icmp_signed("<=", b.add(i, number(size)), number(extent))
            with b.if_else(is_full) as (full, edge):
                yield [(full, size), (edge, remainder)]
        else:
            yield [(ExitStack(), remainder or size)]

    # --- macro tiles ---
    def _macro_tiles(self, group: Any, block: Pair, sum_block: _SumBlock, epilogue: Epilogue | None) -> None:
        """Compute the macro tiles of a block that are this thread's part."""
        plan, b = self.plan, self.b
        extents = plan.row.extent, plan.column.extent
        rows, columns = (
            -(-min(size, extent) // tile)
            for size, extent, tile in zip(plan.block, extents, plan.macro_tile, strict=True)
        )
        with loop(b, *self.emitter.partition_range(plan.group * rows * columns)) as index:
            outer_in_group, in_block = b.udiv(index, number(rows * columns)), b.urem(index, number(rows * columns))
            outer = b.add(group, outer_in_group)
            fast = number(rows if plan.is_column_major else columns)
            row, column = b.udiv(in_block, fast), b.urem(in_block, fast)
            if plan.is_column_major:
                row, column = column, row
            i = b.add(block[0], b.mul(row, number(plan.macro_tile[0])))
            j = b.add(block[1], b.mul(column, number(plan.macro_tile[1])))
            is_inside = b.and_(
                b.icmp_signed("<", outer, number(plan.outer_count)),
                b.and_(b.icmp_signed("<", i, number(extents[0])), b.icmp_signed("<", j, number(extents[1]))),
            )
            with b.if_then(is_inside):
                stop_i, stop_j = (
                    smaller(b, b.add(start, number(size)), number(extent))
                    for start, size, extent in zip((i, j), plan.macro_tile, extents, strict=True)
                )
                base = self._base(outer, sum_block.start)
                macro_tile = _MacroTile(block, (i, j), (stop_i, stop_j), outer, outer_in_group, base)
                self._register_tiles(macro_tile, sum_block)
                if epilogue is not None:  # when the sums are complete
                    with b.if_then(sum_block.is_last) if plan.depth_blocks > 1 else ExitStack():
                        self._maps(epilogue, macro_tile)

    def _register_tiles(self, macro_tile: _MacroTile, block: _SumBlock) -> None:
        """Call the micro-kernel for every register tile of a macro tile, each in the size that it has at the edges."""
        plan, b = self.plan, self.b
        is_first = block.is_first if plan.depth_blocks > 1 else None
        *runs, steps = [
            b.mul(block.depth, number(run.length)) if run.is_cut else number(run.length) for run in plan.runs
        ]
        start, stop, base = macro_tile.start, macro_tile.stop, macro_tile.base
        if self.tile is None:
            strides = plan.row.strides[2], plan.column.strides[2]
            c = b.gep(self.y, [strided(self.b, strided(self.b, base[2], start[0], strides[0]), start[1], strides[1])])
        else:
            strides = (1, plan.macro_tile[0]) if plan.transposed else (plan.macro_tile[1], 1)
            c = self.tile
        stride = number(strides[1] if plan.transposed else strides[0])
        rows, columns = plan.tile.rows, plan.tile.columns
        with (
            loop(b, start[1], stop[1], columns) as j,
            loop(b, start[0], stop[0], rows) as i,
            self._sizes(j, plan.column.extent, columns) as widths,
        ):
            for width_case, width in widths:
                with width_case, self._sizes(i, plan.row.extent, rows) as heights:
                    for height_case, height in heights:
                        with height_case:
                            left, right = self._left(macro_tile, i, height), self._right(macro_tile, j, width)
                            offset = strided(self.b, number(0), b.sub(i, start[0]), strides[0])
                            pointer = b.gep(c, [strided(self.b, offset, b.sub(j, start[1]), strides[1])])
                            self.panels.micro_kernel(
                                b, (height, width), steps, left, right, ResultTile(pointer, stride, plan.transposed),
                                is_first, self._prefetch(base[2], i, j), runs,
                            )  # fmt: skip

    def _left(self, macro_tile: _MacroTile, i: Any, height: int) -> LeftOperand:
        """Return rows of A, from its panel or from where it lies."""
        plan, b = self.plan, self.b
        if plan.packs[0]:
            panel = self._panel(0, macro_tile.outer_in_group, b.sub(i, macro_tile.block[0]))
            return LeftOperand(panel, 1, number(height))
        row_stride = plan.row.strides[0]
        pointer = b.gep(self.pointers[0], [strided(self.b, macro_tile.base[0], i, row_stride)])
        *leaps, step = [number(run.strides[0]) for run in plan.runs]
        return LeftOperand(pointer, row_stride, step, leaps or None)

    def _right(self, macro_tile: _MacroTile, j: Any, width: int) -> RightOperand:
        """Return columns of B, from its panel or from where it lies."""
        plan, b = self.plan, self.b
        if plan.packs[1]:
            panel = self._panel(1, macro_tile.outer_in_group, b.sub(j, macro_tile.block[1]))
            return RightOperand(panel, number(padded(width, plan.tile.width)))
        pointer = b.gep(self.pointers[1], [strided(self.b, macro_tile.base[1], j, 1)])
        *leaps, step = [number(run.strides[1]) for run in plan.runs]
        return RightOperand(pointer, step, leaps or None)

    def _prefetch(self, base: Any, i: Any, j: Any) -> Prefetch:
        """Return where the maps will read, for the register tile of C at row ``i`` and column ``j``."""
        b, strides = self.b, (self.plan.row.strides[2], self.plan.column.strides[2])
        address = strided(b, strided(b, base, i, strides[0]), j, strides[1])
        pointers = [b.gep(self.emitter.pointers[operand], [address]) for operand in self.prefetched]
        return Prefetch(pointers, number(strides[1] if self.plan.transposed else strides[0]))

    def _maps(self, epilogue: Epilogue, macro_tile: _MacroTile) -> None:
        """Emit the maps on one macro tile: along C's rows in memory, so that they run in vectors."""
        plan, b, emitter = self.plan, self.b, self.emitter
        for variable, value in zip(
            epilogue.outer_variables, self._values(self.plan.outer, macro_tile.outer), strict=True
        ):
            emitter.loops[variable] = value
        levels = epilogue.levels(epilogue.outer)
        slow, fast = (1, 0) if plan.transposed else (0, 1)
        emitter.emit(levels[0])
        start, stop = macro_tile.start, macro_tile.stop
        with loop(b, start[slow], stop[slow]) as i:
            emitter.loops[epilogue.outer[0].variable] = i
            emitter.emit(levels[1])
            with loop(b, start[fast], stop[fast]) as j:
                emitter.loops[epilogue.outer[1].variable] = j
                if self.tile is not None and epilogue.result is not None:
                    row_offset = b.mul(b.sub(i, start[slow]), number(plan.macro_tile[fast]))
                    address = b.add(row_offset, b.sub(j, start[fast]))
                    emitter.values[epilogue.result] = b.load(b.gep(self.tile, [address]))
                emitter.emit(levels[2])
                emitter.emit_stores(epilogue.stores)


__all__ = ["BlockedEmission"]
