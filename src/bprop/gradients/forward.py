"""Automatic differentiation, forward mode: every value carries its tangent along.

A `Dual` is a pair (primal, tangent) with an owner, so that nested derivatives never confuse their perturbations. The
rule of a family runs on the level below; a missing tangent is *absent*, never an array of zeros.

**Source:** Wengert (1964); Griewank & Walther (2008), ch. 3; Leibe (2016), forward-mode differentiation.
"""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from ..core.cell import Cell
from ..core.dtype import is_inexact
from ..core.error import DerivativeError
from ..core.family import Bilinear, Cumulative, Elementwise, General, Join, Linear, Reduction, Region, Selection
from ..core.interpreter import Interpreter, using
from ..core.op import Op
from ..core.value import Array, Tracer
from ..ops import add, broadcast_to, multiply, sum, where, zeros
from ..ops.complex import matching
from .absent import Absent, Masked
from .vjp_rule import expanded, scale, weighted


class Dual(Tracer):
    """``value`` + ε ``tangent``; the tangent may be the error to be raised where it is asked for."""

    __slots__ = ("tangent",)

    def __init__(self, owner: "Forward", value: Array, tangent: Array | DerivativeError) -> None:
        self.owner = owner
        self.value = value
        self.tangent = tangent

    def parts(self) -> tuple[Array, ...]:
        return (self.value,) if isinstance(self.tangent, DerivativeError) else (self.value, self.tangent)


class Forward(Interpreter):
    """Evaluates one level below and carries tangents along.

    Tangents are values of the level below or, behind a selection, `Masked` ones of ``absent``: a derivative of the
    branch not taken is absent, and an infinite partial behind it has nothing to multiply. ``masks=False`` leaves the
    masks out, for a derivative to be read or one that is guarded.
    """

    name = "jvp"

    def __init__(self, below: Interpreter | None = None, *, masks: bool = True) -> None:
        super().__init__(below)
        self.masks = masks
        self.absent = self.below if isinstance(self.below, Absent) else Absent(self.below)

    def dual(self, value: Array, tangent: Array | None) -> Array:
        """Pair a value with its tangent; without one it is a constant."""
        return value if tangent is None else Dual(self, value, tangent)

    def lower(self, value: Array) -> Array:
        return value.value if type(value) is Dual and value.owner is self else value

    def tangent(self, value: Any) -> Any:
        """Return the tangent of ``value`` as the level below sees it, ``None`` for a constant."""
        x_dot = self._tangent(value)
        return x_dot if self.absent is self.below else self.absent.lower(x_dot)

    def _tangent(self, value: Any) -> Any:
        if type(value) is not Dual or value.owner is not self:
            return None
        if isinstance(value.tangent, DerivativeError):  # an output that has none, beside others that have
            raise value.tangent
        return value.tangent

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        x_dots = [self._tangent(arg) for arg in args]
        if all(x_dot is None for x_dot in x_dots):
            return self.below.bind(op, args, params)
        xs = tuple(self.lower(arg) for arg in args)
        if isinstance(op, Region):
            if self.masks:
                x_dots = [self.absent.seed(x_dot) for x_dot in x_dots]
            with using(self.absent if self.masks else self.below):
                ys, y_dots = op.jvp(xs, tuple(x_dots), params)
                return tuple(self._paired(self.absent.lower(y), y_dot) for y, y_dot in zip(ys, y_dots, strict=True))
        with using(self.below):
            y = self.below.bind(op, xs, params)
            if not op.differentiable or not (op.several or is_inexact(y.dtype)):
                return y
        masked = self.masks and (_selects(op, x_dots) or any(type(x_dot) is Masked for x_dot in x_dots))
        if masked:
            x_dots = [self.absent.seed(x_dot) for x_dot in x_dots]
        with using(self.absent if masked else self.below):
            y_dot = jvp(op, y, xs, x_dots, params)
            return tuple(map(self._paired, y, y_dot)) if op.several else self._paired(y, y_dot)

    def _paired(self, y: Array, y_dot: Array | None) -> Array:
        """A tangent has its primal's dtype; one that is present everywhere needs no mask."""
        if y_dot is None:
            return y
        if isinstance(y_dot, DerivativeError):
            return Dual(self, y, y_dot)
        if y_dot.dtype != y.dtype:
            y_dot = matching(y_dot, y.dtype)
        return Dual(self, y, self.absent.settled(y_dot))


