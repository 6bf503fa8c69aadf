"""What a compiled function was traced with besides arrays: the key under which its program is kept."""

import dataclasses
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np

from ..core.error import ArgumentError
from ..core.interpreter import Cell
from ..core.tree import Holder, flatten, is_holder
from ..core.value import Array

PLAIN = (bool, int, float, str, bytes, type(None))
UNKNOWN = object()
"""What a name stands for that is not assigned, or is Python\'s own."""


def leaf_key(leaf: Any, cells: dict[Cell, int]) -> Any:
    """Return what of an argument's leaf the trace depends on."""
    if isinstance(leaf, Array | np.ndarray | np.generic):
        return "array", leaf.shape, leaf.dtype
    if isinstance(leaf, Cell):
        number = cells.setdefault(leaf, len(cells))
        return "cell", number, leaf.array.shape, leaf.array.dtype, leaf.trainable
    if type(leaf) in (bool, int, float, complex):
        return type(leaf), repr(leaf)
    if isinstance(leaf, frozenset):  # equal ones may hold 1, 1.0 or True
        return type(leaf), frozenset((type(one), repr(one) if type(one) in PLAIN else one) for one in leaf)
    try:
        hash(leaf)
    except TypeError:
        raise ArgumentError(
            f"compile: an argument holds a {type(leaf).__name__}, which is neither an array nor hashable: pass arrays, "
            f"or numbers and strings, which are constants of the program"
        ) from None
    if isinstance(leaf, ModuleType | FunctionType | type):
        return type(leaf), leaf
    return type(leaf), leaf, _settings(leaf)


def key_of(leaves: Sequence[Any], structure: Any, f: Callable[..., Any], written: Set[str] = frozenset()) -> Any:
    """Return the cache key of a call; ``written`` are names that `captured_key` passes over."""
    cells: dict[Cell, int] = {}
    holders = tuple(_settings(one) for one in _holders(structure))
    return structure, tuple(leaf_key(leaf, cells) for leaf in leaves), holders, captured_key(f, cells, written)


def captured_key(f: Callable[..., Any], cells: dict[Cell, int], written: Set[str]) -> Any:
    """Return what a function refers to by name: numbers by value, arrays by identity, objects by their settings.

    Functions called by it are not looked into: what they close over is taken as it is when the program is made.
    """
    found: list[Any] = []
    for name, value in ((one.name, one.look()) for one in references(f)):
        if value is UNKNOWN or name in written:
            continue
        if isinstance(value, dict) and written:
            value = {key: one for key, one in value.items() if entry(name, key) not in written}
        if type(value) in PLAIN:
            found.append((name, type(value), repr(value)))
        elif isinstance(value, Array | np.ndarray):
            found.append((name, Same(value)))
        elif is_holder(value):
            found.append((name, Same(value), _settings(value)))
        elif isinstance(value, list | tuple | dict | set | deque):
            leaves, structure = flatten(list(value) if isinstance(value, set | deque) else value)
            found.append(
                (name, structure, tuple(map(_inside, leaves)), *(_settings(one) for one in _holders(structure)))
            )
        elif not isinstance(value, ModuleType | FunctionType | type):
            found.append((name, Same(value), _settings(value)))
        if not isinstance(value, ModuleType | FunctionType | type):
            found.append((name, tuple(map(_inside, _cells(value, set())))))
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


def _inside(leaf: Any) -> Any:
    """Return what the trace depends on of a leaf that is referred to by name."""
    if isinstance(leaf, PLAIN):
        return type(leaf), repr(leaf)
    return (Same(leaf), leaf.trainable) if isinstance(leaf, Cell) else Same(leaf)


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
    """What a function refers to: a cell of its closure, a key of a dict of globals, its defaults, or an object itself."""

    name: str
    kind: Literal["cell", "global", "defaults", "object"]
    source: Any

    def look(self) -> Any:
        """Return what the name stands for now, or `UNKNOWN`."""
        if self.kind == "object":
            return self.source
        if self.kind == "defaults":
            return self.source.__defaults__, self.source.__kwdefaults__
        if self.kind == "global":
            return self.source.get(self.name, UNKNOWN)
        try:
            return self.source.cell_contents
        except ValueError:  # not assigned yet
            return UNKNOWN


def references(f: Callable[..., Any]) -> Iterator[Reference]:
    """Return everything a function refers to, by name: also in functions inside it, and as values of its parameters."""
    if isinstance(f, partial):
        yield Reference("arguments", "object", (f.args, f.keywords))
        yield from references(f.func)
        return
    if isinstance(f, MethodType):
        yield Reference("self", "object", f.__self__)
        f = f.__func__
    f = inspect.unwrap(f)
    code = getattr(f, "__code__", None)
    if code is None:
        call = inspect.getattr_static(type(f), "__call__", None)
        if isinstance(call, FunctionType):  # an object that is called
            yield Reference("self", "object", f)
            yield from references(call)
        return
    if isinstance(f, FunctionType) and (f.__defaults__ or f.__kwdefaults__):
        yield Reference("defaults", "defaults", f)
    for name, cell in zip(code.co_freevars, getattr(f, "__closure__", None) or (), strict=False):
        yield Reference(name, "cell", cell)
    scope = getattr(f, "__globals__", {})
    for name in dict.fromkeys(_names(code)):
        yield Reference(name, "global", scope)


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
    elif not seen - {id(value)} or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        inside = [one for name, one in _attributes(value).items() if not name.startswith("_")]
    for one in inside:
        yield from _cells(one, seen)


def _attributes(holder: Any) -> dict[str, Any]:
    return slots(holder) | getattr(holder, "__dict__", {})


def _settings(holder: Any, seen: frozenset[int] = frozenset()) -> Any:
    """Return the numbers, strings and arrays among an object's public attributes, also of the objects it holds."""
    if id(holder) in seen:
        return ()
    seen = seen | {id(holder)}
    found = []
    for name, value in _attributes(holder).items():
        if not name.startswith("_"):
            found.append((name, _setting(value, seen)))
    return tuple(found)


def _setting(value: Any, seen: frozenset[int]) -> Any:
    if type(value) in PLAIN:
        return type(value), repr(value)
    if isinstance(value, Cell):
        return "cell", value.trainable
    if isinstance(value, Array | np.ndarray):
        return Same(value)
    if is_holder(value):
        return _settings(value, seen)
    if isinstance(value, list | tuple | set | deque):
        return type(value), tuple(_setting(one, seen) for one in value)
    if isinstance(value, dict):
        return tuple((repr(key), _setting(one, seen)) for key, one in value.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value), _settings(value, seen)
    return type(value)
