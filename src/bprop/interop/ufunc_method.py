"""Calls of NumPy's ufuncs with options, and their methods ``reduce``, ``accumulate``, ``reduceat``, ``outer``, with derivatives.

What a ufunc does along an axis is a reduction or cumulative op where there is one, else its rule applied again and again.
``at`` writes into its argument and is refused with what to write.

**Source:** NumPy, ``numpy.ufunc``.
"""

from collections.abc import Callable, Sequence
from math import prod as product
from operator import index
from typing import Any

import numpy as np

from ..core.assignment import fresh_output
from ..core.dtype import BOOL, WEAK, accumulated, to_float
from ..core.error import ArgumentError, DTypeError, NumPyFunctionError, ShapeError
from ..core.function import UFUNC_METHODS
from ..core.op import array, operand
from ..core.shape import normalise_axes, normalise_axis, reduced
from ..core.value import Array, asarray
from ..ops import (
    all,
    any,
    astype,
    broadcast_to,
    concat,
    cumulative_prod,
    cumulative_sum,
    logsumexp,
    max,
    min,
    moveaxis,
    prod,
    reshape,
    stack,
    sum,
    unstack,
    where,
)
from .numpy_argument import mask_of
from .numpy_reduction import lowest

Rule = Callable[..., Any]

REDUCTIONS: dict[Any, Rule] = {
    np.add: sum, np.multiply: prod, np.maximum: max, np.minimum: min, np.logical_and: all, np.logical_or: any,
    np.logaddexp: logsumexp,
}  # fmt: skip
"""Ufunc -> the reduction that combines entries with it."""

CUMULATIVE: dict[Any, Rule] = {np.add: cumulative_sum, np.multiply: cumulative_prod}
"""Ufunc -> the op that has its running results."""

ASSOCIATIVE = frozenset((
    np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp, np.logaddexp2, np.logical_and, np.logical_or, np.logical_xor,
    np.bitwise_and, np.bitwise_or, np.bitwise_xor,
))  # fmt: skip
"""Ufuncs whose running results need as many steps as the axis can be halved."""

ORDER = {np.maximum: 1, np.fmax: 1, np.minimum: -1, np.fmin: -1}
"""Ufunc -> the sign of the infinity that changes no result of it."""

LONGEST = 1000
"""Entries along an axis that a rule is applied to one after the other."""


