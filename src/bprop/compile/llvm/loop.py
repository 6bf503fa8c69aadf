"""Loops and memory accesses for the builders of kernels."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir

from ..ir.affine_index import Atom, Index
from ..ir.scalar_expr import Scalar
from ..ir.status import INDEX_ERROR
from ..runtime.thread_pool import MEET
from . import instruction as instructions
from .type import ALONE, I1, I32, I64, TEAM, constant, memory


def number(value: int) -> Any:
    """Return a 64-bit constant."""
    return ir.Constant(I64, value)


@contextmanager
def loop(builder: Any, start: Any, stop: Any, step: int = 1) -> Iterator[Any]:
    """Emit ``for (i = start; i < stop; i += step)`` around the body of the ``with`` statement."""
    before = builder.block
    head = builder.append_basic_block("head")
    body = builder.append_basic_block("body")
    after = builder.append_basic_block("after")
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(I64)
    i.add_incoming(start, before)
    builder.cbranch(builder.icmp_signed("<", i, stop), body, after)
    builder.position_at_end(body)
    yield i
    i.add_incoming(builder.add(i, number(step), flags=("nsw",)), builder.block)
    builder.branch(head)
    builder.position_at_end(after)


@contextmanager
def turns(builder: Any, count: Any, state: Sequence[Any]) -> Iterator[tuple[Any, list[Any], list[Any]]]:
    """Emit a loop of ``count`` turns with values that each turn hands to the next, ``state`` to the first.

    The ``with`` statement yields the number of the turn, the values there, and a list for the values of the next turn; after
    the loop it holds those of the last, or ``state``.
    """
    before = builder.block
    head, body, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    new: list[Any] = []
    turn, values = builder.phi(I64), [builder.phi(one.type) for one in state]
    for one, start in ((turn, number(0)), *zip(values, state, strict=True)):
        one.add_incoming(start, before)
    builder.cbranch(builder.icmp_signed("<", turn, count), body, after)
    builder.position_at_end(body)
    yield turn, values, new
    for one, value in ((turn, builder.add(turn, number(1))), *zip(values, new, strict=True)):
        one.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    new[:] = values


def smaller(builder: Any, a: Any, b: Any) -> Any:
    """Return the lesser of two signed integers."""
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def moved(b: Any, x: Any, i: Any, stride: int) -> Any:
    """Return the address x + i · stride."""
    return b.add(x, b.mul(i, number(stride), flags=("nsw",)), flags=("nsw",)) if stride else x


def meet(module: Any, b: Any, team: Sequence[Any], status: Any) -> Any:
    """Emit the wait for every thread of ``team``; return the greatest status that any brought."""
    known = module.globals.get(MEET)
    if known is None:
        known = ir.Function(module, ir.FunctionType(I32, [TEAM[2], TEAM[1], I32]), MEET)
    return b.call(known, [team[2], team[1], status])


class Emitter:
    """Emits the scalars of a body: each once, at the loop level where everything it depends on is known.

    ``pointers`` gives the typed base of every edge in memory; ``loops`` the value of every loop variable; ``given``
    the numbers the kernel supplies; ``flag`` is where an error code goes; ``team`` is (thread, threads, what they share).
    """

    def __init__(self, module: Any, builder: Any, pointers: dict[Any, Any], flag: Any, team: Sequence[Any]) -> None:
        self.module = module
        self.builder = builder
        self.pointers = pointers
        self.flag = flag
        self.team = team
        self.loops: dict[Atom, Any] = {}
        self.given: dict[Scalar, Any] = {}
        self.values: dict[Scalar, Any] = {}

    def share(self, count: int, grain: int = 1, divided: bool = True) -> tuple[Any, Any]:
        """Return where this thread's part of ``range(count)`` begins and ends: at multiples of ``grain``, or the end.

        It is all of it for one thread alone, and for each where this range is not what they divide.
        """
        b, (thread, threads, _) = self.builder, self.team
        if thread is ALONE[0] or not divided:
            return number(0), number(count)
        units = number(-(-count // grain))
        begin = b.mul(b.sdiv(b.mul(units, thread), threads), number(grain))
        end = b.mul(b.sdiv(b.mul(units, b.add(thread, number(1))), threads), number(grain))
        return begin, smaller(b, end, number(count))

    def barrier(self) -> None:
        """Wait until every thread of the team has come this far; what each wrote before, all see after."""
        if self.team[0] is not ALONE[0]:
            meet(self.module, self.builder, self.team, ir.Constant(I32, 0))

    def emit(self, scalars: Sequence[Scalar]) -> None:
        """Emit scalars (in the order of `scalars_of`) at the builder's place."""
        for one in scalars:
            if one not in self.values:
                self.values[one] = self._emit(one)

    def forget(self, scalars: Sequence[Scalar]) -> None:
        """Drop what was emitted, so that it is emitted again elsewhere."""
        for one in scalars:
            self.values.pop(one, None)

    def _emit(self, one: Scalar) -> Any:
        b = self.builder
        if one.op == "constant":
            return constant(one.detail, one.dtype)
        if one.op == "given":
            return self.given[one]
        if one.op == "load":
            edge, address = one.detail
            return self.load(self.pointers[edge], self.index(address), one.dtype)
        if one.op == "position":
            return self.index(one.detail)
        args = [self.values[x] for x in one.args]
        if one.op == "checked":
            return self._checked(one, args[0])
        dtypes = [x.dtype for x in one.args]
        return instructions.emit(self.module, b, one.op, args, dtypes, one.dtype, self.fail)

    def _checked(self, one: Scalar, entry: Any) -> Any:
        b, dtype, size = self.builder, one.args[0].dtype, one.detail
        wide = instructions.cast(b, entry, dtype, np.dtype(np.int64))
        from_end = b.icmp_signed("<", wide, number(0))
        place = wide if dtype.kind == "u" else b.select(from_end, b.add(wide, number(size)), wide)
        bad = b.icmp_unsigned(">=", place, number(size))
        self.fail(bad, INDEX_ERROR)
        return b.select(bad, number(0), place)

    def fail(self, condition: Any, code: int) -> None:
        """Note an error where ``condition`` holds; the program ends with it after the kernel."""
        b = self.builder
        known = b.load(self.flag)
        b.store(b.select(condition, ir.Constant(known.type, code), known), self.flag)

    def load(self, pointer: Any, address: Any, dtype: "np.dtype[Any]") -> Any:
        """Return a number from memory."""
        b = self.builder
        x = b.load(b.gep(pointer, [address]))
        return b.icmp_unsigned("!=", x, ir.Constant(x.type, 0)) if dtype.kind == "b" else x

    def store(self, x: Any, pointer: Any, address: Any, dtype: "np.dtype[Any]") -> None:
        """Write a number to memory."""
        b = self.builder
        b.store(b.zext(x, memory(dtype)) if x.type == I1 else x, b.gep(pointer, [address]))

    def index(self, index: Index) -> Any:
        """Return an index as a 64-bit integer."""
        b = self.builder
        total = number(index.constant)
        for atom, coefficient in index.terms.items():
            if atom.kind == "loop":
                value = self.loops.get(atom)
                if value is None:  # merged into the loop inside it
                    continue
            elif atom.kind == "value":
                value = self.values[atom.detail]
            else:
                inner, divisor = atom.detail
                divide = b.udiv if atom.kind == "quotient" else b.urem
                value = divide(self.index(inner), number(divisor))
            total = b.add(total, b.mul(value, number(coefficient), flags=("nsw",)), flags=("nsw",))
        return total
