"""Schedules: learning rates as functions of the count of updates, made of ops, so that compiled steps contain them.

``optim.SGD(schedule.Cosine(0.1, steps=1000))``: the count t of updates made so far is a cell, the rate of update t + 1
is the schedule at t, in float64. Nothing is compiled anew as the rate changes, and a resumed count resumes the
schedule. Steps are updates, not epochs: write ``every=30 * steps_per_epoch``, or `PerEpoch` for a rate that is constant
within an epoch. A schedule is also a function of a plain number: ``schedule.Cosine(0.1, 1000)(500)``.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log, pi
from typing import Any

import numpy as np

from ..core.error import ArgumentError
from ..core.number import integer, number
from ..core.value import Array, asarray
from ..ops import astype, maximum, minimum, pow, sin, square, where
from ..ops import log as log_of


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


@dataclass(frozen=True)
class Constant(Schedule):
    """η(t) = η.

    - ``rate``: η > 0.

    >>> from bprop.optim import schedule
    >>> schedule.Constant(0.1)(7)
    Array(0.1)
    """

    rate: float

    def __post_init__(self) -> None:
        self._check_positive("rate")

    def rate_at(self, t: Array) -> Any:
        return self.rate


@dataclass(frozen=True)
class Step(Schedule):
    """η(t) = η γ^⌊t / s⌋: times ``factor`` after ``every`` updates.

    - ``rate``: η > 0. ``every``: s ≥ 1, an integer. ``factor``: γ > 0.

    **Source:** PyTorch, ``StepLR``.

    >>> from bprop.optim import schedule
    >>> schedule.Step(0.1, every=10)(25)
    Array(0.001)
    """

    rate: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        self._check_positive("rate", "factor")
        self._check_integer("every")

    def rate_at(self, t: Array) -> Any:
        return self.rate * pow(self.factor, _floor(t / self.every))


@dataclass(frozen=True)
class MultiStep(Schedule):
    """η(t) = η γⁿ, with n the number of ``milestones`` ≤ t.

    - ``rate``: η > 0. ``milestones``: counts, integers ≥ 1. ``factor``: γ > 0.

    **Source:** PyTorch, ``MultiStepLR``; He, Zhang, Ren & Sun (2016), Deep residual learning, section 4.2.

    >>> from bprop.optim import schedule
    >>> schedule.MultiStep(0.1, (100, 150))(120)
    Array(0.01)
    """

    rate: float
    milestones: tuple[int, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        self._check_positive("rate", "factor")
        if not isinstance(self.milestones, tuple | list) or not self.milestones:
            raise ArgumentError(f"MultiStep: milestones are integers, such as (100, 150), not {self.milestones!r:.60}")
        object.__setattr__(self, "milestones", tuple(integer(self, "a milestone", count) for count in self.milestones))

    def rate_at(self, t: Array) -> Any:
        passed: Any = 0.0
        for milestone in self.milestones:
            passed = passed + where(t >= milestone, 1.0, 0.0)
        return self.rate * pow(self.factor, passed)


@dataclass(frozen=True)
class Exponential(Schedule):
    """η(t) = η γᵗ.

    - ``rate``: η > 0. ``factor``: γ > 0.

    **Source:** PyTorch, ``ExponentialLR``.

    >>> from bprop.optim import schedule
    >>> schedule.Exponential(0.1, 0.5)(2)
    Array(0.025)
    """

    rate: float
    factor: float

    def __post_init__(self) -> None:
        self._check_positive("rate", "factor")

    def rate_at(self, t: Array) -> Any:
        return self.rate * pow(self.factor, t)


@dataclass(frozen=True)
class InverseTime(Schedule):
    """η(t) = η / (1 + γ t).

    - ``rate``: η > 0. ``decay``: γ ≥ 0.

    **Source:** Robbins & Monro (1951), A stochastic approximation method; Bottou (2012), Stochastic gradient descent
    tricks, section 5.2.

    >>> from bprop.optim import schedule
    >>> schedule.InverseTime(0.1, 0.5)(2)
    Array(0.05)
    """

    rate: float
    decay: float

    def __post_init__(self) -> None:
        self._check_positive("rate")
        number(self, "decay", self.decay, 0)

    def rate_at(self, t: Array) -> Any:
        return self.rate / (1 + self.decay * t)


@dataclass(frozen=True)
class Linear(Schedule):
    """η(t) = η (a + (b - a) min(t, T) / T): a line from a η to b η in ``steps`` updates, then constant.

    - ``rate``: η > 0. ``steps``: T ≥ 1, an integer. ``start``, ``end``: a and b, numbers ≥ 0.

    **Source:** PyTorch, ``LinearLR``.

    >>> from bprop.optim import schedule
    >>> rate = schedule.Linear(0.1, steps=10, start=1.0, end=0.0)
    >>> rate(5), rate(20)
    (Array(0.05), Array(0.))
    """

    rate: float
    steps: int
    start: float = 1.0
    end: float = 0.0

    def __post_init__(self) -> None:
        self._check_positive("rate")
        self._check_integer("steps")
        number(self, "start", self.start, 0)
        number(self, "end", self.end, 0)

    def rate_at(self, t: Array) -> Any:
        return self.rate * (self.start + (self.end - self.start) * minimum(t / self.steps, 1.0))


@dataclass(frozen=True)
class Polynomial(Schedule):
    """η(t) = η (1 - min(t, T) / T)^p: from η to 0 in ``steps`` updates.

    - ``rate``: η > 0. ``steps``: T ≥ 1, an integer. ``power``: p > 0.

    **Source:** PyTorch, ``PolynomialLR``.

    >>> from bprop.optim import schedule
    >>> schedule.Polynomial(0.1, steps=10, power=2)(5)
    Array(0.025)
    """

    rate: float
    steps: int
    power: float = 1.0

    def __post_init__(self) -> None:
        self._check_positive("rate", "power")
        self._check_integer("steps")

    def rate_at(self, t: Array) -> Any:
        return self.rate * pow(1 - minimum(t / self.steps, 1.0), float(self.power))


@dataclass(frozen=True)
class Cosine(Schedule):
    """η(t) = η₀ + (η - η₀) (1 + cos(π t / T)) / 2, from η to η₀ = ``minimum`` in ``steps`` updates; then it stays η₀.

    (PyTorch's ``CosineAnnealingLR`` climbs again after T updates.)

    - ``rate``: η > 0. ``steps``: T ≥ 1, an integer. ``minimum``: η₀ ≥ 0.

    **Source:** Loshchilov & Hutter (2017), SGDR: stochastic gradient descent with warm restarts, eq. 5.

    >>> from bprop.optim import schedule
    >>> rate = schedule.Cosine(0.1, steps=1000)
    >>> rate(0), rate(500), rate(2000)
    (Array(0.1), Array(0.05), Array(0.))
    """

    rate: float
    steps: int
    minimum: float = 0.0

    def __post_init__(self) -> None:
        self._check_positive("rate")
        self._check_integer("steps")
        number(self, "minimum", self.minimum, 0)

    def rate_at(self, t: Array) -> Any:
        return _cosine(self.rate, self.minimum, t, self.steps)


@dataclass(frozen=True)
class CosineWarmRestarts(Schedule):
    """`Cosine` over ``steps`` updates, then again from the beginning, each run ``factor`` times as long as the last.

    - ``rate``: η > 0. ``steps``: the length of the first run, an integer ≥ 1. ``factor``: an integer ≥ 1. ``minimum``:
      the rate at the end of a run, ≥ 0.

    **Source:** Loshchilov & Hutter (2017), SGDR: stochastic gradient descent with warm restarts, eq. 5.

    >>> from bprop.optim import schedule
    >>> rate = schedule.CosineWarmRestarts(0.1, steps=10, factor=2)
    >>> rate(5), rate(10), rate(20), rate(30)
    (Array(0.05), Array(0.1), Array(0.05), Array(0.1))
    """

    rate: float
    steps: int
    factor: int = 1
    minimum: float = 0.0

    def __post_init__(self) -> None:
        self._check_positive("rate")
        self._check_integer("steps", "factor")
        number(self, "minimum", self.minimum, 0)

    def rate_at(self, t: Array) -> Any:
        if self.factor == 1:
            begin = self.steps * _floor(t / self.steps)
            return _cosine(self.rate, self.minimum, t - begin, self.steps)
        # run n starts at s (fⁿ - 1) / (f - 1); the logarithm may be one off where t is the first count of a run
        f, s = float(self.factor), float(self.steps)
        n = _floor(log_of(1 + t * ((f - 1) / s)) / log(f))
        n = where(t >= s * (pow(f, n + 1) - 1) / (f - 1), n + 1, n)
        n = where(t < s * (pow(f, n) - 1) / (f - 1), n - 1, n)
        begin = s * (pow(f, n) - 1) / (f - 1)
        return _cosine(self.rate, self.minimum, t - begin, s * pow(f, n))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """From η / ``initial`` up to η in the fraction ``warm_up`` of ``steps``, then down to η / (initial · final), by cosines.

    The peak η = ``rate`` is reached at t = warm_up · steps - 1, the end at t = steps - 1, after which the rate stays.

    - ``rate``: η > 0. ``steps``: an integer ≥ 1. ``warm_up``: a fraction in [0, 1) that leaves a step to rise in.
      ``initial``, ``final``: positive numbers.

    **Source:** Smith & Topin (2019), Super-convergence; PyTorch, ``OneCycleLR``.

    >>> from bprop.optim import schedule
    >>> rate = schedule.OneCycle(1.0, steps=100, warm_up=0.25)
    >>> rate(0), rate(24), rate(99)
    (Array(0.04), Array(1.), Array(4.e-06))
    """

    rate: float
    steps: int
    warm_up: float = 0.3
    initial: float = 25.0
    final: float = 1e4

    def __post_init__(self) -> None:
        self._check_positive("rate", "initial", "final")
        self._check_integer("steps")
        number(self, "warm_up", self.warm_up, 0, 1)
        if self.warm_up * self.steps <= 1 or (1 - self.warm_up) * self.steps <= 0:
            raise ArgumentError(f"OneCycle: warm_up = {self.warm_up} of {self.steps} steps leaves no step to rise in")

    def rate_at(self, t: Array) -> Any:
        peak, last = self.warm_up * self.steps - 1, self.steps - 1
        low = self.rate / self.initial
        rising = _cosine(low, self.rate, t, peak)
        return where(t <= peak, rising, _cosine(self.rate, low / self.final, t - peak, last - peak))


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
        return self.schedule.rate_at(_floor(t / self.steps_per_epoch))


def _floor(t: Any) -> Array:
    """⌊t⌋ for t ≥ 0."""
    return astype(astype(t, np.int64), np.float64)


def _cosine(first: float, last: float, t: Any, steps: Any) -> Array:
    """Half a period of a cosine from ``first`` at t = 0 to ``last`` at t ≥ steps.

    With u = t / steps, (1 + cos πu) / 2 = 1 - s² for u ≤ ½ and s² for u ≥ ½, s = sin(π/2 · min(u, 1 - u)): no digits
    cancel at the end.
    """
    t = minimum(t, steps)
    distance = (first - last) * square(sin((pi / 2) * (minimum(t, steps - t) / steps)))  # to the nearer end
    return where(2 * t <= steps, first - distance, last + distance)


__all__ = [
    "Constant",
    "Cosine",
    "CosineWarmRestarts",
    "Exponential",
    "InverseTime",
    "Linear",
    "MultiStep",
    "OneCycle",
    "PerEpoch",
    "Polynomial",
    "Schedule",
    "Step",
    "WarmUp",
]
