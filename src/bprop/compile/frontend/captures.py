"""What a function refers to by name, and under which names it looks at what objects hold.

A trace depends on it as on the arguments: a call is another one where any of it has changed. Of an object of the user's, a
trainer say, only the attributes count that code which the function may reach mentions: what else it keeps, its record of
losses, changes between all calls and is nothing to them.
"""

import dis
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from functools import cached_property, lru_cache, partial, partialmethod
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Literal, NamedTuple
from weakref import ReferenceType

import numpy as np

from ...core.cell import Cell
from ...core.tree import LEAF, Holder, Structure, is_holder
from ...core.value import Array
from .introspection import (
    DYNAMIC,
    UNKNOWN,
    bases,
    content,
    declared,
    entries,
    enumerated,
    is_a,
    is_dynamic,
    items,
    members,
    names,
    own_dict,
    package,
    stored,
    texts,
    unbound,
    wrapped,
)

PLAIN = (bool, int, float, str, bytes, type(None))
ITSELF = (Array, np.ndarray, ModuleType, FunctionType, BuiltinFunctionType, type)
"""What is the same only if it is the same object."""
LIBRARY = {"bprop", "numpy", "scipy", *sys.stdlib_module_names}
"""Packages whose functions, classes and modules hold nothing that a user changes between two calls."""


class Reference(NamedTuple):
    """What a function refers to: a cell of its closure, a global (of its module or another), an attribute of a class, its
    defaults, or an object itself.
    """

    name: str
    kind: Literal["cell", "global", "class", "defaults", "object"]
    source: Any

    def look(self) -> Any:
        """Return what the name stands for now, or `UNKNOWN`."""
        if self.kind == "object":
            return self.source
        if self.kind == "defaults":
            return self.source.__defaults__, self.source.__kwdefaults__
        if self.kind == "global":
            return self.source.get(self.name, UNKNOWN)
        if self.kind == "class":
            return declared(self.source, self.name)
        try:
            return self.source.cell_contents
        except ValueError:  # not assigned yet
            return UNKNOWN


def references(
    f: Callable[..., Any], seen: set[int] | None = None, functions: list[FunctionType] | None = None
) -> Iterator[Reference]:
    """Return everything a function refers to, by name: also in functions inside it, in those that it calls by name, in what
    it is wrapped in, and as values of its parameters. The library's own functions are passed over. ``functions`` takes
    those whose code was looked at.
    """
    seen = set() if seen is None else seen
    if is_a(f, (partial, partialmethod)):
        yield Reference("arguments", "object", f.args)  # type: ignore[attr-defined]
        yield Reference("arguments", "object", f.keywords)  # type: ignore[attr-defined]
        for one in members((f.func, *f.args, *f.keywords.values())) or ():  # type: ignore[attr-defined]
            if _is_users(one):
                yield from references(one, seen, functions)
        return
    if is_a(f, MethodType):
        yield Reference("self", "object", f.__self__)  # type: ignore[attr-defined]
        f = f.__func__  # type: ignore[attr-defined]
    if id(f) in seen:
        return
    seen.add(id(f))
    origin = wrapped(f)
    if origin is not UNKNOWN:
        yield from references(origin, seen, functions)
    if not is_a(f, FunctionType):
        call = declared(type(f), "__call__")
        if origin is UNKNOWN and is_a(call, FunctionType):  # an object that is called
            yield Reference("self", "object", f)
            yield from references(call, seen, functions)
        return
    code = f.__code__
    if functions is not None:
        functions.append(f)  # type: ignore[arg-type]
    if f.__defaults__ or f.__kwdefaults__:
        yield Reference("defaults", "defaults", f)
    mentioned, owners = names(code), set[tuple[int, str]]()
    closed = zip(code.co_freevars, f.__closure__ or (), strict=False)
    found = [Reference(name, "cell", cell) for name, cell in closed]
    for one in found + [Reference(name, "global", f.__globals__) for name in _globals(code)]:
        yield one
        value = one.look()
        for member in _data(value, mentioned, owners):
            yield member
            if _is_users(held := member.look()):
                yield from references(held, seen, functions)
        if _is_users(value):
            yield from references(value, seen, functions)


def _unique(found: Iterable[Reference]) -> list[Reference]:
    return list({(one.kind, id(one.source), one.name): one for one in found}.values())


