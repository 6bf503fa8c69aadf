"""A call that looks at almost nothing: what changes between two calls is seen all the same, and what fails leaves no trace."""

import gc
import sys
import threading
import time
from collections import OrderedDict, deque, namedtuple

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.compile.frontend import compiled_call as step
from bprop.compile.runtime import identity
from bprop.core.cell import CHANGES, Cell

RANDOM = np.random.default_rng(0)


@pytest.fixture
def binds(monkeypatch):
    """Count the cells whose memory is looked up."""
    made = []
    original = step.CompiledCall._bind
    monkeypatch.setattr(step.CompiledCall, "_bind", lambda self, *args: made.append(args) or original(self, *args))
    return made


def counter():
    cell = Cell(bprop.zeros(200))

    @bprop.compile
    def count(x):
        cell.write(cell.read() + x)
        return bprop.sum(cell.read())

    return cell, count


def test_a_settled_step_looks_at_no_cell(binds, traces):
    _, count = counter()
    for _ in range(3):
        count(bprop.ones(()))
    del binds[:]
    latest = CHANGES.latest
    for k in range(5):
        assert count(bprop.ones(())).item() == 200 * (4 + k)
    assert binds == []
    assert CHANGES.latest is latest
    assert len(traces) == 1


@pytest.mark.parametrize("what", ["array", "shared", "trainable", "frozen", "name"])
def test_every_assignment_to_a_cell_is_marked(what):
    cell, latest = Cell(bprop.zeros(2)), CHANGES.latest
    setattr(cell, what, getattr(cell, what))
    assert CHANGES.latest is not latest


def test_cells_that_somebody_reads_writes_and_shares_between_calls():
    cell, count = counter()
    held = []
    expected = np.zeros(200)
    for k in range(12):
        if k % 3 == 0:
            held.append((cell.read(), expected.copy()))
        if k % 4 == 1:
            expected = np.full(200, 10.0 * k)
            cell.write(bprop.asarray(expected))
        if k % 5 == 2:
            mine = bprop.asarray(expected)
            cell.write(mine)
            held.append((mine, expected.copy()))
        count(bprop.ones(()))
        expected = expected + 1
        np.testing.assert_array_equal(cell.array, expected)
    for array, numbers in held:
        np.testing.assert_array_equal(array, numbers)


def test_two_cells_that_come_to_share_one_array():
    a, b = Cell(bprop.zeros(100)), Cell(bprop.ones(100))

    @bprop.compile
    def both():
        a.write(a.read() + 1)
        b.write(b.read() * 2)

    for _ in range(3):
        both()
    b.write(a.read())
    both()
    np.testing.assert_array_equal(a.array, np.full(100, 4.0))
    np.testing.assert_array_equal(b.array, np.full(100, 6.0))


def test_two_compiled_functions_on_one_cell():
    cell, count = counter()
    look = bprop.compile(lambda: cell.read() * 1)
    double = bprop.compile(lambda: cell.write(cell.read() * 2))
    value = 0.0
    for k in range(8):
        count(bprop.ones(()))
        value += 1
        if k % 3 == 1:
            double()
            value *= 2
        np.testing.assert_array_equal(look(), np.full(200, value))


def test_a_view_of_memory_that_others_write_to():
    data = np.arange(12.0).reshape(3, 4)
    cell = Cell(bprop.asarray(data.T, copy=False))  # not contiguous: what the program reads is a copy
    f = bprop.compile(lambda: bprop.sum(cell.read()))
    for k in range(3):
        data[0, 0] = 100 * k
        assert f().item() == data.sum()


def test_numpy_arrays_changed_in_place():
    x = np.ones((4, 6))
    f = bprop.compile(lambda x: bprop.sum(x, axis=0))
    for _ in range(4):
        x *= 2
        np.testing.assert_array_equal(f(x), x.sum(axis=0))
    x.shape = (6, 4)
    np.testing.assert_array_equal(f(x), x.sum(axis=0))
    inside = [x]
    g = bprop.compile(lambda xs: bprop.sum(xs[0], axis=0))
    np.testing.assert_array_equal(g(inside), x.sum(axis=0))
    x.shape = (3, 8)
    np.testing.assert_array_equal(g(inside), x.sum(axis=0))


def test_arguments_of_every_layout():
    f = bprop.compile(lambda x: x * 2)
    base = RANDOM.normal(size=(6, 6))
    unaligned = np.frombuffer(b"\0" + base.tobytes(), np.uint8)[1:].view(np.float64).reshape(6, 6)
    for x in (base, base.T, base[::-1], unaligned, base.astype(">f8"), np.asfortranarray(base), base):
        for y in (x, bprop.asarray(x, copy=False)):
            np.testing.assert_array_equal(f(y), np.asarray(x) * 2)


