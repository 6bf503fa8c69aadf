"""`callback`: a Python function sees every number once, in order, wherever it is computed.

Planted: `Callback.effect = False` (calls are left out or merged).
"""

import numpy as np
import pytest

import bprop

X = np.array([1.0, 2.0, 3.0])
WAYS = {"eager": lambda f: f, "compiled": bprop.compile, "traced": lambda f: lambda *a: bprop.trace(f)(*a)(*a)}


@pytest.fixture
def seen():
    return []


@pytest.fixture
def note(seen):
    return lambda *xs: seen.append(tuple(np.asarray(x).tolist() if not isinstance(x, str) else x for x in xs))


@pytest.mark.parametrize("way", WAYS)
def test_calls_come_in_order_and_none_is_left_out_or_merged(way, note, seen):
    def f(x):
        bprop.callback(note, "first", x)
        y = x * 2
        bprop.callback(note, "same", x[0])
        bprop.callback(note, "same", x[0])
        bprop.callback(note, "unused", {"y": bprop.sum(bprop.exp(x))}["y"])
        bprop.callback(note)
        return y + 1

    WAYS[way](f)(X)
    total = np.exp(X).sum()
    assert seen[:3] == [("first", [1, 2, 3]), ("same", 1), ("same", 1)]
    assert seen[3][1] == pytest.approx(total, rel=1e-14)
    assert seen[4:] == [()]


@pytest.mark.parametrize("way", WAYS)
def test_under_differentiation_it_is_called_on_the_way_forward_only(way, note, seen):
    def f(x):
        y = x * x
        bprop.callback(note, y)
        return bprop.sum(y)

    for derivative in (bprop.grad(f), bprop.grad(bprop.checkpoint(f)), lambda x: bprop.jvp(f, (x,), (x,))[1]):
        seen.clear()
        WAYS[way](derivative)(X)
        assert seen == [([1, 4, 9],)]


@pytest.mark.parametrize("way", WAYS)
def test_under_vmap_it_is_called_for_every_entry(way, note, seen):
    WAYS[way](bprop.vmap(lambda x: bprop.callback(note, x * 2, X[0]) or x))(X)
    assert seen == [(2, 1), (4, 1), (6, 1)]
    seen.clear()
    WAYS[way](bprop.vmap(bprop.vmap(lambda x: bprop.callback(note, x) or x)))(np.arange(4.0).reshape(2, 2))
    assert seen == [(0,), (1,), (2,), (3,)]


@pytest.mark.parametrize("way", WAYS)
def test_inside_loops_and_branches(way, note, seen):
    def f(x):
        def turn(c, row):
            bprop.callback(note, "row", row)
            n = bprop.while_loop(lambda n: n < c, lambda n: bprop.callback(note, "n", n) or n + 1, bprop.asarray(0))
            return bprop.cond(row > 1.5, lambda: bprop.callback(note, "large") or c + 1, lambda: c), n

        return bprop.scan(turn, bprop.asarray(1), x)[1]

    WAYS[way](f)(X)
    expected = [("row", 1), ("n", 0), ("row", 2), ("n", 0), ("large",), ("row", 3), ("n", 0), ("n", 1), ("large",)]
    assert seen == expected


@pytest.mark.parametrize("limit", [None, 9])
@pytest.mark.parametrize("wrap", [lambda f: f, bprop.compile], ids=["eager", "compiled"])
def test_what_reverse_mode_runs_again_is_quiet(limit, wrap, note, seen):
    def f(x):
        body = lambda c: (c[0] + 1, bprop.callback(note, c[0]) or c[1] * x)
        return bprop.while_loop(lambda c: c[0] < 3, body, (0, x), limit=limit)[1]

    assert wrap(bprop.grad(f))(np.array(2.0)).item() == 32
    assert seen == [(0,), (1,), (2,)]


@pytest.mark.parametrize("way", WAYS)
def test_results(way):
    def f(x):
        order, scaled = bprop.callback(
            lambda x: (np.argsort(x.numpy()), {"a": x * 10}), x, result=(bprop.zeros(3, dtype=int), {"a": x})
        )
        return scaled["a"] + order

    np.testing.assert_array_equal(np.asarray(WAYS[way](f)(-X)).ravel(), [-8, -19, -30])
    batched = bprop.vmap(lambda x: bprop.callback(lambda x: x[::-1], x, result=x))
    np.testing.assert_array_equal(np.asarray(WAYS[way](batched)(np.stack([X, 2 * X]))).reshape(2, 3)[:, 0], [3, 6])


