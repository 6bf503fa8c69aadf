"""`custom`: a function with a derivative of its own, under every interpretation.

Either rule gives the other: the jvp of a function with a vjp is the transpose of that linear map, and the vjp of a
function with a jvp likewise. Transposing is pulling back through the rule at zero.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from ..core.error import ArgumentError, DerivativeError, ShapeError
from ..core.family import Region
from ..core.interpreter import current, using
from ..core.trace import Trace
from ..core.tree import flatten, is_holder, unflatten
from ..core.value import Array, Tracer, asarray
from ..gradients.batch import Batch, materialised
from ..gradients.reverse import Record, backward
from ..gradients.variable import name_of
from ..ops import astype, sum, zeros
from ..ops.absent import absent
from .checkpoint import merged
from .closure import is_float, zeros_of
from .weak import is_weak

Flat = Callable[..., Sequence[Any]]


def transpose(linear: Flat, like: Sequence[Array], bars: Sequence[Any]) -> list[Array]:
    """Apply the transpose of ``linear`` (a function of arrays shaped like ``like``) to ``bars``; ``None`` is absent."""
    owner = Record(name="transposition of a derivative rule")
    inputs = [owner.input(zeros(x.shape, dtype=x.dtype)) for x in like]
    with using(owner):
        outputs = linear(*inputs)
    results = backward(list(outputs), list(bars), inputs, owner)
    return _filled(results, like)


def _filled(bars: Sequence[Any], like: Sequence[Any]) -> list[Any]:
    """Give a rule arrays to compute with: zeros, for which 0 · ∞ = 0, where there is no cotangent or tangent."""
    return [
        bar if bar is not None else absent(x) if is_float(x) else zeros_of(x) for bar, x in zip(bars, like, strict=True)
    ]


class Custom(Region):
    """params: ``f(*xs)``, and ``vjp(y_bars, ys, xs)`` or ``jvp(x_dots, ys, xs)``, all on flat sequences."""

    def staged(self, args: tuple[Any, ...], params: dict[str, Any]) -> dict[str, Any]:
        tracer = Trace(name=params["name"])
        inputs = [tracer.input(arg.spec) for arg in args]
        with using(tracer):
            outputs = params["f"](*inputs)
        body = tracer.graph(outputs)
        for _, value in body.captures:
            if isinstance(value, Tracer):
                raise DerivativeError(
                    f"{params['name']}: the function closes over a value {value.spec} under {value.owner.name}, whose "
                    f"derivative its rule does not give: pass it as an argument"
                )
        return {**params, "f": body, "body": body}

    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        outputs = current().bind(self, args, params)

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            if params["vjp"] is not None:
                bars = params["vjp"](_filled(y_bars, outputs), outputs, args)
                return self._checked(bars, args, params, "vjp")
            floats = [x for x in args if x.dtype.kind == "f"]

            def linear(*x_dots: Any) -> Any:
                given = iter(x_dots)
                full = [next(given) if x.dtype.kind == "f" else zeros(x.shape) for x in args]
                return self._checked(params["jvp"](full, outputs, args), outputs, params, "jvp")

            found = iter(transpose(linear, floats, y_bars))
            return [next(found) if x.dtype.kind == "f" else None for x in args]

        return outputs, pullback

    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        outputs = current().bind(self, args, params)
        if params["jvp"] is not None:
            dots = params["jvp"](_filled(args_dot, args), outputs, args)
            return outputs, self._checked(dots, outputs, params, "jvp")

        def linear(*y_bars: Any) -> Any:
            return self._checked(params["vjp"](y_bars, outputs, args), args, params, "vjp")

        return outputs, transpose(linear, outputs, args_dot)

    def _checked(self, bars: Sequence[Any], like: Sequence[Any], params: dict[str, Any], rule: str) -> list[Any]:
        if len(bars) != len(like):
            raise ArgumentError(f"{params['name']}: its {rule} returned {len(bars)} arrays for {len(like)}")
        result: list[Any] = []
        for position, (bar, x) in enumerate(zip(bars, like, strict=True)):
            if bar is None or x.dtype.kind != "f":
                result.append(None)
                continue
            bar = asarray(bar)
            if bar.shape != x.shape:
                raise ShapeError(
                    f"{params['name']}: its {rule} returned shape {bar.shape} for value {position} of shape {x.shape}"
                )
            result.append(bar if bar.dtype == x.dtype else astype(bar, x.dtype))
        return result

    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        count, asked = len(args), () if level.active is None else (level.active,)
        everything = (True,) * 64

        def over_batch(function: Flat, xs: Sequence[Any], *groups: tuple[Sequence[Any], Sequence[bool]]) -> list[Any]:
            owner = Batch(level.size, active=xs[count] if asked else None)
            lifted = [
                [owner.wrap(x) if own and x is not None else x for x, own in zip(values, flags, strict=True)]
                for values, flags in (*groups, (xs[:count], batched))
            ]
            with using(owner):
                results = function(*lifted)
            return [
                None if y is None else owner.lower(y) if owner.owns(y) else materialised(y, level.size) for y in results
            ]

        def f(*xs: Any) -> Sequence[Any]:
            return over_batch(lambda entries: params["f"](*entries), xs)

        def vjp(y_bars: Any, ys: Any, xs: Any) -> list[Any]:
            all_ys = everything[: len(ys)]
            bars = over_batch(params["vjp"], xs, (y_bars, all_ys), (ys, all_ys))
            summed = [bar if own or bar is None else sum(bar, axis=0) for bar, own in zip(bars, batched, strict=True)]
            return [*summed, *(None for _ in asked)]

        def jvp(x_dots: Any, ys: Any, xs: Any) -> list[Any]:
            return over_batch(params["jvp"], xs, (x_dots[:count], batched), (ys, everything[: len(ys)]))

        rules = {key: rule if params[key] is not None else None for key, rule in (("vjp", vjp), ("jvp", jvp))}
        return current().bind(self, (*args, *asked), {"name": params["name"], "f": f, **rules})

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        return tuple(params["f"](*args))


def _evaluate(*args: Any, f: Flat, **params: Any) -> tuple[Any, ...]:
    return tuple(f(*args))


custom_op = Custom(
    "custom", _evaluate, text="{name}({0})", doc="A function with its own derivative: see `bprop.custom`."
)


def custom(f: Callable[..., Any] | None = None, *, vjp: Any = None, jvp: Any = None) -> Callable[..., Any]:
    """Give the function ``f`` of arrays a derivative of its own, made of ops; also as a decorator.

    ``vjp(y_bar, y, *xs)`` returns the cotangent of every argument (one array if there is one argument), or
    ``jvp(x_dots, y, *xs)`` returns the tangent of the result from the tuple of tangents. One is enough: the other
    follows by transposition. Arguments and results may be trees. Leaves of the arguments that are no arrays or numbers (a
    string, a function, a dtype) are static, and so is what is given by keyword: ``f`` and the rule get them as they are, a
    static argument has no cotangent (leave it out, or return ``None``) and the tangent ``None``. Python numbers beside arrays
    reach ``f`` and its rule as they are, too, and what a rule returns for them is not looked at. A result that nobody uses has
    an absent cotangent, which a rule sees as zeros: whatever it multiplies, infinities included, stays absent. Raises
    `ShapeError` where a rule returns another shape than its value has, `ArgumentError` where a keyword holds a value under a
    transform.

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
        operands = [place for place, leaf in enumerate(leaves) if _is_operand(leaf, name)]
        # numbers beside arrays stay as they are; alone, no array says what they are
        places = [place for place in operands if not is_weak(leaves[place])] or operands
        arrays = [asarray(leaves[place]) for place in places]
        static = [None if place in places else leaf for place, leaf in enumerate(leaves)]
        no_dots = [0.0 if place in operands else None for place in range(len(leaves))]
        shape: list[Any] = []

        def arguments(xs: Any, leaves: Sequence[Any] = static) -> Any:
            return unflatten(structure, merged(leaves, places, xs))

        def flat(*xs: Any) -> list[Any]:
            outputs, out = flatten(f(*arguments(xs), **options))
            shape[:] = [out]
            return [asarray(y) for y in outputs]

        def backward(y_bars: Any, ys: Any, xs: Any) -> list[Any]:
            bars = vjp(unflatten(shape[0], y_bars), unflatten(shape[0], ys), *arguments(xs), **options)
            bars = bars if isinstance(bars, tuple) else (bars,)
            x_bars = dict(zip(operands, _leaves(bars, unflatten(structure, no_dots), name), strict=True))
            return [x_bars[place] for place in places]

        def forward(x_dots: Any, ys: Any, xs: Any) -> list[Any]:
            tangents = arguments(x_dots, no_dots)
            y_dot = jvp(tangents, unflatten(shape[0], ys), *arguments(xs), **options)
            return flatten(y_dot)[0]

        rules = {"vjp": backward if vjp is not None else None, "jvp": forward if jvp is not None else None}
        outputs = current().bind(custom_op, tuple(arrays), {"name": name, "f": flat, **rules})
        return unflatten(shape[0], outputs)

    return customised


def _is_operand(leaf: Any, name: str) -> bool:
    """Return whether a leaf of the arguments is an array or a number; anything else is static."""
    if is_holder(leaf):
        raise ArgumentError(
            f"{name}: an argument is a {type(leaf).__name__}, for whose parameters the rule gives no derivative: pass the arrays"
        )
    kinds = (bool, int, float, complex, np.generic)
    return isinstance(leaf, kinds) or hasattr(leaf, "__array__") or hasattr(leaf, "__dlpack__")


def _leaves(bars: tuple[Any, ...], arguments: tuple[Any, ...], name: str) -> list[Any]:
    """Flatten cotangents like the arguments, whose static leaves are ``None``; ``None`` for an argument means absent."""
    parts = [len(flatten(argument)[0]) for argument in arguments]
    if len(bars) != len(parts):
        parts = [count for count in parts if count]  # those of static arguments are left out
    if len(bars) != len(parts):
        raise ArgumentError(f"{name}: its vjp returned {len(bars)} cotangents for {len(arguments)} arguments")
    result: list[Any] = []
    for bar, count in zip(bars, parts, strict=True):
        result.extend([None] * count if bar is None else flatten(bar)[0] if count else [])
    return result


__all__ = ["custom", "custom_op", "transpose"]
