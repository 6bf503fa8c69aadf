"""`Schedule`: the base class of schedules, which are functions of the count of updates."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ...core.error import ArgumentError
from ...core.number import integer, number
from ...core.value import Array, asarray
from ...ops import astype


class Schedule(ABC):
    """Base class of schedules. A subclass is a frozen dataclass of numbers and writes `rate_at`.

    >>> from dataclasses import dataclass
    >>> from bprop import nn, optim
    >>> @dataclass(frozen=True)
    ... class Halving(optim.schedule.Schedule):
    ...     rate: float
    ...     def rate_at(self, t):
    ...         return self.rate * 0.5 ** t
    >>> optim.SGD(Halving(0.8)).learning_rate, Halving(0.8)(2)
    (Array(0.8), Array(0.2))
    """

    def __call__(self, count: Any) -> Array:
        """Return the rate after ``count`` updates, a float64 scalar.

        - ``count``: t ≥ 0, the number of updates made; an integer or a scalar array.
        """
        return asarray(self.rate_at(astype(asarray(count), np.float64)))

    @abstractmethod
    def rate_at(self, t: Array) -> Any:
        """Return the rate at the count ``t``, a scalar. Subclasses write the formula here.

        - ``t``: a float64 scalar ≥ 0.
        """

    def _check_positive(self, *names: str) -> None:
        for name in names:
            number(self, name, getattr(self, name), 0, open_low=True)

    def _check_integer(self, *names: str) -> None:
        for name in names:
            integer(self, name, getattr(self, name))

    def _check_schedule(self, value: Any) -> None:
        if not isinstance(value, Schedule):
            raise ArgumentError(f"{type(self).__name__}: {value!r:.60} is no schedule: write Constant({value!r:.20})")


def floor(t: Any) -> Array:
    """⌊t⌋ for t ≥ 0."""
    return astype(astype(t, np.int64), np.float64)


__all__ = ["Schedule", "floor"]
