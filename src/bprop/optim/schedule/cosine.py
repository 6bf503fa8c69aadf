"""Schedules along half periods of a cosine: once, again and again, up and down."""

from dataclasses import dataclass
from math import log, pi
from typing import Any

from ...core.error import ArgumentError
from ...core.number import number
from ...core.value import Array
from ...ops import log as log_of
from ...ops import minimum, pow, sin, square, where
from .schedule import Schedule, floor


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
            begin = self.steps * floor(t / self.steps)
            return _cosine(self.rate, self.minimum, t - begin, self.steps)
        # run n starts at s (fⁿ - 1) / (f - 1); the logarithm may be one off where t is the first count of a run
        f, s = float(self.factor), float(self.steps)
        n = floor(log_of(1 + t * ((f - 1) / s)) / log(f))
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


def _cosine(first: float, last: float, t: Any, steps: Any) -> Array:
    """Half a period of a cosine from ``first`` at t = 0 to ``last`` at t ≥ steps.

    With u = t / steps, (1 + cos πu) / 2 = 1 - s² for u ≤ ½ and s² for u ≥ ½, s = sin(π/2 · min(u, 1 - u)): no digits
    cancel at the end.
    """
    t = minimum(t, steps)
    distance = (first - last) * square(sin((pi / 2) * (minimum(t, steps - t) / steps)))  # to the nearer end
    return where(2 * t <= steps, first - distance, last + distance)


__all__ = ["Cosine", "CosineWarmRestarts", "OneCycle"]
