"""Names for the values of modules that are applied one after the other, so that their equations can be read as one text.

The pre-activation of layer k is z_k, its cotangent δ_k = ∂E/∂z_k, what its nonlinearity makes of it h_k; parameters have the number
of their layer. The input and the result keep the names that the whole has for them.

**Source:** Leibe (2016), Backpropagation, slide "core steps"; δ as in Rumelhart, Hinton & Williams (1986).
"""

from collections.abc import Sequence
from typing import Any

from ..formula.equation import Renaming


def chain_names(
    modules: Sequence[Any], inputs: Sequence[str], results: Sequence[str], names: tuple[str, str]
) -> list[Renaming]:
    """Return a renaming for each of the modules of a chain.

    - ``inputs``, ``results``: what each module calls its input and its result.
    - ``names``: what the whole calls them.
    """
    trainable = [any(cell.trainable for cell in module.cells().values()) for module in modules]
    value, bar = names[0], f"{names[0]}_bar"
    renamings = []
    layer = hidden = 0
    for position, (own_input, own_result) in enumerate(zip(inputs, results, strict=True)):
        layer += trainable[position]
        before, before_bar = value, bar
        if position == len(modules) - 1:
            value, bar = names[1], f"{names[1]}_bar"
        elif trainable[position] and not trainable[position + 1]:
            value, bar = f"z{layer}", f"delta{layer}"
        else:
            hidden = max(hidden + 1, layer)
            value, bar = f"h{hidden}", f"h{hidden}_bar"
        own = {own_input: before, f"{own_input}_bar": before_bar, own_result: value, f"{own_result}_bar": bar}
        renamings.append(Renaming(own, str(layer if trainable[position] else max(hidden, layer))))
    return renamings


__all__ = ["chain_names"]
