"""The networks that read the digits, and the settings with which each is trained."""

from collections.abc import Sequence
from typing import NamedTuple

from ..networks import MLP, LeNet, ResNet
from ..nn import Sequential
from ..nn.default_generator import split
from ..ops import Generator
from .augmentation import RandomAffine

HIDDEN = (128, 64)
"""The hidden layers of the multi-layer perceptron."""


class DigitSettings(NamedTuple):
    """How a network is trained: by default so many epochs, with a rate that is multiplied by ``decay`` over an epoch."""

    epochs: int
    learning_rate: float
    decay: float
    is_convolutional: bool


SETTINGS = {
    "mlp": DigitSettings(30, 3e-3, 1.0, False),
    "cnn": DigitSettings(40, 3e-3, 0.92, True),
    "resnet": DigitSettings(20, 3e-3, 0.85, True),
}
"""By the name of the model. Those of cnn were chosen on five splits of the training images, those of resnet tried on two, never on the test."""


def digit_model(name: str, hidden: Sequence[int], generator: Generator) -> Sequential:
    """Return a network for images of 8 × 8 pixels with 10 logits.

    ``"mlp"``: 64 pixels, tanh layers of the sizes ``hidden``. ``"cnn"``: `LeNet` with batch normalisation.
    ``"resnet"``: `ResNet` of 20 layers. In training both see images that are moved by up to a pixel and sheared a little.

    >>> import bprop
    >>> from bprop.train.digit_model import digit_model
    >>> digit_model("mlp", [16], bprop.Generator(0))
    MLP(3 layers, 1,210 parameters
      (layers.0): Linear(64 → 16, float32)
      (layers.1): Tanh()
      (layers.2): Linear(16 → 10, float32)
    )
    """
    if name == "mlp":
        return MLP([64, *hidden, 10], generator=generator)
    images = RandomAffine(1.0, 0.15, split(generator))
    if name == "resnet":
        return Sequential(images=images, network=ResNet(20, inputs=1, generator=generator))
    return Sequential(images=images, network=LeNet((1, 8, 8), batch_norm=True, generator=generator))


def model_name(labels: Sequence[str]) -> str | None:
    """Return the name of the model whose modules a checkpoint lists, or ``None`` for another network."""
    kinds = {label.partition(": ")[2].partition("(")[0] for label in labels}
    return next(
        (name for name, kind in (("mlp", "MLP"), ("cnn", "LeNet"), ("resnet", "ResNet")) if kind in kinds), None
    )


__all__ = ["HIDDEN", "SETTINGS", "DigitSettings", "digit_model", "model_name"]
