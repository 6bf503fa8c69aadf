"""The thread pool: native threads that run one program together, each its part of every parallel kernel.

A call publishes a job, runs it as thread 0, and waits for the workers at a barrier. Who waits spins for some 100 µs,
yields its processor now and then, and then sleeps until it is signalled: so steps in a row wake nobody, and idle workers
cost nothing. Workers are native threads with all signals blocked, and never run Python. There is one pool in a process;
a call that finds it busy runs on one thread. The native side, and why its memory accesses are ordered as they must be, is
`bprop.compile.runtime.thread_pool_ir`.
"""

import atexit
import ctypes
import os
import threading
from typing import Any

import numpy as np
from llvmlite import binding

from ..ir.status import BARRIER
from ..llvm.ir_text import jit_compile_ir
from .thread_pool_ir import CODE, LINE, WORKERS
from .threads import get_threads


class _NativeFunctions:
    """The native functions, compiled once per process and never freed: workers may be inside them at any time."""

    def __init__(self) -> None:
        names = BARRIER, "bprop_run", "bprop_start", "bprop_stop"
        barrier, run, start, stop = jit_compile_ir(CODE, *names, level=0)
        binding.add_symbol(BARRIER, barrier)
        kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        self.run = ctypes.CFUNCTYPE(ctypes.c_int, *kinds)(run)
        self.start = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)(start)
        self.stop = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(stop)


_functions: _NativeFunctions | None = None


def native_functions() -> _NativeFunctions:
    """Return the native functions; from then on programs that call `bprop_barrier` can be linked."""
    global _functions
    if _functions is None:
        _functions = _NativeFunctions()
    return _functions


class ThreadPool:
    """Threads that wait for jobs. ``size`` includes the caller's thread; workers are started at the first job."""

    def __init__(self) -> None:
        self.size = self._requested = 1
        self.caller: dict[str, tuple[int, object]] = {}
        """Under "now" the call that uses the pool, and its Python thread. This is no lock: Ctrl-C may come between taking a
        lock and entering the block that releases it, and it would stay taken. An entry here says whose it is."""
        self._memory = np.empty(0, np.uint8)
        self._address = 0
        self.stranded = False
        """Whether this process was forked inside a running program: the other threads exist in its parent only."""

    def reset_after_fork(self) -> None:
        """Begin again in a forked child, which has the memory of the pool but none of its threads."""
        stranded = self.stranded or self.caller.get("now", (0,))[0] == threading.get_ident()
        self.__init__()  # type: ignore[misc]
        self.stranded = stranded

    def abort_stranded(self) -> None:
        """End a process that is stranded: it would wait for ever for threads that it does not have."""
        message = "bprop: a process forked inside a callback cannot return from it: end it there with os._exit\n"
        os.write(2, message.encode())
        os._exit(1)

    def run(self, program: Any, table: int) -> int | None:
        """Run a native program on all threads and return its status; ``None`` where there is one thread or none is free."""
        threads = get_threads()
        if threads == 1:
            return None
        call, status = (threading.get_ident(), object()), None
        try:
            if self.caller.setdefault("now", call) is call:
                if self._requested != threads:
                    self._resize(threads)
                if self.size > 1:
                    status = native_functions().run(self._address, program, table, self.size)
        finally:
            if self.caller == {"now": call}:  # no function is called, in which Ctrl-C might come
                del self.caller["now"]
        return status

    def close(self) -> None:
        """End the workers; without effect where a program is running."""
        call = threading.get_ident(), object()
        try:
            if self.caller.setdefault("now", call) is call:
                self._resize(1)
        finally:
            if self.caller == {"now": call}:  # no function is called, in which Ctrl-C might come
                del self.caller["now"]

    def _resize(self, size: int) -> None:
        native = native_functions()
        self.size, self._requested = (
            1,
            0,
        )  # until all is done: Ctrl-C may end this anywhere, and the next call resizes again
        if self._address:
            native.stop(self._address)
        if size > 1:
            memory = np.zeros(WORKERS + LINE * (size + 1), np.uint8)
            address = -(-int(memory.__array_interface__["data"][0]) // LINE) * LINE
            self._memory, self._address = memory, address
            self.size = 1 + native.start(address, size)
        self._requested = size


THREAD_POOL = ThreadPool()


if hasattr(os, "register_at_fork"):
    # before a fork: Python from 3.12 on warns of one in a process with several threads; the next call starts them again
    os.register_at_fork(before=THREAD_POOL.close, after_in_child=THREAD_POOL.reset_after_fork)
atexit.register(THREAD_POOL.close)
