"""`cond`: one of two functions equals a Python `if`, under every interpretation; only the one taken runs.

Planted: `Cond.chosen` with the branches swapped; slots that are not shared out anew for each branch.
"""

import numpy as np
import pytest

import bprop

rng = np.random.default_rng(0)
W, X = rng.normal(size=(3, 3)), rng.normal(size=3)


def branched(W, x, choose):
    """Two branches that keep residuals of equal and of different shapes, and close over W."""
    true = lambda x: (bprop.sum(bprop.tanh(W @ x) ** 2), x * x[0])
    false = lambda x: (bprop.sum(bprop.exp(x)) * W[0, 1], bprop.sin(x) / (2 + x * x))
    first, second = choose(bprop.sum(x) > 0, true, false, x)
    return first + bprop.sum(second * second)


def python_if(predicate, true, false, *operands):
    return true(*operands) if predicate else false(*operands)


def ours(W, x):
    return branched(W, x, bprop.cond)


def plain(W, x):
    return branched(W, x, python_if)


@pytest.mark.parametrize("sign", [1, -1], ids=["true", "false"])
@pytest.mark.parametrize("argnum", [0, 1], ids=["captured", "operand"])
@pytest.mark.parametrize(
    "derivative",
    [
        lambda f, n: lambda *a: bprop.grad(f, n)(*a),
        lambda f, n: lambda *a: bprop.jacobian(f, n, mode="forward")(*a),
        lambda f, n: lambda *a: bprop.hessian(f, n)(*a),
        lambda f, n: lambda *a: bprop.jacobian(bprop.grad(f, n), n)(*a),
        lambda f, n: lambda *a: bprop.linearize(bprop.grad(f, n), *a)[1](*a),
        lambda f, n: lambda *a: bprop.grad(bprop.checkpoint(f) if f is ours else f, n)(*a),
    ],
    ids=["reverse", "forward", "hessian", "reverse over reverse", "linearized", "checkpointed"],
)
@pytest.mark.parametrize("how", ["eager", "traced", "compiled"])
def test_derivatives_equal_those_of_an_if(derivative, argnum, sign, how):
    x = sign * np.abs(X)
    expected = derivative(plain, argnum)(W, x)
    f = derivative(ours, argnum)
    ways = {"eager": lambda f: f, "compiled": bprop.compile}
    actual = (
        bprop.trace(f)(W, -x)(W, x)[0] if how == "traced" else ways[how](f)(W, x)
    )  # traced where the other is taken
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("f", [ours, bprop.grad(ours, 0), bprop.grad(ours, 1)], ids=["value", "captured", "operand"])
@pytest.mark.parametrize("axes", [(None, 0), (0, None), (0, 0)])
def test_batches_equal_a_loop_over_the_batch(f, axes):
    stacks = [np.stack([a, -a, 2 * a]) if axis == 0 else a for a, axis in zip((W, X), axes, strict=True)]
    batched = bprop.vmap(f, in_axes=axes)
    compiled = bprop.compile(batched)(*stacks)
    for k, one in enumerate(batched(*stacks)):
        entry = f(*(a[k] if axis == 0 else a for a, axis in zip(stacks, axes, strict=True)))
        np.testing.assert_allclose(one, entry, rtol=1e-12)
        np.testing.assert_allclose(compiled[k], entry, rtol=1e-12)


@pytest.mark.parametrize("wrap", [lambda f: f, bprop.compile], ids=["eager", "compiled"])
def test_only_the_branch_taken_runs(wrap):
    calls = []

    def noted(name):
        def run(x):
            bprop.callback(lambda: calls.append(name))
            return x

        return run

    f = wrap(lambda p, x: bprop.cond(p, noted("true"), noted("false"), x))
    for p in (True, False):
        f(np.asarray(p), np.ones(2))
    assert calls == ["true", "false"]
    wrap(bprop.grad(lambda x: bprop.cond(x > 0, noted("true"), noted("false"), x)))(np.array(1.0))
    assert calls == ["true", "false", "true"]  # and not again on the way back


