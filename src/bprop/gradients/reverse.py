"""Automatic differentiation, reverse mode: record the applications, then walk them backwards once.

`Record` evaluates and remembers (define by run, so Python ``if`` and ``for`` just work): a recorded array points to its
node, a node to the nodes of its inputs, to its backward rule and to what that reads (`LocalRule`). There is no tape; nodes
that no result needs free themselves. `backward` visits the reachable nodes in order of decreasing creation number, so that
every cotangent is complete before it is sent on (the topological order of the lecture's computational graph).

Where all values are numbers, both directions compute with NumPy arrays and wrap only what the user sees.

**Source:** Linnainmaa (1970); Griewank & Walther (2008), Evaluating Derivatives, ch. 3; Leibe (2016), reverse-mode
differentiation.
"""

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..core.cell import Cell
from ..core.dtype import WEAK, is_inexact
from ..core.error import LIBRARY_LOOPS
from ..core.interpreter import EVALUATE, FAILURES, QUIET, Interpreter, current, using
from ..core.object_array import rejoined
from ..core.op import Op
from ..core.value import Array, Spec, Tracer
from ..ops import add, zeros
from ..ops.complex import conj, matching
from .absent import masked_sweep
from .local_rule import RULES, LocalRule, local_rule, positions_read_of_several
from .variable import Function, Variables
from .vjp_rule import vjp

_number = count()
Link = tuple["RecordedNode", int]
"""Where a recorded array came from: the application, and which of its outputs."""


class RecordedNode:
    """One application as it was recorded, or a variable where ``op`` is ``None``.

    ``inputs`` say where the operands came from, ``None`` for one without derivative. ``number`` is the creation number, a
    topological order. ``residuals`` are what the backward pass needs: a `LocalRule` with what it reads, the pullback of a
    region, or of an op with several outputs ``(ys, xs)`` with `Spec` in place of what the rule never reads. ``specs`` are those
    of several outputs.
    """

    __slots__ = ("inputs", "number", "op", "params", "residuals", "specs")

    def __init__(
        self,
        op: Op | None,
        params: dict[str, Any],
        inputs: Sequence[Link | None],
        specs: tuple[Spec, ...] = (),
        residuals: Any = None,
    ) -> None:
        self.op: Final = op
        self.params: Final = params
        self.inputs: Final = inputs
        self.specs: Final = specs
        self.residuals: Final = residuals
        self.number: Final = next(_number)


