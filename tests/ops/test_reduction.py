"""Reductions against NumPy and exact arithmetic: options, empty axes, dtypes, variance, the derivative of a product.

Planted: the partial of prod as y/x (zeros), variance as the mean of squares minus the square of the mean (offset),
`std` without its case for no spread (kink); short rows added in another order, their zeros without NumPy's signs.
"""

from fractions import Fraction
from itertools import combinations
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import bprop

RANDOM = np.random.default_rng(11)
X = RANDOM.normal(size=(2, 3, 4))
NAMES = ["sum", "prod", "min", "max", "mean", "var", "std", "any", "all", "count_nonzero"]
AXES = [None, 0, -1, (0, 2), (2, 0), (), [1]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "int8", "uint8", "int64", "float16", "complex128"])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 15, 16, 63, 64])
def test_many_short_rows_have_numpys_bits(dtype, count):
    """They are reduced column by column."""
    x = RANDOM.normal(size=(2, 20 * count, count)).astype(dtype)
    zeros = x * 0 if x.dtype.kind in "fc" else x
    holed = np.where(RANDOM.random(x.shape) < 0.1, np.nan, x).astype(dtype) if x.dtype.kind in "fc" else x
    for entries in (x, x.reshape(-1, count), zeros, holed):
        for name in ("sum", "max", "min", "any", "all"):
            if dtype == "complex128" and name in ("max", "min"):
                continue
            for keepdims in (False, True):
                y = np.asarray(getattr(bprop, name)(bprop.asarray(entries), axis=-1, keepdims=keepdims))
                expected = getattr(np, name)(entries, axis=-1, keepdims=keepdims)
                assert y.dtype == expected.dtype or dtype in ("int8", "uint8")
                assert_array_equal(y, expected)
                assert_array_equal(np.signbit(y.real), np.signbit(expected.real))


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_values_are_numpys(name, axis):
    theirs = getattr(np, name)
    own = getattr(bprop, name)
    along = tuple(axis) if isinstance(axis, list) else axis
    for x in (X, X > 0.3, (4 * X).astype(np.int8), X.astype(np.float32)):
        for keepdims in (False, True):
            if name == "count_nonzero" and along == ():
                continue  # NumPy counts along all axes
            expected = theirs(x, axis=along, keepdims=keepdims)
            y = own(x, axis, keepdims=keepdims)
            assert y.dtype == (expected.dtype if x.dtype.kind == "f" or name not in ("var", "std", "mean") else float)
            assert_allclose(y, expected, rtol=1e-5 if x.dtype == np.float32 else 1e-13)
            if name != "count_nonzero":
                assert_array_equal(getattr(bprop.asarray(x), name)(axis, keepdims=keepdims), y)


@pytest.mark.parametrize(("name", "identity"), [("sum", 0), ("prod", 1), ("any", False), ("all", True)])
def test_of_nothing(name, identity):
    x = np.zeros((2, 0))
    assert_array_equal(getattr(bprop, name)(x, axis=1), [identity] * 2)
    assert bprop.grad(lambda x: bprop.sum(bprop.prod(x, axis=1)))(x).shape == (2, 0)
    for extreme in (bprop.min, bprop.max, bprop.argmin, bprop.argmax):
        with pytest.raises(bprop.ShapeError, match=rf"{extreme.__name__}: axis 1 of .*\(2, 0\) is empty"):
            extreme(x, axis=1)
        with pytest.raises(bprop.ShapeError, match="axis 5 is out of range"):
            extreme(X, axis=5)


@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.float64, np.uint16])
def test_a_given_dtype_is_that_of_the_result(dtype):
    x = np.array([100, 100, 3], np.int64)
    for own, theirs in ((bprop.sum, np.sum), (bprop.prod, np.prod)):
        expected = theirs(x, dtype=dtype)
        assert own(x, dtype=dtype).dtype == dtype
        assert_array_equal(own(x, dtype=dtype), expected)
    assert bprop.grad(lambda x: bprop.prod(x, dtype=np.float32))(X).dtype == np.float64
    with pytest.raises(bprop.DTypeError, match="prod: dtype"):
        bprop.prod(X, dtype=np.longdouble)


# --- product ---
entries = st.lists(st.integers(-3, 3), min_size=0, max_size=6)


@given(entries)
def test_derivatives_of_a_product_are_exact_where_entries_are_zero(numbers):
    x = np.array(numbers, float)
    n = len(numbers)
    without = lambda *left: prod(number for i, number in enumerate(numbers) if i not in left)
    gradient = np.array([without(i) for i in range(n)], float)
    hessian = np.zeros((n, n))
    for i, j in combinations(range(n), 2):
        hessian[i, j] = hessian[j, i] = without(i, j)
    assert_array_equal(bprop.grad(bprop.prod)(x), gradient)
    assert_array_equal(bprop.jacobian(bprop.prod, mode="forward")(x), gradient)
    if n:
        assert_array_equal(bprop.hessian(bprop.prod)(x), hessian)
        last = lambda x: bprop.cumulative_prod(x)[-1]
        assert_array_equal(bprop.hessian(last)(x), hessian)


