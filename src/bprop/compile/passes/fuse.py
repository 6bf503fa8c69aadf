"""Fusion: which nodes share a kernel.

The nodes are visited from the last to the first. A node that is computed entry by entry joins the kernel of its
consumers if they are all in one kernel and read it at one position, so that nothing is computed twice and no cycle
can arise; otherwise it starts a kernel of its own. A scalar joins the first of the kernels that read it, which stores it.
Re-indexings of one array and constants are free to recompute, and so are deviations from a mean, which cost less than to read
them would: they join every kernel that reads them. Contractions read re-indexed operands through strides.
"""

from collections.abc import Sequence
from typing import Any

from ...core.error import CompileError
from ...core.family import (
    Bilinear,
    Creation,
    Cumulative,
    Elementwise,
    General,
    Join,
    Linear,
    Random,
    Reduction,
    Region,
    Selection,
)
from ...core.graph import Edge, Graph, Node, NodeInput
from ...core.op import role_of
from ...core.shape import size_of
from ..ir.affine_index import variable
from ..ir.kernel import TRAITS, Kernel, Kind, KindTraits, View, comparable, inputs_of, loop_shape
from ..ir.scalar_expr import is_gather, is_reindexing, source_position

MAX_NODES = 96
"""Most nodes in one kernel: keeps its compile time short and the recursion over it shallow."""
MAX_JOINED = 16
"""Most operands of a join that one kernel copies."""
SMALL_FRACTION = 8
"""How many times smaller than an array is what is subtracted from it again in every kernel that reads the difference."""
SMALL_OPERAND = 8
"""Most entries of an operand of a join that is copied without a loop, together with operands of other shapes."""


class _Group:
    """The nodes of a kernel while they are collected, from its root on. Of two the one with the larger ``number`` runs first."""

    def __init__(self, kind: Kind, root: Node, number: int, operand_positions: tuple[int, ...] | None = None) -> None:
        self.kind = kind
        self.number = number
        self.root = root
        self.operand_positions = operand_positions
        self.nodes: dict[Node, None] = {root: None}
        self.stored: list[Edge] = root.outputs
        self.views: list[View] = []

    @property
    def traits(self) -> KindTraits:
        """What is true of every kernel of its kind."""
        return TRAITS[self.kind]

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the loop."""
        return loop_shape(self.kind, self.root, self.operand_positions)

    @property
    def is_unrolled(self) -> bool:
        """Whether it copies operands of several shapes, without a loop."""
        return self.operand_positions is not None and self.shape == ()

    def inputs_of(self, node: Node) -> Sequence[NodeInput]:
        """Return what ``node`` reads in this kernel."""
        return inputs_of(node, self.root, self.operand_positions)

    def kernel(self) -> Kernel:
        """Return the kernel of these nodes, in their order, with what it reads from memory."""
        nodes = tuple(sorted(self.nodes, key=lambda node: node.number))
        may_fail = self.traits.may_fail
        if self.traits.reads_views:
            reads = [view.edge for view in self.views]
        else:
            edges = [x for node in nodes for x in self.inputs_of(node) if type(x) is Edge]
            reads = [edge for edge in edges if edge.node not in self.nodes]
            may_fail |= any(isinstance(node.op, Linear) and len(node.inputs) > 1 for node in nodes)
        return Kernel(
            self.kind,
            self.root,
            nodes,
            tuple(self.stored),
            tuple(dict.fromkeys(reads)),
            tuple(self.views),
            self.operand_positions,
            may_fail,
        )


_ROOTS: tuple[tuple[type, Kind], ...] = (
    (Reduction, "reduce"),
    (Cumulative, "cumulate"),
    (Bilinear, "contract"),
    (Random, "random"),
    (General, "callback"),
    (Linear, "scatter"),
)


def fuse(graph: Graph) -> list[Kernel]:
    """Group the nodes of a graph into kernels, in the order in which they run."""
    return _Fusion(graph).kernels()


class _Fusion:
    """Collects groups of nodes; ``uses`` are the groups that read a node, each with the position, named by its origin."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.needed: set[Edge] = set(graph.outputs)
        self.uses: dict[Node, list[tuple[_Group, Any]]] = {}
        self.groups: list[_Group] = []

    def kernels(self) -> list[Kernel]:
        """Visit the nodes from the last to the first."""
        for node in reversed(self.graph.nodes):
            if _is_complex(node):
                self._start("callback", node)
            elif _is_free(node):
                self._join_every_reader(node)
            elif isinstance(node.op, Join):
                for positions in _joined_together(node):
                    self._start("join", node, positions)
            elif not _by_entry(node):
                self._start(_root_kind(node), node)
            elif not self._join_reader(node):
                self._start("map", node)
        return [group.kernel() for group in reversed(self.groups)]

    def _join_reader(self, node: Node) -> bool:
        """Fuse ``node`` into the group that reads it first, if that reads it at one position.

        Where other groups read it too, or it is an output, that group stores it: of those that read it, it runs first.
        """
        uses = dict.fromkeys(self.uses.get(node, []))
        if not uses:
            return False
        group, position = max(uses, key=lambda use: use[0].number)
        if any(other is group and at != position for other, at in uses):
            return False
        shape = node.specs[0].shape
        size, looped = size_of(shape), size_of(group.shape)
        if not group.traits.is_nest or len(group.nodes) >= MAX_NODES or looped > size > 1:
            return False
        if group.is_unrolled and size > 1:  # it would be written out for every entry
            return False
        if node.output in self.needed or len(uses) > 1:
            if not group.traits.stores_nodes or shape != group.shape or position not in ("loop", "single"):
                return False
            if not group.traits.is_by_entry and node.output in self.needed:  # a kernel of its own may write it in place
                return False
            group.stored.append(node.output)
        group.nodes[node] = None
        self._read(group, node, position)
        return True

    def _join_every_reader(self, node: Node) -> None:
        """Fuse a re-indexing or a constant into every group that reads it; store it where one of them cannot take it."""
        uses = dict.fromkeys(self.uses.get(node, []))
        if node.output in self.needed or any(not self._takes(group, node, position) for group, position in uses):
            is_view = isinstance(node.op, Linear) and node.op.view and type(node.inputs[0]) is Edge
            self._start("alias" if is_view else "map", node)
            return
        for group, position in uses:
            if group.traits.reads_views:
                group.views[position] = View(node.edge(0), source_position(node, group.views[position].position))
                self._use(node.edge(0), group, position)
            else:
                group.nodes[node] = None
                self._read(group, node, position)

    def _takes(self, group: _Group, node: Node, position: Any) -> bool:
        """Return whether a node that is free to recompute can be fused into a group."""
        if group.traits.reads_views:
            if not isinstance(node.op, Linear) or type(node.inputs[0]) is not Edge:
                return False
            return all(index.linear() for index in source_position(node, group.views[position].position))
        return group.traits.is_nest and (node in group.nodes or len(group.nodes) < MAX_NODES)

    def _start(self, kind: Kind | None, node: Node, operand_positions: tuple[int, ...] | None = None) -> None:
        assert node.op is not None
        if not kind:
            raise CompileError(f"{node.op.name}: an op of family {type(node.op).__name__} has no native code")
        group = _Group(kind, node, len(self.groups), operand_positions)
        self.groups.append(group)
        if group.traits.reads_views:
            for number, x in enumerate(node.inputs):
                if type(x) is not Edge:
                    raise CompileError(
                        f"{node.op.name}: a Python number as operand of a contraction has no native code"
                    )
                axes = enumerate(x.spec.shape)
                group.views.append(View(x, tuple(variable(axis, size) for axis, size in axes)))
                self._use(x, group, number)
        elif group.traits.is_nest:
            self._read(group, node, "loop")
        else:
            for x in node.edges:
                self._use(x, group, "memory")

    def _read(self, group: _Group, node: Node, position: Any) -> None:
        """Record at which positions ``node``, computed in ``group`` at ``position``, reads its operands."""
        for number, x in enumerate(group.inputs_of(node)):
            if type(x) is not Edge:
                continue
            shape = x.spec.shape
            read_at = position
            if size_of(shape) == 1:
                read_at = "single"
            elif isinstance(node.op, Linear) and (node is not group.root or is_gather(node) or number):
                read_at = (position, _index_map(node), number)
            elif isinstance(node.op, Elementwise | Selection) and shape != node.specs[0].shape:
                read_at = (position, shape)
            self._use(x, group, read_at)

    def _use(self, x: Edge, group: _Group, position: Any) -> None:
        self.uses.setdefault(x.node, []).append((group, position))


