"""Containers as sequences, their errors, and the numbers of a module by path."""

import numpy as np
import pytest

import bprop
from bprop import nn
from support.comparison import assert_trees_close

X = np.random.default_rng(1).normal(size=(4, 3))


def layer(inputs, outputs, seed=0):
    return nn.Linear(inputs, outputs, np.float64, seed=seed)


# --- Sequential ---
def test_names_and_numbers():
    model = nn.Sequential(hidden=layer(3, 4), squash=nn.Tanh(), out=layer(4, 2, 1))
    same = nn.Sequential({"hidden": model[0], "squash": model[1], "out": model[2]})
    assert list(model.parameters()) == [f"layers.{name}" for name in ("hidden.W", "hidden.b", "out.W", "out.b")]
    assert model["out"] is model[2] is model[-1] is same["out"]
    assert list(model) == list(same)
    assert np.asarray(model(X)).tolist() == np.asarray(same(X)).tolist()
    head = model[:2]
    assert isinstance(head, nn.Sequential)
    assert head["hidden"] is model["hidden"]
    assert len(head) == 2
    assert "(layers.squash): Tanh()" in repr(model)


def test_changes_in_place():
    model = nn.Sequential(layer(3, 4))
    assert model.append(nn.Tanh()).append(layer(4, 2)) is model
    model[1] = nn.ReLU()
    model[-1] = layer(4, 5, 3)
    assert [type(one).__name__ for one in model] == ["Linear", "ReLU", "Linear"]
    assert model(X).shape == (4, 5)
    assert set(model.parameters()) == {"layers.0.W", "layers.0.b", "layers.2.W", "layers.2.b"}
    named = nn.Sequential(first=layer(3, 4)).append(nn.Tanh(), "second")
    named["second"] = nn.ReLU()
    assert list(named.layers) == ["first", "second"]
    assert isinstance(named[1], nn.ReLU)


def test_wrong_places_and_names():
    model, named = nn.Sequential(nn.Tanh()), nn.Sequential(a=nn.Tanh())
    for call, error, text in (
        (lambda: model[1], bprop.IndexingError, r"place 1 with 1 modules: places are 0 … 0"),
        (lambda: model["a"], bprop.IndexingError, "no module is named 'a'"),
        (lambda: named["b"], bprop.IndexingError, r"no module is named 'b'; there are \['a'\]"),
        (lambda: model[1.5], bprop.IndexingError, "1.5 is no place"),
        (lambda: model.append(np.tanh), bprop.ArgumentError, "layer 1 is <ufunc 'tanh'>, not a module"),
        (lambda: model.append(nn.Tanh(), "a"), bprop.ArgumentError, "the modules have numbers"),
        (lambda: named.append(nn.Tanh()), bprop.ArgumentError, "the modules have names"),
        (lambda: named.append(nn.Tanh(), "a"), bprop.ArgumentError, "'a' is no new one"),
        (lambda: nn.Sequential(nn.Tanh(), b=nn.Tanh()), bprop.ArgumentError, "all modules names or none"),
        (lambda: nn.Sequential({"a.b": nn.Tanh()}), bprop.ArgumentError, "a name is a string without a point"),
        (lambda: nn.Parallel(), bprop.ArgumentError, "at least one branch"),
        (lambda: nn.Parallel(nn.Tanh(), join="times"), bprop.ArgumentError, "join is 'concat' or 'add', not 'times'"),
        (lambda: nn.Residual(np.tanh), bprop.ArgumentError, "module is a module, not <ufunc 'tanh'>"),
        (lambda: nn.Lambda(3), bprop.ArgumentError, "f is a function, not 3"),
        (lambda: nn.Lambda(nn.Tanh()), bprop.ArgumentError, "a module already"),
    ):
        with pytest.raises(error, match=text):
            call()


