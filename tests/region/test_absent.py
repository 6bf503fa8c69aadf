"""What is absent outside a region is absent inside: the same loop or branch written out in Python is the oracle.

Each table row is a region, a body with an infinite or undefined slope, and every part of the result by itself.
Planted: `Region.absent` as the base class has it, for each region; `absent` giving zeros; a mask carry of one kind.
"""

from functools import cache

import numpy as np
import pytest

import bprop
from bprop.core.tree import flatten

X = np.array([0.0, 4.0, 1.0, np.nan, np.inf, 2.0])
W = np.arange(1.0, 10.0).reshape(3, 3) / 5
LEFT = np.array([True, True, False])


# --- the regions, and the same in Python; each takes a body (carry, x) -> (carry, y) and gives (carry, ys) ---
def python_loop(body, carry, xs):
    ys = []
    for i in range(len(xs)):
        carry, y = body(carry, xs[i])
        ys.append(y)
    return carry, bprop.stack(ys)


def scan_again(body, carry, xs):
    return bprop.checkpoint(lambda carry, xs: bprop.scan(body, carry, xs))(carry, xs)


def batched_scan(body, carry, xs):
    carries, ys = bprop.vmap(lambda carry: bprop.scan(body, carry, xs))(bprop.stack([carry + 1, carry]))
    return carries[1], ys[1]


def scan_of_branches(body, carry, xs):
    def branched(carry, x):
        return bprop.cond(x == x, body, lambda carry, x: body(carry, x), carry, x)

    return bprop.scan(branched, carry, xs)


