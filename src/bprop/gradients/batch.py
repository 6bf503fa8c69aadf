"""Batching: one application for a whole batch, whose axis the function never sees.

A `Batched` holds its batch on the leading axis of ``value``. Each family says how one application does the work of all;
the number of applications does not depend on the batch size.
"""

from collections.abc import Callable, Sequence
from functools import singledispatch, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..core.cell import Cell
from ..core.conversion_error import asked
from ..core.dtype import WEAK
from ..core.error import ArgumentError, BpropError, DerivativeError, ShapeError, TracedValueError
from ..core.family import (
    Bilinear,
    Creation,
    Cumulative,
    Elementwise,
    General,
    Join,
    Linear,
    Random,
    Reduction,
    Region,
    Selection,
)
from ..core.interpreter import Interpreter, using
from ..core.object_array import rejoined
from ..core.op import Op
from ..core.shape import normalise_axis
from ..core.trace import instead
from ..core.tree import flatten, is_holder, unflatten
from ..core.value import Array, Tracer, asarray
from ..ops import broadcast_to, eye, moveaxis, ones, reshape, stack, where
from .variable import as_array, name_of

P = ParamSpec("P")
R = TypeVar("R")


class Batched(Tracer):
    """An array for every entry of a batch: ``value`` has one more axis, the leading one."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape[1:]

    def decides(self) -> bool:
        return False

    def __bool__(self) -> bool:
        raise TracedValueError(
            f"Python `if`, `while`, `and`, `or`, `not` or bool() on {self.origin()} inside vmap: every entry of the batch "
            f"may decide otherwise; {instead(self.owner.gave_objects)}"
        )

    def numbers(self, what: str) -> NDArray[Any]:
        what, instead = asked(self, what)
        raise TracedValueError(
            f"{what} of {self.origin()} inside vmap: it is another number for every entry of the batch; "
            f"{instead or 'compute with bprop functions and return it'}, or look at every entry's with bprop.callback(f, x)"
        )

    def __repr__(self) -> str:
        return f"<batch of {self.value.shape[0]} × {self.spec}>"


class Batch(Interpreter):
    """Applies ops to whole batches of ``size`` entries.

    ``active``: which entries anyone asks for (a bool array of shape (size,), ``None``: all of them). In a branch that is
    run for those that take it, and in a loop for those that are not done, the others compute what is thrown away: their
    loops make no turns and their callbacks are not called.
    """

    name = "vmap"
    differentiates = False

    def __init__(self, size: int, below: Interpreter | None = None, *, active: Array | None = None) -> None:
        super().__init__(below)
        self.size = size
        self.active = active

    def inside(self, condition: Array | None = None) -> "Batch":
        """Return a new level for what a region holds, of which only the entries where ``condition`` holds are asked for."""
        active = self.active
        if condition is not None:
            active = condition if active is None else condition & active
        return Batch(self.size, active=active)

    def wrap(self, value: Array) -> Batched:
        """Return ``value``, whose leading axis is the batch, as one entry."""
        return Batched(self, value)

    def lower(self, value: Array) -> Array:
        return value.value if type(value) is Batched and value.owner is self else value

    def look(self, name: str, f: Callable[..., Any], args: Sequence[Any]) -> Any:
        """Call ``f`` once for every entry of the batch; its results become a batch again."""
        if not any(self.owns(arg) for arg in args):
            return super().look(name, f, args)
        with using(self.below):
            results = [
                self.below.look(name, f, [arg.value[entry] if self.owns(arg) else arg for arg in args])
                for entry in range(self.size)
            ]
            return self._gathered(name, results)

    def _gathered(self, name: str, results: list[Any]) -> Any:
        """Return what a function returned for the entries as one value, whose entries they are."""
        first = results[0] if results else None
        if isinstance(first, tuple):
            columns = [self._gathered(name, list(column)) for column in zip(*results, strict=True)]
            return type(first)(*columns) if hasattr(first, "_fields") else tuple(columns)
        if not isinstance(first, Array | np.ndarray | np.generic | bool | int | float | complex):
            raise TracedValueError(
                f"{name} inside vmap returns {'nothing' if first is None else type(first).__name__} for every entry of the "
                f"batch, which cannot be put together: call it outside vmap, or look at every entry's with bprop.callback(f, x)"
            )
        try:
            return self.wrap(stack([asarray(result) for result in results]))
        except ShapeError:
            raise TracedValueError(
                f"{name} inside vmap returns another shape for every entry of the batch: call it outside vmap"
            ) from None

    def write(self, cell: Cell, value: Array) -> None:
        if type(value) is Batched and value.owner is self:
            raise DerivativeError(
                f"vmap: {cell.name or 'a cell'} is one for the whole batch and cannot be set to a different value for "
                f"each of {self.size} entries: return the values instead, or set it outside vmap"
            )
        raise DerivativeError(
            f"vmap: writing {cell.name or 'a cell'} (a parameter, running statistic or random generator) inside vmap "
            f"would happen once for the whole batch: do it outside, and pass what it gives as an argument"
        )

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        batched = tuple(type(arg) is Batched and arg.owner is self for arg in args)
        if not any(batched) and not (op.is_region and self.active is not None):
            return self.below.bind(op, args, params)
        plain = tuple(self.lower(arg) for arg in args)
        with using(self.below):
            if isinstance(op, Region):
                return tuple(map(self.wrap, op.batch(plain, batched, params, self)))
            if self.active is not None and isinstance(op, General) and op.failure:
                plain = self._harmless(op, plain, batched)
            try:
                y = batch(op, plain, batched, params, self.size)
            except BpropError:
                op.spec(*(arg if type(arg) in WEAK else arg.spec for arg in args), **params)  # names the entry's shapes
                raise
        return tuple(map(self.wrap, y)) if type(y) is tuple else self.wrap(y)

    def _harmless(self, op: General, xs: Sequence[Any], batched: Sequence[bool]) -> tuple[Any, ...]:
        """Give an op that may fail the identity for entries that nobody asks for."""
        result = []
        for x, own, core in zip(xs, batched, op.core_inputs, strict=True):
            shape = x.shape[len(x.shape) - len(core) :]
            identity = eye(*shape, dtype=x.dtype) if len(core) == 2 else ones(shape, dtype=x.dtype)
            active = reshape(self.active, (self.size, *(1,) * (len(x.shape) - 1)))
            result.append(where(active, x, identity) if own else x)
        return tuple(result)


# --- one rule per family ---
@singledispatch
def batch(op: Op, xs: Sequence[Any], batched: Sequence[bool], params: dict[str, Any], size: int) -> Any:
    """Return the result for the whole batch, on its leading axis."""
    raise NotImplementedError(f"batching of {op}")


def _aligned(xs: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Pad batched operands with axes of size 1 after the batch, so that the entries broadcast among themselves."""
    rank = max(len(x.shape) - own if hasattr(x, "shape") else 0 for x, own in zip(xs, batched, strict=True))
    result = []
    for x, own in zip(xs, batched, strict=True):
        missing = rank - len(x.shape) + 1 if own else 0
        result.append(reshape(x, (x.shape[0], *(1,) * missing, *x.shape[1:])) if missing else x)
    return result


