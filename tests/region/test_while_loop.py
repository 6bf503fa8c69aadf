"""`while_loop`: a loop that ends by itself equals the Python loop, under every interpretation, with and without a limit.

Planted: blocks that begin one turn late; rows of a batch taken for carries; a limit that is one too small.
"""

import importlib

import numpy as np
import pytest

import bprop

module = importlib.import_module("bprop.region.while_loop_reverse")
rng = np.random.default_rng(0)
W, H = rng.normal(size=(3, 3)) / 3, rng.normal(size=3) / 2


def condition(carry):
    return (bprop.sum(carry["h"] ** 2) < 40) & (carry["n"] < 9)


def turn(W):
    return lambda c: {"h": c["h"] * 1.3 + bprop.tanh(W @ c["h"]) * bprop.sum(W), "n": c["n"] + 1, "grows": c["n"] > 2}


def start(h):
    return {"h": h, "n": bprop.asarray(0), "grows": bprop.asarray(False)}


def looped(W, h):
    carry = start(h)
    while condition(carry):
        carry = turn(W)(carry)
    return bprop.sum(bprop.sin(carry["h"]) * carry["n"]) + carry["grows"] * 2.0


def ours(limit):
    def f(W, h):
        carry = bprop.while_loop(condition, turn(W), start(h), limit=limit)
        return bprop.sum(bprop.sin(carry["h"]) * carry["n"]) + carry["grows"] * 2.0

    return f


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 3)  # several blocks, the last one not full


DERIVATIVES = {
    "reverse": lambda f, n: lambda *a: bprop.grad(f, n)(*a),
    "forward": lambda f, n: lambda *a: bprop.jacobian(f, n, mode="forward")(*a),
    "hessian": lambda f, n: lambda *a: bprop.hessian(f, n)(*a),
    "reverse over reverse": lambda f, n: lambda *a: bprop.grad(lambda *b: bprop.sum(bprop.grad(f, n)(*b) ** 2), n)(*a),
    "linearized": lambda f, n: lambda *a: bprop.linearize(bprop.grad(f, n), *a)[1](*a),
}
COMPILED = [("reverse", 0, None), ("reverse", 0, 20), ("reverse", 1, None), ("forward", 0, None), ("hessian", 1, 20)]


@pytest.mark.parametrize("limit", [None, 20])
@pytest.mark.parametrize("argnum", [0, 1], ids=["captured", "carry"])
@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("how", ["eager", "traced"])
def test_derivatives_equal_those_of_the_loop(name, argnum, limit, how):
    derivative = DERIVATIVES[name]
    expected = derivative(looped, argnum)(W, H)
    f = derivative(ours(limit), argnum)
    actual = bprop.trace(f)(W * 0, H * 0)(W, H)[0] if how == "traced" else f(W, H)
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "argnum", "limit"), COMPILED)
def test_compiled_derivatives_equal_those_of_the_loop(name, argnum, limit):
    derivative = DERIVATIVES[name]
    actual = bprop.compile(derivative(ours(limit), argnum))(W, H)
    np.testing.assert_allclose(actual, derivative(looped, argnum)(W, H), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("limit", [None, 20])
@pytest.mark.parametrize("argnum", [None, 0, 1], ids=["value", "captured", "carry"])
@pytest.mark.parametrize("axes", [(None, 0), (0, None), (0, 0)])
def test_batches_equal_a_loop_over_the_batch(limit, argnum, axes):
    f = ours(limit) if argnum is None else bprop.grad(ours(limit), argnum, unreached="zeros")
    expected = looped if argnum is None else bprop.grad(looped, argnum, unreached="zeros")
    stacks = [np.stack([a, a / 9, 4 * a, 99 * a]) if axis == 0 else a for a, axis in zip((W, H), axes, strict=True)]
    batched = bprop.vmap(f, in_axes=axes)
    compiled = bprop.compile(batched)(*stacks) if axes == (None, 0) else batched(*stacks)
    for k, one in enumerate(batched(*stacks)):
        entry = expected(*(a[k] if axis == 0 else a for a, axis in zip(stacks, axes, strict=True)))
        np.testing.assert_allclose(one, entry, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(compiled[k], entry, rtol=1e-9, atol=1e-12)


def in_the_body(f):
    return lambda x: bprop.while_loop(lambda c: c > 1, f, x)


def in_a_body_that_makes_a_carry_batched(f):
    start = bprop.asarray(0), bprop.asarray(1.0)
    return lambda x: bprop.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, f(c[1]) + x), start)[1]


