"""A formula in the order of a textbook: 2 x eˣ + x² eˣ, not eˣ (2 x) + eˣ x².

Products put numbers first, then names, powers, sums and calls; equal factors become powers, equal terms are counted. Only
whole formulas over one shape and floating dtype are touched: their value changes by rounding at most.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core.dtype import WEAK, is_float
from ..core.family import Bilinear, Linear
from ..core.graph import Edge, Graph, Node, NodeInput, operand_spec
from ..core.op import Op, role_of, shape_of
from ..core.rewrite import Rewriter
from ..core.simplify import constant_of
from ..core.value import Spec
from ..ops import add, divide, multiply, negative, pow, subtract, where

_ARITHMETIC = ("sum", "difference", "product", "quotient", "negation", "power")


class _Term(NamedTuple):
    """coefficient · Π factor^power / Π divisor^power, factors as edges of the new graph."""

    coefficient: float
    factors: tuple[tuple[Edge, int], ...] = ()
    divisors: tuple[tuple[Edge, int], ...] = ()


def canonical_order(graph: Graph) -> Graph:
    """Return a graph of the same formula with its sums and products in textbook order."""
    return _Arrangement(graph).rewrite(graph).live()


class _Arrangement(Rewriter):
    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.terms: dict[Edge, list[_Term]] = {}
        self.rank = {node: (0, position) for position, node in enumerate(graph.inputs)}
        self.rank |= {node: (0, len(self.rank) + position) for position, (node, _) in enumerate(graph.captures)}

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> Sequence[Edge]:
        node = _scaling(node) or _choice(node) or _fraction(node) or node
        assert node.op is not None
        terms = self.sum_of(node)
        # a number alone would lose its shape: only a sum or product around it may use it
        if terms is None or not any(term.factors or term.divisors for term in terms):
            new = self.add(node.op, self.mapped(node.inputs), node.params, node.specs)
            if terms is not None:
                self.terms[new.output] = terms
            return new.outputs
        edge = self.written(terms, node.specs[0])
        self.terms[edge] = terms
        return [edge]

    def add(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any], specs: tuple[Spec, ...]) -> Node:
        new = super().add(op, inputs, params, specs)
        self.rank[new] = (self.kind(op, inputs), len(self.rank))
        return new

    def kind(self, op: Op, inputs: tuple[Any, ...]) -> int:
        """Names, also x.T and x[1:3], come first, then powers, sums and calls."""
        if isinstance(op, Linear) and type(inputs[0]) is Edge and self.rank[inputs[0].node][0] == 0:
            return 0
        return 1 if role_of(op) == "power" else 2 if role_of(op) in ("sum", "difference") else 3

    # --- reading ---
    def sum_of(self, node: Node) -> list[_Term] | None:
        """Return the application as a sum of products, ``None`` where it is none."""
        op = node.op
        if role_of(op) not in _ARITHMETIC or not is_float(node.specs[0].dtype):
            return None
        parts = [self.operand(x, node.specs[0]) for x in node.inputs]
        if any(part is None for part in parts):
            return None
        first, second = parts[0], parts[-1]
        assert first is not None
        assert second is not None
        if role_of(op) == "negation":
            return [term._replace(coefficient=-term.coefficient) for term in first]
        if role_of(op) == "sum":
            return self.collected(first + second)
        if role_of(op) == "difference":
            if len(second) > 1:  # a - (b + c) stays as it is
                second = [_Term(1, ((self.edge(node.inputs[1]), 1),))]
            return self.collected(first + [term._replace(coefficient=-term.coefficient) for term in second])
        if role_of(op) == "power":
            return self.power(node, first)
        term, two = (
            part[0] if len(part) == 1 else _Term(1, ((self.edge(x), 1),))
            for part, x in zip(parts, node.inputs, strict=True)
            if part is not None
        )
        if role_of(op) == "product":
            coefficient, up, down = term.coefficient * two.coefficient, two.factors, two.divisors
        elif two.coefficient in (1, -1):
            coefficient, up, down = term.coefficient * two.coefficient, two.divisors, two.factors
        else:  # dividing by a number is not multiplying by its rounded inverse
            return None
        return [_cancelled(coefficient, term.factors + up, term.divisors + down)]

    def power(self, node: Node, base: list[_Term]) -> list[_Term] | None:
        """Return x ** n for a whole n ≥ 1 as a factor, so that x · x ** 2 becomes x ** 3."""
        exponent = constant_of(node.inputs[1])
        if type(node.inputs[0]) is not Edge or exponent is None or exponent != int(exponent) or exponent < 1:
            return None
        if len(base) == 1 and (base[0].coefficient != 1 or base[0].divisors or len(base[0].factors) != 1):
            return [_Term(1, ((self.edge(node.inputs[0]), int(exponent)),))]
        if len(base) > 1:
            return [_Term(1, ((self.edge(node.inputs[0]), int(exponent)),))]
        ((edge, power),) = base[0].factors
        return [_Term(1, ((edge, power * int(exponent)),))]

    def edge(self, x: NodeInput) -> Edge:
        """Return an operand that is an edge as it is in the new graph."""
        (new,) = self.mapped([x])
        assert type(new) is Edge
        return new

    def operand(self, x: Any, spec: Spec) -> list[_Term] | None:
        """Return an operand as a sum of products if it has the shape and dtype of the result, or is a number."""
        if type(x) in WEAK:
            return [_Term(x)] if type(x) is not bool and x == x and abs(x) != float("inf") else None
        number, own = constant_of(x), x.spec
        if number is not None and number == number and abs(number) != float("inf") and own.dtype == spec.dtype:
            return [_Term(number)]
        if own != spec:
            return None
        edge = self.edge(x)
        return self.terms.get(edge) or [_Term(1, ((edge, 1),))]

    def collected(self, terms: list[_Term]) -> list[_Term] | None:
        """Return the sum with equal terms counted, ``None`` where nothing is left."""
        counted: dict[Any, _Term] = {}
        for term in terms:
            key = (frozenset(term.factors), frozenset(term.divisors))
            old = counted.get(key)
            counted[key] = term if old is None else old._replace(coefficient=old.coefficient + term.coefficient)
        return [term for term in counted.values() if term.coefficient != 0] or None

    # --- writing ---
    def written(self, terms: list[_Term], spec: Spec) -> Edge:
        total: Any = None
        leading = next((term for term in terms if term.coefficient > 0), terms[0])  # b - a, not -a + b
        for term in (leading, *(term for term in terms if term is not leading)):
            minus = term.coefficient < 0 and total is not None
            part = self.product(term._replace(coefficient=-term.coefficient) if minus else term, spec)
            total = part if total is None else self.apply(subtract if minus else add, total, part, spec=spec)
        return total

    def apply(self, op: Op, *operands: Any, spec: Spec) -> Edge:
        return self.add(op, operands, {}, (spec,)).output

    def product(self, term: _Term, spec: Spec) -> Any:
        coefficient, factors = term.coefficient, self.sorted(term.factors)
        above: Any = coefficient
        if factors and coefficient == -1:
            first, *factors = factors
            above = self.chain([self.apply(negative, self.raised(*first, spec), spec=spec)], factors, spec)
        elif factors:
            above = self.chain([] if coefficient == 1 else [coefficient], factors, spec)
        if not term.divisors:
            return above
        return self.apply(divide, above, self.chain([], self.sorted(term.divisors), spec), spec=spec)

    def chain(self, start: list[Any], factors: list[tuple[Edge, int]], spec: Spec) -> Any:
        for edge, power in factors:
            factor = self.raised(edge, power, spec)
            start = [self.apply(multiply, start[0], factor, spec=spec)] if start else [factor]
        return start[0]

    def sorted(self, factors: tuple[tuple[Edge, int], ...]) -> list[tuple[Edge, int]]:
        def order(factor: tuple[Edge, int]) -> tuple[int, int]:
            kind, number = self.rank[factor[0].node]
            return (1 if kind == 0 and factor[1] > 1 else kind, number)

        return sorted(factors, key=order)

    def raised(self, edge: Edge, power: int, spec: Spec) -> Edge:
        return edge if power == 1 else self.apply(pow, edge, power, spec=spec)


def _scaling(node: Node) -> Node | None:
    """Return the product that a contraction with a number is, ``None`` for other applications."""
    if not isinstance(node.op, Bilinear) or not is_float(node.specs[0].dtype):
        return None
    labels = node.op.labels(*(shape_of(x) for x in node.operands), **node.params)
    if "" not in labels[:2] or labels[2] not in labels[:2]:
        return None
    return Node(multiply, {}, node.inputs, node.specs)


def _choice(node: Node) -> Node | None:
    """Return where(c, a, b) for the sum where(c, a, 0) + where(~c, b, 0), ``None`` for other applications."""
    cases = [x.node for x in node.edges if role_of(x.node.op) == "case"]
    if role_of(node.op) != "sum" or len(cases) < len(node.inputs):
        return None
    (condition, a, zero), (negated, b, nought) = (case.inputs for case in cases)
    if (
        type(negated) is not Edge
        or role_of(negated.node.op) != "negated condition"
        or negated.node.inputs[0] != condition
    ):
        return None
    if (
        constant_of(zero) != 0
        or constant_of(nought) != 0
        or where.spec(*map(operand_spec, (condition, a, b))) != node.specs[0]
    ):
        return None
    return Node(where, {}, (condition, a, b), node.specs)


def _fraction(node: Node) -> Node | None:
    """Return a / b for the product of a with 1 / b of another shape, ``None`` for other applications."""
    if role_of(node.op) != "product":
        return None
    for one_over, other in (node.inputs, node.inputs[::-1]):
        if type(one_over) is Edge and role_of(one_over.node.op) == "quotient" and type(other) is Edge:
            numerator, denominator = one_over.node.inputs
            operands = map(operand_spec, (other, denominator))
            if constant_of(numerator) == 1 and other.spec != one_over.spec and divide.spec(*operands) == node.specs[0]:
                return Node(divide, {}, (other, denominator), node.specs)
    return None


def _cancelled(
    coefficient: float, factors: tuple[tuple[Edge, int], ...], divisors: tuple[tuple[Edge, int], ...]
) -> _Term:
    """Gather equal factors into powers and cancel x / x, which is 1 in a formula though not for 0 and infinity."""
    powers: dict[Edge, int] = {}
    for edge, power in (*factors, *((edge, -power) for edge, power in divisors)):
        powers[edge] = powers.get(edge, 0) + power
    above = tuple((edge, power) for edge, power in powers.items() if power > 0)
    below = tuple((edge, -power) for edge, power in powers.items() if power < 0)
    return _Term(coefficient, above, below)


__all__ = ["canonical_order"]
