"""What ops declare for simplification holds: identities, absorbing numbers, neutral and composed re-indexings."""

import itertools

import numpy as np
import pytest

import bprop
from bprop.core.family import Creation, Elementwise, Linear, Reduction
from bprop.core.op import REGISTRY
from bprop.core.simplify import constant_of, simplify
from bprop.diagnose.case import cases

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e300, 5e-324, np.inf, -np.inf, np.nan])
IDENTITIES = [
    (op, place, neutral) for op in REGISTRY.values() if isinstance(op, Elementwise) for place, neutral in op.identity
]


def applied(op, place, number, x):
    return op(number, x) if place == 0 else op(x, number)


def simplified(f, *xs, **options):
    return [node.op.name for node in simplify(bprop.trace(f)(*xs), **options).nodes]


def test_there_are_identities():
    assert {op.name for op, *_ in IDENTITIES} >= {"add", "subtract", "multiply", "divide", "pow"}


@pytest.mark.parametrize(("op", "place", "neutral"), IDENTITIES, ids=lambda x: getattr(x, "name", str(x)))
def test_an_identity_returns_every_number_with_its_sign(op, place, neutral):
    for x in (SPECIAL, SPECIAL.astype(np.float32), np.arange(-3, 4), np.arange(5, dtype=np.uint8)):
        if np.result_type(x, type(neutral)).kind != x.dtype.kind or (op.kind == "float" and x.dtype.kind != "f"):
            continue
        if op.name == "pow" and x.dtype.kind == "i":
            x = np.abs(x)
        y = np.asarray(applied(op, place, neutral, bprop.asarray(x)))
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(np.signbit(y), np.signbit(x))
    x = bprop.asarray(SPECIAL)
    for number in (lambda: neutral, lambda: bprop.full(SPECIAL.shape, neutral), lambda: bprop.full((), neutral)):
        assert simplified(lambda x, n=number: applied(op, place, n(), x), x) == []


@pytest.mark.parametrize(("op", "place", "neutral"), IDENTITIES, ids=lambda x: getattr(x, "name", str(x)))
def test_another_number_is_no_identity(op, place, neutral):
    x = bprop.asarray(SPECIAL)
    for number in (neutral + 1, neutral + 1e-12, -1.0, 0.5, 2, np.nan):
        assert simplified(lambda x, n=number: applied(op, place, n, x), x) == [op.name]
    if neutral == 0:  # with the other sign it is none, except in formulas to be read
        other = -float(neutral) if np.signbit(float(neutral)) else -0.0
        assert simplified(lambda x: applied(op, place, other, x), x) == [op.name]
        assert simplified(lambda x: applied(op, place, other, x), x, algebraic=True) == []
    if (op, 1 - place) not in [(one, p) for one, p, _ in IDENTITIES]:
        assert op.name in simplified(lambda x: applied(op, 1 - place, neutral, x), x)
    wide = simplified(lambda x: applied(op, place, bprop.full((2, SPECIAL.size), neutral), x), x)
    assert wide[-1] == op.name  # the shape changes
    narrow = simplified(
        lambda x: applied(op, place, np.float64(neutral), x), bprop.asarray(SPECIAL[:3], dtype="float32")
    )
    assert narrow[-1:] == [op.name]  # so does the dtype


def test_what_absorbs_does_so_only_in_formulas_to_be_read():
    x = bprop.asarray(SPECIAL)
    found = [op for op in REGISTRY.values() if isinstance(op, Elementwise) and op.absorbing is not None]
    assert found
    for op in found:
        for place in (0, 1):
            f = lambda x, op=op, place=place: applied(op, place, op.absorbing, x)
            assert simplified(f, x) == [op.name]
            (y,) = simplify(bprop.trace(f)(x), algebraic=True).outputs
            assert constant_of(y) == op.absorbing
            g = lambda x, op=op, place=place: applied(op, place, op.absorbing + 1.5, x)
            assert simplified(g, x, algebraic=True) == [op.name]


