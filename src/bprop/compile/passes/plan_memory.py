"""Memory: where every value lives. Lifetimes are known, so dead buffers are used again inside one arena."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...core.graph import Edge, Graph
from ...core.shape import size_of
from ..ir.affine_index import Index
from ..ir.loop_nest import Nest
from ..ir.scalar_expr import spec_of
from .fuse import Kernel

ALIGNMENT = 64


class Place(NamedTuple):
    """Memory of a value: in the ``arena`` at a byte offset, or an ``input`` or ``output`` by position."""

    kind: str
    position: int


class Copy(NamedTuple):
    """A copy made at the end, when every kernel has run."""

    source: Place
    target: Place
    size: int


class Plan:
    """Where the values of a graph live. ``donated`` says which input's memory an output goes back to."""

    def __init__(self, graph: Graph, donated: dict[int, int]) -> None:
        self.graph = graph
        self.donated = donated
        self.places: dict[Edge, Place] = {(node, 0): Place("input", i) for i, node in enumerate(graph.inputs)}
        self.sizes: dict[Edge, int] = {}
        self.scratch: dict[Kernel, int] = {}
        self.scratch_sizes: list[int] = []
        self.copies: list[Copy] = []
        self.in_place: list[int] = []
        self.size = 0
        self.total = 0

    @property
    def contents(self) -> str:
        """What the arena is for, in words."""
        room = f", and up to {max(self.scratch_sizes):,} B that a kernel works in" if self.scratch_sizes else ""
        return f"{self.total:,} B of intermediate values{room}"

    def __str__(self) -> str:
        names = self.graph.names()
        lines = [f"arena {self.size:,} B for {self.contents}"]
        for edge, place in self.places.items():
            where = f"at {place.position:,}" if place.kind == "arena" else f"{place.kind} {place.position}"
            lines.append(f"  {names.get(edge[0], '?'):<6} {bytes_of(edge):>12,} B  {where}")
        for copy in self.copies:
            lines.append(
                f"  {copy.source.kind} {copy.source.position:,} copied to {copy.target.kind} {copy.target.position:,}"
            )
        kept = f"outputs {', '.join(map(str, self.in_place))}" if self.in_place else "nothing"
        lines.append(f"  written in place: {kept}")
        return "\n".join(lines)

    __repr__ = __str__


def bytes_of(edge: Edge) -> int:
    """Return how many bytes a value takes."""
    spec = spec_of(edge)
    return size_of(spec.shape) * spec.dtype.itemsize


def plan(
    graph: Graph,
    kernels: Sequence[Kernel],
    nests: dict[Kernel, Nest],
    donated: dict[int, int] | None = None,
    scratch: dict[Kernel, int] | None = None,
) -> Plan:
    """Give every value a place: outputs directly where they go if that is safe, the rest in the arena.

    ``donated`` maps outputs to inputs whose memory they replace; ``scratch`` asks for room during one kernel.
    """
    return _Planner(graph, kernels, nests, donated or {}, scratch or {}).run()


