"""Loop plans: how the loops of a kernel are written for a target, where a nest only says what they are.

None of it depends on the number of threads, so results do not either. Contractions have plans of their own
(`bprop.compile.ir.contraction`, `bprop.compile.ir.blocking`).
"""

from dataclasses import dataclass
from typing import NamedTuple

from .loop_nest import Loop


class Partition(NamedTuple):
    """The loop whose iterations are divided among the threads, at multiples of ``grain``."""

    loop: Loop
    grain: int


@dataclass(frozen=True)
class LoopPlan:
    """How a nest is written. ``partition``: what threads divide, ``None`` where they cannot."""

    partition: Partition | None

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True)
class ReductionPlan(LoopPlan):
    """In which order a reduction combines.

    ``columns``: the innermost axis is not reduced, so a block of so many neighbouring results runs together, each with a
    state of its own; 0: a result at a time. ``lanes``: states of one result, side by side, so that the loop vectorises without
    reassociation. After ``chunk`` entries states are joined: pairwise if there are ``levels``, which is the logarithm of the
    most chunks; 0: what is short, or cannot be joined, is combined in one chunk.
    """

    columns: int
    lanes: int
    chunk: int
    levels: int

    def __str__(self) -> str:
        if self.columns:
            return f"{self.columns} columns together"
        return f"{self.lanes} lanes" + (f", chunks of {self.chunk} joined pairwise" if self.levels else "")


@dataclass(frozen=True)
class CumulationPlan(LoopPlan):
    """``columns``: as many neighbouring results run together as the innermost axis, not cumulated, has in a block; 0: one."""

    columns: int

    def __str__(self) -> str:
        return f"{self.columns} columns together" if self.columns else ""


@dataclass(frozen=True)
class RandomPlan:
    """How the numbers of random generators are drawn.

    Each of ``generators`` gives ``size`` numbers by the distribution ``entry``, in blocks of ``block`` numbers that come from
    one value of the counter. Threads divide the generators (``divides_generators``), or else the blocks of each at multiples of
    ``grain``.
    """

    entry: str
    generators: int
    size: int
    block: int
    divides_generators: bool
    grain: int

    def __str__(self) -> str:
        return f"blocks of {self.block}, threads divide the {'generators' if self.divides_generators else 'blocks'}"


@dataclass(frozen=True)
class FiniteCheckPlan:
    """``widths``: numbers in a vector, for each checked value; ``sums`` of vectors are under way at once."""

    widths: tuple[int, ...]
    sums: int

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True)
class RegionPlan:
    """``poll_interval``: Python polls for signals once in so many iterations, a power of two; ``None``: never."""

    poll_interval: int | None

    def __str__(self) -> str:
        return f"signals polled every {self.poll_interval} iterations" if self.poll_interval else ""


AnyPlan = LoopPlan | RandomPlan | FiniteCheckPlan | RegionPlan
