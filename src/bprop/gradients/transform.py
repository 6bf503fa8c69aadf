"""The transforms: functions to functions, with JAX's argument conventions and trees anywhere."""

import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, overload

import numpy as np

from ..core import dtype as dtypes
from ..core.cell import Cell
from ..core.error import ArgumentError, ShapeError, UnreachedError, UnreachedWarning
from ..core.graph import Graph
from ..core.interpreter import EVALUATE, Interpreter, current, using
from ..core.object_array import rejoined
from ..core.trace import Trace, Traced
from ..core.tree import Structure, flatten, is_holder, unflatten
from ..core.value import Array, asarray
from ..ops import astype, conj, full, zeros
from . import forward
from .argument import is_static
from .forward import Forward
from .reverse import Recording
from .variable import (
    Argnums,
    Function,
    Variables,
    argument_name,
    as_array,
    as_arrays,
    as_scalar,
    leaf_label,
    lowered,
    name_of,
    positions,
    refuse_arguments,
)

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Unreached = Literal["error", "zeros"]


def check_sequences(what: str, **sequences: Any) -> None:
    """Refuse an array where a tuple of arguments belongs: its rows would be taken for arguments."""
    for name, value in sequences.items():
        if not isinstance(value, tuple | list):
            raise ArgumentError(f"{what}: {name} is a tuple with one entry per argument, not {type(value).__name__}")


# --- reverse ---
@overload
def value_and_grad(
    f: Callable[P, Any], argnums: Argnums = 0, has_aux: Literal[False] = False, unreached: Unreached = "error"
) -> Callable[P, tuple[Array, Any]]: ...
@overload
def value_and_grad(
    f: Callable[P, Any], argnums: Argnums = 0, *, has_aux: Literal[True], unreached: Unreached = "error"
) -> Callable[P, tuple[tuple[Array, Any], Any]]: ...
@overload
def value_and_grad(
    f: Callable[P, Any], argnums: Argnums = 0, has_aux: bool = False, unreached: Unreached = "error"
) -> Callable[P, tuple[Any, Any]]: ...
def value_and_grad(
    f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, unreached: Unreached = "error"
) -> Callable[..., Any]:
    """Return a function that gives ``f``'s value and its gradient, by one reverse sweep.

    ``f`` returns a scalar (``(scalar, aux)`` with ``has_aux``). The gradient has the structure of argument ``argnums``
    (a tuple of them for several); for a module it is a mapping from parameter path to array. Raises `ShapeError` where
    the value is no scalar, `UnreachedError` naming an argument the value does not depend on (``unreached="zeros"`` gives
    zeros instead), `DTypeError` for arguments without derivatives.

    **Source:** JAX's argument conventions; Leibe (2016), reverse-mode differentiation.

    >>> import bprop
    >>> bprop.value_and_grad(lambda x: bprop.sum(x * x))(bprop.asarray([1.0, 2.0]))
    (Array(5.), Array([2., 4.]))
    """
    what = f"grad of {name_of(f)}"
    refuse_arguments(argnums, "grad")
    if unreached not in ("error", "zeros"):
        raise ArgumentError(f"grad: unreached is 'error' or 'zeros', not {unreached!r}")

    @wraps(f, updated=())
    def value_and_gradient(*args: Any, **options: Any) -> Any:
        numbers, single = positions(argnums, len(args), what)
        outermost = _outermost(current())
        run = Recording(f, args, options, numbers, what)
        value, aux = _with_aux(run.result, has_aux, what)
        y = as_scalar(value, what)
        x_bars = run.backward([y], [_unit_cotangent(y.dtype)])
        if outermost and unreached == "error":
            for number, variables, bars in zip(numbers, run.variables, x_bars, strict=True):
                _check_reached(f, number, variables, bars, what)
        gradients = run.derivatives(x_bars)
        run.owner.close()
        gradient = gradients[0] if single else tuple(gradients)
        below = run.owner.lower(y)
        return ((below, lowered(run.owner, aux)), gradient) if has_aux else (below, gradient)

    return value_and_gradient


_ONES = {np.dtype(char): Array(np.ones((), char)) for char in "efd"}


def _unit_cotangent(dtype: "np.dtype[Any]") -> Array:
    """Return the cotangent of a result with respect to itself; in a trace it is a constant of the graph."""
    return _ONES[dtype] if current() is EVALUATE else full((), 1, dtype=dtype)


def _outermost(interpreter: Interpreter) -> bool:
    """Return whether nothing but evaluation, or the tracing of it, is going on."""
    return interpreter is EVALUATE or (
        isinstance(interpreter, Trace) and interpreter.stage_all and interpreter.below is EVALUATE
    )


