"""A graph made plain, for formulas to be read: its cases and its transposes.

Inside a branch the condition is known, so that where(c, x, where(c, 0, x)) is where(c, x, x); a factor of a case goes
into its branches, cases of one condition are added branch by branch, and a negated condition swaps the branches. A
transposed operand or result of a matrix product is part of the product: (x.T @ y).T is y.T @ x. What was written to keep
a branch that is not taken from overflowing is gone: values stay the same where they are finite.
"""

from collections.abc import Sequence
from typing import Any

from ..core.family import Bilinear, Elementwise, Selection
from ..core.graph import Edge, Graph, Node
from ..core.op import Op, role_of, shape_of
from ..core.simplify import constant_of
from ..core.value import Spec
from ..ops import add, where
from ..ops.contraction import einsum_op
from .rewriting import Rewriting, results


def reading(graph: Graph) -> Graph:
    """Return a graph of the same formula, with its cases and transposes made plain."""
    return _Reading(graph).run()


class _Reading(Rewriting):
    def rewrite(self, given: Node) -> Sequence[Edge]:
        inputs = self.placed(given.inputs)
        assert given.op is not None
        new = self.plain(given.op, inputs, given.specs[0]) if len(given.specs) == 1 else None
        new = new or self.contraction(given, inputs)
        if new is not None and new[0].specs[new[1]] == given.specs[0]:
            return [new]
        return results(self.node(given.op, inputs, given.params, given.specs))

    def apply(self, op: Op, *inputs: Any) -> Any:
        """Return an application, or the operand that it leaves as it is."""
        zeros = [constant_of(x) == 0 for x in inputs]
        if role_of(op) == "sum" and any(zeros):
            return inputs[1 if zeros[0] else 0]
        if (role_of(op) == "product" and any(zeros)) or (role_of(op) in ("quotient", "negation") and zeros[0]):
            return 0
        spec = op.spec(*(x[0].specs[x[1]] if type(x) is tuple else x for x in inputs))
        assert isinstance(spec, Spec)
        return self.plain(op, inputs, spec) or (self.node(op, inputs, {}, (spec,)), 0)

    # --- cases ---
    def plain(self, op: Op, inputs: tuple[Any, ...], spec: Spec) -> Edge | None:
        """Return what an application is with its cases made plain, ``None`` where it has none."""
        if role_of(op) == "case":
            return self.case(spec, *inputs)
        if role_of(op) == "sum":
            first, second = (self.cases(x, spec) for x in inputs)
            if first and second and first[0] == second[0] and 0 in map(constant_of, (*first[1:], *second[1:])):
                branches = (self.apply(add, *pair) for pair in zip(first[1:], second[1:], strict=True))
                return self.case(spec, first[0], *branches)
        if role_of(op) in ("product", "quotient", "negation"):
            for place, x in enumerate(inputs if role_of(op) == "product" else inputs[:1]):
                found = self.cases(x, spec)
                if found and 0 in map(constant_of, found[1:]) and all(self.fits(one, spec) for one in inputs):
                    inside = ((*inputs[:place], one, *inputs[place + 1 :]) for one in found[1:])
                    return self.case(spec, found[0], *(self.apply(op, *one) for one in inside))
        return None

    def cases(self, x: Any, spec: Spec) -> tuple[Any, Any, Any] | None:
        if type(x) is not tuple or role_of(x[0].op) != "case" or x[0].specs[0] != spec:
            return None
        condition = x[0].inputs[0]
        if type(condition) is not tuple or condition[0].specs[condition[1]].shape != spec.shape:
            return None
        return tuple(x[0].inputs)

    def fits(self, x: Any, spec: Spec) -> bool:
        return type(x) is not tuple or x[0].specs[x[1]].dtype == spec.dtype

    def case(self, spec: Spec, condition: Any, first: Any, second: Any) -> Edge | None:
        if type(condition) is not tuple:
            return None
        if role_of(condition[0].op) == "negated condition" and type(condition[0].inputs[0]) is tuple:
            condition, first, second = condition[0].inputs[0], second, first
        if condition[0].specs[condition[1]].shape == spec.shape:
            first, second = self.assume(first, condition, True), self.assume(second, condition, False)
        operands = (x[0].specs[x[1]] if type(x) is tuple else x for x in (condition, first, second))
        if type(first) is not tuple and type(second) is not tuple and where.spec(*operands) != spec:
            return None
        return self.node(where, (condition, first, second), {}, (spec,)), 0

    def assume(self, x: Any, condition: Edge, truth: bool) -> Any:
        """Return an operand as it is where the condition is known, as far as it is computed entry by entry."""
        if type(x) is not tuple or x == condition:
            return x
        node, shape = x[0], condition[0].specs[condition[1]].shape
        if not isinstance(node.op, Elementwise | Selection) or node.specs[0].shape != shape:
            return x
        if role_of(node.op) == "case" and node.inputs[0] == condition:
            chosen = self.assume(node.inputs[1 if truth else 2], condition, truth)
            if constant_of(chosen) == 0 or (type(chosen) is tuple and chosen[0].specs[chosen[1]] == node.specs[0]):
                return chosen
        inputs = tuple(self.assume(one, condition, truth) for one in node.inputs)
        return x if inputs == tuple(node.inputs) else (self.node(node.op, inputs, node.params, node.specs), 0)

    # --- transposes ---
    def contraction(self, given: Node, inputs: tuple[Any, ...]) -> Edge | None:
        """Return a product of matrices with the transposes of operands, or of the result, as part of it."""
        if role_of(given.op) == "transpose" and type(inputs[0]) is tuple:
            parts = self.matrices(inputs[0][0], inputs[0][0].inputs)
            if parts is None:
                return None
            labels = (*parts[:2], "".join(parts[2][axis] for axis in given.params["axes"]))
            return self.node(einsum_op, inputs[0][0].inputs, {"labels": labels}, given.specs), 0
        parts = self.matrices(given, inputs)
        if parts is None or not any(self.is_transposed(x) for x in inputs):
            return None
        operands, turned = [], []
        for x, own in zip(inputs, parts[:2], strict=True):
            axes = x[0].params["axes"] if self.is_transposed(x) else range(len(own))
            operands.append(x[0].inputs[0] if self.is_transposed(x) else x)
            turned.append("".join(own[list(axes).index(axis)] for axis in range(len(own))))
        return self.node(einsum_op, tuple(operands), {"labels": (*turned, parts[2])}, given.specs), 0

    def is_transposed(self, x: Any) -> bool:
        return type(x) is tuple and role_of(x[0].op) == "transpose"

    def matrices(self, node: Node, inputs: Any) -> tuple[str, str, str] | None:
        """Return the labels of a contraction of vectors and matrices over one axis, ``None`` for others."""
        if not isinstance(node.op, Bilinear) or any(type(x) is not tuple for x in inputs):
            return None
        first, second, out = node.op.labels(*(shape_of(x[0].specs[x[1]]) for x in inputs), **node.params)
        shared = set(first) & set(second) - set(out)
        if not (1 <= len(first) <= 2 and 1 <= len(second) <= 2 and len(shared) == 1):
            return None
        return (first, second, out) if set(out) == (set(first) ^ set(second)) else None


__all__ = ["reading"]
