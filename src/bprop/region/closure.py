"""Closure conversion: a function traced to a graph whose captured values are further inputs."""

from collections.abc import Callable, Sequence
from typing import Any

from ..core.cell import Cell
from ..core.graph import Graph, Node
from ..core.interpreter import using
from ..core.trace import Trace
from ..core.value import Array, Spec, asarray


class Closure:
    """A function traced to a closed graph.

    The inputs of ``graph`` are the arguments, then ``cells``, then ``captures``: arrays that the function used from
    outside. Its outputs are the ``count`` results, then the new values of ``written``: the cells that are inputs, and
    all others that the function wrote. The caller has to write them.

    **Source:** closure conversion: Appel (1992), Compiling with Continuations, ch. 10.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        specs: Sequence[Spec],
        name: str,
        cells: Sequence[Cell] = (),
        label: Callable[[int], str] | None = None,
        has_aux: bool = False,
    ) -> None:
        """Trace ``f``.

        ``f``: a function from one array per entry of ``specs`` to a sequence of arrays; with ``has_aux`` to a pair of
        this sequence and anything else that is found out while tracing (a tree structure, flags), kept as ``aux``.
        ``name``: what is traced, for messages; ``label(position)``: the name of an input there.
        """
        tracer = Trace(name=name, label=label)
        inputs = [tracer.input(spec) for spec in specs]
        cell_inputs = [tracer.input(cell.read().spec) for cell in cells]
        tracer.cells.update(zip(cells, cell_inputs, strict=True))
        with using(tracer):
            results, aux = f(*inputs) if has_aux else (f(*inputs), None)
            outputs = [asarray(y) for y in results]
        self.aux: Any = aux
        self.count = len(outputs)
        self.written = list(dict.fromkeys([*cells, *tracer.written]))
        writes = [tracer.cells[cell] for cell in self.written]
        self.graph: Graph
        self.graph, self.captures = tracer.graph([*outputs, *writes]).closed()

    def write(self, values: Sequence[Array]) -> None:
        """Write the cells at the level of the current interpreter."""
        for cell, value in zip(self.written, values, strict=True):
            cell.write(value)


def unify_captures(closures: Sequence[Closure]) -> tuple[list[Graph], list[Array]]:
    """Give closures of the same arguments the same captures.

    Returns their graphs, each with an input for every value that any of them captures, and these values.
    """
    captures = {id(value): value for closure in closures for value in closure.captures}
    graphs = []
    for closure in closures:
        graph = closure.graph
        arguments = len(graph.inputs) - len(closure.captures)
        inputs = {id(value): node for value, node in zip(closure.captures, graph.inputs[arguments:], strict=True)}
        capture_inputs = [inputs.get(key) or Node(None, {}, (), (value.spec,)) for key, value in captures.items()]
        graphs.append(Graph([*graph.inputs[:arguments], *capture_inputs], graph.nodes, graph.outputs))
    return graphs, list(captures.values())


__all__ = ["Closure", "unify_captures"]
