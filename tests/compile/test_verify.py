"""`compile(f, verify=True)`: the first call beside eager evaluation, what is reported, and that faults are found."""

import random
from collections import deque

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.compile.llvm import instruction as scalar
from bprop.core.cell import Cell

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(32, 4)).astype(np.float32)
T = RANDOM.integers(0, 3, 32)


class Case:
    """A model, a loss, a rule, and one step of training."""

    def __init__(self, rule=None, dropout=0.3):
        nn.seed(0)
        self.model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 3))
        self.rule = rule or optim.Adam(1e-2)

    def step(self, model, rule, x, t):
        E, gradients = bprop.value_and_grad(lambda m: nn.CrossEntropy()(m(x), t))(model)
        rule.update(model, gradients)
        return {"loss": E, "norms": [bprop.sum(g * g) for g in gradients.values()]}

    def cells(self):
        return {**self.model.cells(), **self.rule.cells()}

    def numbers(self):
        return {path: np.array(cell.array.data) for path, cell in self.cells().items()}


def test_the_cells_end_as_after_one_compiled_call():
    plain, checked = Case(), Case()
    fast, verified = bprop.compile(plain.step), bprop.compile(checked.step, verify=True)
    for _ in range(3):
        a = fast(plain.model, plain.rule, X, T)
        b = verified(checked.model, checked.rule, X, T)
        assert a["loss"].item() == b["loss"].item()
    for path, value in plain.numbers().items():
        np.testing.assert_array_equal(value, checked.numbers()[path], err_msg=path)
    assert checked.rule.count.item() == 3


def test_what_is_reported():
    case = Case()
    step = bprop.compile(case.step, verify=True)
    with pytest.raises(bprop.StateError, match="call it once"):
        _ = step.verification
    step(case.model, case.rule, X, T)
    table = step.verification
    names = [one.name for one in table]
    assert names[:5] == ["result.loss", *(f"result.norms.{k}" for k in range(4))]
    assert {"model.layers.0.W", "model.layers.2.generator.state", "rule.layers.0.W.m", "rule.count"} <= set(names)
    assert 0 < table.worst.units < 1
    assert all(one.name in str(table) for one in table)
    generator = next(one for one in table if one.name.endswith("generator.state"))
    assert generator.largest == 0  # both runs drew the same numbers, and only one of them counts


def test_only_the_first_call_of_a_program_is_verified():
    calls = deque()  # not a list: a list that a function closes over is part of the key, by its entries

    @bprop.compile(verify=True)
    def f(x):
        calls.append(x.shape)
        return bprop.sum(bprop.exp(x))

    f(bprop.ones(3))
    first, made = f.verification, len(calls)
    f(bprop.zeros(3))
    assert f.verification is first
    assert len(calls) == made
    f(bprop.ones(4))
    assert f.verification is not first
    with pytest.raises(bprop.StateError, match="verify=True"):
        _ = bprop.compile(lambda x: x).verification


@pytest.fixture
def wrong(monkeypatch):
    """Let the native code of one instruction be wrong by a factor in float32 (or in one dtype)."""

    def plant(name, factor, where="float32"):
        emit = scalar.emit

        def planted(module, b, op, args, dtypes, dtype, fail):
            y = emit(module, b, op, args, dtypes, dtype, fail)
            return b.fmul(y, y.type(factor)) if op == name and dtype == where else y

        monkeypatch.setattr(scalar, "emit", planted)

    return plant


@pytest.mark.parametrize("factor", [2.0, 1.001])
def test_a_wrong_instruction_is_found_and_nothing_has_changed(wrong, factor):
    wrong("sqrt", factor)
    case = Case()
    case.rule.init(case.model)
    before = case.numbers()
    step = bprop.compile(case.step, verify=True)
    for _ in range(2):  # the program is not kept
        with pytest.raises(bprop.VerificationError, match=r"model\.layers\.0\.W\[\d+, \d+\] is") as caught:
            step(case.model, case.rule, X, T)
        assert caught.value.verification is step.verification
        assert "beyond rounding" in str(step.verification)
        for path, value in case.numbers().items():
            np.testing.assert_array_equal(value, before[path], err_msg=path)
    right = {one.name for one in step.verification if one.units <= 1}
    assert {"result.loss", "rule.layers.0.W.m", "rule.layers.0.W.v"} <= right  # no square root in those
    assert not right & {"model.layers.0.W", "model.layers.3.b"}


