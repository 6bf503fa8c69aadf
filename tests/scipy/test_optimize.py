"""SciPy's solvers with derivatives by bprop, against the same solvers with derivatives written by hand."""

import functools
import warnings

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import LinearConstraint, NonlinearConstraint, rosen, rosen_der, rosen_hess

import bprop
from bprop.scipy import optimize

START = np.array([0.5, 1.0, 0.5])
GRADIENT = ("CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP")
PRODUCT = ("Newton-CG", "trust-ncg", "trust-krylov", "trust-constr")
HESSIAN = ("dogleg", "trust-exact")
NONE = ("Nelder-Mead", "Powell", "COBYLA", "COBYQA")


def banana(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


class Counted:
    """A function that counts how often its code runs."""

    def __init__(self, f):
        self.f, self.calls, self.__name__ = f, 0, f.__name__

    def __call__(self, *args):
        self.calls += 1
        return self.f(*args)


def same(ours, scipys, **tolerance):
    tolerance = {"rtol": 1e-6, "atol": 1e-8} | tolerance
    np.testing.assert_allclose(ours.x, scipys.x, **tolerance)
    assert ours.success == scipys.success
    assert type(ours) is type(scipys)
    assert type(ours.x) is np.ndarray
    assert ours.x.dtype == np.float64


# --- minimize ---
@pytest.mark.parametrize("method", GRADIENT + PRODUCT + HESSIAN)
def test_every_method_goes_where_it_goes_with_written_derivatives(method):
    options = {"maxfun": 1000, "ftol": 1e-16, "xtol": 1e-16, "gtol": 1e-12} if method == "TNC" else None
    ours = optimize.minimize(banana, START, method=method, options=options, compile=False)
    hess = rosen_hess if method in PRODUCT + HESSIAN else None
    scipys = scipy.optimize.minimize(rosen, START, method=method, jac=rosen_der, hess=hess, options=options)
    same(ours, scipys, atol=1e-4 if method == "CG" else 1e-6)
    assert abs(ours.nit - scipys.nit) <= 0.2 * scipys.nit


@pytest.mark.parametrize("method", NONE)
def test_a_method_without_derivatives_gets_the_function_as_it_is(method):
    options = {"maxiter": 30}
    f = Counted(lambda x: rosen(x) if type(x) is np.ndarray else None)
    ours = optimize.minimize(f, START, method=method, options=options)
    scipys = scipy.optimize.minimize(rosen, START, method=method, options=options)
    np.testing.assert_array_equal(ours.x, scipys.x)
    assert ours.nfev == f.calls == scipys.nfev


@pytest.mark.parametrize("method", GRADIENT)
def test_one_evaluation_gives_value_and_gradient(method):
    f = Counted(banana)
    result = optimize.minimize(f, START, method=method, compile=False)
    assert f.calls == result.nfev


def test_one_trace_serves_all_evaluations_and_the_next_call():
    f = Counted(banana)
    first = optimize.minimize(f, START)
    assert first.nfev > 10
    calls = f.calls
    assert calls <= 2  # the trace, and once more where the count is seen to change
    optimize.minimize(f, START + 1)
    assert f.calls <= calls + 1


@pytest.mark.parametrize("method", ["BFGS", "trust-ncg", "trust-exact"])
def test_compiled_and_eager_agree(method):
    a, b = (optimize.minimize(banana, START, method=method, compile=compiled) for compiled in (True, False))
    np.testing.assert_allclose(a.x, b.x, rtol=0, atol=1e-10)
    assert a.nfev == b.nfev


def test_what_is_given_goes_before():
    asked = []

    def given(name, f):
        return lambda *args: asked.append(name) or f(*args)

    gradient, hessian = given("jac", rosen_der), given("hess", rosen_hess)
    product = given("hessp", lambda x, p: rosen_hess(x) @ p)
    for options in (
        {"method": "Newton-CG", "jac": gradient},
        {"method": "Newton-CG", "jac": gradient, "hess": hessian},
        {"method": "trust-krylov", "hessp": product},
        {"method": "trust-constr", "jac": gradient, "hess": scipy.optimize.BFGS()},
    ):
        asked.clear()
        result = optimize.minimize(banana, START, compile=False, **options)
        np.testing.assert_allclose(result.x, 1, atol=1e-3)
        assert set(asked) == {name for name in ("jac", "hess", "hessp") if callable(options.get(name))}


def test_a_pair_of_value_and_gradient():
    pair = Counted(lambda x: (np.sum((x - 1) ** 4), 4 * (x - 1) ** 3))
    result = optimize.minimize(pair, START, jac=True, method="trust-exact", compile=False)
    np.testing.assert_allclose(result.x, 1, atol=0.05)
    assert pair.calls == result.nfev + result.nhev
    with pytest.raises(bprop.ArgumentError, match=r"with jac=True banana returns \(value, gradient\), not float64"):
        optimize._ValueOfPair(banana)(START)


@pytest.mark.parametrize("jac", [False, "2-point", "3-point"])
def test_scipys_differences_can_be_asked_for(jac):
    f = Counted(rosen)
    result = optimize.minimize(f, START, jac=jac)
    assert result.nfev == f.calls > 3 * result.nit


def test_bounds_callback_options_and_arguments_pass_through():
    seen = []
    result = optimize.minimize(
        lambda x, a, shift: a * np.sum((x - shift) ** 2), [3.0, 3.0], args=(2.0, np.array([1.0, -1.0])),
        bounds=[(0, None), (0, None)], callback=lambda x: seen.append(x), options={"maxiter": 50}, compile=False,
    )  # fmt: skip
    np.testing.assert_allclose(result.x, [1, 0], atol=1e-8)
    assert seen
    assert all(type(x) is np.ndarray for x in seen)
    assert optimize.minimize(banana, START, options={"maxiter": 3}, compile=False).nit == 3
    assert optimize.minimize(lambda x, a: a * x[0] ** 2, [1.0], args=2.0, compile=False).success


def test_a_method_of_ones_own_gets_gradient_and_products():
    def descend(fun, x0, args=(), jac=None, hessp=None, **_):
        x = x0
        for _ in range(5):
            g = jac(x)
            x = x - g * (g @ g) / (g @ hessp(x, g))
        return scipy.optimize.OptimizeResult(x=x, fun=fun(x), success=True)

    A = np.diag([1.0, 1.2])
    result = optimize.minimize(lambda x: x @ A @ x, [1.0, 2.0], method=descend, compile=False)
    np.testing.assert_allclose(result.x, 0, atol=1e-4)


def circle(x):
    return 1.5 - x[0] ** 2 - x[1] ** 2


@pytest.mark.parametrize("compiled", [True, False])
def test_constraints_as_dicts(compiled):
    constraints = [
        {"type": "ineq", "fun": circle},
        {"type": "eq", "fun": lambda x, c: x[2] - c * x[1], "args": (0.5,)},
    ]
    written = [
        constraints[0] | {"jac": lambda x: np.array([-2 * x[0], -2 * x[1], 0.0])},
        constraints[1] | {"jac": lambda x, c: np.array([0, -c, 1.0])},
    ]
    ours = optimize.minimize(banana, START, constraints=constraints, compile=compiled)
    scipys = scipy.optimize.minimize(rosen, START, jac=rosen_der, constraints=written)
    same(ours, scipys)
    assert ours.nfev == scipys.nfev
    assert "jac" not in constraints[0]


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr"])
def test_nonlinear_constraints(method):
    def bowls(x):
        return np.array([1.0, 2.0, 3.0]) * x**2

    high = [0.5, 1.0, 1.0]
    constraint = NonlinearConstraint(bowls, -np.inf, high)
    linear = LinearConstraint([[1.0, 1.0, 1.0]], -10, 10)
    written = NonlinearConstraint(bowls, -np.inf, high, jac=lambda x: np.diag(2 * np.array([1.0, 2.0, 3.0]) * x))
    ours = optimize.minimize(banana, START, method=method, constraints=[constraint, linear], compile=False)
    hess = rosen_hess if method == "trust-constr" else None
    scipys = scipy.optimize.minimize(
        rosen, START, method=method, jac=rosen_der, hess=hess, constraints=[written, linear]
    )
    same(ours, scipys)
    assert constraint.jac == "2-point"


# --- residuals ---
T = np.linspace(0, 4, 30)
Y = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.01 * np.sin(50 * T)


def decay(t, a, b, c):
    return a * np.exp(-b * t) + c


def decay_jacobian(t, a, b, c):
    return np.stack([np.exp(-b * t), -a * t * np.exp(-b * t), np.ones_like(t)], axis=1)


def misfit(p, t=T):
    return p[0] * np.exp(-p[1] * t) + p[2] - Y


@pytest.mark.parametrize("method", ["lm", "trf", "dogbox"])
@pytest.mark.parametrize("loss", ["linear", "soft_l1"])
def test_least_squares(method, loss):
    if method == "lm" and loss != "linear":
        pytest.skip("lm has no other loss")
    options = {"method": method, "loss": loss, "xtol": 1e-12, "ftol": 1e-12}
    f = Counted(misfit)
    ours = optimize.least_squares(f, [1.0, 1.0, 1.0], compile=False, **options)
    scipys = scipy.optimize.least_squares(misfit, [1.0, 1.0, 1.0], lambda p: decay_jacobian(T, *p), **options)
    same(ours, scipys)
    np.testing.assert_allclose(ours.jac, scipys.jac, rtol=1e-6, atol=1e-12)
    assert ours.nfev <= scipys.nfev + 2
    assert f.calls <= ours.nfev + 3  # the Jacobian is that of the evaluation at the same point


def test_least_squares_compiled_and_eager_agree():
    runs = [
        optimize.least_squares(misfit, [1, 1, 1], kwargs={"t": T}, xtol=1e-14, ftol=1e-14, gtol=1e-14, compile=compiled)
        for compiled in (True, False)
    ]
    np.testing.assert_allclose(runs[0].x, runs[1].x, rtol=0, atol=1e-10)


def test_fewer_residuals_than_unknowns():
    for compiled in (True, False):
        result = optimize.least_squares(lambda x: x[:1] * x[1:2] - 2, [1.0, 1.0, 7.0], compile=compiled)
        np.testing.assert_allclose(result.x[0] * result.x[1], 2)
        np.testing.assert_allclose(result.jac, [[result.x[1], result.x[0], 0]], rtol=1e-6)


def test_what_is_given_as_jacobian_goes_before():
    calls = []
    optimize.least_squares(misfit, [1, 1, 1], jac=lambda p: calls.append(1) or decay_jacobian(T, *p))
    assert calls
    f = Counted(misfit)
    assert optimize.least_squares(f, [1, 1, 1], jac="2-point").success
    assert optimize.least_squares(lambda x: x**3 - 1, np.full(4, 2.0), jac_sparsity=np.eye(4)).success


@pytest.mark.parametrize("method", ["hybr", "lm"])
def test_root(method):
    def f(x, a):
        return [x[0] * np.cos(x[1]) - a, x[0] * x[1] - x[1] - 5]

    def jacobian(x, a):
        return np.array([[np.cos(x[1]), -x[0] * np.sin(x[1])], [x[1], x[0] - 1]])

    ours = optimize.root(f, [1, 1], args=(4.0,), method=method, compile=False)
    scipys = scipy.optimize.root(f, [1, 1], args=(4.0,), method=method, jac=jacobian)
    same(ours, scipys)
    assert ours.nfev == scipys.nfev


@pytest.mark.parametrize("method", ["broyden1", "krylov", "df-sane"])
def test_root_without_a_jacobian(method):
    f = Counted(lambda x: bprop.cos(x) - x)
    result = optimize.root(f, [0.5, 1.0], method=method)
    np.testing.assert_allclose(result.x, 0.7390851332151607, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "evaluations"), [({"x0": 1}, 5), ({"x0": 1, "method": "halley"}, 4), ({"bracket": (0, 3)}, None)]
)
def test_root_scalar(options, evaluations):
    f = Counted(lambda x, a: x**3 - a)
    result = optimize.root_scalar(f, args=(2.0,), compile=False, **options)
    np.testing.assert_allclose(result.root, 2 ** (1 / 3), rtol=1e-12)
    if evaluations:
        assert f.calls == evaluations


