"""`scan`: a loop as one op equals the Python loop, under every interpretation and nesting."""

import numpy as np
import pytest

import bprop

rng = np.random.default_rng(0)
W, H0, XS = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(4, 3))


def step(W):
    def body(h, x):
        h = bprop.tanh(W @ h + x)
        return h, bprop.sum(h * h)

    return body


def looped(W, h, xs):
    total = 0.0
    for time in range(len(xs)):
        h, y = step(W)(h, xs[time])
        total = total + y * y
    return bprop.sum(h) + total


def scanned(W, h, xs):
    h, ys = bprop.scan(step(W), h, xs)
    return bprop.sum(h) + bprop.sum(ys * ys)


@pytest.mark.parametrize("argnum", [0, 1, 2], ids=["constant", "carry", "rows"])
@pytest.mark.parametrize(
    "derivative",
    [
        lambda f, n: bprop.grad(f, n)(W, H0, XS),
        lambda f, n: bprop.jacobian(f, n, mode="forward")(W, H0, XS),
        lambda f, n: bprop.hessian(f, n)(W, H0, XS),
        lambda f, n: bprop.jacobian(bprop.grad(f, n), n)(W, H0, XS),
        lambda f, n: bprop.trace(bprop.grad(f, n))(W, H0, XS)(W, H0, XS)[0],
        lambda f, n: bprop.grad(bprop.checkpoint(f), n)(W, H0, XS),
    ],
    ids=["reverse", "forward", "hessian", "reverse over reverse", "traced", "checkpointed"],
)
def test_derivatives_equal_those_of_the_loop(derivative, argnum):
    np.testing.assert_allclose(derivative(scanned, argnum), derivative(looped, argnum), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("axes", [(0, None, None), (None, 0, None), (None, None, 0), (0, 0, 0)])
def test_batches_equal_a_loop_over_the_batch(axes):
    stacks = [np.stack([a, 2 * a, -a]) if axis == 0 else a for a, axis in zip((W, H0, XS), axes, strict=True)]
    batched = bprop.vmap(bprop.grad(scanned), in_axes=axes)(*stacks)
    for k in range(3):
        entry = [a[k] if axis == 0 else a for a, axis in zip(stacks, axes, strict=True)]
        np.testing.assert_allclose(batched[k], bprop.grad(looped)(*entry), rtol=1e-10, atol=1e-12)


def test_backwards_in_time():
    carry, ys = bprop.scan(lambda s, x: (s + x, s), bprop.asarray(0.0), bprop.arange(1, 4) * 1.0, reverse=True)
    assert carry.item() == 6
    assert ys.tolist() == [5, 3, 0]


def test_complex_step_passes():
    value = bprop.derivative(lambda h: scanned(W, h, XS), method="numerical", scheme="complex")(H0)
    np.testing.assert_allclose(value, bprop.grad(scanned, 1)(W, H0, XS), rtol=1e-12)


def test_length_without_rows_and_integer_carry():
    (count, power), _ = bprop.scan(
        lambda c, _: ((c[0] + 1, c[1] * 2.0), None), (bprop.asarray(0), bprop.asarray(1.0)), length=5
    )
    assert (count.item(), power.item()) == (5, 32)
    f = lambda x: bprop.scan(lambda c, _: ((c[0] + 1, c[1] * x), None), (bprop.asarray(0), x), length=3)[0][1]
    assert bprop.grad(f)(2.0).item() == 4 * 2.0**3


def test_cells_are_carried():
    generator, twin = bprop.Generator(1), bprop.Generator(1)
    _, ys = bprop.scan(lambda c, _: (c, generator.uniform((2,))), bprop.asarray(0.0), length=3)
    np.testing.assert_array_equal(ys, np.stack([twin.uniform((2,)).numpy() for _ in range(3)]))
    assert repr(generator) == repr(twin)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bprop.scan(lambda c, x: (bprop.stop_gradient(x), x), bprop.asarray(0.0), bprop.ones((2, 3))),
            r"float64\[\].*float64\[3\]",
        ),
        (
            lambda: bprop.scan(lambda c, x: ({"a": c["a"] * 1.5}, x), {"a": bprop.asarray(4)}, bprop.ones(2)),
            r"leaf a: the carry starts as int64\[\], but becomes float64\[\]: convert",
        ),
        (
            lambda: bprop.scan(lambda c, x: ((c, c), x), bprop.asarray(0.0), bprop.ones(2)),
            r"structure \*, but the function returns tuple",
        ),
        (lambda: bprop.scan(3.0, bprop.asarray(0.0), bprop.ones(2)), r"scan: f is a function, not float"),
        (lambda: bprop.scan(lambda c, x: c, bprop.asarray(0.0), bprop.ones(2)), "pair"),
        (lambda: bprop.scan(lambda c, x: (c, x), bprop.asarray(0.0)), "length"),
        (
            lambda: bprop.scan(lambda c, x: (c, x), bprop.asarray(0.0), [bprop.ones(2), bprop.ones(3)]),
            r"\(2,\), \(3,\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(bprop.BpropError, match=message):
        call()
