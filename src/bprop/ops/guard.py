"""Products that are right only where what they multiply is finite, and the check of that.

A product with an absent cotangent leaves out what the absent entries meet. Their zeros do the same while the other operand is
finite; so a compiled program does not mask the product but guards it, and where the guard fails another program runs
(decision 0003). A product entry by entry is guarded only where that costs less than its mask: its guard has both, and the
compiler chooses.
"""

from typing import Any

from ..core.family import Region
from ..core.interpreter import current
from ..core.op import Operand
from ..core.value import Spec
from .manipulation import broadcast_to

__all__: list[str] = []  # reverse mode guards, and the compiler checks


class Guard(Region):
    """args: the result of a product and one of its operands; the result again, which holds only if the operand is finite.

    A NaN in the result that comes from the operand may be taken for it: what drops the one drops the other. A third operand
    is the masked result, which always holds: the compiler takes the first only where it finds something small to check.
    Derivatives are those of the masked result.
    """

    def spec(self, *operands: Operand, **params: Any) -> tuple[Spec, ...]:
        result = operands[0]
        assert isinstance(result, Spec)
        return (result,)

    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        first = len(args) < 3
        y = current().bind(self, args, params)
        return y, lambda y_bars: [y_bars[0], None] if first else [None, None, y_bars[0]]

    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        result_dot, operand_dot, *masked_dot = args_dot
        if masked_dot:
            result_dot = masked_dot[0]
        elif result_dot is not None and operand_dot is not None:
            (result_dot,) = current().bind(self, (result_dot, operand_dot), params)
        return current().bind(self, args, params), (result_dot,)

    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Any) -> Any:
        result, operand, *masked = (
            x if is_batched or number == 1 else broadcast_to(x, (level.size, *x.shape))
            for number, (x, is_batched) in enumerate(zip(args, batched, strict=True))
        )
        return current().bind(self, (result, operand, *masked), params)

    def absent(self, args: tuple[Any, ...], present: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        return current().bind(self, args, params), present[:1]

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        return self.evaluate(*args)


guard = Guard(
    "guard",
    lambda result, operand, masked=None: (result if masked is None else masked,),
    doc="y = the result of a product that holds only where an operand is finite.",
)


class RequireFinite(Region):
    """args: arrays. Native code ends, before anything that lasts is written, where one holds NaN or infinity."""

    native = "guard"
    effect = True

    def spec(self, *operands: Operand, **params: Any) -> tuple[Spec, ...]:
        return ()


require_finite = RequireFinite(
    "require_finite",
    lambda *args: (),  # a graph that is called has no other program to run
    doc="Ends a compiled program where an operand is not finite, so that another runs instead.",
)
