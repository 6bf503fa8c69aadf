"""`fit`: mini-batches, epochs, validation and a record of it all."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TextIO

import numpy as np

from ..core.error import ArgumentError, BpropError
from ..core.interpreter import EVALUATE, StateScope, current, using
from ..core.value import asarray
from ..nn import Module
from ..ops import Generator, broadcast_to
from ..optim import LBFGS, Optimizer
from .balance import ClassWeights
from .callback import Callback, Callbacks
from .checkpoint import CHECKPOINT, Checkpoint
from .evaluation import EVALUATION, differentiable_loss, evaluate, modes_kept, output_of
from .interrupt import Interruption
from .metric import Metric, chosen_metrics, measured
from .progress import Progress, stream_for
from .run import Run, new_folder, steady
from .source import Arrays, Batch, Source, Stream, arrays_of, is_stream
from .step import Step
from .stopping import EarlyStopping, Watch
from .storage import Lock
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

    ``train`` is a pair (x, t) of arrays or memory maps: every epoch visits all examples once, in an order drawn from
    ``seed``, ``batch_size`` at a time (the last batch may be shorter). ``x``: (N, ...), ``t``: (N, ...); floats are
    converted, with a word about it, to the dtype of the parameters: arrays once, memory maps batch by batch, which are never
    read whole. Or ``train`` yields batches (x, t): an iterable, or a function that returns one for every epoch (it is given
    the number of the epoch if it has an argument for it); an iterator, which can be gone through once, is for one epoch or
    for ``steps_per_epoch`` batches in each.

    ``validation`` data (x, t) is measured after every epoch, in evaluation mode: the loss, and ``metrics``, names
    (accuracy, f1, auc, r2, mae, mse, rmse) and functions of outputs and targets, or a mapping from name to function; by
    default accuracy, if the targets are integer labels. ``accumulate`` = k makes one update from k batches.
    ``class_weights``, ``"balanced"`` or a weight for each class, weigh the examples of ``train``: the loss is the mean over
    them of weight times loss. The ``train_loss`` of an epoch is the mean of its batches, which weigh what the mean of the
    loss has divided by: numbers of examples, or of a `Loss` with weights and ignored labels, the weights that count.
    ``early_stopping`` see `EarlyStopping`, ``callbacks`` see `Callback`. With ``compiled`` a whole
    step (loss, gradients, update) runs as native code, and of arrays and memory maps many steps in one call, which takes the
    examples of each batch itself: about a twentieth of a second's, or up to where a callback or a checkpoint has its turn.
    The bits are those of single steps. A model that has no native code (it looks at numbers with a Python ``if``, say) runs
    step by step, and the run says so. ``progress`` is a stream, or whether to report on standard output.

    ``out`` names a new folder for the record, see `Run`. There a checkpoint is written at the start, after every epoch and,
    with ``checkpoint_every``, after so many updates or so long a time (a `datetime.timedelta`): whole or not at all, so that
    a killed run leaves the one before. ``resume=True`` goes on from it, or starts if there is none yet; the rest of the call
    is as it was (``epochs`` may be more), and so is, bit for bit, what comes out. Batches from an iterable have to come in the
    same order again; those already seen are skipped. Ctrl-C ends the run after the steps at hand, saves, and says how to go
    on; twice, it ends at once, and the parameters are as after the last whole epoch. So do SIGTERM, which job schedulers
    send, and SIGHUP of a terminal that closes; where SIGINT is ignored (nohup, a job in the background), Ctrl-C does nothing, and SIGTERM is the way. One training at a
    time writes to a folder: it is locked, where the file system has locks, as long as ``fit`` runs.

    Raises `NonFiniteError` when a loss or a parameter becomes NaN or infinite, naming epoch and batch; the parameters are
    then as before that batch. Raises `ShapeError`, `IndexingError` or `ArgumentError` for data that does not fit, before
    the first step and before the folder is made; `StorageError` for a folder that cannot be written, and for a checkpoint
    that is damaged or of another training, naming what is wrong.

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
    _check_kinds(model, loss, optimizer, early_stopping)
    numbers = {"epochs": epochs, "batch_size": batch_size, "accumulate": accumulate, "steps_per_epoch": steps_per_epoch}
    for name, value in numbers.items():
        if value is not None or name != "steps_per_epoch":
            _check_positive(name, value)
    if not isinstance(title, str):
        raise ArgumentError(f"fit: title is a text, not {title!r:.60}")
    if isinstance(checkpoint_every, timedelta):
        if checkpoint_every < timedelta(0):
            raise ArgumentError(f"fit: checkpoint_every is a time, 0 or more, not {checkpoint_every!r}")
    elif checkpoint_every is not None:
        _check_positive("checkpoint_every", checkpoint_every, " of updates, or a datetime.timedelta")
    if resume and out is None:
        raise ArgumentError("fit: resume=True goes on with the run in a folder: give out=")
    if current() is not EVALUATE:
        raise ArgumentError(f"fit: trains with numbers and cannot run inside {current().name}")
    optimizer.init(model)
    called = Callbacks(callbacks)
    generator = Generator(seed)

    notes: list[str] = []
    say = _Say(notes)
    dtype = next((cell.array.dtype for cell in model.cells().values() if cell.trainable), None)
    if dtype is None:
        raise ArgumentError(
            f"fit: {type(model).__name__} has no trainable parameters: model.freeze() can be undone by unfreeze()"
        )
    source, weights = _source(train, batch_size, steps_per_epoch, epochs, class_weights, generator, dtype, say)
    held_out = None if validation is None else arrays_of("validation", validation, dtype, say)
    sample = source.sample()
    if metrics is None:
        labels = sample.t.dtype.kind in "iu" and sample.t.ndim == 1
        chosen = chosen_metrics(["accuracy"] if labels else [])
    else:
        chosen = chosen_metrics(metrics)
    y = _try("train", model, loss, sample, {})
    check = None
    if held_out is not None:
        check = Arrays(*held_out, batch_size, Generator(0), dtype)
        _try("validation", model, loss, check.sample(), chosen)
    watch = None
    if early_stopping is not None:
        watch = Watch(early_stopping)
        known = ["train_loss"]
        known += [f"validation_{name}" for name in ("loss", *chosen)] if held_out is not None else []
        if early_stopping.monitor not in known:
            raise ArgumentError(f"fit: early stopping on {early_stopping.monitor!r}; measured are {', '.join(known)}")

    identity = steady(
        {
            "model": [f"{path}: {_label(module)}" for path, module in model.modules()],
            "frozen": [path for path, cell in model.cells().items() if cell.frozen],
            "loss": _label(loss),
            "optimizer": optimizer.settings(),
            "batch_size": batch_size,
            "seed": seed,
            "accumulate": accumulate,
            "steps_per_epoch": steps_per_epoch,
            "class_weights": None if weights is None else weights.plain(),
            "compiled": bool(compiled),
            "metrics": list(chosen),
            "early_stopping": None if early_stopping is None else early_stopping.settings(),
            "callbacks": called.names(),
            "train": source.fingerprint(),
            "validation": None if check is None else check.fingerprint(),
        }
    )
    config = {
        **identity,
        "title": title,
        "model": repr(model).splitlines(),
        "parameters": sum(cell.array.size for cell in model.cells().values() if cell.trainable),
        "epochs": epochs,
        "examples": {"train": source.examples, "validation": 0 if held_out is None else len(held_out[0])},
        "versions": _versions(),
    }
    run = Run(model, config, out)
    data = source if isinstance(source, Arrays) else None
    step = Step(model, loss, optimizer, compiled, say, accumulate, weights, data)
    step.weigh.axes = y.ndim
    stream = stream_for(progress)
    with Progress(stream, int(epochs), source.steps) as report, Interruption() as interruption, Lock() as lock:
        training = Training(
            model, loss, optimizer, source, held_out, chosen, dtype, generator, step, run, int(epochs), identity,
            _versions(), watch, called, checkpoint_every, report, interruption,
        )  # fmt: skip
        say.listener = training.say
        if interruption.notice():  # of this process, and so not of the run: no note
            report.say(interruption.notice())
        _begin(training, resume, lock)
        for note in notes:
            if note not in run.notes:
                training.say(note)
        with modes_kept(model):
            _run(training)
    return run


def _begin(training: Training, resume: bool, lock: Lock) -> None:
    """Take up the run that its folder holds, or open a new one; in both cases a checkpoint is there afterwards."""
    run = training.run
    if run.folder is None:
        return
    if resume and (run.folder / CHECKPOINT).exists():
        lock.take(run.folder)
        with Checkpoint(run.folder) as checkpoint:
            known, own = checkpoint.record["config"].get("optimizer"), training.config["optimizer"]
            goes_on = int(training.optimizer.count) > 0  # the optimizer itself, in a notebook
            if isinstance(known, dict) and (goes_on or own.get("schedule", "") == checkpoint.record["schedule"]):
                # By now it has another rate than it began with, and perhaps no schedule or another.
                changed = ("learning_rate", "schedule")
                own = {name: value for name, value in own.items() if name not in changed}
                training.config["optimizer"] = own | {name: known[name] for name in changed if name in known}
            checkpoint.fits(training.arrays(), training.config, len(training.callbacks.keeping))
            training.resume(checkpoint)
        return
    run.folder = new_folder(run.folder, lock)
    try:
        training.save()
        run.begin()
    except BaseException:
        run.close()
        raise


def _run(training: Training) -> None:
    run = training.run
    status = "failed"
    try:
        training.go()
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
        run.config["compiled"] = training.step.native is not None
        run.seconds = training.seconds()
        try:
            run.finish(status)
        finally:
            training.callbacks.end(run)


class _Say:
    """Collects notes until there is a run to say them."""

    def __init__(self, notes: list[str]) -> None:
        self.listener: Callable[[str], None] = notes.append

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
    say: Callable[[str], None],
) -> tuple[Source, ClassWeights | None]:
    if is_stream(train):
        weights = None if class_weights is None else ClassWeights(class_weights, None, dtype)
        return Stream(train, steps, epochs, dtype, say), weights
    x, t = arrays_of("train", train, dtype, say)
    if steps is not None:
        raise ArgumentError("fit: steps_per_epoch is for batches from an iterable; arrays are seen once per epoch")
    weights = None if class_weights is None else ClassWeights(class_weights, t, dtype)
    return Arrays(x, t, batch_size, generator, dtype), weights


def _check_positive(name: str, value: Any, what: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value < 2**63:
        raise ArgumentError(f"fit: {name} is a positive integer{what}, not {value!r:.60}")


def _check_kinds(model: Any, loss: Any, optimizer: Any, early_stopping: Any) -> None:
    """Refuse arguments of the wrong kind, of which a class where an object belongs is the most frequent."""
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


def _try(name: str, model: Module, loss: Function, data: Batch, metrics: Mapping[str, Metric]) -> Any:
    """Apply the model to one example, loss and metrics to all targets, so that what does not fit is said at once.

    Returns the outputs.
    """
    x, t = data.x, data.t
    try:
        with using(StateScope()):  # nothing that this writes stays
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


def _label(value: Any) -> str:
    """Return a name that is the same in another process, which ``repr`` need not be."""
    if isinstance(value, Module):
        return f"{type(value).__name__}({value.describe()})"
    return str(getattr(value, "__qualname__", type(value).__name__))


def _versions() -> dict[str, str]:
    import platform

    from .. import __version__

    return {"bprop": __version__, "python": platform.python_version(), "numpy": np.__version__}
