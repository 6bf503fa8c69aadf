"""What a compiled function was traced with besides arrays: the key under which its program is kept."""

import dis
import inspect
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from functools import lru_cache, partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np

from ..core.error import ArgumentError
from ..core.interpreter import Cell
from ..core.tree import Holder, flatten, is_holder
from ..core.value import Array

PLAIN = (bool, int, float, str, bytes, type(None))
ITSELF = (Array, np.ndarray, ModuleType, FunctionType, BuiltinFunctionType, type)
"""What is the same only if it is the same object, and is not looked into."""
LIBRARY = {"bprop", "numpy", "scipy", *sys.stdlib_module_names}
"""Packages whose functions, classes and modules hold nothing that a user changes between two calls."""
UNKNOWN = object()
"""What a name stands for that is not assigned, or is Python\'s own."""


def leaf_key(leaf: Any, cells: dict[Cell, int]) -> Any:
    """Return what of an argument's leaf the trace depends on."""
    if isinstance(leaf, Array | np.ndarray | np.generic):
        return "array", leaf.shape, leaf.dtype
    if isinstance(leaf, Cell):
        number = cells.setdefault(leaf, len(cells))
        return "cell", number, leaf.array.shape, leaf.array.dtype, leaf.trainable
    if type(leaf) in PLAIN or isinstance(leaf, complex | frozenset | slice):
        return _setting(leaf, set())
    if isinstance(leaf, Iterator):
        raise ArgumentError(
            f"compile: an argument holds a {type(leaf).__name__}, which gives each value once, so that all calls would see "
            f"those that the first one was made with: pass a list or tuple"
        )
    try:
        hash(leaf)
    except TypeError:
        raise ArgumentError(
            f"compile: an argument holds a {type(leaf).__name__}, which is neither an array nor hashable: pass arrays, "
            f"or numbers and strings, which are constants of the program, in lists, tuples, dicts and dataclasses"
        ) from None
    if isinstance(leaf, ITSELF):
        return type(leaf), leaf
    return type(leaf), leaf, _settings(leaf, set()), tuple(map(_inside, _cells(leaf, set())))


def key_of(leaves: Sequence[Any], structure: Any, f: Callable[..., Any], written: Set[str] = frozenset()) -> Any:
    """Return the cache key of a call; ``written`` are names that `captured_key` passes over."""
    cells: dict[Cell, int] = {}
    holders = tuple(_settings(one, set()) for one in _holders(structure))
    captured = captured_key(with_functions(f, leaves), written)
    return structure, tuple(leaf_key(leaf, cells) for leaf in leaves), holders, captured


def with_functions(f: Callable[..., Any], leaves: Sequence[Any]) -> Callable[..., Any]:
    """Return a function that refers to what ``f`` does and what the functions among its arguments do."""
    functions = [leaf for leaf in leaves if _is_users(leaf)]
    return partial(f, *functions) if functions else f


def captured_key(f: Callable[..., Any], written: Set[str]) -> Any:
    """Return what a function refers to by name: numbers by value, arrays and functions by identity, objects by their settings.

    Methods called by it are not looked into: what they refer to by name is taken as it is when the program is made.
    """
    found: list[Any] = []
    for name, value in ((one.name, one.look()) for one in references(f)):
        if value is UNKNOWN or name in written:
            continue
        if isinstance(value, dict) and written:
            value = {key: one for key, one in value.items() if entry(name, key) not in written}
        found.append((name, _setting(value, set()), tuple(map(_inside, _cells(value, set())))))
    return tuple(found)


def contents(f: Callable[..., Any]) -> dict[str, Any]:
    """Return the numbers, and what the lists, dicts, sets and queues hold, that a function refers to, by name.

    What tracing the function changes among them, a count of its calls say, is an effect of the trace and not an input.
    """
    found: dict[str, Any] = {}
    for name, value in ((one.name, one.look()) for one in references(f)):
        if type(value) in PLAIN:
            found[name] = type(value), repr(value)
        elif isinstance(value, dict):
            found |= {entry(name, key): Same(one) for key, one in value.items()}
        elif isinstance(value, list | set | deque):
            found[name] = tuple(map(Same, value))
    return found


def entry(name: str, key: Any) -> str:
    """Return how an entry of a dict that a function refers to is called."""
    return f"{name}[{key!r}]"


def _inside(cell: Cell) -> Any:
    """Return what the trace depends on of a cell that is no argument: a program reads this very one."""
    return Same(cell), cell.trainable


