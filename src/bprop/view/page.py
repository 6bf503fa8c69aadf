"""A view as one HTML file that needs nothing else: its drawing, its numbers, its program, and what runs it."""

import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from ..core.dtype import is_float, is_inexact
from ..core.error import BpropError
from ..core.graph import Edge, Node
from ..core.printable import printable
from ..gradients.scalar_dependency import scalar_dependencies
from ..ops import where
from . import grid
from .drawing import LIMIT as BOXES
from .drawing import Drawing
from .figure import Figure
from .program import Backward, FrozenError, Json, backward_rules, forward_function, function_of, number, numbers
from .rule_text import cotangent_text, forward_text, partial_text
from .svg import svg

SCRIPTS = ("number", "scalar", "program", "model", "graph", "card", "step", "slider", "path", "sweep", "main")
"""The files of ``page/`` in the order in which a page has them."""
SLIDERS = 200
"""Numbers that can be changed, and applications whose rules are written out."""
ENTRIES = 1024
"""Entries of an array that a page shows one by one."""
ROWS = 200
"""Lines of the table of a graph that is too large to be drawn."""


def render(title: str, figures: Sequence[Figure], text: str = "") -> str:
    """Return a page with one or more figures; ``text`` is HTML that stands above them."""
    sections = [_section(figure, number) for number, figure in enumerate(figures)]
    scripts = "\n".join(f"// --- {name}.js\n{_file(f'{name}.js')}" for name in SCRIPTS)
    content = {
        "title": escape(printable(title)),
        "style": _file("page.css"),
        "script": scripts,
        "content": "\n".join([text, *sections]),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: content[match[1]], _file("page.html"))


def _file(name: str) -> str:
    return files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def notebook(figure: Figure, table: str) -> str:
    """Return the page in a frame over the table: a notebook that is not trusted shows the table alone."""
    page = escape(render(figure.name, [figure]))
    height = min(760, 320 + 60 * len(figure.graph.nodes))
    frame = (
        f'<iframe srcdoc="{page}" title="{escape(printable(figure.name))}" sandbox="allow-scripts" loading="lazy" '
        f'style="width: 100%; height: {height}px; border: 1px solid #8888"></iframe>'
    )
    return f"{frame}\n<details open><summary>as a table</summary>{table}</details>"


