"""A schedule: the kernels and copies of a program in order, which of them threads share, and where all wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .memory_plan import Copy

if TYPE_CHECKING:
    from .kernel import Kernel


class ScheduledItem(NamedTuple):
    """A kernel or a final copy; whether threads share it, and whether all must have come this far before it begins."""

    work: "Kernel | Copy"
    is_parallel: bool
    needs_barrier: bool


@dataclass(frozen=True, eq=False)
class Schedule:
    """``segments`` of items in order; each is a function of its own. ``parallel``: what threads share.

    Of a kernel that threads share, ``parallel`` is how many nanoseconds one thread would work at it.
    """

    segments: tuple[tuple[ScheduledItem, ...], ...]
    parallel: "Mapping[Kernel, float]"

    @property
    def items(self) -> tuple[ScheduledItem, ...]:
        """All items in order."""
        return tuple(item for segment in self.segments for item in segment)

    @property
    def is_parallel(self) -> bool:
        """Whether threads share anything."""
        return any(item.is_parallel for segment in self.segments for item in segment)

    @property
    def nanoseconds(self) -> float:
        """How long one thread would work at all that threads share."""
        return sum(self.parallel.values())
