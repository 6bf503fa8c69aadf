"""Arrays made from parameters alone: full, zeros, ones, empty, arange. Nothing to differentiate."""

from math import ceil
from operator import index
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import device as devices
from ..core import dtype as dtypes
from ..core.error import ArgumentError, BpropError
from ..core.family import Creation
from ..core.foreign_array import lent
from ..core.function import function
from ..core.number import numpy_flag
from ..core.op import array
from ..core.shape import normalise_shape
from ..core.value import Array, asarray

__all__ = [
    "arange",
    "empty",
    "empty_like",
    "from_dlpack",
    "full",
    "full_like",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]

_full = Creation(
    "full",
    lambda shape, value, dtype: np.full(shape, value, dtype),
    entry="constant",
    canonical=True,
    examples=lambda draw: [((), {"shape": shape, "value": 2.5, "dtype": draw.dtype}) for shape in ((), (2, 3), (0, 3))],
    text=lambda shape, value, dtype: f"full({shape}, {value})",
    code=lambda shape, value, dtype: f"np.full({shape}, {value}, np.{dtype})",
    latex=lambda shape, value, dtype: f"\\mathbf{{{{{value}}}}}",
)

_arange = Creation(
    "arange",
    lambda shape, start, step, dtype: (start + step * np.arange(shape[0])).astype(dtype),
    entry="affine",
    examples=lambda draw: [((), {"shape": (n,), "start": 1, "step": 0.5, "dtype": draw.dtype}) for n in (0, 5)],
    code=lambda shape, start, step, dtype: f"({start} + {step} * np.arange({shape[0]})).astype(np.{dtype})",
    text=lambda shape, start, step, dtype: f"arange({shape[0]})" if (start, step, dtype) == (0, 1, np.int64) else None,
)


@function()
def full(shape: Any, fill_value: float, *, dtype: DTypeLike | None = None, device: str | None = None) -> Array:
    """Return an array of ``shape`` filled with one number; the dtype follows the number (float64, int64, bool, complex128).

    **Source:** Python Array API standard 2024.12, ``full``.

    >>> import bprop
    >>> bprop.full((2,), 7.0)
    Array([7., 7.])
    """
    return _filled("full", shape, fill_value, dtype, device)


def _filled(name: str, shape: Any, fill_value: Any, dtype: Any, device: Any) -> Array:
    devices.check(device, name)
    if not isinstance(fill_value, bool | int | float | complex | np.generic):
        raise ArgumentError(f"{name}: the fill value is a number, not {type(fill_value).__name__}: use broadcast_to")
    wanted = dtypes.check(np.asarray(fill_value).dtype if dtype is None else dtype, name)
    value = np.asarray(fill_value)
    dtypes.refuse_dropping(name, value.dtype, wanted)
    if wanted.kind in "iu" and not np.iinfo(wanted).min <= value.item() <= np.iinfo(wanted).max:  # NaN too
        raise ArgumentError(f"{name}: {fill_value} is no {wanted}")
    return _full(shape=normalise_shape(name, shape), value=value.astype(wanted).item(), dtype=wanted)


@function()
def zeros(shape: Any, *, dtype: DTypeLike | None = None, device: str | None = None) -> Array:
    """Return zeros of ``shape``, float64 unless told otherwise.

    **Source:** Python Array API standard 2024.12, ``zeros``.

    >>> import bprop
    >>> bprop.zeros(2)
    Array([0., 0.])
    """
    return _filled("zeros", shape, 0, dtypes.DEFAULT if dtype is None else dtype, device)


@function()
def ones(shape: Any, *, dtype: DTypeLike | None = None, device: str | None = None) -> Array:
    """Return ones of ``shape``, float64 unless told otherwise.

    **Source:** Python Array API standard 2024.12, ``ones``.

    >>> import bprop
    >>> bprop.ones(2, dtype="float32")
    Array([1., 1.], dtype=float32)
    """
    return _filled("ones", shape, 1, dtypes.DEFAULT if dtype is None else dtype, device)


@function()
def empty(shape: Any, *, dtype: DTypeLike | None = None, device: str | None = None) -> Array:
    """Return an array to be filled. Arrays here never change, so it may as well hold zeros, and does.

    **Source:** Python Array API standard 2024.12, ``empty``.

    >>> import bprop
    >>> bprop.empty(2).shape
    (2,)
    """
    return _filled("empty", shape, 0, dtypes.DEFAULT if dtype is None else dtype, device)