def _check_reached(f: Function, number: int, variables: Variables, bars: Sequence[Any], what: str) -> None:
    """Raise where the result does not depend on an argument at all, warn where not on some parameters of a module."""
    absent = [bar is None for bar in bars]
    if bars and True not in absent:
        return
    if bars and all(absent):
        raise UnreachedError(
            f"{what}: the result does not depend on {argument_name(f, number)}: was it replaced, cut by stop_gradient or "
            f"taken as a number? (unreached='zeros' gives zeros)"
        )
    if not bars and variables.leaves:
        raise UnreachedError(f"{what}: {argument_name(f, number)} holds no arrays and no trainable parameters")
    cotangents = iter(bars)
    missing = [
        path for slot in variables.slots for path in slot or (None,) if next(cotangents) is None and path is not None
    ]
    if missing:
        warnings.warn(
            f"{what}: the result does not depend on parameter {', '.join(missing)}: the gradient is zero",
            UnreachedWarning,
            stacklevel=3,
        )


def _with_aux(result: Any, has_aux: bool, what: str) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(
            f"{what}: with has_aux=True the function returns a pair (value, aux), not {type(result).__name__}"
        )
    return result


def grad(
    f: Callable[P, Any], argnums: Argnums = 0, has_aux: bool = False, unreached: Unreached = "error"
) -> Callable[P, Any]:
    """Return a function that gives the gradient of the scalar function ``f``, by one reverse sweep.

    Parameters
    ----------
    f : function
        Returns a scalar: an array of shape () or a Python float; with ``has_aux`` a pair (scalar, aux).
    argnums : int or tuple of int
        By which arguments, counted from 0, negative ones from the end. For a tuple the result is a tuple of gradients.
    has_aux : bool
        Whether f returns something beside the scalar. The result is then (gradient, aux).
    unreached : "error" or "zeros"
        What happens where the value does not depend on an argument at all.

    Returns
    -------
    function
        Takes what f takes. Its result has the structure of the argument: an array for an array or a float, of the same shape
        and dtype; for a tuple, list or dict one with a gradient in every place, and f gets it as it is, so that ``x ** 2`` of
        a list is Python's error: pass ``np.array([1.0, 2.0])`` for a vector. For a module it is a mapping from parameter path
        to array. Of a complex z it is ∂f/∂Re z + i ∂f/∂Im z. It is differentiable again.

    Raises
    ------
    ShapeError
        Where the value is no scalar: take `bprop.sum` of it, or `bprop.jacobian`.
    DTypeError
        Where an argument has no derivatives, as integers.
    UnreachedError
        Naming an argument on which the value does not depend.
    TracedValueError
        Where f takes a number out of an array, with ``float(x)`` or ``math.exp(x)``: write ``np.exp(x)``.

    **Source:** Leibe (2016), reverse-mode differentiation.

    >>> import bprop, numpy as np
    >>> bprop.grad(lambda x: np.sum(np.exp(x)))(np.zeros(2))
    Array([1., 1.])
    >>> bprop.grad(lambda p, x: p["a"] * x**2 + p["b"], argnums=(0, 1))({"a": 3.0, "b": 1.0}, 2.0)
    ({'a': Array(4.), 'b': Array(1.)}, Array(12.))
    """
    both = value_and_grad(f, argnums, has_aux, unreached)

    @wraps(f, updated=())
    def gradient(*args: Any, **options: Any) -> Any:
        value, result = both(*args, **options)
        return (result, value[1]) if has_aux else result

    return gradient


