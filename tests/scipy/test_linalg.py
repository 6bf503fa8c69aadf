"""Linear algebra, filters and integrals by SciPy's names: values are SciPy's, derivatives numerical, eager and compiled."""

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.signal
from numpy.testing import assert_allclose

import bprop
from bprop.core.error import ArgumentError, BpropError, ShapeError

R = np.random.default_rng(0)
A, Q, B, V = R.normal(size=(4, 4)) + 4 * np.eye(4), R.normal(size=(4, 4)), R.normal(size=(4, 2)), R.normal(size=4)
P, T = A @ A.T, np.vstack([A, B.T])
BANDS = R.normal(size=(4, 5)) + 5 * np.eye(4)[1][:, None]
C, ROW = np.array([4.0, 1.0, 0.5, 0.2]), np.array([4.0, 0.3, 0.2, 0.1])
NUMERATOR, DENOMINATOR = np.array([0.5, 0.2, 0.1]), np.array([1.5, -0.4, 0.2, 0.1])
Y, S = R.normal(size=(3, 8)), np.cumsum(R.uniform(0.5, 1.5, 8))


def linalg(name, *args, **options):
    label = " ".join([name, *(f"{key}={value}" for key, value in options.items())])
    return pytest.param("linalg", lambda m, *xs: getattr(m, name)(*xs, **options), args, id=label)


def other(module, label, f, *args):
    return pytest.param(module, f, args, id=label)


CASES = [
    linalg("expm", A / 3), linalg("logm", P / 4), linalg("sqrtm", P / 4),
    linalg("solve_sylvester", A, P, Q), linalg("solve_continuous_lyapunov", A, Q), linalg("solve_discrete_lyapunov", A / 10, Q),
    linalg("lu", Q), linalg("lu", Q, permute_l=True),
    *(other("linalg", f"lu_solve {trans}", lambda m, a, b, t=trans: m.lu_solve(m.lu_factor(a), b, trans=t), A, B) for trans in (0, 1)),
    *(linalg("solve", P, B, assume_a=kind, lower=lower) for kind in ("sym", "pos") for lower in (False, True)),
    *(linalg("solve", A, V, assume_a=kind) for kind in (None, "gen", "upper triangular", "lower triangular")),
    linalg("solve", A, B, transposed=True),
    linalg("solve_triangular", A, V, trans="T", lower=True), linalg("solve_triangular", A, B, unit_diagonal=True),
    linalg("cholesky", P), linalg("cholesky", P, lower=True),
    *(other("linalg", f"cho_solve {lower}", lambda m, a, b, low=lower: m.cho_solve(m.cho_factor(a, lower=low), b), P, B)
      for lower in (False, True)),
    other("linalg", "solve_banded", lambda m, ab, b: m.solve_banded((2, 1), ab, b), BANDS, R.normal(size=(5, 2))),
    other("linalg", "solve_banded vector", lambda m, ab, b: m.solve_banded((1, 2), ab, b), BANDS[::-1].copy(), R.normal(size=5)),
    other("linalg", "solve_toeplitz", lambda m, c, r, b: m.solve_toeplitz((c, r), b), C, ROW, V),
    linalg("toeplitz", C, ROW), linalg("toeplitz", C), linalg("hankel", C, ROW), linalg("hankel", C), linalg("circulant", C),
    linalg("block_diag", A, B, V),
    linalg("eigvalsh", P), linalg("eigvalsh", Q + Q.T, P), linalg("svdvals", A),
    other("linalg", "eigh", lambda m, a, b: abs(m.eigh(a, b)[1]), Q + Q.T, P),
    other("linalg", "polar", lambda m, a: tuple(m.polar(a)), A), other("linalg", "polar left", lambda m, a: tuple(m.polar(a, side="left")), A),
    linalg("qr", A), linalg("qr", T, mode="economic"), other("linalg", "lstsq", lambda m, a, b: m.lstsq(a, b)[0], T, np.ones(6)),
    linalg("det", A), linalg("inv", A), linalg("pinv", T), linalg("norm", A),
    *(other("signal", f"{f} {n} {k} {mode}", lambda m, a, b, f=f, mode=mode: getattr(m, f)(a, b, mode, method="direct"), R.normal(size=n), R.normal(size=k))
      for f in ("convolve", "correlate") for n, k in ((7, 3), (3, 7)) for mode in ("full", "same", "valid")),
    *(other("signal", f"{f} of planes {mode}", lambda m, a, b, f=f, mode=mode: getattr(m, f)(a, b, mode, method="direct"),
            R.normal(size=(5, 4)), R.normal(size=(2, 3))) for f in ("convolve", "correlate") for mode in ("full", "same", "valid")),
    other("signal", "lfilter", lambda m, b, a, x: m.lfilter(b, a, x), NUMERATOR, DENOMINATOR, R.normal(size=9)),
    other("signal", "lfilter, axis", lambda m, b, a, x: m.lfilter(b, a, x, axis=0), NUMERATOR, DENOMINATOR, R.normal(size=(6, 2))),
    other("signal", "lfilter, no recursion", lambda m, b, a, x: m.lfilter(b, a, x), NUMERATOR, np.array([2.0]), R.normal(size=9)),
    other("signal", "lfilter, state", lambda m, b, a, x, zi: m.lfilter(b, a, x, zi=zi), NUMERATOR, DENOMINATOR, Y, R.normal(size=(3, 3))),
    other("signal", "lfilter, short", lambda m, b, a, x, zi: m.lfilter(b, a, x, zi=zi), NUMERATOR, DENOMINATOR, Y[0, :2], R.normal(size=3)),
    *(other("integrate", f"simpson {n}", lambda m, y, x: m.simpson(y, x), Y[:, :n], S[:n]) for n in (2, 3, 4, 7, 8)),
    other("integrate", "simpson, axis", lambda m, y: m.simpson(y, dx=0.3, axis=0), Y),
    other("integrate", "trapezoid", lambda m, y, x: m.trapezoid(y, x), Y, S),
    other("integrate", "trapezoid, axis", lambda m, y, x: m.trapezoid(y, x, axis=0), Y, S[:3]),
    other("integrate", "cumulative_trapezoid", lambda m, y, x: m.cumulative_trapezoid(y, x, initial=0), Y, S),
    other("integrate", "cumulative_trapezoid, axis", lambda m, y: m.cumulative_trapezoid(y, dx=0.3, axis=0), Y),
]  # fmt: skip


