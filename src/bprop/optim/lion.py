"""`Lion`: steps of the same size for every weight, by the sign of a running mean."""

from collections.abc import Mapping
from typing import Any, Unpack

from ..core.value import Array
from ..ops import sign
from .optimizer import Optimizer, Options, Rate
from .setting import pair


class Lion(Optimizer):
    """w ← (1 - η λ) w - η sign(β₁ m + (1 - β₁) g), then m ← β₂ m + (1 - β₂) g.

    λ is the weight decay, decoupled. sign 0 = 0. Raises `ArgumentError` for settings outside their range.

    - ``learning_rate``: η > 0, a number or a `bprop.optim.schedule`.
    - ``betas``: β₁ and β₂ in [0, 1).
    - ``options``: what every optimizer takes by keyword, see `Optimizer`.

    **Source:** Chen et al. (2023), Symbolic discovery of optimization algorithms, algorithm 2.

    >>> import bprop
    >>> from bprop import nn, optim
    >>> model = nn.Linear(1, 1, seed=0)
    >>> optim.Lion(0.5).update(model, {"W": bprop.ones((1, 1)), "b": bprop.full(1, -1e-4)})
    >>> model.b
    Array([0.5], dtype=float32)
    """

    slots = ("m",)
    decoupled = True

    def __init__(
        self, learning_rate: Rate = 1e-4, betas: tuple[float, float] = (0.9, 0.99), **options: Unpack[Options]
    ) -> None:
        self.betas = pair(self, "betas", betas)
        super().__init__(learning_rate, **options)

    def rule(
        self, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the new parameter and running mean."""
        beta1, beta2 = self.betas
        m = slots["m"]
        return w - scalars["learning_rate"] * sign(beta1 * m + (1 - beta1) * g), {"m": beta2 * m + (1 - beta2) * g}

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "betas": self.betas}
