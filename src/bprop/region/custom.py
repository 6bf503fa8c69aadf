"""`custom`: a function with a derivative of its own, under every interpretation.

For y = f(x) with the Jacobian J = ∂f(x) the author gives one of two linear maps: the vjp ȳ ↦ Jᵀ ȳ (backward pass) or the
jvp ẋ ↦ J ẋ (forward mode). Each follows from the other, since Jᵀ is the transpose of J. The transpose of a linear map L
is its pullback, at any point: L is recorded at 0, and the cotangents are sent back through it.

**Source:** JAX, ``custom_vjp``, ``custom_jvp`` and ``linear_transpose``; Frostig et al. (2021), Decomposing reverse-mode
automatic differentiation.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from ..core.dtype import DEFAULT
from ..core.error import ArgumentError, DerivativeError, ShapeError
from ..core.family import Region
from ..core.foreign_array import is_array_like
from ..core.interpreter import current, using
from ..core.trace import trace_flat
from ..core.tree import flatten, is_holder, merge, unflatten
from ..core.value import Array, Tracer, asarray
from ..gradients.batch import Batch
from ..gradients.reverse import Record, backward
from ..gradients.variable import name_of
from ..ops import conj, sum, zeros
from ..ops.complex import matching
from .cotangent import compress, expand, filled, is_differentiable, zeros_of
from .interpretation import Body, lowered
from .weak import is_weak


def transpose(linear: Body, like: Sequence[Array], bars: Sequence[Any]) -> list[Array]:
    """Apply the transpose of a linear function.

    ``linear``: a function of arrays with the shapes and dtypes of ``like``. ``bars``: what the transpose is applied to,
    one array (or ``None``: absent) for each result of ``linear``. Returns one array for each of ``like``.
    """
    record = Record(name="transposition of a derivative rule")
    inputs = [record.input(zeros(x.shape, dtype=x.dtype)) for x in like]
    with using(record):
        outputs = linear(*inputs)
    return _arrays_for_rule(backward(list(outputs), list(bars), inputs, record), like)


def _arrays_for_rule(bars: Sequence[Any], like: Sequence[Any]) -> list[Any]:
    """Return arrays for a rule to compute with: where there is no cotangent or tangent, zeros for which 0 · ∞ = 0."""
    floats = [is_differentiable(x) for x in like]
    bars = filled(bars, like, floats)
    return [zeros_of(x) if bar is None else bar for bar, x in zip(bars, like, strict=True)]


class Custom(Region):
    """params: ``f(*xs)``, ``name``, and ``vjp(y_bars, ys, xs)`` or ``jvp(x_dots, ys, xs)``; all on flat sequences.

    With ``sees_absent`` the vjp gets ``None`` for an absent cotangent, else zeros.
    """

    def staged(self, args: tuple[Any, ...], params: dict[str, Any]) -> dict[str, Any]:
        body, _ = trace_flat(params["f"], [arg.spec for arg in args], name=params["name"])
        for _, value in body.captures:
            if isinstance(value, Tracer):
                raise DerivativeError(
                    f"{params['name']}: the function closes over a value {value.spec} under {value.owner.name}, whose "
                    f"derivative its rule does not give: pass it as an argument"
                )
        return {**params, "f": body, "body": body}

    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        outputs = current().bind(self, args, params)
        floats = [is_differentiable(x) for x in args]

        def tangents(*x_dots: Any) -> list[Any]:
            """Apply the jvp as a linear function of the tangents of floats."""
            full = [zeros(x.shape) if dot is None else dot for x, dot in zip(args, expand(x_dots, floats), strict=True)]
            return self._checked(params["jvp"](full, outputs, args), outputs, params, "jvp")

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            if params["vjp"] is not None:
                if not params["sees_absent"]:
                    y_bars = _arrays_for_rule(y_bars, outputs)
                bars = params["vjp"](y_bars, outputs, args)
                return self._checked(bars, args, params, "vjp")
            return expand(transpose(tangents, list(compress(args, floats)), y_bars), floats)

        return outputs, pullback

    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        outputs = current().bind(self, args, params)
        if params["jvp"] is not None:
            dots = params["jvp"](_arrays_for_rule(args_dot, args), outputs, args)
            return outputs, self._checked(dots, outputs, params, "jvp")

        def cotangents(*y_bars: Any) -> list[Any]:
            """Apply the vjp as a linear function of the cotangents."""
            return self._checked(params["vjp"](y_bars, outputs, args), args, params, "vjp")

        return outputs, transpose(cotangents, outputs, args_dot)

    def _checked(self, bars: Sequence[Any], like: Sequence[Any], params: dict[str, Any], rule: str) -> list[Any]:
        """Return what a rule gave in the dtypes of ``like``; refuse another number of arrays, or another shape."""
        if len(bars) != len(like):
            raise ArgumentError(f"{params['name']}: its {rule} returned {len(bars)} arrays for {len(like)}")
        result: list[Any] = []
        for position, (bar, x) in enumerate(zip(bars, like, strict=True)):
            if bar is None or not is_differentiable(x):
                result.append(None)
                continue
            bar = asarray(bar)
            if bar.shape != x.shape:
                raise ShapeError(
                    f"{params['name']}: its {rule} returned shape {bar.shape} for value {position} of shape {x.shape}"
                )
            result.append(matching(bar, x.dtype))
        return result

    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        """Return the outputs of one application, whose function and rules are those of f for every entry.

        Which entries are asked for becomes one more argument, so that the rules see it whenever they are called.
        """
        count, active = len(args), () if level.active is None else (level.active,)

        def every_entry(f: Body, xs: Sequence[Any], *groups: tuple[Sequence[Any], Sequence[bool]]) -> list[Any]:
            """Apply ``f`` to groups of values, each with flags that say which are batched, and then the arguments."""
            owner = Batch(level.size, active=xs[count] if active else None)
            lifted = [
                [owner.wrap(x) if flag and x is not None else x for x, flag in zip(values, flags, strict=True)]
                for values, flags in (*groups, (xs[:count], batched))
            ]
            with using(owner):
                results = f(*lifted)
            return [None if y is None else lowered(y, owner) for y in results]

        def f(*xs: Any) -> Sequence[Any]:
            return every_entry(lambda entries: params["f"](*entries), xs)

        def vjp(y_bars: Any, ys: Any, xs: Any) -> list[Any]:
            all_batched = [True for _ in ys]
            bars = every_entry(params["vjp"], xs, (y_bars, all_batched), (ys, all_batched))
            summed = [bar if flag or bar is None else sum(bar, axis=0) for bar, flag in zip(bars, batched, strict=True)]
            return [*summed, *(None for _ in active)]

        def jvp(x_dots: Any, ys: Any, xs: Any) -> list[Any]:
            return every_entry(params["jvp"], xs, (x_dots[:count], batched), (ys, [True for _ in ys]))

        rules = {key: rule if params[key] is not None else None for key, rule in (("vjp", vjp), ("jvp", jvp))}
        new = {**params, "f": f, **rules}
        return current().bind(self, (*args, *active), new)

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        return tuple(params["f"](*args))


def _evaluate(*args: Any, f: Body, **params: Any) -> tuple[Any, ...]:
    return tuple(f(*args))


custom_op = Custom(
    "custom", _evaluate, text="{name}({0})", doc="A function with its own derivative: see `bprop.custom`."
)


def custom(f: Callable[..., Any] | None = None, *, vjp: Any = None, jvp: Any = None) -> Callable[..., Any]:
    """Give the function ``f`` of arrays a derivative of its own, made of ops; also as a decorator.

    One of the two rules is enough: the other follows by transposition. A result that nobody uses has an absent
    cotangent, which a rule sees as zeros: whatever it multiplies, infinities included, stays absent.

    Parameters
    ----------
    f : function of trees of arrays that returns a tree of arrays
        Leaves of the arguments that are no arrays or numbers (a string, a function, a dtype) are static, and so is what
        is passed by keyword. Python numbers beside arrays reach ``f`` as they are.
    vjp : function (y_bar, y, *xs) that returns the x_bars
        The cotangent of every argument, with its shape: a tuple, or one array if there is one argument. A static
        argument has none: leave it out, or return ``None``. What it returns for Python numbers beside arrays is not
        looked at. Of complex numbers cotangents are as `bprop.vjp` takes and gives them.
    jvp : function (x_dots, y, *xs) that returns y_dot
        The tangent of the result, from the tuple of the tangents of all arguments; a static argument has ``None``.

    Returns
    -------
    function
        ``f`` with this derivative; without ``f``, a decorator.

    Raises
    ------
    ShapeError
        A rule returns another shape than its value has.
    ArgumentError
        Not exactly one rule is given, a rule returns another number of arrays, an argument holds cells, or a keyword
        holds a value under a transform.
    DerivativeError
        ``f`` closes over a value under a transform, whose derivative the rule does not give.

    **Source:** JAX, ``custom_vjp`` and ``custom_jvp``.

    >>> import bprop
    >>> @bprop.custom(vjp=lambda y_bar, y, x: y_bar * bprop.where(abs(x) < 1, 1.0, 0.0))
    ... def straight_through(x):
    ...     return bprop.sign(x)
    >>> bprop.grad(lambda x: bprop.sum(straight_through(x)))(bprop.asarray([0.5, 3.0]))
    Array([1., 0.])
    """
    if (vjp is None) == (jvp is None):
        raise ArgumentError("custom: give one rule, vjp=… or jvp=…")
    if f is None:
        return lambda function: custom(function, vjp=vjp, jvp=jvp)
    name = name_of(f)

    @wraps(f, updated=())
    def customised(*args: Any, **options: Any) -> Any:
        for key, value in options.items():
            if any(isinstance(leaf, Tracer) for leaf in flatten(value)[0]):
                raise ArgumentError(f"{name}: {key}=… holds a value under a transform: pass it by position")
        leaves, structure = flatten(args, is_holder)
        operands = [position for position, leaf in enumerate(leaves) if _is_operand(leaf, name)]
        # numbers beside arrays stay as they are; alone, no array says what they are
        positions = [position for position in operands if not is_weak(leaves[position])] or operands
        arrays = [asarray(leaves[position]) for position in positions]
        static = [None if position in positions else leaf for position, leaf in enumerate(leaves)]
        no_dots = [0.0 if position in operands else None for position in range(len(leaves))]
        result_tree: list[Any] = []  # known when f has run; the rules run later

        def arguments(xs: Any, leaves: Sequence[Any] = static) -> Any:
            return unflatten(structure, merge(leaves, positions, xs))

        def flat(*xs: Any) -> list[Any]:
            outputs, tree = flatten(f(*arguments(xs), **options))
            result_tree[:] = [tree]
            return [asarray(y) for y in outputs]

        def backward(y_bars: Any, ys: Any, xs: Any) -> list[Any]:
            y_bars = map(_conjugate, y_bars)
            bars = vjp(
                unflatten(result_tree[0], list(y_bars)), unflatten(result_tree[0], ys), *arguments(xs), **options
            )
            bars = bars if isinstance(bars, tuple) else (bars,)
            x_bars = dict(zip(operands, _leaves(bars, unflatten(structure, no_dots), name), strict=True))
            return [_conjugate(x_bars[position]) for position in positions]

        def forward(x_dots: Any, ys: Any, xs: Any) -> list[Any]:
            tangents = arguments(x_dots, no_dots)
            y_dot = jvp(tangents, unflatten(result_tree[0], ys), *arguments(xs), **options)
            return flatten(y_dot)[0]

        rules = {"vjp": backward if vjp is not None else None, "jvp": forward if jvp is not None else None}
        outputs = current().bind(custom_op, tuple(arrays), {"name": name, "f": flat, **rules, "sees_absent": False})
        return unflatten(result_tree[0], outputs)

    return customised


def _conjugate(bar: Any) -> Any:
    """Return a cotangent as rules of the user see it, or one of theirs as it is inside: complex ones are conjugated."""
    return conj(bar) if getattr(bar, "dtype", DEFAULT).kind == "c" or type(bar) is complex else bar


def _is_operand(leaf: Any, name: str) -> bool:
    """Return whether a leaf of the arguments is an array or a number; anything else is static."""
    if is_holder(leaf):
        raise ArgumentError(
            f"{name}: an argument is a {type(leaf).__name__}, for whose parameters the rule gives no derivative: pass the arrays"
        )
    kinds = (bool, int, float, complex, np.generic)
    return isinstance(leaf, kinds) or is_array_like(leaf)


def _leaves(bars: tuple[Any, ...], arguments: tuple[Any, ...], name: str) -> list[Any]:
    """Flatten cotangents like the arguments, whose static leaves are ``None``; ``None`` for an argument means absent."""
    counts = [len(flatten(argument)[0]) for argument in arguments]
    if len(bars) != len(counts):
        counts = [count for count in counts if count]  # those of static arguments are left out
    if len(bars) != len(counts):
        raise ArgumentError(f"{name}: its vjp returned {len(bars)} cotangents for {len(arguments)} arguments")
    result: list[Any] = []
    for bar, count in zip(bars, counts, strict=True):
        result.extend([None] * count if bar is None else flatten(bar)[0] if count else [])
    return result


__all__ = ["custom", "custom_op", "transpose"]
