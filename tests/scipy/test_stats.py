"""Distributions: values are SciPy's, derivatives numerical, nothing infinite comes from outside the support."""

import warnings

import mpmath as mp
import numpy as np
import pytest
import scipy.stats as theirs
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.core.error import ArgumentError, DerivativeError, ShapeError
from bprop.scipy import stats as ours
from bprop.scipy.distribution import Continuous, Discrete

SHAPES = {
    "t": (3.5,), "gamma": (2.3,), "chi2": (3.0,), "beta": (2.0, 3.5), "invgamma": (2.0,), "lognorm": (0.7,), "pareto": (2.5,),
    "weibull_min": (1.7,), "poisson": (2.3,), "bernoulli": (0.3,), "binom": (5, 0.4), "nbinom": (3.5, 0.4), "geom": (0.3,),
}  # fmt: skip
X = np.array([-2.0, -0.5, 0.0, 0.2, 0.7, 1.0, 1.6, 2.0, 3.0, 8.0, 40.0, np.nan])
Q = np.array([0.0, 0.1, 0.5, 0.9, 1.0, -1.0])
DISTRIBUTIONS = [name for name in ours.__all__ if isinstance(getattr(ours, name), Continuous | Discrete)]
METHODS = [(name, method) for name in DISTRIBUTIONS for method in getattr(ours, name).methods()]


def density(name):
    d = getattr(ours, name)
    return getattr(d, f"log{d.density}")


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_values_are_scipys(name, method):
    x = Q if method in ("ppf", "isf") else X
    places = [{}, {"loc": 1}] if isinstance(getattr(ours, name), Discrete) else [{}, {"loc": 0.3, "scale": 2.0}]
    for place in places:
        y = getattr(getattr(ours, name), method)(x, *SHAPES.get(name, ()), **place)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = getattr(getattr(theirs, name), method)(x, *SHAPES.get(name, ()), **place)
        tiny = method.startswith("log") and np.abs(expected) < 1e-5  # there SciPy takes the logarithm of 1 - p
        tiny |= method.startswith("log") & (expected == -np.inf) & (np.asarray(y) < -700)  # and that of 0 for 1e-350
        assert_allclose(np.where(tiny, 0, np.asarray(y)), np.where(tiny, 0, expected), rtol=2e-12, atol=1e-300)


