"""How large a network is: its parameters, and the FLOPs of an application, counted in its graph."""

from typing import Any

from ..core.family import Bilinear, Region
from ..core.graph import Graph, Node, inner_graphs
from ..core.interpreter import StateScope, using
from ..core.shape import size_of
from ..core.value import asarray
from ..gradients import trace
from .module import Module


def parameters(network: Module) -> int:
    """Return how many numbers of a network are trained.

    >>> from bprop import nn
    >>> from bprop.nn.count import parameters
    >>> parameters(nn.Linear(3, 2))
    8
    """
    return sum(cell.array.size for cell in network.cells().values() if cell.trainable)


def flops(network: Module, *inputs: Any) -> int:
    """Return the floating-point operations of all sums of products in an application: two for each multiply-add.

    Counted in the graph, so that products in dense, convolutional and recurrent layers and in attention count alike. What is
    done entry by entry (biases, nonlinearities, normalisation, pooling) is left out, as usual.

    Parameters
    ----------
    network
        The module.
    inputs
        What it is applied to; only shapes and dtypes matter.

    >>> import bprop
    >>> from bprop import nn
    >>> from bprop.nn.count import flops
    >>> flops(nn.Linear(3, 2), bprop.ones((5, 3), dtype="float32"))
    60
    """
    with using(StateScope()):  # discards what is written to cells
        return _graph_flops(trace(network)(*(asarray(x) for x in inputs)))


def _graph_flops(graph: Graph) -> int:
    return sum(map(_node_flops, graph.nodes))


def _node_flops(node: Node) -> int:
    op = node.op
    if isinstance(op, Bilinear):
        shape1, shape2 = (x.spec.shape for x in node.edges)
        labels1, labels2, _ = op.labels(shape1, shape2, **node.params)
        windows = op.window_params(node.params)
        sizes = op.sizes(labels1, shape1, labels2, shape2, **windows)
        for window in windows.get("windows", ()):  # any two of a window's numbers give the third
            sizes.pop(window.position)
        return 2 * size_of(tuple(sizes.values()))
    if isinstance(op, Region):  # a loop of unknown length counts as one iteration
        bodies = inner_graphs(node) if op.native else [op.body(node.params)]
        return int(node.params.get("length", 1)) * sum(map(_graph_flops, bodies))
    return 0


__all__ = ["flops", "parameters"]
