"""Maps that follow a contraction, computed on each of its blocks while that is in the cache.

A map joins the kernel of a contraction whose result it reads if it goes over the same entries in the same order, reads them
where it writes, and needs nothing else that waits for the contraction. With several contractions it joins the last. What
only maps inside the kernel read is not kept. So bias and activation are part of a layer's product, and a weight's update
part of the product that gives its gradient.
"""

from collections.abc import Sequence
from typing import Any

from ...core.graph import Edge, Graph
from ...core.shape import size_of
from ..ir.affine_index import Atom, Index, flattened, variable
from ..ir.loop_nest import Loop, Nest
from ..ir.scalar_expr import Body, Position, Scalar, index_of, scalars_of, spec_of
from .fuse import LARGEST, Kernel


class Epilogue(Nest):
    """The maps after a contraction as a nest of two loops, unmerged, over a block of the result.

    ``strides`` are the labels of the result, the last two those of a block's rows and columns in memory, as
    (extent, stride). ``result`` is the scalar that reads the contraction's entry; ``beside`` are the operands read at the
    place of that entry.
    """

    def __init__(self, kernel: Kernel, labels: Sequence[tuple[int, int]]) -> None:
        self.kernel = kernel
        self.body = Body(node for node in kernel.nodes if node is not kernel.root)
        variables = [variable(n, extent) for n, (extent, _) in enumerate(labels)]
        flat = Index()
        for one, (_, stride) in zip(variables, labels, strict=True):
            flat = flat + one * stride
        self.stores = [(edge, flat, self._value(edge, flat)) for edge in kernel.stored if edge[0] is not kernel.root]
        self.inner = []
        self.value, self.operands, self.target = None, [], Index()
        atoms = [Atom("loop", n, extent) for n, (extent, _) in enumerate(labels)]
        self.outer_atoms = atoms[:-2]
        self.loops = self.outer = [Loop(atom) for atom in atoms[-2:]]
        self.scalars = scalars_of([value for _, _, value in self.stores])
        loads = [x for x in self.scalars if x.op == "load"]
        self.result = next((x for x in loads if x.detail[0] == (kernel.root, 0)), None)
        beside = [x.detail[0] for x in loads if x is not self.result and index_of(x) == flat]
        self.beside: list[Edge] = list(dict.fromkeys(beside))

    def _value(self, edge: Edge, flat: Index) -> Scalar:
        value: Scalar = self.body.value(edge, unravelled(flat, spec_of(edge).shape))
        return value


def unravelled(flat: Index, shape: Sequence[int]) -> Position:
    """Return the position of the entry at a place in row-major order."""
    position: list[Index] = []
    for size in reversed(shape):
        position.append(flat % size)
        flat = flat // size
    return tuple(reversed(position))


def attach(
    kernels: Sequence[Kernel],
    nests: dict[Kernel, Nest],
    large: dict[Kernel, bool],
    graph: Graph,
    donated: dict[int, int],
) -> list[Kernel]:
    """Return the kernels in order, maps put into contractions where that may be.

    ``large`` are the contractions that take maps, with whether their result passes through memory while it grows.
    """
    return _Attachment(kernels, nests, large, graph, donated).kernels()


class _Attachment:
    def __init__(
        self,
        kernels: Sequence[Kernel],
        nests: dict[Kernel, Nest],
        large: dict[Kernel, bool],
        graph: Graph,
        donated: dict[int, int],
    ) -> None:
        self.order = list(kernels)
        self.nests = nests
        self.large = large
        self.graph = graph
        self.donated = donated
        self.makers: dict[Edge, list[Kernel]] = {}
        for kernel in kernels:
            for edge in kernel.stored:
                self.makers.setdefault(edge, []).append(kernel)

    def kernels(self) -> list[Kernel]:
        grown = []
        for one in list(self.order) if self.large else ():
            if one.kind == "map" and not one.fallible:
                into = self._into(one)
                if into is not None:
                    self._join(one, into)
                    grown.append(into)
        if grown:
            self._trim(dict.fromkeys(grown))
            self._delay(set(grown))
        return self.order

    def _needs(self, kernel: Kernel) -> list[Kernel]:
        return [maker for edge in kernel.reads for maker in self.makers.get(edge, ()) if maker is not kernel]

    def _into(self, one: Kernel) -> Kernel | None:
        """Return the contraction that a map joins, and bring the kernels into the order that this needs."""
        wanted = [x for x in dict.fromkeys(self._needs(one)) if x in self.large and self._follows(one, x)]
        for kernel in sorted(wanted, key=self.order.index, reverse=True):
            first, last = self.order.index(kernel), self.order.index(one)
            between = self.order[first + 1 : last]
            before: list[Kernel] = []
            needed = set(self._needs(one))
            for other in reversed(between):
                if other in needed:
                    before.append(other)
                    needed.update(self._needs(other))
            if all(kernel not in self._needs(other) for other in before):
                after = [other for other in between if other not in before]
                self.order[first : last + 1] = [*reversed(before), kernel, *after]
                return kernel
        return None

    def _follows(self, one: Kernel, kernel: Kernel) -> bool:
        """Return whether a map reads what a kernel stores entry by entry in its own order."""
        if size_of(one.shape) != size_of(kernel.shape) or len(one.nodes) + len(kernel.nodes) > LARGEST:
            return False
        own = flattened(tuple(variable(axis, size) for axis, size in enumerate(one.shape)), one.shape)
        loads = [index_of(x) for x in self.nests[one].scalars if x.op == "load" and x.detail[0] in kernel.stored]
        return all(address == own for address in loads)

    def _join(self, one: Kernel, kernel: Kernel) -> None:
        kernel.nodes = sorted(dict.fromkeys([*kernel.nodes, *one.nodes]), key=lambda node: node.number)
        kernel.stored.extend(one.stored)
        kernel.reads = [x for x in dict.fromkeys([*kernel.reads, *one.reads]) if x not in kernel.stored]
        for edge in one.stored:
            self.makers[edge] = [kernel]

    def _trim(self, grown: Any) -> None:
        """Keep in memory only what is read outside."""
        read = set(self.graph.outputs)
        for kernel in self.order:
            read.update(kernel.reads)
        for kernel in grown:
            root = (kernel.root, 0)
            kernel.stored = [edge for edge in kernel.stored if edge in read or (edge == root and self.large[kernel])]

    def _delay(self, grown: set[Kernel]) -> None:
        """Run a kernel that replaces a donated input after all others that read it or may fail, where it can wait."""
        for number, target in self.donated.items():
            old = (self.graph.inputs[target], 0)
            (kernel,) = self.makers.get(self.graph.outputs[number], [None])[:1]
            if kernel not in grown:
                continue
            same = {old, *((x.root, 0) for x in self.order if x.kind == "alias" and old in x.reads)}
            first = self.order.index(kernel)
            last = max((n for n, x in enumerate(self.order) if x.fallible or same.intersection(x.reads)), default=-1)
            if last <= first:
                continue
            late: list[Kernel] = [kernel]
            after: list[Kernel] = []
            for other in self.order[first + 1 : last + 1]:
                (late if set(late).intersection(self._needs(other)) else after).append(other)
            if not any(same.intersection(other.reads) for other in late[1:]):
                self.order[first : last + 1] = [*after, *late]


__all__ = ["Epilogue", "attach", "unravelled"]
