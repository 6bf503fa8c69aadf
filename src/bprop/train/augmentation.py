"""Augmentation: examples that are changed anew whenever they are trained on, as a module, so that steps stay native."""

from typing import Any

import numpy as np

from ..core.number import integer
from ..core.value import Array, asarray
from ..nn import Module
from ..ops import Generator, concat, where, zeros


class RandomShift(Module):
    """In training every image is moved by up to ``pixels`` pixels in both directions, each equally likely; zeros move in.

    ``x``, ``y``: (N, channels, height, width). In evaluation mode y = x.

    - ``pixels``: how far at most.
    - ``generator``: draws the shifts; its counter is a cell, so that a resumed training draws on.

    **Source:** Simard, Steinkraus & Platt (2003), Best practices for convolutional neural networks.
    """

    def __init__(self, pixels: int, generator: Generator) -> None:
        self.pixels, self.generator = integer(self, "pixels", pixels), generator

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        return self._moved(self._moved(x, 2), 3) if self.training else x

    def _moved(self, x: Array, axis: int) -> Array:
        """Return the images, each moved along an axis by a number of pixels of its own."""
        count, size = 2 * self.pixels + 1, x.shape[axis]
        u = self.generator.uniform((len(x), 1, 1, 1), high=count, dtype=np.float32)
        border = zeros(tuple(self.pixels if k == axis else n for k, n in enumerate(x.shape)), dtype=x.dtype)
        padded = concat([border, x, border], axis=axis)
        parts = [padded[(slice(None),) * axis + (slice(first, first + size),)] for first in range(count)]
        y = parts[0]
        for first in range(1, count):
            y = where(u < first, y, parts[first])
        return y

    def example(self) -> tuple[Any, ...]:
        """Return two small images."""
        return ((2, 1, 3, 3),)

    def describe(self) -> str:
        return f"{self.pixels}"


__all__ = ["RandomShift"]
