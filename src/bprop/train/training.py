"""`Training`: epochs of steps that can be left and entered again between any two of them."""

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from math import isfinite
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..core.error import BpropError, NonFiniteError
from ..core.value import Array
from ..nn import Module
from ..ops import Generator
from ..optim import Optimizer
from .callback import Callbacks
from .checkpoint import CHECKPOINT, ORDER, Checkpoint, save
from .data import Indices
from .evaluation import measure
from .interrupt import Interruption
from .metric import Metric
from .pace import Pace
from .progress import Progress
from .run import Run, line, plain, steady
from .source import Arrays, Batch, Data, Source
from .step import State, Step
from .stopping import Watch
from .storage import StorageError


@dataclass
class Training:
    """What `fit` trains with, and how far it has come: `batch` batches of `epoch` are done."""

    model: Module
    loss: Any
    optimizer: Optimizer
    source: Source
    held_out: Data | None
    metrics: dict[str, Metric]
    dtype: Any
    generator: Generator
    step: Step
    run: Run
    epochs: int
    config: dict[str, Any]
    versions: dict[str, str]
    watch: Watch | None
    callbacks: Callbacks
    every: int | timedelta | None
    report: Progress
    interruption: Interruption

    epoch: int = 1
    batch: int = 0
    updates: int = 0
    total: float = 0.0
    examples: float = 0
    epoch_seconds: float = 0.0
    best: dict[str, Array] = field(default_factory=dict)
    paused: bool = False

    def __post_init__(self) -> None:
        self.state = State(model=self.model, optimizer=self.optimizer, loss=self.loss, sums=self.step.sums)
        self.order: Any = self.generator.state
        self.pace = Pace()
        self._between = True  # whether the cells are those of the position
        # Record and best model after the last batch of an epoch that is being measured.
        self._ended: tuple[dict[str, Any], dict[str, Array]] | None = None
        self._began = self._saved = self._clock = time.perf_counter()
        self._earlier = 0.0

    # --- leaving and entering ---
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a checkpoint holds besides the order and the best model."""
        return {
            name: array for part in ("model/", "optimizer/", "loss/") for name, array in self.state.part(part).items()
        }

    def record(self) -> dict[str, Any]:
        """Return the position and all else that is no array."""
        now = time.perf_counter()
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "updates": self.updates,
            "loss": self.total,
            "examples": self.examples,
            "native": self.step.native is not None,
            "schedule": self._schedule(),
            "epoch_seconds": self.epoch_seconds + now - self._clock if self.batch else 0.0,
            "seconds": self._earlier + now - self._began,
            "started": self.run.started,
            "notes": self.run.notes,
            "log": self.run.position(),
            "drawn": self.source.drawn(),
            "stopping": None if self.watch is None else self.watch.state(),
            "stopped": self.run.stopped,
            "callbacks": plain(self.callbacks.states()),
            "epochs": self.epochs,
            "config": self.config,
            "versions": self.versions,
        }

    def save(self) -> None:
        """Write a checkpoint, if the run has a folder: of now, or of the end of the epoch that is being measured."""
        if self.run.folder is None:
            return
        record, known = self._ended or (self.record(), self.best)
        best = {f"best/{name.partition('/')[2]}": array.data for name, array in known.items()}
        arrays = {**self.arrays(), ORDER: self.order.data, **best}
        save(self.run.folder / CHECKPOINT, arrays, record)
        self._saved = time.perf_counter()

    def advice(self) -> str:
        """Return the call that goes on."""
        return f"fit(…, out={str(self.run.folder)!r}, resume=True), all else as before"

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take up the training where ``checkpoint``, which fits, has left it."""
        record = checkpoint.record
        if self.source.steps is not None and record["batch"] > self.source.steps:
            checkpoint.archive.refuse("record.batch", f"{record['batch']} of {self.source.steps} batches")
        schedule, here = record["schedule"], self._schedule()
        if schedule not in (None, here):
            checkpoint.archive.refuse(
                "record.schedule", f"the run goes on with {schedule}, here is {here}: give the optimizer that one"
            )
        arrays = {name: Array(array) for name, array in checkpoint.read().items()}
        self.source.start(record["epoch"])
        self.source.skip(record["drawn"], record["batch"])
        try:
            self.callbacks.load(record["callbacks"])
        except Exception as error:  # whatever a load_state_dict of the user's raises
            checkpoint.archive.refuse("record.callbacks", f"not taken: {type(error).__name__}: {error}")
        self.run.resume(record)
        if schedule is None:
            self.optimizer.schedule = None  # a callback had set a number
        if not record["native"]:
            self.step.native = None
        for name, cell in self.state.cells.items():
            if name in arrays:
                cell.write(arrays[name])
        self.best = {f"model/{name[5:]}": array for name, array in arrays.items() if name.startswith("best/")}
        self.generator.state = self.order = arrays[ORDER]
        self.epoch, self.batch, self.updates = record["epoch"], record["batch"], record["updates"]
        self.total, self.examples = float(record["loss"]), record["examples"]
        self.epoch_seconds, self._earlier = record["epoch_seconds"], record["seconds"]
        if self.watch is not None:
            self.watch = Watch(self.watch.rule, record["stopping"])
        for name, version in self.versions.items():
            before = record["versions"].get(name)
            if before != version:
                self.say(f"this run was begun with {name} {before} and goes on with {version}: last bits may differ")

    def _schedule(self) -> str | None:
        return None if self.optimizer.schedule is None else steady(repr(self.optimizer.schedule))

    def say(self, text: str) -> None:
        """Note something about the run, and report it."""
        self.run.notes.append(text)
        self.report.say(text)

    def pause(self) -> None:
        """After Ctrl-C: save, and end with how to go on."""
        if not self.interruption.asked:
            return
        self.paused = True
        self.save()
        name = "interrupted" if self.interruption.asked == signal.SIGINT else "terminated"
        where = f"{name} in epoch {self.epoch}, after batch {self.batch}"
        kept = "nothing was saved (there is no out=), the model has the weights of this moment"
        if self.run.folder is not None:
            kept = f"saved in {self.run.folder}; to go on, call {self.advice()}"
        raise self.interruption.heed(f"{where}: {kept}")

    def rescue(self, error: Exception) -> None:
        """Save what was reached when the user's own code, or the data, raised ``error`` between two steps.

        What the disk has refused can only be said: how to go on from the checkpoint before.
        """
        if isinstance(error, StorageError) and self.run.folder is not None:
            error.message += (
                f". The checkpoint before is intact, and the model in memory has its weights: when there is room, go on "
                f"from that checkpoint with {self.advice()}"
            )
        elif self._between and self.run.folder is not None:
            with contextlib.suppress(StorageError):
                self.save()
                error.add_note(f"The training up to here is saved; to go on, call {self.advice()}")

    # --- going through ---
    def go(self) -> None:
        """Train to the end, and leave the model with the best weights if they are wanted."""
        self._began = time.perf_counter()
        self.callbacks.start(self.run)
        while self.epoch <= self.epochs and self.run.stopped is None:
            self._epoch()
        if self.run.stopped is not None:
            self.say(f"stopped: {self.run.stopped}")
        watch = self.watch
        if watch is not None and watch.best is not None:
            self.run.best = {"epoch": watch.epoch, watch.rule.monitor: watch.best}
            for name, array in self.best.items():
                self.state.cells[name].write(array)
            if self.best and watch.epoch < self.epoch - 1:
                self.say(f"the weights are those of epoch {watch.epoch}, the best")

    def seconds(self) -> float:
        """Return how long the run has taken, before the resume too."""
        return self._earlier + time.perf_counter() - self._began

    def _epoch(self) -> None:
        self._clock = time.perf_counter()
        self.model.train()
        self.generator.state = self.order
        self.source.start(self.epoch)
        self.state.remember()
        self._batches()
        if self.run.stopped is not None:  # by a callback, amid the epoch
            self.save()
            return
        if self.state.wrong():
            self._replay()
        self._ended = self.record(), self.best
        mean = self.total / self.examples if self.step.mean else self.total
        entry: dict[str, Any] = {"epoch": self.epoch, "train_loss": mean}
        if self.held_out is not None:
            measured = measure(self.model, self.loss, self.held_out, self.metrics, self.dtype, self.pause)
            entry.update({f"validation_{name}": value for name, value in measured.items()})
        entry["learning_rate"] = float(self.optimizer.learning_rate)
        entry["seconds"] = round(self.epoch_seconds + time.perf_counter() - self._clock, 4)
        self.pause()
        if self.watch is not None:
            self._watch(self.watch, entry)
        self.callbacks.epoch(self.run, entry)
        self.epoch, self.batch, self.total, self.examples, self.epoch_seconds = self.epoch + 1, 0, 0.0, 0, 0.0
        self.order = self.generator.state
        self.state.remember()  # before the record is written: interrupted from here on, both have this epoch
        self.run.log(entry)
        self._ended = None
        self.save()
        self.run.save_weights()
        self.report.epoch(entry["epoch"], line(entry))

    def _watch(self, watch: Watch, entry: dict[str, Any]) -> None:
        if watch.better(entry) and watch.rule.restore_best:
            self.best = {name: cell.read() for name, cell in self.state.cells.items() if name.startswith("model/")}
        why = watch.verdict(entry)
        if why is not None:
            self.run.stop(why)

    def _batches(self) -> None:
        """Go through the batches. Of steps only the losses are looked at, so that many may be one native call."""
        done, first = self.batch, self.batch
        E, batch = 0.0, None
        for losses, weights, last in self._losses(done):
            done, batch = done + len(losses), last
            if not all(map(isfinite, losses)):
                self._replay(first)
            for E, weight in zip(losses, weights, strict=True):
                self.total += E * weight if self.step.mean else E
                self.examples += weight
            self.report.batch(self.epoch, E, len(losses))
            if not self.step.pending:
                self._updated(done, E, first, len(losses) if self.step.accumulate == 1 else 1)
                if self.run.stopped is not None:
                    return
        if self.step.pending:
            self._between = False
            before = None if self.source.replays else self.state.now()
            self.step.finish()
            if before is not None and batch is not None and self.state.wrong():
                self._refuse(before, batch, done, E)
            self._updated(done, E, first)

    def _losses(self, first: int) -> Iterator[tuple[list[float], list[float], Batch | None]]:
        """Yield losses and weights of the batches after the first ones, as many as are done at once: natively, several."""
        done = first
        while self.step.loops and isinstance(self.source, Arrays) and done < (self.source.steps or 0):
            self._between = False
            rows = self.source.stretch(done, self._most())
            began = time.perf_counter()
            losses = self._stretch(rows, done, first)
            if rows.shape[1] == self.source.batch_size:
                self.pace.took(len(rows), time.perf_counter() - began)
            done += len(losses)
            weights = self.step.weights_of(rows) if self.step.mean else [float(rows.shape[1])] * len(rows)
            yield losses, weights, None
        for batch in self.source.batches(done):
            self._between = False
            before = None if self.source.replays else self.state.now()
            E = self._step(batch, done + 1)
            done += 1
            if before is not None and (not isfinite(E) or self.state.wrong()):
                self._refuse(before, batch, done, E)
            yield [E], [self.step.weigh(batch.t) if self.step.mean else len(batch.x)], batch

    def _most(self) -> int:
        """Return how many batches may be done in one native call: up to where something has to happen after a step."""
        if self.callbacks.stepping:
            return 1
        most = self.pace.most
        if isinstance(self.every, timedelta):
            most = min(most, self.pace.within(self.every.total_seconds() - (time.perf_counter() - self._saved)))
        if self.step.accumulate > 1:
            return min(most, self.step.accumulate - self.step.pending)
        if self.every is not None and not isinstance(self.every, timedelta):
            most = min(most, self.every - self.updates % self.every)
        return most

    def _stretch(self, rows: Indices, done: int, first: int) -> list[float]:
        """Do a step with each of ``rows`` in one native call. Where one fails, the steps are gone through singly."""
        try:
            return self.step.loop(rows)
        except BpropError as error:
            if len(rows) > 1:
                self._replay(first, error)
            raise self._named(error, done + 1) from None

    def _step(self, batch: Batch, number: int) -> float:
        try:
            return self.step(batch)
        except BpropError as error:
            raise self._named(error, number) from None

    def _named(self, error: BpropError, number: int) -> BpropError:
        if not error.message.startswith("fit: "):
            error.message = f"fit: epoch {self.epoch}, batch {number}: {error.message}"
        return error

    def _updated(self, done: int, E: float, first: int, count: int = 1) -> None:
        self.batch, self._between = done, True
        self.updates += count
        if self.callbacks.stepping:
            self.callbacks.step(self.run, self.updates, E)
        if self.every is not None and self._due(self.every):
            if self.state.wrong():  # nobody wants to go on from there
                self._replay(first)
            self.save()
        self.pause()

    def _due(self, every: int | timedelta) -> bool:
        if isinstance(every, timedelta):
            return time.perf_counter() - self._saved >= every.total_seconds()
        return self.updates % every == 0

    # --- numbers that are not finite ---
    def _replay(self, first: int = 0, error: BpropError | None = None) -> NoReturn:
        """Go through the epoch again, slowly, to stop just before the batch after which something is not finite.

        Steps are deterministic, so this finds the same batch, and costs nothing as long as all is well. An ``error`` amid
        several steps comes again at its own.
        """
        self._between = False
        self.state.restore()
        self.step.forget()
        for done, batch in enumerate(self.source.batches(first), first + 1):
            before = self.state.now()
            E = self._step(batch, done)
            if done == self.source.steps:
                self.step.finish()
            if not isfinite(E) or self.state.wrong():
                self._refuse(before, batch, done, E)
        if self.step.pending:  # of a source that does not know its last batch beforehand
            before = self.state.now()
            self.step.finish()
            if self.state.wrong():
                self._refuse(before, batch, done, E)
        if error is not None:
            raise error
        raise NonFiniteError(f"fit: epoch {self.epoch}: a loss or parameter was not finite, but not when run again")

    def _refuse(self, before: list[Array], batch: Batch, number: int, E: float) -> NoReturn:
        wrong = self.state.wrong()
        self.state.restore(before)
        steps = "" if self.source.steps is None else f" of {self.source.steps}"
        where = f"fit: epoch {self.epoch}, batch {number}{steps}"
        for name, part in (("inputs", batch.x), ("targets", batch.t)):
            if part.dtype.kind == "f" and not np.isfinite(part).all():
                row = int(np.flatnonzero(~np.isfinite(part.reshape(len(part), -1)).all(axis=1))[0])
                example = (
                    f"example {row} of the batch"
                    if batch.rows is None
                    else f"example {batch.rows[row]} of the training data"
                )
                raise NonFiniteError(f"{where}: the {name} are not finite ({example})")
        what = (
            f"the loss is {E}" if not isfinite(E) else f"the loss is {E:.6g}, but the update makes {wrong} non-finite"
        )
        raise NonFiniteError(
            f"{where}: {what}. The parameters are as before this batch. A smaller learning rate often helps; "
            f"bprop.grad of the loss on this batch shows where it comes from"
        )