def test_a_result_has_no_derivative_unless_one_is_given():
    f = lambda x: bprop.callback(lambda x: x * x, x, result=x)
    for call in (lambda: bprop.grad(f)(2.0), lambda: bprop.jvp(f, (2.0,), (1.0,)), lambda: bprop.linearize(f, 2.0)):
        with pytest.raises(bprop.DerivativeError, match=r"no derivative: give one with bprop\.custom"):
            call()
    given = bprop.custom(f, vjp=lambda y_bar, y, x: y_bar * 2 * x)
    for g in (bprop.grad(given), bprop.compile(bprop.grad(given))):
        assert g(np.array(3.0)).item() == 6


class MineError(Exception):
    pass


def test_an_exception_comes_out_unchanged_and_leaves_the_parameters():
    def fail(x):
        if bprop.sum(x) > 0:
            raise mine

    mine = MineError("as it was")
    model, x = bprop.nn.Linear(3, 2, dtype="float64"), bprop.ones((4, 3))
    optimizer = bprop.optim.Adam(0.1)
    optimizer.init(model)

    @bprop.compile
    def step(model, optimizer, x, sign):
        loss, gradients = bprop.value_and_grad(lambda m: bprop.sum(m(x) ** 2))(model)
        optimizer.update(model, gradients)
        bprop.callback(fail, sign)
        return loss

    step(model, optimizer, x, np.array(-1.0))
    holders = (model, optimizer)
    before = {name: np.array(cell.array) for holder in holders for name, cell in holder.cells().items()}
    with pytest.raises(MineError) as caught:
        step(model, optimizer, x, np.array(1.0))
    assert caught.value is mine
    after = {name: np.array(cell.array) for holder in holders for name, cell in holder.cells().items()}
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
    step(model, optimizer, x, np.array(-1.0))
    assert not np.array_equal(np.asarray(model.W), before["W"])


def test_hooks_see_numbers_inside_a_compiled_step():
    model = bprop.nn.Sequential(bprop.nn.Linear(3, 2, dtype="float64"), bprop.nn.Tanh())
    seen = {}
    for place in ("x", "y", "y_bar", "x_bar"):
        model[0].hook(
            **{place: lambda m, v, place=place: bprop.callback(lambda v: seen.setdefault(place, v.numpy()), v)}
        )
    x = bprop.asarray(np.ones((1, 3)))
    step = bprop.compile(lambda m, x: bprop.grad(lambda m, x: bprop.sum(m(x)), argnums=(0, 1))(m, x))
    step(model, x)
    W, b = np.asarray(model[0].W), np.asarray(model[0].b)
    y = np.asarray(model[0](x))
    y_bar = 1 - np.tanh(y) ** 2
    assert set(seen) == {"x", "y", "y_bar", "x_bar"}
    np.testing.assert_allclose(seen["y"], y, rtol=1e-6)
    np.testing.assert_allclose(seen["y_bar"], y_bar, rtol=1e-5)
    np.testing.assert_allclose(seen["x_bar"], np.asarray(bprop.grad(lambda x: bprop.sum(model(x)))(x)), rtol=1e-5)
    assert W.size + b.size == 8


def test_a_callback_that_calls_its_own_compiled_function():
    @bprop.compile
    def f(x):
        bprop.callback(lambda x: f(x), x)
        return x * 2

    with pytest.raises(bprop.CompileError, match="again by its own callback"):
        f(bprop.ones(2))


@pytest.mark.parametrize("wrap", [lambda f: f, bprop.compile], ids=["eager", "compiled"])
def test_what_it_gets_stays_what_it_was(wrap):
    kept = []
    f = wrap(lambda x: bprop.callback(kept.append, x + 1))
    f(np.zeros(2))
    f(np.ones(2))
    assert [x.tolist() for x in kept] == [[1, 1], [2, 2]]
    assert all(type(x) is bprop.Array for x in kept)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bprop.callback(3), "f is a function, not int"),
        (lambda: bprop.callback(lambda: 1.0, result=2.0), "result is a tree of arrays"),
        (
            lambda: bprop.callback(lambda: 1.0, result=bprop.ones(2)),
            r"result is float64\[2\], but f returned float64\[\]",
        ),
        (lambda: bprop.callback(lambda: (1.0,), result=bprop.ones(())), r"f returned tuple\(0: \*\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(bprop.BpropError, match=message):
        call()
