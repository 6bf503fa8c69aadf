"""Batching of a `while_loop`: one loop for the whole batch.

It goes on while the condition holds for any entry. Where it has failed, h_{k+1} = h_k: a finished entry keeps its carry.
Which carries differ among the entries is a fixpoint: those that do at the start, and those that come to depend on one
that does. It is found on the graphs of condition and body, without tracing: each of them is traced once, so that loops
inside loops take time in proportion to their depth.

**Source:** JAX, the batching rule of ``lax.while_loop``.
"""

from collections.abc import Sequence
from typing import Any

from ..core.interpreter import using
from ..gradients.batch import Batch, materialised
from ..ops import any, where
from .closure import Closure
from .fixpoint import fixpoint
from .interpretation import lowered


class BatchedLoop:
    """A loop for a whole batch: it runs until the condition fails for every entry; a finished entry keeps its carry.

    Where all entries share one predicate, they stop together and nothing is chosen. ``carry_batched`` says which
    carries have a batch axis: those that differ among the entries. ``start`` is the first carry with these axes.
    """

    def __init__(
        self, op: Any, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any], level: Batch
    ) -> None:
        """``op``: the `While`; ``args``, ``batched``: its arguments, and which have a batch axis; ``level``: that asks."""
        carries = params["carries"]
        self.constants, self.constants_batched = args[carries:], batched[carries:]
        self.params = params
        self.level = level
        self.carry_batched, self.per_entry = self._differing(batched[:carries])
        self.start = self.with_batch_axis(args[:carries], batched[:carries], self.carry_batched)
        self._predicate = Closure(self._traced_predicate, [c.spec for c in self.start], op.name)

    def with_batch_axis(self, carry: Sequence[Any], has_axis: Sequence[bool], needs_axis: Sequence[bool]) -> list[Any]:
        """Return the carry with a batch axis where it needs one."""
        return [
            materialised(c, self.level.size) if needs and not has else c
            for c, has, needs in zip(carry, has_axis, needs_axis, strict=True)
        ]

    def _differing(self, carry_batched: Sequence[bool]) -> tuple[list[bool], bool]:
        """Return which carries differ among the entries, and whether the predicate does.

        It does, too, where only some entries are asked for: the others are finished from the start.
        """

        def step(flags: list[bool]) -> tuple[list[bool], bool]:
            operands = [*flags, *self.constants_batched]
            per_entry = self.level.active is not None or self.params["condition"].dependent(operands)[0]
            after = self.params["body"].dependent(operands)
            return [flag or per_entry or result for flag, result in zip(flags, after, strict=False)], per_entry

        return fixpoint(step, list(carry_batched))

    def _traced_predicate(self, *carry: Any) -> list[Any]:
        owner = self.level.inside()
        with using(owner):
            (predicate,) = self.params["condition"](*self._lifted(owner, carry))
        predicate = owner.lower(predicate)
        return [predicate if self.level.active is None else predicate & self.level.active]

    def predicate(self, carry: Sequence[Any]) -> Any:
        """Return whether the loop goes on: one bool for each entry, or one for all."""
        return self._predicate.graph(*carry, *self._predicate.captures)[0]

    def continues(self, *carry: Any) -> Any:
        """Return whether any entry goes on: the condition of the loop over the batch."""
        return any(self.predicate(carry)) if self.per_entry else self.predicate(carry)

    def body(self, *carry: Any) -> list[Any]:
        """Return the carry after one iteration, with the batch axes that it had; rows have one always."""
        predicate = self.predicate(carry) if self.per_entry else None
        owner = self.level.inside(predicate)
        lifted = self._lifted(owner, carry)
        with using(owner):
            results = self.params["body"](*lifted)
            if predicate is not None:
                pairs = zip(results[: len(carry)], lifted, strict=False)
                results[: len(carry)] = [where(owner.wrap(predicate), after, before) for after, before in pairs]
        needs_axis = [*self.carry_batched, *(True for _ in results[len(carry) :])]
        return [lowered(y, owner) if needs else y for y, needs in zip(results, needs_axis, strict=True)]

    def _lifted(self, owner: Batch, carry: Sequence[Any]) -> list[Any]:
        batched = [*self.carry_batched, *self.constants_batched]
        return [owner.wrap(x) if flag else x for x, flag in zip((*carry, *self.constants), batched, strict=True)]


__all__ = ["BatchedLoop"]
