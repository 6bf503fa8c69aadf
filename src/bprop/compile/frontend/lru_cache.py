"""Programs kept in memory, the least recently used one dropped first."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

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
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: Hashable, entry: T) -> None:
        """Keep ``entry`` under ``key``."""
        self._entries[key] = entry
        self._entries.move_to_end(key)
        while len(self._entries) > self.size:
            self._entries.popitem(last=False)

    def drop(self, key: Hashable) -> None:
        """Forget ``key``."""
        self._entries.pop(key, None)
