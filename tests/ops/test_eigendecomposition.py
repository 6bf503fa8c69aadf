"""Eigenvalues and eigenvectors of general matrices, and the roots of polynomials.

Planted: eig's rule without the term that keeps the length, without that of the phase, and with F not conjugated; left
eigenvectors of a defective matrix that are not made NaN; the power of a root off by one.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bprop

PYTORCH = json.loads(Path(__file__).with_name("eig_pytorch.json").read_text(encoding="utf-8"))
X = np.array([[0.4, -1.7, 0.3], [1.2, 0.1, -0.8], [0.5, 0.9, 1.6]])


def _complex(parts):
    real, imag = map(np.array, parts)
    return real + 1j * imag


def _energy(number):
    weights = np.array(PYTORCH["weights"])

    def energy(x):
        w, v = np.linalg.eig(x)
        products = v[:, None, :] * np.conj(v)[None, :, :]
        return (
            lambda: np.sum(np.abs(w) * np.real(w * w)),
            lambda: np.sum(np.abs(v) ** 3 * weights),
            lambda: np.sum(np.real(products * w) * weights[:, :, None]),
        )[number]()

    return energy


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("name", ["real", "complex"])
def test_functions_that_a_phase_does_not_change_have_pytorchs_gradient(name, number):
    x = _complex(PYTORCH["matrices"][name])
    x = x.real if name == "real" else x
    gradient = bprop.grad(_energy(number))
    recorded = _complex(PYTORCH["gradients"][f"{name}-{number}"])
    assert_allclose(np.asarray(gradient(x)), recorded, rtol=1e-11, atol=1e-12)
    assert_allclose(np.asarray(bprop.compile(gradient)(x)), recorded, rtol=1e-11, atol=1e-12)


def test_the_result_is_real_where_numpys_is():
    for x in (
        X,
        X + X.T,
        np.triu(X),
        np.stack([X + X.T, X]),
        X.astype("float32"),
        (X + X.T) * (1 + 0j),
        np.eye(2, dtype=int),
    ):
        ours, theirs = np.linalg.eig(bprop.asarray(x)), np.linalg.eig(x)
        for y, numpys in zip(
            (*ours, np.linalg.eigvals(bprop.asarray(x))), (*theirs, np.linalg.eigvals(x)), strict=True
        ):
            assert y.dtype == numpys.dtype
            assert_allclose(np.asarray(y), numpys, rtol=1e-5, atol=1e-6)
    # where numbers are not known, and in bprop's own namespace, it is complex
    assert bprop.compile(np.linalg.eigvals)(X + X.T).dtype == np.complex128
    assert bprop.vmap(np.linalg.eigvals)(np.stack([X + X.T, X])).dtype == np.complex128
    assert bprop.linalg.eigvals(X + X.T).dtype == np.complex128
    # code that orders eigenvalues differentiates where they are real
    assert_allclose(
        np.asarray(bprop.grad(lambda x: np.sort(np.linalg.eigvals(x @ x.T))[-1])(X)),
        np.asarray(bprop.grad(lambda x: np.linalg.eigvalsh(x @ x.T)[-1])(X)), rtol=1e-11, atol=1e-12,
    )  # fmt: skip


def test_the_largest_entry_stays_real():
    """The derivative is that of what LAPACK returns, the phase included."""
    f = lambda x: np.linalg.eig(x)[1]
    h, towards = 1e-6, np.cos(np.arange(9.0)).reshape(3, 3)
    for x in (X, X + 1j * X.T):
        v_dot = np.asarray(bprop.jvp(f, (x,), (towards.astype(x.dtype),))[1])
        above, below = f(x + h * towards), f(x - h * towards)
        signs = np.sign(np.real(np.sum(np.conj(below) * above, axis=0)))
        assert_allclose(
            v_dot * np.sign(np.real(np.sum(np.conj(f(x)) * above, axis=0))),
            (above - signs * below) / (2 * h),
            atol=1e-8,
        )


def test_no_derivative_where_there_is_none():
    total, largest = lambda x: np.real(np.sum(np.linalg.eigvals(x))), lambda x: np.max(np.abs(np.linalg.eigvals(x)))
    for defective in ([[1.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]):
        for f in (total, largest):
            assert np.isnan(np.asarray(bprop.grad(f)(np.array(defective)))).all()
            assert np.isnan(bprop.jvp(f, (np.array(defective),), (np.eye(2),))[1])
    # repeated eigenvalues with eigenvectors of their own have what treats them alike, and no eigenvectors
    assert_allclose(np.asarray(bprop.grad(total)(2 * np.eye(3))), np.eye(3))
    assert not np.isfinite(np.asarray(bprop.grad(lambda x: np.sum(np.linalg.eig(x)[1] ** 3))(2 * np.eye(3)))).any()
    for f, words in ((bprop.linalg.eig, "eig"), (np.linalg.eigvals, "eigvals")):
        with pytest.raises(bprop.ShapeError, match=words + r": .*\(2, 3\)"):
            f(bprop.zeros((2, 3)))
        with pytest.raises(bprop.ArgumentError, match="NaN or infinity"):
            f(bprop.asarray([[1.0, np.nan], [0.0, 1.0]]))
    with pytest.raises(bprop.BpropError, match="complex"):
        bprop.grad(lambda x: np.sum(np.linalg.eigvals(x)))(X)


def test_roots_of_all_kinds_of_polynomials():
    for p in (
        [1.0, -6, 11, -6],
        [2, 0, 3],
        [0.0, 0, 1, -1, 0, 0],
        [3.0],
        [0.0, 0.0],
        [],
        [1 + 1j, 2, 3],
        [np.float32(2), np.float32(1), np.float32(1)],
    ):
        ours, theirs = np.roots(bprop.asarray(np.array(p))), np.roots(np.array(p))
        assert ours.dtype == theirs.dtype
        assert_array_equal(np.asarray(ours), theirs)
    # a root at 0 moves, too: that of x² - x + p₂ near 0 is p₂
    p = np.array([1.0, -1.0, 0.0])
    root = lambda p: np.roots(p)[1]
    assert_allclose(np.asarray(bprop.grad(root)(p)), [0.0, 0.0, 1.0])
    assert_allclose(np.asarray(bprop.hessian(root)(p)), [[0, 0, 0], [0, 0, 1], [0, 1, 2]])
    for run in (bprop.compile, bprop.vmap):
        with pytest.raises(bprop.ArgumentError, match="the first coefficient is 0"):
            run(np.roots)(np.array([[0.0, 1.0, 2.0]]) if run is bprop.vmap else np.array([0.0, 1.0, 2.0]))
    double = np.array([1.0, -2.0, 1.0])
    assert not np.isfinite(np.asarray(bprop.grad(lambda p: np.sum(np.abs(np.roots(p)) ** 2))(double))).all()


def test_complex_numbers_are_sorted_as_numpy_sorts_them():
    nan = np.nan
    z = np.array(
        [
            1 + 2j,
            complex(nan, 1),
            1 - 2j,
            0,
            complex(1, nan),
            complex(nan, -1),
            complex(nan, nan),
            complex(-3, nan),
            -2,
            5j,
        ]
    )
    assert_array_equal(np.asarray(np.sort_complex(bprop.asarray(z))), np.sort_complex(z))
    assert_array_equal(np.asarray(bprop.compile(np.sort_complex)(z)), np.sort_complex(z))
    for dtype in "bhilBHILfdeFD":
        x = np.array([[3, 1, 2], [1, 5, 0]]).astype(dtype)
        ours, theirs = np.sort_complex(bprop.asarray(x)), np.sort_complex(x)
        assert ours.dtype == theirs.dtype
        assert_array_equal(np.asarray(ours), theirs)
    with pytest.raises(bprop.ShapeError, match="sort_complex"):
        np.sort_complex(bprop.asarray(1.0))
