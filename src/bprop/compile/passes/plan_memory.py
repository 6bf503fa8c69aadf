"""Memory planning: lifetimes are static, so the memory of dead values is reused inside one arena."""

from collections.abc import Mapping, Sequence

from ...core.graph import Edge, Graph
from ..ir.kernel import Kernel
from ..ir.memory_plan import Buffer, Copy, MemoryPlan, aligned, bytes_of


def plan_memory(graph: Graph, kernels: Sequence[Kernel], donated: Mapping[int, int]) -> MemoryPlan:
    """Assign every value a buffer: outputs their final memory where that is safe, other values the arena.

    ``donated`` maps outputs to inputs whose memory they replace.
    """
    return _Planner(graph, kernels, donated).plan()


class _Arena:
    """A best-fit allocator of byte ranges: the smallest hole that fits is taken."""

    def __init__(self) -> None:
        self.size = 0
        self._holes: list[tuple[int, int]] = []  # (offset, size), sorted by offset

    def allocate(self, size: int) -> int:
        """Return the offset of so many bytes."""
        size = aligned(size)
        fitting = [hole for hole in self._holes if hole[1] >= size]
        if fitting:
            offset, available = min(fitting, key=lambda hole: hole[1])
            self._holes.remove((offset, available))
            if available > size:
                self._holes.append((offset + size, available - size))
                self._holes.sort()
            return offset
        self.size += size
        return self.size - size

    def free(self, offset: int, size: int) -> None:
        """Free bytes, and join neighbouring holes."""
        self._holes.append((offset, aligned(size)))
        self._holes.sort()
        joined: list[tuple[int, int]] = []
        for hole in self._holes:
            if joined and sum(joined[-1]) == hole[0]:
                joined[-1] = (joined[-1][0], joined[-1][1] + hole[1])
            else:
                joined.append(hole)
        self._holes = joined


class _Planner:
    def __init__(self, graph: Graph, kernels: Sequence[Kernel], donated: Mapping[int, int]) -> None:
        self.graph = graph
        self.kernels = kernels
        self.donated = donated
        self.buffers: dict[Edge, Buffer] = {node.output: Buffer("input", i) for i, node in enumerate(graph.inputs)}
        self.base: dict[Edge, Edge] = {}  # of a view: the value whose memory it shares
        for kernel in kernels:
            if not kernel.traits.is_run:
                x = kernel.root.edge(0)
                self.base[kernel.root.output] = self.base.get(x, x)
        self.producer = {edge: n for n, kernel in enumerate(kernels) for edge in kernel.stored if kernel.traits.is_run}
        self.last_use: dict[Edge, int] = {}
        for number, kernel in enumerate(kernels):
            for edge in (*kernel.reads, *kernel.stored):
                self.last_use[self.base.get(edge, edge)] = number
        self.last_failure = max((n for n, kernel in enumerate(kernels) if kernel.may_fail), default=-1)
        self.copied: list[tuple[Edge, Buffer]] = []
        self.in_place: list[int] = []
        self.workspaces: dict[Kernel, int] = {}
        self.arena = _Arena()

    def plan(self) -> MemoryPlan:
        """Return the plan."""
        self._outputs()
        total = self._intermediates()
        copies = self._copies()
        for view, base in self.base.items():
            self.buffers[view] = self.buffers[base]
        largest = max((kernel.workspace for kernel in self.workspaces), default=0)
        return MemoryPlan(
            self.graph,
            self.donated,
            self.buffers,
            self.workspaces,
            copies,
            tuple(self.in_place),
            self.arena.size,
            total,
            largest,
        )

    def _outputs(self) -> None:
        """Give outputs their buffers, and note those that have to be copied at the end."""
        graph, buffers = self.graph, self.buffers
        bases = [self.base.get(edge, edge) for edge in graph.outputs]
        returned_inputs = {base for base in bases if base.node.op is None}  # they are copied at the end
        for number, base in enumerate(bases):
            if number in self.donated:
                continue
            if base in buffers:
                self.copied.append((base, Buffer("output", number)))
            else:
                buffers[base] = Buffer("output", number)
        for number, target in self.donated.items():
            base, old = bases[number], graph.inputs[target].output
            if base not in buffers and old not in returned_inputs and self._may_overwrite(base, old):
                buffers[base] = Buffer("input", target)
                self.in_place.append(number)
            else:
                self.copied.append((base, Buffer("input", target)))
        for base, _ in self.copied:
            self.last_use[base] = len(self.kernels)

    def _copies(self) -> tuple[Copy, ...]:
        """Return the final copies: all that read an input's memory come before the first that writes one."""
        early, late = [], []
        for base, target in self.copied:
            source, size = self.buffers[base], bytes_of(base)
            if target.kind == "output":
                early.append(Copy(source, target, size))
            elif base.node.op is None:
                between = Buffer("arena", self.arena.allocate(size))
                early.append(Copy(source, between, size))
                late.append(Copy(between, target, size))
            else:
                late.append(Copy(source, target, size))
        # a value written in place may be the source of further copies: they only read it
        return (*early, *late)

    def _may_overwrite(self, new: Edge, old: Edge) -> bool:
        """Return whether each entry of ``new`` may overwrite ``old`` as soon as it is computed."""
        number = self.producer.get(new)
        if number is None or not self.kernels[number].traits.stores_whole:  # several kernels write it
            return False
        if number <= self.last_failure or self.last_use.get(old, -1) > number:
            return False
        kernel = self.kernels[number]
        if all(self.base.get(edge, edge) != old for edge in kernel.reads):
            return True
        nests = [nest for nest in (kernel.epilogue, kernel.nest) if nest is not None]
        if not nests or not kernel.traits.reads_in_order:
            return False
        if any(self.base.get(edge, edge) == old and edge != old for edge in kernel.reads):
            return False
        if any(self.base.get(view.edge, view.edge) == old for view in kernel.views):  # all of it is read for each entry
            return False
        operands = kernel.operands
        written = next((store.address for store in nests[0].stores if operands[store.operand] == new), None)
        return written is not None and all(
            address == written
            for nest in nests
            for operand, address in nest.loads
            if operand < len(operands) and operands[operand] == old
        )

    def _intermediates(self) -> int:
        """Give intermediate values and workspaces their buffers in the arena; return the bytes of the values."""
        total = 0
        ending: dict[int, list[Edge]] = {}
        for number, kernel in enumerate(self.kernels):
            if not kernel.traits.is_run:
                continue
            for edge in kernel.stored:
                if edge in self.buffers:
                    continue
                self.buffers[edge] = Buffer("arena", self.arena.allocate(bytes_of(edge)))
                total += bytes_of(edge)
                ending.setdefault(self.last_use.get(edge, number), []).append(edge)
            if kernel.workspace:
                self.workspaces[kernel] = self.arena.allocate(kernel.workspace)
                self.arena.free(self.workspaces[kernel], kernel.workspace)
            for edge in ending.pop(number, []):
                self.arena.free(self.buffers[edge].position, bytes_of(edge))
        return total
