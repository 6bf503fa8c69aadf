"""Python scalars are weak in regions: dtypes and numbers are those of the loop or the `if` written out in Python.

Planted: a carry that starts as `asarray(scalar)`.
"""

import numpy as np
import pytest

import bprop

ROWS = {
    "float32": np.array([1.5, 2.0], np.float32),
    "float64": np.array([1.5, 2.0]),
    "int32": np.array([1, 2], np.int32),
    "uint8": np.array([250, 10], np.uint8),
    "bool": np.array([True, False]),
}
SCALARS = [0.0, 1.5, 0, 3, True]


def equal(actual, expected):
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("how", ["eager", "compiled", "vmap"])
@pytest.mark.parametrize("scalar", SCALARS, ids=str)
@pytest.mark.parametrize("dtype", ROWS)
def test_a_carry_that_starts_as_a_scalar(dtype, scalar, how):
    rows = bprop.asarray(ROWS[dtype])
    state = scalar
    for i in range(2):
        state = state + rows[i]
    by_scan = lambda xs: bprop.scan(lambda s, x: (s + x, None), scalar, xs)[0]
    by_while = lambda xs: bprop.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, c[1] + xs[c[0]]), (0, scalar))[1]
    for f in (by_scan, by_while):
        if how == "vmap":
            equal(bprop.vmap(f)(bprop.stack([rows, rows]))[1], state)
        else:
            equal((bprop.compile(f) if how == "compiled" else f)(rows), state)


@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_gradients_keep_their_dtype(how):
    x = bprop.asarray(ROWS["float32"])
    f = lambda x: bprop.scan(lambda s, x: (s + x * x, s), 0, x)[0]
    g = lambda x: bprop.while_loop(lambda c: c[1] < 3, lambda c: (c[0] * x[0], c[1] + 1), (1.0, 0))[0]
    for h, expected in ((f, [3.0, 4.0]), (g, [6.75, 0.0])):
        gradient = bprop.grad(h)
        equal((bprop.compile(gradient) if how == "compiled" else gradient)(x), bprop.asarray(expected, dtype="float32"))


@pytest.mark.parametrize("scalar", SCALARS, ids=str)
@pytest.mark.parametrize("dtype", ROWS)
def test_a_branch_that_gives_a_scalar(dtype, scalar):
    x = bprop.asarray(ROWS[dtype][1])
    for predicate in (bprop.asarray(True), bprop.asarray(False)):
        expected = bprop.where(predicate, x, scalar)
        equal(bprop.cond(predicate, lambda x: x, lambda x: scalar, x), expected)
        equal(bprop.cond(~predicate, lambda: scalar, lambda: x), expected)
        equal(bprop.compile(lambda p, x: bprop.cond(p, lambda: x, lambda: scalar))(predicate, x), expected)


def test_scalar_operands_and_results_beside_arrays():
    x = bprop.asarray(ROWS["float32"])
    assert bprop.cond(bprop.asarray(True), lambda x, k: x * k, lambda x, k: x + k, x, 2.0).dtype == np.float32
    scaled = bprop.custom(lambda x, k: x * k, vjp=lambda y_bar, y, x, k: (y_bar * k, None))
    assert scaled(x, 2.0).dtype == np.float32
    by_jvp = bprop.custom(lambda x, k, how: x * k, jvp=lambda x_dots, y, x, k, how: x_dots[0] * k + x * x_dots[1])
    twice = bprop.checkpoint(lambda x: (x * 2, 3.0))
    for f in (lambda x: scaled(x, 6.0), lambda x: by_jvp(x, 6.0, "product"), lambda x: twice(x)[0] * twice(x)[1]):
        for wrap in (lambda f: f, bprop.compile):
            equal(wrap(bprop.grad(lambda x: bprop.sum(f(x))))(x), bprop.asarray([6, 6], dtype="float32"))  # noqa: B023


def test_regions_in_regions():
    x = bprop.asarray(ROWS["float32"])
    inner = lambda s, x: (bprop.scan(lambda t, _: (t * 2 + x, None), s, length=2)[0], None)
    branch = lambda s, x: (bprop.cond(x > 0, lambda: s + x, lambda: 0.0), None)
    method = lambda s, x: (s.astype(x.dtype) + x, None)  # a scalar has no methods
    flag = lambda s, x: (~s, None)
    for body, start, dtype in (
        (inner, 0.0, "float32"),
        (branch, 0, "float32"),
        (method, 0.0, "float32"),
        (flag, True, "bool"),
    ):
        assert bprop.scan(body, start, x)[0].dtype == dtype


@pytest.mark.parametrize(
    "call",
    [
        lambda x: bprop.scan(lambda s, x: (s + x, None), 300, x),
        lambda x: bprop.cond(bprop.asarray(True), lambda: x[0], lambda: -1),
    ],
)
def test_a_scalar_that_does_not_fit_is_named(call):
    with pytest.raises(bprop.DTypeError, match=r"(scan|cond) of .*(300|-1) is no uint8"):
        call(bprop.asarray(ROWS["uint8"]))
