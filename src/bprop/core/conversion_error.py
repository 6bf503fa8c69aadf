"""What is said where Python, NumPy or another library asks a value under a transform for its number."""

import ast
from collections import ChainMap
from typing import TYPE_CHECKING

from .array_argument import with_arrays
from .assignment import ASSIGNED, conversion, native_call, path_to, rewrite
from .dispatch import replacement
from .error import (
    ArgumentError,
    NumPyFunctionError,
    TracedValueError,
    raised_in,
    refused_at,
    user_assigns,
    user_called,
    user_source,
)
from .method import Methods
from .nondifferentiable import IN_PLACE_NAMES, INSTEAD

if TYPE_CHECKING:
    from .value import Tracer

UNMASKED = (
    "write a.filled(value), or bprop.where(a.mask, value, a.data), with a value that stands for what is missing, and weigh "
    "those entries with 0 where they should not count"
)


def asked(value: "Tracer", what: str) -> tuple[str, str]:
    """Return what asks for a number, as the user wrote it, and what to write instead, "" where nothing particular is.

    Raises `TracedValueError` where the value was to be put into a NumPy array.
    """
    if what not in ("numpy.asarray", "float()", "int()", "complex()"):
        passing = INSTEAD.get(what.removeprefix("numpy."), "") or _KEPT.get(what, "")
        return what, f"write {passing}" if passing else ""
    called = user_called()
    fills = what == "float()" and ".fill(" in user_source()  # a method of NumPy's arrays
    if fills or user_assigns() or called.removeprefix("numpy.") in IN_PLACE_NAMES:
        raise refused_assignment(value, called)
    if called.startswith("numpy.ma."):
        return "an operation with a masked array (numpy.ma)", UNMASKED
    if called:
        instead = replacement(called) or _FOREIGN.get(called.partition(".")[0], "")
        listed = " of a list or an array of objects asks for the number" if "bprop.asarray(" in instead else ""
        return called + listed, f"write {instead}" if instead else ""
    native, instead = native_call()
    if native:
        instead = instead or with_arrays(native)  # a method of an array of objects
        return native, f"write {instead}" if instead else ""
    if what in ("int()", "complex()"):
        return what, ""
    if what == "numpy.asarray":
        line = conversion()
        return what, f"write {line}" if line else (
            "write bprop.stack([x, y]) for numpy.array([x, y], dtype), bprop.asarray(a, dtype=dtype) for a.astype(dtype) of an "
            "array of objects, compute with bprop (or NumPy) functions"
        )
    source = user_source()
    if ".astype(" in source:
        return what, "write bprop.asarray(a, dtype=dtype) for a.astype(dtype) of an array of objects"
    return what, "write bprop.stack(list(values)) for numpy.fromiter(values, dtype)" if "fromiter(" in source else ""


_KEPT = {
    ".item()": "x.reshape(()) for the only entry of an array, x[i, j] for another",
    ".tolist()": "list(x) for a list of its entries",
}
"""What is written for methods that return Python numbers where the derivative shall be kept."""

_FOREIGN = {
    "pandas": "table.to_numpy() for the table of pandas",
    "xarray": "data.values for the data of xarray",
    "torch": "tensor.numpy() for the tensor of PyTorch",
}
"""What other libraries' objects are as NumPy arrays, with which values under a transform compute."""


def refused_assignment(value: "Tracer", called: str) -> TracedValueError:
    """Return the error for a value that was to be put into a NumPy array, with the lines to write instead."""
    return TracedValueError(
        f"{called or 'assignment to entries of a NumPy array'} puts {value.origin().rstrip(',')} inside {value.owner.name} into a "
        f"NumPy array, which holds numbers only, so that its derivative would be lost; arrays do not change under "
        f"differentiation: " + (rewrite() or ASSIGNED)
    )


def refused_item() -> ArgumentError:
    """Return the error for ``x[index] = value``, with the line to write instead, or the library's function that wrote it."""
    called = user_called()
    if called:
        instead = replacement(called)
        return ArgumentError(
            f"{called} assigns to entries of arrays, and bprop arrays are immutable: "
            + (f"write {instead}" if instead else "give it NumPy arrays, np.asarray(x)")
        )
    return ArgumentError(
        "bprop arrays are immutable: x[index] = value would change numbers that a gradient still needs; "
        + (rewrite() or "write x = x.at[index].set(value), and x.at[index].add(value) for +=")
    )


def explain_unhashable(error: TypeError) -> NumPyFunctionError | None:
    """Return the error for a library's function that looks a value up, as of integers; ``None`` for other errors."""
    called, line = refused_at(error)
    if str(error) != "unhashable type: 'Array'" or not called:
        return None
    instead = replacement(called)
    explained = NumPyFunctionError(
        f"{called} does not compute with a value under a transform"
        + (f": write {instead}" if instead else ", and there is no rule: write it with functions that have one")
    )
    explained.line = line
    return explained


def explain_index(error: IndexError) -> TracedValueError | None:
    """Return the error for ``table[i]`` of a NumPy array, whose index has no number; ``None`` for other errors."""
    raised = raised_in(error)
    if raised is None or not str(error).startswith(_NO_INDEX):
        return None
    path = path_to(raised[0].f_code, raised[1])
    if not path or not isinstance(path[-1], ast.Subscript):
        return None
    names = ChainMap(raised[0].f_locals, raised[0].f_globals)
    parts = (names.get(node.id) for node in ast.walk(path[-1].slice) if isinstance(node, ast.Name))
    if not any(isinstance(part, Methods) for part in parts):  # "a" or 0.5, which is the user's own error
        return None
    table, index = ast.unparse(path[-1].value), ast.unparse(path[-1].slice)
    explained = TracedValueError(
        f"the index of {table} is a value under a transform, and NumPy's arrays want its number: write "
        f"bprop.asarray({table})[{index}]"
    )
    explained.line = refused_at(error)[1]
    return explained


_NO_INDEX = ("only integers, slices", "arrays used as indices must be of integer")
"""How NumPy says that an index is none."""


def explain_flat(error: ValueError, name: str) -> TracedValueError | None:
    """Return the error for ``a.flat[i] = x``, of which NumPy says only that it failed; ``None`` for other errors."""
    if str(error) != "Error setting single item of array.":
        return None
    explained = TracedValueError(
        f"assignment to an entry of a.flat puts a value inside {name} into a NumPy array, which holds numbers only; arrays do not "
        f"change under differentiation: write a = a.reshape(-1).at[i].set(x) for a.flat[i] = x, with a from "
        f"bprop.zeros(shape) or bprop.asarray(a)"
    )
    explained.line = refused_at(error)[1]
    return explained


__all__ = ["UNMASKED", "asked", "explain_flat", "explain_index", "explain_unhashable"]
