"""`Adagrad`: steps that shrink for the weights whose gradients have been large."""

from collections.abc import Mapping
from typing import Any, Unpack

from ..core.number import number
from ..core.value import Array
from ..ops import sqrt
from .optimizer import Optimizer, Options, Rate


class Adagrad(Optimizer):
    """w ← w - η g / (√s + ε) with s ← s + g².

    For the decay of η that some add, pass a `bprop.optim.schedule.InverseTime`. Raises `ArgumentError` for
    settings outside their range.

    - ``learning_rate``: η > 0, a number or a `bprop.optim.schedule`.
    - ``initial_sum``: the number ≥ 0 at which s starts. ``epsilon``: ε > 0.
    - ``options``: what every optimizer takes by keyword, see `Optimizer`.

    **Source:** Duchi, Hazan & Singer (2011), Adaptive subgradient methods for online learning and stochastic
    optimization, section 1.3; PyTorch, ``torch.optim.Adagrad``.

    >>> import bprop
    >>> from bprop import nn, optim
    >>> model = nn.Linear(1, 1, seed=0)
    >>> optim.Adagrad(0.5).update(model, {"W": bprop.ones((1, 1)), "b": bprop.full(1, 100.0)})
    >>> model.b
    Array([-0.5], dtype=float32)
    """

    slots = ("sum",)

    def __init__(
        self, learning_rate: Rate = 1e-2, initial_sum: float = 0.0, epsilon: float = 1e-10, **options: Unpack[Options]
    ) -> None:
        self.initial_sum = number(self, "initial_sum", initial_sum, 0)
        self.epsilon = number(self, "epsilon", epsilon, 0, open_low=True)
        super().__init__(learning_rate, **options)

    def initial(self, name: str) -> float:
        return self.initial_sum

    def rule(
        self, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the new parameter and sum of squares."""
        s = slots["sum"] + g * g
        return w - scalars["learning_rate"] * g / (sqrt(s) + self.epsilon), {"sum": s}

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "initial_sum": self.initial_sum, "epsilon": self.epsilon}
