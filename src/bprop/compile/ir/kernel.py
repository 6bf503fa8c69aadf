"""Kernels: nodes of a graph that are computed together.

A kernel is a value. Every pass returns new kernels and changes none: fusion says which nodes it has, the passes after it
add its loop nest, its tiling, its epilogue and the bodies of its region.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ...core.family import Bilinear, Elementwise, Linear, Selection
from ...core.graph import Edge, Graph, Node, NodeInput, application
from ...core.op import shape_of
from ...core.shape import size_of
from .affine_index import AffineIndex
from .contraction import Contraction
from .loop_nest import Epilogue, LoopNest
from .loop_plan import AnyPlan

if TYPE_CHECKING:
    from .lowered import Lowered

Kind = Literal[
    "map", "join", "reduce", "scatter", "cumulate", "contract", "random", "callback", "guard", "scan", "branch", "loop",
    "alias",
]  # fmt: skip


class KindTraits(NamedTuple):
    """What is true of every kernel of a kind.

    - ``is_run``: it does something; an alias only names memory.
    - ``is_nest``: a loop nest over entries, so that nodes can be fused into it.
    - ``is_by_entry``: its root is computed entry by entry, as the nodes fused into it are.
    - ``stores_nodes``: it may store any node that is fused into it and has an entry in each turn of its loop.
    - ``reads_views``: nodes before it that only re-index are read through strides.
    - ``loops_over_input``: its loop goes over the entries of its first operand, not of its result.
    - ``combines``: it does one operation for each entry of its loop, in addition to those of its nodes.
    - ``is_chained``: these wait for each other.
    - ``may_fail``: it can end the program with an error. ``calls_python``, ``has_limit``: why.
    - ``is_divisible``: threads can divide it; of a nest the plan of its loops says so.
    - ``is_parallel_by_body``: threads divide the kernels of its body, with barriers in between, the last at its end.
    - ``stores_whole``: it stores all of its result, not a part.
    - ``reads_in_order``: it reads what stands where it writes before it writes there.
    """

    is_run: bool = True
    is_nest: bool = False
    is_by_entry: bool = False
    stores_nodes: bool = False
    reads_views: bool = False
    loops_over_input: bool = False
    combines: bool = False
    is_chained: bool = False
    may_fail: bool = False
    calls_python: bool = False
    has_limit: bool = False
    is_divisible: bool = False
    is_parallel_by_body: bool = False
    stores_whole: bool = True
    reads_in_order: bool = False


TRAITS: dict[Kind, KindTraits] = {
    "map": KindTraits(is_nest=True, is_by_entry=True, stores_nodes=True, reads_in_order=True),
    "join": KindTraits(is_nest=True, stores_nodes=True, stores_whole=False),
    "reduce": KindTraits(is_nest=True, combines=True, is_chained=True, loops_over_input=True, reads_in_order=True),
    "scatter": KindTraits(is_nest=True, combines=True, may_fail=True, loops_over_input=True),
    "cumulate": KindTraits(is_nest=True, combines=True, is_chained=True),
    "contract": KindTraits(reads_views=True, is_divisible=True, reads_in_order=True),
    "random": KindTraits(combines=True, is_chained=True, is_divisible=True),
    "callback": KindTraits(may_fail=True, calls_python=True),
    "guard": KindTraits(may_fail=True, is_divisible=True),
    "scan": KindTraits(may_fail=True, is_parallel_by_body=True),
    "branch": KindTraits(may_fail=True),
    "loop": KindTraits(may_fail=True, has_limit=True),
    "alias": KindTraits(is_run=False),
}


class View(NamedTuple):
    """An operand of a contraction: the value in memory, and where each axis of the operand reads it."""

    edge: Edge
    position: tuple[AffineIndex, ...]


@dataclass(frozen=True, eq=False)
class Kernel:
    """Nodes computed together. ``root`` gives the loop; ``reads`` and ``stored`` are its values in memory.

    ``views``: the operands of a contraction. ``operand_positions``: the operands of a join that it copies; those of one shape
    in one loop, those of several shapes, which are small, entry by entry without a loop.
    ``nest``: the loops of a kernel that is a nest; ``loops``: how its loops are written; ``contraction``: how a product is tiled; ``epilogue``: the maps computed
    on its macro tiles. ``bodies``: the graphs of a region; ``workspace``: bytes that it needs while it runs.
    """

    kind: Kind
    root: Node
    nodes: tuple[Node, ...]
    stored: tuple[Edge, ...]
    reads: tuple[Edge, ...] = ()
    views: tuple[View, ...] = ()
    operand_positions: tuple[int, ...] | None = None
    may_fail: bool = False
    nest: LoopNest | None = None
    contraction: Contraction | None = None
    epilogue: Epilogue | None = None
    bodies: "tuple[Lowered, ...]" = ()
    loops: AnyPlan | None = None
    workspace: int = 0

    @property
    def traits(self) -> KindTraits:
        """What is true of every kernel of its kind."""
        return TRAITS[self.kind]

    @property
    def context(self) -> str:
        """What an error adds to its message: which kernel it is about."""
        specs = ", ".join(str(edge.spec) for edge in self.reads)
        return f" (in a {self.kind} kernel over {self.shape} that reads {specs or 'nothing'})"

    @property
    def operands(self) -> tuple[Edge, ...]:
        """The values in memory that its function takes, each once; the number of an operand is its position here."""
        return tuple(dict.fromkeys((*self.reads, *self.stored)))

    def inputs_of(self, node: Node) -> Sequence[NodeInput]:
        """Return what ``node`` reads in this kernel."""
        return inputs_of(node, self.root, self.operand_positions)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the loop."""
        return loop_shape(self.kind, self.root, self.operand_positions)

    @property
    def flops(self) -> int:
        """Floating-point operations, one for each elementwise application and two for each multiply-add; none for a move."""
        if not self.traits.is_run:
            return 0
        counted = sum(
            size_of(node.specs[0].shape)
            for node in self.nodes
            if isinstance(node.op, Elementwise | Selection) and (node is not self.root or self.traits.is_by_entry)
        )
        op = self.root.op
        if isinstance(op, Bilinear):
            x1, x2 = self.root.edges
            shape1, shape2 = x1.spec.shape, x2.spec.shape
            labels1, labels2, _ = op.labels(shape1, shape2, **self.root.params)
            return counted + 2 * size_of(tuple(op.sizes(labels1, shape1, labels2, shape2).values()))
        return counted + (size_of(self.shape) if self.traits.combines else 0)

    @property
    def bytes(self) -> int:
        """Bytes read and written, each value once."""
        if not self.traits.is_run:
            return 0
        positions = self.operand_positions
        stored = set(self.stored if positions is None else self.stored[1:])  # of a join the first is the root
        joined = [size_of(self.root.edge(position).spec.shape) for position in positions or ()]
        written = sum(joined) * self.root.specs[0].dtype.itemsize if joined else 0
        counts = {edge: size_of(edge.spec.shape) for edge in stored}
        counts |= self._entries_read({*self.reads} - stored)
        return written + sum(count * edge.spec.dtype.itemsize for edge, count in counts.items())

    def _entries_read(self, edges: Iterable[Edge]) -> dict[Edge, int]:
        """Return how many entries of each value are read: through an index map (``take``) no more than it returns."""
        counts = dict.fromkeys(edges, 0)
        for node in self.nodes:
            for position, x in enumerate(self.inputs_of(node)):
                if type(x) is Edge and x in counts:
                    is_mapped = isinstance(node.op, Linear) and position == 0
                    counts[x] += size_of((node.specs[0] if is_mapped else x.spec).shape)
        sizes = {edge: size_of(edge.spec.shape) for edge in counts}
        return {edge: min(sizes[edge], count or sizes[edge]) for edge, count in counts.items()}

    def __str__(self) -> str:
        counts = Counter(node.op.name for node in self.nodes if node.op)
        names = " ".join(name if count == 1 else f"{name}×{count}" for name, count in counts.items())
        shape = "×".join(map(str, self.shape)) or "1"
        return f"{self.kind:<8} {shape:>12}  {self.flops:>12,} flop  {self.bytes:>12,} B  {names}"


