"""Contractions: C[batch, i, j] = Σₖ A[batch, i, k] · B[batch, k, j] with any strides, in register tiles.

Small ones go here, large ones in blocks (`blocked`), a matrix times a vector along its rows as dot products (`dot`). A
tile of rows × vectors of C stays in registers over the whole sum; rows beyond the edge are computed again and not stored,
columns beyond it are masked. Where B does not move by one along j it is first packed so that it does. The order of the sum
over k is that of the labels.
"""

from contextlib import ExitStack
from math import prod
from typing import Any

import numpy as np
from llvmlite import ir

from ...core.error import CompileError
from ...core.family import Bilinear
from ..ir.affine_index import Index, flattened
from ..ir.blocking import Blocking
from ..ir.scalar_expr import spec_of
from ..passes.fuse import Kernel
from ..passes.fuse_epilogues import Epilogue
from ..passes.schedule import divided
from . import instruction as instructions
from .blocked import BlockedEmission
from .dot import ROWS as FEW
from .dot import along, emit_dots
from .host import machine
from .loop import Emitter, loop, moved, number, smaller
from .type import I32, constant, register
from .vector import load, multiply_add, spread, store

ROWS = 6
VECTORS, COLUMNS = 2, 8
"""Vectors of a row of a tile, and how many where there is one row: so many sums must be under way at once."""
SMALL, SMALL_TURNED = 2**19, 2**17
"""Multiplications below which packing both operands costs more than it gains; the latter where B has to be turned anyway."""


class Label:
    """One axis of the contraction: its extent and its stride in x1, x2 and y."""

    __slots__ = ("extent", "strides")

    def __init__(self, extent: int, strides: tuple[int, int, int]) -> None:
        self.extent = extent
        self.strides = strides

    def swapped(self) -> "Label":
        """Return the label with x1 and x2 exchanged."""
        return Label(self.extent, (self.strides[1], self.strides[0], self.strides[2]))


