"""`fit`: mini-batches, epochs, validation and a record of it all."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TextIO

import numpy as np

from .._version import __version__
from ..core.error import ArgumentError
from ..core.number import flag
from ..nn import Module
from ..ops import Generator
from ..optim import Optimizer
from .argument import check_kinds, check_monitor, check_settings, metrics_of, parameter_dtype, try_example
from .balance import ClassWeights
from .callback import Callback, Callbacks
from .checkpoint import CHECKPOINT, Checkpoint
from .evaluation import EVALUATION, evaluate, preserved_modes
from .interrupt import SignalGuard
from .metric import Metric
from .progress import Progress, stream_for
from .run import Run, canonical_json, new_folder
from .source import ArraySource, Source, StreamSource, arrays_of, is_stream
from .step import TrainingStep
from .stopping import EarlyStopping, EarlyStoppingState
from .storage import Lock
from .task import Observers, Settings, Task
from .training import Training

__all__ = ["EVALUATION", "evaluate", "fit"]

Function = Callable[..., Any]


def fit(
    model: Module,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    train: Any,
    validation: tuple[Any, Any] | None = None,
    *,
    epochs: int = 10,
    batch_size: int = 64,
    steps_per_epoch: int | None = None,
    accumulate: int = 1,
    class_weights: str | Mapping[int, float] | Sequence[float] | None = None,
    shuffle: bool = True,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_every: int | timedelta | None = None,
    early_stopping: EarlyStopping | None = None,
    callbacks: Sequence[Callback | Function] = (),
    metrics: Mapping[str, Metric | str] | Sequence[Metric | str] | None = None,
    compiled: bool = True,
    progress: bool | TextIO = True,
    title: str = "",
) -> Run:
    """Train ``model`` to make ``loss(model(x), t)`` small on the data ``train``; returns the `Run`.

    Ctrl-C ends the run after the steps at hand, saves, and says how to go on. A second Ctrl-C ends it at once; the parameters
    are then as after the last complete epoch. SIGTERM, which job schedulers send, and SIGHUP of a terminal that closes do the
    same. Where SIGINT is ignored (nohup, a background job), Ctrl-C does nothing; use SIGTERM.

    Parameters
    ----------
    model, loss, optimizer
        What is trained. ``loss`` is a function of outputs and targets that returns a scalar.
    train
        A pair (x, t) of arrays or memory maps, ``x``: (N, ...), ``t``: (N, ...). Every epoch visits all examples once, in an
        order drawn from ``seed``. Floats are converted to the dtype of the parameters, with a note: arrays once, memory maps
        batch by batch; they are never read completely. Or anything that yields batches (x, t): an iterable, or a function
        that returns one for every epoch (if it has an argument for it, it gets the number of the epoch). An iterator, which
        can be read only once, is for one epoch, or for ``steps_per_epoch`` batches in each.
    validation
        Data (x, t) that is measured after every epoch, in evaluation mode: the loss and ``metrics``.
    epochs
        How often all examples are visited.
    batch_size
        Examples per batch; the last batch of an epoch may be smaller.
    steps_per_epoch
        Batches per epoch, if ``train`` yields batches.
    accumulate
        How many batches make one update.
    class_weights
        ``"balanced"``, or a weight for each class: the training loss is the mean over examples of weight times loss.
    shuffle
        Whether arrays are visited in an order that is drawn anew for every epoch; if not, in their own, so that one batch
        goes on where the last one ended.
    seed
        Decides the order of the examples.
    out
        A new folder for the record, see `Run`. A checkpoint is written there at the start and after every epoch, completely or
        not at all, so that a killed run leaves the one before. Only one training at a time writes to a folder: it is locked
        while ``fit`` runs, if the file system has locks.
    resume
        Whether to go on from the checkpoint in ``out``, or to start if there is none yet. The rest of the call is as it was
        (``epochs`` may be more), and the results are the same bit for bit. Batches from an iterable must come in the same
        order; those already seen are skipped.
    checkpoint_every
        Also write a checkpoint after so many updates, or after so long a time (a `datetime.timedelta`).
    early_stopping
        See `EarlyStopping`.
    callbacks
        See `Callback`.
    metrics
        Names (accuracy, f1, auc, r2, mae, mse, rmse) and functions of outputs and targets, or a mapping from name to function;
        by default accuracy, if the targets are integer labels.
    compiled
        Whether a complete step (loss, gradients, update) runs as native code. For arrays and memory maps, many steps are one
        native call of about a twentieth of a second, which gathers the examples of each batch itself; it ends earlier where a
        callback or a checkpoint is due. The bits are those of single steps. A model without native code (it has a Python
        ``if`` on a number, say) runs step by step, with a note.
    progress
        A stream, or whether to report on standard output.
    title
        A title for the record and its picture.

    Returns
    -------
    The record. The ``train_loss`` of an epoch is the mean over its batches, with the weights that the mean of the loss has
    divided by: numbers of examples, or for a `Loss` with weights and ignored labels, the weights that count.

    Raises
    ------
    NonFiniteError
        If a loss or a parameter becomes NaN or infinite. The message names epoch and batch; the parameters are as before it.
    ShapeError, IndexingError, ArgumentError
        For data and arguments that do not fit, before the first step and before the folder is made.
    StorageError
        For a folder that cannot be written, and for a checkpoint that is damaged or of another training.

    **Source:** Leibe (2016), gradient descent; Robbins & Monro (1951), A stochastic approximation method; class weights:
    King & Zeng (2001), Logistic regression in rare events data.

    >>> import bprop, numpy as np
    >>> from bprop import nn, optim
    >>> from bprop.train import fit
    >>> x = np.linspace(-1, 1, 50, dtype=np.float32)[:, None]
    >>> data, rule = (x, 2 * x), optim.SGD(0.2)
    >>> run = fit(nn.Linear(1, 1), nn.SquaredError(), rule, data, epochs=20, batch_size=10, progress=False)
    >>> run.history[-1]["train_loss"] < 1e-4, run.status
    (True, 'finished')
    """
    check_kinds(model, loss, optimizer, early_stopping)
    shuffle = flag("fit", "shuffle", shuffle)
    check_settings(epochs, batch_size, accumulate, steps_per_epoch, checkpoint_every, title, resume, out)
    optimizer.init(model)
    user_callbacks = Callbacks(callbacks)
    generator = Generator(seed)
    notifier = _Notifier()
    dtype = parameter_dtype(model)
    source, weights = _source(
        train, batch_size, steps_per_epoch, epochs, class_weights, generator, dtype, notifier, shuffle
    )
    held_out = None if validation is None else arrays_of("validation", validation, dtype, notifier)
    validation_source = None if held_out is None else ArraySource(*held_out, batch_size, Generator(0), dtype)
    chosen, axes = _tried(model, loss, metrics, source, validation_source)
    check_monitor(early_stopping, None if held_out is None else chosen)

    identity = _identity(
        model,
        loss,
        optimizer,
        batch_size=batch_size,
        seed=seed,
        shuffle=shuffle,
        accumulate=accumulate,
        steps_per_epoch=steps_per_epoch,
        class_weights=None if weights is None else weights.by_class(),
        compiled=bool(compiled),
        metrics=list(chosen),
        early_stopping=None if early_stopping is None else early_stopping.settings(),
        callbacks=user_callbacks.stateful_names(),
        train=source.fingerprint(),
        validation=None if validation_source is None else validation_source.fingerprint(),
    )
    examples = {"train": source.examples, "validation": 0 if held_out is None else len(held_out[0])}
    run = Run(model, _config(model, identity, title, epochs, examples), out)
    data = source if isinstance(source, ArraySource) else None
    step = TrainingStep(model, loss, optimizer, compiled, notifier, accumulate, weights, data)
    step.batch_weight.axes = axes
    task = Task(model, loss, optimizer, step, source, held_out, chosen, dtype, generator)
    settings = Settings(int(epochs), checkpoint_every, identity, _versions())
    stopping = None if early_stopping is None else EarlyStoppingState(early_stopping)
    stream = stream_for(progress)
    with Progress(stream, int(epochs), source.steps) as report, SignalGuard() as signals, Lock() as lock:
        training = Training(task, settings, Observers(user_callbacks, report, signals), run, stopping)
        notifier.listener = training.notify
        if signals.notice():  # about this process, not about the run: no note
            report.notify(signals.notice())
        _begin(training, resume, lock)
        for note in notifier.notes:
            if note not in run.notes:
                training.notify(note)
        with preserved_modes(model):
            _train(training)
    return run


def _tried(
    model: Module, loss: Function, metrics: Any, source: Source, validation: ArraySource | None
) -> tuple[dict[str, Metric], int]:
    """Try model and loss on examples; return the metrics by name, and how many axes the outputs have."""
    sample = source.sample()
    chosen = metrics_of(metrics, sample)
    y = try_example("train", model, loss, sample, {})
    if validation is not None:
        try_example("validation", model, loss, validation.sample(), chosen)
    return chosen, y.ndim


def _begin(training: Training, resume: bool, lock: Lock) -> None:
    """Resume the run in the folder, or make a new folder. In both cases a checkpoint is there afterwards."""
    run = training.run
    if run.folder is None:
        return
    if resume and (run.folder / CHECKPOINT).exists():
        lock.take(run.folder)
        with Checkpoint(run.folder) as checkpoint:
            _adopt_optimizer_settings(training, checkpoint)
            stateful = training.observers.callbacks.stateful
            checkpoint.fits(training.arrays(), training.settings.config, len(stateful))
            training.resume(checkpoint)
        return
    run.folder = new_folder(run.folder, lock)
    try:
        training.save()
        run.begin()
    except BaseException:
        run.close()
        raise


def _adopt_optimizer_settings(training: Training, checkpoint: Checkpoint) -> None:
    """Let learning rate and schedule differ from those in the checkpoint if the run has changed them since it began."""
    config, optimizer = training.settings.config, training.task.optimizer
    stored, settings = checkpoint.record["config"].get("optimizer"), config["optimizer"]
    same_object = int(optimizer.count) > 0  # the run goes on with the optimizer itself, in a notebook
    if isinstance(stored, dict) and (same_object or settings.get("schedule", "") == checkpoint.record["schedule"]):
        changed = ("learning_rate", "schedule")
        unchanged = {name: value for name, value in settings.items() if name not in changed}
        config["optimizer"] = unchanged | {name: stored[name] for name in changed if name in stored}


def _train(training: Training) -> None:
    """Train, and write the outcome to the record, however the training ends."""
    run = training.run
    status = "failed"
    try:
        training.train()
        status = "finished"
    except KeyboardInterrupt as error:
        status = "interrupted"
        if training.paused:
            run.notes.append(str(error))
        else:
            training.state.restore()
        raise
    except Exception as error:
        training.rescue(error)
        raise
    finally:
        run.config["compiled"] = training.task.step.native is not None
        run.seconds = training.clock.run_seconds()
        try:
            run.finish(status)
        finally:
            training.observers.callbacks.end(run)


class _Notifier:
    """Passes notes to its listener; until there is one, they are collected in ``notes``."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.listener: Callable[[str], None] = self.notes.append

    def __call__(self, text: str) -> None:
        self.listener(text)


