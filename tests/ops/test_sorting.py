"""Sorting, searching and sets against NumPy and Python, with ties and NaN; what depends on numbers is refused by name.

Planted: descending order by reversing the ascending one (ties), the native argmax without its case for NaN.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.compile import native

RANDOM = np.random.default_rng(13)
X = RANDOM.permutation(24).reshape(2, 3, 4) / 7
TIES = np.array([[2, 1, 2, 0], [0, 0, 1, 2], [3, 3, 3, 3]])
numbers = st.lists(st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 1.0, 2.0, np.inf, np.nan]), min_size=1, max_size=8)


# --- sort ---
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int8, np.uint8, np.bool_])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_orders_are_pythons(axis, dtype):
    x = TIES.astype(dtype)
    for descending in (False, True):
        order = np.asarray(bprop.argsort(x, axis=axis, descending=descending))
        for row, found in zip(np.moveaxis(x, axis, -1), np.moveaxis(order, axis, -1), strict=True):
            assert found.tolist() == sorted(range(len(row)), key=row.tolist().__getitem__, reverse=descending)
        y = bprop.sort(x, axis=axis, descending=descending, stable=False)
        assert y.dtype == dtype
        expected = np.sort(x, axis=axis)
        assert_array_equal(y, np.flip(expected, axis) if descending else expected)


@given(numbers)
def test_not_a_number_is_largest(entries):
    x = np.array(entries)
    assert_array_equal(bprop.sort(x), np.sort(x))
    assert_array_equal(bprop.sort(x, descending=True), np.sort(x)[::-1])
    assert_array_equal(bprop.median(x), np.median(x) if not np.isnan(x).any() else np.nan)


def test_cotangents_go_back_to_where_entries_came_from():
    weights = RANDOM.normal(size=X.shape)
    for axis in (0, 1, 2):
        for descending in (False, True):
            f = lambda x: bprop.sum(bprop.sort(x, axis=axis, descending=descending) * weights)  # noqa: B023
            order = np.argsort(-X if descending else X, axis=axis)
            expected = np.zeros_like(X)
            np.put_along_axis(expected, order, weights, axis)
            assert_array_equal(bprop.grad(f)(X), expected)
            assert_array_equal(native(bprop.trace(bprop.grad(f))(X))(X)[0], expected)
            assert_array_equal(bprop.jacobian(f, mode="forward")(X), expected)
            assert_array_equal(bprop.vmap(f)(np.stack([X, -X]))[0], f(X))
    cubes = bprop.hessian(lambda x: bprop.sum(bprop.sort(x) ** 3 * np.arange(4.0)))(np.array([3.0, 1.0, 2.0, 5.0]))
    assert_allclose(cubes, np.diag(6 * np.array([3.0, 1, 2, 5]) * [2, 0, 1, 3]))
    assert bprop.paths(lambda x: bprop.sort(x)[0])(np.array([3.0, 1.0, 2.0])).counts.tolist() == [0, 1, 0]


@pytest.mark.parametrize("axis", [None, 0, 2, (0, 1), (2, 0), ()], ids=str)
def test_median_is_numpys(axis):
    for x in (X, X[:, :2, :3], TIES[None]):
        for keepdims in (False, True):
            assert_array_equal(bprop.median(x, axis, keepdims), np.median(x, axis=axis, keepdims=keepdims))
    assert np.isnan(bprop.median(np.zeros(0)).item())


# --- search ---
@pytest.mark.parametrize(("own", "theirs"), [(bprop.argmax, np.argmax), (bprop.argmin, np.argmin)])
def test_the_first_extreme_entry(own, theirs):
    for x in (X, TIES, TIES > 1, TIES.astype(np.uint8), X.astype(np.float32)):
        for axis in (None, *range(-1, x.ndim)):
            for keepdims in (False, True):
                f = lambda x: own(x, axis, keepdims)  # noqa: B023
                assert_array_equal(f(x), theirs(x, axis=axis, keepdims=keepdims))
                assert_array_equal(native(bprop.trace(f)(x))(x)[0], f(x))
    assert own(X).dtype == np.int64
    assert_array_equal(bprop.vmap(own)(X), [theirs(X[0]), theirs(X[1])])
    assert_array_equal(bprop.grad(lambda x: bprop.sum(x * own(x)))(X), np.full(X.shape, theirs(X)))


def test_the_complex_step_decides_by_the_real_part():
    x = np.array([2.0, 2.0, 1.0, 2.0])
    for f in (bprop.argmax, bprop.argmin, lambda x: bprop.argsort(x)[1], lambda x: bprop.searchsorted(x[:1], x)[1]):
        g = lambda x: bprop.sum(x * f(x))  # noqa: B023
        assert_allclose(bprop.numerical(g, scheme="complex")(x), bprop.grad(g)(x), rtol=1e-14)


@pytest.fixture(scope="module")
def searches():
    graphs = {own: [native(bprop.trace(own)(np.zeros(n))) for n in range(1, 9)] for own in (bprop.argmax, bprop.argmin)}
    return lambda own, x: graphs[own][len(x) - 1](x)[0]


@given(numbers)
def test_the_first_nan_wins_also_compiled(searches, entries):
    x = np.array(entries)
    for own, theirs in ((bprop.argmax, np.argmax), (bprop.argmin, np.argmin)):
        assert own(x).item() == searches(own, x).item() == theirs(x)


def test_the_compiled_search_calls_nothing_back():
    f = bprop.compile(lambda x: bprop.argmax(bprop.exp(x), axis=1))
    f(X)
    assert "callback" not in str(f.kernels)


@given(numbers, numbers)
def test_places_in_a_sorted_array(entries, wanted):
    x1, x2 = np.array(entries), np.array(wanted)
    for side in ("left", "right"):
        assert_array_equal(bprop.searchsorted(x1, x2, side=side, sorter=np.argsort(x1)),
                           np.searchsorted(np.sort(x1), x2, side=side))  # fmt: skip


def test_places_in_every_shape_and_batch():
    x1 = np.sort(X.reshape(-1))
    for x2 in (X, X[0, 0, 0], X[:0]):
        assert_array_equal(bprop.searchsorted(x1, x2), np.searchsorted(x1, x2))
    rows = np.sort(X[0])
    found = bprop.vmap(bprop.searchsorted)(rows, X[1])
    assert_array_equal(found, [np.searchsorted(a, b) for a, b in zip(rows, X[1], strict=True)])
    with pytest.raises(bprop.ShapeError, match="searchsorted: the sorted array has one axis"):
        bprop.searchsorted(X, X)
    with pytest.raises(bprop.ArgumentError, match="side is 'left' or 'right', not 'middle'"):
        bprop.searchsorted(x1, X, side="middle")


# --- what depends on numbers ---
def test_sets_are_numpys():
    for x in (TIES, TIES / 7, np.array([np.nan, 1.0, np.nan]), np.zeros((0, 2)), np.array(5), TIES > 1):
        values, indices, inverse, counts = np.unique(
            x, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
        )
        found = bprop.unique_all(x)
        assert found._fields == ("values", "indices", "inverse_indices", "counts")
        for own, expected in zip(found, (values, indices, inverse.reshape(x.shape), counts), strict=True):
            assert own.dtype == expected.dtype
            assert_array_equal(own, expected)
        assert_array_equal(bprop.unique_values(x), values)
        assert_array_equal(bprop.unique_counts(x).counts, counts)
        assert_array_equal(bprop.unique_inverse(x).inverse_indices, found.inverse_indices)


def test_the_first_occurrence_gets_the_cotangent():
    x = np.array([3.0, 1.0, 3.0, 2.0])
    weights = np.array([1.0, 10.0, 100.0])
    f = lambda x: bprop.unique_values(x) @ weights
    assert_array_equal(bprop.grad(f)(x), [100, 1, 0, 10])
    assert_array_equal(bprop.jvp(f, (x,), (np.ones(4),))[1], 111)


def test_places_that_are_not_zero():
    for x in (TIES, TIES > 1, X - X[0, 0, 0], np.array([np.nan, 0.0])):
        for own, expected in zip(bprop.nonzero(x), np.nonzero(x), strict=True):
            assert_array_equal(own, expected)
    with pytest.raises(bprop.ShapeError, match="nonzero: an array of shape"):
        bprop.nonzero(2.0)
    keep = lambda x: bprop.sum(x[bprop.nonzero(x > 1)[0]])
    assert_array_equal(bprop.grad(keep)(np.array([0.5, 2.0, 3.0])), [0, 1, 1])


@pytest.mark.parametrize("name", ["nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values"])
def test_without_numbers_the_replacement_is_named(name):
    f = lambda x: getattr(bprop, name)(x)[0] * 1
    for transform in (bprop.trace, bprop.compile, bprop.vmap):
        with pytest.raises(bprop.TracedValueError, match=rf"{name}: the shape .*: (take|write) bprop\."):
            transform(f)(X)
    with pytest.raises(bprop.TracedValueError):
        bprop.vmap(lambda x: bprop.grad(lambda x: bprop.sum(f(x) * 1.0), unreached="zeros")(x))(X)
