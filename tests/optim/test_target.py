"""Optimisers compiled for lesser processors than this one, against eager."""

import numpy as np
import pytest

import bprop
from bprop import nn, optim

RNG = np.random.default_rng(5)
X, T = RNG.normal(size=(33, 20)), RNG.integers(0, 3, 33)
OPTIMIZERS = {
    "SGD": lambda: optim.SGD(0.1, momentum=0.9, clip_norm=1.0),
    "Nesterov": lambda: optim.Nesterov(0.1),
    "Adam": lambda: optim.Adam(optim.schedule.Cosine(1e-2, 10)),
    "AdamW": lambda: optim.AdamW(1e-2),
    "RMSprop": lambda: optim.RMSprop(1e-2, momentum=0.5),
    "Adagrad": lambda: optim.Adagrad(1e-2),
    "Lion": lambda: optim.Lion(1e-3),
    "ProximalGradient": lambda: optim.ProximalGradient(0.1, optim.L1(1e-3)),
}


def trained(name, native):
    model = nn.Sequential(nn.Linear(20, 17, np.float64, seed=0), nn.Tanh(), nn.Linear(17, 3, np.float64, seed=1))
    optimizer, loss = OPTIMIZERS[name](), nn.CrossEntropy()
    optimizer.init(model)

    def step(model, optimizer, x, t):
        E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
        optimizer.update(model, gradients)
        return E

    run = bprop.compile(step) if native else step
    losses = [float(run(model, optimizer, X, T)) for _ in range(4)]
    return losses, [np.asarray(x) for x in model.parameters().values()]


def test_every_optimizer_is_here():
    kinds = {
        name
        for name, kind in vars(optim).items()
        if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
    }
    assert kinds - {"LBFGS"} == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compiled_is_eager(name, target):
    losses, parameters = trained(name, native=True)
    expected, others = trained(name, native=False)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    for one, other in zip(parameters, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
