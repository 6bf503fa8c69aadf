"""Arrays of other libraries: how they are known, and what is said where one does not give its numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .error import ArgumentError, BpropError, DTypeError, ShapeError


def is_array_like(obj: Any) -> bool:
    """Return whether ``obj`` is an array, of ours, of NumPy or of another library: its class has ``__array__`` or DLPack.

    The object itself is not asked: a mock answers for any name.
    """
    return any("__array__" in kind.__dict__ or "__dlpack__" in kind.__dict__ for kind in type(obj).__mro__)


def lent(name: str, obj: Any, by_dlpack: bool = False) -> NDArray[Any]:
    """Return numbers, nested sequences, or another library's array as a NumPy array, which may share its memory.

    ``by_dlpack``: DLPack goes before ``__array__``. Raises an error that names ``name`` and says what the other library says.
    """
    try:
        if by_dlpack or (hasattr(obj, "__dlpack__") and not hasattr(obj, "__array__")):
            return np.from_dlpack(obj)
        return np.asarray(obj)
    except BpropError:
        raise
    except ValueError as error:
        raise ShapeError(f"{name}: {error}") from None
    except (TypeError, RuntimeError, BufferError) as error:
        raise _not_lent(name, obj, error) from error


def _not_lent(name: str, obj: Any, error: Exception) -> BpropError:
    """Return the error for what its library does not hand out: a tensor whose derivative PyTorch keeps track of, say."""
    kind = type(obj)
    if kind in (list, tuple):
        return ArgumentError(f"{name}: an entry of the {kind.__name__} does not give its numbers: {error}")
    what, dtype = f"{name}: a {kind.__module__.partition('.')[0]} {kind.__name__}", str(getattr(obj, "dtype", ""))
    if "bfloat16" in dtype or "float8" in dtype:
        return DTypeError(f"{what} has dtype {dtype}, which NumPy does not have: convert it to float32 there first")
    return ArgumentError(f"{what} does not give its numbers: {error}")


__all__ = ["is_array_like", "lent"]
