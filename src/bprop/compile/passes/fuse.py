"""Fusion: which nodes share a kernel.

The nodes are visited from the last to the first. A node that is computed entry by entry joins the kernel of its
consumers if they are all in one kernel and read it at one position, so that nothing is computed twice and no cycle
can arise; otherwise it starts a kernel of its own. Re-indexings of one array and constants cost nothing to repeat:
they join every kernel that reads them. Contractions read re-indexed operands through strides.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

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
from ...core.graph import Edge, Graph, Node, application
from ...core.shape import size_of
from ..ir.affine_index import Index, variable
from ..ir.scalar_expr import Body, as_index, spec_of

Kind = Literal[
    "map",
    "join",
    "reduce",
    "scatter",
    "cumulate",
    "contract",
    "random",
    "callback",
    "guard",
    "scan",
    "branch",
    "loop",
    "alias",
]
LOOPS: tuple[Kind, ...] = ("map", "join", "reduce", "scatter", "cumulate")
"""Kinds of kernels that are loop nests over entries, so that nodes can be fused into them."""
LARGEST = 96
"""Nodes in one kernel at most: keeps kernels compilable in little time and the recursion over them shallow."""


class View(NamedTuple):
    """An operand of a contraction: the value in memory, and where each axis of the operand reads it."""

    edge: Edge
    position: tuple[Index, ...]


class Kernel:
    """Nodes computed together in one loop nest. ``root`` gives the loop, ``stored`` are the values it writes.

    ``reads`` are the values in memory that it needs; ``views`` the operands of a contraction. A join is a kernel for
    each of its parts, ``part`` being the position of the one.
    """

    def __init__(self, kind: Kind, root: Node, part: int | None = None) -> None:
        self.kind = kind
        self.root = root
        self.part = part
        self.nodes: list[Node] = [root]
        self.stored: list[Edge] = [(root, index) for index in range(len(root.specs))]
        self.reads: list[Edge] = []
        self.views: list[View] = []
        self.fallible = kind in ("callback", "guard", "scan", "branch", "loop", "scatter")

    def operands(self, node: Node) -> Sequence[Any]:
        """Return what ``node`` reads in this kernel."""
        return node.inputs if self.part is None or node is not self.root else (node.inputs[self.part],)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the loop."""
        if self.part is not None:
            return spec_of(self.root.inputs[self.part]).shape
        if self.kind in ("reduce", "scatter"):
            x = self.root.inputs[0]
            return spec_of(x).shape if type(x) is tuple else ()
        return self.root.specs[0].shape if self.root.specs else ()

    @property
    def flops(self) -> int:
        """Floating-point operations, one for each elementwise application and two for each multiply-add; none for a move."""
        if self.kind == "alias":
            return 0
        counted = sum(
            size_of(node.specs[0].shape)
            for node in self.nodes
            if isinstance(node.op, Elementwise | Selection) and (node is not self.root or self.kind == "map")
        )
        if self.kind == "contract":
            (x1, x2), op = self.root.inputs, self.root.op
            assert isinstance(op, Bilinear)
            shape1, shape2 = spec_of(x1).shape, spec_of(x2).shape
            labels1, labels2, _ = op.labels(shape1, shape2, **self.root.params)
            return counted + 2 * size_of(tuple(op.sizes(labels1, shape1, labels2, shape2).values()))
        moved = self.kind in ("map", "callback", "guard", "join", "scan", "branch", "loop")
        return counted + (0 if moved else size_of(self.shape))

    @property
    def bytes(self) -> int:
        """Bytes read and written, each value once."""
        if self.kind == "alias":
            return 0
        stored = set(self.stored if self.part is None else ())
        written = 0 if self.part is None else size_of(self.shape) * self.root.specs[0].dtype.itemsize
        counts = {edge: size_of(spec_of(edge).shape) for edge in stored}
        counts |= {edge: self._read(edge) for edge in {*self.reads} - stored}
        return written + sum(count * spec_of(edge).dtype.itemsize for edge, count in counts.items())

    def _read(self, edge: Edge) -> int:
        """Return how many entries of a value are read: by an index map, as rows that are taken, no more than it gives."""
        whole, count = size_of(spec_of(edge).shape), 0
        for node in self.nodes:
            for position, x in enumerate(self.operands(node)):
                if type(x) is tuple and x == edge:
                    mapped = isinstance(node.op, Linear) and position == 0
                    count += size_of(node.specs[0].shape) if mapped else whole
        return min(whole, count or whole)

    def __str__(self) -> str:
        counts = Counter(node.op.name for node in self.nodes if node.op)
        names = " ".join(name if count == 1 else f"{name}×{count}" for name, count in counts.items())
        shape = "×".join(map(str, self.shape)) or "1"
        return f"{self.kind:<8} {shape:>12}  {self.flops:>12,} flop  {self.bytes:>12,} B  {names}"


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
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.needed: set[Edge] = set(graph.outputs)
        # who reads a node inside which kernel, and where: the position is named by how it came about
        self.uses: dict[Node, list[tuple[Kernel, Any]]] = {}
        self.made: list[Kernel] = []

    def kernels(self) -> list[Kernel]:
        for node in reversed(self.graph.nodes):
            if isinstance(node.op, Linear) and _free(node) and not self._joins_free(node):
                continue
            if isinstance(node.op, Join):
                for position in range(len(node.inputs)):
                    self._start("join", node, position)
            elif not _by_entry(node):
                self._start(_root(node), node)
            elif not _free(node) and not self._joins(node):
                self._start("map", node)
            elif isinstance(node.op, Creation):
                self._joins_free(node)
        self.made.reverse()
        for kernel in self.made:
            _finish(kernel, set(kernel.nodes))
        return self.made

    def _joins(self, node: Node) -> bool:
        """Put ``node`` into the kernel of its consumers, if there is one for all of them."""
        uses = self.uses.get(node, [])
        if len(set(uses)) != 1:
            return False
        (kernel, where) = uses[0]
        size, looped = size_of(node.specs[0].shape), size_of(kernel.shape)
        if kernel.kind not in LOOPS or len(kernel.nodes) >= LARGEST or looped > size > 1:
            return False
        if (node, 0) in self.needed:
            if kernel.kind != "map" or node.specs[0].shape != kernel.shape:
                return False
            kernel.stored.append((node, 0))
        kernel.nodes.append(node)
        self._read(kernel, node, where)
        return True

    def _joins_free(self, node: Node) -> bool:
        """Put a re-indexing or a constant into every kernel that reads it; keep it in memory where that is needed."""
        uses = dict.fromkeys(self.uses.get(node, []))
        if (node, 0) in self.needed or any(not self._takes(kernel, node, where) for kernel, where in uses):
            if isinstance(node.op, Linear) and node.op.view and type(node.inputs[0]) is tuple:
                self._start("alias", node)
            else:
                self._start("map", node)
            return False
        for kernel, where in uses:
            if kernel.kind == "contract":
                position = kernel.views[where].position
                kernel.views[where] = View(node.inputs[0], _moved(node, position))
                self._use(node.inputs[0], kernel, where)
                continue
            if node not in kernel.nodes:
                kernel.nodes.append(node)
            self._read(kernel, node, where)
        return False

    def _takes(self, kernel: Kernel, node: Node, where: Any) -> bool:
        if kernel.kind == "contract":
            if not isinstance(node.op, Linear) or type(node.inputs[0]) is not tuple:
                return False
            return all(one.linear() for one in _moved(node, kernel.views[where].position))
        return kernel.kind in LOOPS and (node in kernel.nodes or len(kernel.nodes) < LARGEST)

    def _start(self, kind: Kind | None, node: Node, part: int | None = None) -> None:
        assert node.op is not None
        if not kind:
            raise CompileError(f"{node.op.name}: an op of family {type(node.op).__name__} has no native code")
        kernel = Kernel(kind, node, part)
        self.made.append(kernel)
        if kind == "contract":
            for number, x in enumerate(node.inputs):
                if type(x) is not tuple:
                    raise CompileError(
                        f"{node.op.name}: a Python number as operand of a contraction has no native code"
                    )
                shape = spec_of(x).shape
                kernel.views.append(View(x, tuple(variable(100 * number + a, s) for a, s in enumerate(shape))))
                self._use(x, kernel, number)
        elif kind in LOOPS:
            self._read(kernel, node, "loop")
        else:
            for x in node.inputs:
                if type(x) is tuple:
                    self._use(x, kernel, "memory")

    def _read(self, kernel: Kernel, node: Node, where: Any) -> None:
        """Note at which positions ``node``, computed in ``kernel`` at ``where``, reads its operands."""
        for number, x in enumerate(kernel.operands(node)):
            if type(x) is not tuple:
                continue
            shape = spec_of(x).shape
            place = where
            if size_of(shape) == 1:
                place = "single"
            elif isinstance(node.op, Linear) and (node is not kernel.root or not node.op.scatter or number):
                place = (where, node, number)
            elif isinstance(node.op, Elementwise | Selection) and shape != node.specs[0].shape:
                place = (where, shape)
            self._use(x, kernel, place)

    def _use(self, x: Edge, kernel: Kernel, where: Any) -> None:
        self.uses.setdefault(x[0], []).append((kernel, where))


