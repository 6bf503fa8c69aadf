"""A schedule: the kernels and copies of a program in order, which of them are parallel, and the barriers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .memory_plan import Copy

if TYPE_CHECKING:
    from .kernel import Kernel


class ScheduledItem(NamedTuple):
    """A kernel or a final copy; whether it is parallel, and whether a barrier comes before it."""

    work: "Kernel | Copy"
    is_parallel: bool
    needs_barrier: bool


@dataclass(frozen=True, eq=False)
class Schedule:
    """``segments`` of items in order; each is a function of its own.

    ``parallel`` maps the kernels that all threads work at to the nanoseconds that one thread would take.
    """

    segments: tuple[tuple[ScheduledItem, ...], ...]
    parallel: "Mapping[Kernel, float]"

    @property
    def items(self) -> tuple[ScheduledItem, ...]:
        """All items in order."""
        return tuple(item for segment in self.segments for item in segment)

    @property
    def is_parallel(self) -> bool:
        """Whether any item is parallel."""
        return any(item.is_parallel for segment in self.segments for item in segment)

    @property
    def nanoseconds(self) -> float:
        """How long one thread would take for all that is parallel."""
        return sum(self.parallel.values())
