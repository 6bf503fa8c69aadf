"""A handwritten ``bprop`` under transforms: formula and rule become one region with a derivative of its own."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.cell import Cell
from ..core.error import ArgumentError, ShapeError
from ..core.interpreter import StateScope, current, using
from ..core.tree import Structure, merge, unflatten
from ..core.value import asarray
from ..gradients.reverse import Record, backward
from ..region.cotangent import zeros_of
from ..region.custom import custom_op
from .cotangent import has_derivative, padded, refuse_complex, split, split_inputs, spread_bars
from .frame import Frame, active
from .module_state import ModuleState


def apply_rule(module: ModuleState, formula: Callable[..., Any], rule: Any, inputs: tuple[Any, ...]) -> Any:
    """Apply ``formula`` as one region whose derivative is ``rule``, both methods of the module."""
    return _Application(module, formula, rule, inputs).run()


class _Application:
    """One application of a module with a handwritten rule, as functions of flat lists of arrays for `custom`.

    The operands of the region are ``[arrays among the inputs, trainable cells of the module, other cells]``, its
    results ``[arrays of y, saved intermediates, cells written]``. How many results there are is known once the formula
    has run: `forward` notes the form of y, the names of the intermediates and the cells written, by which `vjp` splits
    the results.
    """

    def __init__(self, module: ModuleState, formula: Callable[..., Any], rule: Any, inputs: tuple[Any, ...]) -> None:
        self.module, self.formula, self.rule = module, formula, rule
        self.leaves, self.input_form = split_inputs(inputs)
        # None, names and flags are no arrays: they go around the region, everything else through it.
        self.positions = [i for i, x in enumerate(self.leaves) if x is not None and not isinstance(x, bool | str)]
        self.parameters = {name: c for name, c in module.__dict__.get("_cells", {}).items() if c.trainable}
        self.cells = [*self.parameters.values(), *_states(module, self.parameters)]
        self.result_form: Structure
        self.saved_names: list[str] = []
        self.written: list[Cell] = []

    def run(self) -> Any:
        """Return y, and write the cells that the formula writes."""
        operands = (*(asarray(self.leaves[i]) for i in self.positions), *(cell.read() for cell in self.cells))
        params = {"name": self.module._label, "f": self.forward, "vjp": self.vjp, "jvp": None, "sees_absent": True}
        outputs = current().bind(custom_op, operands, params)
        count = self.result_form.size
        refuse_complex(f"{self.module._label}.bprop", (*operands, *outputs[:count]))
        for cell, value in zip(self.written, outputs[count + len(self.saved_names) :], strict=True):
            cell.write(value)
        return unflatten(self.result_form, outputs)

    def forward(self, *operands: Any) -> list[Any]:
        """Return the results for the operands."""
        frame, cells = self._frame(operands)
        scope = StateScope(cells)
        with using(scope), active(self.module, frame):
            ys, self.result_form = split(self.formula(self.module, *frame.inputs))
        self.saved_names, self.written = list(frame.saved), list(scope.written)
        return [*map(asarray, ys), *frame.saved.values(), *(scope.cells[cell] for cell in self.written)]

    def vjp(self, result_bars: Sequence[Any], results: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
        """Return the cotangents of the operands, ``None`` for those without.

        The rule is for the cotangents of y. Intermediates have cotangents where the rule itself is differentiated, and
        cells where what is written matters: the derivative of these results is derived from the formula.
        """
        count = self.result_form.size
        bars: list[Any] = [None] * len(operands)
        if any(bar is not None for bar in result_bars[:count]):
            bars = self._apply_rule(result_bars[:count], results, operands)
        if any(bar is not None for bar in result_bars[count:]):
            others = self._derived(result_bars[count:], operands)
            bars = [b if a is None else a if b is None else a + b for a, b in zip(bars, others, strict=True)]
        return bars

    def _apply_rule(self, y_bars: Sequence[Any], results: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
        """Return the cotangents of the operands by the rule."""
        frame, cells = self._frame(operands)
        count, saved = self.result_form.size, len(self.saved_names)
        ys, others = results[:count], results[count:]
        frame.y = unflatten(self.result_form, ys)
        frame.saved = dict(zip(self.saved_names, others[:saved], strict=True))
        cells.update(zip(self.written, others[saved:], strict=True))  # as outside of transforms: after fprop
        filled = [zeros_of(y) if bar is None else bar for bar, y in zip(y_bars, ys, strict=True)]
        y_bar = unflatten(self.result_form, filled)
        with using(StateScope(cells)), active(self.module, frame):
            x_bar = self.rule(self.module, *(y_bar if isinstance(y_bar, tuple) else (y_bar,)))
        x_bars = check_cotangents(self.module, frame.inputs, x_bar, frame.bars)
        without = len(self.cells) - len(self.parameters)
        return [
            *(x_bars[i] for i in self.positions),
            *(frame.bars[name] for name in self.parameters),
            *(None for _ in range(without)),
        ]

    def _derived(self, bars: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
        """Return the cotangents of the operands for those of intermediates and cells, by reverse mode of the formula."""
        record = Record(name=f"{self.module._label}.fprop")
        variables = [record.input(x) if has_derivative(x) else x for x in operands]
        with using(record):
            outputs = self.forward(*variables)[self.result_form.size :]
        pairs = [(y, bar) for y, bar in zip(outputs, bars, strict=True) if bar is not None]
        floats = [x for x in variables if has_derivative(x)]
        x_bars = iter(backward([y for y, _ in pairs], [bar for _, bar in pairs], floats, record))
        return [next(x_bars) if has_derivative(x) else None for x in variables]

    def _frame(self, operands: Sequence[Any]) -> tuple[Frame, dict[Cell, Any]]:
        """Return a frame with the inputs of ``fprop``, and the values of the cells."""
        count = len(self.positions)
        inputs = unflatten(self.input_form, merge(self.leaves, self.positions, operands[:count]))
        return Frame(inputs), dict(zip(self.cells, operands[count:], strict=True))


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


def check_cotangents(module: ModuleState, inputs: tuple[Any, ...], x_bar: Any, bars: dict[str, Any]) -> list[Any]:
    """Return the cotangents of all arrays among the inputs, ``None`` for those without.

    What a handwritten rule forgot is refused: what is missing here would silently be no gradient at all.
    """
    what = f"{module._label}.bprop: x_bar"
    x_bars = [
        bar for x, answer in zip(inputs, padded(x_bar, inputs), strict=False) for bar in spread_bars(what, x, answer)
    ]
    xs, _ = split_inputs(inputs)
    if all(bar is None for bar in x_bars) and any(has_derivative(x) for x in xs):
        raise ArgumentError(f"{module._label}.bprop returned None: it returns x_bar, the derivative dE/dx")
    for bar, x in zip(x_bars, xs, strict=True):
        if bar is not None and has_derivative(x) and np.shape(bar) != np.shape(x):
            raise ShapeError(
                f"{module._label}.bprop returned x_bar of shape {np.shape(bar)}, x has shape {np.shape(x)}"
            )
    for name, cell in module.__dict__.get("_cells", {}).items():
        if cell.trainable and name not in bars:
            raise ArgumentError(f"{module._label}.bprop left no {name}_bar, the derivative dE/d{name}")
    return x_bars


__all__ = ["apply_rule", "check_cotangents"]
