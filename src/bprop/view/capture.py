"""Names for the arrays that a function closed over: those of its own variables, and of the parameters of its modules."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..core.graph import Node
from ..core.tree import is_holder
from ..core.value import Array


def capture_names(
    f: Callable[..., Any], captures: Sequence[tuple[Node, Array]], taken: Sequence[str]
) -> dict[Node, str]:
    """Return a name for every captured array that is the value of a variable of ``f``, or of a parameter in one.

    ``taken`` are names that the inputs have.
    """
    names: dict[Node, str] = {}
    left = list(captures)
    for name, value in _variables(f) if captures else ():
        for node, array in left:
            if name not in taken and name not in names.values() and _is_same(array, value):
                names[node] = name
                left.remove((node, array))
                break
    return names


def _is_same(array: Array, value: Any) -> bool:
    data, other = array.concrete(), np.asarray(value)
    if data is None or data.shape != other.shape or data.dtype != other.dtype:
        return False
    return (
        data is other or np.shares_memory(data, other) or np.array_equal(data, other, equal_nan=data.dtype.kind in "fc")
    )


def _variables(f: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Yield the arrays that ``f`` can reach by name."""
    if is_holder(f):
        yield from _arrays("", f)
    try:
        closure = inspect.getclosurevars(f)
    except (TypeError, ValueError):  # no Python function
        return
    for name, value in {**closure.globals, **closure.nonlocals}.items():
        yield from _arrays(name, value)


def _arrays(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, np.ndarray) or type(value) is Array:
        yield name, value
    elif is_holder(value):
        for path, cell in value.cells().items():
            yield f"{name}.{path}" if name else path, cell.read().numpy()


__all__ = ["capture_names"]
