"""`MLP`: dense layers with a nonlinearity in between."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError
from ..core.number import integer
from ..nn import Linear, Module, Sequential, Tanh
from ..nn.default_generator import generator_for
from ..ops import Generator


class MLP(Sequential):
    """A multi-layer perceptron: y = W_n φ(… φ(W_1 x + b_1) …) + b_n, with the nonlinearity φ between dense layers.

    ``x``: (..., sizes[0]); ``y``: (..., sizes[-1]), logits where a loss takes them. Raises `ArgumentError` for fewer than two
    sizes, or one that is no positive integer.

    - ``sizes``: how many inputs, hidden units in each layer, and outputs there are.
    - ``activation``: makes φ, a module class such as `bprop.nn.ReLU`.
    - ``dtype``, ``generator``, ``seed``: as for `bprop.nn.Linear`.

    **Source:** Rumelhart, Hinton & Williams (1986), Learning representations by back-propagating errors; Leibe (2016),
    Backpropagation.

    >>> from bprop.networks import MLP
    >>> MLP([64, 16, 10], seed=0)
    MLP(3 layers, 1,210 parameters
      (layers.0): Linear(64 → 16, float32)
      (layers.1): Tanh()
      (layers.2): Linear(16 → 10, float32)
    )
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Callable[[], Module] = Tanh,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> None:
        if not isinstance(sizes, list | tuple) or len(sizes) < 2:
            raise ArgumentError(f"MLP: sizes are two numbers of units or more, such as [64, 16, 10], not {sizes!r:.60}")
        units = [integer(self, "every size", size) for size in sizes]
        draw = generator_for("MLP", generator, seed)
        layers: list[Module] = []
        for inputs, outputs in pairwise(units):
            layers += [*([activation()] if layers else []), Linear(inputs, outputs, dtype, generator=draw)]
        super().__init__(*layers)

    def _with_layers(self, *layers: Any) -> Any:
        return Sequential(*layers)


__all__ = ["MLP"]
