"""A peer in a process of its own, which runs when it is asked and is stopped otherwise.

The parent writes commands, one JSON object a line, and reads as many answers. Between two answers every process but the
one that is asked is stopped (SIGSTOP), so that threads that spin while they wait for work take nothing from the others. A
process has its own group, and the kernel continues and ends a stopped group whose parent dies: nothing stays behind.
"""

import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from .peer import Training, UnavailableError
from .workload import CHECKED, Workload

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 900.0
"""Seconds after which a process that has not answered is given up."""
RESTART = 512
"""Steps after which training starts anew: later the moments of dead units are denormal, which some processors crawl at."""
WARM = 2
"""Calls that are not timed after each start."""


class PeerError(Exception):
    """A process ended, or did not answer; the message has the last lines that it wrote."""


def usable() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Process:
    """A peer at work on a workload. ``caches``: the folder for what its library keeps between processes."""

    def __init__(self, module: str, workload: Workload, threads: int, caches: Path) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._pending = b""
        limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BPROP_NUM_THREADS", "NPROC")
        folders = ("XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR", "BPROP_CACHE_DIR")
        environment = {
            **os.environ,
            **dict.fromkeys(limits, str(threads)),
            **{name: str(caches / name.lower()) for name in folders},
            "TORCHINDUCTOR_COMPILE_THREADS": "1",  # or it keeps a pool of processes
        }
        order = json.dumps([module, workload, threads])
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            cwd=ROOT,
            process_group=0,
        )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, command: str, **details: Any) -> dict[str, Any]:
        """Let it run, wait for the answer, stop it. Raises `UnavailableError` where it says so, `PeerError` where it says nothing."""
        assert self._process.stdin is not None
        self._signal(signal.SIGCONT)
        with suppress(BrokenPipeError):  # it has ended: its last lines say why
            self._process.stdin.write(json.dumps({"command": command, **details}).encode() + b"\n")
            self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line(command))
        self._signal(signal.SIGSTOP)
        if "skipped" in answer:
            raise UnavailableError(answer["skipped"])
        return answer

    def close(self) -> None:
        """End it and whatever it has started."""
        self._signal(signal.SIGKILL)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):  # the last command was never read
                stream.close()
        self._process.wait()
        self._errors.close()

    def _line(self, command: str) -> bytes:
        assert self._process.stdout is not None
        source = self._process.stdout.fileno()
        end = time.monotonic() + PATIENCE
        while b"\n" not in self._pending:
            if not select.select([source], [], [], max(0.0, end - time.monotonic()))[0]:
                raise PeerError(f"no answer to {command} within {PATIENCE:.0f} s{self._last_lines()}")
            if not (more := os.read(source, 65536)):
                code = self._process.wait()
                how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
                raise PeerError(f"{how} during {command}{self._last_lines()}")
            self._pending += more
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _last_lines(self, count: int = 5) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()[-count:]
        return "".join(f"\n    {line}" for line in lines)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # it has ended; macOS says the latter
            os.killpg(self._process.pid, number)


class Worker:
    """The other side: answers commands about one peer."""

    def __init__(self, module: str, workload: Workload, threads: int) -> None:
        self.module, self.workload, self.threads = module, workload, threads
        self.training: Training

    def prepare(self) -> dict[str, Any]:
        """Load the library and make the first step, timing both."""
        start = time.perf_counter()
        self.training = import_module(self.module).Peer(self.workload, self.threads)
        imported = time.perf_counter()
        self.training.losses(self.training.call())
        compiled = time.perf_counter()
        gc.collect()
        gc.freeze()  # thousands of objects of the library are not to be looked at again during a block
        flops = getattr(self.training, "flops", self.workload.flops * self.training.steps)
        return {
            "import_s": imported - start,
            "compile_s": compiled - imported,
            "steps": self.training.steps,
            "flops": flops,
            "version": self.training.version(),
        }

    def losses(self) -> dict[str, Any]:
        """Train from the start, until the last loss that is compared."""
        self.training.start()
        losses: list[float] = []
        while len(losses) <= max(CHECKED):
            losses += self.training.losses(self.training.call())
        return {"losses": [losses[step] for step in CHECKED]}

    def block(self, seconds: float) -> dict[str, Any]:
        """Train for about so long; return the number of calls and the time they took, restarts and their first calls apart."""
        training = self.training
        most = max(1, RESTART // training.steps - WARM)
        calls, passed, each = 0, 0.0, 0.0
        while passed < seconds:
            training.start()
            for _ in range(WARM):
                start = time.perf_counter()
                training.wait(training.call())
                each = each or time.perf_counter() - start
            number = max(1, min(most, round((seconds - passed) / each)))
            start = time.perf_counter()
            for _ in range(number):
                result = training.call()
            training.wait(result)
            now = time.perf_counter() - start
            calls, passed, each = calls + number, passed + now, now / number
        return {"calls": calls, "seconds": passed}

    def memory(self) -> dict[str, Any]:
        """Return the most memory that this process has had resident, in megabytes of 10⁶ bytes."""
        return {"peak_rss_mb": peak_resident() / 1e6}


def peak_resident() -> int:
    """Return the most bytes this process has had resident: interpreter and libraries included."""
    try:  # what getrusage says is inherited from the parent on Linux
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def work(order: str) -> None:
    """Answer the commands on standard input until there are no more."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    module, (sizes, batch, activation), threads = json.loads(order)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    worker = Worker(module, Workload(tuple(sizes), batch, activation), threads)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("command"))(**command)
        except UnavailableError as reason:
            answer = {"skipped": str(reason)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    work(sys.argv[1])
