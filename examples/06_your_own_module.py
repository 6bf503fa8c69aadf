"""A module of one's own needs only fprop. A bprop by hand is welcome: it is used everywhere, and can be checked."""

import numpy as np

import bprop
from bprop import nn

x = np.random.default_rng(0).normal(size=(5, 3))


class Scale(nn.Module):
    """y = s x, one factor per column."""

    def __init__(self, n):
        self.s = nn.parameter(bprop.full(n, 2.0))

    def fprop(self, x):
        return x * self.s


class ScaleByHand(Scale):
    """The same, with its backward pass."""

    def bprop(self, y_bar):
        self.s_bar = bprop.sum(self.x * y_bar, axis=0)  # dE/ds_j = Σ_n x_nj dE/dy_nj
        return self.s * y_bar  # dE/dx


class ScaleWrong(Scale):
    def bprop(self, y_bar):
        self.s_bar = bprop.sum(y_bar, axis=0)  # forgot x
        return self.s * y_bar


def worst(module):
    """Largest difference between the module's dE/ds and central differences, for E = Σ tanh(y)."""
    gradient = bprop.grad(lambda m: bprop.sum(bprop.tanh(m(x))))(module)["s"]
    s, h, differences = np.asarray(module.s), 1e-6, []
    for j in range(3):
        plus, minus = (np.sum(np.tanh(x * (s + sign * h * np.eye(3)[j]))) for sign in (1, -1))
        differences.append(abs((plus - minus) / (2 * h) - gradient.tolist()[j]))
    return max(differences)


print(nn.Sequential(Scale(3), nn.Tanh()))
for kind in (Scale, ScaleByHand, ScaleWrong):
    print(f"{kind.__name__:12} differs from central differences by {worst(kind(3)):.0e}")
assert max(worst(Scale(3)), worst(ScaleByHand(3))) < 1e-8 < 0.1 < worst(ScaleWrong(3))

module = ScaleByHand(3)
y = module.fprop(x)  # keeps x and y
x_bar = module.bprop(np.ones_like(x))
print("dE/ds of E = Σ y:", module.s_bar)
assert np.allclose(np.asarray(module.s_bar), x.sum(axis=0))
