"""A graph in which broadcasting is left to the ops, for formulas to be read: x / sum(x, axis=1, keepdims=True).

Reverse mode writes every broadcast out, since each needs an adjoint. Here an entrywise application takes its operands as
they are where it gives the same shape and dtype, a constant array is a number, and a reduced axis that is put back was
kept. Values stay the same.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..core.dtype import is_float
from ..core.family import Creation, Elementwise, Reduction, Selection
from ..core.graph import Edge, Graph, Node, operand_spec
from ..core.interpreter import QUIET
from ..core.op import Op, role_of, shape_of
from ..core.rewrite import Rewriter
from ..core.simplify import constant_of
from ..core.value import Spec


def broadcasting(graph: Graph) -> Graph:
    """Return a graph of the same formula without the broadcasts and constants that its ops do themselves."""
    return _Broadcasting().rewrite(graph).live()


class _Broadcasting(Rewriter):
    def rule(self, node: Node, inputs: tuple[Any, ...]) -> Sequence[Edge]:
        assert node.op is not None
        new = self.shorter(node.op, inputs, node.specs[0])
        return (new or self.add(node.op, self.operands(node, inputs), node.params, node.specs)).outputs

    def shorter(self, op: Op, inputs: tuple[Any, ...], spec: Spec) -> Node | None:
        """Return the constant that a shaped or computed constant is, and the sum with ``keepdims`` whose axis is put back."""
        numbers = [constant_of(x) for x in inputs]
        if isinstance(op, Elementwise) and is_float(spec.dtype) and not any(number is None for number in numbers):
            value = QUIET.run(op.evaluate, *(np.asarray(number, spec.dtype) for number in numbers)).item()
            return self.add(Creation.canonical, (), {"shape": spec.shape, "value": value, "dtype": spec.dtype}, (spec,))
        if role_of(op) != "broadcast" and role_of(op) != "reshape":
            return None
        source = inputs[0].node
        if constant_of(inputs[0]) is not None:
            return self.add(source.op, (), {**source.params, "shape": spec.shape}, (spec,))
        if role_of(op) == "reshape" and isinstance(source.op, Reduction) and not source.params["keepdims"]:
            params = {**source.params, "keepdims": True}
            if source.op.spec(*source.operands, **params) == spec:
                return self.add(source.op, source.inputs, params, (spec,))
        return None

    def operands(self, node: Node, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the operands, those of an entrywise application before they were broadcast."""
        if not isinstance(node.op, Elementwise | Selection) or len(node.specs) > 1:
            return inputs
        for position, x in enumerate(inputs):
            if type(x) is not Edge:
                continue
            source: Any = x
            if isinstance(x.node.op, Creation) and shape_of(x.node.specs[0]):
                source = constant_of(x)
            elif role_of(x.node.op) == "broadcast":
                source = x.node.inputs[0]
            elif isinstance(x.node.op, Reduction) and x.node.params["keepdims"] and prod(x.spec.shape) == 1:
                params = {**x.node.params, "keepdims": False}
                source = self.add(x.node.op, x.node.inputs, params, (Spec((), x.spec.dtype),)).output
            if source is None or source is x:
                continue
            changed = (*inputs[:position], source, *inputs[position + 1 :])
            if all(type(operand) is not Edge for operand in changed):
                continue
            if node.op.spec(*map(operand_spec, changed), **node.params) == node.specs[0]:
                inputs = changed
        return inputs


__all__ = ["broadcasting"]
