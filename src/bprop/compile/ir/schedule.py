"""A schedule: the kernels and copies of a program in order, which of them are parallel, and the barriers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .memory_plan import Copy

if TYPE_CHECKING:
    from .kernel import Kernel


class ScheduledItem(NamedTuple):
    """A kernel or a final copy, and whether a barrier comes before it.

    ``nanoseconds``: how long one thread would take for what all threads work at; ``None``: it is for thread 0 alone.
    """

    work: "Kernel | Copy"
    nanoseconds: float | None
    needs_barrier: bool

    @property
    def is_parallel(self) -> bool:
        """Whether all threads work at it."""
        return self.nanoseconds is not None


@dataclass(frozen=True, eq=False)
class Schedule:
    """``segments`` of items in order; each is a function of its own.

    ``nanoseconds``: how long one thread would take for all parallel kernels, ``None`` where none is. ``uses_threads``: whether
    that is so much that a call runs on several threads.
    """

    segments: tuple[tuple[ScheduledItem, ...], ...]
    nanoseconds: float | None
    uses_threads: bool

    @property
    def items(self) -> tuple[ScheduledItem, ...]:
        """All items in order."""
        return tuple(item for segment in self.segments for item in segment)

    @property
    def is_parallel(self) -> bool:
        """Whether any item is parallel."""
        return any(item.is_parallel for segment in self.segments for item in segment)
