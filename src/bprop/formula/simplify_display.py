"""A graph made plain, for formulas to be read: its cases and its transposes.

Inside a branch the condition is known, so that where(c, x, where(c, 0, x)) is where(c, x, x); a factor of a case goes
into its branches, cases of one condition are added branch by branch, and a negated condition swaps the branches. A
transposed operand or result of a matrix product is part of the product: (x.T @ y).T is y.T @ x. What was written to keep
a branch that is not taken from overflowing is gone: values stay the same where they are finite.
"""

from collections.abc import Sequence
from typing import Any

from ..core.family import Bilinear, Elementwise, Selection
from ..core.graph import Edge, Graph, Node, operand_spec
from ..core.op import Op, role_of, shape_of
from ..core.rewrite import Rewriter
from ..core.simplify import constant_of
from ..core.value import Spec
from ..ops import add, where


def simplify_display(graph: Graph) -> Graph:
    """Return a graph of the same formula, with its cases and transposes made plain."""
    return _DisplaySimplifier().rewrite(graph).live()


class _DisplaySimplifier(Rewriter):
    def rule(self, node: Node, inputs: tuple[Any, ...]) -> Sequence[Edge] | None:
        assert node.op is not None
        new = self.distribute(node.op, inputs, node.specs[0]) if len(node.specs) == 1 else None
        new = new or self.contraction(node, inputs)
        return [new] if new is not None and operand_spec(new) == node.specs[0] else None

    def applied(self, op: Op, *inputs: Any) -> Any:
        """Add an application and return its value: an operand, if it is x + 0, and 0 for x · 0."""
        zeros = [constant_of(x) == 0 for x in inputs]
        if role_of(op) == "sum" and any(zeros):
            return inputs[1 if zeros[0] else 0]
        if (role_of(op) == "product" and any(zeros)) or (role_of(op) in ("quotient", "negation") and zeros[0]):
            return 0
        spec = op.spec(*map(operand_spec, inputs))
        assert isinstance(spec, Spec)
        return self.distribute(op, inputs, spec) or self.add(op, inputs, {}, (spec,)).output

    # --- cases ---
    def distribute(self, op: Op, inputs: tuple[Any, ...], spec: Spec) -> Edge | None:
        """Return an application of cases as one case, with the application in its branches; ``None`` where that is no simpler."""
        if role_of(op) == "case":
            return self.simplified_case(spec, *inputs)
        if role_of(op) == "sum":
            first, second = (self.case_of(x, spec) for x in inputs)
            if first and second and first[0] == second[0] and 0 in map(constant_of, (*first[1:], *second[1:])):
                branches = (self.applied(add, *pair) for pair in zip(first[1:], second[1:], strict=True))
                return self.simplified_case(spec, first[0], *branches)
        if role_of(op) in ("product", "quotient", "negation"):
            for position, x in enumerate(inputs if role_of(op) == "product" else inputs[:1]):
                case = self.case_of(x, spec)
                if (
                    case
                    and 0 in map(constant_of, case[1:])
                    and all(self.has_dtype(operand, spec) for operand in inputs)
                ):
                    branches = (
                        self.applied(op, *inputs[:position], branch, *inputs[position + 1 :]) for branch in case[1:]
                    )
                    return self.simplified_case(spec, case[0], *branches)
        return None

    def case_of(self, x: Any, spec: Spec) -> tuple[Any, Any, Any] | None:
        """Return condition and branches of an operand that is a case of shape and dtype ``spec``, else ``None``."""
        if type(x) is not Edge or role_of(x.node.op) != "case" or x.node.specs[0] != spec:
            return None
        condition = x.node.inputs[0]
        if type(condition) is not Edge or condition.spec.shape != spec.shape:
            return None
        condition, first, second = x.node.inputs
        return condition, first, second

    def has_dtype(self, x: Any, spec: Spec) -> bool:
        """Return whether an operand has the dtype of ``spec``; Python scalars have every dtype."""
        return type(x) is not Edge or x.spec.dtype == spec.dtype

    def simplified_case(self, spec: Spec, condition: Any, first: Any, second: Any) -> Edge | None:
        """Add where(condition, first, second), not negated, with each branch under its condition."""
        if type(condition) is not Edge:
            return None
        if role_of(condition.node.op) == "negated condition" and type(condition.node.inputs[0]) is Edge:
            condition, first, second = condition.node.inputs[0], second, first
        if condition.spec.shape == spec.shape:
            first, second = self.under_condition(first, condition, True), self.under_condition(second, condition, False)
        operands = map(operand_spec, (condition, first, second))
        if type(first) is not Edge and type(second) is not Edge and where.spec(*operands) != spec:
            return None
        return self.add(where, (condition, first, second), {}, (spec,)).output

    def under_condition(self, x: Any, condition: Edge, truth: bool) -> Any:
        """Return ``x`` for entries where ``condition`` has the value ``truth``: cases of that condition are their branch."""
        if type(x) is not Edge or x == condition:
            return x
        node, shape = x.node, condition.spec.shape
        if not isinstance(node.op, Elementwise | Selection) or node.specs[0].shape != shape:
            return x
        if role_of(node.op) == "case" and node.inputs[0] == condition:
            chosen = self.under_condition(node.inputs[1 if truth else 2], condition, truth)
            if constant_of(chosen) == 0 or (type(chosen) is Edge and chosen.spec == node.specs[0]):
                return chosen
        inputs = tuple(self.under_condition(operand, condition, truth) for operand in node.inputs)
        return x if inputs == tuple(node.inputs) else self.add(node.op, inputs, node.params, node.specs).output

    # --- transposes ---
    def contraction(self, node: Node, inputs: tuple[Any, ...]) -> Edge | None:
        """Return a product of matrices with the transposes of operands, or of the result, as part of it."""
        if role_of(node.op) == "transpose" and type(inputs[0]) is Edge:
            parts = self.matrices(inputs[0].node, inputs[0].node.inputs)
            if parts is None:
                return None
            labels = (*parts[:2], "".join(parts[2][axis] for axis in node.params["axes"]))
            return self.add(Bilinear.canonical, inputs[0].node.inputs, {"labels": labels}, node.specs).output
        parts = self.matrices(node, inputs)
        if parts is None or not any(self.is_transposed(x) for x in inputs):
            return None
        operands, transposed_labels = [], []
        for x, own in zip(inputs, parts[:2], strict=True):
            axes = x.node.params["axes"] if self.is_transposed(x) else range(len(own))
            operands.append(x.node.inputs[0] if self.is_transposed(x) else x)
            transposed_labels.append("".join(own[list(axes).index(axis)] for axis in range(len(own))))
        return self.add(
            Bilinear.canonical, tuple(operands), {"labels": (*transposed_labels, parts[2])}, node.specs
        ).output

    def is_transposed(self, x: Any) -> bool:
        return type(x) is Edge and role_of(x.node.op) == "transpose"

    def matrices(self, node: Node, inputs: Any) -> tuple[str, str, str] | None:
        """Return the labels of a contraction of vectors and matrices over one axis, ``None`` for others."""
        if not isinstance(node.op, Bilinear) or any(type(x) is not Edge for x in inputs):
            return None
        first, second, out = node.op.labels(*(shape_of(x.spec) for x in inputs), **node.params)
        shared = set(first) & set(second) - set(out)
        if not (1 <= len(first) <= 2 and 1 <= len(second) <= 2 and len(shared) == 1):
            return None
        return (first, second, out) if set(out) == (set(first) ^ set(second)) else None


__all__ = ["simplify_display"]
