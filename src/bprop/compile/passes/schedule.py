"""What the threads of a team share: which kernels are worth it, and where all must wait for each other.

Both follow from the graph and the target alone. Work is split over entries of the result, never over the terms of a
sum: which thread computes an entry does not show in it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from ..ir.loop_nest import Nest
from ..ir.scalar_expr import spec_of
from ..llvm.host import machine
from ..runtime.thread_pool import POSSIBLE, least
from .fuse import Kernel
from .plan_memory import Copy, Place, Plan, bytes_of

T = TypeVar("T")
MANY = 32
"""Turns of a loop that are enough to share it rather than one inside it."""
LINE = 64
"""Bytes that one processor writes at a time: two threads should not write to the same."""


def duration(kernel: Kernel) -> float:
    """Return roughly how many nanoseconds one thread works at a kernel."""
    if kernel.kind == "contract":
        return kernel.flops * spec_of((kernel.root, 0)).dtype.itemsize / (4 * machine().vector)
    slow = 4 if kernel.kind in ("reduce", "cumulate", "random") else 1
    return kernel.bytes / 16 + kernel.flops * slow / 8


def shared(
    kernels: Sequence[Kernel], nests: Mapping[Kernel, Nest], bodies: Mapping[Kernel, Any]
) -> dict[Kernel, float]:
    """Return the kernels whose work the threads of a team share, and how long one thread works at each.

    A scan is shared if kernels of its body are.
    """
    found: dict[Kernel, float] = {}
    for kernel in kernels:
        if kernel.kind == "scan":
            (body,) = bodies[kernel]
            time, enough = body.work * kernel.root.params["length"], bool(body.parallel)
        else:
            time = duration(kernel)
            enough = _divisible(kernel, nests.get(kernel)) and time >= least()
        if enough and POSSIBLE:
            found[kernel] = time
    return found


def _divisible(kernel: Kernel, nest: Nest | None) -> bool:
    if kernel.kind in ("contract", "random", "guard"):
        return True
    return nest is not None and kernel.kind != "scatter" and any(loop.extent > 1 for loop in nest.outer)


def divided(loops: Collection[T], turns: Callable[[Any], int] = attrgetter("extent")) -> T | None:
    """Return which of the loops the threads share: the outermost with many turns, or the one with most."""
    return next((one for one in loops if turns(one) >= MANY), max(loops, key=turns, default=None))


def grain(itemsize: int) -> int:
    """Return in steps of how many numbers to share what lies side by side in memory."""
    return max(1, LINE // itemsize) if least() else 1


class Part(NamedTuple):
    """A kernel or a final copy, and whether all threads must have come this far before it begins."""

    work: Kernel | Copy
    shared: bool
    waits: bool


class _Span(NamedTuple):
    buffer: tuple[str, int]
    start: int
    stop: int

    def meets(self, other: "_Span") -> bool:
        return self.buffer == other.buffer and self.start < other.stop and other.start < self.stop


def _span(place: Place, size: int) -> _Span:
    if place.kind == "arena":
        return _Span(("arena", 0), place.position, place.position + size)
    return _Span((place.kind, place.position), 0, max(size, 1))


def parts(
    kernels: Sequence[Kernel], plan: Plan, scratch: Mapping[Kernel, int], parallel: Mapping[Kernel, float]
) -> list[Part]:
    """Return the work of a program in order, with as few meetings as the memory plan allows.

    There is one before work that reads or overwrites what another thread may have written since the last, or that
    overwrites what another may still read; and one between a kernel that may fail and shared work or the end, so that
    all threads leave together and before anything that lasts is written.
    """
    return _Meetings(plan, scratch, parallel).parts(kernels)


class _Traces:
    """Where work since the last meeting has read or written, by buffer; what thread 0 did alone apart."""

    def __init__(self) -> None:
        self.alone: dict[tuple[str, int], list[tuple[_Span, Kernel | Copy]]] = {}
        self.shared: dict[tuple[str, int], list[tuple[_Span, Kernel | Copy]]] = {}

    def leave(self, spans: Sequence[_Span], one: Kernel | Copy, shared: bool) -> None:
        for span in spans:
            (self.shared if shared else self.alone).setdefault(span.buffer, []).append((span, one))

    def met(self, spans: Sequence[_Span], shared: bool) -> Iterator[Kernel | Copy]:
        """Yield whose traces, of other threads than one's own, lie where ``spans`` do."""
        for span in spans:
            for known in (self.shared, self.alone) if shared else (self.shared,):
                for other, work in known.get(span.buffer, ()):
                    if span.meets(other):
                        yield work


class _Meetings:
    def __init__(self, plan: Plan, scratch: Mapping[Kernel, int], parallel: Mapping[Kernel, float]) -> None:
        self.plan = plan
        self.scratch = scratch
        self.parallel = parallel
        self.read, self.written = _Traces(), _Traces()
        self.failing: Kernel | None = None  # since the last meeting

    def parts(self, kernels: Sequence[Kernel]) -> list[Part]:
        work: list[Kernel | Copy] = [kernel for kernel in kernels if kernel.kind != "alias"]
        return [self._part(one) for one in (*work, *self.plan.copies)]

    def _part(self, one: Kernel | Copy) -> Part:
        reads, writes = self._spans(one)
        shared = self._shared(one)
        met = chain(self.written.met([*reads, *writes], shared), self.read.met(writes, shared))
        waits = self._failed(one) or any(not self._joins(one, other) for other in met)
        if waits:
            self.read, self.written, self.failing = _Traces(), _Traces(), None
        self.read.leave(reads, one, shared)
        self.written.leave(writes, one, shared)
        if isinstance(one, Kernel) and one.fallible and not (one.kind == "scan" and one in self.parallel):
            self.failing = one  # a shared scan ends with a meeting itself
        return Part(one, shared, waits)

    def _shared(self, one: Kernel | Copy) -> bool:
        return one in self.parallel if isinstance(one, Kernel) else POSSIBLE and one.size / 16 >= least()

    def _failed(self, one: Kernel | Copy) -> bool:
        """Whether all must know first that nothing has failed."""
        return self.failing is not None and (self._shared(one) or self._shared(self.failing))

    def _joins(self, one: Kernel | Copy, other: Kernel | Copy) -> bool:
        """Whether both write different parts of one result."""
        joins = isinstance(one, Kernel) and isinstance(other, Kernel) and one.kind == other.kind == "join"
        return joins and one.root is other.root  # type: ignore[union-attr]

    def _spans(self, one: Kernel | Copy) -> tuple[list[_Span], list[_Span]]:
        if isinstance(one, Copy):
            return [_span(one.source, one.size)], [_span(one.target, one.size)]
        places = self.plan.places
        reads = [_span(places[edge], bytes_of(edge)) for edge in one.reads]
        writes = [_span(places[edge], bytes_of(edge)) for edge in one.stored]
        if one in self.plan.scratch:
            start = self.plan.scratch[one]
            writes.append(_Span(("arena", 0), start, start + self.scratch[one]))
        return reads, writes


__all__ = ["Part", "divided", "duration", "grain", "parts", "shared"]