def with_functions(f: Callable[..., Any], leaves: Sequence[Any]) -> Callable[..., Any]:
    """Return a function that refers to what ``f`` does and what the functions among its arguments do."""
    functions = [leaf for leaf in leaves if _is_users(leaf)]
    return partial(f, *functions) if functions else f


def _is_users(value: Any) -> bool:
    """Return whether a value is a function of the user's, or made from one."""
    value = unbound(value)
    return (is_a(value, FunctionType) and package(value) not in LIBRARY) or wrapped(value) is not UNKNOWN


@lru_cache(1024)
def _globals(code: CodeType) -> tuple[str, ...]:
    """Return the names of globals that code loads; among ``co_names`` are those of attributes, too.

    What is no identifier was not written by a user: pytest puts its own modules there for ``assert``.
    """
    loads = [one.argval for one in dis.get_instructions(code) if one.opname in _LOADS and one.argval.isidentifier()]
    inner = [name for one in code.co_consts if isinstance(one, CodeType) for name in _globals(one)]
    return tuple(dict.fromkeys([*loads, *inner]))


_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")


def _data(owner: Any, mentioned: Set[str], seen: set[tuple[int, str]]) -> Iterator[Reference]:
    """Yield the data of a module or class, such as ``Config.rate``, under the names that a function mentions."""
    if not is_a(owner, (ModuleType, type)) or package(owner) in LIBRARY:
        return
    own = own_dict(owner)
    # a code base mentions thousands of names, and most owners have few
    present = [entries(one).keys() for one in bases(owner)] if is_a(owner, type) else [own.keys()]
    for name in sorted({name for keys in present for name in keys & mentioned}):
        if (id(owner), name) in seen:
            continue
        held = declared(owner, name) if is_a(owner, type) else own[name]
        if is_a(owner, type) and (member := enumerated(owner, name)) is not UNKNOWN:  # is what it is for ever
            held, reference = member, Reference(name, "object", member)
        elif is_a(owner, type):
            if declared(type(held), "__get__") is not UNKNOWN:  # a method, a property
                continue
            reference = Reference(name, "class", owner)
        else:
            reference = Reference(name, "global", own)
        seen.add((id(owner), name))
        yield reference
        yield from _data(held, mentioned, seen)


ENVIRONMENT = {"environ", "getenv", "environb", "getenvb"}
"""Names by which code looks at variables of the environment."""
UNCALLED = {"__init__", "__new__", "__repr__", "__str__", "__del__"}
"""Methods that nothing calls of itself on an object that is there."""
BUILDS = ("__new__", "__init__", "__post_init__")
"""Methods that run where a class is called."""
NOTHING = Structure(LEAF)
"""The structure of what holds no modules."""
_CLOSED = (Array, np.generic, Cell, BuiltinFunctionType)
"""What is not looked into for functions, classes and objects."""


