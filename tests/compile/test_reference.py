"""What a function reaches: whatever lies there is noticed; what changes at every call is named, and may be left out."""

import sys
import time
import types
from copy import deepcopy
from enum import Enum
from functools import cached_property, wraps
from types import SimpleNamespace

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.compile.captures import references
from bprop.compile.frontend.call_guard import Guard

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)


class Trainer:
    """As it is often written: the step beside its record."""

    weight = 1.0

    def __init__(self):
        nn.seed(0)
        self.model, self.rule, self.loss = nn.Linear(2, 1), optim.SGD(0.1), nn.SquaredError()
        self.losses, self.steps, self.best, self.traces = [], 0, None, 0

    def step(self, x, t):
        self.traces += 1
        E, gradients = bprop.value_and_grad(lambda m: self.weight * self.loss(m(x), t))(self.model)
        self.rule.update(self.model, gradients)
        return E

    def fit(self, step, count):
        for _ in range(count):
            self.losses.append(float(step(self, X, X[:, :1])))
            self.steps += 1
            self.best = min(self.losses)


def test_a_record_beside_the_step_is_left_out():
    trainer, step = Trainer(), bprop.compile(Trainer.step, ignore=("losses", "steps", "best"))
    trainer.fit(step, 5)
    assert trainer.losses == sorted(trainer.losses, reverse=True)
    assert trainer.traces == len(step.programs) == 1
    trainer.weight = 2.0  # an attribute that stands for the class's
    trainer.fit(step, 1)
    assert len(step.programs) == trainer.traces == 2
    trainer.late = 1
    trainer.fit(step, 3)
    assert len(step.programs) == 2
    assert trainer.traces == 3


def test_a_record_beside_the_step_is_named_once():
    """Right all the same, and compiled once: only the Python code runs at every call."""
    trainer, step = Trainer(), bprop.compile(Trainer.step)
    with pytest.warns(bprop.CompileWarning) as said:
        trainer.fit(step, 8)
    assert trainer.losses == sorted(trainer.losses, reverse=True)
    assert len(step.programs) == len(said) == 1
    text = str(said[0].message)
    assert "step: its Python code runs at every call, because self.steps, self.best, self.losses changed" in text
    assert "bprop.compile(ignore=('steps', 'best', 'losses'))" in text
    assert said[0].filename == __file__


def test_what_changes_now_and_then_is_not_named(traces):
    held = SimpleNamespace(epoch=0, rate=2.0)
    f = bprop.compile(lambda x: x * held.rate)
    for _ in range(6):
        held.epoch += 1
        f(X), f(X), f(X)
    assert len(traces) == 6
    assert len(f.programs) == 1


@pytest.mark.parametrize("where", ["attribute", "cell", "global", "key", "slot"])
def test_ignored_names(where, traces, monkeypatch):
    one, count = SimpleNamespace(count=0, rate=2.0), 0
    table, slotted = {"count": 0, "rate": 2.0}, Slotted()
    monkeypatch.setitem(globals(), "COUNT", 0)

    def f(x):
        return x * one.rate * table["rate"] * slotted.factor * len([count and COUNT])

    f = bprop.compile(f, ignore=["count", "COUNT", "calls"])
    for number in range(4):
        np.testing.assert_array_equal(np.asarray(f(X)), X * 4)
        if where == "attribute":
            one.count = number
        elif where == "cell":
            count = number
        elif where == "global":
            monkeypatch.setitem(globals(), "COUNT", number)
        elif where == "key":
            table["count"] = number
        else:
            slotted.calls = number
    assert len(traces) == 1
    one.rate = 3.0
    np.testing.assert_array_equal(np.asarray(f(X)), X * 6)


COUNT = 0


@pytest.mark.parametrize("ignore", ["losses", [1], (None,)])
def test_names_to_ignore_are_a_tuple(ignore):
    with pytest.raises(bprop.ArgumentError, match="ignore is a tuple of names"):
        bprop.compile(lambda x: x, ignore=ignore)


