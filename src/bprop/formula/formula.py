"""A graph written out as one nested formula, as text that Python can read and as LaTeX.

In a formula a value used twice stands there twice, so a formula can be exponentially longer than its graph: the
swelling of expressions that backpropagation avoids. `Expression.size` counts it exactly without writing it out.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..core.error import ArgumentError, BpropError
from ..core.graph import Edge, Graph, Node, NodeInput
from ..core.notation import CALL, TEXT, Notation, Written
from ..core.value import Array
from ..gradients.argument import arrays_of
from .entries import entry_formulas, scatters
from .latex import LATEX
from .mathml import mathml

LIMIT = 10_000
"""Nodes that a formula may have to be written out."""


class Expression:
    """A formula of named inputs: ``text``, ``latex``, ``mathml``, the ``graph`` behind it, and calling it evaluates it.

    ``size`` is the number of nodes of the formula, a value used twice counted twice; ``shared_size`` the number of
    nodes of the graph. Beyond 10,000 nodes the formula is not written out: ``text`` and ``latex`` raise `BpropError`
    naming the size, and ``print`` shows the graph.

    **Source:** Leibe (2016), naive analytical differentiation.

    >>> import bprop
    >>> e = bprop.expression(lambda x, y: (lambda d: d * d)(x - y))(2.0, 5.0)
    >>> e
    (x - y) * (x - y)
    >>> e.size, e.shared_size, e(2.0, 5.0)
    (7, 4, Array(9.))
    """

    def __init__(self, graph: Graph, names: Sequence[str], masked: Callable[[], Graph] | None = None) -> None:
        if len(graph.outputs) != 1 or len(names) != len(graph.inputs):
            raise ArgumentError(
                f"Expression: a graph of {len(graph.inputs)} inputs and {len(graph.outputs)} outputs with "
                f"{len(names)} names: a formula has one output, and a name for every input"
            )
        self.graph = graph.live()
        self.names = tuple(names)
        self._masked = masked

    def __call__(self, *args: Any) -> Array:
        """Evaluate the formula; ``args`` as the function it was made from takes them.

        Where a derivative's formula gives no finite number, terms of branches not taken (0 · ∞) are left out.
        """
        values = arrays_of(args)
        if len(values) != len(self.names):
            raise ArgumentError(f"expression of {', '.join(self.names)}: {len(values)} arrays given")
        (y,) = self.graph(*values)
        if self._masked is not None:
            numbers = y.concrete()
            if numbers is None or not np.isfinite(numbers).all():
                (y,) = self._masked()(*values)
        return y

    @property
    def shared_size(self) -> int:
        """Number of nodes of the graph: inputs and numbers once, every application once."""
        used: set[Any] = set()
        for node in self.graph.nodes:
            used.add(node)
            used.update(x.node if type(x) is Edge else (type(x), x) for x in node.inputs)
        return len(used | {self.graph.outputs[0].node})

    @cached_property
    def size(self) -> int:
        """Number of nodes of the formula as a tree, exactly (it can have hundreds of digits)."""
        sizes: dict[Node, int] = {}
        for node in self.graph.nodes:
            sizes[node] = 1 + sum(sizes.get(x.node, 1) if type(x) is Edge else 1 for x in node.inputs)
        return sizes.get(self.graph.outputs[0].node, 1)

    @cached_property
    def text(self) -> str:
        """The formula as text; Python reads it the same way."""
        return self.written(TEXT)

    @cached_property
    def latex(self) -> str:
        """The formula as LaTeX, for mathematics mode."""
        return self.written(LATEX)

    @cached_property
    def mathml(self) -> str:
        """The formula as MathML, for a page."""
        return mathml(self.latex)

    def written(self, notation: Notation) -> str:
        """Return the formula in a notation."""
        if self.size > LIMIT:
            raise BpropError(
                f"the formula has {self.size} nodes and is written out up to {LIMIT}; its graph has {self.shared_size}: "
                f"print(expression.graph)"
            )
        if self._entries is None:
            return formula(self.graph, self.names, notation).text
        texts = [formula(graph, names, notation).text for graph, names in self._entries]
        return notation.array(texts, self.graph.outputs[0].spec)

    @cached_property
    def _entries(self) -> list[tuple[Graph, tuple[str, ...]]] | None:
        """A graph for each entry, where the formula of the array as a whole would put entries among zeros."""
        return entry_formulas(self.graph, self.names) if scatters(self.graph) else None

    def __str__(self) -> str:
        if self.size <= LIMIT:
            return self.text
        return f"a formula of {self.size} nodes, too long to write out; its graph has {self.shared_size}:\n{self.graph}"

    __repr__ = __str__

    def _repr_latex_(self) -> str | None:
        return f"$\\displaystyle {self.latex}$" if self.size <= LIMIT else None


def formula(graph: Graph, names: Sequence[str], notation: Notation) -> Written:
    """Return the one output of ``graph`` as a nested formula."""
    written: dict[Node, Written] = {node: notation.name(name) for node, name in zip(graph.inputs, names, strict=True)}
    taken = set(names)
    for position, (node, value) in enumerate(graph.captures):
        data = value.concrete()
        if data is not None and data.shape == ():
            written[node] = notation.number(data.item())
        else:
            written[node] = notation.name(_free(f"c{position}", taken))

    def operand(x: NodeInput) -> Written:
        if type(x) is not Edge:
            return notation.number(x)
        node, index = x
        return Written(f"{written[node].text}[{index}]", CALL) if len(node.specs) > 1 else written[node]

    for node in graph.nodes:
        assert node.op is not None
        written[node] = notation.write(node.op, [operand(x) for x in node.inputs], node.operands, node.params)
    return operand(graph.outputs[0])


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


__all__ = ["Expression", "formula"]
