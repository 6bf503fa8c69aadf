"""A body split into two graphs: a forward pass that saves residuals, and a backward pass that reads them.

For a body y = f(x) the forward pass is (y, r) = f⁺(x), the backward pass x̄ = ∂f(x)ᵀ ȳ = b(ȳ, r, x). The residuals r are
the intermediates of f that b reads. They are found by tracing b: what it captures from the trace of f is a residual,
unless it is an input of f that the region has at hand when it goes back.

**Source:** Griewank & Walther (2008), Evaluating Derivatives, ch. 3; residuals as in JAX, ``jax.vjp`` and ``lax.scan``.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from ..core.graph import Graph
from ..core.interpreter import using
from ..core.trace import Trace, Traced
from ..core.value import Array
from ..gradients.reverse import Record, send
from .cotangent import compress, expand, filled


class Source(NamedTuple):
    """Where the backward pass gets a value from.

    ``kind`` is ``"input"`` (of the body, at position ``detail``), ``"residual"`` (number ``detail``) or ``"outside"``
    (the array ``detail``, which the body itself captured).
    """

    kind: Literal["input", "residual", "outside"]
    detail: Any


class SplitBody:
    """A body traced once while it is recorded.

    ``results`` are its results in that trace, ``residuals`` what the backward graphs made so far read of it.
    """

    def __init__(
        self, body: Graph, differentiable: Sequence[bool], is_available: Callable[[int], bool], name: str
    ) -> None:
        """Trace ``body``.

        ``differentiable``: for each input, whether a cotangent of it is asked for. ``is_available(position)``: whether
        the region has that input at hand in the backward pass, so that it need not be saved (a constant of a loop, not
        its carry). ``name``: of the region, for messages.
        """
        self.name = name
        self.differentiable = differentiable
        self.is_available = is_available
        self.trace = Trace(name=name)
        self.inputs = [self.trace.input(node.specs[0]) for node in body.inputs]
        self.record = Record(self.trace, name=name)
        lifted = [self.record.input(x) if flag else x for x, flag in zip(self.inputs, differentiable, strict=True)]
        with using(self.record):
            self._recorded_results = body(*lifted)
        self._recorded_inputs: list[Any] = list(compress(lifted, differentiable))
        self.results: list[Any] = [self.record.lower(y) for y in self._recorded_results]
        self.residuals: list[Any] = []

    def forward(self) -> tuple[Graph, list[Array]]:
        """Return the forward pass, a closed graph from the body's inputs to results and residuals, and its captures.

        All backward passes have to be made before it: they say what the residuals are.
        """
        return self.trace.graph([*self.results, *self.residuals]).closed()

    def backward(self, present: Sequence[bool], fill: bool = True) -> "BackwardGraph":
        """Return the backward pass from those results of which a cotangent is ``present``.

        ``fill``: a differentiable input to which nothing is sent gets an absent cotangent, not none. Masks of absent
        entries are not part of it: whoever applies the graph under `Absent` finds them.
        """
        tracer = Trace(name=f"{self.name}, backward")
        y_bars = [tracer.input(y.spec) if flag else None for y, flag in zip(self.results, present, strict=True)]
        with using(tracer):
            x_bars = send(self._recorded_results, y_bars, self._recorded_inputs, self.record)
            if fill:
                x_bars = filled(x_bars, self._recorded_inputs)
        graph = tracer.graph([x_bar for x_bar in x_bars if x_bar is not None])
        sources = [self._source(value) for _, value in graph.captures]
        return BackwardGraph(graph.closed()[0], [x_bar is not None for x_bar in x_bars], sources)

    def _source(self, value: Any) -> Source:
        """Return where the backward pass gets a value from that it captured; a new residual is noted."""
        if not (type(value) is Traced and value.owner is self.trace):
            return Source("outside", value)
        if value.node.op is None:
            position = next((n for n, x in enumerate(self.inputs) if x.node is value.node), None)
            if position is None:
                captures = self.trace.captured.values()
                return Source("outside", next(array for node, array in captures if node is value.node))
            if self.is_available(position):
                return Source("input", position)
        for number, residual in enumerate(self.residuals):
            if (residual.node, residual.index) == (value.node, value.index):
                return Source("residual", number)
        self.residuals.append(value)
        return Source("residual", len(self.residuals) - 1)


class BackwardGraph:
    """The backward pass through a body.

    ``graph`` takes the cotangents that are present, then a value for each of ``sources``, and gives the cotangents of
    those differentiable inputs that are ``reached``.
    """

    def __init__(self, graph: Graph, reached: Sequence[bool], sources: Sequence[Source]) -> None:
        self.graph = graph
        self.reached = reached
        self.sources = sources

    def __call__(
        self, y_bars: Sequence[Any], inputs: Callable[[int], Any], residuals: Callable[[int], Any]
    ) -> list[Any]:
        """Return a cotangent for each differentiable input, ``None`` where nothing is sent to it.

        ``y_bars``: the cotangents that are present. ``inputs(position)`` and ``residuals(number)`` give the values.
        """
        lookup: dict[str, Callable[[Any], Any]] = {
            "input": inputs,
            "residual": residuals,
            "outside": lambda value: value,
        }
        values = (lookup[source.kind](source.detail) for source in self.sources)
        return expand(self.graph(*y_bars, *values), self.reached)


__all__ = ["BackwardGraph", "Source", "SplitBody"]
