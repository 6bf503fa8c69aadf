"""A memory plan: where every value of a graph lives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ...core.graph import Edge, Graph
from ...core.shape import size_of

if TYPE_CHECKING:
    from .kernel import Kernel

ALIGNMENT = 64
"""Bytes at whose multiples buffers begin."""


class Buffer(NamedTuple):
    """Memory of a value: in the ``arena`` at a byte offset, or an ``input`` or ``output`` by position."""

    kind: str
    position: int


class Copy(NamedTuple):
    """A copy made at the end, when every kernel has run."""

    source: Buffer
    target: Buffer
    size: int


@dataclass(frozen=True, eq=False)
class MemoryPlan:
    """Where the values of a graph live.

    ``donated`` maps outputs to the inputs that they overwrite. ``buffers`` are those of all values, ``workspaces`` the arena
    offsets of what kernels need while they run; ``copies`` are made at the end. ``in_place`` are the outputs that are written into a donated input. ``size`` is the arena's, in bytes;
    ``total`` is what its values would take without reuse, ``largest_workspace`` the most that one kernel works in.
    """

    graph: Graph
    donated: Mapping[int, int]
    buffers: Mapping[Edge, Buffer]
    workspaces: "Mapping[Kernel, int]"
    copies: tuple[Copy, ...]
    in_place: tuple[int, ...]
    size: int
    total: int
    largest_workspace: int

    @property
    def contents(self) -> str:
        """What the arena is for, in words."""
        workspace = f", and up to {self.largest_workspace:,} B that a kernel works in" if self.largest_workspace else ""
        return f"{self.total:,} B of intermediate values{workspace}"

    def __str__(self) -> str:
        names = self.graph.names()
        lines = [f"arena {self.size:,} B for {self.contents}"]
        for edge, buffer in self.buffers.items():
            where = f"at {buffer.position:,}" if buffer.kind == "arena" else f"{buffer.kind} {buffer.position}"
            lines.append(f"  {names.get(edge.node, '?'):<6} {bytes_of(edge):>12,} B  {where}")
        for copy in self.copies:
            lines.append(
                f"  {copy.source.kind} {copy.source.position:,} copied to {copy.target.kind} {copy.target.position:,}"
            )
        outputs = f"outputs {', '.join(map(str, self.in_place))}" if self.in_place else "nothing"
        lines.append(f"  written in place: {outputs}")
        return "\n".join(lines)

    __repr__ = __str__


def bytes_of(edge: Edge) -> int:
    """Return how many bytes a value takes."""
    spec = edge.spec
    return size_of(spec.shape) * spec.dtype.itemsize


def aligned(size: int) -> int:
    """Return ``size`` rounded up to the alignment of buffers, at least one unit of it."""
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
