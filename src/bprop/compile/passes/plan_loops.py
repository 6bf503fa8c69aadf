"""Loop plans: in which order a reduction combines, what runs side by side, what threads divide.

Long reductions go in chunks, whose results are joined pairwise, in an order that depends on shape alone. Within a chunk some
lanes run side by side, so that the loop vectorises without reassociation. Where the innermost axis is not reduced, the lanes
are a block of neighbouring results instead.

**Source:** Higham (1993), The accuracy of floating point summation (pairwise summation).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log2, prod
from typing import Any

import numpy as np

from ...core.error import CompileError
from ...core.family import Random, Reduction
from ...core.shape import size_of
from ..ir.affine_index import AffineIndex
from ..ir.kernel import Kernel, Kind
from ..ir.loop_nest import CumulationNest, Loop, LoopNest, ReductionNest, ScatterNest, parallel_loop
from ..ir.loop_plan import (
    AnyPlan,
    CumulationPlan,
    FiniteCheckPlan,
    LoopPlan,
    Partition,
    RandomPlan,
    ReductionPlan,
    RegionPlan,
)
from ..ir.lowered import walk
from ..ir.scalar_expr import index_of, scalars_of, terms_of
from ..ir.target import Target

LANES = (32, 8)
"""States of one result that run side by side, at most one for each entry: as many vectors as hide the latency of an addition."""
CHOICE_LANES = 32
"""States that run side by side where one of the entries is chosen: as many vectors as hide the latency of a comparison."""
CHUNK = 128
"""Entries that are combined before states are joined."""
COLUMNS = 64
"""Neighbouring results that run together, and the fewest that there must be for it."""
MIN_COLUMNS = 4
LEVELS = 48
"""Levels of pairwise joining: more chunks than memory can hold."""
GRAIN_BYTES = 4
"""Bytes of a number for which columns are divided at whole cache lines: of larger ones a part is several lines."""
FINITE_CHECK_SUMS = 4
"""Independent sums of vectors: as many as hide the latency of an addition."""
POLL_WORK = 5e7
"""Operations and bytes between two polls for signals: some 10 ms."""
MAX_POLL_INTERVAL = 10
"""Binary logarithm of the most iterations between two polls."""
BLOCK_NUMBERS: dict[str, Callable[["np.dtype[Any]"], int]] = {
    "uniform": lambda dtype: 4 if dtype == np.float32 else 2,
    "normal": lambda dtype: 2,
}
"""How many numbers one value of the counter, four words, gives."""


def plan_loops(kernels: Sequence[Kernel], target: Target) -> list[Kernel]:
    """Return the kernels with the plans of their loops; contractions have theirs from `tile`."""
    return [_planned(kernel, target) for kernel in kernels]


def _planned(kernel: Kernel, target: Target) -> Kernel:
    planned = PLANNERS.get(kernel.kind)
    return kernel if planned is None else replace(kernel, loops=planned(kernel, target))


# --- nests ---
def _map_plan(kernel: Kernel, target: Target) -> LoopPlan:
    nest = kernel.nest
    assert nest is not None
    stored = [kernel.operands[store.operand] for store in nest.stores]
    return LoopPlan(_partition(nest, target.grain(min(edge.spec.dtype.itemsize for edge in stored))))


def _scatter_plan(kernel: Kernel, target: Target) -> LoopPlan:
    """Entries are added in their order; threads divide the columns of the result, where entries stay in theirs."""
    nest = kernel.nest
    assert isinstance(nest, ScatterNest)
    size = size_of(kernel.root.specs[0].shape)
    if 0 in nest.shape or not nest.outer or not _stays_in_column(nest.target, nest.outer[-1], size):
        return LoopPlan(None)
    return LoopPlan(Partition(nest.outer[-1], target.grain(kernel.root.specs[0].dtype.itemsize)))


def _stays_in_column(target: AffineIndex, loop: Loop, size: int) -> bool:
    """Return whether an address is that of a row, whichever it is, of as many entries as ``loop`` has turns, and its variable.

    ``size``: how many entries the result has, which has to be whole rows.
    """
    if loop.extent == 0 or size % loop.extent:
        return False
    rows = {term: step for term, step in target.terms.items() if term != loop.variable}
    if target.coefficient(loop.variable) != 1 or target.constant or any(step % loop.extent for step in rows.values()):
        return False
    values = [term.detail for term in terms_of(target) if term.kind == "value"]
    return all(term != loop.variable for scalar in scalars_of(values) for term in terms_of(index_of(scalar)))


def _partition(nest: LoopNest, grain: int) -> Partition | None:
    """Return which loop threads divide; ``grain`` is that of the last, along which they write neighbouring numbers."""
    loop = parallel_loop(nest.outer)
    if loop is None or all(outer.extent <= 1 for outer in nest.outer):
        return None
    return Partition(loop, grain if loop == nest.outer[-1] else 1)


def _reduction_plan(kernel: Kernel, target: Target) -> ReductionPlan:
    nest = kernel.nest
    assert isinstance(nest, ReductionNest)
    last = nest.outer[-1] if nest.outer and nest.inner and size_of(nest.shape) else None
    if last is not None and last.variable == nest.innermost and last.extent >= MIN_COLUMNS:
        return ReductionPlan(_partition(nest, target.grain(GRAIN_BYTES)), COLUMNS, 1, CHUNK, 0)
    joins = nest.merged is not None
    op = kernel.root.op
    chooses = isinstance(op, Reduction) and (op.chosen is not None or op.kind == "bool")
    if chooses and nest.inner and nest.inner[-1].extent >= CHOICE_LANES:
        return ReductionPlan(_partition(nest, 1), 0, CHOICE_LANES, nest.inner[-1].extent, 0)  # in whatever order
    extent = nest.inner[-1].extent if joins and nest.inner else 1
    lanes = next((lanes for lanes in LANES if lanes <= extent), 1)
    is_long = prod(loop.extent for loop in nest.inner) > CHUNK
    return ReductionPlan(_partition(nest, 1), 0, lanes, CHUNK, LEVELS if joins and is_long else 0)


def _cumulation_plan(kernel: Kernel, target: Target) -> CumulationPlan:
    nest = kernel.nest
    assert isinstance(nest, CumulationNest)
    together = bool(nest.outer and nest.inner) and nest.outer[-1].variable == nest.innermost
    columns = COLUMNS if together else 0
    return CumulationPlan(_partition(nest, target.grain(GRAIN_BYTES) if columns else 1), columns)


# --- random numbers and checks ---
def _random_plan(kernel: Kernel, target: Target) -> RandomPlan:
    node = kernel.root
    op, dtype = node.op, node.specs[0].dtype
    assert isinstance(op, Random)
    numbers = BLOCK_NUMBERS.get(str(op.entry))
    if numbers is None:
        raise CompileError(f"{op.name}: entry {op.entry!r} has no native code{kernel.context}")
    generators, size = size_of(node.edge(0).spec.shape[:-1]), size_of(tuple(node.params["shape"]))
    block = numbers(dtype)
    divides_generators = generators > -(-size // block)
    return RandomPlan(str(op.entry), generators, size, block, divides_generators, target.grain(GRAIN_BYTES * block))


def _finite_check_plan(kernel: Kernel, target: Target) -> FiniteCheckPlan:
    return FiniteCheckPlan(tuple(target.lanes(edge.spec.dtype.itemsize) for edge in kernel.reads), FINITE_CHECK_SUMS)


# --- regions ---
def _region_plan(kernel: Kernel, target: Target) -> RegionPlan:
    work = sum((inner.flops + inner.bytes) * times for body in kernel.bodies for inner, times in walk(body))
    interval = int(2 ** min(max(log2(POLL_WORK / max(work, 1)) // 1, 0), MAX_POLL_INTERVAL))
    return RegionPlan(interval if kernel.root.params.get("length", interval) >= interval else None)


PLANNERS: dict[Kind, Callable[[Kernel, Target], AnyPlan]] = {
    "map": _map_plan,
    "join": _map_plan,
    "reduce": _reduction_plan,
    "scatter": _scatter_plan,
    "cumulate": _cumulation_plan,
    "random": _random_plan,
    "guard": _finite_check_plan,
    "scan": _region_plan,
    "loop": _region_plan,
}
