"""logsumexp, softmax and the losses on it: accuracy against mpmath, at infinities and ties, along every axis, for one class.

What is measured, and the table in docs/numerics.md, is docs/numerics.py.
"""

import importlib.util
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop import nn

PAGE = Path(__file__).parents[2] / "docs" / "numerics.md"
spec = importlib.util.spec_from_file_location("numerics", PAGE.with_suffix(".py"))
numerics = importlib.util.module_from_spec(spec)
spec.loader.exec_module(numerics)

ULPS = 4
inf, nan = np.inf, np.nan
both = pytest.mark.parametrize("run", [lambda f: f, bprop.compile], ids=["eager", "compiled"])
either = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def accurate(name, dtype, how, offsets, gaps):
    for order, error in numerics.errors(name, dtype, how, offsets, gaps):
        assert error <= ULPS, f"{how} {name}, derivative {order}: {error:.1f} ULP"


@pytest.mark.parametrize("how", ["eager", "compiled"])
@either
@pytest.mark.parametrize("name", numerics.FUNCTIONS)
def test_value_and_two_derivatives_are_accurate(name, dtype, how):
    accurate(name, dtype, how, (0.0, 97.1, 1e30), (0.0, 1e-8, 0.3, 10.0, 40.0, 333.3))


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", ["eager", "compiled"])
@either
@pytest.mark.parametrize("name", numerics.FUNCTIONS)
def test_value_and_two_derivatives_are_accurate_everywhere(name, dtype, how):
    accurate(name, dtype, how, numerics.OFFSETS, numerics.GAPS)


