"""A derivative is as accurate as its function: at most 4 units in the last place against 60 digits, over the whole range.
A second derivative, which is made of several rules, is off by at most 8, zeros, subnormals, and infinity included.

The law holds eager and compiled: native code has formulas of its own (`compile/llvm/exponential.py` and its kin).
The oracle is mpmath's function of the op's name; its derivative there is a complex step in 60 digits, which needs no
formula. Arguments are spread over the whole exponent range, tails included, the same numbers on every run.
"""

import mpmath
import numpy as np
import pytest

import bprop
from bprop.compile import native
from bprop.core.family import Elementwise
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases

ULPS = 4
# SciPy computes them, to its accuracy: tests/scipy/test_accuracy.py
SCIPYS = {
    "beta",
    "betainc",
    "ellipe",
    "ellipk",
    "erfi",
    "gamma",
    "gammainc",
    "iv",
    "lambertw",
    "rgamma",
    "spherical_jn",
    "zeta",
}
CURVATURE_ULPS = 8
POINTS = 200
DIGITS = 60

# mpmath's spelling where it differs from the Array API's, and functions that mpmath lacks
ORACLE = {
    "pow": mpmath.power, "abs": mpmath.fabs,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)) if mpmath.re(x) < 0 else x + mpmath.log1p(mpmath.exp(-x)),
    "add": lambda x, y: x + y, "subtract": lambda x, y: x - y, "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y, "negative": lambda x: -x, "square": lambda x: x * x,
    "exp2": lambda x: mpmath.power(2, x), "log2": lambda x: mpmath.log(x, 2), "log10": lambda x: mpmath.log(x, 10),
    "cbrt": lambda x: mpmath.cbrt(x) if mpmath.re(x) > 0 else -mpmath.cbrt(-x),
    "hypot": lambda x, y: mpmath.sqrt(x * x + y * y), "logit": lambda x: mpmath.log(x / (1 - x)),
    "logaddexp": lambda x, y: max(x, y) + mpmath.log1p(mpmath.exp(-abs(x - y))),
    "exp2_difference": lambda x, y: mpmath.power(2, x - y),
    "exp_difference": lambda x, y: mpmath.exp(x - y), "sigmoid_difference": lambda x, y: 1 / (1 + mpmath.exp(y - x)),
    "density_difference": lambda x, y: mpmath.exp(-abs(x - y)) / (1 + mpmath.exp(-abs(x - y))) ** 2,
    "xlogy": lambda x, y: x * mpmath.log(y), "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "erfc": lambda x: mpmath.erfc(x) if x < 1e3 else mpmath.mpf(0),
    "gelu": lambda x: x * ORACLE["erfc"](-x / mpmath.sqrt(2)) / 2,
    "gammaln": mpmath.loggamma, "polygamma": lambda x: mpmath.polygamma(1, x),
    "sinc": mpmath.sincpi, "logaddexp2": lambda x, y: max(x, y) + mpmath.log1p(mpmath.power(2, -abs(x - y))) / mpmath.log(2),
    "tanh_shrink": lambda x: x**3 / 3 if abs(x) < mpmath.mpf(10) ** -15 else x - mpmath.tanh(x),
}  # fmt: skip


def sinc_slope(x):
    if abs(x) < mpmath.mpf(10) ** -8:
        return -(mpmath.pi**2) * x / 3 + mpmath.pi**4 * x**3 / 30
    return (mpmath.cospi(x) - mpmath.sincpi(x)) / x


def sinc_curvature(x):
    if abs(x) < mpmath.mpf(10) ** -8:
        return -(mpmath.pi**2) / 3 + mpmath.pi**4 * x**2 / 10
    return (-mpmath.pi * mpmath.sinpi(x) - 2 * sinc_slope(x)) / x


def power2(x):
    return mpmath.log(2) ** 2 * mpmath.power(2, x)


def share2(x, y):
    return 1 / (1 + mpmath.power(2, y - x))


