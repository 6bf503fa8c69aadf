"""Whether a call of a compiled function is the last one again, found without computing its key.

A key is made of everything the trace depends on, and costs as much as a small training step. Between two calls in a loop
nothing of it changes: the same modules and optimisers, with the same objects as attributes, and arrays of the same shapes and
dtypes. That is what a `Watch` compares, by identity, in one native call. Whatever differs, the key decides.
"""

import ctypes
import sys
from collections.abc import Callable, Sequence, Set
from functools import partial
from operator import is_
from types import FunctionType, MappingProxyType, MethodType
from typing import Any
from weakref import ReferenceType

import numpy as np

from ...core.cell import Cell
from ...core.tree import flatten, is_holder
from ...core.value import Array
from .cache_key import has_attributes
from .captures import ITSELF, PLAIN, Mentioned, Same, can_change
from .introspection import UNKNOWN, bases, class_dict, content, is_a, layout, members, own_dict, read, slots, views

LOCKED = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether one thread at a time is inside Python; else what is compared could be freed meanwhile, and keys are computed."""
MRO = "__mro__"
"""The attribute of a class that says what it inherits from."""
LARGEST = 200_000
"""Containers and objects that are looked through at most; beyond, every call computes its key."""
_CLOSED = (*(kind for kind in ITSELF if kind not in (FunctionType, np.ndarray)), np.generic, Cell, np.dtype)


class Watch:
    """What a call was made with: ``leaves(args)`` returns the leaves of the next one if it is the same, else ``None``.

    It looks at everything but the cells, whose changes `CHANGES` marks; ``cells_hold`` looks at those.
    """

    def __init__(self, mentioned: Mentioned, args: Sequence[Any]) -> None:
        from ..runtime import identity  # llvmlite is loaded with the first program, not with bprop

        self._kinds = identity
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
        self._reads: list[
            tuple[Callable[[Any], Any], Any, Any]
        ] = []  # of slots and classes: how, of what, what is there
        self._buffers: list[tuple[Any, Any]] = []  # of what holds bytes, or objects without being a container
        self._cells_met: dict[Cell, None] = {}
        self.known = LOCKED
        for position, arg in enumerate(args):
            if type(arg) is Array or type(arg) is np.ndarray:
                self._arrays.append((position, len(self._template), type(arg), arg.shape, arg.dtype))
                self._template.append(None)
            else:
                self._others.append((position, arg))
                leaves = flatten(arg)[0]
                self._inner += [(one, one.shape, one.dtype) for one in leaves if is_a(one, np.ndarray)]
                self._template.extend(leaves)
        waiting = [arg for _, arg in self._others]
        for reference in mentioned.references:
            value = reference.look()
            if reference.kind in ("cell", "global", "class") and mentioned.is_written(reference.source, reference.name):
                continue
            if reference.kind == "cell":
                self._enter(identity.CELL, reference.source, value)
            elif reference.kind == "global":
                self._enter(identity.NAME, reference.source, reference.name, value)
            elif reference.kind == "defaults":
                self._enter(identity.DEFAULTS, reference.source, *(UNKNOWN if one is None else one for one in value))
            waiting.append(value)
        self._look_at_code()
        while waiting and self.known:
            waiting += [one for one in self._look(waiting.pop()) if type(one) not in PLAIN]
        del self._mentioned, self._kinds  # it holds what the call was made with
        self._words.append(identity.END)
        self._table = (ctypes.c_int64 * len(self._words))(*self._words)
        self._address = ctypes.addressof(self._table)
        self._same = identity.same()
        self._cells_met |= dict.fromkeys(one for one in self._template if is_a(one, Cell))
        self._cells = [(cell, cell.trainable, cell.array.spec) for cell in self._cells_met]

    def _enter(self, kind: int, *objects: Any) -> None:
        """Put an entry into the table of what is compared."""
        self._words += [kind, *(0 if one is UNKNOWN else one if type(one) is _Count else id(one) for one in objects)]
        self._kept += objects

    def _look_at_code(self) -> None:
        """Remember the code of functions, what classes declare under names that count, and that they and modules get no more."""
        identity, mentioned = self._kinds, self._mentioned
        for function in mentioned.functions:
            self._enter(identity.FUNCTION, function, function.__code__)
        for kind in mentioned.classes:
            own, counts = class_dict(kind), mentioned.declarations(kind)
            pairs = [one for name in own for one in (name, counts.get(name, UNKNOWN))]
            self._enter(identity.DICT, own, _Count(len(own)), *pairs)
            if len(bases(kind)) > 2:  # Python refuses other bases to a class that inherits from ``object`` alone
                self._enter(identity.ATTRIBUTE, kind, MRO, bases(kind))
        for module in mentioned.modules:
            own = own_dict(module)
            self._enter(identity.SIZE, own, _Count(len(own)))

    def _look(self, value: Any) -> list[Any]:
        """Remember what a container or object holds, and return that."""
        identity = self._kinds
        if is_a(value, Cell):
            self._cells_met[value] = None
        if is_a(value, MethodType):
            value = value.__self__
        if type(value) in PLAIN or is_a(value, _CLOSED) or id(value) in self._seen or value is UNKNOWN:
            return []
        self._seen[id(value)] = value
        if len(self._seen) > LARGEST or is_a(value, ReferenceType):  # which must not keep its object alive
            self.known = False
        inside = members(value)
        if (before := content(value)) is not None and not self._mentioned.is_written(value):
            self._buffers.append((value, before))
        if is_a(value, np.ndarray):
            inside = before if type(before) is list else []
            address, shape, strides, dtype = layout(value)
            axes = [_Count(one) for axis in zip(shape, strides, strict=True) for one in axis]
            self._enter(identity.ARRAY, value, _Count(address), dtype, _Count(len(shape)), *axes)
            self.known &= identity.LAID_OUT
        elif is_a(value, dict):
            inside = self._look_into(value)
        elif inside is not None and not is_a(
            value, (tuple, partial, MappingProxyType)
        ):  # those are what they are for ever
            if self._mentioned.is_written(value):
                inside = []
            elif type(value) is list:
                self._enter(identity.LIST, value, _Count(len(value)), *inside)
            else:
                self._views.append((value, inside))
        return [*(inside or ()), *(self._look_at(value) if has_attributes(value) else ())]

    def _look_into(self, value: dict[Any, Any]) -> list[Any]:
        """Remember what a dict holds, and return that."""
        identity = self._kinds
        counts = self._mentioned.items(value)
        inside = [one for item in counts for one in item]
        if len(counts) < len(value):  # tracing changes the others
            for key, one in counts:
                self._enter(identity.NAME, value, key, one)
        elif type(value) is dict:
            self._enter(identity.DICT, value, _Count(len(value)), *inside)
        else:
            self._views += [(view, list(view)) for view in views(value)]
        return inside

    def _look_at(self, value: Any) -> list[Any]:
        """Remember those attributes of an object that count, and that it gets no others, and return what they are."""
        identity = self._kinds
        own, held = own_dict(value), self._mentioned.attributes(value)
        has_dict = own_dict(value) is own  # it is none that was made up
        inside = list(held.values())
        if has_dict:
            self._enter(identity.OBJECT, value, own)
        if can_change(type(value)):
            self._enter(identity.TYPE, value, type(value))
        if not self._mentioned.selects(value) and len(self._mentioned.unwritten(value, own)) == len(own):
            inside.append(own)  # with what the library keeps in it
        elif has_dict:
            self._enter(identity.SIZE, own, _Count(len(own)))
            for name in held:
                self._enter(identity.NAME, own, name, own.get(name, UNKNOWN))
        for name, get in slots(type(value)).items():
            if name in held or read(get, value) is UNKNOWN:
                self._reads.append((get, value, held.get(name, UNKNOWN)))
                held.pop(name, None)
        classes = partial(type.__getattribute__, type(value))
        self._reads += [(classes, name, one) for name, one in held.items() if name not in own]
        if is_holder(value) and not has_dict:
            self.known = False
        return inside

    def forget(self, written: Set[Any]) -> None:
        """Look no more at the bytes of what tracing changes, or a program reads where they lie."""
        self._buffers = [one for one in self._buffers if (Same(one[0]), None) not in written]

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
        for get, of, held in self._reads:
            if read(get, of) is not held:
                return None
        for buffer, before in self._buffers:
            now = content(buffer)
            if now != before if type(now) is bytes else len(now) != len(before) or not all(map(is_, now, before)):
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


class _Count(int):
    """A number of the table that is not the address of an object."""


__all__ = ["Watch"]
