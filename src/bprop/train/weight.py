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

_HEADER = 100_000_000  # bytes of header that a safetensors file may have


def save_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Write every cell of ``model`` (parameters, running statistics, generators; also an optimizer's) to ``path``.

    The file appears whole or not at all: it is written beside its place, flushed to disk, and then renamed. Raises
    `StorageError` where that is impossible, `ArgumentError` for what has no cells.

    **Source:** safetensors format, Hugging Face (2022).
    """
    from safetensors.numpy import save

    place = _checked("save_weights", model, path)
    arrays = {name: np.array(cell.read(), order="C") for name, cell in model.cells().items()}
    write_whole(place, save(arrays))


def load_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Read the cells of ``model`` from ``path``, as `save_weights` wrote them.

    Names, shapes and dtypes are all checked before the first is changed, and the error names all that are wrong:
    `ArgumentError` for a missing or unknown name, `ShapeError`, `DTypeError`. `StorageError` where the file cannot be read.

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

    place = _checked("load_weights", model, path)
    try:
        needed = sum(cell.array.size * cell.array.dtype.itemsize for cell in model.cells().values())
        arrays = load(read(place, needed + _HEADER))
    except StorageError as error:
        error.message = f"load_weights: {error.message}"
        raise
    except KeyError as error:  # bfloat16 and the like
        raise StorageError(f"load_weights: {path} holds numbers of type {error.args[0]}, which NumPy has not") from None
    except (SafetensorError, ValueError) as error:
        raise StorageError(f"load_weights: {path} is no safetensors file: {error}") from None
    load_cells(model, arrays, "load_weights", str(path))


def _checked(name: str, model: Any, path: Any) -> Path:
    if isinstance(model, type) or not callable(getattr(model, "cells", None)):
        raise ArgumentError(f"{name}: a Module or an Optimizer, not {model!r:.60}")
    return as_path(path, f"{name}: the path")