def parts(y):
    return y if isinstance(y, tuple) else (y,)


def weighted(module, f, args):
    """A number made of all outputs: a function of SciPy's module or of bprop's, and a direction for each argument."""
    random = np.random.default_rng(1)
    weights = [random.normal(size=np.shape(y)) for y in parts(f(getattr(scipy, module), *args))]
    directions = [random.normal(size=np.shape(x)) for x in args]
    total = lambda m, *xs: sum(np.sum(w * y) for w, y in zip(weights, parts(f(m, *xs)), strict=True))
    return total, directions


@pytest.mark.parametrize(("module", "f", "args"), CASES)
def test_value_and_derivative(module, f, args, numerical):
    ours, theirs = getattr(bprop.scipy, module), getattr(scipy, module)
    for y, expected in zip(parts(f(ours, *args)), parts(f(theirs, *args)), strict=True):
        assert_allclose(np.asarray(y), expected, rtol=1e-11, atol=1e-12)
    total, directions = weighted(module, f, args)
    slope = numerical(
        lambda t: [np.asarray(total(theirs, *(x + t * d for x, d in zip(args, directions, strict=True))))]
    )[0]
    energy = lambda *xs: total(ours, *xs)
    gradient = bprop.grad(energy, tuple(range(len(args))))(*args)
    sides = sum(np.sum(np.asarray(g) * d) for g, d in zip(gradient, directions, strict=True))
    assert_allclose(sides, slope, rtol=1e-6, atol=1e-7)
    assert_allclose(float(bprop.jvp(energy, args, tuple(directions))[1]), slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("module", "f", "args"), CASES[::3])
