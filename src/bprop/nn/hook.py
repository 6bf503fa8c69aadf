"""Hooks: functions that see, and may replace, what goes into and comes out of a module, both ways.

A hook point is one of the four values that a hook sees: x, y, y_bar and x_bar.
"""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError
from ..core.interpreter import current, using
from ..core.op import array
from ..core.tree import merge, unflatten
from ..core.value import Array, asarray
from ..gradients.reverse import Record, backward
from ..region.custom import custom_op
from .cotangent import filled, has_derivative, refuse_complex, split, split_inputs, unpacked
from .module_state import ModuleState

_POINTS = ("x", "y", "y_bar", "x_bar")
_number = count()


class Hook:
    """What `Module.hook` returns: ``remove()`` detaches the functions, and so does leaving it as a context manager.

    ``module``: the module. ``functions``: the functions by hook point.
    """

    def __init__(self, module: ModuleState, functions: dict[str, Callable[..., Any]]) -> None:
        self.module = module
        self.functions = functions
        self.number = next(_number)
        # a number is never reused: it is part of the key of compiled programs
        object.__setattr__(module, "hooks", {**module.hooks, self.number: self})

    def __repr__(self) -> str:
        active = "" if self.number in self.module.hooks else ", removed"
        return f"Hook({type(self.module).__name__}, {', '.join(self.functions)}{active})"

    def remove(self) -> None:
        """Detach the functions from the module. A second call does nothing."""
        rest = {number: hook for number, hook in self.module.hooks.items() if number != self.number}
        if rest:
            object.__setattr__(self.module, "hooks", rest)
        else:  # as before the first hook, so that a compiled program sees no change
            self.module.__dict__.pop("hooks", None)

    def __enter__(self) -> "Hook":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def make_hook(module: ModuleState, functions: dict[str, Any]) -> Hook:
    """Hook the functions that are not ``None``, refusing what cannot be called."""
    by_point = {point: function for point, function in functions.items() if function is not None}
    if not by_point:
        raise ArgumentError(f"{type(module).__name__}.hook: give a function for {', '.join(_POINTS[:-1])} or x_bar")
    for point, function in by_point.items():
        if not callable(function):
            raise ArgumentError(
                f"{type(module).__name__}.hook: {point} is a function of (module, {point}), not {function!r:.60}"
            )
    return Hook(module, by_point)


def has_hook(module: ModuleState, point: str) -> bool:
    """Return whether a hook sees ``point``."""
    return any(point in hook.functions for hook in module.hooks.values())


# --- calling hooks ---
def apply_hooks(module: ModuleState, point: str, value: Any) -> Any:
    """Return ``value`` after the hooks on ``point``; one that returns ``None`` leaves it as it is."""
    for hook in module.hooks.values():
        function = hook.functions.get(point)
        if function is not None:
            new = function(module, value)
            if new is not None:
                value = _checked_result(module, point, new, value)
    return value


def _checked_result(module: ModuleState, point: str, new: Any, old: Any) -> Any:
    """Return what a hook returned in place of ``old``, as arrays, refusing what does not fit."""
    if point in ("x", "y"):  # in the forward pass the shape may change: what follows sees the new value
        if isinstance(new, tuple) != isinstance(old, tuple) or (isinstance(new, tuple) and len(new) != len(old)):
            expected = f"{len(old)} values, a tuple" if isinstance(old, tuple) else "one array"
            raise ArgumentError(
                f"{type(module).__name__}: the hook on {point} returned {new!r:.60}, not {expected} or None"
            )
        if isinstance(new, tuple):
            return tuple(n if n is o else _checked_result(module, point, n, o) for n, o in zip(new, old, strict=True))
        return _as_array(module, point, new) if isinstance(old, Array | np.ndarray) else new
    if isinstance(old, tuple):
        if not isinstance(new, tuple) or len(new) != len(old):
            raise ArgumentError(
                f"{type(module).__name__}: the hook on {point} returned {new!r:.60}, not {len(old)} arrays or None"
            )
        return tuple(n if o is None else _checked_result(module, point, n, o) for n, o in zip(new, old, strict=True))
    new = _as_array(module, point, new)
    if new.shape != old.shape:
        raise ShapeError(
            f"{type(module).__name__}: the hook on {point} returned shape {new.shape}; {point} has shape {old.shape}"
        )
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def _as_array(module: ModuleState, point: str, value: Any) -> Array:
    return array(f"{type(module).__name__}: the hook on {point}", value)


