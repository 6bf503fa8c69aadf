"""`fit`: mini-batches, epochs, validation and a record of it all."""

import os
import time
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ..compile import compile
from ..core.error import ArgumentError, BpropError, CompileError, NonFiniteError, ShapeError, TracedValueError
from ..core.interpreter import EVALUATE, Cell, Scope, current, using
from ..core.tree import is_holder
from ..core.value import Array, asarray
from ..gradients import value_and_grad
from ..nn import Module
from ..ops import Generator, broadcast_to
from ..optim import Optimizer
from .data import Indices, batches
from .metric import accuracy
from .progress import Progress, stream_for
from .run import Run, line

Metric = Callable[[NDArray[Any], NDArray[Any]], float]
Data = tuple[NDArray[Any], NDArray[Any]]
EVALUATION = 1024  # examples at a time where nothing is recorded


def fit(
    model: Module,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    train: tuple[Any, Any],
    validation: tuple[Any, Any] | None = None,
    *,
    epochs: int = 10,
    batch_size: int = 64,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    compiled: bool = True,
    progress: bool | TextIO = True,
    title: str = "",
) -> Run:
    """Train ``model`` to make ``loss(model(x), t)`` small on the data ``train = (x, t)``; returns the `Run`.

    Every epoch visits all examples once, in an order drawn from ``seed``, ``batch_size`` at a time (the last batch may be
    shorter). ``validation`` data is measured after every epoch, in evaluation mode: the loss, and ``metrics``, a mapping
    from name to a function of outputs and targets (by default accuracy, if the targets are integer labels). ``out`` names
    a new folder for the record; see `Run`. With ``compiled`` a whole step (loss, gradients, update) runs as native code;
    a model that has none (it looks at numbers with a Python ``if``, say) runs step by step, and the run says so.
    ``progress`` is a stream, or whether to report on standard output.

    ``x``: (N, ...), converted once, with a word about it, to the dtype of the parameters if it is floating; ``t``: (N, ...).

    Raises `NonFiniteError` when a loss or a parameter becomes NaN or infinite, naming epoch and batch; the parameters are
    then as before that batch. Interrupted (Ctrl-C), they are as after the last whole epoch. Raises `ShapeError`,
    `IndexingError` or `ArgumentError` for data that does not fit, before the first step and before the folder is made.

    **Source:** Leibe (2016), gradient descent; Robbins & Monro (1951), A stochastic approximation method.

    >>> import bprop, numpy as np
    >>> from bprop import nn, optim
    >>> from bprop.train import fit
    >>> x = np.linspace(-1, 1, 50, dtype=np.float32)[:, None]
    >>> data, rule = (x, 2 * x), optim.SGD(0.2)
    >>> run = fit(nn.Linear(1, 1), nn.SquaredError(), rule, data, epochs=20, batch_size=10, progress=False)
    >>> run.history[-1]["train_loss"] < 1e-4, run.status
    (True, 'finished')
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 1:
        raise ArgumentError(f"fit: epochs is a positive integer, not {epochs!r}")
    epochs = int(epochs)
    _check(model, loss, optimizer, metrics)
    if current() is not EVALUATE:
        raise ArgumentError(f"fit: trains with numbers and cannot run inside {current().name}")
    optimizer.init(model)
    notes: list[str] = []
    data = _data("train", model, train, notes)
    held_out = None if validation is None else _data("validation", model, validation, notes)
    generator = Generator(seed)
    steps = len(list(batches(len(data[0]), batch_size)))
    for name, part in (("train", data), ("validation", held_out)):
        if part is not None:
            _try(name, model, loss, part)
    if metrics is None:
        labels = data[1].dtype.kind in "iu" and data[1].ndim == 1
        metrics = {"accuracy": accuracy} if labels else {}

    config = {
        "title": title,
        "model": repr(model).splitlines(),
        "parameters": sum(cell.array.size for cell in model.cells().values() if cell.trainable),
        "loss": repr(loss),
        "optimizer": optimizer.settings(),
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
        "examples": {"train": len(data[0]), "validation": 0 if held_out is None else len(held_out[0])},
        "versions": _versions(),
    }
    run = Run(model, config, out)
    run.notes += notes
    state = _State(model, optimizer, loss)
    modes = [(module, module.training) for _, module in model.modules()]
    start = time.perf_counter()

    status, step = "failed", None
    try:
        with Progress(stream_for(progress), epochs, steps) as report:
            for note in notes:
                report.say(note)

            def remark(text: str) -> None:
                run.notes.append(text)
                report.say(text)

            step = Step(model, loss, optimizer, compiled, remark)
            epoch = _Epoch(step, data, batch_size, state, loss)
            for number in range(1, epochs + 1):
                began = time.perf_counter()
                model.train()
                entry: dict[str, Any] = {"epoch": number, "train_loss": epoch(number, generator, report)}
                if held_out is not None:
                    measured = evaluate(model, loss, held_out, metrics)
                    entry.update({f"validation_{name}": value for name, value in measured.items()})
                entry["learning_rate"] = float(optimizer.learning_rate)
                entry["seconds"] = round(time.perf_counter() - began, 4)
                state.remember()  # before the record is written: interrupted from here on, both have this epoch
                run.log(entry)
                report.epoch(number, line(entry))
        status = "finished"
    except KeyboardInterrupt:
        state.restore()
        status = "interrupted"
        raise
    finally:
        for module, training in modes:
            module.training = training
        run.config["compiled"] = step is not None and step.native is not None
        run.seconds = time.perf_counter() - start
        run.finish(status)
    return run


class Step:
    """One update of the parameters: the lecture's fprop, bprop and gradient descent, as native code where possible."""

    def __init__(
        self, model: Module, loss: Any, optimizer: Optimizer, compiled: bool, say: Callable[[str], None]
    ) -> None:
        self.model, self.loss, self.optimizer, self.say = model, loss, optimizer, say

        def step(model: Module, optimizer: Optimizer, x: Array, t: Array) -> Array:
            E, gradients = value_and_grad(lambda m: loss(m(x), t))(model)
            optimizer.update(model, gradients)
            return E

        self.eager = step
        self.native = compile(step) if compiled else None

    def __call__(self, x: Array, t: Array) -> Array:
        """Return the loss before the update."""
        if self.native is not None:
            try:
                return self.native(self.model, self.optimizer, x, t)
            except (CompileError, TracedValueError) as error:  # raised before any cell has changed
                self.native = None
                self.say(f"no native code for this step, so it runs op by op, more slowly: {error}")
        return self.eager(self.model, self.optimizer, x, t)


