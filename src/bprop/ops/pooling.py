"""Pooling: the largest or the mean entry of every window, channel by channel."""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from ..core import dtype as dtypes
from ..core.error import ArgumentError, ShapeError
from ..core.function import function
from ..core.number import flag
from ..core.op import array
from ..core.shape import Shape
from ..core.value import Array
from .arithmetic import add
from .arrangement import pad
from .contraction import einsum_op
from .data_type import astype
from .indexing import slice_along, take
from .reduction import sum
from .selection import where
from .spatial import LAYOUTS, Layout, by_axis, layout_of, outputs_of, padding_of
from .window import windows_op

SLICES = 8
"""Entries of a window along an axis up to which each is a slice of its own."""

__all__ = ["adaptive_avg_pool", "adaptive_max_pool", "avg_pool", "max_pool"]


class _Pooling(NamedTuple):
    """Windows over spatial axes: for each its size, taps, stride, dilation, padding and number of outputs."""

    form: Layout
    axes: tuple[int, ...]
    sizes: Shape
    taps: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    outputs: tuple[int, ...]

    def padded(self, x: Array, fill: float) -> Array:
        """Return ``x`` with what its windows see beyond its edges: ``fill``."""
        widths = []
        for before, size, o, s, k, d in zip(
            (before for before, _ in self.padding), self.sizes, self.outputs, self.stride, self.taps, self.dilation,
            strict=True,
        ):  # fmt: skip
            widths.append((before, max(0, (o - 1) * s + (k - 1) * d + 1 - size - before)))
        if not any(map(any, widths)):
            return x
        by_axis = dict(zip(self.axes, widths, strict=True))
        return pad(x, [by_axis.get(axis, (0, 0)) for axis in range(x.ndim)], constant_values=fill)

    def combined(self, x: Array, combine: Callable[[Array, Array], Array]) -> Array:
        """Return the entries of every window combined: axis by axis, the last one first, and in each in their order.

        Entry k of all windows is a slice of ``x``. More than `SLICES` of them are combined by doubling: windows of 2, 4, …
        entries at every position, of which the last two overlap.
        """
        cuts = list(zip(self.axes, self.outputs, self.taps, self.stride, self.dilation, strict=True))
        for axis, outputs, taps, stride, dilation in reversed(cuts):
            x = _combined_along(x, axis, outputs, taps, stride, dilation, combine)
        return x

    def sums(self, x: Array) -> Array:
        """Return the sum of every window."""
        if max(self.taps) <= SLICES:
            return self.combined(x, add)
        cut = dict(zip(self.axes, zip(self.outputs, self.taps, self.stride, self.dilation, strict=True), strict=True))
        windows = [cut.get(axis) for axis in range(x.ndim)]
        y = windows_op(x, windows=tuple(window and (*window[:2], 0, *window[2:]) for window in windows))
        return sum(y, axis=tuple(range(-self.form.rank, 0)))

    def counts(self, x: Array, includes_padding: bool) -> Any:
        """Return how many entries each mean is over, as an array that broadcasts to the result."""
        total = np.ones((), dtype=x.dtype)
        for axis, size, k, s, d, (before, after), outputs in zip(
            self.axes, self.sizes, self.taps, self.stride, self.dilation, self.padding, self.outputs, strict=True
        ):
            entries = np.arange(outputs)[:, None] * s + np.arange(k) * d - before
            low, end = (-before, size + after) if includes_padding else (0, size)
            count = ((entries >= low) & (entries < end)).sum(1).astype(x.dtype)
            total = total * count.reshape(-1, *(1,) * (x.ndim - 1 - axis))
        return total


def _pooling(
    name: str, x: Array, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any, layout: Any
) -> _Pooling:  # fmt: skip
    rank = len(size) if isinstance(size, tuple | list) else len(layout) - 2 if isinstance(layout, str) else 2
    if rank not in LAYOUTS:
        raise ArgumentError(f"{name}: there are 1 to 3 spatial axes, not {rank}")
    form = layout_of(name, rank, layout)
    taps, rates = by_axis(name, "size", size, rank), by_axis(name, "dilation", dilation, rank)
    steps = taps if stride is None else by_axis(name, "stride", stride, rank)
    _, _, sizes = form.split(name, x.shape)
    pads = padding_of(name, padding, steps, tuple((k - 1) * d for k, d in zip(taps, rates, strict=True)))
    axes, outputs = tuple(axis % x.ndim for axis in form.spatial), []
    for axis, length, (before, after), k, s, d in zip(axes, sizes, pads, taps, steps, rates, strict=True):
        if before > k // 2 or after > k // 2:
            raise ArgumentError(
                f"{name}: padding is at most half a window, {k // 2} for a window of {k}, not {padding!r}"
            )
        count = outputs_of(name, axis, length, (before, after), k, s, d)
        rest = length + before + after - ((count - 1) * s + (k - 1) * d + 1)
        if flag(name, "ceil_mode", ceil_mode) and rest > 0 and count * s < length + before:
            count += 1  # a window that hangs over the end, and begins inside
        outputs.append(count)
    return _Pooling(form, axes, sizes, taps, steps, rates, pads, tuple(outputs))


