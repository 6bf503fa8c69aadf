"""Cumulative sum and product, the linear recurrence that their derivatives are made of, the product, and differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..core import dtype as dtypes
from ..core.error import ArgumentError, ShapeError
from ..core.family import Cumulative
from ..core.function import function
from ..core.number import numpy_flag
from ..core.op import array
from ..core.shape import broadcast, normalise_axis, size_of
from ..core.value import Array
from .arithmetic import add, multiply, subtract
from .arrangement import flip
from .comparison import not_equal
from .concatenation import concat
from .creation import arange
from .indexing import embed_along, slice_along
from .manipulation import broadcast_to, permute_dims, reshape
from .reduction import fold, reduce
from .selection import astype, where

__all__ = ["cumulative_prod", "cumulative_sum", "diff", "linear_recurrence", "prod"]


# --- moving along an axis ---
def _preceded(x: Any, axis: int, first: float) -> Any:
    """Return ``x`` with the number ``first`` in front of it along ``axis``."""
    size = x.shape[axis] + 1
    y = embed_along(x, axis, 1, size)
    if first == 0:
        return y
    front = reshape(arange(size) == 0, (size,) + (1,) * (len(x.shape) - 1 - axis))
    return where(front, first, y)


def _before(y: Any, axis: int, first: float) -> Any:
    """Return y_{k-1}, with ``first`` for y_{-1}."""
    size = y.shape[axis]
    return _preceded(slice_along(y, axis, 0, size - 1), axis, first) if size else y


def _recurrence_from_the_end(a: Any, b: Any, axis: int) -> Any:
    """Return s_k = a_{k+1} · s_{k+1} + b_k."""
    return flip(_linear_recurrence(_before(flip(a, axis), axis, 0), flip(b, axis), axis=axis), axis)


# --- the ops ---
def _widely(ufunc: Any) -> Callable[..., Any]:
    """Accumulate float32 in float64, as native code does: the error of a sum of n in order grows as n."""

    def evaluate(x: Any, axis: int) -> Any:
        wide = {"f4": np.float64, "c8": np.complex128}.get(x.dtype.str[1:])
        if wide is not None:
            return ufunc.accumulate(x, axis=axis, dtype=wide).astype(x.dtype)
        return ufunc.accumulate(x, axis=axis, dtype=dtypes.accumulated(x.dtype))

    return evaluate


def _recurrence_value(a: Any, b: Any, axis: int) -> Any:
    dtype = np.result_type(a, b)
    a, b = (np.moveaxis(x.astype(np.float64) if dtype == np.float32 else x, axis, 0) for x in (a, b))
    y = np.empty(b.shape, np.result_type(a, b))
    y[:1] = b[:1]
    for k in range(1, len(y)):
        y[k] = a[k] * y[k - 1] + b[k]
    return np.moveaxis(y, 0, axis).astype(dtype, copy=False)


def _sum_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, axis: int) -> tuple[Any]:
    return (flip(_cumulative_sum(flip(y_bar, axis), axis=axis), axis),)


def _prod_jvp(y: Any, xs: Any, x_dots: Any, axis: int) -> Any:
    return _linear_recurrence(xs[0], _before(y, axis, 1) * x_dots[0], axis=axis)


def _prod_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, axis: int) -> tuple[Any]:
    return (_recurrence_from_the_end(xs[0], y_bar, axis) * _before(y, axis, 1),)


def _recurrence_jvp(y: Any, xs: Any, x_dots: Any, axis: int) -> Any:
    (a, _), (a_dot, b_dot) = xs, x_dots
    from_a = None if a_dot is None else a_dot * _before(y, axis, 0)
    source = b_dot if from_a is None else from_a if b_dot is None else from_a + b_dot
    return _linear_recurrence(a, source, axis=axis)


def _recurrence_vjp(y_bar: Any, y: Any, xs: Any, needs: Any, axis: int) -> tuple[Any, Any]:
    b_bar = _recurrence_from_the_end(xs[0], y_bar, axis)
    return b_bar * _before(y, axis, 0) if needs[0] else None, b_bar


_cumulative_sum: Cumulative = Cumulative(
    "cumulative_sum",
    _widely(np.add),
    combine=add,
    jvp=lambda y, xs, x_dots, axis: _cumulative_sum(x_dots[0], axis=axis),
    vjp=_sum_vjp,
    takes_complex=True,
)

_cumulative_prod: Cumulative = Cumulative(
    "cumulative_prod",
    _widely(np.multiply),
    combine=multiply,
    jvp=_prod_jvp,
    vjp=_prod_vjp,
    takes_complex=True,
)

_linear_recurrence: Cumulative = Cumulative(
    "linear_recurrence",
    _recurrence_value,
    combine=lambda y, a, b: a * y + b,
    jvp=_recurrence_jvp,
    vjp=_recurrence_vjp,
    arity=2,
    kind="same",
    takes_complex=True,
)


def _cumulate(op: Cumulative, first: float, x: Any, axis: Any, dtype: Any, include_initial: bool) -> Array:
    x = array(op.name, x)
    if axis is None:
        if x.ndim != 1:
            raise ShapeError(f"{op.name}: shape {x.shape} has {x.ndim} axes: say along which axis")
        axis = 0
    axis = normalise_axis(op.name, axis, x.ndim, x.shape)
    wanted = dtypes.accumulated(x.dtype) if dtype is None else dtypes.check(dtype, op.name)
    y = op(x if x.dtype == wanted else astype(x, dtype=wanted), axis=axis)
    y = y if y.dtype == wanted else astype(y, dtype=wanted)
    return _preceded(y, axis, first) if numpy_flag(op.name, "include_initial", include_initial) else y


@function(np.cumulative_sum)
def cumulative_sum(
    x: Any, /, axis: int | None = None, *, dtype: DTypeLike | None = None, include_initial: bool = False
) -> Array:
    """y_k = x_0 + … + x_k along ``axis``; x_bar is the cumulative sum of y_bar from the end.

    ``axis`` may be left out for 1-D ``x``. Small integers and bool sum in int64 (uint64), or all in ``dtype``;
    ``include_initial`` puts the sum of nothing, 0, in front. float32 is added up in float64.

    **Source:** Python Array API standard 2024.12, ``cumulative_sum``.

    >>> import bprop
    >>> bprop.cumulative_sum(bprop.asarray([1, 2, 3]), include_initial=True)
    Array([0, 1, 3, 6])
    """
    return _cumulate(_cumulative_sum, 0, x, axis, dtype, include_initial)


@function(np.cumulative_prod)
def cumulative_prod(
    x: Any, /, axis: int | None = None, *, dtype: DTypeLike | None = None, include_initial: bool = False
) -> Array:
    """y_k = x_0 · … · x_k along ``axis``; x_bar_k = y_{k-1} (y_bar_k + x_{k+1} (y_bar_{k+1} + …)), right at zeros too.

    ``axis`` may be left out for 1-D ``x``. Small integers and bool multiply in int64 (uint64), or all in ``dtype``;
    ``include_initial`` puts the product of nothing, 1, in front.

    **Source:** Python Array API standard 2024.12, ``cumulative_prod``.

    >>> import bprop
    >>> bprop.cumulative_prod(bprop.asarray([1.0, 2.0, 3.0]))
    Array([1., 2., 6.])
    """
    return _cumulate(_cumulative_prod, 1, x, axis, dtype, include_initial)


@function()
def linear_recurrence(a: Any, b: Any, /, *, axis: int = -1) -> Array:
    """y_k = a_k · y_{k-1} + b_k along ``axis``, with y_0 = b_0 (a_0 is not read).

    A leaky sum, an exponential moving average, the adjoint of a product: b_bar_k = y_bar_k + a_{k+1} · b_bar_{k+1} is
    the same recurrence from the end, and a_bar_k = b_bar_k · y_{k-1}. ``a`` and ``b`` broadcast and promote.

    **Source:** Blelloch (1990), Prefix sums and their applications, §1.4.

    >>> import bprop
    >>> bprop.linear_recurrence(0.5, bprop.asarray([8.0, 0.0, 0.0, 1.0]))
    Array([8., 4., 2., 2.])
    """
    a, b = array("linear_recurrence", a), array("linear_recurrence", b)
    shape = broadcast("linear_recurrence", a.shape, b.shape)
    axis = normalise_axis("linear_recurrence", axis, len(shape), shape)
    return _linear_recurrence(broadcast_to(a, shape), broadcast_to(b, shape), axis=axis)


# --- the product ---
def _prod_partial(y: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """The product of the others: all before an entry times all after it. y/x would have no value at zeros."""
    order = (*(position for position in range(len(x.shape)) if position not in axis), *axis)
    moved = permute_dims(x, order)
    outer_rank = len(order) - len(axis)
    flat = reshape(moved, (*moved.shape[:outer_rank], size_of(moved.shape[outer_rank:])))
    before = _before(_cumulative_prod(flat, axis=outer_rank), outer_rank, 1)
    after = _before(_cumulative_prod(flip(flat, outer_rank), axis=outer_rank), outer_rank, 1)
    others = reshape(before * flip(after, outer_rank), moved.shape)
    return permute_dims(others, tuple(np.argsort(order).tolist()))


_prod = fold("prod", np.prod, 1, multiply, partial=_prod_partial, kind="sum", takes_complex=True, latex=r"\prod {0}")


@function()
def prod(x: Any, /, axis: Any = None, keepdims: bool = False, *, dtype: DTypeLike | None = None) -> Array:
    """y = Π x over ``axis`` (an integer, a tuple, or all axes); ∂y/∂x is the product of the others, right at zeros too.

    Small integers and bool multiply in int64 (uint64), or all in ``dtype``. The product of nothing is 1.

    **Source:** Python Array API standard 2024.12, ``prod``; Griewank & Walther (2008), §3.3 (Speelpenning's product).

    >>> import bprop
    >>> bprop.grad(bprop.prod)(bprop.asarray([2.0, 0.0, 5.0]))
    Array([ 0., 10.,  0.])
    """
    return reduce(_prod, x, axis, keepdims, dtype)


# --- differences ---
@function(np.diff)
def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Array:
    """y_k = x_{k+1} - x_k along ``axis``, ``n`` times over; of bool: whether they differ.

    ``prepend``, ``append``: what to put in front and behind first, arrays like ``x`` of any size along ``axis`` (or
    numbers, once). Raises `ArgumentError` for a negative ``n``.

    **Source:** Python Array API standard 2024.12, ``diff``.

    >>> import bprop
    >>> bprop.diff(bprop.asarray([1, 4, 9, 16]), n=2)
    Array([2, 2])
    """
    x = array("diff", x)
    axis = normalise_axis("diff", axis, x.ndim, x.shape)
    if not isinstance(n, int | np.integer) or n < 0:
        raise ArgumentError(f"diff: n is how many times to take differences, not {n!r}")
    if n == 0:
        return x
    x = concat([_beside(operand, x, axis) for operand in (prepend, x, append) if operand is not None], axis=axis)
    between = not_equal if x.dtype == np.bool_ else subtract
    for _ in range(n):
        size = max(x.shape[axis] - 1, 0)
        x = between(slice_along(x, axis, x.shape[axis] - size, size), slice_along(x, axis, 0, size))
    return x


def _beside(operand: Any, x: Array, axis: int) -> Array:
    operand = array("diff", operand)
    if operand.ndim == 0:
        return broadcast_to(operand, tuple(1 if position == axis else size for position, size in enumerate(x.shape)))
    if operand.ndim != x.ndim or any(
        a != b for k, (a, b) in enumerate(zip(operand.shape, x.shape, strict=True)) if k != axis
    ):
        raise ShapeError(f"diff: shape {operand.shape} cannot stand beside {x.shape} along axis {axis}")
    return operand
