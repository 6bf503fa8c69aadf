"""A graph in which broadcasting is left to the ops, for formulas to be read: x / sum(x, axis=1, keepdims=True).

Reverse mode writes every broadcast out, since each needs an adjoint. Here an entrywise application takes its operands as
they are where it gives the same shape and dtype, a constant array is a number, and a reduced axis that is put back was
kept. Values stay the same.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.dtype import is_float
from ..core.family import Creation, Elementwise, Reduction, Selection
from ..core.graph import Edge, Graph, Node
from ..core.interpreter import QUIET
from ..core.op import Op, role_of, shape_of
from ..core.simplify import constant_of
from ..core.value import Spec
from ..ops.creation import _full
from .rewriting import Rewriting, results


def broadcasting(graph: Graph) -> Graph:
    """Return a graph of the same formula without the broadcasts and constants that its ops do themselves."""
    return _Broadcasting(graph).run()


class _Broadcasting(Rewriting):
    def rewrite(self, given: Node) -> Sequence[Edge]:
        inputs = self.placed(given.inputs)
        assert given.op is not None
        return results(
            self.shorter(given.op, inputs, given.specs[0])
            or self.node(given.op, self.operands(given, inputs), given.params, given.specs)
        )

    def shorter(self, op: Op, inputs: tuple[Any, ...], spec: Spec) -> Node | None:
        """Return the constant that a shaped or computed constant is, and the sum with ``keepdims`` whose axis is put back."""
        numbers = [constant_of(x) for x in inputs]
        if isinstance(op, Elementwise) and is_float(spec.dtype) and not any(one is None for one in numbers):
            value = QUIET.run(op.evaluate, *(np.asarray(one, spec.dtype) for one in numbers)).item()
            return self.node(_full, (), {"shape": spec.shape, "value": value, "dtype": spec.dtype}, (spec,))
        if role_of(op) != "broadcast" and role_of(op) != "reshape":
            return None
        source = inputs[0][0]
        if constant_of(inputs[0]) is not None:
            return self.node(source.op, (), {**source.params, "shape": spec.shape}, (spec,))
        if role_of(op) == "reshape" and isinstance(source.op, Reduction) and not source.params["keepdims"]:
            params = {**source.params, "keepdims": True}
            if source.op.spec(*source.operands, **params) == spec:
                return self.node(source.op, source.inputs, params, (spec,))
        return None

    def operands(self, given: Node, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the operands, those of an entrywise application before they were broadcast."""
        if not isinstance(given.op, Elementwise | Selection) or len(given.specs) > 1:
            return inputs
        for position, x in enumerate(inputs):
            if type(x) is not tuple:
                continue
            plain: Any = x
            if isinstance(x[0].op, Creation) and shape_of(x[0].specs[0]):
                plain = constant_of(x)
            elif role_of(x[0].op) == "broadcast":
                plain = x[0].inputs[0]
            if plain is None or plain is x:
                continue
            changed = (*inputs[:position], plain, *inputs[position + 1 :])
            seen = (one[0].specs[one[1]] if type(one) is tuple else one for one in changed)
            if any(type(one) is tuple for one in changed) and given.op.spec(*seen, **given.params) == given.specs[0]:
                inputs = changed
        return inputs


__all__ = ["broadcasting"]
