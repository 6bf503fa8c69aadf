"""The signature of a call: structure, shapes, dtypes and constants of its arguments, compared by equality."""

from collections.abc import Callable, Container, Iterator, Sequence, Set
from copy import copy
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ...core.cell import Cell
from ...core.error import ArgumentError
from ...core.tree import LEAF, Holder, Structure
from ...core.value import Array, refuse_masked
from ..introspection import bases, entries, is_a, stored

PLAIN = (bool, int, float, complex, str, bytes, type(None))
_BY_IDENTITY = (Array, np.ndarray, ModuleType, FunctionType, BuiltinFunctionType, type)


class Signature:
    """What the arguments of a call are, but for the numbers of arrays, cells and floats: ``parts`` is equal for calls of one kind.

    ``leaves_of(args)`` finds out, without a key, that a call has the very objects of this one beside arrays of the same
    shapes and dtypes; it returns the leaves then, else ``None``. It can where the arguments are arrays, modules and other
    objects; a list or dict of arrays needs the key.
    """

    def __init__(self, leaves: Sequence[Any], structure: Structure, args: Sequence[Any] | None = None) -> None:
        numbers: dict[Cell, int] = {}
        self.structure = structure
        self.parts = tuple(_part(leaf, numbers) for leaf in leaves)
        self.keys = tuple(map(token, _odd_keys(structure)))
        """The keys of dicts that are no texts: equal ones, as 1 and True, may be different to Python code."""
        self.numbers = {leaf_index: leaf for leaf_index, leaf in enumerate(leaves) if type(leaf) is float}
        self.cells = self.apart = [(cell, cell.trainable, cell.array.spec) for cell in numbers]
        self.reached: list[Cell | None] = []
        """Of a settled one, the cells that are reached in another way, too: to the trace both are one; ``apart`` are the others."""
        self._arrays: list[
            tuple[int, int, Any, tuple[int, ...], Any]
        ] = []  # position, index of the leaf, type, shape, dtype
        self._floats: list[tuple[int, int]] = []
        self._others: list[tuple[int, Any]] = []
        self._template = list(leaves)
        self._count = -1 if args is None else len(args)
        leaf_index = 0
        for position, (arg, part) in enumerate(zip(args or (), structure.children[0].children, strict=False)):
            if type(arg) is Array or type(arg) is np.ndarray:
                self._arrays.append((position, leaf_index, type(arg), arg.shape, arg.dtype))
                self._template[leaf_index] = None  # it keeps no numbers
            elif type(arg) is float:
                self._floats.append((position, leaf_index))
            elif _is_constant(part):
                self._others.append((position, arg))
            else:
                self._count = -1
            leaf_index += part.size
        if self._count < 0:
            self._template = []

    def leaves_of(self, args: Sequence[Any]) -> list[Any] | None:
        """Return the leaves of a call with ``args``, or ``None`` where the key must tell what it is."""
        if len(args) != self._count:
            return None
        for position, constant in self._others:
            if args[position] is not constant:
                return None
        leaves = self._template.copy()
        for position, leaf_index, kind, shape, dtype in self._arrays:
            arg = args[position]
            if type(arg) is not kind:
                return None
            data = arg.data if kind is Array else arg
            if data.shape != shape or data.dtype is not dtype:
                return None
            leaves[leaf_index] = arg
        if self._floats:
            for position, leaf_index in self._floats:
                leaves[leaf_index] = arg = args[position]
                if type(arg) is not float:
                    return None
        return leaves

    def asked(self, places: Set[int]) -> tuple[Any, ...]:
        """Return the parts with the numbers of the floats in ``places``."""
        return (
            tuple(token(self.numbers[n]) if n in places and n in self.numbers else p for n, p in enumerate(self.parts))
            if places
            else self.parts
        )

    def settled(self, asked: Set[int], reached: Container[Cell]) -> "Signature":
        """Return the signature for a trace: floats in ``asked`` are constants, and ``reached`` are the cells of its guard."""
        other = copy(self)
        for position, leaf_index in self._floats:
            if leaf_index in asked:
                other._others = [*other._others, (position, self.numbers[leaf_index])]
        other._floats = [pair for pair in self._floats if pair[1] not in asked]
        other.reached = [cell if cell in reached else None for cell, _, _ in self.cells]
        other.apart = [spec for spec in self.cells if spec[0] not in reached]
        return other

    @property
    def by_objects(self) -> bool:
        """Whether calls are known without a key."""
        return self._count >= 0

    def by_key(self) -> "Signature":
        """Return the same one, which knows no call by its objects."""
        other = copy(self)
        other._count = -1
        return other