class _State:
    """The cells that a step changes, and their arrays at the beginning of the epoch."""

    def __init__(self, *holders: Any) -> None:
        self.cells: list[Cell] = [cell for one in holders if is_holder(one) for cell in one.cells().values()]
        self.names = {cell: path for one in holders if isinstance(one, Module) for path, cell in one.cells().items()}
        self.remember()

    def remember(self) -> None:
        self.arrays = self.now()

    def now(self) -> list[Array]:
        return [cell.read() for cell in self.cells]

    def restore(self, arrays: list[Array] | None = None) -> None:
        for cell, array in zip(self.cells, self.arrays if arrays is None else arrays, strict=True):
            cell.write(array)

    def wrong(self) -> str | None:
        """Return the path of a parameter or state that is not finite."""
        for cell, path in self.names.items():
            if cell.array.dtype.kind == "f" and not np.isfinite(np.asarray(cell.read())).all():
                return path
        return None


class _Epoch:
    """One epoch of steps. Nothing but the loss is looked at on the way, so that a step may be one native call."""

    def __init__(self, step: Step, data: Data, batch_size: int, state: _State, loss: Any) -> None:
        self.step, self.data, self.batch_size, self.state = step, data, batch_size, state
        self.sums = getattr(loss, "reduction", "mean") == "sum"

    def __call__(self, number: int, generator: Generator, report: Progress) -> float:
        order = list(batches(len(self.data[0]), self.batch_size, generator))
        total = 0.0
        for batch in order:
            E = self.run(batch)
            if not isfinite(E):
                self.replay(number, order)
            report.batch(number, E)
            total += E if self.sums else E * len(batch)
        if self.state.wrong():
            self.replay(number, order)
        return total if self.sums else total / len(self.data[0])

    def run(self, batch: Indices) -> float:
        x, t = self.data
        return float(self.step(asarray(x[batch], copy=False), asarray(t[batch], copy=False)))

    def replay(self, number: int, order: list[Indices]) -> None:
        """Go through the epoch again, slowly, to stop just before the batch after which something is not finite.

        Steps are deterministic, so this finds the same batch, and costs nothing as long as all is well.
        """
        self.state.restore()
        for position, batch in enumerate(order):
            before = self.state.now()
            E = self.run(batch)
            wrong = self.state.wrong()
            if isfinite(E) and wrong is None:
                continue
            self.state.restore(before)
            where = f"fit: epoch {number}, batch {position + 1} of {len(order)}"
            x = self.data[0][batch]
            if x.dtype.kind == "f" and not np.isfinite(x).all():
                row = int(batch[~np.isfinite(x.reshape(len(x), -1)).all(axis=1)][0])
                raise NonFiniteError(f"{where}: the inputs are not finite (example {row} of the training data)")
            what = (
                f"the loss is {E}"
                if not isfinite(E)
                else f"the loss is {E:.6g}, but the update makes {wrong} non-finite"
            )
            raise NonFiniteError(
                f"{where}: {what}. The parameters are as before this batch. A smaller learning rate often helps; "
                f"bprop.grad of the loss on this batch shows where it comes from"
            )
        raise NonFiniteError(f"fit: epoch {number}: a loss or parameter was not finite, but not when run again")


