"""Modules of several inputs and results: tuples of arrays in and out, and their cotangents in the same form."""

import numpy as np
import pytest

import bprop
from bprop import nn
from support.comparison import assert_trees_close

X, H, C = (np.random.default_rng(seed).normal(size=(2, 3)) for seed in (0, 1, 2))
Y_BAR, H_BAR, C_BAR = (np.random.default_rng(seed).normal(size=(2, 3)) for seed in (3, 4, 5))


class Memory(nn.Module):
    """An input and a state, a pair; a result and a new state."""

    def __init__(self):
        self.w = nn.parameter(np.array([0.5, -1.0, 2.0]))

    def fprop(self, x, state, scale=1):
        h, c = state
        kept = bprop.sin(h)
        self.keep(kept=kept)
        return scale * x * self.w * kept, (x + h, c * kept)


class Handwritten(Memory):
    """The same with its backward pass."""

    def fprop(self, x, state, scale=1):
        return Memory._formula(self, x, state, scale)

    def bprop(self, y_bar, state_bar):
        x, (h, c), scale = (*self.inputs, 1)[:3]
        h_bar, c_bar = state_bar
        self.w_bar = bprop.sum(bprop.reshape(y_bar * scale * x * self.kept, (-1, 3)), axis=0)
        return (
            y_bar * scale * self.w * self.kept + h_bar,
            ((y_bar * scale * x * self.w + c_bar * c) * bprop.cos(h) + h_bar, c_bar * self.kept),
        )


MODULES = [Memory, Handwritten]


def flat(tree):
    return [leaf for entry in tree for leaf in flat(entry)] if isinstance(tree, tuple) else [np.asarray(tree)]


def layerwise(module):
    y, state = module.fprop(X, (H, C))
    x_bar, state_bar = module.bprop(Y_BAR, (H_BAR, C_BAR))[:2]
    return flat((y, state, x_bar, state_bar, module.w_bar))


def transformed(module):
    (y, state), pull = bprop.vjp(lambda x, state, m: m(x, state), X, (H, C), module)
    x_bar, state_bar, bars = pull((Y_BAR, (H_BAR, C_BAR)))
    return flat((y, state, x_bar, state_bar, bars["w"]))


@pytest.mark.parametrize("kind", MODULES)
def test_all_ways_agree(kind):
    expected = layerwise(Memory())
    assert_trees_close(layerwise(kind()), expected, rtol=1e-13)
    assert_trees_close(transformed(kind()), expected, rtol=1e-13)
    assert_trees_close(flat(bprop.compile(lambda m: tuple(transformed_values(m)))(kind())), expected, rtol=1e-13)


def transformed_values(module):
    (y, state), pull = bprop.vjp(lambda x, state, m: m(x, state), bprop.asarray(X), (H, C), module)
    x_bar, state_bar, bars = pull((Y_BAR, (H_BAR, C_BAR)))
    return y, state, x_bar, state_bar, bars["w"]


@pytest.mark.parametrize("kind", MODULES)
def test_a_cotangent_that_is_left_out_is_zero(kind):
    module = kind()
    answers = []
    for bars in ((Y_BAR,), (Y_BAR, None), (Y_BAR, (np.zeros((2, 3)), None))):
        module.fprop(X, (H, C))
        answers.append(flat(module.bprop(*bars)[:2]))
    assert_trees_close(answers[1], answers[0], rtol=0)
    assert_trees_close(answers[2], answers[0], rtol=0)
    module.fprop(X, (H, C))
    np.testing.assert_allclose(module.bprop(None, (H_BAR, None))[1][0], H_BAR)


@pytest.mark.parametrize("kind", MODULES)
def test_arguments_have_names(kind):
    module = kind()
    by_name = module(X, scale=3.0, state=(H, C))
    assert_trees_close(flat(by_name), flat(module(X, (H, C), 3.0)), rtol=0)
    assert_trees_close(flat(module.fprop(X, state=(H, C))), flat(module(X, (H, C))), rtol=0)
    with pytest.raises(bprop.ArgumentError, match=r"'carry'; its fprop takes \(x, state, scale\)"):
        module(X, (H, C), carry=1.0)


