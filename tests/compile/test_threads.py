"""Threads: the same bits for any number of them, barriers where they are needed, and a thread pool that disturbs nobody.

`parallel_threshold(0)` lets threads share every kernel, however small, so that small cases test every way of splitting.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import accumulate, islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llvmlite import ir

import bprop
from bprop import nn, optim
from bprop.compile import native
from bprop.compile.ir import blocking
from bprop.compile.ir.target import PARALLEL_THRESHOLD
from bprop.compile.llvm import schedule as schedule_emission
from bprop.compile.llvm.host import current_target, parallel_threshold
from bprop.compile.llvm.loop import Emitter
from bprop.compile.passes import schedule as scheduling
from bprop.compile.passes.inline import inline
from bprop.compile.passes.pipeline import lower
from bprop.compile.runtime import threads as thread
from bprop.compile.runtime.thread_pool import THREAD_POOL
from bprop.core.family import Region
from bprop.core.op import REGISTRY
from bprop.core.tree import flatten
from bprop.diagnose.case import cases
from support.op_call import function_of_arrays
from support.profile import examples
from support.random_graph import programs, run

THREADS = (1, 2, 3, 4, 7)
TRIES = 200
"""How often a planted fault may have no effect: on a busy machine the thread that should be early is late as well."""
OPS = [op for op in REGISTRY.values() if not isinstance(op, Region)]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setenv("BPROP_CACHE", "0")  # faults are planted where code is made
    before = bprop.get_threads()
    yield
    bprop.set_threads(before)


def bits(tree):
    return b"".join(np.asarray(x).tobytes() for x in flatten(tree)[0])


def same(f, *xs, threads=THREADS, times=1):
    """Assert that ``f`` returns the same bits for any number of threads, and every time; return them."""
    found = {}
    for count in threads:
        bprop.set_threads(count)
        for _ in range(times):
            found.setdefault(bits(f(*xs)), count)
    assert len(found) == 1, f"threads {sorted(found.values())} differ"
    return next(iter(found))


def compiled(f, *xs):
    with parallel_threshold(0):
        return native(bprop.trace(f)(*xs))


def training_step(sizes, batch, least=0):
    """Return the training step of a network and a function that sets everything back to the beginning."""
    generator, random = bprop.Generator(1), np.random.default_rng(0)
    layers = [(nn.Linear(a, b, generator=generator), nn.Tanh()) for a, b in pairwise(sizes)]
    model, loss, optimizer = (
        nn.Sequential(*[x for pair in layers for x in pair][:-1]),
        nn.CrossEntropy(),
        optim.Adam(1e-2),
    )
    optimizer.init(model)
    x = bprop.asarray(random.normal(size=(batch, sizes[0])).astype(np.float32))
    t = bprop.asarray(random.integers(0, sizes[-1], batch))
    cells = [(cell, np.array(cell.array)) for cell in flatten((model, optimizer))[0] if isinstance(cell, bprop.Cell)]

    @bprop.compile
    def step(model, optimizer, x, t):
        E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
        optimizer.update(model, gradients)
        return E, gradients

    def call():
        return step(model, optimizer, x, t)

    def begin():
        for cell, value in cells:
            cell.write(bprop.asarray(value))

    with parallel_threshold(least):
        call()
    call.program = step.program
    return call, begin


# --- the same bits ---
@pytest.mark.parametrize("sizes", [(5, 3, 2), (70, 33, 64, 10)], ids=str)
def test_a_training_has_the_same_bits(sizes):
    step, begin = training_step(sizes, 37)

    def train():
        begin()
        return [step() for _ in range(8)]

    same(train, times=3)


def test_large_products_have_the_same_bits():
    random = np.random.default_rng(0)
    a, b = (bprop.asarray(random.normal(size=(3, 70, 90)).astype(np.float32)) for _ in range(2))
    f = compiled(lambda a, b: (a @ b.mT, a.mT @ b, bprop.einsum("bij,bkj->ik", a, b), bprop.tanh(a @ b.mT) + 1), a, b)
    same(f, a, b, times=5)


@given(programs(), st.sampled_from([(3, 4), (33, 5), (40,), (0, 2), ()]))
@examples(25)
def test_random_graphs_have_the_same_bits(steps, shape):
    random = np.random.default_rng(0)
    xs = [bprop.asarray(random.uniform(-1, 1, s)) for s in (shape, shape[-1:], ())]
    same(compiled(lambda *xs: run(steps, xs), *xs), *xs, threads=(1, 2, 4))


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_every_op_has_the_same_bits(op):
    """One program for the first cases of an op: its kernels are independent, and one compilation costs less than three."""
    made = [function_of_arrays(op, args, params) for args, params in islice(cases(op, np.float32), 3)]
    counts = [0, *accumulate(len(xs) for _, xs in made)]
    xs = [bprop.asarray(x) for _, own in made for x in own]

    def f(*xs):
        return [one(*xs[begin:end]) for (one, _), (begin, end) in zip(made, pairwise(counts), strict=True)]

    same(compiled(f, *xs), *xs, threads=(1, 3))


@pytest.mark.parametrize("shape", [(300, 3), (2, 3, 70)], ids=str)
def test_sums_and_maps_split_along_any_axis(shape):
    x = bprop.asarray(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    axes = range(x.ndim)

    def f(x):
        sums = [bprop.sum(bprop.exp(x), axis=axis) for axis in axes]
        return *sums, bprop.sum(x), *(bprop.cumulative_sum(x, axis=axis) for axis in axes), bprop.softmax(x), x.mT + 1

    same(compiled(f, x), x, times=3)


def test_a_scan_shares_the_work_of_its_body():
    random = np.random.default_rng(0)
    W, h, xs = (bprop.asarray(random.normal(size=s).astype(np.float32) / 9) for s in ((40, 40), (8, 40), (25, 8, 40)))

    def f(W, h, xs):
        def body(h, x):
            h = bprop.tanh(h @ W + x)
            return h, bprop.sum(h, axis=0)

        final, sums = bprop.scan(body, h, xs)
        return final, sums

    same(compiled(f, W, h, xs), W, h, xs, times=10)


def test_a_program_from_the_disk_meets_as_well(tmp_path, monkeypatch):
    x = bprop.asarray(np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32))
    monkeypatch.setenv("BPROP_CACHE", "1")
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path))
    expected = same(compiled(lambda x: bprop.softmax(x @ x.T) @ x, x), x)
    kept = sorted(path.name for path in tmp_path.rglob("*.code"))
    assert len(kept) == 1
    assert same(compiled(lambda x: bprop.softmax(x @ x.T) @ x, x), x) == expected
    assert sorted(path.name for path in tmp_path.rglob("*.code")) == kept
    assert bits(native(bprop.trace(lambda x: bprop.softmax(x @ x.T) @ x)(x))(x)) == expected
    assert len(list(tmp_path.rglob("*.code"))) == 2  # sharing less is another program


def test_a_sum_that_threads_split_is_seen():
    """The planted fault: every thread sums its part, and the parts are added."""
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    with pytest.raises(AssertionError, match="differ"):
        same(lambda x: sum(np.sum(part) for part in np.array_split(x, bprop.get_threads())), x)


# --- barriers ---
@pytest.fixture(params=["late workers", "late caller"])
def staggered(request, monkeypatch):
    """Delay some threads before everything they do, so that a missing barrier shows every time."""
    whole, barrier = schedule_emission.ScheduleEmitter._emit, Emitter.barrier

    def delay(module, b, thread):
        usleep = module.globals.get("usleep")
        if usleep is None:
            usleep = ir.Function(module, ir.FunctionType(ir.IntType(32), [ir.IntType(32)]), "usleep")
        slow = b.icmp_unsigned("!=" if request.param == "late workers" else "==", thread, ir.Constant(thread.type, 0))
        with b.if_then(slow):
            b.call(usleep, [ir.Constant(ir.IntType(32), 300)])

    def emit(self, b, items, pool):
        for item in items:
            delay(self.module, b, self.pool[0])
            whole(self, b, [item], pool)

    def wait(self):
        barrier(self)
        delay(self.module, self.builder, self.pool[0])

    monkeypatch.setattr(schedule_emission.ScheduleEmitter, "_emit", emit)
    monkeypatch.setattr(Emitter, "barrier", wait)


def work():
    random = np.random.default_rng(0)
    x = bprop.asarray(random.normal(size=(16, 40)).astype(np.float32))
    W = bprop.asarray(random.normal(size=(40, 48)).astype(np.float32))

    def f(x, W):
        y = bprop.tanh(x @ W)
        z = bprop.cumulative_sum(bprop.sum(y, axis=0) + y, axis=1)
        return bprop.sum(z), (z.T @ y).T @ z.T, bprop.sort(z, axis=0) + bprop.sum(z, axis=1, keepdims=True)

    return compiled(f, x, W), x, W


def test_barriers_are_enough_for_late_threads(staggered):
    bprop.set_threads(1)
    expected = bits(work()[0](*work()[1:]))
    f, *xs = work()
    assert same(f, *xs, threads=(2, 3)) == expected


def test_a_missing_barrier_is_seen(staggered, monkeypatch):
    """The planted fault: programs without barriers between kernels."""
    bprop.set_threads(1)
    expected = bits(work()[0](*work()[1:]))
    items = scheduling._BarrierPlanner.items
    monkeypatch.setattr(
        scheduling._BarrierPlanner,
        "items",
        lambda *args: [item._replace(needs_barrier=False) for item in items(*args)],
    )
    f, *xs = work()
    bprop.set_threads(2)

    def seen():
        try:
            return bits(f(*xs)) != expected
        except bprop.IndexingError:  # an index that was not yet computed
            return True

    assert any(seen() for _ in range(TRIES))


def test_a_missing_barrier_inside_a_product_is_seen(staggered, monkeypatch):
    monkeypatch.setattr(blocking, "UNPACKED_FRACTION", (1e9, 0.03))  # A is packed by one thread for others
    a = bprop.asarray(np.random.default_rng(0).normal(size=(64, 200)).astype(np.float32))
    bprop.set_threads(1)
    expected = bits(compiled(lambda a: a @ a.T, a)(a))
    barrier = schedule_emission.emit_barrier
    monkeypatch.setattr(sys.modules[Emitter.__module__], "emit_barrier", lambda module, b, pool, status: status)
    f = compiled(lambda a: a @ a.T, a)
    monkeypatch.setattr(sys.modules[Emitter.__module__], "emit_barrier", barrier)
    bprop.set_threads(2)

    def seen():
        f(a * 2)  # leaves other panels in memory
        return bits(f(a)) != expected

    assert any(seen() for _ in range(TRIES))


def test_barriers_follow_from_the_memory_plan():
    """Two items that touch the same bytes, one of them writing, one of them parallel, have a barrier in between."""
    lowered = training_step((20, 33, 17, 10), 40)[0].program.lowered
    touched, items = [], lowered.schedule.items
    planner = scheduling._BarrierPlanner(lowered.memory, lowered.target)
    for number, item in enumerate(items):
        reads, writes = planner._spans(item.work)
        for before, other, old_reads, old_writes in touched:
            clash = any(a.overlaps(b) for a in writes for b in (*old_reads, *old_writes))
            clash |= any(a.overlaps(b) for a in reads for b in old_writes)
            if clash and (item.is_parallel or other.is_parallel):
                assert any(between.needs_barrier for between in items[before + 1 : number + 1])
        touched.append((number, item, reads, writes))
    assert sum(item.is_parallel for item in items) > 10


def test_parts_of_a_concatenation_wait_for_what_another_part_stores():
    """Operands of several shapes have a kernel each; they write apart, but one reads what another stores beside."""

    def f(x):
        y = bprop.exp(x)
        return bprop.concat((y[:, ::-1][:, :30] * 2, bprop.tanh(y)), axis=1), bprop.sum(y, axis=0)

    x = np.linspace(-1, 1, 64 * 40).reshape(64, 40)
    with parallel_threshold(0):
        items = lower(inline(bprop.trace(f)(x)), current_target()).schedule.items
        joins = [n for n, item in enumerate(items) if getattr(item.work, "kind", None) == "join"]
        stored = items[joins[0]].work.stored
        assert len(joins) == 2
        assert len(stored) == 2
        assert stored[1] in items[joins[1]].work.reads
        assert items[joins[1]].needs_barrier
        same(bprop.compile(f), x)


def test_threads_divide_the_columns_of_rows_that_are_added_up():
    rows, indices = np.linspace(-1, 1, 50 * 96).reshape(50, 96).astype("float32"), np.arange(50) * 7 % 9

    def f(rows, indices):
        return bprop.zeros((9, 96), dtype="float32").at[indices].add(rows * 3)

    with parallel_threshold(0):
        items = lower(inline(bprop.trace(f)(rows, indices)), current_target()).schedule.items
        assert [item.is_parallel for item in items if item.work.kind == "scatter"] == [True]
        same(bprop.compile(f), rows, indices)


def risky(x, i, w):
    """Indices that may be out of range, and a general op, before, between and after work that is shared and that is not."""
    beside = bprop.exp(x)[i], bprop.cos(w[0])
    y = bprop.tanh(x @ w)
    z = bprop.exp(y)[i] * 2
    s = bprop.linalg.solve(w, bprop.sum(z, axis=0))
    z = bprop.tanh(z @ w) + s
    return bprop.cos(x), z[i] @ w, x.at[i].add(y[i]), *beside


@pytest.mark.parametrize("least", [0.0, 200.0])
def test_all_know_of_a_failure_before_shared_work(least):
    """Between a kernel that may fail and the next part, one of them parallel, there is a barrier: all leave together."""
    x, i, w = bprop.ones((40, 8)), bprop.asarray(np.arange(40)), bprop.asarray(np.eye(8))
    with parallel_threshold(least):
        items = lower(inline(bprop.trace(risky)(x, i, w)), current_target()).schedule.items
    failing = [n for n, item in enumerate(items) if getattr(item.work, "may_fail", False)]
    assert len(failing) > 3
    pairs = [(n, m) for n in failing for m in range(n + 1, len(items))]
    pairs = [(n, m) for n, m in pairs if items[n].is_parallel or items[m].is_parallel]
    kinds = {(items[n].is_parallel, items[m].is_parallel) for n, m in pairs}
    assert kinds >= {(True, True), (False, True)} | ({(True, False)} if least else set())
    for n, m in pairs:
        assert any(item.needs_barrier for item in items[n + 1 : m + 1]), (n, m)


@pytest.mark.parametrize("least", [0.0, PARALLEL_THRESHOLD])
def test_placing_barriers_takes_time_linear_in_depth(least, monkeypatch):
    looks = []
    right = scheduling._Span.overlaps
    monkeypatch.setattr(scheduling._Span, "overlaps", lambda a, b: looks.append(1) or right(a, b))

    def energy(x, w, depth):
        for _ in range(depth):
            x = bprop.tanh(x @ w)
        return bprop.sum(x)

    def count(depth):
        looks.clear()
        with parallel_threshold(least):
            graph = bprop.trace(lambda x, w: bprop.grad(energy, argnums=(0, 1))(x, w, depth))(x, x)
            assert len(lower(inline(graph), current_target()).kernels) > 3 * depth
        return len(looks)

    x = bprop.ones((8, 8), dtype="float32")
    assert count(60) <= 2.2 * count(30)


# --- who takes part ---
def test_small_programs_wake_nobody():
    program = training_step((4, 16, 3), 32, least=PARALLEL_THRESHOLD)[0].program
    assert not any(item.is_parallel for item in program.lowered.schedule.items)
    assert program.lowered.schedule.nanoseconds is None
    assert not program.uses_threads


def test_large_programs_are_shared():
    program = training_step((64, 512, 10), 128, least=PARALLEL_THRESHOLD)[0].program
    assert program.uses_threads
    assert sum(item.is_parallel for item in program.lowered.schedule.items) > 5


def test_the_pool_has_as_many_threads_as_wanted():
    f, *xs = work()
    for count in (2, 4, 3):
        bprop.set_threads(count)
        f(*xs)
        assert THREAD_POOL.size == count
        assert bprop.get_threads() == count


@pytest.mark.parametrize("bad", [0, -1, 2.0, "2", True, None, 10**6], ids=repr)
def test_a_bad_number_is_refused(bad):
    with pytest.raises(bprop.ArgumentError, match=r"set_threads: n is .*between 1 and 1024"):
        bprop.set_threads(bad)


@pytest.mark.parametrize(("given", "threads"), [("3", 3), (" 2 ", 2), ("", None)])
def test_the_environment_says_how_many(given, threads, monkeypatch):
    monkeypatch.setenv("BPROP_NUM_THREADS", given)
    monkeypatch.setattr(thread, "_chosen", None)
    assert bprop.get_threads() == (threads or thread.available())


@pytest.mark.parametrize(
    ("membership", "files", "cpus"),
    [
        ("0::/", {"cpu.max": "250000 100000"}, 3),
        ("0::/", {"cpu.max": "max 100000"}, 8),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000", "cpu.max": "200000 100000"}, 1),
        ("4:memory:/x\n1:cpu,cpuacct:/job", {"cpu/job/cpu.cfs_quota_us": "200000", "cpu/job/cpu.cfs_period_us": "100000"}, 2),
        ("1:cpu:/outside", {"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("0::/a", {"a/cpu.max": "nonsense"}, 8),
        (None, {}, 8),
    ],
)  # fmt: skip
def test_control_groups_say_how_many(membership, files, cpus, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(thread, "CGROUP_ROOT", tmp_path)
    monkeypatch.setattr(thread, "CGROUP_FILE", tmp_path / "membership")
    for name, text in {**files, **({} if membership is None else {"membership": membership})}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert thread.available() == cpus


@pytest.mark.parametrize("given", ["0", "many", "-2", "1.5", "9" * 5000], ids=lambda text: text[:5])
def test_a_bad_environment_is_named(given, monkeypatch):
    monkeypatch.setenv("BPROP_NUM_THREADS", given)
    monkeypatch.setattr(thread, "_chosen", None)
    with pytest.raises(bprop.ArgumentError, match=f"BPROP_NUM_THREADS is '?{given[:59]}'?:"):
        bprop.get_threads()


# --- errors ---
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_an_index_out_of_range_is_an_error_on_any_number_of_threads(threads):
    x, i = bprop.asarray(np.arange(50.0)), bprop.asarray(np.arange(64) % 50)
    f = compiled(lambda x, i: bprop.cumulative_sum(bprop.exp(x[i] - 50)) @ bprop.ones((64, 64)), x, i)
    bprop.set_threads(threads)
    expected = bits(f(x, i))
    for place in (0, 31, 32, 63):
        wrong = np.array(i)
        wrong[place] = 50
        with pytest.raises(bprop.IndexingError):
            f(x, bprop.asarray(wrong))
        assert bits(f(x, i)) == expected


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_callback_that_fails_ends_every_thread(threads):
    good, bad = np.eye(20) * 3, np.zeros((20, 20))
    f = compiled(lambda a: bprop.tanh(bprop.linalg.cholesky(bprop.tanh(a) + a)) @ a + 1, bprop.asarray(good))
    bprop.set_threads(threads)
    expected = bits(f(bprop.asarray(good)))
    for _ in range(5):
        with pytest.raises(bprop.BpropError):
            f(bprop.asarray(bad))
        assert bits(f(bprop.asarray(good))) == expected


def test_a_failing_step_changes_no_parameter():
    bprop.set_threads(3)
    cell = bprop.Cell(bprop.asarray(np.ones((10, 32))))

    @bprop.compile
    def step(i):
        y = bprop.sum(cell.read()[i], axis=0)
        cell.write(cell.read() * 2)
        return y

    with parallel_threshold(0):
        step(bprop.asarray(np.arange(8)))
        assert step.program.uses_threads
        before = bits(cell.array)
        for _ in range(5):
            with pytest.raises(bprop.IndexingError):
                step(bprop.asarray(np.arange(8) + 5))
    assert bits(cell.array) == before


# --- several Python threads ---
def test_python_threads_call_compiled_functions_at_once():
    bprop.set_threads(2)
    shared, others = work(), [work() for _ in range(3)]
    expected = bits(shared[0](*shared[1:]))
    failures = []

    def call(f, *xs):
        try:
            for turn in range(40):
                bprop.set_threads(1 + turn % 3)
                if bits(f(*xs)) != expected:
                    failures.append("other bits")
        except Exception as error:
            failures.append(error)

    callers = [threading.Thread(target=call, args=one) for one in (shared, shared, *others)]
    for one in callers:
        one.start()
    for one in callers:
        one.join(300)
        assert not one.is_alive()
    assert not failures


def test_a_busy_pool_is_not_waited_for():
    f, *xs = work()
    bprop.set_threads(2)
    expected = bits(f(*xs))
    THREAD_POOL.caller["now"] = 0, None
    try:
        assert bits(f(*xs)) == expected
    finally:
        THREAD_POOL.caller.clear()


def test_idle_workers_use_no_processor():
    f, *xs = work()
    bprop.set_threads(4)

    def idle():
        f(*xs)
        time.sleep(0.02)
        before = time.process_time()
        time.sleep(0.3)
        return time.process_time() - before < 0.02

    assert any(idle() for _ in range(5))  # something else in this process may be at work now and then


# --- the process around it ---
BEGIN = """
import os, signal, sys, threading, time
import numpy as np
import bprop
from bprop.compile import native
from bprop.compile.llvm.host import parallel_threshold
from bprop.compile.ir.target import PARALLEL_THRESHOLD
from bprop.compile.runtime.thread_pool import THREAD_POOL
bprop.set_threads(3)
x = bprop.asarray(np.arange(6000.0).reshape(60, 100) / 6000)
with parallel_threshold(0):
    f = native(bprop.trace(lambda x: bprop.tanh(x @ x.T) @ x)(x))
