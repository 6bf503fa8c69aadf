"""The inner parts of large contractions: the micro-kernel that keeps a tile of C in registers, and packing into panels.

A panel of A holds the ``rows`` numbers of one step of the sum side by side, a panel of B the vectors of one step. The
micro-kernel runs over one panel of each and keeps rows × columns of C in registers meanwhile. An operand that already lies
like a panel is read where it is. Functions are made once per program for each exact size of a tile, and shared by all
contractions of one dtype; strides are arguments.

**Source:** Goto & van de Geijn (2008), Anatomy of high-performance matrix multiplication; Van Zee & van de Geijn (2015),
BLIS.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from llvmlite import ir

from ..ir.register_tile import RegisterTile
from ..ir.target import CACHE_LINE
from .builder import Builder
from .loop import loop, loop_with_carry, number
from .type import I32, I64, constant, register
from .vector import broadcast, first_lanes, intrinsic, load, multiply_add, shuffled, store

MAX_TRANSPOSED_BLOCK = 8
"""Rows of the largest block that is transposed in registers: larger ones gain nothing and take LLVM long."""
L2_LOCALITY = 2
"""LLVM's number for prefetching into the second-level cache."""


class LeftOperand(NamedTuple):
    """A as the micro-kernel reads it: its first entry, and the strides between rows and between steps of the sum.

    ``leaps``: the strides between runs of steps, the slowest first; ``None`` for a panel, where they follow each other.
    """

    pointer: Any
    row_stride: Any
    step: Any
    leaps: Sequence[Any] | None = None


class RightOperand(NamedTuple):
    """B as the micro-kernel reads it: its first entry, and the strides between steps of the sum and between runs of them."""

    pointer: Any
    step: Any
    leaps: Sequence[Any] | None = None


class ResultTile(NamedTuple):
    """Where a tile of C goes. ``stride``: between its rows, or between its columns where it is ``transposed``."""

    pointer: Any
    stride: Any
    transposed: bool


class Prefetch(NamedTuple):
    """What is prefetched while a tile is computed: a tile of several arrays that share one row ``stride``."""

    pointers: Sequence[Any]
    stride: Any


NO_PREFETCH = Prefetch((), None)


class _Store(NamedTuple):
    """The first ``lanes`` numbers of a vector, and where they go: to a row of C in memory, from a column on."""

    row: int
    column: int
    vector: Any
    lanes: int


