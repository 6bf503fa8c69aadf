"""How many threads compiled programs use."""

import operator
import os
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path

from ...core.error import ArgumentError

VARIABLE = "BPROP_NUM_THREADS"
LARGEST = 1024
MEMBERSHIP, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
"""Where Linux says in which control groups the process is, and what each may use."""

_chosen: int | None = None


def set_threads(n: int, /) -> None:
    """Let compiled programs run on ``n`` threads from now on, the calling one among them.

    Numbers do not depend on it: every entry is computed by one thread, sums are taken in an order set by shapes alone.
    Programs too small to gain anything run on one. Without this call it is the environment variable
    ``BPROP_NUM_THREADS``, or the number of CPUs that the process may use. What runs at the moment is not disturbed.

    Raises `ArgumentError` unless 1 ≤ n ≤ 1024.

    **Source:** as ``torch.set_num_threads``.

    >>> import bprop
    >>> before = bprop.get_threads()
    >>> bprop.set_threads(2)
    >>> bprop.get_threads()
    2
    >>> bprop.set_threads(before)
    """
    global _chosen
    _chosen = _valid(n, "set_threads: n")


def get_threads() -> int:
    """Return on how many threads compiled programs run: what `set_threads` or ``BPROP_NUM_THREADS`` says.

    Without either it is the number of CPUs that the process may use: its affinity, and what its control group grants it.

    Raises `ArgumentError` where ``BPROP_NUM_THREADS`` is no integer between 1 and 1024.

    **Source:** as ``torch.get_num_threads``.

    >>> import bprop
    >>> bprop.get_threads() >= 1
    True
    """
    global _chosen
    if _chosen is None:
        given = os.environ.get(VARIABLE, "").strip()
        number = int(given) if given.isdecimal() and len(given) < 10 else given
        _chosen = _valid(number, VARIABLE) if given else min(available(), LARGEST)
    return _chosen


def available() -> int:
    """Return how many CPUs the process may use: its affinity, and what its control group grants it.

    >>> from bprop.compile.runtime.threads import available
    >>> available() >= 1
    True
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cpus, *map(ceil, _granted())]))


def _granted() -> Iterator[float]:
    """Yield how many CPUs are granted by each control group that the process is in: its own, and those around that."""
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:  # no control groups
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, files = GROUPS, ["cpu.max"]
        elif "cpu" in controllers.split(","):  # their first version
            root, files = GROUPS / "cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        own = root / path.strip("/")
        # in a container the path may be that of outside: then only the root is there
        for folder in (own, *own.parents):
            with suppress(OSError, ValueError):  # "max": no limit
                quota, period = (int(text) for name in files for text in (folder / name).read_text("ascii").split())
                if quota > 0:
                    yield quota / period
            if folder == root:
                break


def _valid(n: object, name: str) -> int:
    try:
        count = operator.index(n)  # type: ignore[arg-type]
    except TypeError:
        count = 0
    if isinstance(n, bool) or not 1 <= count <= LARGEST:
        raise ArgumentError(f"{name} is {n!r:.60}: give a whole number of threads between 1 and {LARGEST}")
    return count
