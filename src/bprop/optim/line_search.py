"""Line search: a step length along a descent direction that satisfies the strong Wolfe conditions."""

from collections.abc import Callable
from math import isfinite, sqrt
from typing import Any, NamedTuple

from numpy.typing import NDArray


class Point(NamedTuple):
    """The step length t on the line, E there, its derivative along the line, and the gradient."""

    t: float
    E: float
    slope: float
    gradient: NDArray[Any]


def strong_wolfe(
    at: Callable[[float], Point],
    origin: Point,
    t: float,
    *,
    decrease: float = 1e-4,
    curvature: float = 0.9,
    resolution: float = 0.0,
    limit: int = 25,
) -> Point:
    """Return a point with E(t) ≤ E(0) + c₁ t E'(0) and \\|E'(t)\\| ≤ -c₂ E'(0), or the lowest found.

    A step to where E is not finite counts as too long. After ``limit`` points, or when the bracket is shorter than
    ``resolution``, the answer is the lowest point, which may be ``origin``. Where E(t) and E(0) differ by rounding
    only, the second condition suffices.

    - ``at``: a function that evaluates E at a step length.
    - ``origin``: the point at 0, whose slope is negative. ``t``: the step length to try first.
    - ``decrease``, ``curvature``: c₁ and c₂.
    - ``resolution``: the shortest bracket that is still divided. ``limit``: the most points to evaluate.

    **Source:** Nocedal & Wright (2006), Numerical optimization, algorithms 3.5 and 3.6, eq. 3.59; Hager & Zhang (2005),
    A new conjugate gradient method with guaranteed descent and an efficient line search, eq. 4.1 (rounding); the
    safeguards on interpolated steps are those of minFunc (Schmidt, 2005), which PyTorch uses too.
    """
    conditions = _Conditions(origin, decrease, curvature)
    low, high, tried = _bracket(at, t, conditions, limit)
    if high is None:
        return low
    return _zoom(at, low, high, conditions, resolution, limit - tried)


class _Conditions(NamedTuple):
    """The strong Wolfe conditions relative to the point ``origin`` at t = 0."""

    origin: Point
    decrease: float
    curvature: float

    def too_high(self, point: Point) -> bool:
        """Return whether E has not decreased enough."""
        return self.origin.E + self.decrease * point.t * self.origin.slope < point.E

    def flat(self, point: Point) -> bool:
        """Return whether the slope is small enough."""
        return abs(point.slope) <= -self.curvature * self.origin.slope

    def settled(self, point: Point) -> bool:
        """Return whether a point is so near the minimum that rounding hides what E gains: then the slope alone decides."""
        return abs(point.E - self.origin.E) <= 4 * 2.0**-52 * abs(self.origin.E) and self.flat(point)


def _bracket(
    at: Callable[[float], Point], t: float, conditions: _Conditions, limit: int
) -> tuple[Point, Point | None, int]:
    """Return two points with an acceptable one between them, the lower first, and how many steps were made beyond ``t``.

    Algorithm 3.5. The second point is ``None`` if the first is acceptable itself.
    """
    origin = conditions.origin
    last, point = origin, _finite(at(t))
    for tried in range(limit):
        if conditions.settled(point):
            return point, None, tried
        if conditions.too_high(point) or (tried > 1 and point.E >= last.E):
            return (*_lower_first(last, point), tried)
        if conditions.flat(point):
            return point, None, tried
        if point.slope >= 0:
            return (*_lower_first(last, point), tried)
        t = _interpolate(last, point, point.t + 0.01 * (point.t - last.t), 10 * point.t)
        last, point = point, _finite(at(t))
    return (*_lower_first(origin, point), limit)


def _zoom(
    at: Callable[[float], Point], low: Point, high: Point, conditions: _Conditions, resolution: float, limit: int
) -> Point:
    """Return an acceptable point between ``low`` and ``high``, or the lowest found. Algorithm 3.6."""
    slow = False
    for _ in range(limit):
        if not abs(high.t - low.t) >= resolution:
            break
        left, right = sorted((low.t, high.t))
        t = _interpolate(low, high, left, right)
        edge = 0.1 * (right - left)
        if min(right - t, t - left) >= edge:
            slow = False
        elif slow or not left < t < right:  # twice close to the same end: the bracket would hardly shrink
            t = right - edge if abs(t - right) < abs(t - left) else left + edge
            slow = False
        else:
            slow = True
        point = _finite(at(t))
        if conditions.settled(point):
            return point
        if conditions.too_high(point) or point.E >= low.E:
            low, high = _lower_first(low, point)
        elif conditions.flat(point):
            return point
        else:
            if point.slope * (high.t - low.t) >= 0:
                high = low
            low = point
    return low


def _lower_first(first: Point, second: Point) -> tuple[Point, Point]:
    return (second, first) if second.E < first.E else (first, second)


def _finite(point: Point) -> Point:
    """Return the point, with E = ∞ if its numbers are not finite."""
    return point if isfinite(point.E) and isfinite(point.slope) else point._replace(E=float("inf"))


def _interpolate(first: Point, second: Point, low: float, high: float) -> float:
    """Return the minimum of the cubic through two points and slopes, within bounds; the middle where it has none."""
    a, b = (first, second) if first.t <= second.t else (second, first)
    if b.t > a.t and isfinite(a.E) and isfinite(b.E):
        d1 = a.slope + b.slope - 3 * (a.E - b.E) / (a.t - b.t)
        square = d1 * d1 - a.slope * b.slope
        if square >= 0:
            d2 = sqrt(square)
            below = b.slope - a.slope + 2 * d2
            t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / below) if below else float("nan")
            if isfinite(t):
                return min(max(t, low), high)
    return (low + high) / 2
