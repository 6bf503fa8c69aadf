"""Every handwritten ``bprop``, by being in bprop.nn: each input, option and axis, on large, tiny and infinite numbers.

The oracle is the formula of each class once more, in mpmath, and its difference quotient in 600 digits.
"""

import functools
import inspect
import itertools
import zlib

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import bprop
from bprop import nn
from bprop.nn.normalisation import Normalisation

HANDWRITTEN = {
    kind
    for kind in vars(nn).values()
    if inspect.isclass(kind) and issubclass(kind, nn.Module) and kind._rule is not None and not kind.composes
    # The slopes of normalisations are differences of means: test_normalisation.py bounds them as such. Ids have no slope.
    # Those of convolutions are sums over windows: test_convolution.py has a grid of settings, as large as PyTorch's numbers.
    if not issubclass(kind, Normalisation | nn.Embedding | nn.Conv1d | nn.Conv2d | nn.MultiHeadAttention)
}
DIGITS, STEP = 600, mpf(10) ** -150
INFINITE = mpf(10) ** 310
"""What stands for infinity: beyond all floats."""


# --- the formulas: a list of one result per entry, example or loss; arrays are of mpf ---
def entrywise(f):
    f = functools.cache(f)
    return lambda module, x: [f(module, v) for v in x.flat]


def along(axis, f, x):
    """Apply a function of a list to every line of x along an axis."""
    moved = np.moveaxis(x, axis, -1)
    lines = [f(tuple(line)) for line in moved.reshape(-1, moved.shape[-1])]
    y = np.empty(len(lines) * moved.shape[-1], object)
    y[:] = [v for line in lines for v in line]
    return list(np.moveaxis(y.reshape(moved.shape), -1, axis).flat)


@functools.cache
def softmax(xs):
    largest = max(xs)
    e = [mpmath.exp(x - largest) for x in xs]
    total = sum(e)
    return [v / total for v in e]


@functools.cache
def log_softmax(xs):
    largest = max(xs)
    total = mpmath.log(sum(mpmath.exp(x - largest) for x in xs))
    return [x - largest - total for x in xs]


def linear(module, x, W, b=None):
    rows = x.reshape(-1, x.shape[-1])
    return [
        sum(v * w for v, w in zip(row, weights, strict=True)) + (0 if b is None else b[j])
        for row in rows
        for j, weights in enumerate(W)
    ]


def reduced(loss, errors, total):
    return errors if loss.reduction == "none" else [sum(errors) / (total if loss.reduction == "mean" else 1)]


def by_entry(f):
    f = functools.cache(f)
    return lambda loss, y, t: reduced(loss, [f(v, u) for v, u in zip(y.flat, t.flat, strict=True)], y.size)


def squared_error(loss, y, t):
    count = y.shape[0] if y.ndim else 1
    return reduced(loss, [sum(e * e for e in row) / 2 for row in np.asarray(y - t, object).reshape(count, -1)], count)


def cross_entropy(loss, y, t):
    y, t = (np.moveaxis(x, loss.axis, -1) if x.ndim == y.ndim else x for x in (y, t))
    classes = y.shape[-1]
    weight = loss.weight or (1,) * classes
    rows, labelled = y.reshape(-1, classes), t.shape != y.shape
    errors, total = [], mpf(0)
    for row, target in zip(rows, t.reshape(-1) if labelled else t.reshape(-1, classes), strict=True):
        if labelled and target == loss.ignore_index:
            errors.append(mpf(0))
            continue
        total += weight[int(target)] if labelled else 1
        smooth = mpf(loss.label_smoothing)
        q = [
            (1 - smooth) * (mpf(int(c == target)) if labelled else target[c]) + smooth / classes for c in range(classes)
        ]
        errors.append(-sum(w * p * z for w, p, z in zip(weight, q, log_softmax(tuple(row)), strict=True)))
    return reduced(loss, errors, total)


FORMULAS = {
    nn.Sigmoid: entrywise(lambda module, x: 1 / (1 + mpmath.exp(-x))),
    nn.Tanh: entrywise(lambda module, x: mpmath.tanh(x)),
    nn.HardTanh: entrywise(lambda module, x: min(max(x, mpf(module.low)), mpf(module.high))),
    nn.TanhShrink: entrywise(lambda module, x: x - mpmath.tanh(x)),
    nn.Softsign: entrywise(lambda module, x: x / (1 + abs(x))),
    nn.Softmax: lambda module, x: along(module.axis, softmax, x),
    nn.Softmin: lambda module, x: along(module.axis, softmax, -x),
    nn.LogSoftmax: lambda module, x: along(module.axis, log_softmax, x),
    nn.Linear: linear,
    nn.SquaredError: squared_error,
    nn.LogCosh: by_entry(lambda y, t: mpmath.log(mpmath.cosh(y - t)) if abs(y - t) < 1e6 else abs(y - t)),
    nn.BinaryCrossEntropy: by_entry(
        lambda y, t: max(y, 0) + mpmath.log(1 + mpmath.exp(-abs(y))) - t * y  # 0 where t = 1 and y is infinite
    ),
    nn.CrossEntropy: cross_entropy,
}