@pytest.mark.parametrize("name", [op.name for op in REGISTRY.values() if isinstance(op, Linear) and op.neutral])
def test_neutral_and_composed_re_indexings(name):
    """A neutral application changes nothing, any other is kept; two of one op are the one that they make."""
    op = REGISTRY[name]
    examples = [(bprop.asarray(operands[0]), params) for operands, params in cases(op) if len(operands) == 1]
    assert examples
    for x, params in examples:
        y = op(x, **params)
        left = simplified(lambda x, params=params: op(x, **params), x)
        assert left in ([], [name])
        if left:
            assert x.size < 2 or y.shape != x.shape or not np.array_equal(np.asarray(y), np.asarray(x))
        else:
            np.testing.assert_array_equal(np.asarray(y), np.asarray(x))
    fitting = [
        (x, first, then)
        for (x, first), (z, then) in itertools.product(examples, repeat=2)
        if op(x, **first).shape == z.shape
    ]
    for x, first, then in fitting if op.compose else ():
        f = lambda x, first=first, then=then: op(op(x, **first), **then)
        graph = simplify(bprop.trace(f)(x))
        assert len(graph.nodes) <= 1
        np.testing.assert_array_equal(np.asarray(graph(x)[0]), np.asarray(f(x)))


def test_reductions_over_no_axis():
    for op in (op for op in REGISTRY.values() if isinstance(op, Reduction)):
        x = bprop.asarray(SPECIAL.reshape(1, -1))
        f = lambda x, op=op: op(x, axis=(), keepdims=False)
        if f(x).dtype.kind == "b":
            x = x != 0
        left = simplified(f, x)
        assert (left == []) is bool(op.neutral), op.name
        if op.neutral:
            np.testing.assert_array_equal(np.asarray(f(x)), np.asarray(x))
            assert simplified(lambda x, op=op: op(x, axis=(0,), keepdims=True), x) == [op.name]


def test_what_is_equal_and_what_only_looks_so():
    x = bprop.asarray(SPECIAL)
    for same in ((1.5, 1.5), (2, 2), (-0.0, -0.0)):
        assert len(simplified(lambda x, same=same: (x / same[0], x / same[1]), x)) == 1
    for other in ((0.0, -0.0), (1, 1.0), (3, 3.0), (1, True), (0.1, 0.1 + 2.0**-56)):
        f = lambda x, other=other: (bprop.maximum(x, other[0]), bprop.maximum(x, other[1]))
        assert len(simplified(f, x)) == 2
    f = lambda x: (bprop.sum(x, axis=0), bprop.sum(x, axis=0, keepdims=True), bprop.sum(x, axis=0))
    assert simplified(f, x).count("sum") == 2
    f = lambda x: (bprop.subtract(x, x * 2), bprop.subtract(x * 2, x))
    assert simplified(f, x) == ["multiply", "subtract", "subtract"]


def test_constants_are_folded_in_the_dtype_that_they_have():
    x = bprop.asarray(np.zeros(2, np.float32))
    f = lambda x: x * (bprop.full((2,), 16777217, dtype="int64") * 1)
    graph = simplify(bprop.trace(lambda x: x + bprop.full((2,), 0.1, dtype="float32") * 3)(x))
    assert [node.op.name for node in graph.nodes] == ["full", "add"]
    (full,) = [node for node in graph.nodes if isinstance(node.op, Creation)]
    assert full.params["value"] == float(np.float32(0.1) * np.float32(3))
    assert simplify(bprop.trace(f)(x)).specs == bprop.trace(f)(x).specs
    kept = lambda x: x + bprop.log(bprop.full((2,), -1.0, dtype="float32"))  # NaN, and no warning while it is found
    assert np.isnan(np.asarray(simplify(bprop.trace(kept)(x))(x)[0])).all()
