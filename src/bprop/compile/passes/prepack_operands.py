"""Prepacking: a matrix that stays the same in a loop is put into panels before the loop, not read across in every turn.

A product whose columns are those of the matrix reads it panel by panel: of every row so many numbers as a register tile has
columns. Where the matrix lies these are steps of whole rows, cache lines without neighbours; packed, one stream. For a single
product with few rows packing costs more than it gains, in a loop it is done once. A panel is an axis of its own, so the
sums are the same, term by term.

**Source:** oneDNN and XNNPACK, where weights are packed ahead of time.
"""

from typing import Any

from ...core.family import Bilinear, Region
from ...core.graph import Edge, Graph, Node
from ...core.rewrite import Rewriter
from ...core.shape import size_of
from ...core.value import Spec
from ...ops.manipulation import permute_dims_op, reshape_op
from ..ir.register_tile import RegisterTile
from ..ir.target import Target

MIN_LENGTH = 8
"""Turns of a loop in which packing is paid back."""
MIN_ROWS = 4
"""Rows of a product for which reading the matrix is a part of the time, not all of it: half of a register tile."""
MIN_ENTRIES = 2**14
"""Entries of the matrix: a smaller one stays in the nearest cache."""


def prepack_operands(graph: Graph, target: Target) -> Graph:
    """Return the graph with the matrices that loops multiply by in panels for the register tiles of a target.

    >>> import bprop
    >>> from bprop.compile.ir.target import Target
    >>> from bprop.compile.passes.prepack_operands import prepack_operands
    >>> loop = bprop.trace(lambda h, W: bprop.scan(lambda h, _: (h @ W, None), h, length=9)[0])
    >>> target = Target("x86-64", "", vector=16, registers=16, fused=True)
    >>> print(prepack_operands(loop(bprop.ones((5, 128), dtype="float32"), bprop.ones((128, 128), dtype="float32")), target))
    graph(x0: float32[5,128], x1: float32[128,128])
      a = reshape(x1, (128, 16, 8))                                      float32[128,16,8]
      b = permute_dims(a, (1, 0, 2))                                     float32[16,128,8]
      c = scan(x0, b, carries=1, scanned=0, length=9, reverse=False)     float32[5,128]
        graph(x0: float32[5,128], x1: float32[16,128,8])
          a = einsum('xy,Ayz->xAz', x0, x1)     float32[5,16,8]
          b = reshape(a, (5, 128))              float32[5,128]
          return b
      return c
    """
    if not any(_is_loop(node) for node in graph.nodes):
        return graph
    return _Prepacking(target).rewrite(graph)


def _is_loop(node: Node) -> bool:
    return isinstance(node.op, Region) and node.op.native == "scan"


class _Prepacking(Rewriter):
    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> list[Edge] | None:
        if not _is_loop(node) or node.params["length"] < MIN_LENGTH:
            return None
        body, operands = node.params["body"], list(inputs)
        for position in range(node.params["carries"] + node.params["scanned"], len(inputs)):
            matrix = body.inputs[position]
            readers = [reader for reader in body.nodes if matrix.output in reader.edges]
            if type(operands[position]) is not Edge or len(readers) != 1 or matrix.output in body.outputs:
                continue
            columns = self.panel_columns(readers[0], matrix)
            if columns:
                operands[position] = self.packed(operands[position], columns)
                body = _Body(readers[0], matrix, operands[position].spec).rewrite(body)
        if body is node.params["body"]:
            return None
        assert node.op is not None
        return self.add(node.op, tuple(operands), {**node.params, "body": body}, node.specs).outputs

    def panel_columns(self, product: Node, matrix: Node) -> int:
        """Return how wide the panels are where a product takes a matrix by its columns, 0 where it gains nothing."""
        op, spec = product.op, product.specs[0]
        if not isinstance(op, Bilinear) or op.windowed or spec.dtype.kind != "f" or len(product.edges) != 2:
            return 0
        if any(x.spec.dtype != spec.dtype for x in product.edges) or len(matrix.specs[0].shape) != 2:
            return 0
        if product.edge(0) == product.edge(1):
            return 0
        labels, position = _labels(product), product.inputs.index(matrix.output)
        summed, column = labels[position][0], labels[position][1]
        others, out = labels[1 - position], labels[2]
        depth, extent = matrix.specs[0].shape
        shape = product.edge(1 - position).spec.shape
        if summed not in others or summed in out or column in others or out[-1:] != column:
            return 0
        if shape[others.index(summed)] != depth:
            return 0
        columns = RegisterTile(spec.dtype, self.target).columns
        is_large = depth * extent >= MIN_ENTRIES and size_of(spec.shape) >= MIN_ROWS * extent
        return columns if is_large and extent > columns and extent % columns == 0 else 0

    def packed(self, x: Edge, columns: int) -> Edge:
        """Return the panels of a matrix, one after the other."""
        (depth, extent), dtype = x.spec
        panels = Spec((depth, extent // columns, columns), dtype)
        split = self.add(reshape_op, (x,), {"shape": panels.shape}, (panels,)).output
        packed = Spec((extent // columns, depth, columns), dtype)
        return self.add(permute_dims_op, (split,), {"axes": (1, 0, 2)}, (packed,)).output


class _Body(Rewriter):
    """Puts the panels of a matrix in its place, in the one product that reads it."""

    def __init__(self, product: Node, matrix: Node, panels: Spec) -> None:
        super().__init__()
        self.product = product
        self.matrix = matrix
        self.panels = Node(None, {}, (), (panels,))
        self.outputs[matrix] = self.panels.outputs

    def rewrite(self, graph: Graph) -> Graph:
        result = super().rewrite(graph)
        inputs = [self.panels if node is self.matrix else node for node in graph.inputs]
        return Graph(inputs, result.nodes, result.outputs, graph.captures)

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> list[Edge] | None:
        if node is not self.product:
            return None
        labels, position = list(_labels(node)), node.inputs.index(self.matrix.output)
        summed, column = labels[position][0], labels[position][1]
        panel = next(label for label in map(chr, range(ord("A"), 0x110000)) if label not in "".join(labels))
        labels[position], labels[2] = panel + summed + column, labels[2][:-1] + panel + column
        shape, dtype = node.specs[0]
        extents = self.panels.specs[0].shape
        spec = Spec((*shape[:-1], extents[0], extents[2]), dtype)
        product = self.add(Bilinear.canonical, inputs, {"labels": tuple(labels)}, (spec,)).output
        return self.add(reshape_op, (product,), {"shape": shape}, node.specs).outputs


def _labels(product: Node) -> tuple[str, str, str]:
    op = product.op
    assert isinstance(op, Bilinear)
    return op.labels(*(x.spec.shape for x in product.edges), **product.params)


__all__ = ["prepack_operands"]