def test_derivative_of_a_product_over_several_axes():
    x = X.copy()
    x[0, 1, 2] = x[1, 0, 0] = x[1, 2, 0] = 0
    for axis in AXES[:-1]:
        gradient = bprop.grad(lambda x, axis=axis: bprop.sum(bprop.prod(x, axis=axis)))(x)
        for place in np.ndindex(x.shape):
            others = x.copy()
            others[place] = 1
            moved = np.broadcast_to(np.prod(others, axis=axis, keepdims=True), x.shape)
            assert_allclose(gradient[place].item(), moved[place], rtol=1e-14)


# --- variance ---
@pytest.mark.parametrize("offset", [0.0, 1e8, -1e12])
def test_an_offset_costs_variance_no_digits(offset):
    x = offset + np.arange(7.0) ** 2
    exact = [Fraction(number) for number in x.tolist()]
    mean = sum(exact) / 7
    for correction in (0, 1, 2.5):
        squares, left = sum((number - mean) ** 2 for number in exact), 7 - Fraction(correction)
        assert_allclose(bprop.var(x, correction=correction).item(), float(squares / left), rtol=1e-14)
        assert_allclose(bprop.std(x, correction=correction).item(), float(squares / left) ** 0.5, rtol=1e-14)
        slope = [float(2 * (number - mean) / left) for number in exact]
        assert_allclose(bprop.grad(lambda x: bprop.var(x, correction=correction))(x), slope, rtol=1e-12)  # noqa: B023


def test_too_few_entries_are_divided_by_zero_as_in_numpy():
    with pytest.warns(RuntimeWarning):
        expected = [np.var([2.0], ddof=1), np.var([1.0, 2.0], ddof=3), np.var(np.zeros(0))]
    found = [bprop.var([2.0], correction=1), bprop.var([1.0, 2.0], correction=3), bprop.var(np.zeros(0))]
    assert_array_equal([y.item() for y in found], expected)
    with pytest.raises(bprop.ArgumentError, match="the correction is a number"):
        bprop.std(X, correction="one")


def test_no_spread_is_a_kink_of_std_with_derivative_zero():
    x = np.array([[2.0, 2.0, 2.0], [1.0, 2.0, 3.0]])
    f = lambda x: bprop.sum(bprop.std(x, axis=1))
    expected = [[0, 0, 0], [-1 / 6**0.5, 0, 1 / 6**0.5]]
    assert_allclose(bprop.grad(f)(x), expected, atol=1e-15)
    assert_allclose(bprop.jacobian(f, mode="forward")(x), expected, atol=1e-15)
    assert_allclose(bprop.trace(bprop.grad(f))(x)(x)[0], expected, atol=1e-15)
    H = np.asarray(bprop.hessian(f)(x))
    assert np.isnan(H[0, :, 0]).all()  # there is no second derivative, and a 0 would be wrong for std ** 2
    assert np.isfinite(H[1, :, 1]).all()
    assert np.isnan(bprop.std(np.array([1.0, np.nan])).item())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_a_single_entry_std_is_zero_with_all_its_derivatives(dtype):
    """Planted: the kink of several entries that are equal."""
    for shape, axis in (((1,), None), ((1, 3), 0), ((3, 1), -1), ((2, 1, 1), (1, 2)), ((), None)):
        x = (np.arange(int(np.prod(shape))).reshape(shape) + 1.5).astype(dtype)
        f = lambda x, axis=axis: bprop.sum(bprop.std(x, axis=axis))
        assert bprop.std(x, axis=axis).dtype == dtype
        H = np.asarray(bprop.hessian(f)(x))
        assert_array_equal(H, np.zeros(shape + shape))
        twice = bprop.grad(lambda x, f=f: bprop.sum(bprop.grad(f)(x)))
        for g in (f, bprop.grad(f), twice, lambda x, f=f: bprop.jvp(bprop.grad(f), (x,), (x,))[1]):
            assert_array_equal(g(x), np.zeros(np.shape(g(x))))
            if shape == (1, 3):
                assert_array_equal(bprop.compile(g)(x), np.zeros(np.shape(g(x))))
    assert np.isnan(bprop.std(np.array([np.nan])).item())
    assert np.isnan(bprop.std(np.array([1.0]), correction=1).item())
    assert_array_equal(bprop.std(np.array([np.inf, 1.0])), np.nan)
    assert bprop.std(3).dtype == np.float64
