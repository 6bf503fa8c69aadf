"""SciPy's solvers by SciPy's names and arguments, with derivatives by bprop: `minimize`, `least_squares`, `root`, `curve_fit`.

The function is written with NumPy. Value and gradient come from one evaluation, compiled once where that is possible; methods that
use second derivatives get exact ones. Results are SciPy's, with NumPy arrays.

>>> import bprop, numpy as np
>>> rosenbrock = lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
>>> bprop.scipy.optimize.minimize(rosenbrock, np.zeros(4)).x.round(4)
array([1., 1., 1., 1.])
"""

import copy
import functools
from typing import Any

import numpy as np
import scipy.optimize

from ..core.error import ArgumentError, ShapeError
from ..core.lazy import exported
from ..gradients.variable import name_of
from .objective import Equation, Model, Objective, Residuals, numbers
from .solver import Function, Solver, on_numbers

__all__ = ["curve_fit", "least_squares", "minimize", "root", "root_scalar"]
__dir__ = exported(__name__)

WITHOUT_DERIVATIVES = ("nelder-mead", "powell", "cobyla", "cobyqa")
WITH_HESSIAN_PRODUCT = ("newton-cg", "trust-ncg", "trust-krylov", "trust-constr")
WITH_HESSIAN = ("dogleg", "trust-exact")
WITH_JACOBIAN = ("hybr", "lm")


@on_numbers
def minimize(
    fun: Function,
    x0: Any,
    args: Any = (),
    method: Any = None,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Function | None = None,
    options: dict[str, Any] | None = None,
    *,
    compile: bool = True,
) -> Any:
    """Return the minimum of ``fun(x, *args)``, one number, near ``x0``, as SciPy's ``OptimizeResult``.

    ``x0``: (n,), taken as float64. ``method``, ``bounds``, ``tol``, ``callback``, ``options``: as in SciPy. ``jac=None``: value and
    gradient by one evaluation; where the method uses them, Hessian-vector products (Newton-CG, trust-ncg, trust-krylov,
    trust-constr) or the Hessian (dogleg, trust-exact). Methods without derivatives get the function as it is. Constraints, dicts and
    ``NonlinearConstraint``, get their Jacobians. What is given as ``jac``, ``hess`` or ``hessp``, or a constraint's ``jac``, is used
    instead; ``jac="2-point"`` and ``jac=False`` are SciPy's differences (a ``NonlinearConstraint``'s "2-point" is its default and
    counts as not given). ``compile=False`` evaluates eagerly; a function that cannot be compiled does so with a `CompileWarning`
    that names the reason.

    Raises `ShapeError` where the value is no single number or x0 no vector, `DTypeError` for integers and complex numbers,
    `UnreachedError` where the value does not depend on x, `NonFiniteError` where x0, or value or gradient there, is NaN or infinite.

    **Source:** SciPy, ``scipy.optimize.minimize``; Nocedal & Wright (2006), Numerical Optimization.

    >>> import bprop, numpy as np
    >>> result = bprop.scipy.optimize.minimize(lambda x: (x[0] - 1) ** 2 + (x[0] + x[1]) ** 2, [3, 0], method="trust-exact")
    >>> result.x.round(6), bool(result.success)
    (array([ 1., -1.]), True)
    """
    solver = Solver("minimize", compile)
    x = np.atleast_1d(solver.start(x0))
    solver.title(fun)
    rest: dict[str, Any] = {"bounds": bounds, "tol": tol, "callback": callback, "options": options}
    name = method.lower() if isinstance(method, str) else ""
    if name in WITHOUT_DERIVATIVES:
        return scipy.optimize.minimize(numbers(fun), x, args, method, jac, hess, hessp, constraints=constraints, **rest)
    constraints = _differentiated(solver, constraints)
    if jac is not None and jac is not True and not callable(jac):  # SciPy's differences
        return scipy.optimize.minimize(numbers(fun), x, args, method, jac, hess, hessp, constraints=constraints, **rest)
    value = _ValueOfPair(fun) if jac is True else fun
    objective = Objective(solver, value)
    if hess is None and hessp is None:
        hessp = objective.hessian_product if name in WITH_HESSIAN_PRODUCT or callable(method) else None
        hess = objective.hessian if name in WITH_HESSIAN else None
    given, jac = (objective.value_and_gradient, True) if jac is None else (numbers(fun), jac)
    return scipy.optimize.minimize(given, x, args, method, jac, hess, hessp, constraints=constraints, **rest)


class _ValueOfPair:
    """The value of a function that returns it with its gradient."""

    def __init__(self, f: Function) -> None:
        self.f = f
        functools.update_wrapper(self, f, updated=())

    def __call__(self, *args: Any) -> Any:
        pair = self.f(*args)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ArgumentError(
                f"minimize: with jac=True {name_of(self.f)} returns (value, gradient), not {type(pair).__name__}: leave jac "
                f"out, and the gradient is derived"
            )
        return pair[0]


