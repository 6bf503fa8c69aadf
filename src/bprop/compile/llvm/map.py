"""Maps and scatters as loops: every scalar is computed in the outermost loop that knows all it needs."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from ...core.shape import size_of
from ..ir.loop_nest import Loop, Nest
from ..ir.scalar_expr import Scalar, spec_of
from ..passes.schedule import divided, grain
from .loop import Emitter, loop, number
from .type import constant, memory


def enter(
    stack: ExitStack,
    emitter: Emitter,
    loops: Sequence[Loop],
    levels: Sequence[Sequence[Scalar]],
    divided: Loop | None = None,
    grain: int = 1,
) -> None:
    """Open ``loops`` one inside the other and emit what each level makes known.

    Of the loop ``divided`` every thread takes its part.
    """
    emitter.emit(levels[0])
    for one, scalars in zip(loops, levels[1:], strict=False):
        begin, end = emitter.share(one.extent, grain, one is divided)
        emitter.loops[one.atom] = stack.enter_context(loop(emitter.builder, begin, end))
        emitter.emit(scalars)


def emit_map(emitter: Emitter, nest: Nest) -> None:
    """Emit a map."""
    if size_of(nest.kernel.shape) == 0:
        return
    shared = divided(nest.outer)
    step = grain(min(spec_of(edge).dtype.itemsize for edge, _, _ in nest.stores)) if shared in nest.outer[-1:] else 1
    with ExitStack() as stack:
        enter(stack, emitter, nest.outer, nest.levels(nest.outer), shared, step)
        for edge, address, value in nest.stores:
            emitter.store(emitter.values[value], emitter.pointers[edge], emitter.index(address), spec_of(edge).dtype)


def emit_scatter(emitter: Emitter, nest: Nest) -> None:
    """Emit y = 0, then y[index(i)] += x[i] in the order of i."""
    edge = (nest.kernel.root, 0)
    spec, pointer = spec_of(edge), emitter.pointers[edge]
    b: Any = emitter.builder
    zero = constant(0, spec.dtype)
    with loop(b, number(0), number(size_of(spec.shape))) as i:
        emitter.store(zero, pointer, i, spec.dtype)
    if size_of(nest.kernel.shape) == 0:
        return
    with ExitStack() as stack:
        enter(stack, emitter, nest.outer, nest.levels(nest.outer))
        address = emitter.index(nest.target)
        emitter.given[nest.read] = emitter.load(pointer, address, spec.dtype)
        emitter.emit([nest.read, nest.added])
        emitter.store(emitter.values[nest.added], pointer, address, spec.dtype)


__all__ = ["emit_map", "emit_scatter", "enter", "memory"]
