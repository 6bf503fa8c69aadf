"""Distributions of `scipy.stats`: logpdf and pdf (logpmf and pmf), and cdf, sf, ppf where special functions give them.

All are differentiable in the variable and the parameters, but for the parameters a, b, df and n in the incomplete gamma and beta
functions behind a cdf. Outside the support a log-density is -∞ and its derivative is 0.

>>> import bprop
>>> stats = bprop.scipy.stats
>>> bprop.grad(lambda scale: bprop.sum(stats.norm.logpdf(bprop.asarray([0.0, 1.0]), 0.5, scale)))(1.0)
Array(-1.5)
"""

from math import inf, nan, pi
from math import log as logarithm
from typing import Any

from ..core.error import ShapeError
from ..core.lazy import exported
from ..core.op import array
from ..core.value import Array
from ..ops.concatenation import concat
from ..ops.cumulative import prod
from ..ops.entropy import xlog1py
from ..ops.exponential import exp, expm1, log, log1p
from ..ops.factorisation import cholesky
from ..ops.gamma import betaln
from ..ops.incomplete_gamma import (
    beta_density,
    betainc,
    betaincc,
    betaincinv,
    gamma_density,
    gammainc,
    gammaincc,
    gammainccinv,
    gammaincinv,
)
from ..ops.linear_algebra import diagonal
from ..ops.linear_system import triangular_solve
from ..ops.log_density import log1p_quotient, log_beta_density, log_gamma_density, log_gamma_half_rise
from ..ops.log_tail import SMALL, log_betainc, log_betaincc, log_gammainc, log_gammaincc
from ..ops.manipulation import broadcast_to, matrix_transpose, reshape
from ..ops.normal_distribution import log_ndtr, ndtr, ndtri, normal_density, student_t
from ..ops.power import pow, sqrt
from ..ops.reduction import sum
from ..ops.rounding import floor
from ..ops.selection import where
from ..ops.sigmoidal import log_sigmoid, logit, sigmoid, softplus
from ..ops.special import erf, gammaln, xlogy
from ..ops.special_function import together
from ..ops.trigonometric import atan, atan2, tan
from .distribution import Continuous, Discrete, Freezable

__all__ = [
    "bernoulli", "beta", "binom", "cauchy", "chi2", "dirichlet", "expon", "gamma", "geom", "gumbel_l", "gumbel_r", "halfnorm",
    "invgamma", "laplace", "logistic", "lognorm", "multivariate_normal", "nbinom", "norm", "pareto", "poisson", "rayleigh", "t",
    "uniform", "weibull_min",
]  # fmt: skip

_LOG_ROOT_TWO_PI = 0.9189385332046728


def _everywhere(z: Any, *shapes: Any) -> Any:
    return z == z


def _positive(z: Any, *shapes: Any) -> Any:
    return z >= 0


def _all_positive(*shapes: Any) -> Any:
    valid = shapes[0] > 0
    for shape in shapes[1:]:
        valid = valid & (shape > 0)
    return valid


def _log1p_square(u: Any) -> Any:
    """log(1 + u²), also where u² is beyond the largest number."""
    size = abs(u)
    far = size > 1e9
    return where(far, 2 * log(where(far, size, 1)), log1p(where(far, 0, u) ** 2))


def _cotangent(q: Any) -> Any:
    """-cot πq, from the nearer of 0, ½ and 1."""
    low, high = q < 0.25, q > 0.75
    end = where(low, q, where(high, 1 - q, 0.25))
    return where(low | high, where(low, -1, 1) / tan(pi * end), tan(pi * (where(low | high, 0.5, q) - 0.5)))


# --- on the whole line ---
norm = Continuous(
    "norm", support=_everywhere, inside=0.0,
    logpdf=lambda z: -0.5 * (z * z) - _LOG_ROOT_TWO_PI, pdf=normal_density,
    cdf=ndtr, sf=lambda z: ndtr(-z), logcdf=log_ndtr, logsf=lambda z: log_ndtr(-z), ppf=ndtri, isf=lambda q: -ndtri(q),
)  # fmt: skip