def _section(figure: Figure, position: int) -> str:
    heading = printable(f"{figure.name}({', '.join(figure.arguments)})")
    table = grid.html(heading, list(figure.cells())[: ROWS + 1])
    count = len(figure.nodes)
    if count > BOXES:
        return (
            f'<section class="figure"><h2>{escape(heading)}</h2><p class="note">This graph has {count:,} nodes: more than '
            f"the {BOXES:,} that can be drawn so that they can be read. The first {ROWS} values are below; all are in "
            f"<code>.rows</code> of the figure. Show a part of the function, or a smaller example of it.</p>{table}</section>"
        )
    data = json.dumps(figure_data(figure), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":  # so that nothing in it ends the element
        data = data.replace(character, f"\\u{ord(character):04x}")
    drawing = (
        svg(Drawing(figure), style=False)
        .replace("url(#tip", f"url(#f{position}-tip")
        .replace('id="tip', f'id="f{position}-tip')
    )
    return _file("figure.html").format(
        position=position, heading=escape(heading), drawing=drawing, data=data, table=table
    )


# --- the data of a figure ---
def figure_data(figure: Figure) -> Json:
    """Return what the page knows of a figure: values, applications with both functions, and Python's numbers."""
    drawing = Drawing(figure)
    edges = [edge for node in figure.nodes for edge in node.outputs]
    index = {edge: position for position, edge in enumerate(edges)}
    reasons: list[str] = []
    rules: Sequence[Backward | None] = [None] * len(figure.graph.nodes)
    entries = sum(int(np.prod(edge.spec.shape)) for edge in edges if edge.node.op is None)
    if len(figure.graph.nodes) > SLIDERS:
        reasons.append(
            f"the graph has {len(figure.graph.nodes)} applications; up to {SLIDERS} can be computed in the page"
        )
    elif any(int(np.prod(edge.spec.shape)) > ENTRIES for edge in edges):
        reasons.append(f"an array has more than {ENTRIES} entries")
    elif figure.is_scalar:
        rules = backward_rules(figure.graph, figure.values)
    if entries > SLIDERS and not reasons:
        reasons.append(f"the inputs have {entries} entries; up to {SLIDERS} can be changed")
    is_small = rules is not None and len(figure.graph.nodes) <= SLIDERS and not any("array" in r for r in reasons)
    applications = []
    for node, rule in zip(figure.graph.nodes, rules, strict=True):
        applications.append(_application(figure, node, rule, index, reasons, is_small))
    result = index[figure.graph.outputs[0]] if figure.is_scalar else None
    return {
        "name": printable(figure.name),
        "result": result,
        "results": [index[edge] for edge in figure.graph.outputs],
        "values": [_value(figure, drawing, edge) for edge in edges],
        "nodes": applications,
        "conditions": _conditions(figure, index, reasons),
        "sweeps": _sweeps(figure, index) if is_small and figure.is_scalar else None,
        "reason": "; ".join(dict.fromkeys(reasons)),
    }


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


def _application(
    figure: Figure, node: Node, rule: Backward | None, index: dict[Edge, int], reasons: list[str], is_small: bool
) -> Json:
    assert node.op is not None
    data: Json = {
        "op": str(node.params.get("name", node.op.name)),
        "family": type(node.op).__name__,
        "formula": printable(forward_text(node, index)),
        "operands": [index[x] if type(x) is Edge else _literal(x) for x in node.inputs],
        "reads": [index[edge] for edge in dict.fromkeys(node.edges)],
        "outputs": [index[edge] for edge in node.outputs],
        "forward": None,
        "backward": None,
    }
    if not is_small:
        return data
    data["forward"] = _program(lambda: forward_function(node), node, reasons)
    if rule is not None:
        data["backward"] = _backward(figure, node, rule, index, reasons)
    return data


def _literal(x: Any) -> Json:
    try:
        return {"number": number(x)}
    except (FrozenError, TypeError):
        return {"number": None, "text": str(x)}


def _program(make: Any, node: Node, reasons: list[str]) -> Json | None:
    try:
        program: Json = make()
    except BpropError as error:
        assert node.op is not None
        what = error.message.removeprefix("figure: ")
        name = str(node.params.get("name", node.op.name))
        reasons.append(f"{name} cannot be computed in the page" + (f" ({what})" if what != name else ""))
        return None
    return program


def _backward(figure: Figure, node: Node, rule: Backward, index: dict[Edge, int], reasons: list[str]) -> Json:
    bars = [edge for edge, flag in zip(node.outputs, rule.present, strict=True) if flag is not None]
    masks = [edge for edge, flag in zip(node.outputs, rule.present, strict=True) if flag]
    variables = set(index)
    gradients = figure.gradients
    present = [gradients[edge].present for edge in masks]
    inputs: list[Any] = [figure.values[edge] for edge in rule.reads] + [gradients[edge].value for edge in bars]
    inputs += [np.ones(edge.spec.shape, bool) if p is None else p for edge, p in zip(masks, present, strict=True)]
    sent = rule.graph(*inputs)
    receives, flags = [], iter(sent[len(rule.receives) :])
    for position, bar, masked in zip(rule.receives, sent, rule.masked, strict=False):
        there = next(flags) if masked else None
        receives.append(
            {
                "position": position,
                "value": index[node.edge(position)],
                "masked": masked,
                "partial": _shown(partial_text(node, position, index)),
                "cotangent": _shown(cotangent_text(node, position, index, variables)),
                "given": _numbers(bar if there is None else where(there, bar, 0)),
                "present": None if there is None else numbers(there.numpy()),
            }
        )
    return {
        "reads": [index[edge] for edge in rule.reads],
        "bars": [index[edge] for edge in bars],
        "masks": [index[edge] for edge in masks],
        "receives": receives,
        "function": _program(lambda: function_of(rule.graph), node, reasons),
    }


def _shown(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _conditions(figure: Figure, index: dict[Edge, int], reasons: list[str]) -> list[Json]:
    """Return the conditions of Python's ``if``, as far as the page can watch them."""
    result = []
    for condition in figure.conditions:
        try:
            program: Json | None = function_of(condition.graph)
        except BpropError:
            program = None
        result.append({"text": printable(condition.text), "value": condition.value, "function": program})
    return result


def _sweeps(figure: Figure, index: dict[Edge, int]) -> Json | None:
    """Return the edges of the scalar graph, counted: what a sweep forward and a sweep back have to go along."""
    inputs = [edge for node in figure.graph.inputs for edge in node.outputs if is_float(edge.spec.dtype)]
    try:
        dependencies = scalar_dependencies(figure.graph, figure.values, inputs)
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


__all__ = ["figure_data", "notebook", "render"]