def in_the_condition(f):
    return lambda x: bprop.while_loop(lambda c: f(c) > 1, lambda c: c / 2, x)


@pytest.mark.parametrize("nested", [in_the_body, in_a_body_that_makes_a_carry_batched, in_the_condition])
def test_batching_traces_each_body_once_however_deep_it_is(nested, monkeypatch):
    """Twice per level would be 2^depth."""
    apply, applied = bprop.Graph.__call__, []
    monkeypatch.setattr(bprop.Graph, "__call__", lambda graph, *xs: applied.append(graph) or apply(graph, *xs))
    counts = []
    for depth in range(1, 8):
        f = lambda x: x / 2
        for _ in range(depth):
            f = nested(f)
        applied.clear()
        bprop.trace(bprop.vmap(f))(bprop.asarray([3.0, 2.0]))
        counts.append(len(applied))
    assert len(set(np.diff(counts))) == 1, counts


@pytest.mark.parametrize("limit", [None, 0, 5])
def test_no_turn_at_all_and_empty_arrays(limit):
    f = lambda x: bprop.while_loop(lambda x: bprop.sum(x) > 1e9, lambda x: x * 2, x, limit=limit)
    for g in (f, bprop.compile(f)):
        assert g(np.ones(2)).tolist() == [1, 1]
        assert g(np.ones((0, 2))).shape == (0, 2)
    total = lambda x: bprop.sum(f(x))
    for g in (bprop.grad(total), bprop.compile(bprop.grad(total))):
        assert g(np.ones(2)).tolist() == [1, 1]
        assert g(np.ones((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("turns", [1, 2, 3, 4, 5, 6, 7, 8])
def test_every_number_of_turns_has_its_derivative(turns):
    def f(x, n):
        return bprop.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * x), (0, x), limit=None)[1]

    for g in (bprop.grad(f), bprop.compile(bprop.grad(f))):
        np.testing.assert_allclose(g(1.5, np.array(turns)), (turns + 1) * 1.5**turns, rtol=1e-14)


@pytest.mark.parametrize("wrap", [lambda f: f, bprop.compile], ids=["eager", "compiled"])
def test_a_loop_beyond_its_limit(wrap):
    def f(n, limit):
        return bprop.while_loop(lambda c: c < n, lambda c: c + 1, 0, limit=limit)

    assert wrap(lambda n: f(n, 4))(np.array(4)).item() == 4
    with pytest.raises(bprop.ArgumentError, match=r"after limit=4 turns: raise the limit"):
        wrap(lambda n: f(n, 4))(np.array(5))
    inner = lambda n: bprop.scan(lambda c, m: (c + f(m, 4), m), bprop.asarray(0), n)[0]
    assert wrap(inner)(np.array([1, 4, 2])).item() == 7
    with pytest.raises(bprop.ArgumentError, match="limit=4"):
        wrap(inner)(np.array([1, 5, 2]))


@pytest.mark.parametrize("wrap", [lambda f: f, bprop.compile], ids=["eager", "compiled"])
def test_cells_are_carried(wrap):
    generator, twin = bprop.Generator(1), bprop.Generator(1)
    f = wrap(lambda: bprop.while_loop(lambda c: c < 2.5, lambda c: c + bprop.sum(generator.uniform((2,))), 0.0))
    expected = 0.0
    while expected < 2.5:
        expected = expected + bprop.sum(twin.uniform((2,)))
    np.testing.assert_allclose(f(), expected, rtol=1e-15)
    assert repr(generator) == repr(twin)


def test_other_ways_to_a_derivative():
    f = lambda h: ours(None)(W, h)
    expected = bprop.grad(lambda h: looped(W, h))(H)
    for scheme in ("central", "complex"):
        np.testing.assert_allclose(bprop.numerical(f, scheme=scheme)(H), expected, rtol=1e-5)
    power = lambda x: bprop.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x), (0, x))[1]
    assert bprop.symbolic(power)(1.0)(2.0).item() == 32
    with pytest.raises(bprop.DerivativeError, match="write the loop out in Python"):
        bprop.derivative(power, "paths")(3.0)


