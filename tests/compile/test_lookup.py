"""Looking at objects runs nobody's code: what finds any attribute, compares to arrays or cannot be hashed neither crashes nor acts."""

import logging
import socket
import threading
import time
import types
import weakref
from unittest.mock import MagicMock, Mock

import numpy as np
import pytest

import bprop
from bprop.compile.introspection import is_a, slots, stored
from bprop.core.tree import is_holder


class Anything:
    """Has every attribute, each of which has every attribute."""

    def __init__(self, rate=1.0):
        self.__dict__["rate"] = rate

    def __getattr__(self, name):
        return Anything()

    def __call__(self, *args):
        return self


class Refusing:
    """Raises another error than `AttributeError` for what it does not have."""

    rate = 1.0

    def __getattr__(self, name):
        raise RuntimeError(name)


class RefusingAll:
    def __init__(self):
        self.rate = 1.0

    def __getattribute__(self, name):
        if name != "rate":
            raise RuntimeError(name)
        return object.__getattribute__(self, name)


class Meta(type):
    """Answers for its classes, as that of ``torch.Tensor`` and of lazily loaded classes does."""

    def __getattr__(cls, name):
        raise RuntimeError(name)

    def __instancecheck__(cls, one):
        raise RuntimeError("isinstance")

    def __subclasscheck__(cls, one):
        raise RuntimeError("issubclass")


class Tensor(metaclass=Meta):
    rate = 1.0


class AnyMeta(type):
    def __getattr__(cls, name):
        return lambda *args: Anything()


class AnyTensor(metaclass=AnyMeta):
    rate = 1.0


class Pretending:
    """Says that it is a function."""

    rate = 1.0
    __class__ = property(lambda self: types.FunctionType)


class ComparedToArrays:
    rate = 1.0
    __hash__ = object.__hash__

    def __eq__(self, other):
        return np.array([True, False])


class NotCompared:
    rate = 1.0
    __hash__ = object.__hash__

    def __eq__(self, other):
        raise RuntimeError("==")


class NotHashed:
    rate = 1.0

    def __hash__(self):
        raise RuntimeError("hash")

    def __eq__(self, other):
        raise RuntimeError("==")


class Acting:
    """Its properties must not be asked for by looking."""

    asked = 0
    rate = 1.0

    @property
    def other(self):
        Acting.asked += 1
        return 1.0

    @property
    def __wrapped__(self):
        Acting.asked += 1
        return self

    @property
    def cells(self):
        Acting.asked += 1
        return dict

    def unused(self):
        return self.other


class Slotted:
    __slots__ = ("__weakref__", "_rest", "rate")

    def __init__(self):
        self.rate = 1.0


class Ring:
    def __init__(self):
        self.rate, self.ring, self.table, self.rows = 1.0, self, {}, []
        self.table["ring"], self.method = self.table, self.work
        self.rows.append(self.rows)

    def work(self, x):
        return x


def chained(length):
    last = None
    for _ in range(length):
        last, before = Box(1.0), last
        last.next = before
    return last


def mock():
    found = MagicMock()
    found.rate = 1.0
    return found


class Box:
    def __init__(self, value):
        self.rate, self.value = 1.0, value


def plain(value):
    return lambda: Box(value())


OBJECTS = {
    "has anything": Anything,
    "raises": Refusing,
    "raises for all": RefusingAll,
    "class whose metaclass raises": Tensor,
    "class whose metaclass has anything": lambda: AnyTensor,
    "the class itself": lambda: Tensor,
    "mock": mock,
    "mock of a function": lambda: Mock(spec=lambda x: x, rate=1.0),
    "pretends to be a function": Pretending,
    "compared to arrays": ComparedToArrays,
    "not compared": NotCompared,
    "not hashed": NotHashed,
    "properties that act": Acting,
    "slots": Slotted,
    "cycles": Ring,
    "a long chain": lambda: chained(3000),
    "logger": plain(lambda: logging.getLogger("bprop.test")),
    "logger's adapter": plain(lambda: logging.LoggerAdapter(logging.getLogger("bprop.test"), {})),
    "weak reference": plain(lambda: weakref.ref(Slotted())),
    "weak proxy": plain(lambda: weakref.proxy(logging.getLogger("bprop.test"))),
    "weak dict": plain(weakref.WeakValueDictionary),
    "generator": plain(lambda: (one for one in "ab")),
    "lock": plain(threading.Lock),
    "thread's own": plain(threading.local),
    "array of dates": plain(lambda: np.array(["2020-01-01"], "datetime64[D]")),
    "view of memory": plain(lambda: memoryview(bytearray(3))),
    "many numbers in a list": plain(lambda: [0.0] * 100_000),
    "many numbers in a dict": plain(lambda: dict.fromkeys(range(100_000))),
}


