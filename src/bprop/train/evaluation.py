"""`evaluate`: loss and metrics of a model on data, in evaluation mode."""

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
from .source import Data, fitting, pair_of

EVALUATION = 1024
"""Examples at a time where nothing is recorded."""


def evaluate(
    model: Module,
    loss: Callable[[Any, Any], Any],
    data: tuple[Any, Any],
    metrics: Mapping[str, Metric | str] | Sequence[Metric | str] | None = None,
) -> dict[str, float]:
    """Return ``loss`` and ``metrics`` of the model on ``data = (x, t)``, in evaluation mode, without changing anything.

    ``x`` has the dtype of the model. The loss is the mean over examples (the sum for a loss with ``reduction="sum"``),
    weighed as the loss itself does it.
    ``metrics`` as for `fit`; `ArgumentError` for one that raises or returns no number.

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
    pause: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Do what `evaluate` does, converting floats to ``dtype`` where one is given, and calling ``pause`` on the way."""
    x, t = data
    weigh, errors, weights, outputs = Weigher(loss), [], [], []
    with evaluating(model):
        for rows in batches(len(x), EVALUATION):
            part, targets = (each[rows] if dtype is None else fitting(each[rows], dtype) for each in (x, t))
            y = output_of(model, asarray(part, copy=False))
            E = as_array(loss(y, asarray(targets, copy=False)), f"the loss {name_of(loss)}")
            if E.shape != ():
                raise ShapeError(f"the loss {name_of(loss)} has shape {E.shape}; it is a scalar")
            errors.append(float(E))
            weigh.axes = y.ndim
            weights.append(weigh(targets))
            if metrics:
                outputs.append(np.asarray(y))
            pause()
    if weigh.mean:
        # Of a part without any label that counts, the mean is NaN, and no part of the mean over all.
        whole = fsum(weights)
        total = fsum(E * (w / whole) for E, w in zip(errors, weights, strict=True) if w) if whole else nan
    else:
        total = sum(errors)
    y_all = np.concatenate(outputs) if outputs else np.empty(0)
    return {"loss": total, **{name: measured(name, metric, y_all, t) for name, metric in metrics.items()}}


def output_of(model: Module, x: Array) -> Array:
    """Return what the model makes of ``x``; `ArgumentError` if that is no array."""
    return as_array(model(x), f"the model ({type(model).__name__}.fprop)")


def differentiable_loss(loss: Callable[[Any, Any], Any], y: Array, t: Array) -> Array:
    """Return the loss of outputs and targets, which has to be an array that a gradient can be taken of: a scalar, floats."""
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


class Weigher:
    """How much batches weigh in a mean over several: by their examples, or as the loss says by ``count``.

    With class weights or ignored labels inside the loss, the mean over two batches is not the mean of their means by numbers
    of examples; a `Loss` knows what its mean has divided by.
    """

    def __init__(self, loss: Any, axes: int = 2) -> None:
        self.mean = getattr(loss, "reduction", "mean") != "sum"
        self.axes = axes
        """How many axes the outputs have."""
        self._count = loss.count if isinstance(loss, Loss) else None
        self.even = not isinstance(loss, Loss) or loss.even
        """Whether all batches of one shape weigh the same."""

    def __call__(self, t: Any) -> float:
        """Return the weight of a batch with targets ``t``."""
        return len(t) if self._count is None else self._count(t, self.axes)


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Have the model in evaluation mode, and afterwards every module in the mode that it had."""
    with modes_kept(model):
        model.eval()
        yield


@contextmanager
def modes_kept(model: Module) -> Iterator[None]:
    """Give every module, afterwards, the mode that it had."""
    modes = [(module, module.training) for _, module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