def _odd_keys(structure: Structure) -> Iterator[Any]:
    """Yield the keys of dicts in a tree that are no texts."""
    if structure.kind not in (tuple, list, LEAF):
        yield from (key for key in structure.keys if type(key) is not str)
    for child in structure.children:
        yield from _odd_keys(child)


def _is_constant(structure: Structure) -> bool:
    """Return whether an argument is the same as long as it is the same object and what that holds is."""
    if structure.kind is tuple:
        return all(map(_is_constant, structure.children))
    return structure.kind in (LEAF, type(None)) or isinstance(structure.kind, Holder)


def roots(leaves: Sequence[Any], structure: Structure, label: Callable[[int], str]) -> dict[str, Any]:
    """Return the arguments that may hold what changes, modules and leaves that are no arrays or cells, by name.

    ``label`` says how a positional argument is called.
    """
    by_name: dict[str, Any] = {}
    rest, (positional, named) = iter(leaves), structure.children
    for position, part in enumerate(positional.children):
        _reach(label(position), part, rest, by_name)
    for name, part in zip(named.keys, named.children, strict=True):
        _reach(name, part, rest, by_name)
    return by_name


def _reach(path: str, part: Structure, rest: Iterator[Any], by_name: dict[str, Any]) -> None:
    if part.kind is LEAF:
        leaf = next(rest)
        if not is_a(leaf, (*PLAIN, Array, np.ndarray, Cell)):
            by_name[path] = leaf
    elif isinstance(part.kind, Holder):
        by_name[path] = part.kind.target
        for _ in range(part.size):
            next(rest)
    else:
        for key, child in zip(part.keys, part.children, strict=True):
            _reach(f"{path}.{key}", child, rest, by_name)


def _part(leaf: Any, cells: dict[Cell, int]) -> Any:
    """Return what of an argument's leaf the trace depends on."""
    if is_a(leaf, (Array, np.ndarray, np.generic)):
        refuse_masked("compile: an argument", leaf)
        return "array", leaf.shape, leaf.dtype
    if type(leaf) is float:
        return "float"
    if is_a(leaf, Cell):
        return "cell", cells.setdefault(leaf, len(cells)), leaf.array.spec, leaf.trainable
    if is_a(leaf, (*PLAIN, tuple, frozenset, slice, MethodType, *_BY_IDENTITY)):
        return token(leaf)
    if issubclass(type(leaf), Iterator):
        raise ArgumentError(
            f"compile: an argument holds a {type(leaf).__name__}, which gives each value once, so that all calls would see "
            f"those that the first one was made with: pass a list or tuple"
        )
    try:
        equal = Equal(leaf)
    except Exception:
        raise ArgumentError(
            f"compile: an argument holds a {type(leaf).__name__}, which is neither an array nor hashable: pass arrays, "
            f"or numbers and strings, which are constants of the program, in lists, tuples, dicts and dataclasses"
        ) from None
    if next(kind for kind in bases(type(leaf)) if "__eq__" in entries(kind)) is object:
        return equal
    return equal, tuple((name, token(value)) for name, value in stored(leaf).items())


def token(value: Any) -> Any:
    """Return a key that is equal for the same object, and for equal numbers, texts and tuples of them."""
    if type(value) in PLAIN or is_a(value, np.generic):
        return type(value), repr(value)
    if type(value) is tuple:
        return tuple, tuple(map(token, value))
    if type(value) is frozenset:
        return frozenset, frozenset(map(token, value))
    if type(value) is slice:
        return slice, token((value.start, value.stop, value.step))
    if type(value) is MethodType:  # a new object wherever it is looked up
        return MethodType, Same(value.__func__), Same(value.__self__)
    return Same(value)


class Same:
    """A key that is equal for the same object only, and keeps it alive so that its identity is not used again."""

    __slots__ = ("target",)

    def __init__(self, target: Any) -> None:
        self.target = target

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.target is self.target

    def __hash__(self) -> int:
        return id(self.target)


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


__all__ = ["Same", "Signature", "roots", "token"]
