"""SciPy's special functions by SciPy's names: values are SciPy's, ufuncs called inside transforms find their derivatives."""

import inspect

import mpmath
import numpy as np
import pytest
import scipy.special as theirs
from numpy.testing import assert_allclose

import bprop
from bprop.core.error import DerivativeError
from bprop.core.function import SCIPY
from bprop.scipy import special as ours

X = np.array([0.15, 0.4, 0.85])
ARGS = {
    "expn": (2, X), "polygamma": (1, X), "zeta": (2.5, X), "multigammaln": (X + 2, 2), "spherical_jn": (1, X),
    "spherical_in": (1, X), "betainc": (1.5, 2.5, X), "betaincc": (1.5, 2.5, X), "betaincinv": (1.5, 2.5, X),
    "betainccinv": (1.5, 2.5, X), "radian": (X, X, X), "logsumexp": (X, None, np.array([1.0, 2.0, -0.5])), "wofz": None,
}  # fmt: skip


def arguments(name):
    if name in ARGS:
        return ARGS[name]
    required = [p for p in inspect.signature(getattr(ours, name)).parameters.values() if p.default is p.empty]
    return (X,) if len(required) == 1 else (2.0, X)


NAMES = [name for name in ours.__all__ if name != "wofz"]


def same(y, expected):
    if isinstance(expected, tuple):
        for one, other in zip(y, expected, strict=True):
            same(one, other)
        return
    assert isinstance(y, bprop.Array)
    assert_allclose(np.asarray(y), np.real(expected), rtol=2e-13)


@pytest.mark.parametrize("name", NAMES)
def test_values_are_scipys(name):
    args = arguments(name)
    same(getattr(ours, name)(*args), getattr(theirs, name)(*args))


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_is_numerical_eager_and_compiled(name, numerical):
    """Called as SciPy's function where that is a ufunc, else as bprop's."""
    if name in ("gammasgn", "round"):
        pytest.skip("piecewise constant")
    args = arguments(name)
    position = 0 if name in ("multigammaln", "logsumexp") else len(args) - 1
    function = getattr(theirs, name)
    f = function if isinstance(function, np.ufunc) else getattr(ours, name)

    def total(x):
        y = f(*args[:position], x, *args[position + 1 :])
        return sum(map(np.sum, y)) if isinstance(y, tuple) else np.sum(y)

    direction = np.array([0.7, -0.3, 0.4])
    expected = numerical(lambda t: [np.asarray(total(X + t * direction + 2 * (name == "multigammaln")))])[0]
    x = X + 2 * (name == "multigammaln")
    for gradient in (bprop.grad(total), bprop.compile(bprop.grad(total))):
        assert_allclose(np.asarray(gradient(x)) @ direction, expected, rtol=1e-8, atol=1e-10)


def test_every_name_of_the_table_is_in_the_namespace_and_is_scipys():
    for name in SCIPY:
        assert name[0] == "_" or name in ours.__all__, name
    for name in ours.__all__:
        assert hasattr(theirs, name), name


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: theirs.gammainc(x, 1.0), "gammainc has no derivative by a: .*stop_gradient"),
        (lambda x: theirs.jv(x, 1.0), "jv has no derivative by v"),
        (lambda x: theirs.betainc(2.0, x, 0.5), "betainc has no derivative by b"),
        (lambda x: theirs.zeta(x, 1.0), "zeta has no derivative by x"),
    ],
)
def test_a_derivative_that_nobody_has_is_refused_by_name(f, words):
    for transform in (
        bprop.grad,
        lambda f: bprop.compile(bprop.grad(f)),
        lambda f: lambda x: bprop.jvp(f, (x,), (1.0,)),
    ):
        with pytest.raises(DerivativeError, match=words):
            transform(f)(1.5)
    assert float(bprop.grad(lambda x: x * f(bprop.stop_gradient(x)))(1.5)) == float(f(1.5))


