"""Hooks: in fprop and bprop, under transforms and compiled, they see and change the same values."""

import numpy as np
import pytest

import bprop
from bprop import nn
from support.comparison import assert_trees_close

X = np.random.default_rng(3).normal(size=(4, 3))


def two_layers():
    return nn.Sequential(nn.Linear(3, 3, np.float64, seed=0), nn.Tanh(), nn.Linear(3, 2, np.float64, seed=1))


def layerwise(model):
    y = model.fprop(X)
    x_bar = model.bprop(np.ones(y.shape))
    return [y, x_bar, *model.gradients().values()]


def transformed(model):
    x_bar, bars = bprop.grad(lambda x, m: bprop.sum(m(x)), (0, 1))(X, model)
    return [model(X), x_bar, *bars.values()]


def compiled(model):
    step = bprop.compile(lambda model, x: bprop.value_and_grad(lambda x, m: bprop.sum(m(x)), (0, 1))(x, model))
    _, (x_bar, bars) = step(model, X)
    return [model(X), x_bar, *bars.values()]


HOOKS = {
    "x": {"x": lambda module, x: 2 * x},
    "y": {"y": lambda module, y: y * y + 1},
    "y_bar": {"y_bar": lambda module, y_bar: bprop.where(y_bar > 0.1, 0.1, y_bar)},
    "x_bar": {"x_bar": lambda module, x_bar: 3 * x_bar},
    "all": {
        "x": lambda module, x: bprop.sin(x),
        "y": lambda module, y: 2 * y,
        "y_bar": lambda module, y_bar: y_bar - 1,
        "x_bar": lambda module, x_bar: x_bar * x_bar,
    },
}


@pytest.mark.parametrize("place", [0, 1, 2, None], ids=["Linear", "Tanh", "last", "Sequential"])
@pytest.mark.parametrize("kind", HOOKS)
def test_all_ways_agree(place, kind):
    """A module with a handwritten rule (Linear, Tanh), one that composes (Sequential)."""
    found = []
    for way in (layerwise, transformed, compiled):
        model = two_layers()
        (model if place is None else model[place]).hook(**HOOKS[kind])
        found.append(way(model))
    assert_trees_close(found[1], found[0])
    assert_trees_close(found[2], found[0])
    plain = layerwise(two_layers())
    assert any(not np.allclose(np.asarray(a), np.asarray(b)) for a, b in zip(found[0], plain, strict=True))


def test_a_derived_bprop_has_hooks_too():
    found = []
    for way in (layerwise, transformed, compiled):
        model = nn.Sequential(nn.Linear(3, 3, np.float64, seed=0), nn.Mish())
        for place in (0, 1):
            model[place].hook(**HOOKS["all"])
        found.append(way(model))
    assert_trees_close(found[1], found[0])
    assert_trees_close(found[2], found[0])


def test_a_replaced_y_is_differentiated(numerical):
    model = two_layers()
    model[1].hook(x=lambda module, x: x * x, y=lambda module, y: bprop.exp(y))
    x_bar = np.asarray(layerwise(model)[1])
    direction = np.cos(np.arange(12.0)).reshape(X.shape)
    slope = numerical(lambda h: [np.asarray(model(X + h * direction)).sum()], step=0.001)[0]
    assert slope == pytest.approx(np.sum(x_bar * direction), rel=1e-9)


def test_removed_hooks_leave_nothing():
    model, plain = two_layers(), layerwise(two_layers())
    first = model[1].hook(y=lambda module, y: 2 * y)
    with model[0].hook(x_bar=lambda module, x_bar: 0 * x_bar) as second:
        assert "Hook(Linear, x_bar)" in repr(second)
    assert "removed" in repr(second)
    first.remove()
    first.remove()
    assert_trees_close(layerwise(model), plain)
    assert_trees_close(transformed(model), plain)


def test_a_compiled_step_follows_its_hooks():
    model = two_layers()
    step = bprop.compile(lambda model, x: bprop.grad(lambda x: bprop.sum(model(x)))(x))
    plain = np.asarray(step(model, X))
    for factor in (2.0, 5.0):
        handle = model[0].hook(x_bar=lambda module, x_bar, factor=factor: factor * x_bar)
        np.testing.assert_allclose(np.asarray(step(model, X)), factor * plain)
        handle.remove()
    np.testing.assert_array_equal(np.asarray(step(model, X)), plain)


def test_statistics_of_activations_are_recorded():
    seen = {}
    model = two_layers()
    for path, module in model.modules():
        module.hook(y=lambda module, y, path=path: seen.update({path: float(y.concrete().mean())}))
    y = model.fprop(X)
    expected = {"": y, "layers.0": model[0].y, "layers.1": model[1].y, "layers.2": model[2].y}
    assert seen == {path: np.asarray(one).mean() for path, one in expected.items()}
    seen.clear()
    bprop.value_and_grad(lambda m: bprop.sum(m(X)))(model)
    assert set(seen) == set(expected)


