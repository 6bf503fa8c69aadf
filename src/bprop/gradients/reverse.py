"""Automatic differentiation, reverse mode: record the applications, then walk them backwards once.

`Record` evaluates and remembers (define by run, so Python ``if`` and ``for`` just work): a recorded array points to its
node, a node to the nodes of its inputs and to what its backward rule will read. There is no tape; nodes that no result
needs free themselves. `backward` visits the reachable nodes in order of decreasing creation number, so that every cotangent
is complete before it is sent on (the topological order of the lecture's computational graph).

**Source:** Linnainmaa (1970); Griewank & Walther (2008), Evaluating Derivatives, ch. 3; Leibe (2016), reverse-mode
differentiation.
"""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from ..core.cell import Cell
from ..core.dtype import WEAK, is_inexact
from ..core.error import DerivativeError
from ..core.family import Bilinear, Cumulative, Elementwise, General, Join, Linear, Reduction, Selection
from ..core.graph import Node
from ..core.interpreter import Interpreter, current, using
from ..core.op import Op
from ..core.trace import Trace
from ..core.value import Array, Spec, Tracer, asarray
from ..ops import add, broadcast_to, multiply, negative, reshape, where, zeros
from ..ops.complex import conj, matching
from ..ops.indexing import slice_along
from ..ops.manipulation import unbroadcast
from .absent import masked_sweep
from .variable import Function, Variables


class Recorded(Tracer):
    """An array that knows the application it came from."""

    __slots__ = ("index", "node")

    def __init__(self, owner: "Record", value: Array, node: Node, index: int = 0) -> None:
        self.owner = owner
        self.value = value
        self.node = node
        self.index = index

    def origin(self) -> str:
        op = self.node.op
        return f"{self.spec} ({'the result of ' + op.name if op is not None else 'an input'})"


class Record(Interpreter):
    """Evaluates one level below and remembers what depends on its inputs."""

    name = "record"
    replayed = True

    def __init__(self, below: Interpreter | None = None, *, name: str = "record") -> None:
        super().__init__(below)
        self.name = name

    def input(self, value: Array) -> Recorded:
        """Return ``value`` as a variable of differentiation."""
        return Recorded(self, value, Node(None, {}, ()))

    def lower(self, value: Array) -> Array:
        return value.value if type(value) is Recorded and value.owner is self else value

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        # the hot path of eager differentiation: one loop, bit masks for keys, no helper calls
        edges: list[Any] = []
        primals: list[Any] = []
        needs, weak, bit = 0, 0, 1
        for arg in args:
            kind = type(arg)
            if kind is Recorded and arg.owner is self:
                edges.append((arg.node, arg.index))
                primals.append(arg.value)
                needs |= bit
            else:
                edges.append(None)
                primals.append(arg)
                if kind in WEAK:
                    weak |= bit
            bit <<= 1
        if not needs:
            return self.below.bind(op, args, params)
        if op.several:
            return self._bind_several(op, primals, edges, (op, needs, weak), params)
        y = self.below.bind(op, tuple(primals), params)
        if not op.differentiable or (y.data if type(y) is Array else y).dtype.kind not in "fc":
            return y
        keeps = _KEEPS.get((op, needs | bit, weak))  # the last bit says how many operands there are
        if keeps is None:
            keeps = _KEEPS[op, needs | bit, weak] = _reached(
                op, params, y, primals, [edge is not None for edge in edges]
            )
        for position, x in enumerate(primals, 1):
            if not keeps[position]:
                plain = x.data if type(x) is Array else x
                primals[position - 1] = _spec(Spec, (plain.shape, plain.dtype))
        if keeps[0]:
            residuals = (y, primals)
        else:
            plain = y.data if type(y) is Array else y
            residuals = (_spec(Spec, (plain.shape, plain.dtype)), primals)
        return Recorded(self, y, Node(op, params, edges, (), residuals))

    def _bind_several(self, op: Any, xs: list[Any], edges: list[Any], key: Any, params: dict[str, Any]) -> Any:
        """Remember one application with several outputs: a region brings its pullback, other ops follow their rule."""
        needs = [edge is not None for edge in edges]
        if op.is_region:
            with using(self.below):
                outputs, residuals = op.record(tuple(xs), params, tuple(needs))
        else:
            outputs = self.below.bind(op, tuple(xs), params)
            if not op.differentiable:
                return outputs
            key = (*key, *params.values())  # what is read may depend on them
            keeps = _KEEPS.get(key)
            if keeps is None:
                keeps = _KEEPS[key] = _reached(op, params, outputs, xs, needs)
            values = [x if keep else x.spec for keep, x in zip(keeps, (*outputs, *xs), strict=True)]
            residuals = tuple(values[: len(outputs)]), values[len(outputs) :]
        node = Node(op, params, edges, tuple(y.spec for y in outputs), residuals)
        return tuple(Recorded(self, y, node, i) if is_inexact(y.dtype) else y for i, y in enumerate(outputs))


