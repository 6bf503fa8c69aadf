"""What solvers ask of a user's function: values and derivatives, as NumPy arrays.

What a solver gets are methods of `Objective` (one number), `Residuals` (a vector, also that of a `Model`) and `Equation` (one number
of one number).
"""

import functools
from typing import Any

import numpy as np

from ..core.error import UnreachedError
from ..core.value import Array
from ..gradients import linearize, value_and_grad, vjp, vmap
from ..gradients.absent import masked_sweep
from ..gradients.variable import name_of
from ..ops import sum
from .solver import (
    Function,
    Solver,
    hessian_matrix,
    hessian_product,
    jacobian_by_columns,
    jacobian_by_rows,
    scalar,
    value_and_gradient,
    value_and_slope,
    value_and_slopes,
    vector,
)  # fmt: skip

SMOOTH = "start where it is differentiable, or keep both branches of np.where finite"
"""What to do where a derivative at the start is NaN or infinite."""


def numbers(f: Function) -> Function:
    """Return ``f`` with arrays of bprop made NumPy's, for a method that asks for no derivatives."""

    @functools.wraps(f, updated=())
    def value(*args: Any, **options: Any) -> Any:
        y = f(*args, **options)
        return np.asarray(y) if isinstance(y, Array) else y

    return value


class Model:
    """A model f(xdata, *parameters) as a function of the vector of parameters and xdata."""

    def __init__(self, f: Function) -> None:
        self.f = f
        self.__name__ = name_of(f)

    def __call__(self, parameters: Any, xdata: Any) -> Any:
        return self.f(xdata, *[parameters[i] for i in range(parameters.shape[0])])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.f == other.f

    def __hash__(self) -> int:
        return hash(self.f)


class Objective:
    """A function to one number, with derivatives by a vector."""

    def __init__(self, solver: Solver, f: Function) -> None:
        self.solver, self.f, self.title = solver, f, solver.title(f)
        self._both = solver.program(value_and_gradient, f)
        self._begun = False

    def value_and_gradient(self, x: Any, *args: Any) -> Any:
        """Return both, by one evaluation; where the value is a constant (a penalty), but for the start, the gradient is 0."""
        try:
            value, gradient = self._both(x, *args)
        except UnreachedError:
            if self._begun:
                return float(scalar(self.title, self.f)(x, *args)), np.zeros(np.shape(x))
            raise _unreached(self.title, self.f) from None
        value, gradient = float(value), np.array(gradient, np.float64)
        if not self._begun:
            self.solver.check_finite(name_of(self.f), value, "start where it has a value")
            self.solver.check_finite(f"the gradient of {name_of(self.f)}", gradient, SMOOTH)
            self._begun = True
        return value, gradient

    @functools.cached_property
    def _hessian_product(self) -> Function:
        return self.solver.program(hessian_product, self.f)

    @functools.cached_property
    def _hessian(self) -> Function:
        return self.solver.program(hessian_matrix, self.f)

    def hessian_product(self, x: Any, x_dot: Any, *args: Any) -> Any:
        """Return the Hessian times a vector."""
        return np.array(self._hessian_product(x, np.asarray(x_dot, np.float64), *args), np.float64)

    def hessian(self, x: Any, *args: Any) -> Any:
        """Return the Hessian, (n, n)."""
        return np.array(self._hessian(x, *args), np.float64)