# --- calls with options ---
def call(ufunc: Any, name: str, rule: Rule, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """Apply a ufunc with ``dtype``, ``casting``, ``where``, ``out``; ``order`` and ``subok`` have no meaning for arrays here."""
    given = {key: value for key, value in options.items() if not _is_default(key, value)}
    if given.keys() - {"where", "out", "dtype", "casting"} or len(inputs) != ufunc.nin:
        return NotImplemented
    out, mask = given.get("out"), given.get("where")
    if out is not None and not (ufunc.nout == 1 and fresh_output()):
        return NotImplemented
    if mask is not None and out is None:
        operands = ", ".join(("x", "y")[: ufunc.nin])
        raise NumPyFunctionError(
            f"{name}: where= without out= leaves in the result whatever lay in memory where the condition is false: write "
            f"numpy.where(condition, {name}({operands}), value)"
        )
    y = rule(*inputs) if not given.keys() & {"dtype", "casting"} else _as_dtype(ufunc, name, rule, inputs, given)
    if out is None:
        return y
    filled = asarray(out[0])
    if not np.can_cast(y.dtype, filled.dtype, given.get("casting", "same_kind")):
        raise DTypeError(f"{name}: a result of dtype {y.dtype} does not go into out= of dtype {filled.dtype}")
    y = y if mask is None else where(mask, y, filled)
    if y.shape != filled.shape:
        raise ShapeError(f"{name}: a result of shape {y.shape} does not go into out= of shape {filled.shape}")
    return y if y.dtype == filled.dtype else astype(y, filled.dtype)


def _is_default(key: str, value: Any) -> bool:
    """Return whether an option says what is so without it."""
    if key == "where":
        return value is True
    if key == "out":
        return value is None or (type(value) is tuple and set(map(id, value)) == {id(None)})
    return key in ("order", "subok") or value is None or (key == "casting" and value == "same_kind")


def _as_dtype(ufunc: Any, name: str, rule: Rule, inputs: Sequence[Any], given: dict[str, Any]) -> Any:
    """Return the result computed in a dtype, with NumPy's rules for which one may be asked for."""
    if ufunc.signature is not None or ufunc.nout != 1:
        return NotImplemented
    operands = [operand(name, x) for x in inputs]
    kinds = [type(x) if type(x) in WEAK else x.dtype for x in operands]
    wanted = given.get("dtype")
    try:
        *takes, gives = ufunc.resolve_dtypes(
            (*(np.dtype(bool) if kind is bool else kind for kind in kinds), None),
            casting=given.get("casting", "same_kind"),
            **({} if wanted is None else {"signature": (*(None for _ in operands), np.dtype(wanted))}),
        )
    except TypeError as error:
        raise DTypeError(f"{name}: {error}") from None
    if gives.kind not in "biufc":
        return NotImplemented
    y = rule(*(astype(asarray(x), kind) for x, kind in zip(operands, takes, strict=True)))
    return astype(y, gives)


# --- along an axis ---
def reduce(ufunc: Any, name: str, rule: Rule, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """Combine the entries along ``axis`` (the first by default, ``None``: all) with a ufunc."""
    given = _arguments(inputs, options, ("array", "axis", "dtype", "out", "keepdims", "initial", "where"))
    if not _combines(ufunc) or given.get("out") is not None:
        return NotImplemented
    x = _in_dtype(name, given, ufunc)
    axes, keepdims = normalise_axes(name, given.get("axis", 0), x.shape), bool(given.get("keepdims", False))
    if len(axes) > 1 and ufunc not in REDUCTIONS and ufunc not in ASSOCIATIVE:
        raise ArgumentError(f"{name}: the order counts, so give one axis, not {axes}")
    initial, mask = given.get("initial", np._NoValue), mask_of(name, given.get("where", True), x)
    if mask is not None and (initial is None or (initial is np._NoValue and ufunc.identity is None)):
        raise ArgumentError(f"{name}: {ufunc.__name__} has no identity, so where= needs initial=")
    first = ufunc.identity if initial is np._NoValue else initial
    start = None if first is None else _in_result_dtype(ufunc, name, x, first)
    if product(x.shape[axis] for axis in axes) == 0 and start is not None:
        y = broadcast_to(start, reduced(x.shape, axes, keepdims))
    elif ufunc in REDUCTIONS or ufunc in ASSOCIATIVE:
        x = x if mask is None else where(mask, x, _neutral(ufunc, name, x))
        y = _along(ufunc, name, rule, x, axes, keepdims)
        y = y if initial is np._NoValue or initial is None else rule(start, y)
    else:
        y = _along(ufunc, name, rule, x, axes, keepdims, start, mask)
    return y if given.get("dtype") is None else astype(y, given["dtype"])


def _in_result_dtype(ufunc: Any, name: str, x: Array, value: Any) -> Array:
    """Return a number in the dtype of the result that a ufunc has along an axis of ``x``."""
    try:
        dtype = ufunc.resolve_dtypes((None, x.dtype, None), reduction=True)[-1]
    except TypeError:  # the rule takes more dtypes than NumPy
        dtype = x.dtype
    return astype(array(name, value), to_float(x.dtype) if x.dtype.kind in "biu" and dtype.kind == "f" else dtype)


def _neutral(ufunc: Any, name: str, x: Array) -> Any:
    """Return what changes no result of a ufunc: it takes the place of entries that do not count."""
    if ufunc in ORDER:
        return lowest(name, x.dtype, ORDER[ufunc])
    return _in_result_dtype(ufunc, name, x, ufunc.identity)


def _along(
    ufunc: Any, name: str, rule: Rule, x: Array, axes: tuple[int, ...], keepdims: bool,
    start: Array | None = None, mask: Array | None = None,
) -> Any:  # fmt: skip
    """Combine entries along axes; where the order counts, from ``start`` on and past those that a mask leaves out."""
    reduction = REDUCTIONS.get(ufunc)
    if reduction is not None:
        return reduction(x, axis=axes, keepdims=keepdims)
    if ufunc in ASSOCIATIVE:
        y = _running(rule, _in_front(x, axes))[-1]
    else:
        rows = _rows(name, _in_front(x, axes))
        counted = (None,) * len(rows) if mask is None else unstack(_in_front(mask, axes))
        y = start
        for row, counts in zip(rows, counted, strict=True):
            combined = row if y is None else rule(y, row)
            y = combined if counts is None else where(counts, combined, y)
    return reshape(y, reduced(x.shape, axes, keepdims))


def _in_front(x: Array, axes: tuple[int, ...]) -> Array:
    """Return ``x`` with the axes that are gone along as one, the first."""
    rest = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    y: Array = reshape(moveaxis(x, axes, tuple(range(len(axes)))), (-1, *rest))
    return y


def accumulate(ufunc: Any, name: str, rule: Rule, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """Return the running results of a ufunc along ``axis`` (the first by default)."""
    given = _arguments(inputs, options, ("array", "axis", "dtype", "out"))
    if not _combines(ufunc) or given.get("out") is not None:
        return NotImplemented
    x = _in_dtype(name, given, ufunc)
    axis = normalise_axis(name, given.get("axis", 0), x.ndim, x.shape)
    if ufunc in CUMULATIVE:
        y = CUMULATIVE[ufunc](x, axis=axis)
    elif x.shape[axis] < 2:
        y = x
    else:
        rows = moveaxis(x, axis, 0)
        y = _running(rule, rows) if ufunc in ASSOCIATIVE else stack(_one_by_one(rule, _rows(name, rows)))
        y = moveaxis(y, 0, axis)
    return y if given.get("dtype") is None else astype(y, given["dtype"])


def _running(rule: Rule, rows: Any) -> Any:
    """Return the running results of an associative rule along the first axis, by doubling the distance at every step.

    **Source:** Hillis & Steele (1986), Data parallel algorithms.
    """
    distance, size = 1, rows.shape[0]
    while distance < size:
        rows = concat([rows[:distance], rule(rows[:-distance], rows[distance:])])
        distance *= 2
    return rows


def _one_by_one(rule: Rule, rows: Sequence[Any]) -> list[Any]:
    results = [rows[0]]
    for row in rows[1:]:
        results.append(rule(results[-1], row))
    return results


def reduceat(ufunc: Any, name: str, rule: Rule, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """Combine the entries from each of ``indices`` to the next with a ufunc; where the next is not behind it, take one entry."""
    given = _arguments(inputs, options, ("array", "indices", "axis", "dtype", "out"))
    if not _combines(ufunc) or given.get("out") is not None:
        return NotImplemented
    x = _in_dtype(name, given, ufunc)
    axis = normalise_axis(name, given.get("axis", 0), x.ndim, x.shape)
    rows, starts = moveaxis(x, axis, 0), list(map(index, given["indices"]))
    for start in starts:
        if not 0 <= start < x.shape[axis]:
            raise ArgumentError(f"{name}: index {start} is out of range for axis {axis} of shape {x.shape}")
    parts = [
        _along(ufunc, name, rule, rows[start:stop], (0,), False) if start < stop else rows[start]
        for start, stop in zip(starts, [*starts[1:], x.shape[axis]], strict=True)
    ]
    y = moveaxis(stack(parts), 0, axis) if parts else rows[:0]
    return y if given.get("dtype") is None else astype(y, given["dtype"])


# --- of two arrays ---
def outer(ufunc: Any, name: str, rule: Rule, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """Apply a ufunc to every pair of entries of two arrays."""
    if len(inputs) != 2 or ufunc.nin != 2 or ufunc.signature is not None:
        return NotImplemented
    first, second = (array(name, x) for x in inputs)
    pair = reshape(first, (*first.shape, *(1 for _ in second.shape))), second
    return call(ufunc, name, rule, pair, options) if options else rule(*pair)


# --- what they have in common ---
def _arguments(inputs: Sequence[Any], options: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return dict(zip(names, inputs, strict=False)) | {
        key: value[0] if type(value) is tuple and key == "out" else value for key, value in options.items()
    }


def _combines(ufunc: Any) -> bool:
    """Return whether NumPy gives a ufunc methods along an axis."""
    return bool(ufunc.nin == 2 and ufunc.nout == 1 and ufunc.signature is None)


def _in_dtype(name: str, given: dict[str, Any], ufunc: Any) -> Array:
    """Return the array that is combined, in the dtype in which NumPy combines it."""
    x = array(name, given["array"])
    if not x.shape:
        raise ShapeError(f"{name}: an array of shape () has no axis to go along")
    wanted = given.get("dtype")
    if wanted is None and ufunc in (np.add, np.multiply):
        wanted = accumulated(x.dtype)
    if ufunc in (np.logical_and, np.logical_or, np.logical_xor):
        wanted = BOOL
    return x if wanted is None or x.dtype == wanted else astype(x, wanted)


def _rows(name: str, rows: Any) -> tuple[Any, ...]:
    if rows.shape[0] > LONGEST:
        raise NumPyFunctionError(
            f"{name}: {rows.shape[0]:,} entries would be combined one after the other, at most {LONGEST:,} are: write the loop "
            f"with bprop.scan"
        )
    if not rows.shape[0]:
        raise ShapeError(f"{name}: an empty axis has nothing to combine")
    return unstack(rows)


UFUNC_METHODS.update(
    {"__call__": call, "reduce": reduce, "accumulate": accumulate, "reduceat": reduceat, "outer": outer}
)

__all__: list[str] = []
