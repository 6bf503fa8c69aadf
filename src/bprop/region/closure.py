"""A function traced to a closed graph, several of them with the same inputs, and one cut into its two sweeps."""

from collections.abc import Callable, Sequence
from typing import Any

from ..core.cell import Cell
from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.graph import Graph, Node
from ..core.interpreter import using
from ..core.trace import Trace, Traced
from ..core.tree import Structure, paths, unflatten
from ..core.value import Array, Spec, asarray
from ..gradients.reverse import Record, send
from ..ops import zeros
from ..ops.absent import absent


class Closure:
    """A function traced to a closed graph: arguments first, then the values it captured from outside.

    Cells written inside become further outputs, to be written by the caller; so are ``cells``, which are inputs too.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        specs: Sequence[Any],
        name: str,
        cells: Sequence[Cell] = (),
        label: Callable[[int], str] | None = None,
    ) -> None:
        tracer = Trace(name=name, label=label)
        inputs = [tracer.input(spec) for spec in specs]
        carried = [tracer.input(cell.read().spec) for cell in cells]
        tracer.cells.update(zip(cells, carried, strict=True))
        with using(tracer):
            outputs = [asarray(y) for y in f(*inputs)]
        self.count = len(outputs)
        self.written = list(dict.fromkeys([*cells, *tracer.written]))
        writes = [tracer.cells[cell] for cell in self.written]
        self.graph: Graph
        self.graph, self.captures = tracer.graph([*outputs, *writes]).closed()

    def write(self, values: Sequence[Array]) -> None:
        """Write the cells at the level of the current interpreter."""
        for cell, value in zip(self.written, values, strict=True):
            cell.write(value)


def together(closures: Sequence[Closure]) -> tuple[list[Graph], list[Array]]:
    """Return the graphs of closures of the same arguments with the same inputs behind these, and the values of those."""
    values = {id(value): value for closure in closures for value in closure.captures}
    graphs = []
    for closure in closures:
        graph, count = closure.graph, len(closure.captures)
        own = len(graph.inputs) - count
        known = {id(value): node for value, node in zip(closure.captures, graph.inputs[own:], strict=True)}
        nodes = [known.get(key) or Node(None, {}, (), (value.spec,)) for key, value in values.items()]
        graphs.append(Graph([*graph.inputs[:own], *nodes], graph.nodes, graph.outputs))
    return graphs, list(values.values())


class Reversal:
    """A body run once forwards, in a trace, to be gone through backwards.

    ``plain`` are its results in that trace. ``backward`` gives the way back as a graph, whose captures are inputs of
    the body that ``again`` says are at hand there too, values from outside, or residuals: what the way forward keeps.
    """

    def __init__(self, body: Graph, variable: Sequence[bool], again: Callable[[int], bool], name: str) -> None:
        self.name = name
        self.variable = variable
        self.again = again
        self.trace = Trace(name=name)
        self.inputs = [self.trace.input(node.specs[0]) for node in body.inputs]
        self.owner = Record(self.trace, name=name)
        self.lifted: list[Any] = [self.owner.input(x) if v else x for x, v in zip(self.inputs, variable, strict=True)]
        with using(self.owner):
            self.results = body(*self.lifted)
        self.plain: list[Any] = [self.owner.lower(y) for y in self.results]
        self.residuals: list[Any] = []

    def backward(self, present: Sequence[bool], filled: bool = True) -> "Backward":
        """Return the way back from the results that are ``present`` to every variable input.

        ``filled``: with an absent one for an input that nothing is sent to. What is absent besides is found by whoever
        applies it: the graph is the plain way back.
        """
        tracer = Trace(name=f"{self.name}, backward")
        seeds = [tracer.input(y.spec) if here else None for y, here in zip(self.plain, present, strict=True)]
        recorded = [x for x, v in zip(self.lifted, self.variable, strict=True) if v]
        with using(tracer):
            bars = send(self.results, seeds, recorded, self.owner)
            if filled:
                bars = [absent(x) if bar is None else bar for bar, x in zip(bars, recorded, strict=True)]
        graph = tracer.graph([bar for bar in bars if bar is not None])
        return Backward(graph, [bar is not None for bar in bars], [self.source(value) for _, value in graph.captures])

    def source(self, value: Any) -> tuple[str, Any]:
        """Return where a captured value comes from: ("input", position), ("outside", value) or ("residual", number)."""
        if not (type(value) is Traced and value.owner is self.trace):
            return "outside", value
        if value.node.op is None:
            position = next((n for n, x in enumerate(self.inputs) if x.node is value.node), None)
            if position is None:
                return "outside", next(v for node, v in self.trace.captured.values() if node is value.node)
            if self.again(position):
                return "input", position
        for number, known in enumerate(self.residuals):
            if (known.node, known.index) == (value.node, value.index):
                return "residual", number
        self.residuals.append(value)
        return "residual", len(self.residuals) - 1


class Backward:
    """The way back through a body: ``graph`` from cotangents of results to those of inputs, its captures' sources.

    ``reached`` says which of the variable inputs get one.
    """

    def __init__(self, graph: Graph, reached: Sequence[bool], sources: Sequence[tuple[str, Any]]) -> None:
        self.graph, _ = graph.closed()
        self.reached = reached
        self.sources = sources

    def __call__(self, seeds: Sequence[Any], inputs: Callable[[int], Any], residuals: Callable[[int], Any]) -> Any:
        """Apply it to the cotangents that are present; inputs and residuals are asked for by position."""
        find: dict[str, Callable[[Any], Any]] = {"input": inputs, "residual": residuals, "outside": lambda value: value}
        found = iter(self.graph(*seeds, *(find[kind](detail) for kind, detail in self.sources)))
        return [next(found) if reached else None for reached in self.reached]


def check_function(what: str, name: str, f: Any) -> None:
    """Refuse what cannot be called."""
    if not callable(f):
        raise ArgumentError(f"{what}: {name} is a function, not {type(f).__name__} ({f!r:.40})")


def labels(*parts: tuple[str, Structure]) -> Callable[[int], str]:
    """Return what the inputs of a closure are called in messages, made of named trees."""
    names = [f"{name}.{path}".rstrip(".") for name, tree in parts for path in leaf_names(tree)]
    return names.__getitem__


def zeros_of(x: Any) -> Array:
    """Return zeros like ``x``, an array or a `Spec`."""
    return zeros(x.shape, dtype=x.dtype)


def is_float(x: Any) -> bool:
    """Return whether ``x``, an array or a `Spec`, has a derivative."""
    return bool(x.dtype.kind == "f")


def leaf_names(structure: Structure) -> list[str]:
    """Return the path of each leaf, "" where the leaf is all there is."""
    return [path for path, _ in paths(unflatten(structure, range(structure.size)))]


def same_structure(what: str, first: Structure, then: Structure, names: tuple[str, str]) -> None:
    """Raise where two trees are built differently."""
    if first != then:
        raise ArgumentError(f"{what}: {names[0]} has the structure {first}, but {names[1]} {then}: make both the same")


def same_specs(
    what: str, structure: Structure, first: Sequence[Spec], then: Sequence[Spec], words: tuple[str, str]
) -> None:
    """Raise where two trees of one structure hold arrays of different shapes or dtypes, naming the first such leaf."""
    for name, one, other in zip(leaf_names(structure), first, then, strict=True):
        if one != other:
            error = DTypeError if one.shape == other.shape else ShapeError
            advice = f'convert, as with .astype("{one.dtype}")' if error is DTypeError else "make the shapes the same"
            leaf = f"leaf {name}: {words[0]}" if name else words[0]
            raise error(f"{what}: {leaf} {one}, but {words[1]} {other}: {advice}")


__all__ = [
    "Backward", "Closure", "Reversal", "check_function", "is_float", "labels", "same_specs", "same_structure", "together", "zeros_of",
]  # fmt: skip
