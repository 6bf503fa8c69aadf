"""The cells that a training changes, and the way back to their values at an earlier moment."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.cell import Cell
from ..core.tree import is_holder
from ..core.value import Array


class TrainingState:
    """The cells of model, optimizer and loss by name, and their arrays at the moment of the last `remember`.

    Parameters
    ----------
    holders
        Objects with ``cells()`` by the prefix of their names; others are ignored. A cell that two of them share has the name
        that it has in the first.

    Attributes
    ----------
    cells
        The cells by name: ``model/layers.0.W``.
    """

    def __init__(self, **holders: Any) -> None:
        self.cells: dict[str, Cell] = {}
        seen: set[int] = set()
        for prefix, holder in holders.items():
            if not is_holder(holder):
                continue
            for path, cell in holder.cells().items():
                if id(cell) not in seen:  # a loss may share a parameter with the model
                    seen.add(id(cell))
                    self.cells[f"{prefix}/{path}"] = cell
        self._checked = [
            (name.partition("/")[2], cell) for name, cell in self.cells.items() if name.startswith(("model/", "loss/"))
        ]
        self.remember()

    def remember(self) -> None:
        """Remember the arrays as they are now, for `restore`."""
        self._remembered = self.snapshot()

    def snapshot(self) -> list[Array]:
        """Return the arrays of all cells. Later steps write into other buffers."""
        return [cell.read() for cell in self.cells.values()]

    def restore(self, arrays: list[Array] | None = None) -> None:
        """Return to the `snapshot` ``arrays``, by default to what is remembered."""
        for cell, array in zip(self.cells.values(), self._remembered if arrays is None else arrays, strict=True):
            cell.write(array)

    def nonfinite_path(self) -> str | None:
        """Return the path of a parameter or statistic of model or loss that is not finite, or ``None``."""
        for path, cell in self._checked:
            if cell.array.dtype.kind == "f" and not np.isfinite(cell.array.data).all():
                return path
        return None

    def arrays(self, *prefixes: str) -> dict[str, NDArray[Any]]:
        """Return the numbers of the cells whose names begin with one of ``prefixes``, sorted by prefix.

        They are for reading at once: the next step may change them.
        """
        return {
            name: cell.array.data for prefix in prefixes for name, cell in self.cells.items() if name.startswith(prefix)
        }
