"""What all layers do with the dtype and the memory of their parameters."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import dtype as dtypes
from ..core.error import AllocationError, DTypeError
from ..core.number import label
from ..core.shape import size_of

ADDRESSES = 2**63
"""Bytes that an array may have; NumPy refuses larger ones as it refuses wrong arguments."""


def floating(module: object, dtype: DTypeLike) -> "np.dtype[Any]":
    """Return ``dtype`` as a NumPy dtype, refusing all that are not floating: parameters have derivatives."""
    checked = dtypes.check(dtype, label(module))
    if not dtypes.is_float(checked):
        raise DTypeError(f"{label(module)}: dtype is a floating dtype, not {checked}")
    return checked


@contextmanager
def allocating(owner: object, name: str, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> Iterator[None]:
    """Raise `AllocationError`, which names owner, array, shape and size, where there is no memory for initial values."""
    size = size_of(shape)
    try:
        if 16 * size >= ADDRESSES:  # they are drawn in float64, and from as many random bits
            raise MemoryError
        yield
    except MemoryError:
        raise AllocationError(
            f"{label(owner)}: {name} of shape {shape} and {dtype} takes {size * dtype.itemsize / 2**30:,.1f} GiB, and there "
            f"is no memory for it"
        ) from None


__all__ = ["allocating", "floating"]
