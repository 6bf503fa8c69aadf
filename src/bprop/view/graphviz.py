"""A graph in Graphviz' DOT language: boxes for arrays, arrows for what they are computed from."""

from collections.abc import Mapping

from ..core.graph import Edge, Graph, Node, application


def dot(graph: Graph, names: Mapping[Node, str] | None = None, notes: Mapping[Edge, str] | None = None) -> str:
    """Return ``graph`` as DOT text, to be drawn by ``dot -Tsvg``.

    ``names`` renames nodes (inputs and captures, say); ``notes`` are further lines under the edges' sources, such as
    values and gradients.

    **Source:** Gansner, Koutsofios & North (2015), Drawing graphs with dot.

    >>> import bprop
    >>> from bprop.view import dot
    >>> print(dot(bprop.trace(bprop.exp)(1.0)))
    digraph {
      rankdir=BT
      node [shape=box, fontname="Helvetica"]
      n0 [label="x0\\nfloat64[]", style=rounded]
      n1 [label="a = exp(x0)\\nfloat64[]"]
      n0 -> n1
      n1 -> result
      result [shape=plaintext]
    }
    """
    shown = graph.names(names)
    notes = notes or {}
    sources = [*graph.inputs, *(node for node, _ in graph.captures)]
    ids = {node: f"n{position}" for position, node in enumerate([*sources, *graph.nodes])}
    lines = ["digraph {", "  rankdir=BT", '  node [shape=box, fontname="Helvetica"]']
    for node in ids:
        text = shown[node] if node.op is None else f"{shown[node]} = {application(node, shown)}"
        label = [text, ", ".join(map(str, node.specs))]
        label += [notes[edge] for edge in node.outputs if edge in notes]
        style = ", style=rounded" if node.op is None else ""
        lines.append(f'  {ids[node]} [label="{_escaped(label)}"{style}]')
    for node in graph.nodes:
        lines += [f"  {ids[x.node]} -> {ids[node]}" for x in node.edges]
    lines += [f"  {ids[edge.node]} -> result" for edge in graph.outputs]
    return "\n".join([*lines, "  result [shape=plaintext]", "}"])


def _escaped(lines: list[str]) -> str:
    return "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for line in lines)


__all__ = ["dot"]
