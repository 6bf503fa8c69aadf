"""Batching of a `while_loop`: one loop for the whole batch.

It goes on while the condition holds for any entry. Where it has failed, h_{k+1} = h_k: a finished entry keeps its carry.
Which carries differ among the entries is a fixpoint: those that do at the start, and those that come to depend on one
that does.

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
    carries have a batch axis: those that differ among the entries.
    """

    def __init__(
        self,
        op: Any,
        constants: Sequence[Any],
        constants_batched: Sequence[bool],
        params: dict[str, Any],
        level: Batch,
    ) -> None:
        """``op``: the `While`; ``constants_batched``: which constants have a batch axis; ``level``: the `Batch` that asks."""
        self.op = op
        self.constants = constants
        self.constants_batched = constants_batched
        self.params = params
        self.level = level

    def with_batch_axis(self, carry: Sequence[Any], has_axis: Sequence[bool], needs_axis: Sequence[bool]) -> list[Any]:
        """Return the carry with a batch axis where it needs one."""
        return [
            materialised(c, self.level.size) if needs and not has else c
            for c, has, needs in zip(carry, has_axis, needs_axis, strict=True)
        ]

    def batched_carries(self, carry: Sequence[Any], batched: Sequence[bool]) -> list[bool]:
        """Return which carries have a batch axis: those that have one, and those that come to depend on one that has."""

        def step(flags: list[bool]) -> tuple[list[bool], None]:
            def iteration(*carry: Any) -> tuple[list[Any], list[bool]]:
                owner, results = self._iteration(carry, flags)
                return [], [flag or owner.owns(y) for flag, y in zip(flags, results, strict=False)]

            specs = [c.spec for c in self.with_batch_axis(carry, batched, flags)]
            return Closure(iteration, specs, self.op.name, has_aux=True).aux, None

        flags, _ = fixpoint(step, list(batched))
        return flags

    def continues(self, carry: Sequence[Any], carry_batched: Sequence[bool]) -> Any:
        """Return whether any entry goes on: the condition of the loop over the batch."""
        predicate, per_entry = self._predicate(carry, carry_batched)
        return any(predicate) if per_entry else predicate

    def body(self, carry: Sequence[Any], carry_batched: Sequence[bool]) -> list[Any]:
        """Return the carry after one iteration, with the batch axes that it had; rows have one always."""
        owner, results = self._iteration(carry, carry_batched)
        needs_axis = [*carry_batched, *(True for _ in results[len(carry) :])]
        return [
            lowered(y, owner) if needs or owner.owns(y) else y for y, needs in zip(results, needs_axis, strict=True)
        ]

    def _predicate(self, carry: Sequence[Any], carry_batched: Sequence[bool]) -> tuple[Any, bool]:
        """Return the predicate, and whether it is one for each entry: they differ, or only some entries are asked for."""
        owner = self.level.inside()
        with using(owner):
            (predicate,) = self.params["condition"](*self._lifted(owner, carry, carry_batched))
        per_entry = owner.owns(predicate) or self.level.active is not None
        predicate = owner.lower(predicate)
        return (predicate if self.level.active is None else predicate & self.level.active), per_entry

    def _iteration(self, carry: Sequence[Any], carry_batched: Sequence[bool]) -> tuple[Batch, list[Any]]:
        """Return the level and the results of one iteration there, in which a finished entry keeps its carry."""
        predicate, per_entry = self._predicate(carry, carry_batched)
        owner = self.level.inside(predicate if per_entry else None)
        lifted = self._lifted(owner, carry, carry_batched)
        with using(owner):
            results = self.params["body"](*lifted)
            if per_entry:
                pairs = zip(results[: len(carry)], lifted, strict=False)
                results[: len(carry)] = [where(owner.wrap(predicate), after, before) for after, before in pairs]
        return owner, results

    def _lifted(self, owner: Batch, carry: Sequence[Any], carry_batched: Sequence[bool]) -> list[Any]:
        batched = [*carry_batched, *self.constants_batched]
        return [owner.wrap(x) if flag else x for x, flag in zip((*carry, *self.constants), batched, strict=True)]


__all__ = ["BatchedLoop"]
