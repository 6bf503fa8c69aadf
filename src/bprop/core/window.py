"""Windows: which entries of a sequence meet which weights in a convolution."""

from typing import Any, NamedTuple

import numpy as np


class Window(NamedTuple):
    """A window that moves along an axis: output i meets, with its tap k, the entry at i · stride + k · dilation − padding.

    ``position``, ``output`` and ``tap`` are the labels of the three axes in a contraction, ``size``, ``outputs`` and ``taps``
    their lengths. Entries beyond the axis count as zeros. Any two of the three numbers give the third, so each of the
    three arrays is a sum of products of the other two.
    """

    position: str
    output: str
    tap: str
    size: int
    outputs: int
    taps: int
    stride: int = 1
    dilation: int = 1
    padding: int = 0

    @property
    def lengths(self) -> dict[str, int]:
        """The length of each of its three axes, by label."""
        return {self.position: self.size, self.output: self.outputs, self.tap: self.taps}

    def completed(self, numbers: dict[str, Any]) -> dict[str, Any]:
        """Return the numbers of labels that occur together, with that of the third axis; those beyond an axis are left out."""
        position, output, tap = (numbers.get(label, np.intp(0)) for label in self.lengths)
        if self.position not in numbers:
            third, rest = output * self.stride + tap * self.dilation - self.padding, 0
        elif self.output not in numbers:
            third, rest = np.divmod(position - tap * self.dilation + self.padding, self.stride)
        else:
            third, rest = np.divmod(position - output * self.stride + self.padding, self.dilation)
        label, length = next((label, n) for label, n in self.lengths.items() if label not in numbers)
        inside = (rest == 0) & (third >= 0) & (third < length)
        return {name: values[inside] for name, values in {**numbers, label: third}.items()}
