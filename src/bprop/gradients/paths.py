"""Way 1 by hand: the derivative as the sum over all paths of the product of the local derivatives on the path.

Written out scalar by scalar, f is a graph in which every entry of every intermediate array is a node. The chain rule
says ∂y/∂x = Σ over the paths from x to y of Π over the edges of a path of ∂(head)/∂(tail). A network of L layers of
width n has nᴸ paths: this is what backpropagation does not walk. It factorises the same sum, adding up at every node
what all the paths from there to y have in common, in one sweep; the sweep here counts the paths in the same way.

**Source:** Leibe (2016), Backpropagation, computational graphs: factoring paths; Bauer (1974).
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.error import BpropError, TracedValueError
from ..core.graph import Edge, Graph, application, edge_name
from ..core.interpreter import QUIET, using
from ..core.observe import Observe
from ..core.value import asarray
from .argument import Arguments
from .scalar_dependency import scalar_dependencies
from .variable import Argnums, as_scalar, name_of, refuse_arguments, refuse_complex

LIMIT = 10_000
"""Paths that are walked one by one."""

Numbers = NDArray[Any]


class Path(NamedTuple):
    """One path: the scalar nodes from an input to the result, the local derivative of every edge, their product."""

    nodes: tuple[str, ...]
    partials: tuple[float, ...]
    product: float

    def __str__(self) -> str:
        factors = _elided([f"{partial:.4g}" for partial in self.partials]) or ["1"]
        return f"{' → '.join(_elided(list(self.nodes)))}:   {' · '.join(factors)} = {self.product:.6g}"


class Paths:
    """All paths from the entries of the arguments to the scalar result.

    ``counts``: their number, per entry, exact (Python integers, dtype object); ``total``: together. ``gradient``: the
    sum over the paths of their products, by one sweep without walking them. ``enumerate`` walks them.
    """

    def __init__(self, name: str, arguments: Arguments, owner: Observe, graph: Graph) -> None:
        self.name = name
        self.graph = graph
        self._arguments = arguments
        self._output = graph.outputs[0]
        self._inputs: list[Edge] = [owner.inputs[position].output for position in arguments.chosen]
        self._names = {node: arguments.names[position] for position, node in enumerate(owner.inputs)}
        self._shapes = {edge: value.shape for edge, value in owner.values.items()}
        self._dependencies = scalar_dependencies(graph, owner.values, self._inputs)
        counts = self._counted()
        self._reach = {edge: leaf != 0 for edge, leaf in counts.items()}
        leaves = self._at_inputs(counts, object)
        self.counts = arguments.tree(leaves)
        self.total: int = sum(int(leaf.sum()) if leaf.size else 0 for leaf in leaves)
        sums = zip(self._at_inputs(self._summed(), np.float64), arguments.chosen, strict=True)
        self.gradient = arguments.tree(
            [asarray(leaf.astype(arguments.values[position].dtype)) for leaf, position in sums]
        )

    def _counted(self) -> dict[Edge, Numbers]:
        """Return for every scalar node the number of paths from there to the result: the sum of its successors'."""
        counts = self._seeded(object)
        for source, target, (x, y, _) in reversed(self._dependencies):
            if target in counts:
                np.add.at(self._bar(counts, source, object), x, counts[target][y])
        return counts

    def _summed(self) -> dict[Edge, Numbers]:
        """Return the sums over those paths of the products, each edge multiplying by its derivative."""
        bars = self._seeded(np.float64)
        for source, target, (x, y, partial) in reversed(self._dependencies):
            if target in bars:
                on_path = np.asarray(self._reach[target][y], bool)  # 0 · inf is no number, but no path either
                parts = QUIET.run(np.multiply, bars[target][y][on_path], partial[on_path])
                QUIET.run(np.add.at, self._bar(bars, source, np.float64), x[on_path], parts)
        return bars

    def _seeded(self, kind: Any) -> dict[Edge, Numbers]:
        return {self._output: np.ones(1, kind)}

    def _bar(self, bars: dict[Edge, Numbers], edge: Edge, kind: Any) -> Numbers:
        if edge not in bars:
            bars[edge] = np.zeros(int(np.prod(self._shapes[edge])), kind)
        return bars[edge]

    def _at_inputs(self, bars: dict[Edge, Numbers], kind: Any) -> list[Numbers]:
        return [self._bar(bars, edge, kind).reshape(self._shapes[edge]) for edge in self._inputs]

    def enumerate(self, limit: int = LIMIT) -> Iterator[Path]:
        """Yield every path, entry by entry; raises `BpropError` naming the count if there are more than ``limit``."""
        if self.total > limit:
            raise BpropError(
                f"{self.name} has {self.total} paths, and {limit} is the limit for walking them one by one: .counts and "
                f".gradient take one sweep; or raise the limit"
            )
        return self._walked()

    def sum(self, limit: int = LIMIT) -> Any:
        """Return the gradient by walking every path and adding up the products, as its definition says."""
        leaves = [np.zeros(self._shapes[edge]) for edge in self._inputs]
        if self.total > limit:
            self.enumerate(limit)
        for leaf, edge in zip(leaves, self._inputs, strict=True):
            flat = leaf.reshape(-1)
            for entry in range(len(flat)):
                for _, partials in self._from(edge, entry):
                    flat[entry] += _product(partials)
        kinds = [self._arguments.values[position].dtype for position in self._arguments.chosen]
        return self._arguments.tree([asarray(leaf.astype(kind)) for leaf, kind in zip(leaves, kinds, strict=True)])

    def _walked(self) -> Iterator[Path]:
        names = self._labels()
        for edge in self._inputs:
            for entry in range(int(np.prod(self._shapes[edge]))):
                for nodes, partials in self._from(edge, entry):
                    shown = tuple(_entry(names[at], self._shapes[at], position) for at, position in nodes)
                    yield Path(shown, partials, _product(partials))

    def _from(self, edge: Edge, entry: int) -> Iterator[tuple[tuple[tuple[Edge, int], ...], tuple[float, ...]]]:
        """Yield every path from one entry to the result, depth first."""
        successors = self._successors()
        stack: list[tuple[tuple[tuple[Edge, int], ...], tuple[float, ...]]] = [(((edge, entry),), ())]
        while stack:
            nodes, partials = stack.pop()
            if nodes[-1][0] == self._output:
                yield nodes, partials
                continue
            for target, y, partial in reversed(successors.get(nodes[-1], [])):
                stack.append(((*nodes, (target, y)), (*partials, partial)))

    def _successors(self) -> dict[tuple[Edge, int], list[tuple[Edge, int, float]]]:
        if not hasattr(self, "_after"):
            self._after: dict[tuple[Edge, int], list[tuple[Edge, int, float]]] = {}
            for source, target, (x, y, partial) in self._dependencies:
                for tail, head, value in zip(x.tolist(), y.tolist(), partial.tolist(), strict=True):
                    if target in self._reach and self._reach[target][head]:  # from elsewhere no path goes on
                        self._after.setdefault((source, tail), []).append((target, head, value))
        return self._after

    def _labels(self) -> dict[Edge, str]:
        names = self.graph.names(self._names)
        labels = {edge: edge_name(edge, names) for node in names for edge in node.outputs}
        return labels | {self._output: "y"}

    def __repr__(self) -> str:
        names = self.graph.names(self._names)
        labels = self._labels()
        lines = [f"{self.name}: {self.total} path{'s' * (self.total != 1)} from {self._entries()} to the result y"]
        lines += _elided(
            [
                f"  {names[node] if len(node.specs) > 1 else labels[node.output]} = {application(node, names, settings=False)}"
                for node in self.graph.nodes
            ]
        )
        counts = zip(self._inputs, self._at_inputs(self._counted(), object), strict=True)
        rows = []
        for edge, leaf in counts:
            for entry in range(min(leaf.size, 4)):
                count = int(leaf.reshape(-1)[entry])
                rows.append(f"  {count} from {_entry(labels[edge], self._shapes[edge], entry)}")
            rows += [f"  … and {leaf.size - 4} more entries of {labels[edge]}"] * (leaf.size > 4)
        lines += ["number of paths:", *rows, "a path, the derivatives along it, and their product:"]
        shown = 0
        for path in self._walked():
            if shown == 4:
                break
            lines.append(f"  {path}")
            shown += 1
        lines += [f"  … and {self.total - shown} more"] * (self.total > shown)
        return "\n".join(lines)

    def _entries(self) -> str:
        sizes = [int(np.prod(self._shapes[edge])) for edge in self._inputs]
        return ", ".join(
            f"the {size} entries of {self._names[edge.node]}" if self._shapes[edge] else self._names[edge.node]
            for edge, size in zip(self._inputs, sizes, strict=True)
        )


