"""Methods and options of NumPy's ufuncs: what NumPy gives, with derivatives.

Planted: `_running` with a distance that grows by 1 (wrong), `reduce` without ``initial``, `_fresh_output` that is always true.
"""

from functools import reduce

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.core.function import NUMPY

RNG = np.random.default_rng(5)
X, Y = RNG.uniform(0.5, 2, (3, 4)), RNG.uniform(0.5, 2, 2)
BINARY = sorted(
    (
        ufunc
        for ufunc in NUMPY
        if isinstance(ufunc, np.ufunc) and ufunc.nin == 2 and ufunc.nout == 1 and ufunc.signature is None
        if "dd->d" in ufunc.types or "logical" in ufunc.__name__
    ),
    key=lambda ufunc: ufunc.__name__,
)
METHODS = {
    "reduce": lambda u, x: u.reduce(x),
    "reduce 1": lambda u, x: u.reduce(x, axis=1, keepdims=True),
    "accumulate": lambda u, x: u.accumulate(x, axis=1),
    "reduceat": lambda u, x: u.reduceat(x, [0, 2, 1]),
    "outer": lambda u, x: u.outer(x, Y),
    "outer, other side": lambda u, x: u.outer(Y, x),
}


def _numpys(ufunc, method):
    """Return NumPy's result; of `power` and others NumPy 2.4 reduces a row in native code wrongly, so row by row."""
    if method != "reduce 1":
        return METHODS[method](ufunc, X)
    return np.array([[reduce(ufunc, row)] for row in X])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ufunc", BINARY, ids=lambda ufunc: ufunc.__name__)
def test_methods_of_every_ufunc_with_a_rule(ufunc, method):
    f = lambda x: METHODS[method](ufunc, x)
    y, numpys = f(bprop.asarray(X)), _numpys(ufunc, method)
    assert type(y) is bprop.Array
    assert_allclose(y, numpys, rtol=1e-13)
    if method != "reduce 1":
        assert y.dtype == numpys.dtype
    if not np.issubdtype(y.dtype, np.floating) or ufunc is np.nextafter:
        return
    weights = RNG.normal(size=y.shape)
    g = lambda x: np.sum(f(x) * weights)
    gradient, h = bprop.grad(g, unreached="zeros")(X), 1e-6
    assert_allclose(bprop.jacobian(g, mode="forward")(X), gradient, rtol=1e-10, atol=1e-12)
    direction = RNG.normal(size=X.shape)
    at = lambda t: np.asarray(g(bprop.asarray(X + t * direction)))
    assert_allclose(np.sum(gradient * direction), (at(h) - at(-h)) / (2 * h), rtol=1e-6, atol=1e-7)


SKIPPED = np.array([True, False, True, True])


def _one_after_the_other(ufunc, x, initial, mask):
    """Return what a reduction means: ``initial`` first, then the entries that count."""
    entries = [entry for entry, counts in zip(x, mask, strict=True) if counts]
    return np.array(reduce(ufunc, entries, np.asarray(initial).astype(ufunc.reduce(x).dtype)))


