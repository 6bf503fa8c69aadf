"""`SGD`: stochastic gradient descent, with or without momentum."""

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from ..core.error import ArgumentError
from ..core.number import flag, number
from ..core.value import Array
from ..ops import astype, where
from .optimizer import Optimizer, Options, Rate


class SGD(Optimizer):
    """w ← w - η v with v ← μ v + (1 - τ) g, for the gradient g.

    Without momentum v is g, and so it is in the first step. With ``nesterov`` the step is w ← w - η (g + μ v).
    The learning rate stands outside the velocity, as in PyTorch; Sutskever et al. have it inside, which is the same
    as long as it is constant. Raises `ArgumentError` for settings outside their range.

    - ``learning_rate``: η > 0, a number or a `bprop.optim.schedule`.
    - ``momentum``: μ in [0, 1). ``dampening``: τ in [0, 1).
    - ``nesterov``: whether to step by g + μ v; needs μ > 0 and τ = 0.
    - ``options``: what every optimizer takes by keyword, see `Optimizer`.

    **Source:** Leibe (2016), gradient descent; Polyak (1964), Some methods of speeding up the convergence of iteration
    methods; Sutskever, Martens, Dahl & Hinton (2013), On the importance of initialization and momentum, eq. 1, 2;
    PyTorch, ``torch.optim.SGD``.

    >>> import bprop
    >>> from bprop import nn, optim
    >>> model = nn.Linear(1, 1, seed=0)
    >>> optimizer = optim.SGD(0.5, momentum=0.9)
    >>> ones = {"W": bprop.ones((1, 1)), "b": bprop.ones(1)}
    >>> optimizer.update(model, ones); optimizer.update(model, ones)
    >>> model.b, optimizer
    (Array([-1.45], dtype=float32), SGD(learning_rate=0.5, momentum=0.9, count=2))
    """

    takes_complex = True

    def __init__(
        self,
        learning_rate: Rate,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        self.momentum = number(self, "momentum", momentum, 0, 1)
        self.dampening = number(self, "dampening", dampening, 0, 1)
        self.nesterov = flag(self, "nesterov", nesterov)
        if self.nesterov and (not self.momentum or self.dampening):
            raise ArgumentError(
                f"{type(self).__name__}: nesterov needs momentum > 0 and no dampening, not momentum={momentum}, "
                f"dampening={dampening}"
            )
        self.slots = ("velocity",) if self.momentum else ()
        super().__init__(learning_rate, **options)

    def scalars(self, learning_rate: Array) -> dict[str, Array]:
        """Return the factor of the gradient in the velocity: 1 - τ, but 1 in the first step."""
        if not (self.momentum and self.dampening):
            return {}
        return {"gradient_factor": astype(where(self.count == 0, 1.0, 1 - self.dampening), np.float64)}

    def rule(
        self, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the new parameter and velocity."""
        if not self.momentum:
            return w - scalars["learning_rate"] * g, {}
        v = self.momentum * slots["velocity"] + (scalars["gradient_factor"] * g if self.dampening else g)
        return w - scalars["learning_rate"] * (g + self.momentum * v if self.nesterov else v), {"velocity": v}

    def settings(self) -> dict[str, Any]:
        """Return the settings; dampening and nesterov where they are in use."""
        settings = {**super().settings(), "momentum": self.momentum}
        settings.update({"dampening": self.dampening} if self.dampening else {})
        settings.update({"nesterov": True} if self.nesterov else {})
        return settings


class Nesterov(SGD):
    """Nesterov's accelerated gradient: `SGD` with ``nesterov=True``, w ← w - η (g + μ v) with v ← μ v + g.

    - ``learning_rate``: η > 0, a number or a `bprop.optim.schedule`.
    - ``momentum``: μ in (0, 1).
    - ``options``: what every optimizer takes by keyword, see `Optimizer`.

    **Source:** Nesterov (1983), A method of solving a convex programming problem with convergence rate O(1/k²);
    Sutskever, Martens, Dahl & Hinton (2013), eq. 3, 4, with the model at the look-ahead point.

    >>> import bprop
    >>> from bprop import nn, optim
    >>> model = nn.Linear(1, 1, seed=0)
    >>> optim.Nesterov(0.5).update(model, {"W": bprop.ones((1, 1)), "b": bprop.ones(1)})
    >>> model.b
    Array([-0.95], dtype=float32)
    """

    def __init__(self, learning_rate: Rate, momentum: float = 0.9, **options: Unpack[Options]) -> None:
        super().__init__(learning_rate, momentum, nesterov=True, **options)
