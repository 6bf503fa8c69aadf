"""Absent cotangents: a derivative that does not exist is not a derivative of zero.

A selection sends its cotangent to the chosen input; at the others it is *absent*. In numbers absence is a zero, and a
zero times an infinite partial is NaN. So a backward (or tangent) sweep whose result is not finite is run again under
`Absent`, where every cotangent is a pair of a value and a mask of the entries that are present; products are taken
only there. A sweep that is being traced has no numbers to look at and runs under `Absent` from the start; that of one-hot
seeds runs plainly in a compiled program, which guards its result and has another program to fall back on (decision 0003).

Cotangents enter linearly, so few cases suffice; a masked value always holds a plain zero where it is absent. A mask of
shape () is for all entries or none: a result of which nothing is used, a carry before the first turn of a loop.
"""

from cmath import isfinite
from functools import reduce, singledispatchmethod
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..core.cell import Cell
from ..core.dtype import is_inexact
from ..core.family import (
    Bilinear,
    Creation,
    Cumulative,
    Elementwise,
    General,
    Join,
    Linear,
    Reduction,
    Region,
    Selection,
)
from ..core.interpreter import QUIET, Interpreter, StateScope, current, using
from ..core.op import Op
from ..core.trace import Traced
from ..core.value import Array, Tracer
from ..ops import (
    abs,
    astype,
    broadcast_to,
    cumulative_sum,
    full,
    logical_or,
    permute_dims,
    reshape,
    sign,
    where,
)  # fmt: skip
from ..ops.guard import guard
from ..ops.reduction import any as any_of


class Masked(Tracer):
    """A cotangent: ``value`` with zeros where ``present`` (bool, of its shape or of shape (); ``None``: everywhere) is false."""

    __slots__ = ("present",)

    def __init__(self, owner: "Absent", value: Array, present: Array | None) -> None:
        super().__init__(owner, value)
        self.present = present

    def numbers(self, what: str) -> Any:
        """Return the numbers, 0 where absent: no derivative is lost by looking at a derivative."""
        return self.value.numbers(what)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return Array.__array__(self, dtype, copy)


