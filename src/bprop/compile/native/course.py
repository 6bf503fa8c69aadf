"""A stage as the threads of a team run it: kernels and copies in order, and where all wait for each other."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from llvmlite import ir

from ..plan import Copy, Place
from .loop import Emitter, meet, number
from .region import copy
from .share import LINE, Part
from .type import ALONE, I32


class Course:
    """The parts of a stage in order: shared ones on every thread, others on thread 0, meetings in between.

    A thread where something fails goes on to the next meeting, after which all leave.
    """

    def __init__(self, module: Any, kernel: Any, stage: Any, function: Any, pointer: Callable[[Place], Any]) -> None:
        self.module = module
        self.kernel = kernel
        self.stage = stage
        self.function = function
        self.pointer = pointer
        self.team = function.args[1:]

    def emit(self, b: Any, whole: bool) -> None:
        """Emit all parts and the return. A body (not ``whole``) ends with a meeting, for what comes after it."""
        self.status = b.alloca(I32)
        b.store(ir.Constant(I32, 0), self.status)
        self.left = self.function.append_basic_block("left")
        several = any(part.shared for part in self.stage.parts)
        for _, group in groupby(self._numbered(), key=lambda pair: pair[0]):
            every = [part for _, part in group]
            if several and every[0].waits:
                self._meet(b)
            if not several or every[0].shared:
                self._emit(b, every, self.team if several else ALONE)
            else:
                with b.if_then(b.icmp_unsigned("==", self.team[0], number(0))):
                    self._emit(b, every, ALONE)
        if several and not whole:
            self._meet(b)
        b.branch(self.left)
        b.position_at_end(self.left)
        b.ret(b.load(self.status))

    def _numbered(self) -> list[tuple[int, Part]]:
        """Number the parts so that those of thread 0 between two meetings have one number."""
        result: list[tuple[int, Part]] = []
        for count, part in enumerate(self.stage.parts):
            before = result[-1] if result else None
            joins = before is not None and not (part.waits or part.shared or before[1].shared)
            result.append((before[0] if joins and before else count, part))
        return result

    def _meet(self, b: Any) -> None:
        b.branch(self.left)
        b.position_at_end(self.left)
        self.left = self.function.append_basic_block("left")
        status = meet(self.module, b, self.team, b.load(self.status))
        b.store(status, self.status)
        with b.if_then(b.icmp_unsigned("!=", status, ir.Constant(I32, 0)), likely=False):
            b.ret(status)

    def _emit(self, b: Any, every: Sequence[Part], team: Sequence[Any]) -> None:
        for part in every:
            work = part.work
            if isinstance(work, Copy):
                begin, end = Emitter(self.module, b, {}, None, team).share(work.size, LINE)
                target, source = (b.gep(self.pointer(place), [begin]) for place in (work.target, work.source))
                copy(self.module, b, target, source, b.sub(end, begin))
                continue
            inner, places = self.kernel(work, self.stage)
            status = b.call(inner, [*map(self.pointer, places), *team])
            if work.fallible:
                with b.if_then(b.icmp_unsigned("!=", status, ir.Constant(I32, 0)), likely=False):
                    b.store(status, self.status)
                    b.branch(self.left)