def _differentiated(solver: Solver, constraints: Any) -> Any:
    """Return the constraints with Jacobians where none are given."""
    if isinstance(constraints, list | tuple):
        return [_differentiated(solver, constraint) for constraint in constraints]
    if isinstance(constraints, dict) and callable(constraints.get("fun")) and constraints.get("jac") is None:
        residuals = Residuals(solver, constraints["fun"])
        return constraints | {"fun": residuals.value, "jac": residuals.jacobian}
    if (
        isinstance(constraints, scipy.optimize.NonlinearConstraint)
        and constraints.jac in ("2-point", None)
        and constraints.finite_diff_jac_sparsity is None
    ):
        residuals = Residuals(solver, constraints.fun)
        result = copy.copy(constraints)
        result.fun, result.jac = residuals.value, residuals.jacobian
        return result
    return constraints


@on_numbers
def least_squares(
    fun: Function,
    x0: Any,
    jac: Any = None,
    bounds: Any = (-np.inf, np.inf),
    method: str = "trf",
    ftol: float | None = 1e-8,
    xtol: float | None = 1e-8,
    gtol: float | None = 1e-8,
    x_scale: Any = None,
    loss: Any = "linear",
    f_scale: float = 1.0,
    diff_step: Any = None,
    tr_solver: str | None = None,
    tr_options: dict[str, Any] | None = None,
    jac_sparsity: Any = None,
    max_nfev: int | None = None,
    verbose: int = 0,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    compile: bool = True,
    **newer: Any,
) -> Any:
    """Return the minimum of half the sum of squares of the residuals ``fun(x, *args, **kwargs)``, (m,), near ``x0``, (n,).

    ``jac=None``: the Jacobian by bprop. What is given instead ("2-point", a function) is used, and so are SciPy's differences with
    ``jac_sparsity``. The other arguments are SciPy's; ``newer`` are those that your SciPy has besides (``callback``, ``workers``).
    ``compile``: see `minimize`. Raises `ShapeError` where the residuals have more than one axis or x0 is no vector, `DTypeError`
    for integers and complex numbers, `UnreachedError` where no residual depends on x, `NonFiniteError` where x0, or a residual or
    derivative there, is NaN or infinite.

    **Source:** SciPy, ``scipy.optimize.least_squares``; Moré (1978), The Levenberg-Marquardt algorithm.

    >>> import bprop, numpy as np
    >>> t = np.array([0.0, 1.0, 2.0])
    >>> result = bprop.scipy.optimize.least_squares(lambda x: x[0] * np.exp(-x[1] * t) - 2 * np.exp(-t), [1, 0], method="lm")
    >>> result.x.round(6)
    array([2., 1.])
    """
    solver = Solver("least_squares", compile)
    x = solver.start(x0)
    solver.title(fun)
    if x_scale is not None:  # whose default is another one in other versions
        newer["x_scale"] = x_scale
    given: Function = numbers(fun)
    if jac_sparsity is not None and jac is None:
        jac = "2-point"
    elif jac is None:
        residuals = Residuals(solver, fun)
        given, jac = residuals.value, residuals.jacobian
    return scipy.optimize.least_squares(
        given, x, jac, bounds, method, ftol, xtol, gtol, loss=loss, f_scale=f_scale, diff_step=diff_step,
        tr_solver=tr_solver, tr_options=tr_options or {}, jac_sparsity=jac_sparsity, max_nfev=max_nfev, verbose=verbose,
        args=args, kwargs=kwargs or {}, **newer,
    )  # fmt: skip


@on_numbers
def root(
    fun: Function,
    x0: Any,
    args: Any = (),
    method: str = "hybr",
    jac: Any = None,
    tol: float | None = None,
    callback: Function | None = None,
    options: dict[str, Any] | None = None,
    *,
    compile: bool = True,
) -> Any:
    """Return where ``fun(x, *args)``, a vector, is zero, near ``x0``, (n,), as SciPy's ``OptimizeResult``.

    Methods hybr and lm get the Jacobian by bprop; the others use none. What is given as ``jac`` is used instead, ``jac=False``
    is SciPy's differences. ``compile`` and errors: see `least_squares`.

    **Source:** SciPy, ``scipy.optimize.root``; Powell (1970), A hybrid method for nonlinear equations.

    >>> import bprop, numpy as np
    >>> bprop.scipy.optimize.root(lambda x: np.cos(x) - x, [0.5, 1.0]).x.round(6)
    array([0.739085, 0.739085])
    """
    solver = Solver("root", compile)
    x = solver.start(x0)
    solver.title(fun)
    given: Function = numbers(fun)
    if jac is None and isinstance(method, str) and method.lower() in WITH_JACOBIAN:
        residuals = Residuals(solver, fun)
        given, jac = residuals.value, residuals.jacobian
        if method.lower() == "hybr":
            given = _square(solver, residuals)
    return scipy.optimize.root(given, x, args, method, jac, tol, callback, options)


