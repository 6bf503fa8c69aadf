"""What a compiled function says of itself: kernels with totals, what is called back and why, and where errors come from."""

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.compile import jit as pipeline
from bprop.compile.frontend import compiled_call as step
from bprop.core.cell import Cell

RANDOM = np.random.default_rng(0)


def training_step():
    nn.seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    rule = optim.Adam(1e-3)

    @bprop.compile
    def step(model, rule, x, t):
        E, gradients = bprop.value_and_grad(lambda m: nn.CrossEntropy()(m(x), t))(model)
        rule.update(model, gradients)
        return E

    args = model, rule, RANDOM.normal(size=(32, 4)).astype(np.float32), RANDOM.integers(0, 3, 32)
    step(*args)
    return step, args


def test_a_training_step_calls_nothing_back():
    step, _ = training_step()
    assert step.report.called == ()
    assert "called back    nothing: every op of the step is native code" in str(step.report)
    assert "100 % of those counted" in str(step.report)
    assert f"{step.memory.size:,} B" in str(step.report)


def test_totals_are_those_of_the_kernels():
    step, _ = training_step()
    kernels = step.program.kernels
    products = [k.flops for k in kernels if k.kind == "contract"]
    assert sorted(products) == sorted(2 * 32 * n for n in (4 * 16, 4 * 16, 16 * 3, 16 * 3, 16 * 3))
    assert step.kernels.flops == sum(k.flops for k in kernels)
    *_, total = str(step.kernels).splitlines()
    assert f"{len(kernels)} kernels" in total
    assert f"{step.kernels.flops:,} flop" in total
    assert f"{sum(k.bytes for k in kernels):,} B" in total
    assert str(step.memory).endswith(", ".join(map(str, step.memory.in_place)))


def test_moves_are_no_operations():
    f = bprop.compile(lambda x: (x.T.reshape(12), x[::2] + 1, bprop.arange(4), bprop.sum(x.T, axis=1)))
    f(bprop.ones((3, 4)))
    assert [kernel.flops for kernel in f.kernels] == [0, 0, 8, 0, 12]  # a copy of x.T, its other shape


@bprop.compile
def mixed(x):
    y = bprop.cholesky(x @ x.T + bprop.eye(4))  # the cholesky

    def body(c, row):
        return c * bprop.linalg.det(y), bprop.tanh(row)

    return bprop.scan(body, bprop.zeros(4), x), bprop.erfinv(x / 10)  # scan and erfinv


def test_the_closed_list_of_what_is_called_back():
    mixed(RANDOM.normal(size=(4, 4)))
    called = {one.op: one for one in mixed.report.called}
    assert {op: one.times for op, one in called.items()} == {"cholesky": 1, "det": 4, "erfinv": 1}
    assert "(n,n)->(n,n)" in called["cholesky"].why
    assert "special function" in called["erfinv"].why
    assert called["cholesky"].line.endswith("# the cholesky")
    assert called["erfinv"].line.endswith(called["det"].line[-5:])
    text = str(mixed.report)
    assert "6 calls of Python in every call" in text
    assert all(one.why in text for one in called.values())
    assert mixed.report.called_flops == 16
    assert "% of those counted" in text
    assert "100 %" not in text


def test_the_body_of_a_loop_counts_as_often_as_it_runs():
    f = bprop.compile(lambda x: bprop.scan(lambda c, row: (c + row, c), bprop.zeros(3), x))
    counts = []
    for length in (5, 50):
        f(bprop.ones((length, 3)))
        counts.append(f.kernels.flops)
        assert f"the body of 1, {length} times" in str(f.kernels)
    assert counts[1] - counts[0] == 45 * 3


def test_the_list_is_of_what_is_really_called(monkeypatch):
    """A callback that the program makes and the report does not know of would be a silent fallback."""
    from bprop.compile.runtime import executable

    made = []
    original = executable.callback
    monkeypatch.setattr(
        executable, "callback", lambda kernel, failure: made.append(kernel) or original(kernel, failure)
    )
    f = bprop.compile(lambda x: (bprop.cholesky(x), bprop.linalg.det(x), bprop.exp(x)))
    f(np.eye(3))
    assert sorted(k.root.op.name for k in made) == sorted(one.op for one in f.report.called) == ["cholesky", "det"]


# --- errors say where ---
def test_what_has_no_native_code_names_the_line():
    @bprop.compile
    def f(x):
        y = x * 2
        z = bprop.astype(y, "float16")  # here
        return z + 1

    with pytest.raises(bprop.CompileError, match=r"float16\[3\].*no native code") as caught:
        f(bprop.ones(3))
    assert caught.value.line.endswith("# here")


def test_an_error_of_numpy_names_the_line_of_the_op():
    @bprop.compile
    def f(x):
        y = x - 2
        return bprop.cholesky(y) + 1  # here

    with pytest.raises(bprop.ArgumentError, match="not positive definite") as caught:
        f(bprop.ones((3, 3)))
    assert caught.value.line.endswith("# here")


def test_a_loop_that_passes_its_limit_names_its_own_line():
    def f(x):
        return bprop.while_loop(lambda x: x < 100, lambda x: x + 1, x, limit=3)  # here

    with pytest.raises(bprop.ArgumentError, match="limit=3") as caught:
        bprop.compile(f)(bprop.zeros(()))
    assert caught.value.line.endswith("# here")


