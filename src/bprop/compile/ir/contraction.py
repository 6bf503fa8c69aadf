"""Contractions: C[batch, i, j] = Σₖ A[batch, i, k] · B[batch, k, j] with any strides, and how they are tiled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...core.graph import Edge

if TYPE_CHECKING:
    from .blocking import Blocking


@dataclass(frozen=True, eq=False)
class Label:
    """One axis of a contraction: its extent and its strides in A, B and C."""

    extent: int
    strides: tuple[int, int, int]

    def swapped(self) -> "Label":
        """Return the label with A and B exchanged."""
        return Label(self.extent, (self.strides[1], self.strides[0], self.strides[2]))


class Roles(NamedTuple):
    """Labels by their role: only in A and C, only in B and C, in all three, only in A and B."""

    rows: list[Label]
    columns: list[Label]
    batch: list[Label]
    contracted: list[Label]

    def swapped(self) -> "Roles":
        """Return the roles with A and B exchanged."""
        rows, columns, batch, contracted = ([label.swapped() for label in labels] for labels in self)
        return Roles(columns, rows, batch, contracted)


def merged(labels: Sequence[Label]) -> list[Label]:
    """Join neighbouring labels where every operand moves as if they were one."""
    result: list[Label] = []
    for label in labels:
        if result and all(a == c * label.extent for a, c in zip(result[-1].strides, label.strides, strict=True)):
            result[-1] = Label(result[-1].extent * label.extent, label.strides)
        else:
            result.append(label)
    return result


@dataclass(frozen=True, eq=False)
class Contraction:
    """The labels of a contraction by their role, and the way in which it is computed.

    ``edges`` and ``offsets`` are those of A and B. A tile has a ``row`` and a ``column`` label; ``outer`` are the other
    labels of the result, ``contracted`` those of the sum. ``dot_columns``: as dot products, of so many columns together, in
    vectors of ``width`` numbers along the sum; ``blocking``: in blocks, else in register tiles of ``rows`` × ``vectors`` vectors of ``width`` numbers. ``packs``: B is packed first, so that it moves by
    one along the columns; ``packed`` numbers of workspace are needed for that. Threads divide the range of ``parallel_label``.
    """

    dtype: "np.dtype[Any]"
    edges: tuple[Edge, Edge]
    offsets: tuple[int, int]
    row: Label
    column: Label
    outer: tuple[Label, ...]
    contracted: tuple[Label, ...]
    size: int
    empty: bool
    dot_columns: int
    packs: bool
    packed: int
    blocking: "Blocking | None"
    width: int
    vectors: int
    rows: int
    parallel_label: Label | None

    @property
    def dots(self) -> bool:
        """Whether it is computed as dot products."""
        return self.dot_columns > 0

    @property
    def labels(self) -> list[tuple[int, int]]:
        """Extent and stride of the labels of a large contraction's result, rows and columns in memory last."""
        blocking = self.blocking
        assert blocking is not None
        slow, fast = (blocking.column, blocking.row) if blocking.transposed else (blocking.row, blocking.column)
        return [(label.extent, label.strides[2]) for label in (*blocking.outer, slow, fast)]
