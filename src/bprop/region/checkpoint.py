"""`checkpoint`: keep only the inputs for the backward pass and compute the intermediates again when they are needed."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..core.family import Region
from ..core.interpreter import EVALUATE, current, using
from ..core.tree import flatten, is_holder, unflatten
from ..core.value import Array, asarray
from ..gradients.batch import Batch, materialised
from ..gradients.forward import Forward
from ..gradients.reverse import Record, send
from ..gradients.variable import leaf_label, name_of
from ..ops.barrier import barrier
from .closure import Closure
from .weak import is_weak

P = ParamSpec("P")
R = TypeVar("R")


class Checkpoint(Region):
    """params: ``body``, a closed graph."""

    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        outputs = current().bind(self, args, params)

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            owner = Record(name="checkpoint")
            behind = [barrier(x) for x in args]  # or native code would merge this run with the first, and keep that
            lifted = [owner.input(x) if need else x for x, need in zip(behind, needs, strict=True)]
            with using(owner):
                again = params["body"].live(quiet=True)(*lifted)
            inputs = [x for x, need in zip(lifted, needs, strict=True) if need]
            bars = iter(send(again, y_bars, inputs, owner))
            return [next(bars) if need else None for need in needs]

        return outputs, pullback

    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        owner = Forward()
        with using(owner):
            outputs = params["body"](*(owner.dual(x, x_dot) for x, x_dot in zip(args, args_dot, strict=True)))
        return [owner.lower(y) for y in outputs], [owner.tangent(y) for y in outputs]

    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        def mapped(*xs: Any) -> list[Any]:
            owner = level.inside()
            with using(owner):
                ys = params["body"](*(owner.wrap(x) if own else x for x, own in zip(xs, batched, strict=True)))
            return [owner.lower(y) if owner.owns(y) else materialised(y, level.size) for y in ys]

        closure = Closure(mapped, [x.spec for x in args], "checkpoint")
        return current().bind(self, (*args, *closure.captures), {"body": closure.graph})

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        return tuple(params["body"](*args))


checkpoint_op = Checkpoint(
    "checkpoint",
    lambda *args, body: tuple(body(*args)),
    doc="A graph whose intermediates are computed again for the backward pass: see `bprop.checkpoint`.",
)


def checkpoint(f: Callable[P, R]) -> Callable[P, R]:
    """Return ``f`` with less memory and more work: its intermediates are not kept, but computed again going backward.

    Arguments and results are trees of arrays; what ``f`` closes over (parameters of modules, too) is differentiated as
    usual. Under a transform ``f`` is traced, so a Python ``if`` on a value of its own raises `TracedValueError`.

    **Source:** Griewank & Walther (2000), Algorithm 799: revolve; Chen et al. (2016), Training deep nets with sublinear
    memory cost.

    >>> import bprop
    >>> bprop.grad(bprop.checkpoint(lambda x: bprop.sum(bprop.exp(x))))(bprop.zeros(2))
    Array([1., 1.])
    """
    name = f"checkpoint of {name_of(f)}"

    @wraps(f, updated=())
    def checkpointed(*args: Any, **options: Any) -> Any:
        if current() is EVALUATE:
            return f(*args, **options)
        leaves, structure = flatten((args, options), is_holder)
        arrays, places = split(leaves)
        shape: list[Any] = []

        def flat(*xs: Any) -> list[Any]:
            new_args, new_options = unflatten(structure, merged(leaves, places, xs))
            ys, out = flatten(f(*new_args, **new_options))
            shape[:] = [out, [y if is_weak(y) else None for y in ys]]
            return [y for y in ys if not is_weak(y)]  # Python numbers stay what they are

        def label(position: int) -> str:
            return leaf_label(f, structure, places[position])

        closure = Closure(flat, [x.spec for x in arrays], name, label=label)
        outputs = current().bind(checkpoint_op, (*arrays, *closure.captures), {"body": closure.graph})
        closure.write(outputs[closure.count :])
        ys = iter(outputs[: closure.count])
        return unflatten(shape[0], [next(ys) if scalar is None else scalar for scalar in shape[1]])

    return checkpointed


def split(leaves: Sequence[Any]) -> tuple[list[Array], list[int]]:
    """Return the array leaves and their places; Python numbers, strings and holders are static."""
    places = [
        place
        for place, leaf in enumerate(leaves)
        if isinstance(leaf, Array) or (hasattr(leaf, "__array__") and not (is_holder(leaf) or is_weak(leaf)))
    ]
    return [asarray(leaves[place]) for place in places], places


def merged(leaves: Sequence[Any], places: Sequence[int], arrays: Sequence[Any]) -> list[Any]:
    """Return the leaves with the arrays put back in their places."""
    result = list(leaves)
    for place, array in zip(places, arrays, strict=True):
        result[place] = array
    return result


__all__ = ["checkpoint", "checkpoint_op", "merged", "split"]
