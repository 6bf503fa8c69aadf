"""A rule with a case of its own keeps its own derivative: mixed second and third derivatives, in every order and mode.

A slope of pow that is a quotient, y / x1, is caught by the higher derivatives near whole exponents.

Planted: ``where(x2 == 0, 0, …)`` in the slope of pow, ``where(y == 0, 0, y * log(x1))`` for `power_log`, ``where(x1 == 0, 0,
x1 / x2)`` in that of xlogy, ``where(t == 0, 0, …)`` in `KLDivergence`, ``remainder(abs(x1), …)`` in fmod.
"""

import functools
import itertools

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop
from bprop import nn

mpmath.mp.dps = 40


def derivative(f, place, mode):
    """∂f/∂x_place for a function entry by entry, itself a function of the same arguments."""
    if mode == "reverse":
        return bprop.grad(lambda *xs: bprop.sum(f(*xs)), place, unreached="zeros")
    ones = lambda xs: tuple(np.ones(np.shape(x)) if i == place else None for i, x in enumerate(xs))
    return lambda *xs: bprop.jvp(f, xs, ones(xs))[1]


# --- oracles: the derivative of orders (i, j) ---
def pow_derivative(x1, x2, orders):
    """Σ c(x2) x1^(x2-k) (log x1)ⁿ, differentiated term by term; at x1 = 0 the limit from above."""
    terms = [((1,), 0, 0)]  # c as coefficients of a polynomial, k, n
    for place, count in enumerate(orders):
        for _ in range(count):
            new = []
            for c, k, n in terms:
                if place == 1:
                    new += [(tuple(i * a for i, a in enumerate(c))[1:], k, n), (c, k, n + 1)]
                else:
                    shifted = [(a, b) for a, b in zip((0, *c), (*c, 0), strict=True)]
                    new += [(tuple(a - k * b for a, b in shifted), k + 1, n), (tuple(n * a for a in c), k + 1, n - 1)]
            terms = [(c, k, n) for c, k, n in new if any(c)]
    base = mpmath.mpf(10) ** -(10**12) if x1 == 0 else mpmath.mpf(x1)
    total = mpmath.fsum(
        mpmath.fsum(a * mpmath.mpf(x2) ** i for i, a in enumerate(c))
        * base ** (mpmath.mpf(x2) - k)
        * mpmath.log(base) ** n
        for c, k, n in terms
    )
    if x1 == 0:  # log x1 is -2e12 there
        return 0.0 if abs(total) < 1e-9 else float(mpmath.sign(total)) * np.inf if abs(total) > 1e9 else float(total)
    return float(total)


def xlogy_derivative(x1, x2, orders):
    i, j = orders
    if i > 1:
        return 0.0
    first = mpmath.mpf(x1) if i == 0 else mpmath.mpf(1)
    second = mpmath.log(x2) if j == 0 else (-1) ** (j - 1) * mpmath.factorial(j - 1) / mpmath.mpf(x2) ** j
    return float(first * second)


def fmod_derivative(x1, x2, orders):
    exact = {(0, 0): np.fmod(x1, x2), (1, 0): 1.0, (0, 1): -np.trunc(x1 / x2)}
    return float(exact.get(orders, 0.0))


def divergence_derivative(y, t, orders):
    """t (log t - y)"""
    i, j = orders
    if i:
        return {(1, 0): -t, (1, 1): -1.0}.get(orders, 0.0)
    if t == 0:
        return {0: 0.0, 1: -np.inf, 2: np.inf}.get(j, -np.inf)
    return {0: t * (np.log(t) - y), 1: np.log(t) + 1 - y, 2: 1 / t}.get(j, -1 / t**2)


GUARDS = {
    "pow at exponent 0": (bprop.pow, pow_derivative, [(2.0, 0.0), (0.3, 0.0), (1.0, 0.0), (2.0, 1.0)]),
    "pow at base 0": (bprop.pow, pow_derivative, [(0.0, x2) for x2 in (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)]),
    "xlogy": (bprop.xlogy, xlogy_derivative, [(0.0, 2.0), (0.0, 0.3), (0.0, 1.0), (-1.5, 2.0)]),
    "fmod": (np.fmod, fmod_derivative, [(0.0, 2.0), (0.0, -3.0), (-0.5, 2.0), (5.0, 2.0)]),
    "KL divergence": (
        nn.KLDivergence(reduction="none"),
        divergence_derivative,
        [(-1.0, 0.0), (0.5, 0.0), (-1.0, 0.25)],
    ),
}
ORDERS = [order for length in (1, 2, 3) for order in itertools.product((0, 1), repeat=length)]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join(map(str, order)))
@pytest.mark.parametrize("name", GUARDS)
def test_derivatives_in_every_order_and_mode(name, order):
    f, oracle, points = GUARDS[name]
    xs = np.array(points).T
    expected = [oracle(*point, (order.count(0), order.count(1))) for point in points]
    for modes in itertools.product(("forward", "reverse"), repeat=len(order)):
        g = f
        for place, mode in zip(order, modes, strict=True):
            g = derivative(g, place, mode)
        assert_no_wrong_number(g(*xs), expected, str(modes))
    assert_no_wrong_number(bprop.trace(g)(*xs)(*xs)[0], expected, "traced")