@pytest.mark.parametrize("ufunc", BINARY, ids=lambda ufunc: ufunc.__name__)
def test_initial_comes_first_and_once(ufunc):
    for row in (X[0], np.array([6.0, 3.0, 2.0, 5.0])):
        for mask in (SKIPPED, np.full(4, False), np.full(4, True)):
            y = ufunc.reduce(bprop.asarray(row), initial=7.0, where=mask)
            assert_allclose(y, _one_after_the_other(ufunc, row, 7.0, mask), rtol=1e-13)
            assert y.dtype == ufunc.reduce(row, initial=7.0, where=mask).dtype
        assert_allclose(
            ufunc.reduce(bprop.asarray(row), initial=7.0), _one_after_the_other(ufunc, row, 7.0, [True] * 4), rtol=1e-13
        )
    if y.dtype.kind != "f" or ufunc is np.nextafter:
        return
    f = lambda x, first: np.sum(ufunc.reduce(x, axis=1, initial=first, where=SKIPPED) * np.array([1.0, -2.0, 0.5]))
    fold = lambda x, first: np.dot([reduce(ufunc, row[SKIPPED], first) for row in x], [1.0, -2.0, 0.5])
    x_dot, h = RNG.normal(size=X.shape), 1e-6
    gradients = bprop.grad(f, (0, 1), unreached="zeros")(X, 1.3)
    difference = (fold(X + h * x_dot, 1.3 + h) - fold(X - h * x_dot, 1.3 - h)) / (2 * h)
    assert_allclose(np.sum(gradients[0] * x_dot) + gradients[1], difference, rtol=1e-6, atol=1e-7)
    assert_array_equal(np.asarray(gradients[0])[:, 1], 0)
    for compiled, eager in zip(bprop.compile(bprop.grad(f, (0, 1), unreached="zeros"))(X, 1.3), gradients, strict=True):
        assert_allclose(compiled, eager, rtol=1e-12, atol=1e-13)


def test_initial_of_integers_has_their_dtype():
    n = np.array([[9, 2, 3], [4, 5, 6]])
    for call in (
        lambda n: np.subtract.reduce(n, initial=7.5),
        lambda n: np.divide.reduce(n, axis=1, initial=7.5, keepdims=True),
        lambda n: np.add.reduce(n, axis=None, initial=2.5, where=n > 3),
        lambda n: np.minimum.reduce(n, initial=100, where=n > 8),
        lambda n: np.logaddexp.reduce(n, initial=0.5, where=n > 8),
        lambda n: np.hypot.reduce(n[:0], initial=3),
        lambda n: np.bitwise_and.reduce(n.astype(np.uint8), where=n > 3),
        lambda n: np.bitwise_and.reduce(n > 3, where=n > 2, initial=True),
        lambda n: np.bitwise_or.reduce(n > 3, where=n > 8),
        lambda n: np.divide.reduce(n.astype(np.int8), initial=2.3),
        lambda n: np.float_power.reduce(n.astype(np.float32), initial=1.1),
    ):
        assert_allclose(call(bprop.asarray(n)), call(n), rtol=1e-14)
        assert call(bprop.asarray(n)).dtype == call(n).dtype


