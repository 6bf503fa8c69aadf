"""One application seen scalar by scalar: which entry of y depends on which entry of x, and with what local derivative.

The structure is that of the family, not of the numbers: an edge whose derivative happens to be 0 is an edge, entries
that cannot depend on each other have none, and neither has the branch that a selection did not take (its cotangent is
absent). The derivatives come from the op's own vjp, with cotangents that keep the edges apart.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import singledispatch
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.dtype import WEAK, is_float
from ..core.error import BpropError, DerivativeError
from ..core.family import Bilinear, Cumulative, Elementwise, General, Join, Linear, Reduction, Region, Selection
from ..core.graph import Edge, Graph, Node
from ..core.interpreter import using
from ..core.observe import Observe
from ..core.op import Op
from ..core.shape import broadcast
from ..core.value import Array, asarray
from ..ops import ones, zeros
from .batch import vmap
from .vjp_rule import expanded, vjp

Numbers = NDArray[Any]
LIMIT = 10_000_000
"""Entries of a local Jacobian that one application may have."""


class LocalJacobian(NamedTuple):
    """Which entries of one operand the entries of y depend on, by flat position, and the local derivatives ∂y/∂x."""

    x: Numbers
    y: Numbers
    partial: Numbers


def _limited(op: Op, count: int) -> None:
    if count > LIMIT:
        raise BpropError(
            f"{op.name}: scalar by scalar it has {count} edges, and {LIMIT} is the limit: look at the paths of a smaller "
            f"example, or use method='reverse'"
        )


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
def local_jacobian(op: Op, y: Array, xs: Sequence[Any], params: dict[str, Any], position: int) -> LocalJacobian | None:
    """Return the edges from operand ``position`` to ``y``, ``None`` where y does not vary with it."""
    raise DerivativeError(f"{op.name} has no derivative: use bprop.stop_gradient on its input if that is meant")


@local_jacobian.register
def _(op: Elementwise, y: Array, xs: Any, params: Any, position: int) -> LocalJacobian | None:
    if op.partials[position] is None:
        return None
    needs = [operand == position for operand in range(len(xs))]
    x_bars = vjp(op, ones(y.shape, dtype=y.dtype), y, [_spread(x, y.shape) for x in xs], params, needs)
    source = np.broadcast_to(_positions(_shape(xs[position])), y.shape).ravel()
    return LocalJacobian(source, _positions(y.shape).ravel(), _numbers(x_bars[position]).ravel())


@local_jacobian.register
def _(op: Selection, y: Array, xs: Any, params: Any, position: int) -> LocalJacobian | None:
    fraction = op.tie_fractions[position]
    if fraction is None:
        return None
    chosen = np.broadcast_to(_numbers(fraction(y, *xs)), y.shape).ravel()
    source = np.broadcast_to(_positions(_shape(xs[position])), y.shape).ravel()
    taken = chosen != 0
    return LocalJacobian(source[taken], _positions(y.shape).ravel()[taken], chosen[taken])


@local_jacobian.register
def _(op: Reduction, y: Array, xs: Any, params: Any, position: int) -> LocalJacobian | None:
    (x,) = xs
    axes, keepdims = params["axis"], params["keepdims"]
    if op.chosen is None and op.partial is None:
        return None
    (x_bar,) = vjp(op, ones(y.shape, dtype=y.dtype), y, xs, params, [True])
    target = _positions(tuple(1 if axis in axes else size for axis, size in enumerate(x.shape)))
    source, target = _positions(x.shape).ravel(), np.broadcast_to(target, x.shape).ravel()
    partial = _numbers(x_bar).ravel()
    if op.chosen is not None:
        taken = _numbers(op.chosen(expanded(y, x.shape, axes, keepdims), x, axes)[0]).ravel() != 0
        source, target, partial = source[taken], target[taken], partial[taken]
    return LocalJacobian(source, target, partial)


@local_jacobian.register
def _(op: Cumulative, y: Array, xs: Any, params: Any, position: int) -> LocalJacobian | None:
    """y depends on what stands before it along the axis, and its first entry on the last operand alone."""
    axis = params["axis"]
    size = y.shape[axis]
    _limited(op, size * y.size)
    one_hot = np.moveaxis(np.eye(size).reshape(size, size, *(1,) * (len(y.shape) - 1)), 1, axis + 1)
    seeds = asarray(np.broadcast_to(one_hot, (size, *y.shape)).astype(y.dtype))
    needs = [operand == position for operand in range(len(xs))]
    x_bars = vmap(lambda seed: op.vjp(seed, y, xs, needs, **params)[position])(seeds)
    own = np.indices((size, *y.shape))  # of an edge: where y is along the axis, and all coordinates of x
    to = [own[0] if number == axis else coordinates for number, coordinates in enumerate(own[1:])]
    joined = own[0] >= own[1 + axis]
    if position < len(xs) - 1:
        joined &= own[1 + axis] > 0
    source, target = (np.ravel_multi_index(tuple(where), y.shape)[joined] for where in (own[1:], to))
    return LocalJacobian(source, target, _numbers(x_bars)[joined])


@local_jacobian.register
def _(op: Linear, y: Array, xs: Any, params: Any, position: int) -> LocalJacobian | None:
    if position:
        return None
    x, *others = xs
    numbers = [other.concrete() for other in others]
    if op.scatter:  # every entry of x goes to one place
        source = _positions(x.shape).ravel()
        target = _numbers(op.adjoint(asarray(_positions(y.shape)), x, *others, **params)).astype(np.int64).ravel()
    else:  # every entry of y comes from one place
        source = np.asarray(op.evaluate(_positions(x.shape), *numbers, **params)).ravel()
        target = _positions(y.shape).ravel()
    return LocalJacobian(source, target, np.ones(len(source)))


@local_jacobian.register
def _(op: Join, y: Array, xs: Any, params: Any, position: int) -> LocalJacobian | None:
    axis, x = params["axis"], xs[position]
    start = op.starts(xs, axis)[position]
    target = np.moveaxis(_positions(y.shape), axis, 0)[start : start + x.shape[axis]]
    return LocalJacobian(_positions(x.shape).ravel(), np.moveaxis(target, 0, axis).ravel(), np.ones(x.size))


@local_jacobian.register
def _(op: Bilinear, y: Array, xs: Any, params: Any, position: int) -> LocalJacobian | None:
    """y = Σ x1 x2: x1 is joined to y wherever their labels agree, and x2 there is the derivative."""
    labels, windows = op.labels(xs[0].shape, xs[1].shape, **params), op.window_params(params)
    sizes = op.sizes(labels[0], xs[0].shape, labels[1], xs[1].shape, **windows)
    own, other, out = labels[position], labels[1 - position], labels[2]
    both = "".join(dict.fromkeys(own + out))
    _limited(op, prod(sizes[label] for label in both))
    numbers = dict(zip(both, np.indices([sizes[label] for label in both]).reshape(len(both), -1), strict=True))
    for window in windows.get("windows", ()):
        numbers = window.completed(numbers)

    def flat_positions(names: str, shape: tuple[int, ...]) -> Numbers:
        flat = np.zeros(next(iter(numbers.values())).shape if numbers else (1,), np.int64)
        for label, size in zip(names, shape, strict=True):
            flat = flat * size + (numbers[label] if size > 1 else 0)
        return flat

    factor = _numbers(xs[1 - position])
    left = "".join(label for label in other if label in numbers)
    factor = factor.sum(tuple(axis for axis, label in enumerate(other) if label not in numbers))
    return LocalJacobian(
        flat_positions(own, xs[position].shape),
        flat_positions(out, y.shape),
        factor.ravel()[flat_positions(left, factor.shape)],
    )


@local_jacobian.register
def _(op: General, y: Array, xs: Any, params: Any, position: int) -> LocalJacobian | None:
    if "axis" in params:
        return _along_axes(op, y, xs[0], params)
    return _within_batch(op, (y,), xs, params, position, 0)


def _along_axes(op: General, y: Array, x: Array, params: Any) -> LocalJacobian | None:
    """The core axes as one, the last."""
    axes = params["axis"]

    def core(numbers: Numbers) -> Numbers:
        moved = np.moveaxis(numbers, axes, range(-len(axes), 0))
        rank = numbers.ndim - len(axes)
        return moved.reshape(*moved.shape[:rank], prod(moved.shape[rank:]))

    flattened = asarray(core(np.asarray(x.concrete())))
    jacobian = _within_batch(
        op, (op(flattened, **params | {"axis": (-1,)}),), [flattened], params | {"axis": (-1,)}, 0, 0
    )
    if jacobian is None:
        return None
    positions = core(_positions(x.shape)).ravel()
    return LocalJacobian(positions[jacobian.x], positions[jacobian.y], jacobian.partial)


def _within_batch(
    op: General, ys: Sequence[Array], xs: Any, params: Any, position: int, index: int
) -> LocalJacobian | None:
    """Within an entry of the batch every entry of an output may depend on every entry of x; none across the batch."""
    y = ys[index]
    batches = [x.shape[: len(x.shape) - len(core)] for x, core in zip(xs, op.core_inputs, strict=True)]
    batch = broadcast(op.name, *batches)
    cores = [x.shape[len(x.shape) - len(core) :] for x, core in zip(xs, op.core_inputs, strict=True)]
    full = [_spread(x, batch + core) for x, core in zip(xs, cores, strict=True)]
    core_y, core_x = y.shape[len(batch) :], cores[position]
    count, size_y, size_x = (int(np.prod(shape)) for shape in (batch, core_y, core_x))
    one_hot = np.eye(size_y).reshape(size_y, *(1,) * len(batch), *core_y)
    _limited(op, size_y * max(size_y, size_x) * count)  # the seeds are the largest array
    seeds = asarray(np.broadcast_to(one_hot, (size_y, *y.shape)).astype(y.dtype))
    needs = [operand == position for operand in range(len(full))]

    def row(seed: Any) -> Any:
        y_bars = tuple(seed if output == index else None for output in range(len(ys)))
        return op.vjp(*((y_bars, ys) if op.several else (seed, y)), full, needs, **params)[position]

    x_bars = vmap(row)(seeds)
    if x_bars is None:
        return None
    shape = (size_y, count, size_x)
    own = np.broadcast_to(_positions(xs[position].shape), batch + core_x).reshape(1, count, size_x)
    target = np.moveaxis(_positions(y.shape).reshape(count, size_y), 1, 0)[:, :, None]
    return LocalJacobian(
        np.broadcast_to(own, shape).ravel(), np.broadcast_to(target, shape).ravel(), _numbers(x_bars).ravel()
    )


# --- a whole graph ---
class Dependency(NamedTuple):
    """The edges between one operand and one result of an application."""

    source: Edge
    target: Edge
    jacobian: LocalJacobian


Values = Mapping[Edge, Array]


def scalar_dependencies(graph: Graph, values: Values, inputs: Sequence[Edge]) -> list[Dependency]:
    """Return the edges of every application on the way from ``inputs``, in the order of the graph."""
    reached = set(inputs)
    result: list[Dependency] = []
    for node in graph.nodes:
        assert node.op is not None
        active = [position for position, x in enumerate(node.inputs) if type(x) is Edge and x in reached]
        if not active or not node.op.differentiable:
            continue
        xs: list[Any] = [values[x] if type(x) is Edge else x for x in node.inputs]
        ys = [values[edge] for edge in node.outputs]
        if isinstance(node.op, Region):
            jacobians: Iterable[tuple[int, int, LocalJacobian | None]] = _region(node, xs, ys, active)
        elif isinstance(node.op, General) and node.op.several:
            pairs = [(position, index) for position in active for index in range(len(ys))]
            jacobians = [(*pair, _within_batch(node.op, ys, xs, node.params, *pair)) for pair in pairs]
        elif is_float(ys[0].dtype):
            jacobians = [
                (position, 0, local_jacobian(node.op, ys[0], xs, node.params, position)) for position in active
            ]
        else:
            continue
        for position, index, jacobian in jacobians:
            if jacobian is not None:
                target = Edge(node, index)
                result.append(Dependency(node.edge(position), target, jacobian))
                reached.add(target)
    return result


def _region(
    node: Node, xs: list[Array], ys: list[Array], active: list[int]
) -> Iterator[tuple[int, int, LocalJacobian]]:
    """Yield the edges of a region as a whole: the structure is that of its body, the derivatives are its own rule's."""
    op, params = node.op, node.params
    assert isinstance(op, Region)
    params = op.staged(tuple(xs), params)
    body = op.body(params)
    owner = Observe(name=f"paths of {params.get('name', op.name)}")
    inputs = [owner.input(x) for x in xs]
    with using(owner):
        outputs = body(*inputs)
    sources = [inputs[position].node.output for position in active]
    inner = scalar_dependencies(owner.graph(outputs), owner.values, sources)
    pullback = op.record(tuple(xs), node.params, tuple(position in active for position in range(len(xs))))[1]
    for index, (y, output) in enumerate(zip(ys, outputs, strict=True)):
        if not is_float(y.dtype):
            continue
        sizes = [y.size * max(y.size, xs[position].size) for position in active]
        _limited(op, max(sizes))
        reach = _dependence(inner, owner.values, owner.edge(output), y.size)
        seeds = asarray(np.eye(y.size).reshape(y.size, *y.shape).astype(y.dtype))

        def row(seed: Any, index: int = index) -> list[Any]:
            bars = pullback(tuple(seed if output == index else None for output in range(len(ys))))
            return [zeros(xs[position].shape) if bars[position] is None else bars[position] for position in active]

        for position, source, x_bars in zip(active, sources, vmap(row)(seeds), strict=True):
            if source in reach:
                target, entry = np.nonzero(reach[source])
                yield position, index, LocalJacobian(entry, target, _numbers(x_bars).reshape(y.size, -1)[target, entry])


def _dependence(inner: list[Dependency], values: Values, output: Edge, size: int) -> dict[Edge, Numbers]:
    """Return for every edge which of its entries (columns) each entry of the output (rows) depends on."""
    reach: dict[Edge, Numbers] = {output: np.eye(size, dtype=bool)}
    for source, target, (x, y, _) in reversed(inner):
        if target in reach:
            dependent = reach.setdefault(source, np.zeros((size, values[source].size), bool))
            np.logical_or.at(dependent.T, x, reach[target].T[y])
    return reach


__all__ = ["Dependency", "LocalJacobian", "local_jacobian", "scalar_dependencies"]
