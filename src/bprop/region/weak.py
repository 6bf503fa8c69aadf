"""Python scalars are weak in regions, as they are in ops: what they are computed with says the dtype.

A carry that starts as a Python scalar gets the dtype that the body gives it. To find it the body is tried once with the
scalar itself, which ops promote. Then it is traced with an array of that dtype, and again, until the dtype that comes
out is the one that went in.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.dtype import WEAK, result_type
from ..core.error import DTypeError
from ..core.interpreter import using
from ..core.trace import Trace
from ..core.traced_float import TracedFloat, plain
from ..core.value import Array, Spec, asarray
from .closure import Closure
from .fixpoint import fixpoint

DType = np.dtype[Any]


def is_weak(leaf: Any) -> bool:
    """Return whether ``leaf`` is a Python scalar."""
    return type(leaf) in WEAK or type(leaf) is TracedFloat


def as_dtype(op: str, leaf: Any, dtype: DType) -> Array:
    """Return a Python scalar, or an array, as an array of ``dtype``; `DTypeError` if the scalar has no value there."""
    if not is_weak(leaf):
        return asarray(leaf, dtype=dtype)
    try:
        return Array(np.asarray(leaf, dtype=dtype))
    except OverflowError:
        raise DTypeError(
            f"{op}: {leaf} is no {dtype}, the dtype of what it is computed with: give an array of the dtype that is meant"
        ) from None


def promoted_carry(
    op: str,
    leaves: Sequence[Any],
    body: Callable[..., Sequence[Any]],
    trace: Callable[[list[Spec]], Closure],
    rest: Sequence[Spec] = (),
) -> tuple[list[Array], Closure]:
    """Return the initial carry as arrays, and the body traced with a carry of these shapes and dtypes.

    ``leaves``: the initial carry, arrays and Python scalars. ``trace(specs)``: the closure of the body for a carry of
    these specs. ``body``: the same function, not traced, of the carry and of inputs with the specs ``rest``; its first
    results are the new carry.
    """
    leaves = [plain(leaf) for leaf in leaves]
    weak = [is_weak(leaf) for leaf in leaves]

    def step(dtypes: list[DType]) -> tuple[list[DType], tuple[list[Array], Closure]]:
        carry = [
            as_dtype(op, leaf, dtype) if flag else asarray(leaf)
            for leaf, dtype, flag in zip(leaves, dtypes, weak, strict=True)
        ]
        closure = trace([c.spec for c in carry])
        after = [
            result_type(c.dtype, spec.dtype) if flag else c.dtype
            for c, spec, flag in zip(carry, closure.graph.specs, weak, strict=False)
        ]
        return after, (carry, closure)

    start = _tried(op, leaves, body, rest) if any(weak) else [asarray(leaf).dtype for leaf in leaves]
    _, (carry, closure) = fixpoint(step, start)
    return carry, closure


def _tried(op: str, leaves: Sequence[Any], body: Callable[..., Sequence[Any]], rest: Sequence[Spec]) -> list[DType]:
    """Return the dtypes of a carry after one iteration that begins with Python scalars.

    A bool is promoted like an array. A body that asks for what only arrays have is tried with arrays.
    """
    for scalars in (True, False):
        tracer = Trace(name=op)
        carry = [
            type(leaf)(1) if scalars and type(leaf) in (int, float, complex) else tracer.input(asarray(leaf).spec)
            for leaf in leaves
        ]
        inputs = [tracer.input(spec) for spec in rest]
        try:
            with using(tracer), np.errstate(all="ignore"):
                results = body(*carry, *inputs)
        except Exception:  # what is really wrong is said when the body is traced with an array
            continue
        return [
            result_type(leaf, y if is_weak(y) else asarray(y).dtype) if is_weak(leaf) else asarray(leaf).dtype
            for leaf, y in zip(leaves, results, strict=False)
        ]
    return [asarray(leaf).dtype for leaf in leaves]


__all__ = ["as_dtype", "is_weak", "promoted_carry"]
