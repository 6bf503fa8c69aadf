"""Inside `vmap`, an entry that does not take a branch, or whose loop is done, makes no turns, calls nothing and fails nothing.

The oracle is the same function of one entry after the other. Planted: `Batch.inside` without its condition.
"""

import numpy as np
import pytest

import bprop

X = np.array([3.0, -1.0, 2.0, -7.0])
WAYS = {"eager": lambda f: f, "compiled": bprop.compile}


def down(x, limit=None):
    """Ends for natural numbers alone."""
    return bprop.while_loop(lambda c: c != 0, lambda c: c - 1, x, limit=limit)


def countdowns(x):
    """A loop in a loop whose own carry would never end once the outer one is done."""
    turn = lambda c: (c[0] - 1, c[1] + down(c[0]) + c[0] * x)
    return bprop.while_loop(lambda c: c[0] > 0, turn, (x, 0.0))[1]


custom_down = bprop.custom(lambda x: down(x) + 2, vjp=lambda y_bar, y, x: y_bar * (1 + down(x)))
BODIES = {
    "while_loop": down,
    "while_loop with a limit": lambda x: down(x, 5) * x,
    "of a constant": lambda x: bprop.where(x > 0, down(bprop.asarray(2.0)), 0) + x,
    "cond": lambda x: bprop.cond(x > 2, down, lambda x: down(x) + x, x),
    "cond of one for all": lambda x: bprop.cond(bprop.asarray(True), down, lambda x: x, x),
    "scan": lambda x: bprop.scan(lambda c, _: (down(c) + x, c), x, length=3)[0],
    "checkpoint": bprop.checkpoint(lambda x: down(x) + x * x),
    "custom": custom_down,
    "loop in a loop": countdowns,
}

LONG = ("loop in a loop", "while_loop with a limit", "cond")  # to compile


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "body", [pytest.param(name, marks=pytest.mark.exhaustive if name in LONG else ()) for name in BODIES]
)
def test_a_loop_in_a_branch_not_taken_makes_no_turns(body, way):
    f = lambda x: bprop.cond(x > 0, BODIES[body], lambda x: -x, x)
    every = lambda g: lambda xs: bprop.stack([g(x) for x in xs])
    batch = bprop.vmap(f)
    total = bprop.grad(lambda xs: bprop.sum(batch(xs)))
    ours = WAYS[way](lambda xs: (batch(xs), bprop.vmap(bprop.grad(f))(xs), total(xs)))
    expected = every(f)(X), every(bprop.grad(f))(X), every(bprop.grad(f))(X)
    for one, other in zip(ours(X), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("way", WAYS)
def test_a_branch_that_nobody_takes(way):
    f = lambda x: bprop.cond(x > 0, lambda: down(bprop.asarray(-1.0)), lambda: -x)
    np.testing.assert_array_equal(WAYS[way](bprop.vmap(f))(-abs(X)), abs(X))


@pytest.mark.parametrize("way", WAYS)
def test_two_batches(way):
    f = lambda x, y: bprop.cond(x > 0, lambda: bprop.cond(y > 0, lambda: down(x + y), lambda: x), lambda: y)
    y = np.array([1.0, -2.5, 2.0])
    both = WAYS[way](bprop.vmap(bprop.vmap(f, in_axes=(None, 0)), in_axes=(0, None)))(X, y)
    np.testing.assert_array_equal(both, [[f(bprop.asarray(a), bprop.asarray(b)).item() for b in y] for a in X])


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
@pytest.mark.parametrize("way", WAYS)
def test_callbacks_of_entries_that_take_the_branch(way, shape):
    seen = []

    def taken(x):
        bprop.callback(lambda x: seen.append(float(x)), x)
        return bprop.while_loop(lambda c: c > 0, turn, x)

    def turn(c):
        bprop.callback(lambda c: seen.append(float(c)), c)
        return c - 1

    f = lambda x: bprop.cond(x > 0, taken, lambda x: x, x)
    for _ in shape:
        f = bprop.vmap(f)
    WAYS[way](f)(X.reshape(shape))
    assert seen == [3, 2, 3, 2, 2, 1, 1]  # the branch, then turn after turn


@pytest.mark.parametrize("way", WAYS)
def test_what_fails_or_is_nan_in_a_branch_not_taken(way):
    """Planted: `Batch._harmless` left out."""
    A = np.stack([np.zeros((2, 2)), 3 * np.eye(2), np.full((2, 2), np.nan)])
    f = lambda x: bprop.sum(bprop.cond(x[0, 0] > 0, lambda: bprop.linalg.inv(x) @ bprop.linalg.cholesky(x), lambda: x))
    value, gradient = WAYS[way](bprop.vmap(bprop.value_and_grad(f)))(A)
    alone, slope = bprop.value_and_grad(f)(A[1])
    np.testing.assert_allclose(value[:2], [0, alone.item()], rtol=1e-15)
    np.testing.assert_allclose(gradient, [np.ones((2, 2)), np.asarray(slope), np.ones((2, 2))], rtol=1e-14)


def test_a_loop_in_a_loop_of_an_entry_that_is_done():
    batch = bprop.vmap(countdowns)
    x = np.array([3.0, 1.0, 0.0, 2.0])
    np.testing.assert_array_equal(batch(x), [countdowns(bprop.asarray(one)).item() for one in x])
