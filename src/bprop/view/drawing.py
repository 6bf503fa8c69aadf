"""A figure as boxes and arrows with coordinates: what every format draws."""

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..core.dtype import is_inexact
from ..core.graph import Edge, Node, application
from ..core.printable import printable
from ..core.value import Array
from .figure import Figure
from .layout import Layout, Size, layout
from .number import ABSENT, short

LIMIT = 1500
"""Boxes of a drawing that a reader and a browser still bear."""
CHARACTER, LINE, PADDING = 7.2, 17.0, 10.0
LONGEST = 34


class Box(NamedTuple):
    """An input, a captured array or an application: its name, its lines of text, and where it stands."""

    kind: str
    title: str
    full_title: str
    values: list[str]
    gradients: list[str]
    x: float
    y: float
    width: float
    height: float


class Arrow(NamedTuple):
    """From the box of an operand to the box that reads it; ``points`` from tail to head."""

    tail: int
    head: int
    points: list[tuple[float, float]]
    has_gradient: bool


class Drawing:
    """The boxes and arrows of a figure; ``results`` are the boxes of the results."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.nodes: list[Node] = figure.nodes
        self.position = {node: number for number, node in enumerate(self.nodes)}
        self.names = names_of(figure)
        self.results = {self.position[edge.node] for edge in figure.graph.outputs}

    @cached_property
    def layout(self) -> Layout:
        """The coordinates."""
        operands = [[self.position[edge.node] for edge in node.edges] for node in self.nodes]
        return layout([self._size(node) for node in self.nodes], operands)

    @cached_property
    def boxes(self) -> list[Box]:
        """The boxes, in order of computation."""
        boxes = []
        captured = {node for node, _ in self.figure.graph.captures}
        for node, (x, y) in zip(self.nodes, self.layout.centres, strict=True):
            kind = "operation" if node.op is not None else "capture" if node in captured else "input"
            size, title = self._size(node), self.title(node)
            values, gradients = self._lines(node)
            boxes.append(Box(kind, _cut(title), title, values, gradients, x, y, *size))
        return boxes

    @cached_property
    def arrows(self) -> list[Arrow]:
        """The arrows, one for each operand of each application."""
        pairs = [(edge, head) for head, node in enumerate(self.nodes) for edge in node.edges]
        return [
            Arrow(self.position[edge.node], head, points, self._flows(edge, self.nodes[head]))
            for (edge, head), points in zip(pairs, self.layout.arrows, strict=True)
        ]

    def _flows(self, edge: Edge, head: Node) -> bool:
        gradients = self.figure.gradients
        return edge in gradients and any(output in gradients for output in head.outputs)

    def title(self, node: Node) -> str:
        """Return what stands first in a box: how it is computed."""
        name = printable(self.names[node])
        return name if node.op is None else printable(f"{name} = {application(node, self.names, settings=False)}")

    def _lines(self, node: Node) -> tuple[list[str], list[str]]:
        values = [_brief(self.figure.values[edge]) for edge in node.outputs]
        if not self.figure.is_scalar:
            return values, []
        return values, [self._gradient(edge) for edge in node.outputs if is_inexact(edge.spec.dtype)]

    def _gradient(self, edge: Edge) -> str:
        gradient = self.figure.gradients.get(edge)
        return ABSENT if gradient is None else _brief(gradient.value, gradient.present)

    def _size(self, node: Node) -> Size:
        values, gradients = self._lines(node)
        lines = [_cut(self.title(node)), *values, *gradients]
        widest = max(columns(line) for line in lines)
        return Size(round(max(64.0, widest * CHARACTER + 2 * PADDING), 1), len(lines) * LINE + PADDING)


def names_of(figure: Figure) -> dict[Node, str]:
    """Return the names of a figure; a scalar result that has but a letter is called E, as the error of a network is."""
    names = dict(figure.names)
    result = figure.graph.outputs[0].node
    if figure.is_scalar and result.op is not None and "E" not in names.values():
        names[result] = "E"
    return names


def columns(text: str) -> int:
    """Return how wide a text is, in characters."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _brief(value: Array, present: Any = None) -> str:
    """Return the value of a box: a number, or the first few and the shape."""
    data = value.concrete()
    if data is None:
        return str(value.spec)
    if data.ndim == 0:
        return ABSENT if present is not None and not present.item() else short(data[()])
    if data.size == 0:
        return "[]"
    shown = [0, 1, 2] if data.size > 4 else range(data.size)
    flat = data.reshape(-1)
    there = None if present is None else np.reshape(present, -1)
    entries = [short(flat[i]) if there is None or there[i] else ABSENT for i in shown]
    if data.size > 4:
        entries.append("…")
    times = "×".join(map(str, data.shape))
    text = f"[{', '.join(entries)}]" if data.ndim == 1 else f"{times} [{', '.join(entries)}]"
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + "…]"


def path_of(points: Sequence[tuple[float, float]]) -> str:
    """Return the points of an arrow as the data of an SVG path, rounded at its slots.

    >>> from bprop.view.drawing import path_of
    >>> path_of([(0.0, 0.0), (0.0, 40.0)])
    'M0 0C0 20 0 20 0 40'
    """
    parts = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        parts.append(
            f"L{x1:g} {y1:g}" if x0 == x1 and len(points) > 2 else f"C{x0:g} {middle:g} {x1:g} {middle:g} {x1:g} {y1:g}"
        )
    return "".join(parts)


__all__ = ["Arrow", "Box", "Drawing", "columns", "names_of", "path_of"]
