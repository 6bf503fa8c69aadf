"""Convolutions in native code: layouts, runs of the micro-kernel, gathers, against the ops as NumPy computes them.

Planted and caught: a leap of the wrong operand; ceil for floor in where the entries of `embed` wrap; taps read in the other
order; the batch taken for a channel in `_orders`; a reduction that forgets its outer axes.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bprop
import bprop.core.tree
from bprop.compile.ir.target import PARALLEL_THRESHOLD
from bprop.compile.llvm.host import parallel_threshold
from bprop.ops.indexing import embed_op, slice_op
from support.profile import examples

numbers = st.integers


@st.composite
def convolutions(draw):
    """Draw shapes and settings: both sides of the number of examples from which on they lie innermost, edges of tiles."""
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    channels, outputs = groups * draw(numbers(1, 5)), groups * draw(st.sampled_from([1, 3, 9, 17]))
    taps = draw(st.tuples(numbers(1, 3), numbers(1, 3)))
    settings = {
        "stride": draw(st.tuples(numbers(1, 3), numbers(1, 2))),
        "padding": draw(st.tuples(st.tuples(numbers(0, 2), numbers(0, 2)), st.tuples(numbers(0, 3), numbers(0, 1)))),
        "dilation": draw(st.tuples(numbers(1, 2), numbers(1, 2))),
        "groups": groups,
        "layout": draw(st.sampled_from(["NCHW", "NHWC"])),
    }
    size = (draw(numbers(5, 9)), draw(numbers(5, 8)))
    count = draw(st.sampled_from([1, 3, 8, 19, 33]))
    shape = (count, channels, *size) if settings["layout"] == "NCHW" else (count, *size, channels)
    return shape, (outputs, channels // groups, *taps), settings, draw(st.sampled_from(["float32", "float64"]))


@given(convolutions(), numbers(0, 2**32))
@examples(24)
def test_compiled_convolutions_agree_with_numpys(drawn, seed):
    shape, weights, settings, dtype = drawn
    rng = np.random.default_rng(seed)
    x, W = rng.normal(size=shape).astype(dtype), rng.normal(size=weights).astype(dtype)
    y_bar = rng.normal(size=bprop.conv(x, W, **settings).shape).astype(dtype)

    def both(x, W, y_bar):
        y, pullback = bprop.vjp(lambda x, W: bprop.conv(x, W, **settings), x, W)
        return y, pullback(y_bar)

    tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
    for got, expected in zip(
        *(bprop.core.tree.flatten(f(x, W, y_bar))[0] for f in (bprop.compile(both), both)), strict=True
    ):
        scale = max(np.abs(np.asarray(expected)).max(), 1)
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)


def network(x, W1, W2, b):
    x = bprop.max_pool(bprop.maximum(bprop.conv(x, W1, padding=1) + b[:, None, None], 0), 2)
    x = bprop.conv(x, W2, padding=1, stride=2)
    return bprop.avg_pool(x, 2)


def operands(count, dtype="float64"):
    rng = np.random.default_rng(count)
    shapes = (count, 3, 16, 16), (24, 3, 3, 3), (16, 24, 3, 3), (24,)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("count", [2, 8, 20])
def test_second_order_and_batches_of_a_network(count):
    xs = operands(count)

    def loss(W1, x):
        return bprop.sum(network(x, W1, *xs[2:]) ** 2)

    v = np.ones_like(xs[1])
    product = bprop.hvp(lambda W1: loss(W1, xs[0]), (xs[1],), (v,))
    compiled = bprop.compile(lambda W1, v: bprop.hvp(lambda W1: loss(W1, xs[0]), (W1,), (v,)))(xs[1], v)
    np.testing.assert_allclose(compiled, product, rtol=1e-9, atol=1e-9 * np.abs(np.asarray(product)).max())
    one_by_one = np.stack([np.asarray(bprop.grad(loss)(xs[1], x[None])) for x in xs[0]])
    mapped = bprop.compile(bprop.vmap(lambda x: bprop.grad(loss)(xs[1], x[None])))(xs[0])
    np.testing.assert_allclose(mapped, one_by_one, rtol=1e-9, atol=1e-9 * np.abs(one_by_one).max())


@pytest.mark.parametrize("count", [3, 20])
def test_any_number_of_threads_gives_the_same_bits(count):
    xs = operands(count, "float32")
    before = bprop.get_threads()
    results = set()
    with parallel_threshold(0):
        gradient = bprop.compile(bprop.grad(lambda *xs: bprop.sum(network(*xs) ** 2), argnums=(0, 1, 2, 3)))
        try:
            for threads in (1, 2, 3, 5):
                bprop.set_threads(threads)
                results.add(b"".join(np.asarray(bar).tobytes() for bar in gradient(*xs)))
        finally:
            bprop.set_threads(before)
    assert len(results) == 1
    assert PARALLEL_THRESHOLD > 0


def test_images_are_moved_where_they_come_in_and_nowhere_else():
    xs = operands(16, "float32")
    step = bprop.compile(bprop.grad(lambda W2, *xs: bprop.sum(network(xs[0], xs[1], W2, xs[2])), argnums=0))
    step(xs[2], xs[0], xs[1], xs[3])
    moves = [kernel for kernel in str(step.kernels).split("\n") if "permute_dims" in kernel and " map " in kernel]
    # x with its padding, and the gradient of the weights
    assert [("embed" in kernel, "16×24×3×3" in kernel) for kernel in moves] == [(True, False), (False, True)], moves


@pytest.mark.parametrize(
    "slices",
    [
        ((2, 3, 2), (0, 4, 1)),
        ((6, 4, -2), (0, 4, 1)),
        ((0, 9, 1), (0, 4, 1)),
        ((8, 1, 1), (0, 4, 1)),
        ((4, 3, -1), (0, 4, 1)),
    ],
)
def test_entries_put_apart_are_gathered(slices):
    x = np.arange(1.0, 4 * slices[0][1] + 1).reshape(slices[0][1], 4)
    f = bprop.compile(lambda x: embed_op(x, shape=(9, 4), slices=slices))
    np.testing.assert_array_equal(f(x), embed_op(x, shape=(9, 4), slices=slices))
    assert "scatter" not in str(f.kernels)
    np.testing.assert_array_equal(slice_op(f(x), slices=slices), x)


@pytest.mark.parametrize(("size", "stride", "dilation"), [(9, 1, 1), (11, 2, 1), (16, 3, 1), (9, 2, 2)])
@pytest.mark.parametrize("pool", ["max", "avg"])
def test_pooling_over_long_windows(size, stride, dilation, pool):
    """Windows longer than the number of slices go by doubling."""
    x = np.random.default_rng(size).normal(size=(2, 40))
    reach = (size - 1) * dilation + 1
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, axis=1)[:, ::stride, ::dilation]
    if pool == "max":

        def f(x):
            return bprop.max_pool(x, size, stride, dilation=dilation, layout="NCL")

        expected, weights = windows.max(-1), windows == windows.max(-1, keepdims=True)
    elif dilation > 1:
        return
    else:

        def f(x):
            return bprop.avg_pool(x, size, stride, layout="NCL")

        expected, weights = windows.mean(-1), np.full(windows.shape, 1 / size)
    x_bar = np.zeros_like(x)
    for i in range(windows.shape[1]):
        x_bar[:, i * stride : i * stride + reach : dilation] += weights[:, i]
    for transform in (lambda f: f, bprop.compile):
        np.testing.assert_allclose(transform(f)(x), expected, rtol=1e-12)
        np.testing.assert_allclose(transform(bprop.grad(lambda x: bprop.sum(f(x))))(x), x_bar, rtol=1e-12, atol=1e-14)


def test_the_first_of_equally_large_entries_has_the_derivative():
    x = np.array([[1.0, 2.0, 2.0, np.nan, 0.0, 0.0]])
    np.testing.assert_array_equal(bprop.max_pool(x, 2, layout="NCL"), [[2.0, np.nan, 0.0]])
    x_bar = bprop.grad(lambda x: bprop.sum(bprop.max_pool(x, 2, layout="NCL")))(x)
    np.testing.assert_array_equal(x_bar, [[0.0, 1.0, 0.0, 1.0, 1.0, 0.0]])


FOLLOWERS = {
    "reduction that keeps its axes": lambda y: y - bprop.mean(y, axis=(1, 3), keepdims=True),
    "contraction": lambda y: bprop.einsum("nchw,hk->ncwk", y, np.arange(10.0).reshape(5, 2)),
    "contraction of two": lambda y: bprop.einsum("nchw,nkhw->ck", y, bprop.exp(y)),
    "broadcast": lambda y: y * bprop.broadcast_to(bprop.sum(y, axis=2, keepdims=True), y.shape),
    "broadcast against more": lambda y: bprop.max(y, axis=0, keepdims=True) + y,
}


@pytest.mark.parametrize("name", FOLLOWERS)
@pytest.mark.parametrize("count", [2, 8])
def test_what_follows_a_convolution_in_another_order_of_axes(name, count):
    """All axes have sizes of their own, so that none is taken for another."""
    rng = np.random.default_rng(count)
    x, W = rng.normal(size=(count, 2, 7, 6)), rng.normal(size=(3, 2, 3, 3))
    f = lambda x, W: FOLLOWERS[name](bprop.conv(x, W))
    np.testing.assert_allclose(bprop.compile(f)(x, W), f(x, W), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("count", [8, 64])
def test_sums_over_examples_and_pixels_go_in_parts(count, keepdims):
    """Rows of pixels first where they are long. Planted: what is left to do not renumbered; the innermost axes always first."""
    random = np.random.default_rng(0)
    x, W = random.standard_normal((count, 3, 9, 10)), random.standard_normal((4, 3, 2, 2))
    axes = (0, 2, 3)

    def f(x, W):
        y = bprop.conv(x, W)
        return bprop.sum(y, axis=axes, keepdims=keepdims), bprop.max(y * y, axis=axes, keepdims=keepdims)

    run = bprop.compile(f)
    for y, expected in zip(run(x, W), f(x, W), strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-12)
    loops = [line.split("reduce")[1].split()[0] for line in str(run.kernels).split("\n") if " reduce " in line]
    rows_first, examples_first = (f"8×1×4×{count}", "8×9×4×1") if keepdims else (f"8×4×{count}", "8×9×4")
    rest = examples_first if 4 * count < 64 else rows_first
    assert sorted(loops) == sorted(2 * [f"8×9×4×{count}", rest])


@pytest.mark.parametrize("dtype", [np.int8, np.int32])
def test_padding_is_never_the_largest_of_integers(dtype):
    x = np.array([[-3, -5, -2, -7]], dtype)
    y = bprop.max_pool(x, 2, padding=1, layout="NCL")
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, [[-3, -2, -7]])
