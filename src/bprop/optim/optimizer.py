"""`Optimizer`: the base class of update rules, with their cells and the matching of gradients to parameters."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Self, TypedDict

import numpy as np

from ..core.cell import Cell
from ..core.error import LIBRARY_LOOPS, ArgumentError, DTypeError, ShapeError, StateError
from ..core.interpreter import EVALUATE
from ..core.number import label, number
from ..core.tree import is_holder
from ..core.value import Array, asarray
from ..ops import astype
from .clip import clip_norm, clip_value
from .schedule import Schedule
from .setting import check_patterns, setting_for

Rate = float | Schedule


class Options(TypedDict, total=False):
    """What every optimizer takes by keyword, see `Optimizer`."""

    weight_decay: float | Mapping[str, float]
    factors: Mapping[str, float] | None
    clip_norm: float | None
    clip_value: float | None


class Optimizer(ABC):
    """Base class of update rules. A subclass names its ``slots`` and writes `rule`.

    The learning rate, the count of steps and the slots (one array per parameter and name) are cells: a compiled step
    carries them, so that ``optimizer.learning_rate = …`` needs no new compilation. Slots are made by the first
    `update`, or by `init` before it. An optimizer belongs to the first model that it updates. Parameters that are
    frozen later are not changed, and neither are their slots, until they are unfrozen.

    - ``learning_rate``: η > 0, a number or a `bprop.optim.schedule`.
    - ``weight_decay``: λ ≥ 0. The gradient becomes g + λ w; where the decay is decoupled (`AdamW`, `Lion`) w becomes
      (1 - η λ) w before the step. Or a mapping from patterns of paths to numbers: of ``{"*.b": 0, "*": 1e-4}`` the first
      that matches a parameter's path is used, and parameters that none matches have 0.
    - ``factors``: a mapping from patterns of paths to numbers by which the learning rate is multiplied there.
    - ``clip_norm``, ``clip_value``: the bounds with which `bprop.optim.clip_norm` and `bprop.optim.clip_value` change
      the gradients, before weight decay; ``clip_value`` first. ``gradient_norm`` is the norm before ``clip_norm``.
    """

    slots: tuple[str, ...] = ()
    """Names of the arrays kept per parameter."""

    decoupled: bool = False
    """Whether weight decay shrinks the parameter itself instead of adding to its gradient."""

    takes_complex: bool = False
    """Whether the rule holds for complex parameters, whose gradient is ∂f/∂Re w + i ∂f/∂Im w."""

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Refuse a model or its parameters in place of the learning rate, before any setting is checked."""
        for argument in (*args[:1], options.get("params"), options.get("model")):
            is_list = isinstance(argument, list | tuple) and not all(isinstance(x, int | float) for x in argument)
            if is_list or isinstance(argument, Mapping | Iterator) or is_holder(argument):
                raise ArgumentError(
                    f"{cls.__name__}: the first argument is the learning rate, {cls.__name__}(learning_rate=1e-3), and not "
                    f"{type(argument).__name__}: parameters are given with their gradients, optimizer.update(model, gradients)"
                )
        return super().__new__(cls)

    def __init__(
        self,
        learning_rate: Rate,
        *,
        weight_decay: float | Mapping[str, float] = 0.0,
        factors: Mapping[str, float] | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            advice = ": the learning rate is learning_rate, or the first argument" if "lr" in unknown else ""
            raise ArgumentError(f"{type(self).__name__} has no setting {', '.join(unknown)}{advice}")
        self._rate = Cell(asarray(np.float64(0)), f"{type(self).__name__}.learning_rate")
        self._count = Cell(asarray(np.int64(0)), f"{type(self).__name__}.count")
        self._norm = Cell(asarray(np.float64(0)), f"{type(self).__name__}.gradient_norm")
        self._parameters: dict[str, Cell] = {}
        self._slots: dict[str, dict[str, Cell]] = {}
        self.schedule: Schedule | None = None
        self.weight_decay = self._per_path("weight_decay", weight_decay)
        self.factors = self._per_path("factors", {} if factors is None else factors)
        if not isinstance(self.factors, dict):
            raise ArgumentError(f"{type(self).__name__}: factors map patterns of paths to numbers, not {factors!r:.60}")
        self.clip_norm = None if clip_norm is None else number(self, "clip_norm", clip_norm, 0, open_low=True)
        self.clip_value = None if clip_value is None else number(self, "clip_value", clip_value, 0, open_low=True)
        self.learning_rate = learning_rate

    def _per_path(self, name: str, setting: Any) -> float | dict[str, float]:
        if not isinstance(setting, Mapping):
            return number(self, name, setting, 0)
        return {str(pattern): number(self, f"{name} of {pattern!r}", value, 0) for pattern, value in setting.items()}

    @property
    def learning_rate(self) -> Array:
        """The learning rate of the next update, a float64 scalar; set it to a number or a schedule at any time.

        A number ends the schedule. `ArgumentError` unless it is positive and finite.
        """
        return self._rate.read()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, Schedule):
            self.schedule = value
            self._rate.write(value(self.count))
            return
        if isinstance(value, type) and issubclass(value, Schedule):
            raise ArgumentError(f"{label(self)}: {value.__name__} is a class: write schedule.{value.__name__}(…)")
        if not isinstance(value, int | float | np.number | np.ndarray | Array):
            raise ArgumentError(f"{label(self)}: the learning rate is one number or a schedule, not {value!r:.60}")
        rate = asarray(value)
        if rate.shape != () or rate.dtype.kind not in "fiu":
            raise ArgumentError(f"{label(self)}: the learning rate is one number, not {value!r:.60}")
        concrete = rate.concrete()  # None inside a compiled step, where the rate has no number yet
        if concrete is not None and not (isfinite(concrete) and concrete > 0):
            raise ArgumentError(f"{label(self)}: the learning rate is positive and finite, not {concrete}")
        self.schedule = None
        self._rate.write(astype(rate, np.float64))

    @property
    def count(self) -> Array:
        """The number of updates made, an int64 scalar."""
        return self._count.read()

    @property
    def gradient_norm(self) -> Array:
        """The global norm of the last gradients before ``clip_norm``, a float64 scalar; 0 before the first update.

        `StateError` without ``clip_norm``.
        """
        if self.clip_norm is None:
            raise StateError(
                f"{label(self)}.gradient_norm: only known with clip_norm; bprop.optim.global_norm computes it"
            )
        return self._norm.read()

    def cells(self) -> dict[str, Cell]:
        """Return learning rate, count and slots by path, such as ``layers.0.W.velocity``; what a resumed run needs.

        The order is fixed: learning_rate, count, gradient_norm (with ``clip_norm``), then the slots of each parameter.
        """
        cells = {"learning_rate": self._rate, "count": self._count}
        if self.clip_norm is not None:
            cells["gradient_norm"] = self._norm
        for path, slots in self._slots.items():
            cells.update({f"{path}.{name}": cell for name, cell in slots.items()})
        return cells

    def init(self, model: Any) -> None:
        """Make the slots for ``model``, in the shape and dtype of each parameter; a second call changes nothing.

        Raises `StateError` if the optimizer has updated another model, `DTypeError` for complex parameters (`SGD` takes them).

        - ``model``: a module, or another object with cells.
        """
        if not is_holder(model):
            raise ArgumentError(f"{type(self).__name__}: the model is a module, not {model!r:.60}")
        parameters = {path: cell for path, cell in model.cells().items() if cell.trainable}
        if self._parameters:
            cells = model.cells()
            if any(cells.get(path) is not cell for path, cell in self._parameters.items()):
                raise StateError(
                    f"{type(self).__name__}: this optimizer belongs to another model, whose parameters it keeps "
                    f"{' and '.join(self.slots) or 'a count'} for: make one for each model"
                )
            new = [path for path in parameters if path not in self._parameters]
            if new:
                raise StateError(
                    f"{type(self).__name__}: {', '.join(new)} became trainable after this optimizer had begun: make a new "
                    f"one, or freeze after its first update or `init`"
                )
            return
        if not parameters:
            raise ArgumentError(f"{type(self).__name__}: {type(model).__name__} has no trainable parameters")
        self.check_paths(list(parameters))
        for path, cell in parameters.items():
            spec = cell.read().spec
            if spec.dtype.kind == "c" and not self.takes_complex:
                raise DTypeError(
                    f"{type(self).__name__}: {path} is complex ({spec.dtype}), and the update rule is of real numbers: use SGD, "
                    f"or make it of two real parameters"
                )
            # Made by NumPy, so that they are numbers even when this runs while a step is being traced.
            self._slots[path] = {
                name: Cell(Array(np.full(spec.shape, self.initial(name), spec.dtype)), f"{path}.{name}")
                for name in self.slots
            }
        self._parameters = parameters

    def check_paths(self, paths: list[str]) -> None:
        """Raise `ArgumentError` for settings whose patterns fit none of ``paths``."""
        check_patterns(self, "weight_decay", self.weight_decay, paths)
        check_patterns(self, "factors", self.factors, paths)

    def initial(self, name: str) -> float:
        """Return the number with which slot ``name`` begins."""
        return 0.0

    def update(self, model: Any, gradients: Mapping[str, Any]) -> None:
        """Change the parameters of ``model`` by one step against ``gradients``.

        Raises `ArgumentError` naming paths that are missing or unknown, `ShapeError` naming a path whose gradient has
        another shape than the parameter.

        - ``model``: a module, or another object with cells; always the same.
        - ``gradients``: an array for every trainable parameter by path, of the parameter's shape. It is converted to
          the parameter's dtype. Take them from `bprop.value_and_grad` or ``model.gradients()``.
        """
        if not isinstance(gradients, Mapping):
            raise ArgumentError(
                f"{type(self).__name__}.update: gradients map paths to arrays, not {type(gradients).__name__}; "
                f"bprop.value_and_grad(f)(model) returns (E, gradients)"
            )
        self.init(model)
        parameters = {path: cell for path, cell in self._parameters.items() if cell.trainable}
        missing = [path for path in parameters if gradients.get(path) is None]
        unknown = [path for path in gradients if path not in parameters]
        if missing or unknown:
            faults = [f"no gradient for {', '.join(missing)}"] if missing else []
            faults += [
                f"gradients for {', '.join(map(str, unknown))}, which {type(model).__name__} does not have or has frozen"
            ] * bool(unknown)
            raise ArgumentError(f"{type(self).__name__}.update: {'; '.join(faults)}")
        pairs = []
        for path, cell in parameters.items():
            w, g = cell.read(), asarray(gradients[path])
            if g.shape != w.shape:
                raise ShapeError(
                    f"{type(self).__name__}.update: the gradient of {path} has shape {g.shape}, {path} has shape {w.shape}"
                )
            pairs.append((path, cell, w, g if g.dtype == w.dtype else astype(g, w.dtype)))
        gradients = {path: g for path, _, _, g in pairs}
        if self.clip_value is not None:
            gradients = clip_value(gradients, self.clip_value)
        if self.clip_norm is not None:
            gradients, norm = clip_norm(gradients, self.clip_norm)
            self._norm.write(norm)
        by_factor: dict[float, dict[str, Array]] = {}
        for path, cell, w, _ in pairs:
            factor = setting_for(self.factors, path, 1.0)
            if factor not in by_factor:
                rate = self.learning_rate if factor == 1 else self.learning_rate * factor
                by_factor[factor] = {"learning_rate": rate, **self.scalars(rate)}
            scalars = {name: astype(value, w.dtype) for name, value in by_factor[factor].items()}
            cells = self._slots[path]
            slots = {name: slot.read() for name, slot in cells.items()}
            new, new_slots = self.apply(path, w, gradients[path], slots, scalars)
            cell.write(new)
            for name, slot in cells.items():
                slot.write(new_slots[name])
        self.advance()

    def advance(self) -> None:
        """Count an update, and set the learning rate of the next by the schedule."""
        self._count.write(self.count + 1)
        if self.schedule is not None:
            self._rate.write(self.schedule(self.count))

    def apply(
        self, path: str, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the new parameter at ``path`` and its new slots: weight decay, then `rule`.

        - ``path``: the path of the parameter. ``w``, ``g``: the parameter and its gradient, of one shape and dtype.
        - ``slots``: arrays of that shape and dtype by name.
        - ``scalars``: the numbers of this step by name, in that dtype; ``learning_rate`` is among them.
        """
        decay = setting_for(self.weight_decay, path, 0.0)
        if decay and self.decoupled:
            w = w - (decay * scalars["learning_rate"]) * w
        elif decay:
            g = g + decay * w
        return self.rule(w, g, slots, scalars)

    def scalars(self, learning_rate: Array) -> dict[str, Array]:
        """Return further numbers of this step that `rule` uses, in float64; `update` converts them to each dtype.

        ``count`` is the number of updates before this one.

        - ``learning_rate``: η of this step, a float64 scalar.
        """
        return {}

    @abstractmethod
    def rule(
        self, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the new parameter and the new slots. Subclasses write the formula here.

        - ``w``, ``g``: the parameter and its gradient, of one shape and dtype.
        - ``slots``: arrays of that shape and dtype by name, those of ``self.slots``.
        - ``scalars``: ``learning_rate`` and what `scalars` returns, in that dtype.
        """

    def settings(self) -> dict[str, Any]:
        """Return the settings as plain values, for the record of a run; of the options only those in use."""
        settings = {"name": type(self).__name__, "learning_rate": EVALUATE.read(self._rate).item()}
        if self.schedule is not None:
            settings["schedule"] = repr(self.schedule)
        options = {
            "weight_decay": self.weight_decay or None,
            "factors": self.factors or None,
            "clip_norm": self.clip_norm,
            "clip_value": self.clip_value,
        }
        return {**settings, **{name: value for name, value in options.items() if value is not None}}

    def __repr__(self) -> str:
        values = {**self.settings(), "learning_rate": f"{self._rate.array.item():g}"}
        values.pop("name")
        text = ", ".join(f"{name}={value}" for name, value in values.items())
        return f"{type(self).__name__}({text}, count={self._count.array.item()})"


LIBRARY_LOOPS.add(Optimizer.update.__code__)
