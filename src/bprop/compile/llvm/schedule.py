"""A stage as the threads of a team run it: kernels and copies in order, and where all wait for each other.

Long straight-line code is cut into functions: LLVM takes more than linear time for one that is long.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from llvmlite import ir

from ..passes.plan_memory import Copy, Place
from ..passes.schedule import LINE, Part
from .loop import Emitter, meet, number
from .scan import copy
from .type import ALONE, I32

LONGEST = 64
"""Parts that one function runs, if it can be cut there."""


def cut(parts: Sequence[Part]) -> list[list[Part]]:
    """Cut a long sequence of parts: at meetings where threads share work, anywhere where one thread does all of it."""
    several = any(part.shared for part in parts)
    pieces: list[list[Part]] = [[]]
    for part in parts:
        if len(pieces[-1]) >= LONGEST and (part.waits or not several):
            pieces.append([])
        pieces[-1].append(part)
    return pieces


def emit_pieces(module: Any, b: Any, team: Sequence[Any], pieces: Sequence[Callable[[], Any]], ends: bool) -> None:
    """Emit calls of one piece after the other, with meetings in between where there is a ``team``, and the return."""
    for number_of_piece, piece in enumerate(pieces):
        status = piece()
        last = number_of_piece == len(pieces) - 1
        if team and (ends or not last):
            status = meet(module, b, team, status)
        if not last:
            with b.if_then(b.icmp_unsigned("!=", status, ir.Constant(I32, 0)), likely=False):
                b.ret(status)
    b.ret(status)


class Course:
    """Parts of a stage in order: shared ones on every thread, others on thread 0, meetings in between.

    A thread where something fails goes on to the next meeting, after which all leave.
    """

    def __init__(
        self,
        module: Any,
        kernel: Any,
        stage: Any,
        parts: Sequence[Part],
        function: Any,
        pointer: Callable[[Place], Any],
    ) -> None:
        self.module = module
        self.kernel = kernel
        self.stage = stage
        self.parts = parts
        self.function = function
        self.pointer = pointer
        self.team = function.args[1:]

    def emit(self, b: Any, several: bool, ends: bool) -> None:
        """Emit all parts and the return. ``several``: threads share the stage. ``ends``: all meet at the end."""
        self.status = b.alloca(I32)
        b.store(ir.Constant(I32, 0), self.status)
        self.left = self.function.append_basic_block("left")
        for position, group in groupby(self._numbered(), key=lambda pair: pair[0]):
            every = [part for _, part in group]
            if several and every[0].waits and position > 0:
                self._meet(b)
            if not several or every[0].shared:
                self._emit(b, every, self.team if several else ALONE)
            else:
                with b.if_then(b.icmp_unsigned("==", self.team[0], number(0))):
                    self._emit(b, every, ALONE)
        if several and ends:
            self._meet(b)
        b.branch(self.left)
        b.position_at_end(self.left)
        b.ret(b.load(self.status))

    def _numbered(self) -> list[tuple[int, Part]]:
        """Number the parts so that those of thread 0 between two meetings have one number."""
        result: list[tuple[int, Part]] = []
        for count, part in enumerate(self.parts):
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
