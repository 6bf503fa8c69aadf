"""The lasso by proximal gradient: after each gradient step a soft threshold, and weights that are not needed are exactly 0."""

import numpy as np

import bprop
from bprop import nn, optim

generator = np.random.default_rng(0)
N, features, strength = 100, 12, 0.5
x = generator.normal(size=(N, features))
true = np.zeros(features)
true[[1, 4, 7]] = 3.0, -2.0, 1.0  # nine of twelve features say nothing about t
t = x @ true + 0.5 * generator.normal(size=N)


def error(model):
    """½/N |t - x w|²; the penalty λ Σ|w| is not part of it: it has no gradient at 0."""
    return nn.SquaredError()(model(x), t[:, None])


def fitted(optimizer):
    """Return the weights after 2000 steps."""
    model = nn.Linear(features, 1, np.float64, bias=False, seed=0)
    for _ in range(2000):
        _, gradients = bprop.value_and_grad(error)(model)
        optimizer.update(model, gradients)
    return model, np.asarray(model.W)[0]


step = 1 / np.linalg.eigvalsh(x.T @ x / N)[-1]  # 1/L, with L the largest curvature of E: then every step descends
model, w = fitted(optim.ProximalGradient(step, optim.L1(strength)))
_, plain = fitted(optim.SGD(step))
print("true        ", true)
print("no penalty  ", plain.round(3))
print("lasso       ", w.round(3))
assert set(np.flatnonzero(w)) == {1, 4, 7}  # the others are 0.0, not nearly so
assert (plain != 0).all()

# Optimal means: the gradient of E is -λ sign(w) where w is not 0, and at most λ in size where it is.
_, gradients = bprop.value_and_grad(error)(model)
g = np.asarray(gradients["W"])[0]
print("dE/dw       ", g.round(3))
on = w != 0
assert np.allclose(g[on], -strength * np.sign(w[on]), atol=1e-12)
assert (np.abs(g[~on]) <= strength).all()