def _is_complex(node: Node) -> bool:
    """Whether complex numbers go in or come out: NumPy computes with them, called back."""
    specs = [*node.specs, *(edge.spec for edge in node.edges)]
    return not isinstance(node.op, Region) and any(spec.dtype.kind == "c" for spec in specs)


def _index_map(node: Node) -> Any:
    """Return what says at which position an op of the linear family reads its operands: equal for nodes that read alike."""
    if not is_reindexing(node):
        return node
    shapes = node.edge(0).spec.shape, node.specs[0].shape
    return node.op, comparable(node.params), shapes


def _joined_together(node: Node) -> list[tuple[int, ...]]:
    """Return the operands of a join, by position, that one kernel copies: of one shape, or small."""
    shapes = [x.spec.shape for x in node.edges]
    together: dict[Any, list[int]] = {}
    for position, shape in enumerate(shapes):
        is_small = size_of(shape) <= SMALL_OPERAND and len(set(shapes)) > 1
        together.setdefault(None if is_small else shape, []).append(position)
    return [
        tuple(positions[start : start + MAX_JOINED])
        for positions in together.values()
        for start in range(0, len(positions), MAX_JOINED)
    ]


def _by_entry(node: Node) -> bool:
    if isinstance(node.op, Elementwise):
        return node.op.native != "callback"
    return isinstance(node.op, Selection | Creation) or is_gather(node)


def _root_kind(node: Node) -> Kind | None:
    """Return the kind of kernel that a node not computed entry by entry starts."""
    if isinstance(node.op, Elementwise) or (isinstance(node.op, Random) and node.op.entry is None):
        return "callback"  # an op that is not computed entry by entry in native code
    if isinstance(node.op, Region):
        return node.op.native or None
    return next((kind for family, kind in _ROOTS if isinstance(node.op, family)), None)


def _is_free(node: Node) -> bool:
    """Whether computing an entry again costs nothing: constants, re-indexings without index operands, and deviations."""
    return isinstance(node.op, Creation) or is_reindexing(node) or _is_deviation(node)


def _is_deviation(node: Node) -> bool:
    """Whether something much smaller is subtracted from an array that was there before it: no kernel makes both."""
    if role_of(node.op) != "difference" or len(node.edges) != 2:
        return False
    x, mean = node.edges
    is_small = size_of(mean.spec.shape) * SMALL_FRACTION <= size_of(x.spec.shape) == size_of(node.specs[0].shape)
    return is_small and mean.node.op is not None and mean.node.number > x.node.number
