"""`Sequential`: modules one after another. Its ``bprop`` is the children's, in reverse order."""

from collections.abc import Iterator
from typing import Any, overload

from ..core.error import ArgumentError
from ..core.value import Array, asarray
from .module import Module


class Sequential(Module):
    """y = layer_n(… layer_2(layer_1(x))). Indexable, iterable; a slice is a Sequential of the same modules.

    A module may occur several times: its parameters are then shared and their gradients summed. Raises `ArgumentError`
    for anything that is not a module.

    **Source:** Leibe (2016), Backpropagation, modular implementation; Collobert, Kavukcuoglu & Farabet (2011), Torch7.

    >>> from bprop import nn
    >>> nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
    Sequential(3 layers, 2,410 parameters
      (layers.0): Linear(64 → 32, float32)
      (layers.1): Tanh()
      (layers.2): Linear(32 → 10, float32)
    )
    """

    composes = True

    def __init__(self, *layers: Module) -> None:
        if len(layers) == 1 and isinstance(layers[0], list | tuple):
            raise ArgumentError("Sequential: give the modules one by one, Sequential(*layers)")
        for position, layer in enumerate(layers):
            if not isinstance(layer, Module):
                hint = ", make one: write its name followed by ()" if isinstance(layer, type) else ""
                raise ArgumentError(f"Sequential: layer {position} is {layer!r:.60}, not a module{hint}")
        self.layers = list(layers)

    def fprop(self, x: Any) -> Array:
        """Return y, the layers applied from the first to the last."""
        y = asarray(x)
        for layer in self.layers:
            y = layer.fprop(y)
        return y

    def bprop(self, y_bar: Any) -> Any:
        """Return x_bar: the error derivatives travel from the last layer to the first."""
        for layer in reversed(self.layers):
            y_bar = layer.bprop(y_bar)
        return y_bar

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...
    def __getitem__(self, index: int | slice) -> Module:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def describe(self) -> str:
        """Return the number of layers and parameters."""
        count = sum(cell.array.size for cell in self.cells().values() if cell.trainable)
        return f"{len(self.layers)} layers, {count:,} parameters" if self.layers else ""
