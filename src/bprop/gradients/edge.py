"""One application seen scalar by scalar: which entry of y depends on which entry of x, and with what local derivative.

The structure is that of the family, not of the numbers: an edge whose derivative happens to be 0 is an edge, entries
that cannot depend on each other have none, and neither has the branch that a selection did not take (its cotangent is
absent). The derivatives come from the op's own vjp, with cotangents that keep the edges apart.
"""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.dtype import WEAK
from ..core.error import DerivativeError
from ..core.family import Bilinear, Elementwise, General, Linear, Reduction, Selection
from ..core.op import Op
from ..core.shape import broadcast
from ..core.value import Array, asarray
from ..ops import ones
from .reverse import expanded, vjp
from .transform import vmap

Numbers = NDArray[Any]


class Edges(NamedTuple):
    """Edges from entries of one operand to entries of y, by flat position, with their local derivatives ∂y/∂x."""

    x: Numbers
    y: Numbers
    partial: Numbers


def _positions(shape: tuple[int, ...]) -> Numbers:
    return np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)


def _shape(x: Any) -> tuple[int, ...]:
    return () if type(x) in WEAK else x.shape


def _numbers(x: Any) -> Numbers:
    numbers = x.concrete()
    assert numbers is not None
    return np.asarray(numbers, np.float64)


def _spread(x: Any, shape: tuple[int, ...]) -> Any:
    """Repeat an operand to ``shape``, so that every entry of y has an x of its own."""
    return x if type(x) in WEAK or x.shape == shape else asarray(np.broadcast_to(x.concrete(), shape))


@singledispatch
def edges(op: Op, y: Array, xs: Sequence[Any], params: dict[str, Any], position: int) -> Edges | None:
    """Return the edges from operand ``position`` to ``y``, ``None`` where y does not vary with it."""
    raise DerivativeError(
        f"{op.name} holds a function of its own, whose paths cannot be seen from outside: call the function directly, or "
        f"use method='forward' or 'reverse'"
    )


@edges.register
def _(op: Elementwise, y: Array, xs: Any, params: Any, position: int) -> Edges | None:
    if op.partials[position] is None:
        return None
    needs = [place == position for place in range(len(xs))]
    x_bars = vjp(op, ones(y.shape, dtype=y.dtype), y, [_spread(x, y.shape) for x in xs], params, needs)
    source = np.broadcast_to(_positions(_shape(xs[position])), y.shape).ravel()
    return Edges(source, _positions(y.shape).ravel(), _numbers(x_bars[position]).ravel())


@edges.register
def _(op: Selection, y: Array, xs: Any, params: Any, position: int) -> Edges | None:
    share = op.shares[position]
    if share is None:
        return None
    chosen = np.broadcast_to(_numbers(share(y, *xs)), y.shape).ravel()
    source = np.broadcast_to(_positions(_shape(xs[position])), y.shape).ravel()
    taken = chosen != 0
    return Edges(source[taken], _positions(y.shape).ravel()[taken], chosen[taken])


@edges.register
def _(op: Reduction, y: Array, xs: Any, params: Any, position: int) -> Edges | None:
    (x,) = xs
    axes, keepdims = params["axis"], params["keepdims"]
    if op.share is None and op.partial is None:
        return None
    (x_bar,) = vjp(op, ones(y.shape, dtype=y.dtype), y, xs, params, [True])
    target = _positions(tuple(1 if axis in axes else size for axis, size in enumerate(x.shape)))
    source, target = _positions(x.shape).ravel(), np.broadcast_to(target, x.shape).ravel()
    partial = _numbers(x_bar).ravel()
    if op.share is not None:
        taken = _numbers(op.share(expanded(y, x.shape, axes, keepdims), x, axes)).ravel() != 0
        source, target, partial = source[taken], target[taken], partial[taken]
    return Edges(source, target, partial)


@edges.register
def _(op: Linear, y: Array, xs: Any, params: Any, position: int) -> Edges | None:
    if position:
        return None
    x, *others = xs
    numbers = [one.concrete() for one in others]
    if op.scatter:  # every entry of x goes to one place
        source = _positions(x.shape).ravel()
        target = _numbers(op.adjoint(asarray(_positions(y.shape)), x, *others, **params)).astype(np.int64).ravel()
    else:  # every entry of y comes from one place
        source = np.asarray(op.evaluate(_positions(x.shape), *numbers, **params)).ravel()
        target = _positions(y.shape).ravel()
    return Edges(source, target, np.ones(len(source)))


@edges.register
def _(op: Bilinear, y: Array, xs: Any, params: Any, position: int) -> Edges | None:
    """y = Σ x1 x2: x1 is joined to y wherever their labels agree, and x2 there is the derivative."""
    labels = op.labels(xs[0].shape, xs[1].shape, **params)
    sizes = op.sizes(labels[0], xs[0].shape, labels[1], xs[1].shape)
    own, other, out = labels[position], labels[1 - position], labels[2]
    both = "".join(dict.fromkeys(own + out))
    grid = np.indices([sizes[label] for label in both]).reshape(len(both), -1)

    def place(names: str, shape: tuple[int, ...]) -> Numbers:
        flat = np.zeros(grid.shape[1], np.int64)
        for label, size in zip(names, shape, strict=True):
            flat = flat * size + (grid[both.index(label)] if size > 1 else 0)
        return flat

    factor = _numbers(xs[1 - position])
    left = "".join(label for label in other if label in both)
    factor = factor.sum(tuple(axis for axis, label in enumerate(other) if label not in both))
    return Edges(place(own, xs[position].shape), place(out, y.shape), factor.ravel()[place(left, factor.shape)])


@edges.register
def _(op: General, y: Array, xs: Any, params: Any, position: int) -> Edges | None:
    """Within an entry of the batch every entry of y may depend on every entry of x; none across the batch."""
    batches = [x.shape[: len(x.shape) - len(core)] for x, core in zip(xs, op.core_inputs, strict=True)]
    batch = broadcast(op.name, *batches)
    cores = [x.shape[len(x.shape) - len(core) :] for x, core in zip(xs, op.core_inputs, strict=True)]
    full = [_spread(x, batch + core) for x, core in zip(xs, cores, strict=True)]
    core_y, core_x = y.shape[len(batch) :], cores[position]
    size_y, size_x = int(np.prod(core_y)), int(np.prod(core_x))
    one_hot = np.eye(size_y).reshape(size_y, *(1,) * len(batch), *core_y)
    seeds = asarray(np.broadcast_to(one_hot, (size_y, *y.shape)).astype(y.dtype))
    x_bars = vmap(lambda seed: op.vjp(seed, y, full)[position])(seeds)
    shape = (size_y, int(np.prod(batch)), size_x)
    own = np.broadcast_to(_positions(xs[position].shape), batch + core_x).reshape(1, -1, size_x)
    target = np.moveaxis(_positions(y.shape).reshape(-1, size_y), 1, 0)[:, :, None]
    return Edges(np.broadcast_to(own, shape).ravel(), np.broadcast_to(target, shape).ravel(), _numbers(x_bars).ravel())


__all__ = ["Edges", "edges"]
