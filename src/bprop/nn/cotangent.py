"""The values that go into a module and come out of it, and their cotangents: which have one, and in which form.

An input or a result is an array, or a tuple or dict of such, as the state (h, c) of an LSTM. Its cotangent has the same
form. A list, and a tuple of numbers, is one array.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..core.error import ArgumentError, DTypeError
from ..core.tree import Structure, flatten, spread
from ..core.value import Array, Spec, asarray
from ..ops import zeros


def _is_single(value: Any) -> bool:
    """Return whether a value is no tuple or dict of arrays (or of their specs)."""
    if isinstance(value, Spec) or not isinstance(value, tuple | dict):
        return True
    return isinstance(value, tuple) and all(
        _is_single(entry) and not isinstance(entry, Array | np.ndarray | Spec) for entry in value
    )


def split(value: Any) -> tuple[list[Any], Structure]:
    """Return the arrays that an input or a result holds, and their arrangement; what is no array stands for itself."""
    return flatten(value, _is_single)


def split_inputs(inputs: tuple[Any, ...]) -> tuple[list[Any], Structure]:
    """Return the arrays that all inputs hold, and their arrangement."""
    return flatten(inputs, lambda value: value is not inputs and _is_single(value))


def has_derivative(x: Any) -> bool:
    """Return whether an input of a module has a derivative: a float, or an array or nested list of floats."""
    if isinstance(x, list | tuple):
        x = asarray(x)
    return np.dtype(getattr(x, "dtype", type(x) if isinstance(x, float) else object)).kind == "f"


def refuse_complex(what: str, values: Iterable[Any]) -> None:
    """Raise where one of the values is complex: the passes of modules are of real numbers."""
    for value in values:
        if np.dtype(getattr(value, "dtype", object)).kind == "c":
            raise DTypeError(
                f"{what} is of real numbers, and a value is {value.dtype}: differentiate a function of the module by bprop.grad; "
                f"a handwritten bprop is left out, and derived"
            )


def filled(bar: Any, x: Any) -> Any:
    """Return a cotangent of ``x``: zeros where there is none."""
    return zeros(x.shape, dtype=x.dtype) if bar is None else bar


def unpacked(bars: Sequence[Any]) -> Any:
    """Return a single cotangent itself, several as a tuple."""
    return bars[0] if len(bars) == 1 else tuple(bars)


def padded(x_bar: Any, inputs: tuple[Any, ...]) -> list[Any]:
    """Return what a rule answered as one cotangent for each of the inputs, ``None`` where it gave none."""
    if len(inputs) == 1 and not (isinstance(x_bar, tuple) and len(x_bar) == 1 and _is_single(inputs[0])):
        return [x_bar]
    bars = list(x_bar) if isinstance(x_bar, tuple) else [x_bar]
    return bars + [None] * (len(inputs) - len(bars))


def spread_bars(what: str, value: Any, bar: Any) -> list[Any]:
    """Return the cotangents of the arrays that ``value`` holds, of one in its form; ``None`` is none for all of them."""
    try:
        return spread(split(value)[1], bar)
    except ArgumentError:
        raise ArgumentError(
            f"{what} is {_form(bar)} for a value that is {_form(value)}: a cotangent has the form of its value"
        ) from None


def _form(value: Any) -> str:
    """Return what a value is made of, for messages."""
    if isinstance(value, tuple):
        return f"({', '.join(_form(entry) for entry in value)}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_form(entry)}" for key, entry in value.items()) + "}"
    return "None" if value is None else "array"


def requested(x_bar: Any, positions: tuple[int, ...] | None) -> Any:
    """Return those of several cotangents that stand at ``positions`` (``None``: all), a single one itself."""
    if positions is None or not isinstance(x_bar, tuple):
        return x_bar
    return unpacked([x_bar[position] for position in positions])


__all__ = [
    "filled",
    "has_derivative",
    "padded",
    "refuse_complex",
    "requested",
    "split",
    "split_inputs",
    "spread_bars",
    "unpacked",
]
