"""What a compiled function was traced with besides arrays: the key under which its program is kept."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from types import MethodType
from typing import Any

import numpy as np

from ..core.error import ArgumentError
from ..core.interpreter import Cell
from ..core.tree import flatten, is_holder
from ..core.value import Array, refuse_masked
from .reference import ITSELF, PLAIN, UNKNOWN, Mentioned, Same, holders


def leaf_key(leaf: Any, cells: dict[Cell, int], mentioned: Mentioned) -> Any:
    """Return what of an argument's leaf the trace depends on."""
    if isinstance(leaf, Array | np.ndarray | np.generic):
        refuse_masked("compile: an argument", leaf)
        return "array", leaf.shape, leaf.dtype
    if isinstance(leaf, Cell):
        number = cells.setdefault(leaf, len(cells))
        return "cell", number, leaf.array.shape, leaf.array.dtype, leaf.trainable
    if type(leaf) in PLAIN or isinstance(leaf, complex | frozenset | slice):
        return _setting(leaf, set(), mentioned)
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
    return type(leaf), leaf, _settings(leaf, set(), mentioned), tuple(map(_inside, _cells(leaf, set(), mentioned)))


def key_of(leaves: Sequence[Any], structure: Any, mentioned: Mentioned) -> Any:
    """Return the cache key of a call. What the trace itself writes, by ``mentioned``, is no part of it."""
    cells: dict[Cell, int] = {}
    settings = tuple(_settings(one, set(), mentioned) for one in holders(structure))
    return structure, tuple(leaf_key(leaf, cells, mentioned) for leaf in leaves), settings, captured_key(mentioned)


def captured_key(mentioned: Mentioned) -> Any:
    """Return what a function refers to by name: numbers by value, arrays and functions by identity, objects by their settings."""
    found: list[Any] = []
    written = mentioned.written
    for name, value in ((one.name, one.look()) for one in mentioned.references):
        if value is UNKNOWN or name in written:
            continue
        if isinstance(value, dict) and written:
            value = {key: one for key, one in value.items() if entry(name, key) not in written}
        found.append((name, _setting(value, set(), mentioned), tuple(map(_inside, _cells(value, set(), mentioned)))))
    return tuple(found)


def contents(mentioned: Mentioned) -> dict[Any, Any]:
    """Return the numbers, and what the lists, dicts, sets and queues hold, that a function refers to, by name.

    So it does of what objects hold, under object and name. What tracing the function changes among them, a count of its calls
    say, is an effect of the trace and not an input.
    """
    found: dict[Any, Any] = {}
    for name, value in ((one.name, one.look()) for one in mentioned.references):
        if isinstance(value, dict):
            found |= {entry(name, key): Same(one) for key, one in value.items()}
        elif (content := _content(value)) is not None:
            found[name] = content
    for one in mentioned.objects():
        for name, value in mentioned.attributes(one).items():
            if (content := _content(value)) is not None:
                found[Same(one), name] = content
    return found


def _content(value: Any) -> Any:
    """Return what there is of a number or container to be changed."""
    if type(value) in PLAIN:
        return type(value), repr(value)
    if isinstance(value, dict):
        return tuple(value), tuple(map(Same, value.values()))
    return tuple(map(Same, value)) if isinstance(value, list | set | deque) else None


def entry(name: str, key: Any) -> str:
    """Return how an entry of a dict that a function refers to is called."""
    return f"{name}[{key!r}]"


def _inside(cell: Cell) -> Any:
    """Return what the trace depends on of a cell that is no argument: a program reads this very one."""
    return Same(cell), cell.trainable


def _cells(value: Any, seen: set[int], mentioned: Mentioned) -> Iterator[Cell]:
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
        inside = mentioned.attributes(value).values()
    for one in inside:
        yield from _cells(one, seen, mentioned)


def _settings(holder: Any, seen: set[int], mentioned: Mentioned) -> Any:
    """Return what the trace depends on of an object's attributes, also of the objects they hold, each one once."""
    if id(holder) in seen:
        return ()
    seen.add(id(holder))
    return tuple((name, _setting(one, seen, mentioned)) for name, one in mentioned.attributes(holder).items())


def _setting(value: Any, seen: set[int], mentioned: Mentioned) -> Any:
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
        return type(value), tuple(_setting(one, seen, mentioned) for one in entries)
    if isinstance(value, slice):
        return slice, tuple(_setting(one, seen, mentioned) for one in (value.start, value.stop, value.step))
    if isinstance(value, MethodType):  # a new object wherever it is looked up
        return MethodType, Same(value.__func__), _setting(value.__self__, seen, mentioned)
    if isinstance(value, ITSELF):
        return Same(value)
    return _identity(value), _settings(value, seen, mentioned)


def _identity(value: Any) -> Any:
    """Return an object's key: equal objects are the same where their class says so, as that of dates or fractions does."""
    try:
        hash(value)
    except TypeError:  # it can change, or holds what can
        return Same(value)
    return type(value), value