def test_compiled_derivative(module, f, args):
    total, _ = weighted(module, f, args)
    gradient = bprop.grad(lambda *xs: total(getattr(bprop.scipy, module), *xs), tuple(range(len(args))))
    for compiled, eager in zip(bprop.compile(gradient)(*args), gradient(*args), strict=True):
        assert_allclose(np.asarray(compiled), np.asarray(eager), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", ["expm", "logm", "sqrtm"])
def test_second_derivatives_of_matrix_functions_and_batches(name, numerical):
    f = getattr(bprop.scipy.linalg, name)
    gradient = bprop.grad(lambda a: bprop.sum(f(a) * Q))
    x = P / 4
    expected = numerical(lambda t: [np.asarray(gradient(x + t * Q))])[0]
    assert_allclose(np.asarray(bprop.jvp(gradient, (x,), (Q,))[1]), expected, rtol=1e-6, atol=1e-7)
    stacked = np.stack([x, x + np.eye(4)])
    assert_allclose(np.asarray(bprop.vmap(f)(stacked))[1], np.asarray(f(stacked[1])), rtol=1e-13)


@pytest.mark.parametrize(
    ("f", "error", "words"),
    [
        (lambda m: m.sqrtm(-np.eye(2)), ArgumentError, "negative eigenvalue"),
        (lambda m: m.logm(np.diag([1.0, -1.0])), ArgumentError, "no real logarithm"),
        (lambda m: m.expm(np.ones((2, 3))), ShapeError, "expm"),
        (lambda m: m.solve(A, V, assume_a="what"), ArgumentError, "assume_a"),
        (lambda m: m.solve_banded((1, 1), np.ones((2, 3)), np.ones(3)), ShapeError, "solve_banded"),
        (lambda m: m.toeplitz(np.ones((2, 2))), ShapeError, "toeplitz"),
        (lambda m: m.cholesky(-np.eye(2)), ArgumentError, "positive definite"),
        (lambda m: bprop.scipy.signal.convolve(np.ones(3), np.ones((2, 2))), ShapeError, "convolve"),
        (lambda m: bprop.scipy.signal.convolve(np.ones(3), np.ones(2), method="fft"), ArgumentError, "direct"),
        (lambda m: bprop.scipy.signal.lfilter([1.0], [1.0, 0.5], np.ones(3), zi=np.ones(2)), ShapeError, "zi"),
        (lambda m: bprop.scipy.integrate.simpson(np.ones(3), np.ones(4)), ShapeError, "simpson"),
    ],
)
def test_errors_name_the_function(f, error, words):
    with pytest.raises(error, match=words) as caught:
        f(bprop.scipy.linalg)
    assert isinstance(caught.value, BpropError)


SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@pytest.mark.parametrize("name", ["expm", "logm", "sqrtm"])
def test_functions_of_complex_matrices(name):
    """A propagator e^{-iHt}, and its kin. Planted: a function that casts to float64."""
    ours, theirs = getattr(bprop.scipy.linalg, name), getattr(scipy.linalg, name)

    def matrix(x):
        return np.eye(2) * 1.5 - 1j * np.tensordot(x, SIGMA, axes=1)

    x, v = np.array([0.5, 0.3, -0.2]), np.array([0.7, -1.1, 0.4])
    f = lambda x: np.abs(np.sum(ours(matrix(x)) * SIGMA[1])) ** 2 + np.real(ours(matrix(x))[0, 0])
    assert_allclose(np.asarray(ours(matrix(x))), theirs(matrix(x)), rtol=1e-13)
    gradient = bprop.grad(f)
    assert_allclose(gradient(x), bprop.numerical(f)(x), rtol=1e-7, atol=1e-9)
    assert_allclose(bprop.compile(gradient)(x), gradient(x), rtol=1e-12)
    assert_allclose(bprop.vmap(gradient)(np.stack([x, v])), np.stack([gradient(x), gradient(v)]), rtol=1e-12)
    h = 1e-5
    differences = (np.asarray(gradient(x + h * v)) - np.asarray(gradient(x - h * v))) / (2 * h)
    assert_allclose(bprop.hvp(f, (x,), (v,)), differences, rtol=1e-6, atol=1e-8)
