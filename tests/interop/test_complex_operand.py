"""NumPy's functions on complex operands: value and dtype are NumPy's, the derivative is that of NumPy's values.

Planted: `vecmat` without conj; `masked_variance` with the square in the place of the squared distance.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop

RNG = np.random.default_rng(7)


def _complex(*shape):
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


A, M = _complex(4), _complex(4, 4)
NODES, POINTS = np.array([-1.0, 0.0, 2.0, 3.0]), np.array([-3.0, -0.4, 0.0, 1.5, 3.0, 7.0])
WELL_FILLED = np.array([True, False, True, True])
CALLS = {
    "vdot": lambda a, m: np.vdot(m, 2j * m + 1),
    "vecdot": lambda a, m: np.vecdot(m, a),
    "linalg.vecdot": lambda a, m: np.linalg.vecdot(m, 1j * m, axis=0),
    "vecmat": lambda a, m: np.vecmat(a, m),
    "vecmat of a real vector": lambda a, m: np.vecmat(a.real, m),
    "vecmat of a real matrix": lambda a, m: np.vecmat(a, m.real),
    "matvec": lambda a, m: np.matvec(m, a),
    "correlate": lambda a, m: np.correlate(a[:2], m[0], "full"),
    "convolve": lambda a, m: np.convolve(a, m[0]),
    "cov": lambda a, m: np.cov(m, a, aweights=[1.0, 2.0, 3.0, 4.0]),
    "average": lambda a, m: np.average(m, axis=0, weights=a),
    "corrcoef": lambda a, m: np.corrcoef(m, a),
    "corrcoef of one": lambda a, m: np.abs(np.corrcoef(a)) + 0 * a,
    "var, where": lambda a, m: np.var(m, axis=0, where=WELL_FILLED[:, None]),
    "var, mean": lambda a, m: np.var(m, mean=np.mean(m)),
    "std, where": lambda a, m: np.std(m, axis=1, ddof=1, where=WELL_FILLED),
    "nanvar": lambda a, m: np.nanvar(np.where(WELL_FILLED[:, None], m, np.nan), axis=0),
    "nanstd": lambda a, m: np.nanstd(m, axis=1, ddof=1, keepdims=True),
    "norm, 2": lambda a, m: np.linalg.norm(m, 2),
    "norm, -2": lambda a, m: np.linalg.matrix_norm(m, ord=-2),
    "norm, nuc": lambda a, m: np.linalg.norm(np.stack([m, 2j * m]), "nuc", axis=(1, 2)),
    "float_power": lambda a, m: np.float_power(m, a),
    "float_power of a real base": lambda a, m: np.float_power(np.abs(a), a),
    "float_power, constant": lambda a, m: np.float_power(a, 3),
    "interp": lambda a, m: np.interp(POINTS, NODES, a),
    "interp, ends": lambda a, m: np.interp(POINTS, NODES, a, left=2.0, right=3j),
    "interp, period": lambda a, m: np.interp(POINTS, NODES, a, period=4.5),
    "interp, points": lambda a, m: np.interp(a.real, NODES, a),
    "hypot of sizes": lambda a, m: np.hypot.reduce(np.abs(m), initial=0.5, where=WELL_FILLED),
    "nan_to_num": lambda a, m: np.nan_to_num(np.where(a.real > 0, a, np.nan), nan=2.0),
    "initial": lambda a, m: np.subtract.reduce(m, initial=2j),
    "initial and where": lambda a, m: np.multiply.reduce(m, initial=2j, where=[True, False, True, True]),
    "casting": lambda a, m: np.multiply(a, m, casting="unsafe"),
    "dtype": lambda a, m: np.exp(a, dtype=np.complex128),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_value_and_derivative_are_numpys(name):
    f = CALLS[name]
    for dtype, rtol in ((np.complex128, 1e-12), (np.complex64, 2e-5)):
        a, m = A.astype(dtype), M.astype(dtype)
        y, numpys = f(bprop.asarray(a), bprop.asarray(m)), np.asarray(f(a, m))
        assert y.dtype == numpys.dtype
        assert_allclose(y, numpys, rtol=rtol, atol=rtol)
    w = _complex(*y.shape) if y.dtype.kind == "c" else RNG.normal(size=y.shape)
    g = lambda a, m: np.sum(np.real(f(a, m) * w))
    a_dot, m_dot, h = _complex(4), _complex(4, 4), 1e-6
    difference = (g(A + h * a_dot, M + h * m_dot) - g(A - h * a_dot, M - h * m_dot)) / (2 * h)
    a_bar, m_bar = map(np.asarray, bprop.grad(g, (0, 1), unreached="zeros")(A, M))
    assert_allclose(np.real(np.vdot(a_bar, a_dot) + np.vdot(m_bar, m_dot)), difference, rtol=1e-6, atol=1e-7)
    assert_allclose(bprop.jvp(g, (A, M), (a_dot, m_dot))[1], difference, rtol=1e-6, atol=1e-7)
    for compiled, eager in zip(
        bprop.compile(bprop.grad(g, (0, 1), unreached="zeros"))(A, M), (a_bar, m_bar), strict=True
    ):
        assert_allclose(compiled, eager, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("call", "words"), [
    (lambda a: np.max(a, initial=1, where=[True, False, True, True]), "max takes no complex numbers"),
    (lambda a: np.min(a[:0], initial=1), "min takes no complex numbers"),
    (lambda a: np.maximum.reduce(a, initial=1, where=a.real > 0), r"numpy\.maximum\.reduce takes no complex numbers"),
    (lambda a: np.nanmax(a, initial=1, where=a.real > 0), "nanmax takes no complex numbers"),
])  # fmt: skip
def test_what_needs_an_order_is_refused_by_name(call, words):
    for run in (lambda a: call(bprop.asarray(a)), bprop.compile(call)):
        with pytest.raises(bprop.DTypeError, match=words):
            run(A)


def test_nan_to_num_replaces_in_each_part_and_what_it_replaces_has_no_derivative():
    z = np.array(
        [
            complex(np.nan, 1),
            complex(1, np.inf),
            complex(-np.inf, np.nan),
            complex(2, -np.inf),
            3 + 1j,
            complex(-0.0, -0.0),
        ]
    )
    for options in ({}, {"nan": 5, "posinf": 7, "neginf": -3}, {"posinf": np.inf, "neginf": -np.inf}):
        for x in (z, z.astype(np.complex64)):
            y = np.nan_to_num(bprop.asarray(x), **options)
            assert y.dtype == x.dtype
            assert_array_equal(y, np.nan_to_num(x, **options))
            assert_array_equal(np.signbit(np.imag(y)), np.signbit(np.nan_to_num(x, **options).imag))
    f = lambda z: np.sum(np.real(np.nan_to_num(z, posinf=1.0, neginf=-1.0) * (2 - 3j)))
    for gradient in (bprop.grad(f)(z), bprop.compile(bprop.grad(f))(z)):
        assert_array_equal(gradient, [3j, 2, 0, 2, 2 + 3j, 2 + 3j])