# --- memory ---
@pytest.mark.parametrize(
    "shape", [(2**20, 2**20, 2**10), (2**40, 2**40)]
)  # more than there is, more than has an address
def test_no_memory_for_results_changes_no_cell(shape):
    cell = Cell(bprop.zeros(2))

    @bprop.compile
    def f(n):
        cell.write(cell.read() + 1)
        return bprop.broadcast_to(n, shape)

    for call in (f, lambda n: f.loop(n[None])):
        with pytest.raises(MemoryError, match=r"no memory for the step .*no parameter has changed"):
            call(bprop.ones(()))
        np.testing.assert_array_equal(cell.array, [0, 0])


def test_intermediate_values_beyond_every_address():
    f = bprop.compile(lambda x: bprop.cumulative_sum(bprop.broadcast_to(x, (2**40, 2**40)), axis=1)[0, :3])
    with pytest.raises(MemoryError, match="no memory for the step"):
        f(bprop.ones(()))


def test_no_memory_for_intermediate_values_changes_no_cell(monkeypatch):
    cell = Cell(bprop.zeros(2))

    @bprop.compile
    def f(x):
        cell.write(cell.read() + 1)
        y = bprop.exp(x)
        return bprop.sum(bprop.cumulative_sum(y) * y)

    def full(self):
        raise MemoryError

    with monkeypatch.context() as patch:
        from bprop.compile.runtime.executable import Program

        patch.setattr(Program, "room", full)
        with pytest.raises(MemoryError, match="no parameter has changed"):
            f(bprop.ones(100))
    np.testing.assert_array_equal(cell.array, [0, 0])
    f(bprop.ones(100))
    np.testing.assert_array_equal(cell.array, [1, 1])


def test_no_memory_for_a_copy_on_write(monkeypatch):
    cell = Cell(bprop.zeros(200))

    @bprop.compile
    def f():
        cell.write(cell.read() + 1)

    f()
    held = cell.read()
    with monkeypatch.context() as patch:
        original = step.contiguous

        class Full(np.ndarray):
            def copy(self, order="C"):
                raise MemoryError

        patch.setattr(step, "contiguous", lambda data: original(data).view(Full))
        with pytest.raises(MemoryError, match="no parameter has changed"):
            f()
    assert cell.array is held
    f()
    assert (held.data == 1).all()
    assert (cell.array.data == 2).all()


# --- slots ---
def test_a_step_whose_first_call_makes_slots_is_compiled_once():
    from bprop.compile.llvm import engine
    from bprop.compile.runtime import identity

    identity.same()
    engine.compiled.cache_clear()
    step, args = training_step()
    for _ in range(3):
        step(*args)
    assert len(step.programs) == 1
    assert engine.compiled.cache_info().misses == 1


def test_dropped_programs_are_said_once(monkeypatch):
    monkeypatch.setattr(pipeline, "KEPT", 3)
    f = bprop.compile(lambda x, n: x + int(n))
    for n in "012":
        f(bprop.ones(2), n)
    with pytest.warns(bprop.CompileWarning, match=r"<lambda>: this is program 4, .*compiled again") as said:
        f(bprop.ones(2), "3")
    assert said[0].filename == __file__
    for n in "012345":  # warnings are errors here: nothing more is said
        f(bprop.ones(2), n)
    assert len(f.programs) == 3


def test_bytes_are_those_of_the_rows_that_are_read():
    x, rows = np.ones((1000, 64), np.float32), np.arange(10)
    for f, args, expected in (
        (lambda x, i: bprop.take(x, i, axis=0) * 2, (x, rows), 2 * 10 * 64 * 4 + 80),
        (lambda x: x[:10] * 2, (x,), 2 * 10 * 64 * 4),
        (lambda x, i: bprop.sum(x[i]), (x, rows), 10 * 64 * 4 + 80 + 4),
        (lambda x: x[:600] + x[400:], (x,), (1000 + 600) * 64 * 4),
        (lambda x: bprop.broadcast_to(x[:, None], (4, 5)) * 2, (x[0, :4],), (4 + 20) * 4),
        (lambda x: bprop.sum(x, axis=0), (x,), 1001 * 64 * 4),
    ):
        f = bprop.compile(f)
        f(*args)
        assert f.kernels.bytes == expected, f.kernels


def test_a_permutation_is_a_call_of_python():
    """It fails as one, threads do not share it, and its work is not counted as native."""
    f = bprop.compile(lambda generator: generator.permutation(6))
    generator = bprop.Generator(3)
    expected = np.asarray(bprop.Generator(3).permutation(6))
    np.testing.assert_array_equal(np.asarray(f(generator)), expected)
    kernels = [kernel for kernel in f.kernels if "permutation" in str(kernel)]
    assert [kernel.kind for kernel in kernels] == ["callback"]
    parallel = {item.work for item in f.program.lowered.schedule.items if item.is_parallel}
    assert all(kernel.may_fail and kernel not in parallel for kernel in kernels)
    assert [called.op for called in f.report.called] == ["permutation"]