def test_programs_that_differ_in_one_number_are_named_once():
    settings, mode = {"inner": SimpleNamespace(rate=1.0)}, "a"
    f = bprop.compile(lambda x, n=1: x * settings["inner"].rate + n if mode == "a" else x)
    f(X), f(X[:1]), f(X[:2])  # shapes never count
    for mode in "bab":  # noqa: B007 - f reads it
        f(X)
    settings["inner"].rate = 2.0
    f(X)
    mode = "a"
    f(X)
    settings["inner"].rate = 3.0
    with pytest.warns(
        bprop.CompileWarning, match=r"3 programs differ only in settings\['inner'\]\.rate, a Pyt"
    ) as said:
        f(X)
    assert said[0].filename == __file__
    settings["inner"].rate = 4.0
    f(X)  # nothing more is said: warnings are errors here
    g = bprop.compile(lambda x, table: x + table["n"])
    g(X, {"n": 0}), g(X, {"n": 1})
    with pytest.warns(bprop.CompileWarning, match=r"3 programs differ only in argument table\.n, a Python number"):
        g(X, {"n": 2})


def test_modes_are_not_named():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    f = bprop.compile(lambda m, x, flag: m(x) if flag else -m(x))
    for number in range(6):
        model.train() if number % 2 else model.eval()
        f(model, X, number % 3 == 0)
    assert len(f.programs) == 4


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
        "transform": bprop.grad(lambda x: bprop.sum(x * x * scale.factor) / 2),
        "compiled": bprop.compile(lambda x: x * scale.factor),
        "method of a dict": lambda x, get={"scale": scale}.get: x * get("scale").factor,
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
def test_what_is_reached_in_any_way_is_noticed(kind):
    for way in through(kind()):
        scale = kind()
        f = bprop.compile(through(scale)[way])
        for factor in (1.0, 3.0, 3.0, 1.0):
            scale.factor = factor
            np.testing.assert_array_equal(np.asarray(f(X)), X * np.float32(factor), err_msg=way)
        assert len(f.programs) == 2, way


def test_another_object_of_the_same_number_is_no_other_call(traces):
    one = SimpleNamespace(rate=1.5, shape=(3, 2), factors=[0.5])
    f = bprop.compile(lambda x: x * one.rate * one.factors[0] + len(one.shape))
    for _ in range(4):
        f(X)
        one.rate, one.shape, one.factors[0] = float("1.5"), tuple(iter((3, 2))), float("0.5")
    assert len(traces) == 1


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


def test_a_module_that_is_imported_inside(monkeypatch):
    settings = types.ModuleType("settings_of_this_test")
    settings.rate = 2.0
    monkeypatch.setitem(sys.modules, "settings_of_this_test", settings)

    def f(x):
        import settings_of_this_test as settings

        return x * settings.rate

    f = bprop.compile(f)
    np.testing.assert_array_equal(np.asarray(f(X)), X * 2)
    settings.rate = 3.0
    np.testing.assert_array_equal(np.asarray(f(X)), X * 3)


def test_a_gradient_that_an_eager_step_left():
    nn.seed(0)
    model, rule = nn.Linear(2, 1), optim.SGD(0.5)
    rule.init(model)
    update = bprop.compile(lambda: rule.update(model, model.gradients()))
    for number in (1.0, 2.0, 3.0):
        model.fprop(X)
        model.bprop(np.full((3, 1), number, np.float32))
        expected = np.asarray(model.W) - 0.5 * np.asarray(model.W_bar)
        update()
        np.testing.assert_allclose(np.asarray(model.W), expected, rtol=1e-6)
    assert len(update.programs) == 1


def test_a_name_that_is_not_followed_is_seen(monkeypatch):
    """The planted fault: objects are not looked into."""
    monkeypatch.setattr(Guard, "_attributes", lambda self, value: [])
    scale = Scale()
    f = bprop.compile(lambda x: scale.apply(x))
    f(X)
    scale.factor = 3.0
    assert not np.array_equal(np.asarray(f(X)), 3 * X)


def test_installed_packages_are_not_looked_through(traces):
    """What a function mentions of them is itself by identity, however much they hold."""
    import scipy.optimize

    held = SimpleNamespace(package=scipy, runner=pytest, stamp=time)

    def f(x):
        with pytest.raises(ZeroDivisionError):
            _ = 1 / 0
        assert len([held.package, scipy.optimize, np]) == 3
        return x * 2

    reached = Guard({"": f})
    assert len(reached._seen) < 50
    f = bprop.compile(f)
    f(X), f(X)
    assert len(traces) == 1