def _square(solver: Solver, residuals: Residuals) -> Function:
    """Return the residuals' values, as many as there are unknowns."""

    def value(x: Any, *args: Any) -> Any:
        y = residuals.value(x, *args)
        if y.size != np.size(x):
            raise ShapeError(
                f"{residuals.title} returned {y.size} numbers for {np.size(x)} unknowns: method='hybr' wants as many "
                f"equations as unknowns; for more equations take method='lm' or least_squares"
            )
        return y

    return value


@on_numbers
def root_scalar(
    f: Function,
    args: Any = (),
    method: str | None = None,
    bracket: Any = None,
    fprime: Any = None,
    fprime2: Any = None,
    x0: Any = None,
    x1: Any = None,
    xtol: float | None = None,
    rtol: float | None = None,
    maxiter: int | None = None,
    options: dict[str, Any] | None = None,
    *,
    compile: bool = True,
) -> Any:
    """Return where ``f(x, *args)``, one number of one number, is zero, as SciPy's ``RootResults``.

    Methods newton (also where only ``x0`` is given) and halley get their derivatives by bprop, with the value in one evaluation,
    unless ``fprime`` is given. The other methods use none. ``compile`` and errors: see `minimize`.

    **Source:** SciPy, ``scipy.optimize.root_scalar``.

    >>> import bprop, numpy as np
    >>> round(float(bprop.scipy.optimize.root_scalar(lambda x: np.cos(x) - x, x0=1, method="halley").root), 6)
    0.739085
    """
    solver = Solver("root_scalar", compile)
    solver.title(f)
    given: Function = numbers(f)
    name = method.lower() if isinstance(method, str) else "newton" if bracket is None and x1 is None else ""
    if name in ("newton", "halley") and x0 is not None and fprime is None and fprime2 is None:
        x0 = solver.start(x0)
        if x0.ndim:
            raise ShapeError(f"root_scalar: x0 has shape {x0.shape}, not one number: for a vector take root")
        given = Equation(solver, f, second=name == "halley").value_and_derivatives
        method, fprime, fprime2, x0 = name, True, name == "halley" or None, float(x0)
    return scipy.optimize.root_scalar(
        given, args, method, bracket, fprime, fprime2, x0, x1, xtol, rtol, maxiter, options
    )


@on_numbers
def curve_fit(
    f: Function,
    xdata: Any,
    ydata: Any,
    p0: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = None,
    bounds: Any = (-np.inf, np.inf),
    method: str | None = None,
    jac: Any = None,
    *,
    full_output: bool = False,
    nan_policy: str | None = None,
    compile: bool = True,
    **kwargs: Any,
) -> Any:
    """Return the parameters with which the model ``f(xdata, *parameters)`` fits ``ydata`` best, and their covariance.

    The model returns (m,), one value per entry of ``ydata``. ``jac=None``: its Jacobian by the parameters, by bprop; what is given
    instead is used. All else is SciPy's: p0 = None starts at 1 for as many parameters as the signature of f has, bounds choose
    method "trf", and the covariance is scaled by the residuals unless ``absolute_sigma``. ``compile`` and errors: see
    `least_squares`.

    **Source:** SciPy, ``scipy.optimize.curve_fit``.

    >>> import bprop, numpy as np
    >>> x = np.arange(4.0)
    >>> best, covariance = bprop.scipy.optimize.curve_fit(lambda x, a, b: a * np.exp(-b * x), x, [5.0, 1.8, 0.7, 0.2])
    >>> best.round(3), np.sqrt(np.diag(covariance)).round(3)
    (array([4.998, 1.013]), array([0.041, 0.019]))
    """
    solver = Solver("curve_fit", compile)
    solver.title(f)
    given: Function = numbers(f)
    if jac is None:
        given, jac = _fitted(solver, f, None if nan_policy == "omit" else np.size(ydata))
    if p0 is not None:
        p0 = np.atleast_1d(solver.start(p0))
    newer = {} if nan_policy is None else {"nan_policy": nan_policy}
    return scipy.optimize.curve_fit(
        given, xdata, ydata, p0, sigma, absolute_sigma, check_finite, bounds, method, jac, full_output=full_output,
        **newer, **kwargs,
    )  # fmt: skip


def _fitted(solver: Solver, f: Function, count: int | None) -> tuple[Function, Function]:
    """Return a model's ``count`` values and their Jacobian, as functions of xdata and the parameters."""
    residuals = Residuals(solver, Model(f))

    @functools.wraps(f, updated=())  # SciPy counts the parameters by the signature
    def values(xdata: Any, *parameters: Any) -> Any:
        y = residuals.value(np.array(parameters, np.float64), xdata)
        if count is not None and y.size != count:
            raise ShapeError(
                f"{residuals.title} returned {y.size} numbers for {count} entries of ydata: return one per entry (of a constant c, "
                f"np.full(x.shape, c))"
            )
        return y

    def jacobian(xdata: Any, *parameters: Any) -> Any:
        return residuals.jacobian(np.array(parameters, np.float64), xdata)

    return values, jacobian
