"""The call to write where NumPy gets a list of values or an array of objects with which it cannot compute.

``numpy.mean([a, b])`` asks neither the list nor its entries for a rule, and NumPy's own code does not compute with values under a
transform; ``numpy.mean(bprop.asarray([a, b]))`` finds the rule. The call is the user's own, from the source (`ast`).
"""

import ast
from collections import ChainMap
from collections.abc import Mapping
from types import FrameType
from typing import Any

import numpy as np

from .assignment import CONVERSIONS, looked_up, path_to
from .error import user_frame
from .method import Methods


def with_arrays(called: str = "", frame: FrameType | None = None, instruction: int = -1) -> str:
    """Return the call at the user's line with one array in the place of every list or array of objects, "" where there is none.

    ``called``: the public name of the function, if it is known. ``frame`` and ``instruction`` are those of the user's call, by
    default the innermost one that is running.
    """
    frame = frame or user_frame()
    path = path_to(frame.f_code, frame.f_lasti if instruction < 0 else instruction) if frame is not None else []
    if frame is None or not path or not isinstance(path[-1], ast.Call):
        return ""
    call, names = path[-1], ChainMap(frame.f_locals, frame.f_globals)
    if called.rpartition(".")[2] not in ast.unparse(call.func):
        return ""
    function = call.func
    if isinstance(function, ast.Attribute):  # values.max() is a method of an array of objects
        receiver = _as_array(function.value, names)
        function = function if receiver is function.value else ast.Attribute(receiver, function.attr)
    arguments = [_as_array(argument, names) for argument in call.args]
    options = [ast.keyword(option.arg, _as_array(option.value, names)) for option in call.keywords]
    same = (
        function is call.func
        and arguments == call.args
        and all(new.value is old.value for new, old in zip(options, call.keywords, strict=True))
    )
    return "" if same else ast.unparse(ast.Call(function, arguments, options))


def _as_array(node: ast.expr, names: Mapping[str, Any]) -> ast.expr:
    """Return the expression of an array for that of a list of values or an array of objects; others as they are."""
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in CONVERSIONS and node.args:
        return _asarray(node.args[0])
    if isinstance(node, ast.List | ast.Tuple):
        return node if all(isinstance(leaf, _CONSTANT) for leaf in ast.walk(node)) else _asarray(node)
    if isinstance(node, ast.Subscript) and looked_up(node, names) is None:  # values[:, 0], a part of such an array
        whole = _as_array(node.value, names)
        return node if whole is node.value else ast.Subscript(whole, node.slice)
    return _asarray(node) if _holds_values(looked_up(node, names)) else node


_CONSTANT = ast.List | ast.Tuple | ast.Constant | ast.UnaryOp | ast.unaryop | ast.expr_context
"""Of what a list of plain numbers is made."""


def _asarray(node: ast.expr) -> ast.expr:
    return ast.Call(ast.Attribute(ast.Name("bprop"), "asarray"), [node], [])


def _holds_values(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_values, value)) or any(isinstance(entry, Methods) for entry in value)
    return isinstance(value, np.ndarray) and value.dtype.kind == "O"


__all__ = ["with_arrays"]
