"""Whether a call of a compiled function is the last one again, found without computing its key.

A key is made of everything the trace depends on, and costs as much as a small training step. Between two calls in a loop
nothing of it changes: the same modules and optimisers, with the same objects as attributes, and arrays of the same shapes and
dtypes. That is what a `Watch` compares, by identity, in one native call. Whatever differs, the key decides.
"""

import ctypes
import sys
from collections import deque
from collections.abc import Sequence
from operator import is_
from types import MethodType
from typing import Any

import numpy as np

from ..core.interpreter import Cell
from ..core.tree import flatten, is_holder
from ..core.value import Array
from .reference import ITSELF, PLAIN, UNKNOWN, Mentioned, slots
from .static import entry

LOCKED = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether one thread at a time is inside Python; else what is compared could be freed meanwhile, and keys are computed."""
LARGEST = 5000
"""Containers and objects that are looked through at most; beyond, every call computes its key."""
_CLOSED = (*ITSELF, np.generic, Cell, np.dtype)


class Watch:
    """What a call was made with: ``leaves(args)`` returns the leaves of the next one if it is the same, else ``None``.

    It looks at everything but the cells, whose changes `CHANGES` marks; ``cells_hold`` looks at those.
    """

    def __init__(self, mentioned: Mentioned, args: Sequence[Any]) -> None:
        from .native import identity  # llvmlite is loaded with the first program, not with bprop

        self._mentioned = mentioned
        self._arrays: list[tuple[int, int, Any, tuple[int, ...], Any]] = []  # position, place, type, shape, dtype
        self._inner: list[tuple[Any, tuple[int, ...], Any]] = []  # arrays inside trees
        self._others: list[tuple[int, Any]] = []
        self._template: list[Any] = []
        self._count = len(args)
        self._seen: dict[int, Any] = {}
        self._views: list[tuple[Any, list[Any]]] = []  # of containers that CPython's own functions do not see through
        self._words: list[int] = []
        self._kept: list[Any] = []  # what the table has the addresses of
        self._slots: list[tuple[Any, str, Any]] = []
        self._cells_met: dict[Cell, None] = {}
        self.known = LOCKED
        for position, arg in enumerate(args):
            if type(arg) is Array or type(arg) is np.ndarray:
                self._arrays.append((position, len(self._template), type(arg), arg.shape, arg.dtype))
                self._template.append(None)
            else:
                self._others.append((position, arg))
                leaves = flatten(arg)[0]
                self._inner += [(one, one.shape, one.dtype) for one in leaves if isinstance(one, np.ndarray)]
                self._template.extend(leaves)
        for _, arg in self._others:
            self._look(arg)
        written = mentioned.written
        for reference in mentioned.references:
            if reference.name in written:
                continue
            value = reference.look()
            if isinstance(value, dict) and any(entry(reference.name, key) in written for key in value):
                self.known = False
            if reference.kind == "cell":
                self._enter(identity.CELL, reference.source, value)
            elif reference.kind == "global":
                self._enter(identity.NAME, reference.source, reference.name, value)
            elif reference.kind == "class":
                self._slots.append((reference.source, reference.name, value))
            elif reference.kind == "defaults":
                self._enter(identity.DEFAULTS, reference.source, *(UNKNOWN if one is None else one for one in value))
            self._look(value)
        del self._mentioned  # it holds what the call was made with
        self._words.append(identity.END)
        self._table = (ctypes.c_int64 * len(self._words))(*self._words)
        self._address = ctypes.addressof(self._table)
        self._same = identity.same()
        self._cells_met |= dict.fromkeys(one for one in self._template if isinstance(one, Cell))
        self._cells = [(cell, cell.trainable, cell.array.spec) for cell in self._cells_met]

    def _enter(self, kind: int, *objects: Any) -> None:
        """Put an entry into the table of what is compared."""
        self._words += [kind, *(0 if one is UNKNOWN else one if type(one) is _Count else id(one) for one in objects)]
        self._kept += objects

    def _look(self, value: Any) -> None:
        """Remember what a container or object holds, and what that holds."""
        from .native import identity

        if isinstance(value, Cell):
            self._cells_met[value] = None
        if isinstance(value, MethodType):
            value = value.__self__
        if type(value) in PLAIN or isinstance(value, _CLOSED) or id(value) in self._seen or value is UNKNOWN:
            return
        if len(self._seen) >= LARGEST:
            self.known = False
            return
        self._seen[id(value)] = value
        inside: list[Any] = []
        if isinstance(value, dict):
            inside = [one for item in value.items() for one in item]
            if type(value) is dict:
                self._enter(identity.DICT, value, _Count(len(value)), *inside)
            else:
                self._views += [(value.keys(), inside[::2]), (value.values(), inside[1::2])]
        elif isinstance(value, list | tuple | set | deque):
            inside = list(value)
            if type(value) is list:
                self._enter(identity.LIST, value, _Count(len(value)), *inside)
            elif not isinstance(value, tuple):
                self._views.append((value, inside))
        elif self._mentioned.selects(value):
            inside = self._look_at(value, self._mentioned.attributes(value))
        else:
            if hasattr(value, "__dict__"):
                inside = [vars(value)]
                if _has_own_dict(value, inside[0]):
                    self._enter(identity.OBJECT, value, *inside)
            elif is_holder(value):
                self.known = False
            own = slots(value)
            self._slots += [(value, name, held) for name, held in own.items()]
            inside += own.values()
        for one in inside:
            self._look(one)

    def _look_at(self, value: Any, held: dict[str, Any]) -> list[Any]:
        """Remember some of an object's attributes, and that it gets no others; return what they are."""
        from .native import identity

        own = getattr(value, "__dict__", {})
        if not _has_own_dict(value, own):
            own = {}
        else:
            self._enter(identity.OBJECT, value, own)
            self._enter(identity.SIZE, own, _Count(len(own)))
        for name, one in held.items():
            if name in own:
                self._enter(identity.NAME, own, name, one)
            else:
                self._slots.append((value, name, one))
        return list(held.values())

    def leaves(self, args: Sequence[Any]) -> list[Any] | None:
        """Return the leaves of a call with ``args``, or ``None`` where a key must tell what it is."""
        if len(args) != self._count or not self.known:
            return None
        for position, known in self._others:
            if args[position] is not known:
                return None
        leaves = self._template.copy()
        for position, place, kind, shape, dtype in self._arrays:
            arg = args[position]
            if type(arg) is not kind:
                return None
            data = arg.data if kind is Array else arg
            if data.shape != shape or data.dtype is not dtype:
                return None
            leaves[place] = arg
        if not self._same(self._address):
            return None
        for view, entries in self._views:
            if len(view) != len(entries) or not all(map(is_, view, entries)):
                return None
        for holder, name, held in self._slots:
            if getattr(holder, name, UNKNOWN) is not held:
                return None
        for array, shape, dtype in self._inner:
            if array.shape != shape or array.dtype is not dtype:
                return None
        return leaves

    def cells_hold(self) -> bool:
        """Return whether all cells are as trainable, and of the shapes and dtypes, that they were."""
        for cell, trainable, (shape, dtype) in self._cells:
            data = cell.array.data
            if cell.trainable is not trainable or data.shape != shape or data.dtype != dtype:
                return False
        return True


def _has_own_dict(value: Any, known: Any) -> bool:
    """Return whether CPython finds ``__dict__`` by itself, and no descriptor of the class makes it up."""
    try:
        return bool(_DICT(ctypes.py_object(value), None) is known)
    except AttributeError:
        return False


_DICT = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_void_p)(
    ("PyObject_GenericGetDict", ctypes.pythonapi)
)


class _Count(int):
    """A number of the table that is not the address of an object."""


__all__ = ["Watch"]