# --- curve_fit ---
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"p0": [1, 1, 1], "sigma": np.linspace(0.1, 0.3, 30)},
        {"sigma": np.full(30, 0.1), "absolute_sigma": True},
        {"sigma": np.diag(np.full(30, 0.01)) + 0.001, "absolute_sigma": True},
        {"bounds": (0, [3.0, 2.0, 1.0])},
        {"method": "dogbox"},
    ],
    ids=["plain", "sigma", "absolute sigma", "covariance", "bounds", "dogbox"],
)
def test_curve_fit(options):
    ours, our_covariance = optimize.curve_fit(decay, T, Y, compile=False, **options)
    scipys, covariance = scipy.optimize.curve_fit(decay, T, Y, jac=decay_jacobian, **options)
    np.testing.assert_allclose(ours, scipys, rtol=1e-7)
    np.testing.assert_allclose(our_covariance, covariance, rtol=1e-6)


def test_curve_fit_compiled():
    fits = [optimize.curve_fit(decay, T, Y, compile=compiled) for compiled in (True, False)]
    for a, b in zip(*fits, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


def test_curve_fit_passes_all_else():
    y = Y.copy()
    y[3] = np.nan
    ours = optimize.curve_fit(decay, T, y, nan_policy="omit", full_output=True, compile=False)
    scipys = scipy.optimize.curve_fit(decay, T, y, nan_policy="omit", full_output=True, jac=decay_jacobian)
    np.testing.assert_allclose(ours[0], scipys[0], rtol=1e-7)
    assert len(ours) == len(scipys) == 5
    assert ours[2]["nfev"] == scipys[2]["nfev"]
    with pytest.raises(RuntimeError, match="maxfev = 2"):
        optimize.curve_fit(decay, T, Y, maxfev=2, compile=False)


# --- what cannot be compiled ---
FALLS_BACK = {
    "if": (lambda x: np.sum(x**2) if x[0] < 10 else 0, "Python `if`"),
    "mask": (lambda x: np.sum(x[x > 0] ** 2) + np.sum(x[x <= 0] ** 2), "mask"),
    "nonzero": (lambda x: np.sum(x[np.nonzero(x)] ** 2), "nonzero"),
}


@pytest.mark.parametrize("name", FALLS_BACK)
def test_what_cannot_be_compiled_runs_eagerly_with_one_warning(name):
    f, reason = FALLS_BACK[name]
    f.__name__ = "f"
    with pytest.warns(bprop.CompileWarning) as caught:
        result = optimize.minimize(f, [3, 4], method="Newton-CG")
    np.testing.assert_allclose(result.x, 0, atol=1e-6)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    text = str(caught[0].message)
    assert text.startswith("minimize: f runs eagerly, for it cannot be compiled: ")
    assert reason in text
    assert "compile=False" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eager = optimize.minimize(f, [3, 4], method="Newton-CG", compile=False)
    np.testing.assert_array_equal(eager.x, result.x)


def test_residuals_that_cannot_be_compiled_run_eagerly_with_one_warning():
    def f(x):
        return x - 1 if x[0] > -10 else x

    with pytest.warns(bprop.CompileWarning, match="least_squares: f runs eagerly") as caught:
        result = optimize.least_squares(f, [3, 4])
    np.testing.assert_allclose(result.x, 1)
    assert len(caught) == 1


def test_a_penalty_that_is_a_constant_has_no_slope():
    def f(x):
        return 1e3 if abs(x[0]) > 2 else (x[0] - 1) ** 2

    assert optimize.minimize(f, [0.0], compile=False).success
    with pytest.raises(bprop.UnreachedError, match="minimize: f does not depend on its argument x"):
        optimize.minimize(f, [3.0], compile=False)


def test_what_the_function_raises_comes_through():
    def f(x):
        raise KeyError("mine")

    for compiled in (True, False):
        with pytest.raises(KeyError, match="mine"):
            optimize.minimize(f, START, compile=compiled)


# --- bad input ---
BAD_VALUES = [
    (lambda x: x**2, bprop.ShapeError, r"minimize: f returned shape \(3,\), not one number: reduce it .*least_squares"),
    (lambda x: None, bprop.ArgumentError, "minimize: f returned None: end it with `return`"),
    (lambda x: "a", bprop.ArgumentError, "minimize: f returned str"),
    (lambda x: (x[0], x), bprop.ArgumentError, "minimize: f returned a tuple of values.*jac=True"),
    (lambda x: 1.0, bprop.UnreachedError, "minimize: f does not depend on its argument x"),
    (lambda x: 1, bprop.UnreachedError, "minimize: f does not depend on its argument x"),
    (lambda x: np.sum(x > 0), bprop.DTypeError, "minimize: f returned dtype int64.*Nelder-Mead"),
    (lambda x: np.array(2j), bprop.DTypeError, "minimize: f returned complex numbers"),
    (lambda x: np.sum(np.sqrt(x - 0.7)), bprop.NonFiniteError, "minimize: f is nan at the starting point"),
    (
        lambda x: np.sqrt(x[1] - 1),
        bprop.NonFiniteError,
        r"minimize: the gradient of f\[1\] is inf at the starting point",
    ),
]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("f", "error", "message"), BAD_VALUES)
def test_bad_values(f, error, message, compiled):
    f.__name__ = "f"
    with pytest.raises(error, match=message):
        optimize.minimize(f, START, compile=compiled)


