"""What a trace depended on besides its arguments, and whether it still is what it was.

The rule: everything that can be reached from the function and from arguments that are no arrays counts, along attributes,
entries, closures, defaults, globals that code loads, and classes; private names too. Where something may not count is a name
that the user says (``ignore``) or what tracing itself changes. Objects of Python and of installed packages are themselves by
identity. Entries are compared by identity, in one native call; nobody's code runs.
"""

import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from operator import is_
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple
from weakref import ReferenceType

import numpy as np

from ...core.cell import Cell
from ...core.graph import Graph
from ...core.interpreter import Interpreter
from ...core.op import Op
from ...core.value import Array
from ..captures import Reference, imported, references
from ..introspection import (
    BUFFERS,
    UNKNOWN,
    bases,
    behind,
    content,
    entries,
    is_a,
    is_library,
    layout,
    members,
    own_dict,
    package,
    read,
    slots,
    views,
)
from .cache_key import token

LOCKED = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether one thread at a time is inside Python; else what is compared could be freed meanwhile, and every call is traced."""
LARGEST = 200_000
"""Containers and objects that are looked through at most; beyond, every call is traced."""
IMMUTABLE = 1 << 8
"""CPython's ``Py_TPFLAGS_IMMUTABLETYPE``."""
ATOMS = {bool, int, float, complex, str, bytes, type(None), type(...), range, slice, CodeType, np.ufunc}
_CLOSED = (Array, Op, Interpreter, Graph, np.generic, np.dtype)
"""What holds nothing that changes."""
_OPEN = {"types", "argparse", "collections", "functools"}
"""Packages of Python whose objects only hold what a user puts there."""
_LIBRARY = __name__.partition(".")[0]
_BOOKKEEPING = {"__builtins__", "__warningregistry__"}
"""What Python itself keeps among the globals of a module."""


class Entry(NamedTuple):
    """What an object held, as names and values in order; ``look(owner)`` returns it as it is now."""

    owner: Any
    look: Callable[[Any], list[tuple[Any, Any]]]
    held: list[tuple[Any, Any]]
    suffixes: Callable[[Any], str]


class Change(NamedTuple):
    """What is another object now: ``name`` of ``owner``, or, where that is ``None``, all that it holds."""

    owner: Any
    name: Any
    path: str
    before: Any
    after: Any
    plain: bool
    """Whether the owner is a dict of the user's, not that of an object's attributes."""

    @property
    def key(self) -> tuple[int, Any]:
        """The place that changed, for sets of places."""
        return id(self.owner), self.name if type(self.name) is str else id(self.name)

    @property
    def matters(self) -> bool:
        """Whether it is more than another object of the same number or text."""
        return token(self.before) != token(self.after)

    @property
    def is_effect(self) -> bool:
        """Whether tracing that changed it has an effect; what it made, of none or of `None`, is as if it always had been.

        So is a key that a defaultdict made.
        """
        if self.before is not UNKNOWN:
            return self.matters and self.before is not None
        return self.plain and all("__missing__" not in entries(kind) for kind in bases(type(self.owner)))