class Contraction:
    """The labels of a contraction sorted by role. ``packed`` numbers of B need room of their own."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        node = kernel.root
        op = node.op
        assert isinstance(op, Bilinear)
        shapes = [spec_of(x).shape for x in node.inputs]
        labels1, labels2, out = op.labels(shapes[0], shapes[1], **node.params)
        sizes = op.sizes(labels1, shapes[0], labels2, shapes[1])
        strides, self.offsets = [], []
        for view, labels in zip(kernel.views, (labels1, labels2), strict=True):
            address = flattened(view.position, spec_of(view.edge).shape)
            steps: dict[str, int] = {}
            for axis, label in enumerate(labels):
                step = sum(c for atom, c in address.terms.items() if atom.detail % 100 == axis)
                steps[label] = steps.get(label, 0) + step
            strides.append(steps)
            self.offsets.append(address.constant)
            self.linear(address)
        steps, step = {}, 1
        for label in reversed(out):
            steps[label] = step
            step *= sizes[label]
        strides.append(steps)
        made = {
            label: Label(size, (strides[0].get(label, 0), strides[1].get(label, 0), strides[2].get(label, 0)))
            for label, size in sizes.items()
        }
        order = [label for label in dict.fromkeys(labels1 + labels2) if made[label].extent != 1]
        self.empty = any(size == 0 for size in sizes.values())
        self.size = prod(sizes[label] for label in out)
        self.contracted = [made[x] for x in order if x not in out]
        rows = [made[x] for x in order if x in out and not made[x].strides[1]]
        columns = [made[x] for x in order if x in out and made[x].strides[1] and not made[x].strides[0]]
        self.batch = [made[x] for x in order if x in out and made[x].strides[0] and made[x].strides[1]]
        self.edges = [view.edge for view in kernel.views]
        if not columns or (rows and not _unit(columns, 1) and _unit(rows, 0) and _unit(rows, 2)):
            self._swap(list(made.values()))  # multiplication commutes: the vectors run along the rows
            rows, columns = columns, rows
        self.column = min(columns, key=lambda one: (one.strides[2] != 1, -one.extent), default=Label(1, (0, 1, 1)))
        self.row = max(rows, key=lambda one: one.extent, default=Label(1, (0, 0, 0)))
        self.outer = [
            *self.batch,
            *(x for x in rows if x is not self.row),
            *(x for x in columns if x is not self.column),
        ]
        self.depth = prod(one.extent for one in self.contracted)
        self.packs = self.column.extent > 1 and self.column.strides[1] != 1
        self.dots = (
            self.packs
            and not self.empty
            and self.row.extent <= FEW
            and self._floating()
            and along(self.contracted, machine().vector // spec_of((node, 0)).dtype.itemsize)
        )
        self.packs &= not self.dots
        self.packed = self.depth * self.column.extent if self.packs and not self.empty else 0
        self.blocking: Blocking | None = None
        if not self.dots and self._large(rows, columns):
            self.blocking = Blocking(spec_of((node, 0)).dtype, rows, columns, self.batch, self.contracted)
            self.packed = self.blocking.packed

    def _large(self, rows: list[Label], columns: list[Label]) -> bool:
        """Return whether the contraction goes in blocks."""
        sides = [max((one.extent for one in side), default=1) for side in (rows, columns)]
        return (
            not self.empty
            and bool(self.contracted)
            and self._floating()
            and any(one.strides[2] == 1 for one in (*rows, *columns))
            and min(sides) > 2
            and prod(sides) * self.depth >= (SMALL_TURNED if self.packs else SMALL)
        )

    def _floating(self) -> bool:
        """Return whether operands and result are of one floating dtype."""
        dtypes = {spec_of(edge).dtype for edge in (*self.edges, (self.kernel.root, 0))}
        return len(dtypes) == 1 and dtypes.pop().kind == "f"

    @property
    def labels(self) -> list[tuple[int, int]]:
        """Return extent and stride of the labels of a large contraction's result, rows and columns in memory last."""
        plan = self.blocking
        assert plan is not None
        slow, fast = (plan.column, plan.row) if plan.turned else (plan.row, plan.column)
        return [(one.extent, one.strides[2]) for one in (*plan.outer, slow, fast)]

    def linear(self, address: Index) -> None:
        """Refuse an operand whose entries do not lie at constant strides."""
        if not address.linear():
            raise CompileError(f"{self.kernel.root.op}: an operand does not lie at constant strides")

    def _swap(self, labels: list[Label]) -> None:
        self.edges.reverse()
        self.offsets.reverse()
        for one in labels:
            one.strides = (one.strides[1], one.strides[0], one.strides[2])


def _unit(labels: list[Label], operand: int) -> bool:
    return any(one.strides[operand] == 1 for one in labels)


def emit_contraction(emitter: Emitter, plan: Contraction, scratch: Any, epilogue: Epilogue | None = None) -> None:
    """Emit a contraction and the maps that follow it; ``scratch`` is room for packed operands."""
    if plan.dots:
        emit_dots(emitter, plan)
    elif plan.blocking is None:
        _Emission(emitter, plan, scratch).emit()
    else:
        y = emitter.pointers.get((plan.kernel.root, 0))
        order = (1, 0) if plan.blocking.swapped else (0, 1)
        edges, offsets = [plan.edges[x] for x in order], [plan.offsets[x] for x in order]
        BlockedEmission(emitter, plan.blocking, edges, offsets, y, scratch, epilogue).emit()