def test_results_are_arrays_of_their_own():
    """Small results are copied out of one buffer, large ones have their own."""
    f = bprop.compile(lambda x: (bprop.sum(x), x + 1, x[:3]))
    kept = [f(bprop.full(300, float(k))) for k in range(5)]
    for k, (total, y, head) in enumerate(kept):
        assert total.item() == 300 * k
        assert (y.data == k + 1).all()
        assert (head.data == k).all()


def test_a_short_last_batch_computes_no_key_again(traces):
    f = bprop.compile(lambda x: bprop.sum(x, axis=0))
    for _ in range(4):
        for n in (64, 64, 7):
            x = RANDOM.normal(size=(n, 3))
            np.testing.assert_allclose(f(x), x.sum(axis=0), rtol=1e-12)
    assert len(traces) == 2


def test_two_models_in_turns():
    nn.seed(0)
    models = [nn.Linear(3, 2), nn.Linear(3, 2)]
    x = bprop.asarray(RANDOM.normal(size=(5, 3)).astype(np.float32))
    f = bprop.compile(lambda m, x: m(x))
    for k in range(6):
        m = models[k % 2]
        m.W = m.W * 2
        np.testing.assert_allclose(np.asarray(f(m, x)), np.asarray(m(x)), rtol=1e-6)


