"""What a function refers to by name, and under which names it looks at what objects hold.

A trace depends on it as on the arguments: a call is another one where any of it has changed. Of an object of the user's, a
trainer say, only the attributes count that code which the function may reach mentions: what else it keeps, its record of
losses, changes between all calls and is nothing to them.
"""

import dis
import inspect
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np

from ..core.interpreter import Cell
from ..core.tree import LEAF, Holder, Structure, is_holder
from ..core.value import Array

PLAIN = (bool, int, float, str, bytes, type(None))
ITSELF = (Array, np.ndarray, ModuleType, FunctionType, BuiltinFunctionType, type)
"""What is the same only if it is the same object, and is not looked into."""
LIBRARY = {"bprop", "numpy", "scipy", *sys.stdlib_module_names}
"""Packages whose functions, classes and modules hold nothing that a user changes between two calls."""
UNKNOWN = object()
"""What a name stands for that is not assigned, or is Python\'s own."""


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
            return getattr(self.source, self.name, UNKNOWN)
        try:
            return self.source.cell_contents
        except ValueError:  # not assigned yet
            return UNKNOWN


def references(
    f: Callable[..., Any], seen: set[int] | None = None, codes: list[CodeType] | None = None
) -> Iterator[Reference]:
    """Return everything a function refers to, by name: also in functions inside it, in those that it calls by name, in what
    it is wrapped in, and as values of its parameters. The library's own functions are passed over. ``codes`` takes the code
    that was looked at.
    """
    seen = set() if seen is None else seen
    if isinstance(f, partial):
        yield Reference("arguments", "object", (f.args, f.keywords))
        for one in (f.func, *filter(_is_users, (*f.args, *f.keywords.values()))):
            yield from references(one, seen, codes)
        return
    if isinstance(f, MethodType):
        yield Reference("self", "object", f.__self__)
        f = f.__func__
    if id(f) in seen:
        return
    seen.add(id(f))
    wrapped = getattr(f, "__wrapped__", None)
    if wrapped is not None:
        yield from references(wrapped, seen, codes)
    code = getattr(f, "__code__", None)
    if code is None:
        call = inspect.getattr_static(type(f), "__call__", None)
        if wrapped is None and isinstance(call, FunctionType):  # an object that is called
            yield Reference("self", "object", f)
            yield from references(call, seen, codes)
        return
    if codes is not None:
        codes.append(code)
    if isinstance(f, FunctionType) and (f.__defaults__ or f.__kwdefaults__):
        yield Reference("defaults", "defaults", f)
    names, owners = tuple(dict.fromkeys(_names(code))), set[int]()
    closed = zip(code.co_freevars, getattr(f, "__closure__", None) or (), strict=False)
    scope = getattr(f, "__globals__", {})
    found = [Reference(name, "cell", cell) for name, cell in closed]
    for one in found + [Reference(name, "global", scope) for name in _globals(code)]:
        yield one
        value = one.look()
        for member in _members(value, names, owners):
            yield member
            if _is_users(held := member.look()):
                yield from references(held, seen, codes)
        if _is_users(value):
            yield from references(value, seen, codes)


def with_functions(f: Callable[..., Any], leaves: Sequence[Any]) -> Callable[..., Any]:
    """Return a function that refers to what ``f`` does and what the functions among its arguments do."""
    functions = [leaf for leaf in leaves if _is_users(leaf)]
    return partial(f, *functions) if functions else f


def _is_users(value: Any) -> bool:
    """Return whether a value is a function of the user's, or made from one."""
    if isinstance(value, partial | MethodType):
        value = value.func if isinstance(value, partial) else value.__func__
    return (isinstance(value, FunctionType) and _root(value.__module__) not in LIBRARY) or hasattr(value, "__wrapped__")


def _root(name: str | None) -> str:
    return (name or "").partition(".")[0]


@lru_cache(1024)
def _globals(code: CodeType) -> tuple[str, ...]:
    """Return the names of globals that code loads; among ``co_names`` are those of attributes, too."""
    loads = [one.argval for one in dis.get_instructions(code) if one.opname in _LOADS]
    inner = [name for one in code.co_consts if isinstance(one, CodeType) for name in _globals(one)]
    return tuple(dict.fromkeys([*loads, *inner]))


_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")


def _members(owner: Any, names: Sequence[str], seen: set[int]) -> Iterator[Reference]:
    """Yield the data of a module or class, such as ``Config.rate``, under the names that a function mentions."""
    if not isinstance(owner, ModuleType | type) or id(owner) in seen:
        return
    seen.add(id(owner))
    if _root(owner.__name__ if isinstance(owner, ModuleType) else owner.__module__) in LIBRARY:
        return
    for name in names:
        held = inspect.getattr_static(owner, name, UNKNOWN)
        if held is UNKNOWN or (isinstance(owner, type) and hasattr(type(held), "__get__")):  # a method, a property
            continue
        if isinstance(owner, ModuleType):
            yield Reference(name, "global", vars(owner))
        else:
            yield Reference(name, "class", owner)
        yield from _members(held, names, seen)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _names(one)


def slots(holder: Any) -> dict[str, Any]:
    """Return what the slots of an object hold."""
    found: dict[str, Any] = {}
    for one in type(holder).__mro__:
        names = one.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if not name.startswith("__") and (value := getattr(holder, name, UNKNOWN)) is not UNKNOWN:
                found[name] = value
    return found


