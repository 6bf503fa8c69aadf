"""`Cell`: a mutable leaf that holds one array. Parameters, running statistics, optimiser slots and counters are cells.

Transforms see cells through the stack of interpreters (`Interpreter.read` and `Interpreter.write`); this file has what
they hold below all transforms, and how compiled programs are told about changes.
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from .interpreter import current
from .value import Array, asarray


class Changes:
    """``latest`` becomes another object after every change of any cell: if it is still the same, no cell has changed.

    It is an object and not a counter, so that two threads that change cells at once cannot undo each other's mark.
    """

    __slots__ = ("latest",)

    def __init__(self) -> None:
        self.latest = object()


CHANGES = Changes()
RUNNING: "dict[object, Sequence[Cell]]" = {}
"""By running compiled program: the cells that it is writing."""


class Cell:
    """A mutable leaf that holds one array.

    ``shared``: someone else may hold the same buffer, so it must not be written in place. ``frozen``: the cell would be
    trainable, but training it is switched off for now. Every assignment to an attribute is marked in `CHANGES`.

    >>> from bprop.core.cell import Cell
    >>> import bprop
    >>> cell = Cell(bprop.zeros(2))
    >>> cell.write(bprop.ones(2)); cell.read()
    Array([1., 1.])
    """

    __slots__ = ("__weakref__", "array", "frozen", "name", "shared", "trainable")

    def __init__(self, array: Any, name: str = "", *, trainable: bool = False) -> None:
        """Hold an array; a NumPy array or number becomes one."""
        self.array = array if isinstance(array, Array) else asarray(array)
        self.name = name
        self.shared = True
        self.trainable = trainable
        self.frozen = False
        if trainable:
            PARAMETERS.add(self)

    def __setattr__(self, name: str, value: Any) -> None:
        mark = object()
        try:
            object.__setattr__(self, name, value)
        finally:  # after the change, and also when Ctrl-C comes: who took the mark before the change sees another one
            CHANGES.latest = mark

    def __copy__(self) -> "Cell":
        self.shared = True  # a copy holds the same buffer
        copied = Cell(self.array, self.name, trainable=self.trainable)
        copied.frozen = self.frozen
        if self.frozen:
            PARAMETERS.add(copied)
        return copied

    def __deepcopy__(self, memo: Any) -> "Cell":
        return self.__copy__()

    def __repr__(self) -> str:
        return f"<cell {self.name}{': ' if self.name else ''}{self.array.spec}>"

    def read(self) -> Array:
        """Return the value as the current interpreter sees it."""
        return current().read(self)

    def write(self, value: Any) -> None:
        """Replace the value at the level of the current interpreter; a NumPy array or number becomes an array."""
        current().write(self, value if isinstance(value, Array) else asarray(value))

    def expose(self) -> Array:
        """Return the array to a reader below all transforms; its buffer counts as shared from now on.

        While a compiled program is writing the cell (a callback or another thread reads it), the reader gets a copy.
        """
        array = self.array
        if not self.shared:
            self.shared = True  # before `RUNNING` is read: a program that starts after that sees this mark
        if RUNNING and any(self in cells for cells in list(RUNNING.values())):
            return Array(array.data.copy())
        return array

    def store(self, array: Array) -> None:
        """Hold another array, whose buffer its giver may still hold."""
        self.array = array
        if not self.shared:
            self.shared = True


PARAMETERS: "WeakSet[Cell]" = WeakSet()
"""The cells that are trainable, or would be if they were not frozen: how a value is recognised as a parameter's."""


__all__ = ["CHANGES", "PARAMETERS", "RUNNING", "Cell", "Changes"]