# --- what a model holds ---
class Net(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(3, 3, seed=0)
        self.scale = 1.0
        self.blocks = {"a": 2.0, "b": 3.0}
        self.ordered = OrderedDict(a=2.0, b=3.0)
        self.pair = namedtuple("Pair", "low high")(0.0, 1.0)
        self.flag = True

    def fprop(self, x):
        y = self.layer(x) * self.scale
        for table in (self.blocks, self.ordered):
            for number in table.values():  # in order: (y + 2) · 3 is not (y + 3) · 2
                y = (y + number) * number
        return y + self.pair.high if self.flag is True else y


CHANGED = {
    "assignment": lambda m: setattr(m, "scale", 2.0),
    "the dict behind the attributes": lambda m: vars(m).update(scale=2.0),
    "object.__setattr__": lambda m: object.__setattr__(m, "scale", 2.0),
    "another dict of attributes": lambda m: object.__setattr__(m, "__dict__", {**vars(m), "scale": 2.0}),
    "an equal number of another type": lambda m: setattr(m, "flag", 1),
    "the order of a dict": lambda m: m.blocks.update(a=m.blocks.pop("a")),
    "an entry more": lambda m: m.blocks.update(c=4.0),
    "an entry less": lambda m: m.blocks.pop("a"),
    "the order of an ordered dict": lambda m: m.ordered.move_to_end("a"),
    "a tuple": lambda m: setattr(m, "pair", m.pair._replace(high=5.0)),
    "an attribute deleted": lambda m: (setattr(type(m), "scale", 7.0), delattr(m, "scale")),
    "a renamed key": lambda m: m.blocks.update(c=m.blocks.pop("b")),
}


@pytest.mark.parametrize("what", CHANGED)
def test_every_way_to_change_a_model_is_seen(what, monkeypatch, traces):
    monkeypatch.setattr(Net, "scale", 1.0, raising=False)
    model, x = Net(), RANDOM.normal(size=(4, 3)).astype(np.float32)
    f = bprop.compile(lambda m, x: m(x))
    f(model, x), f(model, x), f(model, x)
    assert len(traces) == 1
    CHANGED[what](model)
    np.testing.assert_allclose(np.asarray(f(model, x)), np.asarray(model(x)), rtol=1e-5)
    assert len(traces) == 2


def test_names_that_are_assigned_later(traces, monkeypatch):
    @bprop.compile
    def f(x):
        return x * FACTOR  # noqa: F821 - assigned below

    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    assert [f(bprop.ones(())).item() for _ in range(2)] == [2.0, 2.0]
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert f(bprop.ones(())).item() == 3.0
    monkeypatch.delitem(globals(), "FACTOR")
    with pytest.raises(NameError):
        f(bprop.ones(()))
    assert len(traces) == 3


def test_a_planted_fault_in_the_comparison_is_seen(monkeypatch):
    """If the native comparison always said yes, a changed number would be missed."""
    monkeypatch.setattr(identity, "same", lambda: lambda address: 1)
    model, x = Net(), RANDOM.normal(size=(4, 3)).astype(np.float32)
    f = bprop.compile(lambda m, x: m(x))
    f(model, x), f(model, x)
    model.scale = 5.0
    assert not np.allclose(np.asarray(f(model, x)), np.asarray(model(x)))


def test_the_comparison_keeps_no_reference():
    model, x = Net(), RANDOM.normal(size=(4, 3)).astype(np.float32)
    f = bprop.compile(lambda m, x: m(x))
    f(model, x), f(model, x)
    gc.collect()
    before = sys.getrefcount(vars(model)), sys.getrefcount(model.layer)
    for _ in range(100):
        f(model, x)
    assert (sys.getrefcount(vars(model)), sys.getrefcount(model.layer)) == before


# --- errors and threads ---
def test_an_error_in_between():
    cell = Cell(bprop.zeros(100))

    @bprop.compile
    def f(x):
        cell.write(cell.read() + 1)
        return bprop.cholesky(x)

    for _ in range(3):
        f(np.eye(3))
        with pytest.raises(bprop.ArgumentError, match="not positive definite"):
            f(-np.eye(3))
        cell.read()
        with pytest.raises(bprop.ArgumentError, match="not positive definite"):
            f(-np.eye(3))
    np.testing.assert_array_equal(cell.array, np.full(100, 3.0))


def test_a_call_from_inside_its_own_native_code():
    inner = []
    f = bprop.compile(lambda x: bprop.cholesky(x))
    f(np.eye(2))
    op = f.program.called[0].root.op
    evaluate = op.evaluate

    def again(x, **params):
        if not inner:
            inner.append(1)
            f(np.eye(2))
        return evaluate(x, **params)

    op.evaluate = again
    try:
        with pytest.raises(bprop.CompileError, match="again by its own callback"):
            f(np.eye(2))
    finally:
        op.evaluate = evaluate
    np.testing.assert_array_equal(f(np.eye(2)), np.eye(2))


def test_threads_that_train_and_read():
    """Two threads call one step while a third reads the parameters: no array that was read ever changes."""
    nn.seed(0)
    model, rule = nn.Linear(64, 64), optim.SGD(1e-5)
    x = bprop.asarray(RANDOM.normal(size=(256, 64)).astype(np.float32))

    @bprop.compile
    def step(model, rule, x):
        E, gradients = bprop.value_and_grad(lambda m: bprop.sum(m(x) ** 2))(model)
        rule.update(model, gradients)
        return E

    step(model, rule, x)
    read, ended = deque(maxlen=400), False

    def watch():
        while not ended:
            read.extend((held, held.data.copy()) for held in (model.W, rule.count))
            time.sleep(0.0005)

    threads = [threading.Thread(target=lambda: [step(model, rule, x) for _ in range(200)]) for _ in range(2)]
    watching = threading.Thread(target=watch)
    for thread in (*threads, watching):
        thread.start()
    for thread in threads:
        thread.join()
    ended = True
    watching.join()
    assert rule.count.item() == 401
    step(model, rule, x)
    for held, numbers in read:
        np.testing.assert_array_equal(held, numbers)


def test_what_a_callback_reads_stays_as_it_was():
    """The program writes into the memory of the cell, but who reads the cell meanwhile has an array of its own."""
    cell, read = Cell(bprop.zeros(3)), []

    @bprop.compile
    def step(x):
        bprop.callback(lambda _: read.append(cell.read()), x)
        cell.write(cell.read() + x)

    for _ in range(4):
        step(np.ones(3))
    step.loop(np.ones((3, 3)))
    assert [one.tolist() for one in read] == [[k] * 3 for k in range(7)]


def interrupted(function):
    """Return ``function``, ended by a Ctrl-C that came while it ran: Python hears of it as soon as it is done."""

    def call(*args):
        function(*args)
        raise KeyboardInterrupt

    return call


def test_an_interrupted_call_is_done_or_is_not(monkeypatch):
    """Whether or not somebody holds what a cell was before: all cells are a step further, or none is."""
    cells = [Cell(bprop.zeros(100)) for _ in range(3)]

    @bprop.compile
    def step(x):
        for cell in cells:
            cell.write(cell.read() + x)
        return x * 2

    def numbers():
        return [cell.array.data[0] for cell in cells]

    step(np.ones(()))
    held = cells[1].read()
    program = step.program
    with monkeypatch.context() as patch:
        patch.setattr(program, "_run", interrupted(program._run))
        with pytest.raises(KeyboardInterrupt):
            step(np.ones(()))
    assert numbers() == [2, 2, 2]
    again = cells[2].read()
    with monkeypatch.context() as patch:
        patch.setattr(program, "_run_steps", interrupted(program._run_steps))
        with pytest.raises(KeyboardInterrupt):
            step.loop(np.ones(5))
    assert numbers() == [7, 7, 7]
    step(np.ones(()))
    assert numbers() == [8, 8, 8]
    assert (held.data[0], again.data[0]) == (1, 2)
