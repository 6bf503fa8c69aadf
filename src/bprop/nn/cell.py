"""The cells that modules hold: parameters, which are trained, and state, which is saved but not trained."""

from typing import Any

from numpy.typing import DTypeLike

from ..core.cell import PARAMETERS, Cell
from ..core.interpreter import current
from ..core.value import Array, asarray


def parameter(value: Any, dtype: DTypeLike | None = None) -> Any:  # Any: it is a Cell that is read as an Array
    """Return a trainable cell: assigned to an attribute of a module it is a parameter, read as an array.

    - ``value``: the initial value, an array or nested numbers of any shape. It is copied.
    - ``dtype``: the dtype to convert to; by default that of ``value``.

    Raises `DTypeError` for a dtype that bprop does not compute with.

    >>> import bprop
    >>> from bprop import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self, n):
    ...         self.s = nn.parameter(bprop.ones(n))
    ...     def fprop(self, x):
    ...         return x * self.s
    >>> Scale(2)(bprop.asarray([3.0, 4.0]))
    Array([3., 4.])
    """
    return Cell(owned(asarray(value, dtype=dtype)), trainable=True)


def state(value: Any, dtype: DTypeLike | None = None) -> Any:
    """Return a cell that is saved with the module but not trained, such as running statistics.

    - ``value``: the initial value, an array or nested numbers of any shape.
    - ``dtype``: the dtype to convert to; by default that of ``value``.

    Raises `DTypeError` for a dtype that bprop does not compute with.

    >>> from bprop import nn
    >>> class Counter(nn.Module):
    ...     def __init__(self):
    ...         self.count = nn.state(0)
    ...     def fprop(self, x):
    ...         self.count = self.count + 1
    ...         return x
    >>> counter = Counter(); _ = counter.fprop(1.0); counter.count
    Array(1)
    """
    return Cell(asarray(value, dtype=dtype))


def owned(value: Array) -> Array:
    """Return a new array object on the same buffer, so that `source_of` can recognise a parameter by identity."""
    return Array(value.data) if type(value) is Array else value


def source_of(value: Any) -> Cell | None:
    """Return the parameter that ``value`` was read from, ``None`` for every other array."""
    level = current()
    return next((cell for cell in list(PARAMETERS) if cell.array is value or level.cells.get(cell) is value), None)


__all__ = ["owned", "parameter", "source_of", "state"]