@pytest.mark.parametrize("what", OBJECTS)
def test_what_is_closed_over_or_given_may_be_anything(what):
    one = OBJECTS[what]()
    held = types.SimpleNamespace(_one=one, rate=1.0)
    functions = [
        (lambda x: x * one.rate, ()),
        (lambda x: x * held._one.rate, ()),
        (lambda x: x if one is None else x * one.rate, ()),
        (lambda x, one=one: x * one.rate, ()),
    ]
    if what.startswith("many"):
        del functions[1:]
    elif what not in ("not hashed", "mock"):  # a mock among the arguments says that it is an iterator, too
        functions.append((lambda one, x: x * one.rate, (one,)))
    for f, args in functions:
        compiled = bprop.compile(f)
        began = time.perf_counter()
        for _ in range(3):
            assert compiled(*args, bprop.asarray(2.0)).item() == 2.0
        assert len(compiled.programs) == 1
        assert time.perf_counter() - began < 60  # it ends
    if what not in ("class whose metaclass raises", "the class itself", "has anything") and not issubclass(
        type(one), type
    ):
        try:
            one.rate = 3.0
        except Exception:
            return
        for f, args in functions:
            assert bprop.compile(f)(*args, bprop.asarray(2.0)).item() == 6.0
    assert Acting.asked == 0


def test_what_is_open_or_connected(tmp_path):
    file = (tmp_path / "log").open("w")
    with file, socket.socket() as connection:
        held = types.SimpleNamespace(file=file, connection=connection, rate=1.0)

        @bprop.compile
        def f(x):
            return x * held.rate if held.file and held.connection else x

        for _ in range(3):
            assert f(bprop.asarray(2.0)).item() == 2.0
        file.write("more")
        assert f(bprop.asarray(2.0)).item() == 2.0
        assert len(f.programs) == 1


def test_an_isinstance_of_a_class_that_answers_for_itself():
    lazy = types.ModuleType("lazy")
    lazy.Tensor = AnyTensor
    f = bprop.compile(lambda x: x * (2.0 if isinstance(x, lazy.Tensor) else 3.0))
    assert [f(bprop.asarray(1.0)).item() for _ in range(2)] == [3.0, 3.0]


def test_a_hash_that_raises_is_an_error_that_says_what_to_pass():
    with pytest.raises(bprop.ArgumentError, match="NotHashed, which is neither an array nor hashable"):
        bprop.compile(lambda one, x: x)(NotHashed(), bprop.ones(()))


def test_an_object_is_no_holder_because_it_has_any_attribute():
    assert not any(map(is_holder, (MagicMock(), Anything(), Refusing(), AnyTensor(), Tensor(), AnyTensor)))


def test_a_weak_reference_keeps_nothing_alive():
    one = Slotted()
    reference = weakref.ref(one)
    f = bprop.compile(lambda x: x if reference() is None else x * reference().rate)
    assert [f(bprop.ones(())).item() for _ in range(2)] == [1.0, 1.0]
    one.rate = 3.0
    assert f(bprop.ones(())).item() == 3.0
    del one
    assert reference() is None
    assert f(bprop.ones(())).item() == 1.0


def test_what_lies_in_an_object():
    one = Slotted()
    assert stored(one) == {"rate": 1.0}
    assert set(slots(Slotted)) == {"_rest", "rate"}
    assert stored(Anything(2.0)) == {"rate": 2.0}
    assert not is_a(Pretending(), types.FunctionType)