y = f(x)[0].data
assert THREAD_POOL.size == 3
"""


def python(code, **options):
    """Run a program of its own; return its exit code and what it printed."""
    source = os.path.dirname(os.path.dirname(bprop.__file__))
    env = {**os.environ, "PYTHONPATH": source}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code],
        capture_output=True,
        text=True,
        timeout=300,
        env=env,
        check=False,
        **options,
    )
    return done.returncode, done.stdout + done.stderr


posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")


@posix
def test_a_forked_child_has_a_pool_of_its_own():
    code = """
for pause in (0, 0, 0.01, 0.01):  # workers still look at the gate, or sleep
    f(x)
    time.sleep(pause)
    assert THREAD_POOL.size == 3
    child = os.fork()
    alone = THREAD_POOL.size == 1  # the parent, too, until its next call: Python warns of a fork beside threads
    if child == 0:
        right = all(np.array_equal(f(x)[0].data, y) for _ in range(20))
        os._exit(0 if right and alone and THREAD_POOL.size == 3 else 9)
    assert alone and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(f(x)[0].data, y)
import multiprocessing
def child():
    sys.exit(0 if np.array_equal(f(x)[0].data, y) else 9)
busy = threading.Thread(target=lambda: [f(x) for _ in range(300)])
busy.start()
one = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(5))
one.start(); one.join(); busy.join()
assert one.exitcode == 5
one = multiprocessing.get_context("fork").Process(target=child)
one.start(); one.join()
sys.exit(one.exitcode)
"""
    code, output = python(code)
    assert code == 0, output


@posix
def test_a_child_forked_while_other_threads_run_and_compile():
    """It has the locks of threads that it has not: those of compiled functions, of programs and of LLVM."""
    code = """