def _unreached(title: str, f: Function) -> UnreachedError:
    """Return the error of a function that does not depend on what it is differentiated by."""
    code = getattr(f, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    variable = "its parameters" if isinstance(f, Model) else " ".join(["its argument", *names[:1]])
    return UnreachedError(
        f"{title} does not depend on {variable}: was it replaced, cut by stop_gradient or taken as a number?"
    )


def check_reached(
    title: str, f: Function, value: Function, x: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """Raise where a derivative is 0 because there is no way from x to the value (of ``f``, in one array)."""
    try:
        value_and_grad(lambda x: sum(value(x, *args, **options)))(x)
    except UnreachedError:
        raise _unreached(title, f) from None


class Residuals:
    """A function to a vector, with its Jacobian.

    Eager, an evaluation records its linear map, and the Jacobian at the same point runs no code of the user's. Compiled, the
    value and the Jacobian have a program each, since most methods ask for more values than Jacobians.
    """

    def __init__(self, solver: Solver, f: Function) -> None:
        self.solver, self.f, self.title = solver, f, solver.title(f)
        self._vector = vector(self.title, f)
        self._value = solver.program(vector, f, self._evaluate)
        self._columns = solver.program(jacobian_by_columns, f, self._recorded_jacobian)
        self._rows = solver.program(jacobian_by_rows, f, self._recorded_jacobian)
        self._at: Any = None  # the point of the last evaluation
        self._sweep: Function | None = None  # the Jacobian there
        self._shape: tuple[int, ...] | None = None
        self._checked = False

    def value(self, x: Any, *args: Any, **options: Any) -> Any:
        """Return the vector."""
        y = np.array(self._value(x, *args, **options), np.float64)
        if self._shape is None:
            self.solver.check_finite(name_of(self.f), y, "start where it has a value")
        self._shape = y.shape
        return y

    def jacobian(self, x: Any, *args: Any, **options: Any) -> Any:
        """Return the Jacobian, (m, n): by columns, or by rows where these are fewer."""
        m = self._shape[0] if self._shape is not None else np.size(x)
        J = np.array((self._rows if m < np.size(x) else self._columns)(x, *args, **options), np.float64)
        if not self._checked:
            self._check(J, x, args, options)
        return J

    def _check(self, J: Any, x: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._checked = True
        self.solver.check_finite(f"the Jacobian of {name_of(self.f)}", J, SMOOTH)
        if not J.any():  # zeros, or no way from x to the result
            check_reached(self.title, self.f, self._vector, x, args, options)

    def _evaluate(self, x: Any, *args: Any, **options: Any) -> Any:
        """Return the vector, and keep what the Jacobian at the same point needs."""
        x = np.array(x, np.float64)  # a solver may go on with its buffer

        def f(x: Any) -> Any:
            return self._vector(x, *args, **options)

        if self._shape is not None and self._shape[0] < x.size:
            y, pullback = vjp(f, x)
            seeds = np.eye(y.shape[0])
            self._sweep = lambda: vmap(lambda y_bar: pullback(y_bar, one_hot=True)[0])(seeds)
        else:
            y, pushforward = linearize(f, x)
            seeds = np.eye(x.size)
            graph = pushforward.graph

            def column(seed: Any) -> Any:
                return masked_sweep(lambda bars: graph(*bars), [seed], [seed != 0])[0]

            self._sweep = lambda: vmap(column, out_axes=-1)(seeds)
        self._at = x
        return y

    def _recorded_jacobian(self, x: Any, *args: Any, **options: Any) -> Any:
        if self._sweep is None or not np.array_equal(x, self._at):
            self._evaluate(x, *args, **options)
        assert self._sweep is not None
        return self._sweep()


class Equation:
    """A function of one number to one number, with its first and second derivative."""

    def __init__(self, solver: Solver, f: Function, second: bool) -> None:
        self.solver, self.f, self.title = solver, f, solver.title(f)
        self._all = solver.program(value_and_slopes if second else value_and_slope, f)
        self._begun = False

    def value_and_derivatives(self, x: Any, *args: Any) -> tuple[float, ...]:
        """Return f, f' and, if it was asked for, f''."""
        results = tuple(float(y) for y in self._all(np.float64(x), *args))
        if not self._begun:
            self._begun = True
            self.solver.check_finite(name_of(self.f), results[0], "start where it has a value")
            self.solver.check_finite(f"the derivative of {name_of(self.f)}", results[1:], SMOOTH)
            if not results[1]:
                check_reached(self.title, self.f, scalar(self.title, self.f), np.float64(x), args, {})
        return results
