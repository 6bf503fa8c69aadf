"""`guard`: an assertion that numbers are finite, on which the rest of a program rests."""

from typing import Any

from ..core.family import Region
from ..core.op import Operand
from ..core.value import Spec


class Guard(Region):
    """args: arrays. Native code ends before anything that lasts is written where one holds NaN or infinity."""

    native = "guard"
    effect = True

    def spec(self, *operands: Operand, **params: Any) -> tuple[Spec, ...]:
        return ()


guard_op = Guard(
    "guard",
    lambda *args: (),  # a graph that is called is not guarded: only a compiled step has another program
    doc="Ends a native program where an operand holds NaN or infinity, so that another can run instead.",
)

__all__ = ["guard_op"]