@pytest.mark.parametrize(
    ("name", "run"),
    [pytest.param(name, lambda f: f, id=f"{name}, eager") for name in DISTRIBUTIONS]
    + [pytest.param(name, bprop.compile, id=f"{name}, compiled") for name in ("norm", "t", "beta", "pareto", "binom")],
)
def test_gradients_by_all_parameters_are_numerical_and_finite(name, run, numerical):
    discrete = isinstance(getattr(ours, name), Discrete)
    x, shapes = X[np.isfinite(X)], SHAPES.get(name, ())
    free = [*map(float, shapes)] if discrete else [*map(float, shapes), 0.05, 1.3]
    where = np.isfinite(np.asarray(density(name)(x, *free)))
    assert where.any()

    def total(*parameters):
        y = density(name)(x, *parameters)
        return bprop.sum(bprop.where(where, y, 0))

    slopes = run(bprop.grad(total, tuple(range(len(free)))))(*free)
    assert np.isfinite(
        np.asarray(run(bprop.grad(lambda x: bprop.sum(bprop.where(where, density(name)(x, *free), 0))))(x))
    ).all()
    for position, slope in enumerate(slopes):
        if name == "binom" and position == 0:
            continue  # n is a whole number
        moved = lambda t, p=position: [np.asarray(total(*(v + t * (i == p) for i, v in enumerate(free))))]
        assert_allclose(float(slope), numerical(moved)[0], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_outside_the_support_the_derivative_is_zero(name):
    d, shapes = getattr(ours, name), SHAPES.get(name, ())
    outside = np.array([-3.0, -0.25, 0.5, 2.5, -np.inf, np.inf])
    y = np.asarray(density(name)(outside, *shapes))
    slope = np.asarray(bprop.grad(lambda x: bprop.sum(getattr(d, d.density)(x, *shapes)))(outside))
    assert (slope[y == -np.inf] == 0).all()


def test_a_batch_of_parameters_under_vmap_and_second_derivatives():
    x, scales = np.array([0.3, 1.2]), np.array([0.5, 1.0, 2.0])
    total = lambda scale: bprop.sum(ours.gamma.logpdf(x, 2.0, scale=scale))
    batch = bprop.vmap(bprop.grad(total))(scales)
    assert_allclose(np.asarray(batch), [float(bprop.grad(total)(float(s))) for s in scales], rtol=1e-13)
    second = bprop.grad(bprop.grad(total))(1.5)
    h = 1e-5
    assert_allclose(
        float(second), (float(bprop.grad(total)(1.5 + h)) - float(bprop.grad(total)(1.5 - h))) / (2 * h), rtol=1e-8
    )


@pytest.mark.parametrize("cov", [np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([2.0, 0.5]), 1.5])
def test_the_multivariate_normal_distribution(cov, numerical):
    x, mean = np.array([[0.3, -0.2], [1.0, 2.0], [0.0, 0.0]]), np.array([0.1, 0.2])
    assert_allclose(
        np.asarray(ours.multivariate_normal.logpdf(x, mean, cov)),
        theirs.multivariate_normal.logpdf(x, mean, cov),
        rtol=1e-13,
    )
    assert_allclose(
        np.asarray(ours.multivariate_normal.pdf(x[0], mean, cov)),
        theirs.multivariate_normal.pdf(x[0], mean, cov),
        rtol=1e-13,
    )
    total = lambda m, c: bprop.sum(ours.multivariate_normal.logpdf(x, m, c))
    by_mean, by_cov = bprop.compile(bprop.grad(total, (0, 1)))(mean, np.asarray(cov))
    direction = np.array([0.4, -0.7])
    assert_allclose(
        np.asarray(by_mean) @ direction,
        numerical(lambda t: [np.asarray(total(mean + t * direction, cov))])[0],
        rtol=1e-8,
    )
    step = np.ones(np.shape(cov))
    assert_allclose(
        np.sum(np.asarray(by_cov) * step), numerical(lambda t: [np.asarray(total(mean, cov + t * step))])[0], rtol=1e-8
    )
    with pytest.raises(ShapeError, match="multivariate_normal"):
        ours.multivariate_normal.logpdf(x, np.zeros(3), np.eye(2))


def test_the_dirichlet_distribution():
    x, alpha = np.array([0.2, 0.3, 0.5]), np.array([2.0, 3.0, 0.5])
    for point in (x, x[:-1]):
        assert_allclose(float(ours.dirichlet.logpdf(point, alpha)), theirs.dirichlet.logpdf(point, alpha), rtol=1e-13)
    slope = bprop.grad(lambda a: ours.dirichlet.logpdf(x, a))(alpha)
    expected = np.log(x) - np.asarray(bprop.digamma(alpha)) + float(bprop.digamma(alpha.sum()))
    assert_allclose(np.asarray(slope), expected, rtol=1e-13)
    assert float(ours.dirichlet.logpdf(np.array([-0.1, 0.6, 0.5]), alpha)) == -np.inf
    assert np.isnan(float(ours.dirichlet.logpdf(np.array([np.nan, 0.6, 0.5]), alpha)))


@pytest.mark.parametrize("alpha", [(2.0, 1.0), (1.0, 3.0), (3.0, 2.0), (2.0, 2.0)])
def test_a_dirichlet_density_has_a_slope_where_a_share_is_zero(alpha):
    """That of the beta distribution, of two shares."""
    for x in (0.0, 1.0, 0.3):
        f = lambda x: ours.dirichlet.pdf(bprop.stack([x]), np.array(alpha))
        y, slope = bprop.value_and_grad(f)(x)
        assert_allclose(float(y), theirs.beta.pdf(x, *alpha), rtol=1e-13)
        expected = float(bprop.grad(lambda x: ours.beta.pdf(x, *alpha))(x))
        assert_allclose(float(slope), expected, rtol=1e-12, atol=1e-13)
        assert_allclose(float(bprop.compile(bprop.grad(f))(x)), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if isinstance(getattr(ours, name), Continuous)])