class Panels:
    """Emits the functions of one module: micro-kernel and packing, each on first use."""

    def __init__(self, module: Any, tile: RegisterTile) -> None:
        self.module = module
        self.tile = tile
        self.kind = register(tile.dtype)
        self.pointer = self.kind.as_pointer()

    def _function(self, name: str, arguments: Sequence[Any], fill: Callable[..., None]) -> Any:
        function = self.module.globals.get(name)
        if function is not None:
            return function
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), arguments), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        for argument in function.args:
            if argument.type == self.pointer:
                argument.add_attribute("noalias")
        b: Any = Builder(function.append_basic_block("entry"))
        fill(b, *function.args)
        b.ret_void()
        return function

    def _name(self, *parts: Any) -> str:
        return "_".join(map(str, (*parts, self.tile.dtype)))

    # --- C (+)= A · B for one tile ---
    def micro_kernel(
        self, b: Any, shape: tuple[int, int], depth: Any, left: LeftOperand, right: RightOperand, result: ResultTile,
        is_first_block: Any = None, prefetch: Prefetch = NO_PREFETCH, runs: Sequence[Any] = (),
    ) -> None:  # fmt: skip
        """Call the micro-kernel for a tile of ``shape`` (rows, columns) and a sum of ``depth`` steps.

        ``runs``: so many times, the slowest first, if operands leap after ``depth`` steps. ``is_first_block``: in the first block of the sum C is overwritten, in later ones added to; ``None`` where there is
        one block only. What ``prefetch`` names is in the second-level cache when the tile is complete.
        """
        has_unit_stride, transposed = left.row_stride == 1, result.transposed
        optional = [] if is_first_block is None else [is_first_block]
        left_leaps, right_leaps = left.leaps or (), right.leaps or ()
        optional += [*runs, *left_leaps, *right_leaps]
        if prefetch.pointers and not runs:
            optional += [*prefetch.pointers, prefetch.stride]

        def fill(
            builder: Any, depth: Any, x: Any, row_stride: Any, left_step: Any, y: Any, right_step: Any, c: Any,
            stride: Any, *optional: Any,
        ) -> None:  # fmt: skip
            rest = list(optional)
            first = None if is_first_block is None else rest.pop(0)
            counts, leaps, other_leaps = ([rest.pop(0) for _ in values] for values in (runs, left_leaps, right_leaps))
            a = LeftOperand(x, 1 if has_unit_stride else row_stride, left_step, leaps or None)
            target, ahead = ResultTile(c, stride, transposed), Prefetch(rest[:-1], rest[-1]) if rest else NO_PREFETCH
            right_operand = RightOperand(y, right_step, other_leaps or None)
            self._micro_kernel(builder, shape, depth, a, right_operand, target, first, ahead, counts)

        variant = (
            "unit_stride" if has_unit_stride else "strided",
            "transposed" if transposed else "straight",
            "once" if is_first_block is None else "blocks",
            *(["runs", len(runs), len(left_leaps), len(right_leaps)] if runs else [len(prefetch.pointers)]),
        )
        name = self._name("micro_kernel", *shape, *variant)
        kinds = [I64, self.pointer, I64, I64, self.pointer, I64, self.pointer, I64, *(x.type for x in optional)]
        b.call(
            self._function(name, kinds, fill),
            [
                depth,
                left.pointer,
                number(left.row_stride),
                left.step,
                right.pointer,
                right.step,
                result.pointer,
                result.stride,
                *optional,
            ],
        )

    def _micro_kernel(
        self, b: Any, shape: tuple[int, int], depth: Any, left: LeftOperand, right: RightOperand, result: ResultTile,
        is_first_block: Any, prefetch: Prefetch, runs: Sequence[Any],
    ) -> None:  # fmt: skip
        (rows, columns), tile = shape, self.tile
        lanes = [min(tile.width, columns - start) for start in range(0, columns, tile.width)]
        vector = ir.VectorType(self.kind, tile.width)
        row_offsets = [number(r) if left.row_stride == 1 else b.mul(left.row_stride, number(r)) for r in range(rows)]
        zero = ir.Constant(vector, [constant(0, tile.dtype)] * tile.width)

        def accumulate(steps: Any, carry: Sequence[Any]) -> list[Any]:
            """Add so many steps of the sum. The carry: the next entries of A and B, and the sums."""
            with loop_with_carry(b, steps, carry) as (_, (x, y, *sums), new):
                vectors = [
                    self.load(b, b.gep(y, [number(v * tile.width)]), tile.width, n if tile.masks else tile.width)
                    for v, n in enumerate(lanes)
                ]
                new += [b.gep(x, [left.step]), b.gep(y, [right.step])]
                for r, offset in enumerate(row_offsets):
                    factor = broadcast(b, b.load(b.gep(x, [offset])), tile.width)
                    for total, other in zip(sums[r * len(lanes) :], vectors, strict=False):
                        new.append(multiply_add(self.module, b, factor, other, total))
            return new

        def accumulate_runs(level: int, carry: Sequence[Any]) -> list[Any]:
            """Add the runs from a level on: an operand that lies in memory leaps from one to the next, a panel goes on."""
            if level == len(runs):
                return accumulate(depth, carry)
            with loop_with_carry(b, runs[level], carry) as (_, (x, y, *sums), new):
                x_end, y_end, *sums = accumulate_runs(level + 1, [x, y, *sums])
                new.append(x_end if left.leaps is None else b.gep(x, [left.leaps[level]]))
                new.append(y_end if right.leaps is None else b.gep(y, [right.leaps[level]]))
                new += sums
            return new

        carry = [left.pointer, right.pointer, *[zero] * (rows * len(lanes))]
        if prefetch.pointers:  # a row of the tile in memory for each equal part of the sum
            tile_rows, row_length = shape[::-1] if result.transposed else shape
            steps = b.udiv(depth, number(tile_rows))
            with loop_with_carry(b, number(tile_rows), carry) as (row, values, new):
                self._prefetch(b, [b.gep(x, [b.mul(row, prefetch.stride)]) for x in prefetch.pointers], row_length)
                new += accumulate(steps, values)
            carry, depth = new, b.sub(depth, b.mul(steps, number(tile_rows)))
        _, _, *sums = accumulate_runs(0, carry)
        by_row = [sums[r * len(lanes) :][: len(lanes)] for r in range(rows)]
        stores = list(self._transposed(b, by_row, lanes) if result.transposed else self._straight(by_row, lanes))
        if is_first_block is None:
            self._store_tile(b, stores, result, is_added=False)
            return
        with b.if_else(is_first_block) as (then, otherwise):
            for branch, is_added in ((then, False), (otherwise, True)):
                with branch:
                    self._store_tile(b, stores, result, is_added)

    def _prefetch(self, b: Any, pointers: Sequence[Any], count: int) -> None:
        """Prefetch the cache lines of ``count`` numbers at each pointer.

        A processor keeps track of a dozen lines that are on their way. With more at once the loads of the product wait.
        """
        line = CACHE_LINE // self.tile.dtype.itemsize
        for pointer in pointers:
            for start in dict.fromkeys((*range(0, count, line), count - 1)):
                address = b.bitcast(b.gep(pointer, [number(start)]), ir.IntType(8).as_pointer())
                read, locality, data = (ir.Constant(I32, flag) for flag in (0, L2_LOCALITY, 1))
                intrinsic(self.module, b, "llvm.prefetch.p0", ir.VoidType(), [address, read, locality, data])

    def _store_tile(self, b: Any, stores: list[_Store], result: ResultTile, is_added: bool) -> None:
        """Store a tile of C, or add it to what is there."""
        for row, column, vector, count in stores:
            address = b.gep(result.pointer, [b.add(b.mul(result.stride, number(row)), number(column))])
            if is_added:
                vector = b.fadd(self.load(b, address, vector.type.count, count), vector)
            self._store(b, vector, address, count)

    def _straight(self, sums: list[list[Any]], lanes: list[int]) -> Iterator[_Store]:
        """Yield the stores of a tile whose rows are rows of C in memory."""
        for r, row in enumerate(sums):
            for v, (vector, count) in enumerate(zip(row, lanes, strict=True)):
                yield _Store(r, v * self.tile.width, vector, count)

    def _transposed(self, b: Any, sums: list[list[Any]], lanes: list[int]) -> Iterator[_Store]:
        """Yield the stores of a tile whose columns are rows of C in memory.

        The tile is transposed by log₂(rows) perfect shuffles: each interleaves the two halves of the rows, and so rotates
        the bits of the (row, lane) index by one.
        """
        rows, width = len(sums), self.tile.width
        size = 1 << (rows - 1).bit_length()
        for v, count in enumerate(lanes):
            vectors = [row[v] for row in sums]
            vectors += [ir.Constant(vectors[0].type, ir.Undefined)] * (size - rows)
            low = [i // 2 + (i % 2) * width for i in range(width)]
            for _ in range(size.bit_length() - 1):
                vectors = [
                    shuffled(b, vectors[i], vectors[i + size // 2], [lane + half * (width // 2) for lane in low])
                    for i in range(size // 2)
                    for half in (0, 1)
                ]
            for lane in range(count):
                for start in range(0, rows, width):
                    index = lane * size + start
                    vector, length = vectors[index // width], min(size, width)
                    if length < width:
                        vector = shuffled(b, vector, vector, [index % width + i for i in range(length)])
                    yield _Store(v * width + lane, start, vector, min(length, rows - start))

    # --- packing: step k, entry r of a panel holds x[r, k]; zeros beyond the last ---
    def pack(
        self, b: Any, size: int, count: int, panel: Any, source: Any, depth: Any, entry_stride: int, step: int
    ) -> None:
        """Call the packing of ``count`` × ``depth`` numbers into one panel of ``size``.

        In memory entries lie ``entry_stride`` apart, steps of the sum ``step``.
        """
        is_full = count == size and size % self._block(size) == 0
        fill: Callable[..., None]
        if entry_stride == 1 and is_full:
            order, fill = "contiguous", self._pack_contiguous
        elif step == 1 and is_full:
            order, fill = "transposed", self._pack_transposed
        else:
            order, fill = "strided", self._pack_strided
        kinds = [self.pointer, self.pointer, I64, I64, I64]
        name = self._name("pack", order, size, count)
        function = self._function(name, kinds, lambda builder, *args: fill(builder, size, count, *args))
        b.call(function, [panel, source, depth, number(entry_stride), number(step)])

    def _block(self, size: int) -> int:
        """Return the largest power of two that divides a panel and fits a vector."""
        return min(size & -size, self.tile.width)

    def _pack_contiguous(
        self, b: Any, size: int, _: int, panel: Any, source: Any, depth: Any, entry_stride: Any, step: Any
    ) -> None:
        """Copy vectors: entries are neighbours in memory."""
        width = self._block(size)
        with loop(b, number(0), depth) as k:
            for start in range(0, size, width):
                x = b.gep(source, [b.add(b.mul(k, step), number(start))])
                target = b.gep(panel, [b.add(b.mul(k, number(size)), number(start))])
                self._store(b, self.load(b, x, width, width), target, width)

    def _pack_transposed(
        self, b: Any, size: int, _: int, panel: Any, source: Any, depth: Any, entry_stride: Any, step: Any
    ) -> None:
        """Transpose square blocks in registers: steps of the sum are neighbours in memory."""
        width = min(self._block(size), MAX_TRANSPOSED_BLOCK)
        blocks = b.mul(b.sdiv(depth, number(width)), number(width))
        with loop(b, number(0), blocks, width) as k, loop(b, number(0), number(size), width) as start:
            x = b.gep(source, [b.add(b.mul(entry_stride, start), k)])
            rows = [self.load(b, b.gep(x, [b.mul(entry_stride, number(r))]), width, width) for r in range(width)]
            target = b.gep(panel, [b.add(b.mul(k, number(size)), start)])
            for column, vector in enumerate(_transposed(b, rows)):
                self._store(b, vector, b.gep(target, [number(column * size)]), width)
        with loop(b, blocks, depth) as k, loop(b, number(0), number(size)) as r:
            entry = b.load(b.gep(source, [b.add(b.mul(entry_stride, r), k)]))
            b.store(entry, b.gep(panel, [b.add(b.mul(k, number(size)), r)]))

    def _pack_strided(
        self, b: Any, size: int, count: int, panel: Any, source: Any, depth: Any, entry_stride: Any, step: Any
    ) -> None:
        """Copy numbers one at a time, and pad the panel with zeros."""
        with loop(b, number(0), depth) as k:
            start = b.mul(k, number(size))
            with loop(b, number(0), number(count)) as r:
                entry = b.load(b.gep(source, [b.add(b.mul(k, step), b.mul(r, entry_stride))]))
                b.store(entry, b.gep(panel, [b.add(start, r)]))
            for r in range(count, size):
                b.store(constant(0, self.tile.dtype), b.gep(panel, [b.add(start, number(r))]))

    # --- vectors ---
    def load(self, b: Any, address: Any, width: int, count: int) -> Any:
        """Return a vector of ``width`` numbers, of which only the first ``count`` are read: the others are zero."""
        return load(self.module, b, address, self.tile.dtype, width, first_lanes(width, count))

    def _store(self, b: Any, vector: Any, address: Any, count: int) -> None:
        """Write the first ``count`` numbers of a vector."""
        store(self.module, b, vector, address, self.tile.dtype, first_lanes(vector.type.count, count))


def _transposed(b: Any, rows: list[Any]) -> list[Any]:
    """Transpose a square of vectors in registers: log₂(width) rounds, each swaps the off-diagonal halves of blocks."""
    width = len(rows)
    half = width // 2
    while half:
        low = [i if not i & half else width + i - half for i in range(width)]
        high = [i + half if not i & half else width + i for i in range(width)]
        new = list(rows)
        for i in range(width):
            if not i & half:
                for lanes, row in ((low, i), (high, i + half)):
                    new[row] = shuffled(b, rows[i], rows[i + half], lanes)
        rows, half = new, half // 2
    return rows


__all__ = ["LeftOperand", "Panels", "Prefetch", "ResultTile", "RightOperand"]
