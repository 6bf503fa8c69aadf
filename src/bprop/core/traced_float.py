"""A Python float that is an argument of a compiled function: a weak scalar that is traced, and a number for whoever asks."""

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .dtype import DEFAULT, WEAK
from .method import Methods
from .operator import call

if TYPE_CHECKING:
    from .value import Array


class Inputs(Protocol):
    """The trace that floats are inputs of. ``live``: it is under way; ``asked``: inputs at whose numbers Python looked."""

    live: bool
    asked: set[int]

    def applied(self, name: str, *args: Any) -> "Array":
        """Return what a function gives at the level of the trace."""


class TracedFloat:
    """A float, in all that Python sees of it. Where ops, and sums and products of floats, use it, it is an input of a program.

    ``number`` is that of the call that is traced. Whoever asks for it (``if``, ``float``, a comparison, NumPy, a parameter of an
    op) makes the trace one for this number only. After the trace it is a number like any other.
    """

    __slots__ = ("_inputs", "_places", "_symbol", "number")
    __class__ = property(lambda self: float)  # what `isinstance` asks

    def __init__(self, number: float, symbol: "Array", places: frozenset[int], inputs: Inputs) -> None:
        self.number, self._symbol, self._places, self._inputs = number, symbol, places, inputs

    def __float__(self) -> float:
        if self._inputs.live:
            self._inputs.asked |= self._places
        return self.number

    def array(self, dtype: Any = None) -> Any:
        """Return it as an array of a dtype; after its trace NumPy's."""
        if not self._inputs.live:
            return np.asarray(self.number, dtype)
        return self._inputs.applied("astype", self._symbol, DEFAULT if dtype is None else dtype)

    def weak(self) -> Any:
        """Return what an op takes: itself, or after its trace the number."""
        return self if self._inputs.live else self.number

    def _combined(self, name: str, compute: Callable[..., Any], *operands: Any) -> Any:
        """Return a sum, difference, product or quotient: of floats another one, of anything else what it always is."""
        if not self._inputs.live or not all(type(x) in WEAK or type(x) is TracedFloat for x in operands):
            if self._inputs.live and any(isinstance(x, Methods) for x in operands):
                return call(name, *operands)
            return compute(*map(plain, operands))
        own = [x for x in operands if type(x) is TracedFloat]
        try:
            number = compute(*(x.number if type(x) is TracedFloat else x for x in operands))
        except ArithmeticError:
            list(map(float, own))
            raise
        symbol = self._inputs.applied(name, *(x._symbol if type(x) is TracedFloat else x for x in operands))
        return TracedFloat(number, symbol, frozenset[int]().union(*(x._places for x in own)), self._inputs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(float(self), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(x, Methods) for x in inputs):
            return NotImplemented
        return getattr(ufunc, method)(*map(plain, inputs), **options)

    def __getattr__(self, name: str) -> Any:
        if not hasattr(float, name):
            raise AttributeError(f"'float' object has no attribute {name!r}")
        return getattr(float(self), name)

    def __copy__(self) -> "TracedFloat":
        return self

    def __deepcopy__(self, memo: Any) -> "TracedFloat":
        return self

    def __reduce__(self) -> Any:
        return float, (float(self),)


def plain(value: Any) -> Any:
    """Return a value, of a traced float the number, also in tuples: who calls this asks for it."""
    if type(value) is tuple:
        return tuple(map(plain, value))
    return float(value) if type(value) is TracedFloat else value


def _asking(name: str) -> Callable[..., Any]:
    """Return a method of `float` that asks for the number; what an array is to answer is left to it."""
    own = getattr(float, name)

    def method(self: TracedFloat, *others: Any) -> Any:
        return NotImplemented if any(isinstance(x, Methods) for x in others) else own(float(self), *map(plain, others))

    return method


for _name, _operator in (("add", "add"), ("sub", "subtract"), ("mul", "multiply"), ("truediv", "divide")):
    _compute = getattr(operator, _name)
    setattr(TracedFloat, f"__{_name}__", lambda x, y, f=_compute, op=_operator: x._combined(op, f, x, y))
    setattr(TracedFloat, f"__r{_name}__", lambda x, y, f=_compute, op=_operator: x._combined(op, f, y, x))
for _name, _operator in (("neg", "negative"), ("pos", "positive"), ("abs", "abs")):
    _compute = getattr(operator, _name)
    setattr(TracedFloat, f"__{_name}__", lambda x, f=_compute, op=_operator: x._combined(op, f, x))
for _name in (
    "bool", "int", "eq", "ne", "lt", "le", "gt", "ge", "hash", "repr", "str", "format", "round", "trunc", "floor", "ceil",
    "pow", "rpow", "floordiv", "rfloordiv", "mod", "rmod", "divmod", "rdivmod",
):  # fmt: skip
    setattr(TracedFloat, f"__{_name}__", _asking(f"__{_name}__"))

__all__ = ["Inputs", "TracedFloat", "plain"]
