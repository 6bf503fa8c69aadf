"""Large contractions: cut into blocks that fit the caches, in packed panels or from where the operands lie.

C[i, j] = Σₖ A[i, k] · B[k, j] goes in blocks of columns, of the sum, and of rows. In each block the threads first pack its
panels together, then divide its macro tiles of C among them. A macro tile is complete, and still in the cache nearest to
the processor, when the maps that follow the contraction are computed on it; what only they need is never written to
memory. C is a function of shape and target alone: in which order an entry is summed does not depend on threads.

**The model.** Everything is counted in cycles of one vector multiply-add each. To pack a number costs
`PACK_CYCLES_CONTIGUOUS` where neighbours in memory are neighbours in the panel, `TRANSPOSE_CYCLES` where they are steps of
the sum, `PACK_CYCLES_STRIDED` otherwise. To read an operand where it lies costs a fraction of the multiply-adds,
`UNPACKED_FRACTION`, for the cache lines and pages that are touched more often, and `CONFLICT_FRACTION` more where the steps of
the sum fall into one or two sets of the nearest cache (multiples of `CONFLICT_BYTES`), which then holds a few of them only:
the next tile reads them from far away again. Multiplication commutes, so either operand
may be the one whose vectors are loaded; C's rows then run along the rows of the tile, which is transposed before it is
stored, at `TRANSPOSE_CYCLES` for each number of C. The cheapest strategy is taken. For a layer's y = x·Wᵀ with few
examples this leaves the weights where they are.

**The caches.** The macro tiles in one row of C read the same panels of A and all panels of B. Where those do not stay in the
second-level cache, B is packed in smaller column blocks instead, and A read again for each, if that is less to read.
Threads divide the macro tiles in order: down the columns where B is the larger operand, so that each thread reads mostly
panels that it packed itself.

**Split-K.** Where C is small and the sum long, as in weight gradients of convolutions, there are few macro tiles, and threads that
share panels spend their time on fetching them from each other's caches. Then the sum is split into parts, as many as shape and
target say, each with panels and a partial result of its own: a thread computes whole parts and waits for nobody, until all are
added up in order.

**Source:** Goto & van de Geijn (2008), Anatomy of high-performance matrix multiplication.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .contraction import Label, Roles, merged
from .register_tile import RegisterTile, padded
from .target import Target

DEPTH, STREAM_DEPTH = 256, 1024
"""Steps of the sum between two visits to C, about: a panel of B (256 × 32 float32, 32 KB) stays in the nearest cache. Where rows of A are
read as they lie, step after step, longer runs count for more, and the panel (128 KB) comes from the second-level cache."""
MIN_PIECE = 0.25
"""Steps of a block at least, as a fraction of these, where a label is cut for it."""
WORKSPACE_BYTES = 2**22
"""Bytes of an operand that are packed at a time: two operands stay in the last-level cache."""
COLUMN_BLOCK_BYTES, UNSPLIT_BYTES = 2**19, 2**20
"""Bytes of B in a column block, and those up to which B is not split: they stay in the second-level cache while A passes."""
MACRO_TILE = (32, 256)
"""Rows and columns in memory of a macro tile of C: with the maps' operands they stay in the second-level cache."""
MAX_ACCUMULATED_BYTES = 2**19
"""Bytes of C that stay in the second-level cache while all of its blocks are added to in turn."""
MIN_MACRO_TILES = 16
"""Macro tiles that there should be, so that threads get equal parts."""
MAX_SPLIT_SIZE, MIN_SPLIT_DEPTH = 2**15, 256
"""Numbers of C up to which the sum is split, and steps of each part: partial results are little beside their products."""
MIN_SPLITS, MAX_SPLITS = 4, 16
"""Parts of a sum that is split: so many that threads get equal shares."""
PACK_CYCLES_CONTIGUOUS, TRANSPOSE_CYCLES, PACK_CYCLES_STRIDED = (0.4, 0.15), 0.4, 1.5
"""Cycles for each number; of A's panels, which are narrow, parts of cache lines are copied."""
UNPACKED_FRACTION = (0.005, 0.03)
"""Reading A or B where it lies, as a fraction of the multiply-adds: of A numbers are read, of B vectors."""

CONFLICT_BYTES, CONFLICT_FRACTION = 2048, 0.5
"""A cache of 64 sets of 64 bytes has two for steps of 2 KB, and one for 4 KB."""


