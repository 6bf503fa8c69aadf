"""Functions as modules: any function, the identity, and flattening."""

from collections.abc import Callable
from typing import Any

from ..core.error import ArgumentError, ShapeError
from ..core.shape import normalise_axis, size_of
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


__all__ = ["Flatten", "Identity", "Lambda"]
