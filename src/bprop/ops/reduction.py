"""Reductions: sum, max, min, any, all and what is made of them. Each declares how two states combine and
one partial, y broadcast back.
"""

from collections.abc import Callable
from math import inf, nan, prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import dtype as dtypes
from ..core.error import ArgumentError
from ..core.family import Reduction
from ..core.function import function
from ..core.number import numpy_flag
from ..core.op import array
from ..core.shape import normalise_axes
from ..core.value import Array
from .arithmetic import add
from .comparison import logical_and, logical_not, logical_or
from .complex import imag, real
from .power import kinked_root, square
from .selection import astype, maximum, minimum

__all__ = ["all", "any", "count_nonzero", "max", "mean", "min", "std", "sum", "var"]


def reduce(op: Reduction, x: Any, axis: Any, keepdims: bool, dtype: Any = None) -> Array:
    """Apply a reduction as its public function does; ``dtype``: in which, and of the result."""
    x = array(op.name, x)
    axes, keepdims = normalise_axes(op.name, axis, x.shape), numpy_flag(op.name, "keepdims", keepdims)
    if dtype is None:
        return op(x, axis=axes, keepdims=keepdims)
    wanted = dtypes.check(dtype, op.name)
    y = op(x if x.dtype == wanted else astype(x, dtype=wanted), axis=axes, keepdims=keepdims)
    return y if y.dtype == wanted else astype(y, dtype=wanted)


def fold(name: str, evaluate: Any, start: float, combine: Any, **rest: Any) -> Reduction:
    """Declare the reduction that combines entries two by two: the state is what it returns."""
    return Reduction(
        name,
        evaluate,
        init=(start,),
        combine=lambda s, x: (combine(s, x),),
        finish=lambda s: s,
        merge=lambda s, t: (combine(s, t),),
        neutral=True,
        **rest,
    )