class Recorded(Tracer):
    """An array that knows the application it came from."""

    __slots__ = ("index", "node")

    def __init__(self, owner: "Record", value: Array, node: RecordedNode, index: int = 0) -> None:
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
        return Recorded(self, value, RecordedNode(None, {}, ()))

    def lower(self, value: Array) -> Array:
        return value.value if type(value) is Recorded and value.owner is self else value

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if self.below is not EVALUATE:
            return self._bind_values(op, args, params)
        # operands are numbers: the hot path of eager differentiation
        edges: list[Link | None] = []
        values: list[Any] = []
        key: list[Any] = [op]
        needs, bit = 0, 1
        for arg in args:
            kind = type(arg)
            if kind is Recorded and arg.owner is self:
                edges.append((arg.node, arg.index))
                arg = arg.value
                kind = Array
                needs |= bit
            else:
                edges.append(None)
            if kind is Array:
                arg = arg.data
                key.append(arg.shape)
                key.append(arg.dtype)
            elif kind in WEAK:
                key.append(kind)
                key.append(repr(arg) if not arg or kind is complex else arg)  # 0.0 and -0.0 are equal, and not the same
            else:
                return EVALUATE.bind(op, args, params)  # says what it is
            values.append(arg)
            bit <<= 1
        if not needs:
            return EVALUATE.bind(op, args, params)
        if op.several:
            return self._bind_several(op, args, params)
        y = Array(EVALUATE.compute(op, values, args, params))
        if not op.differentiable or y.data.dtype.kind not in "fc":
            return y
        key.append(needs)
        if params:
            key.extend(params.items())
        try:
            rule = RULES.get(tuple(key))
        except TypeError:  # a parameter that cannot be hashed
            rule, key = None, []
        values.append(y.data)
        if rule is None:
            rule = local_rule(tuple(key), op, params, [*map(_spec, values)], [edge is not None for edge in edges])
        return Recorded(
            self, y, RecordedNode(op, params, edges, (), (rule, [values[position] for position in rule.keeps]))
        )

    def _bind_values(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Do what `bind` does where operands are values of the level below."""
        if not any(type(arg) is Recorded and arg.owner is self for arg in args):
            return self.below.bind(op, args, params)
        if op.several:
            return self._bind_several(op, args, params)
        values = [self.lower(arg) for arg in args]
        y = self.below.bind(op, tuple(values), params)
        if not op.differentiable or y.dtype.kind not in "fc":
            return y
        edges = self._edges(args)
        values.append(y)
        rule = LocalRule(op, params, [*map(_spec, values)], [edge is not None for edge in edges])
        return Recorded(
            self, y, RecordedNode(op, params, edges, (), (rule, [values[position] for position in rule.keeps]))
        )

    def _edges(self, args: tuple[Any, ...]) -> list[Link | None]:
        return [(arg.node, arg.index) if type(arg) is Recorded and arg.owner is self else None for arg in args]

    def _bind_several(self, op: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Remember one application with several outputs: a region brings its pullback, other ops follow their rule."""
        edges, xs = self._edges(args), [self.lower(arg) for arg in args]
        needs = [edge is not None for edge in edges]
        if op.is_region:
            with using(self.below):
                outputs, residuals = op.record(tuple(xs), params, tuple(needs))
        else:
            outputs = self.below.bind(op, tuple(xs), params)
            if not op.differentiable:
                return outputs
            keeps = positions_read_of_several(op, params, [*map(_spec, outputs)], [*map(_spec, xs)], needs)
            values = [x if number in keeps else _spec(x) for number, x in enumerate((*outputs, *xs))]
            residuals = tuple(values[: len(outputs)]), values[len(outputs) :]
        node = RecordedNode(op, params, edges, tuple(y.spec for y in outputs), residuals)
        return tuple(Recorded(self, y, node, i) if is_inexact(y.dtype) else y for i, y in enumerate(outputs))


def _spec(x: Any) -> Any:
    """Return what a rule is told of a value: shape and dtype, or the Python scalar itself."""
    return x if type(x) in WEAK else Spec(x.shape, x.dtype)


# --- the backward pass ---
class _Cotangents:
    """The cotangents that are still to be sent on: ``bars`` by node, of a node with several outputs a dict by output.

    ``pending`` are those nodes, the latest first; ``add`` adds two cotangents.
    """

    def __init__(self, add: Any) -> None:
        self.bars: dict[RecordedNode, Any] = {}
        self.pending: list[tuple[int, RecordedNode]] = []
        self.add = add

    def accumulate(self, edges: Sequence[Any], x_bars: Sequence[Any]) -> None:
        """Add cotangents to those of the edges they belong to; ``None``: there is none."""
        bars, add = self.bars, self.add
        for edge, x_bar in zip(edges, x_bars, strict=True):
            if edge is None or x_bar is None:
                continue
            node, index = edge
            before = bars.get(node)
            if before is None:
                heappush(self.pending, (-node.number, node))
            if node.op is not None and node.op.several:
                before = bars.setdefault(node, {})
                before[index] = add(before[index], x_bar) if index in before else x_bar
            else:
                bars[node] = x_bar if before is None else add(before, x_bar)

    def pop(self) -> tuple[RecordedNode, Any] | None:
        """Return the latest node that is no input, and its cotangent; ``None`` where only inputs are left."""
        while self.pending:
            _, node = heappop(self.pending)
            if node.op is not None:
                return node, self.bars.pop(node)
        return None

    def run_programs(self) -> tuple[RecordedNode, Any] | None:
        """Send cotangents back, as NumPy arrays, until a node comes whose rule is no program; return that, as `pop` does."""
        while (popped := self.pop()) is not None:
            node, y_bar = popped
            if node.op.several:  # type: ignore[union-attr]
                return popped
            rule, kept = node.residuals
            program = rule.program()
            if program is None:
                return popped
            if y_bar.dtype != rule.y_dtype:
                y_bar = (y_bar.real if rule.y_dtype.kind == "f" else y_bar).astype(rule.y_dtype)
            try:
                x_bars = program(y_bar, kept)
            except FAILURES:  # the rule itself says what it is
                return popped
            self.accumulate(node.inputs, x_bars)
        return None


def send(outputs: Sequence[Any], y_bars: Sequence[Any], inputs: Sequence[Recorded], owner: Record) -> list[Any]:
    """Send cotangents from outputs to inputs, as the current interpreter understands them; ``None`` where there is none.

    For the rules of regions, which are part of a sweep already: `backward` begins one.
    """
    pairs = [
        ((y.node, y.index), y_bar)
        for y, y_bar in zip(outputs, y_bars, strict=True)
        if type(y) is Recorded and y.owner is owner and y_bar is not None
    ]
    edges, seeds = [edge for edge, _ in pairs], [y_bar for _, y_bar in pairs]
    numbers = owner.below is EVALUATE and current() is EVALUATE and all(type(y_bar) is Array for y_bar in seeds)
    bars = _send_numbers(edges, seeds) if numbers else _send_values(edges, seeds)
    return [_matching(bars.get(x.node), x) for x in inputs]


def _send_values(edges: Sequence[Any], seeds: Sequence[Any]) -> dict[RecordedNode, Any]:
    """Send cotangents back as the current interpreter understands them; return those of the inputs."""
    cotangents = _Cotangents(add)
    cotangents.accumulate(edges, seeds)
    while (popped := cotangents.pop()) is not None:
        node, y_bar = popped
        cotangents.accumulate(node.inputs, _local(node, y_bar))
    return cotangents.bars


def _send_numbers(edges: Sequence[Any], seeds: Sequence[Any]) -> dict[RecordedNode, Any]:
    """Send cotangents back as NumPy arrays, but where a rule is applied as it stands; return those of the inputs."""
    cotangents = _Cotangents(_add_numbers)
    QUIET.run(cotangents.accumulate, edges, [y_bar.data for y_bar in seeds])
    while (popped := QUIET.run(cotangents.run_programs)) is not None:
        node, y_bar = popped
        y_bar = {n: Array(bar) for n, bar in y_bar.items()} if type(y_bar) is dict else Array(y_bar)
        x_bars = [None if x_bar is None else x_bar.data for x_bar in _local(node, y_bar)]
        QUIET.run(cotangents.accumulate, node.inputs, x_bars)
    return {node: Array(x_bar) for node, x_bar in cotangents.bars.items()}


def _add_numbers(x1: NDArray[Any], x2: NDArray[Any]) -> NDArray[Any]:
    y = x1 + x2
    return y if type(y) is np.ndarray else np.asarray(y)


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


LIBRARY_LOOPS.add(backward.__code__)


def _local(node: RecordedNode, y_bar: Any) -> Sequence[Any]:
    op = node.op
    assert op is not None
    if op.is_region:
        bars: Sequence[Any] = node.residuals(tuple(_matching(y_bar.get(n), spec) for n, spec in enumerate(node.specs)))
        return bars
    if op.several:
        y_bar = tuple(_matching(y_bar.get(n), spec) for n, spec in enumerate(node.specs))
        y, xs = node.residuals
        return vjp(op, y_bar, y, xs, node.params, [edge is not None for edge in node.inputs])
    rule, kept = node.residuals
    return rule.cotangents(_matching(y_bar, rule.y_spec), kept)


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
            self.result = rejoined(self.owner, f(*new, **options))

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


__all__ = ["Record", "Recorded", "Recording", "backward", "lift_cells", "send"]
