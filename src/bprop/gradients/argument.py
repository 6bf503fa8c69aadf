"""The arguments of a call as a flat list of named arrays, which other values can be put in the place of."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..core.cell import Cell
from ..core.dtype import is_float
from ..core.interpreter import StateScope, using
from ..core.trace import Trace, Traced
from ..core.tree import is_holder, paths
from ..core.value import Array, asarray
from .variable import Argnums, TreeValues, Variables, positions, variable

R = TypeVar("R")


class Arguments:
    """``f(*args, **options)`` as a function of ``values``, the arrays in its arguments and the cells of its modules.

    ``names`` are the parameters' names with the path in the tree (``w``, ``p['b']``, ``model.0.W``); ``chosen`` are the
    positions of the values to differentiate by, from ``argnums`` (``None``: every floating-point one): of a module's cells
    the trainable ones.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        options: dict[str, Any],
        argnums: Argnums | None,
        what: str,
    ) -> None:
        self.f = f
        self.count = len(args)
        self.options = list(options)
        self.names: list[str] = []
        self.values: list[Array] = []
        self.cells: list[Cell | None] = []
        self.chosen: list[int] = []
        self.trees: list[TreeValues] = []
        self.variables: dict[int, Variables] = {}
        self.all = argnums is None
        self.numbers, self.single = ((), False) if argnums is None else positions(argnums, len(args), what)
        names = [*_parameters(f, len(args)), *options]
        for number, (name, arg) in enumerate(zip(names, [*args, *options.values()], strict=True)):
            self._add(name, arg, number, f"{what}: argument {number}")

    def _add(self, name: str, arg: Any, number: int, what: str) -> None:
        chosen = number in self.numbers
        if chosen:
            self.variables[number] = Variables(arg, what)
        tree = TreeValues(arg, (lambda leaf: variable(leaf, what)) if chosen else array_of)
        self.trees.append(tree)
        sources = iter(tree.values)
        for slot, path in zip(tree.slots, _leaf_names(arg), strict=True):
            if slot is None:
                value = next(sources)
                self._value(name + path, value, None, chosen or (self.all and is_float(value.dtype)))
                continue
            for key in slot:
                cell = next(sources)
                self._value(f"{name}{path}.{key}", cell.read(), cell, (chosen or self.all) and cell.trainable)

    def _value(self, name: str, value: Array, cell: Cell | None, chosen: bool) -> None:
        if chosen:
            self.chosen.append(len(self.values))
        self.names.append(name)
        self.values.append(value)
        self.cells.append(cell)

    def __call__(self, values: Sequence[Any]) -> Any:
        """Return the result of ``f`` with ``values`` in place; what it writes to cells is discarded."""
        cells = {cell: value for cell, value in zip(self.cells, values, strict=True) if cell is not None}
        with using(StateScope(cells)):
            args, options = self._rebuilt(values)
            return self.f(*args, **options)

    def _rebuilt(self, values: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments with ``values`` in place; modules stand for themselves."""
        rest = iter(values)
        arguments = [tree.argument([next(rest) for _ in tree.values]) for tree in self.trees]
        return arguments[: self.count], dict(zip(self.options, arguments[self.count :], strict=True))

    def tree(self, derivatives: Sequence[Any]) -> Any:
        """Return one derivative per chosen value in the structure of the differentiated arguments, as `grad` does."""
        rest = iter(derivatives)
        trees = {n: variables.result([next(rest) for _ in variables.values]) for n, variables in self.variables.items()}
        return trees[self.numbers[0]] if self.single else tuple(trees[number] for number in self.numbers)


def traced(arguments: Arguments, what: str, read: Callable[[Any], R]) -> tuple[Trace, list[Traced], R]:
    """Trace the call of ``arguments``; return the trace, its inputs, one for each value, and what ``read`` makes of the result there."""
    tracer = Trace(name=what)
    inputs = [tracer.input(value.spec) for value in arguments.values]
    with using(tracer):
        return tracer, inputs, read(arguments(inputs))


def _leaf_names(obj: Any) -> list[str]:
    """Return the path of every leaf as Python would write it behind the argument's name."""
    if is_holder(obj):
        return [""]
    if isinstance(obj, dict):
        keys = sorted(obj, key=lambda key: (type(key).__name__, key))
        return [f"[{key!r}]{path}" for key in keys for path in _leaf_names(obj[key])]
    if isinstance(obj, list | tuple) and not hasattr(obj, "_fields"):
        return [f"[{position}]{path}" for position, entry in enumerate(obj) for path in _leaf_names(entry)]
    return [f".{path}" if path else "" for path, _ in paths(obj)]


def _parameters(f: Callable[..., Any], count: int) -> list[str]:
    """Return names for ``count`` positional arguments: those in the signature of ``f``, or x1, x2 … (x if alone)."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if count == 1 and not names:
        return ["x"]
    return [*names, *(f"x{position + 1}" for position in range(len(names), count))][:count]


def is_static(leaf: Any) -> bool:
    """Return whether a leaf of the arguments is a constant of a traced function: a Python integer, a name, a function."""
    if isinstance(leaf, Array):
        return False
    return isinstance(leaf, bool | int | str | bytes) or callable(leaf)


def array_of(leaf: Any) -> Array | None:
    """Return a leaf of the arguments as an array, ``None`` for a static one."""
    return None if is_static(leaf) else asarray(leaf)


def arrays_of(args: Any) -> list[Array]:
    """Return the arrays in a tree of arguments, a module's cells among them, in the order of a graph's inputs."""
    return TreeValues(args, array_of).read()


__all__ = ["Arguments", "array_of", "arrays_of", "is_static", "traced"]
