"""What a compiled function was traced with besides arrays: the key under which its program is kept."""

from collections.abc import Iterable, Iterator, Sequence
from types import FunctionType, MethodType
from typing import Any
from weakref import ReferenceType

import numpy as np

from ...core.cell import Cell
from ...core.error import ArgumentError
from ...core.tree import flatten, is_holder
from ...core.value import Array, refuse_masked
from .captures import BUILT_IN, ITSELF, PLAIN, Mentioned, Same, holders
from .introspection import BUFFERS, MUTABLE, UNKNOWN, bases, content, declared, is_a, layout, members


def leaf_key(leaf: Any, cells: dict[Cell, int], mentioned: Mentioned) -> Any:
    """Return what of an argument's leaf the trace depends on."""
    if is_a(leaf, (Array, np.ndarray, np.generic)):
        refuse_masked("compile: an argument", leaf)
        return "array", leaf.shape, leaf.dtype
    if is_a(leaf, Cell):
        number = cells.setdefault(leaf, len(cells))
        return "cell", number, leaf.array.shape, leaf.array.dtype, leaf.trainable
    if type(leaf) in PLAIN or is_a(leaf, (complex, frozenset, slice)):
        return _setting(leaf, set(), mentioned)
    if issubclass(type(leaf), Iterator):
        raise ArgumentError(
            f"compile: an argument holds a {type(leaf).__name__}, which gives each value once, so that all calls would see "
            f"those that the first one was made with: pass a list or tuple"
        )
    if is_a(leaf, ITSELF):
        return Same(leaf)
    try:
        hash(leaf)
    except Exception:
        raise ArgumentError(
            f"compile: an argument holds a {type(leaf).__name__}, which is neither an array nor hashable: pass arrays, "
            f"or numbers and strings, which are constants of the program, in lists, tuples, dicts and dataclasses"
        ) from None
    return Equal(leaf), _settings(leaf, set(), mentioned), tuple(map(_inside, _cells(leaf, set(), mentioned)))


class Equal:
    """A key that is equal for objects of one class that say they are equal, as dates or fractions do."""

    __slots__ = ("hashed", "target")

    def __init__(self, target: Any) -> None:
        self.target, self.hashed = target, hash(target)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Equal) or type(other.target) is not type(self.target):
            return False
        try:
            return other.target is self.target or bool(other.target == self.target)
        except Exception:  # an array of comparisons, say: who does not say yes is another one
            return False

    def __hash__(self) -> int:
        return self.hashed


def key_of(leaves: Sequence[Any], structure: Any, mentioned: Mentioned) -> Any:
    """Return the cache key of a call. What the trace itself writes, by ``mentioned``, is no part of it."""
    cells: dict[Cell, int] = {}
    settings = tuple((type(one), _settings(one, set(), mentioned)) for one in holders(structure))
    return structure, tuple(leaf_key(leaf, cells, mentioned) for leaf in leaves), settings, captured_key(mentioned)


def captured_key(mentioned: Mentioned) -> Any:
    """Return what a function refers to by name: numbers by value, arrays and functions by identity, objects by their settings."""
    found: list[Any] = []
    settled, searched = set[int](), set[int]()  # what several refer to is looked through once
    for one in mentioned.references:
        value = one.look()
        if value is UNKNOWN or mentioned.is_written(one.source, one.name):
            continue
        cells = tuple(map(_inside, _cells(value, searched, mentioned)))
        found.append((one.name, _setting(value, settled, mentioned), cells))
    codes = tuple((Same(one), Same(one.__code__)) for one in mentioned.functions)
    classes = tuple(
        (tuple(map(Same, bases(kind))), tuple((name, Same(one)) for name, one in mentioned.methods(kind).items()))
        for kind in mentioned.classes
    )
    return tuple(found), codes, classes


def contents(mentioned: Mentioned) -> dict[Any, Any]:
    """Return what a function refers to, and what that holds, by owner and name; of what is no dict or object, all in one.

    What tracing the function changes among them, a count of its calls say, is an effect of the trace and not an input.
    """
    found: dict[Any, Any] = {
        (Same(one.source), one.name): _token(one.look())
        for one in mentioned.references
        if one.kind in ("cell", "global", "class")
    }
    found |= {
        (Same(kind), name): _token(one) for kind in mentioned.classes for name, one in mentioned.methods(kind).items()
    }
    for one in mentioned.reached():
        owner = Same(one)
        if is_a(one, dict):
            found |= {(owner, key): _token(held) for key, held in mentioned.items(one)}
        elif is_a(one, BUFFERS) or (is_a(one, np.ndarray) and one.dtype.hasobject):
            found[owner, None] = _token(content(one)) if is_a(one, BUFFERS) else tuple(map(_token, content(one)))
        elif is_a(one, MUTABLE):
            found[owner, None] = tuple(map(_token, members(one) or ()))
        elif has_attributes(one):
            found |= {(owner, name): _token(held) for name, held in mentioned.attributes(one).items()}
    return found


