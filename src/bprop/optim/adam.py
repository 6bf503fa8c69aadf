"""`Adam`: steps of about equal size for every weight, from running means of g and g²."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.error import ArgumentError
from ..core.value import Array
from ..ops import astype, pow, sqrt
from .optimizer import Optimizer


class Adam(Optimizer):
    """w ← w - η m̂ / (√v̂ + ε), with m ← β₁ m + (1 - β₁) g and v ← β₂ v + (1 - β₂) g².

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) undo the start at zero; t counts the updates. The corrections are
    computed in float64, whatever the dtype of the parameters. Raises `ArgumentError` unless η > 0, 0 ≤ β < 1, ε > 0.

    **Source:** Kingma & Ba (2015), Adam: a method for stochastic optimization, algorithm 1.

    >>> import bprop
    >>> from bprop import nn, optim
    >>> model = nn.Linear(1, 1, seed=0)
    >>> optimizer = optim.Adam(0.5)
    >>> optimizer.update(model, {"W": bprop.ones((1, 1)), "b": bprop.full(1, 1e-4)})
    >>> model.b, optimizer
    (Array([-0.49995002], dtype=float32), Adam(learning_rate=0.5, betas=(0.9, 0.999), epsilon=1e-08, count=1))
    """

    slots = ("m", "v")

    def __init__(
        self,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        if not isinstance(betas, tuple | list) or len(betas) != 2 or not all(_number(b) and 0 <= b < 1 for b in betas):
            raise ArgumentError(f"Adam: betas are two numbers in [0, 1), not {betas!r}")
        if not (_number(epsilon) and epsilon > 0):
            raise ArgumentError(f"Adam: epsilon is positive, not {epsilon!r}")
        super().__init__(learning_rate)
        self.betas = (float(betas[0]), float(betas[1]))
        self.epsilon = float(epsilon)

    def scalars(self) -> dict[str, Array]:
        """Return η / (1 - β₁ᵗ) and 1 / √(1 - β₂ᵗ)."""
        t = astype(self.count, np.float64)
        first, second = (1 - pow(beta, t) for beta in self.betas)
        return {"rate": self.learning_rate / first, "correction": 1 / sqrt(second)}

    def rule(
        self, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the new parameter and the two running means."""
        beta1, beta2 = self.betas
        m = beta1 * slots["m"] + (1 - beta1) * g
        v = beta2 * slots["v"] + (1 - beta2) * (g * g)
        return w - scalars["rate"] * m / (sqrt(v) * scalars["correction"] + self.epsilon), {"m": m, "v": v}

    def settings(self) -> dict[str, Any]:
        """Return learning rate, betas and epsilon."""
        return {**super().settings(), "betas": self.betas, "epsilon": self.epsilon}


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)