def inputs_of(node: Node, root: Node, operand_positions: tuple[int, ...] | None) -> Sequence[NodeInput]:
    """Return what ``node`` reads in a kernel: of the root of a join, only the operands of the kernel."""
    if operand_positions is None or node is not root:
        return node.inputs
    return [node.inputs[position] for position in operand_positions]


def loop_shape(kind: Kind, root: Node, operand_positions: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the extents of a kernel's loop."""
    if operand_positions is not None:
        shapes = {root.edge(position).spec.shape for position in operand_positions}
        return shapes.pop() if len(shapes) == 1 else ()
    if TRAITS[kind].loops_over_input:
        return shape_of(root.operands[0])
    return root.specs[0].shape if root.specs else ()


def structure_of(kernel: Kernel) -> Hashable | None:
    """Return what a kernel computes, its operands by number: kernels of equal structure have one nest and one function.

    ``None``: it depends on something that cannot be compared.
    """
    numbers = {node: number for number, node in enumerate(kernel.nodes)}
    operands = {edge: number for number, edge in enumerate(kernel.operands)}

    def reference(x: NodeInput) -> Hashable:
        if type(x) is not Edge:
            return comparable(x)
        if x.node in numbers:
            return "node", numbers[x.node], x.index
        number = operands.get(x)
        return ("operand", number) if number is not None else ("elsewhere", x.spec)

    try:
        nodes = tuple(
            (node.op, comparable(node.params), tuple(map(reference, node.inputs)), node.specs) for node in kernel.nodes
        )
        views = tuple((operands[view.edge], view.position) for view in kernel.views)
        specs = tuple(edge.spec for edge in operands)
        key = kernel.kind, kernel.operand_positions, nodes, tuple(map(reference, kernel.stored)), views, specs
        hash(key)
    except TypeError:
        return None
    return key


def comparable(value: Any) -> Hashable:
    """Return a key that is equal for values that give the same code: 0.0 is not -0.0, 1 is neither 1.0 nor True."""
    kind = type(value)
    if kind in (tuple, list):
        return kind, tuple(map(comparable, value))
    if kind is dict:
        return kind, tuple((name, comparable(entry)) for name, entry in sorted(value.items()))
    if kind is slice:
        return kind, comparable((value.start, value.stop, value.step))
    if issubclass(kind, float | complex | np.inexact):
        return kind, repr(value)
    if issubclass(kind, np.ndarray):
        return kind, value.shape, value.dtype, value.tobytes()
    return kind, value


def listing(kernels: Sequence[Kernel], graph: Graph) -> str:
    """Return the kernels as text: kind, extents, FLOPs, bytes, how loops are written, and what was fused."""
    names = graph.names()
    lines = []
    for number, kernel in enumerate(kernels):
        lines.append(f"{number:>3} {kernel}")
        if plan := str(kernel.loops or ""):
            lines.append(f"       {plan}")
        for node in kernel.nodes:
            lines.append(f"       {names.get(node, '?')} = {application(node, names)}")
    return "\n".join(lines)


def called_back(kernels: Sequence[Kernel]) -> Iterator[Kernel]:
    """Yield the kernels that call Python, and loops that may pass their limit, in the order in which they are numbered."""
    for kernel in kernels:
        if kernel.bodies:
            if kernel.traits.has_limit:
                yield kernel
            for body in kernel.bodies:
                yield from called_back(body.kernels)
        elif kernel.traits.calls_python:
            yield kernel