class Guard:
    """Everything that ``roots``, values by name, reach: ``holds()`` tells whether all of it is as it was.

    ``ignore`` are names that are passed over wherever they occur, ``effects`` places (`Change.key`) that tracing changes.
    ``cells`` are the cells that were met, whose numbers are inputs of a program, by path; ``specs`` what else they were.

    >>> from types import SimpleNamespace
    >>> from bprop.compile.frontend.call_guard import Guard
    >>> trainer = SimpleNamespace(rate=0.1, losses=[])
    >>> guard, other = (Guard({"trainer": trainer}, ignore) for ignore in ((), ("losses",)))
    >>> trainer.losses.append(1.0)
    >>> bool(guard.holds()), bool(other.holds()), [change.path for change in guard.changes()]
    (False, True, ['trainer.losses'])
    """

    def __init__(self, roots: Mapping[str, Any], ignore: Iterable[str] = (), effects: Set[Any] = frozenset()) -> None:
        from ..runtime import identity  # llvmlite is loaded with the first program, not with bprop

        self._identity, self._ignore, self._effects = identity, frozenset(ignore), effects
        self.cells: dict[Cell, str] = {}
        self._entries: list[Entry] = []
        self._seen: dict[int, tuple[Any, int, str]] = {}  # an object, the one through which it was reached, and how
        self._words: list[int] = []
        self._reads: list[tuple[Callable[[Any], Any], Any, Any]] = []  # what CPython's own functions do not see through
        self._views: list[tuple[Any, list[Any]]] = []
        self._buffers: list[tuple[Any, Any]] = []
        self._weak: list[Any] = []
        self._untraced: dict[int, Set[str]] = {}  # of attributes, by `id` of their dict: names that are no state
        waiting = deque((0, name, value) for name, value in roots.items())
        while waiting and len(self._seen) <= LARGEST:
            parent, suffix, value = waiting.popleft()
            if type(value) in ATOMS or value is UNKNOWN or id(value) in self._seen:
                continue
            self._seen[id(value)] = value, parent, suffix
            waiting.extend(self._inside(value))
        targets = map(ReferenceType.__call__, self._weak)
        # a weak reference must not keep its object alive: what nobody else holds cannot be compared
        arrays_readable = identity.LAID_OUT or not any(is_a(seen[0], np.ndarray) for seen in self._seen.values())
        self.comparable = (
            LOCKED
            and arrays_readable
            and not waiting
            and all(held_value is None or id(held_value) in self._seen for held_value in targets)
        )
        self._words += [identity.END] if self.comparable else [-1]
        self._table = (ctypes.c_int64 * len(self._words))(*self._words)
        self._address, self._same = ctypes.addressof(self._table), identity.same()
        self.holds = self._check()
        """Returns whether everything is the very object that it was, but for cells."""
        self.specs = [(cell, cell.trainable, cell.array.spec) for cell in self.cells]
        del self._words, self._weak, self._identity

    # --- whether all is as it was ---
    def _check(self) -> Callable[[], Any]:
        """Return the shortest way to look: one native call where its table has everything."""
        if self._views or self._reads or self._buffers:
            return self._holds_beside_the_table
        return partial(self._same, self._address)

    def _holds_beside_the_table(self) -> bool:
        if not self._same(self._address):
            return False
        for view, held in self._views:
            if len(view) != len(held) or not all(map(is_, view, held)):
                return False
        for get, owner, value in self._reads:
            if read(get, owner) is not value:
                return False
        for buffer, before in self._buffers:
            now = content(buffer)
            if type(now) is not type(before):
                return False
            if now != before if type(now) is bytes else len(now) != len(before) or not all(map(is_, now, before)):
                return False
        return True

    def changes(self) -> list[Change]:
        """Return what is another object now."""
        return [change for entry in self._entries for change in self._compared(entry)]

    def forget(self, arrays: Set[int]) -> None:
        """Look no more at the numbers of arrays, by `id`, that a program reads where they lie."""
        self._buffers = [pair for pair in self._buffers if id(pair[0]) not in arrays]
        self.holds = self._check()
        self._entries = [
            entry for entry in self._entries if entry.look is not _content or id(entry.owner) not in arrays
        ]

    def _compared(self, entry: Entry) -> Iterator[Change]:
        now, held = entry.look(entry.owner), entry.held
        if len(now) == len(held) and all(
            a is c and (b is d or _equal(b, d)) for (a, b), (c, d) in zip(now, held, strict=True)
        ):
            return
        before, after = ({id(name): (name, value) for name, value in pairs} for pairs in (held, now))
        if len(after) < len(now) or (before.keys() == after.keys() and all(before[k][1] is after[k][1] for k in after)):
            before, after = ({0: (None, tuple(value for _, value in pairs))} for pairs in (held, now))
        for key in before | after:
            name, old = before.get(key, (None, UNKNOWN))
            name, new = after.get(key, (name, UNKNOWN))
            if old is not new:
                yield Change(
                    entry.owner, name, self.path(entry.owner, entry.suffixes(name)), old, new, entry.suffixes is _item
                )

    def path(self, owner: Any, suffix: str = "") -> str:
        """Return how what lies in an object is reached from the roots."""
        key = id(owner)
        while key in self._seen:
            _, key, more = self._seen[key]
            suffix = more + suffix
        return suffix.lstrip(".")

    # --- what objects hold ---
    def _inside(self, value: Any) -> list[tuple[int, str, Any]]:
        """Remember what an object holds, and return it: through what, how, and the value."""
        if is_a(value, Cell):
            self.cells[value] = self.path(value)
        elif is_a(value, ReferenceType):
            self._weak.append(value)
        elif is_a(value, FunctionType):
            return self._function(value)
        elif is_a(value, type):
            return self._class(value)
        elif is_a(value, ModuleType):
            if not is_library(package(value)):
                return self._dict(value, own_dict(value), _attribute)
            return [(0, "os.environ", own_dict(os.environ)["_data"])] if value is os else []
        elif is_a(value, MethodType):
            return self._values(value, {"": value.__self__, ".__func__": value.__func__})
        elif is_a(value, BuiltinFunctionType):
            return [] if is_a(value.__self__, ModuleType) else self._values(value, {"": value.__self__})
        elif is_a(value, property):
            return self._values(value, dict.fromkeys((value.fget, value.fset, value.fdel)), names=False)
        elif is_a(value, (staticmethod, classmethod)):
            return self._values(value, {"": value.__func__})
        elif not is_a(value, _CLOSED):
            return [*self._container(value), *self._attributes(value)]
        return []

    def _values(self, owner: Any, values: Mapping[Any, Any], names: bool = True) -> list[tuple[int, str, Any]]:
        """Return what an object holds for ever."""
        return [(id(owner), name if names else "", value if names else name) for name, value in values.items()]

    def _function(self, f: FunctionType) -> list[tuple[int, str, Any]]:
        """Of a function of the library only what it closes over counts: a user's function in it, say."""
        inside: list[tuple[int, str, Any]] = []
        users = not is_library(package(f))
        for reference in references(f):
            if type(reference.source) is dict and not users:
                continue
            if not self._skips(reference.source, reference.name):
                inside.append((0, reference.name, value := reference.look()))
                self._enter_name(reference.source, reference.name, value)
        if users:
            held = _code(f)
            self._add(
                Entry(f, _code, held, lambda name: f".{name}"),
                self._identity.FUNCTION,
                f,
                *(held_value for _, held_value in held),
            )
            inside += [(id(f), f" (default {name})", held_value) for name, held_value in held[1:]]
            inside += [(0, own_dict(module)["__name__"], module) for module in imported(f)]
        elif f is os.getenv:
            inside.append((0, "os.environ", own_dict(os.environ)["_data"]))
        return [*inside, *self._dict(f, own_dict(f), _attribute)]

    def _class(self, kind: type) -> list[tuple[int, str, Any]]:
        """Return what a class of the user's declares, its bases and its metaclass."""
        if not _can_change(kind):
            return []
        order = bases(kind)
        self._reads.append((partial(type.__getattribute__, kind), "__mro__", order))
        self._entries.append(Entry(kind, lambda kind: [("__mro__", bases(kind))], [("__mro__", order)], _attribute))
        related = [(0, base.__name__, base) for base in (*order[1:], type(kind)) if _can_change(base)]
        return [*self._dict(kind, behind(entries(kind)), _attribute), *related]

    def _container(self, value: Any) -> list[tuple[int, str, Any]]:
        """Remember what a container of any kind holds, and return it."""
        if is_a(value, dict):
            return self._dict(value, value, _item, plain=True)
        inside, kind = members(value), type(value)
        if is_a(value, np.ndarray):
            address, shape, strides, dtype = layout(value)
            axes = [_Count(held_value) for axis in zip(shape, strides, strict=True) for held_value in axis]
            entry = Entry(value, _laid_out, _laid_out(value), _item)
            self._add(entry, self._identity.ARRAY, value, _Count(address), dtype, _Count(len(shape)), *axes)
        if (
            is_a(value, (np.ndarray, *BUFFERS))
            and (before := content(value)) is not None
            and not self._skips(value, None)
        ):
            self._buffers.append((value, before))
            self._entries.append(Entry(value, _content, _content(value), _item))
            return [(id(value), "", held_value) for held_value in before] if type(before) is list else []
        if inside is None or self._skips(value, None):
            return []
        entry = Entry(
            value,
            lambda value: [(None, held_value) for held_value in members(value) or ()],
            [(None, held_value) for held_value in inside],
            _item,
        )
        if kind is list:
            self._add(entry, self._identity.LIST, value, _Count(len(value)), *inside)
        elif is_a(value, (list, set, deque)):  # the others are what they are for ever
            self._entries.append(entry)
            self._views.append((value, inside))
        return [(id(value), f"[{number}]", held_value) for number, held_value in enumerate(inside)]

    def _attributes(self, value: Any) -> list[tuple[int, str, Any]]:
        """Remember the attributes of an object whose attributes count, and return what they hold."""
        kind, own = type(value), own_dict(value)
        home = package(kind)
        users = not is_library(home)
        if not users and home not in _OPEN and (home != _LIBRARY or "__wrapped__" in own):
            environment = own["_data"] if value is os.environ else None
            return self._values(value, {"": own.get("__wrapped__"), ".environ": environment})
        inside: list[tuple[int, str, Any]] = []
        if _can_change(kind):
            inside.append((0, kind.__name__, kind))
            entry = Entry(value, lambda value: [("__class__", type(value))], [("__class__", kind)], _attribute)
            self._add(entry, self._identity.TYPE, value, kind)
        for name, get in slots(kind).items():
            if not self._skips(value, name):
                held = read(get, value)
                self._reads.append((get, value, held))
                look = partial(lambda name, get, value: [(name, read(get, value))], name, get)
                self._entries.append(Entry(value, look, [(name, held)], _attribute))
                inside.append((id(value), f".{name}", held))
        if own_dict(value) is own:  # it is none that was made up
            entry = Entry(value, lambda value: [("__dict__", own_dict(value))], [("__dict__", own)], _attribute)
            self._add(entry, self._identity.OBJECT, value, own)
            for base in bases(kind):
                if package(base) == _LIBRARY and "_untraced" in entries(base):
                    self._untraced[id(own)] = entries(base)["_untraced"]
            inside += self._dict(value, own, _attribute)
        return inside

    def _dict(
        self, owner: Any, own: dict[Any, Any], suffixes: Callable[[Any], str], plain: bool = False
    ) -> list[tuple[int, str, Any]]:
        """Remember the entries of a dict, or of that in which ``owner`` keeps its attributes, and return what they hold."""
        self._seen.setdefault(id(own), (own, id(owner), ""))
        pairs = self._pairs(own)
        if plain and any(value is UNKNOWN for _, value in pairs):  # there may be more of those, in any order
            for name, value in pairs:
                if value is not UNKNOWN:
                    self._enter_name(own, name, value, suffixes)
        else:
            entry = Entry(own, self._pairs, pairs, suffixes)
            if type(own) is dict:
                flat = [held_value for pair in pairs for held_value in pair]
                self._add(entry, self._identity.DICT, own, _Count(len(pairs)), *flat)
            else:
                self._entries.append(entry)
                self._views += [(view, list(view)) for view in views(own)]
        return [(id(own), suffixes(name), value) for name, value in pairs]

    def _pairs(self, own: dict[Any, Any]) -> list[tuple[Any, Any]]:
        return [(name, UNKNOWN if self._skips(own, name) else value) for name, value in zip(*views(own), strict=True)]

    def _skips(self, owner: Any, name: Any) -> bool:
        """Return whether what lies under a name is passed over."""
        if type(name) is str:
            if name in self._ignore or name in _BOOKKEEPING or name in self._untraced.get(id(owner), ()):
                return True
            return (id(owner), name) in self._effects
        return (id(owner), id(name)) in self._effects

    def _enter_name(
        self, source: Any, name: Any, value: Any, suffixes: Callable[[Any], str] = lambda name: str(name)
    ) -> None:
        """Remember a variable, or one entry of a dict."""
        look = partial(_named, name)
        entry = Entry(source, look, [(name, value)], suffixes)
        if is_a(source, dict):
            self._add(entry, self._identity.NAME, source, name, value)
        else:
            self._add(entry, self._identity.CELL, source, value)

    def _add(self, entry: Entry, kind: int, *objects: Any) -> None:
        """Remember what native code compares; the entry keeps alive what the table has the addresses of."""
        self._entries.append(entry)
        self._words += [
            kind,
            *(
                0 if held_value is UNKNOWN else held_value if type(held_value) is _Count else id(held_value)
                for held_value in objects
            ),
        ]