@pytest.mark.parametrize("axis", [None, 0, (0, 2), -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp_with_factors_and_sign(axis, keepdims):
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 3, 4)) * 100, random.normal(size=(3, 4))
    options = {"axis": axis, "keepdims": keepdims}
    for pair in (ours.logsumexp(a, b=b, return_sign=True, **options), ours.logsumexp(a, return_sign=True, **options)):
        assert len(pair) == 2
    y, sign = ours.logsumexp(a, b=b, return_sign=True, **options)
    expected, expected_sign = theirs.logsumexp(a, b=np.broadcast_to(b, a.shape), return_sign=True, **options)
    assert_allclose(np.asarray(y), expected, rtol=1e-13)
    assert_allclose(np.asarray(sign), expected_sign)
    assert_allclose(
        np.asarray(ours.logsumexp(a, b=abs(b), **options)),
        theirs.logsumexp(a, b=np.broadcast_to(abs(b), a.shape), **options),
        rtol=1e-13,
    )
    small = a / 100
    total = lambda a, b: bprop.sum(ours.logsumexp(a, b=b, return_sign=True, **options)[0])
    slopes = bprop.grad(total, (0, 1))(small, b)
    weights = np.exp(small) / np.sum(b * np.exp(small), axis=axis, keepdims=True)
    assert_allclose(np.asarray(slopes[0]), b * weights, rtol=1e-11)
    assert_allclose(np.asarray(slopes[1]), weights.sum(0), rtol=1e-11)


def test_logsumexp_of_infinities_and_of_factors_that_are_zero():
    a, b = np.array([np.inf, 1.0, -np.inf]), np.array([0.0, 2.0, 1.0])
    assert_allclose(float(ours.logsumexp(a, b=b)), 1 + np.log(2))
    assert_allclose(np.asarray(bprop.grad(lambda a: ours.logsumexp(a, b=b))(a)), [0, 1, 0])
    assert float(ours.logsumexp(np.array([np.inf, 1.0]), b=np.ones(2))) == np.inf
    assert np.isnan(float(ours.logsumexp(np.zeros(2), b=np.array([1.0, -2.0]))))


def test_the_second_branch_of_lambertw_and_its_ends():
    x = np.array([-0.3, -0.1, -0.01])
    w = np.asarray(ours.lambertw(x, -1))
    assert_allclose(w * np.exp(w), x, rtol=1e-14)
    assert_allclose(
        np.asarray(bprop.grad(lambda x: bprop.sum(ours.lambertw(x, -1)))(x)), 1 / (np.exp(w) * (1 + w)), rtol=1e-13
    )
    assert np.isnan(np.asarray(ours.lambertw(np.array([-1.0, np.nan])))).all()
    with pytest.raises(bprop.ArgumentError, match="branches 0 and -1"):
        ours.lambertw(1.0, 2)


def test_zeta_is_python_around_a_ufunc_and_finds_its_derivative_too():
    slope = bprop.grad(lambda x: np.sum(theirs.zeta(2.5, x)))(X)
    assert_allclose(np.asarray(slope), -2.5 * theirs.zeta(3.5, X), rtol=1e-13)


@pytest.mark.parametrize("name", ["loggamma", "lambertw", "entr", "ndtri", "erfcinv", "yv", "kv", "exp1", "spence", "ellipk",
                                  "expn", "gammainc", "gammaincc"])  # fmt: skip
def test_where_there_is_no_value_there_is_no_derivative(name):
    """A finite derivative beside a NaN would hide it."""
    x = 1.5 if name == "ellipk" else -1.5
    args = (2.0,) if name in ("yv", "kv", "expn", "gammainc", "gammaincc") else ()
    f = lambda x: getattr(ours, name)(*args, x)
    assert not np.isfinite(float(f(x)))
    for run in (bprop.grad(f), bprop.compile(bprop.grad(f)), lambda x: bprop.jvp(f, (x,), (1.0,))[1]):
        assert not np.isfinite(float(run(x)))


def test_wofz_is_refused_with_what_to_write():
    with pytest.raises(bprop.DTypeError, match=r"erfcx.*dawsn"):
        ours.wofz(1.0)


@pytest.mark.parametrize("name", ["gamma", "ndtr", "log_ndtr", "j0", "erfcx", "expi", "entr"])
def test_float32_is_computed_in_float64_and_rounded_once(name):
    x = X.astype(np.float32)
    y = getattr(ours, name)(x)
    assert y.dtype == np.float32
    assert_allclose(np.asarray(y), getattr(theirs, name)(x.astype(float)).astype(np.float32), rtol=1.2e-7)
    assert bprop.grad(lambda x: bprop.sum(getattr(ours, name)(x)))(x).dtype == np.float32


def second(f):
    return bprop.grad(bprop.grad(f))


