"""Weights in safetensors files: names, shapes and numbers, nothing that runs when it is read."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..core.error import ArgumentError
from ..core.file import as_path
from ..nn.path import load_cells
from .storage import StorageError, read, write_whole

__all__ = ["load_weights", "save_weights"]

_MAX_HEADER_BYTES = 100_000_000  # of a safetensors file


def save_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Write every cell of a module or optimizer to a safetensors file: parameters, running statistics, generators, slots.

    The file appears completely or not at all: it is written under a temporary name, flushed to disk, and then renamed.

    Parameters
    ----------
    model
        A `Module` or an `Optimizer`.
    path
        The file; an existing one is replaced.

    Raises
    ------
    StorageError
        If the file cannot be written.
    ArgumentError
        For a ``model`` without cells.

    **Source:** safetensors format, Hugging Face (2022).
    """
    from safetensors.numpy import save

    file = _checked_path("save_weights", model, path)
    arrays = {name: np.array(cell.read(), order="C") for name, cell in model.cells().items()}
    write_whole(file, save(arrays))


def load_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Read the cells of a module or optimizer from a file that `save_weights` wrote.

    All names, shapes and dtypes are checked before the first cell is changed, and an error names all that are wrong.

    Parameters
    ----------
    model
        A `Module` or an `Optimizer`; its cells are replaced.
    path
        The file.

    Raises
    ------
    StorageError
        If the file cannot be read, or is no safetensors file.
    ArgumentError
        For a missing or unknown name, and for a ``model`` without cells.
    ShapeError, DTypeError
        For an array of another shape or dtype than the cell.

    **Source:** safetensors format, Hugging Face (2022).

    >>> import os, tempfile
    >>> from bprop import nn
    >>> from bprop.train import load_weights, save_weights
    >>> first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(first, os.path.join(folder, "w.safetensors"))
    ...     load_weights(second, os.path.join(folder, "w.safetensors"))
    >>> (first.W == second.W).tolist() == [[True] * 3] * 2
    True
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    file = _checked_path("load_weights", model, path)
    try:
        needed = sum(cell.array.size * cell.array.dtype.itemsize for cell in model.cells().values())
        arrays = load(read(file, needed + _MAX_HEADER_BYTES))
    except StorageError as error:
        error.message = f"load_weights: {error.message}"
        raise
    except KeyError as error:  # bfloat16 and the like
        raise StorageError(f"load_weights: {path} holds numbers of type {error.args[0]}, which NumPy has not") from None
    except (SafetensorError, ValueError) as error:
        raise StorageError(f"load_weights: {path} is no safetensors file: {error}") from None
    load_cells(model, arrays, "load_weights", str(path))


def _checked_path(name: str, model: Any, path: Any) -> Path:
    if isinstance(model, type) or not callable(getattr(model, "cells", None)):
        raise ArgumentError(f"{name}: a Module or an Optimizer, not {model!r:.60}")
    return as_path(path, f"{name}: the path")
