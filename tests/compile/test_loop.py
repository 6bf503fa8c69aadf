"""Many steps in one native call: the same bits as one call after the other, and the same errors."""

import itertools
import threading

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.compile import compile
from bprop.compile.frontend import compiled_call as module
from bprop.compile.llvm.host import parallel_threshold
from bprop.compile.runtime.executable import Program
from bprop.core.cell import Cell
from bprop.core.tree import flatten

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(7, 5, 4)).astype(np.float32)
T = RANDOM.integers(0, 3, (7, 5))


def trainer(dropout=0.0, rule=None, seed=0):
    """Return model, optimiser and compiled step."""
    layers = [nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)]
    model = nn.Sequential(*layers[:2], nn.Dropout(dropout, generator=bprop.Generator(1)), layers[2])
    filled = np.random.default_rng(seed)
    for cell in model.cells().values():
        if cell.trainable:
            cell.write(bprop.asarray(filled.normal(size=cell.array.shape).astype(cell.array.dtype)))
    loss = nn.CrossEntropy()
    shift = bprop.zeros(3, dtype="float32")

    @compile
    def step(model, rule, x, t):
        offset = bprop.sum(bprop.take(shift, t))  # refuses a label out of range
        E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t) + offset)(model)
        rule.update(model, gradients)
        return E

    rule = rule or optim.Adam(0.01)
    rule.init(model)
    return model, rule, step


class Moment:
    """The cells of some holders, as they are now; ``back`` returns to it."""

    def __init__(self, *holders):
        self.cells = [cell for one in holders for cell in one.cells().values()]
        self.arrays = [cell.read() for cell in self.cells]

    def back(self):
        for cell, array in zip(self.cells, self.arrays, strict=True):
            cell.write(array)

    def __eq__(self, other):
        return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(self.arrays, other.arrays, strict=True))


@pytest.mark.parametrize(
    ("rule", "dropout"),
    [(optim.SGD(0.01), 0.0), (optim.SGD(0.01, momentum=0.9), 0.5), (optim.Adam(0.01), 0.5)],
    ids=["sgd", "momentum-dropout", "adam-dropout"],
)
def test_the_same_bits_as_one_call_after_the_other(rule, dropout):
    model, rule, step = trainer(dropout, rule)
    begin = Moment(model, rule)
    expected = [float(step(model, rule, x, t)) for _ in range(2) for x, t in zip(X, T, strict=True)]
    end = Moment(model, rule)
    begin.back()
    losses = [step.loop(model, rule, X[k], T[k]) for _ in range(2) for k in (slice(0, 3), slice(3, 7))]
    assert np.concatenate(losses).tolist() == expected
    assert Moment(model, rule) == end
    assert len(step.programs) == 1


def test_python_hears_of_ctrl_c_between_two_steps(monkeypatch):
    """A long loop is some native calls, one after the other, with the bits of one; what ends it leaves whole steps."""
    model, rule, step = trainer(0.5)
    begin, x, t = Moment(model, rule), np.concatenate([X] * 4), np.concatenate([T] * 4)
    expected = step.loop(model, rule, x, t).tolist()
    end, counts, repeat = Moment(model, rule), [], Program.repeat

    def counting(self, table, strides, count):
        counts.append(count)
        if len(counts) == 7:
            raise KeyboardInterrupt
        return repeat(self, table, strides, count)

    monkeypatch.setattr(Program, "repeat", counting)
    monkeypatch.setattr(module, "SIGNAL_SECONDS", 0.0)
    begin.back()
    with pytest.raises(KeyboardInterrupt):
        step.loop(model, rule, x, t)
    assert counts == [1] * 7
    losses = step.loop(model, rule, x[6:], t[6:])
    assert losses.tolist() == expected[6:]
    assert Moment(model, rule) == end
    monkeypatch.setattr(module, "SIGNAL_SECONDS", 1000.0)
    assert compile(lambda x: x * 2).loop(np.ones(50)).tolist() == [2] * 50
    assert counts[-2:] == [16, 34]  # how long a step takes is found out first


def test_an_error_late_in_a_long_loop_says_where(monkeypatch):
    monkeypatch.setattr(module, "SIGNAL_SECONDS", 0.0)
    model, rule, step = trainer()
    t = np.concatenate([T] * 4)
    t[25, 2] = 3
    with pytest.raises(bprop.IndexingError, match="out of range") as caught:
        step.loop(model, rule, np.concatenate([X] * 4), t)
    assert caught.value.step == 25
    assert "in step 25 (from 0) of 28" in caught.value.__notes__[0]
    assert rule.count.item() == 25


