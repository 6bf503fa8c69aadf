"""Linear algebra and filters of complex operands: SciPy's values, numerical derivatives, batched and compiled."""

import numpy as np
import pytest
import scipy
from numpy.testing import assert_allclose

import bprop

R = np.random.default_rng(4)


def normal(*shape):
    return R.normal(size=shape) + 1j * R.normal(size=shape)


A, B, Q, V = normal(3, 3) + 3 * np.eye(3), normal(2, 2) - 4 * np.eye(2), normal(3, 2), normal(3)
BANDS, COLUMN = normal(3, 3) + np.array([[0], [5], [0]]), normal(3) + np.array([6, 0, 0])
FILTER = (normal(3), np.array([1, 0.3 + 0.1j, 0.2]), normal(6))


def hermitian(a):
    return (a + np.conj(a.T)) / 2 + 6 * np.eye(3)


LINALG = {
    "solve her": (lambda m, a, b: m.solve(hermitian(a), b, assume_a="her"), A, V),
    "solve pos": (lambda m, a, b: m.solve(hermitian(a), b, assume_a="pos", lower=True), A, V),
    "solve sym": (lambda m, a, b: m.solve(a + a.T, b, assume_a="sym"), A, V),
    "solve_triangular C": (lambda m, a, b: m.solve_triangular(a, b, trans="C", lower=True), A, V),
    "solve_sylvester": (lambda m, a, b, q: m.solve_sylvester(a, b, q), A, B, Q),
    "solve_banded": (lambda m, ab, b: m.solve_banded((1, 1), ab, b), BANDS, V),
    "solve_toeplitz": (lambda m, c, b: m.solve_toeplitz(c, b), COLUMN, V),
    "solve_continuous_lyapunov": (lambda m, a, q: m.solve_continuous_lyapunov(a, q), A, normal(3, 3)),
    "solve_discrete_lyapunov": (lambda m, a, q: m.solve_discrete_lyapunov(a / 9, q), A, normal(3, 3)),
    "cho_solve": (lambda m, a, b: m.cho_solve(m.cho_factor(hermitian(a)), b), A, V),
    "cho_solve lower": (lambda m, a, b: m.cho_solve(m.cho_factor(hermitian(a), lower=True), b), A, V),
    "lu_solve": (lambda m, a, b: m.lu_solve(m.lu_factor(a), b), A, V),
    "lu_solve T": (lambda m, a, b: m.lu_solve(m.lu_factor(a), b, trans=1), A, V),
    "lu_solve C": (lambda m, a, b: m.lu_solve(m.lu_factor(a), b, trans=2), A, V),
    "eigvalsh of two": (lambda m, a, b: m.eigvalsh(hermitian(a), hermitian(b)), A, A * 0.3j),
    "toeplitz": (lambda m, c: m.toeplitz(c), COLUMN),
}  # fmt: skip
SIGNAL = {
    "lfilter": (lambda m, b, a, x: m.lfilter(b, a, x), *FILTER),
    "lfilter, a number": (lambda m, b, x: m.lfilter(b, 2.0, x), FILTER[0], FILTER[2]),
    "lfilter, state": (lambda m, b, a, x, zi: m.lfilter(b, a, x, zi=zi)[0], *FILTER, normal(2)),
    "correlate": (lambda m, a, x: m.correlate(x, a, mode="same"), normal(3), FILTER[2]),
    "convolve": (lambda m, a, x: m.convolve(x, a), normal(3), FILTER[2]),
}  # fmt: skip
CASES = [
    pytest.param(module, f, args, id=name)
    for module, table in (("linalg", LINALG), ("signal", SIGNAL))
    for name, (f, *args) in table.items()
]


@pytest.mark.parametrize(("module", "f", "args"), CASES)
def test_value_and_derivative_of_complex_operands(module, f, args, numerical):
    ours, expected = getattr(bprop.scipy, module), f(getattr(scipy, module), *args)
    y = np.asarray(f(ours, *args))
    assert y.dtype == expected.dtype
    assert_allclose(y, expected, rtol=1e-11, atol=1e-12)
    random = np.random.default_rng(1)
    weights = random.normal(size=expected.shape) + 1j * random.normal(size=expected.shape)
    directions = tuple(random.normal(size=x.shape) + 1j * random.normal(size=x.shape) for x in args)
    energy = lambda *xs: np.sum(np.real(weights * f(ours, *xs)))
    moved = lambda t: [np.asarray(energy(*(x + t * d for x, d in zip(args, directions, strict=True))))]
    slope = numerical(moved)[0]
    gradient = bprop.grad(energy, tuple(range(len(args))))
    pairing = lambda bars: sum(np.sum(np.real(np.conj(g) * d)) for g, d in zip(bars, directions, strict=True))
    assert_allclose(pairing(map(np.asarray, gradient(*args))), slope, rtol=1e-6, atol=1e-7)
    assert_allclose(float(bprop.jvp(energy, args, directions)[1]), slope, rtol=1e-6, atol=1e-7)
    stacked = bprop.vmap(gradient)(*(np.stack([x, 1.1 * x]) for x in args))
    for batched, compiled, eager in zip(stacked, bprop.compile(gradient)(*args), gradient(*args), strict=True):
        assert_allclose(np.asarray(batched)[0], np.asarray(eager), rtol=1e-10, atol=1e-11)
        assert_allclose(np.asarray(compiled), np.asarray(eager), rtol=1e-10, atol=1e-11)


def test_a_real_matrix_and_a_complex_right_side():
    """Where SciPy's own answer to a X + X b = q is none: it keeps a's real Schur form beside complex numbers."""
    x = np.asarray(bprop.scipy.linalg.solve_sylvester(A.real, B, Q))
    assert_allclose(A.real @ x + x @ B, Q, rtol=1e-12)
