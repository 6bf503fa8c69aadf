"""What a forked child does about threads that it has not: their locks are open, and what they were making is not used.

Of a process that forks the child has the memory, but only the thread that forked. A lock that another one held would
stay closed for ever.
"""

import os
from typing import Any, Protocol
from weakref import WeakSet


class Locked(Protocol):
    """Something that one thread at a time is inside."""

    def left(self) -> None:
        """Make new what another thread, which is no more, was inside."""

    @property
    def lock(self) -> Any:
        """What a thread holds that is inside."""


_known: WeakSet[Locked] = WeakSet()


def guard(one: Locked) -> None:
    """Have ``left`` called in a forked child where another thread was inside."""
    _known.add(one)


def _in_child() -> None:
    for one in list(_known):
        if one.lock.acquire(blocking=False):  # free, or held by the thread that is here
            one.lock.release()
        else:
            one.left()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
