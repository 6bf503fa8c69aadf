"""The formulas that native code computes itself: accurate, the same bits however the loop is compiled, and vectorised.

Oracles: NumPy and SciPy in float64 for float32; NumPy in extended precision, or mpmath, for float64.
"""

import re
from importlib import import_module

import mpmath
import numpy as np
import pytest
from scipy import special

import bprop
from bprop.compile.llvm.host import TARGETS, generate_for
from bprop.compile.llvm.instruction import FORMULAS, SINGLE
from bprop.compile.passes.inline import inline
from bprop.compile.runtime.executable import Program
from bprop.core.error import ArgumentError
from bprop.core.family import Elementwise
from bprop.core.op import REGISTRY
from bprop.ops.activation import gelu_slope, silu_slope

FLOAT, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
OPS = [op for op in REGISTRY.values() if isinstance(op, Elementwise) and op.native in FORMULAS | SINGLE]
UNARY = [op for op in OPS if len(op.partials) == 1]
POWERS = (-8.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 8.0)
LIMIT = 2.0
LIMITS = {
    ("erfc", 8): 3.0, ("ndtr", 8): 3.0, ("gelu", 8): 3.0, ("gelu_slope", 8): 3.0,
    ("ndtr", 4): 4.0, ("gelu", 4): 4.0, ("gelu_slope", 4): 4.0, ("silu", 4): 3.0, ("silu_slope", 8): 4.0,
}  # fmt: skip
"""By name and size in bytes: what is a product of several factors."""
EXTENDED = np.finfo(np.longdouble).nmant > 60
MPMATH = {
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "ndtr": lambda x: mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "gelu": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "gelu_slope": lambda x: mpmath.erfc(-x / mpmath.sqrt(2)) / 2 + x * mpmath.npdf(x),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "silu_slope": lambda x: (1 + x / (1 + mpmath.exp(x))) / (1 + mpmath.exp(-x)),
}
"""What NumPy has in no more digits than float64, by mpmath."""
DOUBLE_ORACLE = {
    "gelu": lambda x: np.maximum(x, -60) * special.ndtr(x),
    **{op.name: op.evaluate for op in (gelu_slope, REGISTRY["silu"], silu_slope)},
}


def available():
    """The targets that this processor can run."""
    for target in TARGETS:
        try:
            with generate_for(target):
                yield target
        except ArgumentError:
            continue


targets = pytest.mark.parametrize("target", list(available()))
every = pytest.mark.parametrize(
    ("op", "dtype"),
    [
        pytest.param(op, dtype, id=f"{op.name}-{dtype}")
        for op in UNARY
        for dtype in (FLOAT, DOUBLE)
        if dtype == FLOAT or op.native in FORMULAS
    ],
)


def limit(name, dtype):
    return LIMITS.get((name, dtype.itemsize), LIMIT)


def compiled(f, *xs):
    program = Program(inline(bprop.trace(f)(*map(bprop.asarray, xs))))
    y = np.empty_like(xs[0])
    program(xs, [y])
    return y


def edges(dtype):
    """Zeros, infinities, NaN, subnormals, and the neighbours of where functions change their formula or their range."""
    info = np.finfo(dtype)
    most = np.log(float(info.max))
    ends = [1, 2, 0.5, 2.0**0.5, 0.5**0.5, 0.84, 0.45, 2.0**0.5 - 1, 2.0**0.5 + 1, np.log(2) / 2, most, most + np.log(2),
            np.log(float(info.smallest_subnormal)), np.log(float(info.tiny)), info.maxexp, info.minexp - info.nmant,
            info.max, info.tiny, info.smallest_subnormal, 9.01, 19.06, 27.2, 10.05, 26.5, 1e15]  # fmt: skip
    ends = np.array(ends, dtype)
    near = np.concatenate([ends, np.nextafter(ends, dtype.type(0)), np.nextafter(ends, dtype.type(np.inf))])
    return np.concatenate([near, -near, np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)])


def numbers(dtype, count):
    """Random bits (every exponent, subnormals included), and numbers where functions live; the same on every run."""
    random = np.random.default_rng(5)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    bits = random.integers(0, 2 ** (8 * dtype.itemsize), count, dtype=unsigned).view(dtype)
    width = np.log(float(np.finfo(dtype).max)) * 1.05
    scaled = [random.uniform(-b, b, count).astype(dtype) for b in (1, 6, 30, width)]
    small = (2.0 ** random.uniform(-40, 1, count) * random.choice([-1, 1], count)).astype(dtype)
    return np.concatenate([edges(dtype), bits, *scaled, small])


