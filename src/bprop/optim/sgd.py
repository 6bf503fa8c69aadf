"""`SGD`: stochastic gradient descent, with momentum if wanted."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.error import ArgumentError
from ..core.value import Array
from .optimizer import Optimizer


class SGD(Optimizer):
    """w ← w - η v with v ← μ v + g: η the learning rate, μ the momentum, g the gradient. Without momentum v is g.

    The learning rate stands outside the velocity, as in PyTorch; Sutskever et al. have it inside, which is the same
    as long as it is constant. Raises `ArgumentError` unless η > 0 and 0 ≤ μ < 1.

    **Source:** Leibe (2016), gradient descent; Polyak (1964), Some methods of speeding up the convergence of iteration
    methods; Sutskever, Martens, Dahl & Hinton (2013), On the importance of initialization and momentum, eq. 1, 2.

    >>> import bprop
    >>> from bprop import nn, optim
    >>> model = nn.Linear(1, 1, seed=0)
    >>> optimizer = optim.SGD(0.5, momentum=0.9)
    >>> ones = {"W": bprop.ones((1, 1)), "b": bprop.ones(1)}
    >>> optimizer.update(model, ones); optimizer.update(model, ones)
    >>> model.b, optimizer
    (Array([-1.45], dtype=float32), SGD(learning_rate=0.5, momentum=0.9, count=2))
    """

    def __init__(self, learning_rate: float, momentum: float = 0.0) -> None:
        if not isinstance(momentum, int | float | np.number) or not 0 <= momentum < 1:
            raise ArgumentError(f"SGD: the momentum is in [0, 1), not {momentum!r}")
        super().__init__(learning_rate)
        self.momentum = float(momentum)
        self.slots = ("velocity",) if momentum else ()

    def rule(
        self, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the new parameter and velocity."""
        if not self.momentum:
            return w - scalars["learning_rate"] * g, {}
        v = self.momentum * slots["velocity"] + g
        return w - scalars["learning_rate"] * v, {"velocity": v}

    def settings(self) -> dict[str, Any]:
        """Return learning rate and momentum."""
        return {**super().settings(), "momentum": self.momentum}
