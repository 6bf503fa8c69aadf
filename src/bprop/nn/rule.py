"""A handwritten ``bprop`` under transforms: formula and rule become one region with a derivative of its own."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.cell import Cell
from ..core.error import ArgumentError, ShapeError
from ..core.interpreter import StateScope, current, using
from ..core.value import asarray
from ..gradients.reverse import Record, backward
from ..region.custom import arrays_for_rule, custom_op
from .cotangent import has_derivative, padded, refuse_complex
from .frame import Frame, active
from .module_state import ModuleState


def apply_rule(module: ModuleState, formula: Callable[..., Any], rule: Any, inputs: tuple[Any, ...]) -> Any:
    """Apply ``formula`` as one region whose derivative is ``rule``, both methods of the module."""
    return _Application(module, formula, rule, inputs).run()


class _Application:
    """One application of a module with a handwritten rule, as functions of flat lists of arrays for `custom`.

    The operands of the region are ``[arrays among the inputs, trainable cells of the module, other cells]``, its
    results ``[y, saved intermediates, cells written]``. How many results there are is known once the formula has run:
    `forward` notes the names of the intermediates and the cells written, by which `vjp` splits the results.
    """

    def __init__(self, module: ModuleState, formula: Callable[..., Any], rule: Any, inputs: tuple[Any, ...]) -> None:
        self.module, self.formula, self.rule, self.inputs = module, formula, rule, inputs
        # None, names and flags are no arrays: they go around the region, everything else through it.
        self.positions = [i for i, x in enumerate(inputs) if x is not None and not isinstance(x, bool | str)]
        self.parameters = {name: c for name, c in module.__dict__.get("_cells", {}).items() if c.trainable}
        self.cells = [*self.parameters.values(), *_states(module, self.parameters)]
        self.saved_names: list[str] = []
        self.written: list[Cell] = []

    def run(self) -> Any:
        """Return y, and write the cells that the formula writes."""
        operands = (*(asarray(self.inputs[i]) for i in self.positions), *(cell.read() for cell in self.cells))
        params = {"name": self.module._label, "f": self.forward, "vjp": self.vjp, "jvp": None}
        outputs = current().bind(custom_op, operands, params)
        refuse_complex(f"{self.module._label}.bprop", (*operands, outputs[0]))
        for cell, value in zip(self.written, outputs[1 + len(self.saved_names) :], strict=True):
            cell.write(value)
        return outputs[0]

    def forward(self, *operands: Any) -> list[Any]:
        """Return the results for the operands."""
        frame, cells = self._frame(operands)
        scope = StateScope(cells)
        with using(scope), active(self.module, frame):
            y = asarray(self.formula(self.module, *frame.inputs))
        self.saved_names, self.written = list(frame.saved), list(scope.written)
        return [y, *frame.saved.values(), *(scope.cells[cell] for cell in self.written)]

    def vjp(self, result_bars: Sequence[Any], results: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
        """Return the cotangents of the operands, ``None`` for those without."""
        frame, cells = self._frame(operands)
        frame.y, *others = results
        count = len(self.saved_names)
        frame.saved = dict(zip(self.saved_names, others[:count], strict=True))
        cells.update(zip(self.written, others[count:], strict=True))  # as outside of transforms: after fprop
        (y_bar,) = arrays_for_rule(result_bars[:1], results[:1])
        with using(StateScope(cells)), active(self.module, frame):
            x_bar = self.rule(self.module, y_bar)
        check_cotangents(self.module, frame.inputs, x_bar, frame.bars)
        x_bars = padded(x_bar, len(self.inputs))
        without = len(self.cells) - len(self.parameters)
        bars = [
            *(x_bars[i] for i in self.positions),
            *(frame.bars[name] for name in self.parameters),
            *(None for _ in range(without)),
        ]
        saved_bars = result_bars[1 : 1 + count]
        if all(bar is None for bar in saved_bars):
            return bars
        return [_sum(*pair) for pair in zip(bars, self._through_saved(saved_bars, operands), strict=True)]

    def _through_saved(self, saved_bars: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
        """Return the cotangents of the operands for those of the saved intermediates, which are functions of them too.

        They have some where the rule, which reads them, is itself differentiated. It says nothing about them, so that
        this derivative is that of the formula.
        """
        record = Record(name=f"{self.module._label}, what fprop keeps")
        lifted = [record.input(x) if has_derivative(x) else x for x in operands]
        with using(record):
            saved = self.forward(*lifted)[1 : 1 + len(saved_bars)]
        bars = iter(backward(saved, saved_bars, [x for x in lifted if has_derivative(x)], record))
        return [next(bars) if has_derivative(x) else None for x in lifted]

    def _frame(self, operands: Sequence[Any]) -> tuple[Frame, dict[Cell, Any]]:
        """Return a frame with the inputs of ``fprop``, and the values of the cells."""
        count = len(self.positions)
        inputs = list(self.inputs)
        for position, x in zip(self.positions, operands[:count], strict=True):
            inputs[position] = x
        return Frame(tuple(inputs)), dict(zip(self.cells, operands[count:], strict=True))


def _sum(first: Any, second: Any) -> Any:
    """Return the sum of two cotangents, of which either may be missing."""
    return second if first is None else first if second is None else first + second


def _states(module: ModuleState, parameters: dict[str, Cell]) -> list[Cell]:
    """Return the cells that are not trained; refuse parameters of children, for which the rule has no gradient."""
    states = []
    for path, cell in module.cells().items():
        if not cell.trainable:
            states.append(cell)
        elif cell not in parameters.values():
            raise ArgumentError(
                f"{module._label} has a handwritten bprop, which under a transform cannot leave a gradient for {path}, "
                f"a parameter of a module inside: write composes = True in the class if that bprop only calls theirs, "
                f"or leave bprop out, and it is derived"
            )
    return states


def check_cotangents(module: ModuleState, inputs: Sequence[Any], x_bar: Any, bars: dict[str, Any]) -> None:
    """Refuse what a handwritten rule forgot: what is missing here would silently be no gradient at all."""
    x_bars = x_bar if isinstance(x_bar, tuple) else (x_bar,)
    if all(bar is None for bar in x_bars) and any(has_derivative(x) for x in inputs):
        raise ArgumentError(f"{module._label}.bprop returned None: it returns x_bar, the derivative dE/dx")
    for bar, x in zip(x_bars, inputs, strict=False):
        if bar is not None and has_derivative(x) and np.shape(bar) != np.shape(x):
            raise ShapeError(
                f"{module._label}.bprop returned x_bar of shape {np.shape(bar)}, x has shape {np.shape(x)}"
            )
    for name, cell in module.__dict__.get("_cells", {}).items():
        if cell.trainable and name not in bars:
            raise ArgumentError(f"{module._label}.bprop left no {name}_bar, the derivative dE/d{name}")


__all__ = ["apply_rule", "check_cotangents"]
