"""Prints docs/scipy.md: which functions of SciPy have a rule, by which of their arguments, and how accurate they are.

    python docs/special_functions.py > docs/scipy.md

Errors are in units in the last place (ULP) of the exact result in float64, against mpmath with 50 digits, at `points` inside the
range of the row. Where a function oscillates, or a derivative is a sum of terms that cancel, the unit is that of the largest
term. The page shows ceilings, which `tests/scipy/test_accuracy.py` holds.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

import bprop
from bprop.core.error import DerivativeError
from bprop.scipy import integrate, linalg, signal, special, stats

DIGITS = 50
POINTS = 24

Function = Callable[[Any], Any]


@dataclass
class Row:
    """A function of one number: ``low`` to ``high`` is its range, ``value`` and ``slope`` are the ceilings in ULP.

    ``exact`` is the function for mpmath, ``derivative`` its derivative (by default the numerical one), ``scales`` the largest terms
    of the two where they cancel.
    """

    name: str
    f: Function
    exact: Function
    low: float
    high: float
    value: float
    slope: float
    derivative: Function | None = None
    scales: tuple[Function | None, Function | None] = (None, None)


def points(low: float, high: float, count: int = POINTS) -> np.ndarray:
    """Numbers from ``low`` to ``high``: half of them evenly spread, half over the exponents above ``low``."""
    random = np.random.default_rng(3)
    even = low + (high - low) * (np.arange(count // 2) + random.uniform(0, 1, count // 2)) / (count // 2)
    spread = low + (high - low) * 10.0 ** -random.uniform(0, 6, count - count // 2)
    return np.concatenate([even, spread])


def ulps(actual: float, exact: Any, scale: Any = 0) -> float:
    """The distance in units in the last place of the exact number, or of the larger ``scale``."""
    size = max(abs(exact), abs(scale), mp.mpf(np.finfo(float).tiny))
    if not np.isfinite(actual):
        return 0.0 if size > np.finfo(float).max else np.inf
    return float(abs(mp.mpf(float(actual)) - exact) / mp.mpf(2) ** (mp.floor(mp.log(size, 2)) - 52))


def errors(row: Row, count: int = POINTS) -> tuple[float, float]:
    """The largest errors of value and derivative."""
    x = points(row.low, row.high, count)
    y, slope = bprop.jvp(row.f, (x,), (np.ones(x.shape),))
    with mp.workdps(DIGITS):
        numbers = [mp.mpf(float(one)) for one in x]
        derivative = row.derivative or (lambda t: mp.diff(row.exact, t))
        largest = []
        for actual, exact, scale in zip((y, slope), (row.exact, derivative), row.scales, strict=True):
            largest.append(
                max(
                    ulps(a, mp.re(exact(t)), scale(t) if scale else 0)
                    for a, t in zip(np.asarray(actual), numbers, strict=True)
                )
            )
    return largest[0], largest[1]


# --- what is measured ---
def amplitude(x: Any) -> Any:
    """Of a Bessel function, which oscillates."""
    return min(mp.mpf(1), mp.sqrt(2 / (mp.pi * x)))


def gamma_density(a: float) -> Function:
    return lambda x: x ** (mp.mpf(a) - 1) * mp.exp(-x) / mp.gamma(a)


def beta_density(a: float, b: float) -> Function:
    return lambda x: x ** (mp.mpf(a) - 1) * (1 - x) ** (mp.mpf(b) - 1) / mp.beta(a, b)


def erfcx_slope(x: Any) -> Any:
    return 2 * x * mp.exp(x * x) * mp.erfc(x) - 2 / mp.sqrt(mp.pi)


def below(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def mills(x: Any) -> Any:
    return mp.npdf(x) / below(x)


def quantile(p: Any) -> Any:
    start = mp.mpf(float(np.asarray(special.ndtri(float(p)))))
    return mp.findroot(lambda y: mp.log(below(y)) - mp.log(p), start)


def elliptic_slope(m: Any) -> Any:
    return (mp.ellipe(m) - (1 - m) * mp.ellipk(m)) / (2 * m * (1 - m))


def by_digamma(f: Function, a: Function, b: Function) -> Function:
    return lambda x: f(x) * (mp.digamma(a(x)) - mp.digamma(b(x)))


def besselk(v: float, x: Any) -> Any:
    """K, of whole orders next to them: mpmath takes seconds there."""
    with mp.workdps(2 * DIGITS):
        return mp.besselk(v + mp.mpf(10) ** -30, x)


def bessely(v: float, x: Any) -> Any:
    """Y, of whole orders next to them."""
    with mp.workdps(2 * DIGITS):
        return mp.bessely(v + mp.mpf(10) ** -30, x)


def between(exact: Any, v: float, x: Any) -> Any:
    """The derivative of a Bessel function by its neighbours."""
    low, high = exact(v - 1, x), exact(v + 1, x)
    if exact is besselk:
        return -(low + high) / 2
    return (low + high) / 2 if exact is mp.besseli else (low - high) / 2


def bessel(name: str, op: Any, v: float, exact: Any, value: float, slope: float, oscillating: bool) -> Row:
    sign = {"ive": -1, "kve": 1}.get(name, 0)
    scale = amplitude if oscillating else None
    return Row(
        f"{name}({v:g}, x)", lambda x: op(v, x), lambda x: mp.exp(sign * x) * exact(v, x), 0.01, 40, value, slope,
        lambda x: mp.exp(sign * x) * (between(exact, v, x) + sign * exact(v, x)), (scale, scale),
    )  # fmt: skip


B, C = 2.5, 0.3
ROWS = [
    Row("gamma", special.gamma, mp.gamma, 0, 170, 8, 16, lambda x: mp.gamma(x) * mp.digamma(x)),
    Row("rgamma", special.rgamma, mp.rgamma, -10, 30, 8, 64, lambda x: -mp.rgamma(x) * mp.digamma(x)),
    Row("loggamma", special.loggamma, mp.loggamma, 0, 1e3, 4, 4, mp.digamma),
    Row("poch(x, 2.5)", lambda x: special.poch(x, B), lambda x: mp.rf(x, B), 0, 30, 256, 256,
        by_digamma(lambda x: mp.rf(x, B), lambda x: x + B, lambda x: x)),
    Row("beta(x, 2.5)", lambda x: special.beta(x, B), lambda x: mp.beta(x, B), 0, 30, 64, 64,
        by_digamma(lambda x: mp.beta(x, B), lambda x: x, lambda x: x + B)),
    Row("betaln(x, 2.5)", lambda x: special.betaln(x, B), lambda x: mp.log(mp.beta(x, B)), 0, 30, 64, 4,
        lambda x: mp.digamma(x) - mp.digamma(x + B)),
    Row("binom(x, 2.5)", lambda x: special.binom(x, B), lambda x: mp.binomial(x, B), 3, 30, 64, 64,
        by_digamma(lambda x: mp.binomial(x, B), lambda x: x + 1, lambda x: x - B + 1)),
    Row("zeta(2.5, x)", lambda x: special.zeta(B, x), lambda x: mp.zeta(B, x), 0, 30, 8, 8, lambda x: -B * mp.zeta(B + 1, x)),
    Row("multigammaln(x, 3)", lambda x: special.multigammaln(x, 3),
        lambda x: mp.mpf(3) / 2 * mp.log(mp.pi) + sum(mp.loggamma(x - mp.mpf(j) / 2) for j in range(3)), 1.5, 100, 16, 16,
        lambda x: sum(mp.digamma(x - mp.mpf(j) / 2) for j in range(3)),
        (lambda x: 4, lambda x: sum(abs(mp.digamma(x - mp.mpf(j) / 2)) for j in range(3)))),
    Row("gammainc(0.3, x)", lambda x: special.gammainc(C, x), lambda x: mp.gammainc(C, 0, x, regularized=True), 0, 30, 256, 8,
        gamma_density(C)),
    Row("gammainc(20, x)", lambda x: special.gammainc(20.0, x), lambda x: mp.gammainc(20, 0, x, regularized=True), 1, 60, 512, 128,
        gamma_density(20)),
    Row("gammaincc(2.5, x)", lambda x: special.gammaincc(B, x), lambda x: mp.gammainc(B, x, regularized=True), 0, 60, 256, 8,
        lambda x: -gamma_density(B)(x)),
    Row("betainc(2.5, 0.3, x)", lambda x: special.betainc(B, C, x), lambda x: mp.betainc(B, C, 0, x, regularized=True), 0, 1, 64, 16,
        beta_density(B, C)),
    Row("erfcx", special.erfcx, lambda x: mp.exp(x * x) * mp.erfc(x), -5, 20, 4, 16, erfcx_slope),
    Row("erfi", special.erfi, mp.erfi, -20, 20, 32, 4, lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(x * x)),
    Row("dawsn", special.dawsn, lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x), -20, 20, 64, 16,
        lambda x: 1 - mp.sqrt(mp.pi) * x * mp.exp(-x * x) * mp.erfi(x), (None, lambda x: 1)),
    Row("ndtr", special.ndtr, below, -37, 30, 4, 4, mp.npdf),
    Row("log_ndtr", special.log_ndtr, lambda x: mp.log(below(x)), -1e3, 8, 4, 4, mills),
    Row("log_ndtr, far", special.log_ndtr, lambda x: mp.log(below(x)), -1e5, -1e3, 4, 4, mills),
    Row("ndtri", special.ndtri, quantile, 0, 1, 16, 16, lambda p: 1 / mp.npdf(quantile(p)), (lambda x: 1, None)),
    Row("erfcinv", special.erfcinv, lambda x: -quantile(x / 2) / mp.sqrt(2), 0, 1.9, 16, 16,
        lambda x: -mp.sqrt(mp.pi) / 2 * mp.exp(quantile(x / 2) ** 2 / 2), (lambda x: 1, None)),
    *(bessel("jv", special.jv, v, mp.besselj, 16, 16, True) for v in (0, 1)), bessel("jv", special.jv, 2.5, mp.besselj, 512, 512, True),
    *(bessel("yv", special.yv, v, bessely, 64, 64, True) for v in (0, 1, 2.5)),
    *(bessel("iv", special.iv, v, mp.besseli, 16, 16, False) for v in (0, 1, 2.5)),
    *(bessel("kv", special.kv, v, besselk, 16, 16, False) for v in (0, 1, 2.5)),
    *(bessel("ive", special.ive, v, mp.besseli, 512, 512, False) for v in (0, 1, 2.5)),
    *(bessel("kve", special.kve, v, besselk, 16, 256, False) for v in (0, 1, 2.5)),
    Row("spherical_jn(1, x)", lambda x: special.spherical_jn(1, x), lambda x: mp.sin(x) / x**2 - mp.cos(x) / x, 0.01, 40, 32, 32,
        lambda x: 2 * mp.cos(x) / x**2 - 2 * mp.sin(x) / x**3 + mp.sin(x) / x, (lambda x: min(1, 1 / x),) * 2),
    Row("airy, Ai", lambda x: special.airy(x)[0], mp.airyai, -10, 10, 128, 128, lambda x: mp.airyai(x, derivative=1),
        (lambda x: 0.3 if x < 0 else 0, lambda x: 0.5 if x < 0 else 0)),
    Row("expi", special.expi, mp.ei, 0, 50, 256, 4, lambda x: mp.exp(x) / x, (lambda x: 1, None)),
    Row("exp1", special.exp1, mp.e1, 0, 50, 32, 4, lambda x: -mp.exp(-x) / x),
    Row("expn(3, x)", lambda x: special.expn(3, x), lambda x: mp.expint(3, x), 0, 50, 32, 32, lambda x: -mp.expint(2, x)),
    Row("sici, Si", lambda x: special.sici(x)[0], mp.si, 0, 50, 8, 8, lambda x: mp.sin(x) / x, (None, lambda x: min(1, 1 / x))),
    Row("sici, Ci", lambda x: special.sici(x)[1], mp.ci, 0, 50, 8, 8, lambda x: mp.cos(x) / x, (lambda x: min(1, 1 / x), None)),
    Row("shichi, Shi", lambda x: special.shichi(x)[0], mp.shi, 0, 50, 16, 8, lambda x: mp.sinh(x) / x),
    Row("shichi, Chi", lambda x: special.shichi(x)[1], mp.chi, 0, 50, 16, 8, lambda x: mp.cosh(x) / x, (lambda x: 1, None)),
    Row("exprel", special.exprel, lambda x: mp.expm1(x) / x, -50, 50, 4, 4, lambda x: (mp.exp(x) * (x - 1) + 1) / x**2),
    Row("spence", special.spence, lambda x: mp.re(mp.polylog(2, 1 - x)), 0, 20, 16, 4, lambda x: mp.log(x) / (1 - x), (lambda x: 1, None)),
    Row("lambertw", special.lambertw, lambda x: mp.re(mp.lambertw(x)), 0, 1e3, 4, 8,
        lambda x: mp.re(mp.exp(-mp.lambertw(x)) / (1 + mp.lambertw(x)))),
    Row("ellipk", special.ellipk, mp.ellipk, 0, 1, 8, 8, elliptic_slope),
    Row("ellipkm1", special.ellipkm1, lambda p: mp.ellipk(1 - p), 0, 1e-4, 8, 8, lambda p: -elliptic_slope(1 - p)),
    Row("ellipe", special.ellipe, mp.ellipe, 0, 1, 8, 8, lambda m: (mp.ellipe(m) - mp.ellipk(m)) / (2 * m)),
    Row("entr", special.entr, lambda x: -x * mp.log(x), 0, 10, 4, 4, lambda x: -mp.log(x) - 1, (None, lambda x: 1)),
    Row("rel_entr(x, 0.3)", lambda x: special.rel_entr(x, C), lambda x: x * mp.log(x / C), 0, 10, 4, 4,
        lambda x: mp.log(x / C) + 1, (lambda x: x, lambda x: 1)),
    Row("kl_div(x, 0.3)", lambda x: special.kl_div(x, C), lambda x: x * mp.log(x / C) - x + C, 0.29, 0.31, 8, 4,
        lambda x: mp.log(x / C)),
    Row("xlog1py(0.3, x)", lambda x: special.xlog1py(C, x), lambda x: C * mp.log1p(x), -1, 10, 4, 4, lambda x: C / (1 + x)),
    Row("boxcox(x, 0.3)", lambda x: special.boxcox(x, C), lambda x: (x**C - 1) / C, 0, 20, 8, 8, lambda x: x ** (mp.mpf(C) - 1),
        (lambda x: 1, None)),
    Row("boxcox(2.5, x)", lambda x: special.boxcox(B, x), lambda x: (B**x - 1) / x, -3, 3, 8, 8,
        lambda x: (B**x * (x * mp.log(B) - 1) + 1) / x**2),
    Row("inv_boxcox(2.5, x)", lambda x: special.inv_boxcox(B, x), lambda x: (1 + B * x) ** (1 / x), 0, 3, 16, 32,
        lambda x: (1 + B * x) ** (1 / x) * (B / (x * (1 + B * x)) - mp.log1p(B * x) / x**2)),
    Row("cosm1", special.cosm1, lambda x: mp.cos(x) - 1, 0, 3, 4, 4, lambda x: -mp.sin(x)),
    Row("pseudo_huber(0.3, x)", lambda x: special.pseudo_huber(C, x), lambda x: mp.mpf(C) ** 2 * (mp.sqrt(1 + (x / C) ** 2) - 1), 0, 20,
        8, 8, lambda x: x / mp.sqrt(1 + (x / C) ** 2)),
    Row("owens_t(x, 0.3)", lambda x: special.owens_t(x, C),
        lambda x: mp.quad(lambda t: mp.exp(-x * x * (1 + t * t) / 2) / (1 + t * t), [0, C]) / (2 * mp.pi), 0, 5, 32, 16,
        lambda x: -mp.npdf(x) * mp.erf(C * x / mp.sqrt(2)) / 2),
]  # fmt: skip


# --- which arguments ---
CALLS = {
    "multigammaln": (2.5, 2), "polygamma": (1, 1.5), "expn": (2, 1.5), "spherical_jn": (1, 1.5), "spherical_in": (1, 1.5),
    "betainc": (1.5, 2.5, 0.4), "betaincc": (1.5, 2.5, 0.4), "betaincinv": (1.5, 2.5, 0.4), "betainccinv": (1.5, 2.5, 0.4),
    "gammaincinv": (1.5, 0.4), "gammainccinv": (1.5, 0.4), "radian": (1.0, 2.0, 3.0), "zeta": (1.5, 2.5), "lambertw": (1.5,),
    "softmax": (np.ones(2),), "log_softmax": (np.ones(2),), "logsumexp": (np.ones(2), None, np.ones(2)),
}  # fmt: skip
"""Example arguments of those functions for which (1.5, 2.5, …), or 0.4 alone, will not do."""
NAMES = {
    "betainc": "a b x", "betaincc": "a b x", "betaincinv": "a b y", "betainccinv": "a b y", "gammainc": "a x", "gammaincc": "a x",
    "gammaincinv": "a y", "gammainccinv": "a y", "jv": "v x", "yv": "v x", "iv": "v x", "kv": "v x", "ive": "v x", "kve": "v x",
    "jn": "n x", "yn": "n x", "kn": "n x", "expn": "n x", "poch": "z m", "beta": "a b", "betaln": "a b", "binom": "n k",
    "rel_entr": "x y", "kl_div": "x y", "xlogy": "x y", "xlog1py": "x y", "boxcox": "x lmbda", "boxcox1p": "x lmbda",
    "inv_boxcox": "y lmbda", "inv_boxcox1p": "y lmbda", "owens_t": "h a", "huber": "delta r", "pseudo_huber": "delta r",
}  # fmt: skip


def arguments(name: str) -> tuple[list[str], list[str]]:
    """The arguments of a function of `scipy.special` by which it has a derivative, and those by which it has none."""
    f = getattr(special, name)
    parameters = [p.name for p in inspect.signature(f).parameters.values() if p.default is inspect.Parameter.empty]
    args = CALLS.get(name) or ((0.4,) if len(parameters) == 1 else (1.5, 2.5, 3.5)[: len(parameters)])
    names = NAMES[name].split() if name in NAMES else list(inspect.signature(f).parameters)[: len(args)]
    by: tuple[list[str], list[str]] = [], []
    for position, arg in enumerate(args):
        if not isinstance(arg, float | np.ndarray):
            by[1].extend([names[position]] if arg is not None else [])
            continue
        try:
            bprop.jvp(lambda x, p=position: f(*args[:p], x, *args[p + 1 :]), (arg,), (np.ones(np.shape(arg)),))
            by[0].append(names[position])
        except DerivativeError:
            by[1].append(names[position])
    return by


def page() -> str:
    """The whole page."""
    lines = [HEAD, "## scipy.special", "", "| function | derivative by | constant |", "|---|---|---|"]
    for name in sorted(special.__all__):
        if name not in ("wofz", "gammasgn", "round"):
            by, without = arguments(name)
            lines.append(f"| {name} | {', '.join(by)} | {', '.join(without)} |")
    lines += ["", "gammasgn and round are piecewise constant. wofz is complex, and refused.", "", ACCURACY]
    lines += ["| function | range | value | derivative |", "|---|---|---|---|"]
    lines += [f"| {r.name} | {r.low:g} to {r.high:g} | {r.value:g} | {r.slope:g} |" for r in ROWS]
    lines += ["", STATS, "| distribution | shapes | methods |", "|---|---|---|"]
    for name in stats.__all__:
        d = getattr(stats, name)
        methods = d.methods() if hasattr(d, "methods") else ["logpdf", "pdf"]
        shapes = ", ".join(
            getattr(d, "shapes", {"multivariate_normal": ("mean", "cov"), "dirichlet": ("alpha",)}.get(name, ()))
        )
        lines.append(f"| {name} | {shapes} | {', '.join(methods)} |")
    for title, module in (("scipy.linalg", linalg), ("scipy.signal", signal), ("scipy.integrate", integrate)):
        lines += ["", f"## {title}", "", ", ".join(sorted(module.__all__)) + "."]
    return "\n".join([*lines, "", OPTIMIZE, "", TAIL])


HEAD = """# SciPy's functions

