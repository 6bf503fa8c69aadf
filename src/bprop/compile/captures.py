"""What a function refers to by name: its closure, its defaults, and the globals that its code loads."""

import dis
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from .introspection import UNKNOWN

_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")


class Reference(NamedTuple):
    """A variable that a function refers to: ``source`` is its cell in the closure, or the dict of globals."""

    name: str
    source: Any

    def look(self) -> Any:
        """Return what the name stands for now, or `UNKNOWN`."""
        if type(self.source) is dict:
            return self.source.get(self.name, UNKNOWN)
        try:
            return self.source.cell_contents
        except ValueError:  # not assigned yet
            return UNKNOWN


def references(f: FunctionType) -> Iterator[Reference]:
    """Yield the variables of a function's closure and the globals that it loads, also in functions inside it.

    >>> from bprop.compile.captures import references
    >>> rate = 0.1
    >>> sorted(one.name for one in references(lambda x: [x * rate for _ in range(3)]))
    ['range', 'rate']
    """
    closed = zip(f.__code__.co_freevars, f.__closure__ or (), strict=False)
    yield from (Reference(name, cell) for name, cell in closed)
    yield from (Reference(name, f.__globals__) for name in loaded(f.__code__)[0])


@lru_cache(4096)
def loaded(code: CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of globals that code loads, and of modules that it imports.

    What is no identifier was not written by a user: pytest puts its own modules there for ``assert``.
    """
    instructions = list(dis.get_instructions(code))
    names = [step.argval for step in instructions if step.opname in _LOADS and step.argval.isidentifier()]
    modules = [step.argval for step in instructions if step.opname == "IMPORT_NAME"]
    inner = [loaded(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    names += [name for nested, _ in inner for name in nested]
    modules += [name for _, nested in inner for name in nested]
    return tuple(dict.fromkeys(names)), tuple(dict.fromkeys(modules))


def imported(f: FunctionType) -> list[Any]:
    """Return the modules that a function imports when it runs, as far as they are there."""
    return [sys.modules[name] for name in loaded(f.__code__)[1] if name in sys.modules]
