"""Augmentation: examples that are changed anew whenever they are trained on, as a module, so that steps stay native."""

from math import ceil
from typing import Any

import numpy as np

from ..core.number import number
from ..core.value import Array, asarray
from ..nn import Module
from ..ops import Generator, abs, concat, maximum, zeros


class RandomAffine(Module):
    """In training every image is moved and sheared at random, up and down and then sideways; zeros move in.

    A column at distance d from the middle moves by u + s d pixels up or down, u and s uniform in ±``shift`` and ±``shear`` and
    drawn once for an image; then rows do the same. What lies between pixels is interpolated linearly. ``x``, ``y``: (N,
    channels, height, width). In evaluation mode y = x.

    - ``shift``: in pixels. ``shear``: in pixels for each pixel of distance.
    - ``generator``: draws u and s; its counter is a cell, so that a resumed training draws on.

    **Source:** Simard, Steinkraus & Platt (2003), Best practices for convolutional neural networks.

    >>> import bprop
    >>> from bprop.train.augmentation import RandomAffine
    >>> module = RandomAffine(1.0, 0.0, bprop.Generator(0))
    >>> x = bprop.zeros((1, 1, 5, 5)).at[0, 0, 2, 2].set(1.0)
    >>> round(module(x).sum().item(), 6), bool((module.eval()(x) == x).all())
    (1.0, True)
    """

    def __init__(self, shift: float, shear: float, generator: Generator) -> None:
        self.shift, self.shear = number(self, "shift", shift, 0), number(self, "shear", shear, 0)
        self.generator = generator

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return self._moved(self._moved(x, 2), 3) if self.training else x

    def _moved(self, x: Array, axis: int) -> Array:
        """Return the images, moved along an axis by a distance that depends on the position along the other."""
        size, across = x.shape[axis], x.shape[5 - axis]
        u, s = (
            self.generator.uniform((len(x), 1, 1, 1), low=-most, high=most, dtype=x.dtype)
            for most in (self.shift, self.shear)
        )
        distance = np.arange(across, dtype=x.dtype) - x.dtype.type((across - 1) / 2)
        moved = u + s * distance.reshape((1, 1, 1, across) if axis == 2 else (1, 1, across, 1))
        reach = ceil(self.shift + self.shear * (across - 1) / 2)
        border = zeros(tuple(reach if k == axis else n for k, n in enumerate(x.shape)), dtype=x.dtype)
        padded, y = concat([border, x, border], axis=axis), zeros(x.shape, dtype=x.dtype)
        for first in range(2 * reach + 1):
            part = padded[(slice(None),) * axis + (slice(first, first + size),)]
            y = y + maximum(1 - abs(moved - (first - reach)), 0) * part
        return y

    def example(self) -> tuple[Any, ...]:
        """Return two small images."""
        return ((2, 1, 3, 3),)

    def describe(self) -> str:
        return f"shift {self.shift:g}, shear {self.shear:g}"


__all__ = ["RandomAffine"]