class _Planner:
    def __init__(
        self,
        graph: Graph,
        kernels: Sequence[Kernel],
        nests: dict[Kernel, Nest],
        donated: dict[int, int],
        scratch: dict[Kernel, int],
    ) -> None:
        self.plan = Plan(graph, donated)
        self.kernels = kernels
        self.nests = nests
        self.scratch = scratch
        self.base: dict[Edge, Edge] = {}  # of a view: the value whose memory it shares
        for kernel in kernels:
            if kernel.kind == "alias":
                x = kernel.root.inputs[0]
                self.base[kernel.root, 0] = self.base.get(x, x)
        self.producer = {
            edge: n for n, kernel in enumerate(kernels) for edge in kernel.stored if kernel.kind != "alias"
        }
        self.last: dict[Edge, int] = {}
        for number, kernel in enumerate(kernels):
            for edge in (*kernel.reads, *kernel.stored):
                self.last[self.base.get(edge, edge)] = number
        self.copied: list[tuple[Edge, Place]] = []
        self.fallible = max((n for n, kernel in enumerate(kernels) if kernel.fallible), default=-1)

    def run(self) -> Plan:
        self._outputs()
        self._arena()
        for view, base in self.base.items():
            self.plan.places[view] = self.plan.places[base]
        return self.plan

    def _outputs(self) -> None:
        graph, places = self.plan.graph, self.plan.places
        bases = [self.base.get(edge, edge) for edge in graph.outputs]
        kept = {base for base in bases if base[0].op is None}  # inputs that are copied at the end
        for number, base in enumerate(bases):
            if number in self.plan.donated:
                continue
            if base in places:
                self.copied.append((base, Place("output", number)))
            else:
                places[base] = Place("output", number)
        for number, target in self.plan.donated.items():
            base, old = bases[number], (graph.inputs[target], 0)
            if base not in places and old not in kept and self._direct(base, old):
                places[base] = Place("input", target)
                self.plan.in_place.append(number)
            else:
                self.copied.append((base, Place("input", target)))
        for base, _ in self.copied:
            self.last[base] = len(self.kernels)

    def _copies(self, take: Callable[[int], int]) -> None:
        """List the final copies: all that read an input's memory come before the first that writes one."""
        early, late = [], []
        for base, target in self.copied:
            source, size = self.plan.places[base], bytes_of(base)
            if target.kind == "output":
                early.append(Copy(source, target, size))
            elif base[0].op is None:
                between = Place("arena", take(size))
                early.append(Copy(source, between, size))
                late.append(Copy(between, target, size))
            else:
                late.append(Copy(source, target, size))
        # a value written in place may be the source of further copies: they only read it
        self.plan.copies = early + late

    def _direct(self, new: Edge, old: Edge) -> bool:
        """Return whether ``new`` may overwrite ``old`` the moment it is computed."""
        number = self.producer.get(new)
        if number is None or self.kernels[number].kind == "join":  # several kernels write it
            return False
        if number <= self.fallible or self.last.get(old, -1) > number:
            return False
        kernel = self.kernels[number]
        if all(self.base.get(edge, edge) != old for edge in kernel.reads):
            return True
        nest = self.nests.get(kernel)
        if nest is None or kernel.kind not in ("map", "contract"):
            return False
        if any(self.base.get(edge, edge) == old and edge != old for edge in kernel.reads):
            return False
        if any(self.base.get(view.edge, view.edge) == old for view in kernel.views):  # all of it is read for each entry
            return False
        written = next((address for edge, address, _ in nest.stores if edge == new), None)
        return written is not None and all(address == written for edge, address in loads(nest) if edge == old)

    def _arena(self) -> None:
        places = self.plan.places
        free: list[tuple[int, int]] = []  # (offset, size), sorted by offset
        top = 0
        ending: dict[int, list[Edge]] = {}

        def take(size: int) -> int:
            nonlocal top
            size = -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
            fitting = [hole for hole in free if hole[1] >= size]
            if fitting:
                offset, room = min(fitting, key=lambda hole: hole[1])
                free.remove((offset, room))
                if room > size:
                    free.append((offset + size, room - size))
                    free.sort()
                return offset
            top += size
            return top - size

        def give(offset: int, size: int) -> None:
            size = -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
            free.append((offset, size))
            free.sort()
            joined: list[tuple[int, int]] = []
            for hole in free:
                if joined and joined[-1][0] + joined[-1][1] == hole[0]:
                    joined[-1] = (joined[-1][0], joined[-1][1] + hole[1])
                else:
                    joined.append(hole)
            free[:] = joined

        for number, kernel in enumerate(self.kernels):
            if kernel.kind == "alias":
                continue
            for edge in kernel.stored:
                if edge in places:
                    continue
                places[edge] = Place("arena", take(bytes_of(edge)))
                self.plan.total += bytes_of(edge)
                ending.setdefault(self.last.get(edge, number), []).append(edge)
            room = self.scratch.get(kernel, 0)
            if room:
                offset = take(room)
                self.plan.scratch[kernel] = offset
                self.plan.scratch_sizes.append(room)
                give(offset, room)
            for edge in ending.pop(number, []):
                give(places[edge].position, bytes_of(edge))
        self._copies(take)
        self.plan.size = top


def loads(nest: Nest) -> list[tuple[Edge, Index]]:
    """Return every (edge, address) that a nest reads."""
    return [one.detail for one in nest.scalars if one.op == "load"]
