"""`BatchRunner`: makes training steps, names the batch in every error, and finds the batch that made a number non-finite."""

from math import isfinite
from typing import NoReturn

import numpy as np

from ..core.error import BpropError, NonFiniteError
from ..core.value import Array
from .data import Indices
from .position import Phase, Position
from .source import MiniBatch, Source
from .state import TrainingState
from .step import TrainingStep


class BatchRunner:
    """Makes steps with the batches of an epoch.

    Several steps may be one native call, of which only the losses come back. When one of them is not finite, `replay` goes
    through the epoch a second time, step by step. Steps are deterministic, so it finds the same batch; that costs nothing as
    long as all numbers are finite. Batches that cannot be read twice are checked one by one instead (`checked_step`).

    Parameters
    ----------
    step
        Makes the steps.
    source
        Where the batches come from.
    state
        The cells; `TrainingState.remember` was called when the epoch began or was resumed.
    position
        Has the epoch, for messages, and the phase.
    """

    def __init__(self, step: TrainingStep, source: Source, state: TrainingState, position: Position) -> None:
        self.step, self.source, self.state, self.position = step, source, state, position
        self.first = 0
        """How many batches of the epoch were done at the moment that the state remembers."""

    def checked_step(self, batch: MiniBatch, number: int) -> float:
        """Make a step with batch ``number`` of the epoch and return its loss.

        Raises `NonFiniteError` at once if the batch cannot be read a second time for `replay`.
        """
        before = None if self.source.replays else self.state.snapshot()
        E = self._named_step(batch, number)
        if before is not None:
            self._refuse_nonfinite(before, batch, number, E)
        return E

    def chunk(self, rows: Indices, done: int) -> list[float]:
        """Make a step with each of ``rows``, (steps, batch), in one native call, after ``done`` batches of the epoch.

        Returns the losses. If a step raises, the epoch is replayed up to that step.
        """
        try:
            return self.step.loop(rows)
        except BpropError as error:
            if len(rows) > 1:
                self.replay(error)
            raise self._named(error, done + 1) from None

    def finish(self, batch: MiniBatch | None, done: int, E: float) -> None:
        """Make the update that is due at the end of an epoch; ``batch`` is the last one, ``E`` its loss."""
        before = None if self.source.replays else self.state.snapshot()
        self.step.finish()
        if before is not None and batch is not None and self.state.nonfinite_path():
            self._refuse(before, batch, done, E)

    def replay(self, error: BpropError | None = None) -> NoReturn:
        """Restore the remembered state and go through the batches after it, up to the one that fails.

        The parameters are then as before that batch. ``error`` is what a step raised in the middle of a chunk; it comes a
        second time at its own batch.
        """
        self.position.phase = Phase.REPLAYING
        self.state.restore()
        self.step.discard_pending()
        for number, batch in enumerate(self.source.batches(self.first), self.first + 1):
            before = self.state.snapshot()
            E = self._named_step(batch, number)
            if number == self.source.steps:
                self.step.finish()
            self._refuse_nonfinite(before, batch, number, E)
        if self.step.pending:  # of a source whose number of batches is unknown beforehand
            before = self.state.snapshot()
            self.step.finish()
            if self.state.nonfinite_path():
                self._refuse(before, batch, number, E)
        if error is not None:
            raise error
        epoch = self.position.epoch
        raise NonFiniteError(f"fit: epoch {epoch}: a loss or parameter was not finite, but not when run again")

    def _named_step(self, batch: MiniBatch, number: int) -> float:
        try:
            return self.step(batch)
        except BpropError as error:
            raise self._named(error, number) from None

    def _named(self, error: BpropError, number: int) -> BpropError:
        if not error.message.startswith("fit: "):
            error.message = f"fit: epoch {self.position.epoch}, batch {number}: {error.message}"
        return error

    def _refuse_nonfinite(self, before: list[Array], batch: MiniBatch, number: int, E: float) -> None:
        if not isfinite(E) or self.state.nonfinite_path():
            self._refuse(before, batch, number, E)

    def _refuse(self, before: list[Array], batch: MiniBatch, number: int, E: float) -> NoReturn:
        """Return to the snapshot ``before``, and say what is not finite: data, loss, or the parameters after the update."""
        path = self.state.nonfinite_path()
        self.state.restore(before)
        steps = "" if self.source.steps is None else f" of {self.source.steps}"
        prefix = f"fit: epoch {self.position.epoch}, batch {number}{steps}"
        for name, array in (("inputs", batch.x), ("targets", batch.t)):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                row = int(np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))[0])
                example = f"{row} of the batch" if batch.rows is None else f"{batch.rows[row]} of the training data"
                raise NonFiniteError(f"{prefix}: the {name} are not finite (example {example})")
        what = f"the loss is {E}" if not isfinite(E) else f"the loss is {E:.6g}, but the update makes {path} non-finite"
        raise NonFiniteError(
            f"{prefix}: {what}. The parameters are as before this batch. A smaller learning rate often helps; "
            f"bprop.grad of the loss on this batch shows where it comes from"
        )