def share2_slope(x, y):
    return mpmath.log(2) * share2(x, y) * share2(y, x)


# Derivatives of what mpmath takes no complex numbers for, or loses their imaginary part
SLOPE = {
    "sinc": [sinc_slope],
    "logaddexp2": [share2, lambda x, y: share2(y, x)],
    "sin": [mpmath.cos],
    "cos": [lambda x: -mpmath.sin(x)],
    "asin": [lambda x: 1 / mpmath.sqrt((1 - x) * (1 + x))],
    "acos": [lambda x: -1 / mpmath.sqrt((1 - x) * (1 + x))],
    "atan": [lambda x: 1 / (1 + x * x)],
    "gelu": [lambda x: ORACLE["erfc"](-x / mpmath.sqrt(2)) / 2 + x * mpmath.npdf(x)],
    "tanh_shrink": [lambda x: mpmath.tanh(x) ** 2],
    "erf": [lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x)],
    "erfc": [lambda x: -2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x)],
    "erfinv": [lambda x: mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(mpmath.erfinv(x) ** 2)],
    "gammaln": [mpmath.digamma],
    "digamma": [lambda x: mpmath.polygamma(1, x)],
    "polygamma": [lambda x: mpmath.polygamma(2, x)],
    "atan2": [lambda x, y: y / (x * x + y * y), lambda x, y: -x / (x * x + y * y)],
    "logaddexp": [lambda x, y: 1 / (1 + mpmath.exp(y - x)), lambda x, y: 1 / (1 + mpmath.exp(x - y))],
    "sigmoid_difference": [
        lambda x, y: ORACLE["density_difference"](x, y),
        lambda x, y: -ORACLE["density_difference"](x, y),
    ],
    "density_difference": [
        lambda x, y: -ORACLE["density_difference"](x, y) * mpmath.tanh((x - y) / 2),
        lambda x, y: ORACLE["density_difference"](x, y) * mpmath.tanh((x - y) / 2),
    ],
}
# Where a value or a derivative crosses zero a relative error means little: float32 computes in float64, and float64 is
# measured relative to the largest term.
TERMS = {
    ("sinc", None): lambda x: 1 / max(1, abs(x)),
    ("sinc", 0): lambda x: abs(sinc_slope(x)) if abs(x) < 1 else 1 / abs(x) + 1 / x**2,
    ("silu", 0): lambda x: ORACLE["sigmoid"](x) * (1 + abs(x) * ORACLE["sigmoid"](-x)),
    ("gelu", 0): lambda x: ORACLE["erfc"](-x / mpmath.sqrt(2)) / 2 + abs(x) * mpmath.npdf(x),
}
PARAMS = {"polygamma": {"n": 1}}


def density(x):
    return mpmath.exp(-abs(x)) / (1 + mpmath.exp(-abs(x))) ** 2


def density_slope(x, y):
    return -density(x - y) * mpmath.tanh((x - y) / 2)