# --- what the backward pass must keep, found by tracing the rule ---
_KEEPS: dict[Any, tuple[bool, ...]] = {}
_spec = tuple.__new__  # a named tuple without its Python-level constructor


def _reached(op: Op, params: dict[str, Any], y: Any, xs: list[Any], needs: list[bool]) -> tuple[bool, ...]:
    """Trace the rule once and see which of y, x1, … its graph reads; scalars are kept as they are."""
    tracer = Trace(current(), name=f"the derivative rule of {op.name}")
    y_bars, outs = (tuple(tracer.input(output.spec) for output in (y if op.several else (y,))) for _ in range(2))
    traced = [x if type(x) in WEAK else tracer.input(x.spec) for x in xs]
    with using(tracer):
        bar, out = (y_bars, outs) if op.several else (y_bars[0], outs[0])
        try:
            vjp(op, bar, out, traced, params, needs)
        except DerivativeError:
            if not op.several:
                raise
            return tuple(True for _ in (*outs, *traced))  # some output has no derivative: it may not be asked for
    # what a rule touches must be there when it runs, even for a cotangent that is then dropped
    read = {edge[0] for node in tracer.nodes for edge in node.inputs if type(edge) is tuple}
    return tuple(type(value) in WEAK or value.node in read for value in (*outs, *traced))


# --- one rule per family: from y_bar to the x_bars ---
@singledispatch
def vjp(op: Op, y_bar: Any, y: Any, xs: Sequence[Any], params: dict[str, Any], needs: Sequence[bool]) -> list[Any]:
    """Return the cotangent of every input that ``needs`` one, ``None`` for the others (and where it is absent)."""
    raise DerivativeError(f"{op.name} has no derivative: use bprop.stop_gradient on its input if that is meant")


def scale(y_bar: Any, partial: Any) -> Any:
    """Return y_bar · partial without multiplying by a literal ±1."""
    if type(partial) is int and partial == 1:
        return y_bar
    if type(partial) is int and partial == -1:
        return negative(y_bar)
    return multiply(y_bar, partial)


def weighted(bar: Any, fraction: Any) -> Any:
    """Return a cotangent or tangent times the fraction of it that an operand gets; where the fraction is zero it is absent."""
    if type(fraction) is bool:  # a condition written as a Python constant
        fraction = asarray(fraction)
    if fraction.dtype.kind == "b":
        return where(fraction, bar, 0)
    return where(fraction != 0, multiply(bar, fraction), 0)


def _shape(x: Any) -> tuple[int, ...]:
    return x.shape if hasattr(x, "shape") else ()


