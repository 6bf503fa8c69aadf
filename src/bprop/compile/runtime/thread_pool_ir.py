"""The thread pool in LLVM's language: an event count to wait at, a barrier, the caller's side and the workers'.

**Memory.** The pool is one block; each field has a cache line (or the pair that is fetched together) to itself:

====================  ==========================================================================================
field                 what it holds
====================  ==========================================================================================
`JOB_GENERATION`      how many jobs were published, and behind it how many workers sleep: an event count
`ARRIVALS`            how many threads have arrived at the barrier that they are at
`BARRIER_GENERATION`  how many barriers are completed, and behind it how many threads sleep: an event count
`STATUS`              two words: the greatest status at barriers of even and of odd generation
`JOB`                 the program, its table, the number of threads
`STOP`                whether workers shall end, and at offset 8 how many there are
`MUTEX`, `CONDITION`  for those who sleep, at either event count
`WORKERS`             a line for each worker: the pool, its number, and at offset 24 its handle
====================  ==========================================================================================

**Why every thread sees what it should.** ``a → b``: a happens before b.

1. *A job.* The caller writes `JOB` with plain stores and then increments `JOB_GENERATION`, which is a release. A worker
   reads `JOB` after it has loaded the new generation, which is an acquire: write → increment → load → read. The caller
   writes the next job after the barrier that ends this one, where every worker arrives after its reads (2). So no job is
   overwritten while it is read, and a generation is never skipped: the two counts differ by one at most, and may wrap.
2. *The barrier.* A thread loads `BARRIER_GENERATION` before it arrives (the load is an acquire: nothing after it moves before
   it), so it cannot take the next generation for this one. Arriving is an atomic read-modify-write of `ARRIVALS`, release
   and acquire at once; all of them form one release sequence. So the last to arrive sees what every thread wrote before.
   It sets `ARRIVALS` to 0 and then increments the generation, a release; the others load that, an acquire. So whatever
   any thread wrote before the barrier → whatever any thread does after it, and whoever arrives at the next one finds 0.
3. *The status* is raised before arriving and read after the barrier, hence complete. A fast thread may be at barrier g + 1
   while a slow one still reads the status of barrier g, so neighbouring barriers have words of their own: the word is
   double-buffered, by the parity of the generation. Two words are enough: no thread is at barrier g + 2 before all have
   arrived at g + 1, and each reads the status of g before that. Words are cleared between jobs only, since the first
   status other than 0 ends the program on all threads. A worker may load the last status of a job while the caller clears
   it for the next: both are atomic, and workers ignore that status.
4. *Sleep.* Who waits increments the count of sleepers and then loads the generation; who signals increments the generation
   and then loads the count of sleepers. Each writes one word and reads the other's: with release and acquire alone both
   might read the old value (a store may pass a later load of another address, as in Dekker's algorithm), and the sleeper
   would never be woken. These four accesses are therefore sequentially consistent: in their one total order either the
   sleeper is counted before the signaller looks, or the generation is new before the sleeper looks. The mutex closes the
   gap between a sleeper's last look and its sleep: a signaller who saw a sleeper cannot broadcast in between.
5. *Elsewhere* acquire and release would do where ``seq_cst`` stands: an atomic read-modify-write is the same instruction
   either way on x86 and ARM.
6. *The end.* `STOP` is written before the generation is incremented and read after it was loaded, as a job is.

**Sources:** Mellor-Crummey & Scott (1991), Algorithms for scalable synchronization on shared-memory multiprocessors, 3.1 (the
central barrier; a generation instead of its sense); Reed & Kanodia (1979), Synchronization with eventcounts and
sequencers; Boehm & Adve (2008), Foundations of the C++ concurrency memory model (the orderings, which are LLVM's too).
"""

import platform
import signal

from ..ir.target import POSIX_THREADS

