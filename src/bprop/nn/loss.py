"""Losses: modules of two inputs, the outputs y of a model and the targets t. ``loss.bprop()`` starts the backward pass.

Each ``bprop`` here is the lecture's core step 1: from the discrepancy between outputs and targets to an error
derivative.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError, DTypeError, ShapeError
from ..core.number import flag, number
from ..core.shape import size_of
from ..core.value import Array, asarray
from ..ops import astype, reshape, sum
from .module import Module


class Loss(Module):
    """Base class of losses: ``fprop(y, t)`` returns a scalar E, ``bprop()`` returns ∂E/∂y alone.

    Write ``fprop``, and by hand, if you like, a ``bprop`` that returns the pair (∂E/∂y, ∂E/∂t), with ``None`` for
    targets that have no derivative. Under the transforms both are used. ``loss.bprop()`` returns the first alone: the
    targets are data there.

    - ``reduction``: "mean" over examples or entries, "sum", or "none": then E is an array, and ``bprop`` is given its
      cotangent.

    >>> import bprop
    >>> from bprop import nn
    >>> class AbsoluteError(nn.Loss):
    ...     def fprop(self, y, t):
    ...         return bprop.sum(abs(t - y))
    >>> loss = AbsoluteError()
    >>> loss.fprop(bprop.asarray([3.0]), bprop.asarray([1.0])), loss.bprop()
    (Array(2.), Array([1.]))
    """

    result = "E"
    answers: tuple[int, ...] | None = (0,)

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise ArgumentError(f"{type(self).__name__}: reduction is 'mean', 'sum' or 'none', not {reduction!r}")
        self.reduction = reduction

    def describe(self) -> str:
        settings = {name: value for name, value in self.__dict__.items() if name[0] != "_" and name != "training"}
        plain = (bool, int, float, str, tuple)
        return ", ".join(f"{name}={value!r}" for name, value in settings.items() if isinstance(value, plain))

    def outputs(self, y: Any) -> Array:
        """Return y as an array, refusing dtypes without a derivative.

        - ``y``: an array of any shape. Raises `DTypeError` unless it is floating.
        """
        y = asarray(y)
        if y.dtype.kind != "f":
            raise DTypeError(f"{type(self).__name__}: the outputs y are floating-point numbers, not {y.dtype}")
        return y

    def targets(self, y: Array, t: Any) -> Array:
        """Return t in the dtype of y, refusing another shape than that of y, which would broadcast silently.

        - ``y``: the outputs, as `outputs` returns them. ``t``: the targets. Raises `ShapeError` for unequal shapes.
        """
        t = asarray(t)
        if t.shape != y.shape:
            raise ShapeError(
                f"{type(self).__name__}: outputs y have shape {y.shape} and targets t have shape {t.shape}; they must be "
                f"equal{_advice(y.shape, t.shape)}"
            )
        return t if t.dtype == y.dtype else astype(t, y.dtype)

    def share(self, shape: tuple[int, ...]) -> float:
        """Return the weight of an entry in E: 1/N for the mean, else 1.

        - ``shape``: the axes to average over; N is the product. Raises `ShapeError` if it is 0.
        """
        count = size_of(shape)
        if count == 0:
            raise ShapeError(f"{type(self).__name__}: the batch is empty (shape {shape}): there is no error to measure")
        return 1 / count if self.reduction == "mean" else 1.0

    def count(self, t: Any, axes: int) -> float:
        """Return the weight of a batch in the mean over batches: the number of examples.

        - ``t``: the targets. ``axes``: how many axes the outputs have.
        """
        return len(t)

    @property
    def even(self) -> bool:
        """Whether `count` is the same for all batches of one shape."""
        return type(self).count is Loss.count

    def reduce(self, E: Array) -> Array:
        """Return the mean or sum of ``E``, an array with one error per example or entry; with "none" ``E`` itself."""
        share = self.share(E.shape)
        return E if self.reduction == "none" else share * sum(E)

    def spread(self, E_bar: Any, axes: int) -> Any:
        """Return ``E_bar`` with ``axes`` more axes of length 1, so that it broadcasts against arrays of examples."""
        return reshape(E_bar, (*E_bar.shape, *(1,) * axes)) if self.reduction == "none" else E_bar

    def setting(
        self,
        name: str,
        value: Any,
        low: float = -inf,
        high: float = inf,
        *,
        open_low: bool = False,
        open_high: bool = True,
    ) -> float:
        """Return a setting as a finite float in [low, high); raise `ArgumentError` naming loss and setting.

        - ``name``, ``value``: the name of the setting, and a number.
        - ``low``, ``high``: the bounds. ``open_low``, ``open_high``: whether the bound itself is refused.
        """
        return number(self, name, value, low, high, open_low=open_low, open_high=open_high)

    def flag(self, name: str, value: Any) -> bool:
        """Return a setting that is True or False; raise `ArgumentError` naming loss and setting.

        - ``name``, ``value``: the name of the setting, and a bool.
        """
        return flag(self, name, value)

    def check_numbers(self, t: Array, wrong: Callable[[NDArray[Any]], NDArray[Any]], wanted: str) -> None:
        """Raise `ArgumentError` for the first wrong entry of the targets; pass where there are no numbers yet.

        - ``t``: the targets.
        - ``wrong``: a function of a NumPy array that returns a bool for every entry. ``wanted``: the end of the
          message.
        """
        targets = t.concrete()
        if targets is None or not targets.size:
            return
        refused = np.asarray(wrong(targets))
        if refused.any():
            index = np.unravel_index(int(np.argmax(refused)), refused.shape)
            where = (
                f" at {tuple(map(int, index))}" if len(index) > 1 else f" of example {int(index[0])}" if index else ""
            )
            raise ArgumentError(f"{type(self).__name__}: target {targets[index]:g}{where}: {wanted}")


def _advice(y: tuple[int, ...], t: tuple[int, ...]) -> str:
    if y == (*t, 1):
        return ": write t[:, None]" if len(t) == 1 else f": write t.reshape({y})"
    if t == (*y, 1):
        return ": write t[:, 0]" if len(y) == 1 else f": write t.reshape({y})"
    return ""


class SquaredError(Loss):
    """E = ½ Σ (t - y)² over the outputs, mean (or sum, ``reduction="sum"``) over the batch, which is the first axis.

    ``y``, ``t``: of one shape, (N,) or (N, ...); a scalar is a batch of one. E has the dtype of y, to which t is
    converted. Raises `ShapeError` for unequal shapes and for an empty batch.

    - ``reduction``: "mean" over the examples, "sum", or "none", which returns the error of every example.

    **Source:** Leibe (2016), Backpropagation, core steps.

    >>> import bprop
    >>> from bprop import nn
    >>> loss = nn.SquaredError()
    >>> y, t = bprop.asarray([[1.0, 2.0], [2.0, 0.0]]), bprop.asarray([[0.0, 0.0], [1.0, 2.0]])
    >>> loss.fprop(y, t)
    Array(2.5)
    >>> loss.bprop()
    Array([[ 0.5,  1. ],
           [ 0.5, -1. ]])
    """

    def fprop(self, y: Any, t: Any) -> Array:
        y = self.outputs(y)
        t = self.targets(y, t)
        share = self.share(y.shape[:1])
        if self.reduction == "none":
            return 0.5 * sum((t - y) * (t - y), axis=tuple(range(1, y.ndim)))
        return 0.5 * share * sum((t - y) * (t - y))

    def bprop(self, E_bar: Any = None) -> Any:
        y = asarray(self.inputs[0])
        # Core step 1: the discrepancy as an error derivative, ∂E/∂y_j = -(t_j - y_j); times 1/N if E is a mean.
        E_bar = self.spread(E_bar, y.ndim - 1) if y.ndim else E_bar
        y_bar = -(self.targets(y, self.inputs[1]) - y) * (self.share(y.shape[:1]) * E_bar)
        return y_bar, -y_bar
