"""Reductions and contractions: every layout of axes, and accuracy against exact sums."""

from functools import partial
from math import fsum

import numpy as np
import pytest

import bprop
from bprop.compile import native
from support.agreement import LIBRARY

RANDOM = np.random.default_rng(3)
AXES = [None, 0, 1, 2, (0, 1), (1, 2), (0, 2), ()]


def compiled(f, x):
    (y,) = native(bprop.trace(f)(x))(x)
    return np.asarray(y)


def sum_and_error(x, axis):
    """The exact sum; native code adds in float64, in any order: n roundings of Σ|x|, then one to the dtype of x."""
    wide = x.astype(np.longdouble)
    exact = np.sum(wide, axis=axis)
    count = x.size / max(exact.size, 1)
    return exact, np.finfo(x.dtype).eps * np.abs(exact) + count * np.finfo(float).eps * np.sum(np.abs(wide), axis=axis)


def max_and_error(x, axis):
    return np.max(x, axis=axis), 0


def logsumexp_and_error(x, axis):
    """log Σ exp(x) = m + log S, S = Σ exp(x - m), with m = max x, in extended precision.

    Half a rounding of x - m makes a relative error of ½ε|x - m| in its exponential, which adds `LIBRARY` ε of its own; the sum
    is that of `sum_and_error`. A relative error of S is an absolute one of log S, which has `LIBRARY` ε of its own, too.
    """
    eps, wide = np.finfo(x.dtype).eps, x.astype(np.longdouble)
    largest = np.max(wide, axis=axis, keepdims=True)
    terms = np.exp(wide - largest)
    total = np.sum(terms, axis=axis)
    relative = np.sum(terms * (np.abs(wide - largest) / 2 + LIBRARY) * eps, axis=axis) / total
    count = x.size / max(total.size, 1)
    exact = largest.reshape(total.shape) + np.log(total)
    return exact, relative + eps + count * np.finfo(float).eps + eps * (LIBRARY * np.log(total) + np.abs(exact))


REDUCTIONS = {
    "sum": (bprop.sum, sum_and_error),
    "max": (bprop.max, max_and_error),
    "logsumexp": (bprop.logsumexp, logsumexp_and_error),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 300, 5), (130, 1, 9), (2, 3, 1000)])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_axes(name, axis, shape, dtype):
    """Of an input, and of a map in the same kernel, whose entries are taken from a kernel without the reduction."""
    f, outside = REDUCTIONS[name]
    terms = lambda x: bprop.exp(bprop.permute_dims(x, (2, 0, 1))) * 2
    x = RANDOM.normal(size=shape).astype(dtype)
    for y, entries in (
        (compiled(lambda x: f(x, axis=axis), x), x),
        (compiled(lambda x: f(terms(x), axis=axis), x), compiled(terms, x)),
    ):
        exact, error = outside(entries, axis)
        assert (y.dtype, y.shape) == (dtype, exact.shape)
        assert np.all(np.abs(y - exact) <= error)


@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 300, 5), (130, 1, 9), (2, 3, 1000)])
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2)], ids=str)
def test_products_and_extremes(axis, shape, agree):
    x = RANDOM.uniform(-1, 1, size=shape)
    agree(lambda x: bprop.prod(1 + 0.01 * bprop.permute_dims(x, (2, 0, 1)), axis=axis), x, terms=8)
    agree(lambda x: bprop.min(bprop.exp(x), axis=axis) - bprop.max(x, axis=axis), x, terms=2)
    agree(lambda x: bprop.std(x, axis=axis, correction=-1), x, terms=8)


def test_max_takes_nan_and_the_extreme_integers(distance):
    assert distance(bprop.max, np.array([1.0, np.nan, 3.0])) == 0
    assert distance(bprop.max, np.array([-np.inf, -np.inf])) == 0
    assert distance(bprop.max, np.array([-128, -128], np.int8)) == 0
    assert distance(bprop.max, np.array([False, False])) == 0
    assert distance(bprop.sum, np.array([True, True])) == 0
    assert distance(bprop.min, np.array([1.0, np.nan, 3.0])) == 0
    assert distance(bprop.min, np.array([255, 255], np.uint8)) == 0
    for x in ([0.0, -0.0], [0.0, np.nan], [2, 0], [True, True], []):
        assert distance(bprop.any, np.array(x)) == 0
        assert distance(bprop.all, np.array(x)) == 0
    assert distance(bprop.prod, np.full(70, 3, np.int8)) == 0
    assert distance(bprop.sum, np.arange(300, dtype=np.uint8).reshape(3, 100)) == 0


