"""Ten pieces of NumPy and SciPy code as people have it, differentiated as it stands and checked against differences."""

import numpy as np
import scipy.sparse
from scipy import special

import bprop

random = np.random.default_rng(0)
t = np.linspace(0.0, 1.0, 64)
signal = np.sin(40 * t) + 0.1 * random.normal(size=64)
K = 1 + np.exp(-((t[:16, None] - t[:16]) ** 2))
A = scipy.sparse.diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(64, 64)).tocsr()
w = np.logspace(0, 3, 50)


def pendulum(y):  # a list of values is an array
    for _ in range(20):
        y = y + 0.05 * np.array([y[1], -np.sin(y[0])])
    return np.sum(y**2)


def gaussian_process(theta):  # log marginal likelihood of a kernel
    L = np.linalg.cholesky(theta[0] ** 2 * K + theta[1] ** 2 * np.eye(16))
    z = bprop.scipy.linalg.solve_triangular(L, signal[:16], lower=True)
    return -0.5 * np.sum(z**2) - np.sum(np.log(np.diag(L)))


def poisson(rate):  # a likelihood in special functions
    counts = np.arange(10.0)
    return np.sum(special.xlogy(counts, rate) - rate - special.gammaln(counts + 1))


def heat(u):  # a sparse matrix, constant
    for _ in range(5):
        u = u + 0.1 * (A @ u)
    return np.sum(u**2)


PIECES = {
    "a filter": (lambda x: np.sum(np.abs(np.fft.rfft(np.convolve(signal, x, "same")))[20:] ** 2), random.normal(size=5)),
    "a circuit": (lambda x: np.sum(np.abs(x[0] + 1j * w * x[1] + 1 / (1j * w * x[2]))), np.array([1.0, 0.02, 0.01])),
    "a table": (lambda x: np.trapezoid(np.interp(t, np.linspace(0, 1, 7), x) ** 2, t), random.normal(size=7)),
    "quantiles": (lambda x: np.quantile(x, 0.9) - np.nanmean(np.where(x > 0, x, np.nan)), random.normal(size=21)),
    "Bessel": (lambda x: np.sum(special.j0(x) ** 2 + special.erf(x) * special.ndtr(-x)), np.array([0.3, 2.0, 5.0])),
    "a polynomial": (lambda x: np.sum((np.polyval(x, t) - signal) ** 2), random.normal(size=4)),
    "a pendulum": (pendulum, np.array([1.0, 0.5])), "a Gaussian process": (gaussian_process, np.array([1.2, 0.5])),
    "Poisson counts": (poisson, 3.0), "heat": (heat, signal),
}  # fmt: skip

for name, (f, x) in PIECES.items():
    gradient, numerical = np.asarray(bprop.grad(f)(x)), np.asarray(bprop.numerical(f)(x))
    np.testing.assert_allclose(gradient, numerical, rtol=1e-5, atol=1e-6)
    print(f"{name:18} value {float(f(x)):12.6g}   |gradient| {np.linalg.norm(gradient):10.6g}")