def test_where_a_probability_underflows_its_slope_is_zero(name):
    """Not 0 times infinity."""
    for method in {"pdf", "cdf", "sf"} & {*getattr(ours, name).methods()}:
        for x in (1e200, -1e200, 1e-200):
            y, slope = bprop.value_and_grad(lambda x: getattr(getattr(ours, name), method)(x, *SHAPES.get(name, ())))(x)  # noqa: B023
            assert np.isfinite(float(slope)), (method, x, y)


def test_arguments_are_scipys():
    for call in (
        lambda s: s.norm.logpdf(x=1.0, loc=0.5, scale=2.0),
        lambda s: s.beta.logpdf(0.3, 2.0, b=3.0, scale=1.5),
        lambda s: s.poisson.pmf(k=2, mu=1.5),
        lambda s: s.norm.ppf(q=0.3, scale=2.0),
        lambda s: s.nbinom.logpmf(2, 3, 0.4, loc=1),
        lambda s: s.norm(0.5, scale=2.0).logpdf(1.0),
        lambda s: s.gamma(2.0).sf(1.0),
        lambda s: s.multivariate_normal(np.zeros(2), np.eye(2)).logpdf(np.ones(2)),
    ):
        assert_allclose(float(call(ours)), call(theirs), rtol=1e-13)
    with pytest.raises(ArgumentError, match=r"gamma\.logpdf.*'a'"):
        ours.gamma.logpdf(1.0)
    with pytest.raises(ArgumentError, match=r"t\.ppf has no formula.*t has cdf"):
        ours.t.ppf(0.5, 3.0)
    with pytest.raises(DerivativeError, match="gammainc has no derivative by a"):
        bprop.grad(lambda a: ours.gamma.cdf(1.0, a))(2.0)
    assert np.isnan(float(ours.norm.logpdf(1.0, 0.0, -1.0)))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_python_numbers_are_weak(name):
    """float32 stays float32, whatever the defaults of loc and scale are."""
    x = np.array([1.0, 2.0], np.float32)
    assert density(name)(x, *SHAPES.get(name, ())).dtype == np.float32
    assert bprop.compile(lambda x: density(name)(x, *SHAPES.get(name, ()), loc=0.5))(x).dtype == np.float32


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if isinstance(getattr(ours, name), Continuous)])
def test_where_there_is_no_value_there_is_no_derivative(name):
    shapes = SHAPES.get(name, ())
    for method in ("logpdf", "pdf", "cdf"):
        f = getattr(getattr(ours, name), method)
        for x, scale in ((np.nan, 1.0), (1.5, -1.0)):
            y, slopes = bprop.value_and_grad(lambda x, scale, f=f: f(x, *shapes, scale=scale), (0, 1))(x, scale)
            assert np.isnan(float(y))
            assert np.isnan(np.asarray(slopes, float)).all() or method == "cdf"


@pytest.mark.parametrize(
    ("name", "shapes", "x", "expected"),
    [
        ("gamma", (1.0,), 0.0, -1), ("gamma", (2.0,), 0.0, 1), ("gamma", (3.0,), 0.0, 0), ("gamma", (0.5,), 0.0, -np.inf),
        ("chi2", (2.0,), 0.0, -0.25), ("chi2", (4.0,), 0.0, 0.25), ("rayleigh", (), 0.0, 1), ("expon", (), 0.0, -1),
        ("weibull_min", (1.0,), 0.0, -1), ("weibull_min", (2.0,), 0.0, 2), ("weibull_min", (3.0,), 0.0, 0),
        ("beta", (1.0, 1.0), 0.0, 0), ("beta", (1.0, 2.0), 0.0, -2), ("beta", (2.0, 2.0), 0.0, 6), ("beta", (2.0, 1.0), 1.0, 2),
        ("beta", (2.0, 2.0), 1.0, -6), ("beta", (1.0, 1.0), 1.0, 0), ("beta", (0.5, 1.0), 0.0, -np.inf),
        ("beta", (1.0, 0.5), 1.0, np.inf), ("halfnorm", (), 0.0, 0), ("pareto", (2.0,), 1.0, -6), ("uniform", (), 0.0, 0),
    ],
)  # fmt: skip
def test_a_density_at_the_end_of_its_support_has_the_slope_from_inside(name, shapes, x, expected):
    f = lambda x: getattr(ours, name).pdf(x, *shapes)
    for gradient in (bprop.grad(f), bprop.compile(bprop.grad(f)), lambda x: bprop.jvp(f, (x,), (1.0,))[1]):
        assert float(gradient(x)) == pytest.approx(expected, rel=1e-13, abs=1e-300)


