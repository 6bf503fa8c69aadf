"""Trees: dicts, lists, tuples, named tuples, dataclasses and `None` hold arrays anywhere.

An object that holds cells (a module, an optimiser, a generator) has a method ``cells()`` from path to cell. It is an
inner node whose leaves are its cells; being mutable, it stands for itself when a tree is rebuilt.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from .error import ArgumentError

LEAF = "leaf"


class Holder(NamedTuple):
    """An object with cells, compared by identity."""

    target: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holder) and other.target is self.target

    def __hash__(self) -> int:
        return id(self.target)


class Structure(NamedTuple):
    """The shape of a tree without its leaves. Equal structures hold equally many leaves in the same places."""

    kind: Any
    keys: tuple[Any, ...] = ()
    children: tuple["Structure", ...] = ()

    @property
    def size(self) -> int:
        """Number of leaves."""
        return 1 if self.kind is LEAF else sum(child.size for child in self.children)

    def __str__(self) -> str:
        if self.kind is LEAF:
            return "*"
        inner = ", ".join(f"{key}: {child}" for key, child in zip(self.keys, self.children, strict=True))
        return f"{getattr(self.kind, '__name__', self.kind)}({inner})"


LEAF_ALONE = Structure(LEAF)
"""The structure of a tree that is one leaf."""
Predicate = Callable[[Any], bool]


def is_holder(obj: Any) -> bool:
    """Return whether ``obj`` holds cells: its class has a method ``cells``."""
    kind = type(obj)
    return _declares(kind, "cells") and not issubclass(kind, type) and callable(kind.cells)


def _declares(kind: type, name: str) -> bool:
    """Return whether a class has an attribute; a metaclass of its own is not asked, for it may answer for what is not there."""
    return hasattr(kind, name) if type(kind) is type else any(name in base.__dict__ for base in kind.__mro__)


def _children(obj: Any) -> tuple[Any, tuple[Any, ...], list[Any]] | None:
    """Return (kind, keys, children) of an inner node, or ``None`` for a leaf."""
    kind = type(obj)
    if obj is None:
        return kind, (), []
    if kind is dict:
        keys = tuple(sorted(obj, key=lambda key: (type(key).__name__, key)))
        return kind, keys, [obj[key] for key in keys]
    if kind is list or kind is tuple:
        return kind, tuple(range(len(obj))), list(obj)
    if issubclass(kind, tuple) and hasattr(obj, "_fields"):
        return kind, tuple(obj._fields), list(obj)
    if is_holder(obj):
        cells = obj.cells()
        return Holder(obj), tuple(cells), list(cells.values())
    if _declares(kind, "__dataclass_fields__") and not issubclass(kind, type):
        names = tuple(field.name for field in dataclasses.fields(obj))
        return kind, names, [getattr(obj, name) for name in names]
    return None


def flatten(tree: Any, is_leaf: Predicate | None = None) -> tuple[list[Any], Structure]:
    """Return the leaves in order and the structure; ``is_leaf`` stops the descent early.

    >>> from bprop.core.tree import flatten, unflatten
    >>> leaves, structure = flatten({"b": 1, "a": [2, None]})
    >>> leaves, unflatten(structure, leaves)
    ([2, 1], {'a': [2, None], 'b': 1})
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, is_leaf, leaves)


# Recursive closures refer to themselves: their leaves would live on until the garbage collector comes by. So these
# are functions of the module.
def _flatten(obj: Any, is_leaf: Predicate | None, leaves: list[Any]) -> Structure:
    inner = None if is_leaf is not None and is_leaf(obj) else _children(obj)
    if inner is None:
        leaves.append(obj)
        return LEAF_ALONE
    kind, keys, children = inner
    return Structure(kind, keys, tuple([_flatten(child, is_leaf, leaves) for child in children]))


def unflatten(structure: Structure, leaves: Any) -> Any:
    """Rebuild a tree from its structure and leaves."""
    return _build(structure, iter(leaves))


def _build(part: Structure, rest: Iterator[Any]) -> Any:
    kind = part.kind
    if kind is LEAF:
        return next(rest)
    children = [_build(child, rest) for child in part.children]
    if kind is type(None):
        return None
    if isinstance(kind, Holder):
        return kind.target
    if kind is dict:
        return dict(zip(part.keys, children, strict=True))
    if kind is list or kind is tuple:
        return kind(children)
    return kind(**dict(zip(part.keys, children, strict=True)))


def merge(leaves: Sequence[Any], positions: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """Return the leaves with ``values`` at these positions."""
    result = list(leaves)
    for position, value in zip(positions, values, strict=True):
        result[position] = value
    return result


def leaf_paths(structure: Structure) -> list[str]:
    """Return the path of each leaf, as `paths` writes it: "" where the leaf is all there is."""
    return [path for path, _ in paths(unflatten(structure, range(structure.size)))]


def spread(structure: Structure, tree: Any) -> list[Any]:
    """Return what ``tree`` holds in the places of the leaves of ``structure``; `None` for a part is `None` for its leaves.

    >>> from bprop.core.tree import flatten, spread
    >>> spread(flatten({"a": 1, "b": (2, 3)})[1], {"a": 5, "b": None})
    [5, None, None]
    """
    if structure.kind is LEAF:
        return [tree]
    inner = (structure.kind, structure.keys, [None] * len(structure.children)) if tree is None else _children(tree)
    if inner is None or inner[:2] != structure[:2]:
        raise ArgumentError(f"trees differ: {structure} and {flatten(tree)[1]}")
    parts = zip(structure.children, inner[2], strict=True)
    return [leaf for part, child in parts for leaf in spread(part, child)]


def paths(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, leaf) pairs, paths written as ``a.0.b``."""
    return _paths(tree, ())


def _paths(obj: Any, prefix: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    inner = _children(obj)
    if inner is None:
        yield ".".join(prefix), obj
        return
    for key, child in zip(inner[1], inner[2], strict=True):
        yield from _paths(child, (*prefix, str(key)))


def map(function: Callable[..., Any], tree: Any, *others: Any, is_leaf: Predicate | None = None) -> Any:
    """Apply ``function`` leaf by leaf; further trees must have the same structure."""
    leaves, structure = flatten(tree, is_leaf)
    columns = [leaves]
    for other in others:
        more, same = flatten(other, is_leaf)
        if same != structure:
            raise ArgumentError(f"trees differ: {structure} and {same}")
        columns.append(more)
    return unflatten(structure, [function(*row) for row in zip(*columns, strict=True)])
