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


def spectrum(taps):  # a filter, judged by the power above a frequency
    return np.sum(np.abs(np.fft.rfft(np.convolve(signal, taps, mode="same")))[20:] ** 2)


def impedance(p):  # of a resonant circuit, through complex numbers
    w = np.logspace(0, 3, 50)
    return np.sum(np.abs(p[0] + 1j * w * p[1] + 1 / (1j * w * p[2])))


def pendulum(y):  # lists of values
    for _ in range(20):
        y = y + 0.05 * np.array([y[1], -np.sin(y[0])])
    return y[0] ** 2 + y[1] ** 2


def interpolated(y):  # a table of values, read in between
    return np.trapezoid(np.interp(t, np.linspace(0, 1, y.size), y) ** 2, t)


def quantiles(x):
    return np.quantile(x, 0.9) - np.percentile(x, 10) + np.nanmean(np.where(x > 0, x, np.nan))


def gaussian_process(theta):  # log marginal likelihood of a kernel
    C = theta[0] ** 2 * K + theta[1] ** 2 * np.eye(16)
    L = np.linalg.cholesky(C)
    z = bprop.scipy.linalg.solve_triangular(L, signal[:16], lower=True)
    return -0.5 * np.sum(z**2) - np.sum(np.log(np.diag(L)))


def counts(rate):  # a likelihood in special functions
    observed = np.arange(10.0)
    return np.sum(special.xlogy(observed, rate) - rate - special.gammaln(observed + 1))


def bessel(x):
    return np.sum(special.j0(x) ** 2 + special.erf(x) * special.ndtr(-x))


def heat(u):  # a sparse matrix, constant
    for _ in range(5):
        u = u + 0.1 * (A @ u)
    return np.sum(u**2)


def polynomial(c):
    return np.sum((np.polyval(c, t) - signal) ** 2) + np.linalg.norm(np.vander(c, 3))


PIECES = [
    (spectrum, random.normal(size=5)), (impedance, np.array([1.0, 0.02, 0.01])), (pendulum, np.array([1.0, 0.5])),
    (interpolated, random.normal(size=7)), (quantiles, random.normal(size=21)), (gaussian_process, np.array([1.2, 0.5])),
    (counts, 3.0), (bessel, np.array([0.3, 2.0, 5.0])), (heat, signal), (polynomial, random.normal(size=4)),
]  # fmt: skip

for f, x in PIECES:
    gradient = bprop.grad(f)(x)
    numerical = bprop.numerical(f, scheme="central")(x)
    np.testing.assert_allclose(np.asarray(gradient), np.asarray(numerical), rtol=1e-5, atol=1e-6)
    print(f"{f.__name__:17} value {float(f(x)):12.6g}   |gradient| {np.linalg.norm(np.asarray(gradient)):10.6g}")
