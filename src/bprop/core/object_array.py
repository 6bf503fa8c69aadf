"""Object arrays: what `numpy.array` makes of a list with values under a transform, and one array of it again.

NumPy asks every value of the list for an array (`__array__`). It gets an object array of scalars under the transform, so
that ``numpy.array([x[1], -numpy.sin(x[0])])`` is one of them, too: NumPy computes with it entry by entry. Every op takes
such an array, and a list, as one array: its entries are joined by one application.
"""

import re
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .array_argument import with_arrays
from .error import BpropError, NumPyFunctionError, ShapeError, TracedValueError, raised_in, refused_at
from .method import Methods
from .operator import call
from .traced_float import TracedFloat
from .tree import flatten, is_holder, unflatten

LARGEST = 1000
"""Entries of a value that is taken apart; NumPy computes with each of them in Python."""


def is_object_array(obj: Any) -> bool:
    """Return whether ``obj`` is a NumPy array of objects."""
    return isinstance(obj, np.ndarray) and obj.dtype.kind == "O"


def taken_apart(value: Any) -> NDArray[Any]:
    """Return a value under a transform as an object array of its entries.

    Raises `TracedValueError` where there are more than `LARGEST`.
    """
    if value.size > LARGEST:
        raise TracedValueError(
            f"numpy.asarray of {value.origin()} inside {value.owner.name}: that would be {value.size:,} Python objects, with "
            f"which NumPy computes one by one: leave numpy.asarray out, the value is an array already and NumPy's functions "
            f"take it; write bprop.stack([x, y]) for numpy.array([x, y])"
        )
    level = value
    while hasattr(level, "owner"):  # NumPy may ask any of the levels how two entries compare
        level.owner.gave_objects = True
        level = getattr(level, "value", None)
    result = np.empty(value.size, object)
    entries = (value,) if not value.shape else call("ravel", value)
    for position, entry in enumerate(entries):
        result[position] = entry
    return result.reshape(value.shape)


_ENTRY_METHODS = (
    "arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt cos cosh deg2rad degrees exp exp2 expm1 fabs fmod hypot "
    "log log10 log1p log2 logical_xor rad2deg radians rint sin sinh sqrt tan tanh"
)
"""Ufuncs that ask every entry of an object array for a method of their name, besides `Array.conjugate`; the others use operators."""


def give_entry_methods(kind: type) -> None:
    """Give scalars of a class the methods that NumPy's loops over object arrays call.

    They are properties: a class with ``__getattr__`` reads all its attributes more slowly.
    """
    for name in _ENTRY_METHODS.split():
        setattr(kind, name, property(partial(_entry_method, getattr(np, name))))


def _entry_method(ufunc: Any, value: Any) -> Any:
    name = ufunc.__name__
    if value.shape:
        raise AttributeError(f"'Array' object has no attribute {name!r}", name=name, obj=value)
    return partial(ufunc, value)


def hidden(value: Any) -> NDArray[Any]:
    """Return an array of no axes that holds a value as an object, with which nothing can be computed."""
    result = np.empty((), object)
    result[()] = value
    return result


def holds_traced(obj: Any) -> bool:
    """Return whether ``obj``, a list, a tuple or an object array, holds values under a transform, however deep."""
    if isinstance(obj, list | tuple):
        return any(map(holds_traced, obj))
    if is_object_array(obj):
        return any(hasattr(entry, "owner") for entry in obj.flat if isinstance(entry, Methods))
    return isinstance(obj, Methods) and hasattr(obj, "owner")


def holds_numbers(obj: NDArray[Any]) -> bool:
    """Return whether all entries of an object array are values or numbers: a part of one of `taken_apart`."""
    return all(isinstance(entry, Methods | bool | int | float | np.bool_ | np.number) for entry in obj.flat)


def joined(name: str, obj: Any) -> Any:
    """Return a list or object array with values under a transform as one array; ``name`` is for the error.

    Raises `ShapeError` where entries of one list have different shapes.
    """
    pieces: list[Any] = []
    shape = _collect(name, obj, pieces)
    parts = [part for _, run in groupby(pieces, _kind) for part in _along_one_axis(list(run))]
    flat = parts[0] if len(parts) == 1 else call("concat", parts) if parts else np.zeros(shape)
    return call("reshape", flat, shape)


