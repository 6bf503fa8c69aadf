"""Calls of several libraries, timed in turn: each library in a process of its own, one thread, nothing kept on disk.

The results of the first calls are compared before anything is timed. A library that cannot do a task is left out of it, with
what it says.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "BPROP_NUM_THREADS": "1", "BPROP_CACHE": "0",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1", "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_COMPILATION_CACHE": "false", "JAX_ENABLE_X64": "true",
}  # fmt: skip
PATIENCE = 120.0
"""Seconds after which a process that has not answered is given up."""
ENOUGH = 5.0
"""Seconds of a first call that is not repeated."""

Call = Callable[[], list[np.ndarray]]
Build = Callable[[str, str], Call]
"""From the names of a library and a task to a call of it: a function of a module, which a new process imports."""


class Times(NamedTuple):
    """Seconds of a call, the median over the blocks, and of the first call of a process, the median over the processes."""

    call: float
    first: float


def limit_threads() -> None:
    """Set the environment of the processes to come; this one has loaded NumPy, which has read it."""
    os.environ.update(ONE_THREAD)


def work(pipe: Any, build: Build, peer: str, task: str, seconds: float) -> None:
    """Serve one library on one task: the time and result of the first call, then a block of calls for every message."""
    try:
        call = build(peer, task)
        began = perf_counter()
        parts = call()
        pipe.send((perf_counter() - began, [np.asarray(part) for part in parts]))
    except Exception as error:
        pipe.send((None, f"{type(error).__name__}: {str(error).partition(chr(10))[0]:.150}"))
        return
    count = 0
    while pipe.recv():
        if not count:
            count = max(1, int(seconds / fastest(call, seconds)))
        began = perf_counter()
        for _ in range(count):
            call()
        pipe.send((perf_counter() - began) / count)


def fastest(call: Call, seconds: float) -> float:
    """Return the seconds of the fastest of ten calls, or of as many as begin within ``seconds``."""
    least, began = float("inf"), perf_counter()
    for _ in range(10):
        start = perf_counter()
        call()
        end = perf_counter()
        least = min(least, end - start)
        if end - began >= seconds:
            break
    return least


class Worker:
    """A process at work for a library."""

    def __init__(self, build: Build, peer: str, task: str, seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, build, peer, task, seconds), daemon=True)
        self.process.start()
        theirs.close()

    def answer(self) -> Any:
        """Return what the process sends, or what became of it."""
        try:
            return self.pipe.recv() if self.pipe.poll(PATIENCE) else (None, f"no answer within {PATIENCE:.0f} s")
        except EOFError:
            self.process.join()
            return None, f"the process ended with status {self.process.exitcode}"

    def block(self) -> float:
        """Return the seconds per call of a block."""
        self.pipe.send(True)
        seconds = self.answer()
        if not isinstance(seconds, float):
            raise RuntimeError(seconds[1])
        return seconds

    def close(self) -> None:
        """End the process."""
        if self.process.is_alive():
            self.process.terminate()
        self.process.join()
        self.pipe.close()


def measure(
    build: Build, task: str, peers: Sequence[str], blocks: int, seconds: float, starts: int, tolerance: float = 1e-7,
    environments: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Times]:  # fmt: skip
    """Return by library the times of a task; a library that fails is left out, and standard error says why.

    ``starts`` is how many processes begin anew for the time of the first call; ``tolerance`` is for results, relative;
    ``environments`` are what else the environment of a library's processes holds. Raises `AssertionError` where results differ.
    """
    workers: dict[str, Worker] = {}
    first: dict[str, list[float]] = {}
    reference: list[np.ndarray] = []
    try:
        for peer in peers:
            for start in range(starts):
                if peer in workers:
                    workers.pop(peer).close()
                with environment((environments or {}).get(peer, {})):
                    workers[peer] = Worker(build, peer, task, seconds)
                took, parts = workers[peer].answer()
                if took is None:
                    print(f"{task}, {peer}: {parts}", file=sys.stderr, flush=True)
                    workers.pop(peer).close()
                    break
                first.setdefault(peer, []).append(took)
                if not start:
                    reference = compare(f"{task}, {peer}", parts, reference, tolerance)
                if took > ENOUGH:
                    break
        times: dict[str, list[float]] = {peer: [] for peer in workers}
        for number in range(blocks):
            order = list(workers)
            for peer in order[number % len(order) :] + order[: number % len(order)]:
                times[peer].append(workers[peer].block())
    finally:
        for worker in workers.values():
            worker.close()
    return {peer: Times(median(times[peer]), median(first[peer])) for peer in times}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Add to the environment of processes that are started inside the ``with`` statement."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def compare(
    what: str, parts: list[np.ndarray], reference: list[np.ndarray], tolerance: float = 1e-7
) -> list[np.ndarray]:
    """Raise where a value or a derivative is not that of ``reference``; return the longer of both."""
    for part, right in zip(parts, reference, strict=False):
        np.testing.assert_allclose(
            part, right, rtol=tolerance, atol=0.1 * tolerance * np.abs(right).max(), err_msg=what
        )
    return max(parts, reference, key=len)