# --- side by side, around ---
def test_parallel_is_its_branches():
    branches = layer(3, 2, 0), nn.Tanh(), layer(3, 4, 1)
    module = nn.Parallel(*branches)
    y = np.asarray(module.fprop(X))
    np.testing.assert_array_equal(y, np.concatenate([np.asarray(branch(X)) for branch in branches], axis=-1))
    y_bar = np.random.default_rng(2).normal(size=y.shape)
    x_bar, parts = module.bprop(y_bar), np.split(y_bar, [2, 5], axis=-1)
    for branch, part in zip(branches, parts, strict=True):
        np.testing.assert_array_equal(np.asarray(branch.y_bar), part)
    np.testing.assert_allclose(np.asarray(x_bar), sum(np.asarray(branch.x_bar) for branch in branches))
    halves = nn.Parallel(nn.Identity(), nn.Tanh(), axis=0)
    assert halves(X).shape == (8, 3)
    assert halves[:1].axis == 0


def test_one_module_in_two_branches():
    shared = layer(3, 3)
    for join in ("concat", "add"):
        module = nn.Parallel(shared, nn.Sequential(nn.Tanh(), shared), join=join)
        y = module.fprop(X)
        x_bar = module.bprop(np.ones(y.shape))
        expected, bars = bprop.grad(lambda x, m: bprop.sum(m(x)), (0, 1))(X, module)
        np.testing.assert_allclose(np.asarray(x_bar), np.asarray(expected))
        assert set(bars) == {"layers.0.W", "layers.0.b"}
        for path, bar in module.gradients().items():
            np.testing.assert_allclose(np.asarray(bar), np.asarray(bars[path]))


def test_shapes_that_do_not_fit():
    with pytest.raises(bprop.ShapeError, match=r"shapes \[\(4, 3\), \(4, 2\)\], which are not added"):
        nn.Parallel(nn.Tanh(), layer(3, 2), join="add")(X)
    with pytest.raises(bprop.ShapeError, match=r"may differ along axis 0 only"):
        nn.Parallel(nn.Tanh(), layer(3, 2), axis=0)(X)
    with pytest.raises(bprop.ShapeError, match=r"gave shape \(4, 2\) and is added to shape \(4, 3\): give a shortcut"):
        nn.Residual(layer(3, 2))(X)


