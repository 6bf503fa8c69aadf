"""Histograms: counts have no derivative, weights in bins have, and so do the edges that are found from the data."""

from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError
from ..core.function import numpy_rule
from ..core.op import array
from ..core.value import Array
from ..ops.arithmetic import multiply
from ..ops.concatenation import unstack
from ..ops.creation import full
from ..ops.data_type import astype
from ..ops.grid import linspace
from ..ops.indexing import scatter_add_op
from ..ops.manipulation import matrix_transpose, ravel, reshape
from ..ops.reduction import max, min, sum
from ..ops.search import concrete, searchsorted
from ..ops.selection import clip, where
from .numpy_argument import floating
from .numpy_shape import at_least_1d

_BINS = "give the bins as a number or as edges"


# --- edges ---
def _outer(name: str, a: Array, limits: Any) -> tuple[Any, Any]:
    """Return the first and the last edge."""
    if limits is not None:
        first, last = limits
        if not (np.isfinite(first) and np.isfinite(last)) or first > last:
            raise ArgumentError(f"{name}: range is a finite number and a larger one, not {limits!r:.60}")
    elif a.size == 0:
        first, last = 0.0, 1.0
    else:
        first, last = min(a), max(a)
        for end in (first, last):
            numbers = end.concrete()
            if numbers is not None and not np.isfinite(numbers).all():
                raise ArgumentError(f"{name}: the data are not finite: give a range")
    low, high = (array(name, end).concrete() for end in (first, last))
    if low is not None and high is not None and low.ndim == high.ndim == 0 and low == high:
        return first - 0.5, last + 0.5
    return first, last


def _edges(name: str, a: Array, bins: Any, limits: Any, like: Any) -> Array:
    """Return the edges of bins that are given as edges, as a number, or by the name of a rule for it.

    ``like``: the dtype that a range of Python numbers takes on.
    """
    if isinstance(bins, str):
        if array(name, a).ndim == 0:
            raise ShapeError(f"{name}: of a number there is no histogram with bins={bins!r}")
        bins = len(np.histogram_bin_edges(concrete(name, a, _BINS), bins, limits)) - 1
    edges = array(name, bins)
    if edges.ndim == 1:
        numbers = edges.concrete()
        if numbers is not None and (numbers[..., 1:] < numbers[..., :-1]).any():
            raise ArgumentError(f"{name}: edges increase")
        return edges
    if edges.ndim or edges.dtype.kind not in "iu":
        raise ArgumentError(f"{name}: bins is a number, a vector of edges or the name of a rule, not {bins!r:.60}")
    count = int(concrete(name, edges, _BINS))
    if count < 1:
        raise ArgumentError(f"{name}: {count} bins: at least one is needed")
    first, last = _outer(name, a, limits)
    dtype = np.result_type(*(getattr(end, "dtype", end) for end in (first, last)), like)
    y = linspace(first, last, count + 1)
    return astype(y, dtype if dtype.kind == "f" else np.float64)


def _positions(a: Array, edges: Array) -> tuple[Array, Array]:
    """Return the bin of every entry, and whether it is in one; the last edge belongs to the last bin."""
    count = edges.size - 1
    inside = (a >= edges[0]) & (a <= edges[-1])
    return clip(searchsorted(edges, a, side="right") - 1, 0, count - 1), inside


def _weights(name: str, weights: Any, a: Array) -> Array | None:
    if weights is None:
        return None
    w = array(name, weights)
    if w.shape != a.shape:
        raise ShapeError(f"{name}: weights of shape {w.shape} for data of shape {a.shape}")
    return ravel(w)


def _filled(positions: Array, inside: Array, weights: Array | None, size: int) -> Array:
    amounts = (
        astype(inside, np.int64)
        if weights is None
        else where(inside, weights, astype(array("histogram", 0), weights.dtype))
    )
    y: Array = scatter_add_op(amounts, positions, size=size)
    return y


# --- one variable ---
@numpy_rule(np.histogram_bin_edges)
def _histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Array:
    return _edges("histogram_bin_edges", ravel(a), bins, range, array("histogram_bin_edges", a).dtype)


@numpy_rule(np.histogram)
def _histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Array, Array]:
    a = array("histogram", a)
    w = _weights("histogram", weights, a)
    a = ravel(a)
    edges = _edges("histogram", a, bins, range, a.dtype)
    counts = _filled(*_positions(a, edges), w, edges.size - 1)
    if density:
        width = floating(edges)
        counts = astype(counts, np.float64) / (width[1:] - width[:-1]) / astype(sum(counts), np.float64)
    return counts, edges


# --- several variables ---
@numpy_rule(np.histogramdd)
def _histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Array, tuple[Array, ...]]:
    if isinstance(sample, list | tuple):
        columns = [ravel(column) for column in sample]
    else:
        x = array("histogramdd", sample)
        columns = list(unstack(matrix_transpose(x) if x.ndim == 2 else reshape(x, (1, -1))))
    rank, size = len(columns), columns[0].size
    all_bins = list(bins) if isinstance(bins, list | tuple | np.ndarray) else [bins] * rank
    limits = [None] * rank if range is None else list(range)
    if len(all_bins) != rank or len(limits) != rank:
        raise ArgumentError(f"histogramdd: {len(all_bins)} bins and {len(limits)} ranges for {rank} variables")
    flat, inside, edges, shape = array("histogramdd", np.zeros(size, np.int64)), None, [], []
    for column, count, limit in zip(columns, all_bins, limits, strict=True):
        own = _edges("histogramdd", column, count, limit, np.float64 if limit is not None else column.dtype)
        position, within = _positions(column, own)
        flat = flat * (own.size - 1) + position
        inside = within if inside is None else inside & within
        edges.append(own)
        shape.append(own.size - 1)
    w = None if weights is None else ravel(weights)
    if w is not None and w.size != size:
        raise ShapeError(f"histogramdd: {w.size} weights for {size} samples")
    assert inside is not None
    counts = astype(_filled(flat, inside, w, int(np.prod(shape))), np.float64)
    if density:
        volume: Array = full((), 1.0)
        for own in edges:
            volume = ravel(multiply(reshape(volume, (-1, 1)), floating(own[1:] - own[:-1])))
        counts = counts / volume / sum(counts)
    return reshape(counts, tuple(shape)), tuple(edges)


@numpy_rule(np.histogram2d)
def _histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Array, Array, Array]:
    x, y = at_least_1d(array("histogram2d", x)), at_least_1d(array("histogram2d", y))
    if x.shape != y.shape:
        raise ShapeError(f"histogram2d: shapes {x.shape} and {y.shape} differ")
    if isinstance(bins, list | tuple | np.ndarray | Array) and len(bins) not in (1, 2):
        bins = [array("histogram2d", bins)] * 2
    counts, edges = _histogramdd([x, y], bins, range, density, weights)
    return counts, edges[0], edges[1]
