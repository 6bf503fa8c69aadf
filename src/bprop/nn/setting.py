"""Checks of the dtypes that modules take."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import dtype as dtypes
from ..core.error import DTypeError


def floating(module: Any, dtype: DTypeLike) -> "np.dtype[Any]":
    """Return ``dtype`` as a NumPy dtype, refusing all that are not floating: parameters have derivatives."""
    checked = dtypes.check(dtype, type(module).__name__)
    if not dtypes.is_float(checked):
        raise DTypeError(f"{type(module).__name__}: dtype is a floating dtype, not {checked}")
    return checked


__all__ = ["floating"]
