"""The operators of `Array`: each calls a public function."""

import sys
from typing import TYPE_CHECKING, Any

from .function import FUNCTIONS

if TYPE_CHECKING:
    from .value import Array


class Operators:
    """What Python's operators do with an array, by calling a function of the table that `bprop.ops` fills."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # == is elementwise, as in NumPy

    # --- operators ---
    def __add__(self, other: Any) -> "Array":
        return FUNCTIONS["add"](self, other)

    def __radd__(self, other: Any) -> "Array":
        return FUNCTIONS["add"](other, self)

    def __sub__(self, other: Any) -> "Array":
        return FUNCTIONS["subtract"](self, other)

    def __rsub__(self, other: Any) -> "Array":
        return FUNCTIONS["subtract"](other, self)

    def __mul__(self, other: Any) -> "Array":
        return FUNCTIONS["multiply"](self, other)

    def __rmul__(self, other: Any) -> "Array":
        return FUNCTIONS["multiply"](other, self)

    def __truediv__(self, other: Any) -> "Array":
        return FUNCTIONS["divide"](self, other)

    def __rtruediv__(self, other: Any) -> "Array":
        return FUNCTIONS["divide"](other, self)

    def __floordiv__(self, other: Any) -> "Array":
        return FUNCTIONS["floor_divide"](self, other)

    def __rfloordiv__(self, other: Any) -> "Array":
        return FUNCTIONS["floor_divide"](other, self)

    def __mod__(self, other: Any) -> "Array":
        return FUNCTIONS["remainder"](self, other)

    def __rmod__(self, other: Any) -> "Array":
        return FUNCTIONS["remainder"](other, self)

    def __divmod__(self, other: Any) -> "tuple[Array, Array]":
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> "tuple[Array, Array]":
        return other // self, other % self

    def __pow__(self, other: Any) -> "Array":
        return FUNCTIONS["pow"](self, other)

    def __rpow__(self, other: Any) -> "Array":
        return FUNCTIONS["pow"](other, self)

    def __matmul__(self, other: Any) -> "Array":
        return call("matmul" if isinstance(other, Operators) else _product(other), self, other)

    def __rmatmul__(self, other: Any) -> "Array":
        return call("matmul" if isinstance(other, Operators) else _product(other), other, self)

    def __neg__(self) -> "Array":
        return FUNCTIONS["negative"](self)

    def __pos__(self) -> "Array":
        return FUNCTIONS["positive"](self)

    def __abs__(self) -> "Array":
        return FUNCTIONS["abs"](self)

    def __round__(self, ndigits: int | None = None) -> "Array":
        return call("around", self, ndigits or 0)

    def __floor__(self) -> "Array":
        return FUNCTIONS["floor"](self)

    def __ceil__(self) -> "Array":
        return FUNCTIONS["ceil"](self)

    def __trunc__(self) -> "Array":
        return FUNCTIONS["trunc"](self)

    def __invert__(self) -> "Array":
        return FUNCTIONS["bitwise_invert"](self)

    def __and__(self, other: Any) -> "Array":
        return FUNCTIONS["bitwise_and"](self, other)

    def __rand__(self, other: Any) -> "Array":
        return FUNCTIONS["bitwise_and"](other, self)

    def __or__(self, other: Any) -> "Array":
        return FUNCTIONS["bitwise_or"](self, other)

    def __ror__(self, other: Any) -> "Array":
        return FUNCTIONS["bitwise_or"](other, self)

    def __xor__(self, other: Any) -> "Array":
        return FUNCTIONS["bitwise_xor"](self, other)

    def __rxor__(self, other: Any) -> "Array":
        return FUNCTIONS["bitwise_xor"](other, self)

    def __lshift__(self, other: Any) -> "Array":
        return FUNCTIONS["bitwise_left_shift"](self, other)

    def __rlshift__(self, other: Any) -> "Array":
        return FUNCTIONS["bitwise_left_shift"](other, self)

    def __rshift__(self, other: Any) -> "Array":
        return FUNCTIONS["bitwise_right_shift"](self, other)

    def __rrshift__(self, other: Any) -> "Array":
        return FUNCTIONS["bitwise_right_shift"](other, self)

    def __lt__(self, other: Any) -> "Array":
        return FUNCTIONS["less"](self, other)

    def __le__(self, other: Any) -> "Array":
        return FUNCTIONS["less_equal"](self, other)

    def __gt__(self, other: Any) -> "Array":
        return FUNCTIONS["greater"](self, other)

    def __ge__(self, other: Any) -> "Array":
        return FUNCTIONS["greater_equal"](self, other)

    def __eq__(self, other: object) -> "Array":  # type: ignore[override]  # elementwise, as in NumPy
        return call("full_like", self, False, dtype=bool) if other is None else call("equal", self, other)

    def __ne__(self, other: object) -> "Array":  # type: ignore[override]  # elementwise, as in NumPy
        return call("full_like", self, True, dtype=bool) if other is None else call("not_equal", self, other)

    def __getitem__(self, index: Any) -> "Array":
        return FUNCTIONS["getitem"](self, index)


def call(name: str, *args: Any, **options: Any) -> Any:
    """Call a public function by its name."""
    return FUNCTIONS[name](*args, **options)


def is_sparse(obj: Any) -> bool:
    """Return whether ``obj`` is a sparse matrix of SciPy."""
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(obj))


def _product(other: Any) -> str:
    return "sparse.matmul" if is_sparse(other) else "matmul"


__all__ = ["Operators", "call", "is_sparse"]
