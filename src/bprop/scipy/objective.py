"""What solvers ask of a user's function: values and derivatives as NumPy arrays, compiled where that is possible.

A `Solver` is one call of a solver. What it hands over are methods of `Objective` (one number), `Residuals` (a vector) and
`Equation` (one number of one number).
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..compile import compile
from ..core.error import (
    ArgumentError,
    CompileWarning,
    DTypeError,
    NonFiniteError,
    ShapeError,
    UnreachedError,
    user_place,
)
from ..core.value import Array
from ..gradients import hessian, hvp, jacobian, jvp, linearize, value_and_grad, vjp, vmap
from ..gradients.absent import masked_sweep
from ..gradients.variable import as_array, name_of
from ..ops import reshape, stack, sum

Function = Callable[..., Any]
Derive = Callable[[str, Function], Function]
KEPT = 16
"""Functions whose programs are kept, so that the next call of a solver finds them."""


# --- what a function returns ---
def _checked(what: str, y: Any) -> Array:
    """Return what a function returned as an array of real numbers."""
    if isinstance(y, list | tuple) and any(isinstance(entry, Array) for entry in y):
        raise ArgumentError(
            f"{what} returned a {type(y).__name__} of values: join them by bprop.stack([…]), so that they are one array with "
            f"derivatives"
        )
    if not isinstance(y, Array) and np.iscomplexobj(y):
        raise DTypeError(f"{what} returned complex numbers: return real ones, such as np.abs(z) ** 2")
    y = as_array(y if isinstance(y, Array) else np.asarray(y, np.float64) if _is_number(y) else y, what)
    if y.dtype.kind != "f":
        raise DTypeError(
            f"{what} returned dtype {y.dtype}, which has no derivative: return floats, or take a method without derivatives "
            f"(Nelder-Mead, Powell)"
        )
    return y


def _is_number(y: Any) -> bool:
    """Return whether a value is a constant, whose dtype says nothing: 0 as a penalty is 0.0."""
    return isinstance(y, bool | int | np.number | np.bool_)


def _scalar(what: str, f: Function) -> Function:
    """Return ``f`` with its value as a 0-d array; as in SciPy an array of one entry is a number, too."""

    @functools.wraps(f, updated=())
    def value(*args: Any, **options: Any) -> Array:
        y = _checked(what, f(*args, **options))
        if y.size != 1:
            raise ShapeError(
                f"{what} returned shape {y.shape}, not one number: reduce it (np.sum of it, or of its squares), or give the "
                f"vector to bprop.scipy.optimize.least_squares or root"
            )
        return reshape(y, ())

    return value


def _vector(what: str, f: Function) -> Function:
    """Return ``f`` with its value as a 1-d array."""

    @functools.wraps(f, updated=())
    def values(*args: Any, **options: Any) -> Array:
        y = f(*args, **options)
        if isinstance(y, list | tuple) and y:
            y = stack([_checked(what, entry) for entry in y])
        y = _checked(what, y)
        if y.ndim > 1:
            raise ShapeError(f"{what} returned shape {y.shape}, not one axis: return np.ravel of it")
        return reshape(y, (-1,))

    return values


# --- what is compiled: each a function of a name and the user's function ---
def _value_and_gradient(what: str, f: Function) -> Function:
    return value_and_grad(_scalar(what, f))


def _hessian_product(what: str, f: Function) -> Function:
    value = _scalar(what, f)
    return lambda x, x_dot, *args: hvp(functools.partial(_first, value, args), (x,), (x_dot,))


def _hessian(what: str, f: Function) -> Function:
    return hessian(_scalar(what, f))


def _jacobian_by_rows(what: str, f: Function) -> Function:
    return jacobian(_vector(what, f))


def _jacobian_by_columns(what: str, f: Function) -> Function:
    return jacobian(_vector(what, f), mode="forward")


def _value_and_slope(what: str, f: Function) -> Function:
    value = _scalar(what, f)
    return lambda x, *args: jvp(functools.partial(_first, value, args), (x,), (_one(x),))


def _value_and_slopes(what: str, f: Function) -> Function:
    both = _value_and_slope(what, f)

    def three(x: Any, *args: Any) -> Any:
        (y, slope), (_, curvature) = jvp(lambda x: both(x, *args), (x,), (_one(x),))
        return y, slope, curvature

    return three


def _one(x: Any) -> Any:
    return np.ones(np.shape(x))


def _first(f: Function, args: tuple[Any, ...], x: Any) -> Any:
    """Return ``f(x, *args)``: a function of x alone, that is called as ``f`` is."""
    return f(x, *args)


@functools.lru_cache(maxsize=KEPT)
def _kept_program(derive: Derive, what: str, f: Function) -> Function:
    return compile(derive(what, f))


def _native(derive: Derive, what: str, f: Function) -> Function:
    """Return the compiled function that ``derive`` makes of ``f``: for the same function the same."""
    try:
        return _kept_program(derive, what, f)
    except TypeError:  # no hash
        return compile(derive(what, f))


class Solver:
    """One call of the solver ``name``. A function that cannot be compiled makes all of its functions eager, with one warning."""

    def __init__(self, name: str, compiled: bool) -> None:
        if not isinstance(compiled, bool):
            raise ArgumentError(f"{name}: compile is True or False, not {compiled!r:.60}")
        self.name, self.compiled = name, compiled

    def title(self, f: Function) -> str:
        """Return how messages call a function of this solver."""
        if not callable(f):
            raise ArgumentError(f"{self.name}: a function is asked for, not {type(f).__name__}")
        return f"{self.name}: {name_of(f)}"

    def program(self, derive: Derive, f: Function, eager: Function | None = None) -> Function:
        """Return what ``derive`` makes of ``f``, compiled, and eager (by ``eager``, if given) where that fails."""
        what = self.title(f)
        native = _native(derive, what, f) if self.compiled else None
        plain = eager or derive(what, f)

        def call(*args: Any, **options: Any) -> Any:
            if not self.compiled or native is None:
                return plain(*args, **options)
            try:
                return native(*args, **options)
            except Exception as error:
                reason = error
            result = plain(*args, **options)  # what it raises is no matter of compilation
            if self.compiled:
                self._fall_back(what, reason)
            return result

        return call

    def _fall_back(self, what: str, reason: Exception) -> None:
        """Go on without compilation, and say why."""
        self.compiled = False
        file, line = user_place() or ("bprop", 0)
        warnings.warn_explicit(
            f"{what} runs eagerly, for it cannot be compiled: {reason}\n  compile=False says that this is meant",
            CompileWarning,
            file,
            line,
        )

    def start(self, x0: Any) -> Any:
        """Return where a solver begins, in float64."""
        if isinstance(x0, dict):
            raise ArgumentError(
                f"{self.name}: x0 is a dict, and one vector is asked for: join its arrays by np.concatenate"
            )
        try:
            x = np.asarray(x0)
        except ValueError as error:
            raise ArgumentError(f"{self.name}: x0 is no vector: {error}") from None
        if x.dtype.kind == "c":
            raise DTypeError(f"{self.name}: x0 is complex: give real and imaginary parts as entries of one real vector")
        if x.dtype.kind not in "biuf":
            raise ArgumentError(f"{self.name}: x0 holds {x.dtype}, not numbers")
        if x.ndim > 1:
            raise ShapeError(f"{self.name}: x0 has shape {x.shape}: give x0.ravel(), and reshape x inside the function")
        if not x.size:
            raise ShapeError(f"{self.name}: x0 is empty")
        x = np.asarray(x, np.float64)
        self.check_finite("x0", x, "start at numbers")
        return x

    def check_finite(self, what: str, value: Any, advice: str) -> None:
        """Raise where a value at the start is NaN or infinite."""
        bad = np.argwhere(~np.isfinite(value))
        if len(bad):
            index = [int(i) for i in bad[0]]
            entry = np.asarray(value)[tuple(index)]
            raise NonFiniteError(
                f"{self.name}: {what}{index or ''} is {entry}{' at the starting point' if what != 'x0' else ''}: {advice}"
            )


def numbers(f: Function) -> Function:
    """Return ``f`` with arrays of bprop made NumPy's, for a method that asks for no derivatives."""

    @functools.wraps(f, updated=())
    def value(*args: Any, **options: Any) -> Any:
        y = f(*args, **options)
        return np.asarray(y) if isinstance(y, Array) else y

    return value


