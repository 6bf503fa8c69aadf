"""A derivative is as accurate as its function: at most 4 units in the last place against 60 digits, over the whole range.

The law holds eager and compiled: native code has formulas of its own (`compile/native/exponential.py` and its kin).
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
    "exp_difference": lambda x, y: mpmath.exp(x - y), "sigmoid_difference": lambda x, y: 1 / (1 + mpmath.exp(y - x)),
    "density_difference": lambda x, y: mpmath.exp(-abs(x - y)) / (1 + mpmath.exp(-abs(x - y))) ** 2,
    "xlogy": lambda x, y: x * mpmath.log(y), "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "erfc": lambda x: mpmath.erfc(x) if x < 1e3 else mpmath.mpf(0),
    "gelu": lambda x: x * ORACLE["erfc"](-x / mpmath.sqrt(2)) / 2,
    "gammaln": mpmath.loggamma, "polygamma": lambda x: mpmath.polygamma(1, x),
}  # fmt: skip
# Derivatives of what mpmath takes no complex numbers for, or loses their imaginary part
SLOPE = {
    "sin": [mpmath.cos],
    "cos": [lambda x: -mpmath.sin(x)],
    "asin": [lambda x: 1 / mpmath.sqrt((1 - x) * (1 + x))],
    "acos": [lambda x: -1 / mpmath.sqrt((1 - x) * (1 + x))],
    "atan": [lambda x: 1 / (1 + x * x)],
    "gelu": [lambda x: ORACLE["erfc"](-x / mpmath.sqrt(2)) / 2 + x * mpmath.npdf(x)],
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
    ("silu", 0): lambda x: ORACLE["sigmoid"](x) * (1 + abs(x) * ORACLE["sigmoid"](-x)),
    ("gelu", 0): lambda x: ORACLE["erfc"](-x / mpmath.sqrt(2)) / 2 + abs(x) * mpmath.npdf(x),
}
PARAMS = {"polygamma": {"n": 1}}

OPS = [
    op
    for op in REGISTRY.values()
    if isinstance(op, Elementwise)
    and op.differentiable
    and op.kind != "given"
    and (op.name in ORACLE or hasattr(mpmath, op.name))
    and op.name != "abs"  # not analytic, and exact
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