import faulthandler
g = bprop.compile(lambda x: bprop.tanh(x @ x.T) @ x)
g(x)
ended = False
def call(one):
    while not ended:
        one(x)
def make():
    while not ended:
        bprop.compile(lambda x: bprop.exp(x) + len(children))(x)
children = []
others = [threading.Thread(target=call, args=(one,)) for one in (f, g)] + [threading.Thread(target=make)]
for one in others:
    one.start()
for _ in range(8):
    time.sleep(0.011)
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(100, exit=True)
        right = np.array_equal(f(x)[0].data, y) and np.array_equal(np.asarray(g(x)), y)
        new = bprop.compile(lambda x: bprop.exp(x) - 0.5)(x)
        os._exit(0 if right and np.allclose(new, np.exp(x) - 0.5) else 9)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
ended = True
for one in others:
    one.join()
assert codes == [0] * 8, codes
"""
    assert python(code) == (0, "")


@posix
def test_a_child_forked_inside_a_callback():
    """It may do what it likes there, but not go on with a program whose other threads stayed behind."""
    code = """
children = []
def double(a, leave):
    child = os.fork()
    if child:
        children.append(child)
    elif leave:
        right = np.array_equal(f(x)[0].data, y)
        os._exit(7 if right else 9)
    return np.array(a) * 2
