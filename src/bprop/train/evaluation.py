"""`evaluate`: loss and metrics of a model on data, in evaluation mode. `BatchWeight`: the mean over several batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import fsum, nan
from typing import Any

import numpy as np

from ..core.dtype import is_float
from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.value import Array, asarray
from ..gradients.variable import as_array, name_of
from ..nn import Loss, Module
from .data import batches
from .metric import Metric, chosen_metrics, measured
from .source import Data, as_dtype, pair_of

EVALUATION = 1024
"""Examples per batch where nothing is recorded for a backward pass."""


def evaluate(
    model: Module,
    loss: Callable[[Any, Any], Any],
    data: tuple[Any, Any],
    metrics: Mapping[str, Metric | str] | Sequence[Metric | str] | None = None,
) -> dict[str, float]:
    """Return ``loss`` and ``metrics`` of the model on data, in evaluation mode. Nothing is changed.

    The loss is the mean over all examples (the sum, for a loss with ``reduction="sum"``), with the weights of the loss.

    Parameters
    ----------
    model
        The model; ``x`` has its dtype.
    loss
        A function of outputs and targets that returns a scalar.
    data
        A pair (x, t) of arrays, (N, ...) each.
    metrics
        As for `fit`.

    Returns
    -------
    The numbers by name; the loss is ``"loss"``.

    Raises
    ------
    ArgumentError
        For a metric that raises, or returns no number.
    ShapeError
        For data of unequal lengths or none, and for a loss that is no scalar.

    >>> import bprop, numpy as np
    >>> from bprop import nn
    >>> from bprop.train import accuracy, evaluate
    >>> evaluate(nn.Softmax(), nn.CrossEntropy(), (np.eye(2), [0, 1]), {"accuracy": accuracy})["accuracy"]
    1.0
    """
    return measure(model, loss, pair_of("evaluate: data", data), chosen_metrics(metrics, name="evaluate"))


def measure(
    model: Module,
    loss: Callable[[Any, Any], Any],
    data: Data,
    metrics: Mapping[str, Metric],
    dtype: Any = None,
    after_batch: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Do what `evaluate` does, with floats converted to ``dtype`` if there is one, and a call after every batch."""
    x, t = data
    batch_weight, losses, weights, outputs = BatchWeight(loss), [], [], []
    with evaluating(model):
        for rows in batches(len(x), EVALUATION):
            inputs, targets = (array[rows] if dtype is None else as_dtype(array[rows], dtype) for array in (x, t))
            y = output_of(model, asarray(inputs, copy=False))
            E = as_array(loss(y, asarray(targets, copy=False)), f"the loss {name_of(loss)}")
            if E.shape != ():
                raise ShapeError(f"the loss {name_of(loss)} has shape {E.shape}; it is a scalar")
            if E.dtype.kind == "c":
                raise DTypeError(f"the loss {name_of(loss)} is {E.dtype}; it is a real number")
            losses.append(float(E))
            batch_weight.axes = y.ndim
            weights.append(batch_weight(targets))
            if metrics:
                outputs.append(np.asarray(y))
            after_batch()
    total = _weighted_mean(losses, weights) if batch_weight.is_mean else sum(losses)
    y_all = np.concatenate(outputs) if outputs else np.empty(0)
    return {"loss": total, **{name: measured(name, metric, y_all, t) for name, metric in metrics.items()}}


def _weighted_mean(losses: Sequence[float], weights: Sequence[float]) -> float:
    """Return Σ w E / Σ w. A batch of weight 0 has no part in it: its mean is NaN."""
    total_weight = fsum(weights)
    if not total_weight:
        return nan
    return fsum(E * (weight / total_weight) for E, weight in zip(losses, weights, strict=True) if weight)


def output_of(model: Module, x: Array) -> Array:
    """Return the output of the model for ``x``; `ArgumentError` if that is no array."""
    return as_array(model(x), f"the model ({type(model).__name__}.fprop)")


def differentiable_loss(loss: Callable[[Any, Any], Any], y: Array, t: Array) -> Array:
    """Return the loss of outputs and targets; raises `BpropError` if it has no gradient, as it is no scalar float array."""
    E, what = loss(y, t), f"the loss {name_of(loss)}"
    if isinstance(E, int | float | np.ndarray | np.generic):
        raise ArgumentError(
            f"{what} returned {E!r:.60}, a number of type {type(E).__name__}, which no derivative leads to: compute it from y "
            f"with functions of bprop to the end, without float(…), .item() or np.asarray(…)"
        )
    if isinstance(E, list | tuple):
        raise ArgumentError(f"{what} returned a {type(E).__name__} of {len(E)}, not one scalar")
    E = as_array(E, what)
    if E.shape != ():
        raise ShapeError(f"{what} has shape {E.shape}; it is a scalar: reduce it (bprop.mean, bprop.sum)")
    if not is_float(E.dtype):
        raise DTypeError(f"{what} is {E.dtype}, which has no derivative: the loss is a float")
    return E


class BatchWeight:
    """The weight of a batch in the mean over several: its number of examples, or ``loss.count`` of a `Loss`.

    With class weights or ignored labels inside the loss, the mean over two batches is not the mean of their means by numbers
    of examples. ``loss.count`` returns what the mean over a batch has divided by.

    Parameters
    ----------
    loss
        The loss function.
    axes
        How many axes the outputs have.

    Attributes
    ----------
    is_mean
        Whether the loss is a mean, and no sum.
    is_uniform
        Whether all batches of one shape have the same weight.
    """

    def __init__(self, loss: Any, axes: int = 2) -> None:
        self.is_mean = getattr(loss, "reduction", "mean") != "sum"
        self.axes = axes
        self._count = loss.count if isinstance(loss, Loss) else None
        self.is_uniform = not isinstance(loss, Loss) or loss.even

    def __call__(self, t: Any) -> float:
        """Return the weight of a batch with targets ``t``."""
        return len(t) if self._count is None else self._count(t, self.axes)


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Set the model to evaluation mode, and afterwards every module back to the mode that it had."""
    with preserved_modes(model):
        model.eval()
        yield


@contextmanager
def preserved_modes(model: Module) -> Iterator[None]:
    """Set every module back, afterwards, to the mode that it had."""
    modes = [(module, module.training) for _, module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
