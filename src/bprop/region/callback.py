"""`callback`: a Python function that sees the numbers, wherever they are computed.

The **forward pass** y = f(x) calls f once, under `vmap` once for every entry. Nothing is known of ∂f: a result of floats
has no derivative, neither in forward mode nor on the way back, and asking for it is an error.

**Source:** JAX, ``jax.pure_callback``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.error import ArgumentError, DerivativeError
from ..core.family import Region
from ..core.interpreter import EVALUATE, current, using
from ..core.op import Operand
from ..core.tree import flatten, is_holder, merge, unflatten
from ..core.value import Array, Spec, asarray
from ..gradients.batch import Batch, materialised
from ..gradients.variable import name_of
from ..ops import broadcast_to, reshape
from .check import check_function, check_specs, check_structure
from .cotangent import is_differentiable


class Callback(Region):
    """args: arrays; params: ``f`` of flat arrays, ``specs`` of what it returns for one entry, ``batch``, ``guarded`` and
    ``name``.

    ``batch`` has the sizes of the leading axes of all args: there is one call for each of their entries. ``guarded``: the
    first of the args is a mask of shape ``batch``, which says for which entries it is made.
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
            for entry in np.ndindex(*batch):
                if guarded and not args[0][entry]:
                    continue
                xs = [Array(np.array(x[entry])) for x in args[guarded:]]
                for output, y in zip(outputs, params["f"](*xs), strict=True):
                    output[entry] = y.data
        return tuple(outputs)

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if any(is_differentiable(spec) for spec in params["specs"]):
            raise self._refused(params)
        return tuple(map(Array, self.numbers([x.concrete() for x in args], params)))

    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        outputs = current().bind(self, args, params)

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            raise self._refused(params)

        return outputs, pullback

    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        if any(is_differentiable(spec) for spec in params["specs"]):
            raise self._refused(params)
        outputs = current().bind(self, args, params)
        return outputs, tuple(None for _ in outputs)

    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        xs = [x if flag else materialised(x, level.size) for x, flag in zip(args, batched, strict=True)]
        batch, guarded = (level.size, *params["batch"]), params["guarded"]
        if level.active is not None:
            active = broadcast_to(reshape(level.active, (level.size, *(1,) * (len(batch) - 1))), batch)
            xs = [active & xs[0], *xs[1:]] if guarded else [active, *xs]
            guarded = True
        return current().bind(self, tuple(xs), {**params, "batch": batch, "guarded": guarded})


def _evaluate(*args: Any, **params: Any) -> tuple[Any, ...]:
    return tuple(map(Array, callback_op.numbers([x.data for x in args], params)))


callback_op = Callback("callback", _evaluate, doc="A Python function that sees the numbers: see `bprop.callback`.")


def callback(f: Callable[..., Any], /, *args: Any, result: Any = None) -> Any:
    """Call ``f(*args)`` with the numbers of ``args`` when they are computed: eager, under transforms, in native code.

    Calls happen once each, in the order in which they are written. They are never left out, whether or not anything
    depends on them. An exception in ``f`` comes out unchanged, and no cell has changed then. Under differentiation ``f``
    is called on the way forward only, with the values and not their tangents; inside `vmap` once for every entry, in
    order (if one of ``args`` differs among the entries); in a branch of `cond` if that is taken.

    The result has no derivative: a `DerivativeError` says so where one is asked for, and `bprop.custom` gives one.

    Parameters
    ----------
    f : function
        It gets ``args`` with plain arrays for leaves, which have numbers.
    *args : trees of arrays and anything else
        Leaves that are no arrays are passed as they are.
    result : tree of arrays, or of anything with ``shape`` and ``dtype``, optional
        What ``f`` returns looks like: the same structure, shapes and dtypes.

    Returns
    -------
    tree of arrays, or None
        What ``f`` returns; ``None`` without ``result``.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        ``f`` returns something else than ``result`` says, ``result`` is no such tree, or ``f`` cannot be called.

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
    name = f"callback of {name_of(f)}"
    leaves, structure = flatten(args, is_holder)
    positions = [position for position, leaf in enumerate(leaves) if isinstance(leaf, Array | np.ndarray | np.generic)]
    result_leaves, result_structure = flatten(result)
    for leaf in result_leaves:
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            raise ArgumentError(
                f"{name}: result is a tree of arrays like those that are returned, or None; a leaf is {leaf!r:.40}"
            )
    specs = [Spec(tuple(leaf.shape), np.dtype(leaf.dtype)) for leaf in result_leaves]
    operands = tuple(asarray(leaves[position]) for position in positions)
    for position in positions:  # a graph that holds `flat` is not to hold the values of its trace
        leaves[position] = None

    def flat(*arrays: Array) -> list[Array]:
        returned = f(*unflatten(structure, merge(leaves, positions, arrays)))
        if result is None:
            return []
        ys, returned_structure = flatten(returned)
        check_structure(name, result_structure, returned_structure, ("result", "f returned"))
        outputs = [asarray(y) for y in ys]
        check_specs(name, result_structure, specs, [y.spec for y in outputs], ("result is", "f returned"))
        return outputs

    params = {"f": flat, "specs": tuple(specs), "batch": (), "guarded": False, "name": name}
    outputs = current().bind(callback_op, operands, params)
    return None if result is None else unflatten(result_structure, outputs)


__all__ = ["callback", "callback_op"]