def _combined_along(
    x: Array, axis: int, outputs: int, taps: int, stride: int, dilation: int, combine: Callable[[Array, Array], Array]
) -> Array:  # fmt: skip
    if taps <= SLICES:
        entries = [slice_along(x, axis, k * dilation, outputs, stride) for k in range(taps)]
        return reduce(combine, entries)
    width, count = 1, (outputs - 1) * stride + 1  # windows of ``width`` entries begin at every position that is needed
    while 2 * width <= taps:
        reach = x.shape[axis] - width * dilation
        x = combine(slice_along(x, axis, 0, reach), slice_along(x, axis, width * dilation, reach))
        width *= 2
    if width < taps:
        x = combine(slice_along(x, axis, 0, count), slice_along(x, axis, (taps - width) * dilation, count))
    return slice_along(x, axis, 0, outputs, stride)


def _first_larger(x1: Array, x2: Array) -> Array:
    """The larger of two entries, the first of equal ones, and NaN where one is."""
    return where((x2 > x1) | (x2 != x2), x2, x1)


@function()
def max_pool(
    x: Any,
    /,
    size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    ceil_mode: bool = False,
    layout: str | None = None,
) -> Array:
    """y[c, i] = max_k x[c, i · stride + k · dilation − padding]: the largest entry of every window.

    - ``x``: (…, channels, height, width); with a layout or a tuple of sizes for 1 or 3 axes, as for `bprop.conv`.
    - ``size``: entries of a window; a number, or one for each spatial axis.
    - ``stride``: steps between windows; by default ``size``, so that they lie side by side.
    - ``padding``: entries at both ends that are never the largest, at most half a window.
    - ``dilation``: steps between the entries of a window.
    - ``ceil_mode``: whether there is another window where entries are left over at the end.
    - ``layout``: "NCL", "NCHW", "NCDHW", or "NLC", "NHWC", "NDHWC".

    The derivative goes to the largest entry, of equally large ones to the first, as in PyTorch (`bprop.max` shares it
    evenly). Raises `ShapeError` where a window does not fit.

    **Source:** Goodfellow, Bengio & Courville (2016), Deep Learning, section 9.3.

    >>> import bprop
    >>> bprop.max_pool(bprop.asarray([[1.0, 3.0, 2.0, 0.0]]), 2, layout="NCL")
    Array([[3., 2.]])
    """
    x = array("max_pool", x)
    pooling = _pooling("max_pool", x, size, stride, padding, dilation, ceil_mode, layout)
    fill = -np.inf if dtypes.is_float(x.dtype) else 0 if x.dtype.kind == "b" else np.iinfo(x.dtype).min
    return pooling.combined(pooling.padded(x, fill), _first_larger)


@function()
def avg_pool(
    x: Any,
    /,
    size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    layout: str | None = None,
) -> Array:
    """y[c, i] = mean_k x[c, i · stride + k − padding]: the mean entry of every window.

    - ``x``, ``size``, ``stride``, ``padding``, ``ceil_mode``, ``layout``: as for `max_pool`; padding counts as zeros.
    - ``count_include_pad``: whether the entries of the padding are among those that the sum is divided by.

    Integers give float64. Raises `ShapeError` where a window does not fit.

    **Source:** Goodfellow, Bengio & Courville (2016), Deep Learning, section 9.3; PyTorch 2, ``torch.nn.AvgPool2d``.

    >>> import bprop
    >>> bprop.avg_pool(bprop.asarray([[1.0, 3.0, 2.0, 0.0]]), 2, layout="NCL")
    Array([[2., 1.]])
    """
    x = _floating("avg_pool", x)
    pooling = _pooling("avg_pool", x, size, stride, padding, 1, ceil_mode, layout)
    total = pooling.sums(pooling.padded(x, 0.0))
    counts = pooling.counts(x, flag("avg_pool", "count_include_pad", count_include_pad))
    uniform = float(counts.flat[0]) if (counts == counts.flat[0]).all() else None
    return total / (counts if uniform is None else uniform)


