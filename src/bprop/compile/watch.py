"""Whether a call of a compiled function is the last one again, found without computing its key.

A key is made of everything the trace depends on, and costs as much as a small training step. Between two calls in a loop
nothing of it changes: the same modules and optimisers, with the same objects as attributes, and arrays of the same shapes and
dtypes. That is what a `Watch` compares, by identity. Whatever differs, the key decides.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from operator import is_
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..core.interpreter import Cell
from ..core.tree import flatten, is_holder
from ..core.value import Array
from .static import PLAIN, references

LARGEST = 1000
"""Containers and objects that are looked through at most; beyond, every call computes its key."""
_CLOSED = (
    Array,
    np.ndarray,
    np.generic,
    Cell,
    ModuleType,
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    type,
    np.dtype,
)


class Watch:
    """What a call was made with: ``leaves(args)`` returns the leaves of the next one if it is the same, else ``None``."""

    def __init__(self, function: Callable[..., Any], args: Sequence[Any]) -> None:
        self._arrays: list[tuple[int, int, tuple[int, ...], Any]] = []  # position, place among the leaves, shape, dtype
        self._others: list[tuple[int, Any]] = []
        self._template: list[Any] = []
        self._count = len(args)
        self._references = [look for _, look in references(function)]
        self._values = [value() for value in self._references]
        self._seen: dict[int, Any] = {}
        self._parts: list[tuple[Any, list[Any]]] = []
        self.known = True
        for position, arg in enumerate(args):
            if type(arg) is Array or type(arg) is np.ndarray:
                self._arrays.append((position, len(self._template), arg.shape, arg.dtype))
                self._template.append(None)
            else:
                self._others.append((position, arg))
                self._template.extend(flatten(arg)[0])
        for value in chain((arg for _, arg in self._others), self._values):
            self._look(value)
        cells = dict.fromkeys(one for one in self._template if isinstance(one, Cell))
        self._cells = [(cell, cell.trainable, cell.array.spec) for cell in cells]

    def _look(self, value: Any) -> None:
        """Remember what a container or object holds, and what that holds."""
        if type(value) in PLAIN or isinstance(value, _CLOSED) or id(value) in self._seen:
            return
        if len(self._seen) >= LARGEST:
            self.known = False
            return
        self._seen[id(value)] = value
        if isinstance(value, dict):
            self._remember(value.keys(), value.values())
        elif isinstance(value, list | tuple):
            self._remember(value)
        elif hasattr(value, "__dict__"):
            self._look(vars(value))
        elif is_holder(value):
            self.known = False

    def _remember(self, *views: Any) -> None:
        for view in views:
            now = list(view)
            self._parts.append((view, now))
            for one in now:
                self._look(one)

    def leaves(self, args: Sequence[Any]) -> list[Any] | None:
        """Return the leaves of a call with ``args``, or ``None`` where a key must tell what it is."""
        if len(args) != self._count or not self.known:
            return None
        for position, known in self._others:
            if args[position] is not known:
                return None
        leaves = self._template.copy()
        for position, place, shape, dtype in self._arrays:
            arg = args[position]
            if type(arg) is Array:
                data = arg.data
            elif type(arg) is np.ndarray:
                data = arg
            else:
                return None
            if data.shape != shape or data.dtype is not dtype:
                return None
            leaves[place] = arg
        for view, known in self._parts:
            if len(view) != len(known) or not all(map(is_, view, known)):
                return None
        for value, known in zip(self._references, self._values, strict=True):
            if value() is not known:
                return None
        for cell, trainable, spec in self._cells:
            array = cell.array
            if cell.trainable is not trainable or array.data.shape != spec.shape or array.data.dtype != spec.dtype:
                return None
        return leaves


__all__ = ["Watch"]