@batch.register
def _(op: Elementwise, xs: Any, batched: Any, params: Any, size: int) -> Any:
    return op(*_aligned(xs, batched), **params)


@batch.register
def _(op: Selection, xs: Any, batched: Any, params: Any, size: int) -> Any:
    y = op(*_aligned(xs, batched), **params)
    return y


@batch.register
def _(op: Reduction, xs: Any, batched: Any, params: Any, size: int) -> Any:
    return op(xs[0], axis=tuple(axis + 1 for axis in params["axis"]), keepdims=params["keepdims"])


@batch.register
def _(op: Cumulative, xs: Any, batched: Any, params: Any, size: int) -> Any:
    operands = [x if own else materialised(x, size) for x, own in zip(xs, batched, strict=True)]
    return op(*operands, axis=params["axis"] + 1)


@batch.register
def _(op: Linear, xs: Any, batched: Any, params: Any, size: int) -> Any:
    if op.batch is not None:
        return op.batch(size, *xs, tuple(batched), **params)
    assert op.lift is not None
    (x,) = xs
    if op.align is not None:
        missing = len(params[op.align]) - (len(x.shape) - 1)
        x = reshape(x, (size, *(1,) * missing, *x.shape[1:]))
    return op(x, **op.lift(params, size, x))


@batch.register
def _(op: Join, xs: Any, batched: Any, params: Any, size: int) -> Any:
    every = (x if own else materialised(x, size) for x, own in zip(xs, batched, strict=True))
    return op(*every, axis=params["axis"] + 1)


@batch.register
def _(op: Bilinear, xs: Any, batched: Any, params: Any, size: int) -> Any:
    shapes = [x.shape[1:] if own else () if type(x) in WEAK else x.shape for x, own in zip(xs, batched, strict=True)]
    labels1, labels2, out = op.labels(*shapes, **params)
    new = next(label for label in "BATCHUVWPQRSDEFG" if label not in labels1 + labels2)
    labels1, labels2 = (new * own + labels for own, labels in zip(batched, (labels1, labels2), strict=True))
    contraction, params = op.relabelled((labels1, labels2, new + out), params)
    return contraction(*xs, **params)


