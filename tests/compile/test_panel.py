"""Large contractions in packed panels: every shape of edge, every order of axes, sums longer than one block."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bprop
from bprop.compile import native
from bprop.compile.ir import blocking
from bprop.compile.ir.blocking import STREAM_DEPTH
from bprop.compile.passes import tile
from bprop.compile.passes.inline import inline
from bprop.compile.runtime.executable import Program
from support.profile import examples

ORDERS = [(a, b, y) for a, b, y in itertools.product(("ik", "ki"), ("kj", "jk"), ("ij", "ji"))]


def assert_within_rounding(y, x1, x2, labels):
    """Within the rounding of a sum of that many products, each as large as the largest."""
    wide = [x.astype(np.longdouble) for x in (x1, x2)]
    expected = np.einsum(labels, *wide)
    bound = np.einsum(labels, *(np.abs(x) for x in wide)) * np.finfo(y.dtype).eps
    depth = max(x1.size, x2.size)  # a bound on the number of terms
    assert (np.abs(np.asarray(y) - expected) <= bound * np.sqrt(depth) + 1e-30).all()


def product(labels, x1, x2):
    return native(bprop.trace(lambda a, b: bprop.einsum(labels, a, b))(x1, x2))(x1, x2)


@pytest.fixture(autouse=True)
def always_in_panels(monkeypatch):
    monkeypatch.setattr(tile, "SMALL", 0)
    monkeypatch.setattr(tile, "SMALL_TRANSPOSED", 0)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@examples(6)
@given(
    rows=st.integers(3, 40), columns=st.integers(3, 70), depth=st.integers(1, 50),
    dtype=st.sampled_from([np.float32, np.float64]), seed=st.integers(0, 9),
)  # fmt: skip
def test_edges(order, rows, columns, depth, dtype, seed):
    sizes = {"i": rows, "j": columns, "k": depth}
    rng = np.random.default_rng(seed)
    x1, x2 = (rng.normal(size=[sizes[label] for label in labels]).astype(dtype) for labels in order[:2])
    labels = f"{order[0]},{order[1]}->{order[2]}"
    (y,) = product(labels, x1, x2)
    assert_within_rounding(y, x1, x2, labels)


@pytest.mark.parametrize("depth", [STREAM_DEPTH - 1, STREAM_DEPTH, STREAM_DEPTH + 1, 2 * STREAM_DEPTH + 17])
def test_sums_longer_than_a_block(depth):
    rng = np.random.default_rng(0)
    x1, x2 = rng.normal(size=(9, depth)).astype(np.float32), rng.normal(size=(depth, 35)).astype(np.float32)
    (y,) = product("ik,kj->ij", x1, x2)
    assert_within_rounding(y, x1, x2, "ik,kj->ij")


@pytest.mark.parametrize("depth", [17, 100])
@pytest.mark.parametrize("labels", ["ik,kj->ij", "ki,kj->ji", "bik,kj->bij", "ikl,klj->ij", "kli,jlk->ji"])
def test_split_sums(labels, depth, monkeypatch):
    """Each part has panels and a result of its own; the last may be shorter, and a part may take several blocks."""
    for name, value in {"MIN_SPLIT_DEPTH": 1, "DEPTH": 8, "STREAM_DEPTH": 8, "UNPACKED_FRACTION": (1e9, 1e9)}.items():
        monkeypatch.setattr(blocking, name, value)
    sizes = {"b": 3, "i": 19, "j": 35, "k": depth, "l": 3}
    rng = np.random.default_rng(0)
    x1, x2 = (rng.normal(size=[sizes[c] for c in part]).astype(np.float32) for part in labels.split("->")[0].split(","))
    program = Program(inline(bprop.trace(lambda a, b: bprop.einsum(labels, a, b))(x1, x2)))
    assert program.kernels[0].contraction.blocking.splits > 1 or depth < 32 or labels == "kli,jlk->ji"
    y = np.empty([sizes[c] for c in labels.split("->")[1]], np.float32)
    program([x1, x2], [y])
    assert_within_rounding(y, x1, x2, labels)


@pytest.mark.parametrize("unpacked", [0, 1e9], ids=["in place", "packed"])
@pytest.mark.parametrize("split", [1, 10**6], ids=["split", "whole"])
@pytest.mark.parametrize("labels", ["ikl,klj->ij", "kilm,kljm->ij", "bkil,klj->bji"])
def test_blocks_cut_the_second_summed_label(labels, split, unpacked, monkeypatch):
    for name, value in {"MIN_SPLIT_DEPTH": split, "DEPTH": 8, "STREAM_DEPTH": 8}.items():
        monkeypatch.setattr(blocking, name, value)
    monkeypatch.setattr(blocking, "UNPACKED_FRACTION", (unpacked, unpacked))
    sizes = {"b": 2, "i": 19, "j": 35, "k": 7, "l": 12, "m": 2}
    rng = np.random.default_rng(0)
    x1, x2 = (rng.normal(size=[sizes[c] + 1 for c in part]) for part in labels.split("->")[0].split(","))
    inside = [tuple(slice(sizes[c]) for c in part) for part in labels.split("->")[0].split(",")]  # steps do not merge

    def f(a, b):
        return bprop.einsum(labels, a[inside[0]], b[inside[1]])

    program = Program(inline(bprop.trace(f)(x1, x2)))
    (plan,) = [kernel.contraction.blocking for kernel in program.kernels if kernel.contraction]
    assert [label.extent for label in plan.cuts] == [7, 3 if "m" in labels else 2]
    y = np.empty([sizes[c] for c in labels.split("->")[1]])
    program([x1, x2], [y])
    assert_within_rounding(y, x1[inside[0]], x2[inside[1]], labels)


def test_a_long_sum_with_a_small_result_is_split():
    x1, x2 = np.ones((16, 8, 512), np.float32), np.ones((16, 8, 512), np.float32)
    program = Program(inline(bprop.trace(lambda a, b: bprop.einsum("kil,kjl->ij", a, b))(x1, x2)))
    assert program.kernels[0].contraction.blocking.splits == 16


@pytest.mark.parametrize("labels", ["bik,bkj->bij", "bik,kj->bij", "ikl,klj->ij", "ikl,lkj->ij", "aik,bkj->abij"])
def test_batches_and_several_summed_labels(labels):
    sizes = {"a": 2, "b": 3, "i": 9, "j": 37, "k": 5, "l": 6}
    rng = np.random.default_rng(0)
    x1, x2 = (rng.normal(size=[sizes[c] for c in part]) for part in labels.split("->")[0].split(","))
    (y,) = product(labels, x1, x2)
    assert_within_rounding(y, x1, x2, labels)


def test_not_a_number_stays_in_its_row_and_column():
    """The padding of panels is zeros, and zero times infinity must not reach the result."""
    x1, x2 = np.ones((9, 5)), np.ones((5, 33))
    x1[8, 4], x2[4, 32] = np.inf, np.nan
    y = np.asarray(product("ik,kj->ij", x1, x2)[0])
    assert np.isnan(y[:, 32]).all()
    assert np.isinf(y[8, :32]).all()
    assert (y[:8, :32] == 5).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_operand_whose_steps_share_cache_sets_is_packed_and_keeps_its_bits(dtype):
    """Multiples of 2 KB between the steps of a sum: read in place they push each other out of the nearest cache."""
    width = 2048 // np.dtype(dtype).itemsize
    rng = np.random.default_rng(0)
    x1, x2 = rng.normal(size=(40, width + 8)).astype(dtype), rng.normal(size=(40, 64)).astype(dtype)
    aligned, apart = (
        Program(inline(bprop.trace(f)(a, x2)))
        for f, a in ((lambda a, b: a.T @ b, x1[:, :width].copy()), (lambda a, b: a[:, :width].T @ b, x1))
    )
    packed, read = (
        next(kernel.contraction.blocking for kernel in program.kernels if kernel.contraction is not None)
        for program in (aligned, apart)
    )
    assert packed.packs[packed.swapped]
    assert not read.packs[read.swapped]
    y, other = (np.empty((width, 64), dtype) for _ in range(2))
    aligned([x1[:, :width].copy(), x2], [y])
    apart([x1, x2], [other])
    assert np.array_equal(y, other)
