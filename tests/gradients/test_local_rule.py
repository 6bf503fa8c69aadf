"""Eager reverse mode runs rules as NumPy calls once they were used a few times: with the same bits as the rules themselves.

Planted: a constant taken for another of equal value in a program; the key without scalars, without parameters, with -0.0
as 0.0; `accumulate` that keeps the last cotangent only; an output of a program in another's place; a program that writes over
what it reads again; a sweep that adds to a cotangent which others hold; `evaluate_of` that takes the bare function for integers.
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import bprop
from bprop.core.family import Elementwise, Region
from bprop.core.op import REGISTRY
from bprop.core.simplify import simplify
from bprop.diagnose.case import cases
from bprop.gradients import local_rule
from bprop.gradients.local_rule import RULES, USES

OPS = [op for op in REGISTRY.values() if op.differentiable and not op.several and not isinstance(op, Region)]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_program_has_the_bits_of_its_rule(op, dtype, monkeypatch):
    for args, params in cases(op, dtype):
        positions = [i for i, arg in enumerate(args) if isinstance(arg, np.ndarray) and arg.dtype.kind == "f"]
        if not positions:
            continue

        def f(*floats, args=args, positions=positions, params=params):
            whole = list(args)
            for position, value in zip(positions, floats, strict=True):
                whole[position] = value
            return op(*whole, **params)

        y, _ = bprop.vjp(f, *(args[position] for position in positions))
        y_bar = bprop.asarray(np.linspace(-1.0, 2.0, y.size).reshape(y.shape).astype(y.dtype))

        def bars(uses, f=f, args=args, positions=positions, y_bar=y_bar):
            monkeypatch.setattr(local_rule, "USES", uses)
            RULES.clear()
            return bprop.vjp(f, *(args[position] for position in positions))[1](y_bar)

        for ours, theirs in zip(bars(1), bars(10**9), strict=True):
            assert ours.dtype == theirs.dtype
            assert_array_equal(np.asarray(ours), np.asarray(theirs))
            assert_array_equal(np.signbit(np.asarray(ours)), np.signbit(np.asarray(theirs)))


@pytest.mark.parametrize("op", [op for op in REGISTRY.values() if isinstance(op, Elementwise)], ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8])
def test_what_computes_operands_of_known_dtypes_has_the_bits_of_the_op(op, dtype):
    for args, params in cases(op, dtype):
        other = np.float32 if dtype == np.float64 else np.float64
        for mixed in (False, True):
            operands = list(args)
            if mixed and isinstance(operands[-1], np.ndarray) and operands[-1].dtype.kind == "f":
                operands[-1] = operands[-1].astype(other)
            dtypes = [getattr(x, "dtype", None) for x in operands]
            with np.errstate(all="ignore"):
                try:
                    expected = np.asarray(op.evaluate(*operands, **params))
                except ValueError:  # integers to negative powers
                    continue
                y = np.asarray(op.evaluate_of(dtypes)(*operands, **params))
            assert y.dtype == expected.dtype
            assert y.tobytes() == expected.tobytes()


def test_every_rule_becomes_a_program(monkeypatch):
    monkeypatch.setattr(local_rule, "USES", 1)
    without = set()
    for op in OPS:
        RULES.clear()
        for args, params in cases(op, np.float64):
            floats = [i for i, arg in enumerate(args) if isinstance(arg, np.ndarray) and arg.dtype == np.float64]
            y = op(*args, **params)
            if floats and y.dtype.kind == "f":
                f = lambda *xs, op=op, params=params: bprop.sum(op(*xs, **params))
                bprop.grad(f, argnums=tuple(floats), unreached="zeros")(*args)
        without |= {rule.op.name for rule in RULES.values() if rule.program is None}
    assert without <= WITHOUT


WITHOUT = {"cofactor_dot"}
"""Their rules apply an op with several outputs, decide on numbers, or hold regions or a large constant."""


@pytest.mark.parametrize(
    "f",
    [
        lambda x, c: x * c, lambda x, c: c / x, lambda x, c: x**c, lambda x, c: bprop.maximum(x, c),
        lambda x, c: bprop.where(x > 0, x, c) * x, lambda x, c: bprop.hypot(x, c), lambda x, c: bprop.atan2(x, c),
        lambda x, c: bprop.atan2(c, x),
    ],
)  # fmt: skip
def test_scalars_that_are_equal_are_not_the_same(f):
    """-0.0 is no 0.0, and True, 1 and 1.0 have types of their own."""
    x = np.array([2.0, -3.0, 0.0, -0.0])
    for _ in range(USES + 2):
        for c in (0.0, -0.0, 1, 1.0, 2, 2.0, -1.0):
            gradient = np.asarray(bprop.vjp(lambda x, c=c: f(x, c), x)[1](np.ones(4))[0])
            array = np.asarray(bprop.vjp(lambda x, c=c: f(x, np.full(4, c)), x)[1](np.ones(4))[0])
            if f(x[:1], c).dtype == f(x[:1], np.full(1, c)).dtype and c not in (0, 1, 2):  # x ** 0 is a case of its own
                assert_array_equal(gradient, array)
            FIRST.setdefault((id(f), repr(c)), gradient)
            assert_array_equal(gradient, FIRST[id(f), repr(c)])
            assert_array_equal(np.signbit(gradient), np.signbit(FIRST[id(f), repr(c)]))


FIRST: dict = {}


def test_the_cache_begins_again_when_it_is_full(monkeypatch):
    monkeypatch.setattr(local_rule, "KEPT", 8)
    for n in range(1, 40):
        assert_array_equal(np.asarray(bprop.grad(lambda x: bprop.sum(x * x))(np.arange(float(n)))), 2 * np.arange(n))
        assert len(RULES) <= 8


def test_a_rule_that_is_not_kept_leaves_the_cache_alone(monkeypatch):
    bprop.grad(lambda x: bprop.sum(x * x))(np.ones(2))
    monkeypatch.setattr(local_rule, "KEPT", 1)
    before = dict(RULES)
    spec = bprop.asarray(1.0).spec
    local_rule.local_rule((), REGISTRY["multiply"], {}, [spec, 2.0, spec], [True, False])
    assert before == RULES


def test_cotangents_that_are_shared_are_not_written_to():
    """A sum hands its cotangent to both terms, as it is; what each of them gets besides is added to its own."""
    x, z, y_bar = np.arange(4.0), np.arange(4.0, 8), np.array([1.0, 2.0, 3.0, 4.0])
    given = y_bar.copy()

    def f(x, z):
        total = sum(bprop.sum(part) for part in (x[:2], x[1:3], x[2:], z[1:], z[:3]))
        return x + z, total  # the way back begins with the last

    for _ in range(USES + 2):
        _, pullback = bprop.vjp(f, x, z)
        for _ in range(2):
            x_bar, z_bar = pullback((bprop.asarray(y_bar, copy=False), np.array(1.0)))
            assert_array_equal(np.asarray(x_bar), np.add(y_bar, [1, 2, 2, 1]))
            assert_array_equal(np.asarray(z_bar), np.add(y_bar, [1, 2, 2, 1]))
            assert_array_equal(y_bar, given)


def test_a_program_does_not_write_over_what_it_reads_again():
    graph = bprop.trace(lambda y_bar, x: (bprop.exp(x) + y_bar) * bprop.exp(x))(np.ones(2), np.ones(2))
    program = local_rule._compiled(simplify(graph), graph.inputs, [True])
    y_bar, x = np.array([1.0, 2.0]), np.array([0.5, -0.5])
    assert_array_equal(program(y_bar, (x,))[0], (np.exp(x) + y_bar) * np.exp(x))


def test_a_parameter_that_cannot_be_hashed_has_a_rule_too():
    slow = bprop.custom(lambda x: x * 2, vjp=lambda y_bar, y, x: y_bar * 2)
    for _ in range(USES + 1):
        assert_array_equal(np.asarray(bprop.grad(lambda x: bprop.sum(slow(x) * x))(np.ones(3))), np.full(3, 4.0))


def test_cotangents_that_overflow_say_nothing():
    """Warnings are errors here: sums of cotangents are computed as all else is, without NumPy's warnings."""
    x = np.array([1e308, -1e308])
    for _ in range(USES + 1):
        y_bar = bprop.vjp(lambda x: x + x, x)[1](np.full(2, 1.7e308))[0]
        assert np.isinf(np.asarray(y_bar)).all()


def test_a_gradient_of_many_shapes_and_dtypes_in_turn():
    for _ in range(USES + 2):
        for shape in ((3,), (2, 3), (1, 3), ()):
            for dtype in (np.float32, np.float64):
                x = np.full(shape, 0.5, dtype)
                gradient = bprop.grad(lambda x: bprop.sum(bprop.exp(x) * np.ones((2, 3), np.float32)))(x)
                assert gradient.dtype == dtype
                expected = np.exp(x) * (6 / max(x.size, 1))
                np.testing.assert_allclose(np.asarray(gradient), expected, rtol=1e-6)
