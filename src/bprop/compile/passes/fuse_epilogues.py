"""Epilogues: maps that follow a contraction or a reduction, computed on its results while these are in the cache or in registers.

A map joins the kernel whose result it reads if it goes over the same entries in the same order, reads them where it writes,
and reads nothing else that depends on that kernel. Of several kernels it joins the last. A value that only maps inside the
kernel read is not stored. So bias and activation are part of a layer's product, a weight's update part of the product or the
sum that gives its gradient, and a mean or a standard deviation part of the sum that it is made of.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from ...core.graph import Edge, Graph
from ...core.shape import size_of
from ..ir.affine_index import AffineIndex, IndexTerm, flattened, unflattened, variable
from ..ir.contraction import Contraction
from ..ir.kernel import Kernel
from ..ir.loop_nest import Epilogue, Loop, LoopNest, Store
from ..ir.memory_plan import bytes_of
from ..ir.scalar_expr import ScalarBuilder, ScalarExpr, index_of, scalars_of
from .build_loop_nests import with_epilogue
from .fuse import MAX_NODES

PREFETCH_BYTES = 2**19
"""Bytes that stay in the second-level cache from one step to the next: larger operands of the maps are prefetched."""


def fuse_epilogues(kernels: Sequence[Kernel], graph: Graph, donated: Mapping[int, int]) -> list[Kernel]:
    """Return the kernels in order, maps fused into reductions and large contractions where that is possible."""
    if not any(map(_takes_maps, kernels)):
        return list(kernels)
    return _EpilogueFusion(kernels, graph, donated).kernels()


def _takes_maps(kernel: Kernel) -> bool:
    if kernel.kind == "reduce":
        return True
    return kernel.contraction is not None and kernel.contraction.blocking is not None


def _accumulates_in_memory(kernel: Kernel) -> bool:
    """Return whether the partial sums of a contraction's result pass through memory."""
    contraction = kernel.contraction
    blocking = None if contraction is None else contraction.blocking
    return blocking is not None and blocking.splits == 1 and blocking.depth_blocks > 1


class _EpilogueFusion:
    """Moves maps into the kernels before them. ``order`` are the kernels so far, ``producers`` those that store a value."""

    def __init__(self, kernels: Sequence[Kernel], graph: Graph, donated: Mapping[int, int]) -> None:
        self.order = list(kernels)
        self.graph = graph
        self.donated = donated
        self.with_maps: dict[Kernel, None] = {}
        self.producers: dict[Edge, list[Kernel]] = {}
        for kernel in kernels:
            for edge in kernel.stored:
                self.producers.setdefault(edge, []).append(kernel)

    def kernels(self) -> list[Kernel]:
        """Return the kernels with their epilogues."""
        for kernel in list(self.order):
            if kernel.traits.is_by_entry and not kernel.may_fail:
                producer = self._producer_before(kernel)
                if producer is not None:
                    self._replace(producer, self._joined(kernel, producer))
        read = {*self.graph.outputs, *(edge for kernel in self.order for edge in kernel.reads)}
        for kernel in list(self.with_maps):
            self._replace(kernel, _without_unread(kernel, read))
        self._delay()
        return [
            kernel
            if kernel not in self.with_maps
            else with_epilogue(kernel)
            if kernel.contraction is None
            else replace(kernel, epilogue=_epilogue(kernel))
            for kernel in self.order
        ]

    def _replace(self, old: Kernel, new: Kernel) -> None:
        """Replace a kernel by the one with more maps."""
        self.order[self.order.index(old)] = new
        for edge in (*old.stored, *new.stored):
            self.producers[edge] = [new]
        self.with_maps.pop(old, None)
        self.with_maps[new] = None

    def _needs(self, kernel: Kernel) -> list[Kernel]:
        return [x for edge in kernel.reads for x in self.producers.get(edge, ()) if x is not kernel]

    def _producer_before(self, kernel: Kernel) -> Kernel | None:
        """Return the kernel that a map joins, after reordering the kernels so that it can."""
        producers = dict.fromkeys(self._needs(kernel))
        candidates = [x for x in producers if _takes_maps(x) and _follows(kernel, x)]
        for producer in sorted(candidates, key=self.order.index, reverse=True):
            first, last = self.order.index(producer), self.order.index(kernel)
            between = self.order[first + 1 : last]
            before: list[Kernel] = []
            needed = set(self._needs(kernel))
            for other in reversed(between):
                if other in needed:
                    before.append(other)
                    needed.update(self._needs(other))
            if all(producer not in self._needs(other) for other in before):
                after = [other for other in between if other not in before]
                self.order[first : last + 1] = [*reversed(before), producer, *after]
                return producer
        return None

    def _joined(self, kernel: Kernel, producer: Kernel) -> Kernel:
        """Return a kernel that computes a map as well."""
        nodes = sorted(dict.fromkeys([*producer.nodes, *kernel.nodes]), key=lambda node: node.number)
        stored = (*producer.stored, *kernel.stored)
        reads = [x for x in dict.fromkeys([*producer.reads, *kernel.reads]) if x not in stored]
        return replace(producer, nodes=tuple(nodes), stored=stored, reads=tuple(reads))

    def _delay(self) -> None:
        """Move a kernel that overwrites a donated input behind all that read the input or may fail, where possible."""
        for number, target in self.donated.items():
            old = self.graph.inputs[target].output
            (kernel,) = self.producers.get(self.graph.outputs[number], [None])[:1]
            if kernel not in self.with_maps:
                continue
            same = {old, *(x.root.output for x in self.order if not x.traits.is_run and old in x.reads)}
            first = self.order.index(kernel)
            last = max((n for n, x in enumerate(self.order) if x.may_fail or same.intersection(x.reads)), default=-1)
            if last <= first:
                continue
            delayed: list[Kernel] = [kernel]
            after: list[Kernel] = []
            for other in self.order[first + 1 : last + 1]:
                (delayed if set(delayed).intersection(self._needs(other)) else after).append(other)
            if not any(same.intersection(other.reads) for other in delayed[1:]):
                self.order[first : last + 1] = [*after, *delayed]


