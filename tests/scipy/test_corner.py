"""Corners of SciPy's functions: negative and large arguments, ends, invalid parameters. The oracle is SciPy or mpmath.

Planted: the sign, the order or the condition that each row is about, taken out.
"""

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

import bprop

DERIVATIVES = {
    "i0e": (special.i0e, lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(0, x), (-1.5, 0.7, 100.0)),
    "i1e": (special.i1e, lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(1, x), (-1.5, 0.7)),
    "k0e": (special.k0e, lambda x: mpmath.exp(x) * mpmath.besselk(0, x), (0.5, 100.0)),
    "kve": (lambda x: special.kve(2.5, x), lambda x: mpmath.exp(x) * mpmath.besselk(2.5, x), (3.0, 1e4)),
    "binom by n": (lambda n: special.binom(n, 3.0), lambda n: mpmath.binomial(n, 3), (2.0, 2.5)),
    "poch of a negative m": (lambda z: special.poch(z, -15.3), lambda z: mpmath.rf(z, mpmath.mpf("-15.3")), (2.5,)),
}  # fmt: skip


@pytest.mark.parametrize("name", DERIVATIVES)
def test_first_derivatives(name):
    f, exact, points = DERIVATIVES[name]
    with mpmath.workdps(40):
        for x in points:
            expected = float(mpmath.diff(exact, mpmath.mpf(x)))
            assert_allclose(bprop.grad(f)(x).item(), expected, rtol=1e-9)


def test_a_second_derivative_left_of_zero():
    with mpmath.workdps(40):
        expected = float(mpmath.diff(lambda x: mpmath.exp(x) * mpmath.besseli(0, x), mpmath.mpf(-1.5), 2))
    assert_allclose(bprop.grad(bprop.grad(special.i0e))(-1.5).item(), expected, rtol=1e-8)


@pytest.mark.parametrize("name", ["spherical_jn", "spherical_in"])
def test_derivatives_of_spherical_functions_by_option(name):
    for n in (0, 1, 2):
        ours = getattr(bprop.scipy.special, name)(n, 1.5, derivative=True)
        assert_allclose(float(ours), getattr(special, name)(n, 1.5, derivative=True), rtol=1e-12)


def test_the_sign_of_the_gamma_function():
    x = np.array([-0.0, 0.0, -1.5, -2.5, 3.0])
    assert_array_equal(np.asarray(special.gammasgn(bprop.asarray(x))), special.gammasgn(x))


def test_quantiles_of_invalid_shapes_are_no_numbers():
    for name in ("weibull_min", "lognorm"):
        assert np.isnan(float(getattr(bprop.scipy.stats, name).ppf(0.5, -1.0)))


@pytest.mark.parametrize("order", [0, 1, 2, 2.5])
def test_k_and_its_slopes_are_there_until_no_number_holds_them(order):
    """SciPy's kv is 0 from 697 on, and half of what the slope of k1 is made of with it."""
    f = lambda x: bprop.scipy.special.kv(order, x)
    for x in (690.0, 700.0, 704.0):
        for level, derivative in enumerate((f, bprop.grad(f), bprop.grad(bprop.grad(f)))):
            expected = float(mpmath.diff(lambda x: mpmath.besselk(order, x), mpmath.mpf(x), level))
            for run in (derivative, bprop.compile(derivative)):
                assert_allclose(float(run(np.array(x))), expected, rtol=1e-12)
