"""The rules of one application as text, with slots in the place of values: a page puts names or numbers into them.

``⟦3⟧`` is value 3, ``⟦∂3⟧`` its cotangent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.family import Elementwise
from ..core.graph import Edge, Graph, Node, application
from ..core.interpreter import EVALUATE
from ..core.notation import TEXT
from ..core.simplify import simplify
from ..core.trace import trace_flat
from ..core.value import Array, Spec
from ..formula.canonical_order import canonical_order
from ..formula.formula import Expression
from ..gradients.adjoint import local

LIMIT = 40
"""Nodes of a formula that is shown."""


def slot(number: int) -> str:
    """Return what stands in a formula for a value."""
    return f"⟦{number}⟧"


def bar_slot(number: int) -> str:
    """Return what stands in a formula for the cotangent of a value."""
    return f"⟦∂{number}⟧"


def forward_text(node: Node, numbers: Mapping[Edge, int]) -> str:
    """Return how an application is computed.

    >>> import bprop
    >>> from bprop.view.rule_text import forward_text
    >>> graph = bprop.trace(lambda x, y: x * y)(2.0, 3.0)
    >>> forward_text(graph.nodes[0], {graph.inputs[0].output: 0, graph.inputs[1].output: 1})
    '⟦0⟧ * ⟦1⟧'
    """
    names = {edge.node: slot(number) for edge, number in numbers.items() if len(edge.node.specs) == 1}
    names |= {edge.node: slot(number) for edge, number in numbers.items() if edge.node not in names}
    return application(node, names, settings=False)


def partial_text(node: Node, position: int, numbers: Mapping[Edge, int]) -> str | None:
    """Return ∂y/∂x of an elementwise application by one operand; ``None`` where it has no such formula."""
    op = node.op
    if not isinstance(op, Elementwise):
        return None
    partial = op.partials[position]
    if not callable(partial):
        return None if partial is None else TEXT.number(partial).text
    edges = list(dict.fromkeys([*node.edges, node.output]))
    if any(edge.spec.dtype.kind != "f" for edge in edges):
        return None

    def derivative(*xs: Any) -> list[Any]:
        values = dict(zip(edges, xs, strict=True))
        operands = [values[x] if type(x) is Edge else x for x in node.inputs]
        return [partial(values[node.output], *operands, **node.params)]

    try:
        graph = trace_flat(derivative, [Spec((), edge.spec.dtype) for edge in edges], below=EVALUATE)[0]
    except (TypeError, ValueError):  # written with a Python number of its own
        return None
    return _text(graph, [slot(numbers[edge]) for edge in edges])


def cotangent_text(node: Node, position: int, numbers: Mapping[Edge, int], variables: set[Edge]) -> str | None:
    """Return the cotangent that an application sends to one operand; ``None`` where that is no short formula."""
    edges = list(dict.fromkeys([*node.edges, *node.outputs]))
    specs = [edge.spec for edge in (*edges, *node.outputs)]

    def sent(*xs: Any) -> list[Any]:
        values: dict[Edge, Any] = dict(zip(edges, xs, strict=False))
        return [local(node, values, list(xs[len(edges) :]), variables)[position]]

    graph = trace_flat(sent, specs, below=EVALUATE)[0]
    names = [slot(numbers[edge]) for edge in edges] + [bar_slot(numbers[edge]) for edge in node.outputs]
    return _text(graph, names)


def _text(graph: Graph, names: Sequence[str]) -> str | None:
    """Return a graph of few nodes as a formula; captured numbers are written out."""
    closed, captured = graph.closed()
    readable = simplify(canonical_order(simplify(closed, algebraic=True)), algebraic=True)
    expression = Expression(readable, [*names, *map(_constant, captured)])
    return expression.text if expression.size <= LIMIT else None


def _constant(value: Array) -> str:
    data = np.asarray(value.concrete())
    return TEXT.number(data.item()).text if data.ndim == 0 else "constant"


__all__ = ["bar_slot", "cotangent_text", "forward_text", "partial_text", "slot"]
