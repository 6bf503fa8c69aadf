"""What a function looks at of objects: what it mentions is noticed, what else they keep makes no program and costs no key."""

import sys
from functools import cached_property, wraps
from types import SimpleNamespace

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.compile.reference import Mentioned

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)


class Trainer:
    """As it is often written: the step beside its record."""

    weight = 1.0

    def __init__(self):
        nn.seed(0)
        self.model, self.rule, self.loss = nn.Linear(2, 1), optim.SGD(0.1), nn.SquaredError()
        self.losses, self.steps, self.best, self.traces = [], 0, None, 0

    @bprop.compile
    def step(self, x, t):
        self.traces += 1
        E, gradients = bprop.value_and_grad(lambda m: self.weight * self.loss(m(x), t))(self.model)
        self.rule.update(self.model, gradients)
        return E

    def fit(self, count):
        for _ in range(count):
            self.losses.append(float(self.step(X, X[:, :1])))
            self.steps += 1
            self.best = min(self.losses)


def test_a_record_beside_the_step(traces):
    trainer = Trainer()
    trainer.fit(5)
    assert trainer.losses == sorted(trainer.losses, reverse=True)
    assert trainer.traces == len(Trainer.step.programs) == 1
    assert len(traces) == 3  # before and after the trace changed `traces`, and once more since it did
    trainer.weight = 2.0  # an attribute that stands for the class's
    trainer.fit(1)
    assert len(Trainer.step.programs) == 2
    trainer.late = 1
    trainer.fit(1)
    assert len(Trainer.step.programs) == 2


class Scale:
    def __init__(self):
        self.factor, self.calls = 1.0, 0

    def __call__(self, x):
        return x * self.factor

    def apply(self, x):
        return self.inner(x)

    def inner(self, x):
        return x * self.factor

    @property
    def twice(self):
        return 2 * self.factor

    @cached_property
    def kept(self):
        return self.factor

    @staticmethod
    def of(other, x):
        return x * other.factor


class Slotted:
    __slots__ = ("calls", "factor")

    def __init__(self):
        self.factor, self.calls = 1.0, 0


class Owner:
    def __init__(self, scale):
        self.scale, self.calls = scale, 0
        scale.owner = self

    def apply(self, x):
        return self.scale.apply(x)


class Asking(nn.Module):
    def __init__(self, scale):
        self.scale = scale

    def fprop(self, x):
        return x * self.scale.factor


def asked(scale, x):
    return x * scale.factor


def wrapped(f):
    @wraps(f)
    def g(*args):
        return f(*args)

    return g


def through(scale):
    """Functions that look at ``scale.factor``, each in another way."""
    holder = SimpleNamespace(f=asked, calls=0)
    table = {"f": wrapped(asked)}
    slotted = scale if isinstance(scale, Slotted) else None
    every = {
        "name": lambda x: x * scale.factor,
        "function": lambda x: asked(scale, x),
        "function of an object": lambda x: holder.f(scale, x),
        "function in a dict": lambda x: table["f"](scale, x),
        "getattr": lambda x: x * getattr(scale, "fac" + "tor"),
        "vars": lambda x: (
            x * {**{"factor": 0}, **(vars(scale) if slotted is None else {"factor": scale.factor})}["factor"]
        ),
        "function of a class": lambda x: Scale.of(scale, x),
        "module": Asking(scale),
        "scan": lambda x: bprop.scan(lambda c, y: (c, y * scale.factor), x[0], x)[1],
    }
    if slotted is None:
        owner = Owner(scale)
        every |= {
            "called": lambda x: scale(x),
            "method": lambda x: scale.apply(x),
            "methods of two": lambda x: owner.apply(x),
            "owner": lambda x: x * scale.owner.scale.factor,
            "property": lambda x: x * scale.twice / 2,
            "bound": scale.inner,
            "bound in a list": lambda x, f=(scale.inner,): f[0](x),
        }
    return every


@pytest.mark.parametrize("kind", [Scale, Slotted])
def test_what_is_mentioned_anywhere_is_noticed(kind):
    for way in through(kind()):
        scale = kind()
        f = bprop.compile(through(scale)[way])
        for factor in (1.0, 3.0, 3.0, 1.0):
            scale.factor = factor
            np.testing.assert_array_equal(np.asarray(f(X)), X * np.float32(factor), err_msg=way)
        assert len(f.programs) == 2, way


@pytest.mark.parametrize("kind", [Scale, Slotted])
def test_what_is_not_mentioned_makes_no_program(kind, traces):
    for way in through(kind()):
        if way in ("getattr", "vars"):  # any attribute may be meant
            continue
        scale = kind()
        f = bprop.compile(through(scale)[way])
        before = len(traces)
        for _ in range(4):
            f(X)
            scale.calls += 1
        assert len(f.programs) == 1, way
        assert len(traces) <= before + 2, way


def test_objects_among_the_arguments(traces):
    f = bprop.compile(asked)
    for kind in (Scale, Slotted):
        one = kind()
        before = len(traces)
        for _ in range(4):
            np.testing.assert_array_equal(np.asarray(f(one, X)), X)
            one.calls += 1
        assert len(traces) == before + 1
        one.factor = 3.0
        np.testing.assert_array_equal(np.asarray(f(one, X)), 3 * X)


GAIN = 1.0


class Gain(nn.Module):
    def fprop(self, x):
        return x * GAIN


def test_globals_of_methods(monkeypatch):
    module = Gain()
    f = bprop.compile(lambda module, x: module(x))
    assert [float(f(module, np.float32(2))) for _ in range(2)] == [2.0, 2.0]
    monkeypatch.setitem(globals(), "GAIN", 3.0)
    assert [float(f(module, np.float32(2))) for _ in range(2)] == [6.0, 6.0]


def test_an_attribute_that_comes_later():
    scale = Scale()

    def f(x):
        try:
            return x * scale.late
        except AttributeError:
            return x

    f = bprop.compile(f)
    assert [float(f(np.float32(2))) for _ in range(2)] == [2.0, 2.0]
    scale.late = 5.0
    assert float(f(np.float32(2))) == 10.0


def test_names_of_methods_are_followed():
    scale = Scale()
    owner = Owner(scale)
    mentioned = Mentioned(lambda x: owner.apply(x))
    assert set(mentioned.attributes(owner)) == {"scale"}
    assert set(mentioned.attributes(scale)) == {"factor"}
    assert set(Mentioned(lambda x: getattr(owner, x)).attributes(owner)) == {"scale", "calls"}


def test_a_name_that_is_not_followed_is_seen(monkeypatch):
    """The planted fault: methods are not looked into."""
    monkeypatch.setattr(sys.modules[Mentioned.__module__], "_methods", lambda kind, names: ())
    scale = Scale()
    f = bprop.compile(lambda x: scale.apply(x))
    f(X)
    scale.factor = 3.0
    assert not np.array_equal(np.asarray(f(X)), 3 * X)


def test_an_assertion_refers_to_nothing_of_the_test_runner():
    """pytest writes its own modules into functions that assert: what they hold is neither looked at nor waited for."""

    def f(x):
        assert x.shape == (2,)
        return x * 2

    assert any(name.startswith("@") for name in f.__code__.co_names)
    assert list(Mentioned(f).reached()) == []