def apply_input_hooks(module: ModuleState, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the inputs after the hooks on x, which see a single input itself and several as a tuple."""
    if not has_hook(module, "x"):
        return inputs
    new = apply_hooks(module, "x", inputs[0] if len(inputs) == 1 else inputs)
    return (new,) if len(inputs) == 1 else tuple(new)


def apply_cotangent_hooks(module: ModuleState, point: str, bars: Sequence[Any]) -> list[Any]:
    """Return cotangents after the hooks on y_bar or x_bar, which see a single one itself and several as a tuple.

    They do not see the ``None`` of inputs without a derivative.
    """
    present = [bar for bar in bars if bar is not None]
    if not present or not has_hook(module, point):
        return list(bars)
    new = apply_hooks(module, point, unpacked(present))
    new_bars = iter(new if len(present) > 1 else (new,))
    return [None if bar is None else next(new_bars) for bar in bars]


# --- hooks under transforms and in layerwise passes ---
def with_cotangent_hooks(module: ModuleState, point: str, value: Any) -> Any:
    """Return ``value``, the inputs or y, by an identity whose vjp sends cotangents through the hooks on ``point``.

    Its jvp is that of the identity: in forward mode the tangents are the true ones.
    """
    if not has_hook(module, point):
        return value
    leaves, form = split_inputs(value) if point == "x_bar" else split(value)
    positions = [i for i, x in enumerate(leaves) if has_derivative(x)]
    refuse_complex(f"{module._label}: the hook on {point}", leaves)
    if not positions:
        return value

    def vjp(y_bars: Sequence[Any], ys: Sequence[Any], xs: Sequence[Any]) -> list[Any]:
        return apply_cotangent_hooks(module, point, y_bars)

    params = {
        "name": f"hook on {point}",
        "f": lambda *xs: list(xs),
        "vjp": vjp,
        "jvp": lambda x_dots, ys, xs: list(x_dots),
        "sees_absent": False,
    }
    outputs = current().bind(custom_op, tuple(asarray(leaves[i]) for i in positions), params)
    return unflatten(form, merge(leaves, positions, outputs))


def apply_with_pullback(
    module: ModuleState, point: str, value: Any
) -> tuple[Any, Callable[[list[Any]], list[Any]] | None]:
    """Return ``value`` after the hooks on ``point`` outside transforms, and the pullback of what they computed.

    ``value``: one value, or a tuple of several. The pullback is from the cotangents of the arrays that the new value
    holds to those of the old one; it is ``None`` if the hooks replaced nothing.
    """
    if not has_hook(module, point):
        return value, None
    leaves, form = split(value)
    owner = Record(name=f"{type(module).__name__}, hook on {point}")
    lifted = [owner.input(asarray(x)) if has_derivative(x) else x for x in leaves]
    with using(owner):
        new = apply_hooks(module, point, unflatten(form, lifted))
    owner.close()
    new_leaves, new_form = split(new)
    if len(new_leaves) == len(lifted) and all(x is old for x, old in zip(new_leaves, lifted, strict=True)):
        return value, None
    variables = [x for x in lifted if has_derivative(x)]
    positions = [i for i, x in enumerate(new_leaves) if has_derivative(x)]

    def pullback(new_bars: list[Any]) -> list[Any]:
        bars = iter(backward([new_leaves[i] for i in positions], [new_bars[i] for i in positions], variables, owner))
        return [filled(next(bars), x) if has_derivative(x) else None for x in lifted]

    return unflatten(new_form, [owner.lower(x) if isinstance(x, Array) else x for x in new_leaves]), pullback


__all__ = [
    "Hook",
    "apply_cotangent_hooks",
    "apply_hooks",
    "apply_input_hooks",
    "apply_with_pullback",
    "has_hook",
    "make_hook",
    "with_cotangent_hooks",
]
