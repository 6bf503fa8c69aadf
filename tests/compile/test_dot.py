"""A matrix times a vector or two, along its rows: every edge, any outer labels, the same bits for any number of threads."""

import numpy as np
import pytest

import bprop
from bprop.compile.llvm.host import TARGETS, generate_for, parallel_threshold
from bprop.compile.passes.inline import inline
from bprop.compile.runtime.executable import Program
from bprop.core.error import ArgumentError

rng = np.random.default_rng(0)


def program(labels, *xs):
    return Program(inline(bprop.trace(lambda a, b: bprop.einsum(labels, a, b))(*xs)))


def result(made, xs):
    (y,) = (np.full(spec.shape, 7, spec.dtype) for spec in made.graph.specs)
    made(list(xs), [y])
    return y


def operands(labels, sizes, dtype):
    return [rng.normal(size=[sizes[c] for c in part]).astype(dtype) for part in labels.split("->")[0].split(",")]


def check(labels, sizes, dtype=np.float32):
    xs = operands(labels, sizes, dtype)
    made = program(labels, *xs)
    (plan,) = [kernel.contraction for kernel in made.kernels if kernel.contraction]
    assert plan.dots
    wide = [x.astype(np.longdouble) for x in xs]
    bound = np.einsum(labels, *map(np.abs, wide)) * np.finfo(dtype).eps
    assert (np.abs(result(made, xs) - np.einsum(labels, *wide)) <= 16 * bound).all()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f4", "f8"])
@pytest.mark.parametrize("extents", [(2, 16), (7, 17), (8, 31), (9, 32), (40, 100)], ids=str)
def test_edges(extents, dtype, target):
    try:
        with generate_for(target):
            check("ij,j->i", {"i": extents[0], "j": extents[1]}, dtype)
    except ArgumentError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "labels", ["ij,j->i", "j,ij->i", "rj,ij->ri", "rj,ij->ir", "bij,bj->bi", "bij,bj->ib", "ijk,jk->i", "ikj,jk->i", "rj,cij->cri"]
)  # fmt: skip
def test_orders(labels):
    xs = operands(labels, {"b": 3, "c": 2, "i": 13, "j": 37, "k": 5, "r": 2}, np.float32)
    made = program(labels, *xs)
    (plan,) = [kernel.contraction for kernel in made.kernels if kernel.contraction]
    assert plan.dots == (labels != "ikj,jk->i")  # there the operands do not run together
    wide = [x.astype(np.longdouble) for x in xs]
    bound = np.einsum(labels, *map(np.abs, wide)) * np.finfo(np.float32).eps
    assert (np.abs(result(made, xs) - np.einsum(labels, *wide)) <= 16 * bound).all()


def test_integers_and_short_sums_go_otherwise():
    for xs in ([np.ones((9, 40), np.int64), np.ones(40, np.int64)], [np.ones((9, 3)), np.ones(3)]):
        made = program("ij,j->i", *xs)
        (plan,) = [kernel.contraction for kernel in made.kernels if kernel.contraction]
        assert not plan.dots
        np.testing.assert_array_equal(result(made, xs), xs[0] @ xs[1])


@pytest.mark.parametrize("labels", ["ij,j->i", "ij,i->j", "bij,bj->bi"])
def test_threads_make_no_difference(labels):
    xs = operands(labels, {"b": 6, "i": 83, "j": 101}, np.float32)
    before, results = bprop.get_threads(), []
    try:
        with parallel_threshold(0):
            made = program(labels, *xs)
            for threads in (1, 2, 3, 4):
                bprop.set_threads(threads)
                results.append(result(made, xs).tobytes())
    finally:
        bprop.set_threads(before)
    assert len(set(results)) == 1


def test_not_a_number_stays_in_its_row():
    x, v = rng.normal(size=(11, 21)).astype(np.float32), rng.normal(size=21).astype(np.float32)
    x[3, 20], x[5, 0] = np.nan, np.inf
    y = result(program("ij,j->i", x, v), [x, v])
    assert set(np.flatnonzero(~np.isfinite(y))) == {3, 5}
