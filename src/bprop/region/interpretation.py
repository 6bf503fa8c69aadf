"""A body under one interpreter: its arguments are lifted, it runs, and its results are lowered again.

All regions share these functions. The body is a `Graph` or any function from arrays to a sequence of arrays. What is
said of arguments and results beside the arrays is a list with one entry for each.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..core.interpreter import using
from ..gradients.absent import Absent
from ..gradients.batch import Batch, materialised
from ..gradients.forward import Forward
from ..gradients.reverse import Record, send
from .cotangent import compress, expand

Body = Callable[..., Sequence[Any]]
Pullback = Callable[[Sequence[Any]], list[Any]]


def apply_recorded(
    body: Body, args: Sequence[Any], differentiable: Sequence[bool], name: str
) -> tuple[tuple[Any, ...], Pullback]:
    """Return the results y = f(x) and the pullback, which takes ȳ to x̄ = ∂f(x)ᵀ ȳ.

    Every application inside is recorded. In both lists of cotangents ``None`` says that there is none; only the
    arguments that are ``differentiable`` get one.
    """
    record = Record(name=name)
    lifted = [record.input(x) if flag else x for x, flag in zip(args, differentiable, strict=True)]
    with using(record):
        results = body(*lifted)
    inputs = list(compress(lifted, differentiable))

    def pullback(y_bars: Sequence[Any]) -> list[Any]:
        return expand(send(results, y_bars, inputs, record), differentiable)

    return tuple(record.lower(y) for y in results), pullback


def apply_with_tangents(body: Body, args: Sequence[Any], args_dot: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return the results y = f(x) and their tangents ẏ = ∂f(x) ẋ; ``None`` where there is none."""
    forward = Forward()
    lifted = [forward.dual(x, x_dot) for x, x_dot in zip(args, args_dot, strict=True)]
    with using(forward):
        results = body(*lifted)
    return [forward.lower(y) for y in results], [forward.tangent(y) for y in results]


def apply_batched(body: Body, args: Sequence[Any], batched: Sequence[bool], level: Batch) -> list[Any]:
    """Return the results for all entries of a batch, which is the leading axis of each of them.

    ``batched`` says which arguments have this axis; the others are the same for all entries. ``level`` is a new `Batch`.
    """
    lifted = [level.wrap(x) if flag else x for x, flag in zip(args, batched, strict=True)]
    with using(level):
        results = body(*lifted)
    return [lowered(y, level) for y in results]


def lowered(y: Any, level: Batch) -> Any:
    """Return a result of ``level`` with its batch axis; one that is the same for all entries is repeated."""
    return level.lower(y) if level.owns(y) else materialised(y, level.size)


def apply_masked(body: Body, args: Sequence[Any], presence: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return the results where entries of the arguments are absent, and the results' presence (see `presence`)."""
    absent = Absent()
    lifted = [absent.marked(x, mask) for x, mask in zip(args, presence, strict=True)]
    with using(absent):
        results = body(*lifted)
    return [absent.lower(y) for y in results], [absent.presence(y) for y in results]


__all__ = ["Body", "Pullback", "apply_batched", "apply_masked", "apply_recorded", "apply_with_tangents", "lowered"]