def _cauchy_log_cdf(z: Any) -> Any:
    """log(atan(-1/z)/π) on the left, where far out it is -log(-π z): the slope of the angle is 1/z², which underflows."""
    left, far = z < -1, z < -1e9
    near = where(left & ~far, z, -1)
    tail = where(far, -log(-where(far, z, -1)), log(atan(-1 / near))) - logarithm(pi)
    return where(left, tail, log1p(-atan2(1.0, where(left, 1, z)) / pi))


cauchy = Continuous(
    "cauchy", support=_everywhere, inside=0.0, logpdf=lambda z: -_log1p_square(z) - logarithm(pi),
    cdf=lambda z: atan2(1.0, -z) / pi, sf=lambda z: atan2(1.0, z) / pi,
    logcdf=_cauchy_log_cdf, logsf=lambda z: _cauchy_log_cdf(-z),
    ppf=_cotangent, isf=lambda q: -_cotangent(q),
)  # fmt: skip


def _laplace_log_cdf(z: Any) -> Any:
    return where(z < 0, z - logarithm(2.0), log1p(-0.5 * exp(-where(z < 0, 0, z))))


laplace = Continuous(
    "laplace", support=_everywhere, inside=0.0, logpdf=lambda z: -abs(z) - logarithm(2.0),
    cdf=lambda z: where(z < 0, 0.5 * exp(where(z < 0, z, 0)), 1 - 0.5 * exp(-where(z < 0, 0, z))),
    sf=lambda z: where(z > 0, 0.5 * exp(-where(z > 0, z, 0)), 1 - 0.5 * exp(where(z > 0, 0, z))),
    logcdf=_laplace_log_cdf, logsf=lambda z: _laplace_log_cdf(-z),
)  # fmt: skip
logistic = Continuous(
    "logistic", support=_everywhere, inside=0.0, logpdf=lambda z: -softplus(z) - softplus(-z),
    cdf=sigmoid, sf=lambda z: sigmoid(-z), logcdf=log_sigmoid, logsf=lambda z: log_sigmoid(-z),
    ppf=logit, isf=lambda q: -logit(q),
)  # fmt: skip


def _gumbel_bounded(z: Any) -> Any:
    """z where e⁻ᶻ has powers that are not 0, so that these are not multiplied by its infinite slope."""
    return where(z < -50, -50, z)


def _gumbel_density(z: Any) -> Any:
    return exp(-_gumbel_bounded(z) - exp(-_gumbel_bounded(z)))


def _gumbel_cdf(z: Any) -> Any:
    return exp(-exp(-_gumbel_bounded(z)))


def _gumbel_sf(z: Any) -> Any:
    return -expm1(-exp(-_gumbel_bounded(z)))


def _gumbel_log_sf(z: Any) -> Any:
    """log(1 - exp(-e⁻ᶻ)), which is -z - e⁻ᶻ/2 + … on the right."""
    left, right = z < 0, z > 18
    tail = -z - 0.5 * exp(-where(right, z, 18))
    return where(
        left, log1p(-_gumbel_cdf(where(left, z, 0))), where(right, tail, log(_gumbel_sf(where(left | right, 0, z))))
    )


gumbel_r = Continuous(
    "gumbel_r", support=_everywhere, inside=0.0, logpdf=lambda z: -z - exp(-z), pdf=_gumbel_density,
    cdf=_gumbel_cdf, logcdf=lambda z: -exp(-z), sf=_gumbel_sf, logsf=_gumbel_log_sf, ppf=lambda q: -log(-log(q)),
)  # fmt: skip
gumbel_l = Continuous(
    "gumbel_l", support=_everywhere, inside=0.0, logpdf=lambda z: z - exp(z), pdf=lambda z: _gumbel_density(-z),
    cdf=lambda z: _gumbel_sf(-z), logcdf=lambda z: _gumbel_log_sf(-z), sf=lambda z: _gumbel_cdf(-z), logsf=lambda z: -exp(z),
    isf=lambda q: log(-log(q)),
)  # fmt: skip


