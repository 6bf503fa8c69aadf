"""Large parameters and arguments, where log Γ, ψ and scaled Bessel functions cancel: values, first and second derivatives against mpmath."""

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop
from bprop.scipy import special, stats


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def t_density(df, z):
    return -(df + 1) / 2 * mp.log1p(z * z / df) - mp.log(df) / 2 - log_beta(mp.mpf(0.5), df / 2)


def log_gamma_density(z, a):
    return (a - 1) * mp.log(z) - z - mp.loggamma(a)


def log_beta_density(z, a, b):
    return (a - 1) * mp.log(z) + (b - 1) * mp.log1p(-z) - log_beta(a, b)


def rising(z, m):
    return mp.exp(mp.loggamma(z + m) - mp.loggamma(z))


def binomial(n, k):
    return mp.exp(mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1))


def scaled_k(v, x):
    """eˣ Kᵥ(x) by its asymptotic series (NIST Handbook 10.40.2), which mpmath's own function adds up a hundred times as slowly."""
    term = total = mp.mpf(1)
    for k in range(1, 60):
        term = term * (4 * v * v - (2 * k - 1) ** 2) / (8 * k * x)
        total += term
    return mp.sqrt(mp.pi / (2 * x)) * total


# a density of 1e8 trials moves by 1e-13 of itself with a last bit of p
# name: ours, exact, calls, and the ceilings of the relative errors of value, first and second derivative by the first argument
LARGE = {
    "t by df": (lambda df, z: stats.t.logpdf(z, df), t_density,
                [(1e8, 0.0), (1e8, 0.5), (1e8, 3.0), (1e3, 30.0), (1e15, 3.0), (12.0, 0.0), (3.0, 5.0)], (1e-15, 1e-14, 1e-13)),
    "t by z": (lambda z, df: stats.t.logpdf(z, df), lambda z, df: t_density(df, z), [(0.5, 1e8), (30.0, 1e3), (9.0, 1e20)], (1e-15, 1e-15, 1e-14)),
    "betaln": (special.betaln, log_beta, [(1e8, 0.5), (1e15, 3.0), (1e10, 1e-10), (0.5, 1e8), (1e5, 1e-8), (1e3, 1e3)], (1e-15, 2e-15, 1e-14)),
    "beta": (special.beta, lambda a, b: mp.exp(log_beta(a, b)), [(1e8, 0.5), (1e5, 1e-8), (300.0, 300.0), (0.5, 1e8)], (3e-14, 3e-14, 3e-14)),
    "poch": (special.poch, rising, [(1e8, 0.5), (1e15, 3.0), (1e5, 1e-8), (1e8, -2.5)], (1e-15, 2e-15, 5e-15)),
    "binom": (special.binom, binomial, [(1e6, 10.5), (1e8, 2.5), (1e5, 1e-8), (1e15, 3.0)], (3e-14, 3e-14, 3e-14)),
    "gamma by x": (stats.gamma.logpdf, log_gamma_density, [(1.0001e8, 1e8), (9.9e11, 1e12), (1.03e3, 1e3), (2.5, 3.0)], (1e-15, 1e-15, 1e-15)),
    "chi2 by x": (stats.chi2.logpdf, lambda z, df: log_gamma_density(z / 2, df / 2) - mp.log(2), [(1.0001e8, 1e8), (2.0, 3.0)], (1e-15, 1e-15, 1e-15)),
    "invgamma by x": (stats.invgamma.logpdf, lambda z, a: -(a + 1) * mp.log(z) - mp.loggamma(a) - 1 / z,
                      [(1.001e-5, 1e5), (0.3, 2.0), (1e200, 2.0)], (1e-13, 1e-12, 1e-12)),
    "poisson by mu": (lambda mu, k: stats.poisson.logpmf(k, mu), lambda mu, k: k * mp.log(mu) - mu - mp.loggamma(k + 1),
                      [(1.0001e8, 1e8), (2.0, 3.0)], (1e-15, 1e-15, 1e-15)),
    "beta density": (stats.beta.logpdf, log_beta_density, [(0.301, 3e7, 7e7), (0.9, 2.0, 500.0), (0.4, 2.0, 3.0)], (2e-13, 1e-13, 1e-14)),
    "binom by p": (lambda p, k, n: stats.binom.logpmf(k, n, p), lambda p, k, n: mp.log(binomial(n, k)) + k * mp.log(p) + (n - k) * mp.log1p(-p),
                   [(0.301, 3e7, 1e8), (0.4, 3.0, 5.0)], (2e-13, 1e-13, 1e-14)),
    "nbinom by n": (lambda n, k, p: stats.nbinom.logpmf(k, n, p), lambda n, k, p: mp.log(binomial(n + k - 1, k)) + n * mp.log(p) + k * mp.log1p(-p),
                    [(1e6, 4e5, 0.7), (1e10, 3.0, 0.5), (2.5, 4.0, 0.3)], (2e-14, 1e-11, 1e-14)),
    "i0e": (special.i0e, lambda x: mp.exp(-abs(x)) * mp.besseli(0, x), [(50.0,), (1e4,), (1e8,), (-1e4,)], (1e-15, 1e-15, 1e-14)),
    "i1e": (special.i1e, lambda x: mp.exp(-abs(x)) * mp.besseli(1, x), [(50.0,), (1e4,), (-1e4,)], (1e-15, 1e-15, 1e-14)),
    "k0e": (special.k0e, lambda x: scaled_k(0, x), [(50.0,), (1e4,), (1e8,)], (1e-15, 1e-15, 1e-14)),
    "k1e": (special.k1e, lambda x: scaled_k(1, x), [(50.0,), (1e4,)], (1e-15, 1e-15, 1e-14)),
    "ive": (lambda x: special.ive(2.5, x), lambda x: mp.exp(-x) * mp.besseli(2.5, x), [(50.0,), (1e4,), (3.0,)], (1e-15, 1e-14, 1e-13)),
    "kve": (lambda x: special.kve(2.5, x), lambda x: mp.exp(x) * mp.besselk(2.5, x), [(50.0,), (1e4,), (3.0,)], (1e-15, 1e-14, 1e-13)),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_value_and_derivatives_of_large_parameters(name):
    f, exact, calls, ceilings = LARGE[name]
    for x, *rest in calls:
        with mp.workdps(70):
            at, others = mp.mpf(x), [mp.mpf(r) for r in rest]
            step = abs(at) * mp.mpf(10) ** -20
            along = lambda t: exact(t, *others)  # noqa: B023
            expected = [float(along(at)), float(mp.diff(along, at, h=step)), float(mp.diff(along, at, 2, h=step))]
        ours = lambda t: f(t, *rest)  # noqa: B023
        slope = bprop.grad(ours)
        actual = [float(ours(x)), float(slope(x)), float(bprop.grad(slope)(x))]
        for y, want, ceiling in zip(actual, expected, ceilings, strict=True):
            assert_allclose(y, want, rtol=ceiling)
        if x == calls[0][0]:
            both = bprop.compile(lambda t: (ours(t), slope(t)))(x)  # noqa: B023
            assert_allclose(list(map(float, both)), actual[:2], rtol=1e-13)


@pytest.mark.parametrize("x", [1e9, 1e12, 1e160, 1e200, 1e300])
def test_a_log_tail_of_the_cauchy_distribution_far_out(x):
    """log(1/(π x)), whose slope is -1/x: the angle's is 1/x², which underflows."""
    for f, sign in ((stats.cauchy.logcdf, -1), (stats.cauchy.logsf, 1)):
        for run in (lambda g: g, bprop.compile):
            y, slope = run(bprop.value_and_grad(f))(sign * x)
            assert_allclose(float(y), -np.log(np.pi) - np.log(x), rtol=1e-15)
            assert_allclose(float(slope), -sign / x, rtol=1e-14)
    assert_allclose(float(stats.cauchy.logcdf(-2.0)), np.log(np.arctan2(1, 2) / np.pi), rtol=1e-15)


def test_students_t_with_infinite_degrees_of_freedom_is_normal():
    z = np.array([-1.5, 0.0, 30.0])
    assert_allclose(stats.t.logpdf(z, np.inf), stats.norm.logpdf(z), rtol=1e-15)