def test_rows_may_lie_anywhere():
    f = compile(lambda x, t: (x * 2, t, bprop.sum(x)))
    for x in (X[::-1], X[::3], np.broadcast_to(X[0], (4, 5, 4)), X.transpose(0, 2, 1), np.asfortranarray(X),
              X.astype(">f4"), X[:, 0, 0], X[0, 0, ::-1]):  # fmt: skip
        t = np.arange(len(x))
        doubled, given, sums = f.loop(x, t)
        np.testing.assert_array_equal(doubled, x * 2)
        np.testing.assert_array_equal(given, t)
        expected = [f(row, number)[2].item() for row, number in zip(x, t, strict=True)]
        assert sums.tolist() == expected


def test_results_are_stacked_and_what_is_no_array_is_as_it_was():
    constant = bprop.asarray([1.0, 2.0])
    f = compile(lambda batch, name: {"y": batch["x"] + 1, "c": constant, "none": None, "name": name, "x": batch["x"]})
    y = f.loop({"x": X}, "net")
    assert (y["none"], y["name"]) == (None, "net")
    np.testing.assert_array_equal(y["y"], X + 1)
    np.testing.assert_array_equal(y["x"], X)
    np.testing.assert_array_equal(y["c"], [[1, 2]] * 7)


def test_cells_go_from_one_step_to_the_next(monkeypatch):
    total, last, kept = Cell(bprop.zeros(())), Cell(bprop.zeros(())), Cell(bprop.zeros(2))

    @compile
    def f(x):
        old = total.read()
        total.write(old + x)
        last.write(x)  # written, never read
        kept.write(kept.read()[::-1] + x)  # not in place
        return old

    held = kept.read()
    x = np.arange(1.0, 6.0)
    with monkeypatch.context() as patch:
        patch.setattr(Program, "run", None)  # no single step
        assert f.loop(x).tolist() == [0, 1, 3, 6, 10]
    assert (total.array.item(), last.array.item(), kept.array.tolist()) == (15, 5, [15, 15])
    assert held.tolist() == [0, 0]  # an array that was read before keeps its numbers
    assert f(np.float64(1)).item() == 15


def test_cells_as_arguments_and_other_lengths_take_turns():
    one, two = Cell(bprop.zeros(())), Cell(bprop.zeros(()))

    @compile
    def f(cell, x):
        cell.write(cell.read() + x)

    expected = {one: 0, two: 0}
    for cell, count in [(one, 2), (two, 2), (one, 2), (one, 3), (two, 2), (one, 1), (two, 5), (one, 2), (two, 3)] * 2:
        f.loop(cell, np.ones(count))
        f(cell, np.ones(()))
        f(two, np.ones(()))
        expected[cell] += count + 1
        expected[two] += 1
        assert (one.array.item(), two.array.item()) == tuple(expected.values())
    assert len(f.programs) == 1


def test_a_cell_that_changes_its_shape_is_stepped_through():
    cell = Cell(bprop.zeros(1))

    @compile
    def grow(x):
        cell.write(bprop.concat([cell.read(), bprop.reshape(x, (1,))]))
        return bprop.sum(cell.read())

    assert grow.loop(np.array([1.0, 2.0, 3.0])).tolist() == [1, 3, 6]
    assert cell.array.tolist() == [0, 1, 2, 3]


def test_an_error_leaves_what_the_steps_before_it_did():
    model, rule, step = trainer()
    begin = Moment(model, rule)
    for bad in (0, 3, 6):
        for held in (True, False):  # whether somebody else holds the parameters when the loop begins
            begin.back()
            for number in range(bad):
                step(model, rule, X[number], T[number])
            before = Moment(model, rule)
            t = T.copy()
            t[bad, 2] = 3
            begin.back()
            if not held:
                for cell in begin.cells:
                    cell.array, cell.shared = bprop.asarray(np.array(cell.array)), False
            with pytest.raises(bprop.IndexingError, match="out of range") as caught:
                step.loop(model, rule, X, t)
            assert caught.value.step == bad
            assert f"in step {bad} " in caught.value.__notes__[0]
            assert Moment(model, rule) == before
            assert step.loop(model, rule, X[bad:], T[bad:]).shape == (7 - bad,)


def test_an_error_of_numpy_s_inside_a_loop():
    cell = Cell(bprop.zeros(()))

    @compile
    def f(x):
        cell.write(cell.read() + 1)
        return bprop.cholesky(x)

    x = np.stack([np.eye(2)] * 4)
    assert f.loop(x).shape == (4, 2, 2)
    x[2] *= -1
    with pytest.raises(bprop.ArgumentError, match="not positive definite") as caught:
        f.loop(x)
    assert (caught.value.step, cell.array.item()) == (2, 6)


def test_an_error_where_the_calls_are_made_one_by_one():
    cell = Cell(bprop.zeros(1))

    @compile
    def f(x):
        cell.write(bprop.concat([cell.read(), bprop.zeros(1)]))  # of another shape every time
        return bprop.cholesky(x)

    x = np.stack([np.eye(2), np.eye(2), -np.eye(2)])
    with pytest.raises(bprop.ArgumentError, match="not positive definite") as caught:
        f.loop(x)
    assert "in step 2 (from 0) of 3" in caught.value.__notes__[0]
    assert (caught.value.step, cell.array.shape) == (2, (3,))


