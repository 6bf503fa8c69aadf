"""The backward rule of one application, for operands of known shapes: what it keeps, and how it runs.

The rule of a family is a function of y and the xs, written with ops. Which of them it reads is found by tracing it once.
Where many applications are alike, the trace becomes a `Program`, a Python function of NumPy calls one after the other: without
dispatch and without wrapping their results in between.
"""

from collections import Counter
from collections.abc import Callable, Sequence, Set
from functools import lru_cache
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.dtype import WEAK
from ..core.error import BpropError, DerivativeError
from ..core.family import Linear
from ..core.graph import Edge, Graph, Node, has_effect
from ..core.interpreter import EVALUATE, current, using
from ..core.op import Op
from ..core.simplify import simplify
from ..core.trace import Trace
from ..core.value import Array, Spec
from ..ops.complex import matching as in_dtype
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
    operands have a cotangent; ``keeps`` are the positions among the specs of the arrays that the rule reads. ``evaluate``
    computes the result of such operands. ``program`` is the rule as NumPy calls, ``None`` before that is worth it, and where
    the rule has to be applied. ``makes_new``: the cotangent that the program gives is an array of its own, no view and no operand.
    """

    __slots__ = (
        "_uses",
        "evaluate",
        "keeps",
        "makes_new",
        "needs",
        "op",
        "params",
        "program",
        "specs",
        "y_dtype",
        "y_spec",
    )

    def __init__(self, op: Op, params: dict[str, Any], specs: Sequence[Any], needs: Sequence[bool]) -> None:
        self.op = op
        self.params = params
        self.specs = specs
        self.needs = needs
        self.keeps = _keeps(op, params, specs, needs)
        self.y_spec: Spec = specs[-1]
        self.y_dtype = self.y_spec.dtype
        self.evaluate = op.evaluate_of([None if type(spec) in WEAK else spec.dtype for spec in specs[:-1]])
        self.program: Program | None = None
        self.makes_new = False
        self._uses = 0

    def cotangents(self, y_bar: Any, kept: Sequence[Any]) -> list[Any]:
        """Return the cotangents of the operands that need one, as the current interpreter understands them."""
        if self._uses < USES:
            self._uses += 1
            if self._uses == USES:
                with using(EVALUATE):
                    self.program = _program(self)
        values = list(self.specs)  # of what the rule never reads, the spec
        for position, value in zip(self.keeps, kept, strict=True):
            values[position] = Array(value) if type(value) is np.ndarray else value
        *xs, y = values
        bars = vjp(self.op, matching(y_bar, self.y_spec), y, xs, self.params, self.needs)
        return [bar for bar, need in zip(bars, self.needs, strict=True) if need]


class SeveralRule:
    """The backward rule of one application with several outputs; ``specs`` are those of the outputs.

    It reads the pullback of a region; of another op ``(ys, xs)`` with `Spec` in place of what is never read.
    """

    __slots__ = ("needs", "op", "params", "specs")
    program = None

    def __init__(self, op: Op, params: dict[str, Any], specs: Sequence[Spec], needs: Sequence[bool]) -> None:
        self.op = op
        self.params = params
        self.specs = specs
        self.needs = needs

    def cotangents(self, y_bars: dict[int, Any], kept: Any) -> list[Any]:
        """Return the cotangents of the operands that need one, from those of the outputs by their number."""
        y_bar = tuple(matching(y_bars.get(number), spec) for number, spec in enumerate(self.specs))
        if self.op.is_region:
            bars = kept(y_bar)
        else:
            ys, xs = kept
            bars = vjp(self.op, y_bar, ys, xs, self.params, self.needs)
        return [bar for bar, need in zip(bars, self.needs, strict=True) if need]


class Output:
    """What an output of an application with several does: its cotangent is one of those that the application gets."""

    __slots__ = ("number", "op")

    def __init__(self, op: Op, number: int) -> None:
        self.op = op
        self.number = number


def matching(bar: Any, x: Any) -> Any:
    """Return a cotangent, or ``None``, in the dtype of its primal."""
    return bar if bar is None or bar.dtype == x.dtype else in_dtype(bar, x.dtype)


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
Program = Callable[[NDArray[Any], Sequence[NDArray[Any]]], Sequence[Any]]
"""From y_bar and what was kept to the cotangents of the operands that need one, ``None`` where there is none."""


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
    present = [bar is not None for bar, need in zip(bars, rule.needs, strict=True) if need]
    last = graph.outputs[0].node.op if len(graph.outputs) == 1 else None
    rule.makes_new = isinstance(last, Linear) and last.scatter
    return _compiled(graph, inputs, present)


def _compiled(graph: Graph, inputs: Sequence[Node], present: Sequence[bool]) -> Program:
    """Return a graph as a Python function of y_bar and what was kept, one line for each application.

    That of sin: ``x0, = kept``, ``v0 = f0(x0)``, ``v1 = f1(y_bar, v0, out=v0)``, ``return v1,`` where f0 is `numpy.cos` and f1
    `numpy.multiply`, which writes its result over the cosine.
    """
    names = {node.output: f"x{number}" for number, node in enumerate(inputs[1:])}
    lines = [f"{', '.join(names.values())}, = kept"] if names else []
    names[inputs[0].output] = "y_bar"
    globals_: dict[str, Any] = {"asarray": np.asarray}
    uses = Counter([*(edge for node in graph.nodes for edge in node.edges), *graph.outputs])
    made: set[Edge] = set()  # results of ufuncs: where nothing else reads one, a ufunc writes its result there
    for number, (node, value) in enumerate(graph.captures):
        names[node.output] = f"c{number}"
        globals_[f"c{number}"] = value.data
    for number, node in enumerate(node for node in graph.nodes if node.op is not None):
        op: Any = node.op
        operands = []
        for position, x in enumerate(node.inputs):
            if type(x) is Edge:
                operands.append(names[x])
                continue
            operands.append(f"s{number}_{position}")
            globals_[operands[-1]] = x
        operands += [f"{name}=p{number}_{name}" for name in node.params]
        globals_ |= {f"p{number}_{name}": value for name, value in node.params.items()}
        evaluate = op.evaluate_of([x.spec.dtype if type(x) is Edge else None for x in node.inputs])
        globals_[f"f{number}"] = evaluate
        names[node.output] = f"v{number}"
        if isinstance(evaluate, np.ufunc) and node.specs[0].shape:
            memory = next((x for x in node.edges if x in made and uses[x] == 1 and x.spec == node.specs[0]), None)
            operands += [f"out={names[memory]}"] if memory is not None else []
            made.add(node.output)
        call = f"f{number}({', '.join(operands)})"
        lines.append(f"v{number} = {call if node.specs[0].shape else f'asarray({call})'}")
    edges = iter(graph.outputs)
    bars = [names[next(edges)] if there else "None" for there in present]
    lines.append(f"return {', '.join(bars)},")
    exec(_code("def program(y_bar, kept):\n    " + "\n    ".join(lines)), globals_)
    program: Program = globals_["program"]
    return program


@lru_cache(maxsize=KEPT)
def _code(source: str) -> CodeType:
    return compile(source, "<a backward rule>", "exec")


RULES: dict[Any, LocalRule] = {}
"""The rules of applications by op, what needs a cotangent, shapes, dtypes, scalars and parameters."""


def local_rule(key: Any, op: Op, params: dict[str, Any], specs: Sequence[Any], needs: Sequence[bool]) -> LocalRule:
    """Return a new rule, and remember it under ``key`` if there is one."""
    rule = LocalRule(op, params, specs, needs)
    if key:
        if len(RULES) >= KEPT:
            RULES.clear()
        RULES[key] = rule
    return rule


__all__ = [
    "RULES",
    "LocalRule",
    "Output",
    "Program",
    "SeveralRule",
    "local_rule",
    "matching",
    "positions_read_of_several",
]