def attributes(holder: Any) -> dict[str, Any]:
    """Return what the attributes of an object hold, those in slots too."""
    return slots(holder) | getattr(holder, "__dict__", {})


DYNAMIC = {
    "getattr", "hasattr", "vars", "__dict__", "dir", "eval", "exec", "attrgetter", "asdict", "astuple", "deepcopy",
}  # fmt: skip
"""Names by which code may look at any attribute."""
UNCALLED = {"__init__", "__new__", "__repr__", "__str__", "__del__"}
"""Methods that nothing calls of itself on an object that is there."""
NOTHING = Structure(LEAF)
"""The structure of what holds no modules."""
_CLOSED = (Array, np.ndarray, np.generic, Cell, ModuleType, BuiltinFunctionType)
"""What is not looked into for functions, classes and objects."""


class Mentioned:
    """The names under which a function, and the methods that it may reach, look at what objects hold.

    ``written`` are attributes, as (`Same` of the object, name), that tracing changes: they are effects of it.

    >>> from bprop.compile.reference import Mentioned
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
        codes: list[CodeType] = []
        seen: set[int] = set()
        self.written = frozenset(written)
        self._given = [*leaves, *holders(structure)]
        self._names: set[str] = set()
        self.references = list(references(with_functions(f, leaves), seen, codes))
        while codes:  # what is reached mentions names, along which more is reached
            self._names.update(name for code in codes for name in _names(code))
            codes.clear()
            found = list(self._reached())
            kinds = {one if isinstance(one, type) else type(one): None for one in found}
            functions: list[Any] = [one for one in found if isinstance(one, FunctionType) and _is_users(one)]
            methods = [one for kind in kinds for one in _methods(kind, self._names)]
            for function in (*functions, *methods):
                self.references += references(function, seen, codes)

    def _dynamic(self) -> bool:
        return not self._names.isdisjoint(DYNAMIC)

    def attributes(self, holder: Any) -> dict[str, Any]:
        """Return what counts of the attributes of an object: those that are mentioned, or all public ones.

        All of them count of modules and of what else belongs to the library, which mentions them elsewhere.
        """
        found = attributes(holder)
        if self.selects(holder):
            every = {name: one for kind in reversed(type(holder).__mro__) for name, one in vars(kind).items()} | found
            found = {  # of what only the class has, its data
                name: one
                for name, one in every.items()
                if name in self._names and (name in found or not hasattr(type(one), "__get__"))
            }
        written = self.written
        return {
            name: one
            for name, one in found.items()
            if not name.startswith("_") and not (written and (Same(holder), name) in written)
        }

    def selects(self, holder: Any) -> bool:
        """Return whether only some attributes of an object count."""
        return not (self._dynamic() or _opaque(holder))

    def objects(self) -> list[Any]:
        """Return the objects that can be reached along attributes that count."""
        return [one for one in self._reached() if not isinstance(one, type | FunctionType)]

    def _reached(self) -> Iterator[Any]:
        """Yield objects, functions and classes that can be reached along attributes that count, each one once."""
        seen: set[int] = set()
        waiting = [*self._given, *(one.look() for one in self.references)]
        while waiting:
            one = waiting.pop()
            if type(one) in PLAIN or isinstance(one, _CLOSED) or one is UNKNOWN or id(one) in seen:
                continue
            seen.add(id(one))
            if isinstance(one, dict):
                waiting += one.values()
            elif isinstance(one, list | tuple | set | frozenset | deque):
                waiting += one
            elif isinstance(one, MethodType):
                waiting += [one.__self__, one.__func__]
            else:
                yield one
                if not isinstance(one, type | FunctionType):
                    waiting += self.attributes(one).values()


def _opaque(holder: Any) -> bool:
    """Return whether code that is not looked into may read any attribute of an object."""
    kind = type(holder)
    return (
        is_holder(holder)
        or _root(kind.__module__) in LIBRARY - {"types", "argparse"}
        or hasattr(kind, "__getattr__")
        or any("__getattribute__" in vars(one) for one in kind.__mro__[:-1])
    )


def _methods(kind: type, names: Iterable[str]) -> Iterator[Callable[..., Any]]:
    """Yield the functions of a user's class that run where their names are mentioned, or of themselves, as ``__call__``.

    What is made from a class of the library is called by the library: all of its methods count.
    """
    inherits = any(_root(one.__module__) in LIBRARY for one in kind.__mro__ if one is not object)
    for one in kind.__mro__:
        if _root(one.__module__) in LIBRARY:
            continue
        for name, held in vars(one).items():
            if name not in UNCALLED and (inherits or name in names or (name.startswith("__") and name.endswith("__"))):
                yield from _functions(held)


def _functions(held: Any) -> Iterator[Callable[..., Any]]:
    """Yield the functions of an entry of a class: a method of any kind, or the parts of a property."""
    if isinstance(held, staticmethod | classmethod):
        held = held.__func__
    parts: list[Any] = [held.fget, held.fset, held.fdel] if isinstance(held, property) else [held]
    if isinstance(held, cached_property):
        parts = [held.func]
    yield from (one for one in parts if isinstance(one, FunctionType) or hasattr(one, "__wrapped__"))


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
