"""`LeNet`: two convolutions, each followed by pooling, and two dense layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core.error import ArgumentError
from ..core.number import flag, integer
from ..nn import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from ..nn.default_generator import generator_for
from ..nn.initialiser import he_normal
from ..ops import Generator


class LeNet(Sequential):
    """A convolutional network: 3 × 3 convolution, ReLU, 2 × 2 max pooling; the same again; a hidden layer, ReLU, logits.

    LeCun's network with the parts that are usual today: padding, so that only pooling makes the image smaller, rectified
    units in place of tanh, the maximum in place of a trained mean. ``x``: (N, *image); ``y``: (N, outputs), logits. Raises
    `ArgumentError` for an image that cannot be halved twice.

    - ``image``: channels, height and width of x.
    - ``outputs``: how many classes there are.
    - ``channels``: those of the two convolutions.
    - ``hidden``: the number of hidden units after them.
    - ``batch_norm``: whether each convolution is normalised, and so has no bias.
    - ``dtype``, ``generator``, ``seed``: as for `bprop.nn.Conv2d`. Weights start normal with deviation √(2 / fan_in).

    **Source:** LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition; He, Zhang,
    Ren & Sun (2015), Delving deep into rectifiers, for the start; Ioffe & Szegedy (2015), Batch normalization.

    >>> import bprop
    >>> from bprop.networks import LeNet
    >>> LeNet(seed=0)(bprop.zeros((2, 1, 28, 28), dtype="float32")).shape
    (2, 10)
    """

    def __init__(
        self,
        image: Sequence[int] = (1, 28, 28),
        outputs: int = 10,
        channels: Sequence[int] = (32, 64),
        hidden: int = 128,
        batch_norm: bool = False,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> None:
        depth, height, width = checked_image(self, image, 4)
        if not isinstance(channels, list | tuple) or len(channels) != 2:
            raise ArgumentError(f"LeNet: channels are two numbers, such as (32, 64), not {channels!r:.60}")
        first, second = (integer(self, "every number of channels", count) for count in channels)
        draw = generator_for("LeNet", generator, seed)
        settings: dict[str, Any] = {"dtype": dtype, "generator": draw, "init": he_normal()}
        batch_norm = flag(self, "batch_norm", batch_norm)
        layers: list[Module] = []
        for inputs, count in ((depth, first), (first, second)):
            layers.append(Conv2d(inputs, count, 3, padding=1, bias=not batch_norm, **settings))
            layers += [*([BatchNorm2d(count, dtype=dtype)] if batch_norm else []), ReLU(), MaxPool2d(2)]
        flat = second * (height // 4) * (width // 4)
        super().__init__(
            *layers,
            Flatten(),
            Linear(flat, integer(self, "hidden", hidden), dtype, generator=draw, init=he_normal()),
            ReLU(),
            Linear(hidden, integer(self, "outputs", outputs), dtype, generator=draw),
        )

    def _with_layers(self, *layers: Any) -> Any:
        return Sequential(*layers)


def checked_image(network: Module, image: Any, least: int) -> tuple[int, int, int]:
    """Return channels, height and width of an image; raise for one whose sides are below ``least``."""
    if not isinstance(image, list | tuple) or len(image) != 3:
        raise ArgumentError(f"{type(network).__name__}: image is (channels, height, width), not {image!r:.60}")
    depth, height, width = (integer(network, "every size of the image", size) for size in image)
    if min(height, width) < least:
        raise ArgumentError(
            f"{type(network).__name__}: images of {height} × {width}: each side is {least} or more, since pooling and "
            f"strides make them smaller"
        )
    return depth, height, width


__all__ = ["LeNet", "checked_image"]
