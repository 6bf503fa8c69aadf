"""Automatic differentiation, reverse mode: record the applications, then walk them backwards once.

`Record` evaluates and remembers (define by run, so Python ``if`` and ``for`` just work): a recorded array points to its
node, a node to the nodes of its inputs, to its backward rule and to what that reads (`LocalRule`). There is no tape; nodes
that no result needs free themselves. `backward` visits the reachable nodes in order of decreasing creation number, so that
every cotangent is complete before it is sent on (the topological order of the lecture's computational graph).

Where all values are numbers, both directions compute with NumPy arrays and wrap only what the user sees.

**Source:** Linnainmaa (1970); Griewank & Walther (2008), Evaluating Derivatives, ch. 3; Leibe (2016), reverse-mode
differentiation.
"""

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

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
from ..ops.complex import conj
from .absent import masked_sweep
from .local_rule import RULES, Output, SeveralRule, local_rule, matching, positions_read_of_several
from .variable import Function, Variables

_number = count()
_new = object.__new__


class RecordedNode:
    """One application as it was recorded, one of its outputs where it has several, or a variable where ``rule`` is ``None``.

    ``inputs`` are the nodes of the operands that have a derivative, ``rule`` the backward rule and ``kept`` what it reads.
    ``number`` is the creation number, a topological order. It has no ``__init__``: a call of one takes longer than all the rest.
    """

    __slots__ = ("inputs", "kept", "number", "rule")
    inputs: "tuple[RecordedNode, ...]"
    kept: Any
    number: int
    rule: Any  # LocalRule | SeveralRule | Output | None


def _node(rule: Any, inputs: tuple[RecordedNode, ...] = (), kept: Any = ()) -> RecordedNode:
    node = RecordedNode()
    node.inputs, node.rule, node.kept, node.number = inputs, rule, kept, next(_number)
    return node


class Recorded(Tracer):
    """An array that knows the application it came from."""

    __slots__ = ("node", "spec")
    node: RecordedNode
    spec: Spec  # of the application's rule, so that it is made once

    def __init__(self, owner: "Record", value: Array, node: RecordedNode) -> None:
        self.owner = owner
        self.value = value
        self.node = node
        self.spec = value.spec

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spec.shape

    @property
    def dtype(self) -> "np.dtype[Any]":
        return self.spec.dtype

    def origin(self) -> str:
        rule = self.node.rule
        return f"{self.spec} ({'the result of ' + rule.op.name if rule is not None else 'an input'})"


