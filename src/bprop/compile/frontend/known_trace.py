"""A trace that is known: the calls that it is for, and what it gave."""

from collections.abc import Sequence
from typing import Any

from .cache_key import Signature
from .call_guard import Guard, cells_hold
from .compiled_call import CompiledCall


class KnownTrace:
    """A trace that was made: the calls that it is for, by signature and guard, and what it gave."""

    def __init__(self, signature: Signature, guard: Guard, step: CompiledCall) -> None:
        self.guard, self.step, self.parts = guard, step, signature.asked(step.trace.asked)
        self.signature = signature.settled(step.trace.asked, guard.cells)
        self.looped: Signature | None = None
        """The arguments of the last loop, by whose objects the next one may be known."""

    def is_for(self, signature: Signature) -> bool:
        """Return whether a call's arguments are of the kind that was traced."""
        return (
            signature.structure == self.signature.structure
            and signature.keys == self.signature.keys
            and signature.asked(self.step.trace.asked) == self.parts
        )

    def take(self, signature: Signature) -> bool:
        """Know again, from now on, the calls that have the objects of this signature; return whether its cells fit."""
        signature = signature.settled(self.step.trace.asked, self.guard.cells)
        if signature.reached != self.signature.reached or not self.fits(signature):
            return False
        self.signature = signature
        return True

    def fits(self, signature: Signature) -> bool:
        """Return whether all cells are as trainable, and of the shapes and dtypes, that they were."""
        return cells_hold(self.guard.specs) and cells_hold(signature.apart) and self.step.fits()

    def is_settled(self, mark: object) -> bool:
        """Return whether the cells of the last loop are in their places, where ``mark`` is the latest change of a cell."""
        return self.step.settled is mark and self.step.taken is self.looped

    def loops(self, args: Sequence[Any], mark: object) -> list[Any] | None:
        """Return the leaves of a loop whose arguments are the objects of the last one, or ``None``."""
        leaves = None if self.looped is None else self.looped.leaves_of(args)
        if leaves is None or self.looped is None or not self.guard.holds():
            return None
        if not self.is_settled(mark) and not self.fits(self.looped):
            return None
        if self.signature.by_objects:
            self.signature = self.signature.by_key()  # the cells of single calls are to be found again
        return leaves