def _t_log_cdf(z: Any, df: Any) -> Any:
    """log ½ I(1/(1 + u²); df/2, ½) with u = z/√df where the probability is too small for a number."""
    p, below = student_t(z, df), z < 0
    far = p < SMALL
    u = where(far, -z, 1) / sqrt(df)
    beyond = u > 1e100  # there I is its first term, and u² no number
    first = -df * log(where(beyond, u, 1)) - log(0.5 * df) - betaln(0.5 * df, 0.5)
    tail = where(beyond, first, log_betainc(0.5 * df, 0.5, 1 / (1 + where(beyond, 1, u) ** 2))) - logarithm(2.0)
    rest = where(below, 0.5, student_t(-where(below, 0, z), df))
    return where(far, tail, where(below, log(where(far, 1, p)), log1p(-rest)))


def _t_log_density(z: Any, df: Any) -> Any:
    """½ (df + 1) log(1 + z²/df) is z²/2 where df is large, and so is its derivative by df, of terms that cancel."""
    far = abs(z) > sqrt(df)
    near, spread = where(far, 0, z), where(far, 1, df)
    u = near * near / spread
    kernel = where(far, 0.5 * (df + 1) * _log1p_square(where(far, z, 1) / sqrt(df)),
                   0.5 * (near * near + u) * log1p_quotient(u, n=0))  # fmt: skip
    return log_gamma_half_rise(0.5 * df, n=0) - _LOG_ROOT_TWO_PI - kernel


t = Continuous(
    "t", "df", support=_everywhere, inside=0.0, valid=_all_positive, logpdf=_t_log_density,
    cdf=student_t, sf=lambda z, df: student_t(-z, df), logcdf=_t_log_cdf, logsf=lambda z, df: _t_log_cdf(-z, df),
)  # fmt: skip

# --- on the positive numbers ---
expon = Continuous(
    "expon", support=_positive, inside=1.0, logpdf=lambda z: -z, cdf=lambda z: -expm1(-z), logsf=lambda z: -z,
    ppf=lambda q: -log1p(-q), isf=lambda q: -log(q),
)  # fmt: skip
gamma = Continuous(
    "gamma", "a", support=_positive, inside=1.0, valid=_all_positive,
    logpdf=lambda z, a: log_gamma_density(a, z), pdf=lambda z, a: gamma_density(a, z),
    cdf=lambda z, a: gammainc(a, z), sf=lambda z, a: gammaincc(a, z),
    logcdf=lambda z, a: log_gammainc(a, z), logsf=lambda z, a: log_gammaincc(a, z),
    ppf=lambda q, a: gammaincinv(a, q), isf=lambda q, a: gammainccinv(a, q),
)  # fmt: skip
chi2 = Continuous(
    "chi2", "df", support=_positive, inside=1.0, valid=_all_positive,
    logpdf=lambda z, df: log_gamma_density(0.5 * df, 0.5 * z) - logarithm(2.0),
    pdf=lambda z, df: 0.5 * gamma_density(0.5 * df, 0.5 * z),
    cdf=lambda z, df: gammainc(0.5 * df, 0.5 * z), sf=lambda z, df: gammaincc(0.5 * df, 0.5 * z),
    logcdf=lambda z, df: log_gammainc(0.5 * df, 0.5 * z), logsf=lambda z, df: log_gammaincc(0.5 * df, 0.5 * z),
    ppf=lambda q, df: 2 * gammaincinv(0.5 * df, q), isf=lambda q, df: 2 * gammainccinv(0.5 * df, q),
)  # fmt: skip


def _invgamma_bounded(z: Any) -> Any:
    """z where e^(-1/z) is 0 anyway, so that it is not multiplied by the infinite slope of 1/z."""
    return where((z > 0) & (z < 1e-15), 1e-15, z)


def _invgamma_log_density(z: Any, a: Any) -> Any:
    """The gamma density of a + 2 at 1/z is that of a times z²/(a (a + 1))."""
    far = z > 1e100  # there 1/z² is no number
    inner = log_gamma_density(a + 2, 1 / where(far, 1, z)) + log(a) + log1p(a)
    return where(far, -(a + 1) * log(where(far, z, 1)) - gammaln(a), inner)


