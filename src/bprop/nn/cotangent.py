"""The cotangents of a module's inputs: which inputs have one, and the forms in which several are passed on."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core.error import DTypeError
from ..core.value import asarray
from ..ops import zeros


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


def unpacked(bars: list[Any]) -> Any:
    """Return a single cotangent itself, several as a tuple."""
    return bars[0] if len(bars) == 1 else tuple(bars)


def padded(x_bar: Any, count: int) -> list[Any]:
    """Return what a rule answered as one cotangent for each of ``count`` inputs, ``None`` where it gave none."""
    bars = list(x_bar) if isinstance(x_bar, tuple) else [x_bar]
    return bars + [None] * (count - len(bars))


def requested(x_bar: Any, positions: tuple[int, ...] | None) -> Any:
    """Return those of several cotangents that stand at ``positions`` (``None``: all), a single one itself."""
    if positions is None or not isinstance(x_bar, tuple):
        return x_bar
    return unpacked([x_bar[position] for position in positions])


__all__ = ["filled", "has_derivative", "padded", "refuse_complex", "requested", "unpacked"]
