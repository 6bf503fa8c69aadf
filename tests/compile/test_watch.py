"""A call that is like an earlier one is not traced; whatever changed since is noticed all the same."""

import copy
from collections import deque
from enum import Enum
from fractions import Fraction
from functools import partial, wraps
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

import bprop
from bprop import nn, optim

SCALE = 1.0


class Net(nn.Module):
    def __init__(self):
        self.first = nn.Linear(3, 4)
        self.layers = [nn.Linear(4, 2)]
        self.gain = 2.0
        self.table = {"shift": 0.5}
        self.fixed = np.array([1.0, 2.0], np.float32)

    def fprop(self, x):
        y = bprop.tanh(self.first(x))
        for layer in self.layers:
            y = layer(y)
        return (y * self.gain + self.table["shift"]) * self.fixed if self.training else y


@pytest.fixture
def model():
    nn.seed(0)
    return Net()


X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def test_a_loop_is_traced_once(traces, model):
    rule, loss = optim.Adam(1e-2), nn.SquaredError()
    rule.init(model)

    @bprop.compile
    def step(model, rule, x, t):
        E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
        rule.update(model, gradients)
        return E

    x, t = bprop.asarray(X), bprop.zeros((5, 2), dtype="float32")
    losses = [step(model, rule, x, t).item()]
    assert len(traces) == 1
    losses += [step(model, rule, x, t).item() for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    rule.learning_rate = 1e-3  # a cell: nothing to compile, nothing to trace
    step(model, rule, x, t)
    model.first.W = model.first.W * 2  # a parameter set from outside, of the same shape
    step(model, rule, x, t)
    assert len(traces) == 1
    assert len(step.programs) == 1


def test_numbers_of_a_replaced_parameter_are_used(model):
    f = bprop.compile(lambda m, x: m(x))
    f(model, X), f(model, X)
    kept = model.first.W
    model.first.W = kept * 3
    np.testing.assert_allclose(np.asarray(f(model, X)), np.asarray(model(X)), rtol=1e-6)


CHANGES = {
    "a number": lambda m: setattr(m, "gain", 3.0),
    "a number inside a dict": lambda m: m.table.update(shift=2.5),
    "a module put in a list": lambda m: m.layers.append(nn.Linear(2, 2)),
    "a module taken out of a list": lambda m: m.layers.clear() or m.layers.append(nn.Linear(4, 2)),
    "another module": lambda m: setattr(m, "first", nn.Linear(3, 4)),
    "the mode": lambda m: m.eval(),
    "another array": lambda m: setattr(m, "fixed", np.array([5.0, 6.0], np.float32)),
    "a hook": lambda m: m.first.hook(y=lambda module, y: y * 2),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_noticed(what, model):
    f = bprop.compile(lambda m, x: m(x))
    f(model, X), f(model, X)
    CHANGES[what](model)
    np.testing.assert_allclose(np.asarray(f(model, X)), np.asarray(model(X)), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(f(model, X)), np.asarray(model(X)), rtol=1e-5)


def test_arguments_of_other_shapes_dtypes_and_kinds(model):
    f = bprop.compile(lambda a, b: a * 2 + b)
    for a, b in ((X, X), (X, X), (X[:2], X[:2]), (X.astype(np.float64), X), (bprop.asarray(X), X), (3.0, X), (3.0, X),
                 (4.0, X), (X, 1), (X, 1)):  # fmt: skip
        y = np.asarray(f(a, b))
        np.testing.assert_array_equal(y, np.asarray(a * 2 + b))


def test_another_model_of_the_same_kind(model):
    f, other = bprop.compile(lambda m, x: m(x)), Net()
    f(model, X), f(model, X)
    np.testing.assert_allclose(np.asarray(f(other, X)), np.asarray(other(X)), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(f(model, X)), np.asarray(model(X)), rtol=1e-6)


def test_what_the_function_closes_over(monkeypatch):
    factor = 2.0

    @bprop.compile
    def f(x):
        return x * factor * SCALE

    assert [f(bprop.ones(())).item() for _ in range(2)] == [2.0, 2.0]
    factor = 5.0
    assert f(bprop.ones(())).item() == 5.0
    monkeypatch.setitem(globals(), "SCALE", 10.0)
    assert f(bprop.ones(())).item() == 50.0


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_a_model_that_is_closed_over_is_noticed(what, model):
    functions = [bprop.compile(lambda x: model(x)), bprop.compile(model)]
    for f in (*functions, *functions):
        f(X)
    CHANGES[what](model)
    for _ in range(2):
        for f in functions:
            np.testing.assert_allclose(np.asarray(f(X)), np.asarray(model(X)), rtol=1e-5)


def test_a_number_that_a_function_inside_refers_to(monkeypatch):
    f = bprop.compile(lambda x: bprop.grad(lambda x: x * x * SCALE)(x))
    assert [f(bprop.ones(())).item() for _ in range(2)] == [2.0, 2.0]
    monkeypatch.setitem(globals(), "SCALE", 10.0)
    assert f(bprop.ones(())).item() == 20.0


class Slotted:
    __slots__ = ("rate",)


def test_what_slots_and_defaults_and_containers_hold():
    held, table, names, queue = Slotted(), {"a": 1.0}, {"one"}, deque([1.0])
    held.rate = 1.0

    def own(x, table=table, *, more=1.0):
        return x * table["a"] * more

    functions = [
        lambda x: x * held.rate,
        lambda x: x * (4.0 if "four" in names else 1.0),
        lambda x: x * queue[0],
        own,
        partial(lambda x, table: x * table["a"], table=table),
    ]
    compiled = [bprop.compile(f) for f in functions]
    for f in (*compiled, *compiled):
        assert f(bprop.ones(())).item() == 1.0
    held.rate = queue[0] = table["a"] = 4.0
    names.add("four")
    for f in (*compiled, *compiled):
        assert f(bprop.ones(())).item() == 4.0
    own.__defaults__ = ({"a": 5.0},)
    assert [compiled[3](bprop.ones(())).item() for _ in range(2)] == [5.0, 5.0]
    own.__kwdefaults__ = {"more": 2.0}
    assert compiled[3](bprop.ones(())).item() == 10.0
    own.__kwdefaults__["more"] = 3.0
    assert compiled[3](bprop.ones(())).item() == 15.0


class Setting:
    def __init__(self, value):
        self.value = value

    def times(self, x):
        return x * self.value


class Mode(Enum):
    ONE = 1.0
    FOUR = 4.0


HELD = {
    "a number of NumPy's": (np.float32(1), np.float32(4), lambda x, v: x * v),
    "a complex number": (1 + 0j, 4 + 0j, lambda x, v: x * v.real),
    "a function": (lambda x: x, lambda x: 4 * x, lambda x, v: v(x)),
    "an op": (bprop.positive, bprop.negative, lambda x, v: 2.5 * x + 1.5 * v(-x)),
    "a class": (int, complex, lambda x, v: x * (4.0 if v is complex else 1.0)),
    "a slice": (slice(0, 1), slice(1, 2), lambda x, v: x * np.array([1.0, 4.0])[v][0]),
    "a range": (range(1), range(4), lambda x, v: x * len(v)),
    "a fraction": (Fraction(1), Fraction(4), lambda x, v: x * float(v)),
    "a member of an enumeration": (Mode.ONE, Mode.FOUR, lambda x, v: x * v.value),
    "a set that is frozen": (frozenset({1.0}), frozenset({4.0}), lambda x, v: x * min(v)),
    "an object": (Setting(1.0), Setting(4.0), lambda x, v: x * v.value),
    "a method": (Setting(1.0).times, Setting(4.0).times, lambda x, v: v(x)),
    "objects in a list": ([Setting(1.0)], [Setting(4.0)], lambda x, v: x * v[0].value),
    "a cell": (bprop.Cell(bprop.ones(())), bprop.Cell(bprop.ones(()) * 4), lambda x, v: x * v.read()),
}


@pytest.mark.parametrize("what", HELD)
def test_whatever_objects_hold_is_noticed(what):
    before, after, use = HELD[what]
    name, direct, inner, table = before, Setting(before), Setting(Setting(before)), {"a": [before]}
    functions = [
        (lambda x: use(x, name), ()),
        (lambda x: use(x, direct.value), ()),
        (lambda x: use(x, inner.value.value), ()),
        (lambda x: use(x, table["a"][0]), ()),
        (lambda x, one: use(x, one.value), (Setting(before),)),
        (lambda x, one: use(x, one.value.value), (inner,)),
    ]
    compiled = [(bprop.compile(f), rest) for f, rest in functions]
    x = bprop.ones(())
    for f, rest in (*compiled, *compiled):
        assert f(x, *rest).item() == 1.0
    name = direct.value = inner.value.value = table["a"][0] = compiled[4][1][0].value = after
    for f, rest in (*compiled, *compiled):
        assert f(x, *rest).item() == 4.0
    if isinstance(after, Setting):  # the same object with another number
        after.value = 1.0
        for f, rest in (*compiled, *compiled):
            assert f(x, *rest).item() == 1.0
        after.value = 4.0


def test_what_an_object_of_a_held_method_holds():
    setting = Setting(1.0)
    holder = Setting(setting.times)
    f = bprop.compile(lambda x: holder.value(x))
    assert [f(bprop.ones(())).item() for _ in range(2)] == [1.0, 1.0]
    setting.value = 4.0
    assert f(bprop.ones(())).item() == 4.0


def scaled(x):
    return unrelated(x) * SCALE


def unrelated(x):
    return x


def test_what_functions_that_are_called_refer_to(monkeypatch):
    factor, calls = 1.0, []

    def inner(x):
        calls.append(1)
        return x * factor

    def wrapping(f):
        @wraps(f)
        def g(x):
            return f(x) * factor

        return g

    @wrapping
    def wrapped(x):
        return x

    functions = [
        lambda x: inner(x),
        lambda x: next(map(inner, [x])),
        wrapped,
        partial(lambda f, x: f(x), inner),
        lambda x: bprop.compile(inner)(x),
        bprop.checkpoint(inner),
    ]
    compiled, x = [bprop.compile(f) for f in functions], bprop.ones(())
    for f in (*compiled, *compiled):
        assert f(x).item() == 1.0
    assert len(calls) == 5  # where programs were made
    factor = 4.0
    for f in (*compiled, *compiled):
        assert f(x).item() == 4.0
    through = bprop.compile(lambda x: scaled(x).sum())
    assert [through(x).item() for _ in range(2)] == [1.0, 1.0]
    monkeypatch.setitem(globals(), "SCALE", 10.0)
    assert through(x).item() == 10.0
    monkeypatch.setitem(globals(), "unrelated", lambda x: -x)
    assert through(x).item() == -10.0


def test_what_functions_among_the_arguments_refer_to():
    factor, calls = 1.0, []

    def inner(x):
        calls.append(1)
        return x * factor

    f, x = bprop.compile(lambda functions, x: functions["a"](x)), bprop.ones(())
    assert [f({"a": inner}, x).item() for _ in range(3)] == [1.0] * 3
    factor = 4.0
    assert [f({"a": inner}, x).item() for _ in range(3)] == [4.0] * 3
    assert len(calls) == len(f.programs) == 2


def test_a_global_with_the_name_of_an_attribute_has_nothing_to_do_with_it(monkeypatch):
    f = bprop.compile(lambda x: x.sum())
    monkeypatch.setitem(globals(), "sum", 1.0)
    assert f(bprop.ones(2)).item() == 2.0
    monkeypatch.setitem(globals(), "sum", 2.0)
    assert f(bprop.ones(2)).item() == 2.0
    assert len(f.programs) == 1


def test_what_classes_and_modules_hold():
    """As settings are often written: ``Config.rate``, ``config.rate``."""

    class Config:
        rate = 1.0
        table: ClassVar = {"a": 1.0}

        class Inner:
            rate = 1.0

        @staticmethod
        def method(x):
            return x

    config, package = ModuleType("config"), ModuleType("package")
    config.rate, package.config = 1.0, config
    functions = [
        lambda x: Config.method(x) * Config.rate,
        lambda x: x * Config.table["a"],
        lambda x: x * Config.Inner.rate,
        lambda x: x * config.rate,
        lambda x: x * package.config.rate,
    ]
    compiled, x = [bprop.compile(f) for f in functions], bprop.ones(())
    for f in (*compiled, *compiled):
        assert f(x).item() == 1.0
    Config.rate = Config.table["a"] = Config.Inner.rate = config.rate = 4.0
    for f in (*compiled, *compiled):
        assert f(x).item() == 4.0
    assert all(len(f.programs) == 2 for f in compiled)


def test_a_model_that_an_object_holds_is_replaced():
    """A trainer with a compiled method: its model is no leaf of the arguments, and yet another model is another call."""

    class Trainer:
        def __init__(self):
            self.start()

        def start(self):
            self.model, self.rule = nn.Linear(3, 2), optim.Adam(1e-2)

        @bprop.compile
        def step(self, x):
            E, gradients = bprop.value_and_grad(lambda m: bprop.sum(m(x) ** 2))(self.model)
            self.rule.update(self.model, gradients)
            return E

    trainer = Trainer()
    for _ in range(2):
        for _ in range(3):
            before = bprop.sum(trainer.model(X) ** 2).item()
            np.testing.assert_allclose(trainer.step(X).item(), before, rtol=1e-5)
        trainer.start()


def test_objects_that_refer_to_each_other():
    ring = [Setting(None) for _ in range(30)]
    for one in ring:
        one.value, one.others, one.rate = one, ring, 1.0
    ring.append(ring)
    f = bprop.compile(lambda x: x * ring[0].others[7].rate)
    assert [f(bprop.ones(())).item() for _ in range(2)] == [1.0, 1.0]
    ring[7].rate = 4.0
    assert f(bprop.ones(())).item() == 4.0


def test_constants_that_are_equal_but_not_the_same():
    f = bprop.compile(lambda x, numbers: x * min(numbers))
    x = bprop.asarray([1, 2])
    for one in (2, 2.0, 2, 2.0):
        assert f(x, frozenset({one})).dtype == (x * one).dtype


def test_whether_a_cell_that_is_closed_over_is_trained(model):
    cell, other = bprop.Cell(bprop.ones(()), trainable=True), bprop.Cell(bprop.ones(()), trainable=True)
    many = [other]
    f = bprop.compile(lambda x: x * (2.0 if cell.trainable else 3.0) * (2.0 if many[0].trainable else 3.0))
    g = bprop.compile(lambda x: len(bprop.grad(lambda m: bprop.sum(m(x)))(model)))
    assert [f(bprop.ones(())).item() for _ in range(2)] == [4.0, 4.0]
    assert [g(X) for _ in range(2)] == [4, 4]
    cell.trainable = False
    model.first.freeze()
    assert [f(bprop.ones(())).item() for _ in range(2)] == [6.0, 6.0]
    assert [g(X) for _ in range(2)] == [2, 2]
    other.trainable = False
    assert f(bprop.ones(())).item() == 9.0


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copied_cell_has_numbers_of_its_own(copied):
    """What is overwritten in place must not be what a copy holds."""
    cell = bprop.Cell(bprop.zeros(3))
    f = bprop.compile(lambda cell: cell.write(cell.read() + 1))
    f(cell), f(cell)
    other = copied(cell)
    f(cell)
    np.testing.assert_array_equal(other.array, 2 * np.ones(3))
    f(other), f(other)
    np.testing.assert_array_equal(cell.array, 3 * np.ones(3))


def test_a_frozen_parameter(model):
    f = bprop.compile(lambda m, x: bprop.grad(lambda m: bprop.sum(m(x)))(m))
    assert len(f(model, X)) == len(f(model, X)) == 4
    model.first.freeze()
    assert len(f(model, X)) == 2


def test_an_array_that_someone_holds_keeps_its_numbers(model):
    rule = optim.SGD(0.1)
    step = bprop.compile(lambda m, rule, x: rule.update(m, bprop.grad(lambda m: bprop.sum(m(x)))(m)))
    for _ in range(3):
        step(model, rule, X)
    held = model.first.W
    before = np.array(held)
    step(model, rule, X), step(model, rule, X)
    np.testing.assert_array_equal(held, before)
    assert not np.array_equal(model.first.W, before)


def test_slots_made_by_the_first_call(model):
    """The first call finds an optimiser without slots, and leaves one with slots behind: the second is another call."""
    x, losses = bprop.asarray(X), []
    for native in (False, True):
        nn.seed(0)
        net, rule = Net(), optim.Adam(1e-2)

        def step(model, rule, x):
            E, gradients = bprop.value_and_grad(lambda m: bprop.sum(m(x) ** 2))(model)
            rule.update(model, gradients)
            return E

        step = bprop.compile(step) if native else step
        losses.append([step(net, rule, x).item() for _ in range(4)])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_cell_that_is_an_argument_and_closed_over_is_not_taken_for_another():
    """Also where one of them has another shape for a while."""
    one, two = bprop.Cell(bprop.ones(3)), bprop.Cell(bprop.ones(3) * 2)
    many = {"a": one}
    f = bprop.compile(lambda cell, x: bprop.sum(cell.read() * x) + bprop.sum(many["a"].read()))
    for shape in (3, 2, 3, 3, 2, 3):
        one.write(bprop.ones(shape))
        for cell, number in ((one, 1.0), (two, 2.0), (one, 1.0)):
            size = cell.array.size
            assert f(cell, np.ones(())).item() == number * size + shape