@pytest.mark.parametrize("kind", MODULES)
def test_cotangents_of_another_form_are_refused(kind):
    module = kind()
    module.fprop(X, (H, C))
    with pytest.raises(
        bprop.ArgumentError, match=r"y_bar is \(array, array\) for a value that is \(array, \(array, array\)\)"
    ):
        module.bprop(Y_BAR, H_BAR)
    with pytest.raises(bprop.ArgumentError, match="3 cotangents for y of 2 values"):
        module.bprop(Y_BAR, (H_BAR, C_BAR), Y_BAR)
    with pytest.raises(bprop.ShapeError, match="y_bar has shape"):
        module.bprop(Y_BAR[0], (H_BAR, C_BAR))
    with pytest.raises(bprop.ShapeError, match="needs y_bar"):
        module.bprop()


def test_a_rule_that_answers_in_another_form_is_refused():
    class Wrong(Handwritten):
        def bprop(self, y_bar, state_bar):
            x_bar, state_bar = super().bprop(y_bar, state_bar)
            return x_bar, state_bar[0]

    module = Wrong()
    module.fprop(X, (H, C))
    message = r"x_bar is array for a value that is \(array, array\)"
    with pytest.raises(bprop.ArgumentError, match=message):
        module.bprop(Y_BAR)
    with pytest.raises(bprop.ArgumentError, match=message):
        bprop.grad(lambda x: bprop.sum(module(x, (H, C))[0]))(X)


def leaves_in(tree):
    return sum(map(leaves_in, tree)) if isinstance(tree, tuple) else 1


def counting(point, counts):
    return lambda module, value: counts.update({point: leaves_in(value)})


@pytest.mark.parametrize("kind", MODULES)
def test_hooks_see_all_values(kind):
    points = ("x", "y", "y_bar", "x_bar")
    for way in (layerwise, transformed):
        module, counts = kind(), {}
        plain = way(kind())
        hooks = [module.hook(**{point: counting(point, counts)}) for point in points]
        assert_trees_close(way(module), plain, rtol=0)
        assert counts == dict.fromkeys(points, 3)
        for hook in hooks:
            hook.remove()
        module.hook(y_bar=lambda m, bars: tuple(2 * bar for bar in bars))
        assert_trees_close(way(module)[3:], [2 * bar for bar in plain[3:]], rtol=1e-14)
        halved = kind()
        halved.hook(
            x=lambda m, inputs: (inputs[0] / 2, inputs[1]), x_bar=lambda m, bars: tuple(4 * bar for bar in bars)
        )
        np.testing.assert_allclose(way(halved)[0], plain[0] / 2)
        np.testing.assert_allclose(way(halved)[3], 2 * plain[3])


def test_equations_name_the_values():
    text = str(Memory().equations((2, 3), ((2, 3), (2, 3))))
    for equation in ("y1 = ", "y2 = x + state1", "state2_bar = y3_bar * kept", "w_bar = "):
        assert equation in text
    kind = type("Named", (Handwritten,), {"result": ("y", "last")})
    text = str(kind().equations((2, 3), ((2, 3), (2, 3))))
    for equation in ("y = ", "last2 = ", "state2_bar = last2_bar * kept"):
        assert equation in text


@pytest.mark.parametrize("kind", MODULES)
def test_the_derivative_of_a_derivative_and_of_a_batch(kind):
    module, derived = kind(), Memory()

    def loss(module):
        def f(x):
            y, (h, c) = module(x, (x * x, C[0]))
            return bprop.sum(y * y + bprop.cos(h) + c)

        return f

    for transform in (
        lambda f: bprop.grad(f)(X[0]),
        lambda f: bprop.hessian(f)(X[0]),
        lambda f: bprop.jvp(bprop.grad(f), (X[0],), (H[0],))[1],
        lambda f: bprop.vmap(bprop.grad(f))(X),
        lambda f: bprop.vmap(bprop.hessian(f))(X),
        lambda f: bprop.compile(bprop.hessian(f))(X[0]),
    ):
        np.testing.assert_allclose(transform(loss(module)), transform(loss(derived)), rtol=1e-12, atol=1e-14)


def test_a_written_state_has_its_derivative_too():
    """What a module with a rule for y writes into a cell is derived; the rule is about y alone."""

    class Counted(nn.Module):
        def __init__(self):
            self.mean = nn.state(0.0)

        def fprop(self, x):
            self.mean = bprop.sum(x * x)
            return 3 * x

        def bprop(self, y_bar):
            return 3 * y_bar

    module = Counted()

    def f(x):
        return bprop.sum(module(x)) + module.mean

    np.testing.assert_allclose(bprop.grad(f)(X[0]), 3 + 2 * X[0])
