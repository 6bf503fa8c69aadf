"""Ten pieces of NumPy and SciPy code as people have it, each a function of the namespaces that a library offers.

They are those of ``examples/19_numpy_and_scipy.py``. ``lib`` has ``np``, ``special`` and ``solve_triangular``; what a library
does not have is an error of its own, and no piece is written otherwise for it. Each maker returns the function and its argument.
"""

from collections.abc import Callable
from typing import Any

import numpy
import scipy.sparse

Made = tuple[Callable[[Any], Any], Any]

T = numpy.linspace(0.0, 1.0, 64)
SIGNAL = numpy.sin(40 * T) + 0.1 * numpy.random.default_rng(0).normal(size=64)


def drawn(seed: int, size: int) -> numpy.ndarray:
    """Return normal random numbers, the same for all libraries."""
    return numpy.random.default_rng(seed).normal(size=size)


def a_filter(lib: Any) -> Made:
    """Energy of a filtered signal above a frequency."""
    np = lib.np
    return lambda x: np.sum(np.abs(np.fft.rfft(np.convolve(SIGNAL, x, "same")))[20:] ** 2), drawn(1, 5)


def a_circuit(lib: Any) -> Made:
    """Impedance of a resistor, an inductor and a capacitor in series, at 50 frequencies."""
    np, w = lib.np, numpy.logspace(0, 3, 50)
    return lambda x: np.sum(np.abs(x[0] + 1j * w * x[1] + 1 / (1j * w * x[2]))), numpy.array([1.0, 0.02, 0.01])


def a_table(lib: Any) -> Made:
    """Integral of the square of a table that is interpolated."""
    np, knots = lib.np, numpy.linspace(0, 1, 7)
    return lambda x: np.trapezoid(np.interp(T, knots, x) ** 2, T), drawn(2, 7)


def quantiles(lib: Any) -> Made:
    """A quantile less the mean of what is positive."""
    np = lib.np
    return lambda x: np.quantile(x, 0.9) - np.nanmean(np.where(x > 0, x, np.nan)), drawn(3, 21)


def bessel(lib: Any) -> Made:
    """A sum of special functions."""
    np, special = lib.np, lib.special
    return lambda x: np.sum(special.j0(x) ** 2 + special.erf(x) * special.ndtr(-x)), numpy.array([0.3, 2.0, 5.0])


def a_polynomial(lib: Any) -> Made:
    """Squared residuals of a polynomial."""
    np = lib.np
    return lambda x: np.sum((np.polyval(x, T) - SIGNAL) ** 2), drawn(4, 4)


def a_pendulum(lib: Any) -> Made:
    """Twenty steps of Euler's rule; the right-hand side is a list of values."""
    np = lib.np

    def energy(y):
        for _ in range(20):
            y = y + 0.05 * np.array([y[1], -np.sin(y[0])])
        return np.sum(y**2)

    return energy, numpy.array([1.0, 0.5])


def a_gaussian_process(lib: Any) -> Made:
    """Log marginal likelihood of a kernel's two parameters, 16 points."""
    np = lib.np
    K, y = 1 + numpy.exp(-((T[:16, None] - T[:16]) ** 2)), SIGNAL[:16]

    def likelihood(theta):
        L = np.linalg.cholesky(theta[0] ** 2 * K + theta[1] ** 2 * np.eye(16))
        z = lib.solve_triangular(L, y, lower=True)
        return -0.5 * np.sum(z**2) - np.sum(np.log(np.diag(L)))

    return likelihood, numpy.array([1.2, 0.5])


def poisson_counts(lib: Any) -> Made:
    """A log-likelihood of counts."""
    np, special, counts = lib.np, lib.special, numpy.arange(10.0)
    return lambda rate: np.sum(special.xlogy(counts, rate) - rate - special.gammaln(counts + 1)), 3.0


def heat(lib: Any) -> Made:
    """Five steps of the heat equation with a sparse matrix of SciPy."""
    np = lib.np
    A = scipy.sparse.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(64, 64)).tocsr()

    def energy(u):
        for _ in range(5):
            u = u + 0.1 * (A @ u)
        return np.sum(u**2)

    return energy, SIGNAL


PIECES = {
    make.__name__.replace("_", " "): make
    for make in (a_filter, a_circuit, a_table, quantiles, bessel, a_polynomial, a_pendulum, a_gaussian_process, poisson_counts, heat)
}  # fmt: skip
