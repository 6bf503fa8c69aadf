"""`LBFGS`: a quasi-Newton method for all data at once; curvature from the last few steps, step lengths by line search."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..compile import compile
from ..core.cell import Cell
from ..core.error import ArgumentError, CompileError, NonFiniteError, StateError, TracedValueError
from ..core.interpreter import EVALUATE, current
from ..core.number import integer, number
from ..core.value import Array, asarray
from ..gradients import value_and_grad
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer, Rate


class Minimum(NamedTuple):
    """The result of `LBFGS.minimise`.

    ``E`` and ``gradient`` (the largest absolute entry) at the end, ``steps`` and ``evaluations`` made, and ``reason``:
    why it stopped ("gradient", "change" or "steps").
    """

    E: float
    gradient: float
    steps: int
    evaluations: int
    reason: str


class LBFGS(Optimizer):
    """w ← w + t d with d = -H g, where H is built from the last ``history`` steps s and gradient differences y.

    H comes from the two-loop recursion, starting from (s·y / y·y) I; t from a line search for the strong Wolfe
    conditions, which tries η first (in the first step η min(1, 1/‖g‖₁)). A pair whose s·y ≤ 10⁻¹⁰ is not kept. All of
    this is in float64, around one compiled function for E and its gradient. E must be deterministic: all data at once,
    no dropout. A step evaluates E several times, so there is no `update`; call `minimise` or `step`. Raises
    `ArgumentError` for settings outside their range.

    - ``learning_rate``: η > 0, the first step length that a line search tries.
    - ``history``: how many pairs (s, y) are kept, ≥ 1.
    - ``tolerance_gradient``, ``tolerance_change``: where to stop, see `minimise`; numbers ≥ 0.
    - ``decrease``, ``curvature``: c₁ and c₂ of the strong Wolfe conditions, 0 < c₁ < c₂ < 1.

    **Source:** Nocedal & Wright (2006), Numerical optimization, algorithms 7.4, 7.5, 3.5, 3.6; Liu & Nocedal (1989), On
    the limited memory BFGS method; PyTorch, ``torch.optim.LBFGS`` with ``line_search_fn="strong_wolfe"``.

    >>> import bprop, numpy as np
    >>> from bprop import nn, optim
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> model, loss = nn.Linear(1, 1, np.float64, seed=0), nn.SquaredError()
    >>> found = optim.LBFGS(tolerance_change=0).minimise(lambda m: loss(m(x), 3 * x + 1), model)
    >>> found.reason, found.E < 1e-12, round(model.W.item(), 6), round(model.b.item(), 6)
    ('gradient', True, 3.0, 1.0)
    """

    def __init__(
        self,
        learning_rate: Rate = 1.0,
        history: int = 10,
        tolerance_gradient: float = 1e-7,
        tolerance_change: float = 1e-9,
        decrease: float = 1e-4,
        curvature: float = 0.9,
    ) -> None:
        self.history = integer(self, "history", history)
        self.tolerance_gradient = number(self, "tolerance_gradient", tolerance_gradient, 0)
        self.tolerance_change = number(self, "tolerance_change", tolerance_change, 0)
        self.curvature = number(self, "curvature", curvature, 0, 1, open_low=True)
        self.decrease = number(self, "decrease", decrease, 0, self.curvature, open_low=True)
        self._pairs: dict[str, Cell] = {}
        self._compiled: tuple[Any, Callable[..., Any]] | None = None
        self._evaluations = 0
        super().__init__(learning_rate)

    def cells(self) -> dict[str, Cell]:
        """Return learning rate, count, and the history: ``pairs`` kept so far, ``s`` and ``y`` (history × parameters)."""
        return {**super().cells(), **self._pairs}

    def init(self, model: Any) -> None:
        initialised = bool(self._parameters)
        super().init(model)
        if initialised:
            frozen = [path for path, cell in self._parameters.items() if not cell.trainable]
            if frozen:
                raise StateError(
                    f"LBFGS: {', '.join(frozen)} was frozen after it had begun, with steps in its history: make a new one"
                )
            return
        size = sum(cell.array.size for cell in self._parameters.values())
        self._pairs = {
            "pairs": Cell(Array(np.zeros((), np.int64)), "LBFGS.pairs"),
            "s": Cell(Array(np.zeros((self.history, size))), "LBFGS.s"),
            "y": Cell(Array(np.zeros((self.history, size))), "LBFGS.y"),
        }

    def step(self, f: Callable[[Any], Any], model: Any) -> float:
        """Make one step to a lower ``E = f(model)``; return E after it (unchanged at a minimum).

        - ``f``, ``model``: as in `minimise`.
        """
        return self.minimise(f, model, 1).E

    def minimise(self, f: Callable[[Any], Any], model: Any, steps: int = 100) -> Minimum:
        """Make steps until no entry of the gradient exceeds ``tolerance_gradient``, or E or w changes by less than
        ``tolerance_change``, but at most ``steps``.

        Raises `NonFiniteError` where E or its gradient is not finite at the start. If it is interrupted, the parameters
        are as after the last complete step.

        - ``f``: a function of the model that returns a scalar. It is compiled if it can be.
        - ``model``: a module, or another object with cells; always the same.
        - ``steps``: the most steps to make, ≥ 1.
        """
        steps = integer("LBFGS.minimise", "steps", steps)
        if current() is not EVALUATE:
            raise StateError(f"LBFGS: looks at numbers and cannot run inside {current().name}")
        self.init(model)
        self._evaluations = 0
        w = self._parameter_vector()
        try:
            E, g = self._evaluate(f, model)
            if not (isfinite(E) and np.isfinite(g).all()):
                raise NonFiniteError(f"LBFGS: E = {E:g} or its gradient is not finite at the start")
            reason, made = ("gradient" if self._flat(g) else ""), 0
            while not reason and made < steps:
                d = -self._times_inverse_hessian(g)
                slope = float(g @ d)
                if slope > -self.tolerance_change:
                    reason = "change"
                    break
                rate = EVALUATE.read(self._rate).item()
                first = rate * min(1.0, 1 / np.abs(g).sum()) if int(self.count) == 0 else rate
                line = _Line(self, f, model, w, d)
                point = strong_wolfe(
                    line,
                    Point(0.0, E, slope, g),
                    float(first),
                    decrease=self.decrease,
                    curvature=self.curvature,
                    resolution=self.tolerance_change / float(np.abs(d).max()),
                )
                w = w + point.t * d
                self._set_parameters(w)
                self._keep(point.t * d, point.gradient - g)
                change, E, g = abs(point.E - E), point.E, point.gradient
                made += 1
                self.advance()
                if self._flat(g):
                    reason = "gradient"
                elif float(np.abs(point.t * d).max()) <= self.tolerance_change or change < self.tolerance_change:
                    reason = "change"
        except BaseException:
            self._set_parameters(w)
            raise
        return Minimum(E, float(np.abs(g).max()), made, self._evaluations, reason or "steps")

    def _flat(self, g: NDArray[Any]) -> bool:
        return bool(np.abs(g).max() <= self.tolerance_gradient)

    def _times_inverse_hessian(self, g: NDArray[Any]) -> NDArray[Any]:
        """H g by the two-loop recursion; the newest pair is the last."""
        count = int(self._pairs["pairs"].read())
        s, y = (np.asarray(self._pairs[name].read())[self.history - count :] for name in ("s", "y"))
        if not count:
            return g
        rho = 1 / np.einsum("ij,ij->i", s, y)
        alpha = np.zeros(count)
        q = g.copy()
        for i in range(count - 1, -1, -1):
            alpha[i] = rho[i] * (s[i] @ q)
            q -= alpha[i] * y[i]
        q *= (s[-1] @ y[-1]) / (y[-1] @ y[-1])
        for i in range(count):
            q += (alpha[i] - rho[i] * (y[i] @ q)) * s[i]
        return q

    def _keep(self, s: NDArray[Any], y: NDArray[Any]) -> None:
        """Add a pair and drop the oldest, unless s·y ≤ 10⁻¹⁰: there E does not curve upwards."""
        if not s @ y > 1e-10:
            return
        for name, row in (("s", s), ("y", y)):
            cell = self._pairs[name]
            cell.write(Array(np.vstack([np.asarray(cell.read())[1:], row])))
        pairs = self._pairs["pairs"]
        pairs.write(asarray(np.int64(min(int(pairs.read()) + 1, self.history))))

    def _parameter_vector(self) -> NDArray[Any]:
        return np.concatenate([np.asarray(cell.read(), np.float64).ravel() for cell in self._parameters.values()])

    def _set_parameters(self, w: NDArray[Any]) -> None:
        start = 0
        for cell in self._parameters.values():
            spec = cell.array.spec
            size = cell.array.size
            cell.write(Array(w[start : start + size].reshape(spec.shape).astype(spec.dtype)))
            start += size

    def _evaluate(self, f: Callable[[Any], Any], model: Any) -> tuple[float, NDArray[Any]]:
        """Return E and its gradient where the parameters are."""
        if self._compiled is None or self._compiled[0] is not f:
            self._compiled = f, compile(value_and_grad(f))
        self._evaluations += 1
        try:
            E, gradients = self._compiled[1](model)
        except (CompileError, TracedValueError):  # no native code: op by op
            self._compiled = f, value_and_grad(f)
            E, gradients = self._compiled[1](model)
        return float(E), np.concatenate([np.asarray(gradients[p], np.float64).ravel() for p in self._parameters])

    def update(self, model: Any, gradients: Mapping[str, Any]) -> None:
        """Raise `ArgumentError`: a line search needs the function, not one gradient."""
        raise ArgumentError("LBFGS.update: a line search needs E at several points: call optimizer.minimise(f, model)")

    def rule(self, w: Any, g: Any, slots: Any, scalars: Any) -> Any:
        """There is none for a single parameter."""
        self.update(None, {})

    def settings(self) -> dict[str, Any]:
        return {
            **super().settings(),
            "history": self.history,
            "tolerance_gradient": self.tolerance_gradient,
            "tolerance_change": self.tolerance_change,
            "decrease": self.decrease,
            "curvature": self.curvature,
        }


class _Line:
    """E along the line w + t d."""

    def __init__(self, owner: LBFGS, f: Any, model: Any, w: NDArray[Any], d: NDArray[Any]) -> None:
        self.owner, self.f, self.model, self.w, self.d = owner, f, model, w, d

    def __call__(self, t: float) -> Point:
        self.owner._set_parameters(self.w + t * self.d)
        E, g = self.owner._evaluate(self.f, self.model)
        return Point(t, E, float(g @ self.d), g)
