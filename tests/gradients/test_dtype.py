"""Dtypes: Python scalars are weak, a cotangent has its primal's dtype.

Planted: `reverse._matching` and the cast in `reverse._local` returning their argument (the mixed and chained cases fail);
`Op.__call__` and `core.op.operand` turning Python scalars into arrays (the weak cases fail).
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import bprop

X32 = np.array([1.0, 2.0], np.float32)
X64 = np.array([1.0, 2.0])
OPERATIONS = [
    lambda x, c: x + c, lambda x, c: c - x, lambda x, c: x * c, lambda x, c: c / x, lambda x, c: x**c,
    lambda x, c: bprop.maximum(x, c), lambda x, c: bprop.where(x > 1, x, c),
]  # fmt: skip


@pytest.mark.parametrize("scalar", [2, 2.5, True])
@pytest.mark.parametrize("number", range(len(OPERATIONS)))
def test_python_scalars_are_weak(number, scalar):
    f = OPERATIONS[number]
    x = bprop.asarray(X32)
    assert f(x, scalar).dtype == np.float32
    assert bprop.grad(lambda x: bprop.sum(f(x, scalar)))(x).dtype == np.float32
    assert bprop.trace(lambda x: f(x, scalar))(x).specs[0].dtype == np.float32


@pytest.mark.parametrize("number", range(len(OPERATIONS)))
def test_numpy_scalars_and_arrays_are_not(number):
    f = OPERATIONS[number]
    for strong in (np.float64(2), np.array(2.0), np.array([2.0, 2.0])):
        assert f(bprop.asarray(X32), strong).dtype == np.float64


def test_a_cotangent_has_its_primals_dtype():
    f = lambda x, y: bprop.sum(bprop.exp(x) * y)
    x_bar, y_bar = bprop.grad(f, (0, 1))(X32, X64)
    assert (x_bar.dtype, y_bar.dtype) == (np.float32, np.float64)
    x_bar, y_bar = bprop.grad(lambda x, y: bprop.sum(x * y), (0, 1))(X32, X64)
    assert (x_bar.dtype, y_bar.dtype) == (np.float32, np.float64)
    # in the middle of a chain too: what exp's rule multiplies is float32
    seen = []

    def spied(x):
        y = bprop.exp(x)
        seen.append(y.dtype)
        return bprop.sum(bprop.astype(y, np.float64) * 2.0)

    graph = bprop.trace(bprop.grad(spied))(X32)
    products = [node for node in graph.nodes if node.op.name == "multiply" and node.specs[0].shape == (2,)]
    assert {node.specs[0].dtype for node in products[1:]} == {np.dtype(np.float32)}


REGIONS = {
    "scan": lambda x: bprop.scan(lambda c, row: (bprop.tanh(c) * row, c), x, bprop.stack([x, x]))[0],
    "cond": lambda x: bprop.cond(x[0] > 0, bprop.tanh, bprop.cos, x),
    "while_loop": lambda x: bprop.while_loop(
        lambda s: s[1] < 3, lambda s: (bprop.tanh(s[0]), s[1] + 1), (x, 0), limit=4
    )[0],
    "checkpoint": bprop.checkpoint(bprop.tanh),
    "custom": bprop.custom(lambda x: bprop.tanh(x), vjp=lambda y_bar, y, x: (y_bar * (np.float32(1) - y * y),)),
}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("transform", [lambda f: f, bprop.compile])
def test_what_comes_back_to_a_region_has_the_dtype_of_its_result(region, transform):
    def f(x):
        y = REGIONS[region](x)
        return bprop.sum(bprop.astype(y, np.float64) * 3.0)

    x_bar = transform(bprop.grad(f))(X32)
    assert x_bar.dtype == np.float32
    np.testing.assert_allclose(x_bar, bprop.grad(f)(X64), rtol=1e-5)


def test_a_tangent_has_its_primals_dtype():
    y, y_dot = bprop.jvp(lambda x: x * X32, (X32,), (X64,))
    assert y.dtype == y_dot.dtype == np.float32
    y, y_dot = bprop.jvp(lambda x: bprop.astype(x, np.float32), (X64,), (X64,))
    assert y.dtype == y_dot.dtype == np.float32


def test_default_is_float64_and_integers_become_float64():
    assert bprop.zeros(2).dtype == bprop.asarray([1.0]).dtype == np.float64
    assert bprop.exp(bprop.arange(3)).dtype == np.float64
    assert (bprop.arange(3) / 2).dtype == np.float64
    assert bprop.exp(np.zeros(2, np.int8)).dtype == np.float64  # NumPy: float16
    assert bprop.sum(np.ones(3, np.int8)).dtype == np.int64
    assert bprop.exp(np.zeros(2, np.float16)).dtype == np.float16


def test_objects_and_strings_are_refused():
    for bad in (["a"], np.array([object()]), np.array(["2020-01-01"], "datetime64[D]"), np.longdouble(1)):
        with pytest.raises(bprop.DTypeError, match="not supported"):
            bprop.asarray(bad)


def test_derivatives_by_integers_are_refused():
    for argument, word in (
        (3, r"write 3\.0"),
        (np.arange(3), "dtype int64"),
        ("a", "'a'"),
        (np.array(True), "dtype bool"),
    ):
        with pytest.raises(bprop.DTypeError, match=word):
            bprop.grad(lambda x: bprop.sum(x * 1.0))(argument)


def test_integer_results_have_no_gradient():
    with pytest.raises(bprop.DTypeError, match="returned dtype int64, which has no derivative"):
        bprop.grad(lambda x: bprop.sum(bprop.astype(x, np.int64)))(X64)


def test_integer_paths_are_constants():
    f = lambda x: bprop.sum(x * bprop.astype(bprop.astype(x, np.int64), np.float64))
    assert_array_equal(bprop.grad(f)(np.array([1.5, 2.5])), [1, 2])
    assert_array_equal(bprop.jvp(f, (np.array([1.5, 2.5]),), (np.ones(2),))[1], 3)