def _folding(ufunc: Any, few: int, kinds: str) -> Any:
    """Return what NumPy's reductions do with ``ufunc``; over fewer than ``few`` entries side by side, column by column.

    NumPy takes as long to begin with a row as to combine some twenty entries. ``kinds`` are the dtypes for which that gives the
    same bits; where the order could decide on the sign of a zero, it is NumPy's.
    """

    def evaluate(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        if axis == (x.ndim - 1,) and x.dtype.char in kinds:
            count = x.shape[-1]
            if 1 < count < few and x.size > 32 * count * count and x.flags.c_contiguous:
                y = ufunc(x[..., 0], x[..., 1])
                for position in range(2, count):
                    ufunc(y, x[..., position], out=y)
                if y.dtype.kind != "f" or y.all():
                    return y[..., None] if keepdims else y
        return ufunc.reduce(x, axis=axis, keepdims=keepdims)

    return evaluate


_add_up = _folding(np.add, 8, "fd")  # from eight on NumPy adds in another order
_count_up = _folding(np.add, 64, "B")


def _sum_value(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    if not axis and x.dtype.kind in "fc":
        return np.asarray(x)  # NumPy adds 0, which makes 0 of -0
    if x.dtype.kind == "b" and x.ndim and x.shape[-1] < 64:
        return _count_up(x.view(np.uint8), axis, keepdims).astype(np.int64)
    return _add_up(x, axis, keepdims)


_sum = fold("sum", _sum_value, 0, add, partial=1, kind="sum", takes_complex=True, latex=r"\sum {0}")


@function()
def sum(x: Any, /, axis: Any = None, keepdims: bool = False, *, dtype: DTypeLike | None = None) -> Array:
    """y = Σ x over ``axis`` (an integer, a tuple, or all axes); ∂y/∂x = 1.

    Small integers and bool sum in int64 (uint64), or all in ``dtype``. The sum of nothing is 0. Raises `ShapeError` for
    an axis out of range.

    **Source:** Python Array API standard 2024.12, ``sum``.

    >>> import bprop
    >>> bprop.sum(bprop.ones((2, 3)), axis=0)
    Array([2., 2., 2.])
    """
    return reduce(_sum, x, axis, keepdims, dtype)


def _extreme_entries(y: Any, x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    """Return where the extreme one, y, is, and the share of each entry there: ties have it evenly, a NaN is every entry's."""
    chosen, there = x == y, y == y
    count = astype(_sum(chosen, axis=axis, keepdims=True), dtype=x.dtype)
    return chosen | logical_not(there), astype(there, dtype=x.dtype) / count


def _extreme_step(extreme: Any) -> Callable[..., Any]:
    def step(z: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        chosen = z.real == extreme(z.real, axis=axis, keepdims=True)
        count = np.sum(chosen, axis=axis, keepdims=keepdims)
        return np.sum(np.where(chosen, z, 0), axis=axis, keepdims=keepdims) / count

    return step


_max = fold(
    "max",
    _folding(np.maximum, 16, "fd"),
    -inf,
    maximum,
    chosen=_extreme_entries,
    empty=False,
    complex_step=_extreme_step(np.max),
    latex=r"\max {0}",
)


@function()
def max(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = the largest entry along ``axis``; its cotangent goes to the largest entry, in equal shares at ties.

    NaN propagates. Raises `ShapeError` over an empty axis.

    **Source:** Python Array API standard 2024.12, ``max``; JAX's convention at ties.

    >>> import bprop
    >>> bprop.grad(bprop.max)(bprop.asarray([1.0, 3.0, 3.0]))
    Array([0. , 0.5, 0.5])
    """
    return reduce(_max, x, axis, keepdims)


_min = fold(
    "min",
    _folding(np.minimum, 16, "fd"),
    inf,
    minimum,
    chosen=_extreme_entries,
    empty=False,
    complex_step=_extreme_step(np.min),
    latex=r"\min {0}",
)


@function()
def min(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = the smallest entry along ``axis``; its cotangent goes to the smallest entry, in equal shares at ties.

    NaN propagates. Raises `ShapeError` over an empty axis.

    **Source:** Python Array API standard 2024.12, ``min``; JAX's convention at ties.

    >>> import bprop
    >>> bprop.grad(bprop.min)(bprop.asarray([1.0, 3.0, 3.0]))
    Array([1., 0., 0.])
    """
    return reduce(_min, x, axis, keepdims)


# --- truth ---
def _truth_step(reduction: Any) -> Any:
    return lambda z, axis, keepdims: reduction(z.real, axis=axis, keepdims=keepdims)


_any = fold(
    "any",
    _folding(np.logical_or, 16, "?"),
    False,
    logical_or,
    kind="bool",
    takes_complex=True,
    complex_step=_truth_step(np.any),
    latex=r"\bigvee {0}",
)

_all = fold(
    "all",
    _folding(np.logical_and, 16, "?"),
    True,
    logical_and,
    kind="bool",
    takes_complex=True,
    complex_step=_truth_step(np.all),
    latex=r"\bigwedge {0}",
)


@function()
def any(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = whether an entry along ``axis`` is true (not 0; NaN is not 0); of nothing: False. No derivative.

    **Source:** Python Array API standard 2024.12, ``any``.

    >>> import bprop
    >>> bprop.any(bprop.asarray([[0, 2], [0, 0]]), axis=1)
    Array([ True, False])
    """
    return reduce(_any, x, axis, keepdims)


@function()
def all(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = whether every entry along ``axis`` is true (not 0; NaN is not 0); of nothing: True. No derivative.

    **Source:** Python Array API standard 2024.12, ``all``.

    >>> import bprop
    >>> bprop.all(bprop.asarray([[1, 2], [0, 2]]), axis=1)
    Array([ True, False])
    """
    return reduce(_all, x, axis, keepdims)


@function(np.count_nonzero)
def count_nonzero(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = how many entries along ``axis`` are not 0 (int64; NaN is not 0). No derivative.

    **Source:** Python Array API standard 2024.12, ``count_nonzero``.

    >>> import bprop
    >>> bprop.count_nonzero(bprop.asarray([1.0, 0.0, 2.0]))
    Array(2)
    """
    x = array("count_nonzero", x)
    axes = normalise_axes("count_nonzero", axis, x.shape)
    return _sum(x != 0, axis=axes, keepdims=numpy_flag("count_nonzero", "keepdims", keepdims))


@function()
def mean(x: Any, /, axis: Any = None, keepdims: bool = False) -> Array:
    """y = Σ x / n over ``axis``; ∂y/∂x = 1/n. Integers give float64; the mean of nothing is NaN.

    **Source:** Python Array API standard 2024.12, ``mean``.

    >>> import bprop
    >>> bprop.mean(bprop.asarray([1.0, 2.0, 6.0]))
    Array(3.)
    """
    x = array("mean", x)
    axes = normalise_axes("mean", axis, x.shape)
    count = _count(x, axes)
    total = _sum(x, axis=axes, keepdims=numpy_flag("mean", "keepdims", keepdims))
    return total / count if count else total * nan


def _count(x: Array, axes: tuple[int, ...]) -> int:
    return prod(x.shape[axis] for axis in axes)


def _variance(name: str, x: Any, axis: Any, correction: float, keepdims: bool) -> Array:
    x = array(name, x)
    axes = normalise_axes(name, axis, x.shape)
    count = _count(x, axes)
    if not isinstance(correction, int | float | np.number):
        raise ArgumentError(f"{name}: the correction is a number, not {type(correction).__name__}")
    if x.dtype.kind == "c":  # the distance in the plane
        parts = (_variance(name, part, axis, correction, keepdims) for part in (real(x), imag(x)))
        return add(*parts)
    total = _sum(square(x - mean(x, axes, True)), axis=axes, keepdims=numpy_flag(name, "keepdims", keepdims))
    degrees_of_freedom = count - float(correction)
    return total / (degrees_of_freedom if degrees_of_freedom > 0 else 0.0)


@function()
def var(x: Any, /, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    """y = Σ (x - mean x)² / (n - correction) over ``axis``; ∂y/∂x = 2 (x - mean x) / (n - correction).

    The mean is subtracted first, so that a large common offset costs no digits. Integers give float64. Where there are
    no more than ``correction`` entries the sum is divided by 0, as in NumPy: NaN for a single entry.

    **Source:** Python Array API standard 2024.12, ``var``; Chan, Golub & LeVeque (1983), the two-pass algorithm.

    >>> import bprop
    >>> bprop.var(bprop.asarray([1.0, 2.0, 6.0]), correction=1)
    Array(7.)
    """
    return _variance("var", x, axis, correction, keepdims)


@function()
def std(x: Any, /, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    """y = √ var(x) over ``axis``; ∂y/∂x = (x - mean x) / ((n - correction) y), and 0 at the kink y = 0.

    There it has no second derivative: that of std(x) ** 2 is NaN where nothing varies, that of `var` is right. Of a single
    entry y is 0 everywhere, with all its derivatives.

    Shapes, dtypes and NaN as in `var`.

    **Source:** Python Array API standard 2024.12, ``std``.

    >>> import bprop
    >>> bprop.grad(bprop.std)(bprop.asarray([2.0, 2.0]))
    Array([0., 0.])
    """
    x = array("std", x)
    variance = _variance("std", x, axis, correction, keepdims)
    if _count(x, normalise_axes("std", axis, x.shape)) == 1:
        return variance  # both are 0 whatever x is, and nothing has a kink
    y: Array = kinked_root(variance, p=2)
    return y
