"""NumPy's functions that pass through, where there are no numbers: as NumPy's, or refused with what to write.

Planted: `isin` that takes the entry behind the place that it found; `digitize` of falling edges with the other side.
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import bprop
from bprop.core.function import TRACED
from bprop.core.nondifferentiable import NONDIFFERENTIABLE

INF, NAN = np.inf, np.nan
X = np.array([[0.5, NAN, -INF, 2.0], [INF, -0.0, 3.0, 1e-300]])
Y = np.array([[0.5 + 1e-9, NAN, -INF, 2.1], [-INF, 0.0, NAN, 0.0]])
Z = X + 1j * np.array([[0.0, 0.0, 1.0, NAN], [0.0, -0.0, 2.0, 0.0]])
N = np.array([[3, -1, 2, 3], [0, 3, 7, -1]])
CALLS = {
    "isclose": [
        (lambda x, y: np.isclose(x, y), X, Y), (lambda x, y: np.isclose(x, y, rtol=0.2, atol=0.0, equal_nan=True), X, Y),
        (lambda n: np.isclose(n, [3, 2, 2.00001, 3]), N), (lambda z: np.isclose(z, z * (1 + 1e-7)), Z),
        (lambda n: np.isclose(n, n[::-1], atol=2.0), np.array([127, -128, -128, 127], np.int8)),
    ],
    "iscomplex": [(lambda z: np.iscomplex(z), Z), (lambda n: np.iscomplex(n), N)],
    "isreal": [(lambda z: np.isreal(z), Z), (lambda x: np.isreal(x), X)],
    "isposinf": [(lambda x: np.isposinf(x), X), (lambda n: np.isposinf(n), N)], "isneginf": [(lambda x: np.isneginf(x), X)],
    "isin": [
        (lambda n: np.isin(n, [7, 3, 3]), N), (lambda x, y: np.isin(x, y), X, Y), (lambda n: np.isin(n, [], invert=True), N),
        (lambda n: np.isin([[1, 2], [3, 8]], n, invert=True), N), (lambda n: np.isin(n, 9, kind="table"), N),
    ],
    "digitize": [
        (lambda x, right=right, edges=edges: np.digitize(x, edges, right), X)
        for right in (False, True) for edges in ([0.0, 0.5, 2.0], [2.0, 0.5, 0.0], [1.0], [])
    ] + [(lambda v: np.digitize([0.1, 0.5, 7.0], v), np.array([3.0, 0.5, 0.1])), (lambda v: np.digitize([0.1, 0.5, 7.0], v), np.array([0.1, 0.5, 3.0]))],
    "lexsort": [
        (lambda n: np.lexsort(n), N), (lambda n, x: np.lexsort((x, n)), N, X), (lambda n, x: np.lexsort((x, n), axis=0), N, X),
        (lambda n, x: np.lexsort((x, n % 3, n > 2)), N, X),
    ],
    "spacing": [(lambda x: np.spacing(x), np.append(X.ravel(), np.finfo(float).max)), (lambda x: np.spacing(x), X.astype("float32")), (lambda n: np.spacing(n), N)],
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_without_numbers_the_answer_is_numpys(name):
    for f, *xs in CALLS[name]:
        with np.errstate(invalid="ignore"):
            theirs = f(*xs)
        rows = [np.stack([x, x[::-1]]) for x in xs]
        with np.errstate(invalid="ignore"):
            other = f(*(row[1] for row in rows))
        for ours, expected in (
            (bprop.compile(f)(*xs), theirs),
            (bprop.compile(lambda *xs, f=f: bprop.scan(lambda c, t: (c, f(*xs)), 0.0, np.zeros(1))[1][0])(*xs), theirs),
            (bprop.compile(bprop.vmap(f))(*rows), np.stack([theirs, other])),
        ):
            assert ours.dtype == expected.dtype
            assert_array_equal(np.asarray(ours), expected)


def test_one_operand_without_numbers_is_enough():
    given = bprop.asarray(Y)
    for f in (lambda x: np.isclose(x, given), lambda x: np.isclose(given, x), lambda x: np.isin(given, x)):
        assert_array_equal(np.asarray(bprop.compile(f)(X)), np.asarray(f(X)))


def test_every_rule_is_of_a_function_that_passes_through():
    assert set(TRACED) - set(NONDIFFERENTIABLE) == set()
    assert {f.__name__ for f in TRACED} == set(CALLS)


def test_a_compiled_gradient_takes_the_answer_as_a_constant():
    f = lambda x: np.sum(np.where(np.isclose(x, 1.0), x**2, x) * np.digitize(x, [0.9, 2.0]) * ~np.isin(x, [5.0]))
    x = np.array([0.1, 1.0, 3.0, 5.0])
    assert_array_equal(np.asarray(bprop.compile(bprop.grad(f))(x)), np.asarray(bprop.grad(f)(x)))


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: np.allclose(x, 1.0), r"numpy\.allclose .*write numpy\.all\(numpy\.isclose\(a, b\)\)"),
        (lambda x: np.array_equal(x, x), r"numpy\.array_equal .*write numpy\.all\(a1 == a2\)"),
        (lambda x: np.array_equiv(x, x), r"numpy\.array_equiv .*write numpy\.all\(a1 == a2\)"),
        (lambda x: np.flatnonzero(x), r"numpy\.flatnonzero .*write numpy\.where\(condition, x, 0\)"),
        (lambda x: np.argwhere(x), r"numpy\.argwhere .*write numpy\.where\(condition, x, 0\)"),
        (lambda x: np.nanargmax(x), r"numpy\.nanargmax .*write numpy\.argmax\(numpy\.where\("),
        (lambda x: np.nanargmin(x), r"numpy\.nanargmin .*write numpy\.argmin\(numpy\.where\("),
        (lambda x: np.array2string(x), r"numpy\.array2string .*bprop\.callback\(f, x\)"),
        (lambda x: np.gcd(x.astype(int), 2), r"numpy\.gcd .*bprop\.callback\(f, x\)"),
    ],
)
def test_what_has_no_answer_without_numbers_says_what_to_write(f, words):
    with pytest.raises(bprop.TracedValueError, match=words):
        bprop.compile(f)(np.array([1.0, 2.0]))


def test_wrong_arguments_are_errors():
    x = np.array([1.0, 2.0])
    for f, error, words in (
        (lambda x: np.digitize(x, [0.0, 2.0, 1.0]), bprop.ArgumentError, "neither rise nor fall"),
        (lambda x: np.digitize(x, [[0.0]]), bprop.ShapeError, r"digitize: .*\(1, 1\)"),
        (lambda x: np.isin(x, x, kind="hash"), bprop.ArgumentError, "isin: kind"),
        (lambda x: np.isposinf(x * 1j), bprop.DTypeError, "isposinf"),
    ):
        with pytest.raises(error, match=words):
            bprop.compile(f)(x)
