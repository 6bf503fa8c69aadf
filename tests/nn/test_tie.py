"""One parameter under two names, what assignment refuses, and arrays that would be neither trained nor saved."""

import copy
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop import nn, optim
from bprop.train import Run, fit, load_weights, save_weights

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


class Autoencoder(nn.Module):
    def __init__(self, tied=True):
        self.e, self.d = nn.Linear(3, 3, seed=1), nn.Linear(3, 3, seed=2)
        if tied:
            nn.tie(self, "d.W", "e.W")

    def fprop(self, x):
        return self.d(bprop.tanh(self.e(x)))


def sequential():
    model = nn.Sequential(nn.Linear(3, 3, seed=1), nn.Tanh(), nn.Linear(3, 3, seed=2))
    nn.tie(model, "2.W", "0.W")
    return model


TIED = {"e.W": Autoencoder, "layers.0.W": sequential}
models = pytest.mark.parametrize("name", TIED)


def energy(model):
    return bprop.sum((model(X) - X) ** 2) / len(X)


def expected(W, b, c):
    """The gradient by the one W, with NumPy."""
    h = np.tanh(X @ W.T + b)
    y_bar = 2 * (h @ W.T + c - X) / len(X)
    z_bar = (y_bar @ W) * (1 - h * h)
    return y_bar.T @ h + z_bar.T @ X


@models
def test_one_entry_and_the_sum_of_both_gradients(name):
    model = TIED[name]()
    assert len(model.parameters()) == len(model.state_dict()) == len(model.cells()) == 3
    W, b, c = (np.asarray(one) for one in model.parameters().values())
    right = expected(W, b, c)
    for f in (bprop.value_and_grad, lambda f: bprop.compile(bprop.value_and_grad(f))):
        gradients = f(energy)(model)[1]
        assert set(gradients) == set(model.parameters())
        assert_allclose(gradients[name], right, rtol=2e-5, atol=1e-6)
    bprop.check(energy, model)


@models
def test_frames_leave_the_sum(name):
    model = TIED[name]()
    right = expected(*(np.asarray(one) for one in model.parameters().values()))
    for _ in range(2):  # what the first sweep left is not counted again
        y = model.fprop(X)
        model.bprop(2 * (y - X) / len(X))
        assert_allclose(model.gradients()[name], right, rtol=2e-5, atol=1e-6)


def test_what_another_name_got_in_an_earlier_sweep_is_not_counted():
    model = Autoencoder()
    model.d.fprop(X)
    model.d.bprop(np.ones_like(X))
    y = model.fprop(X)
    model.bprop(2 * (y - X) / len(X))
    right = expected(*(np.asarray(one) for one in model.parameters().values()))
    assert_allclose(model.gradients()["e.W"], right, rtol=2e-5, atol=1e-6)


@models
@pytest.mark.parametrize("compiled", [False, True])
def test_one_slot_and_one_update(name, compiled):
    model, optimizer = TIED[name](), optim.Adam(0.01)
    reference, W = TIED[name](), None

    def step(model, optimizer):
        E, gradients = bprop.value_and_grad(energy)(model)
        optimizer.update(model, gradients)
        return E

    run = bprop.compile(step) if compiled else step
    losses = [float(run(model, optimizer)) for _ in range(5)]
    assert losses[-1] < losses[0]
    assert len([path for path in optimizer.cells() if path.endswith(".m")]) == 3
    first, second = (model.e, model.d) if name == "e.W" else (model[0], model[2])
    assert_array_equal(first.W, second.W)
    W = next(iter(reference.parameters().values()))
    assert not np.array_equal(first.W, W)


def test_a_compiled_function_notices():
    model = Autoencoder(tied=False)
    run = bprop.compile(lambda model: energy(model))
    before = float(run(model))
    nn.tie(model, "d.W", "e.W")
    assert float(run(model)) == pytest.approx(float(energy(model)), rel=1e-5)
    assert float(run(model)) != before
    model.e.W = np.zeros((3, 3), np.float32)
    assert float(run(model)) == pytest.approx(float(energy(model)), rel=1e-5)


@models
def test_saved_once_and_loaded_in_both_places(name, tmp_path):
    model, other = TIED[name](), TIED[name]()
    save_weights(model, tmp_path / "w.safetensors")
    for cell in other.cells().values():
        cell.write(bprop.zeros(cell.read().shape, dtype="float32"))
    load_weights(other, tmp_path / "w.safetensors")
    assert_array_equal(other(X), model(X))
    other.load_state_dict({path: 2 * array for path, array in model.state_dict().items()})
    first, second = (other.e, other.d) if name == "e.W" else (other[0], other[2])
    assert_array_equal(first.W, second.W)