class _Emission:
    def __init__(self, emitter: Emitter, plan: Contraction, scratch: Any) -> None:
        self.emitter = emitter
        self.plan = plan
        self.b: Any = emitter.builder
        self.edge = (plan.kernel.root, 0)
        self.dtype = spec_of(self.edge).dtype
        self.scratch = scratch
        self.kind = register(self.dtype)
        self.width = 1 if self.dtype.kind == "b" else machine().vector // self.dtype.itemsize
        while self.width > 1 and self.width // 2 >= plan.column.extent:
            self.width //= 2
        wide = max(VECTORS, COLUMNS // max(plan.row.extent, 1))
        self.vectors = min(-(-max(plan.column.extent, 1) // self.width), wide)
        most = ROWS * VECTORS // self.vectors
        self.rows = -(-max(plan.row.extent, 1) // -(-max(plan.row.extent, 1) // most))  # few beyond the edge
        self.vector = ir.VectorType(self.kind, self.width)

    def emit(self) -> None:
        plan, b = self.plan, self.b
        y = self.emitter.pointers[self.edge]
        if plan.empty:
            with loop(b, *self.emitter.share(plan.size)) as i:
                self.emitter.store(constant(0, self.dtype), y, i, self.dtype)
            return
        # of the outer loops, or of the rows or columns of each product, every thread takes its part
        tile = self.width * self.vectors
        turns = {one: one.extent for one in plan.outer} if not plan.packs else {}
        turns |= {plan.row: -(-plan.row.extent // self.rows), plan.column: -(-plan.column.extent // tile)}
        shared = divided(turns, turns.__getitem__)

        def bounds(one: Label, grain: int = 1) -> tuple[Any, Any]:
            return self.emitter.share(one.extent, grain, one is shared)

        with ExitStack() as stack:
            base = [number(plan.offsets[0]), number(plan.offsets[1]), number(0)]
            for one in plan.outer:
                base = self._step(base, one, stack.enter_context(loop(b, *bounds(one))))
            if plan.packs:
                self._pack(base)
                self.emitter.barrier()
            (left, right), (top, bottom) = bounds(plan.column, tile), bounds(plan.row, self.rows)
            with loop(b, left, right, tile) as j, loop(b, top, bottom, self.rows) as i:
                self._tile(base, i, j)
            if plan.packs and plan.outer:
                self.emitter.barrier()

    def _step(self, base: list[Any], label: Label, i: Any) -> list[Any]:
        return [moved(self.b, one, i, s) for one, s in zip(base, label.strides, strict=True)]

    def _number(self, operand: int, address: Any) -> Any:
        """Return an entry of an operand, converted to the dtype of the result."""
        edge = self.plan.edges[operand]
        source = spec_of(edge).dtype
        x = self.emitter.load(self.emitter.pointers[edge], address, source)
        return instructions.cast(self.b, x, source, self.dtype)

    def _sum(self, stack: ExitStack, base: list[Any]) -> tuple[list[Any], Any]:
        """Open the loops over the contracted labels; return the addresses and the number of the step."""
        b, flat = self.b, number(0)
        for one in self.plan.contracted:
            k = stack.enter_context(loop(b, number(0), number(one.extent)))
            base = self._step(base, one, k)
            flat = b.add(b.mul(flat, number(one.extent)), k)
        return base, flat

    def _pack(self, base: list[Any]) -> None:
        column, b = self.plan.column, self.b
        with ExitStack() as stack:
            inner, k = self._sum(stack, base)
            j = stack.enter_context(loop(b, *self.emitter.share(column.extent)))
            x = self._number(1, self._step(inner, column, j)[1])
            self.emitter.store(x, self.scratch, b.add(b.mul(k, number(column.extent)), j), self.dtype)

    def _mask(self, j: Any, vector: int) -> Any:
        """Return which lanes of a vector lie inside, or ``None`` where all always do."""
        extent = self.plan.column.extent
        if extent % (self.width * self.vectors) == 0 or self.width == 1:
            return None
        b = self.b
        lanes = ir.VectorType(I32, self.width)
        left = b.trunc(b.sub(number(extent - vector * self.width), j), I32)
        return b.icmp_signed("<", ir.Constant(lanes, list(range(self.width))), spread(b, left, self.width))

    def _load_vector(self, base: list[Any], k: Any, j: Any, mask: Any) -> Any:
        """Return a vector of B; lanes outside the mask are zero and not read."""
        plan, b = self.plan, self.b
        if plan.packs:
            pointer, source = self.scratch, self.dtype
            address = b.add(b.mul(k, number(plan.column.extent)), j)
        else:
            pointer, source = self.emitter.pointers[plan.edges[1]], spec_of(plan.edges[1]).dtype
            address = b.add(base[1], b.mul(j, number(plan.column.strides[1])))
        if self.width == 1:
            x = self.emitter.load(pointer, address, source)
            x = instructions.cast(b, x, source, self.dtype)
            return b.insert_element(ir.Constant(self.vector, ir.Undefined), x, ir.Constant(I32, 0))
        place = b.gep(pointer, [address])
        return self._converted(load(self.emitter.module, b, place, source, self.width, mask), source)

    def _converted(self, x: Any, source: "np.dtype[Any]") -> Any:
        if source == self.dtype and self.dtype.kind != "b":
            return x
        b, result = self.b, ir.Constant(self.vector, ir.Undefined)
        for lane in range(self.width):
            one = b.extract_element(x, ir.Constant(I32, lane))
            if source.kind == "b":
                one = b.icmp_unsigned("!=", one, ir.Constant(one.type, 0))
            one = instructions.cast(b, one, source, self.dtype)
            result = b.insert_element(result, one, ir.Constant(I32, lane))
        return result

    def _tile(self, base: list[Any], i: Any, j: Any) -> None:
        plan, b = self.plan, self.b
        last = number(plan.row.extent - 1)
        rows = [smaller(b, b.add(i, number(r)), last) for r in range(self.rows)]
        left = [b.add(base[0], b.mul(row, number(plan.row.strides[0]))) for row in rows]
        masks = [self._mask(j, v) for v in range(self.vectors)]
        zero = ir.Constant(self.vector, [constant(0, self.dtype)] * self.width)
        with b.goto_entry_block():
            acc = [[b.alloca(self.vector) for _ in range(self.vectors)] for _ in rows]
        for row in acc:
            for place in row:
                b.store(zero, place)
        with ExitStack() as stack:
            step, k = self._sum(stack, [number(0), base[1], number(0)])
            offsets = [b.add(j, number(v * self.width)) for v in range(self.vectors)]
            right = [self._load_vector(step, k, at, mask) for at, mask in zip(offsets, masks, strict=True)]
            for row, start in zip(acc, left, strict=True):
                x = spread(b, self._number(0, b.add(start, step[0])), self.width)
                for place, vector in zip(row, right, strict=True):
                    b.store(self._multiply_add(x, vector, b.load(place)), place)
        for r, row in enumerate(acc):
            inside = b.icmp_signed("<", b.add(i, number(r)), number(plan.row.extent))
            with b.if_then(inside):
                start = b.add(base[2], b.mul(b.add(i, number(r)), number(plan.row.strides[2])))
                for v, place in enumerate(row):
                    self._store(b.load(place), start, b.add(j, number(v * self.width)), masks[v])

    def _multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        b, kind = self.b, self.dtype.kind
        if kind != "f":
            return b.or_(z, b.and_(x, y)) if kind == "b" else b.add(z, b.mul(x, y))
        return multiply_add(self.emitter.module, b, x, y, z)

    def _store(self, vector: Any, start: Any, j: Any, mask: Any) -> None:
        plan, b = self.plan, self.b
        y, step = self.emitter.pointers[self.edge], plan.column.strides[2]
        if self.width > 1 and step == 1 and self.dtype.kind != "b":
            store(self.emitter.module, b, vector, b.gep(y, [b.add(start, j)]), self.dtype, mask)
            return
        for lane in range(self.width):
            at = b.add(j, number(lane))
            with b.if_then(b.icmp_signed("<", at, number(plan.column.extent))):
                x = b.extract_element(vector, ir.Constant(I32, lane))
                self.emitter.store(x, y, b.add(start, b.mul(at, number(step))), self.dtype)


__all__ = ["Contraction", "emit_contraction"]
