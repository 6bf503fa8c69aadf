"""Layouts: in which order the axes of images lie in memory between convolutions.

A tile of a convolution is made of output channels and examples: neither takes part in a window. With the examples innermost
a vector holds one pixel of several of them, whatever stride, dilation and padding are. So convolutions get the order height,
width, channels, examples, and with few examples height, width, channels. A value in another order than the user wrote is a
``base`` with axes that lead back, and the ops that work entry by entry, reduce, or work axis by axis are applied to bases.
Only where an op knows no order, or the value leaves the program, is it moved.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from ...core.family import Bilinear, Elementwise, Linear, Reduction, Region, Selection
from ...core.graph import Edge, Graph, Node, NodeInput
from ...core.op import role_of
from ...core.rewrite import Rewriter
from ...core.shape import Shape, inverse_permutation
from ...core.value import Spec
from ...core.window import Window
from ...ops.manipulation import permute_dims_op, reshape_op

Axes = tuple[int, ...]
MIN_EXAMPLES = 8
"""Examples from which on they lie innermost: they fill half a vector at least."""
MIN_ROWS, MIN_ROW_SIZE = 8, 64
"""Rows that are combined before innermost axes are, at least, and entries of each: what is left to do is then small."""


def assign_layouts(graph: Graph) -> Graph:
    """Return the graph with convolutions, and what lies between them, in the order of axes that suits native code.

    >>> import bprop
    >>> from bprop.compile.passes.assign_layouts import assign_layouts
    >>> traced = bprop.trace(lambda x, W: bprop.exp(bprop.conv(x, W)))(bprop.ones((8, 2, 5)), bprop.ones((3, 2, 3)))
    >>> print(assign_layouts(traced))
    graph(x0: float64[8,2,5], x1: float64[3,2,3])
      a = x0.T                                                       float64[5,2,8]
      b = convolution('hcA,ock->ioA', a, x1, 'h = i + k, i < 3')     float64[3,3,8]
      c = exp(b)                                                     float64[3,3,8]
      d = c.T                                                        float64[8,3,3]
      return d
    """
    if not any(isinstance(node.op, Bilinear) and node.op.windowed for node in graph.nodes):
        return graph
    return _Layouts().rewrite(graph).live()


class _Moved(NamedTuple):
    """A value that is base.transpose(axes)."""

    base: Edge
    axes: Axes


class _Layouts(Rewriter):
    """``moved`` are the values of the new graph that are transposes of others."""

    def __init__(self) -> None:
        super().__init__()
        self.moved: dict[Edge, _Moved] = {}

    def rule(self, node: Node, inputs: tuple[Any, ...]) -> Sequence[NodeInput] | None:
        op = node.op
        if isinstance(op, Bilinear):
            return self.convolution(op, node, inputs) if op.windowed else self.contraction(op, node, inputs)
        if not any(x in self.moved for x in inputs if type(x) is Edge):
            return None
        if isinstance(op, Elementwise | Selection):
            return self.by_entry(node, inputs)
        if isinstance(op, Reduction):
            return self.reduction(op, node, inputs)
        if isinstance(op, Linear) and len(inputs) == 1:
            return self.linear(op, node, inputs)
        if isinstance(op, Region) and not node.specs:  # it looks at numbers, wherever they are
            bases = tuple(self.moved[x].base if x in self.moved else x for x in inputs)
            return self.add(op, bases, node.params, node.specs).outputs
        return None

    # --- values in another order ---
    def made(self, op: Any, inputs: Sequence[NodeInput], params: dict[str, Any], spec: Spec, axes: Axes) -> list[Edge]:
        """Return the result of an application, of shape ``spec``, whose base is in the order that ``axes`` lead back from."""
        shape = tuple(spec.shape[axis] for axis in inverse_permutation(axes))
        base = self.add(op, tuple(inputs), params, (Spec(shape, spec.dtype),)).output
        return [self.transposed(base, axes)]

    def transposed(self, base: Edge, axes: Axes) -> Edge:
        """Return base.transpose(axes)."""
        if base in self.moved:
            base, inner = self.moved[base]
            axes = tuple(inner[axis] for axis in axes)
        if axes == tuple(range(len(axes))):
            return base
        spec = Spec(tuple(base.spec.shape[axis] for axis in axes), base.spec.dtype)
        edge = self.add(permute_dims_op, (base,), {"axes": axes}, (spec,)).output
        self.moved[edge] = _Moved(base, axes)
        return edge

    def base_of(self, x: Edge, axes: Axes) -> Edge:
        """Return the base of which ``x`` is base.transpose(axes)."""
        return self.transposed(x, inverse_permutation(axes))

    # --- families ---
    def convolution(self, op: Bilinear, node: Node, inputs: tuple[Any, ...]) -> list[Edge]:
        labels = op.labels(*(x.spec.shape for x in inputs), **node.params)
        sizes = op.sizes(
            labels[0], inputs[0].spec.shape, labels[1], inputs[1].spec.shape, **op.window_params(node.params)
        )
        orders = _orders(labels, node.params["windows"], sizes)
        xs = [
            self.transposed(x, tuple(own.index(label) for label in order))
            for x, own, order in zip(inputs, labels, orders, strict=False)
        ]
        relabelled, params = op.relabelled(orders, node.params)
        axes = tuple(orders[2].index(label) for label in labels[2])
        return self.made(relabelled, xs, params, node.specs[0], axes)

    def contraction(self, op: Bilinear, node: Node, inputs: tuple[Any, ...]) -> list[Edge] | None:
        """A product reads operands in any order."""
        if not any(x in self.moved for x in inputs if type(x) is Edge):
            return None
        labels = op.labels(*(x.spec.shape for x in inputs), **node.params)
        bases, orders = [], []
        for x, own in zip(inputs, labels, strict=False):
            base, axes = self.moved.get(x, _Moved(x, tuple(range(len(own)))))
            bases.append(base)
            orders.append("".join(own[axis] for axis in inverse_permutation(axes)))
        relabelled, params = op.relabelled((*orders, labels[2]), node.params)  # type: ignore[arg-type]
        return self.add(relabelled, tuple(bases), params, node.specs).outputs

    def by_entry(self, node: Node, inputs: tuple[Any, ...]) -> list[Edge] | None:
        shape = node.specs[0].shape
        leader = next((self.moved[x] for x in inputs if x in self.moved and x.spec.shape == shape), None)
        if leader is None:
            return None
        xs = [self.base_of(self.with_rank(x, len(shape)), leader.axes) if type(x) is Edge else x for x in inputs]
        return self.made(node.op, xs, node.params, node.specs[0], leader.axes)

    def with_rank(self, x: Edge, rank: int) -> Edge:
        """Return ``x`` with axes of size 1 in front, of a rank."""
        missing = rank - len(x.spec.shape)
        return self.reshaped(x, (1,) * missing + x.spec.shape) if missing else x

    def reshaped(self, x: Edge, shape: Shape) -> Edge:
        return self.add(reshape_op, (x,), {"shape": shape}, (Spec(shape, x.spec.dtype),)).output

    def reduction(self, op: Reduction, node: Node, inputs: tuple[Any, ...]) -> list[Edge]:
        base, axes = self.moved[inputs[0]]
        axis, keepdims = node.params["axis"], node.params["keepdims"]
        over = tuple(sorted(axes[i] for i in axis))
        if not keepdims:
            kept = [i for i in range(len(axes)) if i not in over]
            axes = tuple(kept.index(own) for i, own in enumerate(axes) if i not in axis)
        base, over = self.in_parts(op, base, over, keepdims)
        return self.made(op, [base], {"axis": over, "keepdims": keepdims}, node.specs[0], axes)

    def in_parts(self, op: Reduction, base: Edge, over: Axes, keepdims: bool) -> tuple[Edge, Axes]:
        """Reduce some axes first where axes that stay lie between others that do not; return what is left to do.

        In one loop every result would read its entries in steps of whole images. Rows of an image are combined as they are,
        results side by side in vectors; where rows are short, the innermost axes go first.
        """
        shape = base.spec.shape
        inner = tuple(axis for axis in over if all(later in over for later in range(axis, len(shape))))
        if not op.neutral or not inner or inner == over:
            return base, over
        row = over[-len(inner) - 1]
        has_rows = shape[row] >= MIN_ROWS and prod(shape[row + 1 :]) >= MIN_ROW_SIZE
        first = (row,) if has_rows else inner
        spec = op.spec(base.spec, axis=first, keepdims=keepdims)
        assert isinstance(spec, Spec)
        y = self.add(op, (base,), {"axis": first, "keepdims": keepdims}, (spec,)).output
        return y, tuple(axis - (has_rows and not keepdims and axis > row) for axis in over if axis not in first)

    def linear(self, op: Linear, node: Node, inputs: tuple[Any, ...]) -> list[Edge] | None:
        x, spec = inputs[0], node.specs[0]
        base, axes = self.moved[x]
        if role_of(op) == "transpose":
            return [self.transposed(x, node.params["axes"])]
        if role_of(op) == "broadcast" and len(spec.shape) == len(axes):
            shape = tuple(spec.shape[axis] for axis in inverse_permutation(axes))
            return self.made(op, [base], {"shape": shape}, spec, axes)
        if role_of(op) == "reshape":
            return self.with_ones(base, axes, x.spec.shape, spec)
        reordered = op.reorder(axes, **node.params) if op.reorder is not None else None
        if reordered is None:
            return None
        params, result_axes = reordered
        return self.made(op, [base], params, spec, result_axes)

    def with_ones(self, base: Edge, axes: Axes, shape: Shape, spec: Spec) -> list[Edge] | None:
        """Return a reshape that only adds and drops axes of size 1: the others keep their order in the base."""
        kept = [axis for axis, size in enumerate(shape) if size != 1]
        if [shape[axis] for axis in kept] != [size for size in spec.shape if size != 1]:
            return None
        order = sorted(axes[axis] for axis in kept)  # axes of the base that are kept
        new_shape = tuple(base.spec.shape[axis] for axis in order) + (1,) * spec.shape.count(1)
        numbers, ones = iter(kept), iter(range(len(order), len(new_shape)))
        new_axes = tuple(next(ones) if size == 1 else order.index(axes[next(numbers)]) for size in spec.shape)
        return [self.transposed(self.reshaped(base, new_shape), new_axes)]


def _orders(labels: tuple[str, str, str], windows: Sequence[Window], sizes: dict[str, int]) -> tuple[str, str, str]:
    """Return the labels of a convolution's operands and result in the order in which they are to lie in memory."""
    taps = {window.tap for window in windows}
    weights = next(number for number, own in enumerate(labels) if taps & set(own))
    batch = [
        label
        for label in labels[(weights + 1) % 3]
        if label in labels[(weights + 2) % 3] and label not in labels[weights]
    ]
    innermost = prod(sizes[label] for label in batch) >= MIN_EXAMPLES
    orders = []
    for number, own in enumerate(labels):
        if number == weights:
            orders.append(own if number < 2 else _weight_order(own, taps, sizes))
            continue
        spatial = [label for window in windows for label in window.lengths if label in own]
        channels = [label for label in own if label not in spatial and label not in batch]
        images = [*spatial, *channels, *batch] if innermost else [*batch, *spatial, *channels]
        orders.append("".join(images))
    return orders[0], orders[1], orders[2]


def _weight_order(own: str, taps: set[str], sizes: dict[str, int]) -> str:
    """Return the order of a weight gradient: the taps are too few to fill vectors, the channels that are more go last."""
    return "".join(sorted(own, key=lambda label: (label not in taps, sizes[label] if label not in taps else 0)))


__all__ = ["assign_layouts"]