invgamma = Continuous(
    "invgamma", "a", support=lambda z, a: z > 0, inside=1.0, valid=_all_positive,
    logpdf=_invgamma_log_density, pdf=lambda z, a: exp(_invgamma_log_density(_invgamma_bounded(z), a)),
    cdf=lambda z, a: gammaincc(a, 1 / _invgamma_bounded(z)), sf=lambda z, a: gammainc(a, 1 / _invgamma_bounded(z)),
    logcdf=lambda z, a: log_gammaincc(a, 1 / z), logsf=lambda z, a: log_gammainc(a, 1 / z),
)  # fmt: skip
lognorm = Continuous(
    "lognorm", "s", support=lambda z, s: z > 0, inside=1.0, valid=_all_positive,
    logpdf=lambda z, s: -0.5 * (log(z) / s) ** 2 - log(s * z) - _LOG_ROOT_TWO_PI,
    cdf=lambda z, s: ndtr(log(z) / s), sf=lambda z, s: ndtr(-log(z) / s),
    logcdf=lambda z, s: log_ndtr(log(z) / s), logsf=lambda z, s: log_ndtr(-log(z) / s),
    ppf=lambda q, s: exp(s * ndtri(q)), isf=lambda q, s: exp(-s * ndtri(q)),
)  # fmt: skip
weibull_min = Continuous(
    "weibull_min", "c", support=_positive, inside=1.0, valid=_all_positive,
    logpdf=lambda z, c: log(c) + xlogy(c - 1, z) - pow(z, c), cdf=lambda z, c: -expm1(-pow(z, c)),
    pdf=lambda z, c: c * pow(z, c - 1) * exp(-pow(z, c)),
    logsf=lambda z, c: -pow(z, c), ppf=lambda q, c: pow(-log1p(-q), 1 / c), isf=lambda q, c: pow(-log(q), 1 / c),
)  # fmt: skip
halfnorm = Continuous(
    "halfnorm", support=_positive, inside=1.0, logpdf=lambda z: -0.5 * (z * z) - _LOG_ROOT_TWO_PI + logarithm(2.0),
    sf=lambda z: 2 * ndtr(-z), cdf=lambda z: erf(z / 2**0.5), logsf=lambda z: log_ndtr(-z) + logarithm(2.0),
)  # fmt: skip
rayleigh = Continuous(
    "rayleigh", support=_positive, inside=1.0, logpdf=lambda z: log(z) - 0.5 * (z * z), pdf=lambda z: z * exp(-0.5 * (z * z)),
    cdf=lambda z: -expm1(-0.5 * (z * z)), logsf=lambda z: -0.5 * (z * z), ppf=lambda q: sqrt(-2 * log1p(-q)),
)  # fmt: skip
pareto = Continuous(
    "pareto", "b", support=lambda z, b: z >= 1, inside=2.0, valid=_all_positive,
    logpdf=lambda z, b: log(b) - (b + 1) * log(z), cdf=lambda z, b: -expm1(-b * log(z)), logsf=lambda z, b: -b * log(z),
    ppf=lambda q, b: exp(-log1p(-q) / b), isf=lambda q, b: exp(-log(q) / b),
)  # fmt: skip

# --- on an interval ---
uniform = Continuous(
    "uniform", support=lambda z: (z >= 0) & (z <= 1), inside=0.5, logpdf=lambda z: 0 * z, cdf=lambda z: z, sf=lambda z: 1 - z,
    ppf=lambda q: q, isf=lambda q: 1 - q,
)  # fmt: skip
beta = Continuous(
    "beta", "a b", support=lambda z, a, b: (z >= 0) & (z <= 1), inside=0.5, valid=_all_positive,
    logpdf=lambda z, a, b: log_beta_density(a, b, z), pdf=lambda z, a, b: beta_density(a, b, z),
    cdf=lambda z, a, b: betainc(a, b, z), sf=lambda z, a, b: betaincc(a, b, z),
    logcdf=lambda z, a, b: log_betainc(a, b, z), logsf=lambda z, a, b: log_betaincc(a, b, z), ppf=lambda q, a, b: betaincinv(a, b, q),
)  # fmt: skip


# --- of whole numbers: a pmf is a density in its parameter, which has derivatives at 0 and 1, where the logarithm has none ---
def _counted(k: Any, *shapes: Any) -> Any:
    return (k >= 0) & (floor(k) == k)


def _probability(p: Any) -> Any:
    return (p >= 0) & (p <= 1)


