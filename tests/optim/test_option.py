"""Clipping, weight decay and learning rates per parameter, proximal operators, and settings that are refused."""

import numpy as np
import pytest

import bprop
from bprop import nn, optim

RNG = np.random.default_rng(3)
G = {"W": RNG.normal(size=(3, 2)), "b": RNG.normal(size=3)}


def norm_of(gradients):
    return np.sqrt(sum(np.sum(np.asarray(g, np.float64) ** 2) for g in gradients.values()))


def test_clip_norm():
    clipped, norm = optim.clip_norm(G, 0.5)
    assert float(norm) == pytest.approx(norm_of(G), rel=1e-15)
    assert norm_of(clipped) == pytest.approx(0.5 * norm_of(G) / (norm_of(G) + 1e-6), rel=1e-14)
    same, _ = optim.clip_norm(G, 100.0)
    assert all(np.array_equal(np.asarray(same[path]), G[path]) for path in G)
    zero, norm = optim.clip_norm({"W": np.zeros((2, 2)), "b": np.zeros(0)}, 1.0)
    assert not np.asarray(zero["W"]).any()
    assert float(norm) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_norm_neither_overflows_nor_vanishes(dtype):
    for size in (np.finfo(dtype).max / 8, np.finfo(dtype).tiny):
        large = {"W": np.full(4, size, dtype), "b": np.zeros(2, dtype)}
        assert float(optim.global_norm(large)) == pytest.approx(2 * float(size), rel=1e-15)
        clipped, _ = optim.clip_norm(large, float(size))
        assert clipped["W"].dtype == dtype
        np.testing.assert_allclose(np.asarray(clipped["W"], np.float64), size / 2, rtol=1e-6 if size > 1 else 1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_stays_where_it_is(wrong):
    for clip in (lambda g: optim.clip_norm(g, 1.0)[0], bprop.compile(lambda g: optim.clip_norm(g, 1.0)[0])):
        clipped = clip({"W": np.array([3.0, wrong]), "b": np.array([4.0])})
        np.testing.assert_array_equal(np.asarray(clipped["W"]), [3.0, wrong])
        assert clipped["b"].tolist() == [4.0]
    kept = optim.clip_value({"W": np.array([3.0, wrong])}, 1.0)["W"]
    np.testing.assert_array_equal(np.asarray(kept), [1.0, np.nan if np.isnan(wrong) else 1.0])


def test_the_norm_before_clipping_is_known():
    for native in (False, True):
        model, optimizer = nn.Linear(2, 3, np.float64, seed=0), optim.SGD(1.0, clip_norm=0.5)
        update = bprop.compile(lambda m, o, g: o.update(m, g)) if native else lambda m, o, g: o.update(m, g)
        before = np.asarray(model.W)
        assert float(optimizer.gradient_norm) == 0
        update(model, optimizer, G)
        assert float(optimizer.gradient_norm) == pytest.approx(norm_of(G), rel=1e-15)
        factor = 0.5 / (norm_of(G) + 1e-6)
        np.testing.assert_allclose(np.asarray(model.W), before - factor * G["W"], rtol=1e-14)
    with pytest.raises(bprop.StateError, match="only known with clip_norm"):
        _ = optim.SGD(1.0).gradient_norm


def test_settings_per_parameter():
    model = nn.Sequential(nn.Linear(2, 3, np.float64, seed=0), nn.Linear(3, 1, np.float64, seed=0))
    model.layers[0].b = np.ones(3)
    before = {path: np.asarray(value) for path, value in model.parameters().items()}
    optimizer = optim.SGD(0.5, weight_decay={"*.b": 0, "*": 0.1}, factors={"layers.0.*": 0.1})
    optimizer.update(model, {path: np.ones(value.shape) for path, value in before.items()})
    for path, w in before.items():
        decay, rate = (0.1 if path.endswith("W") else 0), (0.05 if path.startswith("layers.0") else 0.5)
        np.testing.assert_allclose(np.asarray(model.parameters()[path]), w - rate * (1 + decay * w), rtol=1e-14)
    assert optimizer.settings()["factors"] == {"layers.0.*": 0.1}
    for options in ({"weight_decay": {"bias": 0.1}}, {"factors": {"bias": 0.1}}):
        with pytest.raises(bprop.ArgumentError, match=r"SGD: \w+ has 'bias', which fits no parameter of layers\.0\.W"):
            optim.SGD(0.1, **options).init(model)
    with pytest.raises(bprop.ArgumentError, match="ProximalGradient: prox has 'bias', which fits no parameter"):
        optim.ProximalGradient(0.1, {"bias": optim.L1(1.0)}).init(model)


PROXES = {
    "L1": (optim.L1(0.7), lambda z: 0.7 * np.abs(z)),
    "L2": (optim.L2(0.7), lambda z: 0.35 * z**2),
    "ElasticNet": (optim.ElasticNet(0.7, 0.4), lambda z: 0.7 * np.abs(z) + 0.2 * z**2),
    "Box": (optim.Box(-0.5, 0.25), lambda z: np.where((z >= -0.5) & (z <= 0.25), 0, np.inf)),
    "NonNegative": (optim.NonNegative(), lambda z: np.where(z >= 0, 0, np.inf)),
    "GroupL1": (optim.GroupL1(0.7), lambda z: 0.7 * np.abs(z)),
}


@pytest.mark.parametrize("name", PROXES)
def test_a_proximal_point_minimises(name):
    """Against the definition, on a grid of 4,001 points; for one entry a group is an absolute value."""
    prox, penalty = PROXES[name]
    grid = np.linspace(-2, 2, 4001)
    for w in (-1.3, -0.4, -0.05, 0.0, 0.1, 0.6, 1.7):
        for step in (0.1, 1.0):
            best = grid[np.argmin(penalty(grid) + (grid - w) ** 2 / (2 * step))]
            for found in (prox(bprop.asarray([w]), step), bprop.compile(prox)(bprop.asarray([w]), np.float64(step))):
                assert found.item() == pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 2), (4, 1), (1, 4), (0, 3), (3, 0)])