SOLVERS = {
    "minimize": functools.partial(optimize.minimize, banana),
    "least_squares": functools.partial(optimize.least_squares, lambda x: x),
    "root": functools.partial(optimize.root, lambda x: x),
    "curve_fit": functools.partial(optimize.curve_fit, decay, T, Y),
}
BAD_STARTS = [
    ([1.0, np.nan], bprop.NonFiniteError, r"x0\[1\] is nan"),
    ([[1.0, 2.0]], bprop.ShapeError, r"x0 has shape \(1, 2\): give x0.ravel\(\)"),
    ([1j, 2], bprop.DTypeError, "x0 is complex"),
    ({"a": 1.0}, bprop.ArgumentError, "x0 is a dict"),
    ([], bprop.ShapeError, "x0 is empty"),
    (["a"], bprop.ArgumentError, "x0 holds <U1, not numbers"),
    (None, bprop.ArgumentError, "x0 holds object, not numbers"),
    ([[1.0], [1.0, 2.0]], bprop.ArgumentError, "x0 is no vector"),
]


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(("x0", "error", "message"), BAD_STARTS)
def test_bad_starts(name, x0, error, message):
    if x0 is None and name == "curve_fit":
        pytest.skip("p0=None is curve_fit's default")
    with pytest.raises(error, match=f"{name}: {message}"):
        SOLVERS[name](x0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: optimize.minimize(3, START), bprop.ArgumentError, "minimize: a function is asked for, not int"),
        (lambda: optimize.minimize(banana, START, compile=1), bprop.ArgumentError, "compile is True or False, not 1"),
        (lambda: optimize.minimize(banana, START, method="none"), ValueError, "Unknown solver none"),
        (
            lambda: optimize.least_squares(lambda x: np.ones(3), [1.0]),
            bprop.UnreachedError,
            "least_squares: <lambda> does not depend on its argument x",
        ),
        (
            lambda: optimize.least_squares(lambda x: x[:, None] * x, [1.0]),
            bprop.ShapeError,
            r"least_squares: <lambda> returned shape \(1, 1\), not one axis",
        ),
        (
            lambda: optimize.least_squares(np.sqrt, [1.0, -1.0], compile=False),
            bprop.NonFiniteError,
            r"least_squares: sqrt\[1\] is nan at the starting point",
        ),
        (
            lambda: optimize.least_squares(np.sqrt, [1.0, 0.0], compile=False),
            bprop.NonFiniteError,
            r"the Jacobian of sqrt\[1, 1\] is inf at the starting point",
        ),
        (
            lambda: optimize.root(lambda x: x[:1], [1.0, 2.0], compile=False),
            bprop.ShapeError,
            "root: <lambda> returned 1 numbers for 2 unknowns: .*method='lm'",
        ),
        (
            lambda: optimize.root_scalar(lambda x: x, x0=[1.0, 2.0]),
            bprop.ShapeError,
            r"root_scalar: x0 has shape \(2,\), not one number",
        ),
        (
            lambda: optimize.curve_fit(lambda x, c: c, T, Y, compile=False),
            bprop.ShapeError,
            r"curve_fit: <lambda> returned 1 numbers for 30 entries of ydata: .*np.full",
        ),
        (
            lambda: optimize.curve_fit(lambda x, c: c * x[:2], T, Y, compile=False),
            bprop.ShapeError,
            "curve_fit: <lambda> returned 2 numbers for 30 entries of ydata",
        ),
        (
            lambda: optimize.root_scalar(lambda x: 3.0, x0=1.0),
            bprop.UnreachedError,
            "root_scalar: <lambda> does not depend on its argument x",
        ),
        (
            lambda: optimize.root_scalar(lambda x: np.sqrt(x), x0=0.0, compile=False),
            bprop.NonFiniteError,
            "the derivative of <lambda>.* is inf at the starting point",
        ),
        (
            lambda: optimize.curve_fit(lambda x, c: np.ones(30), T, Y, compile=False),
            bprop.UnreachedError,
            "curve_fit: <lambda> does not depend on its parameters",
        ),
        (
            lambda: optimize.minimize(banana, START, constraints={"type": "eq", "fun": lambda x: None}, compile=False),
            bprop.ArgumentError,
            "minimize: <lambda> returned None",
        ),
    ],
)
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


