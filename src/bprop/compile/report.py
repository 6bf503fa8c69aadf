"""Printable reports of a program: its kernels with FLOPs and bytes, and what NumPy and SciPy compute for it."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

from ..core.family import Elementwise, General, Random
from ..core.shape import size_of
from .ir.kernel import Kernel, listing
from .ir.lowered import Lowered, walk

if TYPE_CHECKING:
    from .runtime.executable import Program


class Kernels(Sequence[Kernel]):
    """A printable list of kernels, with their FLOPs and bytes and the totals of a call."""

    def __init__(self, program: "Program") -> None:
        self._lowered = program.lowered

    def __len__(self) -> int:
        return len(self._lowered.kernels)

    @overload
    def __getitem__(self, number: int) -> Kernel: ...
    @overload
    def __getitem__(self, number: slice) -> list[Kernel]: ...
    def __getitem__(self, number: int | slice) -> Kernel | list[Kernel]:
        kernels = self._lowered.kernels[number]
        return kernels if isinstance(kernels, Kernel) else list(kernels)

    @property
    def flops(self) -> int:
        """FLOPs of one call, loops included."""
        return sum(kernel.flops * times for kernel, times in walk(self._lowered))

    @property
    def bytes(self) -> int:
        """Bytes that the kernels of one call read and write, loops included."""
        return sum(kernel.bytes * times for kernel, times in walk(self._lowered) if not kernel.bodies)

    def __str__(self) -> str:
        head = f"{'#':>3} {'kind':<8} {'loop':>12}  {'work':>12}       {'read, written':>14}  ops"
        total = f"    {'total':<8} {counted(len(self), 'kernel'):>12}  {self.flops:>12,} flop  {self.bytes:>12,} B"
        return "\n".join([head, *_listings(self._lowered, ""), total])

    __repr__ = __str__


def _listings(lowered: Lowered, indent: str) -> Iterator[str]:
    """Yield the listing of a graph; the bodies of its loops follow, indented."""
    yield from (indent + line for line in listing(lowered.kernels, lowered.graph).splitlines())
    for number, kernel in enumerate(lowered.kernels):
        for body in kernel.bodies:
            times = f", {kernel.root.params['length']:,} times" if "length" in kernel.root.params else ""
            yield f"{indent}    the body of {number}{times}:"
            yield from _listings(body, indent + "    ")


class Called(NamedTuple):
    """An op that a program does not compute itself: how often a call runs it, why, and the line that made it."""

    op: str
    spec: str
    times: int
    why: str
    line: str


class Report:
    """What runs as native code and what does not. ``called`` lists everything that Python computes for the program.

    ``masked`` counts the calls in which the program with masks ran, because an operand of a product with absent cotangents
    was not finite; ``None`` where there is no such product.
    """

    def __init__(self, name: str, program: "Program", line_of: Callable[[str], str], masked: int | None = None) -> None:
        self.name = name
        self.masked = masked
        self.kernels = Kernels(program)
        self.memory = program.memory
        self.ops = sum(len(lowered.graph.nodes) for lowered in _with_bodies(program.lowered))
        self.called_flops = 0
        counts: dict[tuple[str, str, str], int] = {}
        for kernel, times in walk(program.lowered):
            if kernel.traits.calls_python:
                op = kernel.root.op
                assert op is not None
                if isinstance(op, Elementwise):
                    self.called_flops += size_of(kernel.root.specs[0].shape) * times
                specs = ", ".join(map(str, kernel.root.specs))
                key = op.name, specs, _why(kernel)
                counts[key] = counts.get(key, 0) + times
        self.called = tuple(
            Called(op, specs, times, why, line_of(f"{op}: {specs}")) for (op, specs, why), times in counts.items()
        )

    @property
    def flops(self) -> int:
        """FLOPs of native code in one call."""
        return self.kernels.flops

    def __str__(self) -> str:
        counted_flops = self.flops + self.called_flops
        fraction = self.flops / counted_flops if counted_flops else 1.0
        lines = [
            f"{self.name}: {counted(self.ops, 'op')} in {counted(len(self.kernels), 'kernel')}",
            f"  native code    {self.flops:,} flop ({_percent(fraction)} of those counted), {self.kernels.bytes:,} B moved",
            f"  arena          {self.memory.size:,} B, for {self.memory.contents}",
            f"  in place       {len(self.memory.in_place)} of {len(self.memory.graph.outputs)} results",
        ]
        if self.masked is not None:
            lines.append(
                f"  masks          in {counted(self.masked, 'call')}, which met NaN or infinity beside absent cotangents"
            )
        if not self.called:
            lines.append("  called back    nothing: every op of the step is native code")
        else:
            lines.append(
                f"  called back    {counted(sum(called.times for called in self.called), 'call')} of Python in every call:"
            )
        for called in self.called:
            lines.append(f"    {called.times:>4,} × {f'{called.op}  {called.spec}'.rstrip()}: {called.why}")
            lines += [f"           at {called.line}"] if called.line else []
        return "\n".join(lines)

    __repr__ = __str__


def counted(number: int, what: str) -> str:
    """Return a number of things, in the plural unless it is one."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _percent(fraction: float) -> str:
    return "100 %" if fraction == 1 else f"{min(100 * fraction, 99.99):.2f} %"


def _with_bodies(lowered: Lowered) -> Iterator[Lowered]:
    yield lowered
    for kernel in lowered.kernels:
        for body in kernel.bodies:
            yield from _with_bodies(body)


def _why(kernel: Kernel) -> str:
    op = kernel.root.op
    if isinstance(op, Elementwise):
        return "a special function without a kernel: SciPy or NumPy computes it, one flop an entry"
    if isinstance(op, Random):
        return "a draw that is not made entry by entry: NumPy computes it"
    if isinstance(op, General):
        return f"no loop over entries, {op.signature}: NumPy or SciPy computes it, its flop not counted"
    return "Python computes it, its flop not counted"