class Record(Interpreter):
    """Evaluates one level below and remembers what depends on its inputs."""

    name = "record"
    replayed = True
    recorded = True

    def __init__(self, below: Interpreter | None = None, *, name: str = "record") -> None:
        super().__init__(below)
        self.name = name

    def input(self, value: Array) -> Recorded:
        """Return ``value`` as a variable of differentiation."""
        return Recorded(self, value, _node(None))

    def lower(self, value: Array) -> Array:
        return value.value if type(value) is Recorded and value.owner is self else value

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        numbers = self.below is EVALUATE  # the hot path of eager differentiation
        inputs: list[RecordedNode] = []
        values: list[Any] = []
        key: list[Any] = [op]  # one entry for an operand with a derivative, two for another
        for arg in args:
            kind = type(arg)
            if kind is Recorded and arg.owner is self:
                inputs.append(arg.node)
                key.append(arg.spec)
                values.append(arg.value.data if numbers else arg.value)
            elif kind is Array:
                data = arg.data
                key.append(data.shape)
                key.append(data.dtype)
                values.append(data if numbers else arg)
            elif kind in WEAK:
                key.append(kind)
                key.append(repr(arg) if not arg or kind is complex else arg)  # 0.0 and -0.0 are equal, and not the same
                values.append(arg)
            elif numbers:
                return EVALUATE.bind(op, args, params)  # says what it is
            else:
                key.append(arg.shape)
                key.append(arg.dtype)
                values.append(arg)
        if not inputs:
            return self.below.bind(op, args, params)
        if op.several:
            return self._bind_several(op, args, params)
        if params:
            key.extend(params.items())
        try:
            rule = RULES.get(tuple(key))
        except TypeError:  # a parameter that cannot be hashed
            rule, key = None, []
        if rule is None:
            y, rule = self._first(tuple(key), op, args, values, params)
            if rule is None:
                return y
        elif not numbers:
            y = self.below.bind(op, tuple(values), params)
        else:
            try:
                y = QUIET.run(rule.evaluate, *values, **params)
            except FAILURES:  # of these numbers: says what it is
                y = EVALUATE.compute(op, values, args, params)
        value = y
        if numbers:
            if type(y) is not np.ndarray:
                y = np.asarray(y)
            value = _new(Array)
            value.data = y
        node = RecordedNode()
        node.inputs = tuple(inputs)
        node.rule = rule
        node.number = next(_number)
        if rule.keeps:
            values.append(y)
            node.kept = tuple([values[position] for position in rule.keeps])
        else:
            node.kept = ()
        result = _new(Recorded)
        result.owner = self
        result.value = value
        result.node = node
        result.spec = rule.y_spec
        return result

    def _first(self, key: Any, op: Op, args: Any, values: Sequence[Any], params: dict[str, Any]) -> tuple[Any, Any]:
        """Apply an op as no application before it; return the result and its rule, ``None`` without a derivative.

        Where ``values`` are numbers and there is a rule, so is the result.
        """
        numbers = self.below is EVALUATE
        y = Array(EVALUATE.compute(op, values, args, params)) if numbers else self.below.bind(op, tuple(values), params)
        if not op.differentiable or not is_inexact(y.dtype):
            return y, None
        rule = local_rule(key, op, params, [*map(_spec, values), y.spec], self._needs(args))
        return (y.data if numbers else y), rule

    def _needs(self, args: tuple[Any, ...]) -> list[bool]:
        return [type(arg) is Recorded and arg.owner is self for arg in args]

    def _bind_several(self, op: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Remember one application with several outputs: a region brings its pullback, other ops follow their rule."""
        needs, xs = self._needs(args), [self.lower(arg) for arg in args]
        if op.is_region:
            with using(self.below):
                outputs, kept = op.record(tuple(xs), params, tuple(needs))
        else:
            outputs = self.below.bind(op, tuple(xs), params)
            if not op.differentiable:
                return outputs
            keeps = positions_read_of_several(op, params, [*map(_spec, outputs)], [*map(_spec, xs)], needs)
            values = [x if number in keeps else _spec(x) for number, x in enumerate((*outputs, *xs))]
            kept = tuple(values[: len(outputs)]), values[len(outputs) :]
        rule = SeveralRule(op, params, tuple(y.spec for y in outputs), needs)
        node = _node(rule, tuple(arg.node for arg, need in zip(args, needs, strict=True) if need), kept)
        return tuple(
            Recorded(self, y, _node(Output(op, index), (node,))) if is_inexact(y.dtype) else y
            for index, y in enumerate(outputs)
        )


def _spec(x: Any) -> Any:
    """Return what a rule is told of a value: shape and dtype, or the Python scalar itself."""
    return x if type(x) in WEAK else Spec(x.shape, x.dtype)


# --- the backward pass ---
class _Sweep:
    """The cotangents that are still to be sent on: ``bars`` by node, of an application with several outputs a dict by output.

    ``pending`` are those nodes, the latest first; ``add`` adds two cotangents. ``owned`` are nodes whose cotangent was made here and
    nobody else holds: `run_programs` adds to it in place.
    """

    def __init__(self, add: Any) -> None:
        self.bars: dict[RecordedNode, Any] = {}
        self.owned: set[RecordedNode] = set()
        self.pending: list[tuple[int, RecordedNode]] = []
        self.add = add

    def accumulate(self, nodes: Iterable[RecordedNode], bars: Iterable[Any]) -> None:
        """Add cotangents to those of nodes; ``None``: there is none."""
        for node, bar in zip(nodes, bars, strict=True):
            if bar is None:
                continue
            before = self.bars.get(node)
            if before is None:
                heappush(self.pending, (-node.number, node))
            self.bars[node] = bar if before is None else self.add(before, bar)

    def pop(self) -> tuple[RecordedNode, Any] | None:
        """Return the latest application, and its cotangent; ``None`` where only inputs are left."""
        while self.pending:
            _, node = heappop(self.pending)
            if type(node.rule) is Output:
                self._gather(node, node.rule.number)
            elif node.rule is not None:
                return node, self.bars.pop(node)
        return None

    def _gather(self, output: RecordedNode, index: int) -> None:
        """Put the cotangent of one output to those of the others of its application."""
        (application,) = output.inputs
        if application not in self.bars:
            heappush(self.pending, (-application.number, application))
        self.bars.setdefault(application, {})[index] = self.bars.pop(output)

    def run_programs(self) -> tuple[RecordedNode, Any] | None:
        """Send cotangents back, as NumPy arrays, until a node comes whose rule is no program; return that, as `pop` does."""
        bars, pending, owned = self.bars, self.pending, self.owned
        while pending:
            _, node = heappop(pending)
            rule = node.rule
            if rule is None:  # an input keeps its cotangent
                continue
            if type(rule) is Output:
                self._gather(node, rule.number)
                continue
            y_bar = bars.pop(node)
            owned.discard(node)
            program = rule.program
            if program is None:
                return node, y_bar
            if y_bar.dtype is not rule.y_dtype and y_bar.dtype != rule.y_dtype:
                y_bar = (y_bar.real if rule.y_dtype.kind == "f" else y_bar).astype(rule.y_dtype)
            try:
                x_bars = program(y_bar, node.kept)
            except FAILURES:  # the rule itself says what it is
                return node, y_bar
            for x, x_bar in zip(node.inputs, x_bars):  # noqa: B905 - a program has one for each; strict takes longer
                if x_bar is None:
                    continue
                before = bars.get(x)
                if before is None:
                    bars[x] = x_bar
                    heappush(pending, (-x.number, x))
                    if rule.makes_new:
                        owned.add(x)
                elif x in owned and before.dtype is x_bar.dtype:
                    np.add(before, x_bar, before)
                else:
                    bars[x] = _add_numbers(before, x_bar)
                    owned.add(x)
            x_bars = x_bar = None  # not held while the next program runs
        return None


def send(outputs: Sequence[Any], y_bars: Sequence[Any], inputs: Sequence[Recorded], owner: Record) -> list[Any]:
    """Send cotangents from outputs to inputs, as the current interpreter understands them; ``None`` where there is none.

    For the rules of regions, which are part of a sweep already: `backward` begins one.
    """
    nodes, seeds = [], []
    for y, y_bar in zip(outputs, y_bars, strict=True):
        if type(y) is Recorded and y.owner is owner and y_bar is not None:
            nodes.append(y.node)
            seeds.append(y_bar)
    numbers = owner.below is EVALUATE and current() is EVALUATE and all(type(y_bar) is Array for y_bar in seeds)
    bars = _send_numbers(nodes, seeds) if numbers else _send_values(nodes, seeds)
    return [matching(bars.get(x.node), x) for x in inputs]


def _send_values(nodes: Sequence[RecordedNode], seeds: Sequence[Any]) -> dict[RecordedNode, Any]:
    """Send cotangents back as the current interpreter understands them; return those of the inputs."""
    sweep = _Sweep(add)
    sweep.accumulate(nodes, seeds)
    while (popped := sweep.pop()) is not None:
        node, y_bar = popped
        sweep.accumulate(node.inputs, node.rule.cotangents(y_bar, node.kept))
    return sweep.bars


def _send_numbers(nodes: Sequence[RecordedNode], seeds: Sequence[Any]) -> dict[RecordedNode, Any]:
    """Send cotangents back as NumPy arrays, but where a rule is applied as it stands; return those of the inputs."""
    sweep = _Sweep(_add_numbers)
    QUIET.run(sweep.accumulate, nodes, [y_bar.data for y_bar in seeds])
    while (popped := QUIET.run(sweep.run_programs)) is not None:
        node, y_bar = popped
        y_bar = {n: Array(bar) for n, bar in y_bar.items()} if type(y_bar) is dict else Array(y_bar)
        x_bars = node.rule.cotangents(y_bar, node.kept)
        QUIET.run(sweep.accumulate, node.inputs, [None if x_bar is None else x_bar.data for x_bar in x_bars])
    return {node: Array(x_bar) for node, x_bar in sweep.bars.items()}


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
            lifted = [
                lift_cells(self.owner, [value])[0] if isinstance(value, Cell) else self.owner.input(value)
                for value in variables.values
            ]
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