def test_what_does_not_fit_is_said():
    f = compile(lambda x, t, n=1: x + t * n)
    with pytest.raises(bprop.ShapeError, match=r"axis of steps first.*\(7,\), \(6,\)"):
        f.loop(X[:, 0, 0], X[:6, 0, 0])
    for bad in (np.float32(3), bprop.ones(()), np.zeros((0, 3))):
        with pytest.raises(bprop.ShapeError, match="every array has an axis of steps first"):
            f.loop(bad, bad)
    with pytest.raises(bprop.ArgumentError, match="no argument is an array"):
        f.loop(1, 2)
    with pytest.raises(bprop.DTypeError, match="S3"):
        f.loop(X.astype("S3"), X)
    assert f.loop(X, X, n=2).shape == X.shape


def test_inside_a_transform_the_calls_are_inlined():
    f = compile(lambda x: bprop.tanh(x) * 2)
    x = bprop.asarray([0.1, 0.2, 0.3])
    expected = bprop.grad(lambda x: bprop.sum(bprop.tanh(x) * 2))(x)
    np.testing.assert_array_equal(bprop.grad(lambda x: bprop.sum(f.loop(x)))(x), expected)
    np.testing.assert_allclose(compile(lambda x: f.loop(x))(x), bprop.tanh(x) * 2, rtol=1e-15)


def test_two_threads_may_loop_at_once():
    cell = Cell(bprop.zeros(()))

    @compile
    def f(x):
        cell.write(cell.read() + x)
        return cell.read()

    threads = [threading.Thread(target=f.loop, args=(np.ones(1000),)) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert cell.array.item() == 4000


def several():
    """Steps of every kind with the cells that they write, for an input of (8, 12)."""
    random = np.random.default_rng(0)
    W, a, b, c = (Cell(bprop.asarray(random.normal(size=s).astype(np.float32))) for s in ((12, 12), 12, 12, (8, 12)))

    def products(x):
        y = bprop.tanh(x @ W.read())
        W.write(W.read() - (x.T @ y) * 0.01)
        a.write(bprop.sum(y, axis=0))
        return bprop.sum(y), y

    def scanned(x):
        def body(h, row):
            h = bprop.tanh(h @ W.read() + row)
            return h, bprop.sum(h)

        h, sums = bprop.scan(body, a.read(), x)
        a.write(h)
        return sums

    def chosen(x):
        y = bprop.cond(bprop.sum(x) > 0, lambda x: bprop.exp(x) + 1, lambda x: x @ x.T @ x, x)
        c.write(bprop.tanh(c.read() + y))
        return y

    def turned(x):
        h = bprop.while_loop(lambda h: bprop.sum(h * h) < 500, lambda h: h * 1.3 + 0.1, x * 0.1)
        c.write(c.read() * 0.9 + h)
        return bprop.sum(h, axis=1)

    def moved(x):  # what is written is no result of a kernel: copies
        first, second, old = a.read(), b.read(), c.read()
        a.write(second), b.write(first), c.write(x)
        return old, first + x

    def looked_up(x):
        i = bprop.astype(bprop.abs(x[:, 0]) * 2, "int64")
        c.write(c.read() + W.read()[i])
        b.write(bprop.sum(c.read(), axis=0) + a.read())
        return bprop.cholesky(bprop.eye(3) * bprop.sum(b.read()) ** 2)

    return [W, a, b, c], [products, scanned, chosen, turned, moved, looked_up]


@pytest.mark.parametrize("number", range(6))
def test_a_loop_has_the_bits_of_calls_on_any_number_of_threads(number):
    cells, steps = several()
    start, found = [np.array(cell.array) for cell in cells], set()
    x = np.random.default_rng(3).normal(size=(9, 8, 12)).astype(np.float32)
    x[7, 3, 0] = 9  # an index that is out of range
    before = bprop.get_threads()
    with parallel_threshold(0):
        f = compile(steps[number])
        f(np.zeros((8, 12), np.float32))
    try:
        for threads, looped in itertools.product((1, 2, 3, 4), (False, True)):
            bprop.set_threads(threads)
            for cell, value in zip(cells, start, strict=True):
                cell.write(bprop.asarray(value.copy()))
            results, told = [], None
            try:
                results = f.loop(x) if looped else [f(one) for one in x]
            except bprop.IndexingError as error:
                told = type(error)
            rows = flatten(results)[0] if looped else map(np.stack, zip(*(flatten(y)[0] for y in results), strict=True))
            found.add((told, *(np.asarray(y).tobytes() for y in (*rows, *(cell.array for cell in cells)))))
    finally:
        bprop.set_threads(before)
    assert len(found) == 1
    assert (next(iter(found))[0] is None) == (number != 5)