class Strategy(NamedTuple):
    """One way to compute, and what it costs in ``cycles``.

    ``swapped``: A and B change places. ``transposed``: C's rows in memory run along the rows of a tile. ``row`` and
    ``column`` are the labels of a tile, ``outer`` the others of C. ``packs`` says which operands are packed.
    """

    cycles: float
    swapped: bool
    transposed: bool
    row: Label
    column: Label
    outer: list[Label]
    packs: tuple[bool, bool]


class Run(NamedTuple):
    """Steps of the sum, or runs of them, that lie at constant strides in A and B; in a panel they follow each other.

    ``is_cut``: of a block that is cut there are ``length`` for each step of its slowest label.
    """

    length: int
    is_cut: bool
    strides: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Blocking:
    """How a contraction is cut. Pairs are for A's side (rows of C) and B's side (columns of C).

    ``swapped``, ``transposed``, ``row``, ``column``, ``outer`` and ``packs`` are those of the `Strategy`. ``block`` and
    ``macro_tile`` are rows and columns of C, ``block_depth`` is the steps of the slowest summed label in a block.
    ``packed_sizes`` are the numbers of one block's panels. Panels for ``group`` combinations of the outer labels are in
    memory together; an operand that ``packs_once`` is packed before all loops. ``is_column_major``: macro tiles follow each
    other down C's columns. ``split_extent``: so many steps of the slowest summed label make a part of the sum.
    ``cuts``: the two labels that this label stands for, if it does.
    """

    tile: RegisterTile
    swapped: bool
    transposed: bool
    row: Label
    column: Label
    outer: tuple[Label, ...]
    contracted: tuple[Label, ...]
    packs: tuple[bool, bool]
    macro_tile: tuple[int, int]
    block: tuple[int, int]
    block_depth: int
    packed_sizes: tuple[int, int]
    group: int
    packs_once: tuple[bool, bool]
    is_column_major: bool
    split_extent: int
    cuts: tuple[Label, ...]

    @property
    def outer_count(self) -> int:
        """How many combinations of values the outer labels have."""
        return prod(label.extent for label in self.outer)

    @property
    def inner_depth(self) -> int:
        """Steps of the sum for each step of the slowest summed label."""
        return prod(label.extent for label in self.contracted[1:])

    @property
    def runs(self) -> list[Run]:
        """The loops over the sum of the micro-kernel, the slowest first: one for each leap of an operand that is not packed."""
        result: list[Run] = []
        for number, label in enumerate(self.contracted):
            strides = label.strides[0], label.strides[1]
            length = 1 if number == 0 else label.extent
            if result and all(
                packs or before == stride * label.extent
                for packs, before, stride in zip(self.packs, result[-1].strides, strides, strict=True)
            ):
                result[-1] = Run(result[-1].length * length, result[-1].is_cut, strides)
            else:
                result.append(Run(length, number == 0, strides))
        return result

    @property
    def splits(self) -> int:
        """Into how many parts the sum is split."""
        return -(-self.contracted[0].extent // self.split_extent)

    @property
    def depth_blocks(self) -> int:
        """How many blocks a part of the sum is cut into."""
        return -(-self.split_extent // self.block_depth)

    @property
    def result_size(self) -> int:
        """How many numbers C has."""
        return self.outer_count * self.row.extent * self.column.extent

    @property
    def right_offset(self) -> int:
        """Where B's panels begin in the workspace, in numbers."""
        return padded(self._workspace(0), 64)

    @property
    def partial_offset(self) -> int:
        """Where the partial result of a part of the sum begins, after its panels."""
        return padded(self.right_offset + self._workspace(1), 64)

    @property
    def split_size(self) -> int:
        """Numbers of workspace for a part of the sum: its panels and its partial result."""
        return padded(self.partial_offset + self.result_size, 64)

    @property
    def packed(self) -> int:
        """Numbers of workspace."""
        return self.splits * self.split_size if self.splits > 1 else self.right_offset + self._workspace(1)

    @property
    def is_one_block(self) -> bool:
        """Whether there is one block, so that no panel is overwritten."""
        extents = self.row.extent, self.column.extent
        return (
            self.depth_blocks == 1
            and self.group >= self.outer_count
            and all(size >= extent for size, extent in zip(self.block, extents, strict=True))
        )

    def depends(self, side: int) -> bool:
        """Return whether an operand is another one for other values of the outer labels."""
        return _depends(self.outer, side)

    def _workspace(self, side: int) -> int:
        return self.packed_sizes[side] * (self.group if self.depends(side) else 1) * self.packs[side]


def plan_blocks(dtype: "np.dtype[Any]", roles: Roles, target: Target) -> Blocking:
    """Return how a contraction is cut."""
    tile, itemsize = RegisterTile(dtype, target), dtype.itemsize
    roles = Roles(*map(merged, roles))
    strategy = min(
        _strategy(roles, tile, swapped=False),
        _strategy(roles.swapped(), tile, swapped=True),
        key=lambda candidate: candidate.cycles,
    )
    _, swapped, transposed, row, column, outer, packs = strategy
    summed = in_memory_order(roles.swapped().contracted if swapped else roles.contracted)
    run = summed[-1]
    is_streamed = not packs[1] or (not packs[0] and run.strides[0] == 1 and run.extent > DEPTH)
    longest = STREAM_DEPTH if is_streamed else DEPTH
    summed, cuts = _cut(summed, longest)
    inner = prod(label.extent for label in summed[1:])
    outer_count = prod(label.extent for label in outer)
    result_size = outer_count * row.extent * column.extent
    split_extent = _split_extent(result_size, summed[0].extent, inner, tile.width)
    block_depth = 1 if cuts else -(-split_extent // max(1, round(split_extent * inner / longest)))
    steps = block_depth * inner

    tile_shape = tile.rows, tile.columns
    extents = row.extent, column.extent
    left, right = (padded(extent, size) * steps * itemsize for extent, size in zip(extents, tile_shape, strict=True))
    splits_columns = packs[1] and _splits_columns(left, right, row.extent, transposed)
    budgets = WORKSPACE_BYTES, COLUMN_BLOCK_BYTES if splits_columns else WORKSPACE_BYTES
    largest = [
        max(budget // (steps * itemsize), 1) if is_packed else extent
        for extent, is_packed, budget in zip(extents, packs, budgets, strict=True)
    ]
    limits = [min(extent, limit) for extent, limit in zip(extents, largest, strict=True)]
    macro_tile = _macro_tile(limits, tile_shape, transposed, outer_count)
    block = _even(extents[0], largest[0], macro_tile[0]), _even(extents[1], largest[1], macro_tile[1])
    packed = [padded(min(b, n), t) * steps for b, n, t in zip(block, extents, tile_shape, strict=True)]

    fits = [size >= extent for size, extent in zip(block, extents, strict=True)]
    is_one_block = split_extent <= block_depth
    group = outer_count if all(fits) and (is_one_block or result_size * itemsize <= MAX_ACCUMULATED_BYTES) else 1
    for side in (0, 1):
        if packs[side] and _depends(outer, side):
            group = max(1, min(group, WORKSPACE_BYTES // (packed[side] * itemsize)))
    is_one_block &= split_extent == summed[0].extent
    once = [packs[side] and not _depends(outer, side) and fits[side] and is_one_block for side in (0, 1)]
    return Blocking(
        tile=tile,
        swapped=swapped,
        transposed=transposed,
        row=row,
        column=column,
        outer=tuple(outer),
        contracted=tuple(summed),
        packs=packs,
        macro_tile=macro_tile,
        block=block,
        block_depth=block_depth,
        packed_sizes=(packed[0], packed[1]),
        group=group,
        packs_once=(once[0], once[1]),
        is_column_major=packs == (False, True) and right > left,
        split_extent=split_extent,
        cuts=cuts,
    )


def _cut(summed: list[Label], longest: int) -> tuple[list[Label], tuple[Label, ...]]:
    """Cut the second of the summed labels, where one step of the first is more than ``longest`` steps of the sum.

    The pieces are equal, and no label is cut into ones that are much shorter. Return the labels, of which the first then goes over steps of the old first and over pieces of the second, and these two.
    """
    if len(summed) == 1 or prod(label.extent for label in summed[1:]) <= longest:
        return summed, ()
    first, second, *rest = summed
    most = longest // prod(label.extent for label in rest)
    piece = max((size for size in range(1, min(most, second.extent) + 1) if second.extent % size == 0), default=0)
    if piece < MIN_PIECE * most:
        return summed, ()
    pieces = Label(second.extent // piece, _scaled(second.strides, piece))
    joint = Label(first.extent * pieces.extent, pieces.strides)
    return [joint, Label(piece, second.strides), *rest], (first, pieces)


def _scaled(strides: tuple[int, int, int], factor: int) -> tuple[int, int, int]:
    return strides[0] * factor, strides[1] * factor, strides[2] * factor


def _split_extent(size: int, extent: int, inner: int, width: int) -> int:
    """Return the steps of the slowest summed label in a part of the sum of ``size`` numbers: all, or some for split-K."""
    parts = min(MAX_SPLITS, extent, extent * inner // MIN_SPLIT_DEPTH)
    if size > MAX_SPLIT_SIZE or parts < MIN_SPLITS:
        return extent
    return padded(-(-extent // parts), width if inner == 1 else 1)


def _strategy(roles: Roles, tile: RegisterTile, swapped: bool) -> Strategy:
    """Return the cheapest strategy with the operands in this order; C moves by one along rows or columns."""
    rows, columns, batch, contracted = roles
    contracted = in_memory_order(contracted)
    transposed = any(label.strides[2] == 1 for label in rows)
    row = max(rows, key=lambda label: (transposed and label.strides[2] == 1, label.extent))
    column = max(
        columns, key=lambda label: (not transposed and label.strides[2] == 1, label.strides[1] == 1, label.extent)
    )
    outer = [*batch, *(x for x in rows if x is not row), *(x for x in columns if x is not column)]
    outer_count, width = prod(label.extent for label in outer), tile.width
    depth = prod(label.extent for label in contracted)
    multiply_adds = outer_count * row.extent * padded(column.extent, width) * depth / width
    cycles = multiply_adds + TRANSPOSE_CYCLES * transposed * outer_count * row.extent * column.extent
    packs = []
    for operand, label in enumerate((row, column)):
        stride, step = label.strides[operand], contracted[-1].strides[operand]
        per_transposed = TRANSPOSE_CYCLES if step == 1 else PACK_CYCLES_STRIDED
        per_number = PACK_CYCLES_CONTIGUOUS[operand] if stride == 1 else per_transposed
        packing = per_number * label.extent * depth * prod(x.extent for x in outer if x.strides[operand])
        unpacked = UNPACKED_FRACTION[operand] * multiply_adds
        if step * tile.dtype.itemsize % CONFLICT_BYTES == 0:
            unpacked += CONFLICT_FRACTION * multiply_adds
        is_readable = operand == 0 or (stride == 1 and (tile.masks or label.extent % width == 0))
        packs.append(not is_readable or packing < unpacked)
        cycles += packing if packs[-1] else unpacked
    return Strategy(cycles, swapped, transposed, row, column, outer, (packs[0], packs[1]))


def in_memory_order(contracted: Sequence[Label]) -> list[Label]:
    """Return the labels of the sum as B lies in memory, so that its steps are few and long runs."""
    return sorted(contracted, key=lambda label: -abs(label.strides[1]))


def _depends(outer: Sequence[Label], side: int) -> bool:
    return any(label.strides[side] for label in outer)


def _splits_columns(left: int, right: int, rows: int, transposed: bool) -> bool:
    """Return whether to read A, of ``left`` bytes, again for each column block of B, not B for each row of macro tiles."""
    tile_rows = -(-rows // MACRO_TILE[transposed])
    return right > UNSPLIT_BYTES and right / COLUMN_BLOCK_BYTES * left + right < tile_rows * right


def _macro_tile(
    extents: Sequence[int], tile: Sequence[int], transposed: bool, outer_count: int
) -> tuple[int, int]:  # fmt: skip
    """Return the rows and columns of a macro tile: there are `MIN_MACRO_TILES` in a block if that leaves register tiles."""
    shape = list(reversed(MACRO_TILE) if transposed else MACRO_TILE)
    shape = [min(padded(m, t), padded(n, t)) for m, t, n in zip(shape, tile, extents, strict=True)]
    while outer_count * prod(-(-n // m) for n, m in zip(extents, shape, strict=True)) < MIN_MACRO_TILES:
        divisible = [side for side in (0, 1) if shape[side] > tile[side]]
        if not divisible:
            break
        side = max(divisible, key=lambda side: shape[side])
        shape[side] = padded(shape[side] // 2, tile[side])
    return shape[0], shape[1]


def _even(extent: int, largest: int, grain: int) -> int:
    """Return the size of equal parts of ``extent``, multiples of ``grain`` and at most about ``largest``."""
    parts = -(-extent // max(largest, grain))
    return padded(-(-extent // parts), grain)
