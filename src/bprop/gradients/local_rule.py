"""The backward rule of one application, for operands of known shapes: what it keeps, and how it runs.

The rule of a family is a function of y and the xs, written with ops. Which of them it reads is found by tracing it once.
Where many applications are alike, the trace becomes a `Program`: the same NumPy calls one after the other, without
dispatch and without wrapping their results in between.
"""

from collections.abc import Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.dtype import WEAK
from ..core.error import BpropError, DerivativeError
from ..core.graph import Edge, Graph, has_effect
from ..core.interpreter import EVALUATE, current, using
from ..core.op import Op
from ..core.simplify import simplify
from ..core.trace import Trace
from ..core.value import Array, Spec
from .vjp_rule import vjp

USES = 3
"""Uses of a rule before its program is made, which takes as long as some hundred uses."""
LARGEST_CONSTANT = 64
"""Entries of an array that a program may hold, so that the cache stays small."""
KEPT = 4096
"""Rules in the cache; when it is full, it begins again."""


class LocalRule:
    """The backward rule of applications of ``op`` with equal ``params``, shapes, dtypes and Python scalars.

    ``specs`` are shape and dtype of every operand, or the scalar itself, and then those of the result; ``needs`` says which
    operands have a cotangent; ``keeps`` are the positions among the specs of the arrays that the rule reads.
    """

    __slots__ = ("_program", "_uses", "keeps", "needs", "op", "params", "specs", "y_dtype")

    def __init__(self, op: Op, params: dict[str, Any], specs: Sequence[Any], needs: Sequence[bool]) -> None:
        self.op = op
        self.params = params
        self.specs = specs
        self.needs = needs
        self.keeps = _keeps(op, params, specs, needs)
        self.y_dtype = specs[-1].dtype
        self._uses = 0
        self._program: Program | None = None

    @property
    def y_spec(self) -> Spec:
        """Shape and dtype of the result."""
        spec: Spec = self.specs[-1]
        return spec

    def cotangents(self, y_bar: Any, kept: Sequence[Any]) -> list[Any]:
        """Return the cotangents of the operands, as the current interpreter understands them."""
        values = list(self.specs)  # of what the rule never reads, the spec
        for position, value in zip(self.keeps, kept, strict=True):
            values[position] = Array(value) if type(value) is np.ndarray else value
        *xs, y = values
        return vjp(self.op, y_bar, y, xs, self.params, self.needs)

    def program(self) -> "Program | None":
        """Return the rule as NumPy calls, from the use on where that is worth it; ``None`` where it has to be applied."""
        if self._uses < USES:
            self._uses += 1
            if self._uses == USES:
                self._program = _program(self)
        return self._program


# --- what a rule keeps, found by tracing it ---
_KEEPS: dict[Any, tuple[int, ...]] = {}


def _keeps(op: Op, params: dict[str, Any], specs: Sequence[Any], needs: Sequence[bool]) -> tuple[int, ...]:
    """Return the positions among ``specs`` of what the rule of an op with one output reads; that depends on no shape.

    A rule may read y of real numbers and x of complex ones.
    """
    key = op, tuple(needs), tuple(None if type(spec) in WEAK else spec.dtype.kind == "c" for spec in specs)
    keeps = _KEEPS.get(key)
    if keeps is None:
        tracer = Trace(current(), name=f"the derivative rule of {op.name}")
        xs, ys, _ = _traced(tracer, op, params, specs[:-1], specs[-1:], needs)
        keeps = _KEEPS[key] = _positions_read(tracer, [*xs, *ys])
    return keeps


def positions_read_of_several(
    op: Op, params: dict[str, Any], y_specs: Sequence[Any], x_specs: Sequence[Any], needs: Sequence[bool]
) -> Set[int]:
    """Return the positions, among outputs and then operands, of what the rule of an op with several outputs reads."""
    key = op, tuple(needs), *params.values()  # what is read may depend on them
    keeps = _KEEPS.get(key)
    if keeps is None:
        tracer = Trace(current(), name=f"the derivative rule of {op.name}")
        try:
            xs, ys, _ = _traced(tracer, op, params, x_specs, y_specs, needs)
            keeps = _KEEPS[key] = _positions_read(tracer, [*ys, *xs])
        except DerivativeError:  # some output has no derivative: it may not be asked for
            keeps = _KEEPS[key] = tuple(range(len(y_specs) + len(x_specs)))
    return frozenset(keeps)


