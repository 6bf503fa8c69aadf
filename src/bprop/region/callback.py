"""`callback`: a Python function that sees the numbers, wherever they are computed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.error import ArgumentError, DerivativeError
from ..core.family import Region
from ..core.interpreter import EVALUATE, current, using
from ..core.op import Operand
from ..core.tree import flatten, is_holder, unflatten
from ..core.value import Array, Spec, asarray
from ..gradients.batch import Batch, materialised
from ..gradients.variable import name_of
from ..ops import broadcast_to, reshape
from .closure import check_function, is_float, same_specs, same_structure


class Callback(Region):
    """args: arrays; params: ``f`` of flat arrays, ``specs`` of what it returns for one entry, ``batch`` (sizes of the
    leading axes, one call for each of their entries), ``guarded`` (the first of the args says which of these calls are
    made) and ``name``.
    """

    native = "callback"
    effect = True

    def spec(self, *operands: Operand, **params: Any) -> tuple[Spec, ...]:
        return tuple(Spec((*params["batch"], *spec.shape), spec.dtype) for spec in params["specs"])

    def body(self, params: dict[str, Any]) -> Any:
        raise self._refused(params)

    def _refused(self, params: dict[str, Any]) -> DerivativeError:
        return DerivativeError(
            f"{params['name']}: what it returns has no derivative: give one with bprop.custom around it, or take "
            f"bprop.stop_gradient of its arguments if none is meant"
        )

    def numbers(self, args: Sequence[Any], params: dict[str, Any]) -> tuple[Any, ...]:
        """Call the function on NumPy arrays, of which it gets copies, once for every entry of the batch."""
        batch, specs = params["batch"], params["specs"]
        outputs = [np.zeros((*batch, *spec.shape), spec.dtype) for spec in specs]
        guarded = params["guarded"]
        with using(EVALUATE):
            for place in np.ndindex(*batch):
                if guarded and not args[0][place]:
                    continue
                entries = [Array(np.array(x[place])) for x in args[guarded:]]
                for output, y in zip(outputs, params["f"](*entries), strict=True):
                    output[place] = y.data
        return tuple(outputs)

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if any(is_float(spec) for spec in params["specs"]):
            raise self._refused(params)
        return tuple(map(Array, self.numbers([x.concrete() for x in args], params)))

    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        outputs = current().bind(self, args, params)

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            raise self._refused(params)

        return outputs, pullback

    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        if any(is_float(spec) for spec in params["specs"]):
            raise self._refused(params)
        outputs = current().bind(self, args, params)
        return outputs, tuple(None for _ in outputs)

    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        whole = [x if own else materialised(x, level.size) for x, own in zip(args, batched, strict=True)]
        batch, guarded = (level.size, *params["batch"]), params["guarded"]
        if level.active is not None:
            asked = broadcast_to(reshape(level.active, (level.size, *(1,) * (len(batch) - 1))), batch)
            whole = [asked & whole[0], *whole[1:]] if guarded else [asked, *whole]
            guarded = True
        return current().bind(self, tuple(whole), {**params, "batch": batch, "guarded": guarded})


def _evaluate(*args: Any, **params: Any) -> tuple[Any, ...]:
    return tuple(map(Array, callback_op.numbers([x.data for x in args], params)))


callback_op = Callback("callback", _evaluate, doc="A Python function that sees the numbers: see `bprop.callback`.")


def callback(f: Callable[..., Any], /, *args: Any, result: Any = None) -> Any:
    """Call ``f(*args)`` with the numbers of ``args`` when they are computed: eager, under transforms, in native code.

    The leaves of ``args`` reach ``f`` as plain arrays with numbers. Calls happen once each, in the order in which they
    are written; they are never left out, whether or not anything depends on them. An exception in ``f`` comes out
    unchanged, and no cell has changed then. Under differentiation ``f`` is called on the way forward only, with the
    values and not their tangents; inside `vmap` once for every entry, in order (if one of ``args`` differs among the
    entries); in a branch of `cond` if that is taken.

    Returns ``None``, or with ``result`` (a tree of arrays or of anything with ``shape`` and ``dtype``) what ``f``
    returns, which has that structure and these shapes and dtypes. It has no derivative: a `DerivativeError` says so
    where one is asked for, and `bprop.custom` gives one. Raises `ShapeError` and `ArgumentError` where ``f`` returns
    something else.

    **Source:** JAX, ``jax.debug.callback`` and ``jax.pure_callback``.

    >>> import bprop
    >>> @bprop.compile
    ... def f(x):
    ...     y = x * x
    ...     bprop.callback(print, "y is", y)
    ...     return bprop.sum(y)
    >>> f(bprop.asarray([1.0, 2.0]))
    y is Array([1., 4.])
    Array(5.)
    """
    check_function("callback", "f", f)
    what = f"callback of {name_of(f)}"
    leaves, structure = flatten(args, is_holder)
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Array | np.ndarray | np.generic)]
    like, expected = flatten(result)
    for leaf in like:
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            raise ArgumentError(
                f"{what}: result is a tree of arrays like those that are returned, or None; a leaf is {leaf!r:.40}"
            )
    specs = [Spec(tuple(leaf.shape), np.dtype(leaf.dtype)) for leaf in like]
    arrays_given = tuple(asarray(leaves[place]) for place in places)
    for place in places:  # a graph that holds `flat` is not to hold the values of its trace
        leaves[place] = None

    def flat(*arrays: Array) -> list[Array]:
        given = list(leaves)
        for place, array in zip(places, arrays, strict=True):
            given[place] = array
        answer = f(*unflatten(structure, given))
        if result is None:
            return []
        ys, found = flatten(answer)
        same_structure(what, expected, found, ("result", "f returned"))
        arrays_back = [asarray(y) for y in ys]
        same_specs(what, expected, specs, [y.spec for y in arrays_back], ("result is", "f returned"))
        return arrays_back

    params = {"f": flat, "specs": tuple(specs), "batch": (), "guarded": False, "name": what}
    outputs = current().bind(callback_op, arrays_given, params)
    return None if result is None else unflatten(expected, outputs)


__all__ = ["callback", "callback_op"]
