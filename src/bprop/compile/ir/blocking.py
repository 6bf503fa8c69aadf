"""Large contractions: cut into blocks that fit the caches, in packed panels or from where the operands lie.

C[i, j] = Σₖ A[i, k] · B[k, j] goes in blocks of columns, of the sum, and of rows; the threads share first the packing of a
block's panels, then its units of rows × columns of C. A unit is complete, and still in the cache nearest to the
processor, when the maps that follow the contraction are computed on it; what only they need is never written to memory.
C is a function of shape and target alone: a thread adds nothing up that another began.

**The model.** Everything is counted in cycles of one vector multiply-add each. A number costs `COPIED` to pack where
neighbours in memory are neighbours in the panel, `TRANSPOSED` where they are steps of the sum, `GATHERED` otherwise;
reading it where it lies costs a share of the work, `NUMBERS` or `VECTORS`, for the cache lines and pages that it touches
more often. Multiplication commutes, so either operand may be the one whose vectors are loaded; C's rows then run along the
rows of the tile, which is transposed before it is stored, at `TRANSPOSED` for each number of C. The cheapest way is taken.
For a layer's y = x·Wᵀ with few examples this leaves the weights where they are.

**The caches.** Units of one row of C read the same part of A and all panels of B. Where those do not stay in the second-level
cache, B is packed strip by strip instead, and A read again for each, if that is less to read. Threads divide the units as they
follow each other: downwards where B is the larger operand, so that each reads the panels that it packed, and not another's.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .contraction import Label, merged
from .register_tile import RegisterTile, padded
from .target import Target

DEPTH = 1024
"""Steps of the sum between two visits to C: a panel of B (DEPTH × 32 float32, 128 KB) stays in the second-level cache."""
WORKSPACE = 2**22
"""Bytes of an operand that are packed at a time: two operands stay in the last-level cache."""
STRIP, UNSTRIPPED = 2**19, 2**20
"""Bytes of B in a strip, and those up to which B needs none: they stay in the second-level cache while A passes by."""
UNIT = (32, 256)
"""Rows and columns of C in memory that are one unit: with the maps' operands they stay in the second-level cache."""
UNITS = 16
"""Units that there should be, so that threads get equal parts."""
COPIED, TRANSPOSED, GATHERED = 0.15, 0.4, 1.5
NUMBERS, VECTORS = 0.005, 0.03


class Strategy(NamedTuple):
    """One way to compute, and what it costs.

    ``swapped``: the operands change places; ``transposed``: C's rows in memory run along the rows of a tile; ``row`` and
    ``column`` are the labels of a tile's, ``packs`` says which operands are packed.
    """

    cost: float
    swapped: bool
    transposed: bool
    row: Label
    column: Label
    outer: list[Label]
    packs: tuple[bool, bool]


