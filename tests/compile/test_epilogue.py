"""Maps that follow a contraction: computed on its blocks, with the bits of a program that computes them afterwards."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

import bprop
from bprop.compile.ir import blocking
from bprop.compile.llvm.host import parallel_threshold
from bprop.compile.passes import fuse_epilogues, pipeline, tile
from bprop.compile.passes.inline import inline
from bprop.compile.runtime.executable import Program
from support.profile import examples

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def always_in_blocks(monkeypatch):
    monkeypatch.setattr(tile, "SMALL", 0)
    monkeypatch.setattr(tile, "SMALL_TRANSPOSED", 0)


def normal(*shape, dtype=np.float32):
    return rng.normal(size=shape).astype(dtype)


def fused(f, *xs, donated=None):
    return Program(inline(bprop.trace(f)(*xs)), donated)


def apart(f, *xs, donated=None):
    """The program of ``f`` that computes every map on its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "fuse_epilogues", lambda kernels, *_: list(kernels))
        return Program(inline(bprop.trace(f)(*xs)), donated)


def outputs(made, xs):
    ys = [np.full(spec.shape, 7, spec.dtype) for spec in made.graph.specs]
    made([np.ascontiguousarray(x) for x in xs], ys)
    return ys


def same(f, *xs, kernels=None):
    """Assert that the maps make no difference where they are computed; return the fused program."""
    one, other = fused(f, *xs), apart(f, *xs)
    for y, expected in zip(outputs(one, xs), outputs(other, xs), strict=True):
        np.testing.assert_array_equal(y.view(f"V{y.itemsize}"), expected.view(f"V{y.itemsize}"))
    if kernels is not None:
        assert [kernel.kind for kernel in one.kernels] == kernels, one.kernels
    return one


def layer(x, w, b):
    return bprop.maximum(x @ bprop.matrix_transpose(w) + b, 0)


