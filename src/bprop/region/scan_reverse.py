"""Reverse mode of `scan`: a scan in the other direction.

The backward pass is (h̄_t, x̄_t, c̄_t) = ∂f(h_t, x_t, c)ᵀ (h̄_{t+1}, ȳ_t) for t = n - 1, …, 0, with c̄ = Σ_t c̄_t. As a scan it has

- the carry (h̄, c̄), which starts as the cotangent of the last carry and as absent,
- the rows (ȳ_t, r_t, x_t): cotangents of the stacked results, residuals, and those inputs that it reads,
- the row results x̄_t.

**Source:** Werbos (1990), Backpropagation through time: what it does and how to do it.
"""

from collections.abc import Sequence
from typing import Any

from ..core.interpreter import current
from ..ops import add
from ..ops.absent import absent
from .cotangent import compress, expand, filled, is_differentiable, loop_differentiable, take_first
from .split import BackwardGraph, SplitBody


class ReversedScan:
    """A scan that is recorded: its forward pass stacks residuals, its pullback is the scan backwards."""

    def __init__(self, op: Any, args: tuple[Any, ...], params: dict[str, Any], needs: Sequence[bool]) -> None:
        """``op``: the `Scan`, of which ``run`` is used; ``needs``: which of ``args`` are to get a cotangent."""
        self.op = op
        self.args = args
        self.params = params
        self.carries, self.inputs = params["carries"], params["carries"] + params["scanned"]
        self.differentiable = loop_differentiable(args, needs, self.carries)

    def record(self) -> tuple[Any, Any]:
        """Return the results and the pullback."""
        params, carries = self.params, self.carries
        split = SplitBody(params["body"], self.differentiable, lambda position: position >= carries, self.op.name)
        floats = [is_differentiable(y) for y in split.results]
        backward = split.backward(floats)
        forward, captures = split.forward()
        outputs = current().bind(self.op, (*self.args, *captures), {**params, "body": forward})
        ys, residuals = outputs[: len(floats)], outputs[len(floats) :]

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            present = [
                flag and (position < carries or y_bar is not None)
                for position, (flag, y_bar) in enumerate(zip(floats, y_bars, strict=True))
            ]
            graph = backward if present == floats else split.backward(present)
            carry_bars = compress(filled(y_bars[:carries], ys[:carries], present[:carries]), present)
            row_bars = compress(y_bars[carries:], present[carries:])
            return self._run_backward(graph, list(carry_bars), list(row_bars), residuals)

        return ys, pullback

    def _run_backward(
        self, graph: BackwardGraph, carry_bars: list[Any], row_bars: list[Any], residuals: Sequence[Any]
    ) -> list[Any]:
        """Return the cotangents of all args, of the ``carry_bars`` h̄_n and ``row_bars`` ȳ that are present."""
        args, x_differentiable = self.args, self.differentiable[self.carries : self.inputs]
        constants_bar = [absent(x) for x in compress(args[self.inputs :], self.differentiable[self.inputs :])]
        x_positions = [detail for kind, detail in graph.sources if kind == "input" and detail < self.inputs]
        carry_count = len(carry_bars)

        def body(*flat: Any) -> list[Any]:
            values = iter(flat)
            h_bar = take_first(values, carry_count)
            c_bar_sum = take_first(values, len(constants_bar))
            y_bar = take_first(values, len(row_bars))
            r = take_first(values, len(residuals))
            x = list(values)

            def input_at(position: int) -> Any:
                return x[x_positions.index(position)] if position in x_positions else args[position]

            bars = iter(graph([*h_bar, *y_bar], input_at, r.__getitem__))
            h_bar = take_first(bars, carry_count)
            x_bar = take_first(bars, sum(x_differentiable))
            return [*h_bar, *map(add, c_bar_sum, bars), *x_bar]

        rows = [*row_bars, *residuals, *(args[position] for position in x_positions)]
        backwards = {**self.params, "reverse": not self.params["reverse"]}
        bars = iter(self.op.run(body, [*carry_bars, *constants_bar], rows, [], backwards))
        first_carry_bars = take_first(bars, carry_count)
        constants_bar = take_first(bars, len(constants_bar))
        return expand([*first_carry_bars, *bars, *constants_bar], self.differentiable)


__all__ = ["ReversedScan"]