@pytest.mark.parametrize("size", [31, 32, 33, 63, 100, 129])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint8"])
def test_extremes_of_rows_see_every_entry(size, dtype):
    """The extreme entry, NaN and an infinity are found wherever they stand, in a vector or behind the last one."""
    x = RANDOM.permuted(np.tile(np.arange(size), (size, 1)), axis=1).astype(dtype)
    rows = [x]
    if np.dtype(dtype).kind == "f":
        for number in (np.nan, np.inf, -np.inf):
            rows.append(np.where(np.eye(size, dtype=bool), np.asarray(number, dtype), x))
    x = np.concatenate(rows)
    for name in ("max", "min", "argmax", "argmin"):
        y = bprop.compile(partial(getattr(bprop, name), axis=-1))(x)
        np.testing.assert_array_equal(y, getattr(np, name)(x, axis=-1), err_msg=name)


def test_logsumexp_of_infinities(distance):
    for x in ([np.inf, 1.0], [-np.inf, -np.inf], [np.inf, np.inf], [-np.inf, 0.0], [np.nan, 1.0], [1000.0, 1000.0]):
        assert distance(bprop.logsumexp, np.array(x)) <= 1, x


@pytest.mark.parametrize("size", [7, 1000, 100_003])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_sums_are_pairwise(size, dtype):
    x = RANDOM.uniform(0, 1, size).astype(dtype)
    for columns in (False, True):
        data = np.repeat(x[:, None], 4, axis=1) if columns else x
        graph = bprop.trace(lambda x: bprop.sum(x, axis=0))(bprop.asarray(data))
        (y,) = native(graph)(data)
        error = np.abs(np.asarray(y) - fsum(x)) / fsum(x) / np.finfo(dtype).eps
        # float32 is summed in float64; rows join chunks of 128 pairwise, columns join them in order
        bound = 1 if dtype == np.float32 else (200 + size / 128 if columns else 40)
        assert np.max(error) <= bound


SIZES = [(1, 1, 1), (3, 4, 5), (7, 33, 65), (1, 40, 50), (64, 1, 64), (50, 40, 1), (17, 64, 10), (13, 0, 4), (0, 3, 4)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_contractions(size, dtype, agree):
    m, k, n = size
    a = (RANDOM.normal(size=(m, k)) * 3).astype(np.int8).astype(dtype)
    b = (RANDOM.normal(size=(k, n)) * 3).astype(np.int8).astype(dtype)
    exact = {"terms": 1, "scale": 1.0}  # small integers: every order of summation gives the same float
    agree(lambda a, b: a @ b, a, b, **exact)
    agree(lambda a, b: a @ b.T, a, b.T.copy(), **exact)
    agree(lambda a, b: a.T @ b, a.T.copy(), b, **exact)
    agree(lambda a, b: b.T @ a.T, a, b, **exact)
    if n and m:
        agree(lambda a, b: a @ b[:, 0], a, b, **exact)
        agree(lambda a, b: a[0] @ b, a, b, **exact)
        agree(lambda a, b: a[-1] @ b[:, -1], a, b, **exact)
    if np.dtype(dtype).kind != "b":
        for subscripts in ("ij,jk->ki", "ij,jk->", "ij,kl->ijl", "ij,jk->j", "ij,jk->ijk"):
            agree(lambda a, b, s=subscripts: bprop.einsum(s, a, b), a, b, **exact)


def test_batches_broadcast_and_reversed_operands(agree):
    a, b = RANDOM.normal(size=(2, 3, 4, 5)), RANDOM.normal(size=(3, 5, 6))
    agree(lambda a, b: a @ b, a, b, terms=5, scale=10.0)
    agree(lambda a, b: a[:, :1] @ b, a, b, terms=5, scale=10.0)
    agree(lambda a, b: a[..., ::-1] @ b[:, ::-1, ::-2], a, b, terms=5, scale=10.0)
    agree(lambda a, b: bprop.broadcast_to(b, (2, 3, 5, 6)).mT @ a.mT, a, b, terms=5, scale=10.0)
    agree(lambda a, b: bprop.reshape(a, (6, 4, 5)) @ bprop.reshape(b, (15, 6))[:5], a, b, terms=5, scale=10.0)


def test_mixed_dtypes(agree):
    a, b = RANDOM.normal(size=(4, 5)).astype(np.float32), RANDOM.integers(-3, 3, (5, 20))
    agree(lambda a, b: a @ b, a, b, terms=5, scale=20.0)
    agree(lambda a, b: b.T @ a.T, a, b, terms=5, scale=20.0)


def test_a_planted_fault_is_seen(agree, monkeypatch):
    from bprop.compile.llvm import contraction

    right = contraction._Emission._multiply_add
    monkeypatch.setattr(
        contraction._Emission, "_multiply_add", lambda self, x, y, z: right(self, x, y, right(self, x, y, z))
    )
    with pytest.raises(AssertionError):
        agree(lambda a, b: a @ b, np.ones((3, 4)), np.ones((4, 5)))