# Second derivatives, of several inputs by pairs of positions
CURVATURE = {
    "sinc": sinc_curvature, "logaddexp2": [share2_slope, lambda x, y: -share2_slope(x, y), share2_slope],
    "exp": mpmath.exp, "expm1": mpmath.exp, "exp2": lambda x: mpmath.log(2) ** 2 * mpmath.power(2, x),
    "log": lambda x: -1 / x**2, "log1p": lambda x: -1 / (1 + x) ** 2,
    "log2": lambda x: -1 / (x**2 * mpmath.log(2)), "log10": lambda x: -1 / (x**2 * mpmath.log(10)),
    "erf": lambda x: -4 * x / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x),
    "erfc": lambda x: 4 * x / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x),
    "erfinv": lambda x: mpmath.pi / 2 * mpmath.erfinv(x) * mpmath.exp(2 * mpmath.erfinv(x) ** 2),
    "gammaln": lambda x: mpmath.polygamma(1, x), "digamma": lambda x: mpmath.polygamma(2, x),
    "polygamma": lambda x: mpmath.polygamma(3, x),
    "negative": lambda x: mpmath.mpf(0), "square": lambda x: mpmath.mpf(2), "sqrt": lambda x: -1 / (4 * x * mpmath.sqrt(x)),
    "cbrt": lambda x: -mpmath.mpf(2) / 9 / mpmath.cbrt(abs(x)) ** 5 * mpmath.sign(x),
    "tanh": lambda x: -2 * mpmath.tanh(x) * mpmath.sech(x) ** 2,
    "tanh_shrink": lambda x: 2 * mpmath.tanh(x) * mpmath.sech(x) ** 2,
    "sigmoid": lambda x: -density(x) * mpmath.tanh(x / 2), "softplus": density,
    "logit": lambda x: (2 * x - 1) / (x * (1 - x)) ** 2,
    "silu": lambda x: density(x) * (2 - x * mpmath.tanh(x / 2)),
    "gelu": lambda x: (2 - x * x) * mpmath.npdf(x),
    "sin": lambda x: -mpmath.sin(x), "cos": lambda x: -mpmath.cos(x), "tan": lambda x: 2 * mpmath.tan(x) * mpmath.sec(x) ** 2,
    "asin": lambda x: x / mpmath.sqrt((1 - x) * (1 + x)) ** 3, "acos": lambda x: -x / mpmath.sqrt((1 - x) * (1 + x)) ** 3,
    "atan": lambda x: -2 * x / (1 + x * x) ** 2, "sinh": mpmath.sinh, "cosh": mpmath.cosh,
    "asinh": lambda x: -x / mpmath.sqrt(1 + x * x) ** 3, "acosh": lambda x: -x / mpmath.sqrt((x - 1) * (x + 1)) ** 3,
    "atanh": lambda x: 2 * x / ((1 - x) * (1 + x)) ** 2,
    "add": [lambda x, y: 0] * 3, "subtract": [lambda x, y: 0] * 3,
    "multiply": [lambda x, y: 0, lambda x, y: 1, lambda x, y: 0],
    "divide": [lambda x, y: 0, lambda x, y: -1 / y**2, lambda x, y: 2 * x / y**3],
    "hypot": [lambda x, y: y * y / mpmath.hypot(x, y) ** 3, lambda x, y: -x * y / mpmath.hypot(x, y) ** 3,
              lambda x, y: x * x / mpmath.hypot(x, y) ** 3],
    "exp_difference": [lambda x, y: mpmath.exp(x - y), lambda x, y: -mpmath.exp(x - y), lambda x, y: mpmath.exp(x - y)],
    "exp2_difference": [lambda x, y: power2(x - y), lambda x, y: -power2(x - y), lambda x, y: power2(x - y)],
    "sigmoid_difference": [density_slope, lambda x, y: -density_slope(x, y), density_slope],
    "atan2": [lambda x, y: -2 * x * y / (x * x + y * y) ** 2, lambda x, y: (x * x - y * y) / (x * x + y * y) ** 2,
              lambda x, y: 2 * x * y / (x * x + y * y) ** 2],
}  # fmt: skip
# Crossing zero, they are measured relative to their largest term.
CURVATURE_TERMS = {
    "sinc": lambda x: mpmath.pi**2 / 3 if abs(x) < 1 else mpmath.pi / abs(x) + 2 / x**2 + 2 / abs(x) ** 3,
    "silu": lambda x: density(x) * (2 + abs(x * mpmath.tanh(x / 2))), "gelu": lambda x: (2 + x * x) * mpmath.npdf(x),
    "logit": lambda x: 1 / (x * (1 - x)) ** 2, "atan2": lambda x, y: 1 / (x * x + y * y),
}  # fmt: skip
OSCILLATING = {CURVATURE[name] for name in ("sin", "cos", "tan", "sinc")}
PAIRS = [(0, 0), (0, 1), (1, 1)]
OWN_CURVATURE = {"pow", "xlogy", "logaddexp", "density_difference"}  # asked at their guards, and with logaddexp