class Absent(Interpreter):
    """Linear ops applied to masked values keep track of which entries are present."""

    name = "absent"

    def seed(self, value: Any, present: Any = None) -> Any:
        """Return ``value`` as a cotangent, present everywhere unless said otherwise."""
        if value is None or (present is None and type(value) is Masked and value.owner is self):
            return value
        return Masked(self, value, present)

    def lower(self, value: Any) -> Any:
        return value.value if type(value) is Masked and value.owner is self else value

    def settled(self, value: Any) -> Any:
        """Return ``value`` without its mask where that is known to leave nothing out."""
        if type(value) is not Masked or value.owner is not self:
            return value
        mask = None if value.present is None else value.present.concrete()
        return value.value if value.present is None or (mask is not None and mask.all()) else value

    def read(self, cell: Cell) -> Array:
        return self.below.read(cell)

    def write(self, cell: Cell, value: Array) -> None:
        self.below.write(cell, self.lower(value))

    def presence(self, value: Any) -> Any:
        """Return which entries of ``value`` are present, as `Region.absent` says it."""
        if type(value) is not Masked or value.owner is not self:
            return None
        return True if value.present is None else value.present

    def marked(self, value: Any, presence: Any) -> Any:
        """Return ``value`` with the entries present that ``presence`` says; the inverse of `lower` and `presence`."""
        return value if presence is None else Masked(self, value, None if presence is True else presence)

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        positions = [position for position, arg in enumerate(args) if type(arg) is Masked and arg.owner is self]
        plain = tuple(self.lower(arg) for arg in args)
        with using(self.below):
            if isinstance(op, Creation) and op.absent:
                return Masked(self, self.below.bind(op, plain, params), full((), False))
            if isinstance(op, Region) and positions:
                ys, present = op.absent(plain, tuple(map(self.presence, args)), params)
                return tuple(map(self.marked, ys, present))
            made = self.selected(op, args, plain, positions, params)
            if made is not None:
                return made
            if all(args[position].present is None for position in positions):
                # what nothing is sent to gets no cotangent
                if (positions == [0] and isinstance(op, Linear) and op.scatter) or (
                    positions and isinstance(op, Join) and len(positions) < len(args)
                ):
                    return self.rule(op, args, plain, positions, params)
                y = self.below.bind(op, plain, params)
                return self._wrap(y, None) if positions and _float(y) else y
            if not isinstance(op, Join) and not (isinstance(op, Linear) and op.scatter):
                made = self.all_or_none(op, args, plain, positions, params)
                if made is not None:
                    return made
            spread = [self.spread(arg) if position in positions else arg for position, arg in enumerate(args)]
            return self.rule(op, spread, plain, positions, params)

    def all_or_none(self, op: Op, args: Any, plain: Any, positions: list[int], params: dict[str, Any]) -> Any:
        """Apply an op where each cotangent is present or absent as a whole, and so is the result; else ``None``."""
        masks = [args[position].present for position in positions]
        if any(mask is None or mask.shape for mask in masks):
            return None
        ys = self.below.bind(op, plain, params)
        present = reduce(logical_or, masks)
        several = type(ys) is tuple
        made = [Masked(self, where(present, y, 0), present) if _float(y) else y for y in (ys if several else (ys,))]
        return tuple(made) if several else made[0]

    def spread(self, arg: Masked) -> Masked:
        """Return a cotangent whose mask, if any, has a place for every entry."""
        mask = arg.present
        return (
            arg if mask is None or mask.shape == arg.shape else Masked(self, arg.value, broadcast_to(mask, arg.shape))
        )

    def _wrap(self, y: Any, present: Any) -> Any:
        return tuple(Masked(self, output, present) for output in y) if type(y) is tuple else Masked(self, y, present)

    def selected(self, op: Op, args: Any, plain: Any, positions: list[int], params: dict[str, Any]) -> Any:
        """Apply a selection between a cotangent and a literal zero, which stands for absent; else ``None``."""
        if not positions or not isinstance(op, Selection) or len(args) != 3 or 0 in positions:
            return None
        condition, *branches = plain
        y = self.below.bind(op, plain, params)
        present: Any = None
        for position, branch in enumerate(branches, start=1):
            chosen = condition if position == 1 else ~condition
            if position in positions:
                mask = args[position].present
                present_here = chosen if mask is None else chosen & mask
            elif type(branch) is int and branch == 0:
                continue  # absent here
            else:
                present_here = chosen
            present = present_here if present is None else present | present_here
        return Masked(self, y, broadcast_to(present, y.shape))

    @singledispatchmethod
    def rule(self, op: Op, args: Any, plain: Any, positions: list[int], params: dict[str, Any]) -> Any:
        """Other ops are not linear in a cotangent: they see its value. ``positions``: those of the operands that are cotangents."""
        return self.below.bind(op, plain, params)

    @rule.register
    def _(self, op: Elementwise, args: Any, plain: Any, positions: list[int], params: dict[str, Any]) -> Any:
        y = self.below.bind(op, plain, params)
        if not _float(y):
            return y
        masks = [args[position].present for position in positions]
        if any(mask is None for mask in masks) and len(positions) == len([a for a in args if isinstance(a, Array)]):
            return Masked(self, y, None)
        masks = [broadcast_to(mask, y.shape) for mask in masks if mask is not None]
        present = masks[0]
        for mask in masks[1:]:
            present = present | mask
        if len(positions) < len(args) or any(partial != 1 for partial in op.partials):  # a sum of plain zeros is one
            y = self._zero_where_absent(op, y, present, plain, positions)
        return Masked(self, y, present)

    def _zero_where_absent(self, op: Elementwise, y: Any, present: Any, plain: Any, positions: list[int]) -> Any:
        """Return y with zeros where it is absent. In a program that guards, a product with a finite operand has them already."""
        masked = where(present, y, 0)
        if not self.below.guards or type(y) not in (Array, Traced) or y.dtype.kind == "c":
            return masked
        factors = _factors(op, plain, positions)
        if factors is None:
            return masked
        for factor in factors:
            (y,) = self.below.bind(guard, (y, factor, masked), {})
        return y

    @rule.register
    def _(self, op: Reduction, args: Any, plain: Any, positions: list[int], params: dict[str, Any]) -> Any:
        return Masked(
            self,
            self.below.bind(op, plain, params),
            _any(args[0].present, params["axis"], params["keepdims"]),
        )

    @rule.register
    def _(self, op: Cumulative, args: Any, plain: Any, positions: list[int], params: dict[str, Any]) -> Any:
        """What is before the first present entry is absent; an operand that multiplies an absent state counts as 0."""
        *factors, last = plain
        mask = args[-1].present if positions == [len(args) - 1] else None
        if mask is None:
            return Masked(self, self.below.bind(op, plain, params), None)
        present = astype(mask, np.float32)
        count = cumulative_sum(present, axis=params["axis"])
        factors = [where(count > present, factor, 0) for factor in factors]
        return Masked(self, self.below.bind(op, (*factors, last), params), count > 0)

    @rule.register
    def _(self, op: Linear, args: Any, plain: Any, positions: list[int], params: dict[str, Any]) -> Any:
        value = self.below.bind(op, plain, params)
        present = args[0].present
        ones = full(plain[0].shape, 1, dtype=np.float32) if present is None else astype(present, np.float32)
        counts = self.below.bind(op, (ones, *plain[1:]), params)
        return Masked(self, value, counts > 0)

    @rule.register
    def _(self, op: Join, args: Any, plain: Any, positions: list[int], params: dict[str, Any]) -> Any:
        masks = []
        for position, (arg, x) in enumerate(zip(args, plain, strict=True)):
            if position not in positions:
                masks.append(x != 0)  # a constant beside cotangents: the zeros of a part that has none
            else:
                masks.append(full(x.shape, True) if arg.present is None else arg.present)
        return Masked(self, self.below.bind(op, plain, params), self.below.bind(op, tuple(masks), params))

    @rule.register
    def _(self, op: Bilinear, args: Any, plain: Any, positions: list[int], params: dict[str, Any]) -> Any:
        if len(positions) != 1:
            return Masked(self, self.below.bind(op, plain, params), None)
        labels = op.labels(plain[0].shape, plain[1].shape, **params)
        own, out, mask = labels[positions[0]], labels[2], args[positions[0]].present
        x, other = plain[positions[0]], plain[1 - positions[0]]
        numbers = other.concrete()
        if not is_inexact(other.dtype) or (numbers is not None and np.isfinite(numbers).all()):
            value = self.below.bind(op, plain, params)
        elif numbers is None and self.below.guards and "c" not in (x.dtype.kind, other.dtype.kind):
            value = self.below.bind(op, plain, params)
            (value,) = self.below.bind(guard, (value, other), {})
        else:
            value = self._contract_present(op, plain, positions[0], mask, params)
        tied = {label for window in op.window_params(params).get("windows", ()) for label in window.lengths}
        left = "".join(label for label in own if label in out or label in tied)
        mask = _any(mask, tuple(axis for axis, label in enumerate(own) if label not in left), False)
        if mask is None:  # a sum of nothing
            return Masked(self, value, None)
        if tied:
            partner = "".join(label for label in labels[1 - positions[0]] if label in tied)
            reached = "".join(label for label in out if label in left or label in tied)
            mask, left = self._reached(op, mask, (left, partner, reached), params), reached
        mask = permute_dims(mask, tuple(left.index(label) for label in out if label in left))
        sizes = iter(mask.shape)  # 1 where the other operand broadcasts this one
        mask = reshape(mask, tuple(next(sizes) if label in left else 1 for label in out))
        mask = broadcast_to(mask, value.shape)
        if type(other) not in (Array, Traced):  # its own derivative may not be finite where it is
            value = where(mask, value, 0)
        return Masked(self, value, mask)

    def _reached(self, op: Bilinear, mask: Any, labels: tuple[str, str, str], params: dict[str, Any]) -> Any:
        """Return which entries of a result windows join to present ones, whatever the other operand's numbers are.

        ``labels``: those of the mask, of the other operand as far as windows tie it, and of the result.
        """
        sizes = op.sizes(labels[0], mask.shape, "", (), **op.window_params(params))
        contraction, params = op.relabelled(labels, params)
        ones = full(tuple(sizes[label] for label in labels[1]), 1, dtype=np.float32)
        return self.below.bind(contraction, (astype(mask, np.float32), ones), params) > 0

    def _contract_present(self, op: Bilinear, plain: Any, position: int, mask: Any, params: dict[str, Any]) -> Any:
        """Contract without the terms absent · inf: a non-finite factor counts only where a present entry meets it.

        Such factors enter as their sign; where present entries meet any, the sum is an infinity if all those terms have one
        sign, else NaN.
        """
        own, other = plain[position], plain[1 - position]
        if "c" in (own.dtype.kind, other.dtype.kind):  # four products of real numbers
            total: Any = 0
            for (part, unit), (factor, other_unit) in product(_parts(own), _parts(other)):
                pair = (part, factor) if position == 0 else (factor, part)
                total = total + self._contract_present(op, pair, position, mask, params) * (unit * other_unit)
            return total
        finite = other - other == 0
        signs = where(other == other, sign(other), 1)

        def contracted(x: Any, factor: Any) -> Any:
            pair = (x, factor) if position == 0 else (factor, x)
            return self.below.bind(op, pair, params)

        value = contracted(own, where(finite, other, signs))
        met = contracted(astype(mask, own.dtype), astype(~finite, other.dtype))
        direction = contracted(sign(own), where(finite, 0, where(other == other, signs, float("nan"))))
        infinite = where(abs(direction) == met, direction * float("inf"), float("nan"))
        return where(met > 0, value + infinite, value)

    @rule.register
    def _(self, op: General, args: Any, plain: Any, positions: list[int], params: dict[str, Any]) -> Any:
        """An entry of the batch, or a column of its own, is absent where all that enters it of the cotangents is."""
        y = self.below.bind(op, plain, params)
        present: Any = None
        for position in positions:
            mask = args[position].present
            if mask is not None:
                core = op.core_inputs[position]
                first = len(mask.shape) - len(core)
                mask = _any(mask, tuple(first + n for n, label in enumerate(core) if label != op.columns), False)
                if mask is not None and op.columns not in core:
                    mask = reshape(mask, (*mask.shape, 1))
            if mask is None:
                return self._wrap(y, None) if _float(y) else y
            present = mask if present is None else present | mask

        def entries(y: Any, core: tuple[str, ...]) -> Any:
            if not is_inexact(y.dtype):
                return y
            *batch, columns = present.shape
            sizes = (columns if label == op.columns else 1 for label in core)
            mask = broadcast_to(reshape(present, (*batch, *sizes)), y.shape)
            return Masked(self, where(mask, y, 0), mask)

        return tuple(map(entries, y, op.core_outputs)) if op.several else entries(y, op.core_outputs[0])