def test_a_hook_that_wants_numbers_where_there_are_none():
    model = two_layers()
    model[1].hook(y=lambda module, y: print(float(bprop.sum(y))))
    with pytest.raises(bprop.TracedValueError) as caught:
        bprop.compile(lambda model, x: model(x))(model, X)
    assert "layers.1:Tanh" in str(caught.value)


def test_a_gradient_is_clipped_and_a_layer_held():
    model = two_layers()
    model[2].hook(x_bar=lambda module, x_bar: bprop.clip(x_bar, -0.01, 0.01))
    model[0].freeze()
    model.fprop(X)
    model.bprop(np.ones((4, 2)))
    assert np.abs(np.asarray(model[1].y_bar)).max() == 0.01
    assert set(model.gradients()) == {"layers.2.W", "layers.2.b"}
    gradients = bprop.grad(lambda m: bprop.sum(m(X)))(model)
    assert set(gradients) == {"layers.2.W", "layers.2.b"}


def test_losses_and_several_inputs():
    loss, seen = nn.SquaredError(), []
    loss.hook(x=lambda module, pair: seen.append(len(pair)), x_bar=lambda module, pair: tuple(2 * bar for bar in pair))
    y, t = np.ones((4, 2)), np.zeros((4, 2))
    E = loss.fprop(y, t)
    assert np.asarray(loss.bprop()).tolist() == (2 * y / 4).tolist()
    assert float(E) == 1.0
    np.testing.assert_allclose(np.asarray(bprop.grad(lambda y: loss(y, t))(y)), 2 * y / 4)
    assert seen == [2, 2]


def test_forward_mode_passes_hooks_on_cotangents_by():
    module = nn.Tanh()
    expected = bprop.jvp(module, (X,), (X,))
    module.hook(x_bar=lambda module, x_bar: 0 * x_bar, y_bar=lambda module, y_bar: 7 * y_bar)
    assert_trees_close(bprop.jvp(module, (X,), (X,)), expected)
    assert_trees_close([bprop.vmap(module)(X)], [module(X)])


def test_wrong_hooks():
    module = nn.Tanh()
    with pytest.raises(bprop.ArgumentError, match="give a function"):
        module.hook()
    with pytest.raises(bprop.ArgumentError, match=r"y is a function of \(module, y\), not 3"):
        module.hook(y=3)
    with pytest.raises(bprop.ArgumentError, match=r"Tanh\.hooks is what Module\.hook keeps"):
        module.hooks = []
    module.hook(x_bar=lambda module, x_bar: x_bar[0])
    module.fprop(X)
    for way in (lambda: module.bprop(X), lambda: bprop.grad(lambda x: bprop.sum(module(x)))(X)):
        with pytest.raises(
            bprop.ShapeError, match=r"the hook on x_bar returned shape \(3,\); x_bar has shape \(4, 3\)"
        ):
            way()


def test_a_hook_that_returns_no_array():
    for place in ("x", "y"):
        for wrong in ("text", (X, X)):
            module = nn.Tanh()
            module.hook(**{place: lambda module, value, wrong=wrong: wrong})
            for way in (module.fprop, module):
                with pytest.raises(bprop.ArgumentError, match=f"Tanh: the hook on {place}"):
                    way(X)
    loss = nn.SquaredError()
    loss.hook(x=lambda module, pair: pair[0])
    with pytest.raises(bprop.ArgumentError, match=r"(?s)the hook on x returned .*, not 2 values, a tuple or None"):
        loss.fprop(X, X)
    module = nn.Tanh()
    module.hook(y=lambda module, y: np.ones(y.shape).tolist())
    assert isinstance(module.fprop(X), bprop.Array)


def test_hooks_taken_off_on_the_way_and_hooks_that_fail():
    model = two_layers()
    handle = model[1].hook(y=lambda module, y: handle.remove())
    assert_trees_close(layerwise(model), layerwise(two_layers()))
    assert not model[1].hooks

    def fail(module, value):
        raise ValueError("from the hook")

    for place in ("x", "y", "y_bar", "x_bar"):
        with model[1].hook(**{place: fail}), pytest.raises(ValueError, match="from the hook"):
            layerwise(model)
        assert_trees_close(layerwise(model), layerwise(two_layers()))


def test_a_hook_that_was_removed_leaves_no_trace():
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    before = [dict(module.__dict__) for _, module in model.modules()]
    for _, module in model.modules():
        with module.hook(y=lambda module, y: None):
            assert module.hooks
    assert before == [dict(module.__dict__) for _, module in model.modules()]
