"""`Upsample`: larger images, by repeated or by interpolated pixels. Both are linear in x, made of linear ops."""

from collections.abc import Sequence
from math import floor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError, ShapeError
from ..core.number import flag, integer, number
from ..core.value import Array, asarray
from ..ops import astype, broadcast_to, expand_dims, reshape, take
from ..ops.spatial import check_axes, layout_name
from .module import Module


class Upsample(Module):
    """y = x with other numbers of rows and columns: pixels repeated ("nearest") or interpolated ("bilinear").

    ``x``: (N, channels, H, W), in layout "NHWC" (N, H, W, channels); ``y``: with (H', W') in place of (H, W), given as
    ``size``, or by ``scale_factor`` s: H' = ⌊s H⌋. Along each axis the output i is read at the position

    - "nearest": ⌊i H / H'⌋;
    - "bilinear": (i + ½) H / H' - ½, but not below 0: pixels are squares. Between two pixels it is interpolated linearly,
      beyond the last it is the last;
    - "bilinear" with ``align_corners``: i (H - 1) / (H' - 1), so that the corners stay where they are.

    With ``scale_factor`` H / H' is 1 / s. (PyTorch rounds H / H' to single precision: "nearest" then takes the pixel before
    in one of a hundred pairs of sizes.) The derivative is the transpose: every pixel of ∂E/∂y is shared among those it
    was made of. Raises `ShapeError` for another number of axes and where x or y would have no pixels.

    - ``size``: H' and W', two positive integers, or one for both. Either this or the next is given.
    - ``scale_factor``: two numbers > 0, or one for both.
    - ``mode``: "nearest" or "bilinear".
    - ``align_corners``: for "bilinear", whether the corners stay where they are.
    - ``layout``: "NCHW", which is the default, or "NHWC".

    **Source:** PyTorch, ``Upsample``; Odena, Dumoulin & Olah (2016), Deconvolution and checkerboard artifacts, on why to
    enlarge like this before a convolution.

    >>> import bprop
    >>> from bprop import nn
    >>> x = bprop.asarray([[[[0.0, 2.0]]]])
    >>> nn.Upsample(scale_factor=2)(x)[0, 0]
    Array([[0., 0., 2., 2.],
           [0., 0., 2., 2.]])
    >>> nn.Upsample((1, 4), mode="bilinear")(x)[0, 0]
    Array([[0. , 0.5, 1.5, 2. ]])
    """

    rank = 2

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: Literal["nearest", "bilinear"] = "nearest",
        align_corners: bool = False,
        layout: str | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ArgumentError("Upsample: give size or scale_factor, one of them")
        if mode not in ("nearest", "bilinear"):
            raise ArgumentError(f"Upsample: mode is 'nearest' or 'bilinear', not {mode!r:.60}")
        self.size = None if size is None else tuple(integer(self, "size", v) for v in _two("size", size))
        self.scale_factor = None
        if scale_factor is not None:
            factors = _two("scale_factor", scale_factor)
            self.scale_factor = tuple(number(self, "scale_factor", v, 0, open_low=True) for v in factors)
        self.mode = mode
        self.align_corners = flag(self, "align_corners", align_corners)
        if self.align_corners and mode == "nearest":
            raise ArgumentError("Upsample: align_corners is for mode='bilinear'; 'nearest' has no corners to align")
        self.layout = layout_name(self, self.rank, layout)

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        check_axes(self, self.layout, x)
        if self.mode == "bilinear" and x.dtype.kind != "f":
            x = astype(x, np.float64)
        for position, letter in enumerate("HW"):
            axis = self.layout.index(letter)
            count = self._count(x, axis, position)
            if self.mode == "bilinear":
                x = _interpolated(x, axis, self._positions(x.shape[axis], count, position))
            elif count % x.shape[axis] == 0 and self._step(x.shape[axis], count, position) == x.shape[axis] / count:
                x = _repeated(x, axis, count // x.shape[axis])
            else:
                x = take(x, self._nearest(x.shape[axis], count, position), axis=axis)
        return x

    def _count(self, x: Array, axis: int, position: int) -> int:
        """Return the new length of an axis."""
        length = x.shape[axis]
        if self.size is not None:
            count = self.size[position]
        else:
            assert self.scale_factor is not None
            count = floor(length * self.scale_factor[position])
        if length == 0 or count == 0:
            raise ShapeError(
                f"Upsample: axis {axis} of x, shape {x.shape}, would go from {length} to {count} pixels: ≥ 1 each"
            )
        return count

    def _step(self, length: int, count: int, position: int) -> float:
        """Return the distance on x, in pixels, from one pixel of y to the next."""
        return length / count if self.scale_factor is None else 1 / self.scale_factor[position]

    def _nearest(self, length: int, count: int, position: int) -> NDArray[np.int64]:
        """Return which pixels are repeated."""
        if self.scale_factor is None:
            return np.arange(count) * length // count
        positions = np.arange(count) * self._step(length, count, position)
        return np.minimum(np.floor(positions).astype(np.int64), length - 1)

    def _positions(self, length: int, count: int, position: int) -> NDArray[Any]:
        """Return where the pixels of y are read, in pixels of x."""
        if self.align_corners:
            return np.arange(count) * ((length - 1) / (count - 1) if count > 1 else 0.0)
        positions = (np.arange(count) + 0.5) * self._step(length, count, position) - 0.5
        return np.clip(positions, 0, length - 1)

    def example(self) -> tuple[Any, ...]:
        """Return the shape of a small image."""
        return ((1, 2, 3, 3) if self.layout == "NCHW" else (1, 3, 3, 2),)

    def describe(self) -> str:
        to = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        corners = ", align_corners" if self.align_corners else ""
        return f"{to}, {self.mode}{corners}" + ("" if self.layout == "NCHW" else f", layout={self.layout!r}")


def _two(name: str, value: Any) -> tuple[Any, Any]:
    """Return a setting for rows and columns: two values, or one for both."""
    if not isinstance(value, list | tuple):
        return value, value
    if len(value) != 2:
        raise ArgumentError(f"Upsample: {name} is one number or two, of rows and columns, not {value!r:.60}")
    return value[0], value[1]


def _repeated(x: Array, axis: int, times: int) -> Array:
    """Return x with every entry ``times`` times along ``axis``: a broadcast, whose adjoint is a sum."""
    if times == 1:
        return x
    wide = (*x.shape[: axis + 1], times, *x.shape[axis + 1 :])
    return reshape(broadcast_to(expand_dims(x, axis + 1), wide), (*x.shape[:axis], -1, *x.shape[axis + 1 :]))


def _interpolated(x: Array, axis: int, positions: NDArray[Any]) -> Array:
    """Return x at ``positions`` along ``axis``, linear between its entries."""
    left = np.minimum(np.floor(positions).astype(np.int64), x.shape[axis] - 1)
    right = np.minimum(left + 1, x.shape[axis] - 1)
    weight = (positions - left).astype(x.dtype).reshape(-1, *(1,) * (x.ndim - axis - 1))
    y: Array = take(x, left, axis=axis) * (1 - weight) + take(x, right, axis=axis) * weight
    return y


__all__ = ["Upsample"]
