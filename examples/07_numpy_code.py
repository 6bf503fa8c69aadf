"""NumPy code, unchanged, differentiated; and a gradient that stays finite where np.where hides an infinity."""

import numpy as np

import bprop


def energy(w, x, t):
    """Written for NumPy arrays."""
    y = 1 / (1 + np.exp(-(x @ w)))
    return 0.5 * np.sum((t - y) ** 2)


rng = np.random.default_rng(0)
w, x, t = rng.normal(size=3), rng.normal(size=(10, 3)), rng.uniform(size=10)

gradient = np.asarray(bprop.grad(energy)(w, x, t))
y = 1 / (1 + np.exp(-(x @ w)))
print("dE/dw by bprop  ", gradient)
print("dE/dw by hand   ", x.T @ ((y - t) * y * (1 - y)))
assert np.allclose(gradient, x.T @ ((y - t) * y * (1 - y)))

H = np.asarray(bprop.hessian(energy)(w, x, t))
print("its Hessian is symmetric:", np.allclose(H, H.T))
assert np.allclose(H, H.T)


def safe_sqrt(x):
    """√x for x > 0, else 0. The slope of √ at 0 is infinite, but at 0 the other branch is taken."""
    return np.sum(np.where(x > 0, np.sqrt(x), 0.0))


x = np.array([0.0, 1.0, 4.0])
g = bprop.grad(safe_sqrt)(x)
print("\nd/dx Σ where(x > 0, √x, 0) at", x, "is", np.asarray(g))
print("(0 · ∞ would have made the first entry NaN; the branch not taken sends nothing at all.)")
assert g.tolist() == [0.0, 0.5, 0.25]

try:
    bprop.grad(lambda x: np.putmask(np.zeros(3), x > 1, x))(x)
except bprop.NumPyFunctionError as error:
    print("\nWhat has no rule says so:", error.message.split(":")[0])
else:
    raise AssertionError("a NumPy function without a rule must raise")
