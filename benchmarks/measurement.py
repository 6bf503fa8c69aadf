"""One workload on several peers: losses compared first, then blocks in turn, then medians."""

import statistics
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .peer import Entry, UnavailableError
from .process import PeerError, Process
from .workload import CHECKED, TOLERANCE, Workload, reference

PEAK = Entry("benchmarks.peak")


@dataclass
class Row:
    """What was measured of one peer on one workload."""

    workload: str
    peer: str
    us_per_step: float
    """Median over the blocks."""
    gflops: float
    """10⁹ multiplications and additions of matrix products per second, at the median."""
    compile_s: float
    """The first step, all that is loaded, traced and compiled for it included; the library was imported before."""
    peak_rss_mb: float
    """The most memory the process had resident, in 10⁶ bytes, interpreter and library included."""
    spread: float
    """The distance of the quartiles over the median."""
    fastest_us: float
    share_of_peak: float
    """``gflops`` over the machine's peak, the best of its blocks, measured in turn with the peers."""
    import_s: float
    cached_s: float | None
    """``compile_s`` of a second process that finds what the first left in its cache folders."""
    version: str
    comparison: str
    changed: bool

    def record(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return asdict(self)


@dataclass
class Measured:
    """All rows of a workload, and the peak in GFLOP/s with its spread."""

    workload: Workload
    rows: list[Row]
    peak: float
    peak_spread: float


def differences(losses: list[float], expected: list[float]) -> str | None:
    """Return what is wrong with a peer's losses, or ``None``."""
    wrong = [
        f"{ours:.6f} after {step} step{'s'[: step != 1]} (expected {right:.6f})"
        for step, ours, right in zip(CHECKED, losses, expected, strict=True)
        if not abs(ours - right) <= TOLERANCE  # NaN differs
    ]
    return f"its loss is {', '.join(wrong)}" if wrong else None


def spread(numbers: list[float]) -> float:
    """Return the distance of the quartiles over the median."""
    low, middle, high = statistics.quantiles(numbers, n=4) if len(numbers) > 1 else [numbers[0]] * 3
    return (high - low) / middle


class Session:
    """Processes that work on one workload, and what became of each."""

    def __init__(
        self,
        workload: Workload,
        peers: Mapping[str, Entry],
        threads: int,
        say: Callable[[str], None],
        cached: bool = False,
    ) -> None:
        self.workload, self.peers, self.threads, self.say, self.cached = workload, peers, threads, say, cached
        self.failed: list[str] = []
        """Names of peers that crashed or computed something else."""
        self.skipped: list[str] = []
        self.cached_s: dict[str, float] = {}
        self._processes: dict[str, Process] = {}
        self._prepared: dict[str, dict[str, Any]] = {}

    def run(self, blocks: int, seconds: float) -> Measured:
        """Measure; whatever happens, no process is left."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
            known = reference(self.workload, max(CHECKED) + 1)
            expected = [known[step] for step in CHECKED]
            meter = stack.enter_context(Process(PEAK.module, self.workload, self.threads, folder))
            flops = meter.ask("prepare")["flops"]
            for name in self.peers:
                self._prepare(name, stack, folder / name, expected)
            peaks: list[float] = []
            times: dict[str, list[float]] = {name: [] for name in self._processes}
            for number in range(blocks + 1):
                answer = meter.ask("block", seconds=min(seconds, 0.1))
                names = list(self._processes)
                turn = number % max(len(names), 1)  # nobody is always the one after the slowest
                for name in names[turn:] + names[:turn]:
                    made = self._ask(name, "block", seconds=seconds)
                    if made is not None and number:  # the first round warms up
                        steps = made["calls"] * self._prepared[name]["steps"]
                        times[name].append(made["seconds"] / steps * 1e6)
                if number:
                    peaks.append(answer["calls"] * flops / answer["seconds"] / 1e9)
            for name in list(self._processes):  # what was timed still computes the same
                self._compare(name, expected)
            peak = max(peaks)
            rows = [self._row(name, times[name], peak) for name in list(self._processes)]
        return Measured(self.workload, [row for row in rows if row is not None], peak, spread(peaks))

    def _prepare(self, name: str, stack: ExitStack, caches: Path, expected: list[float]) -> None:
        module = self.peers[name].module
        self._processes[name] = stack.enter_context(Process(module, self.workload, self.threads, caches))
        prepared = self._ask(name, "prepare")
        if prepared is None:
            return
        self._prepared[name] = prepared
        if self._compare(name, expected) and self.cached:
            try:
                with Process(module, self.workload, self.threads, caches) as second:
                    self.cached_s[name] = second.ask("prepare")["compile_s"]
            except PeerError as reason:
                self._drop(name, f"a second {name} on {self.workload.name} {reason}")

    def _compare(self, name: str, expected: list[float]) -> bool:
        answer = self._ask(name, "losses")
        wrong = None if answer is None else differences(answer["losses"], expected)
        if wrong is not None:
            self._drop(name, f"{name} on {self.workload.name} trains something else: {wrong}; no time is given")
        return answer is not None and wrong is None

    def _ask(self, name: str, command: str, **details: Any) -> dict[str, Any] | None:
        try:
            return self._processes[name].ask(command, **details)
        except UnavailableError as reason:
            self.skipped.append(name)
            self.say(f"skipped {name}: {reason}")
            self._processes.pop(name).close()
        except PeerError as reason:
            self._drop(name, f"{name} on {self.workload.name} {reason}")
        return None

    def _drop(self, name: str, message: str) -> None:
        self.failed.append(name)
        self.say(f"error: {message}")
        self._processes.pop(name).close()

    def _row(self, name: str, times: list[float], peak: float) -> Row | None:
        memory = self._ask(name, "memory")
        if memory is None:
            return None
        prepared, entry, median = self._prepared[name], self.peers[name], statistics.median(times)
        gflops = self.workload.flops / median / 1e3
        return Row(
            workload=self.workload.name,
            peer=name,
            us_per_step=median,
            gflops=gflops,
            compile_s=prepared["compile_s"],
            peak_rss_mb=memory["peak_rss_mb"],
            spread=spread(times),
            fastest_us=min(times),
            share_of_peak=gflops / peak,
            import_s=prepared["import_s"],
            cached_s=self.cached_s.get(name),
            version=prepared["version"],
            comparison=entry.comparison,
            changed=entry.changed,
        )
