"""`explain`: one entry of a gradient as the chain of factors and the sum over paths that it is, with the numbers in it."""

import re
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..compile.passes.inline import inline
from ..core.error import ArgumentError
from ..core.family import Linear
from ..core.graph import Edge, Graph, Node, application, edge_name
from ..core.interpreter import QUIET, using
from ..core.notation import TEXT
from ..core.observe import Observe
from ..core.value import Array
from ..formula.latex import LATEX
from ..gradients.argument import Arguments, traced
from ..gradients.scalar_dependency import LocalJacobian, scalar_dependencies
from ..gradients.variable import as_scalar, name_of

TERMS = 4
"""How many terms of a sum are written out; the others are added up in one."""
UNITS = 4
"""How many entries of an array get an equation each."""

Numbers = NDArray[Any]


class Term(NamedTuple):
    """One way on from a unit: the unit it leads to, the local derivative, and the cotangent that comes back from there."""

    target: str
    partial: float
    bar: float

    @property
    def product(self) -> float:
        """The share of this way in the cotangent."""
        return self.partial * self.bar


class Unit(NamedTuple):
    """One entry of an array on the way from the variable to E: its cotangent is the sum of the products of its ``terms``."""

    name: str
    bar: float
    terms: tuple[Term, ...]


class Explanation:
    """Why ∂E/∂x is what it is: ``units`` from E back to the variable, each with the sum that is its cotangent.

    ``value``: the derivative. ``path_count``: how many paths lead from the variable to E. ``hidden``: by array, how many entries on
    the way have no line of their own. ``text`` and ``latex`` write it out.
    """

    def __init__(
        self, variable: str, units: list[Unit], formulas: list[str], path_count: int, hidden: dict[str, int]
    ) -> None:
        self.variable = variable
        self.units = units
        self.formulas = formulas
        self.path_count = path_count
        self.hidden = hidden
        self.value = units[-1].bar

    @property
    def text(self) -> str:
        """The factors and sums as lines of text."""
        if self.path_count == 0:
            return (
                f"∂E/∂{self.variable} = 0: no path leads from {self.variable} to E at these numbers (a unit that is dead for all of "
                f"them, or a branch that is not taken)"
            )
        count = f"{self.path_count} path{'s' * (self.path_count != 1)}"
        lines = [f"∂E/∂{self.variable} = {self.value:.6g}: the sum over {count} from {self.variable} to E", "with"]
        lines += [f"  {formula}" for formula in self.formulas]
        lines.append("from E back")
        for unit in self.units:
            lines += _written(unit)
        lines += [f"  {count} more entries of {name} are on the way, too" for name, count in self.hidden.items()]
        return "\n".join(lines)

    @property
    def latex(self) -> str:
        """The same as LaTeX, aligned at the equals signs, for mathematics mode."""
        rows = []
        for unit in self.units:
            symbol = _partial("E", unit.name)
            if not unit.terms or unit.terms[0].target == "E":
                rows.append(f"{symbol} &= {_latex(unit.bar)}")
                continue
            shown, rest = unit.terms[:TERMS], unit.terms[TERMS:]
            symbols = [rf"{_partial(term.target, unit.name)} \, {_partial('E', term.target)}" for term in shown]
            numbers = [rf"{_latex(term.partial)} \cdot {_latex(term.bar)}" for term in shown]
            if rest:
                symbols.append(r"\cdots")
                numbers.append(_latex(sum(term.product for term in rest)))
            rows.append(f"{symbol} &= {' + '.join(symbols)} = {' + '.join(numbers)} = {_latex(unit.bar)}")
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def __repr__(self) -> str:
        return self.text

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"


def _written(unit: Unit) -> list[str]:
    if not unit.terms or unit.terms[0].target == "E":
        return [f"  ∂E/∂{unit.name} = {unit.bar:.4g}"]
    shown, rest = unit.terms[:TERMS], unit.terms[TERMS:]
    symbols = [f"∂{term.target}/∂{unit.name} · ∂E/∂{term.target}" for term in shown]
    numbers = [f"{_number(term.partial)} · {_number(term.bar)}" for term in shown]
    if rest:
        symbols.append(f"{len(rest)} more")
        numbers.append(f"({_number(sum(term.product for term in rest))})")
    head = f"  ∂E/∂{unit.name} = "
    return [head + " + ".join(symbols), f"{' ' * (len(head) - 2)}= {' + '.join(numbers)} = {_number(unit.bar)}"]


def _number(value: float) -> str:
    text = f"{value:.4g}"
    return f"({text})" if text.startswith("-") else text


def _latex(value: float) -> str:
    written = LATEX.number(float(f"{value:.4g}")).text
    return rf"\left({written}\right)" if written.startswith("-") else written


def _partial(above: str, below: str) -> str:
    return rf"\frac{{\partial {LATEX.name(above).text}}}{{\partial {LATEX.name(below).text}}}"