@vjp.register
def _(op: Elementwise, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    bars: list[Any] = []
    for x, partial, need in zip(xs, op.partials, needs, strict=True):
        if not need or partial is None:
            bars.append(None)
            continue
        local = partial(y, *xs, **params) if callable(partial) else partial
        bars.append(unbroadcast(scale(y_bar, local), _shape(x)))
    return bars


@vjp.register
def _(op: Selection, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    bars: list[Any] = []
    for x, fraction, need in zip(xs, op.tie_fractions, needs, strict=True):
        if not need or fraction is None:
            bars.append(None)
            continue
        chosen = fraction(y, *xs)
        bars.append(unbroadcast(weighted(y_bar, chosen), _shape(x)))
    return bars


def expanded(value: Any, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> Any:
    """Give the result of a reduction its reduced axes back, with size 1 (a result that no rule reads is a `Spec`)."""
    if keepdims or type(value) is Spec:
        return value
    return reshape(value, tuple(1 if axis in axes else size for axis, size in enumerate(shape)))


@vjp.register
def _(op: Reduction, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    (x,) = xs
    axes, keepdims = params["axis"], params["keepdims"]
    y_bar = expanded(y_bar, x.shape, axes, keepdims)
    if op.tie_fraction is not None:
        chosen = op.tie_fraction(expanded(y, x.shape, axes, keepdims), x, axes)
        return [weighted(y_bar, chosen)]
    if not callable(op.partial):
        return [broadcast_to(scale(y_bar, op.partial), x.shape)]
    return [multiply(y_bar, op.partial(expanded(y, x.shape, axes, keepdims), x, axes))]


@vjp.register
def _(op: Linear, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    x, *others = xs
    return [op.adjoint(y_bar, x, *others, **params), *(None for _ in others)]


@vjp.register
def _(op: Join, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    axis = params["axis"]
    places = zip(op.starts(xs, axis), xs, needs, strict=True)
    return [slice_along(y_bar, axis, start, x.shape[axis]) if need else None for start, x, need in places]


@vjp.register
def _(op: Bilinear, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    x1, x2 = xs
    labels = op.labels(x1.shape, x2.shape, **params)
    return [
        op.adjoint(y_bar, x2, labels, 0, x1.shape) if needs[0] else None,
        op.adjoint(y_bar, x1, labels, 1, x2.shape) if needs[1] else None,
    ]


@vjp.register
def _(op: Cumulative, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    return list(op.vjp(y_bar, y, xs, needs, **params))


@vjp.register
def _(op: General, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    bars = op.vjp(y_bar, y, xs, needs, **params)
    return [
        unbroadcast(bar, x.shape) if need and bar is not None else None
        for bar, x, need in zip(bars, xs, needs, strict=True)
    ]


# --- the backward pass ---
def _reachable(roots: Sequence[Node]) -> list[Node]:
    """Return every node the roots depend on, the latest first."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for edge in stack.pop().inputs:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    return sorted(seen, key=_creation, reverse=True)


def _creation(node: Node) -> int:
    return node.number


def send(outputs: Sequence[Any], y_bars: Sequence[Any], inputs: Sequence[Recorded], owner: Record) -> list[Any]:
    """Send cotangents from outputs to inputs, as the current interpreter understands them; ``None`` where there is none.

    For the rules of regions, which are part of a sweep already: `backward` begins one.
    """
    bars: dict[Node, Any] = {}
    for y, y_bar in zip(outputs, y_bars, strict=True):
        if type(y) is Recorded and y.owner is owner and y_bar is not None:
            _accumulate(bars, (y.node, y.index), y_bar)
    for node in _reachable(list(bars)):
        if node.op is None or node not in bars:
            continue
        y_bar = bars.pop(node)
        for edge, x_bar in zip(node.inputs, _local(node, y_bar), strict=True):
            if edge is not None and x_bar is not None:
                _accumulate(bars, edge, x_bar)
    return [_matching(bars.get(x.node), x) for x in inputs]


def backward(
    outputs: Sequence[Any],
    y_bars: Sequence[Any],
    inputs: Sequence[Recorded],
    owner: Record,
    one_hot: bool = False,
) -> list[Any]:
    """Send cotangents from outputs to inputs; ``None`` where an input gets none. Runs under the current interpreter.

    ``one_hot``: the zeros among the cotangents mean absent (rows of a Jacobian).
    """
    pairs = [(y, y_bar) for y, y_bar in zip(outputs, y_bars, strict=True) if y_bar is not None]
    seeded = [y for y, _ in pairs]
    return masked_sweep(
        lambda seeds: send(seeded, seeds, inputs, owner),
        [y_bar for _, y_bar in pairs],
        [y_bar != 0 for _, y_bar in pairs] if one_hot else None,
    )


def _local(node: Node, y_bar: Any) -> Sequence[Any]:
    op = node.op
    assert op is not None
    if op.several:
        y_bar = tuple(_matching(y_bar.get(index), spec) for index, spec in enumerate(node.specs))
    if op.is_region:
        bars: Sequence[Any] = node.residuals(y_bar)
        return bars
    y, xs = node.residuals
    if not op.several:
        y_bar = _matching(y_bar, y)
    return vjp(op, y_bar, y, xs, node.params, [edge is not None for edge in node.inputs])


def _accumulate(bars: dict[Node, Any], edge: tuple[Node, int], x_bar: Any) -> None:
    node, index = edge
    if node.op is not None and node.op.several:
        before = bars.setdefault(node, {})
        before[index] = add(before[index], x_bar) if index in before else x_bar
    else:
        before = bars.get(node)
        bars[node] = x_bar if before is None else add(before, x_bar)


def _matching(bar: Any, x: Any) -> Any:
    """A cotangent has its primal's dtype."""
    return bar if bar is None or bar.dtype == x.dtype else matching(bar, x.dtype)


def lift_cells(owner: Record, cells: Sequence[Cell]) -> list[Recorded]:
    """Make cells variables of differentiation inside ``owner``."""
    inputs = [owner.input(owner.below.read(cell)) for cell in cells]
    owner.cells.update(zip(cells, inputs, strict=True))
    return inputs


# --- a function, there and back ---
class Recording:
    """``f`` run once under `Record`: ``result`` is what it returned, `backward` the reverse sweep from there.

    ``numbers`` are the positions of the arguments to differentiate by; ``inputs`` are their recorded values, by argument.
    """

    def __init__(
        self, f: Function, args: tuple[Any, ...], options: dict[str, Any], numbers: Sequence[int], what: str
    ) -> None:
        self.variables = [Variables(args[number], f"{what}: argument {number}") for number in numbers]
        self.owner = Record(name=what)
        self.inputs: list[list[Any]] = []
        new = list(args)
        for number, variables in zip(numbers, self.variables, strict=True):
            cells = [value for value in variables.values if isinstance(value, Cell)]
            recorded = iter(lift_cells(self.owner, cells))
            lifted = [next(recorded) if isinstance(v, Cell) else self.owner.input(v) for v in variables.values]
            self.inputs.append(lifted)
            new[number] = variables.argument(lifted)
        with using(self.owner):
            self.result = f(*new, **options)

    def backward(self, outputs: Sequence[Any], y_bars: Sequence[Any], one_hot: bool = False) -> list[list[Any]]:
        """Return the cotangents of ``inputs``; ``None`` where the outputs do not depend on a value."""
        flat = [x for lifted in self.inputs for x in lifted]
        bars = iter(backward(outputs, y_bars, flat, self.owner, one_hot))
        return [[next(bars) for _ in lifted] for lifted in self.inputs]

    def derivatives(self, cotangents: Sequence[Sequence[Any]]) -> list[Any]:
        """Return what `backward` gave in the structure of each argument, with zeros for what is absent.

        Of complex arguments the conjugates: ∂f/∂Re x + i ∂f/∂Im x.
        """
        rows = zip(self.variables, self.inputs, cotangents, strict=True)
        return [variables.result(_filled(bars, lifted)) for variables, lifted, bars in rows]


def _filled(bars: Sequence[Any], xs: Sequence[Any]) -> list[Any]:
    """Return cotangents as the user sees them, with zeros for absent ones."""
    return [
        zeros(x.shape, dtype=x.dtype) if bar is None else conj(bar) if bar.dtype.kind == "c" else bar
        for bar, x in zip(bars, xs, strict=True)
    ]


__all__ = ["Record", "Recorded", "Recording", "backward", "lift_cells", "send", "vjp"]
