"""Comparisons, logic and classification: functions without a derivative. NaN compares as IEEE 754 says."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..core.family import Elementwise
from ..core.function import NUMPY, publish

__all__ = [
    "equal",
    "greater",
    "greater_equal",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "not_equal",
]


def _truth(
    name: str, ufunc: Any, formula: str, symbol: str, latex: str, example: str, unary: bool = False, **declared: Any
) -> Elementwise:
    operands = "x" if unary else "x1, x2"
    op = Elementwise(
        name,
        ufunc,
        *([None] if unary else [None, None]),
        kind="bool",
        complex_step=_on_real_part(ufunc),
        text=f"{symbol}{{0}}" if unary else f"{{0}} {symbol} {{1}}",
        latex=f"{latex} {{0}}" if unary else f"{{0}} {latex} {{1}}",
        code=f"np.{name}({'{0}' if unary else '{0}, {1}'})" if name.startswith("logical") else None,
        level=3 if unary else 0,
        **declared,
        doc=f"""{formula}, entry by entry; shapes of ``{operands}`` broadcast, the result is bool, no derivative.

    **Source:** Python Array API standard 2024.12, ``{name}``; IEEE 754 for NaN.

    >>> import bprop
    >>> {example}
    """,
    )
    publish(op)
    return op


def _on_real_part(ufunc: Any) -> Callable[..., Any]:
    return lambda *xs: ufunc(*(np.real(x) for x in xs))


_xy = "bprop.{}(bprop.asarray([1.0, 2.0, 3.0]), 2.0)\n    Array({})"
less = _truth("less", np.less, "x1 < x2", "<", "<", _xy.format("less", "[ True, False, False]"))
less_equal = _truth(
    "less_equal", np.less_equal, "x1 ≤ x2", "<=", r"\leq", _xy.format("less_equal", "[ True,  True, False]")
)
greater = _truth("greater", np.greater, "x1 > x2", ">", ">", _xy.format("greater", "[False, False,  True]"))
greater_equal = _truth(
    "greater_equal",
    np.greater_equal,
    "x1 ≥ x2",
    ">=",
    r"\geq",
    _xy.format("greater_equal", "[False,  True,  True]"),
)
equal = _truth(
    "equal",
    np.equal,
    "x1 = x2",
    "==",
    "=",
    _xy.format("equal", "[False,  True, False]"),
    takes_complex=True,
)
not_equal = _truth(
    "not_equal",
    np.not_equal,
    "x1 ≠ x2",
    "!=",
    r"\neq",
    _xy.format("not_equal", "[ True, False,  True]"),
    takes_complex=True,
)
_logical = partial(_truth, logical=True, takes_complex=True)
_bb = "bprop.{}(bprop.asarray([True, False]), True)\n    Array({})"
logical_and = _logical(
    "logical_and", np.logical_and, "x1 and x2", "&", r"\wedge", _bb.format("logical_and", "[ True, False]")
)
logical_or = _logical("logical_or", np.logical_or, "x1 or x2", "|", r"\vee", _bb.format("logical_or", "[ True,  True]"))
logical_xor = _logical(
    "logical_xor", np.logical_xor, "x1 or x2, not both", "^", r"\oplus", _bb.format("logical_xor", "[False,  True]")
)
logical_not = _logical(
    "logical_not",
    np.logical_not,
    "not x",
    "~",
    r"\neg",
    "bprop.logical_not(bprop.asarray([True, False]))\n    Array([False,  True])",
    role="negated condition",
    unary=True,
)


def _class(name: str, ufunc: Any, formula: str, answer: str) -> Elementwise:
    op = Elementwise(
        name,
        ufunc,
        None,
        kind="bool",
        takes_complex=True,
        complex_step=_on_real_part(ufunc),
        doc=f"""{formula}, entry by entry: bool of the shape of ``x``, no derivative.

    **Source:** Python Array API standard 2024.12, ``{name}``.

    >>> import bprop
    >>> bprop.{name}(bprop.asarray([1.0, float("inf"), float("nan")]))
    Array({answer})
    """,
    )
    publish(op)
    return op


isnan = _class("isnan", np.isnan, "Whether x is not a number", "[False, False,  True]")
isinf = _class("isinf", np.isinf, "Whether x is ∞ or -∞", "[False,  True, False]")
isfinite = _class("isfinite", np.isfinite, "Whether x is a number and not infinite", "[ True, False, False]")


# --- questions that NumPy code asks about arrays; the answers are Python's, not arrays ---
NUMPY[np.shape] = lambda x, /: x.shape
NUMPY[np.ndim] = lambda x, /: x.ndim
