"""`checkpoint`: save only the inputs, and compute the intermediates again when the backward pass needs them.

The **forward pass** y = f(x) saves nothing but x. The **backward pass** x̄ = ∂f(x)ᵀ ȳ runs f(x) again, recorded this time,
and goes back through what was recorded. **Forward mode** ẏ = ∂f(x) ẋ is that of f.

**Source:** Griewank & Walther (2000), Algorithm 799: revolve.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..core.family import Region
from ..core.foreign_array import is_array_like
from ..core.interpreter import EVALUATE, current
from ..core.tree import flatten, is_holder, merge, unflatten
from ..core.value import Array, asarray
from ..gradients.batch import Batch
from ..gradients.variable import leaf_label, name_of
from ..ops.barrier import barrier
from .closure import Closure
from .interpretation import apply_batched, apply_recorded, apply_with_tangents
from .weak import is_weak

P = ParamSpec("P")
R = TypeVar("R")


class Checkpoint(Region):
    """params: ``body``, a closed graph."""

    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        outputs = current().bind(self, args, params)

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            xs = [barrier(x) for x in args]  # or native code would merge this run with the first, and keep that
            _, recorded_pullback = apply_recorded(params["body"].live(quiet=True), xs, needs, "checkpoint")
            return recorded_pullback(y_bars)

        return outputs, pullback

    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        return apply_with_tangents(params["body"], args, args_dot)

    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        def body(*xs: Any) -> list[Any]:
            return apply_batched(params["body"], xs, batched, level.inside())

        closure = Closure(body, [x.spec for x in args], "checkpoint")
        return current().bind(self, (*args, *closure.captures), {"body": closure.graph})

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        return tuple(params["body"](*args))


checkpoint_op = Checkpoint(
    "checkpoint",
    lambda *args, body: tuple(body(*args)),
    doc="A graph whose intermediates are computed again for the backward pass: see `bprop.checkpoint`.",
)


def checkpoint(f: Callable[P, R]) -> Callable[P, R]:
    """Return ``f`` with less memory and more work: its intermediates are computed again in the backward pass.

    Parameters
    ----------
    f : function of trees of arrays that returns a tree of arrays
        What it closes over (parameters of modules, too) is differentiated as usual. Python numbers and strings among
        its arguments and results stay what they are.

    Returns
    -------
    function
        The same function. Eager it is ``f`` itself; under a transform ``f`` is traced once at every call.

    Raises
    ------
    TracedValueError
        When it is called under a transform and a Python ``if`` asks for a value of its own.

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
        arrays, positions = _arrays(leaves)

        def flat(*xs: Any) -> tuple[list[Any], tuple[Any, list[Any]]]:
            """Return the arrays of the result; and its structure, with the Python numbers among its leaves."""
            new_args, new_options = unflatten(structure, merge(leaves, positions, xs))
            ys, tree = flatten(f(*new_args, **new_options))
            return [y for y in ys if not is_weak(y)], (tree, [y if is_weak(y) else None for y in ys])

        def label(position: int) -> str:
            return leaf_label(f, structure, positions[position])

        closure = Closure(flat, [x.spec for x in arrays], name, label=label, has_aux=True)
        outputs = current().bind(checkpoint_op, (*arrays, *closure.captures), {"body": closure.graph})
        closure.write(outputs[closure.count :])
        tree, numbers = closure.aux
        ys = iter(outputs[: closure.count])
        return unflatten(tree, [next(ys) if number is None else number for number in numbers])

    return checkpointed


def _arrays(leaves: Sequence[Any]) -> tuple[list[Array], list[int]]:
    """Return the leaves that are arrays, and their positions; Python numbers, strings and holders are static."""
    positions = [
        position
        for position, leaf in enumerate(leaves)
        if isinstance(leaf, Array) or (is_array_like(leaf) and not (is_holder(leaf) or is_weak(leaf)))
    ]
    return [asarray(leaves[position]) for position in positions], positions


__all__ = ["checkpoint", "checkpoint_op"]
