"""How far a training has come: its position, its phase and its clock."""

import time
from dataclasses import dataclass
from enum import Enum, auto


class Phase(Enum):
    """What a training is doing; see `bprop.train.training` for the transitions."""

    BETWEEN_UPDATES = auto()
    UPDATING = auto()
    REPLAYING = auto()
    MEASURING = auto()


@dataclass
class Position:
    """``batch`` batches of ``epoch`` are done, after ``updates`` updates since the beginning.

    ``loss_sum`` and ``weight_sum`` add up the losses and weights of these batches; ``epoch_seconds`` is what the epoch took
    before the last resume; ``phase`` is what the training is doing.
    """

    epoch: int = 1
    batch: int = 0
    updates: int = 0
    loss_sum: float = 0.0
    weight_sum: float = 0
    epoch_seconds: float = 0.0
    phase: Phase = Phase.BETWEEN_UPDATES

    def next_epoch(self) -> None:
        """Go to the beginning of the next epoch."""
        self.epoch, self.batch = self.epoch + 1, 0
        self.loss_sum, self.weight_sum, self.epoch_seconds = 0.0, 0, 0.0


class Clock:
    """Measures run and epoch, and the time since the last checkpoint."""

    def __init__(self) -> None:
        self._run_start = self._epoch_start = self._saved = time.perf_counter()
        self.seconds_before = 0.0
        """What the run took before the last resume."""

    def start_run(self) -> None:
        """Measure the run from now on."""
        self._run_start = time.perf_counter()

    def start_epoch(self) -> None:
        """Measure the epoch from now on."""
        self._epoch_start = time.perf_counter()

    def saved(self) -> None:
        """Take note that a checkpoint was written now."""
        self._saved = time.perf_counter()

    def run_seconds(self) -> float:
        """Return how long the run has taken, before the resume too."""
        return self.seconds_before + time.perf_counter() - self._run_start

    def epoch_seconds(self) -> float:
        """Return how long the epoch has taken since its beginning or the resume."""
        return time.perf_counter() - self._epoch_start

    def seconds_since_save(self) -> float:
        """Return how old the last checkpoint is."""
        return time.perf_counter() - self._saved
