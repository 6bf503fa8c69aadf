"""The team: native threads that run one program together, each its share of every kernel.

A call publishes a program and its table, opens a gate that the workers wait at, runs as thread 0, and meets them at the
end. Who waits looks at the gate again and again for some 100 µs, lets other threads go first now and then, then sleeps until woken:
so steps in a row cost no waking, and idle workers cost nothing. Workers are native threads with all signals
blocked, and never run Python. There is one team in a process; who finds it busy runs alone.

**Source:** Mellor-Crummey & Scott (1991), Algorithms for scalable synchronization on shared-memory multiprocessors, 3.1.
"""

import atexit
import ctypes
import os
import platform
import signal
import threading
from typing import Any

import numpy as np
from llvmlite import binding

from ..ir.status import BARRIER
from ..ir.target import POSIX_THREADS
from ..llvm.ir_text import loaded
from .threads import get_threads

# What the team shares, one cache line (or a pair) for each: bytes from the beginning. A gate is a number that is
# counted up and, behind it, how many sleep until it is. Behind the order to stop is how many workers there are.
WORK, ARRIVED, MET, STATUS, JOB, STOP, MUTEX, WAKE, WORKERS = range(0, 1152, 128)
CALL = 50
"""How many times that a program has to work, each time it runs, for a call to be worth other threads: they meet more than
once, and what one has written comes to the others from its cache. A program of 25 µs is faster on one thread."""
LOOKS, TURNS = 2048, 32
"""Looks at a gate before sleep, some 100 µs; and how many before others on this processor go first: who is waited for
may be among them."""
X86, ARM = "@llvm.x86.sse2.pause()", "@llvm.aarch64.hint(i32 1)"
RELAX = {"x86_64": X86, "AMD64": X86, "arm64": ARM, "aarch64": ARM}.get(platform.machine())
"""The instruction by which a waiting processor leaves its units to others."""
SETMASK = int(signal.SIG_SETMASK) if POSIX_THREADS else 0
CODE = f"""
{f"declare void {RELAX.replace(' 1', '')}" if RELAX else ""}
declare i32 @sched_yield()
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sigfillset(ptr)

; return the number at a gate as soon as it is no longer %old
define internal i32 @wait(ptr %team, ptr %gate, i32 %old) {{
  %sleepers = getelementptr i8, ptr %gate, i64 4
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %wake = getelementptr i8, ptr %team, i64 {WAKE}
  br label %look
look:
  %looks = phi i32 [0, %0], [%more, %relax], [%more, %yield]
  %seen = load atomic i32, ptr %gate acquire, align 4
  %open = icmp ne i32 %seen, %old
  br i1 %open, label %done, label %shut
shut:
  %more = add i32 %looks, 1
  %patient = icmp ult i32 %more, {LOOKS}
  br i1 %patient, label %stay, label %sleep
stay:
  %turn = urem i32 %more, {TURNS}
  %polite = icmp eq i32 %turn, 0
  br i1 %polite, label %yield, label %relax
relax:
  {f"call void {RELAX}" if RELAX else ""}
  br label %look
yield:
  call i32 @sched_yield()
  br label %look
sleep: ; who opens the gate counts it up and then looks for sleepers; here the other way round: none is missed
  call i32 @pthread_mutex_lock(ptr %mutex)
  atomicrmw add ptr %sleepers, i32 1 seq_cst
  br label %check
check:
  %late = load atomic i32, ptr %gate seq_cst, align 4
  %still = icmp eq i32 %late, %old
  br i1 %still, label %rest, label %awake
rest:
  call i32 @pthread_cond_wait(ptr %wake, ptr %mutex)
  br label %check
awake:
  atomicrmw sub ptr %sleepers, i32 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  %value = phi i32 [%seen, %look], [%late, %awake]
  ret i32 %value
}}

define void @bprop_open(ptr %team, ptr %gate) {{
  atomicrmw add ptr %gate, i32 1 seq_cst
  %sleepers.at = getelementptr i8, ptr %gate, i64 4
  %sleepers = load atomic i32, ptr %sleepers.at seq_cst, align 4
  %none = icmp eq i32 %sleepers, 0
  br i1 %none, label %done, label %call
call:
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %wake = getelementptr i8, ptr %team, i64 {WAKE}
  call i32 @pthread_mutex_lock(ptr %mutex)
  call i32 @pthread_cond_broadcast(ptr %wake)
  call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  ret void
}}

; wait until every thread is here; return the greatest status that any brought
define i32 @bprop_barrier(ptr %team, i64 %threads, i32 %status) {{
  %alone = icmp ule i64 %threads, 1
  br i1 %alone, label %one, label %several
one:
  ret i32 %status
several: ; one status for even meetings, one for odd: who is late to read one must not see what the next meeting brings
  %gate = getelementptr i8, ptr %team, i64 {MET}
  %arrived = getelementptr i8, ptr %team, i64 {ARRIVED}
  %both = getelementptr i8, ptr %team, i64 {STATUS}
  %old = load atomic i32, ptr %gate acquire, align 4
  %odd = and i32 %old, 1
  %shared = getelementptr i32, ptr %both, i32 %odd
  %fine = icmp eq i32 %status, 0
  br i1 %fine, label %arrive, label %report
report:
  atomicrmw umax ptr %shared, i32 %status seq_cst
  br label %arrive
arrive:
  %before = atomicrmw add ptr %arrived, i32 1 seq_cst
  %count = add i32 %before, 1
  %all = trunc i64 %threads to i32
  %last = icmp eq i32 %count, %all
  br i1 %last, label %open, label %stay
open:
  store atomic i32 0, ptr %arrived seq_cst, align 4
  call void @bprop_open(ptr %team, ptr %gate)
  br label %met
stay:
  call i32 @wait(ptr %team, ptr %gate, i32 %old)
  br label %met
met:
  %result = load atomic i32, ptr %shared acquire, align 4
  ret i32 %result
}}

; run a program as thread 0
define i32 @bprop_run(ptr %team, ptr %program, ptr %table, i64 %threads) {{
  %job = getelementptr i8, ptr %team, i64 {JOB}
  %table.at = getelementptr i8, ptr %job, i64 8
  %threads.at = getelementptr i8, ptr %job, i64 16
  %shared = getelementptr i8, ptr %team, i64 {STATUS}
  store ptr %program, ptr %job
  store ptr %table, ptr %table.at
  store i64 %threads, ptr %threads.at
  store atomic i64 0, ptr %shared seq_cst, align 8
  %work = getelementptr i8, ptr %team, i64 {WORK}
  call void @bprop_open(ptr %team, ptr %work)
  %own = call i32 %program(ptr %table, i64 0, i64 %threads, ptr %team)
  %status = call i32 @bprop_barrier(ptr %team, i64 %threads, i32 %own)
  ret i32 %status
}}

; make a team of zeroed memory, and start its workers: fewer where the system has no more threads; return how many. Signals
; are for Python's threads. This and the end are native, so that Ctrl-C comes before or after: no worker is ever unknown.
define i64 @bprop_start(ptr %team, i64 %threads) {{
  %all = alloca [128 x i8], align 16
  %before = alloca [128 x i8], align 16
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %wake = getelementptr i8, ptr %team, i64 {WAKE}
  call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  call i32 @pthread_cond_init(ptr %wake, ptr null)
  call i32 @sigfillset(ptr %all)
  call i32 @pthread_sigmask(i32 {SETMASK}, ptr %all, ptr %before)
  br label %next
next:
  %thread = phi i64 [1, %0], [%more, %started]
  %workers = sub i64 %thread, 1
  %enough = icmp uge i64 %thread, %threads
  br i1 %enough, label %done, label %start
start:
  %line = mul i64 %workers, 128
  %place = add i64 %line, {WORKERS}
  %own = getelementptr i8, ptr %team, i64 %place
  %thread.at = getelementptr i8, ptr %own, i64 8
  %handle.at = getelementptr i8, ptr %own, i64 24
  store ptr %team, ptr %own
  store i64 %thread, ptr %thread.at
  %failed = call i32 @pthread_create(ptr %handle.at, ptr null, ptr @bprop_worker, ptr %own)
  %fine = icmp eq i32 %failed, 0
  br i1 %fine, label %started, label %done
started:
  %more = add i64 %thread, 1
  br label %next
done:
  %count.at = getelementptr i8, ptr %team, i64 {STOP + 8}
  store i64 %workers, ptr %count.at
  call i32 @pthread_sigmask(i32 {SETMASK}, ptr %before, ptr null)
  ret i64 %workers
}}

; send the workers home; without effect where there are none
define void @bprop_stop(ptr %team) {{
  %stop.at = getelementptr i8, ptr %team, i64 {STOP}
  %count.at = getelementptr i8, ptr %team, i64 {STOP + 8}
  %work = getelementptr i8, ptr %team, i64 {WORK}
  store atomic i32 1, ptr %stop.at seq_cst, align 4
  call void @bprop_open(ptr %team, ptr %work)
  %count = load i64, ptr %count.at
  br label %next
next:
  %worker = phi i64 [0, %0], [%more, %join]
  %all = icmp uge i64 %worker, %count
  br i1 %all, label %done, label %join
join:
  %line = mul i64 %worker, 128
  %place = add i64 %line, {WORKERS + 24}
  %handle.at = getelementptr i8, ptr %team, i64 %place
  %handle = load i64, ptr %handle.at
  call i32 @pthread_join(i64 %handle, ptr null)
  %more = add i64 %worker, 1
  br label %next
done:
  store i64 0, ptr %count.at
  ret void
}}

; what a worker does: its own line holds the team, its number, what it last saw at the gate, and its handle
define ptr @bprop_worker(ptr %own) {{
  %team = load ptr, ptr %own
  %thread.at = getelementptr i8, ptr %own, i64 8
  %thread = load i64, ptr %thread.at
  %first.at = getelementptr i8, ptr %own, i64 16
  %first = load i32, ptr %first.at
  %work = getelementptr i8, ptr %team, i64 {WORK}
  %stop.at = getelementptr i8, ptr %team, i64 {STOP}
  %job = getelementptr i8, ptr %team, i64 {JOB}
  %table.at = getelementptr i8, ptr %job, i64 8
  %threads.at = getelementptr i8, ptr %job, i64 16
  br label %next
next:
  %old = phi i32 [%first, %0], [%seen, %run]
  %seen = call i32 @wait(ptr %team, ptr %work, i32 %old)
  %stop = load atomic i32, ptr %stop.at seq_cst, align 4
  %go = icmp eq i32 %stop, 0
  br i1 %go, label %run, label %end
run:
  %program = load ptr, ptr %job
  %table = load ptr, ptr %table.at
  %threads = load i64, ptr %threads.at
  %own.status = call i32 %program(ptr %table, i64 %thread, i64 %threads, ptr %team)
  call i32 @bprop_barrier(ptr %team, i64 %threads, i32 %own.status)
  br label %next
end:
  ret ptr null
}}
"""


