"""Contractions as native code: C[batch, i, j] = Σₖ A[batch, i, k] · B[batch, k, j], in register tiles, by the plan of `tile`.

Large ones go in blocks (`blocked`), a matrix times a vector along its rows as dot products (`dot`). A tile of rows × vectors
of C stays in registers over the whole sum. Rows beyond the edge repeat the last row and are not stored; columns beyond it
are masked.
"""

from contextlib import ExitStack
from typing import Any

import numpy as np
from llvmlite import ir

from ..ir.contraction import Contraction
from ..ir.kernel import Kernel
from . import instruction as instructions
from .blocked import BlockedEmission
from .dot import emit_dots
from .loop import Emitter, loop, number, smaller, stack_slot, strided_along
from .type import I32, constant, memory, register
from .vector import broadcast, load, multiply_add, store


def emit_contraction(emitter: Emitter, kernel: Kernel) -> None:
    """Emit a contraction and the maps that follow it; the workspace is for packed operands."""
    contraction, workspace = kernel.contraction, emitter.workspace
    assert contraction is not None
    if workspace is not None:
        workspace = emitter.builder.bitcast(workspace, memory(contraction.dtype).as_pointer())
    numbers = {edge: position for position, edge in enumerate(kernel.operands)}
    operands = [numbers[edge] for edge in contraction.edges]
    result = numbers.get(kernel.root.output)
    if contraction.blocking is not None:
        y = None if result is None else emitter.pointers[result]
        order = (1, 0) if contraction.blocking.swapped else (0, 1)
        operands, offsets = [operands[x] for x in order], [contraction.offsets[x] for x in order]
        BlockedEmission(emitter, contraction.blocking, operands, offsets, y, workspace, kernel.epilogue).emit()
        return
    assert result is not None
    if contraction.dots:
        emit_dots(emitter, contraction, operands, result)
    else:
        _Emission(emitter, contraction, operands, result, workspace).emit()


