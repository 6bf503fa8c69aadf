"""SciPy's optimisers and integrators take bprop's derivatives as they are, and come where they come with NumPy's.

Planted: `apply_function` that refuses functions without a rule also where there is no derivative.
"""

import numpy as np
import pytest
import scipy.optimize as so
from numpy.testing import assert_allclose
from scipy.integrate import odeint, solve_ivp

import bprop

START = np.array([-1.2, 1.0, 0.5])


def f(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


grad, hess = bprop.grad(f), bprop.hessian(f)


def hessp(x, p):
    return bprop.hvp(f, (x,), (p,))


def same(ours, theirs, tolerance=1e-6):
    assert_allclose(np.asarray(ours), theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("method", ["CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP", "trust-constr"])
def test_minimize_with_a_gradient(method):
    options = {"method": method, "options": {"maxfun": 3000}} if method == "TNC" else {"method": method}
    theirs = so.minimize(so.rosen, START, jac=so.rosen_der, **options)
    for ours in (
        so.minimize(f, START, jac=grad, **options),
        so.minimize(bprop.value_and_grad(f), START, jac=True, **options),
    ):
        assert ours.success == theirs.success
        same(ours.x, theirs.x, 1e-3 if method == "TNC" else 1e-4)  # roundings of the gradient, magnified by the steps


@pytest.mark.parametrize("method", ["Newton-CG", "dogleg", "trust-ncg", "trust-krylov", "trust-exact", "trust-constr"])
def test_minimize_with_a_hessian(method):
    start = np.array([1.1, 1.2, 1.3]) if method == "dogleg" else START  # it needs a positive definite one
    theirs = so.minimize(so.rosen, start, jac=so.rosen_der, hess=so.rosen_hess, method=method)
    same(so.minimize(f, start, jac=grad, hess=hess, method=method).x, theirs.x, 1e-5)
    if method not in ("dogleg", "trust-exact"):
        theirs = so.minimize(so.rosen, start, jac=so.rosen_der, hessp=so.rosen_hess_prod, method=method)
        same(so.minimize(f, start, jac=grad, hessp=hessp, method=method).x, theirs.x, 1e-5)


@pytest.mark.parametrize("method", ["Nelder-Mead", "Powell", "COBYLA", "COBYQA", "CG", "BFGS", "L-BFGS-B", "SLSQP"])
def test_minimize_a_function_that_returns_an_array(method):
    options = {"options": {"maxiter": 60}} if method in ("COBYLA", "COBYQA") else {}
    ours = so.minimize(lambda x: f(bprop.asarray(x)), START, method=method, **options)
    same(ours.x, so.minimize(f, START, method=method, **options).x, 1e-5)


def test_the_older_functions_and_global_searches():
    same(so.fmin_bfgs(f, START, fprime=grad, disp=0), np.ones(3), 1e-4)
    same(so.fmin_l_bfgs_b(f, START, fprime=grad)[0], np.ones(3), 1e-4)
    same(so.fmin_slsqp(f, START, fprime=grad, iprint=0), np.ones(3), 1e-3)
    local = {"jac": grad, "method": "L-BFGS-B"}
    same(so.basinhopping(f, START, minimizer_kwargs=local, niter=2, rng=0).x, np.ones(3), 1e-4)
    same(so.dual_annealing(f, [(-2, 2)] * 3, maxiter=3, rng=0, minimizer_kwargs=local).x, np.ones(3), 1e-4)
    assert so.check_grad(f, grad, START) < 1e-3
    same(so.approx_fprime(START, grad), so.rosen_hess(START), 1e-4)
    step = so.line_search(f, grad, START, -so.rosen_der(START))[0]
    same(step, so.line_search(so.rosen, so.rosen_der, START, -so.rosen_der(START))[0])


def test_constraints():
    inside = lambda x: 2.0 - np.sum(x**2)
    outside = lambda x: np.stack([np.sum(x**2)])
    expected = so.minimize(so.rosen, START, jac=so.rosen_der, method="SLSQP",
                           constraints={"type": "ineq", "fun": inside, "jac": lambda x: -2 * x}).x  # fmt: skip
    old = so.NonlinearConstraint(outside, -np.inf, 2.0, jac=bprop.jacobian(outside))
    nonlinear = so.NonlinearConstraint(outside, -np.inf, 2.0, jac=bprop.jacobian(outside),
                                       hess=lambda x, v: bprop.hessian(lambda x: np.sum(v * outside(x)))(x))  # fmt: skip
    linear = so.LinearConstraint(np.eye(3), -3, 3)
    for method, options in (
        ("SLSQP", {"constraints": {"type": "ineq", "fun": inside, "jac": bprop.grad(inside)}}),
        ("SLSQP", {"constraints": [old, linear]}),
        ("trust-constr", {"hess": hess, "constraints": [nonlinear, linear], "bounds": [(-2, 2)] * 3}),
    ):
        same(so.minimize(f, START, jac=grad, method=method, **options).x, expected, 1e-3)


def residuals(x):
    return np.stack([10 * (x[1] - x[0] ** 2), 1 - x[0], x[2] - x[0]])


def test_least_squares_and_roots():
    jacobian = bprop.jacobian(residuals)
    for method in ("trf", "dogbox", "lm"):
        ours = so.least_squares(residuals, START, jac=jacobian, method=method)
        same(ours.x, so.least_squares(residuals, START, method=method).x)
    bounded = so.least_squares(residuals, START, jac=jacobian, bounds=(-2, 3), loss="soft_l1", x_scale="jac")
    same(bounded.x, np.ones(3))
    for method in ("hybr", "lm"):
        same(so.root(residuals, START, jac=jacobian, method=method).x, np.ones(3))
        same(so.root(lambda x: (residuals(x), jacobian(x)), START, jac=True, method=method).x, np.ones(3))
    same(so.fsolve(residuals, START, fprime=jacobian), np.ones(3))
    same(so.leastsq(residuals, START, Dfun=jacobian)[0], np.ones(3))
    for method in ("broyden1", "krylov", "df-sane"):  # without derivatives, of a function that returns an Array
        f = lambda x: x + 0.1 * np.tanh(x) - np.arange(3.0)
        same(so.root(lambda x: f(bprop.asarray(x)), START, method=method).x, so.root(f, START, method=method).x, 1e-5)  # noqa: B023


def test_curve_fit():
    x = np.linspace(0, 3, 20)
    model = lambda x, a, b: a * np.exp(-b * x)
    y = model(x, 2.0, 1.3) + 0.01 * np.cos(9 * x)
    jac = lambda x, a, b: np.stack(bprop.jacobian(model, argnums=(1, 2))(x, a, b), axis=1)
    for options in ({}, {"sigma": np.full(20, 0.1)}, {"bounds": (0, 5)}, {"method": "dogbox"}):
        ours, theirs = (
            so.curve_fit(model, x, y, p0=(1.0, 1.0), jac=jac, **options),
            so.curve_fit(model, x, y, p0=(1.0, 1.0), **options),
        )
        same(ours[0], theirs[0])
        same(ours[1], theirs[1], 1e-5)


def test_newton():
    q = lambda x: x**3 - 2 * x - 5
    first, second = bprop.grad(q), bprop.grad(bprop.grad(q))
    root = so.brentq(q, 2, 3)
    same(so.newton(q, 2.0, fprime=first), root)
    same(so.newton(q, 2.0, fprime=first, fprime2=second), root)
    same(so.newton(q, np.array([2.0, 3.0]), fprime=bprop.grad(lambda x: np.sum(q(x)))), [root, root])
    same(so.root_scalar(q, x0=2.0, fprime=first, method="newton").root, root)
    same(so.root_scalar(q, x0=2.0, fprime=first, fprime2=second, method="halley").root, root)
    same(so.root_scalar(lambda x: (q(x), first(x)), x0=2.0, fprime=True).root, root)
    for method in ("brentq", "bisect", "ridder", "toms748"):
        same(so.root_scalar(lambda x: q(bprop.asarray(x)), bracket=(2, 3), method=method).root, root)
    same(so.minimize_scalar(lambda x: bprop.asarray(x) ** 2 - x).x, 0.5)


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA", "RK45"])
def test_differential_equations(method):
    rhs = lambda t, y: np.stack([y[1], 10 * (1 - y[0] ** 2) * y[1] - y[0]])
    jac = {} if method == "RK45" else {"jac": bprop.jacobian(rhs, 1)}
    theirs = {} if method == "RK45" else {"jac": lambda t, y: np.asarray(bprop.jacobian(rhs, 1)(t, y))}
    ours = solve_ivp(lambda t, y: rhs(t, bprop.asarray(y)), (0, 0.5), [1.0, 0.0], method=method, **jac).y
    same(ours, solve_ivp(rhs, (0, 0.5), [1.0, 0.0], method=method, **theirs).y)
    if method == "LSODA":
        ours = odeint(lambda y, t: rhs(t, y), [1.0, 0.0], [0, 1.0], Dfun=lambda y, t: bprop.jacobian(rhs, 1)(t, y))
        same(ours, odeint(lambda y, t: rhs(t, y), [1.0, 0.0], [0, 1.0]), 1e-5)


def test_compiled_derivatives():
    energy = lambda x: bprop.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    compiled = bprop.compile(bprop.value_and_grad(energy))
    same(so.minimize(compiled, START, jac=True).x, np.ones(3), 1e-5)
    same(so.minimize(energy, START, jac=bprop.compile(bprop.grad(energy)), hess=bprop.compile(bprop.hessian(energy)),
                     method="trust-exact").x, np.ones(3), 1e-5)  # fmt: skip
