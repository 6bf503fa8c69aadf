"""Lists of cotangents (or tangents) in which some are missing.

Only arrays of floats have a derivative, and not every one of them gets a cotangent. A missing one is ``None``. Before a
body is traced `compress` drops what is missing; `expand` puts it back behind it. Where a body needs an array all the
same, `filled` gives it an absent one: zeros of which `Absent` knows that they are none.
"""

from collections.abc import Iterable, Sequence
from itertools import compress, islice
from typing import Any

from ..core.dtype import is_inexact
from ..core.value import Array
from ..ops import zeros
from ..ops.absent import absent


def is_differentiable(x: Any) -> bool:
    """Return whether ``x``, an array or a `Spec`, has a derivative: floating-point and complex numbers do."""
    return is_inexact(x.dtype)


def loop_differentiable(args: Sequence[Any], needs: Sequence[bool], carries: int) -> list[bool]:
    """Return which arguments of a loop get a cotangent, of which the first ``carries`` are the carry.

    Every carry of floats does, even if nobody ``needs`` that of the first one: the others are sent back through it.
    """
    return [
        is_differentiable(x) and (need or position < carries)
        for position, (x, need) in enumerate(zip(args, needs, strict=True))
    ]


def expand(values: Iterable[Any], flags: Iterable[bool]) -> list[Any]:
    """Return the next of ``values`` where a flag is true and ``None`` where it is not: the inverse of `compress`.

    Of an iterator no more is read than there are true flags, so that what follows can be read from it afterwards.
    """
    values = iter(values)
    return [next(values) if flag else None for flag in flags]


def take_first(values: Iterable[Any], count: int) -> list[Any]:
    """Return the next ``count`` values of an iterator."""
    return list(islice(values, count))


def filled(bars: Sequence[Any], like: Sequence[Any], needed: Sequence[bool] | None = None) -> list[Any]:
    """Return the cotangents with an absent one in place of ``None``.

    ``like`` are the arrays or `Spec`s that they belong to. ``needed`` says where one is needed (``None``: everywhere).
    """
    flags = [True for _ in bars] if needed is None else needed
    return [absent(x) if bar is None and flag else bar for bar, x, flag in zip(bars, like, flags, strict=True)]


def zeros_of(x: Any) -> Array:
    """Return zeros like ``x``, an array or a `Spec`."""
    return zeros(x.shape, dtype=x.dtype)


__all__ = ["compress", "expand", "filled", "is_differentiable", "loop_differentiable", "take_first", "zeros_of"]