@batch.register
def _(op: General, xs: Any, batched: Any, params: Any, size: int) -> Any:
    ranks = [len(x.shape) - own - len(core) for x, own, core in zip(xs, batched, op.core_inputs, strict=True)]
    rank = max(ranks)
    aligned = [
        reshape(x, (size, *(1,) * (rank - own_rank), *x.shape[1:])) if own and own_rank < rank else x
        for x, own, own_rank in zip(xs, batched, ranks, strict=True)
    ]
    return op(*aligned, **params)


@batch.register
def _(op: Creation, xs: Any, batched: Any, params: Any, size: int) -> Any:
    raise AssertionError("a creation op has no inputs to batch")


@batch.register
def _(op: Random, xs: Any, batched: Any, params: Any, size: int) -> Any:
    return op(*xs, **params)  # the leading axes of a state are batches


def to_front(x: Any, axis: int) -> Any:
    """Move the batch axis to the front."""
    return x if axis == 0 else moveaxis(x, axis, 0)


def materialised(value: Any, size: int) -> Any:
    """Repeat an unbatched value for every entry."""
    return broadcast_to(value, (size, *value.shape))


# --- the transform ---
def vmap(f: Callable[P, R], in_axes: Any = 0, out_axes: Any = 0) -> Callable[P, R]:
    """Return ``f`` applied to a whole batch at once; the number of ops applied does not depend on the batch size.

    ``in_axes``: the batch axis of every argument: one for all, or a tuple with one (or a tree) per argument; ``None``
    for an argument shared by the batch. ``out_axes`` likewise for the result. Raises `ShapeError` naming batch sizes
    that differ.

    **Source:** JAX, ``jax.vmap``.

    >>> import bprop
    >>> bprop.vmap(bprop.dot, in_axes=(0, None))(bprop.ones((2, 3)), bprop.arange(3))
    Array([3., 3.])
    """
    what = f"vmap of {name_of(f)}"

    @wraps(f, updated=())
    def mapped(*args: Any, **options: Any) -> Any:
        if isinstance(in_axes, tuple) and len(in_axes) != len(args):
            raise ArgumentError(f"{what}: in_axes has {len(in_axes)} entries for {len(args)} arguments")
        leaves, structure = flatten(args, is_holder)
        axes = _axes(in_axes, args, what)
        arrays: list[Any] = []
        sizes: dict[int, str] = {}
        for position, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)):
            if axis is None or is_holder(leaf):
                arrays.append((leaf, False))
                continue
            value = asarray(leaf)
            front = normalise_axis(what, axis, value.ndim, value.shape)
            sizes.setdefault(value.shape[front], f"leaf {position} of shape {value.shape} on axis {axis}")
            arrays.append((to_front(value, front), True))
        if len(sizes) != 1:
            shown = "; ".join(f"{size}: {where}" for size, where in sizes.items()) or "no argument has a batch axis"
            raise ShapeError(f"{what}: batch sizes differ or are missing ({shown})")
        owner = Batch(next(iter(sizes)))
        owner.name = what
        lifted = [owner.wrap(x) if own else x for x, own in arrays]
        with using(owner):
            out = rejoined(owner, f(*unflatten(structure, lifted), **options))
        ys, shape = flatten(out)
        places = _axes(out_axes, out, what)
        results = []
        for y, axis in zip(ys, places, strict=True):
            y = as_array(y, what)
            if axis is None:
                if isinstance(y, Batched) and y.owner is owner:
                    raise ArgumentError(f"{what}: out_axes is None for a result that differs over the batch")
                results.append(y)
                continue
            own = isinstance(y, Batched) and y.owner is owner
            value = owner.lower(y) if own else broadcast_to(y, (owner.size, *y.shape))
            results.append(
                value if axis == 0 else moveaxis(value, 0, normalise_axis(what, axis, value.ndim, value.shape))
            )
        return unflatten(shape, results)

    return mapped


def _axes(axes: Any, tree: Any, what: str) -> list[Any]:
    """Spread a prefix tree of batch axes over the leaves of ``tree``."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(flatten(tree, is_holder)[0])
    if isinstance(axes, tuple | list) and isinstance(tree, tuple | list) and len(axes) == len(tree):
        return [axis for entry, child in zip(axes, tree, strict=True) for axis in _axes(entry, child, what)]
    if isinstance(axes, dict) and isinstance(tree, dict) and set(axes) == set(tree):
        keys = sorted(tree, key=lambda key: (type(key).__name__, key))
        return [axis for key in keys for axis in _axes(axes[key], tree[key], what)]
    raise ArgumentError(f"{what}: axes {axes!r} do not fit an argument of type {type(tree).__name__}")


__all__ = ["Batch", "Batched", "batch", "materialised", "to_front", "vmap"]
