"""Schedules that stay, or fall by a rule: in steps, by a factor, as a power of the count."""

from dataclasses import dataclass
from typing import Any

from ...core.error import ArgumentError
from ...core.number import integer, number
from ...core.value import Array
from ...ops import minimum, pow, where
from .schedule import Schedule, floor


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
        return self.rate * pow(self.factor, floor(t / self.every))


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


__all__ = ["Constant", "Exponential", "InverseTime", "Linear", "MultiStep", "Polynomial", "Step"]
