"""The arguments of `fit`: everything is checked before the folder of the run is made."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from ..core.error import ArgumentError, BpropError
from ..core.interpreter import EVALUATE, StateScope, current, using
from ..core.number import integer
from ..core.value import asarray
from ..nn import Module
from ..ops import broadcast_to
from ..optim import LBFGS, Optimizer
from .evaluation import differentiable_loss, output_of
from .metric import Metric, chosen_metrics, measured
from .source import MiniBatch
from .stopping import EarlyStopping


def check_settings(
    epochs: Any,
    batch_size: Any,
    accumulate: Any,
    steps_per_epoch: Any,
    checkpoint_every: Any,
    title: Any,
    resume: bool,
    out: Any,
) -> None:
    """Refuse settings that make no sense, and a call inside a transform."""
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("accumulate", accumulate)):
        integer("fit", name, value)
    if steps_per_epoch is not None:
        integer("fit", "steps_per_epoch", steps_per_epoch)
    if not isinstance(title, str):
        raise ArgumentError(f"fit: title is a text, not {title!r:.60}")
    if isinstance(checkpoint_every, timedelta):
        if checkpoint_every < timedelta(0):
            raise ArgumentError(f"fit: checkpoint_every is a time, 0 or more, not {checkpoint_every!r}")
    elif checkpoint_every is not None:
        allowed = "a positive integer of updates, or a datetime.timedelta"
        integer("fit", "checkpoint_every", checkpoint_every, allowed=allowed)
    if resume and out is None:
        raise ArgumentError("fit: resume=True goes on with the run in a folder: give out=")
    if current() is not EVALUATE:
        raise ArgumentError(f"fit: trains with numbers and cannot run inside {current().name}")


def parameter_dtype(model: Module) -> Any:
    """Return the dtype of the trainable parameters; raises `ArgumentError` if there are none."""
    dtype = next((cell.array.dtype for cell in model.cells().values() if cell.trainable), None)
    if dtype is None:
        raise ArgumentError(
            f"fit: {type(model).__name__} has no trainable parameters: model.freeze() can be undone by unfreeze()"
        )
    return dtype


def metrics_of(metrics: Any, sample: MiniBatch) -> dict[str, Metric]:
    """Return the metrics by name; by default accuracy, if the targets are integer labels."""
    if metrics is None:
        metrics = ["accuracy"] if sample.t.dtype.kind in "iu" and sample.t.ndim == 1 else []
    return chosen_metrics(metrics)


def check_monitor(early_stopping: EarlyStopping | None, validation_metrics: Mapping[str, Metric] | None) -> None:
    """Refuse early stopping on what is not measured; the metrics are ``None`` without validation data."""
    if early_stopping is None:
        return
    names = ["train_loss"]
    if validation_metrics is not None:
        names += [f"validation_{name}" for name in ("loss", *validation_metrics)]
    if early_stopping.monitor not in names:
        raise ArgumentError(f"fit: early stopping on {early_stopping.monitor!r}; measured are {', '.join(names)}")


def check_kinds(model: Any, loss: Any, optimizer: Any, early_stopping: Any) -> None:
    """Refuse arguments of the wrong kind; the most frequent is a class instead of an object."""
    for name, kind, value in (("model", Module, model), ("optimizer", Optimizer, optimizer)):
        if not isinstance(value, kind):
            raise ArgumentError(f"fit: {name} is no bprop {kind.__name__}: {value!r:.60}{_hint(value)}")
    if isinstance(optimizer, LBFGS):
        raise ArgumentError(
            "fit: LBFGS needs E at several points of every step, for all data at once: call optimizer.minimise("
            "lambda m: loss(m(x), t), model), or give fit an optimizer that steps along gradients of batches, such as Adam"
        )
    if isinstance(loss, type) or not callable(loss):
        raise ArgumentError(f"fit: the loss is a function of outputs and targets, not {loss!r:.60}{_hint(loss)}")
    if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
        raise ArgumentError(f"fit: early_stopping is no EarlyStopping: {early_stopping!r:.60}{_hint(early_stopping)}")


def _hint(value: Any) -> str:
    return f": write {value.__name__}(…)" if isinstance(value, type) else ""


def try_example(
    name: str, model: Module, loss: Callable[..., Any], data: MiniBatch, metrics: Mapping[str, Metric]
) -> Any:
    """Apply the model to one example, loss and metrics to all targets, so that errors come before the first step.

    Returns the outputs.
    """
    x, t = data.x, data.t
    try:
        with using(StateScope()):  # discards what is written to cells
            y = output_of(model, asarray(x[:1]))
            if y.shape[:1] == (1,):
                y = broadcast_to(y, (len(t), *y.shape[1:]))
                differentiable_loss(loss, y, asarray(t, copy=False))
        for metric_name, metric in metrics.items():
            measured(metric_name, metric, np.asarray(y), t)
    except BpropError as error:
        error.message = f"fit: {name} data: {error.message}"
        raise
    return y
