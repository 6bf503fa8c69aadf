"""The backward rule of every family: from the cotangent of a result to those of its operands, written with ops.

**Source:** Griewank & Walther (2008), Evaluating Derivatives, ch. 3; Leibe (2016), reverse-mode differentiation.
"""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from ..core.error import DerivativeError
from ..core.family import Bilinear, Cumulative, Elementwise, General, Join, Linear, Reduction, Selection
from ..core.op import Op
from ..core.value import Spec, asarray
from ..ops import broadcast_to, multiply, negative, reshape, where
from ..ops.indexing import slice_along
from ..ops.manipulation import unbroadcast


@singledispatch
def vjp(op: Op, y_bar: Any, y: Any, xs: Sequence[Any], params: dict[str, Any], needs: Sequence[bool]) -> list[Any]:
    """Return the cotangent of every input that ``needs`` one, ``None`` for the others (and where it is absent)."""
    raise DerivativeError(f"{op.name} has no derivative: use bprop.stop_gradient on its input if that is meant")


def scale(y_bar: Any, partial: Any) -> Any:
    """Return y_bar · partial without multiplying by a literal ±1."""
    if type(partial) is int and partial == 1:
        return y_bar
    if type(partial) is int and partial == -1:
        return negative(y_bar)
    return multiply(y_bar, partial)


def weighted(bar: Any, fraction: Any) -> Any:
    """Return a cotangent or tangent times the fraction of it that an operand gets; where the fraction is zero it is absent."""
    if type(fraction) is bool:  # a condition written as a Python constant
        fraction = asarray(fraction)
    if fraction.dtype.kind == "b":
        return where(fraction, bar, 0)
    return where(fraction != 0, multiply(bar, fraction), 0)


def _shape(x: Any) -> tuple[int, ...]:
    return x.shape if hasattr(x, "shape") else ()


@vjp.register
def _(op: Elementwise, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    bars: list[Any] = []
    for x, partial, need in zip(xs, op.partials, needs, strict=True):
        if not need or partial is None:
            bars.append(None)
            continue
        local = partial(y, *xs, **params) if callable(partial) else partial
        bars.append(unbroadcast(scale(y_bar, local), _shape(x)))
    return bars


@vjp.register
def _(op: Selection, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    bars: list[Any] = []
    for x, fraction, need in zip(xs, op.tie_fractions, needs, strict=True):
        if not need or fraction is None:
            bars.append(None)
            continue
        chosen = fraction(y, *xs)
        bars.append(unbroadcast(weighted(y_bar, chosen), _shape(x)))
    return bars


def expanded(value: Any, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> Any:
    """Give the result of a reduction its reduced axes back, with size 1 (a result that no rule reads is a `Spec`)."""
    if keepdims or type(value) is Spec:
        return value
    return reshape(value, tuple(1 if axis in axes else size for axis, size in enumerate(shape)))


@vjp.register
def _(op: Reduction, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    (x,) = xs
    axes, keepdims = params["axis"], params["keepdims"]
    if op.chosen is None and not callable(op.partial) and axes == tuple(range(len(axes))):
        return [broadcast_to(scale(y_bar, op.partial), x.shape)]  # the first axes come back by themselves
    y_bar = expanded(y_bar, x.shape, axes, keepdims)
    if op.chosen is not None:
        chosen, share = op.chosen(expanded(y, x.shape, axes, keepdims), x, axes)
        return [where(chosen, multiply(y_bar, share), 0)]
    if not callable(op.partial):
        return [broadcast_to(scale(y_bar, op.partial), x.shape)]
    return [multiply(y_bar, op.partial(expanded(y, x.shape, axes, keepdims), x, axes))]


@vjp.register
def _(op: Linear, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    x, *others = xs
    return [op.adjoint(y_bar, x, *others, **params), *(None for _ in others)]


@vjp.register
def _(op: Join, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    axis = params["axis"]
    places = zip(op.starts(xs, axis), xs, needs, strict=True)
    return [slice_along(y_bar, axis, start, x.shape[axis]) if need else None for start, x, need in places]


@vjp.register
def _(op: Bilinear, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    x1, x2 = xs
    labels, windows = op.labels(x1.shape, x2.shape, **params), op.window_params(params)
    return [
        op.adjoint(y_bar, x2, labels, 0, x1.shape, **windows) if needs[0] else None,
        op.adjoint(y_bar, x1, labels, 1, x2.shape, **windows) if needs[1] else None,
    ]


@vjp.register
def _(op: Cumulative, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    return list(op.vjp(y_bar, y, xs, needs, **params))


@vjp.register
def _(op: General, y_bar: Any, y: Any, xs: Any, params: Any, needs: Any) -> list[Any]:
    bars = op.vjp(y_bar, y, xs, needs, **params)
    return [
        unbroadcast(bar, x.shape) if need and bar is not None else None
        for bar, x, need in zip(bars, xs, needs, strict=True)
    ]


__all__ = ["expanded", "scale", "vjp", "weighted"]
