"""The inner parts of large contractions: the micro-kernel that keeps a tile of C in registers, and packing into panels.

A panel of A holds ``rows`` numbers for each step of the sum side by side, a panel of B whole vectors. The micro-kernel
runs over one panel of each and keeps rows × columns of C in registers meanwhile; an operand that already lies so is
read where it is. Functions are made once per program, for each exact size of a tile, and shared by all contractions of one
dtype; strides are arguments.

**Source:** Goto & van de Geijn (2008), Anatomy of high-performance matrix multiplication; Van Zee & van de Geijn (2015),
BLIS.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from ..ir.register_tile import RegisterTile
from ..ir.target import CACHE_LINE
from .loop import loop, loop_with_carry, number
from .type import I32, I64, constant, register
from .vector import first_lanes, intrinsic, load, multiply_add, shuffled, spread, store

TURNED = 8
"""Numbers along a block that is transposed in registers: larger ones gain nothing and take LLVM long."""
SECOND = 2
"""The second-level cache, as LLVM numbers them."""


class Panels:
    """Emits the functions of one module: micro-kernel and packing, each on first use."""

    def __init__(self, module: Any, tile: RegisterTile) -> None:
        self.module = module
        self.tile = tile
        self.kind = register(tile.dtype)
        self.pointer = self.kind.as_pointer()

    def _function(self, name: str, arguments: Sequence[Any], fill: Callable[..., None]) -> Any:
        known = self.module.globals.get(name)
        if known is not None:
            return known
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), arguments), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        for argument in function.args:
            if argument.type == self.pointer:
                argument.add_attribute("noalias")
        b: Any = ir.IRBuilder(function.append_basic_block("entry"))
        fill(b, *function.args)
        b.ret_void()
        return function

    def _name(self, *parts: Any) -> str:
        return "_".join(map(str, (*parts, self.tile.dtype)))

    # --- C (+)= A · B for one tile ---
    def micro(
        self, b: Any, tile: tuple[int, int], depth: Any, left: Any, across: int, along: Any, right: Any, gap: Any,
        c: Any, step: Any, first: Any, turned: bool, beside: Sequence[Any] = (), apart: Any = None,
    ) -> None:  # fmt: skip
        """Call the micro-kernel for a ``tile`` of rows × columns.

        Rows of A lie ``across`` apart, steps of the sum ``along`` in A and ``gap`` in B; rows of C lie ``step`` apart, or
        its columns where it is ``turned``. ``first``: C is not read; ``None`` where it never is. What lies ``beside`` the
        tile, in arrays whose rows in memory lie ``apart``, is asked for meanwhile: who reads it afterwards finds it in the cache.
        """
        near = across == 1
        more = [*[first] * (first is not None), *beside, *[apart] * bool(beside)]
        ways = "near" if near else "far", "turned" if turned else "straight", "once" if first is None else "often"
        name = self._name("micro", *tile, *ways, len(beside))
        kinds = [I64, self.pointer, I64, I64, self.pointer, I64, self.pointer, I64, *(one.type for one in more)]
        shape = near, turned, len(beside)
        kernel = self._function(name, kinds, lambda builder, *args: self._micro(builder, tile, *shape, *args))
        b.call(kernel, [depth, left, number(across), along, right, gap, c, step, *more])

    def _micro(
        self, b: Any, tile: tuple[int, int], near: bool, turned: bool, count: int, depth: Any, left: Any,
        across: Any, along: Any, right: Any, gap: Any, c: Any, step: Any, *more: Any,
    ) -> None:  # fmt: skip
        (rows, columns), registers = tile, self.tile
        counts = [min(registers.width, columns - start) for start in range(0, columns, registers.width)]
        vector = ir.VectorType(self.kind, registers.width)
        places = [number(r) if near else b.mul(across, number(r)) for r in range(rows)]
        zero = ir.Constant(vector, [constant(0, registers.dtype)] * registers.width)

        def add(steps: Any, state: Sequence[Any]) -> list[Any]:
            """Add so many steps of the sum; the state is where A and B are, and the sums."""
            with loop_with_carry(b, steps, state) as (_, (x, y, *sums), new):
                vectors = [
                    self.load(
                        b,
                        b.gep(y, [number(v * registers.width)]),
                        registers.width,
                        n if registers.masks else registers.width,
                    )
                    for v, n in enumerate(counts)
                ]
                new += [b.gep(x, [along]), b.gep(y, [gap])]
                for r, place in enumerate(places):
                    one = spread(b, b.load(b.gep(x, [place])), registers.width)
                    for total, other in zip(sums[r * len(counts) :], vectors, strict=False):
                        new.append(multiply_add(self.module, b, one, other, total))
            return new

        state = [left, right, *[zero] * (rows * len(counts))]
        if count:
            more, beside, apart = more[: -count - 1], more[-count - 1 : -1], more[-1]
            down, wide = tile[::-1] if turned else tile
            part = b.udiv(depth, number(down))
            with loop_with_carry(b, number(down), state) as (r, now, new):
                self._ask(b, [b.gep(x, [b.mul(r, apart)]) for x in beside], wide)
                new += add(part, now)
            state, depth = new, b.sub(depth, b.mul(part, number(down)))
        _, _, *sums = add(depth, state)
        tiled = [sums[r * len(counts) :][: len(counts)] for r in range(rows)]
        stores = list(self._turned(b, tiled, counts) if turned else self._straight(tiled, counts))
        if not more:
            self._put(b, stores, c, step, False)
            return
        with b.if_else(more[0]) as (fresh, again):
            for branch, known in ((fresh, False), (again, True)):
                with branch:
                    self._put(b, stores, c, step, known)

    def _ask(self, b: Any, places: Sequence[Any], count: int) -> None:
        """Ask for the lines of memory of ``count`` numbers at each place.

        A processor keeps track of a dozen lines that are on their way. More at once, and the loads of the product wait.
        """
        numbers = CACHE_LINE // self.tile.dtype.itemsize
        for place in places:
            for start in dict.fromkeys((*range(0, count, numbers), count - 1)):
                at = b.bitcast(b.gep(place, [number(start)]), ir.IntType(8).as_pointer())
                flags = [ir.Constant(I32, flag) for flag in (0, SECOND, 1)]
                intrinsic(self.module, b, "llvm.prefetch.p0", ir.VoidType(), [at, *flags])

    def _put(self, b: Any, stores: list[Any], c: Any, step: Any, known: bool) -> None:
        """Store a tile of C, or add it to what is ``known`` of it."""
        for r, start, one, count in stores:
            place = b.gep(c, [b.add(b.mul(step, number(r)), number(start))])
            if known:
                one = b.fadd(self.load(b, place, one.type.count, count), one)
            self._store(b, one, place, count)

    def _straight(self, sums: list[list[Any]], counts: list[int]) -> Any:
        """Yield what is stored: row of C, where in it, the vector, and how many of its lanes count."""
        for r, row in enumerate(sums):
            for v, (one, count) in enumerate(zip(row, counts, strict=True)):
                yield r, v * self.tile.width, one, count

    def _turned(self, b: Any, sums: list[list[Any]], counts: list[int]) -> Any:
        """Yield what is stored where the rows of the tile lie along the rows of C in memory.

        Rows one after the other are one sequence, whose places are numbers of some bits: those of the row, then those
        of the lane. To interleave its halves turns these bits by one place; after log₂(rows) times they stand turned.
        """
        rows, width = len(sums), self.tile.width
        size = 1 << (rows - 1).bit_length()
        for v, count in enumerate(counts):
            parts = [row[v] for row in sums]
            parts += [ir.Constant(parts[0].type, ir.Undefined)] * (size - rows)
            low = [i // 2 + (i % 2) * width for i in range(width)]
            for _ in range(size.bit_length() - 1):
                parts = [
                    shuffled(b, parts[a], parts[a + size // 2], [i + half * (width // 2) for i in low])
                    for a in range(size // 2)
                    for half in (0, 1)
                ]
            for lane in range(count):
                for start in range(0, rows, width):
                    place = lane * size + start
                    part, few = parts[place // width], min(size, width)
                    one = part if few == width else shuffled(b, part, part, [place % width + i for i in range(few)])
                    yield v * width + lane, start, one, min(few, rows - start)

    # --- packing: step k, entry r of a panel holds x[r, k]; zeros beyond the last ---
    def pack(self, b: Any, size: int, count: int, to: Any, x: Any, depth: Any, across: int, along: int) -> None:
        """Call the packing of ``count`` × ``depth`` numbers into one panel of ``size``.

        In memory entries lie ``across`` apart, steps ``along``.
        """
        whole = count == size and size % self._block(size) == 0
        way = "rows" if across == 1 and whole else "turned" if along == 1 and whole else "any"
        fill = {"rows": self._pack_rows, "turned": self._pack_turned, "any": self._pack_any}[way]
        kinds = [self.pointer, self.pointer, I64, I64, I64]
        name = self._name("pack", way, size, count)
        function = self._function(name, kinds, lambda builder, *args: fill(builder, size, count, *args))
        b.call(function, [to, x, depth, number(across), number(along)])

    def _block(self, size: int) -> int:
        """Return the largest power of two that divides a panel and fits a vector."""
        return min(size & -size, self.tile.width)

    def _pack_rows(self, b: Any, size: int, _: int, panel: Any, x: Any, depth: Any, across: Any, along: Any) -> None:
        width = self._block(size)
        with loop(b, number(0), depth) as k:
            for start in range(0, size, width):
                source = b.gep(x, [b.add(b.mul(k, along), number(start))])
                target = b.gep(panel, [b.add(b.mul(k, number(size)), number(start))])
                self._store(b, self.load(b, source, width, width), target, width)

    def _pack_turned(self, b: Any, size: int, _: int, panel: Any, x: Any, depth: Any, across: Any, along: Any) -> None:
        """Turn square blocks: rows of memory become columns of the panel."""
        width = min(self._block(size), TURNED)
        blocks = b.mul(b.sdiv(depth, number(width)), number(width))
        with loop(b, number(0), blocks, width) as k, loop(b, number(0), number(size), width) as start:
            source = b.gep(x, [b.add(b.mul(across, start), k)])
            rows = [self.load(b, b.gep(source, [b.mul(across, number(r))]), width, width) for r in range(width)]
            target = b.gep(panel, [b.add(b.mul(k, number(size)), start)])
            for step, row in enumerate(_transposed(b, rows)):
                self._store(b, row, b.gep(target, [number(step * size)]), width)
        with loop(b, blocks, depth) as k, loop(b, number(0), number(size)) as r:
            one = b.load(b.gep(x, [b.add(b.mul(across, r), k)]))
            b.store(one, b.gep(panel, [b.add(b.mul(k, number(size)), r)]))

    def _pack_any(self, b: Any, size: int, count: int, panel: Any, x: Any, depth: Any, across: Any, along: Any) -> None:
        with loop(b, number(0), depth) as k:
            start = b.mul(k, number(size))
            with loop(b, number(0), number(count)) as r:
                one = b.load(b.gep(x, [b.add(b.mul(k, along), b.mul(r, across))]))
                b.store(one, b.gep(panel, [b.add(start, r)]))
            for r in range(count, size):
                b.store(constant(0, self.tile.dtype), b.gep(panel, [b.add(start, number(r))]))

    # --- vectors ---
    def load(self, b: Any, place: Any, width: int, count: int) -> Any:
        """Return ``width`` numbers from memory, of which only the first ``count`` are there: the others are zero."""
        return load(self.module, b, place, self.tile.dtype, width, first_lanes(width, count))

    def _store(self, b: Any, x: Any, place: Any, count: int) -> None:
        """Write the first ``count`` numbers of a vector."""
        store(self.module, b, x, place, self.tile.dtype, first_lanes(x.type.count, count))


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
                for lanes, place in ((low, i), (high, i + half)):
                    new[place] = shuffled(b, rows[i], rows[i + half], lanes)
        rows, half = new, half // 2
    return rows


__all__ = ["Panels"]
