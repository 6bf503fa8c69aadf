"""Sets: the different values of an array. How many there are depends on the numbers, so these are for eager code."""

from typing import Any, NamedTuple

import numpy as np

from ..core.function import function
from ..core.op import array
from ..core.value import Array, asarray
from .indexing import take
from .manipulation import reshape
from .search import concrete

__all__ = ["unique_all", "unique_counts", "unique_inverse", "unique_values"]


class UniqueAll(NamedTuple):
    """The different values, where each occurs first, which of them each entry is, and how often each occurs."""

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class UniqueCounts(NamedTuple):
    """The different values, and how often each occurs."""

    values: Array
    counts: Array


class UniqueInverse(NamedTuple):
    """The different values, and which of them each entry is."""

    values: Array
    inverse_indices: Array


def _unique(name: str, x: Any, equal_nan: bool = False) -> UniqueAll:
    x = array(name, x)
    instead = "take bprop.sort(x) and compare neighbours, with bprop.where for what is to count once"
    numbers = concrete(name, x, instead)
    _, indices, inverse, counts = np.unique(
        numbers, return_index=True, return_inverse=True, return_counts=True, equal_nan=equal_nan
    )
    places = asarray(indices, copy=False)
    return UniqueAll(
        take(reshape(x, (-1,)), places, axis=0),
        places,
        asarray(inverse.reshape(x.shape), copy=False),
        asarray(counts, copy=False),
    )


@function()
def unique_all(x: Any, /) -> UniqueAll:
    """Return the sorted different ``values`` with ``indices`` (of the first), ``inverse_indices`` and ``counts``.

    values[inverse_indices] = x; inverse_indices has the shape of x. Each NaN is different from all others. The
    cotangent of a value goes to its first occurrence. Inside trace, compile and vmap `TracedValueError` is raised.

    **Source:** Python Array API standard 2024.12, ``unique_all``.

    >>> import bprop
    >>> bprop.unique_all(bprop.asarray([3, 1, 3])).counts
    Array([1, 2])
    """
    return _unique("unique_all", x)


@function()
def unique_counts(x: Any, /) -> UniqueCounts:
    """Return the sorted different ``values`` and their ``counts``; NaN, cotangents and errors as in `unique_all`.

    **Source:** Python Array API standard 2024.12, ``unique_counts``.

    >>> import bprop
    >>> values, counts = bprop.unique_counts(bprop.asarray([3, 1, 3]))
    >>> values, counts
    (Array([1, 3]), Array([1, 2]))
    """
    unique = _unique("unique_counts", x)
    return UniqueCounts(unique.values, unique.counts)


@function()
def unique_inverse(x: Any, /) -> UniqueInverse:
    """Return the sorted different ``values`` and ``inverse_indices``: values[inverse_indices] = x; see `unique_all`.

    **Source:** Python Array API standard 2024.12, ``unique_inverse``.

    >>> import bprop
    >>> bprop.unique_inverse(bprop.asarray([3, 1, 3])).inverse_indices
    Array([1, 0, 1])
    """
    unique = _unique("unique_inverse", x)
    return UniqueInverse(unique.values, unique.inverse_indices)


@function()
def unique_values(x: Any, /) -> Array:
    """Return the sorted different values of ``x``; NaN, cotangents and errors as in `unique_all`.

    **Source:** Python Array API standard 2024.12, ``unique_values``.

    >>> import bprop
    >>> bprop.unique_values(bprop.asarray([3.0, 1.0, 3.0]))
    Array([1., 3.])
    """
    return _unique("unique_values", x).values
