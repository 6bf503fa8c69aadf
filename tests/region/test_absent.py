"""What is absent outside a region is absent inside: the same loop or branch written out in Python is the oracle.

Each table row is a region, a body with an infinite or undefined slope, and every part of the result by itself.
Planted: `Region.absent` as the base class has it, for each region; `absent` giving zeros; a mask carry of one kind.
"""

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


def every(*names):
    """Return each of ``names``, the first in every run and the others in exhaustive ones."""
    return [name if n == 0 else pytest.param(name, marks=pytest.mark.exhaustive) for n, name in enumerate(names)]


@pytest.mark.parametrize("start", [0.0, 1.0])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("loop", LOOPS)
def test_gradients_of_a_loop(loop, body, start):
    c = np.array([start, 1.0, 2.0])
    same(gradients(LOOPS[loop], BODIES[body])(c, X), gradients(python_loop, BODIES[body])(c, X))


@pytest.mark.parametrize("start", every(0.0, 1.0))
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("loop", every(*LOOPS))
def test_gradients_of_a_compiled_loop(loop, body, start):
    c = np.array([start, 1.0, 2.0])
    same(bprop.compile(gradients(LOOPS[loop], BODIES[body]))(c, X), gradients(python_loop, BODIES[body])(c, X))


def result(loop, body):
    """Return the function of the rows that gives part of the carry and of the rows."""

    def f(xs):
        carry, ys = loop(body, bprop.asarray([0.0, 1.0, 2.0]), xs)
        return bprop.concat([carry[1:], bprop.where(LEFT, ys[2], 0)])

    return f


WAYS = {
    "vjp": lambda f: lambda x: bprop.vjp(f, x)[1](bprop.ones(5)),
    "jacobian": lambda f: bprop.jacobian(f, mode="reverse"),
    "vmap of grad": lambda f: bprop.vmap(bprop.grad(lambda x: bprop.sum(f(x)))),
    "grad of grad": lambda f: bprop.grad(lambda x: bprop.sum(bprop.grad(lambda x: bprop.sum(f(x)))(x)[1:3])),
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
