"""What a page knows of a figure, as JSON: values, applications with both functions, and Python's numbers."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..core.dtype import is_float, is_inexact
from ..core.error import BpropError
from ..core.graph import Edge, Node
from ..core.printable import printable
from ..gradients import scalar_dependency  # the whole room first: see core/lazy.py
from ..ops import where
from .drawing import Drawing
from .figure import Figure
from .program import (
    Backward,
    FrozenError,
    Json,
    backward_rules,
    fixed_edges,
    forward_function,
    function_of,
    number,
    numbers,
)
from .rule_text import cotangent_text, forward_text, partial_text

SLIDERS = 200
"""Numbers that can be changed, and applications whose rules are written out."""
ENTRIES = 1024
"""Entries of an array that a page shows one by one."""


def figure_data(figure: Figure) -> Json:
    """Return what the page knows of a figure."""
    return _FigureData(figure).data()


class _FigureData:
    """The data of one figure; ``reasons`` say why the page cannot compute it, if it cannot."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.graph = figure.graph
        self.edges = [edge for node in figure.nodes for edge in node.outputs]
        self.index = {edge: position for position, edge in enumerate(self.edges)}
        self.reasons: list[str] = []
        count = len(self.graph.nodes)
        if count > SLIDERS:
            self.reasons.append(
                f"the graph has {count} applications; up to {SLIDERS} can be computed, and stepped back through, in a page"
            )
        elif any(_size(edge) > ENTRIES for edge in self.edges):
            self.reasons.append(f"an array has more than {ENTRIES} entries")
        self.is_small = not self.reasons

    @cached_property
    def fixed(self) -> dict[Edge, Any]:
        """The numbers that no slider changes."""
        return fixed_edges(self.graph, self.figure.values)

    def data(self) -> Json:
        """Return all of it."""
        figure, drawing, index = self.figure, Drawing(self.figure), self.index
        rules: Sequence[Backward | None] = [None] * len(self.graph.nodes)
        if self.is_small and figure.is_scalar:
            rules = backward_rules(self.graph, figure.values)
        nodes = [self.application(node, rule) for node, rule in zip(self.graph.nodes, rules, strict=True)]
        entries = sum(_size(edge) for edge in self.edges if edge.node.op is None and is_float(edge.spec.dtype))
        too_many = f"the inputs have {entries} numbers; up to {SLIDERS} can be changed" if entries > SLIDERS else ""
        return {
            "name": printable(figure.name),
            "result": index[self.graph.outputs[0]] if figure.is_scalar else None,
            "results": [index[edge] for edge in self.graph.outputs],
            "values": [_value(figure, drawing, edge) for edge in self.edges],
            "nodes": nodes,
            "conditions": self.conditions(),
            "sweeps": _sweeps(figure) if self.is_small and figure.is_scalar else None,
            "reason": "; ".join(self.reasons),
            "too_many": too_many,
        }

    def application(self, node: Node, rule: Backward | None) -> Json:
        """Return one application; ``rule`` is its way back, if there is one."""
        assert node.op is not None
        index = self.index
        return {
            "op": _name(node),
            "family": type(node.op).__name__,
            "formula": printable(forward_text(node, index)),
            "operands": [index[x] if type(x) is Edge else _literal(x) for x in node.inputs],
            "reads": [index[edge] for edge in dict.fromkeys(node.edges)],
            "outputs": [index[edge] for edge in node.outputs],
            "forward": self.program(lambda: forward_function(node, self.fixed), node) if self.is_small else None,
            "backward": None if rule is None else self.backward(node, rule),
        }

    def program(self, make: Callable[[], Json], node: Node) -> Json | None:
        """Return a function as instructions, or note why there is none."""
        try:
            return make()
        except BpropError as error:
            name = _name(node)
            if not any(reason.startswith(f"{name} cannot") for reason in self.reasons):
                why = f" ({error.message})" if error.message != name else ""
                self.reasons.append(f"{name} cannot be computed in a page{why}")
            return None

    def backward(self, node: Node, rule: Backward) -> Json:
        """Return the way back through an application, with what it sends at Python's numbers."""
        index, gradients = self.index, self.figure.gradients
        bars = [edge for edge, flag in zip(node.outputs, rule.present, strict=True) if flag is not None]
        masks = [edge for edge, flag in zip(node.outputs, rule.present, strict=True) if flag]
        inputs: list[Any] = [self.figure.values[edge] for edge in rule.reads] + [gradients[edge].value for edge in bars]
        for edge in masks:
            present = gradients[edge].present
            inputs.append(np.ones(edge.spec.shape, bool) if present is None else present)
        sent = rule.graph(*inputs)
        receives, flags = [], iter(sent[len(rule.receives) :])
        for position, bar, is_masked in zip(rule.receives, sent, rule.masked, strict=False):
            there = next(flags) if is_masked else None
            receives.append(
                {
                    "position": position,
                    "value": index[node.edge(position)],
                    "masked": is_masked,
                    "partial": _shown(partial_text(node, position, index)),
                    "cotangent": _shown(cotangent_text(node, position, index, set(index))),
                    "given": _numbers(bar if there is None else where(there, bar, 0)),
                    "present": None if there is None else numbers(there.numpy()),
                }
            )
        return {
            "reads": [index[edge] for edge in rule.reads],
            "bars": [index[edge] for edge in bars],
            "masks": [index[edge] for edge in masks],
            "receives": receives,
            "function": self.program(lambda: rule.function(self.fixed), node),
        }

    def conditions(self) -> list[Json]:
        """Return the conditions of Python's ``if``, as far as the page can watch them."""
        result = []
        for condition in self.figure.conditions:
            try:
                program: Json | None = function_of(condition.graph)
            except BpropError:
                program = None
            result.append({"text": printable(condition.text), "value": condition.value, "function": program})
        return result


