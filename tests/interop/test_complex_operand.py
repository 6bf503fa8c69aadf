"""NumPy's functions on complex operands: value and dtype are NumPy's, the derivative is that of NumPy's values.

Planted: `vecmat` without conj; `masked_variance` with the square in the place of the squared distance.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop

RNG = np.random.default_rng(7)


def _complex(*shape):
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


A, M = _complex(4), _complex(4, 4)
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
