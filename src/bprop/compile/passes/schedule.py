"""Scheduling: which kernels are parallel, and where barriers are needed.

Both follow from the graph and the target alone. Work is split over entries of results, partial results of a split sum among
them, never over the terms of a sum: which thread computes an entry does not show in it.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from math import ceil
from typing import NamedTuple

from ..ir.kernel import Kernel
from ..ir.loop_plan import LoopPlan
from ..ir.memory_plan import Buffer, Copy, MemoryPlan, bytes_of
from ..ir.schedule import Schedule, ScheduledItem
from ..ir.target import Target

SEGMENT_LENGTH = 64
"""Items of one segment, if it can be cut there: LLVM takes more than linear time for a long function."""
COPY_RATE = 16
"""Bytes that one thread reads or writes in a nanosecond."""
LATENCY_FACTOR = 4
"""How much longer an operation takes than in a map where it waits for the one before, as in sums."""


MIN_THRESHOLDS = 50
"""How many times the parallel threshold a program must work in each run for a call to use other threads: a run has more than
one barrier, and what one thread has written comes to the others through the caches. 25 µs of work are faster on one thread."""


def schedule(kernels: Sequence[Kernel], memory: MemoryPlan, target: Target) -> Schedule:
    """Return the work of a program in order, with as few barriers as the memory plan allows.

    There is one before work that reads or overwrites what another thread may have written since the last, or that
    overwrites what another may still read; and one between a kernel that may fail and parallel work or the end, so that
    all threads return together, before anything that outlives the call is written.
    """
    items = _BarrierPlanner(memory, target).items(kernels)
    parallel = [item.nanoseconds for item in items if isinstance(item.work, Kernel) and item.nanoseconds is not None]
    nanoseconds = sum(parallel)
    uses_threads = nanoseconds > 0 and MIN_THRESHOLDS * target.parallel_threshold <= ceil(nanoseconds)
    return Schedule(_segments(items), nanoseconds if parallel else None, uses_threads)


def parallel_nanoseconds(work: Kernel | Copy, target: Target) -> float | None:
    """Return how long one thread would take for work that all threads share, ``None`` for work of thread 0 alone.

    This alone says what is parallel. A scan is if its body is.
    """
    if isinstance(work, Copy):
        nanoseconds = work.size / COPY_RATE
    elif work.traits.is_parallel_by_body:
        (body,) = work.bodies
        inner = body.schedule.nanoseconds
        return None if inner is None else ceil(inner) * int(work.root.params["length"])
    elif _is_divisible(work):
        nanoseconds = estimated_nanoseconds(work, target)
    else:
        return None
    return nanoseconds if target.threads and nanoseconds >= target.parallel_threshold else None


def estimated_nanoseconds(kernel: Kernel, target: Target) -> float:
    """Return roughly how long one thread takes for a kernel."""
    if kernel.contraction is not None:
        return kernel.flops * kernel.root.specs[0].dtype.itemsize / (4 * target.vector)
    latency = LATENCY_FACTOR if kernel.traits.is_chained else 1
    return kernel.bytes / COPY_RATE + kernel.flops * latency / 8


def _is_divisible(kernel: Kernel) -> bool:
    if isinstance(kernel.loops, LoopPlan):
        return kernel.loops.partition is not None
    return kernel.traits.is_divisible


def _segments(items: Sequence[ScheduledItem]) -> tuple[tuple[ScheduledItem, ...], ...]:
    """Cut a long sequence: at barriers, or anywhere where nothing is parallel."""
    is_parallel = any(item.is_parallel for item in items)
    segments: list[list[ScheduledItem]] = [[]]
    for item in items:
        if len(segments[-1]) >= SEGMENT_LENGTH and (item.needs_barrier or not is_parallel):
            segments.append([])
        segments[-1].append(item)
    return tuple(map(tuple, segments))


class _Span(NamedTuple):
    """Bytes of a buffer."""

    buffer: tuple[str, int]
    start: int
    stop: int

    def overlaps(self, other: "_Span") -> bool:
        return self.buffer == other.buffer and self.start < other.stop and other.start < self.stop


def _span(buffer: Buffer, size: int) -> _Span:
    if buffer.kind == "arena":
        return _Span(("arena", 0), buffer.position, buffer.position + size)
    return _Span((buffer.kind, buffer.position), 0, max(size, 1))


class _AccessSet:
    """What work since the last barrier has read or written, by buffer: that of thread 0 alone, and parallel work."""

    def __init__(self) -> None:
        self.single: dict[tuple[str, int], list[tuple[_Span, Kernel | Copy]]] = {}
        self.parallel: dict[tuple[str, int], list[tuple[_Span, Kernel | Copy]]] = {}

    def add(self, spans: Sequence[_Span], work: Kernel | Copy, is_parallel: bool) -> None:
        for span in spans:
            (self.parallel if is_parallel else self.single).setdefault(span.buffer, []).append((span, work))

    def overlapping(self, spans: Sequence[_Span], is_parallel: bool) -> Iterator[tuple[_Span, Kernel | Copy]]:
        """Yield which of ``spans`` overlap accesses by other threads, and the work that these belong to."""
        for span in spans:
            for accesses in (self.parallel, self.single) if is_parallel else (self.parallel,):
                for other, work in accesses.get(span.buffer, ()):
                    if span.overlaps(other):
                        yield span, work


class _BarrierPlanner:
    """``failing`` is the last item since a barrier that may fail."""

    def __init__(self, memory: MemoryPlan, target: Target) -> None:
        self.memory = memory
        self.target = target
        self.read, self.written = _AccessSet(), _AccessSet()
        self.failing: ScheduledItem | None = None

    def items(self, kernels: Sequence[Kernel]) -> list[ScheduledItem]:
        """Return all work in order."""
        work: list[Kernel | Copy] = [kernel for kernel in kernels if kernel.traits.is_run]
        return [self.item(entry) for entry in (*work, *self.memory.copies)]

    def item(self, work: Kernel | Copy) -> ScheduledItem:
        """Return the next work, with whether it needs a barrier."""
        reads, writes = self._spans(work)
        nanoseconds = parallel_nanoseconds(work, self.target)
        is_parallel = nanoseconds is not None
        conflicts = chain(
            self.written.overlapping([*reads, *writes], is_parallel), self.read.overlapping(writes, is_parallel)
        )
        # all threads are told that nothing has failed before parallel work
        waits_for_failure = self.failing is not None and (is_parallel or self.failing.is_parallel)
        needs_barrier = waits_for_failure or any(
            not self._join_one_result(work, other, span) for span, other in conflicts
        )
        if needs_barrier:
            self.read, self.written, self.failing = _AccessSet(), _AccessSet(), None
        self.read.add(reads, work, is_parallel)
        self.written.add(writes, work, is_parallel)
        item = ScheduledItem(work, nanoseconds, needs_barrier)
        if isinstance(work, Kernel) and work.may_fail and not (is_parallel and work.traits.is_parallel_by_body):
            self.failing = item  # a parallel scan ends with a barrier itself
        return item

    def _spans(self, work: Kernel | Copy) -> tuple[list[_Span], list[_Span]]:
        """Return what work reads and writes."""
        if isinstance(work, Copy):
            return [_span(work.source, work.size)], [_span(work.target, work.size)]
        buffers = self.memory.buffers
        reads = [_span(buffers[edge], bytes_of(edge)) for edge in work.reads]
        writes = [_span(buffers[edge], bytes_of(edge)) for edge in work.stored]
        if work in self.memory.workspaces:
            start = self.memory.workspaces[work]
            writes.append(_Span(("arena", 0), start, start + work.workspace))
        return reads, writes

    def _join_one_result(self, work: Kernel | Copy, other: Kernel | Copy, span: _Span) -> bool:
        """Return whether both write different parts of one result, and meet there."""
        if not (isinstance(work, Kernel) and isinstance(other, Kernel)):
            return False
        if work.root is not other.root or work.traits.stores_whole or other.traits.stores_whole:
            return False
        result = work.root.output
        return span == _span(self.memory.buffers[result], bytes_of(result))
