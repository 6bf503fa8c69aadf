"""An array of formulas, one for each entry: [w[1] ** 2, 2 * w[0] * w[1]], as a person writes the gradient of w[0] * w[1] ** 2.

The gradient of a function that takes entries and slices of its argument puts what belongs to them back to where they stand,
among zeros. Matrix calculus has no sign for that. Written entry by entry there is nothing to put: what is moved is looked up, and
a product of matrices is the sum that it stands for.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.elementwise import Elementwise, Selection
from ..core.family import Bilinear, Creation, Cumulative, Join, Linear, Reduction
from ..core.graph import Edge, Graph, Node, NodeInput
from ..core.interpreter import QUIET
from ..core.op import role_of
from ..core.value import Spec
from ..gradients.transform import trace
from ..ops import add, multiply, zeros
from ..ops.indexing import slice_op
from ..ops.manipulation import reshape_op
from .readable import readable

ENTRIES = 16
"""How many entries an array may have to be written entry by entry."""
TERMS = 4
"""How many terms a sum may have to be written out."""
NODES = 400
"""How many nodes all entries together may have."""
IMAGE = 4096
"""How many numbers an index map may have, as a matrix."""

Index = tuple[int, ...]


class _TooLongError(Exception):
    """There are too many entries, or an op that has no formula for one entry."""


def scatters(graph: Graph) -> bool:
    """Return whether the graph puts entries among zeros, or adds them up at indices: what has no sign in a formula."""
    return any(_is_scatter(node) for node in graph.nodes)


def _is_scatter(node: Node) -> bool:
    return isinstance(node.op, Linear) and node.op.scatter


def entry_formulas(graph: Graph, names: Sequence[str]) -> "list[tuple[Graph, tuple[str, ...]]] | None":
    """Return a graph of one number, with the names of its inputs, for every entry of the output; ``None`` if that is too long.

    The entries of an input that are used are inputs of their own, called w[0], w[1] and so on. What no formula of an entry can be
    given of, such as a long sum, stays an expression of arrays, unless there is a scatter in it.
    """
    shape = graph.outputs[0].spec.shape
    if not shape or not 1 <= prod(shape) <= ENTRIES:
        return None
    entries = _Entries(graph)
    try:
        outputs = [entries.scalar(graph.outputs[0], index) for index in np.ndindex(shape)]
    except _TooLongError:
        return None
    named = dict(zip(graph.inputs, names, strict=True))
    order = {node: position for position, node in enumerate(graph.inputs)}
    used = sorted(entries.inputs, key=lambda key: (order[key[0]], key[1]))
    inputs = [*graph.inputs, *(entries.inputs[key] for key in used)]
    shown = (*names, *(f"{named[node]}[{', '.join(map(str, index))}]" for node, index in used))
    return [(readable(Graph(inputs, entries.nodes, [output], graph.captures).live()), shown) for output in outputs]


class _Entries:
    """The graph of numbers: ``nodes`` in order of computation, ``inputs`` by the input they are an entry of and its index."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self.inputs: dict[tuple[Node, Index], Node] = {}
        self.numbers = {node: value.concrete() for node, value in graph.captures}
        self.entries: dict[tuple[Edge, Index], NodeInput] = {}
        self.images: dict[Node, NDArray[Any]] = {}
        self.scattered: set[Node] = set()
        """The nodes that are scatters, or computed from one."""
        for node in graph.nodes:
            if _is_scatter(node) or any(x.node in self.scattered for x in node.edges):
                self.scattered.add(node)
        self.copied: set[Node] = set()

    def scalar(self, x: Edge, index: Index) -> Edge:
        """Return one entry as an edge; a number becomes a constant."""
        entry = self.entry(x, index)
        if type(entry) is Edge:
            return entry
        params = {"shape": (), "value": entry, "dtype": x.spec.dtype}
        return self.added(Creation.canonical, (), params, Spec((), x.spec.dtype))

    def entry(self, x: NodeInput, index: Index) -> NodeInput:
        """Return one entry of a value: an edge of the new graph, or a number."""
        if type(x) is not Edge:
            return x
        if (x, index) not in self.entries:
            try:
                entry = self.written(x, index)
            except _TooLongError:
                if x.node in self.scattered:
                    raise
                entry = self.taken(x, index)
            self.entries[x, index] = entry
        return self.entries[x, index]

    def written(self, x: Edge, index: Index) -> NodeInput:
        node = x.node
        if node.op is None:
            return self.leaf(x, index)
        if len(node.specs) > 1:
            raise _TooLongError
        match node.op:
            case Elementwise() | Selection():
                return self.pointwise(node, index)
            case Creation() as op:
                return np.asarray(op.evaluate(**node.params))[index].item()
            case Join():
                return self.joined(node, index)
            case Linear():
                return self.moved(node, index)
            case Reduction() as op if isinstance(op.partial, int | float):
                return self.summed(node, index)
            case Bilinear() as op if not op.windowed:
                return self.contracted(node, op, index)
            case Cumulative() as op if index[node.params["axis"]] < TERMS:
                return self.accumulated(node, op, index)
        raise _TooLongError

    def leaf(self, x: Edge, index: Index) -> NodeInput:
        """Return an entry of an input as an input of its own, that of a captured array as the number it is."""
        if x.node in self.numbers:
            number = self.numbers[x.node]
            if number is None:
                raise _TooLongError
            return number[index].item()
        if not index:
            return x
        if (x.node, index) not in self.inputs:
            self.inputs[x.node, index] = Node(None, {}, (), (Spec((), x.spec.dtype),))
        return self.inputs[x.node, index].output

    def taken(self, x: Edge, index: Index) -> Edge:
        """Return an entry of an array that stays as it is."""
        needed = Graph(self.graph.inputs, self.graph.nodes, [x], self.graph.captures).live()
        for node in needed.nodes:
            if node not in self.copied:
                self.copied.add(node)
                self.nodes.append(node)
        if not index:
            return x
        if isinstance(x.node.op, Reduction) and prod(x.spec.shape) == 1:
            params = x.node.params | {"keepdims": False}
            total = self.added(x.node.op, x.node.inputs, params, Spec((), x.spec.dtype))
            if x.node.op.spec(*x.node.operands, **params) == total.spec:
                return total
        dtype, inner = x.spec.dtype, (1,) * len(index)
        row = self.added(slice_op, (x,), {"slices": tuple((i, 1, 1) for i in index)}, Spec(inner, dtype))
        return self.added(reshape_op, (row,), {"shape": ()}, Spec((), dtype))

    def pointwise(self, node: Node, index: Index) -> NodeInput:
        operands = [self.entry(x, _aligned(index, _shape(x))) for x in node.inputs]
        if role_of(node.op) == "case" and type(operands[0]) is not Edge:
            return operands[1 if operands[0] else 2]
        dtype = node.specs[0].dtype
        if all(type(operand) is not Edge for operand in operands):
            assert node.op is not None
            numbers = [
                np.asarray(number, x.spec.dtype) if type(x) is Edge else number
                for number, x in zip(operands, node.inputs, strict=True)
            ]
            return np.asarray(QUIET.run(node.op.evaluate, *numbers, **node.params)).item()
        return self.added(node.op, tuple(operands), node.params, Spec((), dtype))

    def joined(self, node: Node, index: Index) -> NodeInput:
        axis = node.params["axis"]
        position = index[axis]
        for x in node.inputs:
            size = _shape(x)[axis]
            if position < size:
                return self.entry(x, (*index[:axis], position, *index[axis + 1 :]))
            position -= size
        raise _TooLongError

    def moved(self, node: Node, index: Index) -> NodeInput:
        """The entries that an index map takes to this one, which are found by applying it to the columns of an identity matrix."""
        x, *others = node.inputs
        if type(x) is not Edge:
            return x
        if 0 in _shape(x):
            return 0.0
        if node not in self.images:
            indices = [self.numbers.get(other.node) if type(other) is Edge else None for other in others]
            if prod(_shape(x)) * prod(node.specs[0].shape) > IMAGE or any(array is None for array in indices):
                raise _TooLongError
            assert node.op is not None
            columns = np.eye(prod(_shape(x))).reshape(prod(_shape(x)), *_shape(x))
            self.images[node] = np.asarray([node.op.evaluate(column, *indices, **node.params) for column in columns])
        parts = self.images[node][(slice(None), *index)]  # type: ignore[arg-type]
        sources = np.flatnonzero(parts)
        if not (parts[sources] == 1).all():
            raise _TooLongError
        terms = [self.entry(x, tuple(map(int, np.unravel_index(source, _shape(x))))) for source in sources]
        return self.total(terms, node.specs[0].dtype)

    def summed(self, node: Node, index: Index) -> NodeInput:
        (x,) = node.inputs
        shape, axes = _shape(x), node.params["axis"]
        kept = [axis for axis in range(len(shape)) if axis not in axes]
        own = [index[axis] for axis in kept] if node.params["keepdims"] else list(index)
        terms = []
        for inner in self.ranges([shape[axis] for axis in axes]):
            position = dict(zip(axes, inner, strict=True)) | dict(zip(kept, own, strict=True))
            terms.append(self.entry(x, tuple(position[axis] for axis in range(len(shape)))))
        return self.total(terms, node.specs[0].dtype)

    def accumulated(self, node: Node, op: Cumulative, index: Index) -> NodeInput:
        axis = node.params["axis"]
        operands = [self.entry(x, index) for x in node.inputs]
        if index[axis] == 0:
            return operands[-1]
        before = (*index[:axis], index[axis] - 1, *index[axis + 1 :])
        step = trace(op.combine)(*(zeros((), dtype=x.spec.dtype) for x in (node.output, *node.edges)))
        values = dict(zip(step.inputs, [self.entry(node.output, before), *operands], strict=True))
        for inner in step.nodes:
            inputs = tuple(values[x.node] if type(x) is Edge else x for x in inner.inputs)
            values[inner] = self.added(inner.op, inputs, inner.params, inner.specs[0])
        return values[step.outputs[0].node]

    def contracted(self, node: Node, op: Bilinear, index: Index) -> NodeInput:
        shapes = [_shape(x) for x in node.inputs]
        labels1, labels2, out = op.labels(*shapes, **node.params)
        sizes = op.sizes(labels1, shapes[0], labels2, shapes[1])
        inner = [label for label in sizes if label not in out]
        terms = []
        for numbers in self.ranges([sizes[label] for label in inner]):
            position = dict(zip(inner, numbers, strict=True)) | dict(zip(out, index, strict=True))
            first, second = (
                self.entry(x, tuple(0 if n == 1 else position[label] for label, n in zip(labels, shape, strict=True)))
                for x, labels, shape in zip(node.inputs, (labels1, labels2), shapes, strict=True)
            )
            terms.append(self.applied(multiply, first, second, node.specs[0].dtype))
        return self.total(terms, node.specs[0].dtype)

    def ranges(self, sizes: Sequence[int]) -> Iterator[Index]:
        """Yield the indices of the terms of a sum, if they are few."""
        if prod(sizes) > TERMS:
            raise _TooLongError
        return product(*map(range, sizes))

    def total(self, terms: Sequence[NodeInput], dtype: Any) -> NodeInput:
        """Return the sum of entries; what is 0 is left out."""
        terms = [term for term in terms if type(term) is Edge or term != 0]
        total: NodeInput = terms[0] if terms else 0.0
        for term in terms[1:]:
            total = self.applied(add, total, term, dtype)
        return total

    def applied(self, op: Any, first: NodeInput, second: NodeInput, dtype: Any) -> NodeInput:
        if type(first) is not Edge and type(second) is not Edge:
            return np.asarray(op.evaluate(first, second)).item()
        return self.added(op, (first, second), {}, Spec((), dtype))

    def added(self, op: Any, inputs: tuple[NodeInput, ...], params: dict[str, Any], spec: Spec) -> Edge:
        if len(self.nodes) >= NODES:
            raise _TooLongError
        node = Node(op, params, inputs, (spec,))
        self.nodes.append(node)
        return node.output


def _shape(x: NodeInput) -> tuple[int, ...]:
    return x.spec.shape if type(x) is Edge else ()


def _aligned(index: Index, shape: tuple[int, ...]) -> Index:
    """Return the index of the entry that broadcasting to a result takes to ``index`` there."""
    last = index[len(index) - len(shape) :]
    return tuple(0 if size == 1 else i for size, i in zip(shape, last, strict=True))


__all__ = ["entry_formulas", "scatters"]