LINE = 128
"""Bytes between fields: a pair of cache lines, which processors fetch together."""
JOB_GENERATION, ARRIVALS, BARRIER_GENERATION, STATUS, JOB, STOP, MUTEX, CONDITION, WORKERS = range(0, 9 * LINE, LINE)
SPINS, YIELD_INTERVAL = 2048, 32
"""Loads of a generation before a thread sleeps, some 100 µs; and after how many it yields its processor once, which the
thread that it waits for may need."""
_X86, _ARM = "@llvm.x86.sse2.pause()", "@llvm.aarch64.hint(i32 1)"
_PAUSE = {"x86_64": _X86, "AMD64": _X86, "arm64": _ARM, "aarch64": _ARM}.get(platform.machine())
"""The instruction by which a spinning processor leaves its units to others."""
_SETMASK = int(signal.SIG_SETMASK) if POSIX_THREADS else 0
CODE = f"""
{f"declare void {_PAUSE.replace(' 1', '')}" if _PAUSE else ""}
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

; --- event count: a generation, and behind it the number of sleepers ---
; wait until the generation is no longer %old, and return it: spin, yield now and then, at last sleep
define internal i32 @await_generation(ptr %pool, ptr %generation, i32 %old) {{
  %sleepers = getelementptr i8, ptr %generation, i64 4
  %mutex = getelementptr i8, ptr %pool, i64 {MUTEX}
  %condition = getelementptr i8, ptr %pool, i64 {CONDITION}
  br label %spin
spin:
  %spins = phi i32 [0, %0], [%next.spins, %pause], [%next.spins, %yield]
  %current = load atomic i32, ptr %generation acquire, align 4 ; sees what was written before the increment
  %is.new = icmp ne i32 %current, %old
  br i1 %is.new, label %done, label %unchanged
unchanged:
  %next.spins = add i32 %spins, 1
  %may.spin = icmp ult i32 %next.spins, {SPINS}
  br i1 %may.spin, label %relax, label %sleep
relax:
  %phase = urem i32 %next.spins, {YIELD_INTERVAL}
  %may.yield = icmp eq i32 %phase, 0
  br i1 %may.yield, label %yield, label %pause
pause:
  {f"call void {_PAUSE}" if _PAUSE else ""}
  br label %spin
yield:
  call i32 @sched_yield()
  br label %spin
sleep:
  call i32 @pthread_mutex_lock(ptr %mutex)
  atomicrmw add ptr %sleepers, i32 1 seq_cst ; store sleepers, then load generation: @signal does the reverse
  br label %check
check: ; with the mutex held until the sleep begins
  %checked = load atomic i32, ptr %generation seq_cst, align 4
  %is.old = icmp eq i32 %checked, %old
  br i1 %is.old, label %block, label %awake
block:
  call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %check
awake:
  atomicrmw sub ptr %sleepers, i32 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  %result = phi i32 [%current, %spin], [%checked, %awake]
  ret i32 %result
}}

; begin the next generation, and wake those who sleep
define void @bprop_signal(ptr %pool, ptr %generation) {{
  atomicrmw add ptr %generation, i32 1 seq_cst ; releases what was written; store generation, then load sleepers
  %sleepers.at = getelementptr i8, ptr %generation, i64 4
  %sleepers = load atomic i32, ptr %sleepers.at seq_cst, align 4
  %nobody.sleeps = icmp eq i32 %sleepers, 0
  br i1 %nobody.sleeps, label %done, label %wake
wake:
  %mutex = getelementptr i8, ptr %pool, i64 {MUTEX}
  %condition = getelementptr i8, ptr %pool, i64 {CONDITION}
  call i32 @pthread_mutex_lock(ptr %mutex)
  call i32 @pthread_cond_broadcast(ptr %condition)
  call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  ret void
}}

; --- barrier: wait until every thread has arrived, and return the greatest status that any of them brings ---
define i32 @bprop_barrier(ptr %pool, i64 %threads, i32 %status) {{
  %is.single = icmp ule i64 %threads, 1
  br i1 %is.single, label %single, label %several
single:
  ret i32 %status
several:
  %generation = getelementptr i8, ptr %pool, i64 {BARRIER_GENERATION}
  %arrivals = getelementptr i8, ptr %pool, i64 {ARRIVALS}
  %words = getelementptr i8, ptr %pool, i64 {STATUS}
  %old = load atomic i32, ptr %generation acquire, align 4 ; before this thread arrives: it cannot change until then
  %parity = and i32 %old, 1
  %word = getelementptr i32, ptr %words, i32 %parity ; double-buffered: the next barrier has the other word
  %is.fine = icmp eq i32 %status, 0
  br i1 %is.fine, label %arrive, label %report
report:
  atomicrmw umax ptr %word, i32 %status seq_cst
  br label %arrive
arrive:
  %before = atomicrmw add ptr %arrivals, i32 1 seq_cst ; releases what this thread wrote, acquires what others wrote
  %arrived = add i32 %before, 1
  %all = trunc i64 %threads to i32
  %is.last = icmp eq i32 %arrived, %all
  br i1 %is.last, label %complete, label %await
complete:
  store atomic i32 0, ptr %arrivals seq_cst, align 4 ; before the next generation begins
  call void @bprop_signal(ptr %pool, ptr %generation)
  br label %completed
await:
  call i32 @await_generation(ptr %pool, ptr %generation, i32 %old)
  br label %completed
completed:
  %greatest = load atomic i32, ptr %word acquire, align 4
  ret i32 %greatest
}}

; --- the caller: publish a job, run it as thread 0, wait for all ---
define i32 @bprop_run(ptr %pool, ptr %program, ptr %table, i64 %threads) {{
  %job = getelementptr i8, ptr %pool, i64 {JOB}
  %table.at = getelementptr i8, ptr %job, i64 8
  %threads.at = getelementptr i8, ptr %job, i64 16
  %words = getelementptr i8, ptr %pool, i64 {STATUS}
  store ptr %program, ptr %job ; plain stores: the signal releases them
  store ptr %table, ptr %table.at
  store i64 %threads, ptr %threads.at
  store atomic i64 0, ptr %words seq_cst, align 8 ; both words
  %generation = getelementptr i8, ptr %pool, i64 {JOB_GENERATION}
  call void @bprop_signal(ptr %pool, ptr %generation)
  %own.status = call i32 %program(ptr %table, i64 0, i64 %threads, ptr %pool)
  %status = call i32 @bprop_barrier(ptr %pool, i64 %threads, i32 %own.status)
  ret i32 %status
}}

; initialise a pool in zeroed memory and start its workers: fewer where the system has no more threads; return how many.
; Signals are blocked in workers: handlers are Python's. Start and stop are native, so that Ctrl-C comes before or after
; them, and no worker is ever lost.
define i64 @bprop_start(ptr %pool, i64 %threads) {{
  %every.signal = alloca [128 x i8], align 16
  %old.mask = alloca [128 x i8], align 16
  %mutex = getelementptr i8, ptr %pool, i64 {MUTEX}
  %condition = getelementptr i8, ptr %pool, i64 {CONDITION}
  call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  call i32 @pthread_cond_init(ptr %condition, ptr null)
  call i32 @sigfillset(ptr %every.signal)
  call i32 @pthread_sigmask(i32 {_SETMASK}, ptr %every.signal, ptr %old.mask)
  br label %next
next:
  %thread = phi i64 [1, %0], [%next.thread, %started]
  %workers = sub i64 %thread, 1
  %is.complete = icmp uge i64 %thread, %threads
  br i1 %is.complete, label %done, label %start
start:
  %line = mul i64 %workers, {LINE}
  %offset = add i64 %line, {WORKERS}
  %worker = getelementptr i8, ptr %pool, i64 %offset
  %thread.at = getelementptr i8, ptr %worker, i64 8
  %handle.at = getelementptr i8, ptr %worker, i64 24
  store ptr %pool, ptr %worker ; pthread_create makes these stores visible to the worker
  store i64 %thread, ptr %thread.at
  %error = call i32 @pthread_create(ptr %handle.at, ptr null, ptr @bprop_worker, ptr %worker)
  %is.started = icmp eq i32 %error, 0
  br i1 %is.started, label %started, label %done
started:
  %next.thread = add i64 %thread, 1
  br label %next
done:
  %count.at = getelementptr i8, ptr %pool, i64 {STOP + 8}
  store i64 %workers, ptr %count.at
  call i32 @pthread_sigmask(i32 {_SETMASK}, ptr %old.mask, ptr null)
  ret i64 %workers
}}

; end the workers and join them; without effect where there are none
define void @bprop_stop(ptr %pool) {{
  %stop.at = getelementptr i8, ptr %pool, i64 {STOP}
  %count.at = getelementptr i8, ptr %pool, i64 {STOP + 8}
  %generation = getelementptr i8, ptr %pool, i64 {JOB_GENERATION}
  store atomic i32 1, ptr %stop.at seq_cst, align 4
  call void @bprop_signal(ptr %pool, ptr %generation)
  %count = load i64, ptr %count.at
  br label %next
next:
  %index = phi i64 [0, %0], [%next.index, %join]
  %is.complete = icmp uge i64 %index, %count
  br i1 %is.complete, label %done, label %join
join:
  %line = mul i64 %index, {LINE}
  %offset = add i64 %line, {WORKERS + 24}
  %handle.at = getelementptr i8, ptr %pool, i64 %offset
  %handle = load i64, ptr %handle.at
  call i32 @pthread_join(i64 %handle, ptr null)
  %next.index = add i64 %index, 1
  br label %next
done:
  store i64 0, ptr %count.at
  ret void
}}

; --- a worker: wait for a job, run it, wait for all; %worker is its line: pool, number, handle ---
define ptr @bprop_worker(ptr %worker) {{
  %pool = load ptr, ptr %worker
  %thread.at = getelementptr i8, ptr %worker, i64 8
  %thread = load i64, ptr %thread.at
  %generation = getelementptr i8, ptr %pool, i64 {JOB_GENERATION}
  %stop.at = getelementptr i8, ptr %pool, i64 {STOP}
  %job = getelementptr i8, ptr %pool, i64 {JOB}
  %table.at = getelementptr i8, ptr %job, i64 8
  %threads.at = getelementptr i8, ptr %job, i64 16
  br label %next
next:
  %old = phi i32 [0, %0], [%current, %run] ; the pool's memory begins as zeros
  %current = call i32 @await_generation(ptr %pool, ptr %generation, i32 %old)
  %stop = load atomic i32, ptr %stop.at seq_cst, align 4
  %goes.on = icmp eq i32 %stop, 0
  br i1 %goes.on, label %run, label %end
run:
  %program = load ptr, ptr %job ; plain loads: the new generation was acquired
  %table = load ptr, ptr %table.at
  %threads = load i64, ptr %threads.at
  %own.status = call i32 %program(ptr %table, i64 %thread, i64 %threads, ptr %pool)
  call i32 @bprop_barrier(ptr %pool, i64 %threads, i32 %own.status)
  br label %next
end:
  ret ptr null
}}
"""
