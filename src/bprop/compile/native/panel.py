"""Large contractions: both operands packed into panels, one register tile of C per call of a micro-kernel.

A is packed in panels of ``rows`` (k-major: the numbers that one step of the sum needs lie side by side), B in panels of
``vectors`` vectors. The micro-kernel keeps rows × vectors of C in registers over a whole block of k. Kernel and packing
functions are made once per program and shared by all contractions of one dtype; extents and strides are arguments.

The order of the sum over k is the order of k, whatever the tile: the same bits for every shape of block.

**Source:** Goto & van de Geijn (2008), Anatomy of high-performance matrix multiplication; Van Zee & van de Geijn (2015),
BLIS.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from .host import machine
from .loop import loop, number, smaller
from .type import I1, I32, I64, constant, register

DEPTH = 1024
"""Steps of the sum between two visits to C: a panel of B (DEPTH × 32 float32, 128 KB) stays in the second-level cache."""


class Target:
    """What a micro-kernel must know of the processor: the width of a vector in numbers, its registers, whether it fuses."""

    def __init__(self, dtype: "np.dtype[Any]", columns: int) -> None:
        host = machine()
        self.dtype = dtype
        self.width = host.vector // dtype.itemsize
        self.fused = host.fused
        # rows · vectors accumulators + the vectors of B + one number of A must fit the 32 or 16 registers
        self.rows, self.vectors = (8, 2) if host.registers == 32 else (4, 3)
        self.vectors = min(self.vectors, -(-columns // self.width))

    @property
    def columns(self) -> int:
        """Return the columns of a tile."""
        return self.width * self.vectors


def padded(count: int, size: int) -> int:
    """Return ``count`` rounded up to a multiple of ``size``."""
    return -(-count // size) * size


class Panels:
    """Emits the functions of one module: micro-kernel and packing, each on first use."""

    def __init__(self, module: Any, target: Target) -> None:
        self.module = module
        self.target = target
        self.kind = register(target.dtype)
        self.pointer = self.kind.as_pointer()
        self.vector = ir.VectorType(self.kind, target.width)

    def _function(self, name: str, arguments: Sequence[Any], fill: Callable[..., None]) -> Any:
        known = self.module.globals.get(name)
        if known is not None:
            return known
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), arguments), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        for argument in function.args:
            if argument.type == self.pointer:
                argument.add_attribute("noalias")
        b: Any = ir.IRBuilder(function.append_basic_block("entry"))
        fill(b, *function.args)
        b.ret_void()
        return function

    def _name(self, *parts: Any) -> str:
        return "_".join(map(str, (*parts, self.target.dtype)))

    # --- C (+)= A · B for one tile ---
    def micro(
        self, b: Any, depth: Any, left: Any, right: Any, c: Any, step: Any, rows: Any, columns: Any, first: Any
    ) -> None:
        """Call the micro-kernel: ``rows`` × ``columns`` of C, whose rows lie ``step`` apart; ``first``: C is not read."""
        kinds = [I64, self.pointer, self.pointer, self.pointer, I64, I64, I64, I1]
        kernel = self._function(self._name("micro", self.target.vectors), kinds, self._micro)
        b.call(kernel, [depth, left, right, c, step, rows, columns, first])

    def _micro(
        self, b: Any, depth: Any, left: Any, right: Any, c: Any, step: Any, rows: Any, columns: Any, first: Any
    ) -> None:
        target = self.target
        tile = [(r, v) for r in range(target.rows) for v in range(target.vectors)]
        before = b.block
        head, body, after = (b.append_basic_block(name) for name in ("head", "body", "after"))
        b.branch(head)
        b.position_at_end(head)
        k = b.phi(I64)
        k.add_incoming(number(0), before)
        sums = [b.phi(self.vector) for _ in tile]
        zero = ir.Constant(self.vector, [constant(0, target.dtype)] * target.width)
        for one in sums:
            one.add_incoming(zero, before)
        b.cbranch(b.icmp_signed("<", k, depth), body, after)
        b.position_at_end(body)
        x, y = b.mul(k, number(target.rows)), b.mul(k, number(target.columns))
        vectors = [self._load(b, b.gep(right, [b.add(y, number(v * target.width))])) for v in range(target.vectors)]
        numbers = [self._spread(b, b.load(b.gep(left, [b.add(x, number(r))]))) for r in range(target.rows)]
        for one, (r, v) in zip(sums, tile, strict=True):
            one.add_incoming(self._multiply_add(b, numbers[r], vectors[v], one), body)
        k.add_incoming(b.add(k, number(1)), body)
        b.branch(head)
        b.position_at_end(after)

        whole = b.and_(
            b.icmp_signed(">=", rows, number(target.rows)), b.icmp_signed(">=", columns, number(target.columns))
        )
        with b.if_else(whole) as (inside, edge):
            with inside, b.if_else(first) as (fresh, more):
                with fresh:
                    for one, (r, v) in zip(sums, tile, strict=True):
                        self._store(b, one, self._place(b, c, step, r, v))
                with more:
                    for one, (r, v) in zip(sums, tile, strict=True):
                        place = self._place(b, c, step, r, v)
                        self._store(b, b.fadd(self._load(b, place), one), place)
            with edge:
                masks = [self._mask(b, columns, v) for v in range(target.vectors)]
                for r in range(target.rows):
                    with b.if_then(b.icmp_signed(">", rows, number(r))):
                        for v in range(target.vectors):
                            place = self._place(b, c, step, r, v)
                            one = sums[r * target.vectors + v]
                            known = self._masked_load(b, place, b.and_(masks[v], self._spread(b, b.not_(first))))
                            self._masked_store(b, b.fadd(known, one), place, masks[v])

    def _multiply_add(self, b: Any, x: Any, y: Any, z: Any) -> Any:
        if not self.target.fused:
            return b.fadd(b.fmul(x, y), z)
        return intrinsic(self.module, b, f"llvm.fma.v{self._short()}", self.vector, [x, y, z])

    def _place(self, b: Any, c: Any, step: Any, r: int, v: int) -> Any:
        return b.gep(c, [b.add(b.mul(step, number(r)), number(v * self.target.width))])

    # --- packing: panel p, step k, entry r holds x[p·size + r, k]; zeros beyond the last ---
    def pack(
        self, b: Any, size: int, to: Any, x: Any, count: Any, depth: Any, across: int, along: int, gap: Any
    ) -> None:
        """Call the packing of ``count`` × ``depth`` numbers in panels of ``size`` that begin ``gap`` apart.

        In memory entries lie ``across`` apart, steps ``along``.
        """
        way = "rows" if across == 1 else "turned" if along == 1 and size % self._block(size) == 0 else "any"
        fill = {"rows": self._pack_rows, "turned": self._pack_turned, "any": self._pack_any}[way]
        kinds = [self.pointer, self.pointer, I64, I64, I64, I64, I64]
        function = self._function(
            self._name("pack", way, size),
            kinds,
            lambda builder, *arguments: self._pack(builder, size, fill, *arguments),
        )
        b.call(function, [to, x, count, depth, number(across), number(along), gap])

    def _block(self, size: int) -> int:
        return min(size, self.target.width)

    def _pack(
        self, b: Any, size: int, fill: Any, to: Any, x: Any, count: Any, depth: Any, across: Any, along: Any, gap: Any
    ) -> None:
        with loop(b, number(0), count, size) as p:
            panel = b.gep(to, [b.mul(b.sdiv(p, number(size)), gap)])
            source = b.gep(x, [b.mul(p, across)])
            left = b.sub(count, p)
            with b.if_else(b.icmp_signed(">=", left, number(size))) as (whole, edge):
                with whole:
                    fill(b, size, panel, source, depth, across, along)
                with edge:
                    self._pack_edge(b, size, panel, source, left, depth, across, along)

    def _pack_rows(self, b: Any, size: int, panel: Any, x: Any, depth: Any, across: Any, along: Any) -> None:
        kind = ir.VectorType(self.kind, self._block(size))
        with loop(b, number(0), depth) as k:
            for start in range(0, size, kind.count):
                source = b.gep(x, [b.add(b.mul(k, along), number(start))])
                target = b.gep(panel, [b.add(b.mul(k, number(size)), number(start))])
                self._store(b, self._load(b, source, kind), target)

    def _pack_turned(self, b: Any, size: int, panel: Any, x: Any, depth: Any, across: Any, along: Any) -> None:
        """Turn square blocks: rows of memory become columns of the panel."""
        width = self._block(size)
        kind = ir.VectorType(self.kind, width)
        blocks = b.mul(b.sdiv(depth, number(width)), number(width))
        with loop(b, number(0), blocks, width) as k:
            for start in range(0, size, width):
                rows = [
                    self._load(b, b.gep(x, [b.add(b.mul(across, number(start + r)), k)]), kind) for r in range(width)
                ]
                for step, row in enumerate(_turned(b, rows)):
                    self._store(
                        b, row, b.gep(panel, [b.add(b.mul(b.add(k, number(step)), number(size)), number(start))])
                    )
        with loop(b, blocks, depth) as k:
            for r in range(size):
                one = b.load(b.gep(x, [b.add(b.mul(across, number(r)), k)]))
                b.store(one, b.gep(panel, [b.add(b.mul(k, number(size)), number(r))]))

    def _pack_any(self, b: Any, size: int, panel: Any, x: Any, depth: Any, across: Any, along: Any) -> None:
        with loop(b, number(0), depth) as k, loop(b, number(0), number(size)) as r:
            one = b.load(b.gep(x, [b.add(b.mul(k, along), b.mul(r, across))]))
            b.store(one, b.gep(panel, [b.add(b.mul(k, number(size)), r)]))

    def _pack_edge(self, b: Any, size: int, panel: Any, x: Any, left: Any, depth: Any, across: Any, along: Any) -> None:
        with loop(b, number(0), depth) as k:
            start = b.mul(k, number(size))
            with loop(b, number(0), left) as r:
                one = b.load(b.gep(x, [b.add(b.mul(k, along), b.mul(r, across))]))
                b.store(one, b.gep(panel, [b.add(start, r)]))
            with loop(b, left, number(size)) as r:
                b.store(constant(0, self.target.dtype), b.gep(panel, [b.add(start, r)]))

    # --- vectors ---
    def _short(self) -> str:
        return f"{self.target.width}{'f32' if self.target.dtype == np.float32 else 'f64'}"

    def _load(self, b: Any, place: Any, kind: Any = None) -> Any:
        kind = self.vector if kind is None else kind
        return b.load(b.bitcast(place, kind.as_pointer()), align=self.target.dtype.itemsize)

    def _store(self, b: Any, x: Any, place: Any) -> None:
        b.store(x, b.bitcast(place, x.type.as_pointer()), align=self.target.dtype.itemsize)

    def _spread(self, b: Any, x: Any) -> Any:
        return spread(b, x, self.target.width)

    def _mask(self, b: Any, columns: Any, v: int) -> Any:
        width = self.target.width
        left = b.trunc(smaller(b, b.sub(columns, number(v * width)), number(width)), I32)
        lanes = ir.Constant(ir.VectorType(I32, width), list(range(width)))
        return b.icmp_signed("<", lanes, spread(b, left, width))

    def _masked_load(self, b: Any, place: Any, mask: Any) -> Any:
        zero = ir.Constant(self.vector, [constant(0, self.target.dtype)] * self.target.width)
        args = [b.bitcast(place, self.vector.as_pointer()), ir.Constant(I32, self.target.dtype.itemsize), mask, zero]
        return intrinsic(self.module, b, f"llvm.masked.load.v{self._short()}.p0", self.vector, args)

    def _masked_store(self, b: Any, x: Any, place: Any, mask: Any) -> None:
        args = [x, b.bitcast(place, self.vector.as_pointer()), ir.Constant(I32, self.target.dtype.itemsize), mask]
        intrinsic(self.module, b, f"llvm.masked.store.v{self._short()}.p0", ir.VoidType(), args)


def intrinsic(module: Any, b: Any, name: str, kind: Any, args: list[Any]) -> Any:
    """Call a function of LLVM that returns a ``kind``, declaring it on first use."""
    known = module.globals.get(name)
    if known is None:
        known = ir.Function(module, ir.FunctionType(kind, [x.type for x in args]), name)
    return b.call(known, args)


def spread(b: Any, x: Any, width: int) -> Any:
    """Return a vector with ``x`` in every lane."""
    empty = ir.Constant(ir.VectorType(x.type, width), ir.Undefined)
    first = b.insert_element(empty, x, ir.Constant(I32, 0))
    return b.shuffle_vector(first, empty, ir.Constant(ir.VectorType(I32, width), [0] * width))


def _turned(b: Any, rows: list[Any]) -> list[Any]:
    """Transpose a square of vectors in registers: log₂(width) rounds, each swaps the off-diagonal halves of blocks."""
    width = len(rows)
    half = width // 2
    while half:
        low = [i if not i & half else width + i - half for i in range(width)]
        high = [i + half if not i & half else width + i for i in range(width)]
        new = list(rows)
        for i in range(width):
            if not i & half:
                for lanes, place in ((low, i), (high, i + half)):
                    mask = ir.Constant(ir.VectorType(I32, width), lanes)
                    new[place] = b.shuffle_vector(rows[i], rows[i + half], mask)
        rows, half = new, half // 2
    return rows


__all__ = ["DEPTH", "Panels", "Target", "intrinsic", "padded", "spread"]
