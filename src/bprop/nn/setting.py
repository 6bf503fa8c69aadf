"""The settings that modules take, checked: sizes, numbers and dtypes."""

from math import inf
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import dtype as dtypes
from ..core.error import ArgumentError, DTypeError
from ..core.number import real


def number(module: Any, name: str, value: Any, *, above: float = -inf) -> float:
    """Return ``value`` as a Python number, refusing what is none, and what is not above ``above``."""
    known = real(value)
    if known is None:
        raise ArgumentError(f"{type(module).__name__}: {name} is a number, not {value!r:.60}")
    if not known > above and above > -inf:
        raise ArgumentError(f"{type(module).__name__}: {name} is a number above {above:g}, not {value!r}")
    return known


def size(module: Any, name: str, value: Any) -> int:
    """Return ``value`` as a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value < 2**63:
        raise ArgumentError(f"{type(module).__name__}: {name} is a positive integer, not {value!r:.60}")
    return int(value)


def floating(module: Any, dtype: DTypeLike) -> "np.dtype[Any]":
    """Return ``dtype``, which parameters can have: a floating one."""
    wanted = dtypes.check(dtype, type(module).__name__)
    if not dtypes.is_float(wanted):
        raise DTypeError(f"{type(module).__name__}: dtype is a floating dtype, not {wanted}")
    return wanted


__all__ = ["floating", "number", "size"]