def units(y, exact, dtype):
    """The distance in units in the last place; infinite where special values or their signs differ."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        same = ((y == rounded) & (np.signbit(y) == np.signbit(rounded))) | (np.isnan(y) & np.isnan(rounded))
        last = np.spacing(np.minimum(np.abs(rounded), np.finfo(dtype).max))
        finite = np.isfinite(rounded) & np.isfinite(y) & ((rounded != 0) | (y != 0))
        distance = np.abs(y.astype(exact.dtype) - exact) / last.astype(exact.dtype)
        return np.where(same, np.minimum(np.where(finite, distance, 0), 0.5), np.where(finite, distance, np.inf))


def reference(op, x):
    """The function, of numbers of more digits than ``x`` has where possible."""
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64 if x.dtype == FLOAT or op.name in MPMATH else np.longdouble)
        if op.name in DOUBLE_ORACLE:
            return DOUBLE_ORACLE[op.name](wide)
        return getattr(np if hasattr(np, op.name) else special, op.name)(wide)


def worst(op, x, y):
    distance = units(y, reference(op, x), x.dtype)
    place = int(np.argmax(distance))
    return float(distance[place]), x[place], y[place]


@targets
@every
def test_accuracy(op, dtype, target):
    if dtype == DOUBLE and (op.name in MPMATH or not EXTENDED):
        pytest.skip("NumPy has no more digits: mpmath is asked below")
    x = numbers(dtype, 4000)
    with generate_for(target):
        y = compiled(op, x)
    error, at, found = worst(op, x, y)
    assert error <= limit(op.name, dtype), f"{op.name}({at!r}) = {found!r} is off by {error:.3g} ULP"


@targets
@pytest.mark.parametrize("name", MPMATH)
def test_accuracy_against_mpmath(name, target):
    random = np.random.default_rng(6)
    x = np.concatenate([random.uniform(-6, 6, 300), random.uniform(6, 26.5, 150), 2.0 ** random.uniform(-60, 1, 100)])
    x = x if name in ("erf", "erfc") else -x * 2**0.5  # the tail of the normal distribution is on the left
    with generate_for(target):
        y = compiled(REGISTRY[name], x)
        ends = compiled(REGISTRY[name], edges(DOUBLE))
    with mpmath.workdps(40):
        for one, found in zip(x, y, strict=True):
            exact = MPMATH[name](mpmath.mpf(float(one)))
            error = abs(mpmath.mpf(float(found)) - exact) / float(np.spacing(abs(float(exact))))
            assert error <= limit(name, DOUBLE), f"{name}({one!r}) = {found!r} is off by {float(error):.3g} ULP"
    small = np.abs(edges(DOUBLE)) < 1e-300
    special_values = ~np.isfinite(edges(DOUBLE)) | small
    exact = reference(REGISTRY[name], edges(DOUBLE)[special_values])
    assert np.max(units(ends[special_values], exact, DOUBLE)) <= 1


@targets
@pytest.mark.parametrize("dtype", [FLOAT, DOUBLE], ids=str)
@pytest.mark.parametrize("exponent", POWERS)
def test_constant_powers_are_as_accurate_as_the_library(exponent, dtype, target):
    x = numbers(dtype, 3000)
    with generate_for(target):
        y = compiled(lambda x: x**exponent, x)
    with np.errstate(all="ignore"):
        distance = units(y, np.power(x.astype(np.longdouble), np.longdouble(exponent)), dtype)
    place = int(np.argmax(distance))
    assert distance[place] <= 0.51 + 0.5 * (dtype == DOUBLE and abs(exponent) > 3), (x[place], y[place])


@targets
@pytest.mark.parametrize("dtype", [FLOAT, DOUBLE], ids=str)
def test_hypot(dtype, target):
    random = np.random.default_rng(7)
    x = numbers(dtype, 3000)
    other = random.permutation(x)
    with generate_for(target):
        y = compiled(bprop.hypot, x, other)
    with np.errstate(all="ignore"):
        distance = units(y, np.hypot(x.astype(np.longdouble), other.astype(np.longdouble)), dtype)
    place = int(np.argmax(distance))
    assert distance[place] <= LIMIT, (x[place], other[place], y[place])


@targets
@every
def test_the_same_bits_whether_vectorised_or_not(op, dtype, target):
    x = numbers(dtype, 60)[:301]
    with generate_for(target):
        together = compiled(op, x)
        program = Program(inline(bprop.trace(op)(bprop.asarray(x[:1]))))
        alone = np.empty_like(x)
        for i in range(x.size):
            program([x[i : i + 1]], [alone[i : i + 1]])
    np.testing.assert_array_equal(together.view(f"i{dtype.itemsize}"), alone.view(f"i{dtype.itemsize}"))


@targets
@every
def test_the_loop_is_vector_code(op, dtype, target):
    """Arithmetic on whole vector registers, and no call of a function in sight but LLVM's own."""
    with generate_for(target) as machine:
        text = Program(inline(bprop.trace(op)(bprop.zeros(4096, dtype=dtype)))).llvm
    lanes = {machine.vector // size for size in (4, 8)}
    assert any(f"<{n} x float>" in text or f"<{n} x double>" in text for n in lanes)
    assert re.search(r"f(div|mul|add|sub) <\d+ x (float|double)>|llvm\.fma\.v", text)
    assert not re.findall(r"call (?:float|double) @(?!llvm\.)", text)


def test_a_planted_fault_is_seen(monkeypatch):
    """One coefficient off by two units of the result's last place."""
    exponential = import_module("bprop.compile.llvm.exponential")
    first, *others = exponential._EXP[24]
    monkeypatch.setitem(exponential._EXP, 24, (first * (1 + 2.0**-18), *others))
    x = numbers(FLOAT, 2000)
    assert worst(bprop.exp, x, compiled(bprop.exp, x))[0] > LIMIT


@pytest.mark.exhaustive
@targets
@pytest.mark.parametrize("op", UNARY, ids=lambda op: op.name)
def test_every_float32(op, target):
    step = 1 << 20
    with generate_for(target):
        program = Program(inline(bprop.trace(op)(bprop.zeros(step, dtype=FLOAT))))
    y = np.empty(step, FLOAT)
    for first in range(0, 1 << 32, step):
        x = np.arange(first, first + step, dtype=np.uint32).view(FLOAT)
        program([x], [y])
        error, at, found = worst(op, x, y)
        assert error <= limit(op.name, FLOAT), f"{op.name}({at!r}) = {found!r} is off by {error:.3g} ULP"