def test_an_endless_loop_in_native_code_can_be_interrupted():
    import signal

    class StoppedError(Exception):
        pass

    def stop(*_):
        raise StoppedError

    run = bprop.compile(lambda x: bprop.while_loop(lambda c: c > 0, lambda c: c * 1.0, x))
    run(np.array(-1.0))
    before = signal.signal(signal.SIGALRM, stop)

    def endless():
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        run(np.array(1.0))

    try:
        with pytest.raises(StoppedError):
            endless()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert run(np.array(-2.0)).item() == -2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bprop.while_loop(lambda c: c > 0, lambda c: c, H),
            r"the condition returns is bool\[3\], not one bool",
        ),
        (lambda: bprop.while_loop(lambda c: c, lambda c: c, 1.0), r"the condition returns is float64\[\], not a bool"),
        (lambda: bprop.while_loop(True, lambda c: c, 1.0), r"condition is a function, not bool"),
        (lambda: bprop.while_loop(lambda c: c > 0, lambda c: (c,), 1.0), r"structure \*, but the body returns tuple"),
        (
            lambda: bprop.while_loop(lambda c: True, lambda c: {"a": (c["a"][0], c["a"][1][:2])}, {"a": (1.0, H)}),
            r"leaf a\.1: the carry starts as float64\[3\], but becomes float64\[2\]",
        ),
        (
            lambda: bprop.while_loop(lambda c: c > 0, lambda c: c * 0.5, bprop.asarray(4)),
            r"the carry starts as int64\[\], but becomes float64\[\]: convert",
        ),
        (lambda: bprop.while_loop(lambda c: c > 0, lambda c: c, 1.0, limit=-1), r"limit is a number of turns"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(bprop.BpropError, match=message) as caught:
        call()
    assert "test_while_loop.py" in caught.value.line


def newton(a):
    return bprop.while_loop(lambda x: abs(x * x - a) > 1e-12, lambda x: (x + a / x) / 2, a)


CONSTANT = {
    "grad": lambda: bprop.grad(newton)(2.0),
    "jvp": lambda: bprop.jvp(newton, (2.0,), (1.0,))[1],
    "vjp": lambda: bprop.vjp(newton, 2.0)[1](1.0)[0],
    "linearize": lambda: bprop.linearize(newton, 2.0)[1](1.0),
    "jacobian": lambda: bprop.jacobian(newton)(2.0),
    "hessian": lambda: bprop.hessian(newton)(2.0),
    "grad of grad": lambda: bprop.grad(bprop.grad(newton))(2.0),
    "hvp": lambda: bprop.jvp(bprop.grad(newton), (2.0,), (1.0,))[1],
    "limit": lambda: bprop.grad(lambda a: bprop.while_loop(lambda x: x < 9, lambda x: x * a, a, limit=4))(2.0),
    "checkpoint": lambda: bprop.grad(bprop.checkpoint(newton))(2.0),
    "scan": lambda: bprop.scan(lambda c, _: (c + bprop.grad(newton)(2.0), None), 0.0, length=2)[0],
    "cond": lambda: bprop.grad(lambda a: bprop.cond(a > 0, newton, lambda a: a, a))(2.0),
    "vmap": lambda: bprop.vmap(bprop.grad(newton))(bprop.asarray([2.0, 9.0])),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.exhaustive if n in ("hessian", "grad of grad") else ()) for n in CONSTANT],
)
def test_a_loop_on_constants_while_something_is_traced(name):
    """Planted: a loop goes on in Python wherever its inputs have numbers (`TracedValueError`)."""
    expected = CONSTANT[name]()
    np.testing.assert_allclose(bprop.compile(CONSTANT[name])(), expected, rtol=1e-14)
    np.testing.assert_allclose(bprop.trace(CONSTANT[name])()()[0], expected, rtol=1e-14)
