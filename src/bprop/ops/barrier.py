"""An identity that simplification does not see through: what is computed behind it is computed again."""

from ..core.family import Linear
from ..core.op import shape_of

__all__: list[str] = []  # what checkpoint computes again begins behind it

barrier: Linear = Linear(
    "barrier",
    lambda x: x,
    shape=lambda x: shape_of(x),
    adjoint=lambda y_bar, x: barrier(y_bar),
    index=lambda o, inner: o,
    lift=lambda params, size, x: params,
    view=True,
    examples=lambda draw: [((draw(*shape),), {}) for shape in ((), (3,), (2, 3), (0, 3))],
    text="{0}",
    latex="{0}",
    doc="y = x, which native code does not take for x: an equal application of another op to y is not merged with one "
    "to x.",
)
