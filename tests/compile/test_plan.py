"""Memory plans: every value is still there when it is read, also where cells are replaced in place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bprop
from bprop.compile.ir.memory_plan import ALIGNMENT, Buffer, Copy, bytes_of
from support.profile import examples
from support.random_graph import programs, run

SHAPE = (3, 3)


class Memory:
    """Which value every byte holds."""

    def __init__(self):
        self.held = {}

    def bytes_at(self, place, size):
        key = ("arena", 0) if place.kind == "arena" else (place.kind, place.position)
        start = place.position if place.kind == "arena" else 0
        return [(key, byte) for byte in range(start, start + size)]

    def write(self, place, size, value):
        self.held.update(dict.fromkeys(self.bytes_at(place, size), value))

    def check(self, place, size, value):
        assert all(self.held.get(byte) == value for byte in self.bytes_at(place, size)), f"{value} at {place} is gone"


def follow(lowered):
    """Run a plan without numbers: kernel by kernel, then copy by copy."""
    plan, memory, base = lowered.memory, Memory(), {}
    for n, node in enumerate(lowered.graph.inputs):
        memory.write(Buffer("input", n), bytes_of(node.output), node.output)
    fallible = [n for n, kernel in enumerate(lowered.kernels) if kernel.may_fail]
    for n, kernel in enumerate(lowered.kernels):
        if kernel.kind == "alias":
            x = kernel.root.edge(0)
            base[kernel.root.output] = base.get(x, x)
            assert plan.buffers[kernel.root.output] == plan.buffers[base[kernel.root.output]]
            continue
        for edge in kernel.reads:
            held = base.get(edge, edge)
            memory.check(plan.buffers[edge], bytes_of(held), held)
        if kernel in plan.workspaces:
            place = Buffer("arena", plan.workspaces[kernel])
            assert place.position % ALIGNMENT == 0
            memory.write(place, 64, ("scratch", n))
            assert place.position + 64 <= plan.size
        for edge in kernel.stored:
            place = plan.buffers[edge]
            assert place.kind != "arena" or (
                place.position % ALIGNMENT == 0 and place.position + bytes_of(edge) <= plan.size
            )
            if place.kind == "input":
                assert not any(other >= n for other in fallible)
            memory.write(place, bytes_of(edge), edge)
        for edge in kernel.reads:  # what is not replaced entry by entry must survive the kernel that reads it
            held = base.get(edge, edge)
            replaced = any(plan.buffers[new] == plan.buffers[edge] for new in kernel.stored)
            if not replaced and plan.buffers[edge].kind != "arena":
                memory.check(plan.buffers[edge], bytes_of(held), held)
    values = {}
    for copy in plan.copies:
        assert isinstance(copy, Copy)
        found = {memory.held.get(byte) for byte in memory.bytes_at(copy.source, copy.size)}
        assert len(found) <= 1
        values[copy.target] = next(iter(found), None)
        memory.write(copy.target, copy.size, next(iter(found), None))
    for n, edge in enumerate(lowered.graph.outputs):
        place = Buffer("input", plan.donated[n]) if n in plan.donated else Buffer("output", n)
        held = base.get(edge, edge)
        memory.check(place, bytes_of(held), held)
    return plan


def cells_and_step(steps, targets, indexed):
    cells = [bprop.Cell(bprop.asarray(np.random.default_rng(n).uniform(-1, 1, SHAPE))) for n in range(3)]

    def step(x, i):
        values = [cell.read() for cell in cells]
        made = [*run(steps, [*values, x]), *values, x]
        fitting = [y for y in made if y.shape == SHAPE]
        if indexed:
            fitting.append(fitting[0][i])
        for cell, target in zip(cells, targets, strict=True):
            if target is not None:
                cell.write(fitting[target % len(fitting)])
        return made[0], fitting[-1]

    return cells, step


@given(programs(), st.lists(st.none() | st.integers(0, 20), min_size=3, max_size=3), st.booleans())
@examples(25)
def test_cells_replaced_in_any_way(steps, targets, indexed):
    """By each other, by what reads the others, by one value several times; twice, and after an error as before."""
    x, i = bprop.asarray(np.random.default_rng(9).uniform(-1, 1, SHAPE)), np.array([2, 0, 1])
    expected, results = [], []
    for native in (False, True):
        cells, step = cells_and_step(steps, targets, indexed)
        f = bprop.compile(step) if native else step
        shown = [np.asarray(y) for _ in range(2) for y in f(x, i)]
        (results if native else expected).extend([*shown, *(np.array(cell.array) for cell in cells)])
        if native and indexed:
            before = [np.array(cell.array) for cell in cells]
            with pytest.raises(bprop.IndexingError):
                f(x, np.array([0, 3, 1]))
            assert all(np.array_equal(a, b.array) for a, b in zip(before, cells, strict=True))
        if native:
            follow(f.program.lowered)
    for a, b in zip(expected, results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)


@given(programs(), st.sampled_from([(3, 4), (1, 5), (4,), (0, 2), ()]))
@examples(25)
def test_no_value_is_overwritten_before_it_is_read(steps, shape):
    xs = [bprop.asarray(np.ones(s)) for s in (shape, shape[-1:], ())]
    f = bprop.compile(lambda *xs: run(steps, xs))
    f(*xs)
    follow(f.program.lowered)


def test_what_is_written_in_place():
    """An update entry by entry, and nothing that reads the old value elsewhere or later."""

    def plan_of(f):
        cell = bprop.Cell(bprop.asarray(np.ones((4, 4))))
        step = bprop.compile(lambda x: f(cell, x))
        step(bprop.ones((4, 4)))
        return follow(step.program.lowered)

    def late(cell, x):
        old = cell.read()
        cell.write(old * bprop.tanh(x))
        return bprop.sum(old)

    def write(new, shown=lambda old, x: bprop.sum(x)):
        def f(cell, x):
            old = cell.read()
            y = shown(old, x)
            cell.write(new(old, x))
            return y

        return f

    assert plan_of(write(lambda w, x: w - 0.1 * x)).in_place
    assert plan_of(write(lambda w, x: bprop.tanh(x) * w, lambda w, x: bprop.sum(w))).in_place  # read before
    for new in (
        lambda w, x: w.T - x, lambda w, x: w[::-1] + x, lambda w, x: w[0] + x, lambda w, x: w @ x,
        lambda w, x: bprop.cumulative_sum(w, axis=0), lambda w, x: bprop.concat([w[2:], x[:2]]),
    ):  # fmt: skip
        plan = plan_of(write(new))
        assert not plan.in_place
        assert [copy.target.kind for copy in plan.copies] == ["input"]
    assert not plan_of(write(lambda w, x: w - x, lambda w, x: w)).in_place  # the old value is a result
    assert not plan_of(late).in_place  # it is read by the next kernel


def test_holes_are_filled_without_overlapping():
    def f(x):
        large = bprop.sum(bprop.tanh(x @ x) @ x)
        small = [(x[n : n + 2] @ x) * large for n in range(0, 12, 2)]
        return sum((bprop.tanh(y) @ x for y in small), small[0])

    x = bprop.asarray(np.random.default_rng(0).uniform(-0.1, 0.1, (16, 16)))
    g = bprop.compile(f)
    np.testing.assert_allclose(np.asarray(g(x)), np.asarray(f(x)), rtol=1e-12)
    plan = follow(g.program.lowered)
    assert plan.size < plan.total
