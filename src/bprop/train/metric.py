"""What to measure besides the loss: accuracy, confusion matrix, saturation of hidden units, sizes of gradients."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError, IndexingError, ShapeError
from ..core.value import asarray
from ..nn import HardTanh, Module, ReLU, Sequential, Sigmoid, Tanh


def _labels(y: Any, name: str) -> NDArray[Any]:
    y = np.asarray(y)
    if y.ndim == 2:
        return np.asarray(np.argmax(y, axis=-1))
    if y.ndim != 1:
        raise ShapeError(f"{name}: shape {y.shape} is neither (N,) for labels nor (N, C) for scores")
    return y


def accuracy(y: Any, t: Any) -> float:
    """Return the share of examples whose class is right.

    ``y`` and ``t``: (N,) labels, or (N, C) scores (logits, probabilities, one-hot), of which the largest counts. Raises
    `ShapeError` for other shapes, unequal numbers of examples, or none.

    >>> from bprop.train import accuracy
    >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    """
    y, t = _labels(y, "accuracy"), _labels(t, "accuracy")
    if y.shape != t.shape or not y.size:
        raise ShapeError(f"accuracy: {len(y)} outputs and {len(t)} targets")
    return float(np.mean(y == t))


def confusion_matrix(y: Any, t: Any, classes: int | None = None) -> NDArray[np.int64]:
    """Return counts (C, C): entry (i, j) is the number of examples of class i taken for class j.

    ``y`` and ``t`` as for `accuracy`; ``classes``: C, else one more than the largest label. Raises `ShapeError` for unequal
    numbers of examples, `IndexingError` for a label outside 0 … C - 1.

    >>> from bprop.train import confusion_matrix
    >>> confusion_matrix([0, 1, 1], [0, 0, 1])
    array([[1, 1],
           [0, 1]])
    """
    y, t = _labels(y, "confusion_matrix"), _labels(t, "confusion_matrix")
    if y.shape != t.shape:
        raise ShapeError(f"confusion_matrix: {len(y)} outputs and {len(t)} targets")
    both = np.concatenate([y, t]).astype(np.int64)
    count = int(both.max(initial=-1)) + 1 if classes is None else int(classes)
    if both.size and not 0 <= both.min() <= both.max() < count:
        raise IndexingError(f"confusion_matrix: labels from {both.min()} to {both.max()}, with {count} classes")
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (t.astype(np.int64), y.astype(np.int64)), 1)
    return counts


class Saturation(NamedTuple):
    """One row of `saturation`: a layer, the share of its activities that are saturated, and of its units that are dead."""

    path: str
    kind: str
    saturated: float
    dead: float


def saturation(model: Sequential, x: Any) -> list[Saturation]:
    """Return, for every nonlinearity of a `Sequential`, how much of it has stopped passing error derivatives on.

    ``saturated``: the share of activities beyond 0.95 of their range (|y| > 0.95 for tanh, |2y - 1| > 0.95 for the
    sigmoid), or that are 0 for ReLU, whose slope there is small or zero. ``dead``: the share of units for which that
    holds in every example of ``x``: (N, inputs). The model is applied in evaluation mode.

    **Source:** Leibe (2016), Backpropagation, nonlinearities; Glorot & Bengio (2010), fig. 2, 3.

    >>> import bprop
    >>> from bprop import nn
    >>> from bprop.train import saturation
    >>> model = nn.Sequential(nn.Tanh())
    >>> saturation(model, bprop.asarray([[0.0, 9.0], [5.0, 9.0]]))
    [Saturation(path='layers.0', kind='Tanh', saturated=0.75, dead=0.5)]
    """
    if not isinstance(model, Sequential):
        raise ArgumentError(f"saturation: looks between the layers of a Sequential, not into {type(model).__name__}")
    rows: list[Saturation] = []
    modes = [(module, module.training) for _, module in model.modules()]
    model.eval()
    try:
        y = asarray(x)
        for position, layer in enumerate(model):
            y = layer(y)
            stuck = _stuck(layer, np.asarray(y))
            if stuck is not None and stuck.size:
                dead = np.mean(np.all(stuck.reshape(len(stuck), -1), axis=0))
                rows.append(Saturation(f"layers.{position}", type(layer).__name__, float(np.mean(stuck)), float(dead)))
    finally:
        for module, training in modes:
            module.training = training
    return rows


def _stuck(layer: Module, y: NDArray[Any]) -> NDArray[np.bool_] | None:
    if isinstance(layer, Tanh | HardTanh):
        return np.abs(y) > 0.95
    if isinstance(layer, Sigmoid):
        return np.abs(2 * y - 1) > 0.95
    return y == 0 if isinstance(layer, ReLU) else None


def norms(gradients: Mapping[str, Any]) -> dict[str, float]:
    """Return the Euclidean norm of every gradient by path, computed in float64.

    >>> import bprop
    >>> from bprop.train import norms
    >>> norms({"W": bprop.asarray([3.0, 4.0])})
    {'W': 5.0}
    """
    return {path: float(np.linalg.norm(np.asarray(g, np.float64))) for path, g in gradients.items()}
