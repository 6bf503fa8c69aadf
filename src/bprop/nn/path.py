"""Paths: how what a module holds is named, and loading arrays by these names.

A path is the attributes on the way joined by points, ``layers.0.W``. Gradients, files of weights and mappings of arrays
all use these names.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError, BpropError, DTypeError, ShapeError
from ..core.value import Array, asarray
from .weight_name import Assignment, Names


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, object) for everything that an attribute holds, through lists, tuples and dicts."""
    if isinstance(value, list | tuple | dict):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(f"{name}.{key}", entry)
    else:
        yield name, value


def load_cells(
    holder: Any, arrays: Mapping[str, Any], what: str, source: str, strict: bool = True, names: Names = None
) -> None:
    """Write ``arrays`` into the cells of ``holder`` with the same paths or PyTorch's names: all of them, or none and an error.

    - ``holder``: an object with cells, such as a module.
    - ``arrays``: arrays by path or name; each has the shape and dtype of its cell.
    - ``what``, ``source``: how messages call the operation and where the arrays come from.
    - ``strict``: whether every cell needs an array and every array a cell.
    - ``names``: a mapping or function from the names in ``arrays`` to paths or PyTorch's names, see `nn.names`.

    One error names everything that is wrong: `ArgumentError` for names that are missing or unknown, `ShapeError` and
    `DTypeError` for arrays that do not fit.
    """
    kind = type(holder).__name__
    if not isinstance(arrays, Mapping):
        raise ArgumentError(f"{what}: weights are a mapping from paths to arrays, not {type(arrays).__name__}")
    assignment = Assignment(holder, list(arrays), names, what)
    faults: list[tuple[type[BpropError], str]] = []
    if strict:
        faults += [(ArgumentError, f"{source} has no {path}, which {kind} needs") for path in assignment.missing()]
    unknown: list[tuple[type[BpropError], str]] = []
    cells, new = holder.cells(), dict[str, NDArray[Any]]()
    for name, entry in assignment.entries.items():
        if entry.path is None:
            unknown.append((ArgumentError, f"{source} has {entry.label}, which {kind} does not have"))
            continue
        stored, spec = np.asarray(asarray(arrays[name])), cells[entry.path].read().spec
        array = stored.T if entry.transposed else stored
        if array.shape != spec.shape:
            text = f"{entry.label} has shape {stored.shape} in {source} and {spec.shape} in {kind}"
            faults.append((ShapeError, text + _advice(array, spec.shape, entry.transposed)))
        elif array.dtype != spec.dtype:
            faults.append((DTypeError, f"{entry.label} is {array.dtype} in {source} and {spec.dtype} in {kind}"))
        elif entry.path in new and not np.array_equal(array, new[entry.path], equal_nan=array.dtype.kind == "f"):
            faults.append((ArgumentError, f"{entry.label} is given twice, with other numbers"))
        else:
            new[entry.path] = array
    if strict:
        faults += unknown
    if faults:
        raise faults[0][0](f"{what}: {'; '.join(text for _, text in faults)}")
    for path, array in new.items():
        cells[path].write(Array(array.copy()))


def _advice(array: NDArray[Any], shape: tuple[int, ...], transposed: bool) -> str:
    """Return what to do where an array would fit the other way around."""
    if array.ndim < 2 or array.T.shape != shape:
        return ""
    return (
        ": it is not stored transposed"
        if transposed
        else ": stored transposed, it takes names with nn.names.Transposed"
    )


__all__ = ["leaves", "load_cells"]
