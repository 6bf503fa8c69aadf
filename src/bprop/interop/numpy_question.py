"""NumPy's functions that pass through, made of ops: for `compile`, `trace` and `scan`, where there are no numbers to see."""

from typing import Any

import numpy as np

from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.function import traced_rule
from ..core.op import array
from ..core.shape import normalise_axis
from ..core.value import Array
from ..ops.arithmetic import abs
from ..ops.arrangement import flip
from ..ops.comparison import isfinite, isnan
from ..ops.complex import imag
from ..ops.creation import zeros
from ..ops.data_type import astype
from ..ops.indexing import take
from ..ops.manipulation import broadcast_arrays, moveaxis, ravel
from ..ops.rounding import nextafter
from ..ops.search import searchsorted
from ..ops.selection import where
from ..ops.sorting import argsort, sort
from ..ops.subscript import take_along_axis
from .numpy_argument import floating


# --- true or false ---
@traced_rule(np.isclose)
def _isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Array:
    x, y = array("isclose", a), floating(array("isclose", b))
    close = ((abs(x - y) <= atol + rtol * abs(y)) & isfinite(y)) | (x == y)
    return close | (isnan(x) & isnan(y)) if equal_nan else close


@traced_rule(np.iscomplex)
def _iscomplex(x: Any) -> Array:
    return imag(array("iscomplex", x)) != 0


@traced_rule(np.isreal)
def _isreal(x: Any) -> Array:
    return imag(array("isreal", x)) == 0


def _infinite(name: str, x: Any, value: float) -> Array:
    x = array(name, x)
    if x.dtype.kind == "c":
        raise DTypeError(f"{name}: complex numbers have no order: write numpy.isinf(x)")
    return x == value if x.dtype.kind == "f" else zeros(x.shape, dtype=np.bool_)


@traced_rule(np.isposinf)
def _isposinf(x: Any) -> Array:
    return _infinite("isposinf", x, np.inf)


@traced_rule(np.isneginf)
def _isneginf(x: Any) -> Array:
    return _infinite("isneginf", x, -np.inf)


@traced_rule(np.isin)
def _isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Array:
    x, tested = array("isin", element), sort(ravel(array("isin", test_elements)))
    if kind not in (None, "sort", "table"):
        raise ArgumentError(f"isin: kind is None, 'sort' or 'table', not {kind!r}")
    if tested.size == 0:
        present = zeros(x.shape, dtype=np.bool_)
    else:
        position = searchsorted(tested, x)
        present = take(tested, where(position < tested.size, position, 0)) == x
    return ~present if invert else present


# --- positions and orders ---
@traced_rule(np.digitize)
def _digitize(x: Any, bins: Any, right: bool = False) -> Array:
    x, bins = array("digitize", x), array("digitize", bins)
    if bins.ndim != 1:
        raise ShapeError(f"digitize: the edges are a vector, not of shape {bins.shape}")
    side = "left" if right else "right"
    rising, falling = searchsorted(bins, x, side=side), bins.size - searchsorted(flip(bins), x, side=side)
    numbers = bins.concrete()
    if numbers is not None and bins.decides():
        steps = np.diff(numbers)
        if not (np.all(steps >= 0) or np.all(steps <= 0)):
            raise ArgumentError("digitize: the edges neither rise nor fall throughout: sort them")
        return rising if np.all(steps >= 0) else falling
    return where(bins[0] <= bins[-1], rising, falling) if bins.size else rising


@traced_rule(np.lexsort)
def _lexsort(keys: Any, axis: int = -1) -> Array:
    rows = broadcast_arrays(*(array("lexsort", key) for key in keys))
    if not rows:
        raise ArgumentError("lexsort: there are no keys")
    axis = normalise_axis("lexsort", axis, rows[0].ndim, rows[0].shape)
    rows = [moveaxis(row, axis, -1) for row in rows]
    order = argsort(rows[0])
    for row in rows[1:]:  # the last key counts first; each order keeps what it finds equal as it was
        order = take_along_axis(order, argsort(take_along_axis(row, order, -1)), -1)
    return moveaxis(order, -1, axis)


# --- the distance of a number from the next ---
@traced_rule(np.spacing)
def _spacing(x: Any) -> Array:
    x = floating(array("spacing", x))
    if x.dtype.kind == "c":
        raise DTypeError("spacing: complex numbers have no next one")
    infinity = astype(array("spacing", np.inf), x.dtype)
    return nextafter(x, where(x < 0, -infinity, infinity)) - x