TRANSFORMS = [
    lambda g: bprop.grad(g)(2.0),
    lambda g: bprop.compile(g)(bprop.asarray(2.0)),
    lambda g: bprop.vmap(g)(bprop.ones(2)),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=["grad", "compile", "vmap"])
@pytest.mark.parametrize(
    "g",
    [
        lambda a: optimize.minimize(lambda x: np.sum((x - a) ** 2), [0.0]).fun,
        lambda a: optimize.minimize(lambda x, a: np.sum((x - a) ** 2), [0.0], args=(a,)).fun,
        lambda a: optimize.least_squares(lambda x: x - a, [0.0]).cost,
        lambda a: optimize.root(lambda x: x - a, [0.0]).x[0],
        lambda a: optimize.minimize(banana, a * np.ones(2)).fun,
    ],
    ids=["closure", "args", "least_squares", "root", "x0"],
)
def test_a_solver_inside_of_a_transform_says_what_to_do(g, transform):
    with pytest.raises(
        bprop.DerivativeError, match=r"(minimize|least_squares|root) inside of a transform .*implicit function"
    ):
        transform(g)


def test_scipys_own_solver_inside_of_a_transform_is_not_to_be_replaced_by_ours():
    with pytest.raises(bprop.TracedValueError) as caught:
        bprop.grad(lambda a: scipy.optimize.minimize(rosen, a * np.ones(2)).fun)(2.0)
    assert "scipy.optimize.minimize of float64[2]" in str(caught.value)
    assert "write bprop.scipy" not in str(caught.value)


