"""Update rules against an independent NumPy implementation, and what they refuse."""

import numpy as np
import pytest

import bprop
from bprop import nn, optim

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(20, 4)), RNG.normal(size=(20, 2))
STEPS = 25


def model_and_step(dtype=np.float64):
    model, loss = nn.Linear(4, 2, dtype, seed=0), nn.SquaredError()
    x, t = X.astype(dtype), T.astype(dtype)

    def step(model, optimizer, x, t):
        E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
        optimizer.update(model, gradients)
        return E

    return model, step, x, t


def gradient(W, b):
    """∂E/∂W and ∂E/∂b of the mean of ½ |x Wᵀ + b - t|²."""
    d = (X @ W.T + b - T) / len(X)
    return [d.T @ X, d.sum(axis=0)]


def sgd(parameters, rates, momentum):
    v = [np.zeros_like(w) for w in parameters]
    for rate in rates:
        for i, g in enumerate(gradient(*parameters)):
            v[i] = momentum * v[i] + g
            parameters[i] = parameters[i] - rate * v[i]
    return parameters


def adam(parameters, rates, beta1, beta2, epsilon):
    """Algorithm 1 of Kingma & Ba, line by line."""
    m, v = ([np.zeros_like(w) for w in parameters] for _ in range(2))
    for t, rate in enumerate(rates, start=1):
        for i, g in enumerate(gradient(*parameters)):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g**2
            m_hat, v_hat = m[i] / (1 - beta1**t), v[i] / (1 - beta2**t)
            parameters[i] = parameters[i] - rate * m_hat / (np.sqrt(v_hat) + epsilon)
    return parameters


def lion(parameters, rates, beta1, beta2, decay):
    """Algorithm 2 of Chen et al., line by line."""
    m = [np.zeros_like(w) for w in parameters]
    for rate in rates:
        for i, g in enumerate(gradient(*parameters)):
            c = beta1 * m[i] + (1 - beta1) * g
            parameters[i] = parameters[i] - rate * (np.sign(c) + decay * parameters[i])
            m[i] = beta2 * m[i] + (1 - beta2) * g
    return parameters


def proximal(parameters, rates, strength):
    """ISTA: a gradient step, then soft thresholding."""
    for rate in rates:
        for i, g in enumerate(gradient(*parameters)):
            z = parameters[i] - rate * g
            parameters[i] = np.where(
                z > rate * strength, z - rate * strength, np.where(z < -rate * strength, z + rate * strength, 0)
            )
    return parameters


RULES = {
    "SGD": (lambda rate: optim.SGD(rate), lambda w, rates: sgd(w, rates, 0.0)),
    "momentum": (lambda rate: optim.SGD(rate, momentum=0.9), lambda w, rates: sgd(w, rates, 0.9)),
    "Adam": (lambda rate: optim.Adam(rate), lambda w, rates: adam(w, rates, 0.9, 0.999, 1e-8)),
    "Adam, settings": (
        lambda rate: optim.Adam(rate, betas=(0.5, 0.9), epsilon=1e-3),
        lambda w, rates: adam(w, rates, 0.5, 0.9, 1e-3),
    ),
    "Lion": (
        lambda rate: optim.Lion(rate, betas=(0.8, 0.95), weight_decay=0.1),
        lambda w, rates: lion(w, rates, 0.8, 0.95, 0.1),
    ),
    "ProximalGradient": (
        lambda rate: optim.ProximalGradient(rate, optim.L1(0.2)),
        lambda w, rates: proximal(w, rates, 0.2),
    ),
}