class _Count(int):
    """A number of the table that is not the address of an object."""


def cells_hold(specs: Sequence[tuple[Cell, bool, Any]]) -> bool:
    """Return whether cells are as trainable, and of the shapes and dtypes, that is said of them."""
    for cell, trainable, (shape, dtype) in specs:
        data = cell.array.data
        if cell.trainable is not trainable or data.shape != shape or data.dtype != dtype:
            return False
    return True


def _can_change(kind: type) -> bool:
    """Return whether a class is one of the user's, whose entries can be replaced: Python refuses that of classes in C."""
    return not type.__getattribute__(kind, "__flags__") & IMMUTABLE and not is_library(package(kind))


def _code(f: FunctionType) -> list[tuple[Any, Any]]:
    held = (("__code__", f.__code__), ("__defaults__", f.__defaults__), ("__kwdefaults__", f.__kwdefaults__))
    return [(name, UNKNOWN if value is None else value) for name, value in held]


def _named(name: Any, source: Any) -> list[tuple[Any, Any]]:
    return [(name, dict.get(source, name, UNKNOWN) if is_a(source, dict) else Reference(name, source).look())]


class _Layout(tuple[Any, ...]):
    """Where the numbers of an array lie."""


def _laid_out(value: Any) -> list[tuple[Any, Any]]:
    return [(None, _Layout(layout(value)))]


def _content(value: Any) -> list[tuple[Any, Any]]:
    now = content(value)
    return [(None, held_value) for held_value in now] if type(now) is list else [(None, now)]


def _equal(now: Any, before: Any) -> bool:
    """Return whether bytes or a layout are the same, which are made whenever one looks."""
    return type(now) in (bytes, _Layout) and type(before) is type(now) and now == before


def _attribute(name: Any) -> str:
    return f".{name}"


def _item(name: Any) -> str:
    return "" if name is None else f"[{name!r:.40}]" if type(name) in ATOMS else "[…]"


__all__ = ["Change", "Guard", "cells_hold"]
