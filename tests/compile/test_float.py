"""A Python float among the arguments: one program for all its numbers, weak as it is, and a constant for whoever asks."""

import copy
import json
import math

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.core.family import Elementwise
from bprop.core.op import REGISTRY
from bprop.core.traced_float import TracedFloat

X = np.linspace(0.5, 2, 6).reshape(2, 3)
RATES = (0.25, 0.7, 1.5)


def same(actual, expected, rtol=1e-6):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=1e-300)


WAYS = {
    "product": lambda x, r: x * r,
    "reflected": lambda x, r: r * x + r - x / r,
    "of floats first": lambda x, r: (2 * r - 1) / 3 * x + (1 - r) * (r + True) - (-r),
    "absolute value": lambda x, r: abs(-r) * x + (+r),
    "argument of vmap": lambda x, r: bprop.vmap(lambda x, r: x * r, in_axes=(0, None))(x, r),
    "comparison": lambda x, r: bprop.where(x < r, x, r),
    "chosen": lambda x, r: bprop.where(x > 1, r, 0.0) * x,
    "maximum": lambda x, r: bprop.maximum(x, r),
    "clip": lambda x, r: bprop.clip(x, r, 2 * r),
    "lower bound": lambda x, r: bprop.clip(x, r),
    "written": lambda x, r: x.at[0].set(r),
    "an array of it": lambda x, r: bprop.asarray(r) * x,
    "of float32": lambda x, r: bprop.asarray(r, dtype="float32") * x,
    "exponential": lambda x, r: bprop.exp(r) * x,
    "in a gradient": lambda x, r: bprop.grad(lambda x: bprop.sum(x * x * r))(x),
    "second derivative": lambda x, r: bprop.grad(lambda x: bprop.sum(bprop.grad(lambda x: bprop.sum(x * x * x * r))(x)))(x),
    "gradient by it": lambda x, r: bprop.grad(lambda r: bprop.sum(bprop.tanh(x * r)))(r),
    "checkpoint": lambda x, r: bprop.grad(lambda x: bprop.sum(bprop.checkpoint(lambda x: bprop.sin(x) * r)(x)))(x),
    "checkpoint of it": lambda x, r: bprop.checkpoint(lambda x, r: bprop.sin(x) * r)(x, r),
    "vmap": lambda x, r: bprop.vmap(lambda x: x * r)(x),
    "body of a scan": lambda x, r: bprop.scan(lambda c, y: (c * r, y + c), x[0], x)[1],
    "branch": lambda x, r: bprop.cond(bprop.sum(x) > 1, lambda x: x * r, lambda x: x - r, x),
    "compiled inside": lambda x, r: bprop.compile(lambda x, r: x * r)(x, r),
    "NumPy's function of a traced array": lambda x, r: np.multiply(x, r) + np.add(r, x),
}  # fmt: skip


OTHER_DTYPES = [
    (way, dtype)
    for way in ("product", "of floats first", "comparison", "chosen", "clip")
    for dtype in ("float64", "int32")
]


@pytest.mark.parametrize(("way", "dtype"), [*((way, "float32") for way in WAYS), *OTHER_DTYPES])
def test_one_program_for_all_numbers(way, dtype, traces):
    x = bprop.asarray(X.astype(dtype))
    expected = [WAYS[way](x, r) for r in RATES]
    f = bprop.compile(WAYS[way])
    del traces[:]
    for r, y in zip(RATES, expected, strict=True):
        same(f(x, r), y)
    assert len(f.programs) == len(traces) == 1
    for row, y in zip(f.loop(bprop.stack([x, x]), RATES[0]), [expected[0]] * 2, strict=True):
        same(row, y)
    assert len(f.programs) == 1


ASKING = {
    "if": lambda x, r: x * r if r > 0.5 else x - r,
    "truth": lambda x, r: x * 2 if r else x,
    "float()": lambda x, r: x * float(r),
    "int()": lambda x, r: x * int(4 * r),
    "math": lambda x, r: x * math.sqrt(r),
    "equality": lambda x, r: x * 2 if r == 0.7 else x,
    "key": lambda x, r: x * {0.25: 1, 0.7: 2, 1.5: 3}[r],
    "format": lambda x, r: x * len(f"{r:.6f}") + r,
    "text": lambda x, r: x * len(str(r)),
    "power": lambda x, r: x**r,
    "power of floats": lambda x, r: x * r**2 + r // 1 + r % 1,
    "largest": lambda x, r: x * max(r, 0.5),
    "round": lambda x, r: x * round(r, 1),
    "method": lambda x, r: x * 2 if r.is_integer() else x * r.as_integer_ratio()[1],
    "parameter": lambda x, r: bprop.linalg.vector_norm(x, ord=4 * r),
    "shape": lambda x, r: bprop.zeros(int(4 * r)) + x[0, 0],
    "NumPy array": lambda x, r: x * (np.ones(3, np.float32) * r) + np.array([r, 1.0, 2.0]),
    "NumPy scalar": lambda x, r: x * (np.float32(2) * r),
    "start of a scan": lambda x, r: bprop.scan(lambda c, y: (c + bprop.sum(y), c), r, x)[1],
    "linspace": lambda x, r: bprop.linspace(0, r, 3) * x,
    "result": lambda x, r: (x * r, r, 2 * r),
    "custom rule": lambda x, r: bprop.grad(
        lambda x: bprop.sum(bprop.custom(lambda x, r: x * r, vjp=lambda y_bar, y, x, r: (2 * y_bar * r, None))(x, r))
    )(x),
    "filled": lambda x, r: x * bprop.full((3,), r),
    "setting": lambda x, r: nn.LeakyReLU(r / 2)(x - 1),
    "callback": lambda x, r: (bprop.callback(lambda y: SEEN.append(y * r), x), x)[1],
    "json": lambda x, r: x * len(json.dumps(r)),
    "exact type": lambda x, r: x * (r if isinstance(r, float) else 100),
}
SEEN = []