def _by_entry(node: Node) -> bool:
    if isinstance(node.op, Elementwise):
        return node.op.native != "callback"
    return isinstance(node.op, Selection | Creation) or (isinstance(node.op, Linear) and not node.op.scatter)


def _root(node: Node) -> Kind | None:
    """Return the kind of kernel that a node not computed entry by entry starts."""
    if isinstance(node.op, Elementwise):
        return "callback"
    if isinstance(node.op, Region):
        return node.op.native or None
    return next((kind for family, kind in _ROOTS if isinstance(node.op, family)), None)


def _free(node: Node) -> bool:
    """Whether computing an entry again costs nothing: constants and re-indexings without index operands."""
    return isinstance(node.op, Creation) or (
        isinstance(node.op, Linear) and not node.op.scatter and len(node.inputs) == 1
    )


def _moved(node: Node, position: Sequence[Index]) -> tuple[Index, ...]:
    """Return where a re-indexing reads its input."""
    assert isinstance(node.op, Linear)
    return tuple(map(as_index, node.op.index(tuple(position), spec_of(node.inputs[0]).shape, **node.params)))


def _finish(kernel: Kernel, inside: set[Node]) -> None:
    """Order the nodes and list what the kernel reads from memory."""
    kernel.nodes.sort(key=lambda node: node.number)
    if kernel.kind == "contract":
        kernel.reads = list(dict.fromkeys(view.edge for view in kernel.views))
        return
    edges = [x for node in kernel.nodes for x in kernel.operands(node) if type(x) is tuple]
    kernel.reads = list(dict.fromkeys(edge for edge in edges if edge[0] not in inside))
    kernel.fallible |= any(isinstance(node.op, Linear) and len(node.inputs) > 1 for node in kernel.nodes)


def listing(kernels: Sequence[Kernel], graph: Graph) -> str:
    """Return the kernels as text: kind, extents, FLOPs, bytes, and what was fused."""
    names = graph.names()
    lines = []
    for number, kernel in enumerate(kernels):
        lines.append(f"{number:>3} {kernel}")
        for node in kernel.nodes:
            lines.append(f"       {names.get(node, '?')} = {application(node, names)}")
    return "\n".join(lines)


__all__ = ["LOOPS", "Body", "Kernel", "View", "fuse", "listing"]