def evaluate(
    model: Module, loss: Callable[[Any, Any], Any], data: tuple[Any, Any], metrics: Mapping[str, Metric] | None = None
) -> dict[str, float]:
    """Return ``loss`` and ``metrics`` of the model on ``data = (x, t)``, in evaluation mode, without changing anything.

    ``x`` has the dtype of the model. The loss is the mean over examples (the sum for a loss with ``reduction="sum"``).

    >>> import bprop, numpy as np
    >>> from bprop import nn
    >>> from bprop.train import accuracy, evaluate
    >>> evaluate(nn.Softmax(), nn.CrossEntropy(), (np.eye(2), [0, 1]), {"accuracy": accuracy})["accuracy"]
    1.0
    """
    x, t = _pair("evaluate: data", data)
    modes = [(module, module.training) for _, module in model.modules()]
    model.eval()
    try:
        total, outputs = 0.0, []
        for batch in batches(len(x), EVALUATION):
            y = model(asarray(x[batch], copy=False))
            weight = 1 if getattr(loss, "reduction", "mean") == "sum" else len(batch) / len(x)
            total += float(loss(y, asarray(t[batch], copy=False))) * weight
            outputs.append(np.asarray(y))
    finally:
        for module, training in modes:
            module.training = training
    y_all = np.concatenate(outputs)
    return {"loss": total, **{name: float(metric(y_all, t)) for name, metric in (metrics or {}).items()}}


def _data(name: str, model: Module, data: Any, notes: list[str]) -> Data:
    """Return inputs and targets as NumPy arrays of equal length, floats in the dtype of the parameters."""
    x, t = _pair(f"fit: {name}", data)
    dtypes = [cell.array.dtype for cell in model.cells().values() if cell.trainable]
    wanted = dtypes[0]
    if x.dtype.kind == "f" and x.dtype != wanted:
        notes.append(f"{name} inputs are {x.dtype}, the model is {wanted}: converted once, here")
        x = x.astype(wanted)
    if t.dtype.kind == "f" and t.dtype != wanted:
        t = t.astype(wanted)
    return x, t


def _pair(what: str, data: Any) -> Data:
    """Return inputs and targets as NumPy arrays of equal length, at least 1."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ArgumentError(f"{what} is a pair (x, t) of inputs and targets")
    try:
        x, t = (np.asarray(part) for part in data)
    except ValueError:
        raise ShapeError(f"{what}: inputs or targets are lists of unequal lengths, which make no array") from None
    if not x.ndim or not t.ndim or len(x) != len(t):
        raise ShapeError(f"{what} has inputs of shape {x.shape} and targets of shape {t.shape}: lengths differ")
    if not len(x):
        raise ShapeError(f"{what} has no examples (inputs of shape {x.shape})")
    return x, t


def _check(model: Any, loss: Any, optimizer: Any, metrics: Any) -> None:
    """Refuse arguments of the wrong kind, of which a class where an object belongs is the most frequent."""
    for name, kind, value in (("model", Module, model), ("optimizer", Optimizer, optimizer)):
        if not isinstance(value, kind):
            raise ArgumentError(f"fit: {name} is no bprop {kind.__name__}: {value!r:.60}{_hint(value)}")
    if isinstance(loss, type) or not callable(loss):
        raise ArgumentError(f"fit: the loss is a function of outputs and targets, not {loss!r:.60}{_hint(loss)}")
    if metrics is not None and not (isinstance(metrics, Mapping) and all(map(callable, metrics.values()))):
        raise ArgumentError(f"fit: metrics map names to functions of outputs and targets, not {metrics!r:.60}")


def _hint(value: Any) -> str:
    return f": write {value.__name__}(…)" if isinstance(value, type) else ""


def _try(name: str, model: Module, loss: Callable[[Any, Any], Any], data: Data) -> None:
    """Apply the model to one example and the loss to all targets, so that what does not fit is said at once."""
    x, t = data
    try:
        with using(Scope()):  # nothing that this writes stays
            y = model(asarray(x[:1]))
            if y.shape[:1] == (1,):
                y = broadcast_to(y, (len(x), *y.shape[1:]))
                E = loss(y, asarray(t, copy=False))
                if E.shape != ():
                    raise ShapeError(f"the loss has shape {E.shape}; it is a scalar")
    except BpropError as error:
        error.message = f"fit: {name} data: {error.message}"
        raise


def _versions() -> dict[str, str]:
    import platform

    from .. import __version__

    return {"bprop": __version__, "python": platform.python_version(), "numpy": np.__version__}
