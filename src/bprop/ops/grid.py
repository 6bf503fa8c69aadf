"""Evenly spaced numbers, and coordinates of grids."""

from operator import index as as_integer
from typing import Any

from numpy.typing import DTypeLike

from ..core import device as devices
from ..core import dtype as dtypes
from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.function import function
from ..core.op import array
from ..core.traced_float import plain
from ..core.value import Array
from .creation import arange
from .data_type import astype
from .manipulation import broadcast_to, reshape
from .selection import where

__all__ = ["linspace", "meshgrid"]


@function()
def linspace(
    start: Any,
    stop: Any,
    /,
    num: int = 50,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    endpoint: bool = True,
) -> Array:
    """Return ``num`` evenly spaced numbers from ``start`` to ``stop`` (which ``endpoint=False`` leaves out).

    yᵢ = start + i (stop - start)/(num - 1). ``start`` and ``stop``: numbers, or arrays of shape (), with a derivative;
    float64 unless told otherwise.

    **Source:** Python Array API standard 2024.12, ``linspace``.

    >>> import bprop
    >>> bprop.linspace(0, 1, 5)
    Array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    devices.check(device, "linspace")
    start, stop = plain(start), plain(stop)
    first, last = array("linspace", start), array("linspace", stop)
    for end in (first, last):
        if end.shape:
            raise ShapeError(f"linspace: start and stop are single numbers, not of shape {end.shape}")
    ends = (bound if type(bound) in dtypes.WEAK else end.dtype for bound, end in ((start, first), (stop, last)))
    natural = dtypes.to_float(dtypes.result_type(*ends))
    wanted = natural if dtype is None else dtypes.check(dtype, "linspace")
    if not dtypes.is_float(wanted):
        raise DTypeError(f"linspace: {wanted} numbers cannot be spaced evenly in general: use bprop.arange, or astype")
    try:
        count = as_integer(num)
    except TypeError:
        raise ArgumentError(f"linspace: num is an integer, not {num!r:.60}") from None
    if count < 0:
        raise ArgumentError(f"linspace: num is not negative: {count}")
    first, last = astype(first, natural), astype(last, natural)
    index = arange(count, dtype=natural)
    intervals = count - 1 if endpoint else count
    y = first + index * ((last - first) / max(intervals, 1))
    if endpoint and count > 1:  # exactly
        y = where(index == count - 1, last, y)
    return astype(y, wanted)


@function()
def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Array]:
    """Return for every vector an array over the whole grid: with ``indexing="ij"`` yₖ[i₀, i₁, …] = xₖ[iₖ]; with ``"xy"``
    the first two axes are exchanged.

    Raises `ShapeError` for arrays with more than one axis.

    **Source:** Python Array API standard 2024.12, ``meshgrid``.

    >>> import bprop
    >>> [x.shape for x in bprop.meshgrid(bprop.arange(2), bprop.arange(3), indexing="ij")]
    [(2, 3), (2, 3)]
    """
    if not isinstance(indexing, str) or indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    xs = [array("meshgrid", x) for x in arrays]
    for x in xs:
        if x.ndim > 1:
            raise ShapeError(f"meshgrid: shape {x.shape} has {x.ndim} axes: coordinates are vectors")
    axes = list(range(len(xs)))
    if indexing == "xy":
        axes[:2] = axes[:2][::-1]
    shape = [0] * len(xs)
    for axis, x in zip(axes, xs, strict=True):
        shape[axis] = x.size
    lines = [
        reshape(x, tuple(x.size if position == axis else 1 for position in range(len(xs))))
        for axis, x in zip(axes, xs, strict=True)
    ]
    return [broadcast_to(line, tuple(shape)) for line in lines]
