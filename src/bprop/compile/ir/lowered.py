"""A graph when all passes have run: what the back end emits, and what is printed of a program."""

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