def _floating(name: str, x: Any) -> Array:
    """Return ``x``, integers as float64: what `bprop.mean` makes of them."""
    x = array(name, x)
    return x if dtypes.is_inexact(x.dtype) else astype(x, np.float64)


# --- to a given size ---
def _bins(size: int, outputs: int) -> list[tuple[int, int]]:
    """Return where each of ``outputs`` bins begins and ends: ⌊i · size / outputs⌋ and ⌈(i + 1) · size / outputs⌉."""
    return [(i * size // outputs, -(-(i + 1) * size // outputs)) for i in range(outputs)]


def _adaptive(name: str, x: Array, outputs: Any, layout: Any) -> list[tuple[int, int, int]]:
    """Return (axis, size, outputs) of each spatial axis."""
    rank = len(outputs) if isinstance(outputs, tuple | list) else len(layout) - 2 if isinstance(layout, str) else 2
    if rank not in LAYOUTS:
        raise ArgumentError(f"{name}: there are 1 to 3 spatial axes, not {rank}")
    form = layout_of(name, rank, layout)
    _, _, sizes = form.split(name, x.shape)
    entries = outputs if isinstance(outputs, tuple | list) else (outputs,) * rank
    counts = by_axis(name, "outputs", [n if o is None else o for o, n in zip(entries, sizes, strict=True)], rank)
    for axis, size in zip(form.spatial, sizes, strict=True):
        if not size:
            raise ShapeError(f"{name}: axis {axis % x.ndim} of shape {x.shape} is empty")
    return [(axis % x.ndim, n, o) for axis, n, o in zip(form.spatial, sizes, counts, strict=True)]


@function()
def adaptive_avg_pool(x: Any, /, outputs: int | tuple[int | None, ...], layout: str | None = None) -> Array:
    """Mean over bins, as many as ``outputs`` along each axis: bin i has the entries ⌊i n / outputs⌋ to ⌈(i + 1) n / outputs⌉.

    - ``x``, ``layout``: as for `max_pool`.
    - ``outputs``: the length of each spatial axis of y; a number, or one for each (``None``: as x); 1 is the mean over all.

    Integers give float64.

    **Source:** PyTorch 2, ``torch.nn.AdaptiveAvgPool2d``; for one bin Lin, Chen & Yan (2014), Network in network, section 3.2.

    >>> import bprop
    >>> bprop.adaptive_avg_pool(bprop.asarray([[1.0, 3.0, 2.0]]), 2, layout="NCL")
    Array([[2. , 2.5]])
    """
    x = _floating("adaptive_avg_pool", x)
    axes = _adaptive("adaptive_avg_pool", x, outputs, layout)
    if all(count == 1 for _, _, count in axes):
        mean = sum(x, axis=tuple(axis for axis, _, _ in axes), keepdims=True)
        return mean / float(np.prod([size for _, size, _ in axes]))
    for axis, size, count in axes:
        weights = np.zeros((count, size), x.dtype)
        for row, (start, stop) in zip(weights, _bins(size, count), strict=True):
            row[start:stop] = 1 / (stop - start)
        names = "abcdefgh"[: x.ndim]
        x = einsum_op(x, weights, labels=(names, "z" + names[axis], names[:axis] + "z" + names[axis + 1 :]))
    return x


@function()
def adaptive_max_pool(x: Any, /, outputs: int | tuple[int | None, ...], layout: str | None = None) -> Array:
    """Largest entry of every bin; the bins are those of `adaptive_avg_pool`.

    - ``x``, ``outputs``, ``layout``: as there.

    **Source:** PyTorch 2, ``torch.nn.AdaptiveMaxPool2d``.

    >>> import bprop
    >>> bprop.adaptive_max_pool(bprop.asarray([[1.0, 3.0, 2.0]]), 2, layout="NCL")
    Array([[3., 3.]])
    """
    x = array("adaptive_max_pool", x)
    # the last axis first: of equal entries that of the first row
    for axis, size, count in reversed(_adaptive("adaptive_max_pool", x, outputs, layout)):
        bins = _bins(size, count)
        width = int(np.max([stop - start for start, stop in bins]))
        if size == count * width:
            x = _combined_along(x, axis, count, width, width, 1, _first_larger)
            continue
        # bins of other lengths than the longest take their last entry more than once
        indices = np.array([[np.minimum(start + k, stop - 1) for k in range(width)] for start, stop in bins])
        x = take(x, indices.reshape(-1), axis=axis)
        x = _combined_along(x, axis, count, width, width, 1, _first_larger)
    return x
