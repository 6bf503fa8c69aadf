"""What an application of a module keeps for the way back, and the cells that modules hold."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.cell import PARAMETERS, Cell
from ..core.interpreter import current
from ..core.value import Array, asarray

if TYPE_CHECKING:
    from .module import Module


def parameter(value: Any, dtype: Any = None) -> Any:  # a Cell that the attribute reads as an Array: no type says both
    """Return a trainable cell: assigned to an attribute of a module it is a parameter, read as an array.

    >>> import bprop
    >>> from bprop import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self, n):
    ...         self.s = nn.parameter(bprop.ones(n))
    ...     def fprop(self, x):
    ...         return x * self.s
    >>> Scale(2)(bprop.asarray([3.0, 4.0]))
    Array([3., 4.])
    """
    return Cell(owned(asarray(value, dtype=dtype)), trainable=True)


def owned(value: Array) -> Array:
    """Return an array of the same numbers that nobody else has: the value of a parameter can be told by identity."""
    return Array(value.data) if type(value) is Array else value


def source_of(value: Any) -> Cell | None:
    """Return the parameter whose value was read, ``None`` for every other array."""
    level = current()
    return next((c for c in list(PARAMETERS) if c.array is value or level.cells.get(c) is value), None)


def state(value: Any, dtype: Any = None) -> Any:
    """Return a cell that is kept and saved but not trained, such as running statistics."""
    return Cell(asarray(value, dtype=dtype))


def unchanging(value: Any) -> Any:
    """Return what stays as it is until the way back, even if the caller fills a NumPy array again with the next batch."""
    if not isinstance(value, np.ndarray):
        return value
    return asarray(value) if value.dtype.kind in "biuf" else value.copy()


class Frame:
    """What one application leaves for the way back: inputs, y, kept intermediates, and later y_bar and x_bar."""

    __slots__ = ("bars", "hooked", "inputs", "kept", "pullback", "sweep", "x_bar", "y", "y_bar")

    def __init__(self, inputs: tuple[Any, ...], sweep: object = None) -> None:
        self.inputs = inputs
        self.sweep = sweep
        self.kept: dict[str, Any] = {}
        self.bars: dict[str, Any] = {}
        self.pullback: Callable[[Any], Any] | None = None
        self.hooked: tuple[Any, Any, Any] | None = (
            None  # y as the hooks left it, and the ways back through those on x and y
        )
        self.y: Any = None
        self.y_bar: Any = None
        self.x_bar: Any = None

    @property
    def x(self) -> Any:
        """The (first) input."""
        return self.inputs[0]


SWEEP: ContextVar[object | None] = ContextVar("bprop_sweep", default=None)
PURE = object()  # in place of a sweep: inside module(x), where the children's fprop keeps nothing either
ACTIVE: ContextVar[tuple[tuple["Module", Frame], ...]] = ContextVar("bprop_frames", default=())


class active:  # noqa: N801 - reads as a statement: `with active(module, frame):`
    """Make ``frame`` the one that ``module.x``, ``module.y`` and ``module.W_bar = …`` mean."""

    def __init__(self, module: "Module", frame: Frame) -> None:
        self.entry = (module, frame)

    def __enter__(self) -> Frame:
        self.token = ACTIVE.set((*ACTIVE.get(), self.entry))
        return self.entry[1]

    def __exit__(self, *error: object) -> None:
        ACTIVE.reset(self.token)