def test_an_assertion_refers_to_nothing_of_the_test_runner():
    """pytest writes its own modules into functions that assert: what they hold is neither looked at nor waited for."""

    def f(x):
        assert x.shape == (2,)
        return x * 2

    assert any(name.startswith("@") for name in f.__code__.co_names)
    assert [one.name for one in references(f) if one.name.startswith("@")] == []


def test_what_an_eager_pass_leaves_in_a_module_is_no_state_but_an_attribute_of_that_name_is(traces):
    nn.seed(0)
    model, one = nn.Linear(2, 1), SimpleNamespace(_last_frame=2.0, _frames=1.0)
    f = bprop.compile(lambda x: model(x) * one._last_frame * one._frames)
    first = np.asarray(f(X))
    for _ in range(3):
        model.fprop(X)
        np.testing.assert_array_equal(np.asarray(f(X)), first)
    assert len(traces) <= 2
    one._last_frame = 4.0
    np.testing.assert_allclose(np.asarray(f(X)), 2 * first, rtol=1e-6)


# --- what strangers wrote ---
class Scaled:
    def __init__(self, k):
        self.k = k

    @bprop.compile
    def go(self, x):
        return x * self.k


class Mode(Enum):
    HALF = 0.5
    TWICE = 2.0


def test_other_objects_in_the_place_of_an_argument():
    assert np.asarray(Scaled(2.0).go(X)).tolist() == (2 * X).tolist()
    assert np.asarray(Scaled(3.0).go(X)).tolist() == (3 * X).tolist()
    f = bprop.compile(lambda x, g: g(x))
    for g in (bprop.sin, bprop.cos, lambda x: x * 2, lambda x: x * 3):
        np.testing.assert_allclose(np.asarray(f(X, g)), np.asarray(g(bprop.asarray(X))), rtol=1e-6)
    scaled = bprop.compile(lambda x, mode: x * mode.value)
    for mode in (Mode.HALF, Mode.TWICE, Mode.HALF):
        assert np.asarray(scaled(X, mode)).tolist() == (X * mode.value).tolist()


@pytest.mark.parametrize("other", [0, True, np.float32(0.5), np.int64(2), np.array(0.25), -0.0])
def test_other_kinds_of_numbers_where_a_float_was_asked(other):
    def f(x, rate):
        return x * rate if rate > 0 else x

    compiled = bprop.compile(f)
    assert np.asarray(compiled(X, 1e-3)).tolist() == (X * 1e-3).tolist()
    if isinstance(other, np.ndarray | np.generic):  # an array is traced, and has no truth value
        with pytest.raises(bprop.TracedValueError):
            compiled(X, other)
    else:
        assert np.asarray(compiled(X, other)).tolist() == np.asarray(f(X, other)).tolist()


def test_an_array_that_becomes_read_only_between_calls():
    a = np.arange(2.0)
    f = bprop.compile(lambda x: x + float(a[1]))
    first = np.asarray(f(X)).tolist()
    a.setflags(write=False)
    assert np.asarray(f(X)).tolist() == first
    a.setflags(write=True)
    a[1] = 5
    assert np.asarray(f(X)).tolist() == (X + 5).tolist()


def test_equal_keys_of_dicts_are_different_to_python():
    f = bprop.compile(lambda x, d: x * len(str(next(iter(d)))))
    for key in (1, True, 1.0, (1,), (True,)):
        assert np.asarray(f(X, {key: X})).tolist() == (X * len(str(key))).tolist()


def test_cells_take_numbers_and_numpy_arrays():
    for value in (0.5, np.array(0.5)):
        rate = bprop.Cell(value)
        f = bprop.compile(lambda x, rate=rate: x * rate.read())
        assert np.asarray(f(X)).tolist() == (0.5 * X).tolist()
        rate.write(0.25)
        assert np.asarray(f(X)).tolist() == (0.25 * X).tolist()


def test_a_deep_copy_of_a_compiled_bound_method_is_bound_to_the_copy():
    class Holder:
        def __init__(self):
            self.k = 2.0
            self.fast = bprop.compile(self.plain)

        def plain(self, x):
            return x * self.k

    copied = deepcopy(Holder())
    copied.k = 5.0
    assert np.asarray(copied.fast(X)).tolist() == (5 * X).tolist()


def test_what_ignore_may_be():
    for ignore in (None, "losses", 3, (1,)):
        with pytest.raises(bprop.ArgumentError, match="ignore is a tuple of names"):
            bprop.compile(lambda x: x, ignore=ignore)
