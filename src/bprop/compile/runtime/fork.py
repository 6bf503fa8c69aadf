"""Forked children: a child has the memory of its parent, but only the thread that forked.

A lock that another thread held would stay closed for ever, and what that thread was making is half made. So a child makes
both anew.
"""

import os
from typing import Any, Protocol
from weakref import WeakSet


class Locked(Protocol):
    """Something that one thread at a time is inside."""

    def reset_after_fork(self) -> None:
        """Make anew what another thread of the parent was inside."""

    @property
    def lock(self) -> Any:
        """What a thread holds that is inside."""


_registered: WeakSet[Locked] = WeakSet()


def register_fork_reset(resource: Locked) -> None:
    """Have ``reset_after_fork`` called in a forked child where another thread was inside."""
    _registered.add(resource)


def _in_child() -> None:
    for resource in list(_registered):
        if resource.lock.acquire(blocking=False):  # free, or held by the thread that is here
            resource.lock.release()
        else:
            resource.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