def _collect(name: str, obj: Any, pieces: list[Any]) -> tuple[int, ...]:
    """Put the arrays and numbers of ``obj``, in order, into ``pieces``, and return the shape of ``obj`` as one array."""
    if isinstance(obj, list | tuple):
        shapes = [_collect(name, entry, pieces) for entry in obj]
        for shape in shapes:
            if shape != shapes[0]:
                raise ShapeError(
                    f"{name}: a list has entries of shapes {shapes[0]} and {shape}: those of one array have one shape; write "
                    f"bprop.concat(arrays) to put arrays one after the other"
                )
        return (len(shapes), *(shapes[0] if shapes else ()))
    if is_object_array(obj):
        for shape in {_collect(name, entry, pieces) for entry in obj.ravel().tolist()} - {()}:
            raise ShapeError(
                f"{name}: an entry of an object array has shape {shape}, not (): write bprop.stack(arrays)"
            )
        return obj.shape
    pieces.append(obj.array() if type(obj) is TracedFloat else obj)
    return np.shape(pieces[-1])


def _kind(piece: Any) -> Any:
    """Return what neighbouring pieces that make one part have in common: they are numbers, or one and the same value."""
    return id(piece) if isinstance(piece, Methods) else "array" if isinstance(piece, np.ndarray) else "number"


def _along_one_axis(run: list[Any]) -> list[Any]:
    """Return neighbouring pieces of one kind as few arrays with one axis."""
    first = run[0]
    if not isinstance(first, Methods):
        return list(map(np.ravel, run)) if isinstance(first, np.ndarray) else [np.asarray(run)]
    flat = call("reshape", first, (-1,) if first.size else (0,))  # type: ignore[attr-defined]
    if len(run) > 1 and flat.shape == (1,):
        return [call("broadcast_to", flat, (len(run),))]
    return [flat] * len(run)


def rejoined(owner: Any, result: Any) -> Any:
    """Return what a function returned under ``owner``, with one array in the place of every object array of its values."""
    if not owner.gave_objects:
        return result
    leaves, structure = flatten(result, is_holder)
    return unflatten(structure, [joined("result", x) if is_object_array(x) and holds_traced(x) else x for x in leaves])


_WITHOUT_OBJECTS = re.compile(
    r"loop of ufunc .* no callable (?P<method>\w+) method|'(float|int|bool)' object has no attribute '(?P<attribute>\w+)'"
    r"|ufunc '(?P<ufunc>\w+)'|dtype\('O'\)|type object|(?P<dtype>dtype object is not supported)"
)
"""How NumPy says that a function does not compute with objects, or not with all of these."""


def explain_objects(error: Exception) -> NumPyFunctionError | None:
    """Return the error for one of NumPy's about an object array, ``None`` where it is about something else."""
    match = _WITHOUT_OBJECTS.search(str(error))
    called, line = refused_at(error)
    if "NPY_ITER_REFS_OK" in str(error):
        explained = NumPyFunctionError(
            "numpy.nditer goes over the memory of NumPy's arrays, which a value under a transform has not: write "
            "for entry in x.ravel(), or for index, entry in numpy.ndenumerate(x); to compute with all of them at once is faster"
        )
        explained.line = line
        return explained
    if match is None or (isinstance(error, BpropError) and not (match["dtype"] and called)):
        return None
    name: str = match["method"] or match["attribute"] or match["ufunc"] or ""
    if match["attribute"] and not called and not isinstance(vars(np).get(name), np.ufunc):
        return None
    if not called:
        called = (
            "a function of NumPy" if not name else f"numpy.{name}" if hasattr(np, name) else f"scipy.special.{name}"
        )
    refused = "objects" if match["ufunc"] or not name else "the Python numbers among them"
    position = raised_in(error)
    call = with_arrays(called if called.startswith(("numpy.", "scipy.")) else "", *position) if position else ""
    instead = call or (
        "bprop.asarray([x, y]) for numpy.array([x, y]), bprop.stack for numpy.stack, or a = bprop.asarray(a) before the call, "
        "which make one bprop array"
    )
    explained = NumPyFunctionError(
        f"{called} of an array of objects: numpy.array makes one of a list with values under a transform, and this function "
        f"does not compute with {refused}: write {instead}"
    )
    explained.line = line
    return explained


__all__ = [
    "explain_objects",
    "give_entry_methods",
    "hidden",
    "holds_numbers",
    "holds_traced",
    "is_object_array",
    "joined",
    "rejoined",
    "taken_apart",
]