def test_a_group_is_a_row(shape):
    w = RNG.normal(size=shape)
    norms = np.sqrt((w**2).sum(axis=tuple(range(1, w.ndim)), keepdims=True))
    middle = np.median(norms) if w.size else 1.0
    expected = w * np.maximum(1 - middle / norms, 0) if w.size else w
    np.testing.assert_allclose(np.asarray(optim.GroupL1(middle)(bprop.asarray(w), 1.0)), expected, atol=1e-14)
    np.testing.assert_allclose(np.asarray(optim.GroupL1(2 * middle)(bprop.asarray(w), 0.5)), expected, atol=1e-14)
    assert not np.asarray(optim.GroupL1(1.0)(bprop.zeros((2, 2)), 1.0)).any()


def test_the_lasso_is_sparse_and_optimal():
    """At the minimum of ½|Xw - t|²/N + λ|w|₁ the gradient is -λ sign w, and within ±λ where w = 0."""
    x = RNG.normal(size=(40, 6))
    t = x[:, :2] @ np.array([[2.0], [-1.0]]) + 0.01 * RNG.normal(size=(40, 1))
    model, loss = nn.Linear(6, 1, np.float64, seed=0), nn.SquaredError()
    optimizer = optim.ProximalGradient(0.3, {"W": optim.L1(0.1)})
    for _ in range(300):
        _, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
        optimizer.update(model, gradients)
    w, g = np.asarray(model.W)[0], np.asarray(bprop.grad(lambda m: loss(m(x), t))(model)["W"])[0]
    assert (w[2:] == 0).all()
    np.testing.assert_allclose(g[:2], -0.1 * np.sign(w[:2]), rtol=1e-9)
    assert (np.abs(g[2:]) <= 0.1).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: optim.SGD(0.1, dampening=1.5), r"SGD: dampening is a number in \[0, 1\)"),
        (lambda: optim.SGD(0.1, nesterov=True), "SGD: nesterov needs momentum > 0"),
        (lambda: optim.SGD(0.1, 0.9, nesterov=1), "SGD: nesterov is True or False, not 1"),
        (lambda: optim.Nesterov(0.1, momentum=1.0), r"Nesterov: momentum is a number in \[0, 1\)"),
        (lambda: optim.SGD(0.1, weight_decay=-1), "SGD: weight_decay is a finite number ≥ 0, not -1"),
        (lambda: optim.SGD(0.1, weight_decay={"W": "no"}), "SGD: weight_decay of 'W' is a finite number"),
        (lambda: optim.SGD(0.1, factors=2.0), "SGD: factors map patterns"),
        (lambda: optim.Adam(clip_norm=0), "Adam: clip_norm is a finite number > 0, not 0"),
        (lambda: optim.Adam(clip_value=np.inf), "Adam: clip_value is a finite number > 0, not inf"),
        (lambda: optim.Adam(amsgrad="yes"), "Adam: amsgrad is True or False"),
        (lambda: optim.AdamW(weight_decay=np.nan), "AdamW: weight_decay"),
        (lambda: optim.Adagrad(0.1, initial_sum=-1), "Adagrad: initial_sum"),
        (lambda: optim.Adagrad(0.1, epsilon=0), "Adagrad: epsilon"),
        (lambda: optim.RMSprop(0.1, alpha=1), r"RMSprop: alpha is a number in \[0, 1\)"),
        (lambda: optim.RMSprop(0.1, momentum=-0.1), "RMSprop: momentum"),
        (lambda: optim.RMSprop(0.1, centered=0), "RMSprop: centered is True or False"),
        (lambda: optim.Lion(betas=(0.9,)), "Lion: betas are two numbers"),
        (lambda: optim.ProximalGradient(0.1, 0.3), "ProximalGradient: 0.3 is no proximal operator"),
        (lambda: optim.L1(-1), "L1: strength is a finite number ≥ 0, not -1"),
        (lambda: optim.Box(1, 0), "Box: low and high are numbers, low ≤ high"),
        (lambda: optim.LBFGS(history=0), "LBFGS: history is a positive integer, not 0"),
        (lambda: optim.LBFGS(decrease=0.95), r"LBFGS: decrease is a number in \(0, 0.9\)"),
        (lambda: optim.LBFGS(tolerance_change=-1), "LBFGS: tolerance_change"),
        (lambda: optim.clip_norm(G, 0), "clip_norm: max_norm is a finite number > 0, not 0"),
        (lambda: optim.clip_value([1.0], 1.0), "clip_value: gradients map paths to arrays, not list"),
    ],
)
def test_bad_settings_name_optimizer_and_argument(make, text):
    with pytest.raises(bprop.ArgumentError, match=text):
        make()