def test_a_branch_not_taken_says_nothing_about_the_derivative():
    for a in (0.0, 4.0):
        f = lambda x: bprop.cond(x > 0, bprop.sqrt, lambda x: 3 * x, x)
        expected = 3.0 if a == 0 else 0.25
        for g in (bprop.grad(f), bprop.compile(bprop.grad(f))):
            x = np.array(a)
            assert np.asarray(g(x)).item() == expected
    batched = bprop.grad(
        lambda x: bprop.sum(bprop.vmap(lambda x: bprop.cond(x > 0, bprop.sqrt, lambda x: 3 * x, x))(x))
    )
    assert batched(np.array([0.0, 4.0])).tolist() == [3, 0.25]


def test_an_absent_result_sends_nothing_back():
    # the second result has an infinite derivative, and is not used
    f = lambda x: bprop.cond(x >= 0, lambda x: (x * 2, bprop.sqrt(x)), lambda x: (x, x), x)[0]
    for g in (bprop.grad(f), bprop.compile(bprop.grad(f))):
        assert g(np.array(0.0)).item() == 2


def test_trees_integers_nothing_and_empty_arrays():
    def f(p, x):
        return bprop.cond(p, lambda x: {"n": x["n"] + 1, "e": x["e"]}, lambda x: {"n": -x["n"], "e": x["e"] * 2}, x)

    x = {"n": np.arange(3), "e": np.zeros((0, 2))}
    for run in (f, bprop.compile(f)):
        assert run(np.asarray(True), x)["n"].tolist() == [1, 2, 3]
        assert run(np.asarray(False), x)["n"].tolist() == [0, -1, -2]
        assert run(np.asarray(False), x)["e"].shape == (0, 2)
    assert bprop.cond(True, lambda: None, lambda: None) is None


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("wrap", [lambda f: f, bprop.compile], ids=["eager", "compiled"])
def test_a_cell_changes_in_the_branch_that_is_taken(taken, wrap):
    generator, twin = bprop.Generator(3), bprop.Generator(3)
    f = wrap(lambda p: bprop.cond(p, lambda: generator.uniform((2,)), lambda: bprop.zeros(2)))
    y = f(np.asarray(taken))
    expected = twin.uniform((2,)) if taken else bprop.zeros(2)
    np.testing.assert_array_equal(y, expected)
    assert repr(generator) == repr(twin)


def test_other_ways_to_a_derivative():
    f = lambda x: ours(W, x)
    expected = bprop.grad(lambda x: plain(W, x))(X)
    for scheme in ("central", "complex"):
        np.testing.assert_allclose(bprop.numerical(f, scheme=scheme)(X), expected, rtol=1e-6)
    g = lambda x: bprop.cond(x > 0, lambda x: x**2, lambda x: -x, x)
    for x, slope in ((3.0, 6), (-3.0, -1)):
        assert bprop.symbolic(g)(1.0)(x).item() == slope
    assert "cond" in str(bprop.trace(g)(1.0))
    with pytest.raises(bprop.DerivativeError, match="write a Python if"):
        bprop.derivative(g, "paths")(3.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bprop.cond(X > 0, lambda: 1.0, lambda: 1.0), r"the predicate is bool\[3\], not one bool"),
        (lambda: bprop.cond(1.0, lambda: 1.0, lambda: 1.0), r"the predicate is float64\[\], not a bool"),
        (lambda: bprop.cond(True, 1.0, lambda: 1.0), r"true_function is a function, not float"),
        (
            lambda: bprop.cond(True, lambda: (1.0,), lambda: 1.0),
            r"the true branch has the structure tuple\(0: \*\), but",
        ),
        (
            lambda: bprop.cond(True, lambda: {"a": (1.0, 2.0)}, lambda: {"a": (1.0, X)}),
            r"leaf a\.1: the true branch gives float64\[\], but the false branch float64\[3\]",
        ),
        (
            lambda: bprop.cond(True, lambda: bprop.ones(()), lambda: bprop.asarray(1)),
            r"but the false branch int64\[\]: convert",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(bprop.BpropError, match=message) as caught:
        call()
    assert "test_cond.py" in caught.value.line
