"""What a compiled function says, once, of calls that cost more than they need."""

import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ...core.error import PACKAGE, CompileWarning
from ...gradients.variable import leaf_label, name_of
from .call_guard import Change
from .known_trace import KnownTrace

REPEATED = 3
"""Calls in a row that are traced because of one object, and programs that differ in one number, until a word about it."""


class Advice:
    """The warnings of one function. ``in_row`` counts, by path, the calls in a row that were traced because of an object."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.name = function, name_of(function)
        self.in_row: dict[str, int] = {}
        self._said: set[str] = set()

    @property
    def is_repeated(self) -> bool:
        """Whether something changes at every call."""
        return max(self.in_row.values(), default=0) >= REPEATED

    def on_changes(self, changes: Sequence[Change]) -> None:
        """Name what makes every call a trace, though the graph is the same."""
        for change in changes:
            self.in_row[change.path] = self.in_row.get(change.path, 0) + 1
        named = [path for path, count in self.in_row.items() if count >= REPEATED][:3]
        if named:
            names = tuple(dict.fromkeys(re.findall(r"[^\W\d]\w*", path)[-1] for path in named))
            self.say(
                "changes",
                f"its Python code runs at every call, because {', '.join(named)} changed since the last one; the native code "
                f"stays the same. Where no result depends on it, say so: bprop.compile(ignore={names}). Else pass it as an "
                f"argument, or keep it in a bprop.Cell",
            )

    def on_values(self, trace: KnownTrace, others: Sequence[KnownTrace]) -> None:
        """Name the Python number in which alone several programs differ."""
        differing: dict[str, set[int]] = {}
        for other in others:
            path = self._only_number(trace, other)
            if path is not None:
                differing.setdefault(path, set()).add(id(other.step.program))
        for path, programs in differing.items():
            if len(programs) + 1 >= REPEATED:
                self.say(
                    "values",
                    f"{REPEATED} programs differ only in {path}, a Python number that is a constant of each. Pass it as an "
                    f"array, or as a float argument that only ops compute with (an if, **, float() or math.exp of it looks at its "
                    f"value), or keep it in a bprop.Cell, and one program serves all its values",
                )

    def _only_number(self, trace: KnownTrace, other: KnownTrace) -> str | None:
        """Return what the only difference of two traces is called, if it is a number."""
        if trace.signature.structure != other.signature.structure:
            return None
        places = [n for n, pair in enumerate(zip(trace.parts, other.parts, strict=True)) if pair[0] != pair[1]]
        changes = [change for change in other.guard.changes() if change.matters]
        if len(places) + len(changes) != 1:
            return None
        if changes:
            return changes[0].path if {type(changes[0].before), type(changes[0].after)} <= {int, float} else None
        parts = trace.parts[places[0]], other.parts[places[0]]
        if not all(type(part) is tuple and part[0] in (int, float) for part in parts):
            return None
        return leaf_label(self.function, trace.signature.structure, places[0])

    def say(self, what: str, message: str) -> None:
        """Say something once, at the user's line."""
        if what not in self._said:
            self._said.add(what)
            level, frame = 1, sys._getframe()
            while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
                level, frame = level + 1, frame.f_back
            warnings.warn(f"{self.name}: {message}", CompileWarning, stacklevel=level)