SciPy's ufuncs differentiate as they are: `scipy.special.gamma(x)` inside `bprop.grad` finds its derivative. SciPy's other
functions are written in Python and make NumPy arrays of what they are given; for those there is `bprop.scipy`, with the same
names and arguments: `bprop.scipy.stats.norm.logpdf(x, loc, scale)`. `bprop.scipy.special` has the ufuncs, too.

A derivative by a constant argument (the order of a Bessel function, the parameter of an incomplete gamma function) is refused by
name. `python docs/special_functions.py` prints this page; `tests/scipy` holds it.
"""
ACCURACY = """### How accurate

The largest error that is allowed, in units in the last place of float64 (ULP), against mpmath; where a function oscillates or
crosses zero, of its largest term. Values are SciPy's but for erfcx, erfi, ndtr, log_ndtr, kl_div, exprel, loggamma and dawsn near
0, whose formulas are bprop's, since SciPy's lose digits. float32 is computed in float64 and rounded once.
"""
OPTIMIZE = """## scipy.optimize

The solvers run on numbers and take a function written with NumPy; its derivatives are bprop's, compiled where that is possible
(`compile=False` is eager). What is given as `jac`, `hess`, `hessp` or `fprime` is used instead.

| solver | gets |
|---|---|
| minimize | value and gradient by one evaluation; for Newton-CG, trust-ncg, trust-krylov and trust-constr Hessian-vector products, for dogleg and trust-exact the Hessian; Jacobians of constraints |
| least_squares, curve_fit | the Jacobian |
| root | the Jacobian, for hybr and lm |
| root_scalar | f', for halley f'', too, with the value by one evaluation |

Methods without derivatives get the function as it is. How many digits are reached on problems with certified answers:
[nist.md](nist.md).
"""
STATS = """## scipy.stats

Every method is differentiable in its variable, in loc and scale, and in the shapes, but for the parameters of the incomplete
gamma and beta functions in a cdf, sf or ppf: a, b, df, and n. Outside the support a log-density is -∞, a density 0, and the
derivative is 0.

At the end of the support a density has the slope from inside, and a pmf has that by a parameter of 0 or 1. logcdf and logsf go
on where the probability is too small for a number, but for the logcdf of rayleigh and weibull_min, -∞ there. In gamma, chi2,
invgamma, poisson, beta, binom, nbinom and t they are within 10⁻¹³ of mpmath's, for parameters up to 10⁴; their slopes within 10⁻¹²,
of the incomplete beta function for parameters up to 300, and within 3·10⁻¹¹ up to 10⁴, as its density.
"""
TAIL = """Options that only say how memory is used or what is checked (`overwrite_a`, `check_finite`) are left out. `lu_factor` returns the
permutation as a matrix, `cho_factor` zeros in the triangle that is not used, and `lambertw` a real number."""


if __name__ == "__main__":
    print(page())