def _factors(op: Elementwise, args: Any, positions: list[int]) -> list[Any] | None:
    """Return the operands that have to be finite for zeros at ``positions`` to give zeros; ``None`` where that does not do."""
    others = [arg for position, arg in enumerate(args) if position not in positions]
    constants = [x for x in others if isinstance(x, float | int)]
    if not all(map(isfinite, constants)):
        return None
    if op.role == "product":
        return [x for x in others if isinstance(x, Array)]
    is_divided = op.role == "quotient" and positions == [0] and len(constants) == 1 and constants[0] != 0
    is_linear = not others and all(isinstance(partial, int | float) for partial in op.partials)
    return [] if is_divided or is_linear else None


def _float(y: Any) -> bool:
    return type(y) is tuple or is_inexact(y.dtype)


def _parts(x: Any) -> list[tuple[Any, complex]]:
    """Return the real parts of ``x``, each with the unit that it is multiplied by."""
    return [(x.real, 1), (x.imag, 1j)] if x.dtype.kind == "c" else [(x, 1)]


def _any(mask: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if mask is None or not axes:
        return mask
    if any(mask.shape[axis] == 0 for axis in axes):
        return None
    return any_of(mask, axis=axes, keepdims=keepdims)


def is_finite(values: Any) -> bool | None:
    """Return whether all numbers of ``values``, tangents included, are finite; ``None`` if some are being traced."""
    pending = [value for value in values if value is not None]
    while pending:
        value = pending.pop()
        numbers = value.concrete()
        if numbers is None:
            return None
        if isinstance(value, Tracer):
            pending += value.parts()
            continue
        # a finite sum is proof in one pass; an infinite one may also be an overflow
        suspicious = is_inexact(numbers.dtype) and not isfinite(QUIET.run(np.add.reduce, numbers, axis=None))
        if suspicious and not np.isfinite(numbers).all():
            return False
    return True


def guards_sweeps(interpreter: Interpreter) -> bool:
    """Return whether sweeps of one-hot seeds under ``interpreter`` run plainly, with a guard on their results.

    Not where a backward sweep goes through them: a zero meets the slope of a slope there, infinite where all that is guarded
    may be finite.
    """
    return interpreter.guards and not interpreter.recorded


def _guarded(y: Any) -> Any:
    """Return a result of a plain sweep, which holds only if it is finite."""
    if y is None or not is_inexact(y.dtype):
        return y
    for part, _ in _parts(y):
        (y,) = current().bind(guard, (y, part), {})
    return y


def masked_sweep(sweep: Any, seeds: list[Any], present: list[Any] | None = None) -> list[Any]:
    """Run ``sweep(seeds)``, linear in the seeds, so that absent entries stay absent.

    A plain run whose result is finite is already right, since 0 · finite = 0; only otherwise, or where the sweep is
    gone through again with other numbers, it runs on masked values. ``present`` says which entries of the seeds are
    (one-hot seeds of a Jacobian: only one). In a program that has another to fall back on, such a sweep runs plainly, too.
    """
    if present is not None and guards_sweeps(current()):
        return list(map(_guarded, sweep(seeds)))
    repeatable = not current().replayed
    if repeatable:
        results: list[Any] = sweep(seeds)
        if is_finite(results):
            return results
        del results
    masks = present or [None] * len(seeds)
    interpreter = Absent(current())
    masked = [interpreter.seed(seed, mask) for seed, mask in zip(seeds, masks, strict=True)]
    with using(StateScope(below=interpreter) if repeatable else interpreter):  # no cell is written twice
        swept = sweep(masked)
    return [interpreter.lower(value) for value in swept]


__all__ = ["Absent", "Masked", "guards_sweeps", "is_finite", "masked_sweep"]