def _source(
    train: Any,
    batch_size: int,
    steps: int | None,
    epochs: int,
    class_weights: Any,
    generator: Generator,
    dtype: Any,
    notify: Callable[[str], None],
    shuffle: bool,
) -> tuple[Source, ClassWeights | None]:
    if is_stream(train):
        if not shuffle:
            raise ArgumentError("fit: shuffle is for arrays; batches from an iterable come in the order that it has")
        weights = None if class_weights is None else ClassWeights(class_weights, None, dtype)
        return StreamSource(train, steps, epochs, dtype, notify), weights
    x, t = arrays_of("train", train, dtype, notify)
    if steps is not None:
        raise ArgumentError("fit: steps_per_epoch is for batches from an iterable; arrays are seen once per epoch")
    weights = None if class_weights is None else ClassWeights(class_weights, t, dtype)
    return ArraySource(x, t, batch_size, generator, dtype, shuffle), weights


def _label(value: Any) -> str:
    """Return a name that is the same in another process, which ``repr`` need not be."""
    if isinstance(value, Module):
        return f"{type(value).__name__}({value.describe()})"
    return str(getattr(value, "__qualname__", type(value).__name__))


def _versions() -> dict[str, str]:
    return {"bprop": __version__, "python": platform.python_version(), "numpy": np.__version__}


def _identity(model: Module, loss: Any, optimizer: Optimizer, **settings: Any) -> dict[str, Any]:
    """Return plain values that a resumed call must have, too: the kind of everything, settings and fingerprints."""
    return dict(
        canonical_json(
            {
                "model": [f"{path}: {_label(module)}" for path, module in model.modules()],
                "frozen": [path for path, cell in model.cells().items() if cell.frozen],
                "loss": _label(loss),
                "optimizer": optimizer.settings(),
                **settings,
            }
        )
    )


def _config(model: Module, identity: Mapping[str, Any], title: str, epochs: int, examples: Any) -> dict[str, Any]:
    """Return what run.json records of a training."""
    return {
        **identity,
        "title": title,
        "model": repr(model).splitlines(),
        "parameters": sum(cell.array.size for cell in model.cells().values() if cell.trainable),
        "epochs": epochs,
        "examples": examples,
        "versions": _versions(),
    }