def test_logsumexp_has_a_slope_by_a_factor_that_is_zero():
    a, b = np.array([0.0, 1.0, -np.inf]), np.array([1.0, 0.0, 0.0])
    f = lambda b: ours.logsumexp(a, b=b)
    for gradient in (bprop.grad(f), bprop.compile(bprop.grad(f))):
        assert_allclose(np.asarray(gradient(b)), [1, np.e, 0], rtol=1e-15)
    weights = np.exp(a)
    assert_allclose(np.asarray(bprop.hessian(f)(b)), -np.outer(weights, weights), rtol=1e-15)
    mixed = bprop.grad(lambda a: bprop.grad(lambda b: ours.logsumexp(a, b=b))(b)[1])(np.zeros(3))
    assert_allclose(np.asarray(mixed), [-1, 1, 0])
    y, (by_a, by_b) = bprop.value_and_grad(lambda a, b: ours.logsumexp(a, b=b), (0, 1))(np.zeros(2), np.zeros(2))
    assert float(y) == -np.inf
    assert (np.asarray(by_a) == 0).all()
    assert (np.asarray(by_b) == np.inf).all()
    for dtype in (np.float32, np.float64):  # e^800 is beyond the largest number
        slope = bprop.grad(lambda b: ours.logsumexp(np.array([0.0, 800.0], dtype), b=b))(np.array([1.0, 0.0], dtype))  # noqa: B023
        assert float(slope[0]) == 1
        assert float(slope[1]) > 1e37
    for far in (1000.0, np.inf, np.nan):  # of what does not count the value stays finite
        y, slope = bprop.value_and_grad(lambda a: ours.logsumexp(a, b=np.array([1.0, 0.0])))(np.array([0.0, far]))
        assert float(y) == 0
        assert_allclose(np.asarray(slope), [1, 0])


@pytest.mark.parametrize("lmbda", [0.0, 1e-12, 1e-3, 0.4])
@pytest.mark.parametrize("y", [2.0, 1e-9])
def test_inv_boxcox1p_by_lmbda_near_zero(lmbda, y):
    f = lambda lmbda: ours.inv_boxcox1p(y, lmbda)
    with mpmath.workdps(60):
        exact = lambda t: mpmath.exp(mpmath.log1p(t * y) / t) if t else mpmath.exp(y)
        expected = [float(mpmath.diff(exact, mpmath.mpf(lmbda) + mpmath.mpf(10) ** -20, n)) for n in (1, 2)]
    assert_allclose(float(bprop.grad(f)(lmbda)), expected[0], rtol=1e-13)
    assert_allclose(float(second(f)(lmbda)), expected[1], rtol=1e-13)


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (lambda x: ours.gammainc(1.0, x), 0.0, (1, -1, 1)),
        (lambda x: ours.gammainc(2.0, x), 0.0, (0, 1, -2)),
        (lambda x: ours.gammaincc(1.0, x), 0.0, (-1, 1, -1)),
        (lambda x: ours.gammaincc(3.0, x), 0.0, (0, 0, -1)),
        (lambda x: ours.betainc(1.0, 2.0, x), 0.0, (2, -2, 0)),
        (lambda x: ours.betainc(1.0, 3.0, x), 0.0, (3, -6, 6)),
        (lambda x: ours.betainc(2.0, 1.0, x), 0.0, (0, 2, 0)),
        (lambda x: ours.betainc(2.0, 1.0, x), 1.0, (2, 2, 0)),
        (lambda x: ours.betainc(2.0, 3.0, x), 1.0, (0, 0, 24)),
        (lambda x: ours.betaincc(2.0, 2.0, x), 1.0, (0, 6, 12)),
    ],
)
def test_all_derivatives_at_the_ends_of_incomplete_gamma_and_beta(f, x, expected):
    for slope in expected:
        f = bprop.grad(f)
        assert float(f(x)) == pytest.approx(slope, abs=1e-13)


@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_poch_at_the_poles_of_gamma_is_a_polynomial(m):
    polynomial = np.poly1d(np.poly(-np.arange(m)))
    z = -np.arange(7.0)
    f = lambda z: ours.poch(z, float(m))
    slopes = bprop.grad(lambda z: bprop.sum(f(z)))(z)
    assert_allclose(np.asarray(slopes), polynomial.deriv()(z), rtol=1e-13, atol=1e-13)
    seconds = [float(second(f)(float(at))) for at in z]
    assert_allclose(seconds, polynomial.deriv(2)(z), rtol=1e-12, atol=1e-12)


def test_poch_at_the_poles_of_gamma_for_other_m():
    z, exact = -np.arange(3.0), lambda z: mpmath.rf(z, mpmath.mpf(0.5))
    slopes = bprop.grad(lambda z: bprop.sum(ours.poch(z, 0.5)))(z)
    with mpmath.workdps(60):
        expected = [float(mpmath.diff(exact, mpmath.mpf(at) + mpmath.mpf(10) ** -25)) for at in z]
    assert_allclose(np.asarray(slopes), expected, rtol=1e-13)
