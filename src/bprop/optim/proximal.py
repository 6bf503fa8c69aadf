"""`ProximalGradient`: a gradient step, then the proximal operator of a penalty or constraint that has no gradient."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Unpack

import numpy as np

from ..core.error import ArgumentError
from ..core.number import number
from ..core.value import Array
from ..ops import abs, maximum, minimum, reshape, sign, sqrt, square, sum, where
from .optimizer import Optimizer, Options, Rate
from .setting import check_patterns, setting_for


class Prox(ABC):
    """Base class of proximal operators: ``prox(w, η)`` = argmin over z of r(z) + ‖z - w‖² / 2η, for a penalty r."""

    @abstractmethod
    def __call__(self, w: Array, step: Any) -> Array:
        """Return the proximal point of ``w`` for the step size ``step``.

        - ``w``: a parameter, of any shape and floating dtype. ``step``: η, a positive scalar.
        """

    def _check_numbers(self, *names: str) -> None:
        for name in names:
            number(self, name, getattr(self, name), 0)


@dataclass(frozen=True)
class L1(Prox):
    """r(w) = λ Σ|w|: soft thresholding, sign(w) max(|w| - η λ, 0).

    - ``strength``: λ ≥ 0.

    **Source:** Parikh & Boyd (2014), Proximal algorithms, section 6.5.2.

    >>> import bprop
    >>> from bprop import optim
    >>> optim.L1(1.0)(bprop.asarray([3.0, -0.2, -2.0]), 0.5)
    Array([ 2.5, -0. , -1.5])
    """

    strength: float

    def __post_init__(self) -> None:
        self._check_numbers("strength")

    def __call__(self, w: Array, step: Any) -> Array:
        return sign(w) * maximum(abs(w) - self.strength * step, 0)


@dataclass(frozen=True)
class L2(Prox):
    """r(w) = λ/2 Σ w²: w / (1 + η λ).

    - ``strength``: λ ≥ 0.

    **Source:** Parikh & Boyd (2014), Proximal algorithms, section 2.2 and 6.1.1.

    >>> import bprop
    >>> from bprop import optim
    >>> optim.L2(2.0)(bprop.asarray([3.0]), 0.5)
    Array([1.5])
    """

    strength: float

    def __post_init__(self) -> None:
        self._check_numbers("strength")

    def __call__(self, w: Array, step: Any) -> Array:
        return w / (1 + self.strength * step)


@dataclass(frozen=True)
class ElasticNet(Prox):
    """r(w) = λ₁ Σ|w| + λ₂/2 Σ w²: soft thresholding by η λ₁, then division by 1 + η λ₂.

    - ``l1``, ``l2``: λ₁ and λ₂, numbers ≥ 0.

    **Source:** Parikh & Boyd (2014), Proximal algorithms, section 6.5.3; Zou & Hastie (2005).

    >>> import bprop
    >>> from bprop import optim
    >>> optim.ElasticNet(1.0, 2.0)(bprop.asarray([3.0, -0.2]), 0.5)
    Array([ 1.25, -0.  ])
    """

    l1: float
    l2: float

    def __post_init__(self) -> None:
        self._check_numbers("l1", "l2")

    def __call__(self, w: Array, step: Any) -> Array:
        return L2(self.l2)(L1(self.l1)(w, step), step)


@dataclass(frozen=True)
class GroupL1(Prox):
    """r(w) = λ Σ ‖wᵢ‖ over the rows wᵢ (first axis): wᵢ max(1 - η λ / ‖wᵢ‖, 0). Whole rows become zero.

    - ``strength``: λ ≥ 0.

    **Source:** Yuan & Lin (2006), Model selection and estimation in regression with grouped variables; Parikh & Boyd
    (2014), section 6.5.4.

    >>> import bprop
    >>> from bprop import optim
    >>> optim.GroupL1(5.0)(bprop.asarray([[6.0, 8.0], [3.0, 4.0]]), 1.0)
    Array([[3., 4.],
           [0., 0.]])
    """

    strength: float

    def __post_init__(self) -> None:
        self._check_numbers("strength")

    def __call__(self, w: Array, step: Any) -> Array:
        if w.ndim < 2:
            norm = abs(w)
        else:
            rows = reshape(w, (w.shape[0], -1)) if w.size else w
            norm = reshape(sqrt(sum(square(rows), axis=1)), (w.shape[0], *(1,) * (w.ndim - 1)))
        threshold = self.strength * step
        return w * where(norm > threshold, 1 - threshold / where(norm > threshold, norm, 1), 0)


@dataclass(frozen=True)
class Box(Prox):
    """r(w) = 0 where ``low`` ≤ w ≤ ``high``, infinite elsewhere: the nearest point of the box.

    - ``low``, ``high``: numbers, low ≤ high, else `ArgumentError`. They may be infinite.

    **Source:** Parikh & Boyd (2014), Proximal algorithms, section 6.2.4.

    >>> import bprop
    >>> from bprop import optim
    >>> optim.Box(-1, 1)(bprop.asarray([3.0, -0.2]), 0.5)
    Array([ 1. , -0.2])
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        numbers = all(isinstance(bound, int | float | np.number) for bound in (self.low, self.high))
        if not numbers or not self.low <= self.high:
            raise ArgumentError(f"Box: low and high are numbers, low ≤ high, not {self.low!r} and {self.high!r}")

    def __call__(self, w: Array, step: Any) -> Array:
        return minimum(maximum(w, float(self.low)), float(self.high))