def scan_of_scans(body, carry, xs):
    carry, ys = bprop.scan(lambda carry, xs: bprop.scan(body, carry, xs), carry, xs.reshape(2, len(xs) // 2))
    return carry, ys.reshape(len(xs), *ys.shape[2:])


def while_loop(limit):
    def run(body, carry, xs):
        def turn(state):
            i, carry, ys = state
            carry, y = body(carry, xs[i])
            return i + 1, carry, ys.at[i].set(y)

        ys = bprop.zeros((len(xs), *body(carry, xs[0])[1].shape))
        return bprop.while_loop(lambda state: state[0] < len(xs), turn, (0, carry, ys), limit=limit)[1:]

    return run


LOOPS = {
    "scan": bprop.scan,
    "checkpointed scan": scan_again,
    "vmap of a scan": batched_scan,
    "cond in a scan": scan_of_branches,
    "scan in a scan": scan_of_scans,
    "while_loop": while_loop(None),
    "while_loop with a limit": while_loop(8),
}
BODIES = {
    "of the row": lambda c, x: (c + x, bprop.sqrt(x) * c),
    "of the carry": lambda c, x: (bprop.sqrt(c * x), c + x),
    "selected": lambda c, x: (bprop.where(LEFT & (x > 0), c + bprop.sqrt(x), c), bprop.where(x > 1, bprop.log(x), c)),
    "contracted": lambda c, x: (W @ c, bprop.log(bprop.stack([c[0], x, x - 1]))),
    "contracted with what is not finite": lambda c, x: (c / 2, bprop.stack([x, c[0], c[1] * x]) * (W @ c)),
}
USES = {
    "carry": lambda c, ys: bprop.sum(c),
    "part of the carry": lambda c, ys: bprop.sum(c[1:]),
    "rows": lambda c, ys: bprop.sum(ys[1:3]),
    "masked rows": lambda c, ys: bprop.sum(bprop.where(bprop.isfinite(ys) & LEFT, ys, 0)),
    "first row": lambda c, ys: ys[0, 1] * 3,
    "both": lambda c, ys: bprop.sum(c[:1]) + bprop.sum(ys[2]),
}


def same(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def gradients(loop, body):
    """Return the function of carry and rows that gives the gradients of every use."""

    def all_uses(c, xs):
        return [
            g
            for use in USES.values()
            for g in bprop.grad(lambda c, xs: use(*loop(body, c, xs)), argnums=(0, 1), unreached="zeros")(c, xs)  # noqa: B023
        ]

    return all_uses


@cache
def oracle(body, start):
    return gradients(python_loop, BODIES[body])(np.array([start, 1.0, 2.0]), X)


def every(*names):
    """Return each of ``names``, the first in every run and the others in exhaustive ones."""
    return [name if n == 0 else pytest.param(name, marks=pytest.mark.exhaustive) for n, name in enumerate(names)]


@pytest.mark.parametrize("start", every(0.0, 1.0))
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    "loop", [pytest.param(name, marks=pytest.mark.exhaustive if "while" in name else ()) for name in LOOPS]
)
def test_gradients_of_a_loop(loop, body, start):
    c = np.array([start, 1.0, 2.0])
    same(gradients(LOOPS[loop], BODIES[body])(c, X), oracle(body, start))


@pytest.mark.parametrize("start", every(0.0, 1.0))
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("loop", every(*LOOPS))
def test_gradients_of_a_compiled_loop(loop, body, start):
    c = np.array([start, 1.0, 2.0])
    same(bprop.compile(gradients(LOOPS[loop], BODIES[body]))(c, X), oracle(body, start))


def result(loop, body):
    """Return the function of the rows that gives part of the carry and of the rows."""

    def f(xs):
        carry, ys = loop(body, bprop.asarray([0.0, 1.0, 2.0]), xs)
        return bprop.concat([carry[1:], bprop.where(LEFT, ys[2], 0)])

    return f


WAYS = {
    "vjp": lambda f: lambda x: bprop.vjp(f, x)[1](bprop.ones(5)),
    "jacobian": lambda f: bprop.jacobian(f, mode="reverse"),
    "jvp": lambda f: lambda x: bprop.jvp(f, (x,), (np.ones(4),)),
    "forward jacobian": lambda f: bprop.jacobian(f, mode="forward"),
    "vmap of grad": lambda f: bprop.vmap(bprop.grad(lambda x: bprop.sum(f(x)))),
    "grad of grad": lambda f: bprop.grad(
        lambda x: bprop.sum(bprop.grad(lambda x: bprop.sum(f(x)))(x)[1:3]), unreached="zeros"
    ),
    "hessian": lambda f: bprop.hessian(lambda x: bprop.sum(f(x))),
}


@pytest.mark.parametrize("how", ["eager", pytest.param("compiled", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("loop", every(*LOOPS))
def test_other_ways_of_a_loop(loop, body, way, how):
    x = X[:4] if way != "vmap of grad" else np.stack([X[:4], X[2:]])
    ours, plain = (WAYS[way](result(one, BODIES[body])) for one in (LOOPS[loop], python_loop))
    ours = bprop.compile(ours) if how == "compiled" else ours
    same(flatten(ours(x))[0], flatten(plain(x))[0])


# --- regions that are no loops: a pair of results of which one, or a part of one, is used ---
def root_and_double(x):
    return bprop.sqrt(x), x * 2


def root_with_a_vjp(x):
    rule = lambda y_bar, y, x: y_bar[0] * 0.5 / bprop.sqrt(x) + y_bar[1] * 2
    return bprop.custom(root_and_double, vjp=rule)(x)


def root_with_a_jvp(x):
    rule = lambda x_dots, y, x: (x_dots[0] * 0.5 / bprop.sqrt(x), x_dots[0] * 2)
    return bprop.custom(root_and_double, jvp=rule)(x)


def root_with_a_callback(x):
    bprop.callback(lambda x: None, x)
    return root_and_double(x)


PAIRS = {
    "custom with a vjp": root_with_a_vjp,
    "custom with a jvp": root_with_a_jvp,
    "checkpoint": bprop.checkpoint(root_and_double),
    "callback": root_with_a_callback,
    "cond": lambda x: bprop.cond(x[1] > 0, root_and_double, lambda x: (x, x), x),
    "vmap of cond": lambda x: bprop.vmap(lambda x: bprop.cond(x < 3, root_and_double, root_and_double, x))(x),
    "cond of checkpoint of custom": lambda x: bprop.cond(
        x[1] > 0, bprop.checkpoint(root_with_a_vjp), lambda x: (x, x), x
    ),
    "custom in a scan": lambda x: bprop.scan(lambda c, x: (c, root_with_a_vjp(x)), 0.0, x)[1],
}
PARTS = {
    "second": lambda y: bprop.sum(y[1]),
    "part of the first": lambda y: bprop.sum(y[0][1:3]) + y[1][0],
    "selected": lambda y: bprop.sum(bprop.where(y[0] > 1, *y)),
    "first": lambda y: bprop.sum(y[0]),
}


@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize("pair", PAIRS)
def test_one_of_two_results(pair, how):
    """Planted: zeros for the result that is not used."""
    x = np.array([0.0, 4.0, 1.0, 0.0])

    def gradients_of(f):
        return lambda x: [bprop.grad(lambda x: part(f(x)))(x) for part in PARTS.values()]  # noqa: B023

    ours = gradients_of(PAIRS[pair])
    same((bprop.compile(ours) if how == "compiled" else ours)(x), gradients_of(root_and_double)(x))


def test_a_loop_of_no_turns_sends_back_what_it_was_sent():
    x = bprop.asarray([0.0, 4.0])
    f = lambda x: bprop.while_loop(lambda c: c[1] < 0, lambda c: (c[0] * x, c[1]), (bprop.sqrt(x), 0.0))[0][1]
    g = lambda x: bprop.scan(lambda c, _: (c * x, None), bprop.sqrt(x), length=0)[0][1]
    for h in (f, g):
        for wrap in (lambda f: f, bprop.compile):
            np.testing.assert_array_equal(wrap(bprop.grad(h))(x), [0.0, 0.25])


def test_finite_gradients_of_a_loop_carry_no_masks():
    """A recurrence of which everything is used has the backward loop that it has without absence."""
    f = lambda h, xs: bprop.sum(bprop.scan(lambda h, x: (bprop.tanh(h + x),) * 2, h, xs)[1])
    graph = bprop.trace(bprop.grad(f, argnums=(0, 1)))(bprop.zeros(3), bprop.ones((4, 3)))
    backward = [node for node in graph.nodes if node.op.name == "scan"][-1].params["body"]
    assert not [node for node in backward.nodes if any(spec.dtype == bool and spec.shape for spec in node.specs)]


@pytest.mark.parametrize("limit", [None, 4])
def test_a_second_carry_of_a_compiled_loop(limit):
    """Planted: `While.absent` as the base class has it."""
    x = np.array([0.0, 4.0, 1.0])

    def both(x):
        turn = lambda c: (c[0] + 1, bprop.sqrt(c[1]), c[2] + bprop.where(x > 0, bprop.log(x), c[1]))
        return bprop.while_loop(lambda c: c[0] < 2, turn, (0, x, x), limit=limit)[1:]

    part = lambda n: lambda x: bprop.sum(both(x)[n][n:])
    gradients = bprop.compile(lambda x: [bprop.grad(part(n))(x) for n in (0, 1)])
    same(gradients(x), [[np.inf, 0.25 * 4**-0.75, 0.25], [0, 1.5, 3]])