poisson = Discrete(
    "poisson", "mu", support=_counted, inside=0.0, valid=lambda mu: mu >= 0,
    logpmf=lambda k, mu: log_gamma_density(k + 1, mu), pmf=lambda k, mu: gamma_density(k + 1, mu),
    cdf=lambda k, mu: gammaincc(k + 1, mu), sf=lambda k, mu: gammainc(k + 1, mu),
    logcdf=lambda k, mu: log_gammaincc(k + 1, mu), logsf=lambda k, mu: log_gammainc(k + 1, mu),
)  # fmt: skip
bernoulli = Discrete(
    "bernoulli", "p", support=lambda k, p: (k == 0) | (k == 1), inside=0.0, valid=_probability,
    logpmf=lambda k, p: xlogy(k, p) + xlog1py(1 - k, -p), pmf=lambda k, p: beta_density(k + 1, 2 - k, p) / 2,
    cdf=lambda k, p: where(k < 1, 1 - p, 1), sf=lambda k, p: where(k < 1, p, 0),
)  # fmt: skip
binom = Discrete(
    "binom", "n p", support=lambda k, n, p: _counted(k) & (k <= n), inside=0.0,
    valid=lambda n, p: (n >= 0) & (floor(n) == n) & _probability(p),
    logpmf=lambda k, n, p: log_beta_density(k + 1, n - k + 1, p) - log1p(n),
    pmf=lambda k, n, p: beta_density(k + 1, n - k + 1, p) / (n + 1),
    cdf=lambda k, n, p: where(k < n, betainc(where(k < n, n - k, 1), k + 1, 1 - p), 1),
    sf=lambda k, n, p: where(k < n, betainc(k + 1, where(k < n, n - k, 1), p), 0),
    logcdf=lambda k, n, p: where(k < n, log_betaincc(k + 1, where(k < n, n - k, 1), p), 0),
    logsf=lambda k, n, p: where(k < n, log_betainc(k + 1, where(k < n, n - k, 1), p), -inf),
)  # fmt: skip
nbinom = Discrete(
    "nbinom", "n p", support=_counted, inside=0.0, valid=lambda n, p: (n > 0) & (p > 0) & (p <= 1),
    logpmf=lambda k, n, p: log_beta_density(n, k + 1, p) - log(n + k) + log(p),
    pmf=lambda k, n, p: p * beta_density(n, k + 1, p) / (n + k),
    cdf=lambda k, n, p: betainc(n, k + 1, p), sf=lambda k, n, p: betaincc(n, k + 1, p),
    logcdf=lambda k, n, p: log_betainc(n, k + 1, p), logsf=lambda k, n, p: log_betaincc(n, k + 1, p),
)  # fmt: skip
geom = Discrete(
    "geom", "p", support=lambda k, p: (k >= 1) & (floor(k) == k), inside=1.0, valid=lambda p: (p > 0) & (p <= 1),
    logpmf=lambda k, p: xlog1py(k - 1, -p) + log(p), pmf=lambda k, p: p * beta_density(1.0, k, p) / k,
    cdf=lambda k, p: betainc(1.0, k, p), sf=lambda k, p: betaincc(1.0, k, p), logsf=lambda k, p: xlog1py(k, -p),
)  # fmt: skip