def _elided(parts: list[str]) -> list[str]:
    return parts if len(parts) <= 12 else [*parts[:6], "…", *parts[-5:]]


def _product(partials: tuple[float, ...]) -> float:
    product = 1.0
    for partial in partials:
        product *= partial
    return product


def _entry(name: str, shape: tuple[int, ...], position: int) -> str:
    if not shape:
        return name
    return f"{name}[{', '.join(str(int(i)) for i in np.unravel_index(position, shape))}]"


def paths(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Paths]:
    """Return a function that expands the scalar function ``f`` at its arguments into scalars: see `Paths`.

    Counting and summing take one sweep over the edges, however many paths there are. An edge whose derivative happens
    to be 0 is an edge; the branch that a selection did not take has none. Raises `ShapeError` where f's value is no
    scalar, `DerivativeError` for a region (scan, custom), whose inside cannot be seen.

    **Source:** Leibe (2016), Backpropagation, computational graphs; Bauer (1974), Computational graphs and rounding
    error.

    >>> import bprop
    >>> p = bprop.paths(lambda x: x * x + bprop.exp(x))(2.0)
    >>> p.total, p.gradient
    (3, Array(11.3890561))
    >>> p
    paths of <lambda>: 3 paths from x to the result y
      a = x * x
      b = exp(x)
      y = a + b
    number of paths:
      3 from x
    a path, the derivatives along it, and their product:
      x → a → y:   2 · 1 = 2
      x → a → y:   2 · 1 = 2
      x → b → y:   7.389 · 1 = 7.38906
    """
    refuse_arguments(argnums, "paths")
    what = f"paths of {name_of(f)}"

    @wraps(f, updated=())
    def expanded(*args: Any, **options: Any) -> Paths:
        arguments = Arguments(f, args, options, argnums, what)
        owner = Observe(name=what)
        inputs = [owner.input(value) for value in arguments.values]
        with using(owner):
            y = as_scalar(arguments(inputs), what)
        refuse_complex([value.spec for value in owner.values.values()], what)
        if y.concrete() is None:
            raise TracedValueError(
                f"{what}: local derivatives are numbers, and there are none inside a traced function"
            )
        return Paths(what, arguments, owner, owner.graph([y]))

    return expanded


__all__ = ["Path", "Paths", "paths"]
