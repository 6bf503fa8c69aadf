"""A segment of a schedule as the threads of a pool run it: kernels and copies in order, with barriers in between."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from llvmlite import ir

from ..ir.kernel import Kernel
from ..ir.memory_plan import Buffer, Copy
from ..ir.schedule import ScheduledItem
from ..ir.target import CACHE_LINE
from .loop import copy_bytes, emit_barrier, number, partition_range, return_if_error
from .type import I32, SINGLE_THREAD


def emit_segments(
    module: Any, b: Any, pool: Sequence[Any], segments: Sequence[Callable[[], Any]], is_body: bool
) -> None:
    """Emit calls of one segment after the other, with barriers in between where there is a ``pool``, and the return."""
    for position, segment in enumerate(segments):
        status = segment()
        is_last = position == len(segments) - 1
        if pool and (is_body or not is_last):
            status = emit_barrier(module, b, pool, status)
        if not is_last:
            return_if_error(b, status)
    b.ret(status)


class ScheduleEmitter:
    """Emits items in order: parallel ones on every thread, others on thread 0, barriers in between.

    ``kernel`` returns the function of a kernel (parallel or not) and the buffers that it takes, ``pointer`` the address of a buffer. A thread
    in which something fails skips to the next barrier, after which all return.
    """

    def __init__(
        self,
        module: Any,
        kernel: Callable[[Kernel, bool], tuple[Any, list[Buffer]]],
        items: Sequence[ScheduledItem],
        function: Any,
        pointer: Callable[[Buffer], Any],
    ) -> None:
        self.module = module
        self.kernel = kernel
        self.items = items
        self.function = function
        self.pointer = pointer
        self.pool = function.args[1:]

    def emit(self, b: Any, is_parallel: bool, is_body: bool) -> None:
        """Emit all items and the return. ``is_parallel``: all threads run this. ``is_body``: a barrier ends it."""
        self.status = b.alloca(I32)
        b.store(ir.Constant(I32, 0), self.status)
        self.exit = self.function.append_basic_block("exit")
        for position, group in groupby(self._numbered(), key=lambda pair: pair[0]):
            items = [item for _, item in group]
            if is_parallel and items[0].needs_barrier and position > 0:
                self._barrier(b)
            if not is_parallel or items[0].is_parallel:
                self._emit(b, items, self.pool if is_parallel else SINGLE_THREAD)
            else:
                with b.if_then(b.icmp_unsigned("==", self.pool[0], number(0))):
                    self._emit(b, items, SINGLE_THREAD)
        if is_parallel and is_body:
            self._barrier(b)
        b.branch(self.exit)
        b.position_at_end(self.exit)
        b.ret(b.load(self.status))

    def _numbered(self) -> list[tuple[int, ScheduledItem]]:
        """Number the items so that those of thread 0 between two barriers have one number."""
        result: list[tuple[int, ScheduledItem]] = []
        for position, item in enumerate(self.items):
            before = result[-1] if result else None
            joins = before is not None and not (item.needs_barrier or item.is_parallel or before[1].is_parallel)
            result.append((before[0] if joins and before else position, item))
        return result

    def _barrier(self, b: Any) -> None:
        b.branch(self.exit)
        b.position_at_end(self.exit)
        self.exit = self.function.append_basic_block("exit")
        status = emit_barrier(self.module, b, self.pool, b.load(self.status))
        b.store(status, self.status)
        return_if_error(b, status)

    def _emit(self, b: Any, items: Sequence[ScheduledItem], pool: Sequence[Any]) -> None:
        for item in items:
            work = item.work
            if isinstance(work, Copy):
                begin, end = partition_range(b, pool, work.size, CACHE_LINE)
                target, source = (b.gep(self.pointer(buffer), [begin]) for buffer in (work.target, work.source))
                copy_bytes(self.module, b, target, source, b.sub(end, begin))
                continue
            function, buffers = self.kernel(work, item.is_parallel)
            status = b.call(function, [*map(self.pointer, buffers), *pool])
            if work.may_fail:
                with b.if_then(b.icmp_unsigned("!=", status, ir.Constant(I32, 0)), likely=False):
                    b.store(status, self.status)
                    b.branch(self.exit)
