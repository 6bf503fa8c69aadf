"""Equations of named values, as text and as LaTeX, from a graph of several outputs."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple

from ..core.family import Creation, Region
from ..core.graph import Edge, Graph, Node
from .formula import Expression
from .latex import LATEX, escaped
from .mathml import aligned
from .readable import arranged, plain

WORTH_A_NAME = 4
"""How many nodes an expression that occurs twice has to have to get a name of its own; a condition twice as many."""

_LETTERS = "uvwabcdefghklmnopqrsz"


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
    def sides(self) -> tuple[str, str, str]:
        """Left and right-hand side as LaTeX, and the path."""
        return LATEX.name(self.name).text, self.expression.latex, self.path

    @property
    def latex(self) -> str:
        """The equation as LaTeX, with & before the equals sign."""
        return f"{LATEX.name(self.name).text} &= {self.expression.latex}"


class Renaming(NamedTuple):
    """The names of a module's values in a chain: ``names`` by their own name; others get ``suffix``, as do their cotangents."""

    names: dict[str, str]
    suffix: str

    def name(self, own: str) -> str:
        """Return the name in the chain of what the module calls ``own``."""
        stem = own.removesuffix("_bar")
        return self.names.get(own) or f"{self.names.get(stem) or stem + self.suffix}{own[len(stem) :]}"

    def apply(self, equation: Equation) -> Equation:
        """Return the equation in the names of the chain."""
        expression = equation.expression
        renamed = Expression(expression.graph, [self.name(own) for own in expression.names])
        return Equation(equation.path, self.name(equation.name), renamed)


