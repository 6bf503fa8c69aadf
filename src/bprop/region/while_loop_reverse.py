"""Reverse mode of a `while_loop` that is being traced, in two ways.

The backward pass is (h̄_k, c̄_k) = ∂f(h_k, c)ᵀ h̄_{k+1} for k = n - 1, …, 0, with c̄ = Σ_k c̄_k. It is a `while_loop` whose
carry is (a count that goes down, h̄, c̄). The ways differ in where h_k comes from.

- `StackedLoop`: with a ``limit`` there is an upper bound of n, so the forward loop stacks its residuals in arrays of that
  length. Time proportional to n, memory to the limit.
- `RecomputedLoop`: without one, memory must not depend on n. The iterations are divided into blocks of `BLOCK`, and the
  last block comes first. For each block the loop runs from its start again to where the block begins, then through
  the block, of which every iteration is saved. With blocks of B that is n + n²/(2B) further iterations.

**Source:** Griewank & Walther (2008), Evaluating Derivatives, ch. 12; Griewank (1992), Achieving logarithmic growth of
temporal and spatial complexity in reverse automatic differentiation.
"""

from collections.abc import Sequence
from typing import Any

from ..core.value import asarray
from ..ops import add, take
from ..ops.absent import absent
from .cotangent import compress, expand, filled, is_differentiable
from .interpretation import Body, apply_recorded
from .split import BackwardGraph, SplitBody

BLOCK = 64
"""Iterations that are saved at once where the loop has no limit."""


class _TracedLoop:
    """What both ways share: the loop and its arguments, which of these are differentiable, and how results are sent back."""

    def __init__(self, op: Any, args: tuple[Any, ...], params: dict[str, Any], differentiable: Sequence[bool]) -> None:
        """``op``: the `While`, of which ``run`` is used; ``differentiable``: which of ``args`` get a cotangent."""
        self.op = op
        self.params = params
        self.differentiable = differentiable
        carries = self.carries = params["carries"]
        self.start, self.constants = args[:carries], args[carries:]
        self.args = args

    def condition(self, carry: Sequence[Any], constants: Sequence[Any]) -> Any:
        """Return the predicate p(h, c)."""
        return self.params["condition"](*carry, *constants)[0]

    def constant_bars(self) -> list[Any]:
        """Return c̄ before the first iteration of the backward pass: nothing has been sent there."""
        return [absent(x) for x in compress(self.constants, self.differentiable[self.carries :])]


class StackedLoop(_TracedLoop):
    """Reverse mode with a limit: the forward loop stacks its residuals, the backward loop reads them row by row."""

    def record(self) -> tuple[Any, Any]:
        """Return the results and the pullback."""
        op, params, carries = self.op, self.params, self.carries
        split = SplitBody(params["body"], self.differentiable, lambda position: position >= carries, op.name)
        floats = [is_differentiable(y) for y in split.results]
        backward = split.backward(floats)
        forward, captures = split.forward()

        def condition(*flat: Any) -> Any:
            return self.condition(flat[:carries], self.constants)

        def body(*flat: Any) -> list[Any]:
            *carry, count = flat
            results = forward(*carry, *self.constants, *captures)
            return [*results[:carries], count + 1, *results[carries:]]

        outputs = op.run(condition, body, [*self.start, asarray(0)], params, params["limit"])
        trip_count = outputs.pop(carries)
        ys, residuals = outputs[: len(floats)], outputs[len(floats) :]

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            y_bars = filled(y_bars, ys, floats)
            carry_bars = list(compress(y_bars[:carries], floats))
            row_bars = list(compress(y_bars[carries:], floats[carries:]))
            return self._run_backward(backward, trip_count, carry_bars, row_bars, residuals)

        return tuple(ys), pullback

    def _run_backward(
        self,
        backward: BackwardGraph,
        trip_count: Any,
        carry_bars: list[Any],
        row_bars: list[Any],
        residuals: Sequence[Any],
    ) -> list[Any]:
        """Return the cotangents of all args, of the ``carry_bars`` h̄_n and the ``row_bars`` of the stacked rows."""
        count = len(carry_bars)

        def body(*flat: Any) -> list[Any]:
            after, *bars = flat
            k = after - 1
            y_bars = [*bars[:count], *(take(bar, k, axis=0) for bar in row_bars)]
            x_bars = backward(y_bars, self.args.__getitem__, lambda number: take(residuals[number], k, axis=0))
            return [k, *x_bars[:count], *map(add, bars[count:], x_bars[count:])]

        start = [trip_count, *carry_bars, *self.constant_bars()]
        _, *x_bars = self.op.run(lambda after, *_: after > 0, body, start, self.params, self.params["limit"])
        return expand(x_bars, self.differentiable)


class RecomputedLoop(_TracedLoop):
    """Reverse mode without a limit: the loop is run again for every block of iterations, the last block first."""

    def record(self) -> tuple[Any, Any]:
        """Return the results and the pullback."""
        trip_count, *ys = self._run_from_start(
            lambda _, *carry: self.condition(carry, self.constants), self.params["body"]
        )
        floats = [is_differentiable(c) for c in self.start]
        without_effects = self.params["body"].live(quiet=True)

        def block(end: Any, *bars: Any) -> list[Any]:
            return self._block(end, bars, floats, without_effects)

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            carry_bars = compress(filled(y_bars, ys, floats), floats)
            start = [trip_count, *carry_bars, *self.constant_bars()]
            _, *x_bars = self.op.run(lambda end, *_: end > 0, block, start, self.params, None)
            return expand(x_bars, self.differentiable)

        return tuple(ys), pullback

    def _block(self, end: Any, bars: Sequence[Any], floats: Sequence[bool], f: Body) -> list[Any]:
        """Go back through the iterations begin ≤ k < ``end``, of which there are at most `BLOCK`.

        ``bars`` are h̄_end and c̄ so far, ``f`` is the body without effects; returns (begin, h̄_begin, c̄).
        """
        count = sum(floats)
        begin = (end - 1) // BLOCK * BLOCK
        _, *h_begin = self._run_from_start(lambda k, *_: k < begin, f)

        def run_block(*args: Any) -> list[Any]:
            carry, constants = args[: self.carries], args[self.carries :]
            _, *h_end = self.op.run(lambda k, *_: k < end, _counted(f, constants), [begin, *carry], self.params, BLOCK)
            return h_end

        args = (*h_begin, *self.constants)
        _, pullback = apply_recorded(run_block, args, self.differentiable, self.op.name)
        x_bars = filled(pullback(expand(bars, floats)), args, self.differentiable)
        x_bars = list(compress(x_bars, self.differentiable))
        return [begin, *x_bars[:count], *map(add, bars[count:], x_bars[count:])]

    def _run_from_start(self, condition: Body, f: Body) -> list[Any]:
        """Run the loop with the number of iterations in front of the carry, from 0 and the first carry."""
        start = [asarray(0), *self.start]
        outputs: list[Any] = self.op.run(condition, _counted(f, self.constants), start, self.params, None)
        return outputs


def _counted(f: Body, constants: Sequence[Any]) -> Body:
    """Return the body ``f`` as a function from (k, h_k) to (k + 1, h_{k+1})."""
    return lambda k, *carry: [k + 1, *f(*carry, *constants)]


__all__ = ["BLOCK", "RecomputedLoop", "StackedLoop"]