def _name(node: Node) -> str:
    assert node.op is not None
    return printable(str(node.params.get("name", node.op.name)))


def _size(edge: Edge) -> int:
    return int(np.prod(edge.spec.shape))


def _literal(x: Any) -> Json:
    try:
        return {"number": number(x)}
    except (FrozenError, TypeError):
        return {"number": None, "text": str(x)}


def _shown(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _value(figure: Figure, drawing: Drawing, edge: Edge) -> Json:
    node, spec = edge.node, edge.spec
    name = printable(drawing.names[node]) + (f"[{edge.index}]" if len(node.specs) > 1 else "")
    gradient = figure.gradients.get(edge)
    sources = dict.fromkeys(figure.graph.inputs, "input") | {node: "capture" for node, _ in figure.graph.captures}
    value: Json = {
        "name": name,
        "spec": str(spec),
        "shape": list(spec.shape),
        "dtype": str(spec.dtype),
        "box": drawing.position[node],
        "source": sources.get(node),
        "differentiable": is_inexact(spec.dtype),
        "float": is_float(spec.dtype),
        "numbers": _numbers(figure.values[edge]),
        "gradient": None if gradient is None else _numbers(gradient.value),
        "reached": gradient is not None,
        "present": None if gradient is None or gradient.present is None else numbers(gradient.present),
    }
    return value


def _numbers(value: Any) -> list[Any] | None:
    data = value.concrete()
    if data is None or data.size > ENTRIES or data.dtype.kind not in "biuf":
        return None
    try:
        return numbers(data)
    except FrozenError:
        return None


def _sweeps(figure: Figure) -> Json | None:
    """Return the edges of the scalar graph, counted: what a sweep forward and a sweep back have to go along."""
    inputs = [edge for node in figure.graph.inputs for edge in node.outputs if is_float(edge.spec.dtype)]
    try:
        dependencies = scalar_dependency.scalar_dependencies(figure.graph, figure.values, inputs)
    except BpropError:
        return None
    entries = sum(int(np.prod(edge.spec.shape)) for edge in inputs)
    output = figure.graph.outputs[0]
    needed = {output: np.ones(1, bool)}
    back = 0
    for source, target, (x, y, _) in reversed(dependencies):
        if target in needed:
            on_path = needed[target][y]
            back += int(on_path.sum())
            flags = needed.setdefault(source, np.zeros(int(np.prod(source.spec.shape)), bool))
            flags[x[on_path]] = True
    forward = []
    for edge in inputs:
        for entry in range(int(np.prod(edge.spec.shape))):
            reached = {edge: np.zeros(int(np.prod(edge.spec.shape)), bool)}
            reached[edge][entry] = True
            count = 0
            for source, target, (x, y, _) in dependencies:
                if source in reached:
                    on_path = reached[source][x]
                    count += int(on_path.sum())
                    flags = reached.setdefault(target, np.zeros(int(np.prod(target.spec.shape)), bool))
                    flags[y[on_path]] = True
            forward.append(count)
    return {"inputs": entries, "backward": back, "forward": forward}


__all__ = ["figure_data"]