class Objective:
    """A function to one number, with derivatives by a vector."""

    def __init__(self, solver: Solver, f: Function) -> None:
        self.solver, self.f, self.title = solver, f, solver.title(f)
        self._both = solver.program(_value_and_gradient, f)
        self._begun = False

    def value_and_gradient(self, x: Any, *args: Any) -> Any:
        """Return both, by one evaluation; where the value is a constant (a penalty), but for the start, the gradient is 0."""
        try:
            value, gradient = self._both(x, *args)
        except UnreachedError:
            if self._begun:
                return float(_scalar(self.title, self.f)(x, *args)), np.zeros(np.shape(x))
            raise UnreachedError(
                f"{self.title} does not depend on {_argument(self.f)}: was it replaced, cut by stop_gradient or taken as "
                f"a number?"
            ) from None
        value, gradient = float(value), np.array(gradient, np.float64)
        if not self._begun:
            self.solver.check_finite(name_of(self.f), value, "start where it has a value")
            self.solver.check_finite(
                f"the gradient of {name_of(self.f)}",
                gradient,
                "start where it is differentiable, or keep both branches of np.where finite",
            )
            self._begun = True
        return value, gradient

    @functools.cached_property
    def _hessian_product(self) -> Function:
        return self.solver.program(_hessian_product, self.f)

    @functools.cached_property
    def _hessian(self) -> Function:
        return self.solver.program(_hessian, self.f)

    def hessian_product(self, x: Any, x_dot: Any, *args: Any) -> Any:
        """Return the Hessian times a vector."""
        return np.array(self._hessian_product(x, np.asarray(x_dot, np.float64), *args), np.float64)

    def hessian(self, x: Any, *args: Any) -> Any:
        """Return the Hessian, (n, n)."""
        return np.array(self._hessian(x, *args), np.float64)


