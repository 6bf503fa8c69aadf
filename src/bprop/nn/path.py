"""Paths: how what a module holds is named, and loading arrays by these names.

A path is the attributes on the way joined by points, ``layers.0.W``. Gradients, files of weights and mappings of arrays
all use these names.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..core.error import ArgumentError, BpropError, DTypeError, ShapeError
from ..core.value import Array, asarray


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, object) for everything that an attribute holds, through lists, tuples and dicts."""
    if isinstance(value, list | tuple | dict):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(f"{name}.{key}", entry)
    else:
        yield name, value


def load_cells(holder: Any, arrays: Mapping[str, Any], what: str, source: str, strict: bool = True) -> None:
    """Write ``arrays`` into the cells of ``holder`` with the same paths: all of them, or none and an error.

    - ``holder``: an object with cells, such as a module.
    - ``arrays``: arrays by path; each has the shape and dtype of its cell.
    - ``what``, ``source``: how messages call the operation and where the arrays come from.
    - ``strict``: whether every cell needs an array and every array a cell.

    One error names everything that is wrong: `ArgumentError` for paths that are missing or unknown, `ShapeError` and
    `DTypeError` for arrays that do not fit.
    """
    cells, kind = holder.cells(), type(holder).__name__
    if not isinstance(arrays, Mapping):
        raise ArgumentError(f"{what}: weights are a mapping from paths to arrays, not {type(arrays).__name__}")
    new = {path: np.asarray(array if path not in cells else asarray(array)) for path, array in arrays.items()}
    faults: list[tuple[type[BpropError], str]] = []
    if strict:
        faults += [
            (ArgumentError, f"{source} has no {path!r}, which {kind} needs") for path in cells if path not in new
        ]
    for path, cell in cells.items():
        if path in new:
            array, spec = new[path], cell.read().spec
            if array.shape != spec.shape:
                faults.append((ShapeError, f"{path!r} has shape {array.shape} in {source} and {spec.shape} in {kind}"))
            elif array.dtype != spec.dtype:
                faults.append((DTypeError, f"{path!r} is {array.dtype} in {source} and {spec.dtype} in {kind}"))
    if strict:
        unknown = [path for path in new if path not in cells]
        faults += [(ArgumentError, f"{source} has {path!r}, which {kind} does not have") for path in unknown]
    if faults:
        raise faults[0][0](f"{what}: {'; '.join(text for _, text in faults)}")
    for path, cell in cells.items():
        if path in new:
            cell.write(Array(new[path].copy()))


__all__ = ["leaves", "load_cells"]