def is_profitable(nanoseconds: float, threshold: float) -> bool:
    """Return whether a program with so much shared work should run on several threads.

    ``threshold`` is the work that makes a kernel worth sharing, in nanoseconds.
    """
    return nanoseconds > 0 and nanoseconds >= CALL * threshold


class _NativeFunctions:
    """The native functions, compiled once per process and never freed: workers may be inside them at any time."""

    def __init__(self) -> None:
        barrier, run, start, stop = loaded(CODE, BARRIER, "bprop_run", "bprop_start", "bprop_stop")
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
    """Threads that wait for programs. ``size`` counts the caller's; workers are started when they are first wanted."""

    def __init__(self) -> None:
        self.size = self._wanted = 1
        self.caller: dict[str, tuple[int, object]] = {}
        """Under "now" the call that has the team, and its Python thread. No lock: Ctrl-C may come as soon as one is taken,
        before anybody has noted it, and then it stays closed. Of a call that is entered here it can be told afterwards."""
        self._memory = np.empty(0, np.uint8)
        self._address = 0
        self.stranded = False
        """Whether this process was forked inside a program: the other threads of that stayed in its parent."""

    def forked(self) -> None:
        """Begin again in a forked child, which has the memory of the team but none of its threads."""
        stranded = self.stranded or self.caller.get("now", (0,))[0] == threading.get_ident()
        self.__init__()  # type: ignore[misc]
        self.stranded = stranded

    def leave(self) -> None:
        """End a process that is stranded: it would wait for threads that it has not."""
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
                if self._wanted != threads:
                    self._resize(threads)
                if self.size > 1:
                    status = native_functions().run(self._address, program, table, self.size)
        finally:
            if self.caller == {"now": call}:  # no function is called, in which Ctrl-C might come
                del self.caller["now"]
        return status

    def close(self) -> None:
        """Send the workers home; without effect where a program is running."""
        call = threading.get_ident(), object()
        try:
            if self.caller.setdefault("now", call) is call:
                self._resize(1)
        finally:
            if self.caller == {"now": call}:  # no function is called, in which Ctrl-C might come
                del self.caller["now"]

    def _resize(self, size: int) -> None:
        native = native_functions()
        self.size, self._wanted = 1, 0  # until all is done: Ctrl-C may end this anywhere, and the next call goes on
        if self._address:
            native.stop(self._address)
        if size > 1:
            memory = np.zeros(WORKERS + 128 * (size + 1), np.uint8)
            address = -(-int(memory.__array_interface__["data"][0]) // 128) * 128
            self._memory, self._address = memory, address
            self.size = 1 + native.start(address, size)
        self._wanted = size


THREAD_POOL = ThreadPool()


if hasattr(os, "register_at_fork"):
    # before: Python from 3.12 on warns who forks a process of several threads; the next call starts them again
    os.register_at_fork(before=THREAD_POOL.close, after_in_child=THREAD_POOL.forked)
atexit.register(THREAD_POOL.close)