def explain(f: Callable[..., Any], /, *args: Any, parameter: str, **options: Any) -> Explanation:
    """Return where one entry of the gradient of the scalar function ``f`` comes from, factor by factor: see `Explanation`.

    ``args`` and ``options``: the arguments of ``f``; modules and trees of arrays among them. ``parameter`` names one number in them by its path and
    index: ``"w[1]"``, ``"p['b']"``, ``"layers.0.W[2,3]"`` (the name of the argument may be left out where that is clear). If ``f`` is a
    module, its own parameters are meant. Every line is ∂E/∂u = Σ ∂v/∂u · ∂E/∂v over the values v that are computed from u: the sum
    over all paths, factored at every unit, which is what backpropagation does. Of arrays with many entries on the way a few are shown.

    Raises `ArgumentError` naming what there is for a name or an index that there is not, `ShapeError` where f's value is no scalar.

    **Source:** Leibe (2016), Backpropagation, computational graphs: factoring paths; Rumelhart, Hinton & Williams (1986).

    >>> import bprop, numpy as np
    >>> bprop.explain(lambda w, x: np.tanh(w[0] * x + w[1]), np.array([0.5, 0.1]), 2.0, parameter="w[0]")
    ∂E/∂w[0] = 0.718403: the sum over 1 path from w[0] to E
    with
      a = w[0] * x
      b = a + w[1]
      E = tanh(b)
    from E back
      ∂E/∂E = 1
      ∂E/∂b = 0.3592
      ∂E/∂a = ∂b/∂a · ∂E/∂b
            = 1 · 0.3592 = 0.3592
      ∂E/∂w[0] = ∂a/∂w[0] · ∂E/∂a
               = 2 · 0.3592 = 0.7184
    """
    what = f"explain {name_of(f)}"
    if hasattr(f, "cells") and hasattr(f, "fprop"):
        module, f = f, _applied
        args = (module, *args)
    arguments = Arguments(f, args, options, None, what)
    position, index = _chosen(parameter, arguments, what)
    tracer, _, y = traced(arguments, what, lambda result: as_scalar(result, what))
    graph = inline(tracer.graph([y]))
    owner = Observe(name=what)
    observed = [owner.input(value) for value in arguments.values]
    with using(owner):
        outputs = graph(*observed)
    observed_graph = owner.graph(outputs)
    names = dict(zip(owner.inputs, (_short(name) for name in arguments.names), strict=True))
    source = owner.inputs[position].output
    return _Chain(observed_graph, owner.values, source, index, names).explanation()


def _applied(model: Any, *args: Any) -> Any:
    return model(*args)


def _short(name: str) -> str:
    """Return the name of a parameter without what all of them have."""
    return name.removeprefix("model.")


def _chosen(parameter: str, arguments: Arguments, what: str) -> tuple[int, int]:
    """Return which of the arguments' values the parameter is, and which of its entries, counted in one row."""
    matched = re.fullmatch(r"(.*?)(?:\[(\s*-?\d+\s*(?:,\s*-?\d+\s*)*)\])?", parameter, re.DOTALL)
    assert matched is not None
    possible = [arguments.names[position] for position in arguments.chosen]
    for name, inside in ((parameter, None), (matched[1], matched[2])):
        hits = [p for p in arguments.chosen if arguments.names[p] == name]
        hits = hits or [p for p in arguments.chosen if arguments.names[p].endswith(f".{name}")]
        if len(hits) == 1:
            return hits[0], _entry(name, arguments.values[hits[0]], inside, what)
    listed = ", ".join(possible[:8]) + (", …" if len(possible) > 8 else "")
    raise ArgumentError(f"{what}: there is no parameter {parameter!r}: there are {listed}")


def _entry(name: str, value: Array, inside: str | None, what: str) -> int:
    index = tuple(int(part) for part in inside.split(",")) if inside else ()
    if len(index) != value.ndim or any(not -n <= i < n for i, n in zip(index, value.shape, strict=True)):
        example = f"{name}[{', '.join('0' * value.ndim)}]" if value.ndim else name
        raise ArgumentError(
            f"{what}: {name} has shape {value.shape}: name one of its entries, as in {example}, not {list(index)}"
        )
    counted = [i % n for i, n in zip(index, value.shape, strict=True)]
    return int(np.ravel_multi_index(counted, value.shape)) if value.shape else 0


def _moves(node: Node) -> bool:
    return isinstance(node.op, Linear) and not node.op.scatter and len(node.inputs) == 1


