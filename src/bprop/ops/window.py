"""Windows along an axis as axes of their own, and their adjoint, which adds up what overlaps."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..core.family import Linear
from ..core.shape import Shape, inverse_permutation

__all__ = []

# Parameters: for each axis its window (outputs, taps, start, stride, dilation), ``None`` for an axis without one. The entry of
# output i and tap k is that at start + i · stride + k · dilation; the tap axes come last, in the order of their axes.


def _shape(x: Any, windows: tuple[Any, ...]) -> Shape:
    sizes = x.shape
    kept = tuple(size if window is None else window[0] for size, window in zip(sizes, windows, strict=True))
    return (*kept, *(window[1] for window in windows if window is not None))


def _position(o: tuple[Any, ...], inner: Shape, windows: tuple[Any, ...]) -> tuple[Any, ...]:
    taps = iter(o[len(inner) :])
    return tuple(
        position if window is None else position * window[3] + next(taps) * window[4] + window[2]
        for position, window in zip(o, windows, strict=False)
    )


def _windows_value(x: Any, windows: tuple[Any, ...]) -> Any:
    shape = _shape(x, windows)
    if not all(shape):
        return np.zeros(shape, x.dtype)
    starts = tuple(slice(None if window is None else window[2], None) for window in windows)
    steps = [step if window is None else step * window[3] for step, window in zip(x.strides, windows, strict=True)]
    steps += [step * window[4] for step, window in zip(x.strides, windows, strict=True) if window is not None]
    return as_strided(x[starts], shape, steps, writeable=False)


def _overlap_add_value(y: Any, shape: Shape, windows: tuple[Any, ...]) -> Any:
    x = np.zeros(shape, y.dtype)
    tap_counts = [window[1] for window in windows if window is not None]
    for taps in np.ndindex(*tap_counts):
        numbers = iter(taps)
        target = []
        for window in windows:
            if window is None:
                target.append(slice(None))
                continue
            outputs, _, start, stride, dilation = window
            first = start + next(numbers) * dilation
            target.append(slice(first, first + (outputs - 1) * stride + 1, stride) if outputs else slice(0, 0))
        x[tuple(target)] += y[(..., *taps)]
    return x


def _windows_reordered(
    axes: tuple[int, ...], windows: tuple[Any, ...]
) -> tuple[dict[str, Any], tuple[int, ...]]:  # fmt: skip
    order = inverse_permutation(axes)
    tapped = [axis for axis in order if windows[axis] is not None]
    taps = (len(axes) + tapped.index(axis) for axis, window in enumerate(windows) if window is not None)
    return {"windows": tuple(windows[axis] for axis in order)}, (*axes, *taps)


_EXAMPLES = (
    ((5,), ((3, 2, 0, 1, 1),)),
    ((6,), ((2, 2, 1, 3, 1),)),
    ((7,), ((3, 3, 4, 1, -2),)),
    ((2, 5, 6), (None, (2, 3, 0, 2, 1), (3, 2, 0, 2, 1))),
    ((2, 4), (None, (0, 2, 0, 1, 1))),
)

windows_op: Linear = Linear(
    "windows",
    _windows_value,
    shape=_shape,
    adjoint=lambda y_bar, x, windows: overlap_add_op(y_bar, shape=x.shape, windows=windows),
    index=_position,
    lift=lambda params, size, x: {"windows": (None, *params["windows"])},
    reorder=_windows_reordered,
    examples=lambda draw: [((draw(*shape),), {"windows": windows}) for shape, windows in _EXAMPLES],
)

overlap_add_op: Linear = Linear(
    "overlap_add",
    _overlap_add_value,
    shape=lambda y, shape, windows: shape,
    adjoint=lambda x_bar, y, shape, windows: windows_op(x_bar, windows=windows),
    index=lambda i, inner, shape, windows: _position(i, shape, windows),
    lift=lambda params, size, x: {"shape": (size, *params["shape"]), "windows": (None, *params["windows"])},
    examples=lambda draw: [
        ((draw(*_shape(np.empty(shape), windows)),), {"shape": shape, "windows": windows})
        for shape, windows in _EXAMPLES
    ],
    scatter=True,
)