def test_an_output_is_named(wrong):
    wrong("exp", 1 + 1e-13, "float64")
    f = bprop.compile(lambda x: {"a": x + 1, "b": (bprop.exp(x), x * 2)}, verify=True)
    with pytest.raises(bprop.VerificationError, match=r"result\.b\.0\[") as caught:
        f(bprop.asarray([0.5, 1.0]))
    assert [one.name for one in caught.value.verification if one.units > 1] == ["result.b.0"]


def test_what_rounding_explains_is_no_fault():
    """The first step of Adam divides a gradient of nothing but rounding by its own size: compiled and eager may differ by η."""
    weight = nn.parameter(bprop.asarray(RANDOM.normal(size=(64,)).astype(np.float32)))

    @bprop.compile(verify=True)
    def step(x):
        g = bprop.sum(x * weight.read()) - bprop.sum((x * weight.read())[::-1])  # zero but for rounding
        return g / (bprop.abs(g) + 1e-30), bprop.sum(x)

    step(bprop.asarray(RANDOM.normal(size=(64,)).astype(np.float32)))
    assert step.verification[0].allowed > 0.5
    assert step.verification[1].allowed < 1e-3


@pytest.mark.parametrize("op", [bprop.max, bprop.min], ids=["max", "min"])
def test_a_reduction_that_chooses_an_entry_has_no_rounding(op):
    f = bprop.compile(lambda x: op(x), verify=True)
    x = np.random.default_rng(0).normal(size=50)
    f(x)
    (difference,) = f.verification
    assert difference.largest == 0
    assert difference.allowed <= 4.01 * np.finfo(float).eps * abs(x).max()


def test_infinities_nan_integers_and_empty_results():
    f = bprop.compile(lambda x, n: (x / 0, x[:0], n * 2, bprop.argmax(x), "text", n > 1, None), verify=True)
    f(np.array([1.0, -1.0, 0.0]), np.array([1, 2]))
    assert [one.largest for one in f.verification] == [0] * 5


def test_a_wrong_integer_is_found(monkeypatch):
    from bprop.compile import jit as pipeline

    original = pipeline.CompiledCall.__call__
    monkeypatch.setattr(pipeline.CompiledCall, "__call__", lambda self, leaves, mark: original(self, leaves, mark) + 1)
    with pytest.raises(bprop.VerificationError, match="result is 3 compiled and 2 eager"):
        bprop.compile(lambda n: n * 2, verify=True)(np.array(1))


def test_a_function_that_returns_something_else_every_time():
    kept = []

    def f(x):
        kept.append(1)
        return [x] * len(kept)

    with pytest.raises(bprop.VerificationError, match="earlier call left behind"):
        bprop.compile(f, verify=True)(bprop.ones(2))


class Counter:
    n = 0


def test_a_function_whose_numbers_python_changes():
    """Its perturbed evaluations differ by as much, so that any difference would be within what they allow."""
    cell = Cell(bprop.zeros(()), "total")

    def f(x):
        Counter.n += 1
        return x * Counter.n

    def g(x):
        Counter.n += 1
        cell.write(cell.read() + Counter.n)
        return x

    for function, what in ((f, "result"), (g, "total"), (lambda x: {"a": x * random.random()}, "result.a")):
        with pytest.raises(
            bprop.VerificationError, match=f"evaluated twice .* {what} differs.*draw it from a bprop.Gen"
        ):
            bprop.compile(function, verify=True)(bprop.ones(2))
    assert cell.array.item() == 0


def test_a_scan_and_a_factorisation():
    @bprop.compile(verify=True)
    def f(x):
        y = bprop.cholesky(x @ x.T + bprop.eye(4))
        return bprop.scan(lambda c, row: (bprop.tanh(c + row), c), bprop.zeros(4), y)

    f(RANDOM.normal(size=(4, 4)))
    assert f.verification.worst.units < 1
    assert all(one.allowed > 0 for one in f.verification)


def test_a_cell_that_only_the_trace_writes_is_put_back():
    """The eager run does not read it, so nothing but verification itself keeps its memory from being written to."""
    traced, cell = deque(), Cell(bprop.zeros(100))
    fresh = cell.array.data

    @bprop.compile(verify=True)
    def f(x):
        traced.append(1)
        if len(traced) == 1:
            cell.write(cell.read() + x)
        return x

    cell.shared = False
    with pytest.raises(bprop.VerificationError, match=r"cell\[0\] is 1.0 compiled and 0.0 eager"):
        f(bprop.ones(()))
    assert cell.array.data is fresh
    assert not fresh.any()