OPTIONS = {
    "all axes": lambda x: np.add.reduce(x, axis=None),
    "two axes": lambda x: np.add.reduce(x, (0, 1), None, None, True),
    "maximum where": lambda x: np.maximum.reduce(x, axis=1, where=X > 1, initial=0.7),
    "add where": lambda x: np.add.reduce(x, where=X > 1),
    "initial": lambda x: np.multiply.reduce(x, initial=3.0),
    "initial, folded": lambda x: np.hypot.reduce(x, initial=3.0),
    "dtype of reduce": lambda x: np.add.reduce(x, dtype=np.float32),
    "dtype": lambda x: np.exp(x, dtype=np.float32),
    "dtype, outer": lambda x: np.multiply.outer(x, Y, dtype=np.float32),
    "casting": lambda x: np.add(x, 1, dtype=float, casting="safe"),
    "casting alone": lambda x: np.multiply(x, x, casting="unsafe"),
    "order": lambda x: np.exp(x, order="F", subok=False, where=True),
    "where and out": lambda x: np.divide(1.0, x, out=np.zeros_like(x), where=X > 1),
    "where and a NumPy array": lambda x: np.log(x, where=X > 1, out=np.full((3, 4), -1.0)),
    "out": lambda x: np.exp(x, out=np.empty_like(x)),
    "nothing, initial": lambda x: np.maximum.reduce(x[:0], initial=2.0) * x[0],
    "running, long": lambda x: np.maximum.accumulate(np.tile(x[0], 5) * np.arange(20.0)),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_are_numpys(option):
    f = OPTIONS[option]
    y = f(bprop.asarray(X))
    assert_allclose(y, f(X), rtol=1e-6 if y.dtype == np.float32 else 1e-14)
    assert y.dtype == f(X).dtype
    g = lambda x: np.sum(f(x) * 1.5)
    gradient = bprop.grad(g, unreached="zeros")(X)
    assert_allclose(bprop.compile(bprop.grad(g, unreached="zeros"))(X), gradient, rtol=1e-6)
    assert_allclose(bprop.vmap(bprop.grad(g, unreached="zeros"))(X[None])[0], gradient, rtol=1e-6)
    if y.dtype == np.float64:
        h = 1e-6 * RNG.normal(size=X.shape)
        assert_allclose(np.sum(gradient * h), (g(X + h) - g(X - h)) / 2, rtol=1e-5, atol=1e-11)


def test_where_behind_an_infinite_partial_gives_no_nan():
    zero = np.array([0.0, 2.0])
    f = lambda x: np.sum(np.divide(1.0, x, out=np.zeros_like(x), where=zero > 1))
    assert_array_equal(bprop.grad(f)(zero), [0, -0.25])


def test_an_array_that_has_a_name_is_not_filled():
    """What is written into it would be seen under its name, and is not there."""

    def f(x):
        r = np.zeros_like(x)
        np.divide(1.0, x, out=r, where=X > 1)
        return r

    def g(x):
        np.exp(x, out=np.zeros((3, 4)))  # nobody sees the result
        return x

    def h(x):
        r = np.zeros((3, 4))
        np.exp(x, out=r.reshape(3, 4))
        return r

    for transform in (bprop.jacobian(f), bprop.compile(f), lambda x: f(bprop.asarray(x))):
        with pytest.raises(
            bprop.ArgumentError, match=r"(?s)never changes.*r = bprop\.where\(X > 1, np\.divide\(1\.0, x\), r\)"
        ):
            transform(X)
    for function in (g, h):
        with pytest.raises(bprop.NumPyFunctionError, match="out"):
            bprop.jacobian(function)(X)


@pytest.mark.parametrize(
    ("f", "kind", "words"),
    [
        (lambda x: np.exp(x, where=X > 1), bprop.NumPyFunctionError, r"where= without out=.*numpy\.where\(condition, numpy\.exp\(x\), value\)"),
        (lambda x: np.maximum.reduce(x, where=X > 1), bprop.ArgumentError, r"maximum has no identity, so where= needs initial="),
        (lambda x: np.subtract.reduce(x, axis=(0, 1)), bprop.ArgumentError, r"numpy\.subtract\.reduce: the order counts"),
        (lambda x: np.subtract.reduce(x[:0]), bprop.ShapeError, "an empty axis has nothing to combine"),
        (lambda x: np.add.reduce(x[0, 0]), bprop.ShapeError, r"numpy\.add\.reduce: an array of shape \(\) has no axis"),
        (lambda x: np.add.reduce(x, axis=2), bprop.ShapeError, r"numpy\.add\.reduce: axis 2 is out of range"),
        (lambda x: np.add.reduceat(x, [0, 9]), bprop.ArgumentError, r"numpy\.add\.reduceat: index 9 is out of range for axis 0"),
        (lambda x: np.exp(x, dtype=int), bprop.DTypeError, r"numpy\.exp: No loop"),
        (lambda x: np.exp(x, dtype="f4", casting="safe"), bprop.DTypeError, r"numpy\.exp: Cannot cast"),
        (lambda x: np.subtract.reduce(np.tile(x[0], 300)), bprop.NumPyFunctionError, r"1,200 entries .*bprop\.scan"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused_by_name_eager_and_traced_alike(f, kind, words):
    for run in (lambda x: f(bprop.asarray(x)), bprop.jacobian(f), bprop.compile(f)):
        with pytest.raises(kind, match=words):
            run(X)
