"""One call of a solver: what is made of the user's functions, checked, differentiated, and compiled where that is possible."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..compile import compile
from ..core.error import (
    ArgumentError,
    CompileWarning,
    DerivativeError,
    DTypeError,
    NonFiniteError,
    ShapeError,
    TracedValueError,
    user_place,
)
from ..core.interpreter import EVALUATE, current
from ..core.value import Array, refuse_masked
from ..gradients import hessian, hvp, jacobian, jvp, value_and_grad
from ..gradients.variable import as_array, name_of
from ..ops import reshape, stack

P = ParamSpec("P")
R = TypeVar("R")
Function = Callable[..., Any]
Derive = Callable[[str, Function], Function]
KEPT = 16
"""Functions whose programs are kept, so that the next call of a solver finds them."""


# --- what a function returns ---
def _checked(what: str, y: Any) -> Array:
    """Return what a function returned as an array of real numbers."""
    if isinstance(y, list | tuple) and any(isinstance(entry, Array) for entry in y):
        raise ArgumentError(
            f"{what} returned a {type(y).__name__} of values: join them to one array with derivatives by bprop.stack([…]); where "
            f"it is (value, gradient), say jac=True"
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


def scalar(what: str, f: Function) -> Function:
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


def vector(what: str, f: Function) -> Function:
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
def value_and_gradient(what: str, f: Function) -> Function:
    """Return the value of ``f`` with its gradient."""
    return value_and_grad(scalar(what, f))


def hessian_product(what: str, f: Function) -> Function:
    """Return the Hessian of ``f`` at x times a vector."""
    value = scalar(what, f)
    return lambda x, x_dot, *args: hvp(lambda x: value(x, *args), (x,), (x_dot,))


def hessian_matrix(what: str, f: Function) -> Function:
    """Return the Hessian of ``f``."""
    return hessian(scalar(what, f))


def jacobian_by_rows(what: str, f: Function) -> Function:
    """Return the Jacobian of ``f`` by backward sweeps."""
    return jacobian(vector(what, f))


def jacobian_by_columns(what: str, f: Function) -> Function:
    """Return the Jacobian of ``f`` by forward sweeps."""
    return jacobian(vector(what, f), mode="forward")


def value_and_slope(what: str, f: Function) -> Function:
    """Return the value of ``f``, a function of one number, with f'."""
    value = scalar(what, f)
    return lambda x, *args: jvp(lambda x: value(x, *args), (x,), (_unit_tangent(x),))


def value_and_slopes(what: str, f: Function) -> Function:
    """Return the value of ``f``, a function of one number, with f' and f''."""
    both = value_and_slope(what, f)

    def three(x: Any, *args: Any) -> Any:
        (y, slope), (_, curvature) = jvp(lambda x: both(x, *args), (x,), (_unit_tangent(x),))
        return y, slope, curvature

    return three


def _unit_tangent(x: Any) -> Any:
    """Return the tangent of a number by itself."""
    return np.ones(np.shape(x))


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


def on_numbers(solve: Callable[P, R]) -> Callable[P, R]:
    """Make a solver say, inside of a transform, that it has no derivative by what reaches it.

    It refuses masked arrays: SciPy would count what is masked.
    """

    @functools.wraps(solve)
    def solved(*args: P.args, **options: P.kwargs) -> R:
        for argument in (*args, *options.values()):
            refuse_masked(solve.__name__, argument)
        if current() is EVALUATE:
            return solve(*args, **options)
        try:
            return solve(*args, **options)
        except TracedValueError as error:
            raise DerivativeError(
                f"{solve.__name__} inside of a transform (grad, vmap, compile …): a solver runs on numbers, and what x0, args or the "
                f"function take from outside has none, or would lose its derivative. Solve outside; for the derivative of a "
                f"solution write a bprop.custom whose vjp solves the linear equation of the implicit function theorem"
            ) from error

    return solved
