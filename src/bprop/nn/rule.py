"""A handwritten ``bprop`` under transforms: formula and rule become one region with a derivative of its own."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.cell import Cell
from ..core.error import ArgumentError, ShapeError
from ..core.interpreter import StateScope, current, using
from ..core.value import asarray
from ..region.custom import custom_op
from .frame import Frame, active

if TYPE_CHECKING:
    from .module import Module


def apply_rule(module: "Module", formula: Callable[..., Any], rule: Any, inputs: tuple[Any, ...]) -> Any:
    """Apply ``formula`` as one region whose derivative is ``rule``, both methods of the module."""
    own: dict[str, Cell] = {n: c for n, c in module.__dict__.get("_cells", {}).items() if c.trainable}
    states = []
    for path, cell in module.cells().items():
        if not cell.trainable:
            states.append(cell)
        elif cell not in own.values():
            raise ArgumentError(
                f"{module._label} has a handwritten bprop, which under a transform cannot leave a gradient for {path}, "
                f"a parameter of a module inside: write composes = True in the class if that bprop only calls theirs, "
                f"or leave bprop out, and it is derived"
            )
    # None, names and flags are no arrays: they go around the region, everything else through it.
    places = [i for i, x in enumerate(inputs) if x is not None and not isinstance(x, bool | str)]
    xs = [asarray(inputs[i]) for i in places]
    count, cells = len(xs), [*own.values(), *states]
    kept: list[str] = []
    written: list[Cell] = []

    def restored(xs: Sequence[Any]) -> tuple[Any, ...]:
        given = list(inputs)
        for place, x in zip(places, xs, strict=True):
            given[place] = x
        return tuple(given)

    def f(*flat: Any) -> list[Any]:
        frame = Frame(restored(flat[:count]))
        scope = StateScope(dict(zip(cells, flat[count:], strict=True)))
        with using(scope), active(module, frame):
            y = asarray(formula(module, *frame.inputs))
        kept[:], written[:] = list(frame.kept), list(scope.written)
        return [y, *frame.kept.values(), *(scope.cells[cell] for cell in written)]

    def vjp(y_bars: Sequence[Any], ys: Sequence[Any], flat: Sequence[Any]) -> list[Any]:
        frame = Frame(restored(flat[:count]))
        first, *rest = ys
        frame.y, frame.kept = first, dict(zip(kept, rest[: len(kept)], strict=True))
        seen = dict(zip(cells, flat[count:], strict=True))
        seen.update(zip(written, rest[len(kept) :], strict=True))  # as outside of transforms: after fprop
        with using(StateScope(seen)), active(module, frame):
            x_bar = rule(module, y_bars[0])
        check_answer(module, frame.inputs, x_bar, frame.bars)
        x_bars = list(x_bar) if isinstance(x_bar, tuple) else [x_bar]
        x_bars += [None] * (len(inputs) - len(x_bars))
        return [*(x_bars[i] for i in places), *(frame.bars[name] for name in own), *(None for _ in states)]

    params = {"name": module._label, "f": f, "vjp": vjp, "jvp": None}
    outputs = current().bind(custom_op, (*xs, *(cell.read() for cell in cells)), params)
    for cell, value in zip(written, outputs[1 + len(kept) :], strict=True):
        cell.write(value)
    return outputs[0]


def check_answer(module: "Module", inputs: Sequence[Any], x_bar: Any, bars: dict[str, Any]) -> None:
    """Refuse what a handwritten rule forgot: what is missing here would silently be no gradient at all."""
    x_bars = x_bar if isinstance(x_bar, tuple) else (x_bar,)
    if all(bar is None for bar in x_bars) and any(is_float(x) for x in inputs):
        raise ArgumentError(f"{module._label}.bprop returned None: it returns x_bar, the derivative dE/dx")
    for bar, x in zip(x_bars, inputs, strict=False):
        if bar is not None and is_float(x) and np.shape(bar) != np.shape(x):
            raise ShapeError(
                f"{module._label}.bprop returned x_bar of shape {np.shape(bar)}, x has shape {np.shape(x)}"
            )
    for name, cell in module.__dict__.get("_cells", {}).items():
        if cell.trainable and name not in bars:
            raise ArgumentError(f"{module._label}.bprop left no {name}_bar, the derivative dE/d{name}")


def is_float(x: Any) -> bool:
    """Return whether an input of a module has a derivative."""
    if isinstance(x, list | tuple):
        x = asarray(x)
    return np.dtype(getattr(x, "dtype", type(x) if isinstance(x, float) else object)).kind == "f"


__all__ = ["apply_rule", "check_answer", "is_float"]
