"""Branches and loops in native code: random nests of them equal the same program in plain Python; memory of checkpoints.

Planted: the branches of `emit_branch` swapped; the two buffers of a carry in `emit_loop` made one.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bprop
from support.profile import examples

W = np.random.default_rng(2).normal(size=(2, 2)) / 2


class Native:
    """The control flow of bprop."""

    cond = staticmethod(bprop.cond)

    @staticmethod
    def while_loop(condition, body, initial, limit):
        return bprop.while_loop(condition, body, initial, limit=limit)

    scan = staticmethod(bprop.scan)


class Python:
    """The same, in plain Python: what eager differentiation follows by itself."""

    @staticmethod
    def cond(predicate, true, false, *operands):
        return (true if predicate else false)(*operands)

    @staticmethod
    def while_loop(condition, body, initial, limit):
        while condition(initial):
            initial = body(initial)
        return initial

    @staticmethod
    def scan(f, carry, xs):
        ys = []
        for x in xs:
            carry, y = f(carry, x)
            ys.append(y)
        return carry, bprop.stack(ys)


leaves = st.sampled_from(["tanh", "linear", "closure", "integer"])
programs = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("cond"), inner, inner),
        st.tuples(st.just("while"), inner, st.integers(0, 3), st.sampled_from([None, 4])),
        st.tuples(st.just("scan"), inner),
        st.tuples(st.just("then"), inner, inner),
    ),
    max_leaves=4,
)


def run(program, flow, x, W):
    """Apply a program to (vector, count)."""
    v, n = x
    if program == "tanh":
        return bprop.tanh(v) + v * 0.5, n
    if program == "linear":
        return W @ v, n + 1
    if program == "closure":
        return v * bprop.sum(W * W) / 2, n
    if program == "integer":
        return v + bprop.astype(n, "float64") * 0.1, n * 2 + 1
    kind, inner, *rest = program
    if kind == "then":
        return run(rest[0], flow, run(inner, flow, x, W), W)
    if kind == "cond":
        return flow.cond(v[0] > v[1], lambda y: run(inner, flow, y, W), lambda y: run(rest[0], flow, y, W), x)
    if kind == "while":
        turns, limit = rest
        turn = lambda c: (c[0] + 1, *run(inner, flow, c[1:], W))
        return flow.while_loop(lambda c: c[0] < turns, turn, (bprop.asarray(0), v, n), limit)[1:]

    def row(c, r):
        v, n = run(inner, flow, (c[0] + r, c[1]), W)
        return (v, n), v[0] * r

    (v, n), ys = flow.scan(row, (v, n), bprop.asarray([0.5, -1.0]))
    return v + bprop.sum(ys), n


def value(program, flow):
    def f(v, W):
        y, n = run(program, flow, (v, bprop.asarray(1)), W)
        return bprop.sum(bprop.sin(y)) + bprop.astype(n, "float64")

    return f


def check(program, signs):
    for derivative in (lambda f: f, lambda f: bprop.grad(f, (0, 1), unreached="zeros")):
        ours = derivative(value(program, Native))
        compiled = bprop.compile(ours)
        for v in signs:
            v = np.array(v)
            expected = derivative(value(program, Python))(v, W)
            for actual in (ours(v, W), compiled(v, W)):
                for one, other in zip(flatten(actual), flatten(expected), strict=True):
                    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def flatten(result):
    return [np.asarray(x) for x in (result if isinstance(result, tuple) else (result,))]


VECTORS = [(0.7, -0.3), (-0.2, 0.4)]


@pytest.mark.parametrize(
    "program",
    [
        ("while", ("cond", "tanh", "linear"), 3, None),
        ("scan", ("cond", ("while", "linear", 2, 4), "closure")),
        ("cond", ("scan", "tanh"), ("while", ("while", "integer", 2, 4), 2, 4)),
        ("while", ("scan", ("cond", "linear", "integer")), 2, None),
    ],
    ids=str,
)
def test_nested_programs(program):
    check(program, VECTORS)


@examples(4)
@given(programs)
def test_random_programs(program):
    check(program, VECTORS)


@pytest.mark.exhaustive
@examples(300)
@given(programs)
def test_many_random_programs(program):
    check(program, VECTORS)


def test_branches_and_loops_are_one_kernel_each():
    f = bprop.compile(
        lambda x: bprop.while_loop(lambda x: x < 9, lambda x: bprop.cond(x > 2, lambda: x * 2, lambda: x + 1), x)
    )
    assert f(np.array(1.0)).item() == 12
    assert [kernel.kind for kernel in f.program.kernels] == ["loop"]


def test_a_checkpoint_saves_memory_in_native_code():
    # planted: without the barrier both arenas have one size
    def chain(block, x):
        for _ in range(4):
            x = block(x)
        return bprop.sum(x * x)

    def block(x):
        for _ in range(3):
            x = bprop.tanh(x @ W)
        return x

    x = np.ones((200, 2))
    plain = bprop.compile(bprop.grad(lambda x: chain(block, x)))
    saving = bprop.compile(bprop.grad(lambda x: chain(bprop.checkpoint(block), x)))
    np.testing.assert_array_equal(plain(x), saving(x))
    assert saving.memory.size < 0.7 * plain.memory.size


def test_a_cond_inside_a_training_step():
    def loss(model, x):
        y = model(x)
        return bprop.cond(bprop.mean(y) > 0, lambda: bprop.mean(y * y), lambda: -bprop.mean(y))

    results = []
    for wrap in (lambda f: f, bprop.compile):
        model = bprop.nn.Linear(3, 2, dtype="float64", seed=0)
        optimizer = bprop.optim.SGD(0.3)
        optimizer.init(model)

        @wrap
        def step(model, optimizer, x):
            value, gradients = bprop.value_and_grad(loss)(model, x)
            optimizer.update(model, gradients)
            return value

        x = np.linspace(-1, 1, 12).reshape(4, 3)
        results.append([step(model, optimizer, x).item() for _ in range(8)])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-12)
