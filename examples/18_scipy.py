"""SciPy's optimisers with exact derivatives: minimise with gradient and Hessian, and fit a curve with its Jacobian."""

import numpy as np
from scipy.optimize import curve_fit, minimize

import bprop


def f(x):
    """Rosenbrock's valley, written for NumPy."""
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


x0 = np.array([-1.2, 1.0, 0.5])
found = minimize(bprop.value_and_grad(f), x0, jac=True)
print(f"BFGS:        {found.nit} steps to {found.x.round(4)}")
found = minimize(f, x0, jac=bprop.grad(f), hess=bprop.hessian(f), method="trust-exact")
print(f"trust-exact: {found.nit} steps to {found.x.round(4)}")
assert np.allclose(found.x, 1, atol=1e-5)


def decay(t, amplitude, rate):
    """What is left at time t."""
    return amplitude * np.exp(-rate * t)


t = np.linspace(0, 3, 30)
y = decay(t, 2.0, 1.3) + np.random.default_rng(0).normal(scale=0.02, size=30)
columns = bprop.jacobian(decay, argnums=(1, 2))
best, covariance = curve_fit(decay, t, y, p0=(1.0, 1.0), jac=lambda *at: np.stack(columns(*at), axis=1))
print(f"curve_fit:   {best.round(3)} ± {np.sqrt(np.diag(covariance)).round(3)}")
assert np.allclose(best, (2.0, 1.3), atol=0.05)
