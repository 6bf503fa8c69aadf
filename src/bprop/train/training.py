"""`Training`: epochs of steps that can be left and entered again between any two updates.

Phases of a training, and what a checkpoint holds that is written in them::

    BETWEEN_UPDATES ── a step or a native chunk begins ──▶ UPDATING
    UPDATING        ── all losses are finite ────────────▶ BETWEEN_UPDATES
    UPDATING        ── a loss is not finite, or a step
                       in a chunk raises ────────────────▶ REPLAYING
    BETWEEN_UPDATES ── a parameter is not finite where a
                       checkpoint is due ────────────────▶ REPLAYING
    BETWEEN_UPDATES ── no more batches, all is finite ───▶ MEASURING
    MEASURING       ── the epoch is recorded ────────────▶ BETWEEN_UPDATES, of the next epoch
    REPLAYING       ── always ends in an exception that names the batch

    phase            the cells are those of         `save` writes                `rescue` after an exception
    BETWEEN_UPDATES  `position`                     cells and position           saves
    UPDATING         a later, unknown position      is not called                saves nothing
    REPLAYING        the batch before the failure   is not called                saves nothing
    MEASURING        the end of the epoch           cells, and the record        saves
                                                    of the end of the epoch

Where nothing is saved, the checkpoint before stays. While gradients accumulate, the phase is UPDATING until the update. In
MEASURING early stopping and callbacks change their states one after the other; the record taken before is consistent, and a
resumed run measures again. Ctrl-C is acted upon in `pause`, which is called between updates and while validation data is
measured. `BatchRunner` has the details of the replay. If batches cannot be read twice, every step is checked, and refused at
once: the cells are then as before it, in phase UPDATING.
"""

import contextlib
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from math import isfinite
from typing import Any

from numpy.typing import NDArray

from ..core.value import Array
from .batch_runner import BatchRunner
from .checkpoint import CHECKPOINT, ORDER, Checkpoint, save
from .chunk import ChunkSizer
from .evaluation import measure
from .position import Clock, Phase, Position
from .run import Run, canonical_json, epoch_line, to_json
from .source import ArraySource, MiniBatch
from .state import TrainingState
from .stopping import EarlyStoppingState
from .storage import StorageError
from .task import Observers, Settings, Task


