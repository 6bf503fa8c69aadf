"""How one application is written as NumPy code: as text is, by the names that NumPy and SciPy have for it, to the digits of the op.

An op whose text is shorter than what it takes to compute it well declares its ``code`` (1 - tanh(x)² is 0 from x = 19 on, its
code is not). Helpers that NumPy has no function for are written into the source where they are used.
"""

import ast
import re
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.error import BpropError
from ..core.notation import CALL, SUM, Notation, Slot, Written
from ..core.op import Op, Operand
from ..core.value import Spec

HELPERS = {
    "embed": """def embed(x, shape, slices):
    y = np.zeros(shape, x.dtype)
    y[np.ix_(*(start + step * np.arange(count) for start, count, step in slices))] = x
    return y
""",
    "scatter_add": """def scatter_add(x, indices, size):
    y = np.zeros((size, *x.shape[np.ndim(indices):]), x.dtype)
    np.add.at(y, indices, x)
    return y
""",
    "sum_minus_one": """def sum_minus_one(x, axis, keepdims):
    ones = np.sum(x == 1, axis=axis, keepdims=keepdims)
    return np.sum(np.where(x == 1, 0, x), axis=axis, keepdims=keepdims) + (ones - 1)
""",
}
"""Functions that the source defines before it uses them."""

_CALLED = re.compile(r"(?<![\w.'])([A-Za-z_]\w*)(?=\()")
_CONSTANT = re.compile(r"(?<![\w.'])(pi|inf|nan)\b(?!\()")
_HEAD = re.compile(r"[A-Za-z_][\w.]*\(")


class NumPyCode(Notation):
    """Writes applications as NumPy code; raises `BpropError` for an op that neither NumPy nor SciPy has."""

    style = "code"

    def template(self, op: Op, operands: Sequence[Operand], params: dict[str, Any]) -> str | None:
        template = super().template(op, operands, params)
        if template is not None:
            return template
        if op.code is not None:
            raise _refusal(op.name)
        text = op.text(*operands, **params) if callable(op.text) else op.text
        if text and not _is_python(text):
            raise _refusal(op.name)
        return text and _CONSTANT.sub(r"np.\1", _CALLED.sub(lambda match: qualified(match[1]), text))

    def level(self, op: Op, template: str) -> float:
        """Return the declared level of a text; code is a call, or binds as loosely as a sum."""
        if op.code is None:
            return super().level(op, template)
        return CALL if _is_call(template) else SUM

    def needs_brackets(self, op: Op, template: str, level: float, slot: Slot, operand: Written) -> bool:
        if op.code is None:
            return super().needs_brackets(op, template, level, slot, operand)
        alone = re.findall(rf"(?:^|[(\[]|, )\{{{slot.operand}\}}(?=$|[)\],])", template)
        return operand.level < CALL and len(alone) < template.count(f"{{{slot.operand}}}")

    def call(self, name: str, operands: Sequence[str]) -> Written:
        return Written(f"{qualified(name)}({', '.join(operands)})", CALL)

    def option(self, value: Any) -> str:
        return f"np.{value}" if isinstance(value, np.dtype) else repr(value)

    def number(self, value: complex) -> Written:
        written = super().number(value)
        return written._replace(text=_CONSTANT.sub(r"np.\1", written.text))

    def array(self, entries: Sequence[str], spec: Spec) -> str:
        return f"np.array({super().array(entries, spec)}, np.{spec.dtype})"

    def array_literal(self, data: NDArray[Any]) -> str:
        """Return the numbers of an array as nested lists, exactly."""
        return _CONSTANT.sub(r"np.\1", repr(data.tolist()))


NUMPY = NumPyCode()


@cache
def qualified(name: str) -> str:
    """Return a function's name with the module that has it."""
    if name in HELPERS:
        return name
    if hasattr(np, name):
        return f"np.{name}"
    if hasattr(import_module("scipy.special"), name):
        return f"special.{name}"
    raise _refusal(name)


def _is_python(template: str) -> bool:
    """Return whether a text with names in its slots is an expression that calls functions only; f'(x) is none, nor is ½(x)."""
    try:
        tree = ast.parse(re.sub(r"\{\w+\}", "(1)", template), mode="eval")
    except SyntaxError:
        return False
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return all(isinstance(call.func, ast.Name | ast.Attribute) for call in calls)


def _is_call(template: str) -> bool:
    """Return whether the parenthesis behind a name at the beginning is closed at the end."""
    head = _HEAD.match(template)
    depth = 1 if head else 0
    for position, letter in enumerate(template[head.end() :] if head else "", 1):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return head is not None and head.end() + position == len(template)
    return False


def _refusal(name: str) -> BpropError:
    return BpropError(f"export: {name} has no equivalent in NumPy and SciPy, so it cannot be written as NumPy code")


__all__ = ["HELPERS", "NUMPY", "NumPyCode"]