OPS = [
    op
    for op in REGISTRY.values()
    if isinstance(op, Elementwise)
    and op.differentiable
    and op.kind != "given"
    and (op.name in ORACLE or hasattr(mpmath, op.name))
    and op.name != "abs"  # not analytic, and exact
    and op.name not in SCIPYS
]
over = pytest.mark.parametrize(
    ("op", "dtype"), [pytest.param(op, np.dtype(d), id=f"{op.name}-{d}") for op in OPS for d in ("float32", "float64")]
)


def points(op, dtype):
    """Operands over the whole range of ``dtype`` inside the op's domain, one row per operand."""
    random = np.random.default_rng(11)
    info = np.finfo(dtype)
    rows = []
    domains = op.domain if isinstance(op.domain[0], tuple) else (op.domain,) * len(op.partials)
    for low, high in domains:
        # two thirds over all exponents (normal numbers), one third where functions live
        x = np.concatenate([
            2.0 ** random.uniform(info.minexp + 1, info.maxexp - 1, POINTS // 3) * random.choice([-1, 1], POINTS // 3),
            2.0 ** random.uniform(-info.nmant - 6, 3, POINTS // 3) * random.choice([-1, 1], POINTS // 3),
            random.uniform(-1, 1, POINTS // 3) * info.maxexp * 0.75,
        ]).astype(dtype)  # fmt: skip
        near = 2.0 ** -random.uniform(0, info.nmant + 1, x.size)  # what is outside goes close to a finite end
        if np.isfinite(low) and np.isfinite(high):
            end = (high - low) * near / 2
            other = np.where(random.random(x.size) < 0.5, low + end, high - end)
        else:
            other = low + 2 * near if np.isfinite(low) else np.full(x.size, 1.5)
        for inside in (-x, other, np.full(x.size, 1.5)):
            x = np.where((x > low) & (x < high), x, inside.astype(dtype))
        rows.append(random.permutation(x))
    return rows


def oracle(op):
    return ORACLE.get(op.name) or getattr(mpmath, op.name)


def exact(op, xs, position=None):
    """The op's value, or its derivative by the operand at ``position``, in 60 digits."""
    with mpmath.workdps(DIGITS):
        numbers = [mpmath.mpf(float(x)) for x in xs]
        if position is None:
            return oracle(op)(*numbers)
        if op.name in SLOPE:
            return SLOPE[op.name][position](*numbers)
        h = abs(numbers[position]) * mpmath.mpf(10) ** -(DIGITS // 2 + 10)  # its error is h²
        numbers[position] = mpmath.mpc(numbers[position], h)
        return mpmath.im(oracle(op)(*numbers)) / h


def ulps(actual, expected, dtype, scale=None):
    """The distance in units in the last place of ``expected`` (at least the smallest normal number's)."""
    info = np.finfo(dtype)
    if abs(expected) > float(info.max) * (1 + info.eps / 4):
        return 0.0 if np.isinf(actual) or abs(actual) == info.max else np.inf
    if not np.isfinite(actual):
        # rounded over the edge of the range
        return 0.0 if abs(expected) > float(info.max) * (1 - 4 * float(info.eps)) else np.inf
    size = max(abs(expected), scale or 0, mpmath.mpf(float(info.tiny)))
    with mpmath.workdps(DIGITS):
        unit = mpmath.mpf(2) ** (mpmath.floor(mpmath.log(size, 2)) - info.nmant)
        return float(abs(mpmath.mpf(float(actual)) - expected) / unit)


def computed(f, *rows):
    """What ``f`` gives eager and compiled."""
    yield "eager", np.asarray(f(*rows))
    (y,) = native(bprop.trace(f)(*rows))(*rows)
    yield "compiled", np.asarray(y)


def worst(op, dtype, f, rows, position):
    """The largest error, where it is, and the value there."""
    terms = TERMS.get((op.name, position)) if dtype == np.float64 else None
    scales = [terms(*(mpmath.mpf(float(x)) for x in xs)) if terms else None for xs in zip(*rows, strict=True)]
    expected = [exact(op, xs, position) for xs in zip(*rows, strict=True)]
    found = [
        (ulps(y, right, dtype, scale), how, [float(x) for x in xs], float(y))
        for how, actual in computed(f, *rows)
        for xs, y, right, scale in zip(zip(*rows, strict=True), actual, expected, scales, strict=True)
    ]
    return max(found, key=lambda one: one[0])


@over
def test_value_is_accurate(op, dtype):
    rows = points(op, dtype)
    error, how, xs, y = worst(op, dtype, lambda *xs: op(*xs, **PARAMS.get(op.name, {})), rows, None)
    assert error <= ULPS, f"{how}, {op.name}{tuple(xs)} = {y} is off by {error:.3g} ULP"


@over
def test_derivative_is_accurate(op, dtype):
    rows = points(op, dtype)
    for position in range(len(rows)):

        def slope(*xs, position=position):
            def f(x):
                return op(*(x if i == position else other for i, other in enumerate(xs)), **PARAMS.get(op.name, {}))

            return bprop.jvp(f, (xs[position],), (np.ones_like(rows[position]),))[1]

        error, how, xs, y = worst(op, dtype, slope, rows, position)
        assert error <= ULPS, f"{how}, derivative {position} of {op.name}{tuple(xs)} = {y} is off by {error:.3g} ULP"


def edges(op, dtype):
    """Zeros, subnormals, the ends of the range and infinity, in the closed domain of the op."""
    info = np.finfo(dtype)
    x = np.array([0, 1, 7, 12345], dtype) * info.smallest_subnormal
    far = [
        info.tiny,
        3 * info.tiny,
        1e-8,
        1e-5,
        1e-3,
        0.5,
        1e5,
        1e10,
        1e12,
        2e19,
        info.maxexp,
        info.max / 3,
        info.max,
        np.inf,
    ]
    x = np.concatenate([x, np.array(far, dtype)])
    x = np.concatenate([x, -x])
    low, high = op.domain
    return x[(x >= low) & (x <= high) & ~(np.signbit(x) & (low == 0))]


def limit(f, xs):
    """The number f(xs) in 60 digits; of one operand at infinity and at a pole its limit, NaN where it has none."""
    numbers = [mpmath.mpf(float(x)) for x in xs]
    if not np.isfinite(xs[0]):
        return mpmath.nan if f in OSCILLATING else f(mpmath.sign(numbers[0]) * mpmath.mpf(10) ** 1000)
    try:
        return mpmath.mpf(f(*numbers))
    except ZeroDivisionError:
        near = mpmath.mpf(10) ** -1000
        return f((-near if np.signbit(xs[0]) else near) if xs[0] == 0 else numbers[0] * (1 - near))


@over
def test_derivative_is_accurate_at_the_edges(op, dtype):
    if len(op.partials) > 1 or op.name in ("sin", "cos", "tan"):
        pytest.skip("of one input, with limits")
    x = edges(op, dtype)
    x = x[np.isfinite(x) & (x != 0)]
    slope = lambda x: bprop.jvp(lambda x: op(x, **PARAMS.get(op.name, {})), (x,), (bprop.ones(x.shape, dtype=dtype),))[
        1
    ]
    low, high = op.domain
    x = x[(x > low) & (x < high)]
    for how, actual in computed(slope, x):
        for one, y in zip(x, actual, strict=True):
            error = ulps(y, exact(op, [one], 0), dtype)
            assert error <= ULPS, f"{how}, derivative of {op.name}({one}) = {y} is off by {error:.3g} ULP"


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_negative_numbers_of_the_gamma_function_and_its_kin(dtype):
    """Subnormals, where SciPy's logarithm is infinite, and halves, where the cotangent of the reflection is 0."""
    dtype = np.dtype(dtype)
    small = np.array([-1, -7, -12345], dtype) * np.finfo(dtype).smallest_subnormal
    halves, others = np.array([-0.5, -1.5, -2.5, -10.5], dtype), np.array([-0.3, -0.8, -2.9], dtype)
    for x, f, expected in [
        (small, bprop.gammaln, lambda x: mpmath.re(mpmath.loggamma(x))),
        *((halves, lambda x, n=n: bprop.polygamma(n, x), lambda x, n=n: mpmath.polygamma(n, x)) for n in range(1, 7)),
        *((others, lambda x, n=n: bprop.polygamma(n, x), lambda x, n=n: mpmath.polygamma(n, x)) for n in (1, 2)),
    ]:
        for how, actual in computed(f, x):
            for one, y in zip(x, actual, strict=True):
                with mpmath.workdps(DIGITS):
                    assert ulps(y, expected(mpmath.mpf(float(one))), dtype) <= ULPS, f"{how}: {y} at {one}"


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_derivatives_of_lengths_and_angles_that_overflow(dtype):
    big = np.finfo(dtype).max * np.array([1, 1, -1], dtype)
    other = np.finfo(dtype).max * np.array([1, -0.5, 1], dtype)
    for op in (bprop.hypot, bprop.atan2):
        for position in (0, 1):
            for how, actual in computed(partial_of(op, position), big, other):
                for one, two, y in zip(big, other, actual, strict=True):
                    error = ulps(y, exact(REGISTRY[op.name], [one, two], position), np.dtype(dtype))
                    assert error <= ULPS, f"{how}, {op.name}({one}, {two}): {y}"


def partial_of(f, position):
    """The derivative of ``f`` by one of its operands, forward."""

    def slope(*xs):
        along = lambda x: f(*(x if place == position else other for place, other in enumerate(xs)))
        return bprop.jvp(along, (xs[position],), (bprop.ones(xs[position].shape, dtype=xs[position].dtype),))[1]

    return slope


def curvature(op, i, j):
    """∂²y/∂x_i ∂x_j, forward over forward."""

    return partial_of(partial_of(lambda *xs: op(*xs, **PARAMS.get(op.name, {})), i), j)


def test_every_second_derivative_has_an_oracle():
    assert {op.name for op in OPS} - set(CURVATURE) == OWN_CURVATURE


def curvature_rows(op, dtype):
    """Operands, with their edges if there is one: of two the corners are kinks."""
    rows = [row[::4] for row in points(op, dtype)]
    return [np.concatenate([edges(op, dtype), *rows])] if len(rows) == 1 else rows


def terms_of(op, xs, pair):
    """The size of the largest term of a second derivative that crosses zero."""
    terms = CURVATURE_TERMS.get(op.name)
    ordinary = np.all(np.isfinite(xs)) and np.any(xs) and 1 not in np.abs(xs)
    return (
        terms(*(mpmath.mpf(float(x)) for x in xs)) if terms and ordinary and (len(xs) == 1 or pair == (0, 1)) else None
    )


@over
def test_second_derivative_is_accurate(op, dtype):
    if op.name in OWN_CURVATURE:
        pytest.skip("asked where their kinks are")
    rows = curvature_rows(op, dtype)
    cases = list(zip(*rows, strict=True))
    formulas = CURVATURE[op.name]
    for pair, formula in zip(PAIRS, formulas if len(rows) > 1 else [formulas], strict=False):
        with mpmath.workdps(DIGITS):
            expected = [limit(formula, xs) for xs in cases]
            scales = [terms_of(op, xs, pair) for xs in cases]
        for how, actual in computed(curvature(op, *pair), *rows):
            for xs, y, right, scale in zip(cases, actual, expected, scales, strict=True):
                if mpmath.isnan(right):
                    assert np.isnan(y), f"{how}, {op.name}{xs}: {y}"
                    continue
                error = np.inf if np.isinf(y) and (y > 0) != (right > 0) else ulps(y, right, dtype, scale)
                text = f"{how}, derivative {pair} of {op.name}{tuple(map(float, xs))} = {y} is off by {error:.3g} ULP"
                assert error <= CURVATURE_ULPS, text


OUTSIDE = [op for op in OPS if len(op.partials) == 1 and op.domain != (-np.inf, np.inf) and op.name != "tan"]


@pytest.mark.parametrize("op", OUTSIDE, ids=lambda op: op.name)
def test_where_there_is_no_value_there_is_no_derivative(op):
    """Forward and reverse, of first and second order: a finite derivative beside a NaN would hide it."""
    params = PARAMS.get(op.name, {})
    x = np.array([-np.inf, -3.25, -2.0, -1.5, -1.0, -0.75, 0.0, 0.5, 1.0, 1.5, 2.0, 3.25, np.inf, np.nan])
    f = lambda x: op(x, **params)
    total = lambda x: bprop.sum(f(x))
    none = np.isnan(np.asarray(f(x)))
    first = lambda x: bprop.jvp(f, (x,), (np.ones(x.shape),))[1]
    second = lambda x: bprop.jvp(first, (x,), (np.ones(x.shape),))[1]
    reverse = bprop.grad(lambda x: bprop.sum(bprop.grad(total)(x)))
    for g in (first, bprop.grad(total), second, reverse):
        for how, y in computed(g, x):
            assert not np.isfinite(y[none]).any(), f"{how}, {op.name}: {y[none]} at {x[none]}"


ENDS = [
    pytest.param(op, end, end - 2.0**-12 if end == max(op.domain) else end + 2.0**-12, id=f"{op.name} at {end}")
    for op in OUTSIDE
    for end in op.domain
    if np.isfinite(end)
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("op", "end", "inside"), ENDS)
def test_at_an_end_where_the_slope_is_infinite_so_are_higher_derivatives(op, end, inside, dtype):
    """Of the sign that they have close to it. Planted: 1 / (x (1 - x)) as the slope of logit, NaN from 0 · ∞."""
    params = PARAMS.get(op.name, {})
    at_end, close = np.full(1, end, dtype), np.full(1, inside, dtype)
    next_to_it = np.array([2.0**-100, 2.0**-64, 2.0**-48] if end == 0 else [np.nextafter(at_end[0], close[0])], dtype)
    for last in (forward, reverse):
        f = lambda x: op(x, **params)
        for order in (1, 2, 3):
            f = last(f)
            sign = np.sign(np.asarray(f(close)))
            for how, y in computed(f, at_end):
                if order == 1 and np.isfinite(y).all():
                    return
                np.testing.assert_array_equal(
                    y, sign * np.inf, err_msg=f"{how}, derivative {order} of {op.name} at {end}"
                )
            np.testing.assert_array_equal(np.sign(f(next_to_it)), sign[0], err_msg=f"derivative {order} of {op.name}")


def forward(f):
    return lambda x: bprop.jvp(f, (x,), (np.ones(x.shape, x.dtype),))[1]


def reverse(f):
    return bprop.grad(lambda x: bprop.sum(f(x)))


@over
def test_float16_is_as_accurate_as_its_format(op, dtype):
    """Half precision is computed, not only accepted: a few roundings of the value."""
    if dtype == np.float64:
        pytest.skip("asked once per op")
    for args, params in list(cases(op, np.float16))[:3]:
        if all(isinstance(x, np.ndarray) for x in args):
            y = op(*args, **params)
            assert y.dtype == np.float16
            wide = op(*(x.astype(np.float64) for x in args), **params)
            np.testing.assert_allclose(np.asarray(y, float), np.asarray(wide), rtol=ULPS * np.finfo(np.float16).eps)