class Mentioned:
    """The names under which a function, and the methods that it may reach, look at what objects hold.

    ``written`` are attributes, as (`Same` of the object, name), that tracing changes: they are effects of it.

    >>> from bprop.compile.frontend.captures import Mentioned
    >>> class Trainer:
    ...     __module__ = "training"  # not the library's
    ...     def __init__(self):
    ...         self.rate, self.losses = 0.1, []
    ...     def scaled(self, x):
    ...         return self.rate * x
    >>> trainer = Trainer()
    >>> Mentioned(lambda x: trainer.scaled(x)).attributes(trainer)
    {'rate': 0.1}
    """

    def __init__(
        self,
        f: Callable[..., Any],
        leaves: Sequence[Any] = (),
        structure: Structure = NOTHING,
        written: Iterable[Any] = (),
    ) -> None:
        called: list[FunctionType] = []
        looked, referred, self.references = 0, -1, list[Reference]()
        seen, met = set[int](), set[tuple[int, str]]()
        self.written = frozenset(written)
        self._given = [*leaves, *holders(structure)]
        self._names: set[str] = set()
        found = list(references(with_functions(f, leaves), seen, called))
        while looked < len(called) or referred < len(
            self.references
        ):  # what is reached mentions names, along which more is
            self._names.update(*(names(one.__code__) for one in called[looked:]))
            self.references = _unique(found)
            if not self._names.isdisjoint(DYNAMIC):  # a name may be kept anywhere
                self._names |= texts(one.look() for one in self.references)
            looked, referred = len(called), len(self.references)
            reached = list(self.reached())
            if not self._names.isdisjoint(ENVIRONMENT):
                found.append(Reference("environ", "object", own_dict(os.environ)["_data"]))
            kinds = {
                id(kind): kind for one in reached for kind in ((one, type(one)) if is_a(one, type) else (type(one),))
            }
            classes = {id(one): one for kind in kinds.values() for one in bases(kind) if can_change(one)}
            for owner in (*reached, *classes.values()):
                for data in _data(owner, self._names, met):
                    found.append(data)
                    if _is_users(held := data.look()):
                        found += references(held, seen, called)
            functions = [one for one in reached if _is_users(one)]
            methods = [one for kind in kinds.values() for one in _methods(kind, self._names)]
            for function in (*functions, *methods):
                found += references(function, seen, called)
            self.references = _unique(found)
        built: list[FunctionType] = []  # not named: they mention every attribute, also those that nothing looks at
        for kind in (one for one in reached if is_a(one, type) and can_change(one)):
            for function in (one for name in BUILDS for one in _functions(declared(kind, name))):
                found += references(function, seen, built)
        self.references = _unique(found)
        self.functions = [one for one in (*called, *built) if package(one) not in LIBRARY]
        """The functions of the user's whose code was looked at."""
        self.classes = [classes[one] for one in sorted(classes)]
        """The classes of the user's of what is reached, and those that they inherit from."""
        self.modules = [one for one in reached if is_a(one, ModuleType) and package(one) not in LIBRARY]

    def attributes(self, holder: Any) -> dict[str, Any]:
        """Return what counts of the attributes of an object.

        Those that are mentioned, by the user's code or by that of a class of the library from which the object's inherits. Of
        modules, and of what else belongs to the library or finds attributes by code of its own, all count but the private ones
        of the library, which no user's code mentions.
        """
        kind, own = type(holder), stored(holder)
        if self.selects(holder):
            found = {name: one for base in reversed(bases(kind)) for name, one in entries(base).items()} | own
            wanted = self._names.union(*map(_private, _foreign(kind)))
            counts = {
                name: one
                for name, one in found.items()
                if name in wanted and (name in own or declared(type(one), "__get__") is UNKNOWN)
            }
        else:
            users = package(kind) not in LIBRARY
            private = frozenset[str]().union(*map(_private, _foreign(kind)))
            counts = {
                name: one
                for name, one in own.items()
                if not name.startswith("_") or name in self._names or (users and name not in private)
            }
        if is_a(holder, FunctionType):
            counts.pop("__wrapped__", None)
        return self.unwritten(holder, counts)

    def methods(self, kind: type) -> dict[str, Any]:
        """Return what of a class's own entries runs, or is called by a name that is mentioned: methods, properties."""
        found = {
            name: one
            for name, one in self.declarations(kind).items()
            if declared(type(one), "__get__") is not UNKNOWN or declared(type(one), "__call__") is not UNKNOWN
        }
        return self.unwritten(kind, found)

    def declarations(self, kind: type) -> dict[str, Any]:
        """Return what counts of a class's own entries.

        Those that are mentioned, and those that run of themselves: of a class that inherits from the library's all but its
        numbers and texts.
        """
        inherits = bool(_foreign(kind))
        found = {
            name: one
            for name, one in entries(kind).items()
            if name in self._names or ((inherits or _is_special(name)) and type(one) not in PLAIN)
        }
        return self.unwritten(kind, found)

    def items(self, holder: Any) -> list[tuple[Any, Any]]:
        """Return what counts of the entries of a dict."""
        return list(self.unwritten(holder, dict(items(holder))).items()) if self.written else items(holder)

    def is_written(self, holder: Any, name: str | None = None) -> bool:
        """Return whether tracing changes what is there under a name, or what a list or set holds."""
        return bool(self.written) and (Same(holder), name) in self.written

    def unwritten(self, holder: Any, found: dict[Any, Any]) -> dict[Any, Any]:
        """Return the attributes or entries that tracing does not change."""
        if not self.written:
            return found
        owner = Same(holder)
        return {name: one for name, one in found.items() if (owner, name) not in self.written}

    def selects(self, holder: Any) -> bool:
        """Return whether only some attributes of an object count."""
        return is_a(holder, FunctionType) or (self._names.isdisjoint(DYNAMIC) and not _opaque(holder))

    def reached(self) -> Iterator[Any]:
        """Yield what can be reached along attributes and entries that count, each one once, but numbers and arrays."""
        seen: set[int] = set()
        waiting = [*self._given, *(one.look() for one in self.references)]
        while waiting:
            one = waiting.pop()
            if type(one) in PLAIN or is_a(one, _CLOSED) or one is UNKNOWN or id(one) in seen:
                continue
            seen.add(id(one))
            yield one
            waiting += [held for held in members(one) or () if type(held) not in PLAIN]
            if is_a(one, MethodType):
                waiting += [one.__self__, one.__func__]
            elif is_a(one, ReferenceType):
                waiting.append(ReferenceType.__call__(one))
            elif is_a(one, np.ndarray):
                waiting += content(one) if one.dtype.hasobject else ()
            elif not is_a(one, (ModuleType, type)) and type(one) not in BUILT_IN:
                waiting += self.attributes(one).values()


