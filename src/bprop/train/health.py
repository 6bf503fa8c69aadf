"""The health of a network: saturation of hidden units, norms of gradients."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError
from ..core.value import asarray
from ..nn import HardTanh, Module, ReLU, Sigmoid, Tanh
from .evaluation import evaluating


class Saturation(NamedTuple):
    """One row of `saturation`: a layer, the share of its activities that are saturated, and of its units that are dead."""

    path: str
    kind: str
    saturated: float
    dead: float


def saturation(model: Module, x: Any) -> list[Saturation]:
    """Return, for every nonlinearity of a network, which share of its units has a slope that is small or zero.

    Parameters
    ----------
    model
        The network; it is applied in evaluation mode.
    x
        Inputs (N, ...).

    Returns
    -------
    A row per nonlinearity, in the order in which they are applied. ``saturated`` is the share of activities beyond 0.95 of
    their range (|y| > 0.95 for tanh, |2y - 1| > 0.95 for the sigmoid), or that are 0 for ReLU. ``dead`` is the share of units
    that are saturated in every example.

    Raises
    ------
    ArgumentError
        For what is no `Module`.

    **Source:** Leibe (2016), Backpropagation, nonlinearities; Glorot & Bengio (2010), fig. 2, 3.

    >>> import bprop
    >>> from bprop import nn
    >>> from bprop.train import saturation
    >>> model = nn.Sequential(nn.Tanh())
    >>> saturation(model, bprop.asarray([[0.0, 9.0], [5.0, 9.0]]))
    [Saturation(path='layers.0', kind='Tanh', saturated=0.75, dead=0.5)]
    """
    if not isinstance(model, Module):
        raise ArgumentError(f"saturation: looks into a Module, not into {type(model).__name__}")
    rows: list[Saturation] = []

    def observe(path: str, layer: Module) -> Callable[[Module, Any], None]:
        def look(_: Module, y: Any) -> None:
            saturated = _saturated(layer, np.asarray(y))
            if saturated.size:
                dead = np.mean(np.all(saturated.reshape(len(saturated), -1), axis=0))
                rows.append(Saturation(path, type(layer).__name__, float(np.mean(saturated)), float(dead)))

        return look

    with evaluating(model), ExitStack() as hooks:
        for path, layer in model.modules():
            if isinstance(layer, _BOUNDED):
                hooks.enter_context(layer.hook(y=observe(path, layer)))
        model(asarray(x))
    return rows


_BOUNDED = (Tanh, HardTanh, Sigmoid, ReLU)


def _saturated(layer: Module, y: NDArray[Any]) -> NDArray[np.bool_]:
    if isinstance(layer, Tanh | HardTanh):
        return np.abs(y) > 0.95
    return np.abs(2 * y - 1) > 0.95 if isinstance(layer, Sigmoid) else y == 0


def norms(gradients: Mapping[str, Any]) -> dict[str, float]:
    """Return the Euclidean norm of every gradient by path, computed in float64.

    Parameters
    ----------
    gradients
        Arrays by path, as `bprop.grad` returns them for a module.

    >>> import bprop
    >>> from bprop.train import norms
    >>> norms({"W": bprop.asarray([3.0, 4.0])})
    {'W': 5.0}
    """
    return {path: float(np.linalg.norm(np.asarray(g, np.float64))) for path, g in gradients.items()}
