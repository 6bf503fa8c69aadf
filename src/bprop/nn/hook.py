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
from ..core.value import Array, asarray
from ..gradients.reverse import Record, backward
from ..region.custom import arrays_for_rule, custom_op
from .cotangent import filled, has_derivative, refuse_complex, unpacked
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
        object.__setattr__(self.module, "hooks", rest)

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
    return new if isinstance(new, tuple) else (new,)


def apply_x_bar_hooks(module: ModuleState, x_bar: Any) -> Any:
    """Return x_bar after its hooks. They do not see the ``None`` of inputs without a derivative."""
    bars = x_bar if isinstance(x_bar, tuple) else (x_bar,)
    present = tuple(bar for bar in bars if bar is not None)
    new = apply_hooks(module, "x_bar", present[0] if len(present) == 1 else present)
    new_bars = iter(new if isinstance(new, tuple) else (new,))
    all_bars = tuple(None if bar is None else next(new_bars) for bar in bars)
    return all_bars if isinstance(x_bar, tuple) else all_bars[0]


# --- hooks under transforms and in layerwise passes ---
def with_cotangent_hooks(module: ModuleState, point: str, values: Sequence[Any]) -> list[Any]:
    """Return ``values`` by an identity whose vjp sends their cotangents through the hooks on ``point``.

    Its jvp is that of the identity: in forward mode the tangents are the true ones.
    """
    positions = [i for i, x in enumerate(values) if has_derivative(x)]
    if not has_hook(module, point):
        return list(values)
    refuse_complex(f"{module._label}: the hook on {point}", values)
    if not positions:
        return list(values)

    def vjp(y_bars: Sequence[Any], ys: Sequence[Any], xs: Sequence[Any]) -> list[Any]:
        bars = arrays_for_rule(y_bars, ys)
        new = apply_hooks(module, point, bars[0] if len(bars) == 1 else tuple(bars))
        return list(new) if isinstance(new, tuple) else [new]

    params = {
        "name": f"hook on {point}",
        "f": lambda *xs: list(xs),
        "vjp": vjp,
        "jvp": lambda x_dots, ys, xs: list(x_dots),
    }
    outputs = current().bind(custom_op, tuple(asarray(values[i]) for i in positions), params)
    results = list(values)
    for i, y in zip(positions, outputs, strict=True):
        results[i] = y
    return results


def apply_with_pullback(module: ModuleState, point: str, value: Any) -> tuple[Any, Callable[[Any], Any] | None]:
    """Return ``value`` after the hooks on ``point`` outside transforms, and the pullback of what they computed.

    ``value``: one value, or a tuple of several. The pullback is ``None`` if the hooks replaced nothing.
    """
    if not has_hook(module, point):
        return value, None
    values = value if isinstance(value, tuple) else (value,)
    owner = Record(name=f"{type(module).__name__}, hook on {point}")
    lifted = tuple(owner.input(asarray(x)) if has_derivative(x) else x for x in values)
    with using(owner):
        new = apply_hooks(module, point, lifted if isinstance(value, tuple) else lifted[0])
    owner.close()
    new_values = new if isinstance(new, tuple) else (new,)
    if len(new_values) == len(lifted) and all(x is old for x, old in zip(new_values, lifted, strict=True)):
        return value, None
    variables = [x for x in lifted if has_derivative(x)]
    positions = [i for i, x in enumerate(new_values) if has_derivative(x)]

    def pullback(new_bar: Any) -> Any:
        new_bars = new_bar if isinstance(new_bar, tuple) else (new_bar,)
        bars = iter(backward([new_values[i] for i in positions], [new_bars[i] for i in positions], variables, owner))
        return unpacked([filled(next(bars), x) if has_derivative(x) else None for x in lifted])

    lowered = tuple(owner.lower(x) if isinstance(x, Array) else x for x in new_values)
    return lowered if isinstance(new, tuple) else lowered[0], pullback


__all__ = [
    "Hook",
    "apply_hooks",
    "apply_input_hooks",
    "apply_with_pullback",
    "apply_x_bar_hooks",
    "has_hook",
    "make_hook",
    "with_cotangent_hooks",
]
