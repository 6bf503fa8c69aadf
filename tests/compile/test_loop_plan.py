"""Loop plans: passes decide how loops are written, emitters follow; each stage has one table by kind of kernel.

Planted: a reduction that ends its chunks early, a cumulation with one state for all columns, threads that divide the wrong axis
of random numbers, a rule of its own for what is parallel in the back end.
"""

from typing import get_args

import numpy as np
import pytest

import bprop
from bprop.compile.ir.kernel import TRAITS, Kind
from bprop.compile.ir.loop_plan import RandomPlan, ReductionPlan
from bprop.compile.llvm import module
from bprop.compile.llvm.host import current_target, parallel_threshold
from bprop.compile.passes import plan_loops, schedule
from bprop.compile.passes.inline import inline
from bprop.compile.passes.pipeline import lower
from bprop.compile.runtime.executable import Program

RANDOM = np.random.default_rng(5)
X = RANDOM.integers(-9, 9, (3, 70, 41)).astype(np.float64)


def lowered(f, *args):
    return lower(inline(bprop.trace(f)(*args).closed()[0]), current_target())


def result(f, x):
    program = Program(inline(bprop.trace(f)(x)))
    (spec,) = program.graph.specs
    y = np.empty(spec.shape, spec.dtype)
    program([x], [y])
    return y, program


def test_every_kind_has_a_row_in_every_table():
    kinds = set(get_args(Kind))
    assert set(TRAITS) == kinds
    run = {kind for kind in kinds if TRAITS[kind].is_run}
    assert {kind for kind in run if TRAITS[kind].is_nest} <= set(plan_loops.PLANNERS)
    copied = lowered(lambda x: x, X)
    assert set(module._ModuleEmitter(module.Module(copied.target), copied).emitters) == run


ORDERS = {
    "as planned": {},
    "other": {"LANES": (2,), "CHUNK": 5, "COLUMNS": 3, "LEVELS": 20},
    "few": {"CHUNK": 1, "COLUMNS": 1},
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 2)], ids=str)
def test_reductions_follow_their_plan(order, axis, monkeypatch):
    """Sums of small integers are exact in any order: what is counted is that each entry comes once."""
    for name, value in order.items():
        monkeypatch.setattr(plan_loops, name, value)
    y, program = result(lambda x: bprop.sum(x, axis=axis), X)
    np.testing.assert_array_equal(y, np.sum(X, axis=axis))
    (plan,) = [kernel.loops for kernel in program.kernels if isinstance(kernel.loops, ReductionPlan)]
    assert plan.chunk == order.get("CHUNK", 128)
    assert plan.columns in (0, order.get("COLUMNS", 64))
    text = str(program._emitted())
    assert (f"[{plan.levels} x double]" in text) == (plan.levels > 0)
    assert f"[{plan.columns or plan.lanes} x double]" in text


@pytest.mark.parametrize("columns", [64, 1, 7])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cumulations_follow_their_plan(columns, axis, monkeypatch):
    monkeypatch.setattr(plan_loops, "COLUMNS", columns)
    y, program = result(lambda x: bprop.cumulative_sum(x, axis=axis), X)
    np.testing.assert_array_equal(y, np.cumsum(X, axis=axis))
    assert program.kernels[0].loops.columns == (columns if axis < 2 else 0)


@pytest.mark.parametrize(("generators", "size"), [(1, 1000), (50, 8)])
def test_threads_divide_the_longer_axis_of_random_numbers(generators, size):
    state = np.stack([np.arange(generators), np.zeros(generators)], axis=1).astype(np.uint64)
    op = bprop.core.op.REGISTRY["normal"]
    graph = bprop.trace(lambda state: op(state, shape=(size,), dtype=np.dtype(np.float64)))(state)
    (kernel,) = lower(inline(graph), current_target()).kernels
    assert isinstance(kernel.loops, RandomPlan)
    assert kernel.loops.divides_generators == (generators > size // 2)


def test_what_is_parallel_is_decided_in_one_place(monkeypatch):
    """If it says that nothing is, no code has a barrier and no call asks for threads."""

    def f(x):
        y = bprop.tanh(x @ x.mT)
        return bprop.scan(lambda h, row: (h + bprop.sum(y[0] @ row), row), 0.0, x)

    with parallel_threshold(0):
        parallel = lowered(f, X)
        monkeypatch.setattr(schedule, "parallel_nanoseconds", lambda work, target: None)
        single = lowered(f, X)
    assert 'call i32 @"bprop_barrier"' in str(module.emit_module(parallel))
    assert "bprop_barrier" not in str(module.emit_module(single))
    assert parallel.schedule.uses_threads
    assert not single.schedule.uses_threads
    assert single.schedule.nanoseconds is None


def test_plans_are_shown():
    step = bprop.compile(lambda x: bprop.sum(x) + bprop.sum(bprop.cumulative_sum(x, axis=0)))
    step(X)
    assert "32 lanes, chunks of 128 joined pairwise" in str(step.kernels)
    assert "64 columns together" in str(step.kernels)


@pytest.mark.parametrize("widths", [(0, 1), (0, 3), (1, 0), (0, 16), (2, 5)])
@pytest.mark.parametrize("size", [1, 4, 19])
def test_what_is_put_among_zeros_stays_within_its_array(size, widths):
    """Rows of the result that are no multiple of the entries: clearing them by columns wrote beyond the end."""
    x = np.arange(1.0, size + 1)
    f = bprop.compile(lambda x: [bprop.pad(x * k, widths) for k in range(1, 6)])
    for k, y in enumerate(f(x), 1):
        np.testing.assert_array_equal(y, np.pad(x * k, widths))