class Equations:
    """What a module computes: ``fprop`` and ``bprop``, lists of `Equation`; ``print`` shows them, a notebook typesets them.

    ``inputs`` are the shapes they were derived for, by name: sizes that a formula holds as numbers, such as the 1/N of
    a mean, are of these shapes. Modules that are applied one after the other are written as one text: z1, h1, W1 and δ1
    are of the first layer with parameters. ``names`` has by path how each of them is called there:
    ``equations.names["layers.0"].name("W")`` is ``W1``.

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

    def __init__(
        self,
        title: str,
        inputs: dict[str, Any],
        fprop: list[Equation],
        bprop: list[Equation],
        names: Mapping[str, Renaming] = MappingProxyType({}),
    ) -> None:
        self.title = title
        self.inputs = inputs
        self.fprop = fprop
        self.bprop = bprop
        self.names = dict(names)

    def __str__(self) -> str:
        shapes = ", ".join(f"{name}: {spec}" for name, spec in self.inputs.items())
        lines = [f"{self.title} of {shapes}" if shapes else self.title]
        width = max((len(equation.path) for equation in (*self.fprop, *self.bprop)), default=0)
        for heading, group in (("fprop", self.fprop), ("bprop", self.bprop)):
            lines.append(heading)
            previous = None
            for equation in group:
                path = equation.path if equation.path != previous else ""
                lines.append(f"  {path:<{width}}  {equation.text}" if width else f"  {equation.text}")
                previous = equation.path
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def latex(self) -> str:
        """All equations as LaTeX, aligned at the equals signs, for mathematics mode."""
        rows = [equation.latex + _remark(equation.path) for equation in (*self.fprop, *self.bprop)]
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    @property
    def mathml(self) -> str:
        """All equations as MathML, aligned at the equals signs, for a page."""
        return aligned([equation.sides for equation in (*self.fprop, *self.bprop)])

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"

    def _repr_markdown_(self) -> str:
        blocks = [f"**{self.title}**"]
        for heading, group in (("fprop", self.fprop), ("bprop", self.bprop)):
            rows = " \\\\\n".join(equation.latex + _remark(equation.path) for equation in group)
            blocks.append(f"{heading}\n\n$$\n\\begin{{aligned}}\n{rows}\n\\end{{aligned}}\n$$")
        return "\n\n".join(blocks)


def _remark(path: str) -> str:
    """Return the path of a module as LaTeX text to put after its equation."""
    return rf" && \text{{{escaped(path)}}}" if path else ""


class Formulas:
    """A graph of several outputs as equations of named values.

    - ``graph``: outputs of the forward pass first, then those of the backward pass.
    - ``input_names``: names of the graph's inputs. ``output_names``: names of its outputs.
    - ``forward_count``: how many outputs belong to the forward pass.
    - ``arrange``: as textbooks do; else the graph is taken as it is, and every value that is used twice has a name.
    """

    def __init__(
        self,
        graph: Graph,
        input_names: dict[Node, str],
        output_names: list[str],
        forward_count: int,
        arrange: bool = True,
    ) -> None:
        self.graph = plain(graph) if arrange else graph
        self.arrange = arrange
        self.input_names = input_names
        self.output_names = output_names
        self.forward_count = forward_count
        self.names: dict[Edge, str] = {}
        """The values that have an equation already."""

    def run(self) -> tuple[list[tuple[str, Expression]], list[tuple[str, Expression]]]:
        """Return the equations of the forward and of the backward pass, as (name, expression)."""
        graph = self.graph
        results, aliases = self._results()
        forward = self._needed(graph.outputs[: self.forward_count])
        taken = {*self.output_names, *self.input_names.values()}
        letters = (letter for letter in _letters() if letter not in taken)
        uses = self._uses()
        sizes: dict[Node, int] = {}
        groups: tuple[list[tuple[str, Expression]], list[tuple[str, Expression]]] = ([], [])
        for node in graph.nodes:
            sizes[node] = 1 + sum(
                sizes.get(x.node, 1) if type(x) is Edge and x not in self.names else 1 for x in node.inputs
            )
            for edge in node.outputs:
                name = results.get(edge)
                if name is None and uses.get(edge, 0) > 1 and self._worth_a_name(edge, sizes[node]):
                    name = next(letters)
                if name is not None:
                    expression = self._expression(edge)
                    self.names[edge] = name
                    groups[node not in forward].append((name, expression))
        order = {name: position for position, name in enumerate(self.output_names)}
        for name, edge in aliases:
            groups[order[name] >= self.forward_count].append((name, self._expression(edge)))
        for group in groups:
            self._sort(group, order)
        return groups

    def _worth_a_name(self, edge: Edge, size: int) -> bool:
        """Return whether a value of ``size`` nodes that is read several times gets an equation of its own."""
        op = edge.node.op
        if isinstance(op, Creation):
            return False
        if not self.arrange:
            return True
        bound = WORTH_A_NAME * (2 if edge.spec.dtype.kind == "b" else 1)
        return size >= bound or isinstance(op, Region)

    def _results(self) -> tuple[dict[Edge, str], list[tuple[str, Edge]]]:
        """Return the names of outputs by edge, and the outputs that are inputs, constants or other outputs."""
        results: dict[Edge, str] = {}
        aliases: list[tuple[str, Edge]] = []
        for name, edge in zip(self.output_names, self.graph.outputs, strict=True):
            if edge in results or edge.node.op is None or isinstance(edge.node.op, Creation):
                aliases.append((name, edge))
            else:
                results[edge] = name
        return results, aliases

    def _sort(self, group: list[tuple[str, Expression]], order: dict[str, int]) -> None:
        """Sort equations: first those that others need, then outputs in their order, unless one needs another."""
        outputs = [(name, expression) for name, expression in group if name in order]
        names = {name for name, _ in outputs}
        if not any(names & _names_in(expression) for _, expression in outputs):
            group.sort(key=lambda equation: order.get(equation[0], -1))

    def _needed(self, outputs: Sequence[Edge]) -> set[Node]:
        graph = self.graph
        return set(Graph(graph.inputs, graph.nodes, outputs, graph.captures).live().nodes)

    def _uses(self) -> dict[Edge, int]:
        """Return how many nodes read each value."""
        uses: dict[Edge, int] = {}
        for node in self.graph.nodes:
            for edge in set(node.edges):
                uses[edge] = uses.get(edge, 0) + 1
        return uses

    def _expression(self, edge: Edge) -> Expression:
        """Return a value as an expression of inputs and of the values that have names already."""
        names = dict(self.input_names)
        inputs: list[Node] = list(self.graph.inputs)
        replaced: dict[Edge, Edge] = {}
        for named, name in self.names.items():
            if named != edge:
                stand_in = Node(None, {}, (), (named.spec,))
                inputs.append(stand_in)
                names[stand_in] = name
                replaced[named] = stand_in.output
        nodes: list[Node] = []
        for node in self.graph.nodes:
            operands = tuple(replaced.get(x, x) if type(x) is Edge else x for x in node.inputs)
            copy = Node(node.op, node.params, operands, node.specs)
            nodes.append(copy)
            for old, new in zip(node.outputs, copy.outputs, strict=True):
                replaced.setdefault(old, new)
        graph = Graph(inputs, nodes, [replaced.get(edge, edge)], self.graph.captures).live()
        return Expression(arranged(graph) if self.arrange else graph, [names.get(node, "?") for node in inputs])


def _letters() -> Iterator[str]:
    """Yield u, v, w, …, then u2, v2 and so on."""
    yield from _LETTERS
    for number in count(2):
        yield from (f"{letter}{number}" for letter in _LETTERS)


def _names_in(expression: Expression) -> set[str]:
    """Return the names of the inputs that an expression reads."""
    graph = expression.graph
    read = {x.node for node in graph.nodes for x in node.edges} | {graph.outputs[0].node}
    return {name for node, name in zip(graph.inputs, expression.names, strict=True) if node in read}


__all__ = ["Equation", "Equations", "Formulas", "Renaming"]
