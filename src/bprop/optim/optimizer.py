"""`Optimizer`: what every update rule shares, its cells and the pairing of gradients with parameters."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError, StateError
from ..core.interpreter import EVALUATE, Cell
from ..core.tree import is_holder
from ..core.value import Array, asarray
from ..ops import astype


class Optimizer(ABC):
    """Base class of update rules. A subclass names its ``slots`` and writes `rule`.

    The learning rate, the count of steps and the slots (one array per parameter and name) are cells: a compiled step
    carries them, so that ``optimizer.learning_rate = …`` needs no new compilation. Slots are made on the first `update`, or
    by `init` before it. An optimizer belongs to the first model it meets.
    """

    slots: tuple[str, ...] = ()
    """Names of the arrays kept per parameter."""

    def __init__(self, learning_rate: float) -> None:
        self._rate = Cell(asarray(np.float64(0)), f"{type(self).__name__}.learning_rate")
        self._count = Cell(asarray(np.int64(0)), f"{type(self).__name__}.count")
        self._parameters: dict[str, Cell] = {}
        self._slots: dict[str, dict[str, Cell]] = {}
        self.learning_rate = learning_rate

    @property
    def learning_rate(self) -> Array:
        """The learning rate, a float64 scalar; set it to a number at any time. `ArgumentError` unless positive and finite."""
        return self._rate.read()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        rate = asarray(value)
        if rate.shape != () or rate.dtype.kind not in "fiu":
            raise ArgumentError(f"{type(self).__name__}: the learning rate is one number, not {value!r:.60}")
        known = rate.concrete()  # a schedule may also set it inside a compiled step, where it is not known
        if known is not None and not (isfinite(known) and known > 0):
            raise ArgumentError(f"{type(self).__name__}: the learning rate is positive and finite, not {known}")
        self._rate.write(astype(rate, np.float64))

    @property
    def count(self) -> Array:
        """The number of updates made, an int64 scalar."""
        return self._count.read()

    def cells(self) -> dict[str, Cell]:
        """Return learning rate, count and slots by path, such as ``layers.0.W.velocity``."""
        cells = {"learning_rate": self._rate, "count": self._count}
        for path, slots in self._slots.items():
            cells.update({f"{path}.{name}": cell for name, cell in slots.items()})
        return cells

    def init(self, model: Any) -> None:
        """Make the slots for ``model``, zeros in the shape and dtype of each parameter; a second call changes nothing.

        Raises `StateError` if the optimizer has served another model.
        """
        if not is_holder(model):
            raise ArgumentError(f"{type(self).__name__}: the model is a module, not {model!r:.60}")
        parameters = {path: cell for path, cell in model.cells().items() if cell.trainable}
        if self._parameters:
            same = parameters.keys() == self._parameters.keys()
            if not same or any(self._parameters[path] is not cell for path, cell in parameters.items()):
                raise StateError(
                    f"{type(self).__name__}: this optimizer belongs to another model, whose parameters it keeps "
                    f"{' and '.join(self.slots) or 'a count'} for: make one for each model"
                )
            return
        if not parameters:
            raise ArgumentError(f"{type(self).__name__}: {type(model).__name__} has no trainable parameters")
        for path, cell in parameters.items():
            spec = cell.read().spec
            # Made of NumPy's zeros, so that they are numbers even when this runs while a step is being traced.
            self._slots[path] = {
                name: Cell(Array(np.zeros(spec.shape, spec.dtype)), f"{path}.{name}") for name in self.slots
            }
        self._parameters = parameters

    def update(self, model: Any, gradients: Mapping[str, Any]) -> None:
        """Change the parameters of ``model`` by one step against ``gradients`` (path → array).

        Take them from `bprop.value_and_grad` or ``model.gradients()``. Every parameter keeps its dtype, to which its
        gradient is converted. Raises `ArgumentError` naming paths that are missing or unknown, `ShapeError` naming one
        whose gradient has another shape than the parameter.
        """
        if not isinstance(gradients, Mapping):
            raise ArgumentError(
                f"{type(self).__name__}.update: gradients map paths to arrays, not {type(gradients).__name__}; "
                f"bprop.value_and_grad(f)(model) returns (E, gradients)"
            )
        self.init(model)
        missing = [path for path in self._parameters if gradients.get(path) is None]
        unknown = [path for path in gradients if path not in self._parameters]
        if missing or unknown:
            parts = [f"no gradient for {', '.join(missing)}"] if missing else []
            parts += [
                f"gradients for {', '.join(map(str, unknown))}, which {type(model).__name__} does not have"
            ] * bool(unknown)
            raise ArgumentError(f"{type(self).__name__}.update: {'; '.join(parts)}")
        pairs = []
        for path, cell in self._parameters.items():
            w, g = cell.read(), asarray(gradients[path])
            if g.shape != w.shape:
                raise ShapeError(
                    f"{type(self).__name__}.update: the gradient of {path} has shape {g.shape}, {path} has shape {w.shape}"
                )
            pairs.append((path, cell, w, g if g.dtype == w.dtype else astype(g, w.dtype)))
        self._count.write(self.count + 1)
        scalars = self.scalars()
        for path, cell, w, g in pairs:
            slots = self._slots[path]
            own = {name: astype(value, w.dtype) for name, value in scalars.items()}
            new, kept = self.rule(w, g, {name: slot.read() for name, slot in slots.items()}, own)
            cell.write(new)
            for name, slot in slots.items():
                slot.write(kept[name])

    def scalars(self) -> dict[str, Array]:
        """Return the numbers of this step that `rule` uses, in float64; `update` converts them to each parameter's dtype."""
        return {"learning_rate": self.learning_rate}

    @abstractmethod
    def rule(
        self, w: Array, g: Array, slots: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Return the new parameter and the new slots. Subclasses write the formula here."""

    def settings(self) -> dict[str, Any]:
        """Return the settings as plain values, for the record of a run."""
        return {"name": type(self).__name__, "learning_rate": EVALUATE.read(self._rate).item()}

    def __repr__(self) -> str:
        values = {**self.settings(), "learning_rate": f"{self._rate.array.item():g}"}
        values.pop("name")
        text = ", ".join(f"{name}={value}" for name, value in values.items())
        return f"{type(self).__name__}({text}, count={self._count.array.item()})"