def test_a_copy_is_tied_in_itself_alone():
    model = Autoencoder()
    twin = copy.deepcopy(model)
    twin.e.W = np.zeros((3, 3), np.float32)
    assert not np.asarray(twin.d.W).any()
    assert np.asarray(model.e.W).any()
    assert list(twin.parameters()) == ["e.W", "e.b", "d.b"]


def test_frozen_under_both_names():
    model = Autoencoder()
    model.d.freeze()
    assert list(model.parameters()) == ["e.b"]
    assert list(bprop.grad(energy)(model)) == ["e.b"]
    model.e.unfreeze()
    assert list(model.parameters()) == ["e.W", "e.b"]
    nn.tie(model.freeze(), "d.b", "e.b")  # frozen parameters are parameters


def test_resumed_training_has_the_same_bits(tmp_path):
    def train(model, epochs, folder):
        return fit(
            model, nn.MeanSquaredError(), optim.Adam(0.01), (X, X), epochs=epochs, batch_size=4, out=folder, seed=3,
            resume=(folder / "checkpoint.safetensors").exists(), progress=False,
        )  # fmt: skip

    whole, halves = Autoencoder(), Autoencoder()
    train(whole, 4, tmp_path / "whole")
    train(halves, 2, tmp_path / "halves")
    halves = Autoencoder()
    assert isinstance(train(halves, 4, tmp_path / "halves"), Run)
    for path, array in whole.state_dict().items():
        assert_array_equal(halves.state_dict()[path], array)
    assert_array_equal(halves.d.W, halves.e.W)


def test_two_names_in_one_module_with_a_rule_of_its_own():
    class Twice(nn.Module):
        def __init__(self):
            self.u, self.v = nn.parameter(bprop.asarray(2.0)), nn.parameter(bprop.asarray(3.0))

        def fprop(self, x):
            return self.u * x + self.v * x * x

        def bprop(self, y_bar):
            self.u_bar, self.v_bar = y_bar * self.x, y_bar * self.x * self.x
            return y_bar * (self.u + 2 * self.v * self.x)

    model = Twice()
    nn.tie(model, "v", "u")
    assert list(model.parameters()) == ["u"]
    assert bprop.grad(lambda model: model(3.0))(model)["u"].item() == 12
    model.fprop(3.0)
    model.bprop()
    assert model.gradients()["u"].item() == 12


def test_a_new_name():
    model = nn.Sequential(nn.Linear(3, 3))
    nn.tie(model, "shared", "layers.0.W")
    assert_array_equal(model.shared, model[0].W)
    assert len(model.parameters()) == 2


class Scaled(nn.Module):
    def __init__(self):
        self.a, self.b = nn.Linear(3, 2), nn.Linear(2, 3)
        self.mean = nn.state(np.zeros((2, 3), np.float32))
        self.wide = nn.parameter(np.zeros((2, 3)))
        self.factor = 2.0


@pytest.mark.parametrize(
    ("path", "source", "error", "message"),
    [
        ("a.W", "a.W", bprop.ArgumentError, "the same attribute"),
        ("a.W", "c.W", bprop.ArgumentError, r"no parameter 'c.W'; it has wide, a.W, a.b, b.W, b.b"),
        ("c.W", "a.W", bprop.ArgumentError, "no parameter 'c.W'"),
        ("a.W", "mean", bprop.ArgumentError, "'mean' is a state"),
        ("mean", "a.W", bprop.ArgumentError, "'mean' is a state"),
        ("factor", "a.W", bprop.ArgumentError, "'factor' is float, not a parameter"),
        ("b.W", "a.W", bprop.ShapeError, r"\(3, 2\) and 'a.W' has shape \(2, 3\): use the transposed .* x @ self.a.W"),
        ("a.b", "a.W", bprop.ShapeError, r"'a.b' has shape \(2,\) and 'a.W' has shape \(2, 3\)$"),
        ("wide", "a.W", bprop.DTypeError, "float64 and 'a.W' is float32"),
        ("", "a.W", bprop.ArgumentError, "a path is names joined by points"),
        ("a..W", "a.W", bprop.ArgumentError, "a path is names joined by points"),
    ],
)
def test_what_cannot_be_tied(path, source, error, message):
    model = Scaled()
    before = list(model.cells())
    with pytest.raises(error) as caught:
        nn.tie(model, path, source)
    assert re.search(message, caught.value.message)
    assert list(model.cells()) == before