@overload
def vjp(
    f: Callable[..., R], *primals: Any, has_aux: Literal[False] = False
) -> tuple[R, Callable[..., tuple[Any, ...]]]: ...
@overload
def vjp(
    f: Callable[..., tuple[R, Any]], *primals: Any, has_aux: Literal[True]
) -> tuple[R, Callable[..., tuple[Any, ...]], Any]: ...
@overload
def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool) -> Any: ...
def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return ``f(*primals)`` and the pullback: y_bar ↦ a tuple with the cotangent x_bar = Jᵀ y_bar of every primal.

    The pullback may be called many times, and under other transforms. ``y_bar`` has the structure and shapes of the
    result. A primal that is not reached gets zeros. With ``has_aux`` f returns a pair, and its second, aux, is a third
    result.

    **Source:** JAX, ``jax.vjp``; Griewank & Walther (2008), ch. 3.

    >>> import bprop
    >>> y, pullback = bprop.vjp(lambda x: x * x, bprop.asarray([1.0, 2.0]))
    >>> pullback(bprop.asarray([1.0, 10.0]))
    (Array([ 2., 40.]),)
    """
    below, pullback, aux = pullback_of(f, primals, f"vjp of {name_of(f)}", has_aux)
    return (below, pullback, aux) if has_aux else (below, pullback)


def pullback_of(
    f: Function, primals: Sequence[Any], what: str, has_aux: bool = False
) -> tuple[Any, Callable[..., tuple[Any, ...]], Any]:
    """Return what `vjp` does, and aux; ``what`` is asked for, for messages.

    With ``one_hot=True`` the zeros in what the pullback gets mean absent (rows of a Jacobian).
    """
    run = Recording(f, tuple(primals), {}, range(len(primals)), what)
    result, aux = _with_aux(run.result, has_aux, what)
    outputs, structure = as_arrays(result, what)
    run.owner.close()

    def pullback(y_bar: Any, *, one_hot: bool = False) -> tuple[Any, ...]:
        y_bars = map(conj, cotangents(outputs, structure, y_bar, what))  # inside, nothing is conjugated
        return tuple(run.derivatives(run.backward(outputs, list(y_bars), one_hot)))

    below = unflatten(structure, [run.owner.lower(y) for y in outputs])
    return below, pullback, lowered(run.owner, aux)


def cotangents(outputs: Sequence[Array], structure: Structure, y_bar: Any, what: str) -> list[Any]:
    """Return the leaves of ``y_bar`` as arrays, checked against the outputs."""
    leaves, y_structure = flatten(y_bar)
    if y_structure != structure:
        raise ArgumentError(f"{what}: y_bar has the structure {y_structure}, the result {structure}")
    result = []
    for y, leaf in zip(outputs, leaves, strict=True):
        bar = asarray(leaf)
        if bar.shape != y.shape:
            raise ShapeError(f"{what}: y_bar has shape {bar.shape}, the result {y.shape}")
        if dtypes.is_float(y.dtype):
            dtypes.refuse_dropping(f"{what}: y_bar", bar.dtype, y.dtype)
        result.append(bar if bar.dtype == y.dtype or not dtypes.is_inexact(y.dtype) else astype(bar, y.dtype))
    return result


# --- forward ---
@overload
def jvp(
    f: Callable[..., R], primals: Sequence[Any], tangents: Sequence[Any], has_aux: Literal[False] = False
) -> tuple[R, R]: ...
@overload
def jvp(
    f: Callable[..., tuple[R, Any]], primals: Sequence[Any], tangents: Sequence[Any], has_aux: Literal[True]
) -> tuple[R, R, Any]: ...
@overload
def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool) -> Any: ...
def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """Return ``f(*primals)`` and the tangent y_dot = J x_dot, by one forward sweep.

    ``tangents`` has the structure and shapes of ``primals`` (``None``: a constant). With ``has_aux`` f returns a pair, and its
    second, aux, is a third result.

    **Source:** JAX, ``jax.jvp``; Wengert (1964).

    >>> import bprop
    >>> bprop.jvp(bprop.sqrt, (4.0,), (1.0,))
    (Array(2.), Array(0.25))
    """
    what = f"jvp of {name_of(f)}"
    check_sequences(what, primals=primals, tangents=tangents)
    if len(primals) != len(tangents):
        raise ArgumentError(f"{what}: {len(primals)} primals and {len(tangents)} tangents")
    variables = [Variables(primal, f"{what}: argument {number}") for number, primal in enumerate(primals)]
    dots = [v.tangents(tangent, what) for v, tangent in zip(variables, tangents, strict=True)]
    result, y_dot, aux = run_forward(f, variables, dots, has_aux, what)
    return (result, y_dot, aux) if has_aux else (result, y_dot)


def run_forward(f: Function, variables: Any, dots: Any, has_aux: bool, what: str, owner: Forward | None = None) -> Any:
    """Run ``f`` on dual values; return result, tangents (zeros where absent) and aux."""
    owner = owner or Forward()
    owner.name = what
    new = []
    for v, x_dots in zip(variables, dots, strict=True):
        forward.lift_cells(
            owner,
            [value for value in v.values if isinstance(value, Cell)],
            [x_dot for value, x_dot in zip(v.values, x_dots, strict=True) if isinstance(value, Cell)],
        )
        new.append(
            v.argument([x if isinstance(x, Cell) else owner.dual(x, d) for x, d in zip(v.values, x_dots, strict=True)])
        )
    with using(owner):
        out = rejoined(owner, f(*new))
    out, aux = _with_aux(out, has_aux, what)
    owner.close()
    arrays, structure = as_arrays(out, what)
    y_dots = []
    for y in arrays:
        y_dot = owner.tangent(y)
        kind = y.dtype if dtypes.is_inexact(y.dtype) else dtypes.DEFAULT
        y_dots.append(zeros(y.shape, dtype=kind) if y_dot is None else y_dot)
    result = unflatten(structure, [owner.lower(y) for y in arrays])
    return result, unflatten(structure, y_dots), lowered(owner, aux)


class LinearMap(Protocol[R_co]):
    """The derivative at a point as a function: tangents of the arguments to the tangent of the result."""

    graph: Graph

    def __call__(self, *tangents: Any) -> R_co:
        """Return J x_dot."""


def linear_map(
    f: Function, variables: Any, what: str, position: int | None = None, masks: bool = True
) -> tuple[Any, Graph, Structure]:
    """Run ``f`` once; return its result, and the map from tangents to those of the result as a graph and a structure.

    ``position``: that of the one value which varies, among those of all variables. ``masks``: those of `Forward`.
    """
    tracer = Trace(name=what, stage_all=False)
    count = iter(range(sum(len(v.values) for v in variables)))
    dots = [
        [tracer.input(value.spec) if next(count) == position or position is None else None for value in v.read()]
        for v in variables
    ]
    with using(tracer):
        result, y_dots, _ = run_forward(f, variables, dots, False, what, Forward(masks=masks))
    tracer.close()
    leaves, structure = flatten(y_dots)
    return result, tracer.graph(leaves), structure


def linearize(f: Callable[..., R], *primals: Any) -> tuple[R, LinearMap[R]]:
    """Return ``f(*primals)`` and the linear map x_dot ↦ J x_dot, as a function.

    ``f`` runs once; the map is a graph of linear ops over numbers that are already known (its ``graph`` attribute).

    **Source:** JAX, ``jax.linearize``.

    >>> import bprop
    >>> y, f_jvp = bprop.linearize(bprop.exp, bprop.zeros(2))
    >>> f_jvp(bprop.asarray([1.0, 2.0]))
    Array([1., 2.])
    >>> print(f_jvp.graph)
    graph(x0: float64[2], c0: float64[2])
      a = x0 * c0     float64[2]
      return a
    """
    what = f"linearize of {name_of(f)}"
    variables = [Variables(primal, f"{what}: argument {number}") for number, primal in enumerate(primals)]
    result, graph, structure = linear_map(f, variables, what)

    def f_jvp(*tangents: Any) -> Any:
        if len(tangents) != len(variables):
            raise ArgumentError(f"{what}: {len(variables)} primals and {len(tangents)} tangents")
        flat = [dot for v, t in zip(variables, tangents, strict=True) for dot in v.tangents(t, what)]
        return unflatten(structure, graph(*flat))

    linear: Any = f_jvp
    linear.graph = graph
    return result, linear


# --- tracing ---
@overload
def trace(f: Callable[P, Any], /) -> Callable[P, Graph]: ...
@overload
def trace(f: Callable[..., Any], arg: Any, /, *args: Any, **options: Any) -> Graph: ...
def trace(f: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    """Return a function that gives the `Graph` of ``f`` for the shapes of its arguments; ``print`` it to read it.

    Arrays in trees of arguments become inputs, arrays ``f`` closes over become captures; other leaves are constants.
    A Python ``if`` on a traced value raises `TracedValueError` naming the value and the line. ``trace(f, *args,
    **options)`` is ``trace(f)(*args, **options)``.

    **Source:** Leibe (2016), computational graphs.

    >>> import bprop
    >>> print(bprop.trace(lambda x, y: bprop.sum(x * y))(bprop.ones(2), bprop.ones(2)))
    graph(x0: float64[2], x1: float64[2])
      a = x0 * x1     float64[2]
      b = sum(a)      float64[]
      return b
    """
    what = f"trace of {name_of(f)}"

    @wraps(f, updated=())
    def traced(*args: Any, **options: Any) -> Graph:
        leaves, structure = flatten((args, options), is_holder)
        tracer = Trace(name=what, label=lambda position: leaf_label(f, structure, places[position]))
        lifted = [leaf if is_holder(leaf) or is_static(leaf) else tracer.input(asarray(leaf).spec) for leaf in leaves]
        places = [position for position, x in enumerate(lifted) if isinstance(x, Traced)]
        new_args, new_options = unflatten(structure, lifted)
        with using(tracer):
            result = rejoined(tracer, f(*new_args, **new_options))
        return tracer.graph([as_array(y, what) for y in flatten(result)[0]])

    return traced(*args, **options) if args or options else traced


__all__ = ["grad", "jvp", "linear_map", "linearize", "pullback_of", "run_forward", "trace", "value_and_grad", "vjp"]