@pytest.mark.filterwarnings("ignore:.*programs differ only in argument r:bprop.CompileWarning")
@pytest.mark.parametrize("way", ASKING)
def test_a_number_that_python_asks_for_is_part_of_the_key(way):
    x = bprop.asarray(X.astype(np.float32))
    f = bprop.compile(ASKING[way])
    for r in (*RATES, *RATES[:2]):
        del SEEN[:]
        actual, seen = f(x, r), [np.asarray(y) for y in SEEN]
        del SEEN[:]
        expected = ASKING[way](x, r)
        for a, b in zip(*(y if isinstance(y, tuple) else (y,) for y in (actual, expected)), strict=True):
            assert type(a) is type(b)
            same(a, b)
        for a, b in zip(seen, SEEN, strict=True):
            same(a, b)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_every_op_of_two_operands_promotes_it_as_a_number(dtype):
    """Derived from the registry: with the float first or second, the dtype and the number of the eager op."""
    x, ops = bprop.asarray(np.array([1, 0, 1]).astype(dtype)), 0
    for op in [op for op in REGISTRY.values() if isinstance(op, Elementwise) and op.arity == 2]:
        for way in (lambda x, r, op=op: op(x, r), lambda x, r, op=op: op(r, x)):
            try:
                expected = [way(x, r) for r in (0.3, 3.0)]
            except (bprop.BpropError, TypeError):
                continue
            f = bprop.compile(way)
            for r, y in zip((0.3, 3.0), expected, strict=True):
                same(f(x, r), y)
            assert len(f.programs) == (2 if op.reads_scalars else 1), op.name
            ops += 1
    assert ops > 10


def test_inside_trees_and_by_keyword(traces):
    f = bprop.compile(lambda batch, *, rate: batch["x"] * batch["scale"] - rate)
    for r in RATES:
        same(f({"x": X, "scale": r}, rate=2 * r), X * r - 2 * r)
    assert len(traces) == 1


def test_signs_of_zero_infinity_and_nan():
    f = bprop.compile(lambda x, r: (x * r, x + r))
    for r in (0.0, -0.0, float("inf"), float("nan"), -1e-320):
        for a, b in zip(
            f(bprop.asarray([1.0, -1.0]), r), (np.array([1.0, -1.0]) * r, np.array([1.0, -1.0]) + r), strict=True
        ):
            np.testing.assert_array_equal(np.asarray(a), b)
            np.testing.assert_array_equal(np.signbit(a), np.signbit(b))
    assert len(f.programs) == 1


def test_a_learning_rate():
    nn.seed(0)
    model, rule = nn.Linear(3, 1), optim.SGD(0.1)
    rule.init(model)

    @bprop.compile
    def step(model, rule, x, rate):
        rule.learning_rate = rate
        rule.update(model, bprop.grad(lambda m: bprop.sum(m(x)))(model))

    x = X.astype(np.float32)
    for rate in RATES:
        before = np.asarray(model.W)
        step(model, rule, x, rate)
        np.testing.assert_allclose(before - np.asarray(model.W), rate * x.sum(axis=0, keepdims=True), rtol=1e-5)
        assert rule.learning_rate.item() == rate
    assert len(step.programs) == 1


def test_what_is_left_behind_is_a_number():
    kept = []

    @bprop.compile
    def f(x, r):
        kept.append(r * 2)
        return x * r

    f(X, 0.25)
    assert type(kept[0]) is TracedFloat
    assert (kept[0], float(kept[0]), kept[0] + 1, copy.copy(kept[0])) == (0.5, 0.5, 1.5, 0.5)
    same(bprop.asarray(X) * kept[0], X * 0.5)
    same(bprop.asarray(kept[0]), np.float64(0.5))
    g = bprop.compile(lambda x, r: x * kept[0] * r)
    same(g(X, 0.5), X * 0.25)
    same(g(X, 1.0), X * 0.5)


def test_a_function_that_takes_no_traced_float_gets_a_number():
    """Whatever fails because of it is tried again with the number itself; what fails then is the user's error."""
    calls = []

    def f(x, r):
        calls.append(type(r))
        if type(r) is not float:
            raise RuntimeError("a float, please")
        return x * r

    f = bprop.compile(f)
    for r in RATES[:2]:
        same(f(X, r), X * r)
    assert calls == [TracedFloat, float] * 2
    with pytest.raises(ZeroDivisionError):
        bprop.compile(lambda x, r: x * (1 / r))(X, 0.0)


def test_three_numbers_that_python_asks_for_are_named():
    f = bprop.compile(lambda x, rate: x * float(rate))
    f(X, 0.1), f(X, 0.2)
    with pytest.warns(bprop.CompileWarning, match="f 3|3 programs differ only in argument rate, a Python number"):
        f(X, 0.3)


def test_verified():
    f = bprop.compile(lambda x, r: bprop.tanh(x * r), verify=True)
    for r in RATES:
        same(f(X, r), np.tanh(X * r), 1e-12)
