"""Python scalars are weak in regions, as they are in ops: what they are computed with says the dtype.

A carry that starts as one gets the dtype that the body gives it. The body is tried with the scalar itself, whose
promotion is that of ops, and then traced with an array of the dtype found, until it gives what it takes.
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


def is_weak(leaf: Any) -> bool:
    """Return whether ``leaf`` is a Python scalar."""
    return type(leaf) in WEAK or type(leaf) is TracedFloat


def as_weak(what: str, leaf: Any, dtype: "np.dtype[Any]") -> Array:
    """Return a Python scalar, or an array, as an array of ``dtype``."""
    if not is_weak(leaf):
        return asarray(leaf, dtype=dtype)
    try:
        return Array(np.asarray(leaf, dtype=dtype))
    except OverflowError:
        raise DTypeError(
            f"{what}: {leaf} is no {dtype}, the dtype of what it is computed with: give an array of the dtype that is meant"
        ) from None


def settled(
    what: str,
    leaves: Sequence[Any],
    body: Callable[..., Sequence[Any]],
    trace: Callable[[list[Spec]], Closure],
    rest: Sequence[Spec] = (),
) -> tuple[list[Array], Closure]:
    """Return the carry as arrays and the closure of its body: ``trace(specs)`` of a carry of these specs.

    ``body`` is the same function, not traced: of the carry, then of what has the specs ``rest``; its first results are
    the new carry.
    """
    leaves = [plain(leaf) for leaf in leaves]
    weak = [is_weak(leaf) for leaf in leaves]
    dtypes = _tried(what, leaves, body, rest) if any(weak) else [asarray(leaf).dtype for leaf in leaves]
    while True:
        carry = [
            as_weak(what, leaf, dtype) if w else asarray(leaf)
            for leaf, dtype, w in zip(leaves, dtypes, weak, strict=True)
        ]
        closure = trace([c.spec for c in carry])
        wider = [
            result_type(c.dtype, spec.dtype) if w else c.dtype
            for c, spec, w in zip(carry, closure.graph.specs, weak, strict=False)
        ]
        if wider == [c.dtype for c in carry]:
            return carry, closure
        dtypes = wider


def _tried(what: str, leaves: Sequence[Any], body: Callable[..., Sequence[Any]], rest: Sequence[Spec]) -> list[Any]:
    """Return the dtypes of a carry after one turn that begins with Python scalars (a bool is promoted like an array)."""
    for scalars in (True, False):  # with arrays where the body asks for what only they have
        tracer = Trace(name=what)
        given = [
            type(leaf)(1) if scalars and type(leaf) in (int, float) else tracer.input(asarray(leaf).spec)
            for leaf in leaves
        ]
        inputs = [tracer.input(spec) for spec in rest]
        try:
            with using(tracer), np.errstate(all="ignore"):
                results = body(*given, *inputs)
        except Exception:  # what is really wrong is said when the body is traced with an array
            continue
        return [
            result_type(leaf, y if is_weak(y) else asarray(y).dtype) if is_weak(leaf) else asarray(leaf).dtype
            for leaf, y in zip(leaves, results, strict=False)
        ]
    return [asarray(leaf).dtype for leaf in leaves]


__all__ = ["as_weak", "is_weak", "settled"]
