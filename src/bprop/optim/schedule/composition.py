"""Schedules made of another: with a rise before it, or counted in epochs."""

from dataclasses import dataclass
from typing import Any

from ...core.number import number
from ...core.value import Array
from ...ops import maximum, minimum
from .schedule import Schedule, floor


@dataclass(frozen=True)
class WarmUp(Schedule):
    """From ``start`` times the first rate of ``then`` linearly up to it in ``steps`` updates; after these ``then``.

    - ``then``: a schedule. ``steps``: an integer ≥ 1. ``start``: a number ≥ 0.

    **Source:** Goyal et al. (2017), Accurate, large minibatch SGD, section 2.2.

    >>> from bprop.optim import schedule
    >>> rate = schedule.WarmUp(schedule.Cosine(0.1, steps=100), steps=10)
    >>> rate(0), rate(5), rate(10), rate(60)
    (Array(0.), Array(0.05), Array(0.1), Array(0.05))
    """

    then: Schedule
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        self._check_schedule(self.then)
        self._check_integer("steps")
        number(self, "start", self.start, 0)

    def rate_at(self, t: Array) -> Any:
        rising = self.start + (1 - self.start) * minimum(t / self.steps, 1.0)
        return self.then.rate_at(maximum(t - self.steps, 0.0)) * rising


@dataclass(frozen=True)
class PerEpoch(Schedule):
    """``schedule`` counted in epochs of ``steps_per_epoch`` updates: constant within each.

    - ``schedule``: a schedule. ``steps_per_epoch``: an integer ≥ 1.

    >>> from bprop.optim import schedule
    >>> rate = schedule.PerEpoch(schedule.Exponential(0.1, 0.5), steps_per_epoch=20)
    >>> rate(19), rate(20)
    (Array(0.1), Array(0.05))
    """

    schedule: Schedule
    steps_per_epoch: int

    def __post_init__(self) -> None:
        self._check_schedule(self.schedule)
        self._check_integer("steps_per_epoch")

    def rate_at(self, t: Array) -> Any:
        return self.schedule.rate_at(floor(t / self.steps_per_epoch))


__all__ = ["PerEpoch", "WarmUp"]
