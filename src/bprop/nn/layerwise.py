"""Layerwise passes: ``module.fprop(x)`` and ``module.bprop(y_bar)`` outside transforms.

A forward pass leaves a `Frame` in every module that it calls. A backward pass takes them in reverse order. A module
whose ``fprop`` is called several times in one pass has several frames, and its gradients are summed.
"""

from collections.abc import Callable
from typing import Any

from ..core.cell import Cell
from ..core.error import ArgumentError, BpropError, ShapeError, StateError
from ..core.interpreter import EVALUATE, current, using
from ..core.tree import unflatten
from ..core.value import Array, asarray
from ..gradients.reverse import Record, Recorded, backward, lift_cells
from ..ops import full, zeros
from .cotangent import (
    filled,
    has_derivative,
    padded,
    refuse_complex,
    requested,
    split,
    split_inputs,
    spread_bars,
    unpacked,
)
from .frame import PASS, Frame, active, innermost, unchanging
from .hook import apply_cotangent_hooks, apply_with_pullback
from .module_state import ModuleState, add_location
from .rule import check_cotangents


# --- forward ---
def run_forward(module: ModuleState, inputs: tuple[Any, ...]) -> Any:
    """Return y, and leave a frame in the module."""
    pass_id, token = PASS.get(), None
    if pass_id is None:  # the outermost module begins the pass
        pass_id = object()
        token = PASS.set(pass_id)
    try:
        frame, y = _apply(module, inputs, pass_id)
    except BpropError as error:
        add_location(module, error)
        raise
    finally:
        if token is not None:
            PASS.reset(token)
    frames: list[Frame] = module.__dict__.setdefault("_frames", [])
    if frames and frames[-1].pass_id is not pass_id:
        frames.clear()  # frames of an earlier pass that no bprop used
    frames.append(frame)
    module.__dict__["_last_frame"] = frame
    return y


def _apply(module: ModuleState, inputs: tuple[Any, ...], pass_id: object) -> tuple[Frame, Any]:
    """Return the frame of an application, and y after the hooks."""
    x_hook_pullback = None
    if module.hooks:
        x, x_hook_pullback = apply_with_pullback(module, "x", inputs[0] if len(inputs) == 1 else inputs)
        inputs = (x,) if len(inputs) == 1 else x
    leaves, form = split_inputs(inputs)
    frame = Frame(unflatten(form, map(unchanging, leaves)), pass_id)
    formula = type(module)._formula
    assert formula is not None
    if type(module)._rule is not None:
        with active(module, frame):
            frame.y = formula(module, *frame.inputs)
    else:
        _record(module, frame, formula)
    if not module.hooks:
        return frame, frame.y
    frame.x_hook_pullback = x_hook_pullback
    frame.y_hooked, frame.y_hook_pullback = apply_with_pullback(module, "y", frame.y)
    return frame, frame.y_hooked


def _record(module: ModuleState, frame: Frame, formula: Callable[..., Any]) -> None:
    """Run a formula without a handwritten rule under reverse mode, and leave its pullback in the frame."""
    owner = Record(name=f"{type(module).__name__}.fprop")
    cells = [cell for cell in module.cells().values() if cell.trainable]
    parameters = lift_cells(owner, cells)
    leaves, input_form = split_inputs(frame.inputs)
    inputs = [owner.input(asarray(x)) if has_derivative(x) else x for x in leaves]
    with using(owner), active(module, frame):
        ys, result_form = split(formula(module, *unflatten(input_form, inputs)))
    for y in ys:
        if not isinstance(y, Array):
            raise ArgumentError(f"{type(module).__name__}.fprop returned {type(y).__name__}, not an array")
    _refuse_foreign(module, owner, cells)
    owner.close()
    frame.saved = {name: owner.lower(value) for name, value in frame.saved.items()}
    frame.y = unflatten(result_form, [owner.lower(y) for y in ys])
    own = dict(zip(cells, parameters, strict=True))
    pullback = _pullback(module, owner, ys, inputs, own, frame.pass_id)
    frame.pullback = lambda y_bars: unpacked(unflatten(input_form, pullback(y_bars)))


def _pullback(
    module: ModuleState,
    owner: Record,
    ys: list[Any],
    inputs: list[Any],
    parameters: dict[Cell, Recorded],
    pass_id: object,
) -> Callable[[list[Any]], list[Any]]:
    """Return the function from the cotangents of ``ys`` to those of ``inputs`` that also leaves those of the parameters."""
    variables = [x for x in inputs if has_derivative(x)]

    def pullback(y_bars: list[Any]) -> list[Any]:
        bars = backward(ys, y_bars, [*variables, *parameters.values()], owner)
        for (cell, parameter), bar in zip(parameters.items(), bars[len(variables) :], strict=True):
            module._accumulate_gradient(cell, filled(bar, parameter), pass_id)
        x_bars = iter(bars)
        return [filled(next(x_bars), x) if has_derivative(x) else None for x in inputs]

    return pullback


def _refuse_foreign(module: ModuleState, owner: Record, cells: list[Cell]) -> None:
    """Refuse a formula that reads parameters of no module inside: `bprop` would leave no gradient for them."""
    for cell in owner.cells:
        if cell.trainable and cell not in cells:
            raise ArgumentError(
                f"{module._label}.fprop reads {cell.name or 'a parameter'}, a parameter of no module inside, for which "
                f"bprop would leave no gradient: make its module an attribute of a class of your own, freeze it, or "
                f"differentiate with bprop.value_and_grad a function of a model that holds both"
            )


