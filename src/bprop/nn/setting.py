"""Checks of the settings that modules take: sizes, numbers and dtypes."""

from math import inf
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import dtype as dtypes
from ..core.error import ArgumentError, DTypeError
from ..core.number import real


def number(module: Any, name: str, value: Any, *, above: float = -inf) -> float:
    """Return ``value`` as a float, refusing what is no number, and what is not above ``above``."""
    result = real(value)
    if result is None:
        raise ArgumentError(f"{type(module).__name__}: {name} is a number, not {value!r:.60}")
    if not result > above and above > -inf:
        raise ArgumentError(f"{type(module).__name__}: {name} is a number above {above:g}, not {value!r}")
    return result


def size(module: Any, name: str, value: Any) -> int:
    """Return ``value`` as an int, refusing what is no positive integer below 2⁶³."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value < 2**63:
        raise ArgumentError(f"{type(module).__name__}: {name} is a positive integer, not {value!r:.60}")
    return int(value)


def floating(module: Any, dtype: DTypeLike) -> "np.dtype[Any]":
    """Return ``dtype`` as a NumPy dtype, refusing all that are not floating: parameters have derivatives."""
    checked = dtypes.check(dtype, type(module).__name__)
    if not dtypes.is_float(checked):
        raise DTypeError(f"{type(module).__name__}: dtype is a floating dtype, not {checked}")
    return checked


__all__ = ["floating", "number", "size"]
