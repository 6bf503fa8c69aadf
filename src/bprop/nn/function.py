"""Functions as modules: any function, the identity, and other shapes for the same numbers."""

from collections.abc import Callable, Sequence
from typing import Any

from ..core.error import ArgumentError, ShapeError
from ..core.number import integer
from ..core.shape import Shape, normalise_axis, size_of
from ..core.value import Array, asarray
from ..ops import reshape
from .module import Module


class Lambda(Module):
    """y = f(x), for a function f written with ops or NumPy: a module without parameters. Its ``bprop`` is derived.

    f must not read parameters, for which `fprop` raises `ArgumentError`: write a module that holds them. (Under a
    transform they are variables if the model holds them elsewhere, else constants.)

    - ``f``: a function of as many arrays as ``fprop`` gets; it returns one array.

    **Source:** Keras, ``Lambda``.

    >>> import bprop
    >>> from bprop import nn
    >>> square = nn.Lambda(lambda x: x * x)
    >>> square.fprop(bprop.asarray([3.0])), square.bprop(bprop.ones(1))
    (Array([9.]), Array([6.]))
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        if not callable(f):
            raise ArgumentError(f"Lambda: f is a function, not {f!r:.60}")
        if isinstance(f, Module):
            raise ArgumentError(f"Lambda: {type(f).__name__} is a module already: use it as it is")
        self.f = f

    def fprop(self, *inputs: Any) -> Array:
        return asarray(self.f(*(asarray(x) for x in inputs)))

    def describe(self) -> str:
        return str(getattr(self.f, "__name__", type(self.f).__name__))


class Identity(Module):
    """y = x: stands in where a module is expected. Any shape and dtype.

    **Source:** PyTorch, ``Identity``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.Identity()(bprop.ones(2))
    Array([1., 1.])
    """

    def fprop(self, x: Any) -> Array:
        return asarray(x)


class Flatten(Module):
    """y = x with the axes from ``start`` to ``end`` made one; by default all but the first, the batch.

    Raises `ShapeError` for an axis out of range, and where ``end`` comes before ``start``.

    - ``start``, ``end``: the first and the last of the axes that become one, integers.

    **Source:** PyTorch, ``Flatten``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.Flatten()(bprop.ones((5, 2, 3))).shape
    (5, 6)
    """

    def __init__(self, start: int = 1, end: int = -1) -> None:
        self.start, self.end = start, end

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        start = normalise_axis("Flatten", self.start, x.ndim, x.shape)
        end = normalise_axis("Flatten", self.end, x.ndim, x.shape)
        if end < start:
            raise ShapeError(f"Flatten: axis {end}, the last, comes before axis {start}, the first, of shape {x.shape}")
        return reshape(x, (*x.shape[:start], size_of(x.shape[start : end + 1]), *x.shape[end + 1 :]))

    def example(self) -> tuple[Any, ...]:
        """Return a shape with axes to make one."""
        return ((2, 3, 4),)

    def describe(self) -> str:
        return "" if (self.start, self.end) == (1, -1) else f"start={self.start}, end={self.end}"


class Unflatten(Module):
    """y = x with one axis made several: the opposite of `Flatten`.

    Raises `ShapeError` for an axis out of range, and where its length is not the product of ``shape``.

    - ``axis``: the axis of x.
    - ``shape``: the lengths of the axes that take its place, integers, of which one may be -1: what is left for it.

    **Source:** PyTorch, ``Unflatten``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.Unflatten(1, (2, -1))(bprop.ones((5, 6))).shape
    (5, 2, 3)
    """

    def __init__(self, axis: int, shape: Sequence[int]) -> None:
        self.axis = axis
        self.shape = _lengths(self, shape)

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        axis = normalise_axis("Unflatten", self.axis, x.ndim, x.shape)
        lengths = _filled(f"Unflatten: axis {axis} of shape {x.shape}", self.shape, x.shape[axis])
        return reshape(x, (*x.shape[:axis], *lengths, *x.shape[axis + 1 :]))

    def example(self) -> tuple[Any, ...]:
        """Return a shape whose axes can all be made several."""
        length = abs(size_of(self.shape))
        return ((length,) * (self.axis + 1 if self.axis >= 0 else -self.axis),)

    def describe(self) -> str:
        return f"{self.axis} → {self.shape}"


class Reshape(Module):
    """y = x with the axes of every example made others; the first axis, the batch, stays.

    ``x``: (N, ...); ``y``: (N, *shape). Raises `ShapeError` where an example of x has not as many entries as ``shape``.

    - ``shape``: the lengths of the axes, integers, of which one may be -1: what is left for it.

    **Source:** Keras, ``Reshape``.

    >>> import bprop
    >>> from bprop import nn
    >>> nn.Reshape(2, -1)(bprop.ones((5, 3, 4))).shape
    (5, 2, 6)
    """

    def __init__(self, *shape: int) -> None:
        self.shape = _lengths(self, shape)

    def fprop(self, x: Any) -> Array:
        x = asarray(x)
        if not x.shape:
            raise ShapeError("Reshape: x has shape (), it should be (N, ...), a batch of examples")
        lengths = _filled(f"Reshape: an example of shape {x.shape[1:]}", self.shape, size_of(x.shape[1:]))
        return reshape(x, (x.shape[0], *lengths))

    def example(self) -> tuple[Any, ...]:
        """Return the shape of two examples."""
        return ((2, abs(size_of(self.shape))),)

    def describe(self) -> str:
        return ", ".join(map(str, self.shape))


def _lengths(module: Module, shape: Sequence[int]) -> Shape:
    """Return lengths of axes, of which one may be -1."""
    if not isinstance(shape, list | tuple):
        raise ArgumentError(f"{type(module).__name__}: shape is a tuple of lengths, not {shape!r:.60}")
    lengths = tuple(integer(module, "a length in shape", size, -1, allowed="an integer ≥ 0, or -1") for size in shape)
    if lengths.count(-1) > 1:
        raise ArgumentError(f"{type(module).__name__}: one length in shape may be -1, not several: {lengths}")
    return lengths


def _filled(what: str, shape: Shape, size: int) -> Shape:
    """Return ``shape`` with the length that is left in place of -1; raise where it does not hold ``size`` entries."""
    others = size_of(tuple(length for length in shape if length != -1))
    left = size // others if others else 0
    lengths = tuple(left if length == -1 else length for length in shape)
    if size_of(lengths) != size:
        raise ShapeError(f"{what} has {size} entries, which do not make {shape}")
    return lengths


__all__ = ["Flatten", "Identity", "Lambda", "Reshape", "Unflatten"]
