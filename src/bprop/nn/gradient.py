"""The gradients of parameters that `Module.bprop` leaves in the modules: ``module.W_bar``, and all of them by path."""

from typing import Any

from ..core.cell import Cell
from ..core.error import ShapeError, StateError
from ..core.value import Array
from .frame import ACTIVE
from .path import Paths


class Gradients(Paths):
    """The part of `Module` that keeps ``W_bar`` for every parameter W."""

    _label: Any

    def _set_bar(self, name: str, bar: Array) -> None:
        expected = self.__dict__["_cells"][name].read().shape
        if bar.shape != expected:
            raise ShapeError(f"{self._label}.{name}_bar has shape {bar.shape}, {name} has shape {expected}")
        for module, frame in reversed(ACTIVE.get()):
            if module is self:
                frame.bars[name] = bar  # as with any attribute the last write counts, so that += adds once
                return
        self._store(name, bar, None)

    def _store(self, name: str, bar: Array, sweep: object) -> None:
        """Set a gradient, or add to it if the module was applied several times in the same sweep."""
        bars: dict[str, tuple[Array, object]] = self.__dict__.setdefault("_bars", {})
        known = bars.get(name)
        same = known is not None and sweep is not None and known[1] is sweep
        bars[name] = (known[0] + bar if same and known is not None else bar, sweep)

    def _deposit(self, cell: Cell, bar: Array, sweep: object) -> None:
        """Leave a gradient under the first name of a parameter; what an earlier sweep left under others is gone."""
        first = True
        for _, module in self.modules():
            for name, own in module.__dict__.get("_cells", {}).items():
                if own is cell and first:
                    module._store(name, bar, sweep)
                    first = False
                elif own is cell and module.__dict__.get("_bars", {}).get(name, (None, sweep))[1] is not sweep:
                    del module.__dict__["_bars"][name]

    def _bar(self, name: str) -> Array:
        frame = next((frame for module, frame in reversed(ACTIVE.get()) if module is self), None)
        if frame is not None and name in frame.bars:
            found: Array = frame.bars[name]
            return found
        known: tuple[Array, object] | None = self.__dict__.get("_bars", {}).get(name)
        if known is None:
            raise StateError(f"{self._label}.{name}_bar: no bprop has left a gradient yet")
        return known[0]

    def gradients(self) -> dict[str, Array]:
        """Return the parameter gradients that the last `bprop` left, by path; a shared parameter's are summed.

        Raises `StateError` before the first `bprop`.
        """
        sums: dict[int, Array] = {}
        for _, module in self.modules():
            for name, cell in module.__dict__.get("_cells", {}).items():
                # a parameter with two names: a derived bprop leaves its gradient under the first
                if cell.trainable and (id(cell) not in sums or name in module.__dict__.get("_bars", {})):
                    bar = module._bar(name)
                    sums[id(cell)] = sums[id(cell)] + bar if id(cell) in sums else bar
        return {path: sums[id(cell)] for path, cell in self.cells().items() if cell.trainable}


__all__ = ["Gradients"]