def _follows(kernel: Kernel, producer: Kernel) -> bool:
    """Return whether a map goes over the results of a kernel in the order in which they are stored."""
    size = size_of(producer.root.specs[0].shape)
    if size_of(kernel.shape) != size or len(kernel.nodes) + len(producer.nodes) > MAX_NODES:
        return False
    entry = flattened(tuple(variable(axis, size) for axis, size in enumerate(kernel.shape)), kernel.shape)
    operands = kernel.operands
    loads = cast(LoopNest, kernel.nest).loads
    return all(address == entry for operand, address in loads if operands[operand] in producer.stored)


def _without_unread(kernel: Kernel, read: Iterable[Edge]) -> Kernel:
    """Return a kernel that stores only what is read outside."""
    root = kernel.root.output
    stored = tuple(edge for edge in kernel.stored if edge in read or (edge == root and _accumulates_in_memory(kernel)))
    return replace(kernel, stored=stored)


def _epilogue(kernel: Kernel) -> Epilogue:
    """Return the maps of a contraction as a loop nest over a macro tile."""
    contraction = cast(Contraction, kernel.contraction)
    root, labels = kernel.root.output, contraction.labels
    # the result is no operand where it is not stored: then it has the number after the last
    operands = list(dict.fromkeys((*kernel.operands, root)))
    builder = ScalarBuilder((node for node in kernel.nodes if node is not kernel.root), operands)
    address = AffineIndex()
    for number, (extent, stride) in enumerate(labels):
        address = address + variable(number, extent) * stride
    stores = tuple(
        Store(operands.index(edge), address, builder.value(edge, unflattened(address, edge.spec.shape)))
        for edge in kernel.stored
        if edge != root
    )
    scalars = tuple(scalars_of([store.value for store in stores]))
    loads = [x for x in scalars if x.op == "load"]
    result = next((x for x in loads if x.detail[0] == operands.index(root)), None)
    variables = [IndexTerm("loop", number, extent) for number, (extent, _) in enumerate(labels)]
    return Epilogue(
        shape=kernel.shape,
        outer=tuple(Loop(term, term.size) for term in variables[-2:]),
        inner=(),
        innermost=variables[-1],
        stores=stores,
        scalars=scalars,
        outer_variables=tuple(variables[:-2]),
        result=result,
        prefetched=_prefetched(contraction, operands, [x for x in loads if x is not result and index_of(x) == address]),
    )


def _prefetched(contraction: Contraction, operands: Sequence[Edge], loads: Iterable[ScalarExpr]) -> tuple[int, ...]:
    """Return the operands that are prefetched, of those with ``loads`` at the result's address: memory and arithmetic overlap."""
    blocking = contraction.blocking
    if blocking is None or blocking.splits > 1 or blocking.depth_blocks > 1:
        return ()
    numbers = dict.fromkeys(x.detail[0] for x in loads if operands[x.detail[0]].spec.dtype == contraction.dtype)
    return tuple(numbers) if sum(bytes_of(operands[number]) for number in numbers) > PREFETCH_BYTES else ()
