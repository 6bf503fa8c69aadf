"""How many threads compiled programs use."""

import os
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path

from ...core.error import ArgumentError
from ...core.number import whole_number

VARIABLE = "BPROP_NUM_THREADS"
MAX_THREADS = 1024
CGROUP_FILE, CGROUP_ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
"""Where Linux lists the control groups of the process, and their limits."""

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
        text = os.environ.get(VARIABLE, "").strip()
        number = int(text) if text.isdecimal() and len(text) < 10 else text
        _chosen = _valid(number, VARIABLE) if text else min(available(), MAX_THREADS)
    return _chosen


def available() -> int:
    """Return how many CPUs the process may use: its affinity, and what its control group grants it.

    >>> from bprop.compile.runtime.threads import available
    >>> available() >= 1
    True
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cpus, *map(ceil, _cgroup_quotas())]))


def _cgroup_quotas() -> Iterator[float]:
    """Yield the CPU quota of each control group that the process is in: its own, and the ones that contain it."""
    try:
        lines = CGROUP_FILE.read_text(encoding="utf-8").splitlines()
    except OSError:  # no control groups
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, files = CGROUP_ROOT, ["cpu.max"]
        elif "cpu" in controllers.split(","):  # version 1 of control groups
            root, files = CGROUP_ROOT / "cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        innermost = root / path.strip("/")
        # in a container the path may be the one outside: then only the root exists here
        for folder in (innermost, *innermost.parents):
            with suppress(OSError, ValueError):  # "max": no limit
                quota, period = (int(text) for name in files for text in (folder / name).read_text("ascii").split())
                if quota > 0:
                    yield quota / period
            if folder == root:
                break


def _valid(n: object, name: str) -> int:
    count = whole_number(n, 1, MAX_THREADS + 1)
    if count is None:
        raise ArgumentError(f"{name} is {n!r:.60}: give a whole number of threads between 1 and {MAX_THREADS}")
    return count