@pytest.mark.parametrize(
    ("name", "method", "k", "shapes", "expected"),
    [
        ("bernoulli", "pmf", 0, (0.0,), -1), ("bernoulli", "pmf", 1, (0.0,), 1), ("bernoulli", "pmf", 0, (1.0,), -1),
        ("binom", "pmf", 0, (3, 0.0), -3), ("binom", "pmf", 1, (3, 0.0), 3), ("binom", "pmf", 2, (3, 0.0), 0),
        ("binom", "pmf", 2, (3, 1.0), -3), ("binom", "pmf", 3, (3, 1.0), 3), ("binom", "sf", 2, (3, 1.0), 3),
        ("poisson", "pmf", 0, (0.0,), -1), ("poisson", "pmf", 1, (0.0,), 1), ("poisson", "pmf", 2, (0.0,), 0),
        ("geom", "pmf", 1, (1.0,), 1), ("geom", "pmf", 2, (1.0,), -1), ("geom", "pmf", 3, (1.0,), 0),
        ("geom", "sf", 1, (1.0,), -1), ("geom", "cdf", 1, (1.0,), 1), ("geom", "cdf", 2, (1.0,), 0),
        ("nbinom", "pmf", 0, (3, 1.0), 3), ("nbinom", "pmf", 1, (3, 1.0), -3), ("nbinom", "pmf", 2, (3, 1.0), 0),
    ],
)  # fmt: skip
def test_a_pmf_has_a_slope_where_its_parameter_is_0_or_1(name, method, k, shapes, expected):
    """The logarithm has none there."""
    *first, p = shapes
    f = lambda p: getattr(getattr(ours, name), method)(k, *first, p)
    for gradient in (bprop.grad(f), bprop.compile(bprop.grad(f))):
        assert float(gradient(p)) == pytest.approx(expected, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize(
    ("f", "x", "expected", "slope"),
    [
        (ours.laplace.logsf, 800.0, -800 - np.log(2), -1), (ours.laplace.logcdf, -800.0, -800 - np.log(2), 1),
        (ours.halfnorm.logsf, 50.0, theirs.norm.logsf(50) + np.log(2), -50.0199840319), (ours.cauchy.logpdf, 1e200, -400 * np.log(10) - np.log(np.pi), -2e-200),
        (lambda x: ours.t.logpdf(x, 3.0), -1e200, -1840.871738669, 4e-200),
        (ours.gumbel_r.logsf, 1e4, -1e4, -1), (ours.gumbel_l.logcdf, -1e4, -1e4, 1), (ours.gumbel_r.logsf, -1e4, 0, 0),
        (ours.gumbel_r.logsf, 18.0, theirs.gumbel_r.logsf(18.0), -np.exp(theirs.gumbel_r.logpdf(18.0) - theirs.gumbel_r.logsf(18.0))),
        (ours.gumbel_r.pdf, -1e4, 0, 0), (ours.gumbel_r.cdf, -1e4, 0, 0), (ours.gumbel_l.sf, 1e4, 0, 0),
        (ours.halfnorm.logcdf, 1e-12, np.log(np.sqrt(2 / np.pi) * 1e-12), 1e12),
    ],
)  # fmt: skip
def test_a_log_tail_goes_on_where_the_probability_is_too_small(f, x, expected, slope):
    y, gradient = bprop.value_and_grad(f)(x)
    assert_allclose(float(y), expected, rtol=1e-12)
    assert_allclose(float(gradient), slope, rtol=1e-9)


# --- logarithms of tails against mpmath ---
def _gamma_density(a, x):
    return mp.exp((a - 1) * mp.log(x) - x - mp.loggamma(a))


def _beta_density(a, b, x):
    return mp.exp((a - 1) * mp.log(x) + (b - 1) * mp.log1p(-x) + mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b))