def test_parameters_frozen_on_the_way_rest():
    x = np.ones((2, 3), np.float32)
    gradients = bprop.grad(lambda model: bprop.sum(model(x) ** 2))

    def step(model, optimizer):
        optimizer.update(model, gradients(model))

    for run in (step, bprop.compile(step)):
        model = nn.Sequential(nn.Linear(3, 2, seed=0), nn.Linear(2, 2, seed=1))
        optimizer = optim.Adam(0.1)
        run(model, optimizer)
        model[0].freeze()
        before, slot = np.array(model[0].W), np.array(optimizer.cells()["layers.0.W.m"].array)
        moving = np.array(model[1].W)
        run(model, optimizer)
        np.testing.assert_array_equal(model[0].W, before)
        np.testing.assert_array_equal(optimizer.cells()["layers.0.W.m"].array, slot)
        assert (np.asarray(model[1].W) != moving).all()
        with pytest.raises(bprop.ArgumentError, match=r"gradients for layers\.0\.W.*has frozen"):
            optimizer.update(model, {**gradients(model), "layers.0.W": before})
        model[0].unfreeze()
        run(model, optimizer)
        assert (np.asarray(model[0].W) != before).all()


def test_parameters_that_are_new_to_an_optimizer():
    model = nn.Sequential(nn.Linear(3, 2, seed=0), nn.Linear(2, 2, seed=1))
    model[0].freeze()
    optimizer, x = optim.SGD(0.1), np.ones((2, 3), np.float32)
    gradients = bprop.grad(lambda model: bprop.sum(model(x)))
    optimizer.update(model, gradients(model))
    model[0].unfreeze()
    with pytest.raises(
        bprop.StateError, match=r"SGD: layers\.0\.W, layers\.0\.b became trainable after .*: make a new"
    ):
        optimizer.update(model, gradients(model))


@pytest.mark.parametrize("wrong", ["0.1", None, [0.1], optim.Adam, True])
def test_a_learning_rate_that_is_no_number(wrong):
    with pytest.raises(bprop.ArgumentError, match="SGD: the learning rate is one number"):
        optim.SGD(wrong)
