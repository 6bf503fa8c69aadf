"""Cumulative ops against NumPy and plain loops, at zeros and infinities, and long ones compiled.

Planted: ``y_before`` starting from 0 instead of 1 in the derivative of cumulative_prod, `Absent` without its rule for
cumulations (0 · inf), the native state kept in float32.
"""

from math import fsum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.compile import native

RANDOM = np.random.default_rng(12)
X = RANDOM.normal(size=(2, 3, 4))
PAIRS = [(bprop.cumulative_sum, np.cumulative_sum), (bprop.cumulative_prod, np.cumulative_prod)]


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize(("own", "theirs"), PAIRS, ids=["sum", "prod"])
def test_values_and_dtypes_are_numpys(own, theirs, axis, initial):
    for x in (X, X > 0.3, (4 * X).astype(np.int8), (4 * X).astype(np.uint16), X[:, :0]):
        for dtype in (None, np.float32, np.int32):
            y = own(x, axis=axis, dtype=dtype, include_initial=initial)
            expected = theirs(x, axis=axis, dtype=dtype, include_initial=initial)
            assert y.dtype == expected.dtype
            assert_allclose(y, expected, rtol=1e-6 if dtype == np.float32 else 1e-14)
    assert_array_equal(own(X[0, 0], include_initial=initial), theirs(X[0, 0], include_initial=initial))


def test_which_axis_is_said_or_asked_for():
    for own, _ in PAIRS:
        with pytest.raises(bprop.ShapeError, match=rf"{own.__name__}: shape \(2, 3, 4\) has 3 axes"):
            own(X)
        with pytest.raises(bprop.ShapeError, match="axis 3 is out of range"):
            own(X, axis=3)
        with pytest.raises(bprop.ShapeError, match="has 0 axes"):
            own(2.0)
    with pytest.raises(bprop.ShapeError, match="linear_recurrence: shapes"):
        bprop.linear_recurrence(X, X[:, :2])


numbers = st.integers(-3, 3)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6))
def test_recurrence_and_its_derivatives_are_exact_in_small_integers(pairs):
    a, b = (np.array(part, float) for part in zip(*pairs, strict=True))
    n = len(pairs)

    def unrolled(a, b):  # Python's own loop, differentiated op by op
        y, total = b[0], b[0] * b[0]
        for k in range(1, n):
            y = a[k] * y + b[k]
            total = total + (k + 1) * y * y
        return total

    def together(a, b):
        y = bprop.linear_recurrence(a, b)
        return bprop.sum(np.arange(1.0, n + 1) * y * y)

    assert together(a, b).item() == unrolled(a, b)
    stacked = np.stack([a, b])
    ours, theirs = (lambda ab, f=f: f(ab[0], ab[1]) for f in (together, unrolled))
    assert_array_equal(bprop.grad(ours)(stacked), bprop.grad(theirs)(stacked))
    assert_array_equal(bprop.hessian(ours)(stacked), bprop.hessian(theirs)(stacked))


def test_what_gets_no_cotangent_is_not_multiplied_by_infinity():
    x = np.array([2.0, np.inf, 3.0])
    first = lambda x: bprop.cumulative_prod(x)[0]
    assert_array_equal(bprop.grad(first)(x), [1, 0, 0])
    assert_array_equal(bprop.trace(bprop.grad(first))(x)(x)[0], [1, 0, 0])
    rows = np.stack([np.ones(3), x])
    column = lambda x: bprop.sum(bprop.cumulative_prod(x, axis=1)[:, 0])
    assert_array_equal(bprop.grad(column)(rows), [[1, 0, 0]] * 2)
    b = np.array([1.0, 2.0, 3.0])
    second = lambda b: bprop.linear_recurrence(np.array([1.0, 5.0, np.inf]), b)[1]
    assert_array_equal(bprop.grad(second)(b), [5, 1, 0])
    third = lambda b: bprop.linear_recurrence(np.array([1.0, 5.0, np.inf]), b)[2]
    assert_array_equal(bprop.grad(third)(b), [np.inf, np.inf, 1])
    positive = lambda x: bprop.cumulative_sum(bprop.where(x > 0, bprop.sqrt(x), 0))[1]
    assert_array_equal(bprop.grad(positive)(np.array([4.0, 0.0])), [0.25, 0])


def test_an_infinite_first_factor_is_not_read():
    y = bprop.linear_recurrence([np.inf, 2.0], [1.0, 1.0])
    assert_array_equal(y, [1, 3])
    compiled = native(bprop.trace(bprop.linear_recurrence)(np.ones(2), np.ones(2)))
    assert_array_equal(compiled(np.array([np.nan, 2.0]), np.ones(2))[0], [1, 3])


# --- differences ---
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_differences_are_numpys(n, axis):
    for x in (X, X > 0.3, (4 * X).astype(np.int16), X[:, :, :1]):
        assert_array_equal(bprop.diff(x, axis=axis, n=n), np.diff(x, axis=axis, n=n))
        edge = np.take(x, [0, 0], axis=axis)
        for options in ({"prepend": 2}, {"append": edge}, {"prepend": edge, "append": np.float64(1.5)}):
            y = bprop.diff(x, axis=axis, n=n, **options)
            assert_array_equal(y, np.diff(x, axis=axis, n=n, **options))
    f = lambda x: bprop.sum(bprop.diff(x, axis=axis, n=n, prepend=0.0) * 2)
    assert_allclose(bprop.grad(f)(X), bprop.numerical(f)(X), atol=1e-6)


def test_bad_differences_are_named():
    with pytest.raises(bprop.ArgumentError, match="diff: n is"):
        bprop.diff(X, n=-1)
    with pytest.raises(bprop.ShapeError, match=r"diff: shape \(3, 4\) cannot stand beside \(2, 3, 4\)"):
        bprop.diff(X, prepend=X[0])


# --- native loops ---
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 300, 5), (130, 1, 9), (2, 3, 1000), (4, 3, 70), (1, 1, 1)])
def test_compiled_in_every_layout_and_fused(shape, axis):
    x = RANDOM.uniform(-1, 1, size=shape)
    for f in (
        lambda x: bprop.cumulative_sum(x, axis=axis),
        lambda x: bprop.cumulative_prod(1 + 0.1 * bprop.permute_dims(x, (2, 0, 1)), axis=axis),
        lambda x: bprop.linear_recurrence(0.9 * x, bprop.exp(x), axis=axis) * 2,
        lambda x: bprop.cumulative_sum(bprop.broadcast_to(x[:1, :, :1], shape), axis=axis),
    ):
        graph = bprop.trace(f)(x)
        assert_allclose(native(graph)(x)[0], f(x), rtol=1e-12, atol=1e-12)
    compiled = bprop.compile(lambda x: bprop.linear_recurrence(0.9 * x, bprop.exp(x), axis=axis))
    compiled(x)
    assert len(compiled.kernels) == 1


def test_long_float32_sums_keep_their_digits():
    x = RANDOM.uniform(0, 1, 200_000).astype(np.float32)
    graph = bprop.trace(bprop.cumulative_sum)(x)
    for y in (bprop.cumulative_sum(x), native(graph)(x)[0]):
        assert y.dtype == np.float32
        assert_allclose(y[-1].item(), fsum(x), rtol=np.finfo(np.float32).eps)