def _lower_gamma(a, x):
    """P(a, x) by Kummer's function, whose terms are positive."""
    return _gamma_density(a, x) * x / a * mp.hyp1f1(1, a + 1, x)


def _upper_gamma(a, x):
    return mp.gammainc(a, x, regularized=True)


def _lower_beta(a, b, x):
    return _beta_density(a, b, x) * x * (1 - x) / a * mp.hyp2f1(a + b, 1, a + 1, x)


def _t_below(z, df):
    return _lower_beta(df / 2, mp.mpf(0.5), df / (df + z * z)) / 2


def _t_density(z, df):
    return mp.exp(-(df + 1) / 2 * mp.log1p(z * z / df) + mp.loggamma((df + 1) / 2) - mp.loggamma(df / 2)) / mp.sqrt(
        df * mp.pi
    )


def _invgamma_density(z, a):
    return _gamma_density(a, 1 / z) / z**2


TAILS = {
    "gamma-sf": (ours.gamma.logsf, lambda x, a: (_upper_gamma(a, x), -_gamma_density(a, x)),
                 [(800.0, 0.5), (4e3, 1e3), (1e6, 3.0), (30.0, 2.0), (0.5, 2.0), (1e-3, 5.0), (2e4, 1e4)]),
    "gamma-cdf": (ours.gamma.logcdf, lambda x, a: (_lower_gamma(a, x), _gamma_density(a, x)),
                  [(1e-200, 2.0), (1e-8, 50.0), (5e3, 1e4), (10.0, 300.0), (3.0, 5.0), (30.0, 2.0)]),
    "chi2-sf": (ours.chi2.logsf, lambda x, df: (_upper_gamma(df / 2, x / 2), -_gamma_density(df / 2, x / 2) / 2),
                [(3e3, 1.0), (5e3, 40.0), (2.0, 3.0)]),
    "chi2-cdf": (ours.chi2.logcdf, lambda x, df: (_lower_gamma(df / 2, x / 2), _gamma_density(df / 2, x / 2) / 2),
                 [(1e-100, 9.0), (20.0, 700.0), (2.0, 3.0)]),
    "invgamma-sf": (ours.invgamma.logsf, lambda x, a: (_lower_gamma(a, 1 / x), -_invgamma_density(x, a)), [(1e150, 2.0), (0.5, 3.0)]),
    "invgamma-cdf": (ours.invgamma.logcdf, lambda x, a: (_upper_gamma(a, 1 / x), _invgamma_density(x, a)), [(1e-4, 2.0), (0.5, 3.0)]),
    "beta-cdf": (ours.beta.logcdf, lambda x, a, b: (_lower_beta(a, b, x), _beta_density(a, b, x)),
                 [(1e-200, 2.0, 3.0), (0.1, 500.0, 2.0), (0.05, 500.0, 500.0), (0.4, 2.0, 3.0), (0.95, 2.0, 3.0)]),
    "beta-sf": (ours.beta.logsf, lambda x, a, b: (_lower_beta(b, a, 1 - x), -_beta_density(a, b, x)),
                [(0.9, 2.0, 500.0), (0.95, 500.0, 500.0), (0.6, 0.5, 3e3), (0.4, 2.0, 3.0)]),
    "t-cdf": (ours.t.logcdf, lambda z, df: (_t_below(z, df), _t_density(z, df)),
              [(-100.0, 1e3), (-60.0, 1e5), (-1e120, 3.0), (-1e200, 1.6), (-3.0, 4.0), (-1e-3, 2.0)]),
    "t-sf": (ours.t.logsf, lambda z, df: (_t_below(z, df), -_t_density(z, df)), [(100.0, 1e3), (1e120, 3.0), (3.0, 4.0)]),
    "poisson-sf": (lambda mu, k: ours.poisson.logsf(k, mu), lambda mu, k: (_lower_gamma(k + 1, mu), _gamma_density(k + 1, mu)), [(1.0, 300.0), (4.0, 2.0)]),
    "poisson-cdf": (lambda mu, k: ours.poisson.logcdf(k, mu), lambda mu, k: (_upper_gamma(k + 1, mu), -_gamma_density(k + 1, mu)), [(1e3, 2.0), (4.0, 2.0)]),
    "binom-sf": (lambda p, k, n: ours.binom.logsf(k, n, p), lambda p, k, n: (_lower_beta(k + 1, n - k, p), _beta_density(k + 1, n - k, p)),
                 [(1e-5, 90.0, 100.0), (0.3, 2.0, 6.0)]),
    "binom-cdf": (lambda p, k, n: ours.binom.logcdf(k, n, p), lambda p, k, n: (_lower_beta(n - k, k + 1, 1 - p), -_beta_density(k + 1, n - k, p)),
                  [(0.99, 3.0, 400.0), (0.3, 2.0, 6.0)]),
    "nbinom-cdf": (lambda p, k, n: ours.nbinom.logcdf(k, n, p), lambda p, k, n: (_lower_beta(n, k + 1, p), _beta_density(n, k + 1, p)), [(1e-9, 3.0, 60.0), (0.3, 2.0, 6.0)]),
    "nbinom-sf": (lambda p, k, n: ours.nbinom.logsf(k, n, p), lambda p, k, n: (_lower_beta(k + 1, n, 1 - p), -_beta_density(n, k + 1, p)), [(0.99, 400.0, 6.0), (0.3, 2.0, 6.0)]),
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
def test_a_log_tail_is_accurate_however_small_the_probability(name):
    """Planted: the probability from which on the fraction is taken, 0 in its place; one fraction for both sides of beta."""
    f, exact, calls = TAILS[name]
    for x, *parameters in calls:
        with mp.workdps(50):
            probability, slope = exact(*map(mp.mpf, (x, *parameters)))
            expected, gradient = float(mp.log(probability)), float(slope / probability)
        y, derivative = bprop.value_and_grad(lambda x: f(x, *parameters))(x)  # noqa: B023
        assert_allclose(float(y), expected, rtol=2e-14)
        assert_allclose(float(derivative), gradient, rtol=4e-14)
        compiled, again = bprop.compile(bprop.value_and_grad(lambda x: f(x, *parameters)))(x)  # noqa: B023
        assert_allclose([float(compiled), float(again)], [float(y), float(derivative)], rtol=1e-14)


def test_log_tails_at_the_ends_of_the_support():
    inf = np.inf
    for f, x, expected in (
        (lambda x: ours.gamma.logcdf(x, 2.0), [-1.0, 0.0, inf], [-inf, -inf, 0.0]), (lambda x: ours.gamma.logsf(x, 2.0), [-1.0, 0.0, inf], [0.0, 0.0, -inf]),
        (lambda x: ours.beta.logcdf(x, 2.0, 3.0), [-1.0, 0.0, 1.0, 2.0], [-inf, -inf, 0.0, 0.0]),
        (lambda x: ours.beta.logsf(x, 2.0, 3.0), [-1.0, 0.0, 1.0, 2.0], [0.0, 0.0, -inf, -inf]),
        (lambda x: ours.t.logcdf(x, 3.0), [-inf, inf], [-inf, 0.0]), (lambda x: ours.t.logsf(x, 3.0), [-inf, inf], [0.0, -inf]),
        (lambda x: ours.binom.logsf(x, 5, 0.3), [-1.0, 5.0], [0.0, -inf]), (lambda x: ours.gamma.logsf(x, -1.0), [1.0], [np.nan]),
    ):  # fmt: skip
        assert_array_equal(np.asarray(f(np.array(x))), expected)
    narrow = np.array([1.0, 900.0], np.float32)
    assert ours.gamma.logsf(narrow, 2.0).dtype == np.float32
    assert_allclose(
        np.asarray(ours.gamma.logsf(narrow, 2.0)), np.asarray(ours.gamma.logsf(narrow.astype(float), 2.0)), rtol=1e-6
    )
    for name, method in METHODS:
        assert getattr(getattr(ours, name), method)(narrow, *SHAPES.get(name, ())).dtype == np.float32, (name, method)
    hvp = bprop.hvp(lambda x: bprop.sum(ours.gamma.logsf(x, 2.0)), (np.array([900.0]),), (np.ones(1),))
    assert_allclose(np.asarray(hvp), -1 / (1 + 900.0) ** 2, rtol=1e-9)
