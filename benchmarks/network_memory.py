"""Peak memory of calls of several libraries, each in a process of its own, beyond what the library takes once it is imported."""

import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from .in_turn import Build, environment
from .process import peak_resident

CALLS = 5
"""Calls after the first two whose peak is taken."""
PATIENCE = 300.0
"""Seconds after which a process that has not answered is given up."""


class Peaks(NamedTuple):
    """Bytes resident at most beyond those of the imported library: in all, with what compiles, and in later calls alone."""

    all: int
    calls: int


def peaks(
    build: Build, task: str, peers: Sequence[str], libraries: Mapping[str, str], environments: Mapping[str, Mapping[str, str]]
) -> dict[str, Peaks]:  # fmt: skip
    """Return the peaks of a task by peer; one that fails is left out, and standard error says why. On Linux.

    ``libraries``: what each peer imports.
    """
    measured = {}
    for peer in peers:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        with environment(environments.get(peer, {})):
            process = context.Process(target=work, args=(theirs, build, peer, task, libraries[peer]), daemon=True)
            process.start()
        theirs.close()
        try:
            answer = ours.recv() if ours.poll(PATIENCE) else f"no answer within {PATIENCE:.0f} s"
        except EOFError:
            answer = "the process ended"
        process.terminate()
        process.join()
        if isinstance(answer, str):
            print(f"{task}, {peer}: {answer}", file=sys.stderr, flush=True)
        else:
            measured[peer] = Peaks(*answer)
    return measured


def work(pipe: Any, build: Build, peer: str, task: str, library: str) -> None:
    """Measure one peer, and send what was measured."""
    try:
        import_module(library)
        before = resident()
        call = build(peer, task)
        for _ in range(2):
            call()
        first = peak_resident()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        for _ in range(CALLS):
            call()
        later = peak_resident()
        pipe.send((max(first, later) - before, later - before))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {str(error).partition(chr(10))[0]:.150}")


def resident() -> int:
    """Return how many bytes this process has resident now."""
    return 1024 * int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0])
