"""What NumPy's arguments say: options left out, an axis of the flattened array, a dtype to compute in."""

from typing import Any

import numpy as np

from ..core import dtype as dtypes
from ..core.error import DTypeError, ShapeError
from ..core.op import array
from ..core.shape import broadcast
from ..core.value import Array
from ..ops.complex import real
from ..ops.data_type import astype
from ..ops.manipulation import broadcast_to, ravel, reshape

NO_VALUE: Any = np._NoValue
"""What NumPy's options are where nobody gives them."""


def given(value: Any, default: Any = False) -> Any:
    """Return an option, or ``default`` where it was left out."""
    return default if value is NO_VALUE else value


def in_dtype(name: str, x: Any, dtype: Any) -> Array:
    """Return ``x`` as an array, in ``dtype`` if there is one."""
    x = array(name, x)
    return x if dtype is None else astype(x, dtypes.check(dtype, name))


def as_dtype(name: str, x: Array, dtype: Any, casting: str = "same_kind") -> Array:
    """Return ``x`` in ``dtype``, or raise where NumPy's rule of ``casting`` does not allow it."""
    if dtype is None:
        return x
    wanted = dtypes.check(dtype, name)
    if not np.can_cast(x.dtype, wanted, casting):  # type: ignore[arg-type]
        raise DTypeError(f"{name}: {x.dtype} does not become {wanted} by the rule {casting!r}: use casting='unsafe'")
    return astype(x, wanted)


def floating(x: Array) -> Array:
    """Return ``x``, integers and truth values in float64."""
    return x if x.dtype.kind in "fc" else astype(x, np.float64)


def flat_without_axis(x: Array, axis: Any) -> tuple[Array, Any]:
    """Return ``x`` and the axis: without one, the entries in row-major order and their only axis."""
    return (ravel(x), 0) if axis is None else (x, axis)


def beside(vector: Array, axis: int, rank: int) -> Array:
    """Return a vector along ``axis`` of arrays with ``rank`` axes."""
    return reshape(vector, tuple(vector.size if position == axis else 1 for position in range(rank)))


def mask_of(name: str, where: Any, x: Array) -> Array | None:
    """Return ``where`` with the shape of ``x``, ``None`` where it leaves out nothing."""
    mask = given(where, True)
    if mask is True:
        return None
    mask = array(name, mask)
    if mask.dtype.kind != "b":
        raise DTypeError(f"{name}: where is bool, not {mask.dtype}: write where != 0")
    if broadcast(name, mask.shape, x.shape) != x.shape:
        raise ShapeError(f"{name}: where of shape {mask.shape} does not broadcast to the shape {x.shape}")
    return broadcast_to(mask, x.shape)


def real_where_known(*values: Array) -> tuple[Array, ...]:
    """Return complex results real where the first is real in all its entries, as `numpy.linalg` does.

    They stay complex where the numbers are not known, or others for every entry of a batch.
    """
    numbers = values[0].concrete()
    if numbers is None or not values[0].decides() or np.any(numbers.imag):
        return values
    return tuple(map(real, values))