def effects(before: dict[Any, Any], after: dict[Any, Any]) -> set[Any]:
    """Return what a trace changed, of what `contents` were before and after it.

    An attribute that it made, of none or of `None`, or a key that a defaultdict did, is from now on there as if it always had
    been.
    """
    made = {key for key in after if key not in before}
    changed = {key for key in before if before[key] != after.get(key) and before[key] != _token(None)}
    return changed | {
        (owner, name)
        for owner, name in made
        if is_a(owner.target, dict) and declared(type(owner.target), "__missing__") is UNKNOWN
    }


def has_attributes(value: Any) -> bool:
    """Return whether a value is an object whose attributes may be looked at."""
    return type(value) not in BUILT_IN and (is_a(value, FunctionType) or not is_a(value, ITSELF))


def _token(value: Any) -> Any:
    return (type(value), repr(value)) if type(value) in PLAIN else Same(value)


def _inside(cell: Cell) -> Any:
    """Return what the trace depends on of a cell that is no argument: a program reads this very one."""
    return Same(cell), cell.trainable


def _cells(value: Any, seen: set[int], mentioned: Mentioned) -> Iterator[Cell]:
    """Return the cells that what is referred to by name holds: a program reads these very ones."""
    if type(value) in PLAIN or id(value) in seen:
        return
    seen.add(id(value))
    inside: Iterable[Any] = members(value) or ()
    if is_a(value, Cell):
        yield value
    elif is_holder(value):
        inside = [leaf for leaf in flatten(value)[0] if is_a(leaf, Cell)]
    elif has_attributes(value):
        inside = [*inside, *mentioned.attributes(value).values()]
    for one in inside:
        yield from _cells(one, seen, mentioned)


def _settings(holder: Any, seen: set[int], mentioned: Mentioned, *, again: bool = False) -> Any:
    """Return what the trace depends on of an object's attributes, also of the objects they hold, each one once."""
    if not has_attributes(holder) or (id(holder) in seen and not again):
        return ()
    seen.add(id(holder))
    return tuple((name, _setting(one, seen, mentioned)) for name, one in mentioned.attributes(holder).items())


def _setting(value: Any, seen: set[int], mentioned: Mentioned) -> Any:
    """Return what the trace depends on of a value that an object holds or that a name stands for."""
    if type(value) in PLAIN or is_a(value, (complex, np.generic)):
        return type(value), repr(value)
    if is_a(value, Cell):
        return "cell", value.trainable
    if is_a(value, slice):
        return slice, tuple(_setting(one, seen, mentioned) for one in (value.start, value.stop, value.step))
    if is_a(value, MethodType):  # a new object wherever it is looked up
        return MethodType, Same(value.__func__), _setting(value.__self__, seen, mentioned)
    if id(value) in seen:
        return Same(value)
    inside = members(value)
    if inside is not None:
        seen.add(id(value))
        if mentioned.is_written(value):
            return Same(value)
        if is_a(value, dict):
            inside = [one for item in mentioned.items(value) for one in item]
        held = tuple(_setting(one, seen, mentioned) for one in inside)
        return type(value), held, _settings(value, seen, mentioned, again=True)
    if is_a(value, (*BUFFERS, np.ndarray)):
        now = None if mentioned.is_written(value) else content(value)
        if type(now) is list:
            seen.add(id(value))
            now = tuple(_setting(one, seen, mentioned) for one in now)
        # of bytes only what they are counts, an array is this very one as well, and lies where and as it did
        if is_a(value, np.ndarray):
            return type(value), Same(value), layout(value), now
        return type(value), Same(value) if now is None else now
    if is_a(value, ReferenceType):
        return Same(value), _settings(
            ReferenceType.__call__(value), seen, mentioned
        )  # it must not keep its object alive
    if is_a(value, ITSELF) and not is_a(value, FunctionType):
        return Same(value)
    return type(value), _identity(value), _settings(value, seen, mentioned)


def _identity(value: Any) -> Any:
    """Return an object's key: equal objects are the same where their class says so, as that of dates or fractions does."""
    try:
        return Equal(value)
    except Exception:  # it can change, or holds what can
        return Same(value)