@function()
def empty_like(x: Any, /, *, dtype: DTypeLike | None = None, device: str | None = None) -> Array:
    """Return zeros with the shape and dtype of ``x``, as `zeros_like`.

    **Source:** Python Array API standard 2024.12, ``empty_like``.

    >>> import bprop
    >>> bprop.empty_like(bprop.arange(2)).dtype
    dtype('int64')
    """
    return _like("empty_like", x, 0, dtype, device)


@function()
def full_like(x: Any, /, fill_value: float, *, dtype: DTypeLike | None = None, device: str | None = None) -> Array:
    """Return an array with the shape and dtype of ``x`` filled with one number.

    **Source:** Python Array API standard 2024.12, ``full_like``.

    >>> import bprop
    >>> bprop.full_like(bprop.ones(2), 7)
    Array([7., 7.])
    """
    return _like("full_like", x, fill_value, dtype, device)


def _like(name: str, x: Any, fill_value: Any, dtype: Any, device: Any) -> Array:
    x = array(name, x)
    return _filled(name, x.shape, fill_value, x.dtype if dtype is None else dtype, device)


@function()
def zeros_like(x: Any, /, *, dtype: DTypeLike | None = None, device: str | None = None) -> Array:
    """Return zeros with the shape and dtype of ``x``.

    **Source:** Python Array API standard 2024.12, ``zeros_like``.

    >>> import bprop
    >>> bprop.zeros_like(bprop.arange(2))
    Array([0, 0])
    """
    return _like("zeros_like", x, 0, dtype, device)


@function()
def ones_like(x: Any, /, *, dtype: DTypeLike | None = None, device: str | None = None) -> Array:
    """Return ones with the shape and dtype of ``x``.

    **Source:** Python Array API standard 2024.12, ``ones_like``.

    >>> import bprop
    >>> bprop.ones_like(bprop.arange(2))
    Array([1, 1])
    """
    return _like("ones_like", x, 1, dtype, device)


@function()
def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Array:
    """Return start, start + step, … below ``stop`` (from 0 if one number is given); int64 for integers, else float64.

    **Source:** Python Array API standard 2024.12, ``arange``.

    >>> import bprop
    >>> bprop.arange(1, 2, 0.25)
    Array([1.  , 1.25, 1.5 , 1.75])
    """
    devices.check(device, "arange")
    first, last = (0, start) if stop is None else (start, stop)
    for bound in (first, last, step):
        if isinstance(bound, Array) and bound.concrete() is None:
            index(bound)  # refuses, and says where sizes are taken from
    try:
        if step == 0:
            raise ArgumentError("arange: step is zero")
        count = max(0, ceil((last - first) / step))
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, BpropError):
            raise
        raise ArgumentError(
            f"arange: start, stop and step are finite numbers, not {start!r}, {stop!r} and {step!r}"
        ) from None
    natural = (
        dtypes.INT if all(isinstance(bound, int | np.integer) for bound in (first, last, step)) else dtypes.DEFAULT
    )
    wanted = natural if dtype is None else dtypes.check(dtype, "arange")
    return _arange(shape=(count,), start=first, step=step, dtype=wanted)


@function()
def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Array:
    """Return the entries of another library's array on the CPU, which it lends by DLPack.

    They are copied, since the other library could change them under a gradient that needs them; ``copy=False`` shares
    them. An `Array` comes back as it is, its derivative with it. Raises `ArgumentError` for what has no DLPack.

    **Source:** Python Array API standard 2024.12, ``from_dlpack``.

    >>> import bprop, numpy as np
    >>> bprop.from_dlpack(np.ones(2))
    Array([1., 1.])
    """
    devices.check(device, "from_dlpack")
    if isinstance(x, Array):
        return x
    if not hasattr(x, "__dlpack__"):
        raise ArgumentError(f"from_dlpack: {type(x).__name__} has no __dlpack__: use bprop.asarray")
    return asarray(
        lent("from_dlpack", x, by_dlpack=True), copy=None if copy is None else numpy_flag("from_dlpack", "copy", copy)
    )