def test_tying_again_changes_nothing_and_needs_a_module_outside_transforms():
    model = Autoencoder()
    nn.tie(model, "d.W", "e.W")
    with pytest.raises(bprop.ArgumentError, match="the module that holds both"):
        nn.tie(model.parameters(), "d.W", "e.W")
    with pytest.raises(bprop.StateError, match="tie inside"):
        bprop.grad(lambda x: nn.tie(model, "d.b", "e.b"))(1.0)


# --- assignment ---
def test_an_assignment_that_might_mean_tying_is_refused():
    model, other = Autoencoder(tied=False), Autoencoder(tied=False)
    for source in (model.e, other.d):
        with pytest.raises(bprop.ArgumentError, match=r"nn\.tie.*copy, np\.array"):
            model.d.W = source.W
    model.d.W = np.array(model.e.W)
    assert_array_equal(model.d.W, model.e.W)
    assert len(model.parameters()) == 4
    model.d.W = model.d.W  # itself
    model.d.W = model.e.W + 0

    @bprop.compile
    def step(model):
        model.d.W = model.e.W
        return energy(model)

    with pytest.raises(bprop.ArgumentError, match=r"nn\.tie"):
        step(model)


def test_one_array_may_start_several_parameters():
    W = bprop.asarray(np.ones((3, 3), np.float32))
    model = Autoencoder(tied=False)
    model.e.W = W
    model.d.W = W
    first, second = nn.parameter(W), nn.parameter(W)
    model.d.W = W
    model.u, model.v = first, second
    assert len(model.parameters()) == 6


def test_a_state_may_keep_the_value_of_a_parameter():
    class Averaged(nn.Module):
        def __init__(self):
            self.w = nn.parameter(bprop.ones(2))
            self.kept = nn.state(bprop.zeros(2))

    model = Averaged()
    model.kept = model.w
    assert_array_equal(model.kept, [1, 1])


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (bprop.ones(4), "scale"), ([1, bprop.ones(2)], "scale.1"), ({"a": bprop.ones(2)}, "scale.a"),
        ((0, (bprop.ones(2),)), "scale.1.0"),
    ],
)  # fmt: skip
def test_an_array_that_is_neither_trained_nor_saved_is_refused(value, path):
    class Scale(nn.Module):
        def __init__(self):
            self.scale = value

    model = nn.Identity()
    for assign in (Scale, lambda: setattr(model, "scale", value)):
        with pytest.raises(bprop.ArgumentError, match=rf"\.{path} = .*nn\.parameter.*nn\.state.*NumPy array"):
            assign()
    model.scale = np.ones(4)
    other = nn.Linear(3, 3)
    with pytest.raises(bprop.ArgumentError, match=r"nn\.tie"):
        model.W = other.W


def test_values_under_a_transform_do_not_stay_in_a_list_either():
    model = nn.Identity()
    for wrap in (lambda x: x, lambda x: [x]):
        with pytest.raises(bprop.StateError, match=r"self\.keep"):
            bprop.grad(lambda x: setattr(model, "kept", wrap(x)) or x)(1.0)  # noqa: B023


# --- the habits of others ---
def test_messages_name_what_to_write():
    from bprop.train import batches

    model = Autoencoder()
    for make in (
        lambda: optim.Adam(model.parameters(), lr=1e-3), lambda: optim.SGD(model.parameters(), 1e-3),
        lambda: optim.Adam(model), lambda: optim.Adam(iter([1])), lambda: optim.LBFGS(params=model.parameters()),
    ):  # fmt: skip
        with pytest.raises(bprop.ArgumentError, match=r"learning_rate=1e-3.*optimizer\.update\(model, gradients\)"):
            make()
    with pytest.raises(bprop.ArgumentError, match="no setting lr: the learning rate is learning_rate"):
        optim.Adam(lr=1e-3)
    with pytest.raises(bprop.ArgumentError, match=r"batches\(len\(X\), 64\)"):
        batches((X, X), 64)

    class Habit(nn.Module):
        def forward(self, x):
            return x

    for call in (Habit(), Habit().fprop):
        with pytest.raises(bprop.StateError, match="rename its forward to fprop"):
            call(1.0)