for leave in (True, False):
    with parallel_threshold(0):
        g = bprop.compile(lambda x: bprop.tanh(bprop.callback(lambda a: double(a, leave), x, result=x) @ x.T))
        z = g(x)
    assert np.allclose(z, np.tanh(2 * x.data @ x.data.T))
assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [7, 1]
"""
    code, output = python(code)
    assert code == 0, output
    assert output.count("cannot return from it") == 1


@posix
@pytest.mark.usefixtures("default_signals")
def test_signals_reach_python_and_exit_codes_are_kept():
    code = """
handled = []
signal.signal(signal.SIGUSR1, lambda number, frame: handled.append(threading.current_thread()))
for _ in range(5):
    os.kill(os.getpid(), signal.SIGUSR1)
    f(x)
assert handled == [threading.main_thread()] * 5
try:
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    while True:
        assert np.array_equal(f(x)[0].data, y)
except KeyboardInterrupt:
    pass
assert np.array_equal(f(x)[0].data, y)
sys.exit(7)
"""
    assert python(code) == (7, "")


@posix
def test_ctrl_c_at_any_moment_leaves_the_pool_free():
    code = """
import random
def interrupt(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
draw = random.Random(0)
with parallel_threshold(0):
    g = bprop.compile(lambda x: x + 1)
    g(x)
for _ in range(1000):
    try:
        signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-5, 2e-4))
        while True:
            g(x)
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert not THREAD_POOL.caller
assert np.array_equal(f(x)[0].data, y) and np.array_equal(g(x), x.data + 1)
assert THREAD_POOL.size == 3
"""
    code, output = python(code)
    assert code == 0, output


@posix
@pytest.mark.parametrize("width", [4, 40])
def test_ctrl_c_ends_a_long_scan(width):
    """Also one whose body several threads share, between its iterations: then all of them leave."""
    code = f"""
W = bprop.asarray(np.eye({width}))
def scanned(h, xs, rows):
    def inside(h, x):
        return bprop.scan(lambda h, y: (bprop.tanh(h @ W + x + y), None), h, rows)[0], None
    return bprop.scan(inside, h, xs)[0]
with parallel_threshold(0):
    g = bprop.compile(scanned)
    rows, endless = bprop.zeros(900), bprop.zeros(10**7)
    expected = g(W, bprop.zeros(3), rows).data
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for _ in range(3):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            g(W, endless, rows)
        except KeyboardInterrupt:
            assert np.array_equal(g(W, bprop.zeros(3), rows), expected)
        else:
            sys.exit(1)
"""
    found, output = python(code)
    assert found == 0, output


@posix
@pytest.mark.usefixtures("default_signals")
def test_the_process_can_be_ended_while_workers_run():
    code = """
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
while True:
    f(x)
"""
    assert python(code) == (-signal.SIGTERM, "")


def test_a_daemon_thread_may_be_inside_at_exit():
    code = """
threading.Thread(target=lambda: [f(x) for _ in range(10**9)], daemon=True).start()
time.sleep(0.05)
sys.exit(3)
"""
    assert python(code) == (3, "")