@dataclass(frozen=True)
class NonNegative(Prox):
    """r(w) = 0 where w ≥ 0, infinite elsewhere: max(w, 0).

    **Source:** Parikh & Boyd (2014), Proximal algorithms, section 6.2.4.

    >>> import bprop
    >>> from bprop import optim
    >>> optim.NonNegative()(bprop.asarray([3.0, -0.2]), 0.5)
    Array([3., 0.])
    """

    def __call__(self, w: Array, step: Any) -> Array:
        return Box(0.0, inf)(w, step)


class ProximalGradient(Optimizer):
    """w ← prox(w - η g, η): for E(w) + r(w) with a smooth E and a penalty or constraint r such as `L1`, `Box`.

    - ``learning_rate``: η > 0, a number or a `bprop.optim.schedule`.
    - ``prox``: a `Prox` for all parameters, or a mapping from patterns of paths to one each, such as ``{"*W":
      L1(0.01)}`` to leave biases alone.
    - ``options``: what every optimizer takes by keyword, see `Optimizer`.

    **Source:** Parikh & Boyd (2014), Proximal algorithms, section 4.2; Beck & Teboulle (2009), eq. 1.4 (ISTA).

    >>> import bprop
    >>> from bprop import nn, optim
    >>> model = nn.Linear(1, 1, seed=0)
    >>> optimizer = optim.ProximalGradient(0.5, optim.L1(1.0))
    >>> optimizer.update(model, {"W": bprop.full((1, 1), -9.0), "b": bprop.full(1, 0.5)})
    >>> model.b
    Array([-0.], dtype=float32)
    """

    def __init__(self, learning_rate: Rate, prox: Prox | Mapping[str, Prox], **options: Unpack[Options]) -> None:
        operators = list(prox.values()) if isinstance(prox, Mapping) else [prox]
        for operator in operators:
            if not isinstance(operator, Prox):
                raise ArgumentError(
                    f"ProximalGradient: {operator!r:.60} is no proximal operator such as optim.L1(0.01)"
                )
        self.prox = dict(prox) if isinstance(prox, Mapping) else prox
        super().__init__(learning_rate, **options)

    def check_paths(self, paths: list[str]) -> None:
        super().check_paths(paths)
        check_patterns(self, "prox", self.prox, paths)

    def apply(
        self, path: str, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the proximal point of the gradient step."""
        new, new_slots = super().apply(path, w, g, slots, scalars)
        prox = setting_for(self.prox, path, None)
        return (new if prox is None else prox(new, scalars["learning_rate"])), new_slots

    def rule(
        self, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the parameter after the gradient step."""
        return w - scalars["learning_rate"] * g, {}

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "prox": repr(self.prox)}