def test_the_page_shows_the_table_of_these_functions():
    rows = [line.split("|")[1].strip() for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert rows == ["function", *numerics.FUNCTIONS]


# --- the same law for the modules, by their relation to each other ---
SHAPES = [((5,), -1), ((3, 4), 0), ((2, 3, 4), 1), ((2, 3, 4), (0, 2)), ((3, 1), -1)]


@both
@either
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_along_every_axis(shape, axis, dtype, run):
    x = (np.random.default_rng(3).normal(size=shape) * 5 + 1e6).astype(dtype)
    axes = axis if isinstance(axis, tuple) else (axis,)
    z = x.astype(np.longdouble)
    z = z - z.max(axis=axes, keepdims=True)
    p = (np.exp(z) / np.exp(z).sum(axis=axes, keepdims=True)).astype(float)
    rtol = 8 * np.finfo(dtype).eps
    assert_allclose(run(lambda x: bprop.softmax(x, axis=axis))(x), p, rtol=rtol)
    assert_allclose(run(lambda x: bprop.log_softmax(x, axis=axis))(x), np.log(p), rtol=rtol, atol=rtol)
    assert_allclose(run(bprop.grad(lambda x: bprop.sum(bprop.logsumexp(x, axis=axis))))(x), p, rtol=rtol)
    if isinstance(axis, int):
        for module in (nn.Softmax(axis), nn.LogSoftmax(axis), nn.Softmin(axis)):
            y_bar = np.random.default_rng(4).normal(size=shape).astype(dtype)
            plain = {nn.Softmax: bprop.softmax, nn.LogSoftmax: bprop.log_softmax}.get(
                type(module), lambda x, axis: bprop.softmax(-bprop.asarray(x), axis=axis)
            )
            expected = bprop.vjp(lambda x, f=plain: f(x, axis=axis), x)[1](y_bar)[0]  # the op's own rule
            module.fprop(x)
            scale = float(np.abs(np.asarray(expected)).max())
            assert_allclose(module.bprop(y_bar), expected, rtol=rtol, atol=rtol * scale)


@both
def test_under_vmap(run):
    x = np.random.default_rng(3).normal(size=(4, 3, 2)) * 9
    for f in (bprop.softmax, bprop.log_softmax, lambda x: bprop.softmax(x, axis=0), bprop.grad(bprop.logsumexp)):
        assert_allclose(run(bprop.vmap(f))(x), np.stack([np.asarray(f(row)) for row in x]), rtol=1e-14)
    assert_allclose(
        run(bprop.vmap(bprop.softmax, 1, 1))(x), np.stack([np.asarray(bprop.softmax(x[:, i])) for i in range(3)], 1)
    )


def test_paths_along_another_axis_stay_in_their_column():
    x = bprop.asarray(np.arange(6.0).reshape(2, 3))
    for f in (
        lambda x: bprop.sum(bprop.softmax(x, axis=0)[0]),
        lambda x: bprop.sum(bprop.log_softmax(x, axis=0)[0, :1]),
    ):
        paths, reverse = (bprop.derivative(f, method=method)(x) for method in ("paths", "reverse"))
        assert_allclose(paths, reverse, rtol=1e-14, atol=1e-16)


# --- infinities and ties ---
INFINITE = [
    # x, softmax, log softmax, gradient of logsumexp
    ([inf, 0.0], [1, 0], [0, -inf], [1, 0]),
    ([inf, inf, -inf], [0.5, 0.5, 0], [-np.log(2), -np.log(2), -inf], [0.5, 0.5, 0]),
    ([-inf, 3.0], [0, 1], [-inf, 0], [0, 1]),
    ([-inf, -inf], [nan, nan], [nan, nan], [0.5, 0.5]),
    ([nan, 0.0], [nan, nan], [nan, nan], [nan, nan]),
    ([7e8], [1], [0], [1]),
    ([2.0, 2.0, 2.0, 2.0], [0.25] * 4, [-np.log(4)] * 4, [0.25] * 4),
]


@both
@either
@pytest.mark.parametrize(("x", "p", "logarithm", "gradient"), INFINITE)
def test_infinities_ties_and_one_class(x, p, logarithm, gradient, dtype, run):
    x = np.array(x, dtype)
    tolerance = {"rtol": np.finfo(dtype).eps}
    assert_allclose(run(bprop.softmax)(x), p, **tolerance)
    assert_allclose(run(bprop.log_softmax)(x), logarithm, **tolerance)
    assert_allclose(run(bprop.grad(bprop.logsumexp))(x), gradient, **tolerance)


@both
@either
def test_logaddexp_of_equal_infinities_has_the_derivatives_of_logsumexp(dtype, run):
    f = lambda pair: bprop.logaddexp(pair[0], pair[1])
    functions = [(run(d(f)), run(d(bprop.logsumexp))) for d in (lambda f: f, bprop.grad, bprop.hessian)]
    for x in (inf, -inf, 3.0):
        pair = np.array([x, x], dtype)
        for one, other in functions:
            assert_array_equal(one(pair), other(pair))
        assert_array_equal(functions[2][0](pair), [[0.25, -0.25], [-0.25, 0.25]])


def test_ruled_out_classes_of_a_loss():
    y = np.array([[-inf, 2.0, -inf]])
    for t, E, y_bar in (([1], 0, [[0, 0, 0]]), ([0], inf, None)):
        loss = nn.CrossEntropy()
        assert loss.fprop(y, t).item() == E
        if y_bar is not None:
            assert_array_equal(loss.bprop(), y_bar)


# --- losses: every way to the derivative agrees, also where a class dominates ---
OPTIONS = [{}, {"label_smoothing": 0.1}, {"weight": (0.5, 1.0, 2.0)}, {"ignore_index": 1}]


@both
@either
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("soft", [False, True], ids=["labels", "probabilities"])
def test_cross_entropy_with_options_keeps_the_digits(soft, options, dtype, run):
    if soft and "ignore_index" in options:
        pytest.skip("for labels only")
    y = np.array([[1000.0, 990.0, 980.0], [30.0, -30.0, 0.0], [1.0, 2.0, 3.0], [-5e3, -5e3, -5.02e3]], dtype)
    labels = np.array([0, 0, 2, 1])
    t = np.eye(3, dtype=dtype)[labels] if soft else labels
    loss = nn.CrossEntropy("none", **options)
    E, y_bar = run(loss)(y, t), run(bprop.grad(lambda y: bprop.sum(loss(y, t))))(y)
    z = y.astype(np.longdouble) - y.max(axis=1, keepdims=True).astype(np.longdouble)
    rest = np.sort(np.exp(z), axis=1)[:, :-1].sum(axis=1, keepdims=True)
    logarithm = z - np.log1p(rest)
    q = np.eye(3)[labels].astype(np.longdouble)
    epsilon = options.get("label_smoothing", 0)
    a = np.array(options.get("weight", (1, 1, 1))) * ((1 - epsilon) * q + epsilon / 3)
    a[labels == options.get("ignore_index", -1)] = 0
    p = np.exp(logarithm)
    others = p.sum(axis=1, keepdims=True) - p
    others = np.where(p > 0.5, rest / (1 + rest), others)
    expected = -a * others + p * (a.sum(axis=1, keepdims=True) - a)  # p Σ a - a without cancellation
    rtol = 8 * np.finfo(dtype).eps
    assert_allclose(E, -np.sum(np.where(a == 0, 0, a * logarithm), axis=1).astype(float), rtol=rtol)
    assert_allclose(y_bar, expected.astype(float), rtol=rtol, atol=np.finfo(dtype).tiny)


@either
@pytest.mark.parametrize("loss", [nn.CrossEntropy(), nn.CrossEntropy(label_smoothing=0.2)], ids=["plain", "smoothed"])
def test_handwritten_and_derived_derivatives_agree_where_a_class_dominates(loss, dtype):
    """Forward mode differentiates fprop, reverse mode is the handwritten bprop."""
    y, t = np.array([[40.0, 0.0], [0.0, 40.0], [-3.0, 2.0]], dtype), np.array([0, 0, 1])
    f = lambda y: loss(y, t)
    reverse = np.asarray(bprop.grad(f)(y))
    for i, j in product(range(3), range(2)):
        direction = np.zeros_like(y)
        direction[i, j] = 1
        slope = bprop.jvp(f, (y,), (direction,))[1].item()
        assert_allclose(slope, reverse[i, j], rtol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_mixed_second_derivatives_of_losses_by_output_and_target(t):
    """d²E/dy dt is -1, also at targets of 0 and 1, in both orders and modes."""
    binary = lambda y, t: nn.BinaryCrossEntropy()(y, t)
    several = lambda y, t: nn.CrossEntropy()(bprop.stack([y, 0.0 * y])[None], bprop.stack([t, 1 - t])[None])
    for f in (binary, several):
        for outer, inner in ((bprop.grad, bprop.grad), (bprop.jacobian, bprop.grad)):
            y, t = bprop.asarray(0.7), bprop.asarray(t)
            assert_allclose(outer(lambda t: inner(f, 0)(y, t))(t), -1, rtol=1e-14)  # noqa: B023
            assert_allclose(outer(lambda y: inner(f, 1)(y, t))(y), -1, rtol=1e-14)  # noqa: B023


@either
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("place", [0, 1])
def test_handwritten_modules_keep_the_digits_of_a_dominant_class(place, axis, dtype):
    x, y_bar = np.array([[40.0, 0.0]], dtype), np.eye(2, dtype=dtype)[[place]]
    p, q = float(np.exp(-40.0)), 1.0
    softmax = np.array([[p, -p]]) if place == 0 else np.array([[-p, p]])
    logarithm = np.array([[p, -p]]) if place == 0 else np.array([[-q, q]])
    for module, expected in ((nn.Softmax(axis), softmax), (nn.LogSoftmax(axis), logarithm)):
        turned = (lambda a: a.T) if axis == 0 else (lambda a: a)
        module.fprop(turned(x))
        assert_allclose(module.bprop(turned(y_bar)), turned(expected), rtol=8 * np.finfo(dtype).eps)
