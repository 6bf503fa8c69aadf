"""The README's training step under `bprop.compile`, for a network of given widths."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any


def training(sizes: Sequence[int], activation: str = "ReLU", rate: Any = None) -> tuple[Any, Any, Any]:
    """Return the step, the model and the optimizer (``rate``, or Adam) that it is called with, before ``x`` and ``t``."""
    import bprop
    from bprop import nn, optim

    between = getattr(nn, activation)
    layers = [part for n, m in pairwise(sizes) for part in (nn.Linear(n, m), between())]
    model, loss, optimizer = nn.Sequential(*layers[:-1]), nn.CrossEntropy(), rate or optim.Adam(1e-3)
    optimizer.init(model)

    @bprop.compile
    def step(model: Any, optimizer: Any, x: Any, t: Any) -> Any:
        E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
        optimizer.update(model, gradients)
        return E

    return step, model, optimizer