DIFFERENCES = {nn.Softmax, nn.Softmin, nn.LogSoftmax, nn.BinaryCrossEntropy, nn.CrossEntropy}
"""Those whose slope is a difference of rounded numbers, such as softmax(y) - t, and up to 1/8 of them here."""

# --- the inputs ---
ENTRIES = [0.0, 1e-37, 1e-20, 1e-9, 1e-4, 0.3, 0.999, 1.001, 2.5, 9.0, 17.0, 40.0, 88.0, 300.0, 1e4, 2e19, 1e25, 1e38]
SPREAD = np.array([*ENTRIES, *(-x for x in ENTRIES), np.inf, -np.inf], np.float32)
CUBES = {
    "common": np.sin(3 + 5 * np.arange(12.0)).reshape(2, 2, 3),
    "tiny": 1e-30 * np.sin(3 + 5 * np.arange(12.0)).reshape(2, 2, 3),
    "one dominates": np.array([40.0, 0.5, -7, 0, 90, 3, -60, 1, 2, 0, 0, -30]).reshape(2, 2, 3),
    "large": np.array([1e4, 9e3, -1e4, 0, 1e30, 3, -1e30, 1, 2e7, 2e7, 1e20, -1e20]).reshape(2, 2, 3),
}
LABELS = np.array([[0, 2], [1, 1]])
PROBABILITIES = np.array([0.25, 0.5, 0.25, 0, 1, 0, 0.125, 0.75, 0.125, 1, 0, 0]).reshape(2, 2, 3)
REDUCTIONS = [{"reduction": name} for name in ("mean", "sum", "none")]


def shaped(x):
    """A cube, a matrix, a vector and a number out of one cube."""
    return [x, x[0], x[0, 0], x[0, 0, 0]]


def cases():
    """Yield class, options and inputs."""
    for kind in (nn.Sigmoid, nn.Tanh, nn.TanhShrink, nn.Softsign):
        yield kind, {}, (SPREAD,)
    for low, high in ((-1.0, 1.0), (-1.0, 2.0), (-2.0, 1.0), (0.25, 30.0)):
        yield nn.HardTanh, {"low": low, "high": high}, (SPREAD,)
    for kind, (name, x) in itertools.product((nn.Softmax, nn.Softmin, nn.LogSoftmax), CUBES.items()):
        for axis in (-1, -3, 1) if name == "one dominates" else (2, -2, 0):
            yield kind, {"axis": axis}, (x,)
    for x, bias in itertools.product(CUBES.values(), (True, False)):
        yield nn.Linear, {"bias": bias}, (x if bias else x[0, 0],)
    for (number, x), options in itertools.product(enumerate(CUBES.values()), REDUCTIONS):
        for y in (
            shaped(x)[number % 2 :: 2] if options["reduction"] != "none" or number % 2 == 0 else shaped(x)[1::1][:2]
        ):
            yield nn.SquaredError, options, (y, np.cos(y))
            yield nn.LogCosh, options, (y, 0.9 * y)
    far = SPREAD[np.abs(SPREAD) != 0]
    yield nn.LogCosh, {"reduction": "sum"}, (far, np.zeros_like(far))
    for (number, t), options in itertools.product(enumerate((0.0, 1.0, 0.25)), REDUCTIONS):
        y = (SPREAD if t == 0.25 else far)[number::2]
        yield nn.BinaryCrossEntropy, options, (y, np.full_like(y, t))
    yield nn.BinaryCrossEntropy, {}, (np.array(0.5), np.array(0.25))
    grids = itertools.product((None, [1.0, 2.0, 0.5]), (None, 1), (0.0, 0.125))
    for number, (weight, ignored, smooth) in enumerate(grids):
        options = {"weight": weight, "ignore_index": ignored, "label_smoothing": smooth}
        for n, x in enumerate(CUBES.values()):
            reduction = REDUCTIONS[(number + n) % 3]
            labels = n % 2 == number // 2 % 2 or (weight, ignored, smooth) == (None, None, 0)
            y = (x, x[0], x[0, 0])[(number + n) % 3 if not labels or ignored is None else 0]
            t = (LABELS if labels else PROBABILITIES)[(0,) * (3 - y.ndim)]
            yield nn.CrossEntropy, {**options, **reduction}, (y, t)
            if y.ndim == 3 and n == 0:
                moved = [np.moveaxis(x, -1, 1) if x.ndim == 3 else x for x in (y, t)]
                yield nn.CrossEntropy, {**options, **reduction, "axis": 1}, tuple(moved)


