"""The reverse sweep over a finished graph, in which every value keeps its cotangent: for looking at, and as formulas."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.dtype import is_inexact
from ..core.family import Region
from ..core.graph import Edge, Node
from ..core.value import Array
from ..ops import real
from .vjp_rule import vjp

Sweep = Callable[[list[Any]], list[Any]]


def adjoint(
    nodes: Sequence[Node], values: Mapping[Edge, Array], outputs: Sequence[Edge], wanted: Sequence[Edge]
) -> Sweep:
    """Return the sweep from the cotangents of ``outputs`` to those of ``wanted``, ``None`` where absent.

    ``nodes`` are in order of computation; ``values`` holds the value of every edge, numbers or traced.
    """
    variables = {edge for node in nodes for edge in node.outputs} | set(wanted)

    def sweep(seeds: list[Any]) -> list[Any]:
        bars: dict[Edge, Any] = {}
        for output, seed in zip(outputs, seeds, strict=True):
            bars[output] = bars[output] + seed if output in bars else seed
        for node in reversed(nodes):
            y_bars = [_of(bars.get(edge), edge.spec) for edge in node.outputs]
            if all(bar is None for bar in y_bars):
                continue
            for x, x_bar in zip(node.inputs, local(node, values, y_bars, variables), strict=True):
                if type(x) is Edge and x_bar is not None:
                    bars[x] = bars[x] + x_bar if x in bars else x_bar
        return [_of(bars.get(edge), values[edge]) for edge in wanted]

    return sweep


def _of(bar: Any, x: Any) -> Any:
    """Return a cotangent of ``x``: that of a real number is real."""
    return real(bar) if bar is not None and bar.dtype.kind == "c" and x.dtype.kind != "c" else bar


def local(node: Node, values: Mapping[Edge, Array], y_bars: list[Any], variables: set[Edge]) -> Sequence[Any]:
    """Send the cotangents of an application to its inputs."""
    op = node.op
    assert op is not None
    xs = [values[x] if type(x) is Edge else x for x in node.inputs]
    needs = [type(x) is Edge and x in variables and is_inexact(values[x].dtype) for x in node.inputs]
    if isinstance(op, Region):
        x_bars: Sequence[Any] = op.record(tuple(xs), node.params, tuple(needs))[1](tuple(y_bars))
        return x_bars
    if not op.differentiable:
        return [None] * len(xs)
    ys = [values[edge] for edge in node.outputs]
    y_bar, y = (tuple(y_bars), tuple(ys)) if op.several else (y_bars[0], ys[0])
    return vjp(op, y_bar, y, xs, node.params, needs)


__all__ = ["adjoint", "local"]