def _selects(op: Op, x_dots: Sequence[Any]) -> bool:
    """Return whether the tangent of ``op`` may be absent where those of its inputs are present."""
    if isinstance(op, Elementwise | Bilinear):
        return False
    if isinstance(op, Reduction):
        return op.chosen is not None
    if isinstance(op, Linear):
        return op.scatter
    return not isinstance(op, Join) or any(x_dot is None for x_dot in x_dots)


# --- one rule per family: from the x_dots to y_dot ---
@singledispatch
def jvp(op: Op, y: Any, xs: Sequence[Any], x_dots: Sequence[Any], params: dict[str, Any]) -> Any:
    """Return the tangent of y, or ``None`` where it is absent."""
    raise DerivativeError(f"{op.name} has no derivative: use bprop.stop_gradient on its input if that is meant")


def _total(terms: list[Any]) -> Any:
    total = None
    for term in terms:
        total = term if total is None else add(total, term)
    return total


@jvp.register
def _(op: Elementwise, y: Any, xs: Any, x_dots: Any, params: Any) -> Any:
    """y_dot = Σ ∂y/∂xᵢ · xᵢ_dot."""
    terms = []
    for partial, x_dot in zip(op.partials, x_dots, strict=True):
        if x_dot is not None and partial is not None:
            terms.append(scale(x_dot, partial(y, *xs, **params) if callable(partial) else partial))
    total = _total(terms)
    return total if total is None or total.shape == y.shape else broadcast_to(total, y.shape)


@jvp.register
def _(op: Selection, y: Any, xs: Any, x_dots: Any, params: Any) -> Any:
    terms = []
    for fraction, x_dot in zip(op.tie_fractions, x_dots, strict=True):
        if x_dot is not None and fraction is not None:
            terms.append(weighted(x_dot, fraction(y, *xs)))
    total = _total(terms)
    return total if total is None or total.shape == y.shape else broadcast_to(total, y.shape)


@jvp.register
def _(op: Reduction, y: Any, xs: Any, x_dots: Any, params: Any) -> Any:
    (x,), (x_dot,) = xs, x_dots
    axes, keepdims = params["axis"], params["keepdims"]
    if op.chosen is not None:
        chosen, share = op.chosen(expanded(y, x.shape, axes, keepdims), x, axes)
        term = where(chosen, multiply(x_dot, share), 0)
    elif callable(op.partial):
        term = multiply(x_dot, op.partial(expanded(y, x.shape, axes, keepdims), x, axes))
    else:
        term = scale(x_dot, op.partial)
    return sum(term, axis=axes, keepdims=keepdims)


@jvp.register
def _(op: Linear, y: Any, xs: Any, x_dots: Any, params: Any) -> Any:
    return op(x_dots[0], *xs[1:], **params)


@jvp.register
def _(op: Join, y: Any, xs: Any, x_dots: Any, params: Any) -> Any:
    """Parts without a tangent get constant zeros, which `Absent` takes for what they mean."""
    parts = [zeros(x.shape, dtype=x.dtype) if x_dot is None else x_dot for x, x_dot in zip(xs, x_dots, strict=True)]
    return op(*parts, **params)


@jvp.register
def _(op: Bilinear, y: Any, xs: Any, x_dots: Any, params: Any) -> Any:
    terms = []
    if x_dots[0] is not None:
        terms.append(op(x_dots[0], xs[1], **params))
    if x_dots[1] is not None:
        terms.append(op(xs[0], x_dots[1], **params))
    return _total(terms)


@jvp.register
def _(op: Cumulative, y: Any, xs: Any, x_dots: Any, params: Any) -> Any:
    return op.jvp(y, xs, x_dots, **params)


@jvp.register
def _(op: General, y: Any, xs: Any, x_dots: Any, params: Any) -> Any:
    return op.jvp(y, xs, x_dots, **params)


def lift_cells(owner: Forward, cells: Sequence[Cell], tangents: Sequence[Any]) -> None:
    """Give cells a tangent inside ``owner``."""
    for cell, tangent in zip(cells, tangents, strict=True):
        owner.cells[cell] = owner.dual(owner.below.read(cell), tangent)


__all__ = ["Dual", "Forward", "jvp", "lift_cells"]