def assert_no_wrong_number(actual, expected, modes):
    """Two infinite terms of opposite signs may meet: NaN is no number that is wrong."""
    actual = np.where(np.isnan(actual) & np.isinf(expected), expected, actual)
    assert_allclose(actual, expected, rtol=1e-12, atol=1e-14, err_msg=modes)


def power(exponent):
    return lambda x: x**exponent


NEAR_WHOLE = [(n, sign * 2.0**bits) for n in (1, 2) for sign in (-1, 1) for bits in (-20, -22)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weak", [False, True])
def test_higher_derivatives_of_pow_near_whole_exponents(dtype, weak):
    """x2 (x2 - 1) ⋯ x1^(x2-k), a product: the last factor is next to 0 and has all its digits."""
    bases = np.array([0.01, 0.4, 1.0, 3.0, 250.0], dtype)
    scale = 1.0 if dtype == np.float32 else 2.0**-25
    tolerance = {"rtol": 64 * float(np.finfo(dtype).eps), "atol": 0}
    for n, offset in NEAR_WHOLE:
        x2 = n + scale * offset
        assert dtype(x2) == x2
        exponent = x2 if weak else np.full(bases.shape, x2, dtype)
        expected = np.array([pow_derivative(float(x1), x2, (n + 1, 0)) for x1 in bases], dtype)
        for modes in itertools.product(("forward", "reverse"), repeat=n + 1):
            f = functools.reduce(lambda f, mode: derivative(f, 0, mode), modes, power(exponent))
            assert_allclose(f(bases), expected, **tolerance, err_msg=f"{x2!r} {modes}")
        if offset == NEAR_WHOLE[0][1]:
            assert_allclose(bprop.compile(f)(bases), expected, **tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_slope_of_pow_that_overflows_is_infinite(dtype):
    """Near 0 the second derivative of a root is -∞, not the difference of two infinities."""
    x1 = np.full(1, 2.0 ** (np.finfo(dtype).minexp + 5), dtype)
    for exponent in (np.full(1, 0.5, dtype), 0.5, np.full(1, 0.3, dtype), 0.3):
        for modes in itertools.product(("forward", "reverse"), repeat=2):
            f = functools.reduce(lambda f, mode: derivative(f, 0, mode), modes, power(exponent))
            assert_allclose(f(x1), -np.inf, err_msg=str(modes))
        assert_allclose(bprop.compile(f)(x1), -np.inf)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_numbers_as_exponents_in_an_array(dtype):
    """Planted: the exponent's dtype as a second operand of astype, which raised."""
    x, n = np.array([-1.5, 0.0, 2.0, 3.0], dtype), np.array([3, 2, 1, 0])
    first, second = n * x.astype(float) ** np.maximum(n - 1, 0), n * (n - 1) * x.astype(float) ** np.maximum(n - 2, 0)
    total = bprop.grad(lambda x: bprop.sum(x**n))
    for g in (total, bprop.compile(total)):
        assert_allclose(g(x), first, rtol=1e-6)
    assert_allclose(bprop.jvp(lambda x: x**n, (x,), (np.ones(4, dtype),))[1], first, rtol=1e-6)
    assert_allclose(bprop.grad(lambda x: bprop.sum(total(x)))(x), second, rtol=1e-6, atol=1e-12)
    least = np.full(2, np.finfo(dtype).smallest_subnormal, dtype)  # its inverse overflows, and 0 times that is 0 here
    for exponent, slopes in ((np.zeros(2, dtype), [0, 0]), (np.ones(2, dtype), [1, 0]), (np.full(2, 2, dtype), [0, 2])):
        f = power(exponent)
        for slope in slopes:
            f = derivative(f, 0, "reverse")
            assert_allclose(f(least), slope, atol=1e-40)
