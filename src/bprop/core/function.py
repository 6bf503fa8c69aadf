"""Public functions by name, and which of them stands for which NumPy or SciPy function.

`Array` finds its operators and methods here, and NumPy's functions, called on an `Array`, are sent here, so that NumPy
code differentiates unchanged. `bprop.ops` fills the tables; no op's name appears in this file.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class _Functions(dict[str, Callable[..., Any]]):
    """A table that loads the rooms that may have an entry where one is asked for and not there."""

    def __missing__(self, name: str) -> Callable[..., Any]:
        entry = declared(self, name)
        if entry is None:
            raise KeyError(name)
        return entry


FUNCTIONS: dict[str, Callable[..., Any]] = _Functions()
"""Public functions by name; `bprop.ops` fills it, and the operators and methods of `Array` look here."""

NUMPY: dict[Any, Callable[..., Any]] = {}
"""NumPy function -> bprop function, so that NumPy code differentiates unchanged; filled by `bprop.ops`."""

AS_NUMPY: set[Callable[..., Any]] = set()
"""Those of `NUMPY` that have the parameters of NumPy's own function, so that its arguments reach them as they are."""

TRACED: dict[Any, Callable[..., Any]] = {}
"""Function of NumPy that passes through -> what stands for it where there are no numbers; filled by `bprop.interop`."""

NAMESPACES: dict[str, Callable[[], Any]] = {}
"""Package -> what loads the namespace here that has its functions by its names; filled by `bprop`, asked where a message says
what to write."""

SCIPY: dict[str, Callable[..., Any]] = {}
"""Name in `scipy.special` -> bprop function, by name since SciPy need not be loaded; filled by `bprop.ops`."""

UFUNC_METHODS: dict[str, Callable[..., Any]] = {}
"""Method of NumPy's ufuncs -> what it is on values, called as (ufunc, name, rule, inputs, options); `NotImplemented` where it
has no meaning. ``__call__`` is among them, for calls with options; filled by `bprop.interop`."""

DECLARING: list[Callable[[], Any]] = []
"""What loads the rooms that fill these tables and the registry of ops, the lower first; filled by `bprop`."""


def declare_all() -> None:
    """Declare all functions, rules and ops that there are, as happens by itself where one is looked for and is not there."""
    for load in DECLARING:
        load()


def declared(table: Mapping[Any, T], key: Any) -> T | None:
    """Return an entry of one of these tables, or ``None``: the rooms that may have it are loaded until it is there."""
    for load in DECLARING:
        if key in table:
            break
        load()
    return table.get(key)


def function(*numpy_functions: Any, namespace: str = "") -> Callable[[F], F]:
    """Decorate a public function: `Array` methods find it by name, and NumPy's functions dispatch to it.

    ``namespace``: where it is found, if not in `bprop` itself: ``"linalg"``.
    """

    def register(public: F) -> F:
        FUNCTIONS[f"{namespace}.{public.__name__}" if namespace else public.__name__] = public
        for numpy_function in numpy_functions:
            NUMPY[numpy_function] = public
        return public

    return register


def numpy_rule(*numpy_functions: Any) -> Callable[[F], F]:
    """Decorate what stands for functions of NumPy and has their parameters: the same names, positions and defaults.

    ``out`` is never given to it. A function that is ``None`` is one that this version of NumPy lacks.
    """

    def register(rule: F) -> F:
        for numpy_function in numpy_functions:
            if numpy_function in NUMPY:
                raise ValueError(f"{numpy_function.__name__} of NumPy has two rules")
            if numpy_function is not None:
                NUMPY[numpy_function] = rule
        AS_NUMPY.add(rule)
        return rule

    return register


def traced_rule(numpy_function: Any) -> Callable[[F], F]:
    """Decorate what stands, where there are no numbers, for a function of NumPy that passes through; its parameters are NumPy's."""

    def register(rule: F) -> F:
        TRACED[numpy_function] = rule
        return rule

    return register


def publish(*ops: Any) -> None:
    """Make ops public under their names; NumPy's functions of these names, if there are any, dispatch to them."""
    for op in ops:
        FUNCTIONS[op.name] = op
        if hasattr(np, op.name):
            NUMPY[getattr(np, op.name)] = op
