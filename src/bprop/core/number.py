"""Numbers that callers give as settings."""

from math import isnan
from typing import Any

import numpy as np


def real(value: Any) -> float | None:
    """Return a number as a float, and ``None`` for what is none: text, a bool, NaN, an integer beyond every float.

    >>> from bprop.core.number import real
    >>> real(3), real("3"), real(True), real(10**400)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if isnan(number) else number