class Same:
    """A key that is equal for the same object only, and keeps it alive so that its identity is not used again."""

    __slots__ = ("target",)

    def __init__(self, target: Any) -> None:
        self.target = target

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.target is self.target

    def __hash__(self) -> int:
        return id(self.target)


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


def references(f: Callable[..., Any], seen: set[int] | None = None) -> Iterator[Reference]:
    """Return everything a function refers to, by name: also in functions inside it, in those that it calls by name, in what
    it is wrapped in, and as values of its parameters. The library's own functions are passed over.
    """
    seen = set() if seen is None else seen
    if isinstance(f, partial):
        yield Reference("arguments", "object", (f.args, f.keywords))
        for one in (f.func, *filter(_is_users, (*f.args, *f.keywords.values()))):
            yield from references(one, seen)
        return
    if isinstance(f, MethodType):
        yield Reference("self", "object", f.__self__)
        f = f.__func__
    if id(f) in seen:
        return
    seen.add(id(f))
    wrapped = getattr(f, "__wrapped__", None)
    if wrapped is not None:
        yield from references(wrapped, seen)
    code = getattr(f, "__code__", None)
    if code is None:
        call = inspect.getattr_static(type(f), "__call__", None)
        if wrapped is None and isinstance(call, FunctionType):  # an object that is called
            yield Reference("self", "object", f)
            yield from references(call, seen)
        return
    if isinstance(f, FunctionType) and (f.__defaults__ or f.__kwdefaults__):
        yield Reference("defaults", "defaults", f)
    names, owners = tuple(dict.fromkeys(_names(code))), set[int]()
    closed = zip(code.co_freevars, getattr(f, "__closure__", None) or (), strict=False)
    scope = getattr(f, "__globals__", {})
    found = [Reference(name, "cell", cell) for name, cell in closed]
    for one in found + [Reference(name, "global", scope) for name in _globals(code)]:
        yield one
        value = one.look()
        yield from _members(value, names, owners)
        if _is_users(value):
            yield from references(value, seen)


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


def _holders(structure: Any) -> Iterator[Any]:
    if isinstance(structure.kind, Holder):
        yield structure.kind.target
    for child in structure.children:
        yield from _holders(child)


def _cells(value: Any, seen: set[int]) -> Iterator[Cell]:
    """Return the cells that what is referred to by name holds: a program reads these very ones."""
    if type(value) in PLAIN or id(value) in seen:
        return
    seen.add(id(value))
    inside: Iterable[Any] = ()
    if isinstance(value, Cell):
        yield value
    elif is_holder(value):
        inside = [leaf for leaf in flatten(value)[0] if isinstance(leaf, Cell)]
    elif isinstance(value, dict):
        inside = value.values()
    elif isinstance(value, list | tuple | set | deque):
        inside = value
    elif not isinstance(value, ITSELF):
        inside = [one for name, one in attributes(value).items() if not name.startswith("_")]
    for one in inside:
        yield from _cells(one, seen)


def attributes(holder: Any) -> dict[str, Any]:
    """Return what the attributes of an object hold, those in slots too."""
    return slots(holder) | getattr(holder, "__dict__", {})


def _settings(holder: Any, seen: set[int]) -> Any:
    """Return what the trace depends on of an object's public attributes, also of the objects they hold, each one once."""
    if id(holder) in seen:
        return ()
    seen.add(id(holder))
    return tuple((name, _setting(one, seen)) for name, one in attributes(holder).items() if not name.startswith("_"))


def _setting(value: Any, seen: set[int]) -> Any:
    """Return what the trace depends on of a value that an object holds or that a name stands for."""
    if type(value) in PLAIN or isinstance(value, complex | np.generic):
        return type(value), repr(value)
    if isinstance(value, Cell):
        return "cell", value.trainable
    if isinstance(value, list | tuple | set | frozenset | deque | dict):
        if id(value) in seen:
            return Same(value)
        seen.add(id(value))
        entries = [one for item in value.items() for one in item] if isinstance(value, dict) else value
        return type(value), tuple(_setting(one, seen) for one in entries)
    if isinstance(value, slice):
        return slice, tuple(_setting(one, seen) for one in (value.start, value.stop, value.step))
    if isinstance(value, MethodType):  # a new object wherever it is looked up
        return MethodType, Same(value.__func__), _setting(value.__self__, seen)
    if isinstance(value, ITSELF):
        return Same(value)
    return _identity(value), _settings(value, seen)


def _identity(value: Any) -> Any:
    """Return an object's key: equal objects are the same where their class says so, as that of dates or fractions does."""
    try:
        hash(value)
    except TypeError:  # it can change, or holds what can
        return Same(value)
    return type(value), value