@pytest.mark.parametrize("shape", [(64, 48, 40), (5, 33, 7), (70, 300, 20)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f4", "f8"])
def test_layer(shape, dtype):
    m, n, k = shape
    x, w, b = normal(m, k, dtype=dtype), normal(n, k, dtype=dtype), normal(n, dtype=dtype)
    same(layer, x, w, b, kernels=["contract"])


@pytest.mark.parametrize("labels", ["ik,kj->ij", "ki,kj->ij", "ik,jk->ij", "ik,kj->ji", "ki,jk->ji", "bik,bkj->bij",
                                    "bik,kj->bij", "bik,kj->bji", "aik,bkj->aibj", "ikl,ljk->ij"])  # fmt: skip
def test_orders(labels):
    """Every operand that the maps read is met at its own place, whatever way the product goes."""
    sizes = {"a": 2, "b": 3, "i": 19, "j": 37, "k": 5, "l": 6}
    operands, result = labels.split("->")
    x1, x2 = (normal(*(sizes[c] for c in part)) for part in operands.split(","))
    shape = tuple(sizes[c] for c in result)
    around = [normal(*shape), normal(shape[-1]), normal(shape[-2], 1), normal(*shape).T.copy()]

    def f(x1, x2, whole, row, column, turned):
        y = bprop.einsum(labels, x1, x2)
        turned = bprop.permute_dims(turned, tuple(reversed(range(turned.ndim))))
        return bprop.where(whole > 0, bprop.tanh(y) * row, turned) + column

    same(f, x1, x2, *around, kernels=["contract"])


@pytest.mark.parametrize("shape", [(4, 5, 13), (20, 13), (260,)], ids=str)
def test_another_shape_in_the_same_order(shape):
    x, w, b = normal(20, 9), normal(9, 13), normal(shape[-1])
    same(lambda x, w, b: bprop.exp(bprop.reshape(x @ w, shape) * b), x, w, b, kernels=["contract"])


def test_a_map_elsewhere_stays_apart():
    """Mirrored, read both ways or summed, the result is read where it is not written."""
    x, w = normal(13, 9), normal(9, 13)
    for f in (
        lambda x, w: bprop.flip(x @ w) * 2,
        lambda x, w: x @ w + bprop.matrix_transpose(x @ w),
        lambda x, w: bprop.exp(x @ w) / bprop.sum(bprop.exp(x @ w), axis=1, keepdims=True),
    ):
        assert "map" in {kernel.kind for kernel in same(f, x, w).kernels}


def test_the_result_is_kept_where_it_is_needed():
    x, w = normal(21, 9), normal(9, 35)

    def f(x, w):
        y = x @ w
        z = bprop.maximum(y, 0)
        return y, z, bprop.sum(z, axis=0), bprop.matrix_transpose(y) @ z

    made = same(f, x, w)
    assert sorted(len(kernel.stored) for kernel in made.kernels) == [1, 1, 2]
    made = same(lambda x, w: bprop.maximum(x @ w, 0) * 2, x, w, kernels=["contract"])
    assert [edge.node.op.name for edge in made.kernels[0].stored] == ["multiply"]


def test_several_products_under_one_map():
    """The last takes the map and reads the others from memory."""
    x, h, u, v, b = normal(20, 9), normal(20, 12), normal(9, 33), normal(12, 33), normal(33)
    made = same(lambda x, h, u, v, b: bprop.tanh(x @ u + h @ v + b), x, h, u, v, b, kernels=["contract", "contract"])
    assert [len(kernel.nodes) for kernel in made.kernels] == [1, 4]


def test_a_map_that_waits_for_the_product_otherwise():
    """A path around the map: it needs a sum of what it would be computed with."""
    x, w = normal(20, 9), normal(9, 33)

    def f(x, w):
        y = x @ w
        return y - bprop.sum(y, axis=0)

    same(f, x, w, kernels=["contract", "reduce", "map"])


def test_listing_counts_what_is_fused():
    x, w, b = normal(20, 9), normal(9, 33), normal(33)
    (kernel,) = fused(lambda x, w, b: bprop.maximum(x @ w + b, 0), x, w, b).kernels
    assert kernel.flops == 2 * 20 * 9 * 33 + 2 * 20 * 33
    assert kernel.bytes == 4 * (20 * 9 + 9 * 33 + 33 + 20 * 33)
    assert str(kernel).endswith("matmul add maximum")


@pytest.mark.parametrize(
    "setting",
    [
        {"DEPTH": 8, "STREAM_DEPTH": 8, "WORKSPACE_BYTES": 1200, "UNPACKED_FRACTION": (1e9, 1e9)},
        {"DEPTH": 8, "STREAM_DEPTH": 8, "UNPACKED_FRACTION": (0, 0), "MACRO_TILE": (8, 16)},
        {"WORKSPACE_BYTES": 2400, "UNPACKED_FRACTION": (1e9, 1e9)},
        {"UNPACKED_FRACTION": (0, 1e9)},
        {"COLUMN_BLOCK_BYTES": 2400, "UNSPLIT_BYTES": 0, "MACRO_TILE": (8, 256), "UNPACKED_FRACTION": (1e9, 1e9)},
        {"COLUMN_BLOCK_BYTES": 2400, "UNSPLIT_BYTES": 0, "MACRO_TILE": (8, 256), "UNPACKED_FRACTION": (0, 1e9)},
        {"MIN_SPLIT_DEPTH": 4, "MIN_SPLITS": 2},
    ],
    ids=["parts", "direct", "groups", "half", "column blocks", "column blocks, half", "split sums"],
)
def test_blocks(monkeypatch, setting, agree):
    """Sums in parts, panels in parts, operands packed and not."""
    for name, value in setting.items():
        monkeypatch.setattr(blocking, name, value)
    for order in ("ik,kj->ij", "ki,jk->ji", "bik,bkj->bij", "bik,kj->bij", "ik,bkj->bij"):
        sizes = {"b": 3, "i": 41, "j": 70, "k": 29}
        operands, result = order.split("->")
        x, w = (normal(*(sizes[c] for c in part)) for part in operands.split(","))
        b = normal(sizes[result[-1]])

        def f(x, w, b, order=order):
            return bprop.maximum(bprop.einsum(order, x, w) + b, 0)

        agree(f, x, w, b, terms=29, scale=4.0)


def update(g, p, m, v, rate):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    return p - rate * m / (bprop.sqrt(v) + 1e-8), m, v


@pytest.mark.parametrize("shape", [(32, 48, 64), (19, 7, 35)], ids=str)
def test_update_in_place(shape):
    """The gradient is nowhere; weights and moments change where they lie, after the last who reads the weights."""
    batch, outs, ins = shape
    dy, x = normal(batch, outs), normal(batch, ins)
    p, m, v = normal(outs, ins), normal(outs, ins), abs(normal(outs, ins))
    rate = np.float32(0.01)

    def step(dy, x, p, m, v, rate):
        dx = dy @ p
        return dx, *update(bprop.matrix_transpose(dy) @ x, p, m, v, rate)

    def reversed_step(dy, x, p, m, v, rate):
        g = bprop.matrix_transpose(dy) @ x
        new = update(g, p, m, v, rate)
        return dy @ p, *new

    for f in (step, reversed_step):
        made = fused(f, dy, x, p, m, v, np.asarray(rate), donated={1: 2, 2: 3, 3: 4})
        assert [kernel.kind for kernel in made.kernels] == ["contract", "contract"]
        assert sorted(made.memory.in_place) == [1, 2, 3]
        assert made.memory.size < p.nbytes + 4 * (dy.size + x.size) + 2048  # no room for a gradient beside panels
        expected = outputs(apart(f, dy, x, p, m, v, np.asarray(rate)), [dy, x, p, m, v, np.asarray(rate)])
        old = [one.copy() for one in (p, m, v)]
        dx = np.empty_like(x)
        made([dy, x, *old, np.asarray(rate)], [dx, *old])
        for y, e in zip((dx, *old), expected, strict=True):
            np.testing.assert_array_equal(y, e)


@pytest.mark.parametrize(("threshold", "prefetches"), [(0, True), (2**30, False)])
@pytest.mark.parametrize("shape", [(32, 48, 64), (19, 7, 35)], ids=str)
def test_operands_larger_than_the_cache_are_prefetched(monkeypatch, shape, threshold, prefetches):
    """Weights and both moments are prefetched while the product is computed; nothing else is, and no bit changes."""
    monkeypatch.setattr(fuse_epilogues, "PREFETCH_BYTES", threshold)
    batch, outs, ins = shape
    dy, x = normal(batch, outs), normal(batch, ins)
    p, m, v, row = normal(outs, ins), normal(outs, ins), abs(normal(outs, ins)), normal(ins)

    def f(dy, x, p, m, v, row):
        return update(bprop.matrix_transpose(dy) @ x + row, p, m, v, 0.01)

    made = same(f, dy, x, p, m, v, row, kernels=["contract"])
    (epilogue,) = [kernel.epilogue for kernel in made.kernels if kernel.epilogue]
    assert len(epilogue.prefetched) == (3 if prefetches else 0)
    assert ("prefetch" in str(made._emitted())) == prefetches


def test_weights_that_the_product_itself_reads_are_not_overwritten():
    p = normal(24, 24)
    made = fused(lambda p: p - 0.1 * (p @ p), p, donated={0: 0})
    assert made.memory.in_place == ()
    y = p.copy()
    made([y], [y])
    np.testing.assert_array_equal(y, outputs(apart(lambda p: p - 0.1 * (p @ p), p), [p])[0])


def test_an_old_value_read_elsewhere_is_not_overwritten_early():
    """Entry (i, j) of the update reads entry (j, i) of what it replaces."""
    p, x = normal(24, 24), normal(24, 24)

    def f(p, x):
        return bprop.matrix_transpose(p) + x @ x

    made = fused(f, p, x, donated={0: 0})
    assert made.memory.in_place == ()
    y = p.copy()
    made([y, x], [y])
    np.testing.assert_array_equal(y, outputs(apart(f, p, x), [p, x])[0])


STEPS = {
    "matmul": lambda x, y: x @ y / 24,
    "turned": lambda x, y: bprop.matrix_transpose(x) @ y / 24,
    "add": lambda x, y: x + y,
    "multiply": lambda x, y: x * y / 4,
    "maximum": bprop.maximum,
    "where": lambda x, y: bprop.where(x > 0, y, 1),
    "row": lambda x, y: x + y[0],
    "column": lambda x, y: x - y[:, :1],
    "transpose": lambda x, y: bprop.matrix_transpose(x) + y,
    "sum": lambda x, y: x + bprop.sum(y, axis=1, keepdims=True) / 24,
}


@st.composite
def programs(draw):
    """Steps on a list of arrays 24 × 24: products and maps of earlier results; which of them are wanted."""
    steps = []
    for number in range(draw(st.integers(2, 8))):
        a, b = (draw(st.integers(0, 2 + number)) for _ in range(2))
        steps.append((draw(st.sampled_from(list(STEPS))), a, b))
    return steps, draw(st.lists(st.integers(0, len(steps) - 1), min_size=1, max_size=3))


def perform(steps, kept, *xs):
    known = list(xs)
    for name, a, b in steps:
        known.append(STEPS[name](known[a], known[b]))
    return [known[len(xs) + one] for one in kept]


@given(programs(), st.booleans())
@examples(12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_graphs(drawn, donate):
    """The bits of the same program without fusion, also where outputs replace inputs."""
    steps, kept = drawn
    xs = [np.random.default_rng(n).uniform(-1, 1, (24, 24)).astype(np.float32) for n in range(3)]

    def f(*xs):
        return perform(steps, kept, *xs)

    expected = outputs(apart(f, *xs), xs)
    donated = {n: n for n in range(len(kept))} if donate else {}
    made = fused(f, *xs, donated=donated)
    old = [x.copy() for x in xs]
    ys = [old[n] if donate else np.empty_like(xs[0]) for n in range(len(kept))]
    made(old, ys)
    for y, e in zip(ys, expected, strict=True):
        np.testing.assert_array_equal(y, e)


def test_threads_share_blocks(monkeypatch):
    """The same bits for any number of threads, with several macro tiles, blocks and groups for each."""
    monkeypatch.setattr(blocking, "MACRO_TILE", (8, 16))
    cases = [
        (layer, normal(41, 29), normal(70, 29), normal(70)),
        (lambda x, w, b: bprop.tanh(x @ w + b), normal(3, 41, 29), normal(3, 29, 20), normal(20)),
        (lambda dy, x, p: p - 0.1 * (bprop.matrix_transpose(dy) @ x), normal(17, 40), normal(17, 50), normal(40, 50)),
    ]
    before = bprop.get_threads()
    for workspace, column_block, unsplit in (
        (blocking.WORKSPACE_BYTES, blocking.COLUMN_BLOCK_BYTES, blocking.UNSPLIT_BYTES),
        (2800, 2800, 0),
        (2**22, 2800, 0),
    ):
        for name, value in (
            ("WORKSPACE_BYTES", workspace),
            ("COLUMN_BLOCK_BYTES", column_block),
            ("UNSPLIT_BYTES", unsplit),
        ):
            monkeypatch.setattr(blocking, name, value)
        for f, *xs in cases:
            try:
                bprop.set_threads(1)
                (expected,) = outputs(fused(f, *xs), xs)
                with parallel_threshold(0):
                    made = fused(f, *xs)
                assert made.lowered.schedule.is_parallel
                bprop.set_threads(3)
                for _ in range(10):
                    np.testing.assert_array_equal(outputs(made, xs)[0], expected)
            finally:
                bprop.set_threads(before)


def test_threads_share_a_split_sum(monkeypatch):
    """The same bits for any number of threads: the parts of the sum are those of the shape."""
    for name, value in {"MIN_SPLIT_DEPTH": 4, "MIN_SPLITS": 2}.items():
        monkeypatch.setattr(blocking, name, value)

    def f(dy, x, p):
        return p - 0.1 * (bprop.matrix_transpose(dy) @ x)

    xs = normal(70, 19), normal(70, 35), normal(19, 35)
    before = bprop.get_threads()
    try:
        bprop.set_threads(1)
        (expected,) = outputs(fused(f, *xs), xs)
        with parallel_threshold(0):
            made = fused(f, *xs)
        (kernel,) = made.lowered.kernels
        assert kernel.contraction.blocking.splits > 3
        for threads in (1, 2, 3):
            bprop.set_threads(threads)
            for _ in range(10):
                np.testing.assert_array_equal(outputs(made, xs)[0], expected)
    finally:
        bprop.set_threads(before)


def test_targets(target, agree):
    x, w, b = normal(41, 29), normal(70, 29), normal(70)
    agree(layer, x, w, b, terms=29, scale=4.0)
    agree(
        lambda x, w: bprop.tanh(bprop.einsum("ki,kj->ji", x, w)) * 2, normal(6, 41), normal(6, 33), terms=6, scale=4.0
    )


def test_what_is_replaced_is_read_once_when_the_sum_is_complete(monkeypatch):
    monkeypatch.setattr(blocking, "DEPTH", 8)
    monkeypatch.setattr(blocking, "STREAM_DEPTH", 8)
    p, x, w = normal(19, 33), normal(19, 29), normal(29, 33)

    def f(p, x, w):
        return p - 0.1 * (x @ w)

    made = fused(f, p, x, w, donated={0: 0})
    assert made.memory.in_place == (0,)
    y = p.copy()
    made([y, x, w], [y])
    np.testing.assert_array_equal(y, outputs(apart(f, p, x, w), [p, x, w])[0])


def test_an_update_waits_for_what_reads_the_old_value_through_a_view():
    p, dy, x = normal(24, 24), normal(10, 24), normal(10, 24)

    def f(p, dy, x):
        return p - 0.1 * (bprop.matrix_transpose(dy) @ x), bprop.cumulative_sum(bprop.reshape(p, (576,)), axis=0)

    made = fused(f, p, dy, x, donated={0: 0})
    assert made.memory.in_place == (0,)
    expected, old = outputs(apart(f, p, dy, x), [p, dy, x]), p.copy()
    ys = [old, np.empty(576, np.float32)]
    made([old, dy, x], ys)
    for y, e in zip(ys, expected, strict=True):
        np.testing.assert_array_equal(y, e)


# --- after reductions ---
AXES = [None, 0, 1, (0, 2)]


def statistics(x, b, axis):
    """A mean, and what is made of a second sum and of an operand that the reduction does not read."""
    mean = bprop.mean(x, axis=axis)
    spread = bprop.sqrt(bprop.sum(x * x, axis=axis) / 7 + 1e-5)
    return mean, spread * b, 1 / spread


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f4", "f8"])
@pytest.mark.parametrize("axis", AXES, ids=str)
def test_maps_follow_reductions(axis, dtype):
    x = normal(5, 9, 33, dtype=dtype)
    b = normal(*np.sum(x, axis=axis).shape, dtype=dtype)
    same(lambda x, b: statistics(x, b, axis), x, b, kernels=["reduce", "reduce"])


def test_reductions_with_several_states_and_none_at_all():
    x = normal(6, 40)
    same(lambda x: bprop.logsumexp(x, axis=1) * 2, x)
    same(lambda x: bprop.max(x, axis=0) + 1, x, kernels=["reduce"])
    same(lambda x: bprop.sum(x, axis=1) + 1, normal(6, 0), kernels=["reduce"])
    same(lambda x: bprop.sum(x, axis=1) + 1, normal(0, 6), kernels=["reduce"])


def test_a_map_that_reads_the_result_elsewhere_stays_apart():
    x = normal(6, 6)
    same(lambda x: bprop.sum(x, axis=1)[::-1] * 2, x, kernels=["reduce", "map"])
    same(lambda x: x - bprop.sum(x, axis=1), x, kernels=["reduce", "map"])


def test_of_two_sums_the_last_takes_the_map():
    x, y = normal(30, 6), normal(30, 6)
    made = same(lambda x, y: bprop.sum(x, axis=0) / bprop.sum(y, axis=0), x, y, kernels=["reduce", "reduce"])
    assert [len(kernel.nodes) for kernel in made.kernels] == [1, 2]


@pytest.mark.parametrize("axis", [0, 1])
def test_a_bias_is_updated_where_it_lies_by_the_sum_that_is_its_gradient(axis):
    dy = normal(40, 40)
    b, m, v = normal(40), normal(40), abs(normal(40))
    rate = np.asarray(0.01, np.float32)

    def step(dy, b, m, v, rate):
        return update(bprop.sum(dy, axis=axis), b, m, v, rate)

    made = fused(step, dy, b, m, v, rate, donated={0: 1, 1: 2, 2: 3})
    assert [kernel.kind for kernel in made.kernels] == ["reduce"]
    assert sorted(made.memory.in_place) == [0, 1, 2]
    expected = outputs(apart(step, dy, b, m, v, rate), [dy, b, m, v, rate])
    new = [x.copy() for x in (b, m, v)]
    made([dy, *new, rate], new)
    for y, e in zip(new, expected, strict=True):
        np.testing.assert_array_equal(y, e)


@pytest.mark.parametrize(("axis", "in_place"), [(0, True), (1, False)])
def test_what_a_sum_reads_is_overwritten_only_where_it_is_read_at_its_own_place(axis, in_place):
    x, b = normal(40, 40), normal(40)
    f = lambda x, b: b - bprop.sum(x * b, axis=axis)
    made = fused(f, x, b, donated={0: 1})
    assert (made.memory.in_place == (0,)) == in_place
    (expected,), new = outputs(apart(f, x, b), [x, b]), b.copy()
    made([x, new], [new])
    np.testing.assert_array_equal(new, expected)


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_threads_share_reductions_and_their_maps(axis, monkeypatch):
    x = normal(37, 65, 41)
    b = normal(*np.sum(x, axis=axis).shape)
    before = bprop.get_threads()
    try:
        with parallel_threshold(0):
            bprop.set_threads(1)
            made = fused(lambda x, b: statistics(x, b, axis), x, b)
            expected = outputs(made, [x, b])
            for threads in (2, 3):
                bprop.set_threads(threads)
                for y, e in zip(outputs(made, [x, b]), expected, strict=True):
                    np.testing.assert_array_equal(y, e)
    finally:
        bprop.set_threads(before)