# --- of several variables ---
class MultivariateNormal(Freezable):
    """The normal distribution of vectors, by the Cholesky factor of its covariance.

    >>> import bprop
    >>> bprop.scipy.stats.multivariate_normal.logpdf(bprop.zeros(2), bprop.zeros(2), bprop.asarray([[2.0, 0.0], [0.0, 0.5]]))
    Array(-1.83787707)
    """

    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1.0) -> Array:
        """Return -(x-μ)ᵀ Σ⁻¹ (x-μ)/2 - log det(2πΣ)/2 for ``x`` (…, n), ``mean`` (n,) or a number, ``cov`` (n, n), (n,) or a number.

        A vector ``cov`` is the diagonal. As of `bprop.cholesky` the lower triangle of ``cov`` is read, and the gradient lies in
        it. Raises `ArgumentError` where ``cov`` is not positive definite, `ShapeError` where shapes do not fit.
        """
        name = "multivariate_normal.logpdf"
        x, mean, cov = together(name, x, 0.0 if mean is None else mean, cov)
        n = mean.shape[-1] if mean.ndim else cov.shape[-1] if cov.ndim else x.shape[-1] if x.ndim else 1
        if cov.ndim not in (0, 1, 2) or (cov.ndim and cov.shape[-1] != n) or (cov.ndim == 2 and cov.shape[0] != n):
            raise ShapeError(f"{name}: cov has shape {cov.shape}, not ({n}, {n}) as the mean has it")
        if x.ndim == 0:
            x = reshape(x, (1,))
        elif x.ndim == 1 and n == 1:
            x = reshape(x, (x.shape[0], 1))  # many numbers, as in SciPy
        if x.shape[-1] != n:
            raise ShapeError(f"{name}: x has shape {x.shape}, the distribution {n} variables: they are the last axis")
        z = x - mean
        if cov.ndim < 2:
            spread = broadcast_to(cov, (n,))
            square, log_det = sum(z * z / spread, axis=-1), sum(log(spread))
        else:
            factor = cholesky(cov)
            white = triangular_solve(factor, matrix_transpose(reshape(z, (-1, n))), lower=True)
            square, log_det = reshape(sum(white * white, axis=0), z.shape[:-1]), 2 * sum(log(diagonal(factor)))
        return -0.5 * (square + log_det + n * logarithm(2 * pi))

    def pdf(self, x: Any, mean: Any = None, cov: Any = 1.0) -> Array:
        """Return the density, the exponential of `logpdf`."""
        return exp(self.logpdf(x, mean, cov))


class Dirichlet(Freezable):
    """The distribution of vectors of shares.

    >>> import bprop
    >>> bprop.scipy.stats.dirichlet.logpdf(bprop.asarray([0.2, 0.8]), bprop.asarray([2.0, 3.0]))
    Array(0.42918163)
    """

    def logpdf(self, x: Any, alpha: Any) -> Array:
        """Return Σ (α-1) log x - Σ log Γ(α) + log Γ(Σ α), for ``x`` (k, …) with the shares on its first axis and ``alpha`` (k,).

        As in SciPy the last share may be left out, and is what the others leave of 1. -∞ where a share is negative; that the
        shares add up to 1 is not checked. Raises `ShapeError` where shapes do not fit.
        """
        x, alpha = self._shares("logpdf", x, alpha)
        return self._log_product(x, alpha, left_out=False)

    def pdf(self, x: Any, alpha: Any) -> Array:
        """Return the density, the exponential of `logpdf`; a share of 0 is a factor, which has a slope where its logarithm has none."""
        x, alpha = self._shares("pdf", x, alpha)
        none, powers = x == 0, reshape(alpha, (-1, *[1] * (x.ndim - 1)))
        share = where(none, x, 1)
        factors = where(none, gamma_density(powers, share) * exp(share), 1)
        return exp(self._log_product(x, alpha, none)) * prod(factors, axis=0)

    def _shares(self, method: str, x: Any, alpha: Any) -> tuple[Any, Any]:
        """Return all the shares, with the one that was left out, and the parameters."""
        name = f"dirichlet.{method}"
        x, alpha = array(name, x), array(name, alpha)
        if alpha.ndim != 1 or x.ndim == 0 or x.shape[0] not in (alpha.shape[0], alpha.shape[0] - 1):
            raise ShapeError(f"{name}: x has shape {x.shape}, alpha {alpha.shape}: the shares are the first axis of x")
        if x.shape[0] < alpha.shape[0]:
            x = concat([x, 1 - sum(x, axis=0, keepdims=True)], axis=0)
        return x, alpha

    def _log_product(self, x: Any, alpha: Any, left_out: Any) -> Any:
        """Return the log-density without the factors x^(α-1)/Γ(α) that are left out."""
        outside, powers = x < 0, reshape(alpha, (-1, *[1] * (x.ndim - 1)))
        terms = xlogy(powers - 1, where(outside | left_out, 1, x)) + where(outside, -inf, 0.0)
        y = sum(terms - where(left_out, 0, gammaln(powers)), axis=0) + gammaln(sum(alpha))
        return where((alpha > 0).all(), y, nan)


multivariate_normal, dirichlet = MultivariateNormal(), Dirichlet()
__dir__ = exported(__name__)
