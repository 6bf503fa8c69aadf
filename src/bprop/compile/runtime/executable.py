"""The native code of a graph, from the disk or made now, and how it is called.

The passes and LLVM's text are imported only where code is generated.
"""

import ctypes
import gc
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.error import ArgumentError, CompileError, IndexingError
from ...core.graph import Graph
from ..ir.status import INDEX_ERROR, MESSAGE, NOT_FINITE, POLL_SIGNALS, POWER_ERROR
from ..llvm.engine import compiled, optimised, version
from ..llvm.host import current_target
from ..passes.finite_check import NotFiniteError
from .fingerprint import fingerprint
from .fork import register_fork_reset
from .loader import LoadedCode
from .memory import address_of, memory_of
from .object_cache import Entry, store
from .python_callback import Failure, callback, poll_callback
from .thread_pool import THREAD_POOL
from .threads import available

if TYPE_CHECKING:
    from ..ir.kernel import Kernel
    from ..ir.lowered import Lowered
    from ..ir.memory_plan import MemoryPlan

ENTRY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
"""An entry point: of a pointer table or job, the number of the thread, how many threads there are, and their pool."""

COMPILING_THREADS = 8
"""How many threads at most turn a program into native code, each a part of it."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's cyclic garbage collector inside the ``with`` statement.

    Passes make many objects that all stay alive. The collector would scan them again and again: more than linear time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Program:
    """Native code of a graph. Call it with one array per input and one writable array per output.

    ``donated`` maps outputs to the inputs whose memory takes their value.
    """

    def __init__(self, graph: Graph, donated: dict[int, int] | None = None, name: str = "") -> None:
        self.name = name
        self.target = current_target()
        self.failure = Failure()
        self.reset_after_fork()
        register_fork_reset(self)
        self._source = graph, donated
        self._lowered: Lowered | None = None
        cache = store()
        key = fingerprint(graph, donated or {}, (self.target, version())) if cache else None
        entry = cache.get(key) if cache and key else None
        if entry is None:
            entry = self._compiled()
            if cache and key:
                cache.put(key, entry)
        self.arena = entry.facts["arena"]
        self.code = LoadedCode(entry.code, entry.symbols)
        self.callbacks: list[Any] = []
        if entry.facts["callbacks"]:
            self._set_callbacks()
        if entry.facts["polls_signals"]:
            self._set_callback(POLL_SIGNALS, poll_callback(self.failure))
        self.uses_threads = bool(entry.facts["uses_threads"])
        self._run, self._run_steps = (ENTRY(self.code.function(name)) for name in ("run", "run_steps"))
        self._arena = np.empty(0, np.uint8)
        self._pointers = np.zeros(1 + len(graph.inputs) + len(graph.outputs), np.uintp)
        self._address = address_of(self._pointers)

    def reset_after_fork(self) -> None:
        """Be free: also in a forked child, where a thread that exists in the parent only held the lock."""
        self.failure.inside = None
        self.lock = threading.Lock()

    @property
    def lowered(self) -> "Lowered":
        """The graph as kernels with buffers and a schedule, lowered on demand where the code came from the disk."""
        if self._lowered is None:  # a cached_property would, in Python 3.11, hold a lock of all programs
            from ..passes.pipeline import lower

            self._lowered = lower(self._source[0], self.target, self._source[1])
        return self._lowered

    def _emitted(self) -> Any:
        from ..llvm.module import emit_module

        return emit_module(self.lowered)

    def _compiled(self) -> Entry:
        from ..llvm.split_module import split_module

        with collector_paused():
            lowered, module = self.lowered, self._emitted()
            symbols = [x.name for x in module.functions if x.is_declaration and not x.name.startswith("llvm.")]
            about = {
                "name": self.name,
                "ops": len(self.graph.nodes),
                "kernels": len(self.kernels),
                "cpu": self.target.cpu,
            }
            facts = {
                "arena": lowered.memory.size,
                "callbacks": sum(kernel.traits.calls_python for kernel in self.called),
                "polls_signals": int(POLL_SIGNALS in module.globals),
                "uses_threads": int(lowered.schedule.uses_threads),
            }
            texts = split_module(module, min(available(), COMPILING_THREADS))
            return Entry(compiled(texts, self.target), tuple(symbols), facts, about)

    def _set_callbacks(self) -> None:
        """Set the pointers to the functions of Python that the code calls."""
        for number, kernel in enumerate(self.called):
            if kernel.traits.calls_python:
                self._set_callback(f"python.{number}", callback(kernel, self.failure))

    def _set_callback(self, name: str, function: Any) -> None:
        self.callbacks.append(function)
        self.code.set_pointer(name, ctypes.cast(function, ctypes.c_void_p).value or 0)

    @property
    def called(self) -> "list[Kernel]":
        """The kernels that call Python, and the loops that may pass their limit."""
        from ..ir.kernel import called_back

        return list(called_back(self.lowered.kernels))

    @property
    def llvm(self) -> str:
        """The optimised LLVM code, generated again on demand."""
        return str(optimised(str(self._emitted()), self.target)[0])

    @property
    def graph(self) -> Graph:
        """The simplified graph."""
        return self.lowered.graph

    @property
    def kernels(self) -> "Sequence[Kernel]":
        """The kernels in order."""
        return self.lowered.kernels

    @property
    def memory(self) -> "MemoryPlan":
        """Where every value lives."""
        return self.lowered.memory

    def __call__(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]) -> None:
        """Run on C-contiguous arrays; raises what the ops inside raise, before anything is written to donated inputs."""
        self.run([*map(address_of, inputs), *map(address_of, outputs)])

    def run(self, table: Sequence[int]) -> None:
        """Run on the addresses of inputs and outputs."""
        with self._exclusive():
            self._fill_table(table)
            status = self._run_threads(self._run, self._address)
        if status:
            raise self._error(status)

    def room(self) -> int:
        """Return the address of the memory for intermediate values, allocated on first use; may raise `MemoryError`."""
        if self._arena.size < self.arena + 128:
            self._arena = memory_of(self.arena + 128, np.uint8)
        return -(-address_of(self._arena) // 64) * 64

    def start(self, address: int) -> None:
        """Run on a table of pointers: the arena's, then those of inputs and outputs. One call at a time."""
        status = self._run(address, 0, 1, None) if not self.uses_threads else self._run_threads(self._run, address)
        if status:
            raise self._error(status)

    def repeat(
        self, table: NDArray[np.int64], strides: NDArray[np.int64], count: int
    ) -> tuple[int, BaseException | None]:
        """Run ``count`` times, adding to every address of the table its stride, in bytes, after each run.

        The table is as for `start`; ``strides`` has 0 for what stays. Returns how many runs were completed, and the error that
        ended the last one, if one did.
        """
        job = np.array([address_of(table), address_of(strides), count, 0], np.int64)
        with self._exclusive():
            status = self._run_threads(self._run_steps, address_of(job))
        return int(job[3]), self._error(status) if status else None

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One call at a time: a program has one working memory."""
        if self.failure.inside == threading.get_ident():
            raise CompileError("a compiled function was called again by its own callback: its memory is in use")
        with self.lock:
            yield

    def _fill_table(self, table: Sequence[int]) -> None:
        self._pointers[0] = self.room()
        self._pointers[1:] = table

    def _run_threads(self, entry: Any, address: int) -> int:
        """Call an entry point, on several threads where that is profitable; return the status it ends with."""
        status = THREAD_POOL.run(entry, address) if self.uses_threads else None
        return int(entry(address, 0, 1, None)) if status is None else status

    def _error(self, status: int) -> BaseException:
        """Return the error of a status."""
        error, self.failure.error = self.failure.error, None
        if error is not None:
            return error
        if status == INDEX_ERROR:
            return IndexingError(
                "a compiled function read an index that is out of range for its axis (take, or x[index])"
            )
        if status == NOT_FINITE:
            return NotFiniteError()
        if status == POWER_ERROR:
            return ArgumentError("pow: integers to negative integer powers are not integers: convert to float first")
        if status >= MESSAGE:
            from ...region.while_loop import limit_message

            return ArgumentError(limit_message(self.called[status - MESSAGE].root.params))
        raise AssertionError(status)
