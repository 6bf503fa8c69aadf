"""Trees: dicts, lists, tuples, named tuples, dataclasses, `None` and registered classes hold arrays anywhere."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .error import ArgumentError


class Structure(NamedTuple):
    """The shape of a tree without its leaves. Equal structures hold equally many leaves in the same places."""

    kind: Any
    keys: tuple[Any, ...] = ()
    children: tuple["Structure", ...] = ()

    def __str__(self) -> str:
        if self.kind is LEAF:
            return "*"
        inner = ", ".join(f"{key}: {child}" for key, child in zip(self.keys, self.children, strict=True))
        return f"{getattr(self.kind, '__name__', self.kind)}({inner})"


LEAF = "leaf"
_LEAF = Structure(LEAF)
_REGISTERED: dict[type, tuple[Callable[[Any], tuple[tuple[Any, ...], list[Any]]], Callable[[Any, tuple[Any, ...], list[Any]], Any]]] = {}


def register(
    kind: type,
    flatten: Callable[[Any], tuple[tuple[Any, ...], list[Any]]],
    unflatten: Callable[[Any, tuple[Any, ...], list[Any]], Any],
) -> None:
    """Make instances of ``kind`` (and subclasses) inner nodes.

    ``flatten(obj)`` returns ``(keys, children)`` and ``unflatten(static, keys, children)`` rebuilds, where ``static``
    is the class, or whatever hashable object ``flatten`` puts first in ``keys`` as a 1-tuple marker.
    """
    _REGISTERED[kind] = (flatten, unflatten)


def _registered(obj: Any) -> type | None:
    return next((kind for kind in type(obj).__mro__ if kind in _REGISTERED), None)


def _children(obj: Any) -> tuple[Any, tuple[Any, ...], list[Any]] | None:
    """Return (kind, keys, children) of an inner node, or ``None`` for a leaf."""
    kind = type(obj)
    if obj is None:
        return None.__class__, (), []
    if kind is dict:
        keys = tuple(sorted(obj, key=lambda key: (type(key).__name__, key)))
        return kind, keys, [obj[key] for key in keys]
    if kind is list or kind is tuple:
        return kind, tuple(range(len(obj))), list(obj)
    if isinstance(obj, tuple) and hasattr(obj, "_fields"):
        return kind, tuple(obj._fields), list(obj)
    registered = _registered(obj)
    if registered is not None:
        keys, children = _REGISTERED[registered][0](obj)
        return kind, keys, children
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        names = tuple(field.name for field in dataclasses.fields(obj))
        return kind, names, [getattr(obj, name) for name in names]
    return None


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """Return the leaves in order and the structure.

    >>> from bprop.core.tree import flatten, unflatten
    >>> leaves, structure = flatten({"b": 1, "a": [2, None]})
    >>> leaves, unflatten(structure, leaves)
    ([2, 1], {'a': [2, None], 'b': 1})
    """
    leaves: list[Any] = []

    def walk(obj: Any) -> Structure:
        inner = _children(obj)
        if inner is None:
            leaves.append(obj)
            return _LEAF
        kind, keys, children = inner
        return Structure(kind, keys, tuple(walk(child) for child in children))

    return leaves, walk(tree)


def unflatten(structure: Structure, leaves: Any) -> Any:
    """Rebuild a tree from its structure and leaves."""
    rest = iter(leaves)

    def build(part: Structure) -> Any:
        if part.kind is LEAF:
            return next(rest)
        children = [build(child) for child in part.children]
        kind = part.kind
        if kind is type(None):
            return None
        if kind is dict:
            return dict(zip(part.keys, children, strict=True))
        if kind is list or kind is tuple:
            return kind(children)
        if hasattr(kind, "_fields"):
            return kind(*children)
        registered = next((one for one in kind.__mro__ if one in _REGISTERED), None)
        if registered is not None:
            return _REGISTERED[registered][1](kind, part.keys, children)
        return kind(**dict(zip(part.keys, children, strict=True)))

    return build(structure)


def paths(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, leaf) pairs, paths written as ``a.0.b``."""

    def walk(obj: Any, prefix: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        inner = _children(obj)
        if inner is None:
            yield ".".join(prefix), obj
            return
        for key, child in zip(inner[1], inner[2], strict=True):
            yield from walk(child, (*prefix, str(key)))

    return walk(tree, ())


def map(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply ``function`` leaf by leaf; further trees must have the same structure."""
    leaves, structure = flatten(tree)
    columns = [leaves]
    for other in others:
        more, same = flatten(other)
        if same != structure:
            raise ArgumentError(f"trees differ: {structure} and {same}")
        columns.append(more)
    return unflatten(structure, [function(*row) for row in zip(*columns, strict=True)])
