"""Manipulations are NumPy's, under every interpretation; all are linear in x, so each checks its own derivative.

Planted: `roll` in the other direction, `reflect` with the edge twice, the part of a join one place too far, a join
compiled without its offset, `repeat` with the axes of copies and entries exchanged.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.compile import native
from bprop.ops.manipulation import _repeated
from support.profile import examples

X = np.random.default_rng(0).normal(size=(2, 3, 4))
M = X[0]
V = X[0, 0]

# NumPy's function, its operand, and the rest of its arguments: called on an Array it finds ours
CALLS = [
    (np.squeeze, X[:, :1], (), {}), (np.squeeze, X[:1, :1], (0,), {}), (np.squeeze, X[:1, :, :1], ((0, 2),), {}),
    (np.expand_dims, X, (1,), {}), (np.expand_dims, M, ((0, -1),), {}), (np.expand_dims, M, (-3,), {}),
    (np.flip, X, (), {}), (np.flip, X, (1,), {}), (np.flip, X, ((0, -1),), {}), (np.flip, X[:, :0], (), {}),
    (np.flipud, M, (), {}), (np.fliplr, M, (), {}),
    (np.roll, X, (5,), {}), (np.roll, X, (-1, 2), {}), (np.roll, X, ((1, -2), (0, 1)), {}), (np.roll, X, (2, (1, 1)), {}),
    (np.roll, V, (4,), {}), (np.roll, X[:, :0], (1, 1), {}), (np.roll, M, ((1, 2), 1), {}),
    (np.repeat, X, (2,), {}), (np.repeat, X, (3, 1), {}), (np.repeat, M, ([0, 2, 1],), {"axis": 0}),
    (np.repeat, M, (0, 0), {}), (np.repeat, M, ([2], 1), {}),
    (np.tile, V, (2,), {}), (np.tile, M, ((2, 1),), {}), (np.tile, V, ((2, 1, 3),), {}), (np.tile, X, (2,), {}),
    (np.tile, M, ((1, 1),), {}), (np.tile, M, ((0, 2),), {}),
    (np.pad, V, (2,), {}), (np.pad, M, (((1, 0), (2, 3)),), {}), (np.pad, M, ((1, 2),), {"constant_values": 5.0}),
    (np.pad, M, (1,), {"constant_values": ((1, 2), (3, 4))}), (np.pad, M, (((1,), (2,)),), {}),
    (np.pad, M, ({-1: (1, 2), 0: 3},), {}), (np.pad, M, (0,), {}), (np.pad, M, (((1, 2),),), {"mode": "edge"}),
    *((np.pad, M, (((2, 1), (3, 5)),), {"mode": mode}) for mode in ("edge", "reflect", "symmetric", "wrap")),
    *((np.unstack, X, (), {"axis": axis}) for axis in (0, -1) if hasattr(np, "unstack")),
    (np.moveaxis, X, (0, -1), {}), (np.moveaxis, X, ((0, 1), (-1, 0)), {}), (np.moveaxis, X, ([2, 0], [0, 1]), {}),
    (np.swapaxes, X, (0, 2), {}), (np.ravel, X, (), {}), (np.matrix_transpose, X, (), {}),
    (np.tril, M, (), {}), (np.tril, X, (1,), {}), (np.triu, M, (-1,), {}), (np.triu, X, (), {"k": 2}),
    *((f, x, (k,), {}) for f in (np.tril, np.triu) for k in (-1, 0, 2) for x in (V, V[:1], V[:0])),
    (np.diagonal, M, (), {}), (np.diagonal, X, (1, 2, 0), {}), (np.diagonal, X, (-1,), {"axis2": 2}), (np.diagonal, M, (7,), {}),
    (np.diag, M, (), {}), (np.diag, V, (), {}), (np.diag, V, (-2,), {}), (np.diag, M, (2,), {}), (np.diag, V[:0], (), {}),
    (np.trace, M, (), {}), (np.trace, X, (), {"offset": 1, "axis1": 1, "axis2": 2}),
    (np.split, X, (2, 2), {}), (np.split, M, ([1, 3], 1), {}), (np.array_split, M, (2,), {}), (np.split, V, ([3, 1, 9],), {}),
    (np.array_split, V, (3,), {}), (np.array_split, V, (6,), {}),
    (np.broadcast_to, V, ((3, 4),), {}), (np.take_along_axis, M, (np.array([[1, 0, -1, 2]]), 0), {}),
]  # fmt: skip


def listed(y):
    return list(y) if isinstance(y, list | tuple) else [y]


def arrays(y):
    return [np.asarray(one) for one in listed(y)]


@pytest.mark.parametrize("number", range(len(CALLS)), ids=lambda n: f"{CALLS[n][0].__name__}-{n}")
def test_numpys_function_under_every_interpretation(number):
    function, x, args, options = CALLS[number]
    f = lambda x: listed(function(x, *args, **options))
    expected = f(x)
    constant = [y - z for y, z in zip(expected, f(-x), strict=True)]  # twice the linear part
    ys = f(bprop.asarray(x))
    assert [type(y) for y in ys] == [bprop.Array] * len(expected)
    x_dot = np.cos(x)
    dots = [(y - z) / 2 for y, z in zip(f(x_dot), f(-x_dot), strict=True)]
    bars = [np.sin(1 + np.arange(y.size)).reshape(y.shape) for y in expected]
    jvp = bprop.jvp(f, (x,), (x_dot,))[1]
    compiled = native(bprop.trace(lambda x: tuple(f(x)))(x))(bprop.asarray(x))
    batch = bprop.vmap(f, in_axes=1, out_axes=1)(np.stack([x, 2 * x], 1)) if min(y.ndim for y in expected) else None
    for i, y in enumerate(expected):
        assert_array_equal(ys[i], y)
        assert_allclose(jvp[i], dots[i], rtol=1e-15, atol=1e-15)
        assert_array_equal(compiled[i], y)
        if batch is not None:
            assert_array_equal(np.asarray(batch[i])[:, 0], y)
            assert_array_equal(np.asarray(batch[i])[:, 1], f(2 * x)[i])
    _, pullback = bprop.vjp(f, x)
    (x_bar,) = pullback(bars)
    left = sum(float(np.sum(bar * dot)) for bar, dot in zip(bars, dots, strict=True))
    assert_allclose(np.sum(x_bar * x_dot), left, rtol=1e-12, atol=1e-12)
    back = lambda x: bprop.vjp(f, x)[1](bars)[0]
    assert_allclose(native(bprop.trace(back)(x))(bprop.asarray(x))[0], x_bar, rtol=1e-13, atol=1e-15)
    if all(np.any(one) or not one.size for one in constant):
        curved = lambda x: sum(bprop.sum(y * y * bar) for y, bar in zip(f(x), bars, strict=True))
        product = bprop.hvp(curved, (x,), (x_dot,))
        assert_allclose(product, bprop.vjp(f, x)[1]([2 * b * d for b, d in zip(bars, dots, strict=True)])[0],
                        rtol=1e-12, atol=1e-12)  # fmt: skip


JOINS = [
    (np.concatenate, ([M, M[:1]],), {}), (np.concatenate, ((M, M[:, :2], M), 1), {}), (np.concatenate, ([M, V],), {"axis": None}),
    (np.concat, ([X, X[:, :0], X[:, 1:]],), {"axis": -2}), (np.stack, ([M, 2 * M],), {}), (np.stack, ([M, M, M], -1), {}),
    (np.vstack, ([M, V],), {}), (np.hstack, ([M, M],), {}), (np.hstack, ([V, V[:2]],), {}), (np.column_stack, ([V, V],), {}),
    (np.broadcast_arrays, (M, V), {}), (np.meshgrid, (V, V[:2]), {}), (np.meshgrid, (V, V[:3], V[:2]), {"indexing": "ij"}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(JOINS)), ids=lambda n: f"{JOINS[n][0].__name__}-{n}")
def test_numpys_joins_under_every_interpretation(number):
    function, args, options = JOINS[number]
    nested = isinstance(args[0], list | tuple)
    xs, rest = (list(args[0]), args[1:]) if nested else (list(args), ())
    f = lambda *xs: listed(function(list(xs), *rest, **options) if nested else function(*xs, **options))
    expected = f(*xs)
    bars = [np.cos(1 + np.arange(y.size)).reshape(y.shape) for y in expected]
    ys, pullback = bprop.vjp(f, *xs)
    compiled = native(bprop.trace(lambda *xs: tuple(f(*xs)))(*xs))(*map(bprop.asarray, xs))
    batch = bprop.vmap(f, in_axes=(0, *[None] * (len(xs) - 1)))(np.stack([xs[0], -xs[0]]), *xs[1:])
    for y, one, two, many in zip(expected, ys, compiled, batch, strict=True):
        assert_array_equal(one, y)
        assert_array_equal(two, y)
        assert_array_equal(many[0], y)
    x_dots = [np.sin(x + 1) for x in xs]
    jvp = bprop.jvp(f, xs, x_dots)[1]
    for y_dot, dot in zip(jvp, f(*x_dots), strict=True):
        assert_array_equal(y_dot, dot)
    left = sum(float(np.sum(bar * np.asarray(dot))) for bar, dot in zip(bars, jvp, strict=True))
    right = sum(float(np.sum(bar * dot)) for bar, dot in zip(pullback(bars), x_dots, strict=True))
    assert_allclose(left, right, rtol=1e-12)


@examples(60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 1), st.integers(0, 63), st.integers(0, 3))
def test_parts_computed_on_the_way_are_fused_into_the_join(sizes, axis, which, kind):
    """Of some parts the entries are computed where they are written, others are read twice or are outputs themselves."""
    random = np.random.default_rng(sum(sizes))
    xs = [random.normal(size=(2, size) if axis else (size, 2)) for size in sizes]

    def f(*xs):
        parts = [x * 2.5 - 1 if which >> i & 1 else x for i, x in enumerate(xs)]
        y = bprop.concat([*parts, parts[0]], axis=axis)
        results = [y, bprop.sum(y * y), y[::-1] + 1, bprop.concat((y, y.reshape(y.shape)), axis=1 - axis)]
        return (*results[kind:], parts[-1])

    arrays = list(map(bprop.asarray, xs))
    for one, other in zip(native(bprop.trace(f)(*xs))(*arrays), f(*arrays), strict=True):
        assert_allclose(one, other, rtol=1e-14)


def test_a_join_inside_a_compiled_step_that_writes_in_place():
    state = bprop.Cell(bprop.asarray(np.arange(4.0)), "state")

    @bprop.compile
    def step(x):
        old = state.read()
        state.write(bprop.concat((old[2:], x)))
        return bprop.sum(old)

    for turn in range(3):
        step(np.full(2, float(turn)))
    assert_array_equal(state.read(), [1, 1, 2, 2])


def test_joins_in_a_loop():
    def body(h, x):
        h = bprop.concat((h[1:], x * 2 + h[:1]))
        return h, bprop.sum(h)

    f = lambda h, xs: bprop.scan(body, h, xs)[1]
    h, xs = np.arange(3.0), np.arange(5.0)[:, None]
    expected = []
    window = h.copy()
    for x in xs:
        window = np.concatenate((window[1:], x * 2 + window[:1]))
        expected.append(window.sum())
    assert_array_equal(f(h, xs), expected)
    assert_array_equal(bprop.compile(f)(h, xs), expected)
    g = lambda h, xs: bprop.sum(f(h, xs) ** 2)
    for one, other in zip(bprop.compile(bprop.grad(g, (0, 1)))(h, xs), bprop.grad(g, (0, 1))(h, xs), strict=True):
        assert_allclose(one, other, rtol=1e-14)


@pytest.mark.parametrize("method", ["symbolic", "paths", "forward", "reverse", "numerical"])
def test_every_way_to_a_gradient_passes_through(method):
    def f(x):
        y = bprop.concat((x[:2] * x[2:], x, np.ones(1)))
        y = bprop.roll(y, 1) * bprop.tile(x, 2)[:7]
        y = y.at[bprop.asarray([1, 1, -1])].set(x[:3] ** 2).at[2:4].add(x[0]).at[[0, 0]].multiply(x[1])
        return bprop.sum(bprop.pad(y, 2, mode="reflect")[[0, 3, 3, 5, 7, 9]] * np.arange(1.0, 7))

    gradient = bprop.derivative(f, method=method)(V)
    assert_allclose(gradient, bprop.jacobian(f, mode="forward")(V), rtol=1e-6 if method == "numerical" else 1e-12)


def test_many_parts_take_one_application():
    xs = [np.full(3, float(i)) for i in range(300)]
    y, pullback = bprop.vjp(lambda xs: bprop.stack(xs), xs)
    assert_array_equal(y, np.stack(xs))
    assert_array_equal(bprop.stack(pullback(y)[0]), np.stack(xs))
    kernels = bprop.trace(lambda xs: bprop.stack(xs))(xs)
    assert [node.op.name for node in kernels.nodes if node.op.name != "reshape"] == ["concat"]


def test_mixed_dtypes_promote_and_cotangents_keep_theirs():
    x, i = np.ones(2, np.float32), np.arange(2)
    assert bprop.concat((x, i)).dtype == np.float64
    _, pullback = bprop.vjp(lambda a, b: bprop.concat((a, b)), x, np.ones(2))
    assert [bar.dtype for bar in pullback(np.ones(4))] == [np.float32, np.float64]
    assert bprop.stack((True, False)).dtype == bool
    assert bprop.tril(np.ones((2, 2), bool)).dtype == bool
    assert bprop.pad(x, 1, constant_values=2).dtype == np.float32


def test_creation_is_numpys():
    for ours, theirs in (
        (bprop.eye(3), np.eye(3)), (bprop.eye(2, 4, k=1, dtype="float32"), np.eye(2, 4, 1, np.float32)),
        (bprop.eye(0), np.eye(0)), (bprop.eye(3, k=-5), np.eye(3, k=-5)), (bprop.tri(3, 4, 1), np.tri(3, 4, 1)),
        (bprop.linspace(0, 1, 7), np.linspace(0, 1, 7)), (bprop.linspace(3.0, -2.0, 4, endpoint=False), np.linspace(3, -2, 4, False)),
        (bprop.linspace(1, 2, 1), np.linspace(1, 2, 1)), (bprop.linspace(1, 2, 0), np.linspace(1, 2, 0)),
        (bprop.linspace(0, 0.1, 11, dtype="float32"), np.linspace(0, 0.1, 11, dtype=np.float32)),
        (bprop.full_like(bprop.ones((2, 2)), 3), np.full((2, 2), 3.0)), (bprop.full_like(np.arange(2), 3), np.full(2, 3)),
        (bprop.empty((2, 1)), np.zeros((2, 1))), (bprop.empty_like(np.arange(3)), np.zeros(3, int)),
        (np.full_like(bprop.ones(2), 4.0), np.full(2, 4.0)), (np.empty_like(bprop.ones(2)), np.zeros(2)),
    ):  # fmt: skip
        assert ours.dtype == theirs.dtype
        assert_allclose(ours, theirs, rtol=1e-15)
    assert_array_equal(native(bprop.trace(lambda: bprop.eye(3, 2, k=-1))())()[0], np.eye(3, 2, -1))
    ends = bprop.jacobian(lambda a, b: bprop.linspace(a, b, 5), (0, 1))(0.5, 2.0)
    assert_allclose(ends[0], np.linspace(1, 0, 5), rtol=1e-15)
    assert_allclose(ends[1], np.linspace(0, 1, 5), rtol=1e-15)
    assert bprop.linspace(np.float32(0), 1, 3).dtype == np.float32


def test_questions_about_dtypes():
    x = bprop.ones(2, dtype="float32")
    assert bprop.result_type(x, np.float64) == np.float64
    assert np.result_type(x, 2.0) == bprop.result_type(x, 2) == np.float32
    assert bprop.result_type("int8", "uint8") == np.int16
    assert np.can_cast(x, np.float64)
    assert not bprop.can_cast(np.float64, np.int64)


def test_methods():
    x = bprop.asarray(X)
    for ours, theirs in (
        (x[:, :1].squeeze(), X[:, :1].squeeze()), (x.ravel(), X.ravel()), (x.flatten(), X.flatten()),
        (x.swapaxes(0, 1), X.swapaxes(0, 1)), (x.repeat(2, axis=1), X.repeat(2, axis=1)), (x.repeat(2), X.repeat(2)),
        (x.take([1, 0], axis=2), X.take([1, 0], axis=2)), (x.diagonal(), X.diagonal()), (x.copy(), X),
        (x.astype(np.float32, copy=False), X.astype(np.float32)),
    ):  # fmt: skip
        assert ours.dtype == theirs.dtype
        assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: bprop.concat([]), bprop.ArgumentError, r"concat: no arrays: at least one is needed"),
        (lambda: bprop.concat(3.0), bprop.ArgumentError, r"concat: a list or tuple of arrays, not float"),
        (lambda: bprop.concat("ab"), bprop.ArgumentError, r"concat: a list or tuple of arrays, not str"),
        (lambda: bprop.concat([1.0, 2.0]), bprop.ShapeError, r"concat: an array of shape \(\) has no axis.*bprop\.stack"),
        (lambda: bprop.concat([M, V]), bprop.ShapeError, r"concat: shapes \(3, 4\) and \(4,\) have different numbers of axes"),
        (lambda: bprop.concat([M, M.T]), bprop.ShapeError, r"\(3, 4\) and \(4, 3\) do not fit along axis 0: axis 1 has sizes 4 and 3"),
        (lambda: bprop.concat([M, M], axis=2), bprop.ShapeError, r"concat: axis 2 is out of range for an array of shape \(3, 4\)"),
        (lambda: bprop.concat([M, None]), bprop.ArgumentError, r"concat: an argument is NoneType"),
        (lambda: bprop.stack([M, V]), bprop.ShapeError, r"stack: shapes \(3, 4\) and \(4,\) differ"),
        (lambda: bprop.stack([V, V], axis=2), bprop.ShapeError, r"stack: axis 2 is out of range"),
        (lambda: bprop.unstack(1.0), bprop.ShapeError, r"unstack: an array of shape \(\)"),
        (lambda: bprop.unstack(M, axis=5), bprop.ShapeError, r"unstack: axis 5 is out of range for an array of shape \(3, 4\)"),
        (lambda: bprop.squeeze(M, axis=0), bprop.ShapeError, r"squeeze: axis 0 of shape \(3, 4\) has size 3, not 1"),
        (lambda: bprop.squeeze(M, axis=2), bprop.ShapeError, r"squeeze: axis 2 is out of range"),
        (lambda: bprop.expand_dims(M, axis=4), bprop.ShapeError, r"expand_dims: axis 4 is out of range"),
        (lambda: bprop.expand_dims(M, axis=(0, 0)), bprop.ShapeError, r"expand_dims: axis \(0, 0\) names an axis"),
        (lambda: bprop.flip(M, axis=2), bprop.ShapeError, r"flip: axis 2 is out of range"),
        (lambda: bprop.roll(M, 1.5, axis=0), bprop.ArgumentError, r"roll: a shift is an integer, not 1\.5"),
        (lambda: bprop.roll(M, (1, 2), axis=(0, 1, 1)), bprop.ArgumentError, r"roll: 2 shifts for 3 axes"),
        (lambda: bprop.roll(M, 1, axis=2), bprop.ShapeError, r"roll: axis 2 is out of range"),
        (lambda: bprop.repeat(V, -1), bprop.ArgumentError, r"repeat: repeats are non-negative integers"),
        (lambda: bprop.repeat(V, 1.5), bprop.ArgumentError, r"repeat: repeats are non-negative integers"),
        (lambda: bprop.repeat(V, [1, 2]), bprop.ShapeError, r"repeat: 2 repeats for axis 0 of shape \(4,\)"),
        (lambda: bprop.trace(bprop.repeat)(V, np.array([1, 2, 3, 0])), bprop.TracedValueError, r"repeat: the shape.*int64\[4\]"),
        (lambda: bprop.vmap(bprop.repeat)(M, np.ones((3, 4), int)), bprop.TracedValueError, r"repeat: the shape.*int64\[4\]"),
        (lambda: bprop.tile(V, -1), bprop.ShapeError, r"tile: a shape has no negative sizes"),
        (lambda: bprop.tile(V, 1.5), bprop.ShapeError, r"tile: a shape is made of integers"),
        (lambda: bprop.pad(V, -1), bprop.ArgumentError, r"pad: widths are not negative: -1"),
        (lambda: bprop.pad(V, 0.5), bprop.ArgumentError, r"pad: a width is an integer, not 0\.5"),
        (lambda: bprop.pad(V, ((1, 1), (1, 1))), bprop.ArgumentError, r"pad: pad_width is a number, a pair.*1 axes of shape \(4,\)"),
        (lambda: bprop.pad(V, (1, 2, 3)), bprop.ArgumentError, r"pad: pad_width is a number, a pair"),
        (lambda: bprop.pad(V, {3: 1}), bprop.ShapeError, r"pad: axis 3 is out of range"),
        (lambda: bprop.pad(V, 1, mode="mean"), bprop.ArgumentError, r"pad: mode 'mean' is none of constant, edge"),
        (lambda: bprop.pad(V, 1, mode="edge", constant_values=3), bprop.ArgumentError, r"constant_values are for mode 'constant'"),
        (lambda: bprop.pad(V[:0], 1, mode="wrap"), bprop.ShapeError, r"pad: axis 0 of shape \(0,\) is empty"),
        (
            lambda: bprop.grad(lambda V: bprop.sum(np.pad(V, 1, "edge", reflect_type="odd")))(V),
            bprop.ArgumentError,
            r"pad: mode 'edge' does not take reflect_type",
        ),
        (lambda: bprop.moveaxis(X, (0, 1), 2), bprop.ShapeError, r"moveaxis: source \(0, 1\) and destination 2"),
        (lambda: bprop.moveaxis(X, (0, 0), (1, 2)), bprop.ShapeError, r"each of them once"),
        (lambda: bprop.moveaxis(X, 3, 0), bprop.ShapeError, r"moveaxis: axis 3 is out of range"),
        (lambda: bprop.swapaxes(X, 3, 0), bprop.ShapeError, r"swapaxes: axis 3 is out of range"),
        (lambda: bprop.tril(1.0), bprop.ShapeError, r"tril: shape \(\) has 0 axes, a matrix has two"),
        (lambda: bprop.triu(1.0), bprop.ShapeError, r"triu: shape \(\) has 0 axes, a matrix has two"),
        (lambda: bprop.diagonal(V), bprop.ShapeError, r"diagonal: shape \(4,\) has 1 axes, a matrix has two"),
        (lambda: bprop.diag(X), bprop.ShapeError, r"diag: shape \(2, 3, 4\) is neither a vector nor a matrix"),
        (lambda: bprop.diagonal(X, 0, 1, 1), bprop.ShapeError, r"diagonal: axis 1 of shape \(2, 3, 4\) is named twice"),
        (lambda: bprop.split(V, 0), bprop.ArgumentError, r"split: 0 sections"),
        (lambda: bprop.split(V, "ab"), bprop.ArgumentError, r"split: sections are a number or a sequence of positions"),
        (lambda: bprop.split(V, 2, axis=1), bprop.ShapeError, r"split: axis 1 is out of range"),
        (lambda: np.split(bprop.asarray(V), 3), bprop.ShapeError, r"split: axis 0 of shape \(4,\) does not come out even in 3"),
        (lambda: bprop.eye(-1), bprop.ShapeError, r"eye: a shape has no negative sizes"),
        (lambda: bprop.linspace(0, 1, 2.5), bprop.ArgumentError, r"linspace: num is an integer, not 2\.5"),
        (lambda: bprop.linspace(0, 1, -1), bprop.ArgumentError, r"linspace: num is not negative"),
        (lambda: bprop.linspace(0, V, 3), bprop.ShapeError, r"linspace: start and stop are single numbers"),
        (lambda: bprop.linspace(0, 1, 3, dtype=int), bprop.DTypeError, r"linspace: int64 numbers cannot be spaced evenly"),
        (lambda: bprop.meshgrid(M), bprop.ShapeError, r"meshgrid: shape \(3, 4\) has 2 axes"),
        (lambda: bprop.meshgrid(V, indexing="a"), bprop.ArgumentError, r"meshgrid: indexing is 'xy' or 'ij'"),
        (lambda: bprop.broadcast_arrays(M, np.ones(3)), bprop.ShapeError, r"broadcast_arrays: shapes \(3, 4\) and \(3,\)"),
        (lambda: bprop.astype(V, int, copy="yes"), bprop.ArgumentError, r"astype: copy is True or False, not 'yes'"),
        (lambda: bprop.result_type(), bprop.ArgumentError, r"result_type: at least one"),
        (lambda: bprop.result_type("S3"), bprop.DTypeError, r"result_type: dtype"),
        (lambda: bprop.asarray([bprop.grad(lambda x: x)(1.0)] and [[1.0], [2.0, 3.0]]), bprop.ShapeError, r"asarray"),
        (lambda: bprop.grad(lambda x: bprop.sum(bprop.concat((x, np.ones((1, 1))))))(V), bprop.ShapeError, r"concat: shapes \(4,\)"),
        (lambda: bprop.vmap(lambda x: bprop.concat((x, np.ones((1, 1)))))(M), bprop.ShapeError, r"concat: shapes \(4,\) and \(1, 1\)"),
        (lambda: bprop.trace(lambda x: bprop.concat((x, M)))(V), bprop.ShapeError, r"concat: shapes \(4,\) and \(3, 4\)"),
    ],
)  # fmt: skip
def test_errors(call, kind, words):
    with pytest.raises(kind, match=words) as caught:
        call()
    assert "test_manipulation.py" in caught.value.line


def test_written_forms():
    graph = str(bprop.trace(lambda a, b: bprop.concat((a, b)))(V, V))
    assert "concat((x0, x1))" in graph
    assert r"\begin{bmatrix}" in bprop.expression(lambda a, b: bprop.concat((a, b)))(V, V).latex


def test_one_number_repeated_is_broadcast_without_a_copy():
    """What a sum sends back is a view of one number; `numpy.broadcast_to` takes longer."""
    number = np.broadcast_to(np.array(3.0), (4, 1))
    for x in (number, number[:, :1], number.reshape(2, 2, 1), np.broadcast_to(np.arange(2.0)[:, None], (2, 3))):
        for shape in ((*x.shape[:-1], 3), (2, *x.shape)):
            y = _repeated(x, shape)
            np.testing.assert_array_equal(y, np.broadcast_to(x, shape))
            assert not y.flags.writeable
            assert np.shares_memory(x, y)