class _Chain:
    """The part of a graph that lies between one entry and E, entry by entry."""

    def __init__(
        self, graph: Graph, values: dict[Edge, Array], source: Edge, index: int, names: dict[Any, str]
    ) -> None:
        self.graph, self.source = graph, source
        self.output = graph.outputs[0]
        self.node_names = self.named(names)
        self.shapes = {edge: value.shape for edge, value in values.items()}
        self.dependencies = scalar_dependencies(graph, values, [source])
        self.on_way = self._reached({source: self._only(source, index)})
        self.bars, self.counts = self._swept()

    def named(self, inputs: dict[Any, str]) -> dict[Any, str]:
        """Return the names of nodes: what only moves entries is called by what it does, x.T or w[0]."""
        shown = self.graph.names()
        written = {node: TEXT.name(name) for node, name in inputs.items()}
        written |= {node: TEXT.name(shown[node]) for node, _ in self.graph.captures}
        letters = (shown[node] for node in self.graph.nodes if shown[node] not in inputs.values())
        for node in self.graph.nodes:
            if node is self.output.node:
                written[node] = TEXT.name("E")
            elif _moves(node) and node.op is not None:
                written[node] = TEXT.write(node.op, [written[x.node] for x in node.edges], node.operands, node.params)
            else:
                written[node] = TEXT.name(next(letters))
        return {node: name.text for node, name in written.items()}

    def _only(self, edge: Edge, index: int) -> Numbers:
        chosen = np.zeros(prod(self.shapes[edge]), bool)
        chosen[index] = True
        return chosen

    def _reached(self, reached: dict[Edge, Numbers]) -> dict[Edge, Numbers]:
        """Return which entries depend on the variable."""
        for source, target, (x, y, _) in self.dependencies:
            if source in reached:
                marks = reached.setdefault(target, np.zeros(prod(self.shapes[target]), bool))
                marks[y[reached[source][x]]] = True
        return reached

    def _swept(self) -> tuple[dict[Edge, Numbers], dict[Edge, Numbers]]:
        """Return the cotangents, and the numbers of paths to E, of the entries that are on the way."""
        bars: dict[Edge, Numbers] = {self.output: np.ones(1)}
        counts: dict[Edge, Numbers] = {self.output: np.ones(1, object)}
        for source, target, (x, y, partial) in reversed(self.dependencies):
            if target not in bars or source not in self.on_way:
                continue
            size = prod(self.shapes[source])
            leads = np.asarray(self.on_way[source][x] & (counts[target][y] != 0), bool)
            products = QUIET.run(np.multiply, bars[target][y][leads], partial[leads])
            QUIET.run(np.add.at, bars.setdefault(source, np.zeros(size)), x[leads], products)
            np.add.at(counts.setdefault(source, np.zeros(size, object)), x[leads], counts[target][y][leads])
        return bars, counts

    def explanation(self) -> Explanation:
        """Return the units from E back to the variable."""
        if self.source not in self.counts or not self.counts[self.source].any():
            name = self.name(self.source, int(np.flatnonzero(self.on_way[self.source])[0]))
            return Explanation(name, [Unit(name, 0.0, ())], [], 0, {})
        order = [*self.graph.inputs, *(node for node, _ in self.graph.captures), *self.graph.nodes]
        edges = [
            edge for node in reversed(order) for edge in node.outputs if edge in self.counts and not self.is_moved(edge)
        ]
        units, hidden = [], {}
        for edge in edges:
            entries = np.flatnonzero(self.on_way[edge] & (self.counts[edge] != 0))
            largest = sorted(entries, key=lambda entry: -abs(self.bars[edge][entry]))[:UNITS]
            for entry in sorted(map(int, largest)):
                units.append(
                    Unit(self.name(edge, entry), float(self.bars[edge][entry]), tuple(self.terms(edge, entry)))
                )
            if len(entries) > UNITS:
                hidden[edge_name(edge, self.node_names)] = len(entries) - UNITS
        formulas = [
            f"{self.node_names[node]} = {application(node, self.node_names, settings=False)}"
            for node in self.graph.nodes
            if any(edge in self.counts and not self.is_moved(edge) for edge in node.outputs)
        ]
        variable = units[-1].name
        return Explanation(variable, units, formulas, int(self.counts[self.source].sum()), hidden)

    def terms(self, edge: Edge, entry: int) -> Sequence[Term]:
        """Return the ways on from an entry, those that matter most first."""
        terms: list[Term] = []
        for target, (x, y, partial) in self.leaving(edge):
            for at in np.flatnonzero(x == entry):
                head = int(y[at])
                if self.counts[target][head] == 0:
                    continue
                if self.is_moved(target):
                    terms += self.terms(target, head)
                else:
                    terms.append(Term(self.name(target, head), float(partial[at]), float(self.bars[target][head])))
        return sorted(terms, key=lambda term: -abs(term.product))

    def is_moved(self, edge: Edge) -> bool:
        """Return whether the entries of a value are those of its operand, in another order or place."""
        return edge != self.output and _moves(edge.node)

    def leaving(self, edge: Edge) -> Iterator[tuple[Edge, LocalJacobian]]:
        return (
            (target, local) for source, target, local in self.dependencies if source == edge and target in self.counts
        )

    def name(self, edge: Edge, entry: int) -> str:
        name, shape = edge_name(edge, self.node_names), self.shapes[edge]
        if not shape:
            return name
        return f"{name}[{', '.join(str(int(i)) for i in np.unravel_index(entry, shape))}]"


__all__ = ["Explanation", "explain"]
