"""The three core steps of backpropagation by hand, in NumPy, on a network of two layers; bprop.grad agrees."""

import numpy as np

import bprop

rng = np.random.default_rng(0)
x, t = rng.normal(size=(6, 4)), rng.uniform(size=(6, 2))  # six examples in rows
V, W = rng.normal(size=(3, 4)), rng.normal(size=(2, 3))  # input -> hidden, hidden -> output


def energy(V, W):
    """E = ½ Σ (t - y)², with sigmoids in both layers. NumPy's functions differentiate as they are."""
    h = 1 / (1 + np.exp(-(x @ V.T)))
    y = 1 / (1 + np.exp(-(h @ W.T)))
    return 0.5 * np.sum((t - y) ** 2)


# Forwards, keeping the activities of every layer.
h = 1 / (1 + np.exp(-(x @ V.T)))
y = 1 / (1 + np.exp(-(h @ W.T)))

# 1. Convert the discrepancy between outputs and targets into an error derivative.
dE_dy = -(t - y)

# 2. Compute the error derivatives of a hidden layer from those of the layer above:
#    first through the nonlinearity, dE/dz_j = y_j (1 - y_j) dE/dy_j, then along the weights, dE/dy_i = Σ_j w_ij dE/dz_j.
dE_dz = y * (1 - y) * dE_dy
dE_dh = dE_dz @ W
dE_da = h * (1 - h) * dE_dh

# 3. Use the error derivatives of the activities to get those of the incoming weights, dE/dw_ij = y_i dE/dz_j.
dE_dW = dE_dz.T @ h
dE_dV = dE_da.T @ x

gradient_V, gradient_W = bprop.grad(energy, argnums=(0, 1))(V, W)
for name, by_hand, derived in (("dE/dV", dE_dV, gradient_V), ("dE/dW", dE_dW, gradient_W)):
    difference = np.abs(by_hand - np.asarray(derived)).max()
    print(f"{name}, by hand:\n{by_hand.round(4)}\n  largest difference to bprop.grad: {difference:.1e}\n")
    assert difference < 1e-14

step = 0.5
before, after = float(energy(V, W)), float(energy(V - step * dE_dV, W - step * dE_dW))
print(f"A step against the gradient lowers E from {before:.4f} to {after:.4f}.")
assert after < before
