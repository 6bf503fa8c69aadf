"""Weights in safetensors files: names, shapes and numbers, nothing that runs when it is read."""

import os
from pathlib import Path
from typing import Any

from ..core.error import ArgumentError
from ..core.file import as_path, open_plain
from ..nn.path import load_cells
from ..nn.weight_name import Names, stored_arrays
from .storage import StorageError, read, write_whole

__all__ = ["load_weights", "save_weights"]

_MAX_HEADER_BYTES = 100_000_000  # of a safetensors file
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""A zip file, as torch.save writes, and protocols of pickle."""


def save_weights(model: Any, path: str | os.PathLike[str], names: Names = None) -> None:
    """Write every cell of a module or optimizer to a safetensors file: parameters, running statistics, generators, slots.

    The file appears completely or not at all: it is written under a temporary name, flushed to disk, and then renamed.

    Parameters
    ----------
    model
        A `Module` or an `Optimizer`.
    path
        The file; an existing one is replaced.
    names
        How the arrays are called: by their paths, ``layers.0.W``; with ``"pytorch"`` by PyTorch's names, ``0.weight``, so that
        PyTorch loads the file, which generators of random numbers are left out of; or a mapping from names in the file to
        either, such as ``nn.names.gpt2(model)``.

    Raises
    ------
    StorageError
        If the file cannot be written.
    ArgumentError
        For a ``model`` without cells, and where ``names`` gives two weights the same name.

    **Source:** safetensors format, Hugging Face (2022).
    """
    from safetensors.numpy import save

    file = _checked_path("save_weights", model, path)
    arrays = stored_arrays(model, names, "save_weights")
    write_whole(file, save(arrays, {"format": "pt"} if names is not None else None))


def load_weights(model: Any, path: str | os.PathLike[str], names: Names = None, strict: bool = True) -> None:
    """Read the cells of a module or optimizer from a safetensors file, of `save_weights`, of PyTorch, or of another model.

    bprop's paths, ``layers.0.W``, and PyTorch's names, ``0.weight``, are both understood. All names, shapes and dtypes are
    checked before the first cell is changed, and an error names all that are wrong. Files of ``torch.save`` are refused, since
    they may run code when they are read; the error says how PyTorch writes them as safetensors.

    Parameters
    ----------
    model
        A `Module` or an `Optimizer`; its cells are replaced.
    path
        The file.
    names
        Where the file has other names: a dict or a function from these to paths or PyTorch's names, ``None`` for an array
        that is passed over, and ``nn.names.Transposed`` for one that is stored transposed; ``nn.names.gpt2(model)``.
    strict
        Whether names that are missing or unknown are errors; with ``False`` they are passed over.

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
    if _is_pickled(file):
        raise _pickled(file)
    try:
        needed = sum(cell.array.size * cell.array.dtype.itemsize for cell in model.cells().values())
        arrays = load(read(file, needed + _MAX_HEADER_BYTES))
    except StorageError as error:
        error.message = f"load_weights: {error.message}"
        raise
    except KeyError as error:  # bfloat16 and the like
        raise StorageError(
            f"load_weights: {path} holds numbers of type {error.args[0]}, which NumPy has not: convert them where PyTorch is, "
            f"x.float()"
        ) from None
    except (SafetensorError, ValueError) as error:
        raise StorageError(f"load_weights: {path} is no safetensors file: {error}") from None
    load_cells(model, arrays, "load_weights", str(path), strict, names)


def _is_pickled(file: Path) -> bool:
    try:
        with open(open_plain(file, follow=True), "rb") as opened:
            start = opened.read(9)
    except OSError:
        return False  # reading it says why
    return start.startswith(_PICKLE_STARTS) and start[8:] != b"{"  # which the header of safetensors begins with


def _pickled(file: Path) -> StorageError:
    """Return the error for a file of ``torch.save``, with the line that makes a safetensors file of it."""
    new = f'"{file.stem}.safetensors"'
    return StorageError(
        f"load_weights: {file} is a file of torch.save or pickle, which may run code when it is read; where PyTorch is, write "
        f'safetensors.torch.save_file({{name: x.clone() for name, x in torch.load("{file.name}", weights_only=True).items()}}, '
        f"{new}) and load that"
    )


def _checked_path(name: str, model: Any, path: Any) -> Path:
    if isinstance(model, type) or not callable(getattr(model, "cells", None)):
        raise ArgumentError(f"{name}: a Module or an Optimizer, not {model!r:.60}")
    return as_path(path, f"{name}: the path")