CASES = [(kind, options, inputs) for kind, options, inputs in cases()]


def label(case):
    kind, options, inputs = case
    told = ", ".join(f"{name}={value}" for name, value in options.items() if value is not None)
    return f"{kind.__name__}({told}) of {' '.join(str(x.shape) for x in inputs)}"


def test_every_handwritten_rule_and_option_has_a_case():
    assert {kind for kind, *_ in CASES} == set(FORMULAS) == HANDWRITTEN
    for kind in HANDWRITTEN:
        for name, parameter in inspect.signature(kind).parameters.items():
            if name in ("inputs", "outputs", "dtype", "generator", "seed", "init"):
                continue  # sizes, and what sets the first parameters
            values = {str(options.get(name, parameter.default)) for other, options, _ in CASES if other is kind}
            assert len(values) > 1, f"{kind.__name__}: all cases have the same {name}"
            assert not isinstance(parameter.default, bool) or values == {"True", "False"}


def exact(x):
    """Return an array of mpf."""
    y = np.empty(x.shape, object)
    y.reshape(-1)[:] = [np.sign(v) * INFINITE if np.isinf(v) else mpf(float(v)) for v in x.flat]
    return y


def slopes(formula, module, inputs, y_bar):
    """Return the derivative of Σ y_bar · y by every entry of every floating input."""
    y_bar = [mpf(float(v)) for v in y_bar.flat]

    def total(*xs):
        return sum(bar * y for bar, y in zip(y_bar, formula(module, *xs), strict=True))

    xs = [exact(x) if x.dtype.kind == "f" else x for x in inputs]
    for place, x in enumerate(xs):
        if x.dtype != object:
            continue
        slope = np.empty(x.shape)
        for index in np.ndindex(x.shape):
            ends = []
            for step in (STEP, -STEP):
                moved = x.copy()
                moved[index] = x[index] + step
                ends.append(total(*xs[:place], moved, *xs[place + 1 :]))
            slope[index] = float((ends[0] - ends[1]) / (2 * STEP))
        yield slope


@pytest.mark.parametrize("case", CASES, ids=[f"{number} {label(case)}" for number, case in enumerate(CASES)])
def test_rule_is_the_slope_of_the_formula(case):
    kind, options, inputs = case
    rng = np.random.default_rng(zlib.crc32(label(case).encode()))
    inputs = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in inputs]
    for dtype in (np.float32, np.float64):
        sizes = (inputs[0].shape[-1], 2, dtype) if kind is nn.Linear else ()
        module = kind(*sizes, **({"seed": 1} if sizes else {}), **options)
        xs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]
        y = module.fprop(*xs)
        if dtype == np.float32:
            y_bar = rng.uniform(0.5, 2, y.shape).astype(np.float32) * rng.choice([-1, 1, 1e3], y.shape)
            y_bar = np.asarray(y_bar, np.float32)
            parameters = [np.asarray(value) for value in module.parameters().values()]
            with mpmath.workdps(DIGITS):
                expected = list(slopes(FORMULAS[kind], module, [*inputs, *parameters], y_bar))
        else:
            module.load_state_dict(
                {name: p.astype(dtype) for name, p in zip(module.parameters(), parameters, strict=True)}
            )
            module.fprop(*xs)
        x_bars = module.bprop(y_bar.astype(dtype))
        layerwise = [*(x_bars if isinstance(x_bars, tuple) else (x_bars,)), *module.gradients().values()]
        floating = [i for i, x in enumerate(xs) if x.dtype.kind == "f"]

        def outputs(m, *given, xs=xs, floating=floating):
            every = dict(zip(floating, given, strict=True))
            return m(*(every.get(i, x) for i, x in enumerate(xs)))

        _, pull = bprop.vjp(lambda m, *given, f=outputs: f(m, *given), module, *(xs[i] for i in floating))
        bars, *found = pull(y_bar.astype(dtype))
        found += bars.values()
        for one, other in zip(found, layerwise, strict=not isinstance(module, nn.Loss)):
            assert other.dtype == dtype
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        limits = np.finfo(dtype)
        rounding = 64 if kind in DIFFERENCES else 8
        for one, truth in zip(found, expected, strict=True):
            with np.errstate(over="ignore"):
                truth = truth.astype(dtype)
            assert one.dtype == dtype
            np.testing.assert_allclose(
                np.asarray(one),
                truth,
                rtol=rounding * limits.eps,
                atol=8 * float(limits.smallest_subnormal) * max(1, np.max(np.abs(y_bar))),
            )
