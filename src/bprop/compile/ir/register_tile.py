"""The register tile: the part of a product that a micro-kernel keeps in registers.

**The model of the processor.** A step of the sum multiplies r numbers of A with v vectors of B: r · v multiply-adds and
r + v loads. A multiply-add takes 4 or 5 cycles and two start in each, so 8 to 10 sums must be under way: r · v ≥ `MIN_SUMS`.
Registers hold r · v sums, v vectors and one broadcast number of A, and one register stays free: without it the compiler
spills what it reorders. Two loads start in a cycle, as multiply-adds do, so loads per multiply-add must stay well below one:
at most `MAX_LOADS`. A vector of n bytes lies across two lines of the cache, which takes two loads, n times in `CACHE_LINE`. Of
the tiles that pass, the one with the fewest vectors and then rows leaves the narrowest edges. So (r, v) is

- (8, 2) with 32 registers of 64 bytes: 19 in use, (8 + 2 · 2) / 16 = 0.75 loads;
- (6, 2) with 16 registers of 32 bytes: 15 in use, (6 + 2 · 1.5) / 12 = 0.75 loads; (4, 3) would take all 16;
- (5, 2) with 16 registers of 16 bytes: 13 in use, and one for a product where it is not fused with the sum.

**Source:** Goto & van de Geijn (2008), Anatomy of high-performance matrix multiplication.
"""

from typing import Any, Final

import numpy as np

from .target import CACHE_LINE, Target

MIN_SUMS = 10
"""Multiply-adds that must be under way at once: latency times how many start in a cycle."""
MAX_LOADS = 0.75
"""Loads per multiply-add at most."""


def tile(vector: int, registers: int) -> tuple[int, int]:
    """Return the rows and vectors of a register tile, for registers of so many bytes.

    >>> from bprop.compile.ir.register_tile import tile
    >>> tile(64, 32), tile(32, 16), tile(16, 15)
    ((8, 2), (6, 2), (5, 2))
    """
    lines = 1 + vector / CACHE_LINE
    return next(
        (rows, vectors)
        for vectors in range(1, registers)
        for rows in range(1, registers)
        if rows * vectors + vectors + 1 < registers
        and rows * vectors >= MIN_SUMS
        and rows + vectors * lines <= MAX_LOADS * rows * vectors
    )


class RegisterTile:
    """The tile of a dtype on a target: ``rows`` × ``columns`` entries, in vectors of ``width`` numbers."""

    def __init__(self, dtype: "np.dtype[Any]", target: Target) -> None:
        self.dtype: Final = dtype
        self.width: Final = target.lanes(dtype.itemsize)
        self.masks: Final = target.vector > 16
        """Whether vectors are loaded and stored under a mask by one instruction."""
        self.rows, self.vectors = tile(target.vector, target.registers - (not target.fused))

    @property
    def columns(self) -> int:
        """Return the columns of a tile."""
        return self.width * self.vectors


def padded(count: int, size: int) -> int:
    """Return ``count`` rounded up to a multiple of ``size``."""
    return -(-count // size) * size
