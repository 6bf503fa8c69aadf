"""Hooks: functions that see, and may replace, what goes into and comes out of a module, both ways."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.error import ArgumentError, ShapeError
from ..core.interpreter import current, using
from ..core.op import array
from ..core.value import Array, asarray
from ..gradients.reverse import Record, backward
from ..ops import zeros
from ..region.custom import custom_op
from .rule import is_float

if TYPE_CHECKING:
    from .module import Module

_PLACES = ("x", "y", "y_bar", "x_bar")
_number = count()


class Hook:
    """What `Module.hook` returns: ``remove()`` takes the functions off again. Also a context manager, which does so at its end."""

    def __init__(self, module: "Module", functions: dict[str, Callable[..., Any]]) -> None:
        self.module = module
        self.functions = functions
        self.number = next(_number)
        # by a number that is never used again: a compiled program is kept under it
        object.__setattr__(module, "hooks", {**module.hooks, self.number: self})

    def __repr__(self) -> str:
        active = "" if self.number in self.module.hooks else ", removed"
        return f"Hook({type(self.module).__name__}, {', '.join(self.functions)}{active})"

    def remove(self) -> None:
        """Take the functions off the module; a second time nothing happens."""
        rest = {number: hook for number, hook in self.module.hooks.items() if number != self.number}
        object.__setattr__(self.module, "hooks", rest)

    def __enter__(self) -> "Hook":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def checked(module: "Module", functions: dict[str, Any]) -> dict[str, Callable[..., Any]]:
    """Return the functions that were given, refusing what cannot be called."""
    given = {place: function for place, function in functions.items() if function is not None}
    if not given:
        raise ArgumentError(f"{type(module).__name__}.hook: give a function for {', '.join(_PLACES[:-1])} or x_bar")
    for place, function in given.items():
        if not callable(function):
            raise ArgumentError(
                f"{type(module).__name__}.hook: {place} is a function of (module, {place}), not {function!r:.60}"
            )
    return given


def hooked(module: "Module", place: str, value: Any) -> Any:
    """Return ``value`` as the hooks for ``place`` leave it: what they return, or what it was where they return ``None``."""
    for hook in module.hooks.values():
        function = hook.functions.get(place)
        if function is not None:
            new = function(module, value)
            if new is not None:
                value = _fitting(module, place, new, value)
    return value


def _fitting(module: "Module", place: str, new: Any, old: Any) -> Any:
    if place in ("x", "y"):  # the way forward may change shape: what follows sees the new value
        if isinstance(new, tuple) != isinstance(old, tuple) or (isinstance(new, tuple) and len(new) != len(old)):
            count = f"{len(old)} values, a tuple" if isinstance(old, tuple) else "one array"
            raise ArgumentError(
                f"{type(module).__name__}: the hook on {place} returned {new!r:.60}, not {count} or None"
            )
        if isinstance(new, tuple):
            return tuple(n if n is o else _fitting(module, place, n, o) for n, o in zip(new, old, strict=True))
        return _array(module, place, new) if isinstance(old, Array | np.ndarray) else new
    if isinstance(old, tuple):
        if not isinstance(new, tuple) or len(new) != len(old):
            raise ArgumentError(
                f"{type(module).__name__}: the hook on {place} returned {new!r:.60}, not {len(old)} arrays or None"
            )
        return tuple(n if o is None else _fitting(module, place, n, o) for n, o in zip(new, old, strict=True))
    new = _array(module, place, new)
    if new.shape != old.shape:
        raise ShapeError(
            f"{type(module).__name__}: the hook on {place} returned shape {new.shape}; {place} has shape {old.shape}"
        )
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def _array(module: "Module", place: str, new: Any) -> Array:
    return array(f"{type(module).__name__}: the hook on {place}", new)


def has(module: "Module", place: str) -> bool:
    """Return whether a hook looks at ``place``."""
    return any(place in hook.functions for hook in module.hooks.values())


def on_inputs(module: "Module", inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the inputs as the hooks on x leave them: one input stands for itself, several are a tuple."""
    if not has(module, "x"):
        return inputs
    new = hooked(module, "x", inputs[0] if len(inputs) == 1 else inputs)
    return new if isinstance(new, tuple) else (new,)


def watched(module: "Module", place: str, values: Sequence[Any]) -> list[Any]:
    """Return ``values`` unchanged, but on the way back their cotangents go through the hooks for ``place``.

    Forward mode passes by: its tangents are the true ones.
    """
    floats = [i for i, x in enumerate(values) if is_float(x)]
    if not floats or not has(module, place):
        return list(values)

    def vjp(y_bars: Sequence[Any], ys: Sequence[Any], xs: Sequence[Any]) -> list[Any]:
        new = hooked(module, place, y_bars[0] if len(y_bars) == 1 else tuple(y_bars))
        return list(new) if isinstance(new, tuple) else [new]

    params = {
        "name": f"hook on {place}",
        "f": lambda *xs: list(xs),
        "vjp": vjp,
        "jvp": lambda x_dots, ys, xs: list(x_dots),
    }
    outputs = current().bind(custom_op, tuple(asarray(values[i]) for i in floats), params)
    result = list(values)
    for i, y in zip(floats, outputs, strict=True):
        result[i] = y
    return result


def through(module: "Module", place: str, value: Any) -> tuple[Any, Callable[[Any], Any] | None]:
    """Return ``value`` (one, or a tuple) as the hooks for ``place`` leave it outside transforms, and the way back through
    them if they replaced it.
    """
    if not has(module, place):
        return value, None
    values = value if isinstance(value, tuple) else (value,)
    owner = Record(name=f"{type(module).__name__}, hook on {place}")
    lifted = tuple(owner.input(asarray(x)) if is_float(x) else x for x in values)
    with using(owner):
        new = hooked(module, place, lifted if isinstance(value, tuple) else lifted[0])
    owner.close()
    news = new if isinstance(new, tuple) else (new,)
    if len(news) == len(lifted) and all(one is old for one, old in zip(news, lifted, strict=True)):
        return value, None
    variables = [x for x in lifted if is_float(x)]
    outputs = [i for i, x in enumerate(news) if is_float(x)]

    def back(bar: Any) -> Any:
        bars = bar if isinstance(bar, tuple) else (bar,)
        found = iter(backward([news[i] for i in outputs], [bars[i] for i in outputs], variables, owner))
        result = []
        for x in lifted:
            one = next(found) if is_float(x) else None
            result.append(zeros(x.shape, dtype=x.dtype) if is_float(x) and one is None else one)
        return result[0] if len(result) == 1 else tuple(result)

    lowered = tuple(owner.lower(x) if isinstance(x, Array) else x for x in news)
    return lowered if isinstance(new, tuple) else lowered[0], back


def on_x_bar(module: "Module", x_bar: Any) -> Any:
    """Return x_bar as the hooks leave it; what has no derivative is not shown to them."""
    bars = x_bar if isinstance(x_bar, tuple) else (x_bar,)
    present = tuple(bar for bar in bars if bar is not None)
    new = hooked(module, "x_bar", present[0] if len(present) == 1 else present)
    found = iter(new if isinstance(new, tuple) else (new,))
    result = tuple(None if bar is None else next(found) for bar in bars)
    return result if isinstance(x_bar, tuple) else result[0]


__all__ = ["Hook", "checked", "hooked", "on_inputs", "on_x_bar", "through", "watched"]
