"""The register tile of a target: as many sums as registers hold, and a vector's lanes of the dtype."""

import numpy as np
import pytest

from bprop.compile.ir.register_tile import RegisterTile
from bprop.compile.ir.target import Target


@pytest.mark.parametrize(
    ("vector", "registers", "fused", "rows", "columns"),
    [(64, 32, True, 8, 32), (32, 16, True, 6, 16), (16, 16, False, 5, 8)],
    ids=["avx512", "avx2", "sse2"],
)
def test_tile_of_target(vector: int, registers: int, *, fused: bool, rows: int, columns: int) -> None:
    target = Target("", "", vector, registers, fused)
    tile = RegisterTile(np.dtype(np.float32), target)
    assert (tile.rows, tile.columns) == (rows, columns)
    assert RegisterTile(np.dtype(np.float64), target).columns == columns // 2