# --- backward ---
def run_backward(module: ModuleState, *y_bar: Any) -> Any:
    """Return x_bar for the newest frame that no ``bprop`` has used, and leave the gradients of the parameters."""
    frame = _open_frame(module)
    parameters = [cell.array for cell in module.cells().values() if cell.trainable]
    refuse_complex(f"{module._label}.bprop", [*split_inputs(frame.inputs)[0], *split(frame.y)[0], *parameters])
    try:
        y = frame.y if frame.y_hooked is None else frame.y_hooked
        y_bars = apply_cotangent_hooks(module, "y_bar", _cotangents(module, y, y_bar))
        if frame.y_hook_pullback is not None:
            y_bars = frame.y_hook_pullback(y_bars)
        frame.y_bar = unflatten(split(frame.y)[1], y_bars)
        frame.x_bar = _apply_rule(module, frame) if frame.pullback is None else frame.pullback(y_bars)
        if module.hooks or frame.x_hook_pullback is not None:
            frame.x_bar = _through_input_hooks(module, frame)
    except BpropError as error:
        add_location(module, error)
        raise
    module.__dict__["_frames"].pop()
    frame.x_bar = requested(frame.x_bar, module.answers)
    return frame.x_bar


def _through_input_hooks(module: ModuleState, frame: Frame) -> Any:
    """Return x_bar after the pullback of the hooks on x, and the hooks on x_bar."""
    _, form = split_inputs(frame.inputs)
    pairs = zip(frame.inputs, padded(frame.x_bar, frame.inputs), strict=False)
    x_bars = [bar for x, x_bar in pairs for bar in spread_bars(f"{module._label}.bprop: x_bar", x, x_bar)]
    if frame.x_hook_pullback is not None:
        x_bars = frame.x_hook_pullback(x_bars)
    return unpacked(unflatten(form, apply_cotangent_hooks(module, "x_bar", x_bars)))


def _open_frame(module: ModuleState) -> Frame:
    """Return the newest frame that no ``bprop`` has used."""
    if current() is not EVALUATE:
        caller = innermost()
        advice = (
            ""
            if caller is None
            else f" (if {type(caller).__name__}.bprop only calls those of the modules inside, write composes = True in it)"
        )
        raise StateError(
            f"{module._label}.bprop inside {current().name}: under a transform fprop keeps nothing; let the transform "
            f"differentiate, or call fprop and bprop outside of it{advice}"
        )
    frames: list[Frame] = module.__dict__.get("_frames", [])
    if not frames:
        raise StateError(f"{module._label}.bprop: no fprop came before it (each fprop answers one bprop)")
    return frames[-1]


def _cotangents(module: ModuleState, y: Any, y_bar: tuple[Any, ...]) -> list[Any]:
    """Return cotangents in the shapes and dtypes of the arrays of y; 1 for a scalar y if there is none.

    ``y_bar``: what ``bprop`` was given, for a y of several values one for each. What is left out of these is 0.
    """
    what = f"{module._label}.bprop"
    if isinstance(y, tuple):
        if len(y_bar) > len(y):
            raise ArgumentError(f"{what}: {len(y_bar)} cotangents for y of {len(y)} values")
        bars = spread_bars(f"{what}: y_bar", y, (*y_bar, *[None] * (len(y) - len(y_bar))))
    else:
        if len(y_bar) > 1:
            raise ArgumentError(f"{what}: {len(y_bar)} cotangents for one y")
        bars = spread_bars(f"{what}: y_bar", y, y_bar[0] if y_bar else None)
    ys, _ = split(y)
    if all(bar is None for bar in bars):
        shapes = ", ".join(str(value.shape) for value in ys)
        if len(ys) != 1 or ys[0].shape != ():
            raise ShapeError(f"{what} needs y_bar: y has shape {shapes}, only a scalar has the default 1")
        return [full((), 1, dtype=ys[0].dtype)]
    return [_cotangent(what, value, bar) for value, bar in zip(ys, bars, strict=True)]


def _cotangent(what: str, y: Array, y_bar: Any) -> Array:
    """Return y_bar as an array in the shape and dtype of y, zeros for ``None``."""
    bar = zeros(y.shape, dtype=y.dtype) if y_bar is None else asarray(y_bar)
    if bar.shape != y.shape:
        raise ShapeError(f"{what}: y_bar has shape {bar.shape}, y has shape {y.shape}")
    return bar if bar.dtype == y.dtype else bar.astype(y.dtype)


def _apply_rule(module: ModuleState, frame: Frame) -> Any:
    """Run a handwritten ``bprop`` and store the gradients that it leaves in the frame; return its x_bar."""
    rule = type(module)._rule
    assert rule is not None
    with active(module, frame):
        x_bar = rule(module, *(frame.y_bar if isinstance(frame.y_bar, tuple) else (frame.y_bar,)))
    check_cotangents(module, frame.inputs, x_bar, frame.bars)
    for name, bar in frame.bars.items():
        module._set_gradient(name, bar, frame.pass_id)
    return x_bar


__all__ = ["run_backward", "run_forward"]
