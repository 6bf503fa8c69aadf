"""Rows of a table that are taken and then multiplied: the product goes to the side where there are fewer rows.

A gather is a product with a matrix P of zeros and ones, take(E, tokens) = P E, and its adjoint, which adds entries up by
index, one with Pᵀ. Products are associative: with fewer rows in the table E than there are tokens,

- (P E) W = P (E W): the table is multiplied, and rows of the result are taken;
- (P E)ᵀ Z = Eᵀ (Pᵀ Z) and Pᵀ (Z W) = (Pᵀ Z) W: what is multiplied is first added up by token.

These are the products of a layer behind an embedding, in both directions. Sums of the last two come in another order, as if the
terms of the sum were sorted by token. Rows that no token names stay out of it, whatever they hold: 0 · ∞ is not 0.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any, NamedTuple

from ...core.family import Bilinear
from ...core.graph import Edge, Graph, Node, NodeInput
from ...core.interpreter import EVALUATE
from ...core.op import role_of
from ...core.rewrite import Rewriter
from ...core.shape import inverse_permutation
from ...core.trace import trace_flat
from ...ops.creation import full
from ...ops.indexing import scatter_add_op, take_op
from ...ops.manipulation import permute_dims, reshape
from ...ops.selection import where

MOVE_STEPS = 32
"""Multiply-adds that cost as much as to move, or to add up, one entry by its index."""


def reassociate_gathers(graph: Graph) -> Graph:
    """Return the graph with products of rows that are taken from a table as products of the table, where it has fewer rows.

    >>> import bprop
    >>> from bprop.compile.passes.reassociate_gathers import reassociate_gathers
    >>> traced = bprop.trace(lambda E, t, W: bprop.take(E, t, axis=0) @ W)
    >>> print(reassociate_gathers(traced(bprop.ones((8, 64)), bprop.arange(100) % 8, bprop.ones((64, 3)))))
    graph(x0: float64[8,64], x1: int64[100], x2: float64[64,3])
      a = x0 @ x2     float64[8,3]
      b = a[x1]       float64[100,3]
      return b
    """
    if not any(role_of(node.op) in ("gather", "scatter") for node in graph.nodes):
        return graph
    readers = Counter(x for node in graph.nodes for x in node.edges)
    readers.update(graph.outputs)
    return _Reassociation(readers).rewrite(graph).live()


class _Rows(NamedTuple):
    """A value that is take(table, indices).transpose(axes)."""

    table: Edge
    indices: Edge
    axes: tuple[int, ...]


class _Product(NamedTuple):
    """A contraction without broadcasting: its labels, and how long they are."""

    labels: tuple[str, str, str]
    sizes: dict[str, int]

    def extent(self, labels: Iterable[str]) -> int:
        return prod(self.sizes[label] for label in labels)

    @property
    def free_label(self) -> str:
        """A label that it does not have: that of the rows of a table."""
        return next(label for label in map(chr, range(ord("A"), 0x110000)) if label not in self.sizes)


class _Reassociation(Rewriter):
    """``readers`` counts how often a value of the old graph is read: a product that others read too is made anyway.

    ``rows`` are the values of the new graph that are rows of a table.
    """

    def __init__(self, readers: Counter[Edge]) -> None:
        super().__init__()
        self.readers = readers
        self.rows: dict[Edge, _Rows] = {}

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> Sequence[NodeInput] | None:
        op, role = node.op, role_of(node.op)
        if isinstance(op, Bilinear):
            return self.product(node, inputs)
        if role == "scatter":
            return self.scattered(node, inputs)
        if role == "gather" and all(type(x) is Edge for x in inputs):
            table, indices = inputs
            return self.recorded(node, inputs, _Rows(table, indices, tuple(range(len(node.specs[0].shape)))))
        rows = self.rows.get(inputs[0]) if role in ("transpose", "reshape") else None
        if rows is None:
            return None
        if role == "transpose":
            axes = tuple(rows.axes[axis] for axis in node.params["axes"])
            return self.recorded(node, inputs, rows._replace(axes=axes))
        rank = len(rows.indices.spec.shape)
        order, shape = rows.axes[:rank], _index_shape(node.edge(0).spec.shape, node.specs[0].shape, rank)
        if shape is None or rows.axes[rank:] != tuple(range(rank, len(rows.axes))):
            return None
        indices = self.rearranged(rows.indices, order, shape)
        axes = tuple(range(len(node.specs[0].shape)))
        return self.recorded(node, inputs, _Rows(rows.table, indices, axes))

    def recorded(self, node: Node, inputs: tuple[Any, ...], rows: _Rows) -> Sequence[NodeInput]:
        """Copy a node and note that its result is rows of a table."""
        assert node.op is not None
        copied = self.add(node.op, inputs, node.params, node.specs)
        self.rows[copied.output] = rows
        return copied.outputs

    def applied(self, function: Callable[..., Any], *xs: Edge) -> Edge:
        """Apply a function of ops to values of the new graph."""
        body = trace_flat(lambda *args: [function(*args)], [x.spec for x in xs], name="product", below=EVALUATE)[0]
        outputs: dict[Node, Sequence[NodeInput]] = {source: (x,) for source, x in zip(body.inputs, xs, strict=True)}
        copied = Rewriter()
        copied.nodes, copied.outputs = self.nodes, outputs
        copied.walk(body.nodes)
        (result,) = copied.mapped(body.outputs)
        assert type(result) is Edge
        return result

    # --- products of rows ---
    def product(self, node: Node, inputs: tuple[Any, ...]) -> list[NodeInput] | None:
        product = _product(node)
        if product is None:
            return None
        for position in (0, 1):
            rows = self.rows.get(inputs[position])
            if rows is not None:
                result = self.product_of_rows(product, position, rows, inputs[1 - position])
                if result is not None:
                    return [result]
        return None

    def product_of_rows(self, product: _Product, position: int, rows: _Rows, other: Edge) -> Edge | None:
        """Return a product whose operand at ``position`` is rows of a table, by one of the table; ``None`` where it is no gain."""
        own, others, out = product.labels[position], product.labels[1 - position], product.labels[2]
        order = "".join(own[axis] for axis in inverse_permutation(rows.axes))
        rank, row, size = len(rows.indices.spec.shape), product.free_label, rows.table.spec.shape[0]
        tokens, entry = order[:rank], order[rank:]
        if not set(tokens) & set(others) and set(tokens) <= set(out):
            steps = product.extent(label for label in entry if label not in out)
            rest = "".join(label for label in out if label not in tokens)
            labels = _in_order(position, row + entry, others, row + rest)
            if _is_cheaper(product.extent(tokens), size, steps):
                back = tuple((tokens + rest).index(label) for label in out)
                return self.applied(
                    lambda table, indices, x: permute_dims(
                        take_op(_contracted(position, table, x, labels), indices), back
                    ),
                    rows.table, rows.indices, other,
                )  # fmt: skip
        if not set(tokens) & set(out) and set(tokens) <= set(others):
            steps = product.extent(label for label in entry if label not in others)
            rest = "".join(label for label in others if label not in tokens)
            labels = _in_order(position, row + entry, row + rest, out)
            if _is_cheaper(product.extent(tokens), size, steps):
                axes = [others.index(label) for label in tokens + rest]
                total, indices = self.total(other, axes, rows.indices, size)
                return self.applied(
                    lambda table, indices, total: _contracted(position, _where_named(table, indices), total, labels),
                    rows.table, indices, total,
                )  # fmt: skip
        return None

    # --- products that are added up by index ---
    def scattered(self, node: Node, inputs: tuple[Any, ...]) -> list[NodeInput] | None:
        """Return rows of a product that are added up as a product of an operand that is added up."""
        x, indices = node.inputs[0], inputs[1]
        if type(x) is not Edge or type(indices) is not Edge:
            return None
        x, indices, axes = self.arranged_indices(x, indices, lambda x: self.readers[x] == 1)
        product = _product(x.node) if self.readers[x] == 1 else None
        if product is None:
            return None
        out, rank = "".join(product.labels[2][axis] for axis in axes), len(indices.spec.shape)
        xs = self.mapped(x.node.inputs)
        for position in (0, 1):
            result = self.product_of_sums(product, position, out[:rank], out[rank:], indices, xs, node.params["size"])
            if result is not None:
                return [result]
        return None

    def product_of_sums(
        self, product: _Product, position: int, tokens: str, entry: str, indices: Edge, xs: Sequence[Any], size: int
    ) -> Edge | None:
        """Return a product that is added up along ``tokens`` as one whose operand at ``position`` is added up before."""
        own, others, row = product.labels[position], product.labels[1 - position], product.free_label
        if set(tokens) & set(others) or not set(tokens) <= set(own):
            return None
        if not _is_cheaper(product.extent(tokens), size, product.extent(x for x in others if x not in own)):
            return None
        rest = "".join(label for label in own if label not in tokens)
        labels = _in_order(position, row + rest, others, row + entry)
        total, indices = self.total(xs[position], [own.index(label) for label in tokens + rest], indices, size)
        return self.applied(
            lambda x, other, indices: _where_named(_contracted(position, x, other, labels), indices),
            total, xs[1 - position], indices,
        )  # fmt: skip

    def total(self, x: Edge, axes: Sequence[int], indices: Edge, size: int) -> tuple[Edge, Edge]:
        """Return x.transpose(axes) added up by index, and the indices in the order in which ``x`` was computed.

        By these it is added up, so that the sums of one gradient that two products need are one.
        """
        x = self.applied(lambda x: permute_dims(x, tuple(axes)), x)
        x, indices, order = self.arranged_indices(x, indices, lambda x: True)
        total = self.applied(lambda x, indices: scatter_add_op(permute_dims(x, order), indices, size=size), x, indices)
        return total, indices

    def arranged_indices(
        self, x: Edge, indices: Edge, may_pass: Callable[[Edge], bool]
    ) -> tuple[Edge, Edge, tuple[int, ...]]:
        """Follow ``x``, which is added up by index, back through transposes and reshapes, as far as ``may_pass`` says.

        Return where they begin, the indices arranged like its entries, and the axes by which it has to be transposed before it
        is added up by these.
        """
        rank, axes = len(indices.spec.shape), tuple(range(len(x.spec.shape)))
        while may_pass(x) and role_of(x.node.op) in ("transpose", "reshape"):
            source = x.node.edge(0)
            if role_of(x.node.op) == "transpose":
                axes = tuple(x.node.params["axes"][axis] for axis in axes)
            else:
                shape = _index_shape(x.spec.shape, source.spec.shape, rank)
                if shape is None or axes != tuple(range(len(axes))):
                    break
                indices = self.rearranged(indices, range(rank), shape)
                rank, axes = len(shape), tuple(range(len(source.spec.shape)))
            x = source
            if axes[rank:] == tuple(range(rank, len(axes))):  # only axes along the indices change places
                order = inverse_permutation(axes[:rank])
                indices = self.rearranged(indices, order, tuple(indices.spec.shape[axis] for axis in order))
                axes = tuple(range(len(axes)))
        return x, indices, axes

    def rearranged(self, indices: Edge, order: Iterable[int], shape: tuple[int, ...]) -> Edge:
        """Return reshape(indices.transpose(order), shape)."""
        return self.applied(lambda x: reshape(permute_dims(x, tuple(order)), shape), indices)


def _product(node: Node) -> _Product | None:
    """Return the labels of a contraction of floats, where every one is as long in both operands."""
    op = node.op
    if not isinstance(op, Bilinear) or op.windowed or any(type(x) is not Edge for x in node.inputs):
        return None
    if node.specs[0].dtype.kind != "f" or any(x.spec.dtype != node.specs[0].dtype for x in node.edges):
        return None
    shapes = [x.spec.shape for x in node.edges]
    labels = op.labels(*shapes, **node.params)
    sizes = op.sizes(labels[0], shapes[0], labels[1], shapes[1])
    if any(tuple(sizes[x] for x in own) != shape for own, shape in zip(labels, shapes, strict=False)):
        return None
    return _Product(labels, sizes)


def _is_cheaper(tokens: int, rows: int, steps: int) -> bool:
    """Return whether to multiply ``rows`` instead of ``tokens`` outweighs moving a number for every ``steps`` multiply-adds."""
    return (tokens - rows) * steps >= MOVE_STEPS * tokens


def _index_shape(before: tuple[int, ...], after: tuple[int, ...], rank: int) -> tuple[int, ...] | None:
    """Return the shape of the first ``rank`` axes after a reshape, ``None`` where it changes the others."""
    rest = before[rank:]
    leading = after[: len(after) - len(rest)]
    return leading if after[len(leading) :] == rest and prod(leading) == prod(before[:rank]) else None


def _in_order(position: int, own: str, others: str, out: str) -> tuple[str, str, str]:
    return (others, own, out) if position else (own, others, out)


def _contracted(position: int, x: Any, other: Any, labels: tuple[str, str, str]) -> Any:
    return Bilinear.canonical(*((other, x) if position else (x, other)), labels=labels)


def _where_named(rows: Any, indices: Any) -> Any:
    """Return the rows that ``indices`` name, and 0 for the others."""
    count = scatter_add_op(full(indices.shape, 1.0, dtype=rows.dtype), indices, size=rows.shape[0])
    return where(reshape(count > 0, (-1,) + (1,) * (rows.ndim - 1)), rows, 0)


__all__ = ["reassociate_gathers"]