def test_an_error_names_a_module_that_was_put_in_later():
    class Stack(nn.Module):
        def __init__(self):
            self.blocks = []

        def fprop(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    model = Stack()
    for size in (3, 4):
        model.blocks.append(nn.Sequential(layer(size, size)))
    for call in (lambda: model(X), lambda: model.fprop(X), lambda: bprop.grad(lambda x: bprop.sum(model(x)))(X)):
        with pytest.raises(bprop.ShapeError, match=r"in module Stack\.blocks\.1:Sequential\.layers\.0:Linear"):
            call()
    inner = layer(4, 2)
    other = nn.Sequential(layer(3, 3), inner)
    assert nn.Sequential(inner)(np.ones((1, 4))).shape == (1, 2)
    with pytest.raises(bprop.ShapeError, match=r"in module Sequential\.layers\.1:Linear"):
        other(X)  # by the name it has here, not by that of the container it was put in first


# --- numbers by path ---
def test_state_is_copied_and_loaded():
    first = nn.Sequential(layer(3, 2, 0), nn.Dropout(0.5, seed=3))
    second = nn.Sequential(layer(3, 2, 1), nn.Dropout(0.5, seed=4))
    state = first.state_dict()
    assert list(state) == ["layers.0.W", "layers.0.b", "layers.1.generator.state"]
    second.load_state_dict(state)
    assert np.asarray(first(X)).tolist() == np.asarray(second(X)).tolist()
    state["layers.0.W"][:] = 0
    assert np.asarray(first[0].W).any()
    assert np.asarray(second[0].W).any()


def test_loading_names_everything_that_is_wrong_and_changes_nothing():
    model = nn.Sequential(layer(3, 2), layer(2, 2), layer(2, 1))
    before = model.state_dict()
    wrong = {
        "layers.0.W": np.zeros((3, 2)),
        "layers.0.b": np.zeros(2, np.float32),
        "layers.1.W": np.zeros((2, 2)),
        "layers.1.b": np.zeros(2),
        "layers.2.b": np.zeros(1),
        "layers.7.W": np.zeros(1),
    }
    with pytest.raises(bprop.BpropError) as caught:
        model.load_state_dict(wrong)
    for text in (
        "has no 'layers.2.W', which Sequential needs",
        "'layers.0.W' has shape (3, 2) in the mapping and (2, 3) in Sequential",
        "'layers.0.b' is float32 in the mapping and float64 in Sequential",
        "has 'layers.7.W', which Sequential does not have",
    ):
        assert text in str(caught.value)
    with pytest.raises(bprop.ShapeError):
        model.load_state_dict(wrong, strict=False)
    for path, value in model.state_dict().items():
        assert value.tolist() == before[path].tolist()
    model.load_state_dict({"layers.1.b": np.ones(2), "elsewhere": np.ones(1)}, strict=False)
    assert np.asarray(model[1].b).tolist() == [1.0, 1.0]


def test_frozen_parameters_stay():
    model = nn.Sequential(layer(3, 4), nn.Tanh(), layer(4, 2, 1))
    everything = bprop.grad(lambda m: bprop.sum(m(X)))(model)
    model[0].freeze()
    assert list(model.parameters()) == ["layers.2.W", "layers.2.b"]
    assert set(model.state_dict()) == set(everything)
    found = bprop.grad(lambda m: bprop.sum(m(X)))(model)
    assert set(found) == {"layers.2.W", "layers.2.b"}
    y = model.fprop(X)
    model.bprop(np.ones(y.shape))
    for bars in (found, model.gradients(), bprop.compile(lambda m: bprop.grad(lambda m: bprop.sum(m(X)))(m))(model)):
        for path in found:
            np.testing.assert_allclose(np.asarray(bars[path]), np.asarray(everything[path]), rtol=1e-12)
    with pytest.raises(bprop.BpropError):
        bprop.grad(lambda m: bprop.sum(m(X)))(model.freeze())
    assert set(model.unfreeze().parameters()) == set(everything)
    assert bprop.grad(lambda m: bprop.sum(m(X)))(model).keys() == everything.keys()


def test_a_residual_block_with_projection_and_final_activation():
    """As torchvision's: layers with batch normalisation, a projection of x to as many outputs, and a rectifier of the sum."""

    def block():
        layers = nn.Sequential(
            nn.Linear(6, 4, np.float64, seed=0), nn.BatchNorm1d(4, dtype=np.float64), nn.ReLU(),
            nn.Linear(4, 4, np.float64, seed=1), nn.BatchNorm1d(4, dtype=np.float64),
        )  # fmt: skip
        projection = nn.Sequential(nn.Linear(6, 4, np.float64, bias=False, seed=2), nn.BatchNorm1d(4, dtype=np.float64))
        return nn.Residual(layers, shortcut=projection, activation=nn.ReLU())

    def passes(model, x):
        y, pull = bprop.vjp(lambda x, cells: model(x), x, model)
        x_bar, bars = pull(np.cos(np.arange(20.0)).reshape(5, 4))
        return y, x_bar, bars

    x = np.random.default_rng(3).normal(size=(5, 6))
    layerwise, eager, compiled = block(), block(), block()
    y = layerwise.fprop(x)
    x_bar = layerwise.bprop(np.cos(np.arange(20.0)).reshape(5, 4))
    expected = (y, x_bar, layerwise.gradients())
    assert (np.asarray(y) >= 0).all()
    assert_trees_close(passes(eager, x), expected)
    assert_trees_close(bprop.compile(passes)(compiled, x), expected)
    for model in (eager, compiled):
        assert_trees_close(model.state_dict(), layerwise.state_dict())
    assert {"shortcut.layers.0.W", "module.layers.1.running_mean"} <= set(layerwise.state_dict())
    with pytest.raises(bprop.ArgumentError, match="activation is a module"):
        nn.Residual(nn.Tanh(), activation=np.tanh)
