"""The networks that ``bprop networks`` lists, each as its source has it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..nn import Module
from ..nn.count import flops, parameters
from .char_rnn import CharRNN
from .char_transformer import CharTransformer
from .lenet import LeNet
from .mlp import MLP
from .resnet import ResNet, ResNet18


class Entry(NamedTuple):
    """A network of the catalogue: its name as it is called, how it is made, the shape of an example, and whether of ids."""

    name: str
    make: Callable[[], Module]
    shape: tuple[int, ...]
    takes_ids: bool = False

    @property
    def input(self) -> str:
        """What one example is, as text."""
        kind = "characters" if self.takes_ids else "numbers" if len(self.shape) == 1 else "image"
        return f"{'×'.join(map(str, self.shape))} {kind}"

    def size(self) -> tuple[int, int]:
        """Return the number of parameters and the FLOPs of an application to one example."""
        network = self.make().eval()
        x = np.zeros((1, *self.shape), np.int64 if self.takes_ids else np.float32)
        return parameters(network), flops(network, x)


def _resnet(depth: int, shortcut: Any) -> Callable[[], Module]:
    return lambda: ResNet(depth, shortcut=shortcut, seed=0)


CATALOGUE: tuple[Entry, ...] = (
    Entry("MLP([784, 256, 10])", lambda: MLP([784, 256, 10], seed=0), (784,)),
    Entry("LeNet()", lambda: LeNet(seed=0), (1, 28, 28)),
    *(Entry(f"ResNet({depth})", _resnet(depth, "A"), (3, 32, 32)) for depth in (20, 32, 56)),
    Entry("ResNet(20, shortcut='B')", _resnet(20, "B"), (3, 32, 32)),
    Entry("ResNet18()", lambda: ResNet18(seed=0), (3, 224, 224)),
    *(
        Entry(f"CharRNN(64, cell={cell!r})", lambda cell=cell: CharRNN(64, cell=cell, seed=0), (64,), True)  # type: ignore[misc]
        for cell in ("lstm", "gru", "rnn")
    ),
    Entry("CharTransformer(64)", lambda: CharTransformer(64, seed=0), (64,), True),
)
"""The networks by name."""

__all__ = ["CATALOGUE", "Entry"]
