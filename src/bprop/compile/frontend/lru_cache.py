"""Programs kept in memory, the least recently used one dropped first, and the key by which equal graphs share one."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Any, Generic, TypeVar

import numpy as np

from ...core.graph import Edge, Graph, Node, NodeInput
from ...core.value import Spec
from .cache_key import Same, token

T = TypeVar("T")


class Cache(Generic[T]):
    """A bounded mapping that forgets what was used longest ago.

    >>> from bprop.compile.frontend.lru_cache import Cache
    >>> cache = Cache(2)
    >>> for key in "abac":
    ...     cache.put(key, key.upper()) if cache.get(key) is None else None
    >>> list(cache)
    ['a', 'c']
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._entries: OrderedDict[Hashable, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._entries)

    def values(self) -> list[T]:
        """Return what is kept."""
        return list(self._entries.values())

    def get(self, key: Hashable) -> T | None:
        """Return what is kept under ``key``, or ``None``."""
        kept = self._entries.get(key)
        if kept is not None:
            self._entries.move_to_end(key)
        return kept

    def put(self, key: Hashable, entry: T) -> None:
        """Keep ``entry`` under ``key``."""
        self._entries[key] = entry
        self._entries.move_to_end(key)
        while len(self._entries) > self.size:
            self._entries.popitem(last=False)

    def drop(self, key: Hashable) -> None:
        """Forget ``key``."""
        self._entries.pop(key, None)


def graph_key(graph: Graph) -> Hashable:
    """Return a key that is equal for graphs of the same applications, constants, shapes and dtypes, in the same order.

    What a parameter is that is neither a number, a text nor a container of such counts by identity, as a function does.

    >>> import bprop
    >>> from bprop.compile.frontend.lru_cache import graph_key
    >>> def key(f):
    ...     return graph_key(bprop.trace(f)(bprop.ones(3)))
    >>> key(lambda x: x * 2) == key(lambda y: y * 2), key(lambda x: x * 2) == key(lambda x: x * 2.0)
    (True, False)
    """
    numbers: dict[Node, int] = {}
    for node in (*graph.inputs, *(node for node, _ in graph.captures), *graph.nodes):
        numbers[node] = len(numbers)

    def edge(x: NodeInput) -> Any:
        return (numbers[x.node], x.index) if type(x) is Edge else _parameter(x)

    sources = tuple(node.specs for node in graph.inputs)
    captures = tuple((node.specs, Same(value)) for node, value in graph.captures)
    nodes = tuple((node.op, tuple(map(edge, node.inputs)), _parameter(node.params), node.specs) for node in graph.nodes)
    return sources, captures, nodes, tuple(map(edge, graph.outputs))


def _parameter(value: Any) -> Any:
    if isinstance(value, Graph):
        return graph_key(value)
    if isinstance(value, dict):
        return dict, tuple((name, _parameter(value[name])) for name in sorted(value))
    if type(value) in (tuple, list):
        return type(value), tuple(map(_parameter, value))
    return value if isinstance(value, np.dtype | Spec) else token(value)
