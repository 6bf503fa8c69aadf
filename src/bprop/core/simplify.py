"""Simplification of graphs: dead and repeated nodes, identities, chains of re-indexings. No rule names an op.

What an op declares decides: `Elementwise.identity` and ``absorbing``, `Linear.compose` and ``neutral``.
"""

from math import copysign
from typing import Any

import numpy as np

from .dtype import WEAK
from .family import Creation, Elementwise, Linear, Reduction
from .graph import Edge, Graph, Node, has_effect, inner_graphs, operand_spec
from .interpreter import QUIET
from .op import Op
from .rewrite import Rewriter
from .value import Spec


def simplify(graph: Graph, *, algebraic: bool = False) -> Graph:
    """Return a graph that computes the same outputs with fewer nodes; shapes and dtypes of outputs stay as they are.

    ``algebraic=True`` also applies rules that do not hold for NaN and infinity (x · 0 = 0), for formulas to be read.

    >>> import bprop
    >>> from bprop.core.simplify import simplify
    >>> print(simplify(bprop.trace(lambda x: bprop.exp(x) * 1 + bprop.exp(x))(bprop.ones(3))))
    graph(x0: float64[3])
      a = exp(x0)     float64[3]
      b = a + a       float64[3]
      return b
    """
    result = _Simplifier(algebraic).rewrite(graph.live()).live()
    assert result.specs == graph.specs, "simplification changed a shape or dtype"
    return result


class _Simplifier(Rewriter):
    def __init__(self, algebraic: bool) -> None:
        super().__init__()
        self.algebraic = algebraic
        self.applications: dict[Any, Node] = {}
        self.inner: dict[Graph, Graph] = {}

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> list[Edge]:
        assert node.op is not None
        params = self.params(node)
        if has_effect(node):  # happens as often as it is written
            return self.add(node.op, inputs, params, node.specs).outputs
        return self.simplified(node.op, inputs, params, node.specs)

    def params(self, node: Node) -> dict[str, Any]:
        """Return the parameters with the graphs inside simplified too."""
        graphs = inner_graphs(node)
        if not graphs:
            return node.params
        for graph in graphs:
            if graph not in self.inner:
                self.inner[graph] = simplify(graph, algebraic=self.algebraic)
        return {k: self.inner[v] if isinstance(v, Graph) else v for k, v in node.params.items()}

    def simplified(
        self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any], specs: tuple[Spec, ...]
    ) -> list[Edge]:
        """Return the outputs of an application, of an equal earlier one, or of something simpler."""
        simpler = self.simpler(op, inputs, params, specs[0]) if len(specs) == 1 else None
        if simpler is not None:
            return [simpler]
        key = (op, tuple([x if type(x) is Edge else _key(x) for x in inputs]), _key(params))
        try:
            node = self.applications.get(key)
        except TypeError:  # a parameter that cannot be compared
            node, key = None, object()  # type: ignore[assignment]
        if node is None:
            node = self.applications[key] = self.add(op, inputs, params, specs)
        return node.outputs

    def simpler(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any], spec: Spec) -> Edge | None:
        if isinstance(op, Elementwise):
            return self.elementwise(op, inputs, params, spec)
        if isinstance(op, Linear):
            return self.linear(op, inputs, params, spec)
        if isinstance(op, Reduction) and not params["axis"] and op.neutral and operand_spec(inputs[0]) == spec:
            return inputs[0]
        return None

    def elementwise(self, op: Elementwise, inputs: tuple[Any, ...], params: dict[str, Any], spec: Spec) -> Edge | None:
        same = op.kind == "given" or (self.algebraic and op.role == "identity")
        if same and operand_spec(inputs[0]) == spec:
            return inputs[0]
        numbers = [constant_of(x) for x in inputs]
        for position, neutral in op.identity:
            other = inputs[1 - position]
            if operand_spec(other) == spec and self.is_neutral(numbers[position], neutral, spec):
                return other
        absorbing = op.absorbing if self.algebraic else None
        if absorbing is not None and any(number is not None and number == absorbing for number in numbers):
            return self.filled(absorbing, spec)
        if all(number is not None for number in numbers):
            if all(type(x) in WEAK for x in inputs):
                return None  # without an array among them the dtype would no longer be weak in the same way
            operands = [
                x if type(x) in WEAK else np.asarray(n, x.spec.dtype) for x, n in zip(inputs, numbers, strict=True)
            ]
            try:
                value = np.asarray(QUIET.run(op.evaluate, *operands, **params))
            except (ValueError, TypeError, OverflowError):
                return None  # the op will say so itself when it is applied
            return self.filled(value.item(), spec) if value.dtype == spec.dtype else None
        return None

    def is_neutral(self, number: Any, neutral: float, spec: Spec) -> bool:
        """Return whether a constant is what an op declares as its identity, for floats with the sign of a zero."""
        if number is None or number != neutral:
            return False
        return number != 0 or self.algebraic or spec.dtype.kind != "f" or copysign(1, number) == copysign(1, neutral)

    def linear(self, op: Linear, inputs: tuple[Any, ...], params: dict[str, Any], spec: Spec) -> Edge | None:
        x = inputs[0]
        if len(inputs) != 1 or type(x) is not Edge:
            return None
        if op.neutral is not None and spec == operand_spec(x) and op.neutral(spec.shape, **params):
            return x
        number = constant_of(x)
        if number is not None and not op.scatter:  # every entry is one of x
            return self.filled(number, spec)
        before = x.node
        if op.compose is not None and before.op is op and type(before.inputs[0]) is Edge:
            merged = op.compose(before.params, params)
            return self.simplified(op, tuple(before.inputs), merged, (spec,))[0]
        return None

    def filled(self, value: Any, spec: Spec) -> Edge | None:
        """Return an array of one number, by the creation op that makes constants."""
        number = np.asarray(value).astype(spec.dtype).item()
        params = {"shape": spec.shape, "value": number, "dtype": spec.dtype}
        return self.simplified(Creation.canonical, (), params, (spec,))[0]


def constant_of(x: Any) -> Any:
    """Return the number that every entry of an operand has, or ``None``."""
    if type(x) in WEAK:
        return x
    node = x.node
    if isinstance(node.op, Creation) and node.op.entry == "constant":
        return node.params["value"]
    return None


def _key(value: Any) -> Any:
    """Return a key that tells 1, 1.0 and True, and 0.0 and -0.0, apart."""
    if type(value) in WEAK:
        return type(value), repr(value)
    if type(value) is tuple:
        return tuple(map(_key, value))
    if isinstance(value, dict):
        return tuple((name, _key(entry)) for name, entry in sorted(value.items()))
    return value


__all__ = ["constant_of", "simplify"]