class Training:
    """A training, and how far it has come.

    Parameters
    ----------
    task, settings, observers
        What is trained, for how long, and who watches.
    run
        The record; with a folder, checkpoints are written.
    early_stopping
        Its state, or ``None``.

    Attributes
    ----------
    position
        How far the training has come, and in which phase it is.
    state
        The cells that it changes.
    best
        The best model so far by name of the cell, with early stopping.
    paused
        Whether `pause` ended it after a signal.
    """

    def __init__(
        self,
        task: Task,
        settings: Settings,
        observers: Observers,
        run: Run,
        early_stopping: EarlyStoppingState | None = None,
    ) -> None:
        self.task, self.settings, self.observers, self.run = task, settings, observers, run
        self.early_stopping = early_stopping
        self.position, self.clock = Position(), Clock()
        self.state = TrainingState(
            model=task.model, optimizer=task.optimizer, loss=task.loss, accumulator=task.step.accumulator
        )
        self.best: dict[str, Array] = {}
        self.paused = False
        self._order: Any = task.generator.state  # when the epoch began
        self._chunk_sizer = ChunkSizer()
        self._runner = BatchRunner(task.step, task.source, self.state, self.position)
        # Record and best model at the end of the epoch that is being measured.
        self._epoch_end: tuple[dict[str, Any], dict[str, Array]] | None = None

    # --- leaving and entering ---
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a checkpoint except the order and the best model."""
        return self.state.arrays("model/", "optimizer/", "loss/")

    def record(self) -> dict[str, Any]:
        """Return the record of a checkpoint (`bprop.train.checkpoint.FIELDS`)."""
        position, stopping = self.position, self.early_stopping
        return {
            "epoch": position.epoch,
            "batch": position.batch,
            "updates": position.updates,
            "loss": position.loss_sum,
            "examples": position.weight_sum,
            "native": self.task.step.native is not None,
            "schedule": self._schedule(),
            "epoch_seconds": position.epoch_seconds + self.clock.epoch_seconds() if position.batch else 0.0,
            "seconds": self.clock.run_seconds(),
            "started": self.run.started,
            "notes": self.run.notes,
            "log": self.run.position(),
            "drawn": self.task.source.drawn(),
            "stopping": None if stopping is None else stopping.record(),
            "stopped": self.run.stopped,
            "callbacks": to_json(self.observers.callbacks.states()),
            "epochs": self.settings.epochs,
            "config": self.settings.config,
            "versions": self.settings.versions,
        }

    def save(self) -> None:
        """Write a checkpoint, if the run has a folder: of now, or of the end of the epoch that is being measured."""
        if self.run.folder is None:
            return
        record, best_cells = self._epoch_end or (self.record(), self.best)
        best = {f"best/{name.removeprefix('model/')}": array.data for name, array in best_cells.items()}
        arrays = {**self.arrays(), ORDER: self._order.data, **best}
        save(self.run.folder / CHECKPOINT, arrays, record)
        self.clock.saved()

    def advice(self) -> str:
        """Return the call that goes on."""
        return f"fit(…, out={str(self.run.folder)!r}, resume=True), all else as before"

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on where the run that wrote ``checkpoint`` has ended; `Checkpoint.fits` has accepted it.

        Raises `StorageError` if data, schedule or callbacks do not fit it.
        """
        record, source, step = checkpoint.record, self.task.source, self.task.step
        if source.steps is not None and record["batch"] > source.steps:
            checkpoint.archive.refuse("record.batch", f"{record['batch']} of {source.steps} batches")
        schedule, schedule_here = record["schedule"], self._schedule()
        if schedule not in (None, schedule_here):
            checkpoint.archive.refuse(
                "record.schedule",
                f"the run goes on with {schedule}, here is {schedule_here}: give the optimizer that one",
            )
        arrays = {name: Array(array) for name, array in checkpoint.read().items()}
        source.start(record["epoch"])
        source.skip(record["drawn"], record["batch"])
        try:
            self.observers.callbacks.load(record["callbacks"])
        except Exception as error:  # anything that the user's load_state_dict raises
            checkpoint.archive.refuse("record.callbacks", f"not taken: {type(error).__name__}: {error}")
        self.run.resume(record)
        if schedule is None:
            self.task.optimizer.schedule = None  # a callback had set a number
        if not record["native"]:
            step.native = None
        for name, cell in self.state.cells.items():
            if name in arrays:
                cell.write(arrays[name])
        self.best = {
            f"model/{name.removeprefix('best/')}": array for name, array in arrays.items() if name.startswith("best/")
        }
        self.task.generator.state = self._order = arrays[ORDER]
        position = self.position
        position.epoch, position.batch, position.updates = record["epoch"], record["batch"], record["updates"]
        position.loss_sum, position.weight_sum = float(record["loss"]), record["examples"]
        position.epoch_seconds, self.clock.seconds_before = record["epoch_seconds"], record["seconds"]
        if self.early_stopping is not None:
            self.early_stopping = EarlyStoppingState(self.early_stopping.settings, record["stopping"])
        for name, version in self.settings.versions.items():
            before = record["versions"].get(name)
            if before != version:
                self.notify(f"this run was begun with {name} {before} and goes on with {version}: last bits may differ")

    def _schedule(self) -> str | None:
        schedule = self.task.optimizer.schedule
        return None if schedule is None else canonical_json(repr(schedule))

    def notify(self, text: str) -> None:
        """Add a note to the run, and report it."""
        self.run.notes.append(text)
        self.observers.progress.notify(text)

    def pause(self) -> None:
        """After a signal: save, and raise the exception whose message says how to go on."""
        signals = self.observers.signals
        if not signals.requested:
            return
        self.paused = True
        self.save()
        name = "interrupted" if signals.requested == signal.SIGINT else "terminated"
        outcome = "nothing was saved (there is no out=), the model has the weights of this moment"
        if self.run.folder is not None:
            outcome = f"saved in {self.run.folder}; to go on, call {self.advice()}"
        raise signals.exception(f"{name} in epoch {self.position.epoch}, after batch {self.position.batch}: {outcome}")

    def rescue(self, error: Exception) -> None:
        """Save what was reached when the user's own code, or the data, raised ``error`` between two updates.

        If the disk has refused to be written, ``error`` says how to go on from the checkpoint before.
        """
        if isinstance(error, StorageError) and self.run.folder is not None:
            error.message += (
                f". The checkpoint before is intact, and the model in memory has its weights: when there is room, go on "
                f"from that checkpoint with {self.advice()}"
            )
        elif self.position.phase in (Phase.BETWEEN_UPDATES, Phase.MEASURING) and self.run.folder is not None:
            with contextlib.suppress(StorageError):
                self.save()
                error.add_note(f"The training up to here is saved; to go on, call {self.advice()}")

    # --- epochs ---
    def train(self) -> None:
        """Train to the end, and leave the model with the best weights if early stopping is to restore them."""
        self.clock.start_run()
        self.observers.callbacks.start(self.run)
        while self.position.epoch <= self.settings.epochs and self.run.stopped is None:
            self._epoch()
        if self.run.stopped is not None:
            self.notify(f"stopped: {self.run.stopped}")
        stopping = self.early_stopping
        if stopping is not None and stopping.best is not None:
            self.run.best = {"epoch": stopping.epoch, stopping.settings.monitor: stopping.best}
            for name, array in self.best.items():
                self.state.cells[name].write(array)
            if self.best and stopping.epoch < self.position.epoch - 1:
                self.notify(f"the weights are those of epoch {stopping.epoch}, the best")

    def _epoch(self) -> None:
        self.clock.start_epoch()
        self.task.model.train()
        self.task.generator.state = self._order
        self.task.source.start(self.position.epoch)
        self._remember()
        self._batches()
        if self.run.stopped is not None:  # by a callback, in the middle of the epoch
            self.save()
            return
        if self.state.nonfinite_path():
            self._runner.replay()
        self._epoch_end, self.position.phase = (self.record(), self.best), Phase.MEASURING
        entry = self._measure()
        self.pause()
        if self.early_stopping is not None:
            self._check_early_stopping(self.early_stopping, entry)
        self.observers.callbacks.epoch(self.run, entry)
        self.position.next_epoch()
        self._order = self.task.generator.state
        self._remember()  # before the record is written: interrupted from here on, both have this epoch
        self.run.log(entry)
        self._epoch_end, self.position.phase = None, Phase.BETWEEN_UPDATES
        self.save()
        self.run.save_weights()
        self.observers.progress.epoch(entry["epoch"], epoch_line(entry))

    def _remember(self) -> None:
        """Make the present state the one from which a replay begins."""
        self.state.remember()
        self._runner.first = self.position.batch

    def _measure(self) -> dict[str, Any]:
        """Return the record of the epoch."""
        task, position = self.task, self.position
        train_loss = position.loss_sum / position.weight_sum if task.step.is_mean else position.loss_sum
        entry: dict[str, Any] = {"epoch": position.epoch, "train_loss": train_loss}
        if task.validation is not None:
            measures = measure(task.model, task.loss, task.validation, task.metrics, task.dtype, self.pause)
            entry.update({f"validation_{name}": value for name, value in measures.items()})
        entry["learning_rate"] = float(task.optimizer.learning_rate)
        entry["seconds"] = round(position.epoch_seconds + self.clock.epoch_seconds(), 4)
        return entry

    def _check_early_stopping(self, stopping: EarlyStoppingState, entry: dict[str, Any]) -> None:
        if stopping.update(entry) and stopping.settings.restore_best:
            self.best = {name: cell.read() for name, cell in self.state.cells.items() if name.startswith("model/")}
        reason = stopping.stop_reason(entry)
        if reason is not None:
            self.run.stop(reason)

    # --- batches ---
    def _batches(self) -> None:
        """Go through the batches of the epoch. Only losses are checked after a step, so that a chunk is one native call."""
        step, position = self.task.step, self.position
        done, E, batch = position.batch, 0.0, None
        for losses, weights, batch in self._losses(done):  # noqa: B007 - the last batch
            done += len(losses)
            if not all(map(isfinite, losses)):
                self._runner.replay()
            for E, weight in zip(losses, weights, strict=True):
                position.loss_sum += E * weight if step.is_mean else E
                position.weight_sum += weight
            self.observers.progress.batch(position.epoch, E, len(losses))
            if not step.pending:
                self._after_update(done, E, len(losses) if step.accumulate == 1 else 1)
                if self.run.stopped is not None:
                    return
        if step.pending:
            self.position.phase = Phase.UPDATING
            self._runner.finish(batch, done, E)
            self._after_update(done, E)

    def _losses(self, done: int) -> Iterator[tuple[list[float], list[float], MiniBatch | None]]:
        """Yield losses and weights of the batches after the first ``done``: those of a chunk, or of one batch."""
        step, source = self.task.step, self.task.source
        while step.loops and isinstance(source, ArraySource) and done < (source.steps or 0):
            self.position.phase = Phase.UPDATING
            rows = source.chunk(done, self._chunk_limit())
            start = time.perf_counter()
            losses = self._runner.chunk(rows, done)
            if rows.shape[1] == source.batch_size:
                self._chunk_sizer.record_duration(len(rows), time.perf_counter() - start)
            done += len(losses)
            weights = step.weights_of(rows) if step.is_mean else [float(rows.shape[1])] * len(rows)
            yield losses, weights, None
        for batch in source.batches(done):
            self.position.phase = Phase.UPDATING
            done += 1
            E = self._runner.checked_step(batch, done)
            yield [E], [step.batch_weight(batch.t) if step.is_mean else len(batch.x)], batch

    def _chunk_limit(self) -> int:
        """Return how many steps one native call may make: up to the next callback, checkpoint or update."""
        if self.observers.callbacks.with_on_step:
            return 1
        step, every, limit = self.task.step, self.settings.checkpoint_every, self._chunk_sizer.max_steps
        if isinstance(every, timedelta):
            limit = min(limit, self._chunk_sizer.steps_within(every.total_seconds() - self.clock.seconds_since_save()))
        if step.accumulate > 1:
            return min(limit, step.accumulate - step.pending)
        if every is not None and not isinstance(every, timedelta):
            limit = min(limit, every - self.position.updates % every)
        return limit

    def _after_update(self, done: int, E: float, updates: int = 1) -> None:
        self.position.batch, self.position.phase = done, Phase.BETWEEN_UPDATES
        self.position.updates += updates
        callbacks = self.observers.callbacks
        if callbacks.with_on_step:
            callbacks.step(self.run, self.position.updates, E)
        if self._checkpoint_is_due():
            if self.state.nonfinite_path():  # nobody wants to go on from there
                self._runner.replay()
            self.save()
        self.pause()

    def _checkpoint_is_due(self) -> bool:
        every = self.settings.checkpoint_every
        if isinstance(every, timedelta):
            return self.clock.seconds_since_save() >= every.total_seconds()
        return every is not None and self.position.updates % every == 0