BUILT_IN = {list, tuple, set, frozenset, dict, slice, complex, range}
"""Kinds of objects that have no attributes of a user's."""


def can_change(kind: type) -> bool:
    """Return whether a class is one of the user's, whose entries can be replaced: Python refuses that of classes in C."""
    return not type.__getattribute__(kind, "__flags__") & IMMUTABLE and package(kind) not in LIBRARY


IMMUTABLE = 1 << 8
"""CPython's ``Py_TPFLAGS_IMMUTABLETYPE``."""


def _foreign(kind: type) -> list[type]:
    """Return the classes of the library that a class is, or inherits from."""
    return [one for one in bases(kind) if one is not object and package(one) in LIBRARY]


@lru_cache(1024)
def _private(kind: type) -> frozenset[str]:
    """Return the names that the functions of a class of the library mention, as attributes or as text."""
    codes = [one.__code__ for held in entries(kind).values() for one in _functions(held) if is_a(one, FunctionType)]
    consts = [one for code in codes for one in code.co_consts if type(one) is str]
    return frozenset(consts).union(*map(names, codes))


def _opaque(holder: Any) -> bool:
    """Return whether code that is not looked into may read any attribute of an object."""
    kind = type(holder)
    return is_holder(holder) or package(kind) in LIBRARY - {"types", "argparse"} or is_dynamic(kind)


def _methods(kind: type, mentioned: Iterable[str]) -> Iterator[Callable[..., Any]]:
    """Yield the functions of a user's class that run where their names are mentioned, or of themselves, as ``__call__``.

    What is made from a class of the library is called by the library: all of its methods count.
    """
    inherits = bool(_foreign(kind))
    for one in bases(kind):
        if package(one) in LIBRARY:
            continue
        for name, held in entries(one).items():
            if name not in UNCALLED and (inherits or name in mentioned or _is_special(name)):
                yield from _functions(held)


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _functions(held: Any) -> Iterator[Callable[..., Any]]:
    """Yield the functions of an entry of a class: a method of any kind, or the parts of a property or of another descriptor."""
    get = declared(type(held), "__get__")
    if is_a(get, FunctionType) and package(get) not in LIBRARY:
        yield MethodType(get, held)
    if is_a(held, (staticmethod, classmethod)):
        held = held.__func__
    if is_a(held, property):
        parts: list[Any] = [held.fget, held.fset, held.fdel]
    else:
        parts = [held.func if is_a(held, cached_property) else held]
    if is_a(held, partialmethod):
        yield held
        return
    yield from (one for one in parts if is_a(one, FunctionType) or wrapped(one) is not UNKNOWN)


def holders(structure: Structure) -> Iterator[Any]:
    """Yield the modules and what else holds cells in a tree."""
    if isinstance(structure.kind, Holder):
        yield structure.kind.target
    for child in structure.children:
        yield from holders(child)


class Same:
    """A key that is equal for the same object only, and keeps it alive so that its identity is not used again."""

    __slots__ = ("target",)

    def __init__(self, target: Any) -> None:
        self.target = target

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.target is self.target

    def __hash__(self) -> int:
        return id(self.target)
