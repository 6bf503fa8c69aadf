"""Sets and orders as NumPy calls them: which entry a value comes from is found from the numbers, and has its derivative."""

from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError
from ..core.function import numpy_rule
from ..core.op import array
from ..core.shape import normalise_axis
from ..core.value import Array
from ..ops import set as sets
from ..ops.comparison import isnan
from ..ops.complex import imag, real
from ..ops.concatenation import concat
from ..ops.data_type import astype
from ..ops.indexing import take
from ..ops.manipulation import ravel, reshape
from ..ops.search import concrete, nonzero
from ..ops.sorting import argsort, sort
from ..ops.subscript import take_along_axis
from .numpy_argument import flat_without_axis

_INSTEAD = "take bprop.sort(x) and compare neighbours, with bprop.where for what is to count once"


# --- different values ---
@numpy_rule(np.unique)
def _unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False, axis: Any = None, *,
    equal_nan: bool = True, sorted: bool = True,
) -> Any:  # fmt: skip
    x = array("unique", ar)
    if axis is not None:
        axis = normalise_axis("unique", axis, x.ndim, x.shape)
    numbers = concrete("unique", x, _INSTEAD)
    _, index, inverse, counts = np.unique(numbers, True, True, True, axis, equal_nan=equal_nan)
    rows, along = flat_without_axis(x, axis)
    outputs = [take(rows, index, axis=along)]
    for wanted, output in ((return_index, index), (return_inverse, inverse), (return_counts, counts)):
        outputs += [array("unique", output)] if wanted else []
    return tuple(outputs) if len(outputs) > 1 else outputs[0]


def _standard(ours: Any) -> Any:
    def rule(x: Any) -> Any:
        return ours(x)

    return rule


for _theirs, _ours in (
    ("unique_all", sets.unique_all), ("unique_counts", sets.unique_counts), ("unique_inverse", sets.unique_inverse),
    ("unique_values", sets.unique_values),
):  # fmt: skip
    numpy_rule(getattr(np, _theirs, None))(_standard(_ours))


def _flat(name: str, *arrays: Any) -> list[Array]:
    return [ravel(array(name, x)) for x in arrays]


@numpy_rule(np.union1d)
def _union1d(ar1: Any, ar2: Any) -> Any:
    return _unique(concat(_flat("union1d", ar1, ar2)))


@numpy_rule(np.intersect1d)
def _intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    x1, x2 = _flat("intersect1d", ar1, ar2)
    first_set, second_set = (concrete("intersect1d", x, _INSTEAD) for x in (x1, x2))
    _, first, second = np.intersect1d(first_set, second_set, assume_unique, return_indices=True)
    y = take(x1, first, axis=0).astype(np.result_type(x1.dtype, x2.dtype))
    return (y, array("intersect1d", first), array("intersect1d", second)) if return_indices else y


@numpy_rule(np.setdiff1d)
def _setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Array:
    x1, x2 = _flat("setdiff1d", ar1, ar2)
    x1 = x1 if assume_unique else _unique(x1)
    others = concrete("setdiff1d", x2, _INSTEAD)
    return take(x1, np.flatnonzero(~np.isin(concrete("setdiff1d", x1, _INSTEAD), others)), axis=0)


@numpy_rule(np.setxor1d)
def _setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Array:
    x1, x2 = (x if assume_unique else _unique(x) for x in _flat("setxor1d", ar1, ar2))
    values = sort(concat([x1, x2]))
    numbers = concrete("setxor1d", values, _INSTEAD)
    changes = np.concatenate([[True], numbers[1:] != numbers[:-1], [True]])
    return take(values, np.flatnonzero(changes[1:] & changes[:-1]), axis=0)


# --- orders ---
def _no_fields(name: str, order: Any) -> None:
    if order is not None:
        raise ArgumentError(f"{name}: order names fields, and bprop arrays have none")


def _kind(name: str, kind: Any, stable: Any) -> bool:
    """Return whether equal entries keep their order."""
    if kind not in (None, "quicksort", "heapsort", "mergesort", "stable"):
        raise ArgumentError(f"numpy.{name}: there is no kind {kind!r} of sorting: write 'stable' or nothing")
    if kind is not None and stable is not None:
        raise ArgumentError(f"numpy.{name}: kind and stable say the same thing: give one of them")
    return bool(stable) or kind in ("mergesort", "stable")


@numpy_rule(np.sort)
def _sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Array:
    _no_fields("sort", order)
    x, axis = flat_without_axis(array("sort", a), axis)
    return sort(x, axis, stable=_kind("sort", kind, stable))


@numpy_rule(np.sort_complex)
def _sort_complex(a: Any) -> Array:
    x = array("sort_complex", a)
    if x.ndim == 0:
        raise ShapeError("sort_complex: an array without axes has no order: give it one axis or more")
    if x.dtype.kind != "c":
        return astype(sort(x), np.complex64 if x.dtype.char in "bhBH" else np.complex128)
    for key in (imag, real, _missing):  # the last key first: each order keeps what it finds equal as it was
        x = take_along_axis(x, argsort(key(x)), -1)
    return x


def _missing(z: Array) -> Array:
    """Return a key that puts numbers before those with NaN in the imaginary part, and these before those with it in the real one."""
    return isnan(real(z)) * 2 + isnan(imag(z))


@numpy_rule(np.argsort)
def _argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Array:
    _no_fields("argsort", order)
    x, axis = flat_without_axis(array("argsort", a), axis)
    return argsort(x, axis, stable=_kind("argsort", kind, stable))


def _partitioned(name: str, ours: Any, a: Any, kth: Any, axis: Any, kind: Any, order: Any) -> Array:
    """Return all entries in order: one of the orders that NumPy allows, and the same on every machine."""
    _no_fields(name, order)
    if kind != "introselect":
        raise ArgumentError(f"{name}: kind is 'introselect', not {kind!r}")
    x, axis = flat_without_axis(array(name, a), axis)
    size, ranks = x.shape[normalise_axis(name, axis, x.ndim, x.shape)], np.atleast_1d(np.asarray(kth))
    if ranks.dtype.kind not in "iu" or ranks.ndim != 1:
        raise ArgumentError(f"{name}: kth is an integer or a sequence of them, not {kth!r:.60}")
    if ((ranks < -size) | (ranks >= size)).any():
        raise ArgumentError(f"{name}: kth={kth!r:.60} is out of range for axis {axis} of size {size}")
    y: Array = ours(x, axis)
    return y


@numpy_rule(np.partition)
def _partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Array:
    return _partitioned("partition", sort, a, kth, axis, kind, order)


@numpy_rule(np.argpartition)
def _argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Array:
    return _partitioned("argpartition", argsort, a, kth, axis, kind, order)


@numpy_rule(np.ix_)
def _ix(*args: Any) -> tuple[Array, ...]:
    ys = []
    for number, arg in enumerate(args):
        x = array("ix_", arg)
        if x.ndim != 1:
            raise ArgumentError(f"ix_: argument {number} is a vector, not of shape {x.shape}")
        x = nonzero(x)[0] if x.dtype.kind == "b" else x
        ys.append(reshape(x, tuple(x.size if axis == number else 1 for axis in range(len(args)))))
    return tuple(ys)
