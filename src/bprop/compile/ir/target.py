"""What native code is generated for: registers, instructions, and from how much work on kernels are parallel."""

import signal
from typing import NamedTuple

PARALLEL_THRESHOLD = 2000.0
"""Nanoseconds of one thread's work from which on a kernel is parallel: a barrier costs some 300."""
POSIX_THREADS = hasattr(signal, "pthread_sigmask")
"""Whether the system has POSIX threads; without them every program runs on one."""
CACHE_LINE = 64
"""Bytes that one processor reads or writes at a time: two threads should not write to the same."""


class Target(NamedTuple):
    """The processor that code is generated for.

    ``cpu`` and ``features`` as LLVM takes them. A vector register holds ``vector`` bytes, and there are ``registers`` of
    them. ``fused``: x · y + z is one instruction with one rounding. ``parallel_threshold``: nanoseconds of one thread's
    work from which on a kernel is parallel; with 0 every kernel is, entry by entry.
    """

    cpu: str
    features: str
    vector: int
    registers: int
    fused: bool
    parallel_threshold: float = PARALLEL_THRESHOLD
    threads: bool = POSIX_THREADS

    def lanes(self, itemsize: int) -> int:
        """Return how many numbers of so many bytes a vector register holds."""
        return self.vector // itemsize

    def grain(self, itemsize: int) -> int:
        """Return the grain, in numbers, at which threads divide what is contiguous in memory: a cache line."""
        return max(1, CACHE_LINE // itemsize) if self.parallel_threshold else 1
