"""Contractions that are dot products: x1 has a row or two, and both operands lie side by side along the sum.

A product of matrix and vector reads the matrix once, so to pack it would cost more than to multiply. Vectors run along
the sum instead: lane l adds up the products l, l + width, l + 2 · width …, and the lanes are added in halves at the end.
Several columns go together, each a chain of multiply-adds of its own, as many as must be under way at once.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from llvmlite import ir

from ..ir.blocking import merged
from ..ir.scalar_expr import spec_of
from ..passes.schedule import divided
from .loop import Emitter, loop, moved, number, smaller
from .panel import Panels, Target
from .type import I32, constant
from .vector import multiply_add, shuffled

if TYPE_CHECKING:
    from .contraction import Contraction, Label

COLUMNS = 8
ROWS = 2
"""Rows at most: the matrix is read once for each."""


def along(contracted: "list[Label]", width: int) -> bool:
    """Return whether both operands lie side by side along the sum, for at least one vector."""
    if not contracted:
        return False
    last = merged(contracted)[-1]
    return last.strides[:2] == (1, 1) and last.extent >= width


def emit_dots(emitter: Emitter, plan: "Contraction") -> None:
    """Emit a contraction as dot products; threads share one of the outer labels, or the columns."""
    b: Any = emitter.builder
    turns = {one: one.extent for one in plan.outer} | {plan.column: -(-plan.column.extent // COLUMNS)}
    shared = divided(turns, turns.__getitem__)

    def bounds(one: "Label", grain: int = 1) -> tuple[Any, Any]:
        return emitter.share(one.extent, grain, one is shared)

    with ExitStack() as stack:
        base = [number(plan.offsets[0]), number(plan.offsets[1]), number(0)]
        for one in plan.outer:
            base = _moved(b, base, one, stack.enter_context(loop(b, *bounds(one))))
        j = stack.enter_context(loop(b, *bounds(plan.column, COLUMNS), COLUMNS))
        i = stack.enter_context(loop(b, number(0), number(plan.row.extent)))
        _tile(emitter, plan, _moved(b, base, plan.row, i), j)


def _moved(b: Any, base: list[Any], label: "Label", i: Any) -> list[Any]:
    return [moved(b, one, i, s) for one, s in zip(base, label.strides, strict=True)]


def _tile(emitter: Emitter, plan: "Contraction", base: list[Any], j: Any) -> None:
    """Compute one row of some columns; those beyond the last are computed as the last, and not stored."""
    b: Any = emitter.builder
    edge, column = (plan.kernel.root, 0), plan.column
    dtype = spec_of(edge).dtype
    target = Target(dtype)
    panels = Panels(emitter.module, target)
    left, right = (emitter.pointers[one] for one in plan.edges)
    *slower, last = merged(plan.contracted)
    count, width = min(COLUMNS, column.extent), target.width
    columns = [smaller(b, b.add(j, number(c)), number(column.extent - 1)) for c in range(count)]
    vector = ir.VectorType(panels.kind, width)
    with b.goto_entry_block():
        sums = [b.alloca(vector) for _ in columns]
    for place in sums:
        b.store(ir.Constant(vector, [constant(0, dtype)] * width), place)

    def add(start: list[Any], k: Any, few: int) -> None:
        x = panels.load(b, b.gep(left, [b.add(start[0], k)]), width, few)
        for place, c in zip(sums, columns, strict=True):
            at = b.add(_moved(b, start, column, c)[1], k)
            other = panels.load(b, b.gep(right, [at]), width, few)
            b.store(multiply_add(emitter.module, b, x, other, b.load(place)), place)

    with ExitStack() as stack:
        start = base
        for one in slower:
            start = _moved(b, start, one, stack.enter_context(loop(b, number(0), number(one.extent))))
        whole = last.extent // width * width
        with loop(b, number(0), number(whole), width) as k:
            add(start, k, width)
        if last.extent > whole:
            add(start, number(whole), last.extent - whole)
    for c, place in enumerate(sums):
        at = b.add(j, number(c))
        with b.if_then(b.icmp_signed("<", at, number(column.extent))):
            y = _moved(b, base, column, at)[2]
            emitter.store(_added(b, b.load(place)), emitter.pointers[edge], y, dtype)


def _added(b: Any, x: Any) -> Any:
    """Return the sum of a vector's lanes."""
    while x.type.count > 1:
        half = x.type.count // 2
        low, high = (shuffled(b, x, x, range(start, start + half)) for start in (0, half))
        x = b.fadd(low, high)
    return b.extract_element(x, ir.Constant(I32, 0))


__all__ = ["along", "emit_dots"]