class _Emission:
    """Emits register tiles: ``operands`` are the numbers of A and B, ``result`` that of C."""

    def __init__(self, emitter: Emitter, plan: Contraction, operands: list[int], result: int, workspace: Any) -> None:
        self.emitter = emitter
        self.plan = plan
        self.b: Any = emitter.builder
        self.operands = operands
        self.y = emitter.pointers[result]
        self.dtype = plan.dtype
        self.workspace = workspace
        self.width, self.vectors, self.rows = plan.width, plan.vectors, plan.rows
        self.vector = ir.VectorType(register(self.dtype), self.width)

    def emit(self) -> None:
        plan, b, emitter = self.plan, self.b, self.emitter
        if plan.empty:
            with loop(b, *emitter.partition_range(plan.size)) as i:
                emitter.store(constant(0, self.dtype), self.y, i, self.dtype)
            return
        # threads divide one outer loop, or the rows or the columns of each product
        tile = self.width * self.vectors
        with ExitStack() as stack:
            base = [number(plan.offsets[0]), number(plan.offsets[1]), number(0)]
            for label in plan.outer:
                i = stack.enter_context(loop(b, *emitter.label_range(label, plan)))
                base = strided_along(b, base, label, i)
            if plan.packs:
                self._pack(base)
                emitter.barrier()
            left, right = emitter.label_range(plan.column, plan, tile)
            top, bottom = emitter.label_range(plan.row, plan, self.rows)
            with loop(b, left, right, tile) as j, loop(b, top, bottom, self.rows) as i:
                self._tile(base, i, j)
            if plan.packs and plan.outer:
                emitter.barrier()

    def _number(self, operand: int, address: Any) -> Any:
        """Return an entry of an operand, converted to the dtype of the result."""
        position = self.operands[operand]
        source = self.emitter.specs[position].dtype
        x = self.emitter.load(self.emitter.pointers[position], address, source)
        return instructions.cast(self.b, x, source, self.dtype)

    def _sum(self, stack: ExitStack, base: list[Any]) -> tuple[list[Any], Any]:
        """Open the loops over the contracted labels; return the addresses and the number of the step."""
        b, flat = self.b, number(0)
        for label in self.plan.contracted:
            k = stack.enter_context(loop(b, number(0), number(label.extent)))
            base = strided_along(self.b, base, label, k)
            flat = b.add(b.mul(flat, number(label.extent)), k)
        return base, flat

    def _pack(self, base: list[Any]) -> None:
        column, b = self.plan.column, self.b
        with ExitStack() as stack:
            inner, k = self._sum(stack, base)
            j = stack.enter_context(loop(b, *self.emitter.partition_range(column.extent)))
            x = self._number(1, strided_along(self.b, inner, column, j)[1])
            self.emitter.store(x, self.workspace, b.add(b.mul(k, number(column.extent)), j), self.dtype)

    def _mask(self, j: Any, vector: int) -> Any:
        """Return which lanes of a vector lie inside, or ``None`` where all always do."""
        extent = self.plan.column.extent
        if extent % (self.width * self.vectors) == 0 or self.width == 1:
            return None
        b = self.b
        lanes = ir.VectorType(I32, self.width)
        remaining = b.trunc(b.sub(number(extent - vector * self.width), j), I32)
        return b.icmp_signed("<", ir.Constant(lanes, list(range(self.width))), broadcast(b, remaining, self.width))

    def _load_vector(self, base: list[Any], k: Any, j: Any, mask: Any) -> Any:
        """Return a vector of B; lanes outside the mask are zero and not read."""
        plan, b = self.plan, self.b
        if plan.packs:
            pointer, source = self.workspace, self.dtype
            address = b.add(b.mul(k, number(plan.column.extent)), j)
        else:
            operand = self.operands[1]
            pointer, source = self.emitter.pointers[operand], self.emitter.specs[operand].dtype
            address = b.add(base[1], b.mul(j, number(plan.column.strides[1])))
        if self.width == 1:
            x = self.emitter.load(pointer, address, source)
            x = instructions.cast(b, x, source, self.dtype)
            return b.insert_element(ir.Constant(self.vector, ir.Undefined), x, ir.Constant(I32, 0))
        start = b.gep(pointer, [address])
        return self._converted(load(self.emitter.module, b, start, source, self.width, mask), source)

    def _converted(self, x: Any, source: "np.dtype[Any]") -> Any:
        if source == self.dtype and self.dtype.kind != "b":
            return x
        b, result = self.b, ir.Constant(self.vector, ir.Undefined)
        for lane in range(self.width):
            entry = b.extract_element(x, ir.Constant(I32, lane))
            if source.kind == "b":
                entry = b.icmp_unsigned("!=", entry, ir.Constant(entry.type, 0))
            entry = instructions.cast(b, entry, source, self.dtype)
            result = b.insert_element(result, entry, ir.Constant(I32, lane))
        return result

    def _tile(self, base: list[Any], i: Any, j: Any) -> None:
        plan, b = self.plan, self.b
        last = number(plan.row.extent - 1)
        rows = [smaller(b, b.add(i, number(r)), last) for r in range(self.rows)]
        left = [b.add(base[0], b.mul(row, number(plan.row.strides[0]))) for row in rows]
        masks = [self._mask(j, v) for v in range(self.vectors)]
        zero = ir.Constant(self.vector, [constant(0, self.dtype)] * self.width)
        sums = [[stack_slot(b, self.vector) for _ in range(self.vectors)] for _ in rows]
        for row in sums:
            for total in row:
                b.store(zero, total)
        with ExitStack() as stack:
            step, k = self._sum(stack, [number(0), base[1], number(0)])
            offsets = [b.add(j, number(v * self.width)) for v in range(self.vectors)]
            right = [self._load_vector(step, k, at, mask) for at, mask in zip(offsets, masks, strict=True)]
            for row, start in zip(sums, left, strict=True):
                x = broadcast(b, self._number(0, b.add(start, step[0])), self.width)
                for total, vector in zip(row, right, strict=True):
                    b.store(self._multiply_add(x, vector, b.load(total)), total)
        for r, row in enumerate(sums):
            inside = b.icmp_signed("<", b.add(i, number(r)), number(plan.row.extent))
            with b.if_then(inside):
                start = b.add(base[2], b.mul(b.add(i, number(r)), number(plan.row.strides[2])))
                for v, total in enumerate(row):
                    self._store(b.load(total), start, b.add(j, number(v * self.width)), masks[v])

    def _multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        b, kind = self.b, self.dtype.kind
        if kind != "f":
            return b.or_(z, b.and_(x, y)) if kind == "b" else b.add(z, b.mul(x, y))
        return multiply_add(self.emitter.module, b, x, y, z)

    def _store(self, vector: Any, start: Any, j: Any, mask: Any) -> None:
        plan, b = self.plan, self.b
        y, step = self.y, plan.column.strides[2]
        if self.width > 1 and step == 1 and self.dtype.kind != "b":
            store(self.emitter.module, b, vector, b.gep(y, [b.add(start, j)]), self.dtype, mask)
            return
        if self.dtype.kind == "b":
            vector = b.zext(vector, ir.VectorType(memory(self.dtype), self.width))
        lanes = stack_slot(b, ir.ArrayType(memory(self.dtype), self.width))
        b.store(vector, b.bitcast(lanes, vector.type.as_pointer()), align=1)
        inside = smaller(b, b.sub(number(plan.column.extent), j), number(self.width))
        with loop(b, number(0), inside, unroll=False) as lane:
            x = b.load(b.gep(lanes, [number(0), lane]))
            self.emitter.store(x, y, b.add(start, b.mul(b.add(j, lane), number(step))), self.dtype)