class Blocking:
    """How a contraction is cut; ``packed`` numbers of workspace are for panels."""

    def __init__(
        self, dtype: "np.dtype[Any]", rows: list[Label], columns: list[Label], batch: list[Label],
        contracted: list[Label], target: Target,
    ) -> None:  # fmt: skip
        self.tile = register_tile = RegisterTile(dtype, target)
        self.contracted = merged(contracted)
        self.depth = prod(label.extent for label in self.contracted)
        labels = merged(rows), merged(columns), merged(batch), self.contracted
        other = [[label.swapped() for label in side] for side in labels]
        strategy = min(
            self._strategy(*labels, False),
            self._strategy(other[1], other[0], other[2], other[3], True),
            key=lambda candidate: candidate.cost,
        )
        _, self.swapped, self.transposed, self.row, self.column, self.outer, self.packs = strategy
        if self.swapped:
            self.contracted = other[3]
        self.count = prod(label.extent for label in self.outer)

        first, *rest = self.contracted
        self.inner = prod(label.extent for label in rest)
        self.chunk = max(1, min(first.extent, DEPTH // self.inner))
        """Steps of the slowest summed label in a block."""
        self.steps = self.chunk * self.inner
        self.blocks = -(-first.extent // self.chunk)
        sides, tile = (self.row, self.column), (register_tile.rows, register_tile.columns)
        bytes_of = [
            padded(label.extent, size) * self.steps * dtype.itemsize for label, size in zip(sides, tile, strict=True)
        ]
        strips = self.packs[1] and self._in_strips(*bytes_of)
        most = [
            max(workspace // (self.steps * dtype.itemsize), 1) if packs else label.extent
            for label, packs, workspace in zip(
                sides, self.packs, (WORKSPACE, STRIP if strips else WORKSPACE), strict=True
            )
        ]
        self.unit = self._unit([min(label.extent, m) for label, m in zip(sides, most, strict=True)])
        self.block = tuple(_even(label.extent, m, u) for label, m, u in zip(sides, most, self.unit, strict=True))
        fits = [size >= label.extent for size, label in zip(self.block, sides, strict=True)]
        self.each = each = tuple(
            padded(min(s, label.extent), size) * self.steps
            for s, label, size in zip(self.block, sides, tile, strict=True)
        )
        self.group = self.count
        if not all(fits) or self.blocks > 1:
            self.group = 1
        for side in (0, 1):
            if self.packs[side] and self.depends(side):
                self.group = max(1, min(self.group, WORKSPACE // (each[side] * dtype.itemsize)))
        self.once = tuple(self.packs[s] and not self.depends(s) and fits[s] and self.blocks == 1 for s in (0, 1))
        workspace = [each[s] * (self.group if self.depends(s) else 1) * self.packs[s] for s in (0, 1)]
        self.downward = self.packs == (False, True) and bytes_of[1] > bytes_of[0]
        """Whether units follow each other down C's columns: of B a thread then reads most of what it packed itself."""
        self.right = padded(workspace[0], 64)
        self.packed = self.right + workspace[1]

    def _strategy(
        self,
        rows: list[Label],
        columns: list[Label],
        batch: list[Label],
        contracted: list[Label],
        swapped: bool,
    ) -> Strategy:
        """Return the strategy with these sides, on one of which C moves by one."""
        transposed = any(label.strides[2] == 1 for label in rows)
        row = max(rows, key=lambda label: (transposed and label.strides[2] == 1, label.extent))
        column = max(
            columns, key=lambda label: (not transposed and label.strides[2] == 1, label.strides[1] == 1, label.extent)
        )
        outer = [*batch, *(x for x in rows if x is not row), *(x for x in columns if x is not column)]
        times = prod(label.extent for label in outer)
        width = self.tile.width
        work = times * row.extent * padded(column.extent, width) * self.depth / width
        along = contracted[-1].strides
        cost, packs = work + TRANSPOSED * transposed * times * row.extent * column.extent, []
        for operand, label, share in ((0, row, NUMBERS), (1, column, VECTORS)):
            stride = label.strides[operand]
            step = along[operand]
            each = COPIED if stride == 1 else TRANSPOSED if step == 1 else GATHERED
            packing = each * label.extent * self.depth * prod(x.extent for x in outer if x.strides[operand])
            direct = len(contracted) == 1 and (
                operand == 0 or (stride == 1 and (self.tile.masks or label.extent % width == 0))
            )
            packs.append(not direct or packing < share * work)
            cost += packing if packs[-1] else share * work
        return Strategy(cost, swapped, transposed, row, column, outer, (packs[0], packs[1]))

    def depends(self, side: int) -> bool:
        """Return whether an operand is another for other values of the outer labels."""
        return any(label.strides[side] for label in self.outer)

    def _in_strips(self, left: int, right: int) -> bool:
        """Return whether A, of ``left`` bytes, is read again for each strip of B, or B for each row of units."""
        down = -(-self.row.extent // UNIT[self.transposed])
        return right > UNSTRIPPED and right / STRIP * left + right < down * right

    def _unit(self, extents: Sequence[int]) -> tuple[int, int]:
        """Return the rows and columns of a unit, of which a block has `UNITS` if that leaves whole tiles."""
        tile = self.tile.rows, self.tile.columns
        unit = list(reversed(UNIT) if self.transposed else UNIT)
        unit = [min(padded(u, t), padded(e, t)) for u, t, e in zip(unit, tile, extents, strict=True)]
        while self.count * prod(-(-e // u) for e, u in zip(extents, unit, strict=True)) < UNITS:
            able = [s for s in (0, 1) if unit[s] > tile[s]]
            if not able:
                break
            side = max(able, key=lambda s: unit[s])
            unit[side] = padded(unit[side] // 2, tile[side])
        return unit[0], unit[1]


def _even(extent: int, most: int, grain: int) -> int:
    """Return the size of equal parts of ``extent``, multiples of ``grain`` and at most about ``most``."""
    parts = -(-extent // max(most, grain))
    return padded(-(-extent // parts), grain)