@pytest.mark.parametrize("native", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("rule", RULES)
def test_trajectory(rule, native):
    make, reference = RULES[rule]
    model, step, x, t = model_and_step()
    expected = reference([np.asarray(model.W), np.asarray(model.b)], [0.1] * STEPS + [0.02] * STEPS)
    optimizer = make(0.1)
    if native:
        optimizer.init(model)
        from bprop.compile import compile

        step = compile(step)
    for _ in range(STEPS):
        step(model, optimizer, x, t)
    optimizer.learning_rate = 0.02
    for _ in range(STEPS):
        step(model, optimizer, x, t)
    np.testing.assert_allclose(np.asarray(model.W), expected[0], rtol=1e-11)
    np.testing.assert_allclose(np.asarray(model.b), expected[1], rtol=1e-11)
    assert int(optimizer.count) == 2 * STEPS


@pytest.mark.parametrize("rule", RULES)
def test_float32_stays_float32(rule):
    make, reference = RULES[rule]
    model, step, x, t = model_and_step(np.float32)
    expected = reference([np.asarray(model.W, np.float64), np.asarray(model.b, np.float64)], [0.05] * STEPS)
    optimizer = make(0.05)
    for _ in range(STEPS):
        step(model, optimizer, x, t)
    slots = [cell.array.dtype for path, cell in optimizer.cells().items() if "." in path]
    assert {model.W.dtype, model.b.dtype, *slots} == {np.dtype(np.float32)}
    np.testing.assert_allclose(np.asarray(model.W), expected[0], atol=2e-6)
    assert optimizer.learning_rate.dtype == np.float64


def test_slots_made_while_a_step_is_traced_hold_numbers():
    from bprop.compile import compile

    model, step, x, t = model_and_step()
    optimizer, native = optim.Adam(0.1), compile(step)
    losses = [float(native(model, optimizer, x, t)) for _ in range(3)]
    other, step, x, t = model_and_step()
    plain = optim.Adam(0.1)
    assert losses == pytest.approx([float(step(other, plain, x, t)) for _ in range(3)])
    assert all(type(cell.array) is bprop.Array for cell in optimizer.cells().values())


def test_cells_have_paths():
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    optimizer = optim.SGD(0.1, momentum=0.5)
    assert list(optimizer.cells()) == ["learning_rate", "count"]
    optimizer.init(model)
    optimizer.init(model)
    assert list(optimizer.cells()) == ["learning_rate", "count", "layers.0.W.velocity", "layers.0.b.velocity"]
    clipped = optim.Adam(0.1, clip_norm=1.0)
    clipped.init(nn.Linear(2, 2))
    assert list(clipped.cells()) == ["learning_rate", "count", "gradient_norm", "W.m", "W.v", "b.m", "b.v"]
    assert not np.asarray(optimizer.cells()["layers.0.W.velocity"].read()).any()


def test_gradients_of_the_layers_may_be_used():
    model, loss = nn.Linear(4, 2, np.float64, seed=0), nn.SquaredError()
    loss.fprop(model.fprop(X), T)
    model.bprop(loss.bprop())
    before = np.asarray(model.W)
    optim.SGD(0.1).update(model, model.gradients())
    np.testing.assert_allclose(np.asarray(model.W), before - 0.1 * gradient(before, 0)[0])


def test_missing_and_unknown_gradients_are_named():
    model = nn.Sequential(nn.Linear(2, 3))
    optimizer = optim.SGD(0.1)
    W, b = np.zeros((3, 2)), np.zeros(3)
    with pytest.raises(bprop.ArgumentError, match=r"no gradient for layers\.0\.b\n"):
        optimizer.update(model, {"layers.0.W": W})
    with pytest.raises(
        bprop.ArgumentError, match=r"no gradient for layers\.0\.b; gradients for bias, which Sequential"
    ):
        optimizer.update(model, {"layers.0.W": W, "bias": b})
    with pytest.raises(
        bprop.ShapeError, match=r"gradient of layers\.0\.W has shape \(2, 3\), layers\.0\.W has shape \(3, 2\)"
    ):
        optimizer.update(model, {"layers.0.W": W.T, "layers.0.b": b})
    with pytest.raises(bprop.ArgumentError, match=r"path.* not tuple; bprop.value_and_grad"):
        optimizer.update(model, (0.0, {}))
    assert int(optimizer.count) == 0


def test_an_optimizer_belongs_to_one_model():
    optimizer = optim.Adam()
    optimizer.init(nn.Linear(2, 2))
    with pytest.raises(bprop.StateError, match="belongs to another model"):
        optimizer.init(nn.Linear(2, 2))
    with pytest.raises(bprop.ArgumentError, match="no trainable parameters"):
        optim.Adam().init(nn.Tanh())


def test_settings_are_checked():
    for rate in (0, -1, np.nan, np.inf):
        with pytest.raises(bprop.ArgumentError, match="positive and finite"):
            optim.SGD(rate)
    optimizer = optim.SGD(0.1)
    with pytest.raises(bprop.ArgumentError, match="positive and finite"):
        optimizer.learning_rate = -1
    with pytest.raises(bprop.ArgumentError, match="one number"):
        optimizer.learning_rate = [0.1, 0.2]
    assert float(optimizer.learning_rate) == 0.1
    optimizer.learning_rate *= 0.5
    assert float(optimizer.learning_rate) == 0.05
    with pytest.raises(bprop.ArgumentError, match=r"momentum is a number in \[0, 1\)"):
        optim.SGD(0.1, momentum=1)
    with pytest.raises(bprop.ArgumentError, match=r"momentum is a number in \[0, 1\)"):
        optim.SGD(0.1, momentum="0.9")
    with pytest.raises(bprop.ArgumentError, match="betas"):
        optim.Adam(betas=(0.9, 1.0))
    for betas in (0.9, ("a", "b")):
        with pytest.raises(bprop.ArgumentError, match="betas"):
            optim.Adam(betas=betas)
    with pytest.raises(bprop.ArgumentError, match="epsilon"):
        optim.Adam(epsilon=0)
    with pytest.raises(bprop.ArgumentError, match="epsilon"):
        optim.Adam(epsilon="small")


def test_an_update_without_a_gradient_or_a_model_is_refused():
    with pytest.raises(bprop.ArgumentError, match="no gradient for W"):
        optim.SGD(0.1).update(nn.Linear(2, 1), {"W": None, "b": np.zeros(1)})
    with pytest.raises(bprop.ArgumentError, match="the model is a module, not 3"):
        optim.SGD(0.1).update(3, {})


def test_repr():
    assert repr(optim.SGD(0.1)) == "SGD(learning_rate=0.1, momentum=0.0, count=0)"
    assert repr(optim.Adam(3e-4)) == "Adam(learning_rate=0.0003, betas=(0.9, 0.999), epsilon=1e-08, count=0)"
