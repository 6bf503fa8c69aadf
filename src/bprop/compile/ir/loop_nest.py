"""Loop nests: the loops of a kernel, what is loaded where, what is computed, what is stored.

A nest names the values in memory by their number among its kernel's operands. So it determines the code of a kernel, and
kernels of equal structure have the same nest.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .affine_index import AffineIndex, IndexTerm
from .scalar_expr import ScalarExpr, index_of, needs, terms_of

T = TypeVar("T")
MIN_PARALLEL_ITERATIONS = 32
"""Iterations from which on a loop is made parallel, rather than one inside it."""


class Loop(NamedTuple):
    """One loop: the innermost of the variables it stands for, and how often it runs."""

    variable: IndexTerm
    extent: int


class Store(NamedTuple):
    """A number that is written: the operand, the address in it, and the scalar."""

    operand: int
    address: AffineIndex
    value: ScalarExpr


@dataclass(frozen=True, eq=False)
class LoopNest:
    """The loops of a map or of an operand of a join, and the base of the other nests.

    ``outer`` are loops over entries of the result, ``inner`` those over what is combined (reductions and cumulations), both
    with neighbours merged where every address moves as if they were one. ``innermost`` is the variable of the last axis.
    ``scalars`` are all that ``stores`` and other fields need, each after those that it needs.
    """

    shape: tuple[int, ...]
    outer: tuple[Loop, ...]
    inner: tuple[Loop, ...]
    innermost: IndexTerm | None
    stores: tuple[Store, ...]
    scalars: tuple[ScalarExpr, ...]

    @property
    def may_fail(self) -> bool:
        """Whether one of its scalars can end the program with an error."""
        return any(x.op == "bounds_checked" or (x.op == "pow" and x.dtype.kind == "i") for x in self.scalars)

    @property
    def loads(self) -> list[tuple[int, AffineIndex]]:
        """Number of the operand and address of everything that it reads."""
        return [x.detail for x in self.scalars if x.op == "load"]

    def levels(self, loops: Sequence[Loop]) -> list[list[ScalarExpr]]:
        """Sort the scalars by how many of ``loops`` must be open before they can be computed."""
        depth = {loop.variable: number + 1 for number, loop in enumerate(loops)}
        level: dict[ScalarExpr, int] = {}
        result: list[list[ScalarExpr]] = [[] for _ in range(len(loops) + 1)]
        for scalar in self.scalars:
            variables = [depth.get(term, 0) for term in terms_of(index_of(scalar)) if term.kind == "loop"]
            level[scalar] = max([*variables, *(level[x] for x in needs(scalar))], default=0)
            result[level[scalar]].append(scalar)
        return result


@dataclass(frozen=True, eq=False)
class ScatterNest(LoopNest):
    """y[target] += value; ``added`` is the sum of ``entry``, the number that is there, and ``value``."""

    target: AffineIndex
    value: ScalarExpr
    entry: ScalarExpr
    added: ScalarExpr


@dataclass(frozen=True, eq=False)
class CombiningNest(LoopNest):
    """What reductions and cumulations have in common: a state that is updated by one entry after the other.

    ``combined`` are the new ``states`` after ``entries``; ``finished`` is the result for the last states, written at ``target``.
    ``accumulator`` is the dtype of the states.
    """

    accumulator: "np.dtype[Any]"
    target: AffineIndex
    states: tuple[ScalarExpr, ...]
    entries: tuple[ScalarExpr, ...]
    combined: tuple[ScalarExpr, ...]
    finished: ScalarExpr


@dataclass(frozen=True, eq=False)
class ReductionNest(CombiningNest):
    """``init`` are the first states, ``value`` is the number that is combined.

    ``merged`` joins ``states`` with ``others``, where the op can.
    """

    init: tuple[float, ...]
    value: ScalarExpr
    others: tuple[ScalarExpr, ...]
    merged: tuple[ScalarExpr, ...] | None


@dataclass(frozen=True, eq=False)
class CumulationNest(CombiningNest):
    """``values`` are the numbers that a step combines with the state, one for each operand of the op."""

    values: tuple[ScalarExpr, ...]


@dataclass(frozen=True, eq=False)
class Epilogue(LoopNest):
    """The maps after a contraction: two loops over a macro tile of its result, not merged.

    ``outer_variables`` are the other labels of the result; the last two labels are those of a macro tile's rows and columns in
    memory. ``result`` is the scalar that reads the contraction's entry; ``prefetched`` are the operands of its rows and columns that
    are fetched into the second-level cache meanwhile.
    """

    outer_variables: tuple[IndexTerm, ...]
    result: ScalarExpr | None
    prefetched: tuple[int, ...]


def parallel_loop(loops: Collection[T], extent: Callable[[Any], int] = attrgetter("extent")) -> T | None:
    """Return the loop to be parallel: the outermost with `MIN_PARALLEL_ITERATIONS` iterations, or else the one with most."""
    return next(
        (loop for loop in loops if extent(loop) >= MIN_PARALLEL_ITERATIONS), max(loops, key=extent, default=None)
    )