def _traced(
    tracer: Trace, op: Op, params: dict[str, Any], x_specs: Sequence[Any], y_specs: Sequence[Any], needs: Sequence[bool]
) -> tuple[list[Any], list[Any], list[Any]]:
    """Trace a rule; return its operands and outputs, and the cotangents it gives. The cotangents it takes come first."""
    y_bars, ys = ([tracer.input(spec) for spec in y_specs] for _ in range(2))
    xs = [spec if type(spec) in WEAK else tracer.input(spec) for spec in x_specs]
    with using(tracer):
        y_bar, y = (tuple(y_bars), tuple(ys)) if op.several else (y_bars[0], ys[0])
        bars = vjp(op, y_bar, y, xs, params, needs)
    return xs, ys, list(bars)


def _positions_read(tracer: Trace, values: Sequence[Any]) -> tuple[int, ...]:
    # what a rule touches must be there when it runs, even for a cotangent that is then dropped
    read = {edge.node for node in tracer.nodes for edge in node.edges}
    return tuple(n for n, value in enumerate(values) if type(value) not in WEAK and value.node in read)


# --- the rule as NumPy calls ---
class Program:
    """The backward rule of one application as NumPy calls, in order.

    ``steps`` are a function, the positions of its operands among the values so far, and its parameters. The values are
    y_bar, what was kept, and ``constants``; then comes the result of each step. ``outputs`` are positions of the cotangents.
    """

    __slots__ = ("constants", "outputs", "steps")

    def __init__(self, graph: Graph, inputs: Sequence[Any], present: Sequence[bool]) -> None:
        positions = {node.output: number for number, node in enumerate(inputs)}
        self.constants: list[Any] = []
        for node, value in graph.captures:
            positions[node.output] = self._constant(len(inputs), value.data)
        scalars = {
            id(x): self._constant(len(inputs), x) for node in graph.nodes for x in node.inputs if type(x) is not Edge
        }
        first = len(inputs) + len(self.constants)
        for number, node in enumerate(graph.nodes, start=first):
            positions[node.output] = number
        self.steps = [
            (
                node.op.evaluate,
                tuple(positions[x] if type(x) is Edge else scalars[id(x)] for x in node.inputs),
                node.params,
            )
            for node in graph.nodes
            if node.op is not None
        ]
        edges = iter(graph.outputs)
        self.outputs = [positions[next(edges)] if there else None for there in present]

    def _constant(self, first: int, value: Any) -> int:
        self.constants.append(value)
        return first + len(self.constants) - 1

    def __call__(self, y_bar: NDArray[Any], kept: Sequence[NDArray[Any]]) -> list[Any]:
        """Return the cotangents of the operands, ``None`` where there is none."""
        values = [y_bar, *kept, *self.constants]
        for evaluate, operands, params in self.steps:
            y = evaluate(*[values[position] for position in operands], **params)
            values.append(y if type(y) is np.ndarray else np.asarray(y))
        return [None if position is None else values[position] for position in self.outputs]


def _program(rule: LocalRule) -> Program | None:
    """Return the program of a rule, or ``None`` for one that decides on numbers, has regions or large constants."""
    tracer = Trace(EVALUATE, name=f"the derivative rule of {rule.op.name}")
    try:
        xs, ys, bars = _traced(tracer, rule.op, rule.params, rule.specs[:-1], rule.specs[-1:], rule.needs)
    except BpropError:
        return None
    graph = simplify(tracer.graph([bar for bar in bars if bar is not None]))
    values = [*xs, *ys]
    inputs = [tracer.inputs[0], *(values[position].node for position in rule.keeps)]
    read = {edge.node for edge in (*graph.outputs, *(edge for node in graph.nodes for edge in node.edges))}
    if (
        any(node.op is None or node.op.several or has_effect(node) for node in graph.nodes)
        or any(type(value) is not Array or value.size > LARGEST_CONSTANT for _, value in graph.captures)
        or not read.isdisjoint(set(graph.inputs) - set(inputs))
    ):
        return None
    return Program(graph, inputs, [bar is not None for bar in bars])


RULES: dict[Any, LocalRule] = {}
"""The rules of applications by op, what needs a cotangent, shapes, dtypes, scalars and parameters."""


def local_rule(key: Any, op: Op, params: dict[str, Any], specs: Sequence[Any], needs: Sequence[bool]) -> LocalRule:
    """Return a new rule, and remember it under ``key`` if there is one."""
    rule = LocalRule(op, params, specs, needs)
    if len(RULES) >= KEPT:
        RULES.clear()
    if key:
        RULES[key] = rule
    return rule


__all__ = ["RULES", "LocalRule", "Program", "local_rule", "positions_read_of_several"]
