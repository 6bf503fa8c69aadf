"""A graph when all passes have run: what the back end emits, and what is printed of a program."""

from collections.abc import Iterator
from dataclasses import dataclass

from ...core.graph import Graph
from .kernel import Kernel
from .memory_plan import MemoryPlan
from .schedule import Schedule
from .target import Target


@dataclass(frozen=True, eq=False)
class Lowered:
    """A graph, its kernels in the order in which they run, where every value lives, and the schedule."""

    graph: Graph
    kernels: tuple[Kernel, ...]
    memory: MemoryPlan
    schedule: Schedule
    target: Target


def walk(lowered: Lowered, times: int = 1) -> Iterator[tuple[Kernel, int]]:
    """Yield the kernels of a program, also those in the bodies of its loops, each with how often a call runs it.

    Both sides of a branch count, and a loop of unknown length counts as one iteration.
    """
    for kernel in lowered.kernels:
        yield kernel, times
        for body in kernel.bodies:
            yield from walk(body, times * int(kernel.root.params.get("length", 1)))
