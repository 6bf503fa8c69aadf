"""Equations of named values, as text and as LaTeX: a graph of several outputs in which what occurs often has a name."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core.family import Creation, Region
from ..core.graph import Edge, Graph, Node
from ..core.rewrite import Rewriter, outputs_of
from ..core.simplify import simplify
from ..gradients.broadcasting import broadcasting
from ..gradients.canonical_order import canonical_order
from ..gradients.formula import Expression
from ..gradients.latex import LATEX
from ..gradients.simplify_display import simplify_display

WORTH_A_NAME = 4
"""Nodes that an expression has before it gets a name of its own for occurring twice; a condition has twice as many."""


class Equation(NamedTuple):
    """``name`` = ``expression``, of the module at ``path``."""

    path: str
    name: str
    expression: Expression

    @property
    def text(self) -> str:
        """The equation as text; Python reads the right-hand side the same way."""
        return f"{self.name} = {self.expression}"

    @property
    def latex(self) -> str:
        """The equation as LaTeX, with & before the equals sign."""
        return f"{LATEX.name(self.name).text} &= {self.expression.latex}"


class Equations:
    """What a module computes: ``fprop`` and ``bprop``, lists of `Equation`; ``print`` shows them, a notebook typesets them.

    ``inputs`` are the shapes they were derived for, by name: sizes that a formula holds as numbers, such as the 1/N of a
    mean, are of these shapes.

    >>> from bprop import nn
    >>> print(nn.Linear(3, 2).equations())
    Linear(3 → 2, float32) of x: float32[2,3]
    fprop
      y = x @ W.T + b
    bprop
      x_bar = y_bar @ W
      W_bar = y_bar.T @ x
      b_bar = sum(y_bar, axis=0)
    """

    def __init__(self, title: str, inputs: dict[str, Any], fprop: list[Equation], bprop: list[Equation]) -> None:
        self.title = title
        self.inputs = inputs
        self.fprop = fprop
        self.bprop = bprop

    def __str__(self) -> str:
        shapes = ", ".join(f"{name}: {spec}" for name, spec in self.inputs.items())
        lines = [f"{self.title} of {shapes}" if shapes else self.title]
        width = max((len(one.path) for one in (*self.fprop, *self.bprop)), default=0)
        for heading, group in (("fprop", self.fprop), ("bprop", self.bprop)):
            lines.append(heading)
            before = None
            for one in group:
                path = one.path if one.path != before else ""
                lines.append(f"  {path:<{width}}  {one.text}" if width else f"  {one.text}")
                before = one.path
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def latex(self) -> str:
        """All equations as LaTeX, aligned at the equals signs, for mathematics mode."""
        rows = [one.latex + _remark(one.path) for group in (self.fprop, self.bprop) for one in group]
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"

    def _repr_markdown_(self) -> str:
        parts = [f"**{self.title}**"]
        for heading, group in (("fprop", self.fprop), ("bprop", self.bprop)):
            rows = " \\\\\n".join(one.latex + _remark(one.path) for one in group)
            parts.append(f"{heading}\n\n$$\n\\begin{{aligned}}\n{rows}\n\\end{{aligned}}\n$$")
        return "\n\n".join(parts)


def _remark(path: str) -> str:
    shown = path.replace("_", r"\_")
    return rf" && \text{{{shown}}}" if path else ""


class Formulas:
    """A graph of several outputs as equations, each of named values; ``ahead`` of the outputs are of the way forward."""

    def __init__(self, graph: Graph, known: dict[Node, str], names: list[str], ahead: int) -> None:
        graph = simplify(simplify_display(broadcasting(simplify(graph, algebraic=True))), algebraic=True)
        graph = simplify(broadcasting(graph), algebraic=True)
        self.graph = graph
        self.known = known
        self.names = names
        self.ahead = ahead
        self.named: dict[Edge, str] = {}

    def run(self) -> tuple[list[tuple[str, Expression]], list[tuple[str, Expression]]]:
        graph = self.graph
        free = (letter for letter in "uvwabcdefghklmnopqrsz" if letter not in {*self.names, *self.known.values()})
        results: dict[Edge, str] = {}
        aliases: list[tuple[str, Edge]] = []
        for name, edge in zip(self.names, graph.outputs, strict=True):
            if edge in results or edge[0].op is None or isinstance(edge[0].op, Creation):
                aliases.append((name, edge))
            else:
                results[edge] = name
        forward = self.needed(graph.outputs[: self.ahead])
        uses = self.uses()
        sizes: dict[Node, int] = {}
        groups: tuple[list[tuple[str, Expression]], list[tuple[str, Expression]]] = ([], [])
        order = {name: position for position, name in enumerate(self.names)}
        for node in graph.nodes:
            sizes[node] = 1 + sum(
                sizes.get(x[0], 1) if type(x) is tuple and x not in self.named else 1 for x in node.inputs
            )
            for index in range(len(node.specs)):
                edge = (node, index)
                called = results.get(edge)
                bound = WORTH_A_NAME * (2 if node.specs[index].dtype.kind == "b" else 1)
                worth = sizes[node] >= bound or isinstance(node.op, Region)
                if called is None and uses.get(edge, 0) > 1 and worth and not isinstance(node.op, Creation):
                    called = next(free, None)
                if called is not None:
                    expression = self.expression(edge)
                    self.named[edge] = called
                    groups[node not in forward].append((called, expression))
        for name, edge in aliases:
            groups[order[name] >= self.ahead].append((name, self.expression(edge)))
        for group in groups:  # what the equations need first, then they in the order of inputs and parameters
            last = [pair for pair in group if pair[0] in order]
            if not self.depends(last):
                group.sort(key=lambda pair: order.get(pair[0], -1))
        return groups

    def depends(self, pairs: list[tuple[str, Expression]]) -> bool:
        """Return whether one of the equations needs another of them."""
        names = {name for name, _ in pairs}
        return any(names & self.read(expression) for _, expression in pairs)

    def read(self, expression: Expression) -> set[str]:
        graph = expression.graph
        used = {x[0] for node in graph.nodes for x in node.inputs if type(x) is tuple} | {graph.outputs[0][0]}
        return {name for node, name in zip(graph.inputs, expression.names, strict=True) if node in used}

    def needed(self, outputs: Sequence[Edge]) -> set[Node]:
        graph = self.graph
        return set(Graph(graph.inputs, graph.nodes, outputs, graph.captures).live().nodes)

    def uses(self) -> dict[Edge, int]:
        count: dict[Edge, int] = {}
        for node in self.graph.nodes:
            for x in {x for x in node.inputs if type(x) is tuple}:
                count[x] = count.get(x, 0) + 1
        return count

    def expression(self, edge: Edge) -> Expression:
        """Return a value as an expression of inputs and of the values that have names already."""
        names = dict(self.known)
        inputs: list[Node] = list(self.graph.inputs)
        named: dict[Edge, Edge] = {}
        for value, name in self.named.items():
            if value != edge:
                node = Node(None, {}, (), (value[0].specs[value[1]],))
                inputs.append(node)
                names[node] = name
                named[value] = (node, 0)
        graph = _Named(named).rewrite(Graph(inputs, self.graph.nodes, [edge], self.graph.captures)).live()
        graph = simplify(canonical_order(simplify(graph, algebraic=True)), algebraic=True)
        return Expression(graph, [names.get(node, "?") for node in inputs])


class _Named(Rewriter):
    """A copy in which each value that has a name is an input."""

    def __init__(self, named: dict[Edge, Edge]) -> None:
        super().__init__()
        self.named = named

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> list[Edge]:
        assert node.op is not None
        copied = self.add(node.op, inputs, node.params, node.specs)
        return [self.named.get((node, index), edge) for index, edge in enumerate(outputs_of(copied))]


__all__ = ["Equation", "Equations", "Formulas"]