def _argument(f: Function) -> str:
    code = getattr(f, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    return f"its argument {names[0]}" if names else "its argument"


class Residuals:
    """A function to a vector, with its Jacobian.

    Eager, an evaluation records its linear map, and the Jacobian at the same point runs no code of the user's. Compiled, the
    value and the Jacobian have a program each, since most methods ask for more values than Jacobians.
    """

    def __init__(self, solver: Solver, f: Function) -> None:
        self.solver, self.f, self.title = solver, f, solver.title(f)
        self._vector = _vector(self.title, f)
        self._value = solver.program(_vector, f, self._evaluate)
        self._columns = solver.program(_jacobian_by_columns, f, self._recorded_jacobian)
        self._rows = solver.program(_jacobian_by_rows, f, self._recorded_jacobian)
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
        advice = "start where it is differentiable, or keep both branches of np.where finite"
        self.solver.check_finite(f"the Jacobian of {name_of(self.f)}", J, advice)
        if not J.any():  # zeros, or no way from x to the result
            try:
                value_and_grad(lambda x: sum(self._vector(x, *args, **options)))(x)
            except UnreachedError:
                raise UnreachedError(
                    f"{self.title} does not depend on {_argument(self.f)}: was it replaced, cut by stop_gradient or taken "
                    f"as a number?"
                ) from None

    def _evaluate(self, x: Any, *args: Any, **options: Any) -> Any:
        """Return the vector, and keep what the Jacobian at the same point needs."""
        x = np.array(x, np.float64)  # a solver may go on with its buffer
        f = functools.partial(_keywords, self._vector, args, options)
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


def _keywords(f: Function, args: tuple[Any, ...], options: dict[str, Any], x: Any) -> Any:
    return f(x, *args, **options)


class Equation:
    """A function of one number to one number, with its first and second derivative."""

    def __init__(self, solver: Solver, f: Function, second: bool) -> None:
        self.solver, self.f = solver, f
        self._all = solver.program(_value_and_slopes if second else _value_and_slope, f)

    def value_and_derivatives(self, x: Any, *args: Any) -> tuple[float, ...]:
        """Return f, f' and, if it was asked for, f''."""
        return tuple(float(y) for y in self._all(np.float64(x), *args))