def test_a_solution_of_numbers_is_a_constant():
    def f(a):
        return a * optimize.minimize(lambda x: np.sum((x - 1) ** 2), np.zeros(2)).x[0]

    np.testing.assert_allclose(bprop.grad(f)(2.0), 1.0)


def test_a_start_at_zero_slope_is_no_error():
    result = optimize.least_squares(lambda x: x**2, [0.0, 0.0], compile=False)
    np.testing.assert_array_equal(result.x, 0)


@pytest.mark.parametrize("x0", [1, [1, 2], np.float32([1, 2]), (True, False), bprop.ones(2)])
def test_x_is_float64(x0):
    seen = []
    result = optimize.minimize(lambda x: seen.append(x.dtype) or np.sum((x - 1) ** 2), x0, compile=False)
    assert set(seen) == {np.dtype(np.float64)}
    assert result.x.dtype == np.float64


@pytest.mark.parametrize("f", [lambda x: x @ x, lambda x: np.reshape(x @ x, (1,)), lambda x: np.float32(2) * (x @ x)])
def test_a_value_is_one_number_of_any_shape(f):
    result = optimize.minimize(f, [1.0, 2.0], compile=False)
    assert type(result.fun) in (float, np.float64)
    assert result.success


MASKED = np.ma.masked_array([1.0, 2.0, 100.0], [0, 0, 1])


@pytest.mark.parametrize(
    "call",
    [
        lambda: optimize.curve_fit(lambda x, a: a * x, [1.0, 2.0, 3.0], MASKED),
        lambda: optimize.curve_fit(lambda x, a: a * x, MASKED, [1.0, 2.0, 3.0]),
        lambda: optimize.curve_fit(lambda x, a: a * x, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], sigma=MASKED),
        lambda: optimize.least_squares(lambda p, y: p[0] - y, [1.0], args=(MASKED,)),
        lambda: optimize.minimize(lambda p: np.sum(p**2), MASKED),
        lambda: optimize.minimize(lambda p: np.sum(p**2), MASKED, method="Nelder-Mead"),
        lambda: optimize.root(lambda p: p - 1, MASKED),
        lambda: optimize.root_scalar(lambda p, y: p - np.sum(y), x0=1.0, args=(MASKED,)),
    ],
)
def test_what_is_masked_is_no_data(call):
    """SciPy's fit goes through it. Planted: `on_numbers` without `refuse_masked`."""
    with pytest.raises(
        bprop.ArgumentError, match=r"^(curve_fit|least_squares|minimize|root|root_scalar): a masked array"
    ):
        call()
