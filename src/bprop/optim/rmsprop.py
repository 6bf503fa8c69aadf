"""`RMSprop`: the gradient divided by its running root mean square."""

from collections.abc import Mapping
from typing import Any, Unpack

from ..core.number import flag, number
from ..core.value import Array
from ..ops import maximum, sqrt
from .optimizer import Optimizer, Options, Rate


class RMSprop(Optimizer):
    """w ← w - η g / (√v + ε) with v ← α v + (1 - α) g².

    Raises `ArgumentError` for settings outside their range.

    - ``learning_rate``: η > 0, a number or a `bprop.optim.schedule`.
    - ``alpha``: α in [0, 1). ``epsilon``: ε > 0.
    - ``momentum``: μ in [0, 1). With μ > 0: w ← w - η u, where u ← μ u + g / (√v + ε).
    - ``centered``: whether v - m² takes the place of v, an estimate of the variance, where m ← α m + (1 - α) g.
    - ``options``: what every optimizer takes by keyword, see `Optimizer`.

    **Source:** Tieleman & Hinton (2012), Neural networks for machine learning, lecture 6.5; Graves (2013), Generating
    sequences with recurrent neural networks, eq. 38-45 (centered); PyTorch, ``torch.optim.RMSprop``.

    >>> import bprop
    >>> from bprop import nn, optim
    >>> model = nn.Linear(1, 1, seed=0)
    >>> optim.RMSprop(0.5, alpha=0.75).update(model, {"W": bprop.ones((1, 1)), "b": bprop.full(1, 100.0)})
    >>> model.b
    Array([-1.], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-2,
        alpha: float = 0.99,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        self.alpha = number(self, "alpha", alpha, 0, 1)
        self.epsilon = number(self, "epsilon", epsilon, 0, open_low=True)
        self.momentum = number(self, "momentum", momentum, 0, 1)
        self.centered = flag(self, "centered", centered)
        self.slots = ("v", *(["m"] if self.centered else []), *(["velocity"] if self.momentum else []))
        super().__init__(learning_rate, **options)

    def rule(
        self, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the new parameter and the running means."""
        v = self.alpha * slots["v"] + (1 - self.alpha) * (g * g)
        new_slots, second_moment = {"v": v}, v
        if self.centered:
            new_slots["m"] = m = self.alpha * slots["m"] + (1 - self.alpha) * g
            second_moment = maximum(v - m * m, 0)  # rounding may leave a variance of 0 just below 0
        step = g / (sqrt(second_moment) + self.epsilon)
        if self.momentum:
            new_slots["velocity"] = step = self.momentum * slots["velocity"] + step
        return w - scalars["learning_rate"] * step, new_slots

    def settings(self) -> dict[str, Any]:
        settings = {"alpha": self.alpha, "epsilon": self.epsilon, "momentum": self.momentum, "centered": self.centered}
        return {**super().settings(), **settings}
