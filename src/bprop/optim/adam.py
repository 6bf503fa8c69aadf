"""`Adam`: steps from running means of g and g², of about equal size for every weight. `AdamW`: decoupled weight decay."""

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from ..core.number import flag, number
from ..core.value import Array
from ..ops import astype, maximum, pow, sqrt
from .optimizer import Optimizer, Options, Rate
from .setting import pair


class Adam(Optimizer):
    """w ← w - η m̂ / (√v̂ + ε), with m ← β₁ m + (1 - β₁) g and v ← β₂ v + (1 - β₂) g².

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) undo the start at zero; t counts the updates. The corrections are
    computed in float64, whatever the dtype of the parameters. Raises `ArgumentError` for settings outside their range.

    - ``learning_rate``: η > 0, a number or a `bprop.optim.schedule`.
    - ``betas``: β₁ and β₂ in [0, 1). ``epsilon``: ε > 0.
    - ``amsgrad``: whether the largest v so far takes the place of v.
    - ``options``: what every optimizer takes by keyword, see `Optimizer`.

    **Source:** Kingma & Ba (2015), Adam: a method for stochastic optimization, algorithm 1; Reddi, Kale & Kumar (2018),
    On the convergence of Adam and beyond, algorithm 2, with m and v corrected as in PyTorch's ``torch.optim.Adam``.

    >>> import bprop
    >>> from bprop import nn, optim
    >>> model = nn.Linear(1, 1, seed=0)
    >>> optimizer = optim.Adam(0.5)
    >>> optimizer.update(model, {"W": bprop.ones((1, 1)), "b": bprop.full(1, 1e-4)})
    >>> model.b, optimizer
    (Array([-0.49995002], dtype=float32), Adam(learning_rate=0.5, betas=(0.9, 0.999), epsilon=1e-08, count=1))
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        self.betas = pair(self, "betas", betas)
        self.epsilon = number(self, "epsilon", epsilon, 0, open_low=True)
        self.amsgrad = flag(self, "amsgrad", amsgrad)
        self.slots = ("m", "v", *(["largest"] if self.amsgrad else []))
        super().__init__(learning_rate, **options)

    def scalars(self, learning_rate: Array) -> dict[str, Array]:
        """Return η / (1 - β₁ᵗ) and 1 / √(1 - β₂ᵗ)."""
        t = astype(self.count + 1, np.float64)
        first, second = (1 - pow(beta, t) for beta in self.betas)
        return {"rate": learning_rate / first, "correction": 1 / sqrt(second)}

    def rule(
        self, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the new parameter and the running means."""
        beta1, beta2 = self.betas
        m = beta1 * slots["m"] + (1 - beta1) * g
        v = beta2 * slots["v"] + (1 - beta2) * (g * g)
        new_slots, second_moment = {"m": m, "v": v}, v
        if self.amsgrad:
            new_slots["largest"] = second_moment = maximum(slots["largest"], v)
        step = scalars["rate"] * m / (sqrt(second_moment) * scalars["correction"] + self.epsilon)
        return w - step, new_slots

    def settings(self) -> dict[str, Any]:
        settings = {**super().settings(), "betas": self.betas, "epsilon": self.epsilon}
        return {**settings, "amsgrad": True} if self.amsgrad else settings


class AdamW(Adam):
    """`Adam` after w ← (1 - η λ) w: weight decay is decoupled from the gradient, so that v does not rescale it.

    - ``learning_rate``: η > 0, a number or a `bprop.optim.schedule`.
    - ``betas``: β₁ and β₂ in [0, 1). ``epsilon``: ε > 0.
    - ``amsgrad``: as in `Adam`.
    - ``weight_decay``: λ ≥ 0, or a mapping from patterns of paths to numbers.
    - ``options``: what every optimizer takes by keyword, see `Optimizer`.

    **Source:** Loshchilov & Hutter (2019), Decoupled weight decay regularization, algorithm 2; PyTorch,
    ``torch.optim.AdamW``, where λ is multiplied by η as here.

    >>> import bprop
    >>> from bprop import nn, optim
    >>> model = nn.Linear(1, 1, seed=0)
    >>> model.W = bprop.ones((1, 1), dtype="float32")
    >>> optim.AdamW(0.5, weight_decay={"W": 0.1}).update(model, {"W": bprop.zeros((1, 1)), "b": bprop.ones(1)})
    >>> model.W
    Array([[0.95]], dtype=float32)
    """

    decoupled = True

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        weight_decay: float | Mapping[str, float] = 1e-2,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, betas, epsilon, amsgrad, weight_decay=weight_decay, **options)
