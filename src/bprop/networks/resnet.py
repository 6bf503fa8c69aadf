"""`ResNet` for small images and `ResNet18`: convolutions that learn what to add to their input."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError
from ..core.number import integer
from ..core.value import Array, asarray
from ..nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Residual,
    Sequential,
)
from ..nn.default_generator import generator_for
from ..nn.initialiser import he_normal
from ..ops import Generator, concat, zeros

Shortcut = Literal["A", "B"]


class PaddedShortcut(Module):
    """y = every ``stride``-th row and column of x, with ``more`` channels of zeros behind: a shortcut without parameters.

    **Source:** He et al. (2016), section 3.3, option A.
    """

    def __init__(self, more: int, stride: int) -> None:
        self.more, self.stride = more, stride

    def fprop(self, x: Any) -> Array:
        x = asarray(x)[:, :, :: self.stride, :: self.stride]
        return concat([x, zeros((x.shape[0], self.more, *x.shape[2:]), dtype=x.dtype)], axis=1)

    def example(self) -> tuple[Any, ...]:
        """Return two small images."""
        return ((2, 3, 4, 4),)

    def describe(self) -> str:
        return f"{self.more} more channels, stride {self.stride}"


class _ResidualNetwork(Sequential):
    """Stages of residual blocks, ``blocks[i]`` of ``widths[i]`` channels, between a stem and a dense layer.

    From the second stage on the first block halves height and width.
    """

    def __init__(
        self,
        stem: dict[str, Module],
        widths: Sequence[int],
        blocks: Sequence[int],
        outputs: int,
        shortcut: str,
        dtype: DTypeLike,
        draw: Generator,
    ) -> None:
        if shortcut not in ("A", "B"):
            raise ArgumentError(
                f"{type(self).__name__}: shortcut is 'A' (zeros for new channels) or 'B' (a projection), not {shortcut!r}"
            )
        layers, inputs = dict(stem), widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True), 1):
            stack = []
            for number in range(count):
                stride = 2 if stage > 1 and number == 0 else 1
                stack.append(_basic_block(inputs, width, stride, shortcut, dtype, draw))
                inputs = width
            layers[f"layer{stage}"] = Sequential(*stack)
        layers |= {"avgpool": AdaptiveAvgPool2d(1), "flatten": Flatten()}
        layers["fc"] = Linear(inputs, integer(self, "outputs", outputs), dtype, generator=draw)
        super().__init__(layers)

    def _with_layers(self, *layers: Any) -> Any:
        return Sequential(*layers)


def _convolution(inputs: int, outputs: int, taps: int, stride: int, dtype: DTypeLike, draw: Generator) -> Conv2d:
    """Return a convolution without bias, since normalisation follows."""
    return Conv2d(
        inputs, outputs, taps, stride, taps // 2, bias=False, dtype=dtype, generator=draw, init=he_normal("fan_out"),
    )  # fmt: skip


def _basic_block(inputs: int, width: int, stride: int, shortcut: str, dtype: DTypeLike, draw: Generator) -> Residual:
    """Return relu(shortcut(x) + two 3 × 3 convolutions of x, both normalised)."""
    residual = Sequential(
        conv1=_convolution(inputs, width, 3, stride, dtype, draw),
        bn1=BatchNorm2d(width, dtype=dtype),
        relu=ReLU(),
        conv2=_convolution(width, width, 3, 1, dtype, draw),
        bn2=BatchNorm2d(width, dtype=dtype),
    )
    straight: Module | None = None
    if stride != 1 or inputs != width:
        projection = (_convolution(inputs, width, 1, stride, dtype, draw), BatchNorm2d(width, dtype=dtype))
        straight = PaddedShortcut(width - inputs, stride) if shortcut == "A" else Sequential(*projection)
    return Residual(residual, straight, ReLU())


class ResNet(_ResidualNetwork):
    """A residual network for small images: 6n + 2 layers with 16, 32 and 64 channels, on images of 32 × 32 pixels or so.

    A 3 × 3 convolution, then three stages of n basic blocks, each relu(x + two normalised 3 × 3 convolutions of x); the
    second and the third stage begin with stride 2; then the mean over the image and a dense layer. ``x``: (N, inputs,
    height, width), of any size; ``y``: (N, outputs), logits. Raises `ArgumentError` for a depth that is not 6n + 2.

    - ``depth``: 20, 32, 44, 56, 110: the number of layers with weights, 6n + 2.
    - ``inputs``: the channels of x. ``outputs``: how many classes there are. ``widths``: the channels of the stages.
    - ``shortcut``: what a block that changes the size adds to: "A", x with zeros for the new channels, as the authors use
      for these networks; or "B", a normalised 1 × 1 convolution of x.
    - ``dtype``, ``generator``, ``seed``: as for `bprop.nn.Conv2d`. Weights start normal with deviation √(2 / fan_out).

    **Source:** He, Zhang, Ren & Sun (2016), Deep residual learning for image recognition, section 4.2 and table 6.

    >>> from bprop.networks import ResNet, parameters
    >>> parameters(ResNet(20, seed=0))  # the authors: 0.27 million
    269722
    """

    def __init__(
        self,
        depth: int = 20,
        inputs: int = 3,
        outputs: int = 10,
        widths: Sequence[int] = (16, 32, 64),
        shortcut: Shortcut = "A",
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> None:
        depth, inputs = integer(self, "depth", depth), integer(self, "inputs", inputs)
        if depth < 8 or depth % 6 != 2:
            raise ArgumentError(f"ResNet: depth is 6n + 2, such as 20, 32 or 56, not {depth}")
        if not isinstance(widths, list | tuple) or len(widths) != 3 or list(widths) != sorted(widths):
            raise ArgumentError(f"ResNet: widths are three rising numbers of channels, not {widths!r:.60}")
        widths = [integer(self, "every width", width) for width in widths]
        draw = generator_for("ResNet", generator, seed)
        stem: dict[str, Module] = {
            "conv1": _convolution(inputs, widths[0], 3, 1, dtype, draw),
            "bn1": BatchNorm2d(widths[0], dtype=dtype),
            "relu": ReLU(),
        }
        super().__init__(stem, widths, [(depth - 2) // 6] * 3, outputs, shortcut, dtype, draw)


class ResNet18(_ResidualNetwork):
    """The residual network of 18 layers for large images: a 7 × 7 convolution and pooling, four stages of two basic blocks.

    ``x``: (N, inputs, height, width), 224 × 224 pixels or so; ``y``: (N, outputs), logits. The names of the parts are those
    of torchvision's ``resnet18``.

    - ``inputs``: the channels of x. ``outputs``: how many classes there are.
    - ``shortcut``: "A" or "B", as for `ResNet`; here the authors use B.
    - ``dtype``, ``generator``, ``seed``: as for `ResNet`.

    **Source:** He, Zhang, Ren & Sun (2016), Deep residual learning for image recognition, table 1.

    >>> from bprop.networks import ResNet18, parameters
    >>> parameters(ResNet18(seed=0))
    11689512
    """

    def __init__(
        self,
        inputs: int = 3,
        outputs: int = 1000,
        shortcut: Shortcut = "B",
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> None:
        draw = generator_for("ResNet18", generator, seed)
        stem: dict[str, Module] = {
            "conv1": _convolution(integer(self, "inputs", inputs), 64, 7, 2, dtype, draw),
            "bn1": BatchNorm2d(64, dtype=dtype),
            "relu": ReLU(),
            "maxpool": MaxPool2d(3, 2, 1),
        }
        super().__init__(stem, [64, 128, 256, 512], [2] * 4, outputs, shortcut, dtype, draw)


__all__ = ["PaddedShortcut", "ResNet", "ResNet18"]
